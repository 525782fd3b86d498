//! Files that are kept for ever: their bytes never change, and they can always be read.
//!
//! `v1` is from before there were seals. After a deliberate change of a format, which takes a new version
//! number and new files beside the old ones: `MITE_WRITE_GOLDEN=1 cargo test -p actors golden`.

use std::fs;
use std::path::{Path, PathBuf};

use wire::{Authority, Entry};

use super::super::Snapshot;
use super::*;
use crate::ledger::state::OperatorCommand;

const SNAPSHOT: &str = "snapshot-00000000000000000003.mite";

fn directory(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger/journal/testdata").join(version)
}

fn golden(version: &str, name: &str) -> Vec<u8> {
    fs::read(directory(version).join(name)).expect("a golden file")
}

/// What the files of the first version hold. No rule kept two accounts from one key then.
fn entries_of_v1() -> Vec<Entry> {
    let opened = |account, name: &str, access, grant| Entry::AccountOpened {
        account: AccountId::new(account),
        name: name.parse().expect("a valid name"),
        access,
        grant: Amount::new(grant),
    };
    let transferred = |payer, payee, amount| Entry::Transferred {
        payer: AccountId::new(payer),
        payee: AccountId::new(payee),
        amount: Amount::new(amount),
        authority: Authority::Text,
    };
    let keyed = Access::Keyed(PublicKey::new([0; 32]));
    vec![
        opened(0, "alice", Access::Open, 1000),
        opened(1, "bob", Access::Open, 1000),
        transferred(0, 1, 10),
        opened(2, "carol", keyed, 0),
        opened(3, "dave", keyed, 0),
        transferred(1, 0, 1),
        transferred(1, 2, 500),
        opened(4, "Eve", Access::Open, u64::MAX / 2),
        transferred(4, 1, 1 << 40),
        transferred(1, 4, 1),
    ]
}

/// A journal with seals, and a snapshot of the second version in the middle of it.
fn written() -> (Small, Vec<(String, Vec<u8>)>) {
    let small = journal_of(signed_commands(), 4096);
    Snapshot::capture(&small.states[3], &TERMS.server)
        .store(&small.storage, &small.committed[3])
        .expect("memory does not fail");
    let files = files(&small.storage);
    (small, files)
}

#[test]
fn the_bytes_of_both_formats_are_frozen() {
    write_or_compare("v1-sealed", &written().1);
}

/// Compares with the files that are kept, or writes them if that is asked for.
fn write_or_compare(version: &str, files: &[(String, Vec<u8>)]) {
    let directory = directory(version);
    if std::env::var_os("MITE_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(&directory).expect("the source tree");
        for (name, bytes) in files {
            fs::write(directory.join(name), bytes).expect("the source tree");
        }
    }
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [FIRST_SEGMENT, SNAPSHOT]);
    for (name, bytes) in files {
        assert!(golden(version, name) == *bytes, "{name} is written in another way than it was");
    }
}

/// What the operator does, and a snapshot of the third version in the middle of it.
fn operated() -> (Small, Vec<(String, Vec<u8>)>) {
    let operate = |command| Command::Operate(Box::new(command));
    let account = || "alice".parse().expect("a valid name");
    let id = |text: &str| text.parse().expect("an id");
    let (some, few) = (Amount::new(500), Amount::new(20));
    let batches = vec![
        vec![opening("alice", 1000), opening("bob", 1000)],
        vec![operate(OperatorCommand::Deposit {
            account: account(),
            amount: some,
            id: id("in-1"),
        })],
        vec![
            operate(OperatorCommand::Withdraw { account: account(), amount: few, id: id("out-1") }),
            operate(OperatorCommand::Freeze {
                account: account(),
                reason: "suspected".parse().expect("a reason"),
            }),
        ],
        vec![operate(OperatorCommand::Unfreeze { account: account() })],
        vec![transfer("alice", ("bob", 1), 10)],
    ];
    let small = journal_of(batches, 4096);
    Snapshot::capture(&small.states[3], &TERMS.server)
        .store(&small.storage, &small.committed[3])
        .expect("memory does not fail");
    let files = files(&small.storage);
    (small, files)
}

#[test]
fn the_bytes_of_what_the_operator_does_are_frozen() {
    let (small, files) = operated();
    write_or_compare("v1-operated", &files);
    let storage = MemoryStorage::new();
    storage.write(FIRST_SEGMENT, golden("v1-operated", FIRST_SEGMENT));
    let (_, state) = open(&storage, 4096).expect("the segment alone");
    assert_eq!(state, small.states[5]);
    storage.write(SNAPSHOT, golden("v1-operated", SNAPSHOT));
    let (_, state) = open(&storage, 4096).expect("the segment and the snapshot");
    assert_eq!(state, small.states[5]);
    storage.remove(FIRST_SEGMENT).expect("it is there");
    assert_eq!(expect_missing(open(&storage, 4096)), (3, 3));
}

#[test]
fn frozen_sealed_files_can_be_read() {
    let (small, _) = written();
    let storage = MemoryStorage::new();
    storage.write(FIRST_SEGMENT, golden("v1-sealed", FIRST_SEGMENT));
    let (journal, state) = open(&storage, 4096).expect("the segment alone");
    assert_eq!((&state, journal.last()), (&small.states[5], &small.committed[5]));
    storage.write(SNAPSHOT, golden("v1-sealed", SNAPSHOT));
    let (_, state) = open(&storage, 4096).expect("the segment and the snapshot");
    assert_eq!(state, small.states[5]);
    storage.remove(FIRST_SEGMENT).expect("it is there");
    assert_eq!(expect_missing(open(&storage, 4096)), (3, 3));
}

#[test]
fn frozen_files_of_the_first_version_can_be_read() {
    let mut expected = State::default();
    for entry in entries_of_v1() {
        expected.replay(&entry).expect("it was allowed then");
    }
    let storage = MemoryStorage::new();
    storage.write(FIRST_SEGMENT, golden("v1", FIRST_SEGMENT));
    let (journal, state) = open(&storage, 2048).expect("the segment alone");
    assert_eq!((&state, journal.last().batch.get()), (&expected, 5));

    storage.write(SNAPSHOT, golden("v1", SNAPSHOT));
    let (_, state) = open(&storage, 2048).expect("the segment and the snapshot");
    assert_eq!(state, expected);

    // Sealed batches follow those that nobody has sealed, in the same segment and over restarts.
    let longer = storage.copy();
    for name in ["zoe", "yan"] {
        let (mut journal, mut state) = open(&longer, 2048).expect("intact");
        commit(&mut journal, &mut state, vec![opening(name, 1)]).expect("memory does not fail");
        assert_eq!(open(&longer, 2048).expect("intact").1, state);
    }

    // Only the snapshot can know what it is asked for here: the journal must miss the batches.
    storage.remove(FIRST_SEGMENT).expect("it is there");
    assert_eq!(expect_missing(open(&storage, 2048)), (3, 3));
}
