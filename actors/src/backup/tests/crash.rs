//! A backup that ends at any point: what is there can be restored, and the next call goes on.

use redb::{Database, TableDefinition};

use super::*;
use crate::archive::OPEN_ORDERS_FILE;
use crate::ledger::journal::faulty::{Fault, Faulty};
use crate::probe::order;

/// A storage of which the first `at` changes are made, and nothing behind them.
pub(super) fn cut(inner: &MemoryStorage, at: usize) -> Faulty {
    Faulty::new(inner.clone(), Fault::Forever, at + 1)
}

/// What becomes of what was written and not synced.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The process is killed: nothing is lost.
    Killed,
    /// The power goes: everything is lost, or every other sector.
    Power { keeps_some: bool },
}

/// Ends a backup of `book` into a copy of `target` before each of its changes, and looks at what is left.
/// Returns how many ends there were.
fn end_everywhere(book: &Book, target: &MemoryStorage, known: &[State]) -> usize {
    let whole = target.copy();
    back_up(book, &whole).expect("a backup");
    let mut ends = 0;
    loop {
        for end in [End::Killed, End::Power { keeps_some: false }, End::Power { keeps_some: true }]
        {
            let target = target.copy();
            let cut = cut(&target, ends);
            let made = backup(&book.storage, &cut, &OPTIONS, |_| ());
            match end {
                End::Killed => {}
                End::Power { keeps_some } => {
                    target.crash(|_, sector| keeps_some && sector % 2 == 0);
                }
            }
            let found = restored(&target);
            assert!(known.contains(&found), "{ends} {end:?}: not a state that was");
            back_up(book, &target).unwrap_or_else(|error| panic!("{ends} {end:?}: {error}"));
            assert_eq!(files(&target), files(&whole), "{ends} {end:?}");
            if made.is_ok() {
                return ends;
            }
        }
        ends += 1;
    }
}

/// A journal behind each of so many batches, from the empty one.
fn states(from: &Book, count: usize) -> Vec<State> {
    let mut states = vec![from.state()];
    for _ in 0..count {
        from.grow(1);
        states.push(from.state());
    }
    states
}

#[test]
fn the_first_backup_ends_anywhere() {
    let book = Book::new();
    let mut known = states(&book, 4);
    book.snapshot();
    known.extend(states(&book, 6));
    let ends = end_everywhere(&book, &MemoryStorage::new(), &known);
    assert!(ends > 40, "{ends}");
}

/// Protects the backup that is there: whatever happens to the next one, it is not less than before.
#[test]
fn a_later_backup_ends_anywhere_and_takes_nothing_away() {
    let (book, target) = (Book::with_batches(4), MemoryStorage::new());
    book.snapshot();
    book.grow(1);
    book.snapshot();
    book.grow(1);
    back_up(&book, &target).expect("a backup");
    let known = states(&book, 5);
    book.snapshot();
    let ends = end_everywhere(&book, &target, &known);
    assert!(ends > 30, "{ends}");
}

/// Unlike a segment, the next state of the file of open orders does not begin with the one before.
#[test]
fn a_backup_of_open_orders_ends_anywhere() {
    let (book, target) = (Book::with_batches(1), MemoryStorage::new());
    book.storage.write(OPEN_ORDERS_FILE, open_orders(1));
    assert_eq!(back_up(&book, &target).expect("a backup").open_orders, Some(1));
    book.storage.write(OPEN_ORDERS_FILE, open_orders(2));
    let ends = end_everywhere(&book, &target, &[book.state()]);
    assert!(ends > 10, "{ends}");
    assert_eq!(back_up(&book, &target).expect("a backup").open_orders, Some(2));
}

/// The file of a server that keeps so many orders, as the archive writes it.
fn open_orders(count: u8) -> Vec<u8> {
    type Key = (u64, &'static [u8; 16]);
    type Kept = (u64, &'static [u8]);
    const ORDERS: TableDefinition<Key, Kept> = TableDefinition::new("orders");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(OPEN_ORDERS_FILE);
    let database = Database::create(&path).expect("a new file");
    let transaction = database.begin_write().expect("nobody else writes");
    let mut orders = transaction.open_table(ORDERS).expect("a new table");
    for nonce in 0..count {
        let order = order(("alice", 1), ("bob", Access::Open), 5, nonce).sign(&key(1));
        let (id, mut bytes) = (order.order.id, Vec::new());
        wire::codec::encode_into(&order, &mut bytes);
        orders.insert((0, id.as_bytes()), (1, bytes.as_slice())).expect("there is room");
    }
    drop(orders);
    transaction.commit().expect("the disk works");
    drop(database);
    std::fs::read(path).expect("it is there")
}
