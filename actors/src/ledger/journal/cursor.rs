//! Reading a journal batch by batch, beside whoever appends to it: nothing is locked, nothing repaired.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::batch::BatchHeader;
use wire::{BatchNumber, EntryNumber};

use super::batch::batch_bytes;
use super::error::{Damage, IoFailure, OpenError, Operation, damaged};
use super::scan::{Fault, Found, batch_at};
use super::segment::{
    SEGMENT_HEADER_BYTES, SegmentHeader, checked_len, is_unmade, open, parse_segment_name, read,
    segment_name,
};
use super::storage::{Storage, StorageFile};
use super::stored::{BatchEntries, StoredBatch, read_header, read_whole};
use super::{Committed, SECTOR_BYTES};

/// Where a batch stands in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPosition {
    /// The first batch of the segment that it is in, which the segment's file is named after.
    pub segment: BatchNumber,
    /// Where it begins in that file, in bytes.
    pub offset: u64,
}

impl BatchPosition {
    /// The name of the file, in the data directory.
    pub fn file(&self) -> String {
        segment_name(self.segment)
    }
}

/// A place between two batches, from which reading can go on later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPlace {
    /// Where the next batch stands, unless it stands in the next segment.
    pub position: BatchPosition,
    /// The batch before it.
    pub last: Committed,
}

impl JournalPlace {
    /// In front of the first batch.
    pub const BEGIN: Self = Self {
        position: BatchPosition {
            segment: BatchNumber::new(1),
            offset: SEGMENT_HEADER_BYTES as u64,
        },
        last: Committed::NOTHING,
    };
}

/// What stands behind the batches that were read.
#[derive(Clone, Debug)]
pub enum Walked {
    /// A batch, which is intact and follows the one before.
    Batch(Box<StoredBatch>),
    /// Nothing: the journal ends here.
    End,
    /// The journal ends here, and behind its last batch stands the beginning of something that was not
    /// finished, or is being written.
    Unfinished(BatchPosition),
}

/// Reads the batches of a journal one after the other.
///
/// Each is checked as when the journal is opened: checksums, numbers, the hash of the header before,
/// time, Merkle root; an unsealed one is damage behind a sealed one. Neither the seals' signatures nor
/// the ledger's rules are looked at.
pub struct BatchCursor {
    storage: Arc<dyn Storage>,
    place: JournalPlace,
    /// A batch that was read is sealed, so all behind it must be.
    sealed: bool,
    segment: Option<OpenSegment>,
}

struct OpenSegment {
    first: BatchNumber,
    file: Box<dyn StorageFile>,
}

impl BatchCursor {
    /// Begins at this place: [`JournalPlace::BEGIN`], or where another one has stopped.
    pub const fn new(storage: Arc<dyn Storage>, place: JournalPlace) -> Self {
        Self { storage, place, sealed: false, segment: None }
    }

    /// The place behind what was read.
    pub const fn place(&self) -> &JournalPlace {
        &self.place
    }

    /// The next batch, if its entries are in front of `durable`, the number of the entry behind the last
    /// one that is known to be on disk. Nothing behind that is looked at: it may be half written.
    ///
    /// # Errors
    /// [`OpenError`], also if there are fewer batches than are said to be durable. The cursor stays
    /// where it is.
    pub fn next(&mut self, durable: EntryNumber) -> Result<Option<BatchEntries>, OpenError> {
        if self.place.last.next_entry >= durable {
            return Ok(None);
        }
        match self.step(BatchEntries::new)? {
            Step::Batch(batch) => Ok(Some(batch)),
            Step::End | Step::Unfinished(_) => {
                let missing = self.place.last.next_batch();
                let file = self.place.position.file();
                Err(OpenError::BatchesMissing { file, first: missing, last: missing })
            }
        }
    }

    /// Goes past the next batch, if its entries are in front of `durable`, and looks at its header alone.
    /// Returns where it stands.
    ///
    /// # Errors
    /// Like [`BatchCursor::next`].
    pub fn skip(&mut self, durable: EntryNumber) -> Result<Option<BatchPosition>, OpenError> {
        if self.place.last.next_entry >= durable {
            return Ok(None);
        }
        let place = self.place;
        if let Some(header) = self.peek(&place)? {
            self.accept(&place, header, &[], |_, _, _| Ok(()))?;
            return Ok(Some(place.position));
        }
        // It may stand in the next segment.
        Ok(self.next(durable)?.map(|batch| batch.position))
    }

    /// The next batch, or what stands in its place. A journal that is being appended to may end with
    /// something unfinished at any time.
    ///
    /// # Errors
    /// [`OpenError`]. The cursor stays where it is.
    pub fn walk(&mut self) -> Result<Walked, OpenError> {
        Ok(match self.step(StoredBatch::new)? {
            Step::Batch(batch) => Walked::Batch(Box::new(batch)),
            Step::End => Walked::End,
            Step::Unfinished(position) => Walked::Unfinished(position),
        })
    }

    /// Goes past the next batch and makes of it what `read` does.
    fn step<T>(
        &mut self,
        read: impl Fn(BatchPosition, BatchHeader, &[u8]) -> Result<T, Damage>,
    ) -> Result<Step<T>, OpenError> {
        let mut place = self.place;
        // Each turn goes on to the next segment, of which there are finitely many.
        loop {
            if !self.open_segment(&place)? {
                return self.end(&place, Step::End);
            }
            match self.look(&place)? {
                Look::Batch(header, bytes) => {
                    return Ok(Step::Batch(self.accept(&place, header, &bytes, read)?));
                }
                Look::Unfinished => return self.end(&place, Step::Unfinished(place.position)),
                Look::Nothing if place.last.next_batch() == place.position.segment => {
                    return self.end(&place, Step::End);
                }
                Look::Nothing => {
                    place.position = BatchPosition {
                        segment: place.last.next_batch(),
                        ..JournalPlace::BEGIN.position
                    };
                }
            }
        }
    }

    /// Opens the segment of the place, if it is not open. Says whether it is there.
    fn open_segment(&mut self, place: &JournalPlace) -> Result<bool, OpenError> {
        let first = place.position.segment;
        if self.segment.as_ref().is_some_and(|segment| segment.first == first) {
            return Ok(true);
        }
        let name = segment_name(first);
        let begins_here = place.last.next_batch() == first;
        let names = self.storage.list().map_err(IoFailure::of(Operation::List, "."))?;
        if !names.contains(&name) {
            let missing = OpenError::missing(first, place.last.batch);
            return if begins_here { Ok(false) } else { Err(missing) };
        }
        let (file, len) = open(&*self.storage, &name)?;
        if begins_here && is_unmade(&*file, first, len)? {
            return Ok(false);
        }
        let mut header = vec![0; SEGMENT_HEADER_BYTES.min(checked_len(&name, first, len)?)];
        read(&*file, &name, &mut header)?;
        let header = SegmentHeader::of_segment(first, &header)?;
        if begins_here && header.previous_head != place.last.head {
            return Err(damaged(&name, 0, first, Damage::SegmentChain));
        }
        self.segment = Some(OpenSegment { first, file });
        Ok(true)
    }

    /// The header at this place, if a whole batch stands there, in the segment of the place.
    fn peek(&mut self, place: &JournalPlace) -> Result<Option<BatchHeader>, OpenError> {
        if !self.open_segment(place)? {
            return Ok(None);
        }
        let OpenSegment { file, .. } = self.segment.as_ref().expect("it was opened just now");
        let name = place.position.file();
        let len = file.len().map_err(IoFailure::of(Operation::Read, &name))?;
        read_header(&**file, len, place.position)
    }

    fn look(&self, place: &JournalPlace) -> Result<Look, OpenError> {
        let OpenSegment { file, .. } = self.segment.as_ref().expect("the caller has opened it");
        let (position, next) = (place.position, place.last.next_batch());
        let name = position.file();
        let len = file.len().map_err(IoFailure::of(Operation::Read, &name))?;
        if position.offset > len {
            return Err(OpenError::missing(position.segment, place.last.batch));
        }
        if let Some((header, bytes)) = read_whole(&**file, len, position)? {
            return Ok(Look::Batch(header, bytes));
        }
        // From the beginning of the sector, so that sectors are where they are in the file.
        let start = position.offset / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
        let at = checked_len(&name, next, position.offset - start)?;
        let mut rest = vec![0; checked_len(&name, next, len - start)?];
        file.read_exact_at(&mut rest, start).map_err(IoFailure::of(Operation::Read, &name))?;
        // Whose the journal is, is not known here: what has no seal, where others have one, is not it.
        match batch_at(&rest, at, |later| later.seal.is_some() || !self.sealed) {
            // It was being written a moment ago.
            Ok(Found::Batch { header, entries, .. }) => Ok(Look::Batch(header, entries.to_vec())),
            Ok(Found::End) => Ok(Look::Nothing),
            Ok(Found::Torn { .. }) => Ok(Look::Unfinished),
            Err(Fault::Damaged(what)) => Err(damaged(&name, position.offset, next, what)),
            Err(Fault::Newer(what)) => {
                Err(OpenError::Newer { file: name, offset: position.offset, what })
            }
        }
    }

    fn accept<T>(
        &mut self,
        place: &JournalPlace,
        header: BatchHeader,
        bytes: &[u8],
        read: impl Fn(BatchPosition, BatchHeader, &[u8]) -> Result<T, Damage>,
    ) -> Result<T, OpenError> {
        let position = place.position;
        let fail = |what| damaged(&position.file(), position.offset, place.last.next_batch(), what);
        place.last.check_next(&header, true).map_err(fail)?;
        if self.sealed && header.seal.is_none() {
            return Err(fail(Damage::SealMissing));
        }
        let sealed = header.seal.is_some();
        let behind = JournalPlace {
            position: BatchPosition {
                offset: position.offset + batch_bytes(&header) as u64,
                ..position
            },
            last: Committed::behind(&header),
        };
        let batch = read(position, header, bytes).map_err(fail)?;
        self.sealed |= sealed;
        self.place = behind;
        Ok(batch)
    }

    /// The journal ends at this place, unless a segment follows.
    fn end<T>(&self, place: &JournalPlace, end: Step<T>) -> Result<Step<T>, OpenError> {
        let names = self.storage.list().map_err(IoFailure::of(Operation::List, "."))?;
        let later = names.iter().filter_map(|name| parse_segment_name(name));
        let Some(later) = later.filter(|first| *first > place.position.segment).min() else {
            return Ok(end);
        };
        let next = place.last.next_batch();
        match end {
            Step::Unfinished(BatchPosition { offset, .. }) => {
                let what = Damage::BatchIncomplete;
                Err(damaged(&place.position.file(), offset, next, what))
            }
            _ => Err(OpenError::missing(next, BatchNumber::new(later.get() - 1))),
        }
    }
}

/// [`Walked`], with the batch as whoever asks wants it.
enum Step<T> {
    Batch(T),
    End,
    Unfinished(BatchPosition),
}

enum Look {
    Batch(BatchHeader, Vec<u8>),
    Nothing,
    Unfinished,
}
