//! Segments: the files that hold the batches.

use wire::BatchNumber;
use wire::batch::Hash;

use super::batch::BATCH_BYTES_MAX;
use super::bytes::{Fields, is_zero};
use super::error::{Damage, IoFailure, Newer, OpenError, Operation, damaged};
use super::storage::{Storage, StorageFile};
use super::{SECTOR_BYTES, SEGMENT_BYTES_MAX};

/// The bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 60;

const MAGIC: [u8; 8] = *b"MiteJrnl";
const VERSION: u16 = 1;

/// The least and the most by which a segment grows: as much again as it holds, between what the
/// first few payments take and what a disk writes in well under a second.
const GROWTH_BYTES_MIN: u64 = 64 << 10;
const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// The longest file that [`Segment`] makes: a batch more than the largest segment, and what rounding
/// up to sectors adds.
const FILE_BYTES_MAX: u64 = SEGMENT_BYTES_MAX + BATCH_BYTES_MAX as u64 + 4096;

/// The name of the segment that begins with this batch.
pub(crate) fn segment_name(first: BatchNumber) -> String {
    format!("journal-{:020}.mite", first.get())
}

/// The batch that the segment with this name begins with; `None` if it is no name of a segment.
pub(crate) fn parse_segment_name(name: &str) -> Option<BatchNumber> {
    let number = numbered(name, "journal-", ".mite")?;
    (number > 0).then_some(BatchNumber::new(number))
}

/// The number in a name made of `before`, 20 digits, and `after`.
pub(super) fn numbered(name: &str, before: &str, after: &str) -> Option<u64> {
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    let exact = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    exact.then(|| digits.parse().ok())?
}

/// Opens a file, and says how long it is.
pub(super) fn open(
    storage: &dyn Storage,
    name: &str,
) -> Result<(Box<dyn StorageFile>, u64), IoFailure> {
    let file = storage.open(name).map_err(IoFailure::of(Operation::Open, name))?;
    let len = file.len().map_err(IoFailure::of(Operation::Read, name))?;
    Ok((file, len))
}

/// Fills `bytes` from the front of a file.
pub(super) fn read(file: &dyn StorageFile, name: &str, bytes: &mut [u8]) -> Result<(), IoFailure> {
    file.read_exact_at(bytes, 0).map_err(IoFailure::of(Operation::Read, name))
}

/// Whether a crash came while this segment was made, or it is being made: before its header is durable,
/// no batch is written to it, so the file is short or all zeros.
pub(super) fn is_unmade(
    file: &dyn StorageFile,
    first: BatchNumber,
    len: u64,
) -> Result<bool, OpenError> {
    let name = segment_name(first);
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
    if len < bytes.len() as u64 {
        return Ok(true);
    }
    read(file, &name, &mut bytes)?;
    if !is_zero(&bytes) {
        return Ok(false);
    }
    bytes.resize(checked_len(&name, first, len)?, 0);
    read(file, &name, &mut bytes)?;
    Ok(is_zero(&bytes))
}

/// The length of a segment's file as a size in memory, if a segment can be so long.
pub(super) fn checked_len(name: &str, first: BatchNumber, len: u64) -> Result<usize, OpenError> {
    let possible = usize::try_from(len).ok().filter(|_| len <= FILE_BYTES_MAX);
    possible.ok_or_else(|| damaged(name, 0, first, Damage::SegmentTooLong(len)))
}

/// What stands before the batches of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) first: BatchNumber,
    /// The hash of the header of the batch before the first.
    pub(super) previous_head: Hash,
}

/// Why bytes are not the header of a segment that can be read.
enum SegmentFault {
    NotIntact,
    Newer(Newer),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[16..24].copy_from_slice(&self.first.get().to_le_bytes());
        header[24..56].copy_from_slice(&self.previous_head);
        let checksum = crc32c::crc32c(&header[..56]);
        header[56..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// The header in `bytes`, of the segment whose name says that `first` is its first batch.
    pub(super) fn of_segment(first: BatchNumber, bytes: &[u8]) -> Result<Self, OpenError> {
        let name = segment_name(first);
        let header = Self::decode(bytes).map_err(|fault| match fault {
            SegmentFault::NotIntact => damaged(&name, 0, first, Damage::SegmentHeader),
            SegmentFault::Newer(what) => OpenError::Newer { file: name.clone(), offset: 0, what },
        })?;
        if header.first == first {
            Ok(header)
        } else {
            Err(damaged(&name, 0, first, Damage::SegmentNumber(header.first)))
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, SegmentFault> {
        let header = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(SegmentFault::NotIntact)?;
        let (summed, checksum) = header.split_at(SEGMENT_HEADER_BYTES - 4);
        if !summed.starts_with(&MAGIC) || crc32c::crc32c(summed).to_le_bytes() != checksum {
            return Err(SegmentFault::NotIntact);
        }
        let mut fields = Fields::new(&summed[MAGIC.len()..]);
        let version = fields.u16();
        if version != VERSION {
            return Err(SegmentFault::Newer(Newer::Version(version)));
        }
        fields.skip::<6>();
        Ok(Self { first: BatchNumber::new(fields.u64()), previous_head: fields.hash() })
    }
}

/// The segment that batches are being added to.
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) file: Box<dyn StorageFile>,
    /// Where the next batch begins.
    pub(super) used: u64,
    /// The length of the file. Everything behind `used` is zero, durably.
    pub(super) allocated: u64,
}

impl Segment {
    /// Makes the file, with its header and zeros for the first batches, durably. If that fails, it leaves
    /// none behind, where the disk lets it.
    pub(super) fn create(
        storage: &dyn Storage,
        header: &SegmentHeader,
        segment_bytes: u64,
    ) -> Result<Self, IoFailure> {
        let name = segment_name(header.first);
        let file = storage.create(&name).map_err(IoFailure::of(Operation::Create, &name))?;
        let made = Self::fill(storage, name.clone(), file, header, segment_bytes);
        if made.is_err() {
            let _ = storage.remove(&name);
        }
        made
    }

    fn fill(
        storage: &dyn Storage,
        name: String,
        file: Box<dyn StorageFile>,
        header: &SegmentHeader,
        segment_bytes: u64,
    ) -> Result<Self, IoFailure> {
        let used = SEGMENT_HEADER_BYTES as u64;
        let allocated = length_for(used, 0, segment_bytes);
        let mut bytes = header.encode().to_vec();
        bytes.resize(usize::try_from(allocated).expect("GROWTH_BYTES_MAX bounds it"), 0);
        file.write_all_at(&bytes, 0).map_err(IoFailure::of(Operation::Write, &name))?;
        file.sync_all().map_err(IoFailure::of(Operation::Sync, &name))?;
        storage.sync().map_err(IoFailure::of(Operation::Sync, "."))?;
        Ok(Self { name, file, used, allocated })
    }

    /// Whether the next batch goes to another segment. One without a batch is never full: the other
    /// one would have its name.
    pub(super) fn is_full(&self, segment_bytes: u64) -> bool {
        self.has_batch() && self.used >= segment_bytes
    }

    /// Whether it holds a batch.
    pub(super) const fn has_batch(&self) -> bool {
        self.used > SEGMENT_HEADER_BYTES as u64
    }

    /// Whether so many bytes go into its zeros.
    pub(super) const fn has_room(&self, batch_bytes: u64) -> bool {
        self.used + batch_bytes <= self.allocated
    }

    /// Grows if so many bytes do not go into its zeros. May be tried again when it has failed.
    pub(super) fn make_room(
        &mut self,
        batch_bytes: u64,
        segment_bytes: u64,
    ) -> Result<(), IoFailure> {
        if self.has_room(batch_bytes) {
            return Ok(());
        }
        self.grow(length_for(self.used + batch_bytes, self.allocated, segment_bytes))
    }

    /// Adds the bytes of a batch, durably. There is room for it.
    pub(super) fn append(&mut self, batch: &[u8]) -> Result<(), IoFailure> {
        let appended = self.file.append(batch, self.used);
        appended.map_err(IoFailure::of(Operation::Append, &self.name))?;
        self.used += batch.len() as u64;
        Ok(())
    }

    /// Fills the file with zeros up to this length. They are written, not merely allocated: a write
    /// into allocated blocks would have to change metadata to say that they are used now.
    fn grow(&mut self, len: u64) -> Result<(), IoFailure> {
        let zeros = usize::try_from(len - self.allocated).expect("a batch and a growth bound it");
        self.file
            .write_all_at(&vec![0; zeros], self.allocated)
            .map_err(IoFailure::of(Operation::Write, &self.name))?;
        self.file.sync_all().map_err(IoFailure::of(Operation::Sync, &self.name))?;
        self.allocated = len;
        Ok(())
    }
}

/// How long to make a segment of `allocated` bytes that must hold `needed`: whole sectors, not beyond
/// `segment_bytes` without need.
fn length_for(needed: u64, allocated: u64, segment_bytes: u64) -> u64 {
    let growth = allocated.clamp(GROWTH_BYTES_MIN, GROWTH_BYTES_MAX);
    (allocated + growth).min(segment_bytes).max(needed).next_multiple_of(SECTOR_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_20_digits() {
        let name = segment_name(BatchNumber::new(17));
        assert_eq!(name, "journal-00000000000000000017.mite");
        assert_eq!(parse_segment_name(&name), Some(BatchNumber::new(17)));
        for name in [
            "journal-17.mite",
            "journal-00000000000000000000.mite",
            "journal-+0000000000000000017.mite",
            "journal-99999999999999999999.mite",
            "journal-00000000000000000017.mite.bak",
            "snapshot-00000000000000000017.mite",
            "lock",
            "",
        ] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    #[test]
    fn segments_double_up_to_eight_mebibytes() {
        let segment_bytes = 64 << 20;
        for (needed, allocated, expected) in [
            (60, 0, 64 << 10),
            (65_537, 64 << 10, 128 << 10),
            ((1 << 20) + 1, 1 << 20, 2 << 20),
            ((8 << 20) + 1, 8 << 20, 16 << 20),
            ((16 << 20) + 1, 16 << 20, 24 << 20),
            // Never beyond the segment's size without need, and then no more than is needed.
            ((60 << 20) + 1, 60 << 20, 64 << 20),
            ((64 << 20) + 1, 64 << 20, (64 << 20) + 512),
            // A batch may need more than one growth.
            (9 << 20, 64 << 10, 9 << 20),
        ] {
            assert_eq!(length_for(needed, allocated, segment_bytes), expected, "{needed}");
        }
    }
}
