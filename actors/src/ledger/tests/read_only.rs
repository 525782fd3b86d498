//! A ledger whose disk fails or is full.

use super::receipts::{opening_keyed, ordered};
use super::*;
use crate::messages::TryToWrite;
use crate::probe::TERMS;

/// What `commands` come to once the ledger has read again what is durable.
async fn read(ledger: &Addr<Ledger>, commands: &[Command]) -> Vec<Outcome> {
    loop {
        match submit(ledger, commands.to_vec()).await {
            Err(LedgerUnavailable::Busy) => tokio::task::yield_now().await,
            outcomes => return outcomes.expect("it reads"),
        }
    }
}

fn found(who: &str) -> Command {
    Command::FindAccount(name(who))
}

async fn health_of(ledger: &Addr<Ledger>) -> watch::Receiver<LedgerHealth> {
    ledger.send(ShowHealth).await.expect("the ledger answers")
}

/// What `node` asks before it starts the ledger.
#[derive(Message)]
#[rtype(result = "watch::Receiver<LedgerHealth>")]
struct ShowHealth;

impl Handler<ShowHealth> for Ledger {
    type Result = MessageResult<ShowHealth>;

    fn handle(&mut self, ShowHealth: ShowHealth, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.health())
    }
}

/// The story: a sync fails, and what memory holds is on no disk. Shown to anybody, it is taken back by the
/// next start; refused to those who wait for it, it is done twice by those who try again.
#[actix::test]
async fn after_a_failed_sync_only_what_is_durable_is_shown() {
    let (storage, disk) = gated();
    let (ledger, mut failed) = start_on(Arc::new(storage), || Timestamp::new(7), SNAPSHOT_ENTRIES);
    let health = health_of(&ledger).await;
    disk.let_sync();
    submit(&ledger, vec![opening("alice")]).await.expect("opened");
    // On its way to the disk, behind it, and asking for no change.
    let bob = ledger.send(Submit(vec![opening("bob")]));
    settle().await;
    let carol = ledger.send(Submit(vec![opening("carol")]));
    let question = ledger.send(Submit(vec![found("bob")]));
    settle().await;
    assert_eq!(*health.borrow(), LedgerHealth::Writing);
    disk.verdict.send(Err(io::ErrorKind::StorageFull.into())).expect("the journal is there");
    let unknown = Err(LedgerUnavailable::OutcomeUnknown);
    assert_eq!(bob.await.expect("answers"), unknown);
    assert_eq!(carol.await.expect("answers"), unknown);
    assert_eq!(question.await.expect("answers"), Err(LedgerUnavailable::Busy));
    let LedgerHealth::ReadOnly { since, why, resumes } = health.borrow().clone() else {
        panic!("it takes changes");
    };
    assert_eq!((since, resumes), (Timestamp::new(7), false));
    assert!(why.contains("cannot append to journal-00000000000000000001.mite"), "{why}");

    let outcomes =
        read(&ledger, &[balance(0), found("bob"), opening("dave"), found("dave"), balance(1)])
            .await;
    let expected = [
        Outcome::Balance(Amount::new(1000)),
        Outcome::Found(None),
        Outcome::ReadOnly,
        Outcome::Found(None),
        Outcome::Balance(Amount::ZERO),
    ];
    assert_eq!(outcomes, expected);
    // The disk is asked for nothing any more, whoever says that it has room.
    ledger.do_send(TryToWrite);
    assert_eq!(read(&ledger, &[opening("erin")]).await, [Outcome::ReadOnly]);
    assert!(disk.reached.try_iter().count() <= 2);
    ledger.send(StopLedger).await.expect("it stops in good order");
    assert!(failed.try_recv().is_err(), "the process goes on");
    assert!(disk.snapshots.written.try_recv().is_err(), "no snapshot goes to a disk that fails");
}

/// The story: an order is decided, and its batch fails. Asked about it, a server without that batch says that it
/// never decided the order and that its time is over; the wallet gives it up. At the next start the batch
/// is there, and the payee has the money.
#[actix::test]
async fn nothing_final_is_said_of_orders_that_may_turn_up() {
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    fn clock() -> Timestamp {
        Timestamp::new(NOW.load(Ordering::Relaxed))
    }
    NOW.store(TERMS.now.get(), Ordering::Relaxed);
    let (storage, disk) = gated();
    let (ledger, _) = start_on(Arc::new(storage), clock, SNAPSHOT_ENTRIES);
    disk.let_sync();
    let first = vec![opening_keyed("alice", 1), opening_keyed("bob", 2), ordered(10, 1)];
    let decided = submit(&ledger, first).await.expect("durable").remove(2);
    let Outcome::Decided(number) = decided else { panic!("{decided:?}") };
    disk.verdict.send(Err(io::ErrorKind::Other.into())).expect("the journal is there");
    let unknown = submit(&ledger, vec![ordered(20, 2)]).await;
    assert_eq!(unknown, Err(LedgerUnavailable::OutcomeUnknown));

    // Both orders' time is over by the clock.
    NOW.fetch_add(7_200_000, Ordering::Relaxed);
    let ask = |command: &Command| match command {
        Command::Order { order, .. } => {
            Command::FindOrder { payer: name("alice"), id: order.order().id }
        }
        _ => unreachable!("an order"),
    };
    let (known, open) = (ordered(10, 1), ordered(20, 2));
    let outcomes = read(&ledger, &[ask(&known), ask(&open), known, open]).await;
    let alice = Some(AccountId::new(0));
    let expected = [
        Outcome::FoundOrder { payer: alice, decided: Some(number), now: TERMS.now },
        Outcome::FoundOrder { payer: alice, decided: None, now: TERMS.now },
        Outcome::DecidedBefore(number),
        Outcome::ReadOnly,
    ];
    assert_eq!(outcomes, expected);
}

/// A directory in memory on a disk that may be full: nothing grows then.
#[derive(Clone, Default)]
struct Full {
    files: MemoryStorage,
    is_full: Arc<AtomicBool>,
}

struct FullFile {
    file: Box<dyn StorageFile>,
    is_full: Arc<AtomicBool>,
}

impl Full {
    fn set(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    fn wrap(&self, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(FullFile { file, is_full: Arc::clone(&self.is_full) })
    }
}

impl Storage for Full {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.wrap(self.files.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.wrap(self.files.create(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn sync(&self) -> io::Result<()> {
        self.files.sync()
    }
}

impl StorageFile for FullFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) && offset + bytes.len() as u64 > self.len()? {
            // A part of it finds room.
            self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Nothing of what found no room was written, so it is no failure: once there is room, all goes on.
#[actix::test]
async fn a_full_disk_that_has_room_again_takes_changes_again() {
    let storage = Full::default();
    let ledger = start(Arc::new(storage.clone()));
    let mut health = health_of(&ledger).await;
    submit(&ledger, vec![opening("first")]).await.expect("there is room");
    storage.set(true);
    // More than the segment has room for.
    let many: Vec<_> = (0..3000).map(|n| opening(&format!("n{n}"))).collect();
    assert_eq!(submit(&ledger, many.clone()).await, Err(LedgerUnavailable::ReadOnly));
    let is_full =
        |health: &LedgerHealth| matches!(health, LedgerHealth::ReadOnly { resumes: true, .. });
    health.wait_for(is_full).await.expect("the ledger is there");
    let shown = read(&ledger, &[balance(0), found("n0"), opening("second")]).await;
    let known = Outcome::Balance(Amount::new(1000));
    assert_eq!(shown, [known, Outcome::Found(None), Outcome::ReadOnly]);
    // Still full, and then not.
    ledger.do_send(TryToWrite);
    assert_eq!(read(&ledger, &[opening("second")]).await, [Outcome::ReadOnly]);
    storage.set(false);
    while *health.borrow() != LedgerHealth::Writing {
        ledger.do_send(TryToWrite);
        tokio::task::yield_now().await;
    }
    assert_eq!(submit(&ledger, vec![opening("second")]).await, Ok(vec![opened(1)]));
    submit(&ledger, many).await.expect("there is room");
    assert_eq!(reopened(&storage.files).1.accounts().len(), 3002);
}

/// The story: a server is told to stop, and its disk fails while it writes the last batch. It waits for that batch
/// for ever.
#[actix::test]
async fn a_disk_that_fails_does_not_keep_a_server_from_stopping() {
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage));
    let under_way = ledger.send(Submit(vec![opening("alice")]));
    settle().await;
    disk.wait_for_sync();
    let stopping = ledger.send(StopLedger);
    settle().await;
    disk.verdict.send(Err(io::ErrorKind::Other.into())).expect("the journal is there");
    assert_eq!(under_way.await.expect("answers"), Err(LedgerUnavailable::OutcomeUnknown));
    stopping.await.expect("it stops");
}

/// Without the state there is nobody to answer, and without a journal nothing to read it from.
#[actix::test]
async fn a_journal_that_cannot_be_read_again_stops_the_process() {
    let (storage, disk) = gated();
    let (ledger, mut failed) =
        start_on(Arc::new(storage.clone()), || Timestamp::new(1), SNAPSHOT_ENTRIES);
    disk.let_sync();
    submit(&ledger, vec![opening("alice")]).await.expect("opened");
    let name = "journal-00000000000000000001.mite";
    let mut bytes = storage.files.read(name).expect("there");
    bytes[100] ^= 1;
    storage.files.write(name, bytes);
    disk.verdict.send(Err(io::ErrorKind::Other.into())).expect("the journal is there");
    let unknown = submit(&ledger, vec![opening("bob")]).await;
    assert_eq!(unknown, Err(LedgerUnavailable::OutcomeUnknown));
    assert!(matches!(failed.recv().await, Some(LedgerFailure::Unreadable(_))));
}

/// The story: a defect ends the thread that reads the journal again. Nobody hears of it, and the ledger tells
/// everybody to come back later, for ever.
#[actix::test]
async fn a_panic_while_the_journal_is_read_again_stops_the_process() {
    let (storage, disk) = gated();
    let (ledger, mut failed) =
        start_on(Arc::new(storage.clone()), || Timestamp::new(1), SNAPSHOT_ENTRIES);
    disk.let_sync();
    submit(&ledger, vec![opening("alice")]).await.expect("opened");
    storage.gate.reads_panic.store(true, Ordering::Relaxed);
    disk.verdict.send(Err(io::ErrorKind::Other.into())).expect("the journal is there");
    let unknown = submit(&ledger, vec![opening("bob")]).await;
    assert_eq!(unknown, Err(LedgerUnavailable::OutcomeUnknown));
    let failed = tokio::time::timeout(PATIENCE, failed.recv()).await.expect("it ends");
    assert!(matches!(failed, Some(LedgerFailure::Panicked)));
}

/// The story: a snapshot waits for its batch when the disk is found full. Counted as taken, it is the last one
/// for millions of entries; and a ledger that has gone back to before it counts below zero.
#[actix::test]
async fn a_snapshot_of_what_is_not_durable_is_forgotten() {
    let storage = Full::default();
    let (ledger, _) = start_on(Arc::new(storage.clone()), || Timestamp::new(1), 2);
    let health = health_of(&ledger).await;
    storage.set(true);
    let three = vec![opening("a1"), opening("a2"), opening("a3")];
    let refused = Err(LedgerUnavailable::ReadOnly);
    assert_eq!(submit(&ledger, three.clone()).await, refused);
    storage.set(false);
    while *health.borrow() != LedgerHealth::Writing {
        ledger.do_send(TryToWrite);
        tokio::task::yield_now().await;
    }
    submit(&ledger, vec![opening("b1")]).await.expect("there is room");
    submit(&ledger, three).await.expect("there is room");
    ledger.send(StopLedger).await.expect("answers");
    assert!(storage.files.read("snapshot-00000000000000000002.mite").is_some());
}

#[actix::test]
async fn a_defect_of_the_journal_stops_the_process() {
    let (ledger, mut failed) =
        start_on(Arc::new(MemoryStorage::new()), || Timestamp::new(1), SNAPSHOT_ENTRIES);
    ledger.do_send(JournalFailed(JournalError::Panicked("on purpose".into())));
    assert!(matches!(failed.recv().await, Some(LedgerFailure::Journal(_))));
}
