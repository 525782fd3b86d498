//! One batch: the entries of one commit behind a header, and the bytes of both.

use sha2::{Digest as _, Sha256};
use wire::entry::ENTRY_BYTES_MAX;
use wire::{BatchNumber, Entry, EntryNumber, Timestamp, codec};

use super::bytes::{Fields, Hash};
use super::error::{Damage, Newer};

/// The most entries that one batch holds: at three million entries a second, what gathers in about
/// twenty milliseconds, which is a slow sync.
pub const BATCH_ENTRIES_MAX: u32 = 1 << 16;

/// The most bytes that the entries of one batch take: 128 for each of [`BATCH_ENTRIES_MAX`], four times
/// what a text payment takes, and still a fraction of a second to write.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// The bytes of a batch's header.
pub(super) const HEADER_BYTES: usize = 180;

/// Every batch begins with this. It is what a search for a batch looks for.
pub(super) const BATCH_MAGIC: [u8; 8] = *b"MiteBtch";

/// Every batch ends with this. None of its bytes is zero or one bit away from zero, so that the
/// batch's part of its last sector, however short, is never mistaken for a sector not written.
pub(super) const END_MARKER: [u8; 4] = *b"EndB";

/// The version of the format of batches that this code reads and writes.
const VERSION: u16 = 1;

/// The entries of one commit, encoded as they come, with room for the header in front: what was
/// gathered is written as it lies in memory.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    entry_count: u32,
    closed: bool,
}

impl Batch {
    /// An empty batch in the memory of `buffer`, whose content is dropped.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEADER_BYTES, 0);
        Self { bytes: buffer, entry_count: 0, closed: false }
    }

    /// Adds an entry behind those that are there.
    ///
    /// # Panics
    /// If the batch [is full](Self::is_full), which the caller looks at before it decides anything:
    /// an entry that is decided must not be turned away.
    pub fn push(&mut self, entry: &Entry) {
        assert!(!self.is_full(), "a full batch takes no entry");
        codec::encode_into(entry, &mut self.bytes);
        self.entry_count += 1;
    }

    /// Whether there may be no room for one more entry.
    pub fn is_full(&self) -> bool {
        self.entry_count >= BATCH_ENTRIES_MAX || self.byte_len() > BATCH_BYTES_MAX - ENTRY_BYTES_MAX
    }

    /// Nothing is to be written behind it in the same batch: something belongs to its very end.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Takes the entries of `next` behind its own, or gives `next` back if they do not belong into
    /// one batch.
    pub(super) fn absorb(&mut self, next: Self) -> Result<(), Self> {
        let entries = u64::from(self.entry_count) + u64::from(next.entry_count);
        let bytes = self.byte_len() + next.byte_len();
        if self.closed || entries > u64::from(BATCH_ENTRIES_MAX) || bytes > BATCH_BYTES_MAX {
            return Err(next);
        }
        self.bytes.extend_from_slice(&next.bytes[HEADER_BYTES..]);
        self.entry_count += next.entry_count;
        self.closed = next.closed;
        Ok(())
    }

    /// How many entries it holds.
    pub const fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// How many bytes its entries take.
    pub const fn byte_len(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    /// Whether it holds no entries.
    pub const fn is_empty(&self) -> bool {
        self.entry_count == 0
    }

    /// The memory, to be used again. Its content means nothing.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Fills in the header, calls `write` with the bytes of the whole batch, and returns the header.
    pub(super) fn write_sealed<E>(
        &mut self,
        place: &BatchPlace,
        write: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<BatchHeader, E> {
        let byte_len = u32::try_from(self.byte_len()).expect("push keeps to BATCH_BYTES_MAX");
        let header = BatchHeader {
            entry_count: self.entry_count,
            batch: place.batch,
            first_entry: place.first_entry,
            time: place.time,
            byte_len,
            entries_checksum: crc32c::crc32c(&self.bytes[HEADER_BYTES..]),
            previous_head: place.previous_head,
        };
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        self.bytes.extend(END_MARKER);
        let written = write(&self.bytes);
        self.bytes.truncate(self.bytes.len() - END_MARKER.len());
        written.map(|()| header)
    }
}

/// What a batch is given when it is written.
pub(super) struct BatchPlace {
    pub(super) batch: BatchNumber,
    pub(super) first_entry: EntryNumber,
    pub(super) time: Timestamp,
    pub(super) previous_head: Hash,
}

/// What stands before a batch's entries. `docs/JOURNAL.md` gives every byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) entry_count: u32,
    pub(super) batch: BatchNumber,
    pub(super) first_entry: EntryNumber,
    pub(super) time: Timestamp,
    pub(super) byte_len: u32,
    pub(super) entries_checksum: u32,
    pub(super) previous_head: Hash,
}

/// Why bytes are not the header of a batch that can be read.
#[derive(Debug)]
pub(super) enum HeaderFault {
    /// They are no header, or one that is not intact.
    NotIntact,
    /// They are what somebody wrote, but not what this version can read.
    Newer(Newer),
    /// They are what somebody wrote, but nobody should have.
    Damaged(Damage),
}

impl BatchHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let mut rest = header.as_mut_slice();
        let mut put = |bytes: &[u8]| {
            let (field, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            field.copy_from_slice(bytes);
            rest = behind;
        };
        put(&BATCH_MAGIC);
        put(&VERSION.to_le_bytes());
        put(&0u16.to_le_bytes());
        put(&self.entry_count.to_le_bytes());
        put(&self.batch.get().to_le_bytes());
        put(&self.first_entry.get().to_le_bytes());
        put(&self.time.get().to_le_bytes());
        put(&self.byte_len.to_le_bytes());
        put(&self.entries_checksum.to_le_bytes());
        put(&self.previous_head);
        // The Merkle root and the server's signature stay zero: flag 0, sealed, is not set.
        let checksum = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
        header[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Reads the header in front of `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let header = bytes.get(..HEADER_BYTES).ok_or(HeaderFault::NotIntact)?;
        if !header.starts_with(&BATCH_MAGIC) {
            return Err(HeaderFault::NotIntact);
        }
        let (summed, checksum) = header.split_at(HEADER_BYTES - 4);
        if crc32c::crc32c(summed).to_le_bytes() != checksum {
            return Err(HeaderFault::NotIntact);
        }
        let mut fields = Fields::new(&summed[BATCH_MAGIC.len()..]);
        let version = fields.u16();
        if version != VERSION {
            return Err(HeaderFault::Newer(Newer::Version(version)));
        }
        let flags = fields.u16();
        if flags != 0 {
            return Err(HeaderFault::Newer(Newer::Flags(flags)));
        }
        let header = Self {
            entry_count: fields.u32(),
            batch: BatchNumber::new(fields.u64()),
            first_entry: EntryNumber::new(fields.u64()),
            time: Timestamp::new(fields.u64()),
            byte_len: fields.u32(),
            entries_checksum: fields.u32(),
            previous_head: fields.hash(),
        };
        header.check_bounds().map_err(HeaderFault::Damaged)?;
        Ok(header)
    }

    /// The number of the entry behind the last one.
    ///
    /// The sum cannot wrap where [`BatchHeader::decode`] has checked it.
    pub(super) const fn next_entry(&self) -> EntryNumber {
        EntryNumber::new(self.first_entry.get() + self.entry_count as u64)
    }

    /// The bytes of the whole batch: header, entries, end marker.
    pub(super) const fn batch_bytes(&self) -> usize {
        HEADER_BYTES + self.byte_len as usize + END_MARKER.len()
    }

    /// What the next batch chains to.
    pub(super) fn head(&self) -> Hash {
        Sha256::digest(self.encode()).into()
    }

    fn check_bounds(&self) -> Result<(), Damage> {
        // Every entry takes a byte at least, so the length bounds the count.
        let possible = (1..=BATCH_ENTRIES_MAX).contains(&self.entry_count)
            && self.byte_len >= self.entry_count
            && self.byte_len as usize <= BATCH_BYTES_MAX
            && self.first_entry.get().checked_add(self.entry_count.into()).is_some();
        if possible {
            Ok(())
        } else {
            Err(Damage::BatchBounds { entries: self.entry_count, bytes: self.byte_len })
        }
    }
}
