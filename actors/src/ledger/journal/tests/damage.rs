//! Bytes that are not what was written: refused with their place, and nothing changed.

use super::super::segment::segment_name;
use super::super::{Newer, SECTOR_BYTES, Snapshot};
use super::torn::batch_ends;
use super::*;
use wire::BatchNumber;

/// The story: a journal that takes every bad last batch for a torn one drops a payment that was
/// answered, silently, because one bit of it rotted.
#[test]
fn no_flipped_byte_goes_unseen() {
    for segment_bytes in [4096, 600, 1] {
        let small = small(segment_bytes);
        let files = files(&small.storage);
        let last = files.len() - 1;
        for (number, (name, bytes)) in files.iter().enumerate() {
            let used = *batch_ends(bytes).last().expect("a batch in each segment");
            for at in 0..bytes.len() {
                for flip in [1 << (at % 8), 0xFF] {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= flip;
                    let storage = small.storage.copy();
                    storage.write(name, flipped.clone());
                    let opened = open(&storage, segment_bytes);
                    if number == last
                        && at >= used
                        && let Ok((_, state)) = &opened
                    {
                        // Something was written behind the last batch, and not wholly: cut off.
                        assert_eq!(state, &small.states[5], "{name}, {at}");
                        assert_eq!(storage.read(name).as_ref(), Some(bytes));
                        continue;
                    }
                    let (file, offset, ..) = expect_damage(opened);
                    assert_eq!((&file, offset), (name, begin_of(bytes, at)), "{name}, {at}");
                    assert_eq!(storage.read(name), Some(flipped), "nothing is changed");
                }
            }
        }
    }
}

/// Where the batch, the header or the unused rest that holds the byte begins.
fn begin_of(bytes: &[u8], at: usize) -> u64 {
    let ends = [60].into_iter().chain(batch_ends(bytes));
    ends.take_while(|end| *end <= at).last().unwrap_or(0) as u64
}

/// Sectors that the disk lost, in front of batches that are there, are not the work of a crash.
#[test]
fn a_zeroed_sector_before_the_last_batch_is_damage() {
    let storage = MemoryStorage::new();
    let (mut journal, mut state) = open(&storage, 1 << 14).expect("an empty directory");
    for n in 0..6 {
        let commands = (0..20).map(|m| opening(&format!("n{n}-{m}"), 5)).collect();
        commit(&mut journal, &mut state, commands).expect("memory does not fail");
    }
    let bytes = storage.read(FIRST_SEGMENT).expect("the segment");
    let ends = batch_ends(&bytes);
    for start in (0..ends[4]).step_by(SECTOR_BYTES) {
        let mut image = bytes.clone();
        image[start..start + SECTOR_BYTES].fill(0);
        storage.write(FIRST_SEGMENT, image);
        let (file, offset, _, what) = expect_damage(open(&storage, 1 << 14));
        assert_eq!((file.as_str(), offset), (FIRST_SEGMENT, begin_of(&bytes, start)), "{what}");
    }
}

#[test]
fn a_torn_batch_that_is_not_the_last_is_damage() {
    let small = small(600);
    let bytes = small.storage.read(FIRST_SEGMENT).expect("the segment");
    let ends = batch_ends(&bytes);
    assert!(ends.len() > 1, "two batches in the first segment");
    let cut = ends[ends.len() - 2] + 200;
    small.storage.write(FIRST_SEGMENT, bytes[..cut].to_vec());
    let (file, offset, _, what) = expect_damage(open(&small.storage, 600));
    assert_eq!((file.as_str(), offset), (FIRST_SEGMENT, ends[ends.len() - 2] as u64));
    assert!(matches!(what, Damage::BatchIncomplete), "{what}");
    // At the end of a batch, nothing is torn, but the next segment does not follow.
    small.storage.write(FIRST_SEGMENT, bytes[..ends[ends.len() - 2]].to_vec());
    let missing = ends.len() as u64;
    assert_eq!(expect_missing(open(&small.storage, 600)), (missing, missing));
}

#[test]
fn missing_segments_are_missed() {
    let small = small(1);
    let name = |n| segment_name(BatchNumber::new(n));
    for (removed, missing) in
        [(vec![1], (1, 1)), (vec![1, 2], (1, 2)), (vec![3], (3, 3)), (vec![2, 3, 4], (2, 4))]
    {
        let storage = small.storage.copy();
        for n in removed {
            storage.remove(&name(n)).expect("it is there");
        }
        assert_eq!(expect_missing(open(&storage, 1)), missing);
    }
    // The last ones are missed by the snapshot only.
    let storage = small.storage.copy();
    Snapshot::capture(&small.states[5], &TERMS.server)
        .store(&storage, &small.committed[5])
        .expect("memory does not fail");
    storage.remove(&name(5)).expect("it is there");
    assert_eq!(expect_missing(open(&storage, 1)), (5, 5));
    storage.remove(&name(4)).expect("it is there");
    assert_eq!(expect_missing(open(&storage, 1)), (4, 5));
    for n in 1..=3 {
        storage.remove(&name(n)).expect("it is there");
    }
    assert_eq!(expect_missing(open(&storage, 1)), (5, 5));
    // A segment that was never begun, but not the next one.
    let storage = small.storage.copy();
    storage.write(&name(9), Vec::new());
    assert_eq!(expect_missing(open(&storage, 1)), (6, 8));
}

/// Each file is intact, but they are not of one history.
#[test]
fn files_of_another_history_are_refused() {
    let ours = small(1);
    let theirs = MemoryStorage::new();
    let (mut journal, mut state) = open(&theirs, 1).expect("an empty directory");
    for n in 0..5 {
        commit(&mut journal, &mut state, vec![opening(&format!("n{n}"), 9)]).expect("memory");
    }
    for n in 2..=5 {
        let name = segment_name(BatchNumber::new(n));
        let storage = ours.storage.copy();
        storage.write(&name, theirs.read(&name).expect("one each"));
        let (file, offset, batch, what) = expect_damage(open(&storage, 1));
        assert_eq!((file.as_str(), offset, batch), (name.as_str(), 0, n));
        assert!(matches!(what, Damage::SegmentChain), "{what}");
    }
    let storage = small(4096).storage;
    let other = Snapshot::capture(&state, &TERMS.server);
    other
        .store(&storage, &Committed { batch: BatchNumber::new(3), ..*journal.last() })
        .expect("ok");
    let (_, _, batch, what) = expect_damage(open(&storage, 4096));
    assert!(batch == 3 && matches!(what, Damage::NotOfSnapshot), "{batch}: {what}");
    let renamed = ours.storage.copy();
    renamed
        .rename(&segment_name(BatchNumber::new(5)), &segment_name(BatchNumber::new(6)))
        .expect("");
    assert_eq!(expect_missing(open(&renamed, 1)), (5, 5));
    let first = ours.storage.read(FIRST_SEGMENT).expect("the segment");
    renamed.write(&segment_name(BatchNumber::new(5)), first);
    let (_, _, _, what) = expect_damage(open(&renamed, 1));
    assert!(matches!(what, Damage::SegmentNumber(n) if n.get() == 1), "{what}");
}

/// Headers whose checksum is right, so that somebody wrote them, but not to be read by this version.
#[test]
fn what_a_newer_version_wrote_is_named() {
    let bytes = small(4096).storage.read(FIRST_SEGMENT).expect("the segment");
    for (begin, len, field, expected) in [
        (0, 60, 8, Newer::Version(0x0101)),
        (60, 180, 8, Newer::Version(0x0101)),
        (60, 180, 10, Newer::Flags(0x0101)),
    ] {
        let mut newer = bytes.clone();
        newer[begin + field + 1] = 1;
        fix_checksum(&mut newer[begin..begin + len]);
        let storage = MemoryStorage::new();
        storage.write(FIRST_SEGMENT, newer);
        match open(&storage, 4096) {
            Err(OpenError::Newer { file, offset, what }) => {
                assert_eq!((file.as_str(), what), (FIRST_SEGMENT, expected));
                assert_eq!(offset, begin as u64);
            }
            other => panic!("{:?}", other.map(|(journal, _)| *journal.last())),
        }
    }
}

type Check = fn(&Damage) -> bool;

/// One wrong field a row, in the second batch, under a checksum that is right.
#[test]
fn every_field_of_a_batch_is_checked() {
    let bytes = small(4096).storage.read(FIRST_SEGMENT).expect("the segment");
    let begin = batch_ends(&bytes)[0];
    let end = batch_ends(&bytes)[1];
    let rows: [(usize, u8, Check); 9] = [
        (12, 0, |what| matches!(what, Damage::BatchBounds { entries: 0, .. })),
        (12, 200, |what| matches!(what, Damage::BatchBounds { entries: 200, .. })),
        (12, 2, |what| matches!(what, Damage::Entry { .. })),
        (16, 9, |what| matches!(what, Damage::WrongBatchNumber(n) if n.get() == 9)),
        (24, 9, |what| matches!(what, Damage::WrongEntryNumber { found, .. } if found.get() == 9)),
        (37, 0, |what| matches!(what, Damage::TimeGoesBack)),
        (43, 1, |what| matches!(what, Damage::BatchBounds { .. })),
        (44, 7, |what| matches!(what, Damage::BatchEntries)),
        (50, 7, |what| matches!(what, Damage::WrongPreviousHead)),
    ];
    for (field, value, check) in rows {
        let mut image = bytes.clone();
        assert_ne!(image[begin + field], value, "a row that changes nothing");
        image[begin + field] = value;
        fix_checksum(&mut image[begin..begin + 180]);
        let what = second_batch_damage(image, begin);
        assert!(check(&what), "byte {field} = {value}: {what}");
    }
    // An entry that can be decoded but not have happened: the payer is the payee.
    let mut image = bytes.clone();
    image[begin + 180 + 4] = 1;
    fix_entries(&mut image[begin..end - 4]);
    let what = second_batch_damage(image, begin);
    assert!(matches!(what, Damage::Rules { entry, .. } if entry.get() == 2), "{what}");
    // A byte more than the entries take: the marker's first, and a marker behind it.
    let mut image = bytes.clone();
    image[begin + 40] += 1;
    image[end - 3..=end].copy_from_slice(b"EndB");
    fix_entries(&mut image[begin..=end - 4]);
    let what = second_batch_damage(image, begin);
    assert!(matches!(what, Damage::BytesLeft(1)), "{what}");
}

fn second_batch_damage(image: Vec<u8>, begin: usize) -> Damage {
    let storage = MemoryStorage::new();
    storage.write(FIRST_SEGMENT, image);
    let (file, offset, batch, what) = expect_damage(open(&storage, 4096));
    assert_eq!((file.as_str(), offset, batch), (FIRST_SEGMENT, begin as u64, 2), "{what}");
    what
}

fn fix_entries(batch: &mut [u8]) {
    let checksum = crc32c::crc32c(&batch[180..]);
    batch[44..48].copy_from_slice(&checksum.to_le_bytes());
    fix_checksum(&mut batch[..180]);
}

fn fix_checksum(header: &mut [u8]) {
    let (summed, checksum) = header.split_at_mut(header.len() - 4);
    checksum.copy_from_slice(&crc32c::crc32c(summed).to_le_bytes());
}
