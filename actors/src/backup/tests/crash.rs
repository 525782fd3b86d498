//! A backup that ends at any point: what is there can be restored, and the next call goes on.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use redb::{Database, TableDefinition};

use super::*;
use crate::archive::OPEN_ORDERS_FILE;
use crate::ledger::journal::StorageFile;
use crate::probe::order;

/// A storage that is cut off: from its change number `at` on, nothing is done any more.
#[derive(Clone)]
pub(super) struct Cut {
    inner: MemoryStorage,
    left: Arc<AtomicUsize>,
}

impl Cut {
    pub(super) fn new(inner: &MemoryStorage, at: usize) -> Self {
        Self { inner: inner.clone(), left: Arc::new(AtomicUsize::new(at)) }
    }

    /// Another directory that is cut off in the same moment.
    pub(super) fn beside(&self, inner: &MemoryStorage) -> Self {
        Self { inner: inner.clone(), left: Arc::clone(&self.left) }
    }

    fn step(&self) -> io::Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| io::Error::other("cut off"))
    }

    fn file(&self, inner: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(CutFile { storage: self.clone(), inner })
    }
}

impl Storage for Cut {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(self.inner.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.step()?;
        Ok(self.file(self.inner.create(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.step().and_then(|()| self.inner.remove(name))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step().and_then(|()| self.inner.rename(from, to))
    }
    fn sync(&self) -> io::Result<()> {
        self.step().and_then(|()| self.inner.sync())
    }
}

struct CutFile {
    storage: Cut,
    inner: Box<dyn StorageFile>,
}

impl StorageFile for CutFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.storage.step().and_then(|()| self.inner.set_len(len))
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(bytes, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.storage.step().and_then(|()| self.inner.write_all_at(bytes, offset))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.storage.step().and_then(|()| self.inner.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
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
            let cut = Cut::new(&target, ends);
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
