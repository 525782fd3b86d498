//! Segments that are made ahead.

use std::thread;
use std::time::Duration;

use super::super::spare::SPARE_NAME;
use super::writing::{Fault, Faulty};
use super::*;

/// Commits payments of 64 KiB, and gives the next segment the time that it needs.
fn commit_much(journal: &mut Journal, state: &mut State) -> Result<Committed, JournalError> {
    let mut commands = vec![transfer("alice", ("bob", 1), 1); 2048];
    if state.next_entry().get() == 0 {
        commands = vec![opening("alice", 1 << 40), opening("bob", 0)];
    }
    let committed = commit(journal, state, commands);
    while journal.spare.as_ref().is_some_and(|spare| !spare.has_room(0)) {
        thread::sleep(Duration::from_millis(1));
    }
    committed
}

fn segments(storage: &MemoryStorage) -> Vec<(String, usize)> {
    let files = files(storage).into_iter();
    files.map(|(name, bytes)| (name, bytes.len())).collect()
}

/// The story: each time that a segment grows, everybody waits for the disk to write mebibytes of zeros.
#[test]
fn the_next_segment_is_there_before_it_is_needed() {
    const SEGMENT_BYTES: u64 = 1 << 20;
    let storage = MemoryStorage::new();
    let (mut journal, mut state) = open(&storage, SEGMENT_BYTES).expect("an empty directory");
    let mut steps = Vec::new();
    for _ in 0..40 {
        commit_much(&mut journal, &mut state).expect("memory does not fail");
        let lengths: Vec<_> = segments(&storage).into_iter().map(|(_, len)| len >> 10).collect();
        if steps.last() != Some(&lengths) {
            steps.push(lengths);
        }
    }
    // The first one grows, while it is small; behind 256 KiB, each one is made whole. The last of each
    // is the next one, under another name.
    let expected: [&[usize]; 6] = [
        &[64],
        &[128],
        &[256, 512],
        &[256, 512, 1024],
        &[256, 512, 1024, 1024],
        &[256, 512, 1024, 1024, 1024],
    ];
    assert!(steps.iter().map(Vec::as_slice).eq(expected), "{steps:?}");
    let (name, _) = segments(&storage).pop().expect("several");
    assert_eq!(name, SPARE_NAME);
    assert_eq!(open(&storage.copy(), SEGMENT_BYTES).expect("intact").1, state);

    drop(journal);
    assert_eq!(storage.read(SPARE_NAME), None, "nobody needs it any more");
    storage.write(SPARE_NAME, vec![0; 1000]);
    assert_eq!(open(&storage, SEGMENT_BYTES).expect("intact").1, state);
    assert_eq!(storage.read(SPARE_NAME), None, "a crash has left it behind");
}

/// Every operation of a journal that begins segments made ahead fails once, also those on the thread
/// that makes them, and then the power goes.
#[test]
fn no_failure_loses_what_was_answered() {
    const SEGMENT_BYTES: u64 = 256 << 10;
    for (at, keep) in (2..50).flat_map(|at| [(at, false), (at, true)]) {
        let storage = MemoryStorage::new();
        let faulty = Faulty::new(storage.clone(), Fault::Nothing, at);
        let (mut journal, mut state) = open(&faulty, SEGMENT_BYTES).expect("no fault yet");
        let (mut answered, mut under_way) = (State::default(), State::default());
        for _ in 0..10 {
            let committed = commit_much(&mut journal, &mut state);
            under_way = state.clone();
            if committed.is_err() {
                break;
            }
            answered = state.clone();
        }
        drop(journal);
        storage.crash(|_, _| keep);
        let rebuilt = open(&storage, SEGMENT_BYTES).expect("no damage").1;
        assert!(rebuilt == answered || rebuilt == under_way, "operation {at}");
    }
}
