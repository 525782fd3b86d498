//! The headers of a journal's batches, without their entries: how large batches are, and when they were
//! written. Nothing is checked but the headers themselves.

use wire::BatchNumber;
use wire::batch::{BATCH_HEADER_BYTES, BatchHeader};

use super::batch::batch_bytes;
use super::error::{IoFailure, OpenError, Operation};
use super::segment::{SEGMENT_HEADER_BYTES, open, parse_segment_name, segment_name};
use super::storage::Storage;

/// Calls `each` with the header of every batch in `storage`, in order.
///
/// # Errors
/// [`OpenError::Io`] if a file cannot be read.
pub fn read_headers(
    storage: &dyn Storage,
    mut each: impl FnMut(&BatchHeader),
) -> Result<(), OpenError> {
    let names = storage.list().map_err(IoFailure::of(Operation::List, "."))?;
    let mut segments: Vec<BatchNumber> =
        names.iter().filter_map(|name| parse_segment_name(name)).collect();
    segments.sort_unstable();
    for first in segments {
        let name = segment_name(first);
        let (file, len) = open(storage, &name)?;
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        while offset + BATCH_HEADER_BYTES as u64 <= len {
            let mut header = [0; BATCH_HEADER_BYTES];
            let failed = IoFailure::of(Operation::Read, &name);
            file.read_exact_at(&mut header, offset).map_err(failed)?;
            // Behind the last batch there are zeros, or one that is being written.
            let Ok(header) = BatchHeader::decode(&header) else { break };
            each(&header);
            offset += batch_bytes(&header) as u64;
        }
    }
    Ok(())
}
