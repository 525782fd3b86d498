//! What may happen to the files of a journal.

use actors::ledger::journal::MemoryStorage;
use wire::batch::{BATCH_HEADER_BYTES, BATCH_MAGIC};

use super::{SEGMENT_HEADER_BYTES, files};

const SECTOR_BYTES: usize = 512;

/// What is changed of a file lies within so many bytes of its beginning: all that is used, and more.
const REACH_BYTES: usize = 8 << 10;

/// One thing that happens to one file: what, which, where (two bytes), and two numbers more.
pub(super) fn change(storage: &MemoryStorage, [what, which, low, high, a, b]: [u8; 6]) {
    let files = files(storage);
    let Some((name, bytes)) = files.get(usize::from(which) % files.len().max(1)) else { return };
    let mut bytes = bytes.clone();
    let at = usize::from(u16::from_le_bytes([low, high])) % REACH_BYTES;
    let sector = at / SECTOR_BYTES * SECTOR_BYTES;
    match what % 9 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= a),
        1 => bytes.iter_mut().skip(at).take(a.into()).for_each(|byte| *byte = b),
        2 => bytes.iter_mut().skip(sector).take(SECTOR_BYTES).for_each(|byte| *byte = 0),
        3 => bytes.truncate(at),
        4 => bytes.truncate(sector),
        5 => bytes.resize(bytes.len() + usize::from(a) * SECTOR_BYTES, 0),
        6 => {
            // A part of the file stands at another place, too.
            let from = usize::from(b) * 16;
            let part: Vec<u8> = bytes.iter().skip(from).take(usize::from(a) * 8).copied().collect();
            bytes.iter_mut().skip(at).zip(part).for_each(|(byte, part)| *byte = part);
        }
        7 => return remove(storage, name),
        _ => {
            let stem = if a % 2 == 0 { "journal" } else { "snapshot" };
            let end = if a / 2 % 4 == 3 { "tmp" } else { "mite" };
            return storage.write(&format!("{stem}-{b:020}.{end}"), bytes);
        }
    }
    storage.write(name, bytes);
}

fn remove(storage: &MemoryStorage, name: &str) {
    use actors::ledger::journal::Storage as _;
    storage.remove(name).expect("it is listed");
    storage.sync().expect("memory does not fail");
}

/// Makes every checksum of a segment right that can be: of its header, and of each batch in a row.
pub(super) fn mend(segment: &mut [u8]) {
    seal(segment.get_mut(..SEGMENT_HEADER_BYTES));
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(header) = segment.get(at..at + BATCH_HEADER_BYTES)
        && header.starts_with(&BATCH_MAGIC)
    {
        let length = u32::from_le_bytes([header[40], header[41], header[42], header[43]]);
        let entries = at + BATCH_HEADER_BYTES;
        let end = usize::try_from(length).ok().and_then(|length| entries.checked_add(length));
        let end = end.filter(|end| *end <= segment.len());
        if let Some(end) = end {
            let sum = crc32c::crc32c(&segment[entries..end]);
            segment[at + 44..at + 48].copy_from_slice(&sum.to_le_bytes());
        }
        seal(segment.get_mut(at..entries));
        let Some(end) = end else { return };
        // Behind the marker.
        at = end + 4;
    }
}

/// The last four bytes of a header are the checksum of the others.
fn seal(header: Option<&mut [u8]>) {
    if let Some((content, sum)) = header.and_then(<[u8]>::split_last_chunk_mut::<4>) {
        *sum = crc32c::crc32c(content).to_le_bytes();
    }
}
