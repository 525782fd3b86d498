//! Segments that are made ahead.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::super::StorageFile;
use super::super::faulty::{Fault, Faulty};
use super::super::segment::SegmentHeader;
use super::super::spare::{SPARE_NAME, Spare};
use super::*;
use crate::ledger::background::{Background, Threads};

/// Commits payments of 64 KiB, and gives the next segment the time that it needs.
fn commit_much(journal: &mut Journal, state: &mut State) -> Result<Committed, JournalError> {
    let mut commands = vec![transfer("alice", ("bob", 1), 1); 2048];
    if state.next_entry().get() == 0 {
        commands = vec![opening("alice", 1 << 40), opening("bob", 0)];
    }
    let committed = commit(journal, state, commands);
    while journal.spare.as_ref().is_some_and(|s| !s.has_room(0) && !s.has_failed()) {
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

/// A disk of so many bytes. The next segment is made up to `spare_bytes` of its own, and then not on before
/// something did not find room.
#[derive(Clone)]
struct SmallDisk {
    inner: MemoryStorage,
    bytes: usize,
    spare_bytes: u64,
    was_full: Arc<AtomicBool>,
}

impl SmallDisk {
    fn new(bytes: usize, spare_bytes: u64) -> Self {
        Self { inner: MemoryStorage::new(), bytes, spare_bytes, was_full: Arc::default() }
    }

    fn file(&self, name: &str, inner: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(SmallDiskFile { disk: self.clone(), is_spare: name == SPARE_NAME, inner })
    }
}

impl Storage for SmallDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(name, self.inner.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(name, self.inner.create(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

struct SmallDiskFile {
    disk: SmallDisk,
    is_spare: bool,
    inner: Box<dyn StorageFile>,
}

impl StorageFile for SmallDiskFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(bytes, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let was_full = || self.disk.was_full.load(Ordering::Relaxed);
        while self.is_spare && offset >= self.disk.spare_bytes && !was_full() {
            thread::sleep(Duration::from_millis(1));
        }
        let used: usize = files(&self.disk.inner).iter().map(|(_, bytes)| bytes.len()).sum();
        let end = offset + bytes.len() as u64;
        let more = end.saturating_sub(self.inner.len()?);
        if used as u64 + more > self.disk.bytes as u64 {
            self.disk.was_full.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }
}

/// Commits until the disk is full, and says how many bytes the segments have taken then. What is made ahead
/// has `spare_bytes` before anything more is committed.
fn fill(disk: &SmallDisk, segment_bytes: u64, spare_bytes: usize) -> usize {
    let (mut journal, mut state) = open(disk, segment_bytes).expect("an empty directory");
    let mut commands = vec![opening("alice", 1 << 40), opening("bob", 0)];
    let mut answered = state.clone();
    while commit(&mut journal, &mut state, commands).is_ok() {
        commands = vec![transfer("alice", ("bob", 1), 1); 2048];
        answered = state.clone();
        while journal.spare.as_ref().is_some_and(|spare| {
            let made = disk.inner.read(SPARE_NAME).map_or(0, |bytes| bytes.len());
            made < spare_bytes && !spare.has_room(0) && !spare.has_failed()
        }) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(disk.inner.read(SPARE_NAME), None, "it gives back its room");
    drop(journal);
    let segments = segments(&disk.inner).iter().map(|(_, len)| len).sum();
    assert_eq!(open(&disk.inner, segment_bytes).expect("intact").1, answered);
    segments
}

/// The story: the next segment finds no room, counts as ready, and the present one is given up for it,
/// though it could grow; the rest of the disk belongs to a file that nobody uses.
#[test]
fn a_segment_grows_when_the_next_one_finds_no_room() {
    // 256 KiB, and not 512 more for the next one.
    let disk = SmallDisk::new(700 << 10, u64::MAX);
    assert_eq!(fill(&disk, 1 << 20, usize::MAX), 512 << 10);
}

#[test]
fn a_segment_grows_into_the_room_of_the_one_being_made() {
    // 256 KiB, as much of the next one, and not as much again.
    let disk = SmallDisk::new(700 << 10, 256 << 10);
    assert_eq!(fill(&disk, 1 << 20, 256 << 10), 512 << 10);
}

#[test]
fn a_segment_that_is_full_is_followed_though_the_next_one_took_the_room() {
    // 512 KiB, half of the next one, and not 64 KiB for another one.
    let disk = SmallDisk::new(800 << 10, 256 << 10);
    assert!(fill(&disk, 512 << 10, 256 << 10) > 512 << 10);
}

/// The story: the first segment was made and could not grow for a large batch; it was given up, and when there was
/// room, or a smaller batch, the next one could not have its name.
#[test]
fn a_first_segment_that_cannot_grow_takes_what_fits() {
    let disk = SmallDisk::new(100 << 10, u64::MAX);
    let (mut journal, mut state) = open(&disk, 1 << 20).expect("an empty directory");
    let mut answered = state.clone();
    let many = (0..4000).map(|number| opening(&format!("n{number}"), 1)).collect();
    let error = commit(&mut journal, &mut state, many).expect_err("there is no room");
    assert!(matches!(error, JournalError::Full(_)), "{error}");
    commit(&mut journal, &mut answered, vec![opening("alice", 1)]).expect("it fits");
    drop(journal);
    assert_eq!(open(&disk, 1 << 20).expect("intact").1, answered);
}

/// The story: the header of the next segment found no room, the file had its name already, and when there was
/// room, that segment could not be made.
#[test]
fn a_segment_that_gets_no_header_leaves_its_name() {
    let background: Arc<dyn Background> = Arc::new(Threads);
    // Behind these the file is whole: remove, create, write, sync, rename.
    for at in 6..9 {
        let storage = MemoryStorage::new();
        let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(storage.clone(), Fault::Nothing, at));
        let spare = Spare::begin(&faulty, 4096, &background);
        while !spare.has_room(0) {
            thread::sleep(Duration::from_millis(1));
        }
        let header = SegmentHeader { first: wire::BatchNumber::new(1), previous_head: [0; 32] };
        assert!(spare.into_segment(&header).is_err(), "operation {at}");
        assert_eq!(storage.list().expect("memory does not fail"), [""; 0], "operation {at}");
    }
}
