//! The Ledger: owns the [`State`] and the [`journal`], and tells nobody an outcome before it is durable.
//!
//! What arrives while one batch is on its way to the disk goes together with the next one, so that a
//! sync serves everybody who waits for it. The rules stand in [`state`], without any of this.

pub mod journal;
mod snapshots;
pub mod state;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use slog::{Logger, crit, debug, info, o};
use wire::batch::BATCH_ENTRIES_MAX;
use wire::entry::ENTRY_BYTES_MAX;
use wire::{PublicKey, Timestamp};

use self::journal::{
    BATCH_BYTES_MAX, BATCHES_UNDER_WAY_MAX, Batch, Captured, Committed, Journal, JournalError,
    JournalWriter, Report,
};
use self::snapshots::Snapshots;
use self::state::{Command, Outcome, State, Terms};
use crate::later::{Later, ReplySlot};
use crate::messages::{BatchCommitted, JournalFailed, LedgerUnavailable, StopLedger, Submit};

/// Commands that may wait for the disk: at a million a second, a quarter of a second. Each waits as a
/// [`Command`] or as its [`Outcome`]. Counted with both this is 32 MiB. Names of more than 24 bytes
/// are on the heap besides: two of 128 bytes in a command at most, 64 MiB if all are such.
const COMMANDS_WAITING_MAX: usize = 1 << 18;

const _: () =
    assert!(COMMANDS_WAITING_MAX * (size_of::<Command>() + size_of::<Outcome>()) <= 32 << 20);

/// The most commands that are taken in one [`Submit`], so that it always fits into an empty batch:
/// none of them makes an entry of more than `COMMAND_ENTRY_BYTES_MAX`.
pub const SUBMIT_COMMANDS_MAX: usize = 1 << 15;

/// Messages that the mailbox holds before senders wait. Each clone of the ledger's address may add one
/// more when it is full, so that this alone bounds nothing: the number of sessions does, each of which
/// has one message under way at most. So many sessions' messages gather without anybody waiting.
const MAILBOX_MESSAGES: usize = 4096;

/// The largest entry that a command makes today: an opening with a name of 32 characters of 4 bytes
/// and a key.
const COMMAND_ENTRY_BYTES_MAX: usize = 192;

const _: () = assert!(SUBMIT_COMMANDS_MAX <= BATCH_ENTRIES_MAX as usize);
const _: () =
    assert!(SUBMIT_COMMANDS_MAX * COMMAND_ENTRY_BYTES_MAX <= BATCH_BYTES_MAX - ENTRY_BYTES_MAX);

/// How many entries may follow a snapshot before the next one is due, by default: half a second of
/// replay.
pub const SNAPSHOT_ENTRIES: u64 = 1_000_000;

/// Why the ledger must take the whole process down.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFailure {
    /// The journal cannot be written: nobody knows what the disk holds until it is opened again.
    #[error("the journal cannot be written: {0}")]
    Journal(JournalError),
    /// The ledger panicked: its state cannot be trusted.
    #[error("the ledger panicked")]
    Panicked,
}

/// What the ledger needs besides its journal.
#[derive(Clone)]
pub struct LedgerSettings {
    /// The server's clock.
    pub clock: fn() -> Timestamp,
    /// The server's public key, which every order names.
    pub server: PublicKey,
    /// How many entries may follow a snapshot before the next one is due. A server uses
    /// [`SNAPSHOT_ENTRIES`].
    pub snapshot_entries: u64,
    /// Ends the process. Called at most once, on a failure after which the ledger answers nobody.
    pub fail_stop: Arc<dyn Fn(LedgerFailure) + Send + Sync>,
}

/// The time of this machine's clock.
pub fn system_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

type Outcomes = Result<Vec<Outcome>, LedgerUnavailable>;
type OutcomesSlot = ReplySlot<Outcomes>;

/// The actor that moves the money. One per server.
pub struct Ledger {
    state: State,
    /// Taken when the ledger starts and when it stops.
    journal: Option<Journal>,
    writer: Option<JournalWriter>,
    settings: LedgerSettings,
    /// What the next batch will hold.
    gathering: Gathering,
    /// What the batches hold that are on their way to the disk, in order.
    committing: VecDeque<Committing>,
    /// What does not fit into the next batch any more, in order.
    overflow: VecDeque<(Submit, OutcomesSlot)>,
    /// Memory of a batch that is durable, to be used again.
    spare: Option<Vec<u8>>,
    commands_waiting: usize,
    flush_scheduled: bool,
    /// The last batch that is durable.
    last: Committed,
    /// The clock as it was last read.
    now: Timestamp,
    snapshots: Snapshots,
    stopping: Option<ReplySlot<()>>,
    stop_asked: bool,
    log: Logger,
}

struct Gathering {
    batch: Batch,
    waiting: Vec<Waiting>,
}

struct Committing {
    waiting: Vec<Waiting>,
    snapshot: Option<Captured>,
}

/// Outcomes that are decided, and who waits for them.
struct Waiting {
    outcomes: Vec<Outcome>,
    reply: OutcomesSlot,
}

impl Ledger {
    /// A ledger over an open journal and the state that it holds.
    pub fn new(journal: Journal, state: State, settings: LedgerSettings, log: &Logger) -> Self {
        let log = log.new(o!("actor" => "ledger"));
        let last = *journal.last();
        let storage = Arc::clone(journal.storage());
        let snapshots = Snapshots::new(storage, settings.snapshot_entries, &state, log.clone());
        Self {
            state,
            journal: Some(journal),
            writer: None,
            settings,
            gathering: Gathering { batch: Batch::new(Vec::new()), waiting: Vec::new() },
            committing: VecDeque::new(),
            overflow: VecDeque::new(),
            spare: None,
            commands_waiting: 0,
            flush_scheduled: false,
            last,
            now: last.time,
            snapshots,
            stopping: None,
            stop_asked: false,
            log,
        }
    }

    fn take(&mut self, submit: Submit, reply: OutcomesSlot, ctx: &mut Context<Self>) {
        let count = submit.0.len();
        let too_many =
            count > SUBMIT_COMMANDS_MAX || self.commands_waiting + count > COMMANDS_WAITING_MAX;
        if self.stop_asked {
            return reply.send(Err(LedgerUnavailable::Stopping));
        }
        if too_many {
            return reply.send(Err(LedgerUnavailable::Busy));
        }
        self.commands_waiting += count;
        if self.overflow.is_empty() && self.fits(count) {
            self.apply(submit, reply);
        } else {
            self.overflow.push_back((submit, reply));
        }
        self.schedule_flush(ctx);
    }

    fn fits(&self, commands: usize) -> bool {
        let batch = &self.gathering.batch;
        let entries = batch.entry_count() as usize + commands;
        let bytes = batch.byte_len() + commands * COMMAND_ENTRY_BYTES_MAX;
        entries <= BATCH_ENTRIES_MAX as usize && bytes <= BATCH_BYTES_MAX - ENTRY_BYTES_MAX
    }

    fn apply(&mut self, Submit(commands): Submit, reply: OutcomesSlot) {
        let terms = Terms { now: self.now(), server: self.settings.server };
        let Gathering { batch, waiting } = &mut self.gathering;
        let mut outcomes = Vec::with_capacity(commands.len());
        for command in commands {
            let (outcome, entry) = self.state.apply(command, &terms);
            if let Some(entry) = entry {
                batch.push(&entry);
            }
            outcomes.push(outcome);
        }
        waiting.push(Waiting { outcomes, reply });
    }

    /// The server's clock, kept from going back.
    fn now(&mut self) -> Timestamp {
        self.now = (self.settings.clock)().max(self.now);
        self.now
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
        if self.gathering.batch.is_empty() {
            let waiting = std::mem::take(&mut self.gathering.waiting);
            match self.committing.back_mut() {
                // What these outcomes tell of is durable when that is.
                Some(last) => last.waiting.extend(waiting),
                None => self.release(waiting),
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
        self.stop_if_asked(ctx);
    }

    fn hand_over(&mut self) {
        // The state now is the state behind this batch.
        let snapshot = self.snapshots.capture_if_due(&self.state);
        let empty = Batch::new(self.spare.take().unwrap_or_default());
        let mut batch = std::mem::replace(&mut self.gathering.batch, empty);
        let waiting = std::mem::take(&mut self.gathering.waiting);
        if snapshot.is_some() {
            batch.close();
        }
        self.committing.push_back(Committing { waiting, snapshot });
        let now = self.now();
        let commit = self.writer.as_ref().map(|writer| writer.commit(batch, now));
        // If the thread has ended, it has reported why.
        if let Some(Err(error)) = commit {
            debug!(self.log, "the journal takes nothing more"; "why" => %error);
        }
    }

    fn gather_overflow(&mut self) {
        while let Some((submit, _)) = self.overflow.front()
            && self.fits(submit.0.len())
            && let Some((submit, reply)) = self.overflow.pop_front()
        {
            self.apply(submit, reply);
        }
    }

    fn release(&mut self, waiting: Vec<Waiting>) {
        for Waiting { outcomes, reply } in waiting {
            self.commands_waiting -= outcomes.len();
            reply.send(Ok(outcomes));
        }
    }

    fn stop_if_asked(&mut self, ctx: &mut Context<Self>) {
        let idle = self.committing.is_empty() && self.gathering.batch.is_empty();
        if !self.stop_asked || !idle || !self.overflow.is_empty() {
            return;
        }
        if let Some(writer) = self.writer.take() {
            writer.stop();
        }
        self.snapshots.finish(&self.state, &self.last);
        info!(self.log, "the journal is closed"; "entries" => self.state.next_entry().get());
        if let Some(asked) = self.stopping.take() {
            asked.send(());
        }
        ctx.stop();
    }

    fn fail(&mut self, failure: LedgerFailure) {
        crit!(self.log, "the ledger stops the server"; "why" => %failure);
        // Nobody is told anything: what is on its way may or may not be durable.
        (self.settings.fail_stop)(failure);
    }
}

impl Actor for Ledger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        let Some(journal) = self.journal.take() else { return };
        let ledger = ctx.address().downgrade();
        self.writer = Some(JournalWriter::start(journal, move |report| {
            let Some(ledger) = ledger.upgrade() else { return };
            match report {
                Report::Committed { committed, batches, buffer } => {
                    ledger.do_send(BatchCommitted { committed, batches, buffer });
                }
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
    type Result = Later<Outcomes>;

    fn handle(&mut self, submit: Submit, ctx: &mut Self::Context) -> Self::Result {
        let (later, reply) = Later::new();
        self.take(submit, reply, ctx);
        later
    }
}

impl Handler<BatchCommitted> for Ledger {
    type Result = ();

    fn handle(&mut self, committed: BatchCommitted, ctx: &mut Self::Context) {
        let BatchCommitted { committed, batches, buffer } = committed;
        debug!(self.log, "batch committed"; "batch" => committed.batch.get(),
            "entries" => committed.next_entry.get() - self.last.next_entry.get());
        self.last = committed;
        self.spare = Some(buffer);
        for _ in 0..batches {
            let Some(Committing { waiting, snapshot }) = self.committing.pop_front() else { break };
            self.release(waiting);
            // A batch with a snapshot is the last of those that were written together.
            if let Some(snapshot) = snapshot {
                self.snapshots.store_in_background(snapshot, committed);
            }
        }
        self.schedule_flush(ctx);
    }
}

impl Handler<JournalFailed> for Ledger {
    type Result = ();

    fn handle(&mut self, JournalFailed(error): JournalFailed, _: &mut Self::Context) {
        self.fail(LedgerFailure::Journal(error));
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
