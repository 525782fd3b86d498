//! What no backup is made of, and what none is added to.

use super::*;

/// The file, and what is done to it.
type Change<'c> = (&'c str, &'c dyn Fn(&MemoryStorage, &str));

fn expect_unchanged(
    book: &Book,
    target: &MemoryStorage,
    expected: impl Fn(&BackupError) -> bool,
    what: &str,
) {
    let before = files(target);
    let error = back_up(book, target).expect_err(what);
    assert!(expected(&error), "{what}: {error}");
    assert_eq!(files(target), before, "{what}: nothing was changed");
}

#[test]
fn altered_copies() {
    let (book, target) = (Book::with_batches(10), MemoryStorage::new());
    book.snapshot();
    back_up(&book, &target).expect("a backup");
    book.grow(3);
    let copied = segments(&target);
    let newest = copied.last().expect("some");
    let snapshot = snapshot_name(BatchNumber::new(10));
    let flip_far: &dyn Fn(&MemoryStorage, &str) = &|target, name| flip(target, name, 70);
    let flip_first: &dyn Fn(&MemoryStorage, &str) = &|target, name| flip(target, name, 0);
    let shorten: &dyn Fn(&MemoryStorage, &str) = &|target, name| {
        let mut bytes = target.read(name).expect("the file is there");
        bytes.pop();
        target.write(name, bytes);
    };
    let remove: &dyn Fn(&MemoryStorage, &str) =
        &|target, name| target.remove(name).expect("the file is there");
    let changes: [Change<'_>; 9] = [
        (&copied[0], flip_far),
        (&copied[1], shorten),
        (&copied[1], remove),
        (newest, flip_far),
        (newest, shorten),
        (&snapshot, flip_far),
        (&snapshot, remove),
        (KEY_FILE, flip_first),
        (KEY_FILE, remove),
    ];
    for (name, change) in changes {
        let target = target.copy();
        change(&target, name);
        let expected =
            |error: &BackupError| matches!(error, BackupError::Altered { file } if file == name);
        expect_unchanged(&book, &target, expected, name);
    }
    let manifest = Kind::Backup.file();
    for at in 0..target.read(manifest).expect("there is one").len() {
        let target = target.copy();
        flip(&target, manifest, at);
        let expected = |error: &BackupError| matches!(error, BackupError::Manifest { .. });
        expect_unchanged(&book, &target, expected, &at.to_string());
    }
}

/// A server that was started in the backup itself has written there.
#[test]
fn copies_with_a_segment_of_somebody_else() {
    let (book, target) = (Book::with_batches(10), MemoryStorage::new());
    back_up(&book, &target).expect("a backup");
    target.write(&segment_name(BatchNumber::new(99)), vec![1; 600]);
    let error = back_up(&book, &target).expect_err("it is not of the backup");
    assert!(matches!(error, BackupError::Altered { .. }), "{error}");
}

#[test]
fn another_servers_ledger_or_another_history() {
    let (book, target) = (Book::with_batches(8), MemoryStorage::new());
    book.grow(2);
    let set_back = Book { storage: book.storage.copy(), server: server_key() };
    book.grow(1);
    back_up(&book, &target).expect("a backup");

    let not_continued = |error: &BackupError| matches!(error, BackupError::NotContinued { .. });
    expect_unchanged(&set_back, &target, not_continued, "set back");
    // As many batches as in the backup and more, but not those.
    set_back.snapshot();
    let open = |name: &str| {
        let (mut journal, mut state) = open(&set_back.storage, &set_back.server);
        let name: Username = name.parse().expect("a valid name");
        let name: NewUsername = name.try_into().expect("a name that may be given");
        let open = Command::OpenAccount { name, access: Access::Open, grant: Amount::new(7) };
        let mut batch = Batch::new(Vec::new());
        batch.push(&state.apply(open, &TERMS).1.expect("an entry"));
        journal.append(&mut batch, Timestamp::new(1)).expect("memory does not fail");
    };
    open("somebody");
    open("anybody");
    expect_unchanged(&set_back, &target, not_continued, "another history");
    expect_unchanged(&Book::new(), &target, not_continued, "nothing");

    let options = BackupOptions { server: wire::signature::public_key(&key(1)), ..OPTIONS };
    let error = backup(&book.storage, &target, &options, |_| ()).expect_err("another key");
    assert!(matches!(error, BackupError::OtherServer { .. }), "{error}");
}

#[test]
fn a_ledger_that_is_damaged_or_not_signed_by_its_server() {
    let book = Book::with_batches(10);
    for name in segments(&book.storage) {
        for at in [0, 30, 60, 61 + 100, 60 + 185] {
            let damaged = Book { storage: book.storage.copy(), server: server_key() };
            flip(&damaged.storage, &name, at);
            let error = back_up(&damaged, &MemoryStorage::new()).expect_err(&name);
            assert!(matches!(error, BackupError::Unsound(_)), "{name} {at}: {error}");
        }
    }
    let forged = Book { storage: MemoryStorage::new(), server: Signer::new(key(1)) };
    forged.grow(2);
    let error = back_up(&forged, &MemoryStorage::new()).expect_err("not its server's");
    assert!(
        error.to_string().contains("at byte 60, in batch 1: the batch is not signed"),
        "{error}"
    );
    let gone = Book { storage: book.storage.copy(), server: server_key() };
    gone.storage.remove(&segments(&book.storage)[1]).expect("it is there");
    let error = back_up(&gone, &MemoryStorage::new()).expect_err("batches are missing");
    assert!(matches!(error, BackupError::Unsound(_)), "{error}");
}

#[test]
fn a_directory_that_is_something_else() {
    let book = Book::with_batches(1);
    let target = MemoryStorage::new();
    target.write("holiday.jpg", vec![1]);
    let expected = |error: &BackupError| matches!(error, BackupError::Foreign { .. });
    expect_unchanged(&book, &target, expected, "somebody's directory");
    expect_unchanged(&book, &book.storage.copy(), expected, "a data directory");
}

#[test]
fn a_ledger_without_its_beginning_needs_a_snapshot() {
    let (book, target) = (Book::with_batches(10), MemoryStorage::new());
    book.snapshot();
    let names = segments(&book.storage);
    book.storage.remove(&names[0]).expect("it is there");
    back_up(&book, &target).expect("a backup");
    assert_eq!(restored(&target), book.state());
    book.storage.remove(&snapshot_name(BatchNumber::new(10))).expect("it is there");
    let error = back_up(&book, &MemoryStorage::new()).expect_err("nobody could start it");
    assert!(matches!(error, BackupError::NoSnapshot { .. }), "{error}");
}
