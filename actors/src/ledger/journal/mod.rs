//! The journal: every entry of the ledger, for ever, in the order in which it happened.
//!
//! Batches of entries are appended to segment files, each with one write, one sync and one signature; opening reads
//! them again, checks them and rebuilds the state. `docs/JOURNAL.md` gives every byte and the rules.
//!
//! | module | holds |
//! |---|---|
//! | [`storage`] | [`Storage`]: a directory, on disk ([`DiskStorage`], [`ReadOnlyDirectory`]) |
//! | `archived` | [`WithArchived`]: a directory, and the segments that were moved out of it |
//! | [`memory`] | [`MemoryStorage`]: a directory in memory that can crash |
//! | [`batch`] | [`Batch`]: the entries of one commit, and its header |
//! | `direct` | appends past the page cache |
//! | `segment` | the files that hold batches |
//! | `spare` | the next segment, made ahead |
//! | `scan` | tells a batch, a torn write and damage from each other |
//! | `recovery` | opening: checks everything and repairs what a crash left |
//! | `roots` | checks Merkle roots beside the replay |
//! | [`cursor`] | [`BatchCursor`]: reads batches, beside whoever appends |
//! | `checked` | whole segments, checked without a state |
//! | [`headers`] | reads the batches' headers alone, for measurements |
//! | [`stored`] | [`StoredBatch`], [`BatchEntries`]: batches as they are read |
//! | [`snapshot`] | [`Snapshot`]: the whole state at a batch |
//! | [`writer`] | [`JournalWriter`]: the journal on a thread of its own |
//! | [`error`] | what can go wrong, and whose fault it is |

mod archived;
pub mod batch;
mod bytes;
pub(crate) mod checked;
pub mod cursor;
mod direct;
pub mod error;
#[cfg(test)]
pub(crate) mod faulty;
pub mod headers;
pub mod memory;
mod recovery;
mod roots;
mod scan;
pub(crate) mod segment;
pub mod snapshot;
mod spare;
pub mod storage;
pub mod stored;
pub mod writer;

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slog::Logger;
use wire::batch::{BatchHeader, Hash};
use wire::merkle::MerkleTree;
use wire::{BatchNumber, Entry, EntryNumber, PublicKey, Receipt, Timestamp};

pub use archived::WithArchived;
pub use batch::{BATCH_BYTES_MAX, Batch};
pub use cursor::{BatchCursor, BatchPosition, JournalPlace, Walked};
pub use error::{Damage, DataDirError, IoFailure, JournalError, Newer, OpenError, Operation};
pub use headers::read_headers;
pub use memory::MemoryStorage;
pub use recovery::read_state;
pub use snapshot::{Captured, Snapshot};
pub use storage::{DiskStorage, ReadOnlyDirectory, Storage, StorageFile};
pub use stored::{BatchEntries, StoredBatch, read_batch};
pub use writer::{BATCHES_UNDER_WAY_MAX, JournalTurns, JournalWriter, Report, Turned};

use self::batch::BatchPlace;
use self::bytes::NO_HASH;
use self::recovery::Recovered;
use self::segment::{Segment, SegmentHeader, parse_segment_name};
use self::spare::Spare;
use crate::ledger::background::{Background, Threads};
use crate::ledger::state::State;
use crate::messages::Signer;

/// What a disk writes wholly or not at all: 512 bytes, even on disks with larger sectors.
const SECTOR_BYTES: usize = 512;

/// How long a segment must be before the next one is made ahead, which takes twice as much room again: a
/// journal that never comes so far has one file and grows it as it needs.
const SPARE_BEHIND_BYTES: u64 = 256 << 10;

/// The largest segment that options may ask for. Opening reads a segment into memory at once.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// A segment that holds as many bytes gets no more batches. At most [`SEGMENT_BYTES_MAX`] counts.
    pub segment_bytes: u64,
}

impl Default for JournalOptions {
    /// Segments of 64 MiB: nearly two million text payments, replayed in less than a second.
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

/// A batch that is durable, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its number; 0 if there is none yet.
    pub batch: BatchNumber,
    /// SHA-256 of its header, to which the next one chains; zeros if there is none yet.
    pub head: Hash,
    /// The number of the entry behind its last one.
    pub next_entry: EntryNumber,
    /// When it was written, by a clock that never goes back.
    pub time: Timestamp,
}

impl Committed {
    /// The place before the first batch.
    pub(crate) const NOTHING: Self = Self {
        batch: BatchNumber::new(0),
        head: NO_HASH,
        next_entry: EntryNumber::new(0),
        time: Timestamp::new(0),
    };

    /// The place behind the batch with this header.
    fn behind(header: &BatchHeader) -> Self {
        Self {
            batch: header.batch,
            head: header.head(),
            next_entry: header.next_entry(),
            time: header.time,
        }
    }

    pub(crate) const fn next_batch(&self) -> BatchNumber {
        BatchNumber::new(self.batch.get() + 1)
    }

    /// Checks that the batch with this header comes next. Its first entry is looked at only if it is
    /// known which one that must be.
    fn check_next(&self, header: &BatchHeader, entry_known: bool) -> Result<(), Damage> {
        if header.batch != self.next_batch() {
            return Err(Damage::WrongBatchNumber(header.batch));
        }
        if header.previous_head != self.head {
            return Err(Damage::WrongPreviousHead);
        }
        if entry_known && header.first_entry != self.next_entry {
            let (expected, found) = (self.next_entry, header.first_entry);
            return Err(Damage::WrongEntryNumber { expected, found });
        }
        if header.time < self.time {
            return Err(Damage::TimeGoesBack);
        }
        Ok(())
    }
}

/// A batch that was appended, and what receipts for its entries are made of.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    /// What follows from it.
    pub committed: Committed,
    /// Its header, with the server's seal.
    pub header: BatchHeader,
    /// The Merkle tree over its entries.
    pub tree: MerkleTree,
}

impl SealedBatch {
    /// The receipt for the entry with this number; `None` if that is in another batch.
    pub fn receipt(&self, number: EntryNumber, entry: Entry) -> Option<Receipt> {
        let index = self.header.index_of(number)?;
        Some(Receipt::new(&self.header, index, self.tree.path(index)?, entry))
    }
}

/// An open journal: the one that appends to it.
pub struct Journal {
    storage: Arc<dyn Storage>,
    /// The key that seals each batch.
    server: Signer,
    segment_bytes: u64,
    last: Committed,
    /// The entry behind those of the snapshot that it was opened with.
    snapshot: EntryNumber,
    /// Where the next batch goes; `None` in an empty journal.
    segment: Option<Segment>,
    /// The one behind it, if it is being made.
    spare: Option<Spare>,
    background: Arc<dyn Background>,
    failed: bool,
}

impl Journal {
    /// Opens the journal in `storage`, or an empty one if there is none, and rebuilds the state: from
    /// the newest intact snapshot and the batches behind it, all of which are checked.
    ///
    /// What a crash leaves behind is repaired: a torn last batch, which nobody was told of unless the
    /// file was cut short since, is cut off; a segment or snapshot that was being made is removed. When this returns, everything that
    /// is in the state is durable.
    ///
    /// `server` seals what is appended, and must be the key that has sealed the last batch.
    ///
    /// # Errors
    /// [`OpenError`]. Unless the disk failed in the middle of the repairs, nothing was changed.
    pub fn open(
        storage: Arc<dyn Storage>,
        server: Signer,
        options: JournalOptions,
        log: &Logger,
    ) -> Result<(Self, State), OpenError> {
        let Recovered { last, segment, state, snapshot } =
            recovery::recover(&*storage, &server.public_key(), log)?;
        let segment_bytes = options.segment_bytes.min(SEGMENT_BYTES_MAX);
        let journal = Self {
            storage,
            server,
            segment_bytes,
            last,
            snapshot,
            segment,
            spare: None,
            background: Arc::new(Threads),
            failed: false,
        };
        Ok((journal, state))
    }

    /// Has what goes on beside it run there, and not on threads.
    #[must_use]
    pub fn with_background(self, background: Arc<dyn Background>) -> Self {
        Self { background, ..self }
    }

    /// Where what goes on beside it runs.
    pub fn background(&self) -> &Arc<dyn Background> {
        &self.background
    }

    /// Whether there is anything of a journal in `storage`. A server whose journal has begun must not
    /// get a new key.
    ///
    /// # Errors
    /// [`IoFailure`] if the directory cannot be read.
    pub fn has_begun(storage: &dyn Storage) -> Result<bool, IoFailure> {
        let names = storage.list().map_err(IoFailure::of(Operation::List, "."))?;
        let is_part = |name: &String| {
            parse_segment_name(name).is_some() || snapshot::parse_snapshot_name(name).is_some()
        };
        Ok(names.iter().any(is_part))
    }

    /// Whether `storage` holds no first segment, though there are others: the first ones were archived.
    ///
    /// # Errors
    /// [`IoFailure`] if the directory cannot be read.
    pub fn has_archived(storage: &dyn Storage) -> Result<bool, IoFailure> {
        let names = storage.list().map_err(IoFailure::of(Operation::List, "."))?;
        let first = names.iter().filter_map(|name| parse_segment_name(name)).min();
        Ok(first.is_some_and(|first| first > Committed::NOTHING.next_batch()))
    }

    /// The public half of the key that seals each batch.
    pub fn server(&self) -> PublicKey {
        self.server.public_key()
    }

    /// The last batch of the journal.
    pub const fn last(&self) -> &Committed {
        &self.last
    }

    /// The entry behind the last one of the snapshot that was loaded when it was opened; 0 if none was.
    pub const fn snapshot(&self) -> EntryNumber {
        self.snapshot
    }

    /// The directory that the journal is in.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Writes a batch behind the last one. It is durable when this returns, as of `now` or, if the
    /// clock has gone back, of the time of the batch before.
    ///
    /// # Errors
    /// [`JournalError::Full`] if there is no room for it. After any other [`JournalError`], the batch may
    /// or may not be durable, and the journal takes no other one: after a failed write or sync, nobody can
    /// say what the disk holds but by opening it again.
    pub fn append(
        &mut self,
        batch: &mut Batch,
        now: Timestamp,
    ) -> Result<SealedBatch, JournalError> {
        if batch.is_empty() {
            return Err(JournalError::EmptyBatch);
        }
        self.make_room(batch.written_bytes())?;
        // Failed until it has succeeded, so that neither `?` nor a panic can leave it usable.
        self.failed = true;
        let sealed = self.write(batch, now)?;
        self.last = sealed.committed;
        self.failed = false;
        self.prepare_next_segment();
        Ok(sealed)
    }

    /// Makes sure that a batch of so many bytes, header and all, finds room on the disk. May be tried again
    /// when the disk was full.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn make_room(&mut self, batch_bytes: u64) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        self.failed = true;
        let made = self.segment_for(batch_bytes);
        // Zeros that found no room are only missing. Of a sync or a renaming, nobody knows what it did.
        let may_try_again = |failure: &IoFailure| {
            is_full(failure) && matches!(failure.operation, Operation::Create | Operation::Write)
        };
        match made {
            Ok(_) => {}
            Err(failure) if may_try_again(&failure) => {
                self.failed = false;
                return Err(JournalError::Full(failure));
            }
            Err(failure) => return Err(failure.into()),
        }
        self.failed = false;
        Ok(())
    }

    /// There is room for it.
    fn write(&mut self, batch: &mut Batch, now: Timestamp) -> Result<SealedBatch, JournalError> {
        let place = BatchPlace {
            batch: self.last.next_batch(),
            first_entry: self.last.next_entry,
            time: now.max(self.last.time),
            previous_head: self.last.head,
        };
        let segment = self.segment.as_mut().expect("the caller has made room");
        let write = |bytes: &[u8]| segment.append(bytes);
        let (header, tree) = batch.write_sealed(&place, &self.server, write)?;
        Ok(SealedBatch { committed: Committed::behind(&header), header, tree })
    }

    /// The segment for a batch of so many bytes, with zeros for it. If there are none left, the next one
    /// begins, or it grows if that is not ready.
    fn segment_for(&mut self, batch_bytes: u64) -> Result<&mut Segment, IoFailure> {
        let spare_is_ready = self.spare.as_ref().is_some_and(|spare| spare.has_room(batch_bytes));
        let segment_bytes = self.segment_bytes;
        self.segment.take_if(|segment| {
            segment.is_full(segment_bytes)
                || (spare_is_ready && segment.has_batch() && !segment.has_room(batch_bytes))
        });
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.next_segment(spare_is_ready)?,
        };
        let made = self.with_room_of_spare(|| segment.make_room(batch_bytes, segment_bytes));
        // Also where there was no room: another one without a batch would have the same name.
        let segment = self.segment.insert(segment);
        made.map(|()| segment)
    }

    fn next_segment(&mut self, spare_is_ready: bool) -> Result<Segment, IoFailure> {
        let first = self.last.next_batch();
        let header = SegmentHeader { first, previous_head: self.last.head };
        // One that has failed is kept until now, so that no other one fails in the same way meanwhile.
        let spare = self.spare.take_if(|spare| spare_is_ready || spare.has_failed());
        if let Some(made) = spare.map(|spare| spare.into_segment(&header)).transpose()?.flatten() {
            return Ok(made);
        }
        let (storage, segment_bytes) = (Arc::clone(&self.storage), self.segment_bytes);
        self.with_room_of_spare(|| Segment::create(&*storage, &header, segment_bytes))
    }

    /// Takes room on the disk. If that is full, the next segment gives back its own, and it is tried once
    /// more: no batch is in what failed.
    fn with_room_of_spare<T>(
        &mut self,
        mut take: impl FnMut() -> Result<T, IoFailure>,
    ) -> Result<T, IoFailure> {
        let taken = take();
        let no_room = taken.as_ref().err().is_some_and(is_full);
        let given_back = no_room && self.spare.as_mut().is_some_and(Spare::give_up);
        if given_back { take() } else { taken }
    }

    fn prepare_next_segment(&mut self) {
        if let (Some(segment), None) = (&self.segment, &self.spare)
            && segment.allocated >= SPARE_BEHIND_BYTES
            && self.segment_bytes >= SPARE_BEHIND_BYTES
        {
            let len = self.segment_bytes.min(2 * segment.allocated);
            self.spare = Some(Spare::begin(&self.storage, len, &self.background));
        }
    }
}

/// Whether there is no room on the disk, or no more for this user.
fn is_full(failure: &IoFailure) -> bool {
    matches!(failure.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests;
