//! Appending to a file past the page cache.
//!
//! A write and an `fdatasync` go through the system's cache of pages: it copies the bytes into whole
//! pages, marks them, looks for what is marked, and writes that. A file opened with `O_DIRECT` and
//! `O_DSYNC` takes the sectors from memory and returns when they are durable, as after `fdatasync`, in one
//! call, a quarter sooner and with half of the processor's time.
//!
//! Such a file takes whole sectors only. So the sector that the last append ended in is written again
//! with what follows, as the cache does with the whole page, and what is behind the end stays zero.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::SECTOR_BYTES;

/// Appends to one file, whose end stands in zeros.
#[derive(Debug)]
pub(super) struct DirectAppender {
    file: File,
    memory: SectorMemory,
    /// Where the last append ended; `None` before the first.
    end: Option<u64>,
}

impl DirectAppender {
    /// Opens the file once more, for appending.
    ///
    /// # Errors
    /// What the system says, above all that the file system of this directory cannot do it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        Ok(Self { file, memory: SectorMemory::default(), end: None })
    }

    /// Whether nothing was appended yet.
    pub(super) const fn is_new(&self) -> bool {
        self.end.is_none()
    }

    /// Writes `bytes` at `offset`, where only zeros stand, durably. `through_cache` is the same file, to
    /// read what the first sector begins with.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidInput`] if it does not take memory and sectors as
    /// they are, and then nothing is written.
    pub(super) fn append(
        &mut self,
        through_cache: &File,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<()> {
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
        self.file.write_all_at(&memory[..whole], first_sector)?;
        // The next append begins with what this one's last sector holds.
        let last_sector = end / SECTOR_BYTES * SECTOR_BYTES;
        memory.copy_within(last_sector..end, 0);
        self.end = Some(offset + bytes.len() as u64);
        Ok(())
    }
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
