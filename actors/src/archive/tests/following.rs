//! The index follows the journal, whatever becomes of its file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::super::rows::indexed;
use super::super::tables::{HISTORY, ORDERS};
use super::*;

fn pay(amount: u64) -> Entry {
    paid(ALICE, BOB, order(ALICE, BOB, amount, 1))
}

/// Three batches in two files; bob is in entries 1, 4, 5 and 6.
fn book() -> Book {
    let mut book = Book::new();
    book.write(&openings());
    book.write(&[pay(1)]);
    book.begin_segment();
    book.write(&[pay(2), pay(3)]);
    book
}

async fn assert_whole(archive: &Running) {
    assert_eq!(archive.numbers(BOB).await, [6, 5, 4, 1]);
    assert_eq!(archive.numbers(ALICE).await, [6, 5, 4, 0]);
    let sought = (1..=3).map(|amount| by_order(ALICE, &order(ALICE, BOB, amount, 1))).collect();
    let receipts = archive.receipts(ALICE, sought).await;
    assert!(
        receipts.iter().all(|found| found.as_ref().is_some_and(|r| r.verify(&server()).is_ok()))
    );
}

/// The story: a client is told that it was paid, asks for its history, and the payment is not in it.
#[actix::test]
async fn an_answer_holds_what_anybody_was_told_before() {
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    let archive = dir.start(&book);
    for amount in 1..=30 {
        let number = book.write(&[pay(amount)]).get();
        archive.0.do_send(grown(&book));
        assert_eq!(archive.numbers(BOB).await[0], number);
    }
}

/// The story: text payments between open accounts, of which no history tells, cost more to index than to
/// make. Their batches are passed over, and what stands behind them is found all the same.
#[actix::test]
async fn batches_without_news_are_not_read() {
    let (dir, mut book) = (Dir::new(), Book::new());
    book.write(&openings());
    let archive = dir.start(&book);
    assert_eq!(archive.numbers(BOB).await, [1]);
    let quiet_from = book.durable();
    let begin = usize::try_from(book.used).expect("small");
    book.write(&[paid_by_text(OTTO, OTTO, 1)]);
    book.begin_segment();
    book.write(&[paid_by_text(OTTO, OTTO, 2)]);
    let news_from = book.write(&[pay(1)]);
    // Whoever reads the first one cannot go on.
    let name = segment_name(1);
    let mut bytes = book.storage.read(&name).expect("the first file");
    bytes[begin + 180] ^= 1;
    book.storage.write(&name, bytes);
    archive.0.do_send(JournalGrew { quiet_from, news_from, next_entry: book.durable() });
    assert_eq!(archive.numbers(BOB).await, [news_from.get(), 1]);
    let sought = vec![by_order(ALICE, &order(ALICE, BOB, 1, 1))];
    assert!(archive.receipts(ALICE, sought).await[0].is_some());
}

/// The story: so much has happened that it is indexed piece by piece, and the answer comes between.
#[actix::test]
async fn an_answer_waits_for_all_pieces() {
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    let archive = dir.start(&book);
    assert_eq!(archive.numbers(BOB).await, [1]);
    for _ in 0..3 {
        book.write(&vec![paid_by_text(OTTO, OTTO, 1); 8192]);
    }
    let last = book.write(&[pay(1)]).get();
    archive.0.do_send(grown(&book));
    assert_eq!(archive.numbers(BOB).await, [last, 1]);
}

/// The story: the index shows what a crash takes back.
#[actix::test]
async fn nothing_is_read_that_is_not_durable() {
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    let archive = dir.start(&book);
    book.write(&[pay(1)]);
    assert_eq!(archive.numbers(BOB).await, [1]);
    archive.0.do_send(grown(&book));
    assert_eq!(archive.numbers(BOB).await, [4, 1]);
    // Word of an older moment changes nothing.
    archive.0.do_send(JournalGrew { next_entry: EntryNumber::new(1), ..grown(&book) });
    assert_eq!(archive.numbers(BOB).await, [4, 1]);
}

#[actix::test]
async fn it_goes_on_where_it_stopped() {
    let (dir, mut book) = (Dir::new(), Book::new());
    book.write(&openings());
    let archive = dir.start(&book);
    assert_eq!(archive.numbers(BOB).await, [1]);
    archive.stop().await;
    book.write(&[pay(1)]);
    book.begin_segment();
    book.write(&[pay(2), pay(3)]);
    let archive = dir.open(&book);
    let indexed = archive.reading.as_ref().map(|reading| reading.index.next_entry().get());
    assert_eq!(indexed, Some(4), "what was indexed is not read again");
    assert_whole(&Running(archive.start())).await;
}

/// The story: the process is killed, and the last commits of the index are lost.
#[actix::test]
async fn lost_commits_are_made_again() {
    let (dir, mut book) = (Dir::new(), Book::new());
    book.write(&openings());
    let archive = dir.start(&book);
    archive.numbers(BOB).await;
    archive.stop().await;
    let older = fs::read(dir.index()).expect("the index");
    book.write(&[pay(1)]);
    book.begin_segment();
    book.write(&[pay(2), pay(3)]);
    let archive = dir.start(&book);
    assert_whole(&archive).await;
    archive.stop().await;
    fs::write(dir.index(), older).expect("written");
    assert_whole(&dir.start(&book)).await;
}

#[actix::test]
async fn it_is_rebuilt_when_it_is_gone_or_garbage() {
    let (dir, book) = (Dir::new(), book());
    for damage in [None, Some(vec![]), Some(vec![0xA5; 70_000]), Some(b"redb".to_vec())] {
        let archive = dir.start(&book);
        assert_whole(&archive).await;
        archive.stop().await;
        fs::remove_file(dir.index()).expect("the index is there");
        if let Some(bytes) = damage {
            fs::write(dir.index(), bytes).expect("written");
        }
    }
    assert_whole(&dir.start(&book)).await;
}

/// The story: a file system garbles or cuts off a part of the file, and the database panics on it.
#[actix::test]
async fn whatever_is_wrong_with_the_file_the_archive_opens() {
    let (dir, book) = (Dir::new(), book());
    let archive = dir.start(&book);
    assert_whole(&archive).await;
    archive.stop().await;
    let intact = fs::read(dir.index()).expect("the index");
    let pages = intact.len() / 4096;
    for page in 0..pages.min(40) {
        let mut garbled = intact.clone();
        garbled[page * 4096..(page + 1) * 4096].fill(0xFF);
        fs::write(dir.index(), garbled).expect("written");
        drop(dir.open(&book));
        fs::write(dir.index(), &intact[..page * 4096]).expect("written");
        drop(dir.open(&book));
    }
}

/// The story: the files of another ledger are put into the data directory, but the index stays, and shows payments
/// that are no more.
#[actix::test]
async fn the_index_of_another_journal_is_not_believed() {
    let (dir, other) = (Dir::new(), book());
    let archive = dir.start(&other);
    assert_whole(&archive).await;
    archive.stop().await;

    let mut book = Book::new();
    book.write(&openings());
    book.write(&[pay(1)]);
    book.begin_segment();
    book.write(&[paid_by_text(OTTO, OTTO, 1), pay(3)]);
    assert_eq!(book.durable(), other.durable());
    let archive = dir.start(&book);
    assert_eq!(archive.numbers(BOB).await, [6, 4, 1]);
    let gone = by_order(ALICE, &order(ALICE, BOB, 2, 1));
    assert_eq!(archive.receipts(ALICE, vec![gone]).await, [None]);
}

/// The story: a disk that lies about its syncs, or a person with an old copy, takes the end of the journal away, and
/// with it payments that were answered. Nobody would ever know.
#[actix::test]
async fn an_index_that_is_ahead_of_the_journal_tells_that_its_end_is_gone() {
    let (dir, book) = (Dir::new(), book());
    let archive = dir.start(&book);
    assert_whole(&archive).await;
    archive.stop().await;
    let open = |durable| {
        let storage = Arc::new(book.storage.clone());
        Archive::open(dir.0.path(), storage, durable, &no_log())
    };
    for cut in [0, 1, 5, book.durable().get() - 1] {
        let cut = EntryNumber::new(cut);
        match open(cut) {
            Err(ArchiveError::JournalCut { path, file, offset, journal_end, index_end }) => {
                assert_eq!((path, file), (dir.index(), segment_name(3)));
                assert_eq!((journal_end, index_end), (cut, book.durable()));
                assert!(offset > 0, "behind the segment's header");
            }
            other => panic!("the end is gone, and it says {:?}", other.err()),
        }
    }
    drop(open(book.durable()).expect("it is whole again"));
    // Whoever means it removes the index.
    fs::remove_file(dir.index()).expect("there is one");
    let archive = open(EntryNumber::new(5)).expect("it opens");
    assert_eq!(Running(archive.start()).numbers(BOB).await, [4, 1]);
}

/// The story: an old part of the journal goes bad. Whoever needs it is told; nobody else suffers.
#[actix::test]
async fn a_bad_batch_costs_its_own_receipts_only() {
    let (dir, book) = (Dir::new(), book());
    let archive = dir.start(&book);
    assert_whole(&archive).await;
    archive.stop().await;
    let first = segment_name(1);
    let mut bytes = book.storage.read(&first).expect("the first file");
    bytes[300] ^= 1;
    book.storage.write(&first, bytes);
    let archive = dir.start(&book);
    let lost = archive.ask(FindReceipts { account: BOB, sought: by_entry([1]) }).await;
    assert_eq!(lost, Err(ArchiveUnavailable::Gone));
    assert!(archive.receipts(BOB, by_entry([6])).await[0].is_some());
    assert_eq!(archive.numbers(BOB).await, [6, 5, 4, 1]);
}

/// The story: the journal cannot be read. Questions are refused, and open orders are kept all the same.
#[actix::test]
async fn a_journal_that_cannot_be_read_is_no_reason_to_panic() {
    let (dir, book) = (Dir::new(), book());
    let first = segment_name(1);
    let mut bytes = book.storage.read(&first).expect("the first file");
    bytes[300] ^= 1;
    book.storage.write(&first, bytes);
    let archive = dir.start(&book);
    let read = ReadHistory { account: BOB, before: None, limit: 1 };
    assert_eq!(archive.ask(read).await, Err(ArchiveUnavailable::Gone));
    assert_eq!(archive.ask(read).await, Err(ArchiveUnavailable::Gone));
    assert_eq!(archive.keep(ALICE, order(ALICE, BOB, 1, 500), 0).await, Ok(()));
}

/// The story: a server with a long history lost its index, and everybody who asks waits for minutes.
#[actix::test]
async fn while_far_behind_it_says_that_it_is_busy() {
    let (dir, book) = (Dir::new(), book());
    let mut archive = dir.open(&book);
    archive.durable = EntryNumber::new(ENTRIES_BEHIND_MAX + 1);
    assert_eq!(archive.takes_questions(), Err(ArchiveUnavailable::Busy));
    archive.durable = EntryNumber::new(ENTRIES_BEHIND_MAX);
    assert_eq!(archive.takes_questions(), Ok(()));
}

#[actix::test]
async fn its_files_are_its_owners_alone() {
    let (dir, book) = (Dir::new(), book());
    let _archive = dir.start(&book);
    for file in [dir.index(), dir.open_orders()] {
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

fn change_index(
    dir: &Dir,
    change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
) {
    let index = redb::Database::open(dir.index()).expect("it is closed");
    let transaction = index.begin_write().expect("a transaction");
    change(&transaction).expect("changed");
    transaction.commit().expect("committed");
}

/// The story: the index says that an order was decided by the entry that decided another one.
#[actix::test]
async fn the_index_is_not_believed_about_orders() {
    let (dir, book) = (Dir::new(), book());
    let archive = dir.start(&book);
    assert_whole(&archive).await;
    archive.stop().await;
    let order = order(ALICE, BOB, 1, 1);
    change_index(&dir, |transaction| {
        let lie = indexed(order.order.id, EntryNumber::new(5));
        let key = (ALICE.get(), order.order.id.as_bytes());
        transaction.open_table(ORDERS)?.insert(key, &lie[..])?;
        Ok(())
    });
    let archive = dir.start(&book);
    assert_eq!(archive.receipts(ALICE, vec![by_order(ALICE, &order)]).await, [None]);
}

/// The story: the damage is found while the server runs.
#[actix::test]
async fn a_damaged_index_is_rebuilt_while_it_runs() {
    let (dir, book) = (Dir::new(), book());
    let archive = dir.start(&book);
    assert_whole(&archive).await;
    archive.stop().await;
    change_index(&dir, |transaction| {
        transaction.open_table(HISTORY)?.insert((BOB.get(), 5), &b"garbage"[..])?;
        Ok(())
    });
    let archive = dir.start(&book);
    let read = ReadHistory { account: BOB, before: None, limit: 9 };
    assert_eq!(archive.ask(read).await, Err(ArchiveUnavailable::Gone));
    assert_whole(&archive).await;
}
