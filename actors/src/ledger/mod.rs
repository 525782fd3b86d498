//! The Ledger: owns the [`State`] and the [`journal`], and tells nobody an outcome before it is durable.
//!
//! What arrives while one batch is on its way to the disk goes together with the next one, so that a
//! sync serves everybody who waits for it. The rules stand in [`state`], without any of this. When the disk
//! fails, the ledger goes back to what is durable and answers what changes nothing: see `read_only`.

pub mod audit;
pub mod background;
mod clock;
pub mod counters;
mod growth;
pub mod health;
pub mod journal;
mod operator;
mod read_only;
mod snapshots;
pub mod state;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use slog::{Logger, crit, debug, info, o};
use tokio::sync::watch;
use wire::batch::BATCH_ENTRIES_MAX;
use wire::entry::ENTRY_BYTES_MAX;
use wire::{Entry, EntryNumber, PublicKey, Timestamp};

use self::background::Background;
pub use self::clock::LedgerClock;
use self::counters::LedgerCounters;
use self::growth::{Growth, is_news};
pub use self::health::LedgerHealth;
use self::journal::{
    BATCH_BYTES_MAX, BATCHES_UNDER_WAY_MAX, Batch, Captured, Committed, Journal, JournalError,
    JournalWriter, OpenError, Report, SealedBatch, Storage,
};
use self::operator::AskedSnapshots;
use self::read_only::Mode;
use self::snapshots::Snapshots;
use self::state::{State, Terms};
use self::waiting::{
    Load, Made, Reply, Request, SUBMIT_ENTRY_BYTES_MAX, WAITING_BYTES_MAX, Waiting,
};
pub use self::waiting::{SUBMIT_COMMANDS_MAX, SUBMIT_SIGNED_MAX};
use crate::later::{Later, ReplySlot};
use crate::messages::{
    BatchCommitted, JournalFailed, JournalFull, JournalGrew, JournalHasRoom, LedgerUnavailable,
    StopLedger, Submit, SubmitForReceipts,
};

/// So many messages gather in the mailbox at no cost. It is no bound: who awaits an answer gets past it by a
/// clone of the address. What bounds the mailbox is what sessions may have under way, a text session one
/// message, a secure one no more than calls; and they move at once to where [`waiting`] counts what they hold.
const MAILBOX_MESSAGES: usize = 4096;

/// What the entries of a batch take before it takes no more: there is room for one entry more.
const BATCH_FILL_BYTES: usize = BATCH_BYTES_MAX - ENTRY_BYTES_MAX;

/// By how much its time may be ahead of the machine's clock at the start without a word: NTP sets clocks back
/// by less.
const AHEAD_UNSAID: Duration = Duration::from_mins(1);

// Whatever is taken fits into an empty batch.
const _: () = assert!(SUBMIT_COMMANDS_MAX <= BATCH_ENTRIES_MAX as usize);
const _: () = assert!(SUBMIT_ENTRY_BYTES_MAX <= BATCH_FILL_BYTES);

/// How many entries may follow a snapshot before the next one is due, by default, in a ledger that does not
/// have millions of accounts: at some 400 ns for a text payment, less than two seconds of replay.
pub const SNAPSHOT_ENTRIES: u64 = 4_000_000;

/// Why the ledger must take the whole process down.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFailure {
    /// The journal's thread has failed, and not for the disk: a defect of this program.
    #[error("the journal has failed: {0}")]
    Journal(JournalError),
    /// The journal could not be written, and what is durable cannot be read either.
    #[error("the journal can neither be written nor read: {0}")]
    Unreadable(OpenError),
    /// The ledger panicked, or what reads its state again did: there is none that can be trusted.
    #[error("the ledger panicked")]
    Panicked,
}

/// What the ledger needs besides its journal.
#[derive(Clone)]
pub struct LedgerSettings {
    /// The machine's clock. The ledger keeps it from going back: see [`LedgerClock`].
    pub clock: fn() -> Timestamp,
    /// How many entries may follow a snapshot before the next one is due. A server uses
    /// [`SNAPSHOT_ENTRIES`].
    pub snapshot_entries: u64,
    /// Who is told that the journal has grown, before anybody hears of an outcome.
    pub grew: Option<Recipient<JournalGrew>>,
    /// Ends the process. Called at most once, on a failure after which the ledger answers nobody.
    pub fail_stop: Arc<dyn Fn(LedgerFailure) + Send + Sync>,
}

/// The time of this machine's clock.
pub fn system_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// The actor that moves the money. One per server.
pub struct Ledger {
    state: State,
    /// Taken when the ledger starts and when it stops.
    journal: Option<Journal>,
    writer: Option<JournalWriter>,
    /// Where the journal is.
    storage: Arc<dyn Storage>,
    background: Arc<dyn Background>,
    mode: Mode,
    health: watch::Sender<LedgerHealth>,
    settings: LedgerSettings,
    /// The key that seals the journal, and that every order names.
    server: PublicKey,
    /// What the next batch will hold.
    gathering: Gathering,
    /// What the batches hold that are on their way to the disk, in order.
    committing: VecDeque<Committing>,
    /// What does not fit into the next batch any more, in order.
    overflow: VecDeque<Request>,
    /// Memory of a batch that is durable, to be used again.
    spare: Option<Vec<u8>>,
    /// What all requests that are not answered take, in bytes, at most.
    waiting_bytes: usize,
    flush_scheduled: bool,
    /// The last batch that is durable.
    last: Committed,
    clock: LedgerClock,
    snapshots: Snapshots,
    asked_snapshots: AskedSnapshots,
    counters: LedgerCounters,
    growth: Growth,
    stopping: Option<ReplySlot<()>>,
    stop_asked: bool,
    log: Logger,
}

struct Gathering {
    batch: Batch,
    /// It holds something that an index records.
    news: bool,
    waiting: Vec<Waiting>,
}

struct Committing {
    waiting: Vec<Waiting>,
    news: bool,
    snapshot: Option<Captured>,
    /// The ledger's time when it was handed over. Its batch shows it, or a later one.
    time: Timestamp,
    /// When it was handed over.
    since: Instant,
}

impl Ledger {
    /// A ledger over an open journal and the state that it holds.
    pub fn new(journal: Journal, state: State, settings: LedgerSettings, log: &Logger) -> Self {
        let log = log.new(o!("actor" => "ledger"));
        let last = *journal.last();
        let server = journal.server();
        let growth = Growth::new(settings.grew.clone(), last.next_entry);
        let snapshots = Snapshots::new(&journal, settings.snapshot_entries, log.clone());
        let latest = last.time.max(state.forgotten_until());
        let clock = LedgerClock::new(settings.clock, latest);
        Self {
            state,
            storage: Arc::clone(journal.storage()),
            background: Arc::clone(journal.background()),
            mode: Mode::Writing,
            health: watch::Sender::new(LedgerHealth::Writing),
            journal: Some(journal),
            writer: None,
            settings,
            server,
            gathering: Gathering::empty(Vec::new()),
            committing: VecDeque::new(),
            overflow: VecDeque::new(),
            spare: None,
            waiting_bytes: 0,
            flush_scheduled: false,
            last,
            clock,
            snapshots,
            asked_snapshots: AskedSnapshots::default(),
            counters: LedgerCounters::default(),
            growth,
            stopping: None,
            stop_asked: false,
            log,
        }
    }

    /// The clock that it goes by, for whoever tells clients the time.
    pub fn clock(&self) -> LedgerClock {
        self.clock.clone()
    }

    /// Whether it takes changes, from now on and as that changes.
    pub fn health(&self) -> watch::Receiver<LedgerHealth> {
        self.health.subscribe()
    }

    fn compare_clocks(&self) {
        let ahead = self.clock.ahead();
        if ahead > AHEAD_UNSAID {
            crit!(self.log, "the ledger's time is ahead of this machine's clock: one of them is wrong, and \
                the ledger's stands still meanwhile"; "ahead" => ?ahead,
                "last_batch" => self.last.time.get(),
                "orders_forgotten_until" => self.state.forgotten_until().get());
        }
    }

    fn take(&mut self, request: Request, ctx: &mut Context<Self>) {
        if self.stop_asked {
            return request.reply.refuse(LedgerUnavailable::Stopping);
        }
        let load = request.load;
        if self.mode != Mode::Writing && !load.is_too_large() {
            return self.take_read_only(request);
        }
        if load.is_too_large() || self.waiting_bytes + load.waiting_bytes > WAITING_BYTES_MAX {
            return request.reply.refuse(LedgerUnavailable::Busy);
        }
        self.waiting_bytes += load.waiting_bytes;
        if self.overflow.is_empty() && self.fits(&load) {
            self.apply(request);
        } else {
            self.overflow.push_back(request);
        }
        self.schedule_flush(ctx);
    }

    fn fits(&self, load: &Load) -> bool {
        let batch = &self.gathering.batch;
        let entries = batch.entry_count() as usize + load.commands;
        let bytes = batch.byte_len() + load.entry_bytes();
        entries <= BATCH_ENTRIES_MAX as usize && bytes <= BATCH_FILL_BYTES
    }

    fn apply(&mut self, Request { commands, reply, load }: Request) {
        let now = self.clock.now();
        let terms = Terms { now, shown: self.shown(now), server: self.server };
        let Gathering { batch, news, waiting } = &mut self.gathering;
        let mut outcomes = Vec::with_capacity(commands.len());
        let mut made = Vec::new();
        let mut number = self.state.next_entry();
        let counters = &mut self.counters;
        self.state.apply_all(commands, &terms, |state, outcome, entry| {
            counters.count(&outcome, entry.as_ref());
            if let Some(entry) = entry {
                batch.push(&entry);
                *news |= is_news(&entry, state);
                if reply.wants_receipts() && entry != Entry::TimePassed {
                    made.push(Made { command: outcomes.len(), number, entry });
                }
                number = EntryNumber::new(number.get() + 1);
            }
            outcomes.push(outcome);
        });
        waiting.push(Waiting { outcomes, made, reply, load });
    }

    /// The time of a batch that is durable when outcomes of `now` are told: that of the batch that gathers, if
    /// there is anything in it, or of the one that they wait for.
    fn shown(&self, now: Timestamp) -> Timestamp {
        if !self.gathering.batch.is_empty() {
            return now;
        }
        self.committing.back().map_or(self.last.time, |last| last.time)
    }

    /// Flushes as soon as the mailbox is empty: a batch is whatever is there.
    fn schedule_flush(&mut self, ctx: &mut Context<Self>) {
        if !self.flush_scheduled {
            self.flush_scheduled = true;
            // The context polls its futures after it has emptied the mailbox.
            ctx.spawn(async {}.into_actor(self).map(|(), ledger, ctx| {
                ledger.flush_scheduled = false;
                ledger.flush(ctx);
            }));
        }
    }

    /// Hands the gathered batch to the journal thread. While the disk syncs an earlier one, it waits
    /// there, and goes with what joins it.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.state.forget_expired_orders(now);
        if self.gathering.batch.is_empty() {
            let waiting = std::mem::take(&mut self.gathering.waiting);
            match self.committing.back_mut() {
                // What these outcomes tell of is durable when that is.
                Some(last) => last.waiting.extend(waiting),
                None => self.release(waiting, None),
            }
        } else if self.committing.len() < BATCHES_UNDER_WAY_MAX {
            self.hand_over();
        } else {
            // The next report makes room.
            return;
        }
        if !self.overflow.is_empty() {
            self.gather_overflow();
            self.schedule_flush(ctx);
        }
        self.keep_asked_snapshot();
        self.stop_if_asked(ctx);
    }

    fn hand_over(&mut self) {
        // The state now is the state behind this batch.
        let asked = self.asked_snapshots.is_waiting();
        let snapshot = self.snapshots.capture_if_due(&self.state, asked);
        let empty = Batch::new(self.spare.take().unwrap_or_default());
        let mut batch = std::mem::replace(&mut self.gathering.batch, empty);
        let waiting = std::mem::take(&mut self.gathering.waiting);
        if snapshot.is_some() {
            self.asked_snapshots.captured();
            batch.close();
        }
        let news = std::mem::take(&mut self.gathering.news);
        let (time, since) = (self.clock.now(), Instant::now());
        self.committing.push_back(Committing { waiting, news, snapshot, time, since });
        let commit = self.writer.as_ref().map(|writer| writer.commit(batch, time));
        // If the thread has ended, it has reported why.
        if let Some(Err(error)) = commit {
            debug!(self.log, "the journal takes nothing more"; "why" => %error);
        }
    }

    fn gather_overflow(&mut self) {
        while let Some(request) = self.overflow.front()
            && self.fits(&request.load)
            && let Some(request) = self.overflow.pop_front()
        {
            self.apply(request);
        }
    }

    /// Tells outcomes that are durable with this batch, or with those before it.
    fn release(&mut self, waiting: Vec<Waiting>, sealed: Option<&SealedBatch>) {
        for waiting in waiting {
            self.waiting_bytes -= waiting.load.waiting_bytes;
            waiting.release(sealed);
        }
    }

    fn stop_if_asked(&mut self, ctx: &mut Context<Self>) {
        if !self.stop_asked || !self.is_idle() || !self.overflow.is_empty() {
            return;
        }
        if let Some(writer) = self.writer.take() {
            writer.stop();
        }
        match self.mode {
            Mode::Writing => self.snapshots.finish(&self.state, &self.last),
            // The disk has enough with what there is.
            Mode::Rebuilding { .. } | Mode::ReadOnly { .. } => self.snapshots.wait(),
        }
        info!(self.log, "the journal is closed"; "entries" => self.last.next_entry.get());
        if let Some(asked) = self.stopping.take() {
            asked.send(());
        }
        ctx.stop();
    }

    /// Whether all that is decided is durable.
    fn is_idle(&self) -> bool {
        self.committing.is_empty() && self.gathering.batch.is_empty()
    }
}

impl Gathering {
    /// Nothing, in the memory of `buffer`.
    fn empty(buffer: Vec<u8>) -> Self {
        Self { batch: Batch::new(buffer), news: false, waiting: Vec::new() }
    }
}

impl Actor for Ledger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.compare_clocks();
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        let Some(journal) = self.journal.take() else { return };
        let ledger = ctx.address().downgrade();
        self.snapshots.tell(ledger.clone().recipient());
        self.writer = Some(JournalWriter::start(journal, move |report| {
            let Some(ledger) = ledger.upgrade() else { return };
            match report {
                Report::Committed { sealed, batches, buffer } => {
                    ledger.do_send(BatchCommitted { sealed, batches, buffer });
                }
                Report::Full(failure) => ledger.do_send(JournalFull(failure)),
                Report::HasRoom => ledger.do_send(JournalHasRoom),
                Report::Failed(error) => ledger.do_send(JournalFailed(error)),
            }
        }));
    }
}

/// A panic in the ledger ends the process: half a change must not be built upon.
impl Drop for Ledger {
    fn drop(&mut self) {
        if thread::panicking() {
            self.fail(LedgerFailure::Panicked);
        }
    }
}

impl Handler<Submit> for Ledger {
    type Result = Later<<Submit as Message>::Result>;

    fn handle(&mut self, Submit(commands): Submit, ctx: &mut Self::Context) -> Self::Result {
        let (later, reply) = Later::new();
        self.take(Request::new(commands, Reply::Outcomes(reply)), ctx);
        later
    }
}

impl Handler<SubmitForReceipts> for Ledger {
    type Result = Later<<SubmitForReceipts as Message>::Result>;

    fn handle(
        &mut self,
        SubmitForReceipts(commands): SubmitForReceipts,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        let (later, reply) = Later::new();
        self.take(Request::new(commands, Reply::Settlements(reply)), ctx);
        later
    }
}

impl Handler<BatchCommitted> for Ledger {
    type Result = ();

    fn handle(&mut self, committed: BatchCommitted, ctx: &mut Self::Context) {
        let BatchCommitted { sealed, batches, buffer } = committed;
        let committed = sealed.committed;
        debug!(self.log, "batch committed"; "batch" => committed.batch.get(),
            "entries" => committed.next_entry.get() - self.last.next_entry.get());
        self.last = committed;
        self.spare = Some(buffer);
        if let Some(first) = self.committing.front() {
            self.counters.commit(first.since.elapsed());
        }
        let news = self.committing.iter().take(batches).any(|committing| committing.news);
        self.growth.committed(sealed.header.first_entry..committed.next_entry, news);
        for _ in 0..batches {
            let Some(Committing { waiting, snapshot, .. }) = self.committing.pop_front() else {
                break;
            };
            self.release(waiting, Some(&*sealed));
            // A batch with a snapshot is the last of those that were written together.
            if let Some(snapshot) = snapshot {
                self.snapshots.store_in_background(snapshot, committed);
            }
        }
        self.schedule_flush(ctx);
    }
}

impl Handler<StopLedger> for Ledger {
    type Result = Later<()>;

    fn handle(&mut self, StopLedger: StopLedger, ctx: &mut Self::Context) -> Self::Result {
        let (later, reply) = Later::new();
        self.stop_asked = true;
        self.stopping = Some(reply);
        self.schedule_flush(ctx);
        later
    }
}

#[cfg(test)]
mod tests;
