//! The journal in a real directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::storage::{create_directory, parent};
use super::super::{DataDirError, DiskStorage, Snapshot};
use super::*;

fn open_disk(storage: DiskStorage) -> (Journal, State) {
    let options = JournalOptions { segment_bytes: 600 };
    Journal::open(Arc::new(storage), server_key(), options, &log()).expect("intact")
}

#[test]
fn a_directory_holds_the_same_bytes_as_memory() {
    let small = small(600);
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("new").join("data");
    let mut model = State::default();
    for commands in small_commands() {
        let storage = DiskStorage::open(&path).expect("nobody else has it");
        assert_eq!(storage.path(), path);
        let (mut journal, mut state) = open_disk(storage);
        assert_eq!(state, model);
        commit(&mut journal, &mut state, commands).expect("the disk works");
        model = state;
    }
    for (name, bytes) in files(&small.storage) {
        assert_eq!(fs::read(path.join(&name)).expect("the same files"), bytes, "{name}");
    }
    let storage = DiskStorage::open(&path).expect("nobody else has it");
    Snapshot::capture(&model, &TERMS.server)
        .store(&storage, &small.committed[5])
        .expect("the disk works");
    assert_eq!(open_disk(storage).1, model);

    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o700);
    for file in fs::read_dir(&path).expect("there") {
        let file = file.expect("there").path();
        assert_eq!(mode(&file) & 0o777, 0o600, "{}", file.display());
    }
}

/// The story: a power cut takes a directory whose name was not durable, and the journal in it, although
/// everything below was synced.
#[test]
fn every_level_that_is_made_is_synced_in_its_parent() {
    let top = tempfile::tempdir().expect("a temporary directory");
    let (a, b) = (top.path().join("a"), top.path().join("a/b"));
    for (path, expected) in
        [(b.join("c"), vec![top.path(), &a, &b]), (b.join("d"), vec![&b]), (b.join("d"), vec![])]
    {
        let mut synced = Vec::new();
        let sync = |parent: &Path| {
            synced.push(parent.to_owned());
            Ok(())
        };
        create_directory(&path, sync).expect("writable");
        assert!(path.is_dir());
        assert_eq!(synced, expected, "{}", path.display());
    }
    let fails = |_: &Path| Err(io::Error::other("the disk fails"));
    create_directory(&b.join("e"), fails).expect_err("it may not be durable");
    assert_eq!(parent(Path::new("data")), Path::new("."));
}

/// Set for the copy of this test that runs as another process.
const OTHER_PROCESS: &str = "MITE_TEST_LOCKED_DIRECTORY";

#[test]
fn one_process_has_a_directory() {
    if let Some(path) = std::env::var_os(OTHER_PROCESS) {
        let error = DiskStorage::open(&path).expect_err("the parent process has it");
        assert!(matches!(error, DataDirError::Locked { .. }), "{error}");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let held = DiskStorage::open(directory.path()).expect("nobody else has it");
    let error = DiskStorage::open(directory.path()).expect_err("it is held");
    assert!(matches!(&error, DataDirError::Locked { path } if path == directory.path()));
    let other = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["one_process_has_a_directory", "--test-threads=1"])
        .env(OTHER_PROCESS, directory.path())
        .output()
        .expect("a second process");
    let output = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.success() && output.contains("1 passed"), "{output}");
    drop(held);
    DiskStorage::open(directory.path()).expect("given back");
}

#[test]
fn unusable_directories_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, b"").expect("writable");
    for path in [file.clone(), file.join("below")] {
        let error = DiskStorage::open(&path).expect_err("a file is in the way");
        assert!(matches!(&error, DataDirError::Create { path: p, .. } if *p == path), "{error}");
    }
    // Not a matter of permissions, which do not bind every user, but as unwritable.
    let path = directory.path().join("data");
    fs::create_dir_all(path.join("lock")).expect("writable");
    let error = DiskStorage::open(&path).expect_err("the lock cannot be opened");
    assert!(matches!(&error, DataDirError::NotWritable { path: p, .. } if *p == path), "{error}");
}
