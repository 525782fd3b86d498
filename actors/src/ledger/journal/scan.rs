//! What stands at a place of a segment: a batch, nothing, a write that was torn, or damage.
//!
//! A crash in the middle of a write leaves some 512-byte sectors of it written and others as they
//! were, which is zero, because segments are filled with zeros ahead of the batches. No sector that
//! was written is zero: a batch begins with a magic number and ends with a marker without zero bytes,
//! the longest run of zeros in a header is 96 bytes (no Merkle root and no signature), and the longest
//! in entries is less than 120 (an order of the key of zeros without a memo, its signature of zeros, and
//! the beginning of an opening behind its refusal). So a batch that fails its checks is **torn** if some sector of it
//! is zero or beyond the end of the file and nothing follows it, and **damaged** if all its sectors
//! are there: a flipped bit never passes for a crash.
//!
//! A write by way of the page cache may end anywhere: it was cut short, or the power failed while it was copied there.
//! Then the end of the batch is missing from some byte on. Its last byte is zero, which no flip of a single bit
//! makes of it, or the last byte that is not zero lies in its header. And when a torn batch was being overwritten with
//! zeros, its beginning is missing up to some byte: no batch begins with zero, nor with what one bit makes zero.
//!
//! "Nothing follows" cannot be seen in the bytes of a batch without its header, which may be as long as any.
//! What follows it is a batch if the server has sealed it: the entries of the torn batch may hold bytes that look
//! like a header, since who signs an order chooses some of them.

use wire::batch::{BATCH_HEADER_BYTES, BATCH_MAGIC, BatchHeader};

use super::SECTOR_BYTES;
use super::batch::{BATCH_BYTES_MAX, END_MARKER, HeaderFault, batch_bytes, decode_header};
use super::bytes::{is_zero, len_without_zeros};
use super::error::{Damage, Newer};

/// What stands at a place of a segment.
pub(super) enum Found<'a> {
    /// A batch that matches its checksums. The next one begins at `end`.
    Batch { header: BatchHeader, entries: &'a [u8], end: usize },
    /// Nothing, up to the end of the file.
    End,
    /// A batch that was being written when everything stopped, and nothing behind it. Everything from
    /// `end` on is zero; it lies behind the end of the file if that ends early. The header is there if
    /// it was written.
    Torn { header: Option<BatchHeader>, end: usize },
}

/// Why a place of a segment cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// A newer version wrote it.
    Newer(Newer),
    /// It is not what was written.
    Damaged(Damage),
}

/// Looks at what stands at `at` in the bytes of a whole segment. `is_genuine` says whether a header that stands
/// somewhere behind it is that of a later batch, and not some bytes of an entry.
pub(super) fn batch_at(
    bytes: &[u8],
    at: usize,
    is_genuine: impl Fn(&BatchHeader) -> bool,
) -> Result<Found<'_>, Fault> {
    match decode_header(&bytes[at..]) {
        Ok(header) => with_header(bytes, at, header),
        Err(HeaderFault::NotIntact) => without_header(bytes, at, is_genuine),
        Err(HeaderFault::Newer(newer)) => Err(Fault::Newer(newer)),
        Err(HeaderFault::Damaged(damage)) => Err(Fault::Damaged(damage)),
    }
}

fn with_header(bytes: &[u8], at: usize, header: BatchHeader) -> Result<Found<'_>, Fault> {
    let end = at + batch_bytes(&header);
    if let Some(batch) = bytes.get(at..end) {
        let (entries, marker) = batch[BATCH_HEADER_BYTES..].split_at(header.byte_len as usize);
        if marker == END_MARKER && crc32c::crc32c(entries) == header.entries_checksum {
            return Ok(Found::Batch { header, entries, end });
        }
    }
    let nothing_behind = is_zero(bytes.get(end..).unwrap_or_default());
    let end_is_missing = bytes.get(end - 1).is_none_or(|last| *last == 0);
    if nothing_behind && (end_is_missing || is_part_missing(bytes, at, end)) {
        return Ok(Found::Torn { header: Some(header), end });
    }
    Err(Fault::Damaged(Damage::BatchEntries))
}

fn without_header(
    bytes: &[u8],
    at: usize,
    is_genuine: impl Fn(&BatchHeader) -> bool,
) -> Result<Found<'_>, Fault> {
    let rest = &bytes[at..];
    let used = len_without_zeros(rest);
    if used == 0 {
        return Ok(Found::End);
    }
    // The length of the batch is not known, so the sectors are looked at to their ends. That is no
    // less strict: a sector that holds the end of the batch holds the marker, which is not zero.
    let header_end = (at + BATCH_HEADER_BYTES).next_multiple_of(SECTOR_BYTES);
    let end_is_missing = used < BATCH_HEADER_BYTES;
    let begin_is_missing = rest[0] == 0;
    let torn = (begin_is_missing || end_is_missing || is_part_missing(bytes, at, header_end))
        && used <= BATCH_HEADER_BYTES + BATCH_BYTES_MAX + END_MARKER.len()
        && !has_batch(&rest[1..], is_genuine);
    if torn {
        Ok(Found::Torn { header: None, end: at + used.max(BATCH_HEADER_BYTES) })
    } else {
        Err(Fault::Damaged(Damage::BatchHeader))
    }
}

/// Whether some sector's part of the bytes from `at` to `end` is zero or beyond the end of the file.
fn is_part_missing(bytes: &[u8], at: usize, end: usize) -> bool {
    let mut start = at;
    while start < end {
        let part_end = (start + 1).next_multiple_of(SECTOR_BYTES).min(end);
        if bytes.get(start..part_end).is_none_or(is_zero) {
            return true;
        }
        start = part_end;
    }
    false
}

/// Whether the header of a batch stands anywhere in the bytes. One that cannot be read, since it is of a newer
/// version or out of bounds, is vouched for by nobody.
fn has_batch(bytes: &[u8], is_genuine: impl Fn(&BatchHeader) -> bool) -> bool {
    let mut places =
        bytes.windows(BATCH_HEADER_BYTES).filter(|place| place.starts_with(&BATCH_MAGIC));
    places.any(|place| decode_header(place).is_ok_and(|header| is_genuine(&header)))
}
