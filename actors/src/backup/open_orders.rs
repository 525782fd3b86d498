//! Copying the database of open orders while its server writes to it.
//!
//! A commit leaves the pages of the one before as they are and then changes the file's header. So a copy
//! between whose beginning and end the header has not changed holds all of a commit, and maybe the beginning of
//! the next one. That it does is checked: the copy is opened, which goes through all its pages.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use redb::StorageBackend;

use super::error::BackupError;
use super::manifest::FileEntry;
use super::vault::{CHUNK_BYTES, Vault, failed, hash_of, target};
use crate::archive::count_kept_orders;
use crate::ledger::journal::{IoFailure, Operation, Storage, StorageFile};

/// How often a copy is tried. A server commits fifty times a second at most, and a copy of a thousand
/// orders takes a millisecond.
const LOOKS_MAX: u32 = 50;

/// How long to wait in between: not in step with the commits.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(7);

/// What changes with each commit: the header, which takes 320 bytes.
const HEADER_BYTES: usize = 512;

/// Copies the file, if there is one, and returns how many orders are in it.
pub(super) fn copy(
    source: &dyn Storage,
    vault: &mut Vault<'_>,
    name: &str,
) -> Result<Option<u64>, BackupError> {
    for _ in 0..LOOKS_MAX {
        let file = match source.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed_source(Operation::Open, name)(error)),
        };
        let begun = vault.begin()?;
        let is_whole = copy_bytes(&*file, &*begun, name)?;
        drop(begun);
        if is_whole && let Ok(orders) = count_kept_orders(Backend::new(vault.open_begun()?)) {
            let copy = vault.open_begun()?;
            let bytes = copy.len().map_err(failed(Operation::Read, name))?;
            let hash = hash_of(&*copy, name, bytes).map_err(target)?;
            drop(copy);
            vault.replace(name, FileEntry { bytes, hash })?;
            return Ok(Some(orders));
        }
        thread::sleep(LOOK_AGAIN_AFTER);
    }
    Err(BackupError::OpenOrdersBusy)
}

/// Copies all bytes. Says whether the header was the same before and after.
fn copy_bytes(
    from: &dyn StorageFile,
    to: &dyn StorageFile,
    name: &str,
) -> Result<bool, BackupError> {
    let header = || -> io::Result<Option<[u8; HEADER_BYTES]>> {
        let mut header = [0; HEADER_BYTES];
        let len = from.len()?;
        if len < HEADER_BYTES as u64 {
            return Ok(None);
        }
        from.read_exact_at(&mut header, 0)?;
        Ok(Some(header))
    };
    let before = header().map_err(failed_source(Operation::Read, name))?;
    let len = from.len().map_err(failed_source(Operation::Read, name))?;
    let (mut chunk, mut offset) = (vec![0; CHUNK_BYTES], 0);
    while offset < len {
        let left = usize::try_from(len - offset).unwrap_or(usize::MAX);
        let part = &mut chunk[..left.min(CHUNK_BYTES)];
        match from.read_exact_at(part, offset) {
            // It was made shorter meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read.map_err(failed_source(Operation::Read, name))?,
        }
        to.write_all_at(part, offset).map_err(failed(Operation::Write, name))?;
        offset += part.len() as u64;
    }
    let after = header().map_err(failed_source(Operation::Read, name))?;
    Ok(before.is_some() && before == after)
}

fn failed_source(operation: Operation, name: &str) -> impl FnOnce(io::Error) -> BackupError {
    move |error| BackupError::Source(IoFailure::of(operation, name)(error))
}

/// A file of a [`Storage`], as the database wants it.
struct Backend(Mutex<Box<dyn StorageFile>>);

impl Backend {
    fn new(file: Box<dyn StorageFile>) -> Self {
        Self(Mutex::new(file))
    }

    fn file(&self) -> MutexGuard<'_, Box<dyn StorageFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backend")
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file().len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file().read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file().set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file().sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file().write_all_at(data, offset)
    }
}
