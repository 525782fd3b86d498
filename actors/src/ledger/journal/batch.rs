//! One batch: the entries of one commit behind a header, and the bytes of both.

use wire::batch::{
    BATCH_ENTRIES_MAX, BATCH_HEADER_BYTES, BatchHeader, BatchHeaderFault, Hash, Seal,
};
use wire::entry::ENTRY_BYTES_MAX;
use wire::merkle::{self, MerkleTree};
use wire::signature::Domain;
use wire::{BatchNumber, Entry, EntryNumber, Timestamp, codec};

use super::error::{Damage, Newer};
use crate::messages::Signer;

/// The most bytes that the entries of one batch take: 128 for each of [`BATCH_ENTRIES_MAX`], four times
/// what a text payment takes, and still a fraction of a second to write.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// Every batch ends with this. None of its bytes is zero or one bit away from zero, so that the
/// batch's part of its last sector, however short, is never mistaken for a sector not written.
pub(super) const END_MARKER: [u8; 4] = *b"EndB";

/// The entries of one commit, encoded as they come, with room for the header in front: what was
/// gathered is written as it lies in memory.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    entry_count: u32,
    /// Where each entry ends, counted from where the first one begins.
    ends: Vec<u32>,
    closed: bool,
}

impl Batch {
    /// An empty batch in the memory of `buffer`, whose content is dropped.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(BATCH_HEADER_BYTES, 0);
        Self { bytes: buffer, entry_count: 0, ends: Vec::new(), closed: false }
    }

    /// Adds an entry behind those that are there.
    ///
    /// # Panics
    /// If the batch [is full](Self::is_full), which the caller looks at before it decides anything:
    /// an entry that is decided must not be turned away.
    pub fn push(&mut self, entry: &Entry) {
        assert!(!self.is_full(), "a full batch takes no entry");
        codec::encode_into(entry, &mut self.bytes);
        self.ends.push(self.byte_len_u32());
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
        let begin = self.byte_len_u32();
        self.bytes.extend_from_slice(&next.bytes[BATCH_HEADER_BYTES..]);
        self.ends.extend(next.ends.iter().map(|end| begin + end));
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
        self.bytes.len() - BATCH_HEADER_BYTES
    }

    /// How many bytes it takes in a segment.
    pub(super) const fn written_bytes(&self) -> u64 {
        (self.bytes.len() + END_MARKER.len()) as u64
    }

    fn byte_len_u32(&self) -> u32 {
        u32::try_from(self.byte_len()).expect("push and absorb keep to BATCH_BYTES_MAX")
    }

    /// Whether it holds no entries.
    pub const fn is_empty(&self) -> bool {
        self.entry_count == 0
    }

    /// The memory, to be used again. Its content means nothing.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Fills in the header, sealed by `server`, and calls `write` with the bytes of the whole batch.
    /// Returns the header and the tree whose root is in it.
    pub(super) fn write_sealed<E>(
        &mut self,
        place: &BatchPlace,
        server: &Signer,
        write: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<(BatchHeader, MerkleTree), E> {
        let mut header = BatchHeader {
            entry_count: self.entry_count,
            batch: place.batch,
            first_entry: place.first_entry,
            time: place.time,
            byte_len: self.byte_len_u32(),
            entries_checksum: crc32c::crc32c(&self.bytes[BATCH_HEADER_BYTES..]),
            previous_head: place.previous_head,
            seal: None,
        };
        let tree = self.merkle_tree();
        header.seal = Some(seal(&header, &tree, server));
        self.bytes[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode());
        self.bytes.extend(END_MARKER);
        let written = write(&self.bytes);
        self.bytes.truncate(self.bytes.len() - END_MARKER.len());
        written.map(|()| (header, tree))
    }

    fn merkle_tree(&self) -> MerkleTree {
        let entries = &self.bytes[BATCH_HEADER_BYTES..];
        let mut begin = 0;
        let leaves = self.ends.iter().map(|&end| {
            let leaf = merkle::leaf(&entries[begin..end as usize]);
            begin = end as usize;
            leaf
        });
        MerkleTree::new(leaves.collect())
    }
}

/// The server's word for the batch with this header.
fn seal(header: &BatchHeader, tree: &MerkleTree, server: &Signer) -> Seal {
    let merkle_root = tree.root();
    let signed = header.signed_bytes(&merkle_root);
    Seal { merkle_root, signature: server.sign(Domain::Batch, &signed) }
}

/// What a batch is given when it is written.
pub(super) struct BatchPlace {
    pub(super) batch: BatchNumber,
    pub(super) first_entry: EntryNumber,
    pub(super) time: Timestamp,
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

/// Reads the header in front of `bytes`, of a batch that a journal may hold.
pub(super) fn decode_header(bytes: &[u8]) -> Result<BatchHeader, HeaderFault> {
    let header = BatchHeader::decode(bytes).map_err(|fault| match fault {
        BatchHeaderFault::NotIntact => HeaderFault::NotIntact,
        BatchHeaderFault::Version(version) => HeaderFault::Newer(Newer::Version(version)),
        BatchHeaderFault::Flags(flags) => HeaderFault::Newer(Newer::Flags(flags)),
        BatchHeaderFault::Numbers { batch, entry } => {
            HeaderFault::Damaged(Damage::BatchNumbers { batch, entry })
        }
        BatchHeaderFault::Bounds { entries, bytes } => {
            HeaderFault::Damaged(Damage::BatchBounds { entries, bytes })
        }
    })?;
    if header.byte_len as usize > BATCH_BYTES_MAX {
        let BatchHeader { entry_count: entries, byte_len: bytes, .. } = header;
        return Err(HeaderFault::Damaged(Damage::BatchBounds { entries, bytes }));
    }
    Ok(header)
}

/// The bytes of the whole batch with this header: header, entries, end marker.
pub(super) const fn batch_bytes(header: &BatchHeader) -> usize {
    BATCH_HEADER_BYTES + header.byte_len as usize + END_MARKER.len()
}

/// The entries of a batch, one after the other. What is wrong with them comes in the place of the entry
/// that is wrong; nothing follows it.
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    next: u64,
    end: u64,
}

/// An entry as it stands in a batch.
pub(super) struct EncodedEntry<'a> {
    pub(super) number: EntryNumber,
    pub(super) entry: Entry,
    pub(super) bytes: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Those in `bytes`, which are as many as the header says and match its checksum.
    pub(super) const fn of(header: &BatchHeader, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, next: header.first_entry.get(), end: header.next_entry().get() }
    }

    fn decode_next(&mut self) -> Result<EncodedEntry<'a>, Damage> {
        let number = EntryNumber::new(self.next);
        let (entry, used) = codec::decode_prefix::<ENTRY_BYTES_MAX, Entry>(self.rest)
            .map_err(|source| Damage::Entry { entry: number, source })?;
        let (bytes, rest) = self.rest.split_at(used);
        self.rest = rest;
        self.next += 1;
        Ok(EncodedEntry { number, entry, bytes })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<EncodedEntry<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let decoded = if self.next < self.end {
            self.decode_next()
        } else if self.rest.is_empty() {
            return None;
        } else {
            Err(Damage::BytesLeft(self.rest.len()))
        };
        if decoded.is_err() {
            (self.next, self.rest) = (self.end, &[]);
        }
        Some(decoded)
    }
}

/// Checks that the seal of a batch, if there is one, is over these entries.
pub(super) fn check_merkle_root(header: &BatchHeader, tree: &MerkleTree) -> Result<(), Damage> {
    match &header.seal {
        Some(seal) if seal.merkle_root != tree.root() => Err(Damage::WrongMerkleRoot),
        _ => Ok(()),
    }
}
