//! Backups: copies of a data directory from which a server can be started, of a running server, too.
//!
//! [`backup`] copies what is durable: whole batches, in order, each checked; the newest snapshot of them,
//! the orders that are kept, the server's key. The next call adds what has come since. Whatever stops a call,
//! the directory of the copies is a backup before and after it: a file is replaced only by one that is
//! durable, was read back, and holds what the one before held.
//!
//! | module | holds |
//! |---|---|
//! | `archiving` | moving old segments out of a data directory |
//! | `copying` | one backup |
//! | `vault` | a directory of copies |
//! | `manifest` | what it says of itself |
//! | `open_orders` | copying a database that is being written |
//! | `error` | [`BackupError`] |

mod archiving;
mod copying;
mod error;
mod manifest;
mod open_orders;
mod vault;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use wire::{BatchNumber, PublicKey};

pub use self::archiving::{ArchivingOptions, ArchivingReport, archive_segments, open_archive};
use self::copying::Copying;
pub use self::error::BackupError;
use self::manifest::{Kind, Manifest};
use self::vault::Vault;
use crate::ledger::journal::{Committed, DiskStorage, ReadOnlyDirectory, Storage, WithArchived};

/// How much of the copies of earlier calls is read back at each call, besides those that may change: some
/// seconds' reading, so that all of them come up in turn.
pub const RECHECK_BYTES: u64 = 4 << 30;

/// The text of the manifest in these bytes, of a backup or an archive; `None` if they are none. For tests that
/// feed it anything: what copies reads it by itself.
pub fn manifest_written_again(bytes: &[u8]) -> Option<String> {
    let read = |kind| Manifest::parse(kind, bytes).ok();
    read(Kind::Backup).or_else(|| read(Kind::Archive)).map(|manifest| manifest.to_text())
}

/// What to copy.
#[derive(Clone, Copy, Debug)]
pub struct BackupOptions<'a> {
    /// The key of the server, which must have signed the batches.
    pub server: PublicKey,
    /// The name of the file of its secret key, if that is to be copied, too.
    pub key_file: Option<&'a str>,
    /// How much of earlier copies is read back. A program uses [`RECHECK_BYTES`].
    pub recheck_bytes: u64,
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// Segments that are copied, of those that are to be.
    pub segments: usize,
    /// How many are to be copied.
    pub segments_in_all: usize,
    /// The last batch of the copies.
    pub last: Committed,
}

/// What a backup has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// There was one before, and this has added to it.
    pub incremental: bool,
    /// The last batch of the copies, and its head.
    pub last: Committed,
    /// Batches that were copied now.
    pub batches: u64,
    /// Segments that were copied now, wholly or because they had grown.
    pub segments: usize,
    /// Bytes that were copied now, of all files.
    pub bytes: u64,
    /// Bytes of earlier copies that were read back and are what they were.
    pub rechecked_bytes: u64,
    /// Bytes of all copies.
    pub bytes_in_all: u64,
    /// The batch of the newest snapshot among the copies, if there is one.
    pub snapshot: Option<BatchNumber>,
    /// How many open orders are kept in it; `None` if the server has no file of them.
    pub open_orders: Option<u64>,
    /// The copies hold the server's secret key.
    pub with_key: bool,
}

/// Where the ledger is.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The data directory, which may be a running server's.
    pub data_dir: &'a Path,
    /// Where its old segments are, if they were archived and are to be in the backup.
    pub archived: Option<&'a Path>,
}

impl<'a> From<&'a Path> for Source<'a> {
    /// A data directory of which nothing was archived, or nothing that is to be in the backup.
    fn from(data_dir: &'a Path) -> Self {
        Self { data_dir, archived: None }
    }
}

/// Backs up a ledger into the directory `to`, which is made if it is not there. Blocks; `progress` is called after each segment.
///
/// # Errors
/// [`BackupError`].
pub fn backup_directory(
    from: Source<'_>,
    to: &Path,
    options: &BackupOptions<'_>,
    progress: impl FnMut(&BackupProgress),
) -> Result<BackupReport, BackupError> {
    let source = ReadOnlyDirectory::open(from.data_dir)?;
    let target = open_target(from.data_dir, to, Kind::Backup)?;
    let Some(archived) = from.archived else {
        return backup(&source, &target, options, progress);
    };
    let archived = Arc::new(ReadOnlyDirectory::open(archived)?);
    let both = WithArchived::new(Arc::new(source), archived);
    backup(&both, &target, options, progress)
}

/// Backs up what `source` holds into `target`. See [`backup_directory`].
///
/// # Errors
/// [`BackupError`].
pub fn backup(
    source: &dyn Storage,
    target: &dyn Storage,
    options: &BackupOptions<'_>,
    progress: impl FnMut(&BackupProgress),
) -> Result<BackupReport, BackupError> {
    let mut vault = Vault::open(target, Kind::Backup, options.server)?;
    let before = vault.manifest.last;
    let rechecked_bytes = vault.recheck(options.recheck_bytes)?;
    let mut copying = Copying { source, vault, before, segments: 0, bytes: 0 };
    copying.journal(progress)?;
    let snapshot = copying.snapshots()?;
    let with_key = copying.key(options.key_file)?;
    let open_orders = copying.open_orders()?;
    copying.vault.check_nothing_else()?;
    copying.vault.save()?;
    let Copying { vault, segments, bytes, .. } = copying;
    let last = vault.manifest.last;
    Ok(BackupReport {
        incremental: before != Committed::NOTHING,
        last,
        batches: last.batch.get() - before.batch.get(),
        segments,
        bytes,
        rechecked_bytes,
        bytes_in_all: vault.manifest.files.values().map(|entry| entry.bytes).sum(),
        snapshot,
        open_orders,
        with_key,
    })
}

/// Opens a directory for copies and locks it. Nothing is made in one that is something else.
fn open_target(from: &Path, to: &Path, kind: Kind) -> Result<DiskStorage, BackupError> {
    if let Ok(names) = ReadOnlyDirectory::open(to).map(|there| there.list().unwrap_or_default()) {
        let is_same = fs::canonicalize(from).ok() == fs::canonicalize(to).ok();
        if is_same {
            return Err(BackupError::SameDirectory);
        }
        let (file, manifest) = (names.first(), kind.file());
        if let Some(file) = file.filter(|_| !names.iter().any(|name| vault::is_own(name, kind))) {
            return Err(BackupError::Foreign { file: file.clone(), manifest });
        }
    }
    Ok(DiskStorage::open(to)?)
}

#[cfg(test)]
mod tests;
