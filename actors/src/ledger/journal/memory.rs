//! A storage in memory that can crash, for tests and simulations.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::SECTOR_BYTES;
use super::storage::{Storage, StorageFile};

/// A directory in memory. Clones are handles of the same one.
///
/// It remembers what was synced, so that [`MemoryStorage::crash`] can take away the rest.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    directory: Arc<Mutex<Directory>>,
}

#[derive(Debug, Default)]
struct Directory {
    names: BTreeMap<String, MemoryFile>,
    durable_names: BTreeMap<String, MemoryFile>,
}

impl MemoryStorage {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The content of a file, if there is one.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().names.get(name).map(|file| file.lock().bytes.clone())
    }

    /// Makes a file hold exactly these bytes, durably.
    pub fn write(&self, name: &str, bytes: Vec<u8>) {
        let file = MemoryFile::default();
        *file.lock() = Content { durable: bytes.clone(), bytes, unsynced: Vec::new() };
        let mut directory = self.lock();
        directory.names.insert(name.to_owned(), file.clone());
        directory.durable_names.insert(name.to_owned(), file);
    }

    /// A directory of its own with the same files, all of them durable.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for (name, file) in &self.lock().names {
            copy.write(name, file.lock().bytes.clone());
        }
        copy
    }

    /// Cuts the power. What was synced stays. Of what was written since, each sector of a file stays
    /// or goes as `keep` says, which is given the file's name and the number of the sector; names
    /// that were not synced are as they were. Close all files before: open ones see the change.
    pub fn crash(&self, mut keep: impl FnMut(&str, usize) -> bool) {
        let mut directory = self.lock();
        directory.names = directory.durable_names.clone();
        for (name, file) in &directory.names {
            file.lock().crash(|sector| keep(name, sector));
        }
    }

    /// Does what a system may do when a sync fails: forgets what it has not written yet. It is still
    /// there to be read, until a crash, but syncing again does not make it durable.
    pub fn lose_unsynced(&self) {
        for file in self.lock().names.values() {
            file.lock().unsynced.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().expect("nothing panics while it holds the lock")
    }
}

impl Storage for MemoryStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = self.lock().names.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut directory = self.lock();
        if directory.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = MemoryFile::default();
        directory.names.insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut directory = self.lock();
        let file = directory.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        directory.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut directory = self.lock();
        directory.durable_names = directory.names.clone();
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
struct MemoryFile(Arc<Mutex<Content>>);

impl MemoryFile {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("nothing panics while it holds the lock")
    }
}

#[derive(Debug, Default)]
struct Content {
    /// What is read.
    bytes: Vec<u8>,
    /// What is left after a crash.
    durable: Vec<u8>,
    /// Where they may differ and the next sync makes them equal.
    unsynced: Vec<Range<usize>>,
}

impl Content {
    fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for range in self.unsynced.drain(..) {
            let end = range.end.min(self.bytes.len());
            let start = range.start.min(end);
            self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
        }
    }

    fn crash(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut kept = self.durable.clone();
        for range in self.unsynced.drain(..) {
            for sector in range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES) {
                let start = sector * SECTOR_BYTES;
                let end = (start + SECTOR_BYTES).min(self.bytes.len());
                if start < end && keep(sector) {
                    kept.resize(kept.len().max(end), 0);
                    kept[start..end].copy_from_slice(&self.bytes[start..end]);
                }
            }
        }
        self.bytes.clone_from(&kept);
        self.durable = kept;
    }
}

impl StorageFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = to_usize(len)?;
        let mut content = self.lock();
        let changed = content.bytes.len().min(len)..content.bytes.len().max(len);
        content.unsynced.push(changed);
        content.bytes.resize(len, 0);
        Ok(())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.lock();
        let offset = to_usize(offset)?;
        let found = offset.checked_add(bytes.len()).and_then(|end| content.bytes.get(offset..end));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = to_usize(offset)?;
        let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = self.lock();
        content.unsynced.push(offset..end);
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lock().sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn to_usize(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
