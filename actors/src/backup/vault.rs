//! A directory of copies and its manifest.

use std::io;

use sha2::{Digest as _, Sha256};
use wire::batch::Hash;
use wire::{BatchNumber, PublicKey};

use super::error::BackupError;
use super::manifest::{FileEntry, Kind, MANIFEST_BYTES_MAX, Manifest, ManifestFault};
use crate::ledger::journal::segment::parse_segment_name;
use crate::ledger::journal::snapshot::parse_snapshot_name;
use crate::ledger::journal::{IoFailure, Operation, Storage, StorageFile};

/// What is read or written of a file at once.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// A copy on its way; what a crash leaves of it is removed.
const TEMPORARY: &str = "copy.tmp";

/// A manifest on its way.
const TEMPORARY_MANIFEST: &str = "manifest.tmp";

/// The file that says that a process uses the directory.
const LOCK: &str = "lock";

/// A file that is open, and its length.
type OpenCopy = (Box<dyn StorageFile>, u64);

/// A directory of copies that is this process's alone.
pub(super) struct Vault<'s> {
    storage: &'s dyn Storage,
    pub(super) manifest: Manifest,
}

impl<'s> Vault<'s> {
    /// Opens it, or begins it in an empty directory, for the ledger of the server with this key. All
    /// copies must have at least the lengths that the manifest says; what they hold is not looked at.
    pub(super) fn open(
        storage: &'s dyn Storage,
        kind: Kind,
        server: PublicKey,
    ) -> Result<Self, BackupError> {
        let names = storage.list().map_err(IoFailure::of(Operation::List, ".")).map_err(target)?;
        if !names.iter().any(|name| name == kind.file()) {
            if let Some(file) = names.into_iter().find(|name| !is_own(name, kind)) {
                return Err(BackupError::Foreign { file, manifest: kind.file() });
            }
            let vault = Self { storage, manifest: Manifest::new(kind, server) };
            vault.save()?;
            return Ok(vault);
        }
        let vault = Self { storage, manifest: read_manifest(storage, kind)? };
        let of = vault.manifest.server;
        if of != server {
            return Err(BackupError::OtherServer { of, server });
        }
        vault.check_lengths()?;
        vault.remove_leftovers(&names)?;
        Ok(vault)
    }

    /// The first batches of the segments that are copied, in order.
    pub(super) fn segments(&self) -> impl DoubleEndedIterator<Item = BatchNumber> {
        self.manifest.files.keys().filter_map(|name| parse_segment_name(name))
    }

    /// The file that a copy has in the manifest.
    pub(super) fn entry(&self, name: &str) -> Option<&FileEntry> {
        self.manifest.files.get(name)
    }

    /// Whether a copy is exactly as long as the manifest says.
    pub(super) fn is_exact(&self, name: &str) -> Result<bool, BackupError> {
        let len = self.open_copy(name)?.map(|(_, len)| len);
        Ok(self.entry(name).is_some_and(|entry| len == Some(entry.bytes)))
    }

    /// Reads copies back and compares them with the manifest: those that may change, and of the others
    /// some `bytes`, which are the next ones in turn. Returns how many bytes were read.
    pub(super) fn recheck(&mut self, bytes: u64) -> Result<u64, BackupError> {
        let files = self.manifest.files.iter().map(|(name, entry)| (name.clone(), *entry));
        let newest = self.manifest.files.keys().rfind(|name| parse_segment_name(name).is_some());
        let newest = newest.cloned();
        let (mut settled, changing): (Vec<_>, Vec<_>) = files.partition(|(name, _)| {
            parse_segment_name(name).is_some() && Some(name) != newest.as_ref()
        });
        let turn = settled.partition_point(|(name, _)| *name < self.manifest.next);
        settled.rotate_left(turn);
        let mut read = 0;
        for (name, entry) in &changing {
            read += self.recheck_file(name, entry)?;
        }
        let mut settled_read = 0;
        for (name, entry) in settled {
            self.manifest.next = name;
            if settled_read >= bytes {
                return Ok(read + settled_read);
            }
            settled_read += self.recheck_file(&self.manifest.next, &entry)?;
        }
        self.manifest.next.clear();
        Ok(read + settled_read)
    }

    /// Compares a copy with its entry in the manifest.
    pub(super) fn recheck_file(&self, name: &str, entry: &FileEntry) -> Result<u64, BackupError> {
        let altered = || BackupError::Altered { file: name.to_owned() };
        let (file, len) = self.open_copy(name)?.ok_or_else(altered)?;
        if len < entry.bytes || hash_of(&*file, name, entry.bytes).map_err(target)? != entry.hash {
            return Err(altered());
        }
        Ok(entry.bytes)
    }

    /// Makes a copy of these bytes in the place of the one that has the name, if any: durably, and read
    /// back before. The manifest is not saved.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let file = self.begin()?;
        let mut offset = 0;
        for chunk in bytes.chunks(CHUNK_BYTES) {
            file.write_all_at(chunk, offset).map_err(failed(Operation::Write, name))?;
            offset += chunk.len() as u64;
        }
        drop(file);
        let hash = Sha256::digest(bytes).into();
        self.finish(name, FileEntry { bytes: bytes.len() as u64, hash })
    }

    /// The empty file that [`Vault::finish`] makes a copy of.
    pub(super) fn begin(&self) -> Result<Box<dyn StorageFile>, BackupError> {
        self.create(TEMPORARY)
    }

    /// Opens what was begun once more.
    pub(super) fn open_begun(&self) -> Result<Box<dyn StorageFile>, BackupError> {
        self.storage.open(TEMPORARY).map_err(failed(Operation::Open, TEMPORARY))
    }

    /// Makes what was begun a copy with this name, if it reads back as `entry` says.
    pub(super) fn finish(&mut self, name: &str, entry: FileEntry) -> Result<(), BackupError> {
        let file = self.open_begun()?;
        file.sync_all().map_err(failed(Operation::Sync, name))?;
        let len = file.len().map_err(failed(Operation::Read, name))?;
        let read_back = hash_of(&*file, name, entry.bytes.min(len)).map_err(target)?;
        if len != entry.bytes || read_back != entry.hash {
            return Err(BackupError::ReadBack { file: name.to_owned() });
        }
        drop(file);
        self.storage.rename(TEMPORARY, name).map_err(failed(Operation::Rename, name))?;
        self.storage.sync().map_err(failed(Operation::Sync, "."))?;
        self.manifest.files.insert(name.to_owned(), entry);
        Ok(())
    }

    /// The same for a file whose next state does not begin with the one before: a crash in between leaves
    /// one that the manifest does not name.
    pub(super) fn replace(&mut self, name: &str, entry: FileEntry) -> Result<(), BackupError> {
        if self.manifest.files.remove(name).is_some() {
            self.save()?;
        }
        self.finish(name, entry)?;
        self.save()
    }

    /// Forgets copies and removes them. The manifest is saved.
    pub(super) fn forget(&mut self, names: &[String]) -> Result<(), BackupError> {
        for name in names {
            self.manifest.files.remove(name);
        }
        self.save()?;
        names.iter().try_for_each(|name| self.remove_if_there(name))?;
        self.storage.sync().map_err(failed(Operation::Sync, "."))
    }

    /// Makes the manifest durable.
    pub(super) fn save(&self) -> Result<(), BackupError> {
        let name = self.manifest.kind.file();
        let file = self.create(TEMPORARY_MANIFEST)?;
        let text = self.manifest.to_text();
        file.write_all_at(text.as_bytes(), 0).map_err(failed(Operation::Write, name))?;
        file.sync_all().map_err(failed(Operation::Sync, name))?;
        drop(file);
        let renamed = self.storage.rename(TEMPORARY_MANIFEST, name);
        renamed.map_err(failed(Operation::Rename, name))?;
        self.storage.sync().map_err(failed(Operation::Sync, "."))
    }

    /// Checks that the directory holds no segment that the manifest does not name: it would be read as
    /// part of the journal.
    pub(super) fn check_nothing_else(&self) -> Result<(), BackupError> {
        let names = self.storage.list().map_err(failed(Operation::List, "."))?;
        let is_other = |name: &String| {
            parse_segment_name(name).is_some() && !self.manifest.files.contains_key(name)
        };
        match names.into_iter().find(is_other) {
            Some(file) => Err(BackupError::Altered { file }),
            None => Ok(()),
        }
    }

    fn check_lengths(&self) -> Result<(), BackupError> {
        for (name, entry) in &self.manifest.files {
            if self.open_copy(name)?.is_none_or(|(_, len)| len < entry.bytes) {
                return Err(BackupError::Altered { file: name.clone() });
            }
        }
        Ok(())
    }

    /// A crash may have come between a snapshot and the manifest.
    fn remove_leftovers(&self, names: &[String]) -> Result<(), BackupError> {
        let is_leftover = |name: &&String| {
            let listed = self.manifest.files.contains_key(*name);
            is_temporary(name) || (parse_snapshot_name(name).is_some() && !listed)
        };
        names.iter().filter(is_leftover).try_for_each(|name| self.remove_if_there(name))
    }

    /// A file and its length, if it is there.
    fn open_copy(&self, name: &str) -> Result<Option<OpenCopy>, BackupError> {
        match self.storage.open(name) {
            Ok(file) => {
                let len = file.len().map_err(failed(Operation::Read, name))?;
                Ok(Some((file, len)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(Operation::Open, name)(error)),
        }
    }

    fn create(&self, name: &str) -> Result<Box<dyn StorageFile>, BackupError> {
        self.remove_if_there(name)?;
        self.storage.create(name).map_err(failed(Operation::Create, name))
    }

    fn remove_if_there(&self, name: &str) -> Result<(), BackupError> {
        match self.storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(Operation::Remove, name)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a directory of copies of this kind may hold a file with this name before its manifest.
pub(super) fn is_own(name: &str, kind: Kind) -> bool {
    name == kind.file() || name == LOCK || is_temporary(name)
}

fn is_temporary(name: &str) -> bool {
    name == TEMPORARY || name == TEMPORARY_MANIFEST
}

/// The SHA-256 of the first `bytes` of a file.
pub(super) fn hash_of(file: &dyn StorageFile, name: &str, bytes: u64) -> Result<Hash, IoFailure> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    while offset < bytes {
        let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
        let part = &mut chunk[..left.min(CHUNK_BYTES)];
        file.read_exact_at(part, offset).map_err(IoFailure::of(Operation::Read, name))?;
        hash.update(&*part);
        offset += part.len() as u64;
    }
    Ok(hash.finalize().into())
}

pub(super) const fn target(failure: IoFailure) -> BackupError {
    BackupError::Target(failure)
}

pub(super) fn failed(operation: Operation, name: &str) -> impl FnOnce(io::Error) -> BackupError {
    move |error| target(IoFailure::of(operation, name)(error))
}

fn read_manifest(storage: &dyn Storage, kind: Kind) -> Result<Manifest, BackupError> {
    let name = kind.file();
    let file = storage.open(name).map_err(failed(Operation::Open, name))?;
    let len = file.len().map_err(failed(Operation::Read, name))?;
    let damaged = BackupError::Manifest { file: name, newer: false };
    let len = usize::try_from(len).ok().filter(|_| len <= MANIFEST_BYTES_MAX).ok_or(damaged)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(failed(Operation::Read, name))?;
    Manifest::parse(kind, &bytes).map_err(|fault| {
        let newer = fault == ManifestFault::Unknown;
        BackupError::Manifest { file: name, newer }
    })
}
