//! Where a journal is kept: a directory of files, on disk or in memory.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::direct::Appending;
use super::error::DataDirError;

/// A directory of files, without directories in it.
///
/// As on any file system, nothing is durable before it is synced: the content of a file by
/// [`StorageFile::sync_data`], that it exists under its name by [`Storage::sync`].
pub trait Storage: Send + Sync + 'static {
    /// The names of all files, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else what the system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Makes a new, empty file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken; else what the system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else what the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in the place of the file that had it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else what the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes all creations, removals and renamings durable.
    ///
    /// # Errors
    /// What the system says; then nobody knows what is durable.
    fn sync(&self) -> io::Result<()>;
}

/// An open file of a [`Storage`].
pub trait StorageFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts it or fills it up with zeros to this length.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Fills `bytes` from what stands at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before; else what the system says.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the system says; then any part of it may be written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, durably, where only zeros stand from there on.
    ///
    /// # Errors
    /// As [`StorageFile::sync_data`]; any part of it may be written.
    fn append(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)?;
        self.sync_data()
    }

    /// Makes its content durable, and of its metadata what it takes to read it again.
    ///
    /// # Errors
    /// What the system says; then nobody knows what is durable, and asking again does not tell.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes its content and all of its metadata durable.
    ///
    /// # Errors
    /// As [`StorageFile::sync_data`].
    fn sync_all(&self) -> io::Result<()>;
}

/// The name of the file whose lock says that a process uses the directory.
const LOCK_NAME: &str = "lock";

/// A directory on disk that belongs to this process for as long as the value lives.
#[derive(Debug)]
pub struct DiskStorage {
    path: PathBuf,
    /// Locked; the system unlocks it when it is closed, however the process ends.
    _lock: File,
}

impl DiskStorage {
    /// Opens the directory, making it if it is not there, and locks it against other processes. What
    /// is made can be read by its owner only.
    ///
    /// # Errors
    /// [`DataDirError`]: it cannot be made, it cannot be written to, or another process has it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        if !path.is_dir()
            && let Err(source) = create_directory(&path, sync_directory)
        {
            return Err(DataDirError::Create { path, source });
        }
        let lock = match new_file_options().create(true).open(path.join(LOCK_NAME)) {
            Ok(lock) => lock,
            Err(source) => return Err(DataDirError::NotWritable { path, source }),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(DataDirError::NotWritable { path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Storage for DiskStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        list_directory(&self.path)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Box::new(DiskFile::new(file, path)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path.join(name);
        let file = new_file_options().create_new(true).open(&path)?;
        Ok(Box::new(DiskFile::new(file, path)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }
}

/// A directory on disk that somebody else may be working with: it is read, and nothing is locked, made
/// or changed.
#[derive(Clone, Debug)]
pub struct ReadOnlyDirectory {
    path: PathBuf,
}

impl ReadOnlyDirectory {
    /// The directory at `path`, which must be there.
    ///
    /// # Errors
    /// [`DataDirError::NotReadable`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        match fs::read_dir(&path) {
            Ok(_) => Ok(Self { path }),
            Err(source) => Err(DataDirError::NotReadable { path, source }),
        }
    }
}

/// Files are opened for reading: writing to them fails as well.
impl Storage for ReadOnlyDirectory {
    fn list(&self) -> io::Result<Vec<String>> {
        list_directory(&self.path)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let path = self.path.join(name);
        Ok(Box::new(DiskFile::new(File::open(&path)?, path)))
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn StorageFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// A file of a directory on disk.
struct DiskFile {
    file: File,
    path: PathBuf,
    /// `None` before the first append.
    appending: RefCell<Option<Appending>>,
}

impl DiskFile {
    /// The file that is open and has this name.
    const fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, appending: RefCell::new(None) }
    }
}

impl StorageFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn append(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut appending = self.appending.borrow_mut();
        let appending = appending.get_or_insert_with(|| Appending::to(&self.path));
        appending.append(&self.file, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Makes the directory and those above it that are missing, and calls `sync` with the parent of each,
/// from the top: one that is not durable in its parent takes the whole journal with it.
pub(super) fn create_directory(
    path: &Path,
    mut sync: impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let is_missing = |level: &&Path| *level != Path::new("") && !level.is_dir();
    let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.into_iter().rev().try_for_each(|level| sync(parent(level)))
}

/// The directory that a path is in; a bare name is in the current one.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

fn list_directory(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        // No file of ours has a name that is not UTF-8.
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn new_file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}
