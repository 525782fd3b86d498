//! One backup, file by file.

use std::io;
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wire::batch::{BatchHeader, Hash};
use wire::signature::Domain;
use wire::{BatchNumber, PublicKey};

use super::vault::Vault;
use super::{BackupError, BackupProgress, open_orders};
use crate::archive::OPEN_ORDERS_FILE;
use crate::ledger::audit::{AuditError, Fault, Place, Signatures};
use crate::ledger::journal::checked::{Chain, Checked, list_segments, read_segment};
use crate::ledger::journal::segment::segment_name;
use crate::ledger::journal::snapshot::{
    SNAPSHOTS_KEPT, parse_snapshot_name, snapshot_name, taken_behind,
};
use crate::ledger::journal::{
    BatchPosition, Committed, Damage, IoFailure, OpenError, Operation, Storage, StoredBatch,
};

/// The longest file of a key; see `server_key` in the program, whose file has 141 bytes.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// How often the end of a running server's journal is read before it counts as damaged.
const LOOKS_MAX: u32 = 5;

/// How long to wait before looking again: far longer than a write takes to be seen whole.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// A backup that is being made.
pub(super) struct Copying<'s> {
    pub(super) source: &'s dyn Storage,
    pub(super) vault: Vault<'s>,
    /// The last batch of the copies when this began.
    pub(super) before: Committed,
    pub(super) segments: usize,
    pub(super) bytes: u64,
}

impl Copying<'_> {
    /// Copies the batches behind those that are there.
    pub(super) fn journal(
        &mut self,
        mut progress: impl FnMut(&BackupProgress),
    ) -> Result<(), BackupError> {
        let mut segments = list_segments(self.source)?;
        let Some(&newest) = segments.last() else { return self.nothing_there() };
        if let Some(copied) = self.newest_copy() {
            let begun = segments.partition_point(|first| *first < copied);
            segments.drain(..begun);
            self.check_continued(copied, segments.first().copied())?;
        }
        let Some(&first) = segments.first() else { return self.nothing_there() };
        let mut chain = Chain::before(first);
        for (index, &first) in segments.iter().enumerate() {
            self.segment(&mut chain, first, first == newest)?;
            let (segments_in_all, last) = (segments.len(), self.vault.manifest.last);
            progress(&BackupProgress { segments: index + 1, segments_in_all, last });
        }
        Ok(())
    }

    /// The segment that the last batch of the copies is in.
    fn newest_copy(&self) -> Option<BatchNumber> {
        self.vault.segments().next_back()
    }

    fn nothing_there(&self) -> Result<(), BackupError> {
        match self.newest_copy() {
            None => Ok(()),
            Some(copied) => Err(self.not_continued(copied)),
        }
    }

    /// The ledger must still have the segment that the copies end in; `found` is the first one behind.
    fn check_continued(
        &self,
        copied: BatchNumber,
        found: Option<BatchNumber>,
    ) -> Result<(), BackupError> {
        match found {
            Some(found) if found == copied => Ok(()),
            // It was archived meanwhile, and what was added to it before that.
            Some(found) => {
                let last = BatchNumber::new(found.get() - 1);
                Err(BackupError::Gone { first: self.before.next_batch(), last })
            }
            None => Err(self.not_continued(copied)),
        }
    }

    fn not_continued(&self, copied: BatchNumber) -> BackupError {
        BackupError::NotContinued { file: segment_name(copied), last: self.before.batch }
    }

    /// Copies the whole batches of the next segment, if the copy does not hold them already.
    fn segment(
        &mut self,
        chain: &mut Chain,
        first: BatchNumber,
        is_newest: bool,
    ) -> Result<(), BackupError> {
        let name = segment_name(first);
        let (mut bytes, Checked { used, last, unfinished }) =
            self.read_checked(chain, first, is_newest)?;
        if unfinished && !is_newest {
            let (batch, what) = (last.unwrap_or(self.before).next_batch(), Damage::BatchIncomplete);
            let damaged = OpenError::Damaged { file: name, offset: used as u64, batch, what };
            return Err(damaged.into());
        }
        // A segment that has been begun and holds nothing is made again by whoever needs it.
        let Some(last) = last else { return Ok(()) };
        bytes.truncate(used);
        if let Some(copied) = self.vault.entry(&name) {
            let old = usize::try_from(copied.bytes).ok().and_then(|len| bytes.get(..len));
            let is_continued =
                old.is_some_and(|old| copied.hash == Hash::from(Sha256::digest(old)));
            if !is_continued {
                return Err(self.not_continued(first));
            }
            if copied.bytes == bytes.len() as u64 && self.vault.is_exact(&name)? {
                return Ok(());
            }
        }
        self.vault.put(&name, &bytes)?;
        self.segments += 1;
        self.bytes += bytes.len() as u64;
        self.vault.manifest.last = last;
        self.vault.save()
    }

    /// Reads a segment of the ledger, and checks it and the signatures of the batches that are new. The
    /// newest one may be written meanwhile: what was read is durable when this returns.
    fn read_checked(
        &self,
        chain: &mut Chain,
        first: BatchNumber,
        is_newest: bool,
    ) -> Result<(Vec<u8>, Checked), BackupError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let (file, bytes) = read_segment(self.source, first)?;
            if is_newest {
                let name = segment_name(first);
                let synced = file.sync_data().map_err(IoFailure::of(Operation::Sync, &name));
                synced.map_err(BackupError::Source)?;
            }
            match check_segment(self.vault.manifest.server, self.before.batch, chain, first, &bytes)
            {
                Ok(checked) => return Ok((bytes, checked)),
                Err(AuditError::Journal(OpenError::Damaged { .. }))
                    if is_newest && looks < LOOKS_MAX =>
                {
                    thread::sleep(LOOK_AGAIN_AFTER);
                }
                Err(AuditError::Journal(error)) => return Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Copies the newest snapshot that is whole and not ahead of the copies, and lets go of old ones.
    pub(super) fn snapshots(&mut self) -> Result<Option<BatchNumber>, BackupError> {
        let last = self.vault.manifest.last.batch;
        let names = self.source.list().map_err(IoFailure::of(Operation::List, "."));
        let names = names.map_err(BackupError::Source)?;
        let mut there: Vec<_> = names.iter().filter_map(|name| parse_snapshot_name(name)).collect();
        there.sort_unstable_by(|a, b| b.cmp(a));
        for batch in there.into_iter().filter(|batch| *batch <= last) {
            let name = snapshot_name(batch);
            if self.vault.entry(&name).is_some() {
                break;
            }
            // A running server may remove it at any time.
            let Some(bytes) = self.read_source(&name, u64::MAX)? else { continue };
            if taken_behind(&bytes) == Some(batch) {
                self.vault.put(&name, &bytes)?;
                self.bytes += bytes.len() as u64;
                break;
            }
        }
        let files = self.vault.manifest.files.keys();
        let copied: Vec<_> = files.filter_map(|name| parse_snapshot_name(name)).collect();
        let many = copied.len().saturating_sub(SNAPSHOTS_KEPT);
        let old: Vec<_> = copied[..many].iter().map(|batch| snapshot_name(*batch)).collect();
        self.vault.forget(&old)?;
        let first = self.vault.segments().next();
        match (first, copied.last()) {
            (Some(first), None) if first != Committed::NOTHING.next_batch() => {
                Err(BackupError::NoSnapshot { first })
            }
            (_, newest) => Ok(newest.copied()),
        }
    }

    /// Copies the file of the server's secret key. Says whether the copies hold one.
    pub(super) fn key(&mut self, name: Option<&str>) -> Result<bool, BackupError> {
        let Some(name) = name else { return Ok(false) };
        if self.vault.entry(name).is_none()
            && let Some(bytes) = self.read_source(name, KEY_FILE_BYTES_MAX)?
        {
            self.vault.put(name, &bytes)?;
            self.vault.save()?;
            self.bytes += bytes.len() as u64;
        }
        Ok(self.vault.entry(name).is_some())
    }

    pub(super) fn open_orders(&mut self) -> Result<Option<u64>, BackupError> {
        let copied = open_orders::copy(self.source, &mut self.vault, OPEN_ORDERS_FILE)?;
        let bytes = self.vault.entry(OPEN_ORDERS_FILE).map_or(0, |entry| entry.bytes);
        self.bytes += copied.map_or(0, |_| bytes);
        Ok(copied)
    }

    /// All of a file of the data directory, up to `most` bytes; `None` if it is not there.
    fn read_source(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackupError> {
        let read = || -> io::Result<Vec<u8>> {
            let file = self.source.open(name)?;
            let len = usize::try_from(file.len()?.min(most)).map_err(io::Error::other)?;
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BackupError::Source(IoFailure::of(Operation::Read, name)(error))),
        }
    }
}

/// Checks the next segment, and that the server with this key has signed its batches. Those up to the batch
/// `before` were checked when they were copied, and their bytes are compared with the copy.
pub(super) fn check_segment(
    server: PublicKey,
    before: BatchNumber,
    chain: &mut Chain,
    first: BatchNumber,
    bytes: &[u8],
) -> Result<Checked, AuditError> {
    let mut signatures = Signatures::default();
    let checked = chain.segment(first, bytes, |position, header, entries| {
        if header.batch <= before {
            return Ok(());
        }
        check_batch(&mut signatures, &server, position, header, entries)
    });
    // The signatures that wait stand in front of whatever else was found.
    signatures.check()?;
    checked
}

/// Checks that the batch's seal is over its entries, and that the server has signed it.
fn check_batch(
    signatures: &mut Signatures,
    server: &PublicKey,
    position: BatchPosition,
    header: BatchHeader,
    entries: &[u8],
) -> Result<(), AuditError> {
    let batch = header.batch;
    if let Some(seal) = &header.seal {
        let signed = header.signed_bytes(&seal.merkle_root);
        let item = seal.signature.batch_item(server, Domain::Batch, &signed);
        signatures.add(Place { position, batch, entry: None }, Fault::ServerSignature, item)?;
    }
    StoredBatch::new(position, header, entries).map_err(|what| {
        let (file, offset) = (position.file(), position.offset);
        OpenError::Damaged { file, offset, batch, what }
    })?;
    Ok(())
}
