//! Old segments leave the data directory, and nothing else does.

use super::crash::cut;
use super::*;
use crate::ledger::audit::audit;
use crate::ledger::journal::{OpenError, WithArchived};

const POLICY: ArchivingOptions =
    ArchivingOptions { server: TERMS.server, keep_segments: 1, indexed: None };

/// A ledger with two snapshots and something behind them.
fn old_book() -> Book {
    let book = Book::with_batches(9);
    for _ in 0..2 {
        book.grow(3);
        book.snapshot();
    }
    book.grow(1);
    book
}

fn both(live: &MemoryStorage, archive: &MemoryStorage) -> WithArchived {
    WithArchived::new(Arc::new(live.clone()), Arc::new(archive.clone()))
}

/// Whether the audit of archive and data directory together finds all batches of `book`.
fn is_whole(book: &Book, live: &MemoryStorage, archive: &MemoryStorage) -> bool {
    let whole = audit(Arc::new(book.storage.clone()), TERMS.server, &[], |_| ());
    let parts = audit(Arc::new(both(live, archive)), TERMS.server, &[], |_| ());
    whole.expect("a sound ledger") == parts.expect("a sound ledger")
}

#[test]
fn what_no_start_reads_is_moved() {
    let (book, archive) = (old_book(), MemoryStorage::new());
    let (live, all) = (book.storage.copy(), segments(&book.storage));
    let report = archive_segments(&live, &archive, &POLICY).expect("a sound ledger");
    // Segments of three batches: the older snapshot is behind batch 12, so four hold nothing behind it.
    assert_eq!(segments(&archive), all[..report.segments]);
    assert_eq!(segments(&live), all[report.segments..]);
    assert_eq!((report.segments, report.segments_left), (4, all.len() - 4), "{report:?}");
    assert_eq!(report.last.batch, BatchNumber::new(12));
    assert_eq!(open(&live.copy(), &book.server).1, book.state());
    assert!(is_whole(&book, &live, &archive));

    let nothing = archive_segments(&live, &archive, &POLICY).expect("a sound ledger");
    assert_eq!((nothing.segments, nothing.segments_in_all), (0, 4), "{nothing:?}");
    // The newer snapshot is damaged: the older one must do.
    flip(&live, &snapshot_name(BatchNumber::new(15)), 200);
    assert_eq!(open(&live.copy(), &book.server).1, book.state());
    // Both are: it takes the archive.
    flip(&live, &snapshot_name(BatchNumber::new(12)), 200);
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES };
    let alone = Journal::open(Arc::new(live.copy()), server_key(), options, &no_log());
    assert!(matches!(alone, Err(OpenError::BatchesMissing { .. })));
    let both = Arc::new(both(&live.copy(), &archive));
    let (_, state) = Journal::open(both, server_key(), options, &no_log()).expect("all is there");
    assert_eq!(state, book.state());
}

#[test]
fn what_somebody_needs_stays() {
    let book = old_book();
    let all = segments(&book.storage).len();
    let moved = |options: &ArchivingOptions, change: &dyn Fn(&MemoryStorage)| {
        let live = book.storage.copy();
        change(&live);
        let report = archive_segments(&live, &MemoryStorage::new(), options);
        report.expect("a sound ledger").segments
    };
    let nothing = &|_: &MemoryStorage| ();
    for (keep_segments, expected) in [(0, 4), (1, 4), (all - 3, 3), (all, 0), (all + 1, 0)] {
        assert_eq!(moved(&ArchivingOptions { keep_segments, ..POLICY }, nothing), expected);
    }
    for (indexed, expected) in [(1, 0), (4, 1), (7, 2), (99, 4)] {
        let indexed = Some(BatchNumber::new(indexed));
        assert_eq!(
            moved(&ArchivingOptions { indexed, ..POLICY }, nothing),
            expected,
            "{indexed:?}"
        );
    }
    let snapshots = [12, 15].map(|batch| snapshot_name(BatchNumber::new(batch)));
    for name in &snapshots {
        assert_eq!(moved(&POLICY, &|live| flip(live, name, 200)), 0, "only one is whole");
        assert_eq!(moved(&POLICY, &|live| live.remove(name).expect("there")), 0, "only one");
    }
}

/// Protects the only copy: it is removed when the other one is durable, and not before.
#[test]
fn archiving_ends_anywhere_and_loses_nothing() {
    let book = old_book();
    let mut ends = 0;
    loop {
        for keeps_some in [true, false] {
            let (live, archive) = (book.storage.copy(), MemoryStorage::new());
            let cut = cut(&live, ends);
            let made = archive_segments(&cut, &cut.beside(archive.clone()), &POLICY);
            for storage in [&live, &archive] {
                storage.crash(|_, sector| keeps_some && sector % 2 == 0);
            }
            assert!(is_whole(&book, &live, &archive), "{ends}");
            assert_eq!(open(&live.copy(), &book.server).1, book.state(), "{ends}");
            let again = archive_segments(&live, &archive, &POLICY).expect("it goes on");
            assert_eq!(again.segments_in_all, 4, "{ends}");
            assert!(is_whole(&book, &live, &archive), "{ends}");
            if made.is_ok() {
                assert!(ends > 40, "{ends}");
                return;
            }
        }
        ends += 1;
    }
}

#[test]
fn nothing_is_removed_that_the_archive_does_not_hold() {
    let book = old_book();
    let all = segments(&book.storage);
    // A bit is wrong in what is to be moved, or in what was moved and not removed.
    for at in [70, 200] {
        let live = book.storage.copy();
        flip(&live, &all[1], at);
        let error = archive_segments(&live, &MemoryStorage::new(), &POLICY).expect_err("damaged");
        assert!(matches!(error, BackupError::Unsound(_)), "{error}");
        assert_eq!(segments(&live), all[1..], "the first one is moved");
        let (live, archive) = (book.storage.copy(), MemoryStorage::new());
        archive_segments(&live, &archive, &POLICY).expect("a sound ledger");
        live.write(&all[0], book.storage.read(&all[0]).expect("it was there"));
        for side in [&live, &archive] {
            let before = side.read(&all[0]).expect("it is there");
            flip(side, &all[0], at);
            let (live, archive) = (live.copy(), archive.copy());
            archive_segments(&live, &archive, &POLICY).expect_err("they differ");
            assert!(live.read(&all[0]).is_some());
            side.write(&all[0], before);
        }
        archive_segments(&live, &archive, &POLICY).expect("it is removed now");
        assert!(live.read(&all[0]).is_none() && is_whole(&book, &live, &archive));
    }
    // An archive that has lost its first files, and one of another server.
    let (live, archive) = (book.storage.copy(), MemoryStorage::new());
    archive_segments(&live, &archive, &POLICY).expect("a sound ledger");
    let book = Book { storage: live, server: server_key() };
    book.grow(6);
    book.snapshot();
    book.grow(1);
    book.snapshot();
    let error = archive_segments(&book.storage, &MemoryStorage::new(), &POLICY);
    assert!(matches!(error, Err(BackupError::Gone { .. })), "{error:?}");
    let policy = ArchivingOptions { server: wire::signature::public_key(&key(1)), ..POLICY };
    let error = archive_segments(&book.storage, &archive, &policy);
    assert!(matches!(error, Err(BackupError::OtherServer { .. })), "{error:?}");
}

/// A backup of what is left needs the snapshot; one of both is whole.
#[test]
fn backups_of_an_archived_ledger() {
    let (book, archive, target) = (old_book(), MemoryStorage::new(), MemoryStorage::new());
    let before = target.copy();
    back_up(&book, &before).expect("a backup");
    let live = book.storage.copy();
    archive_segments(&live, &archive, &POLICY).expect("a sound ledger");
    backup(&live, &target, &OPTIONS, |_| ()).expect("a backup");
    assert_eq!(restored(&target), book.state());
    let whole = MemoryStorage::new();
    backup(&both(&live, &archive), &whole, &OPTIONS, |_| ()).expect("a backup");
    assert_eq!(segments(&whole), segments(&book.storage));
    // One that was begun before goes on.
    let again = backup(&live, &before, &OPTIONS, |_| ()).expect("a backup");
    assert_eq!(again.segments, 0, "{again:?}");
}
