//! Opening what is intact: again and again, over many segments, with and without snapshots.

use std::io;

use proptest::prelude::*;

use super::super::segment::segment_name;
use super::super::{Snapshot, StorageFile, read_state};
use super::*;
use wire::BatchNumber;

/// A ledger whose disk has failed reads again what is durable, and nothing behind that.
#[test]
fn the_state_at_any_batch_can_be_read_again() {
    for segment_bytes in [1, 600, 1 << 16] {
        let Small { storage, states, committed } = small(segment_bytes);
        Snapshot::capture(&states[3], &TERMS.server)
            .store(&storage, &committed[3])
            .expect("memory does not fail");
        let before = files(&storage);
        for (state, at) in states.iter().zip(&committed) {
            let read = read_state(&storage, &TERMS.server, at, &log()).expect("it is there");
            assert_eq!(read, *state, "{segment_bytes}: {:?}", at.batch);
        }
        let last = committed.last().expect("some");
        let missing = Committed { batch: last.next_batch(), ..*last };
        let error = read_state(&storage, &TERMS.server, &missing, &log()).expect_err("not there");
        assert!(matches!(error, OpenError::BatchesMissing { .. }), "{error}");
        let other = Committed { head: [7; 32], ..*last };
        let error = read_state(&storage, &TERMS.server, &other, &log()).expect_err("another");
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert_eq!(files(&storage), before);
    }
}

#[test]
fn an_empty_directory_is_an_empty_journal() {
    let storage = MemoryStorage::new();
    let (journal, state) = open(&storage, 4096).expect("an empty directory");
    assert_eq!(*journal.last(), Committed::NOTHING);
    assert_eq!(state, State::default());
    assert_eq!(files(&storage), [], "nothing is written before the first batch");
}

#[test]
fn a_journal_goes_on_where_it_stopped() {
    for segment_bytes in [0, 1, 512, 600, 1024, 1 << 20] {
        let storage = MemoryStorage::new();
        let mut model = State::default();
        let mut last = Committed::NOTHING;
        for (round, commands) in small_commands().into_iter().enumerate() {
            let (mut journal, mut state) = open(&storage, segment_bytes).expect("intact");
            assert_eq!((&state, journal.last()), (&model, &last), "{segment_bytes}, {round}");
            last = commit(&mut journal, &mut state, commands).expect("memory does not fail");
            model = state;
        }
        let (_, state) = open(&storage, segment_bytes).expect("intact");
        assert_eq!(state, model);
        let one_each = storage.list().expect("memory does not fail").len();
        assert!(segment_bytes > 1 || one_each == 5, "{segment_bytes}: {one_each} segments");
    }
}

#[test]
fn time_never_goes_back() {
    let storage = MemoryStorage::new();
    let (mut journal, mut state) = open(&storage, 4096).expect("an empty directory");
    for (name, now, expected) in [("a", 50, 50), ("b", 40, 50), ("c", 60, 60), ("d", 0, 60)] {
        let mut batch = Batch::new(Vec::new());
        batch.push(&state.apply(opening(name, 1), &TERMS).1.expect("an entry"));
        let sealed = journal.append(&mut batch, Timestamp::new(now)).expect("memory");
        assert_eq!(sealed.committed.time.get(), expected);
        journal = open(&storage, 4096).expect("intact").0;
    }
    assert_eq!(journal.last().time.get(), 60);
}

#[test]
fn a_snapshot_stands_for_what_is_before_it() {
    for segment_bytes in [1, 600, 4096] {
        let small = small(segment_bytes);
        for at in 1..small.states.len() {
            let storage = small.storage.copy();
            Snapshot::capture(&small.states[at], &TERMS.server)
                .store(&storage, &small.committed[at])
                .expect("memory does not fail");
            // Whatever only held older batches is not even looked at.
            let first_read = (1..=at + 1).rev().find(|n| storage.read(&name_of(*n)).is_some());
            for n in 1..first_read.expect("a segment") {
                let _ = storage.remove(&name_of(n));
            }
            let (mut journal, mut state) = open(&storage, segment_bytes).expect("intact");
            assert_eq!(state, *small.states.last().expect("states"), "{segment_bytes}, {at}");
            assert_eq!(journal.last(), small.committed.last().expect("batches"));
            commit(&mut journal, &mut state, vec![opening("zoe", 7)]).expect("memory");
            assert_eq!(open(&storage, segment_bytes).expect("intact").1, state);
        }
    }
}

fn name_of(batch: usize) -> String {
    segment_name(BatchNumber::new(batch as u64))
}

#[test]
fn damaged_snapshots_are_skipped_and_old_ones_pruned() {
    let small = small(4096);
    for at in 1..=4 {
        Snapshot::capture(&small.states[at], &TERMS.server)
            .store(&small.storage, &small.committed[at])
            .expect("memory does not fail");
    }
    let names = small.storage.list().expect("memory does not fail");
    let newest = "snapshot-00000000000000000004.mite";
    let older = "snapshot-00000000000000000003.mite";
    assert_eq!(names, [FIRST_SEGMENT, older, newest]);

    let intact = small.storage.read(newest).expect("stored");
    for at in 0..intact.len() {
        let mut flipped = intact.clone();
        flipped[at] ^= 1 << (at % 8);
        small.storage.write(newest, flipped);
        // A snapshot that was believed would change the state or the place of the journal.
        let (journal, state) = open(&small.storage, 4096).expect("the older one is intact");
        assert_eq!(state, small.states[5], "{at}");
        assert_eq!(journal.last(), &small.committed[5]);
    }
    for len in 0..intact.len() {
        small.storage.write(newest, intact[..len].to_vec());
        assert_eq!(open(&small.storage, 4096).expect("as above").1, small.states[5], "{len}");
    }
    // The other one's name: intact, but not the snapshot that it says it is.
    small.storage.write(newest, small.storage.read(older).expect("stored"));
    assert_eq!(open(&small.storage, 4096).expect("as above").1, small.states[5]);
    small.storage.write(older, vec![0; 200]);
    assert_eq!(open(&small.storage, 4096).expect("the whole journal").1, small.states[5]);
}

/// A directory from which somebody else removes files at the same time.
#[derive(Clone)]
struct Shared(MemoryStorage);

impl Storage for Shared {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.0.open(name)
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.0.create(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)?;
        self.0.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn an_old_snapshot_that_is_gone_already_needs_no_removal() {
    let small = small(4096);
    let storage = Shared(small.storage.clone());
    for at in 1..=4 {
        let snapshot = Snapshot::capture(&small.states[at], &TERMS.server);
        snapshot.store(&storage, &small.committed[at]).expect("the old ones are gone, as wanted");
    }
    let names = small.storage.list().expect("memory does not fail");
    assert_eq!(names.iter().filter(|name| name.starts_with("snapshot-")).count(), 2);
}

#[test]
fn a_stored_snapshot_survives_a_power_cut() {
    let small = small(4096);
    Snapshot::capture(&small.states[4], &TERMS.server)
        .store(&small.storage, &small.committed[4])
        .expect("memory does not fail");
    let before = files(&small.storage);
    small.storage.crash(|_, _| false);
    assert_eq!(files(&small.storage), before);
}

/// The state would be right, but the journal would be asked for other batches than its name says.
#[test]
fn a_renamed_snapshot_is_not_used() {
    let small = small(1);
    let (right, wrong) = (3, "snapshot-00000000000000000004.mite");
    Snapshot::capture(&small.states[right], &TERMS.server)
        .store(&small.storage, &small.committed[right])
        .expect("memory does not fail");
    small.storage.remove(FIRST_SEGMENT).expect("it is there");
    assert_eq!(open(&small.storage, 1).expect("the snapshot stands for it").1, small.states[5]);
    small.storage.rename("snapshot-00000000000000000003.mite", wrong).expect("it is there");
    assert_eq!(expect_missing(open(&small.storage, 1)), (1, 1));
}

#[test]
fn a_half_written_snapshot_is_removed() {
    let small = small(4096);
    let temporary = "snapshot-00000000000000000005.tmp";
    small.storage.write(temporary, b"MiteSnap".to_vec());
    let (_, state) = open(&small.storage, 4096).expect("intact");
    assert_eq!(state, small.states[5]);
    assert_eq!(small.storage.read(temporary), None);
}

#[test]
#[should_panic(expected = "the state is captured behind this batch")]
fn a_snapshot_of_another_batch_is_never_stored() {
    let small = small(4096);
    let _ = Snapshot::capture(&small.states[3], &TERMS.server)
        .store(&small.storage, &small.committed[2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is committed and however often the journal is reopened in between, with snapshots or
    /// without, it holds what a model holds.
    #[test]
    fn reopening_gives_the_same_state(
        segment_bytes in prop_oneof![Just(1u64), 500..3000u64, Just(1 << 20)],
        rounds in prop::collection::vec(
            (prop::collection::vec((0..12u64, 0..12u64, 0..300u64), 1..40), 0..4u8), 1..20),
    ) {
        let storage = MemoryStorage::new();
        let (mut journal, mut state) = open(&storage, segment_bytes).expect("an empty directory");
        for (number, (commands, then)) in rounds.into_iter().enumerate() {
            let mut batch = vec![opening(&format!("n{number}"), 1000)];
            batch.extend(commands.into_iter().map(|(payer, payee, amount)| {
                transfer(&format!("n{payer}"), (&format!("n{payee}"), payee), amount)
            }));
            let last = commit(&mut journal, &mut state, batch).expect("memory does not fail");
            if then == 1 {
                Snapshot::capture(&state, &TERMS.server).store(&storage, &last).expect("memory does not fail");
            }
            if then >= 2 {
                let (reopened, rebuilt) = open(&storage, segment_bytes).expect("intact");
                prop_assert_eq!(&rebuilt, &state);
                prop_assert_eq!(*reopened.last(), last);
                journal = reopened;
            }
        }
        prop_assert_eq!(&open(&storage, segment_bytes).expect("intact").1, &state);
    }
}
