//! Opening the archive's files, and what becomes of damaged ones.

use std::any::Any;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database, StorageBackend};

use super::error::{ArchiveError, corrupted, is_damage};

/// Opens the database at `path`, or makes an empty one that only its owner can read, and lets `load` read
/// from it what it is to begin with.
///
/// # Errors
/// What the database or `load` says. A file that was altered since it was written makes the database
/// panic rather than fail in places; that is taken for damage, too.
pub(super) fn open<T>(
    path: &Path,
    cache_bytes: usize,
    load: impl FnOnce(Database) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    open_backend(FileBackend::new(file)?, cache_bytes, load)
}

/// The same for a database in another kind of file.
///
/// # Errors
/// Like [`open`].
pub(super) fn open_backend<T>(
    file: impl StorageBackend,
    cache_bytes: usize,
    load: impl FnOnce(Database) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        load(Builder::new().set_cache_size(cache_bytes).create_with_backend(file)?)
    }));
    opened.unwrap_or_else(|panic| Err(corrupted(panic_text(&*panic))))
}

/// Opens the file at `path` with `open`; if it is damaged, puts it out of the way with `put_away`, which is
/// told why, and opens an empty one.
///
/// # Errors
/// [`ArchiveError`]: it is not the file's fault, or the empty one cannot be made.
pub(super) fn open_or_replace<T>(
    path: &Path,
    open: impl Fn() -> Result<T, redb::Error>,
    put_away: impl FnOnce(&redb::Error) -> std::io::Result<()>,
) -> Result<T, ArchiveError> {
    let failed = |source| ArchiveError::Open { path: path.to_owned(), source };
    match open() {
        Ok(opened) => Ok(opened),
        Err(error) if is_damage(&error) => {
            put_away(&error)
                .map_err(|source| ArchiveError::PutAway { path: path.to_owned(), source })?;
            open().map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
}
