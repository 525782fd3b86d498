//! The next segment, made while the present one is being filled, so that no commit waits for it.
//!
//! To fill a file with zeros takes as long as some hundred commits, and while a file grows, each sync of
//! it has its metadata to write, too. So the zeros go to another file, bit by bit, on a thread of its own;
//! what is left for the moment when it is needed are a header and a name.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::SECTOR_BYTES;
use super::error::{IoFailure, Operation};
use super::segment::{SEGMENT_HEADER_BYTES, Segment, SegmentHeader, segment_name};
use super::storage::{Storage, StorageFile};
use crate::ledger::background::{Background, Task};

/// What the next segment is called before it is one. Left behind by a crash, it is removed.
pub(super) const SPARE_NAME: &str = "journal-next.tmp";

/// How many zeros are written and synced at once: what a disk takes in the time of a few commits, which
/// may have to wait for it.
const CHUNK_BYTES: u64 = 256 << 10;

/// How long the disk is left to the commits in between. 64 MiB take a second then, which is half the time
/// in which a million payments a second fill as much.
const PAUSE: Duration = Duration::from_millis(2);

/// A file of zeros that becomes the next segment, or is being made. Dropped, it is removed.
pub(super) struct Spare {
    storage: Arc<dyn Storage>,
    /// How long it is to be.
    len: u64,
    /// Makes it; `None` if the system could not start a thread, or it was given up.
    thread: Option<Box<dyn Task>>,
    /// Says that it is whole and durable.
    is_made: Arc<AtomicBool>,
    /// Tells the thread that nobody wants it any more.
    unwanted: Arc<AtomicBool>,
}

impl Spare {
    /// Begins to make a file of this length, rounded up to sectors.
    pub(super) fn begin(
        storage: &Arc<dyn Storage>,
        len: u64,
        background: &Arc<dyn Background>,
    ) -> Self {
        let len = len.next_multiple_of(SECTOR_BYTES as u64);
        let storage = Arc::clone(storage);
        let (is_made, unwanted) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let make = {
            let (storage, is_made) = (Arc::clone(&storage), Arc::clone(&is_made));
            let (unwanted, background) = (Arc::clone(&unwanted), Arc::clone(background));
            move || {
                let pause = || background.pause(PAUSE);
                make(&*storage, len, pause, &is_made, &unwanted);
            }
        };
        let thread = background.start("mite-segment", Box::new(make)).ok();
        Self { storage, len, thread, is_made, unwanted }
    }

    /// Whether it is there, and takes a first batch of so many bytes.
    pub(super) fn has_room(&self, batch_bytes: u64) -> bool {
        self.is_made.load(Ordering::Acquire)
            && SEGMENT_HEADER_BYTES as u64 + batch_bytes <= self.len
    }

    /// Whether it can no longer be made. Then it takes no room on the disk.
    pub(super) fn has_failed(&self) -> bool {
        // In this order: the thread ends behind what it says.
        let has_ended = self.thread.as_ref().is_none_or(|thread| thread.is_finished());
        has_ended && !self.is_made.load(Ordering::Acquire)
    }

    /// Gives back the room that it takes on the disk: it has failed then. Says whether there was any.
    pub(super) fn give_up(&mut self) -> bool {
        self.unwanted.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return false };
        thread.join();
        self.is_made.store(false, Ordering::Release);
        // It may not even be there. What stays, opening the journal removes.
        let _ = self.storage.remove(SPARE_NAME);
        true
    }

    /// Makes it the segment with this header, durably. `None` if it could not be made: whoever makes the
    /// segment in another way learns why. If the disk fails, it leaves none behind, where that lets it.
    ///
    /// # Errors
    /// [`IoFailure`] if the disk fails now.
    pub(super) fn into_segment(
        mut self,
        header: &SegmentHeader,
    ) -> Result<Option<Segment>, IoFailure> {
        if !self.is_made.load(Ordering::Acquire) {
            return Ok(None);
        }
        // It has nothing more to do, and what it has made is not to be removed.
        self.thread = None;
        let name = segment_name(header.first);
        let storage = &*self.storage;
        // Without its header, a segment of zeros is one that was being made.
        storage.rename(SPARE_NAME, &name).map_err(IoFailure::of(Operation::Rename, SPARE_NAME))?;
        match begin_segment(storage, &name, header) {
            Ok(file) => {
                let used = SEGMENT_HEADER_BYTES as u64;
                Ok(Some(Segment { name, file, used, allocated: self.len }))
            }
            Err(error) => {
                // Whoever tries again makes another file, and it has the same name.
                let _ = storage.remove(&name);
                Err(error)
            }
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Writes the header of a segment whose zeros are there, durably.
fn begin_segment(
    storage: &dyn Storage,
    name: &str,
    header: &SegmentHeader,
) -> Result<Box<dyn StorageFile>, IoFailure> {
    let file = storage.open(name).map_err(IoFailure::of(Operation::Open, name))?;
    file.write_all_at(&header.encode(), 0).map_err(IoFailure::of(Operation::Write, name))?;
    file.sync_all().map_err(IoFailure::of(Operation::Sync, name))?;
    storage.sync().map_err(IoFailure::of(Operation::Sync, "."))?;
    Ok(file)
}

/// Makes the file, or leaves none: the room that a failed one took is for the segment that there is.
fn make(
    storage: &dyn Storage,
    len: u64,
    pause: impl Fn(),
    is_made: &AtomicBool,
    unwanted: &AtomicBool,
) {
    // A crash may have left one behind.
    let _ = storage.remove(SPARE_NAME);
    match write_zeros(storage, len, pause, unwanted) {
        Ok(whole) => is_made.store(whole, Ordering::Release),
        Err(_) => {
            let _ = storage.remove(SPARE_NAME);
        }
    }
}

/// Whether the file is whole and durable; it is not if nobody wants it any more.
fn write_zeros(
    storage: &dyn Storage,
    len: u64,
    pause: impl Fn(),
    unwanted: &AtomicBool,
) -> io::Result<bool> {
    let file = storage.create(SPARE_NAME)?;
    let zeros = vec![0; usize::try_from(CHUNK_BYTES).expect("a quarter of a mebibyte")];
    let mut made = 0;
    while made < len {
        if unwanted.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let chunk = usize::try_from(CHUNK_BYTES.min(len - made)).expect("a chunk at most");
        file.write_all_at(&zeros[..chunk], made)?;
        file.sync_all()?;
        made += CHUNK_BYTES;
        pause();
    }
    Ok(true)
}
