//! Signatures of a journal, checked many at a time.

use ed25519_zebra::batch;
use wire::{BatchNumber, EntryNumber};

use super::error::{AuditError, Fault};
use crate::ledger::journal::BatchPosition;

/// How many signatures are checked together. More would hardly be faster; so many take 300 KiB.
pub(super) const SIGNATURES_TOGETHER: usize = 1024;

/// What an error is about.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) position: BatchPosition,
    pub(crate) batch: BatchNumber,
    pub(crate) entry: Option<EntryNumber>,
}

impl Place {
    pub(super) fn error(self, fault: Fault) -> AuditError {
        let Self { position, batch, entry } = self;
        AuditError::Fault { file: position.file(), offset: position.offset, batch, entry, fault }
    }
}

/// Signatures that are not checked yet, in the order of the journal.
#[derive(Default)]
pub(crate) struct Signatures(Vec<(Place, Fault, batch::Item)>);

impl Signatures {
    /// Adds one, and what it means if it is not valid. Checks all of them if there are enough.
    pub(crate) fn add(
        &mut self,
        place: Place,
        fault: Fault,
        item: batch::Item,
    ) -> Result<(), AuditError> {
        self.0.push((place, fault, item));
        if self.0.len() < SIGNATURES_TOGETHER { Ok(()) } else { self.check() }
    }

    /// Checks all of them together, and one by one only to find the first that is not valid: by
    /// ZIP-215 the verdicts are the same.
    pub(crate) fn check(&mut self) -> Result<(), AuditError> {
        let waiting = std::mem::take(&mut self.0);
        let mut together = batch::Verifier::new();
        for (_, _, item) in &waiting {
            together.queue(item.clone());
        }
        if together.verify(rand::rng()).is_ok() {
            return Ok(());
        }
        let invalid =
            waiting.into_iter().find(|(_, _, item)| item.clone().verify_single().is_err());
        invalid.map_or(Ok(()), |(place, fault, _)| Err(place.error(fault)))
    }
}
