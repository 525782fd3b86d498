//! A storage that fails, for tests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{MemoryStorage, Storage, StorageFile};

/// How a [`Faulty`] storage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation does nothing and says so.
    Nothing,
    /// A write is done and fails all the same; a sync loses what it was to write.
    Done,
    /// The operation panics.
    Panic,
    /// The operation does nothing and says so, and so do all behind it.
    Forever,
}

/// A storage whose operation number `at` fails, counting those that change something, from 1.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: MemoryStorage,
    pub(crate) fault: Fault,
    left: Arc<AtomicUsize>,
}

impl Faulty {
    pub(crate) fn new(inner: MemoryStorage, fault: Fault, at: usize) -> Self {
        Self { inner, fault, left: Arc::new(AtomicUsize::new(at)) }
    }

    /// Another directory that fails with this one.
    pub(crate) fn beside(&self, inner: MemoryStorage) -> Self {
        Self { inner, fault: self.fault, left: Arc::clone(&self.left) }
    }

    fn step(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            1 if self.fault == Fault::Panic => panic!("the storage panics"),
            1 => {
                if self.fault == Fault::Forever {
                    self.left.store(1, Ordering::Relaxed);
                }
                Err(io::Error::other("the storage fails"))
            }
            // Counts down past zero, so that it fails once only.
            _ => Ok(()),
        }
    }

    fn file(&self, inner: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(FaultyFile { storage: self.clone(), inner })
    }
}

impl Storage for Faulty {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(self.inner.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.step()?;
        Ok(self.file(self.inner.create(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.step().and_then(|()| self.inner.remove(name))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step().and_then(|()| self.inner.rename(from, to))
    }
    fn sync(&self) -> io::Result<()> {
        self.step().and_then(|()| self.inner.sync())
    }
}

struct FaultyFile {
    storage: Faulty,
    inner: Box<dyn StorageFile>,
}

impl StorageFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.storage.step().and_then(|()| self.inner.set_len(len))
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(bytes, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let failed = self.storage.step();
        if failed.is_ok() || self.storage.fault == Fault::Done {
            self.inner.write_all_at(bytes, offset)?;
        }
        failed
    }
    fn sync_data(&self) -> io::Result<()> {
        let failed = self.storage.step();
        if failed.is_err() && self.storage.fault == Fault::Done {
            self.storage.inner.lose_unsynced();
        }
        failed.and_then(|()| self.inner.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}
