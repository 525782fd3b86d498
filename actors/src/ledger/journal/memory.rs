//! A storage in memory that can crash, for tests and simulations.

use std::collections::BTreeMap;
use std::io;
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
        file.lock().bytes = bytes;
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
    bytes: Vec<u8>,
    /// What to put back to return to what was last synced, the newest change last.
    undo: Vec<Undo>,
}

#[derive(Debug)]
struct Undo {
    offset: usize,
    bytes: Vec<u8>,
    len: usize,
}

impl Content {
    /// Notes what is about to change: the bytes from `offset` to `end`, and the length.
    fn remember(&mut self, offset: usize, end: usize) {
        let len = self.bytes.len();
        let bytes = self.bytes[offset.min(len)..end.min(len)].to_vec();
        self.undo.push(Undo { offset, bytes, len });
    }

    fn crash(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let written = self.bytes.clone();
        while let Some(undo) = self.undo.pop() {
            self.bytes.resize(undo.len, 0);
            if let Some(place) = self.bytes.get_mut(undo.offset..undo.offset + undo.bytes.len()) {
                place.copy_from_slice(&undo.bytes);
            }
        }
        for (sector, new) in written.chunks(SECTOR_BYTES).enumerate() {
            let start = sector * SECTOR_BYTES;
            let end = start + new.len();
            if self.bytes.get(start..end) == Some(new) || !keep(sector) {
                continue;
            }
            if self.bytes.len() < end {
                self.bytes.resize(end, 0);
            }
            self.bytes[start..end].copy_from_slice(new);
        }
    }
}

impl StorageFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = to_usize(len)?;
        let mut content = self.lock();
        let end = content.bytes.len();
        content.remember(len.min(end), end);
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
        content.remember(offset, end);
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lock().undo.clear();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn to_usize(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
