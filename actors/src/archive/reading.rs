//! Following the journal.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use slog::{Logger, info, warn};
use wire::EntryNumber;

use super::error::ArchiveError;
use super::index::{Index, Mark};
use super::proofs::Proofs;
use super::queries::Fault;
use crate::ledger::journal::{BatchCursor, JournalPlace, Storage, read_batch};

/// Entries that are indexed at once, or one batch: at some 2 µs for a signed one, a tenth of a second. A
/// batch that is passed over counts as one.
const ENTRIES_AT_ONCE: usize = 1 << 15;

/// The index, and the journal that it follows.
pub(super) struct Reading {
    pub(super) index: Index,
    pub(super) proofs: Proofs,
    cursor: BatchCursor,
    /// Batches that begin here hold nothing that is recorded.
    quiet: Range<EntryNumber>,
    storage: Arc<dyn Storage>,
    /// It was rebuilt since the start: doing it again would not help.
    rebuilt: bool,
}

impl Reading {
    /// Opens the index at `path`, empties it if it is of another journal than the one in `storage`, whose
    /// entries in front of `durable` are on disk, and goes on where it ends.
    ///
    /// # Errors
    /// [`ArchiveError`]; [`ArchiveError::JournalCut`] if the index has seen a longer one, in which payments were
    /// answered that are not in this one.
    pub(super) fn open(
        path: &Path,
        storage: Arc<dyn Storage>,
        durable: EntryNumber,
        log: &Logger,
    ) -> Result<Self, ArchiveError> {
        let mut index = Index::open(path, log)?;
        if let Some(mark) = index.mark() {
            check_end(mark, durable, path)?;
        }
        if index.mark().is_some_and(|mark| !is_of_journal(mark, &*storage)) {
            warn!(log, "the index is of another journal: it is rebuilt"; "file" => %path.display());
            index.reset(log)?;
        }
        info!(log, "index opened"; "entries" => index.next_entry().get(),
            "behind" => durable.get().saturating_sub(index.next_entry().get()));
        let proofs = Proofs::new(Arc::clone(&storage));
        let cursor = BatchCursor::new(Arc::clone(&storage), index.place());
        let quiet = EntryNumber::default()..EntryNumber::default();
        Ok(Self { index, proofs, cursor, quiet, storage, rebuilt: false })
    }

    /// Batches that begin at `quiet` hold nothing that is recorded, says the ledger. One stretch of them is
    /// remembered; what is forgotten is read.
    pub(super) fn remember_quiet(&mut self, quiet: Range<EntryNumber>) {
        if quiet.is_empty() {
            return;
        }
        if self.quiet.end == quiet.start {
            self.quiet.end = quiet.end;
        } else if self.quiet.end <= self.index.next_entry() {
            self.quiet = quiet;
        }
    }

    /// Indexes some of what the journal holds in front of `durable`.
    ///
    /// # Errors
    /// [`Fault`]; then the index may lack what was read.
    pub(super) fn catch_up(&mut self, durable: EntryNumber) -> Result<(), Fault> {
        let (mut batches, mut last) = (Vec::new(), None);
        let mut taken = 0;
        while taken < ENTRIES_AT_ONCE {
            if self.quiet.contains(&self.cursor.place().last.next_entry) {
                let Some(position) = self.cursor.skip(durable)? else { break };
                last = Some(position);
                taken += 1;
            } else {
                let Some(batch) = self.cursor.next(durable)? else { break };
                last = Some(batch.position);
                taken += batch.entries.len();
                batches.push(batch);
            }
        }
        match last {
            Some(last) => Ok(self.index.add(&batches, last, *self.cursor.place())?),
            None => Ok(()),
        }
    }

    /// Begins again with an empty index, since this one is damaged. Says whether it has: once is enough.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub(super) fn rebuild(
        &mut self,
        damage: &redb::Error,
        log: &Logger,
    ) -> Result<bool, ArchiveError> {
        if std::mem::replace(&mut self.rebuilt, true) {
            return Ok(false);
        }
        warn!(log, "damaged index: it is rebuilt from the journal"; "error" => %damage);
        self.index.reset(log)?;
        self.cursor = BatchCursor::new(Arc::clone(&self.storage), JournalPlace::BEGIN);
        Ok(true)
    }
}

/// An index is told of what is durable alone: what it has read cannot be gone by a crash.
fn check_end(mark: &Mark, durable: EntryNumber, path: &Path) -> Result<(), ArchiveError> {
    let index_end = mark.place.last.next_entry;
    if index_end <= durable {
        return Ok(());
    }
    Err(ArchiveError::JournalCut {
        path: path.to_owned(),
        file: mark.last.file(),
        offset: mark.last.offset,
        journal_end: durable,
        index_end,
    })
}

/// Whether the journal holds the last batch that the index knows, where it knows it.
fn is_of_journal(mark: &Mark, storage: &dyn Storage) -> bool {
    read_batch(storage, mark.last).is_ok_and(|batch| batch.header.head() == mark.place.last.head)
}
