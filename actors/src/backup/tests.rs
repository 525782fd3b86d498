//! Backups of journals in memory, and what is refused.

use std::sync::Arc;

use wire::{Access, Amount, NewUsername, Timestamp, Username};

use super::*;
use crate::ledger::journal::checked::list_segments;
use crate::ledger::journal::segment::segment_name;
use crate::ledger::journal::snapshot::{parse_snapshot_name, snapshot_name};
use crate::ledger::journal::{Batch, Journal, JournalOptions, MemoryStorage, Snapshot};
use crate::ledger::state::{Command, State};
use crate::messages::Signer;
use crate::probe::{TERMS, key, no_log, server_key};

mod archiving;
mod crash;
mod golden;
mod refused;

const KEY_FILE: &str = "server.key";
/// So small that a segment holds three batches.
const SEGMENT_BYTES: u64 = 600;
const OPTIONS: BackupOptions<'static> =
    BackupOptions { server: TERMS.server, key_file: Some(KEY_FILE), recheck_bytes: RECHECK_BYTES };

/// A ledger in memory, of one account more with each batch.
struct Book {
    storage: MemoryStorage,
    server: Signer,
}

impl Book {
    fn new() -> Self {
        let storage = MemoryStorage::new();
        storage.write(KEY_FILE, b"the secret".to_vec());
        Self { storage, server: server_key() }
    }

    fn with_batches(count: usize) -> Self {
        let book = Self::new();
        book.grow(count);
        book
    }

    /// Adds so many batches.
    fn grow(&self, count: usize) {
        let (mut journal, mut state) = open(&self.storage, &self.server);
        for _ in 0..count {
            let name = format!("user{}", state.accounts().len());
            let name: Username = name.parse().expect("a valid name");
            let name: NewUsername = name.try_into().expect("a name that may be given");
            let open = Command::OpenAccount { name, access: Access::Open, grant: Amount::new(7) };
            let mut batch = Batch::new(Vec::new());
            batch.push(&state.apply(open, &TERMS).1.expect("an entry"));
            journal.append(&mut batch, Timestamp::new(1)).expect("memory does not fail");
        }
    }

    fn snapshot(&self) {
        let (journal, state) = open(&self.storage, &self.server);
        let captured = Snapshot::capture(&state, &self.server.public_key());
        captured.store(&self.storage, journal.last()).expect("memory does not fail");
    }

    fn state(&self) -> State {
        open(&self.storage, &self.server).1
    }
}

fn open(storage: &MemoryStorage, server: &Signer) -> (Journal, State) {
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES };
    let storage = Arc::new(storage.clone());
    Journal::open(storage, server.clone(), options, &no_log()).expect("a sound journal")
}

fn back_up(book: &Book, target: &MemoryStorage) -> Result<BackupReport, BackupError> {
    backup(&book.storage, target, &OPTIONS, |_| ())
}

/// What a server finds that is started on a copy of the backup.
fn restored(target: &MemoryStorage) -> State {
    open(&target.copy(), &server_key()).1
}

fn flip(storage: &MemoryStorage, name: &str, at: usize) {
    let mut bytes = storage.read(name).expect("the file is there");
    bytes[at] ^= 1;
    storage.write(name, bytes);
}

fn files(storage: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    let mut names = storage.list().expect("memory does not fail");
    names.sort_unstable();
    let read = |name: String| storage.read(&name).map(|bytes| (name, bytes));
    names.into_iter().filter_map(read).collect()
}

fn segments(storage: &MemoryStorage) -> Vec<String> {
    let segments = list_segments(storage).expect("memory does not fail");
    segments.into_iter().map(segment_name).collect()
}

#[test]
fn a_backup_is_a_data_directory_and_the_next_one_adds_what_is_new() {
    let (book, target) = (Book::with_batches(10), MemoryStorage::new());
    book.snapshot();
    let first = back_up(&book, &target).expect("a backup");
    assert_eq!(restored(&target), book.state());
    assert_eq!(target.read(KEY_FILE), book.storage.read(KEY_FILE));
    assert_eq!((first.incremental, first.with_key), (false, true));
    assert_eq!((first.batches, first.snapshot), (10, Some(BatchNumber::new(10))));
    assert_eq!(first.segments, segments(&book.storage).len());
    assert!(first.segments > 2 && first.bytes == first.bytes_in_all, "{first:?}");

    let nothing = back_up(&book, &target).expect("a backup");
    assert_eq!((nothing.segments, nothing.bytes, nothing.batches), (0, 0, 0), "{nothing:?}");
    assert!(nothing.incremental && nothing.rechecked_bytes == first.bytes_in_all, "{nothing:?}");

    book.grow(1);
    let one = back_up(&book, &target).expect("a backup");
    assert_eq!((one.segments, one.batches), (1, 1), "{one:?}");
    assert_eq!(restored(&target), book.state());
    book.grow(7);
    book.snapshot();
    let more = back_up(&book, &target).expect("a backup");
    assert_eq!((more.batches, more.snapshot), (7, Some(BatchNumber::new(18))), "{more:?}");
    assert_eq!(restored(&target), book.state());
    // Two snapshots are kept, as in the data directory.
    book.grow(1);
    book.snapshot();
    back_up(&book, &target).expect("a backup");
    let names = target.list().expect("memory does not fail");
    assert_eq!(names.iter().filter(|name| parse_snapshot_name(name).is_some()).count(), 2);
}

#[test]
fn the_key_can_be_left_out() {
    let (book, target) = (Book::with_batches(2), MemoryStorage::new());
    let options = BackupOptions { key_file: None, ..OPTIONS };
    let report = backup(&book.storage, &target, &options, |_| ()).expect("a backup");
    assert!(!report.with_key && target.read(KEY_FILE).is_none());
}

#[test]
fn an_empty_ledger_has_a_backup() {
    let (book, target) = (Book::new(), MemoryStorage::new());
    let report = back_up(&book, &target).expect("a backup");
    assert_eq!((report.last, report.incremental), (Committed::NOTHING, false));
    book.grow(1);
    back_up(&book, &target).expect("a backup");
    assert_eq!(restored(&target), book.state());
}

/// A crash, or a write that is under way, leaves half a batch behind the last one: nobody was told of it.
#[test]
fn what_is_not_finished_is_left_out() {
    let (book, target) = (Book::with_batches(2), MemoryStorage::new());
    let (state, name) = (book.state(), &segments(&book.storage)[0]);
    let two = book.storage.read(name).expect("a segment");
    let used = two.iter().rposition(|byte| *byte != 0).expect("batches") + 1;
    book.grow(1);
    let three = book.storage.read(name).expect("a segment");
    let third = three.iter().rposition(|byte| *byte != 0).expect("batches") + 1;
    // A multiple of a sector was written of the third, or nothing.
    for written in (used..third).filter(|at| at % 512 == 0) {
        let mut torn = two.clone();
        torn[used..written].copy_from_slice(&three[used..written]);
        book.storage.write(name, torn);
        back_up(&book, &target).expect("a backup");
        assert_eq!(restored(&target), state);
    }
    book.storage.write(name, three);
    assert_eq!(back_up(&book, &target).expect("a backup").batches, 1);
    assert_eq!(restored(&target), book.state());
}

/// The story: a copy that nobody looks at rots for years, and the backup of today builds on it.
#[test]
fn all_copies_are_read_back_in_turn() {
    let (book, target) = (Book::with_batches(20), MemoryStorage::new());
    back_up(&book, &target).expect("a backup");
    let copied = segments(&target);
    let settled = copied.len() - 1;
    assert!(settled >= 4, "{copied:?}");
    for (rotten, name) in copied[..settled].iter().enumerate() {
        let target = target.copy();
        flip(&target, name, 70);
        let options = BackupOptions { recheck_bytes: 1, ..OPTIONS };
        let found = (0..=settled).position(|_| {
            let again = backup(&book.storage, &target, &options, |_| ());
            matches!(again, Err(BackupError::Altered { file }) if file == *name)
        });
        assert_eq!(found, Some(rotten), "one file a call, in order");
    }
}

#[test]
fn progress_goes_up_to_the_end() {
    let (book, target) = (Book::with_batches(10), MemoryStorage::new());
    let mut seen = Vec::new();
    let report = backup(&book.storage, &target, &OPTIONS, |progress| seen.push(*progress));
    let last = seen.last().expect("some progress");
    assert_eq!(last.segments, last.segments_in_all);
    assert_eq!(last.last, report.expect("a backup").last);
    assert!(seen.is_sorted_by_key(|progress| (progress.segments, progress.last.batch)));
}
