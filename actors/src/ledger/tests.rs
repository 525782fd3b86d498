use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wire::text::TextPayment;
use wire::{Access, AccountId, Amount, Refusal, Username};

use super::journal::{JournalOptions, MemoryStorage, Storage, StorageFile};
use super::state::{Command, Outcome};
use super::waiting::PLAIN_COMMAND_BYTES;
use super::*;
use crate::probe::{no_log, server_key};

mod expiry;
mod flood;
mod read_only;
mod receipts;
mod snapshots;

/// A directory in memory whose syncs wait for the test's word, or fail.
#[derive(Clone)]
struct GatedStorage {
    files: MemoryStorage,
    gate: Arc<Gate>,
}

struct Gate {
    /// Told at each sync of a file's data.
    reached: Sender<()>,
    /// What becomes of it.
    verdict: Mutex<Receiver<io::Result<()>>>,
    /// Told the temporary name of each snapshot that is written and gets its own name next.
    snapshot_written: Sender<String>,
    /// When it may, and what happens then.
    snapshot_allowed: Mutex<Receiver<fn()>>,
    /// A defect: whoever reads a file panics.
    reads_panic: AtomicBool,
}

struct GatedFile {
    file: Box<dyn StorageFile>,
    gate: Arc<Gate>,
}

/// The test's side of the gate.
struct Disk {
    reached: Receiver<()>,
    verdict: Sender<io::Result<()>>,
    snapshots: SnapshotGate,
}

/// The part that snapshots pass; another thread may have it.
struct SnapshotGate {
    written: Receiver<String>,
    allowed: Sender<fn()>,
}

impl Disk {
    /// Waits until the journal syncs.
    fn wait_for_sync(&self) {
        self.reached.recv_timeout(PATIENCE).expect("the journal syncs");
    }

    fn let_sync(&self) {
        self.verdict.send(Ok(())).expect("the journal is there");
    }
}

impl SnapshotGate {
    fn let_one_pass(&self) {
        self.allowed.send(|| {}).expect("the storage is there");
    }

    fn let_one_panic(&self) {
        let panic = || panic!("the snapshot is a defect, on purpose");
        self.allowed.send(panic).expect("the storage is there");
    }
}

fn gated() -> (GatedStorage, Disk) {
    let (reached, at_gate) = channel();
    let (verdict, verdicts) = channel();
    let (snapshot_written, written) = channel();
    let (allowed, snapshot_allowed) = channel();
    let (verdict_gate, snapshot_allowed) = (Mutex::new(verdicts), Mutex::new(snapshot_allowed));
    let reads_panic = AtomicBool::new(false);
    let gate =
        Gate { reached, verdict: verdict_gate, snapshot_written, snapshot_allowed, reads_panic };
    let snapshots = SnapshotGate { written, allowed };
    let storage = GatedStorage { files: MemoryStorage::new(), gate: Arc::new(gate) };
    (storage, Disk { reached: at_gate, verdict, snapshots })
}

impl Gate {
    fn verdicts(&self) -> MutexGuard<'_, Receiver<io::Result<()>>> {
        self.verdict.lock().expect("no test panics with the lock")
    }

    fn wrap(self: &Arc<Self>, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(GatedFile { file, gate: Arc::clone(self) })
    }
}

impl Storage for GatedStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.gate.wrap(self.files.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.gate.wrap(self.files.create(name)?))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if from.starts_with("snapshot-") {
            // A test that has ended waits for nothing any more.
            let _ = self.gate.snapshot_written.send(from.to_owned());
            let allowed =
                self.gate.snapshot_allowed.lock().expect("no test panics with the lock").recv();
            if let Ok(pass) = allowed {
                pass();
            }
        }
        self.files.rename(from, to)
    }
    fn sync(&self) -> io::Result<()> {
        self.files.sync()
    }
}

impl StorageFile for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(!self.gate.reads_panic.load(Ordering::Relaxed), "a defect, on purpose");
        self.file.read_exact_at(bytes, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        // A test that has ended waits for nothing any more.
        let _ = self.gate.reached.send(());
        self.gate.verdicts().recv().unwrap_or(Ok(()))?;
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn start_on(
    storage: Arc<dyn Storage>,
    clock: fn() -> Timestamp,
    snapshot_entries: u64,
) -> (Addr<Ledger>, UnboundedReceiver<LedgerFailure>) {
    let (failures, failed) = unbounded_channel();
    let fail_stop = Arc::new(move |failure| {
        // A test that has ended listens no more.
        let _ = failures.send(failure);
    });
    let (journal, state) =
        Journal::open(storage, server_key(), JournalOptions::default(), &no_log()).expect("intact");
    let settings = LedgerSettings { clock, snapshot_entries, grew: None, fail_stop };
    (Ledger::new(journal, state, settings, &no_log()).start(), failed)
}

fn start(storage: Arc<dyn Storage>) -> Addr<Ledger> {
    start_on(storage, || Timestamp::new(1), SNAPSHOT_ENTRIES).0
}

fn reopened(storage: &MemoryStorage) -> (Committed, State) {
    let storage = Arc::new(storage.copy());
    let (journal, state) =
        Journal::open(storage, server_key(), JournalOptions::default(), &no_log()).expect("intact");
    (*journal.last(), state)
}

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn opening(who: &str) -> Command {
    let name = name(who).try_into().expect("a name that may be given");
    Command::OpenAccount { name, access: Access::Open, grant: Amount::new(1000) }
}

fn balance(account: u64) -> Command {
    Command::ReadBalance(AccountId::new(account))
}

fn opened(account: u64) -> Outcome {
    Outcome::Opened(AccountId::new(account))
}

async fn submit(ledger: &Addr<Ledger>, commands: Vec<Command>) -> <Submit as Message>::Result {
    ledger.send(Submit(commands)).await.expect("the ledger answers")
}

/// How long the other thread may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the ledger take what it was sent.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn outcomes_are_told_in_order_and_survive() {
    let storage = MemoryStorage::new();
    let ledger = start(Arc::new(storage.clone()));
    let outcomes = submit(&ledger, vec![opening("alice"), opening("alice"), balance(0)]).await;
    let expected =
        vec![opened(0), Outcome::Refused(Refusal::NameTaken), Outcome::Balance(Amount::new(1000))];
    assert_eq!(outcomes, Ok(expected));
    let (last, state) = reopened(&storage);
    assert_eq!((last.batch.get(), state.accounts().len()), (1, 1));
}

/// Told too early, an outcome could be taken back by a crash.
#[actix::test]
async fn nobody_hears_of_anything_before_it_is_durable() {
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage.clone()));
    let mut first = Box::pin(ledger.send(Submit(vec![opening("alice")])));
    assert!(first.as_mut().now_or_never().is_none());
    settle().await;
    disk.wait_for_sync();
    // A question that the state could answer waits too: its answer tells of the opening.
    let mut question = Box::pin(ledger.send(Submit(vec![balance(0)])));
    assert!(question.as_mut().now_or_never().is_none());
    settle().await;
    assert!(first.as_mut().now_or_never().is_none());
    assert!(question.as_mut().now_or_never().is_none());
    disk.let_sync();
    assert_eq!(first.await.expect("answers"), Ok(vec![opened(0)]));
    let known = Ok(vec![Outcome::Balance(Amount::new(1000))]);
    assert_eq!(question.await.expect("answers"), known);
    // With nothing on its way to the disk, a question costs no sync.
    assert_eq!(submit(&ledger, vec![balance(0)]).await, known);
    assert!(disk.reached.try_recv().is_err());
}

#[actix::test]
async fn what_gathers_during_a_sync_goes_in_one_batch() {
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage.clone()));
    let first = ledger.send(Submit(vec![opening("first")]));
    settle().await;
    disk.wait_for_sync();
    let others: Vec<_> =
        (0..50).map(|n| ledger.send(Submit(vec![opening(&format!("n{n}"))]))).collect();
    settle().await;
    disk.let_sync();
    disk.let_sync();
    assert_eq!(first.await.expect("answers"), Ok(vec![opened(0)]));
    for (other, account) in others.into_iter().zip(1..) {
        assert_eq!(other.await.expect("answers"), Ok(vec![opened(account)]));
    }
    assert_eq!(reopened(&storage.files).0.batch.get(), 2);
}

#[actix::test]
async fn a_full_queue_says_busy_and_takes_nothing_of_it() {
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage));
    let whole = || Submit(vec![balance(0); SUBMIT_COMMANDS_MAX]);
    let first = ledger.send(Submit(vec![opening("alice")]));
    settle().await;
    disk.wait_for_sync();
    let waiting: Vec<_> = (1..WAITING_BYTES_MAX / PLAIN_COMMAND_BYTES / SUBMIT_COMMANDS_MAX)
        .map(|_| ledger.send(whole()))
        .collect();
    settle().await;
    let busy = Err(LedgerUnavailable::Busy);
    let mut too_many = vec![opening("bob")];
    too_many.resize(SUBMIT_COMMANDS_MAX, balance(0));
    assert_eq!(submit(&ledger, too_many).await, busy);
    disk.let_sync();
    first.await.expect("answers").expect("opened");
    for waiting in waiting {
        assert!(waiting.await.expect("answers").is_ok());
    }
    let nobody = submit(&ledger, vec![Command::FindAccount(name("bob"))]).await;
    assert_eq!(nobody, Ok(vec![Outcome::Found(None)]), "what was refused was not done");
    assert_eq!(submit(&ledger, vec![balance(0); SUBMIT_COMMANDS_MAX + 1]).await, busy);
}

#[actix::test]
async fn what_does_not_fit_into_a_batch_goes_with_the_next_in_order() {
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage.clone()));
    let first = ledger.send(Submit(vec![opening("first")]));
    settle().await;
    disk.wait_for_sync();
    let share = 20_000;
    let submits: Vec<_> = (0..4)
        .map(|k| {
            let openings = (0..share).map(|n| opening(&format!("k{k}n{n}"))).collect();
            ledger.send(Submit(openings))
        })
        .collect();
    for _ in 0..4 {
        disk.let_sync();
    }
    first.await.expect("answers").expect("opened");
    for (submit, k) in submits.into_iter().zip(0..) {
        let outcomes = submit.await.expect("answers").expect("done");
        assert_eq!(outcomes[0], opened(1 + k * share));
    }
    let (last, state) = reopened(&storage.files);
    assert_eq!(state.accounts().len(), 80_001);
    assert!(last.batch.get() > 2, "65,536 entries fit into one batch");
}

/// The story: a payment that fits into the batch goes into it, in front of earlier ones that wait for the
/// next; a payment that was sent after the credits it spends is refused.
#[actix::test]
async fn nothing_overtakes_what_does_not_fit_into_a_batch() {
    let ledger = start(Arc::new(MemoryStorage::new()));
    let openings = |k| (0..30_000).map(|n| opening(&format!("k{k}n{n}"))).collect();
    // All of them are there before the first batch leaves: 65,536 entries fit into it.
    let filling = [0, 1].map(|k| ledger.send(Submit(openings(k))));
    let mut large = vec![opening("first")];
    large.resize(10_000, balance(0));
    let large = ledger.send(Submit(large));
    let small = ledger.send(Submit(vec![opening("second")]));
    for filling in filling {
        filling.await.expect("answers").expect("done");
    }
    assert_eq!(large.await.expect("answers").expect("done")[0], opened(60_000));
    assert_eq!(small.await.expect("answers"), Ok(vec![opened(60_001)]));
}

#[actix::test]
async fn a_panic_stops_the_process() {
    let clock = || panic!("the clock is broken, on purpose");
    let (ledger, mut failed) = start_on(Arc::new(MemoryStorage::new()), clock, SNAPSHOT_ENTRIES);
    ledger.do_send(Submit(vec![opening("alice")]));
    assert!(matches!(failed.recv().await, Some(LedgerFailure::Panicked)));
}

#[actix::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_more() {
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage.clone()));
    let under_way = ledger.send(Submit(vec![opening("alice")]));
    settle().await;
    disk.wait_for_sync();
    let gathered = ledger.send(Submit(vec![opening("bob")]));
    settle().await;
    let mut stopping = Box::pin(ledger.send(StopLedger));
    assert!(stopping.as_mut().now_or_never().is_none());
    let late = submit(&ledger, vec![opening("carol")]).await;
    assert_eq!(late, Err(LedgerUnavailable::Stopping));
    disk.let_sync();
    disk.let_sync();
    disk.snapshots.let_one_pass();
    assert_eq!(under_way.await.expect("answers"), Ok(vec![opened(0)]));
    assert_eq!(gathered.await.expect("answers"), Ok(vec![opened(1)]));
    stopping.await.expect("answers");
    assert!(ledger.send(Submit(vec![])).await.is_err(), "it is gone");
    let (last, state) = reopened(&storage.files);
    assert_eq!((last.batch.get(), state.accounts().len()), (2, 2));
    let files = storage.list().expect("memory does not fail");
    assert!(files.iter().any(|file| file.starts_with("snapshot-")), "{files:?}");
}
