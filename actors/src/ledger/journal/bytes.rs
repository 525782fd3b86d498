//! Small things about bytes that all files of a journal need.

use wire::batch::Hash;

/// The hash that stands for "there is nothing before this".
pub(super) const NO_HASH: Hash = [0; 32];

/// Takes little-endian fields from the front of bytes whose length was checked before.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    /// A number of six bytes.
    pub(super) fn u48(&mut self) -> u64 {
        let mut number = [0; 8];
        number[..6].copy_from_slice(&self.take::<6>());
        u64::from_le_bytes(number)
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub(super) fn hash(&mut self) -> Hash {
        self.take()
    }

    pub(super) fn skip<const N: usize>(&mut self) {
        self.take::<N>();
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the caller has checked the length");
        self.0 = rest;
        *field
    }
}

/// Whether all of the bytes are zero. No bytes at all are.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Chunks, so that the compiler may look at many bytes at once and still stop early.
    bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
}

/// How many bytes are left if the zeros at the end are cut off.
pub(super) fn len_without_zeros(bytes: &[u8]) -> usize {
    let chunks = bytes.chunks(256).rev().take_while(|chunk| is_zero(chunk));
    let rest = bytes.len() - chunks.map(<[u8]>::len).sum::<usize>();
    bytes[..rest].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
