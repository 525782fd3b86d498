//! Files that are kept for ever: their bytes never change, and they can always be read.
//!
//! After a deliberate change of the format, which takes a new version number and new files beside the
//! old ones: `MITE_WRITE_GOLDEN=1 cargo test -p actors golden`.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::Snapshot;
use super::*;

const SNAPSHOT: &str = "snapshot-00000000000000000003.mite";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger/journal/testdata/v1")
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(directory().join(name)).expect("a golden file")
}

fn written() -> (Small, Vec<(String, Vec<u8>)>) {
    let small = small(2048);
    Snapshot::capture(&small.states[3])
        .store(&small.storage, &small.committed[3])
        .expect("memory does not fail");
    let files = files(&small.storage);
    (small, files)
}

#[test]
fn the_bytes_of_both_formats_are_frozen() {
    let (_, files) = written();
    if std::env::var_os("MITE_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(directory()).expect("the source tree");
        for (name, bytes) in &files {
            fs::write(directory().join(name), bytes).expect("the source tree");
        }
    }
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [FIRST_SEGMENT, SNAPSHOT]);
    for (name, bytes) in &files {
        assert!(golden(name) == *bytes, "{name} is written in another way than it was");
    }
}

#[test]
fn frozen_files_can_be_read() {
    let small = small(2048);
    let storage = MemoryStorage::new();
    storage.write(FIRST_SEGMENT, golden(FIRST_SEGMENT));
    let (journal, state) = open(&storage, 2048).expect("the segment alone");
    assert_eq!((&state, journal.last()), (&small.states[5], &small.committed[5]));

    storage.write(SNAPSHOT, golden(SNAPSHOT));
    let (_, state) = open(&storage, 2048).expect("the segment and the snapshot");
    assert_eq!(state, small.states[5]);

    // Only the snapshot can know what it is asked for here: the journal must miss the batches.
    storage.remove(FIRST_SEGMENT).expect("it is there");
    assert_eq!(expect_missing(open(&storage, 2048)), (3, 3));
}
