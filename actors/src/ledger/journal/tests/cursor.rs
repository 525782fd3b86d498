//! Reading beside whoever appends: every batch in order, nothing that is not durable, nothing changed.

use wire::{BatchNumber, Entry, EntryNumber};

use super::super::segment::segment_name;
use super::super::{
    BatchCursor, BatchPosition, DataDirError, DiskStorage, JournalPlace, ReadOnlyDirectory,
    StoredBatch, Walked, read_batch,
};
use super::torn::batch_ends;
use super::*;

fn cursor(storage: &MemoryStorage) -> BatchCursor {
    BatchCursor::new(Arc::new(storage.clone()), JournalPlace::BEGIN)
}

/// All batches, and what stands behind them.
fn walk(storage: &MemoryStorage) -> Result<(Vec<StoredBatch>, Walked), OpenError> {
    let (mut cursor, mut batches) = (cursor(storage), Vec::new());
    loop {
        match cursor.walk()? {
            Walked::Batch(batch) => batches.push(*batch),
            end => return Ok((batches, end)),
        }
    }
}

fn expect_walk_damage(storage: &MemoryStorage) -> (String, u64, u64, Damage) {
    match walk(storage) {
        Err(OpenError::Damaged { file, offset, batch, what }) => (file, offset, batch.get(), what),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_batch_is_read_with_its_place() {
    for segment_bytes in [1, 600, 4096] {
        let small = small(segment_bytes);
        let before = files(&small.storage);
        let (batches, end) = walk(&small.storage).expect("intact");
        assert!(matches!(end, Walked::End), "{end:?}");
        assert_eq!(batches.len(), 5);
        let mut state = State::default();
        for ((batch, number), expected) in batches.iter().zip(1..).zip(&small.states[1..]) {
            assert_eq!(batch.header.batch.get(), number);
            for entry in &batch.entries {
                state.replay(entry).expect("the rules allow it");
            }
            assert_eq!(state, *expected);
            let alone = read_batch(&small.storage, batch.position).expect("it stands there");
            assert_eq!((&alone.header, &alone.entries), (&batch.header, &batch.entries));
        }
        assert_eq!(files(&small.storage), before, "nothing is changed");
    }
}

/// The story: an index reads a batch that is being written, or that a crash takes back.
#[test]
fn nothing_behind_the_durable_end_is_looked_at() {
    for segment_bytes in [1, 600, 4096] {
        let small = small(segment_bytes);
        let mut cursor = cursor(&small.storage);
        for committed in &small.committed {
            while let Some(batch) = cursor.next(committed.next_entry).expect("intact") {
                assert!(batch.header.next_entry() <= committed.next_entry);
            }
            assert_eq!(&cursor.place().last, committed);
        }
        let all = small.committed[5].next_entry;
        assert!(cursor.next(all).expect("nothing is read").is_none());
        // What must be there and is not is an error, not an end.
        let missing = cursor.next(EntryNumber::new(all.get() + 1));
        assert!(matches!(missing, Err(OpenError::BatchesMissing { .. })), "{missing:?}");
    }
}

/// Whoever needs nothing of a batch goes past it by its header, over the ends of segments, too.
#[test]
fn batches_that_are_skipped_are_followed_by_the_right_ones() {
    for segment_bytes in [1, 600, 4096] {
        let small = small(segment_bytes);
        let all = small.committed[5].next_entry;
        let (batches, _) = walk(&small.storage).expect("intact");
        for first in 0..batches.len() {
            let mut cursor = cursor(&small.storage);
            for batch in &batches[..first] {
                assert_eq!(cursor.skip(all).expect("intact"), Some(batch.position));
            }
            let next = cursor.next(all).expect("intact").expect("a batch is left");
            assert_eq!(
                (&next.header, &next.entries),
                (&batches[first].header, &batches[first].entries)
            );
        }
        let mut cursor = cursor(&small.storage);
        let before = small.committed[2].next_entry;
        while cursor.skip(before).expect("intact").is_some() {}
        assert_eq!(cursor.place().last, small.committed[2], "nothing behind the durable end");
    }
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let small = small(600);
    let all = small.committed[5].next_entry;
    let mut place = JournalPlace::BEGIN;
    for (expected, number) in small.committed[1..].iter().zip(1..) {
        let mut cursor = BatchCursor::new(Arc::new(small.storage.clone()), place);
        let batch = cursor.next(all).expect("intact").expect("a batch is left");
        assert_eq!(batch.header.batch.get(), number);
        place = *cursor.place();
        assert_eq!(place.last, *expected);
    }
    // The place of another journal is noticed.
    let head = [7; 32];
    let wrong = JournalPlace { last: Committed { head, ..small.committed[2] }, ..place };
    let mut cursor = BatchCursor::new(Arc::new(small.storage.clone()), wrong);
    assert!(cursor.next(all).is_err());
}

#[test]
fn entries_are_found_by_number() {
    let small = small(4096);
    let (batches, _) = walk(&small.storage).expect("intact");
    let third = &batches[2];
    assert_eq!(third.header.first_entry.get(), 3);
    let entry = |number| third.entry(EntryNumber::new(number));
    assert!(
        matches!(entry(3), Some(Entry::AccountOpened { name, .. }) if name.as_str() == "carol")
    );
    assert!(matches!(entry(5), Some(Entry::Transferred { .. })));
    assert_eq!((entry(2), entry(6)), (None, None));
}

/// What opening calls damage, a reader does, at the same place; what opening repairs, it leaves alone.
#[test]
fn a_reader_judges_as_opening_does() {
    let small = small(600);
    let files_before = files(&small.storage);
    for (name, bytes) in &files_before {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let storage = small.storage.copy();
            storage.write(name, flipped);
            let walked = walk(&storage);
            match (open(&storage.copy(), 600), walked) {
                (Ok((journal, _)), Ok((batches, _))) => {
                    assert_eq!(journal.last().batch.get(), batches.len() as u64, "{name}, {at}");
                }
                (Err(opened), Err(walked)) => {
                    assert_eq!(opened.to_string(), walked.to_string(), "{name}, {at}");
                }
                (opened, walked) => panic!("{name}, {at}: {:?}, {walked:?}", opened.err()),
            }
        }
    }
}

#[test]
fn an_unfinished_end_is_told_from_an_end() {
    let small = small(4096);
    let bytes = small.storage.read(FIRST_SEGMENT).expect("the segment");
    let ends = batch_ends(&bytes);
    for len in 0..bytes.len() {
        let storage = MemoryStorage::new();
        storage.write(FIRST_SEGMENT, bytes[..len].to_vec());
        let (batches, end) = walk(&storage).unwrap_or_else(|error| panic!("{len}: {error}"));
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(batches.len(), whole, "{len}");
        let unfinished = len > 60 && !ends.contains(&len) && len < ends[4];
        match end {
            Walked::End => assert!(!unfinished, "{len}"),
            Walked::Unfinished(position) => {
                let offset = whole.checked_sub(1).map_or(60, |last| ends[last]) as u64;
                let segment = BatchNumber::new(1);
                assert_eq!(position, BatchPosition { segment, offset }, "{len}");
                assert!(unfinished, "{len}");
            }
            Walked::Batch(_) => unreachable!("the walk has ended"),
        }
        assert_eq!(storage.read(FIRST_SEGMENT).map(|bytes| bytes.len()), Some(len));
        storage.write(&segment_name(BatchNumber::new(9)), vec![0; 600]);
        assert!(walk(&storage).is_err(), "{len}: what is missing is missed");
    }
}

#[test]
fn missing_and_foreign_segments_are_named() {
    let small = small(1);
    let name = |n| segment_name(BatchNumber::new(n));
    let storage = small.storage.copy();
    storage.remove(&name(3)).expect("it is there");
    match walk(&storage) {
        Err(OpenError::BatchesMissing { file, first, last }) => {
            assert_eq!((file, first.get(), last.get()), (name(3), 3, 3));
        }
        other => panic!("{other:?}"),
    }
    storage.write(&name(3), small.storage.read(&name(2)).expect("one each"));
    let (file, offset, batch, what) = expect_walk_damage(&storage);
    assert_eq!((file, offset, batch), (name(3), 0, 3));
    assert!(matches!(what, Damage::SegmentNumber(n) if n.get() == 2), "{what}");
}

#[test]
fn a_directory_is_read_beside_the_process_that_has_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let writer = DiskStorage::open(directory.path()).expect("nobody else has it");
    for (name, bytes) in files(&small(600).storage) {
        std::fs::write(directory.path().join(name), bytes).expect("writable");
    }
    let reader = ReadOnlyDirectory::open(directory.path()).expect("it is there");
    let mut cursor = BatchCursor::new(Arc::new(reader.clone()), JournalPlace::BEGIN);
    let mut batches = 0;
    while let Walked::Batch(_) = cursor.walk().expect("intact") {
        batches += 1;
    }
    assert_eq!(batches, 5);
    reader.create("new").map(drop).expect_err("nothing is made");
    reader.remove(FIRST_SEGMENT).expect_err("nothing is removed");
    reader.rename(FIRST_SEGMENT, "new").expect_err("nothing is renamed");
    let file = reader.open(FIRST_SEGMENT).expect("it is there");
    file.write_all_at(b"x", 0).expect_err("nothing is written");
    drop(writer);
    let gone = ReadOnlyDirectory::open(directory.path().join("gone")).expect_err("not there");
    assert!(matches!(gone, DataDirError::NotReadable { .. }), "{gone}");
}
