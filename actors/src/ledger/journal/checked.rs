//! Whole segments as they lie in memory, checked without a state: for copies.

use wire::BatchNumber;
use wire::batch::BatchHeader;

use super::Committed;
use super::cursor::BatchPosition;
use super::error::{Damage, IoFailure, OpenError, Operation, damaged};
use super::scan::{Fault, Found, batch_at};
use super::segment::{
    SEGMENT_HEADER_BYTES, SegmentHeader, checked_len, is_unmade, open, parse_segment_name,
    segment_name,
};
use super::storage::{Storage, StorageFile};

/// The first batches of all segments in `storage` that are begun, in order. One that is being made, or
/// was when everything stopped, is none yet.
pub(crate) fn list_segments(storage: &dyn Storage) -> Result<Vec<BatchNumber>, OpenError> {
    let names = storage.list().map_err(IoFailure::of(Operation::List, "."))?;
    let mut segments: Vec<_> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    segments.sort_unstable();
    if let Some(&last) = segments.last() {
        let (file, len) = open(storage, &segment_name(last))?;
        if is_unmade(&*file, last, len)? {
            segments.pop();
        }
    }
    Ok(segments)
}

/// Opens a segment and reads all of it.
pub(crate) fn read_segment(
    storage: &dyn Storage,
    first: BatchNumber,
) -> Result<(Box<dyn StorageFile>, Vec<u8>), OpenError> {
    let name = segment_name(first);
    let (file, len) = open(storage, &name)?;
    let mut bytes = vec![0; checked_len(&name, first, len)?];
    file.read_exact_at(&mut bytes, 0).map_err(IoFailure::of(Operation::Read, &name))?;
    Ok((file, bytes))
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Where its last whole batch ends, in bytes.
    pub(crate) used: usize,
    /// That batch; `None` if it holds none.
    pub(crate) last: Option<Committed>,
    /// Something stands behind it that was not finished, or is being written.
    pub(crate) unfinished: bool,
}

/// Goes from segment to segment and checks that each continues the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// The last batch; `None` before a segment that is not the first of all, where its header alone tells.
    last: Option<Committed>,
    /// A batch was sealed, so all behind it must be.
    sealed: bool,
}

impl Chain {
    /// In front of the segment that begins with this batch.
    pub(crate) fn before(first: BatchNumber) -> Self {
        let begin = Committed::NOTHING;
        Self { last: (first == begin.next_batch()).then_some(begin), sealed: false }
    }

    /// Behind this batch.
    pub(crate) const fn behind(last: Committed) -> Self {
        Self { last: Some(last), sealed: false }
    }

    /// Checks the next segment, as when a journal is opened, but for Merkle roots and rules: checksums,
    /// numbers, times, chain. Calls `each` with every batch and the bytes of its entries.
    ///
    /// # Errors
    /// [`OpenError`], or what `each` says; then it stays where it is.
    pub(crate) fn segment<E: From<OpenError>>(
        &mut self,
        first: BatchNumber,
        bytes: &[u8],
        mut each: impl FnMut(BatchPosition, BatchHeader, &[u8]) -> Result<(), E>,
    ) -> Result<Checked, E> {
        let name = segment_name(first);
        let (mut at, mut entry_known) = self.begin(&name, first, bytes)?;
        let (mut sealed, mut used, mut last) = (self.sealed, SEGMENT_HEADER_BYTES, None);
        let unfinished = loop {
            let next = at.next_batch();
            let fail = |what| damaged(&name, used as u64, next, what);
            match batch_at(bytes, used, |later| later.seal.is_some() || !sealed) {
                Ok(Found::Batch { header, entries, end }) => {
                    at.check_next(&header, entry_known).map_err(fail)?;
                    if sealed && header.seal.is_none() {
                        return Err(fail(Damage::SealMissing).into());
                    }
                    (at, entry_known) = (Committed::behind(&header), true);
                    (sealed, last) = (header.seal.is_some(), Some(at));
                    each(BatchPosition { segment: first, offset: used as u64 }, header, entries)?;
                    used = end;
                }
                Ok(Found::End) => break false,
                Ok(Found::Torn { .. }) => break true,
                Err(Fault::Damaged(what)) => return Err(fail(what).into()),
                Err(Fault::Newer(what)) => {
                    let offset = used as u64;
                    return Err(OpenError::Newer { file: name.clone(), offset, what }.into());
                }
            }
        };
        *self = Self { last: last.or(self.last), sealed };
        Ok(Checked { used, last, unfinished })
    }

    /// The place before the segment's first batch, and whether the number of the entry there is known.
    fn begin(
        &self,
        name: &str,
        first: BatchNumber,
        bytes: &[u8],
    ) -> Result<(Committed, bool), OpenError> {
        let header = SegmentHeader::of_segment(first, bytes)?;
        let Some(last) = self.last else {
            let batch = BatchNumber::new(first.get() - 1);
            let head = header.previous_head;
            return Ok((Committed { batch, head, ..Committed::NOTHING }, false));
        };
        let next = last.next_batch();
        if first > next {
            let missing = BatchNumber::new(first.get() - 1);
            return Err(OpenError::missing(next, missing));
        }
        if first < next {
            return Err(damaged(name, 0, first, Damage::SegmentOverlap));
        }
        if header.previous_head != last.head {
            return Err(damaged(name, 0, first, Damage::SegmentChain));
        }
        Ok((last, true))
    }
}
