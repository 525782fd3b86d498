//! The header of a batch of the ledger: what the journal keeps, the server signs and receipts carry.

use sha2::{Digest as _, Sha256};

use crate::signature::{Domain, InvalidSignature, Signature};
use crate::{BatchNumber, EntryNumber, PublicKey, Timestamp};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The bytes of a header.
pub const BATCH_HEADER_BYTES: usize = 180;

/// The most entries that one batch holds: at three million entries a second, what gathers in about
/// twenty milliseconds, which is a slow sync.
pub const BATCH_ENTRIES_MAX: u32 = 1 << 16;

/// Numbers of batches and entries stay below this: at three million entries a second, they come there in
/// 97,000 years. So whoever counts on from one that was read never comes to the end of a `u64`.
pub const NUMBERS_END: u64 = 1 << 63;

/// Every header begins with this.
pub const BATCH_MAGIC: [u8; 8] = *b"MiteBtch";

/// The version of the format of batches that this code reads and writes.
pub const BATCH_VERSION: u16 = 1;

/// Flag 0: Merkle root and signature are there.
const SEALED: u16 = 1;

/// Where the Merkle root ends and the signature begins: what the server signs are the bytes before.
const SIGNED_BYTES: usize = 112;

/// What stands before a batch's entries. `docs/JOURNAL.md` gives every byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// How many entries follow, 1 to [`BATCH_ENTRIES_MAX`].
    pub entry_count: u32,
    /// Which batch it is.
    pub batch: BatchNumber,
    /// The number of its first entry.
    pub first_entry: EntryNumber,
    /// When it was written, by a clock that never goes back.
    pub time: Timestamp,
    /// How many bytes the entries take.
    pub byte_len: u32,
    /// The CRC32C of those bytes.
    pub entries_checksum: u32,
    /// SHA-256 of the header before this one; zeros if there is none.
    pub previous_head: Hash,
    /// What the server vouches with; `None` in journals of before it did.
    pub seal: Option<Seal>,
}

/// The server's word for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The root of the Merkle tree over the batch's entries.
    pub merkle_root: Hash,
    /// The server's signature over all of the header before it.
    pub signature: Signature,
}

/// Why bytes are no header that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchHeaderFault {
    /// They are no header, or one that is not intact.
    #[error("not an intact header of a batch")]
    NotIntact,
    /// Another version wrote them.
    #[error("version {0} of the format is not known")]
    Version(u16),
    /// They carry a flag that this version does not know.
    #[error("flags {0:#06x} are not known")]
    Flags(u16),
    /// No journal comes to their numbers of batch and entries: [`NUMBERS_END`].
    #[error("batch {batch} that begins with entry {entry} cannot be")]
    Numbers {
        /// The number of the batch.
        batch: u64,
        /// The number of its first entry.
        entry: u64,
    },
    /// Their lengths cannot be.
    #[error("{entries} entries in {bytes} bytes cannot be")]
    Bounds {
        /// The number of entries that they claim.
        entries: u32,
        /// The bytes that the entries would take.
        bytes: u32,
    },
}

impl BatchHeader {
    /// The bytes that the server signs: all of the header up to the Merkle root, with the flag set.
    pub fn signed_bytes(&self, merkle_root: &Hash) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        self.put_front(&mut bytes, SEALED, merkle_root);
        bytes
    }

    /// The header as it is written.
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut header = [0; BATCH_HEADER_BYTES];
        match &self.seal {
            None => self.put_front(&mut header, 0, &[0; 32]),
            Some(Seal { merkle_root, signature }) => {
                self.put_front(&mut header, SEALED, merkle_root);
                header[SIGNED_BYTES..BATCH_HEADER_BYTES - 4].copy_from_slice(&signature.to_bytes());
            }
        }
        let checksum = crc32c::crc32c(&header[..BATCH_HEADER_BYTES - 4]);
        header[BATCH_HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    fn put_front(&self, header: &mut [u8], flags: u16, merkle_root: &Hash) {
        let mut rest = header;
        let mut put = |bytes: &[u8]| {
            let (field, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            field.copy_from_slice(bytes);
            rest = behind;
        };
        put(&BATCH_MAGIC);
        put(&BATCH_VERSION.to_le_bytes());
        put(&flags.to_le_bytes());
        put(&self.entry_count.to_le_bytes());
        put(&self.batch.get().to_le_bytes());
        put(&self.first_entry.get().to_le_bytes());
        put(&self.time.get().to_le_bytes());
        put(&self.byte_len.to_le_bytes());
        put(&self.entries_checksum.to_le_bytes());
        put(&self.previous_head);
        put(merkle_root);
    }

    /// Reads the header in front of `bytes`.
    ///
    /// # Errors
    /// [`BatchHeaderFault`]. The seal's signature is carried, not checked: [`BatchHeader::verify`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchHeaderFault> {
        let header = bytes.first_chunk::<BATCH_HEADER_BYTES>();
        let header = header.ok_or(BatchHeaderFault::NotIntact)?;
        if !header.starts_with(&BATCH_MAGIC) {
            return Err(BatchHeaderFault::NotIntact);
        }
        let (summed, checksum) = header.split_at(BATCH_HEADER_BYTES - 4);
        if crc32c::crc32c(summed).to_le_bytes() != checksum {
            return Err(BatchHeaderFault::NotIntact);
        }
        let version = u16::from_le_bytes(field(header, 8));
        if version != BATCH_VERSION {
            return Err(BatchHeaderFault::Version(version));
        }
        let seal = match u16::from_le_bytes(field(header, 10)) {
            0 => None,
            SEALED => Some(Seal {
                merkle_root: field(header, 80),
                signature: Signature::new(field(header, SIGNED_BYTES)),
            }),
            flags => return Err(BatchHeaderFault::Flags(flags)),
        };
        let header = Self {
            entry_count: u32::from_le_bytes(field(header, 12)),
            batch: BatchNumber::new(u64::from_le_bytes(field(header, 16))),
            first_entry: EntryNumber::new(u64::from_le_bytes(field(header, 24))),
            time: Timestamp::new(u64::from_le_bytes(field(header, 32))),
            byte_len: u32::from_le_bytes(field(header, 40)),
            entries_checksum: u32::from_le_bytes(field(header, 44)),
            previous_head: field(header, 48),
            seal,
        };
        header.check_bounds()?;
        Ok(header)
    }

    /// Checks that the server with this key vouches for the batch.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it does not, or if nobody does.
    pub fn verify(&self, server: &PublicKey) -> Result<(), InvalidSignature> {
        let Seal { merkle_root, signature } = self.seal.as_ref().ok_or(InvalidSignature)?;
        signature.verify(server, Domain::Batch, &self.signed_bytes(merkle_root))
    }

    /// What the next header chains to: SHA-256 of this one's bytes.
    pub fn head(&self) -> Hash {
        Sha256::digest(self.encode()).into()
    }

    /// The number of the entry behind the last one.
    ///
    /// The sum cannot wrap where [`BatchHeader::decode`] has checked it.
    pub const fn next_entry(&self) -> EntryNumber {
        EntryNumber::new(self.first_entry.get() + self.entry_count as u64)
    }

    /// The place of the entry with this number among the batch's own, from 0; `None` if it is in
    /// another batch.
    pub fn index_of(&self, number: EntryNumber) -> Option<u32> {
        let index = number.get().checked_sub(self.first_entry.get())?;
        u32::try_from(index).ok().filter(|index| *index < self.entry_count)
    }

    fn check_bounds(&self) -> Result<(), BatchHeaderFault> {
        let (batch, entry) = (self.batch.get(), self.first_entry.get());
        if batch >= NUMBERS_END || entry >= NUMBERS_END {
            return Err(BatchHeaderFault::Numbers { batch, entry });
        }
        // Every entry takes a byte at least, so the length bounds the count.
        let possible = (1..=BATCH_ENTRIES_MAX).contains(&self.entry_count)
            && self.byte_len >= self.entry_count;
        if possible {
            Ok(())
        } else {
            Err(BatchHeaderFault::Bounds { entries: self.entry_count, bytes: self.byte_len })
        }
    }
}

fn field<const N: usize>(header: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    *header[at..].first_chunk().expect("every field lies within the header")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever goes on behind a batch counts one up: a number without a successor must not get so far.
    #[test]
    fn numbers_that_cannot_be_counted_on_from_are_refused() {
        let last = NUMBERS_END - 1;
        for (batch, entry, readable) in [
            (1, 0, true),
            (last, last, true),
            (last, NUMBERS_END, false),
            (NUMBERS_END, last, false),
            (u64::MAX, 0, false),
            (1, u64::MAX, false),
        ] {
            let header = BatchHeader {
                entry_count: BATCH_ENTRIES_MAX,
                batch: BatchNumber::new(batch),
                first_entry: EntryNumber::new(entry),
                time: Timestamp::new(0),
                byte_len: BATCH_ENTRIES_MAX,
                entries_checksum: 0,
                previous_head: [0; 32],
                seal: None,
            };
            let decoded = BatchHeader::decode(&header.encode());
            let expected = BatchHeaderFault::Numbers { batch, entry };
            assert_eq!(decoded, if readable { Ok(header) } else { Err(expected) });
        }
    }
}
