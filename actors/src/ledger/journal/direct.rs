//! Appending to a file past the page cache.
//!
//! A write and an `fdatasync` go through the system's cache of pages: it copies the bytes into whole
//! pages, marks them, looks for what is marked, and writes that. A file opened with `O_DIRECT` and
//! `O_DSYNC` takes the sectors from memory and returns when they are durable, as after `fdatasync`, in one
//! call, a quarter sooner and with half of the processor's time.
//!
//! Such a file takes whole sectors only. So the sector that the last append ended in is written again
//! with what follows, as the cache does with the whole page, and what is behind the end stays zero.
//!
//! What `O_DSYNC` means past the cache is the file system's word, and not all keep it: some serve the write from
//! a cache of their own, and some are another machine's. So only those are believed that are known to keep it.
//!
//! Disks with larger sectors, and systems that want memory to begin elsewhere, refuse. Some say so before;
//! others refuse the first write that does not suit them, which may come after many that did. Then
//! that one is made again through the cache, and so are all behind it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, StatxFlags, fstatfs, statx};

use super::SECTOR_BYTES;

/// The numbers of the file systems whose writes with `O_DIRECT` and `O_DSYNC` are durable when they return, as
/// `statfs(2)` gives them: ext4 (and ext2 and ext3, which it mounts), XFS, Btrfs.
const HONEST_FILE_SYSTEMS: [u64; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];

/// How a file is appended to, whose end stands in zeros.
#[derive(Debug)]
pub(super) enum Appending<F = File> {
    /// Past the page cache.
    Direct(DirectAppender<F>),
    /// Through it, where the file system or the disk want it so.
    Cached,
}

impl Appending {
    /// The best way for the file at this path.
    pub(super) fn to(path: &Path) -> Self {
        DirectAppender::open(path).map_or(Self::Cached, Self::Direct)
    }
}

impl<F: FileExt> Appending<F> {
    /// Writes `bytes` at `offset`, where only zeros stand, durably. `through_cache` is the same file.
    ///
    /// # Errors
    /// What the system says; any part of it may be written.
    pub(super) fn append(
        &mut self,
        through_cache: &File,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<()> {
        if let Self::Direct(direct) = self {
            match direct.append(through_cache, bytes, offset)? {
                Taken::Durably => return Ok(()),
                Taken::NotAsItIs => *self = Self::Cached,
            }
        }
        // Also over what a refused append may have written: it is all written again, and synced.
        through_cache.write_all_at(bytes, offset)?;
        through_cache.sync_data()
    }
}

/// What became of an append.
enum Taken {
    Durably,
    /// The system takes memory and sectors not as they are. Any part of it may be written.
    NotAsItIs,
}

/// Appends to one file past the page cache.
#[derive(Debug)]
pub(super) struct DirectAppender<F> {
    file: F,
    memory: SectorMemory,
    /// Where the last append ended; `None` before the first.
    end: Option<u64>,
}

impl DirectAppender<File> {
    /// Opens the file once more, for appending.
    ///
    /// # Errors
    /// What the system says, above all that the file system of this directory cannot do it;
    /// [`io::ErrorKind::Unsupported`] if it wants larger sectors, or is not known to keep its word.
    fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        let is_honest = HONEST_FILE_SYSTEMS.contains(&file_system_of(&file)?);
        if !is_honest || Alignment::of(&file).is_some_and(|alignment| !alignment.is_met()) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self::new(file))
    }
}

impl<F: FileExt> DirectAppender<F> {
    fn new(file: F) -> Self {
        Self { file, memory: SectorMemory::default(), end: None }
    }

    fn append(&mut self, through_cache: &File, bytes: &[u8], offset: u64) -> io::Result<Taken> {
        let sector_bytes = SECTOR_BYTES as u64;
        let first_sector = offset / sector_bytes * sector_bytes;
        let head = sector_part(offset);
        let memory = self.memory.with_room_for(head + bytes.len());
        if self.end != Some(offset) {
            through_cache.read_exact_at(&mut memory[..head], first_sector)?;
        }
        let end = head + bytes.len();
        memory[head..end].copy_from_slice(bytes);
        let whole = end.next_multiple_of(SECTOR_BYTES);
        memory[end..whole].fill(0);
        match self.file.write_all_at(&memory[..whole], first_sector) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Ok(Taken::NotAsItIs);
            }
            written => written?,
        }
        // The next append begins with what this one's last sector holds.
        let last_sector = end / SECTOR_BYTES * SECTOR_BYTES;
        memory.copy_within(last_sector..end, 0);
        self.end = Some(offset + bytes.len() as u64);
        Ok(Taken::Durably)
    }
}

/// What memory and offsets past the page cache must be multiples of, in bytes; 0 if it cannot be passed.
#[derive(Clone, Copy, Debug)]
struct Alignment {
    memory: u32,
    offset: u32,
}

impl Alignment {
    /// That of a file; `None` if the system does not tell, as before Linux 6.1.
    fn of(file: &File) -> Option<Self> {
        let status = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
        let told = status.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
        told.then_some(Self {
            memory: status.stx_dio_mem_align,
            offset: status.stx_dio_offset_align,
        })
    }

    /// Whether sectors, in memory that begins at a multiple of one, are taken.
    fn is_met(self) -> bool {
        let divides = |alignment| alignment != 0 && (SECTOR_BYTES as u64).is_multiple_of(alignment);
        divides(self.memory.into()) && divides(self.offset.into())
    }
}

/// Which kind of file system a file is on, as `statfs(2)` numbers them.
fn file_system_of(file: &File) -> io::Result<u64> {
    // Systems give the 32 bits with or without a sign.
    Ok(fstatfs(file)?.f_type.cast_unsigned() & u64::from(u32::MAX))
}

/// How far into its sector an offset is.
fn sector_part(offset: u64) -> usize {
    usize::try_from(offset % SECTOR_BYTES as u64).expect("less than a sector")
}

/// Memory that begins at a multiple of a sector, as the system wants it.
#[derive(Debug, Default)]
struct SectorMemory {
    bytes: Vec<u8>,
    begin: usize,
}

impl SectorMemory {
    /// Whole sectors for so many bytes. The first one holds what it held.
    fn with_room_for(&mut self, len: usize) -> &mut [u8] {
        let whole = len.next_multiple_of(SECTOR_BYTES);
        if self.bytes.len() < self.begin + whole {
            // A sector more than is needed, so that somewhere in front of it one begins.
            let mut larger = vec![0; whole.next_power_of_two() + SECTOR_BYTES];
            let begin = larger.as_ptr().align_offset(SECTOR_BYTES);
            if let Some(kept) = self.bytes.get(self.begin..self.begin + SECTOR_BYTES) {
                larger[begin..begin + SECTOR_BYTES].copy_from_slice(kept);
            }
            *self = Self { bytes: larger, begin };
        }
        &mut self.bytes[self.begin..self.begin + whole]
    }
}

#[cfg(test)]
mod tests;
