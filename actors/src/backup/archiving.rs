//! Archiving: moves old segments out of a data directory, so that its disk does not fill for ever.
//!
//! What is moved is what a start does not read: segments in front of both snapshots. Each is checked, copied,
//! read back and durable in the archive before it is removed.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use wire::batch::Hash;
use wire::{BatchNumber, PublicKey};

use super::copying::check_segment;
use super::manifest::Kind;
use super::vault::Vault;
use super::{BackupError, open_target};
use crate::ledger::journal::checked::{Chain, list_segments, read_segment};
use crate::ledger::journal::segment::segment_name;
use crate::ledger::journal::snapshot::{
    SNAPSHOTS_KEPT, parse_snapshot_name, snapshot_name, taken_behind,
};
use crate::ledger::journal::{Committed, DiskStorage, IoFailure, OpenError, Operation, Storage};

/// What to move.
#[derive(Clone, Copy, Debug)]
pub struct ArchivingOptions {
    /// The key of the server, which must have signed the batches.
    pub server: PublicKey,
    /// So many of the newest segments stay in any case, at least 1.
    pub keep_segments: usize,
    /// What the index still reads stays: segments from the one that begins with this batch on. `None` if
    /// the index reads from the archive, too.
    pub indexed: Option<BatchNumber>,
}

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivingReport {
    /// Segments that were moved now.
    pub segments: usize,
    /// Their bytes in the archive.
    pub bytes: u64,
    /// Segments that are in the archive.
    pub segments_in_all: usize,
    /// The last batch in the archive.
    pub last: Committed,
    /// Segments that are still in the data directory.
    pub segments_left: usize,
}

/// Opens the directory `to` for the archive of the data directory `data`, making it if it is not there, and
/// locks it.
///
/// # Errors
/// [`BackupError`].
pub fn open_archive(data: &Path, to: &Path) -> Result<DiskStorage, BackupError> {
    open_target(data, to, Kind::Archive)
}

/// Moves what may be moved from the data directory `live` into `archive`. Blocks.
///
/// # Errors
/// [`BackupError`]. Whatever was moved until then is in the archive.
pub fn archive_segments(
    live: &dyn Storage,
    archive: &dyn Storage,
    options: &ArchivingOptions,
) -> Result<ArchivingReport, BackupError> {
    let mut vault = Vault::open(archive, Kind::Archive, options.server)?;
    let segments = list_segments(live)?;
    let movable = movable(live, &segments, options)?;
    let mut bytes = 0;
    for &first in movable {
        bytes += copy(live, &mut vault, first)?;
        let name = segment_name(first);
        let removed = live.remove(&name).map_err(IoFailure::of(Operation::Remove, &name));
        removed.map_err(BackupError::Source)?;
        let synced = live.sync().map_err(IoFailure::of(Operation::Sync, "."));
        synced.map_err(BackupError::Source)?;
    }
    Ok(ArchivingReport {
        segments: movable.len(),
        bytes,
        segments_in_all: vault.segments().count(),
        last: vault.manifest.last,
        segments_left: segments.len() - movable.len(),
    })
}

/// The segments at the front that nobody needs where they are.
fn movable<'s>(
    live: &dyn Storage,
    segments: &'s [BatchNumber],
    options: &ArchivingOptions,
) -> Result<&'s [BatchNumber], BackupError> {
    let most = segments.len().saturating_sub(options.keep_segments.max(1));
    let indexed = options
        .indexed
        .map_or(segments.len(), |indexed| segments.partition_point(|first| *first < indexed));
    let names = live.list().map_err(IoFailure::of(Operation::List, "."));
    let names = names.map_err(BackupError::Source)?;
    let snapshots: Vec<_> = names.iter().filter_map(|name| parse_snapshot_name(name)).collect();
    let Some(oldest) = snapshots.iter().min() else { return Ok(&[]) };
    // Opening reads from the segment on that holds the first batch behind the snapshot.
    let begun = segments.partition_point(|first| first.get() <= oldest.get() + 1);
    let movable = &segments[..most.min(begun.saturating_sub(1)).min(indexed)];
    // Reading them takes longest, so it comes last.
    let is_safe = !movable.is_empty() && whole_snapshots(live, &snapshots)? >= SNAPSHOTS_KEPT;
    Ok(if is_safe { movable } else { &[] })
}

/// How many of these snapshots are whole. One alone may be damaged tomorrow.
fn whole_snapshots(live: &dyn Storage, snapshots: &[BatchNumber]) -> Result<usize, BackupError> {
    let mut whole = 0;
    for &batch in snapshots {
        let name = snapshot_name(batch);
        let read = || -> io::Result<Vec<u8>> {
            let file = live.open(&name)?;
            let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => whole += usize::from(taken_behind(&bytes) == Some(batch)),
            // A running server removes the third one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(BackupError::Source(IoFailure::of(Operation::Read, &name)(error)));
            }
        }
    }
    Ok(whole)
}

/// Makes sure that the archive holds a segment. Returns the bytes that were copied.
fn copy(live: &dyn Storage, vault: &mut Vault<'_>, first: BatchNumber) -> Result<u64, BackupError> {
    let name = segment_name(first);
    let (_, mut bytes) = read_segment(live, first)?;
    let last = vault.manifest.last;
    if let Some(entry) = vault.entry(&name).copied() {
        // A crash has come before it was removed.
        vault.recheck_file(&name, &entry)?;
        let len = usize::try_from(entry.bytes).ok().filter(|len| *len <= bytes.len());
        let is_same = len.is_some_and(|len| {
            entry.hash == Hash::from(Sha256::digest(&bytes[..len]))
                && bytes[len..].iter().all(|byte| *byte == 0)
        });
        let differs = BackupError::NotContinued { file: name, last: last.batch };
        return if is_same { Ok(0) } else { Err(differs) };
    }
    let next = last.next_batch();
    if first > next {
        let last = BatchNumber::new(first.get() - 1);
        return Err(BackupError::Gone { first: next, last });
    }
    let mut chain = Chain::behind(last);
    let checked = check_segment(vault.manifest.server, last.batch, &mut chain, first, &bytes)?;
    let Some(last) = checked.last.filter(|_| !checked.unfinished) else {
        return Err(OpenError::missing(first, first).into());
    };
    bytes.truncate(checked.used);
    vault.put(&name, &bytes)?;
    vault.manifest.last = last;
    vault.save()?;
    Ok(bytes.len() as u64)
}
