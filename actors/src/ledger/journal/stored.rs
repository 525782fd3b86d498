//! Batches as they stand in a journal.

use wire::batch::{BATCH_HEADER_BYTES, BatchHeader};
use wire::merkle::{self, MerkleTree};
use wire::{BatchNumber, Entry, EntryNumber, Receipt};

use super::batch::{END_MARKER, Entries, batch_bytes, check_merkle_root, decode_header};
use super::cursor::BatchPosition;
use super::error::{Damage, IoFailure, OpenError, Operation, damaged};
use super::segment::open;
use super::storage::{Storage, StorageFile};

/// A batch as it stands in a journal, intact: its checksums match, its entries can be decoded, and its
/// seal, if it has one, is over them. Who has signed the seal is not looked at.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Where it stands.
    pub position: BatchPosition,
    /// Its header.
    pub header: BatchHeader,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// The Merkle tree over them.
    pub tree: MerkleTree,
}

impl StoredBatch {
    pub(crate) fn new(
        position: BatchPosition,
        header: BatchHeader,
        bytes: &[u8],
    ) -> Result<Self, Damage> {
        let mut entries = Vec::with_capacity(header.entry_count as usize);
        let mut leaves = Vec::with_capacity(header.entry_count as usize);
        for encoded in Entries::of(&header, bytes) {
            let encoded = encoded?;
            leaves.push(merkle::leaf(encoded.bytes));
            entries.push(encoded.entry);
        }
        let tree = MerkleTree::new(leaves);
        check_merkle_root(&header, &tree)?;
        Ok(Self { position, header, entries, tree })
    }

    /// The entry with this number, if it is in this batch.
    pub fn entry(&self, number: EntryNumber) -> Option<&Entry> {
        self.entries.get(self.header.index_of(number)? as usize)
    }

    /// The receipt for an entry. `None` if it is not in this batch, or nobody vouches for the batch.
    pub fn receipt(&self, number: EntryNumber) -> Option<Receipt> {
        self.header.seal.as_ref()?;
        let index = self.header.index_of(number)?;
        let entry = self.entries.get(index as usize)?.clone();
        Some(Receipt::new(&self.header, index, self.tree.path(index)?, entry))
    }
}

/// The entries of a batch as they stand in a journal: they match their checksum. Whether the seal is over
/// them was not looked at, which would take longer than all the rest.
#[derive(Clone, Debug)]
pub struct BatchEntries {
    /// Where it stands.
    pub position: BatchPosition,
    /// Its header.
    pub header: BatchHeader,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

impl BatchEntries {
    pub(super) fn new(
        position: BatchPosition,
        header: BatchHeader,
        bytes: &[u8],
    ) -> Result<Self, Damage> {
        let mut entries = Vec::with_capacity(header.entry_count as usize);
        for encoded in Entries::of(&header, bytes) {
            entries.push(encoded?.entry);
        }
        Ok(Self { position, header, entries })
    }
}

/// Reads the batch at a position, by itself: what it follows is not looked at.
///
/// # Errors
/// [`OpenError`] if no batch that is intact stands there. [`OpenError::Damaged`] then names batch 0, as
/// nobody knows which one it should be.
pub fn read_batch(
    storage: &dyn Storage,
    position: BatchPosition,
) -> Result<StoredBatch, OpenError> {
    let (file, len) = open(storage, &position.file())?;
    let fail = |what| damaged(&position.file(), position.offset, BatchNumber::default(), what);
    let (header, bytes) =
        read_whole(&*file, len, position)?.ok_or_else(|| fail(Damage::BatchHeader))?;
    StoredBatch::new(position, header, &bytes).map_err(fail)
}

/// The header and the entries' bytes of the batch at this position, if it is whole and matches its
/// checksums.
pub(super) fn read_whole(
    file: &dyn StorageFile,
    len: u64,
    position: BatchPosition,
) -> Result<Option<(BatchHeader, Vec<u8>)>, OpenError> {
    let name = position.file();
    let Some(header) = read_header(file, len, position)? else { return Ok(None) };
    let mut bytes = vec![0; batch_bytes(&header) - BATCH_HEADER_BYTES];
    file.read_exact_at(&mut bytes, position.offset + BATCH_HEADER_BYTES as u64)
        .map_err(IoFailure::of(Operation::Read, &name))?;
    let entries_end = bytes.len() - END_MARKER.len();
    let intact = bytes[entries_end..] == END_MARKER
        && crc32c::crc32c(&bytes[..entries_end]) == header.entries_checksum;
    bytes.truncate(entries_end);
    Ok(intact.then_some((header, bytes)))
}

/// The header at this position, if there is one and room for the batch behind it.
pub(super) fn read_header(
    file: &dyn StorageFile,
    len: u64,
    position: BatchPosition,
) -> Result<Option<BatchHeader>, OpenError> {
    let left = len.saturating_sub(position.offset);
    if left < BATCH_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; BATCH_HEADER_BYTES];
    file.read_exact_at(&mut header, position.offset)
        .map_err(IoFailure::of(Operation::Read, &position.file()))?;
    let header = decode_header(&header).ok();
    Ok(header.filter(|header| left >= batch_bytes(header) as u64))
}
