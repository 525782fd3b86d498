//! Streams, cut as a network may cut them.

use crate::random::Random;

/// The longest segments, by the first digit of the seed: from a byte at a time to all at once.
const SEGMENT_BYTES_MAX: [u64; 4] = [1, 7, 100, 5000];

/// The bytes in segments, none of which is empty, as this seed has it.
pub(super) fn segments(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut random = Random::new(seed.into());
    let longest = SEGMENT_BYTES_MAX[usize::from(seed) % SEGMENT_BYTES_MAX.len()];
    let mut segments = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = usize::try_from(1 + random.below(longest)).unwrap_or(usize::MAX);
        let (segment, behind) = rest.split_at(length.min(rest.len()));
        segments.push(segment);
        rest = behind;
    }
    segments
}
