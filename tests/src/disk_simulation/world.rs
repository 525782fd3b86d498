//! One ledger on a simulated disk, from a start to its end.

mod faults;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use actix::{Actor as _, Addr};
use actors::ledger::audit::audit;
use actors::ledger::journal::{Journal, JournalOptions, OpenError, Storage};
use actors::ledger::state::{Command, State};
use actors::ledger::{Ledger, LedgerFailure, LedgerHealth, LedgerSettings};
use actors::messages::{
    LedgerUnavailable, Settlement, Signer, StopLedger, Submit, SubmitForReceipts, TryToWrite,
};
use ed25519_zebra::SigningKey;
use slog::{Discard, Logger, o};
use tokio::sync::watch;
use tokio::task::yield_now;
use wire::{PublicKey, Timestamp};

use super::Tally;
use super::disk::{Fault, SimulatedDisk};
use super::history::{Asked, History, Told};
use super::turns::SimulatedBackground;
use super::workload::Workload;
use crate::random::Random;

/// Between so many steps and twice as many, a run ends of itself.
const STEPS_MIN: u64 = 15;

/// Behind how many operations that it can happen to something goes wrong at most: about as many as a run has.
const OPERATIONS_MAX: u64 = 16;

/// How often every actor and every work gets a turn until nothing is left to do: far more than there are
/// messages under way.
const TURNS_MAX: usize = 400;

/// How many orders are tried again at once, at most: when time has passed, and behind a start, by which the clock may
/// have been set back.
const TRIED_AGAIN_MAX: usize = 8;

/// When the first batch is written.
const BEGIN: u64 = 1_700_000_000_000;

thread_local! {
    /// The clock, which the ledger reads by a function.
    static NOW: Cell<u64> = const { Cell::new(BEGIN) };
}

fn now() -> Timestamp {
    Timestamp::new(NOW.get())
}

/// Everything of one seed.
pub(super) struct World {
    pub(super) random: Random,
    disk: SimulatedDisk,
    segment_bytes: u64,
    snapshot_entries: u64,
    server: Signer,
    key: PublicKey,
    workload: Workload,
    history: History,
    running: Option<Running>,
    tally: Tally,
}

/// A ledger that runs.
struct Running {
    ledger: Addr<Ledger>,
    background: SimulatedBackground,
    health: watch::Receiver<LedgerHealth>,
    failure: Arc<Mutex<Option<LedgerFailure>>>,
    pending: Vec<Pending>,
}

/// A request whose answer is to come.
struct Pending {
    asked: Vec<Asked>,
    heard: Rc<RefCell<Option<Heard>>>,
}

type Heard = Result<Vec<Settlement>, LedgerUnavailable>;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        // The first numbers of seeds that are close are close.
        for _ in 0..8 {
            random.below(2);
        }
        let server = Signer::new(SigningKey::from_bytes(&[0x5E; 32]));
        let key = server.public_key();
        let sizes = [1, 700, 4096, 16 << 10, 64 << 10, 64 << 20];
        let size = usize::try_from(random.below(sizes.len() as u64)).expect("one of them");
        NOW.set(BEGIN);
        Self {
            disk: SimulatedDisk::new(random.below(u64::MAX)),
            segment_bytes: sizes[size],
            snapshot_entries: 3 + random.below(40),
            server,
            key,
            workload: Workload::new(key),
            history: History::default(),
            running: None,
            tally: Tally { seeds: 1, ..Tally::default() },
            random,
        }
    }

    /// Opens the journal and looks whether it bears out what was told.
    pub(super) fn start(&mut self) -> Result<(), String> {
        if self.random.below(3) == 0 {
            // Between two starts, somebody may set the clock back.
            NOW.set(NOW.get() - self.random.below(3_600_000));
        }
        if self.random.below(3) == 0 {
            self.prepare_fault();
        }
        let (journal, state) = loop {
            let opened = self.open();
            let fired = self.disk.fired();
            match opened {
                Ok(opened) => break opened,
                Err(OpenError::Io(_)) if !fired.is_empty() => {
                    self.crash_or_kill();
                    self.calm();
                }
                Err(error) => return Err(format!("the journal is refused: {error}")),
            }
        };
        // Read by somebody for whom nothing goes wrong.
        self.calm();
        if self.disk.is_off() {
            return Err("the journal opened without power".to_owned());
        }
        let disk = Arc::new(self.disk.clone());
        let Told { batches, .. } = self.history.check(disk, &state)?;
        self.tally.batches = batches;
        self.workload.know(&state);
        self.run(journal, state);
        Ok(())
    }

    fn open(&self) -> Result<(Journal, State), OpenError> {
        let options = JournalOptions { segment_bytes: self.segment_bytes };
        let disk = Arc::new(self.disk.clone());
        Journal::open(disk, self.server.clone(), options, &log())
    }

    fn run(&mut self, journal: Journal, state: State) {
        let background = SimulatedBackground::default();
        let failure = Arc::new(Mutex::new(None));
        let failed = Arc::clone(&failure);
        let settings = LedgerSettings {
            clock: now,
            snapshot_entries: self.snapshot_entries,
            grew: None,
            fail_stop: Arc::new(move |failure| {
                *failed.lock().expect("nothing panics while it holds the lock") = Some(failure);
            }),
        };
        let journal = journal.with_background(Arc::new(background.clone()));
        let ledger = Ledger::new(journal, state, settings, &log());
        let health = ledger.health();
        let (ledger, pending) = (ledger.start(), Vec::new());
        self.running = Some(Running { ledger, background, health, failure, pending });
    }

    /// People ask, and things go wrong.
    pub(super) async fn work(&mut self) -> Result<(), String> {
        if self.random.below(4) > 0 {
            self.prepare_fault();
        }
        if self.random.below(3) == 0 {
            let again = self.workload.latest_again(TRIED_AGAIN_MAX);
            self.submit(again);
        }
        let steps = STEPS_MIN + self.random.below(STEPS_MIN);
        for _ in 0..steps {
            self.step().await?;
            if self.disk.is_off() || self.has_failed()? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), String> {
        let Some(running) = &mut self.running else { return Ok(()) };
        match self.random.below(20) {
            0..8 => {
                let count = 1 + self.random.below(4);
                self.ask(count);
            }
            8 => self.ask_much(),
            9..14 => {
                running.background.turn_journal();
            }
            14..17 => {
                let works = running.background.works() as u64;
                if works > 0 {
                    let number = usize::try_from(self.random.below(works)).expect("few");
                    running.background.work(number);
                }
            }
            17 => NOW.set(NOW.get() + self.random.below(10_000)),
            18 => {
                // Somebody makes room on a full disk, or only thinks so.
                if self.random.below(2) == 0 {
                    self.disk.make_room();
                }
                running.ledger.do_send(TryToWrite);
            }
            _ => {}
        }
        settle().await;
        self.collect()
    }

    fn ask(&mut self, count: u64) {
        let (random, workload) = (&mut self.random, &mut self.workload);
        let commands = (0..count).map(|_| workload.command(now(), random)).collect();
        self.submit(commands);
    }

    /// So much that a segment is left behind, or the next one made ahead.
    fn ask_much(&mut self) {
        let bulk = if self.random.below(8) == 0 { 3000 } else { 100 };
        let (random, workload) = (&mut self.random, &mut self.workload);
        let commands = (0..bulk).map_while(|_| workload.text(random)).collect::<Vec<_>>();
        if !commands.is_empty() {
            self.submit(commands);
        }
    }

    fn submit(&mut self, commands: Vec<(Command, Asked)>) {
        let Some(running) = &mut self.running else { return };
        let (commands, asked): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        self.history.ask(&asked);
        let heard = Rc::new(RefCell::new(None));
        let hear = Rc::clone(&heard);
        // Sent now, not when it is looked at.
        if self.random.below(4) > 0 {
            let asked = running.ledger.send(SubmitForReceipts(commands));
            actix::spawn(async move {
                if let Ok(settled) = asked.await {
                    *hear.borrow_mut() = Some(settled);
                }
            });
        } else {
            let asked = running.ledger.send(Submit(commands));
            actix::spawn(async move {
                if let Ok(outcomes) = asked.await {
                    let bare = |outcome| Settlement { outcome, receipt: None };
                    let bare = outcomes.map(|all| all.into_iter().map(bare).collect());
                    *hear.borrow_mut() = Some(bare);
                }
            });
        }
        running.pending.push(Pending { asked, heard });
    }

    /// Hears what was answered, in the order in which it was asked.
    fn collect(&mut self) -> Result<(), String> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let mut open = Vec::new();
        for Pending { asked, heard } in std::mem::take(&mut running.pending) {
            match heard.take() {
                Some(answer) => self.history.hear(asked, answer, &self.key)?,
                None => open.push(Pending { asked, heard }),
            }
        }
        running.pending = open;
        Ok(())
    }

    /// Whether the ledger has ended the process, as it must if it can neither write nor read.
    fn has_failed(&self) -> Result<bool, String> {
        let Some(running) = &self.running else { return Ok(true) };
        let failure = running.failure.lock().expect("nothing panics while it holds the lock");
        match &*failure {
            None => Ok(false),
            Some(LedgerFailure::Unreadable(OpenError::Io(_))) => Ok(true),
            Some(failure) => Err(format!("the process ends: {failure}")),
        }
    }

    /// The run ends: the power is cut, the process is killed, or the server stops in good order.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        if !self.disk.is_off() && !self.has_failed()? {
            if self.random.below(4) == 0 {
                self.stop().await?;
            } else if self.random.below(3) == 0 {
                self.finish().await?;
            } else if self.random.below(2) == 0 {
                self.pass_time().await?;
            }
        }
        self.crash_or_kill();
        self.calm();
        Ok(())
    }

    /// Much time passes, in which nobody pays, and then it is tried what is left.
    async fn pass_time(&mut self) -> Result<(), String> {
        NOW.set(NOW.get() + self.random.below(30_000));
        let late = self.workload.latest_again(TRIED_AGAIN_MAX);
        self.submit(late);
        for _ in 0..self.random.below(4) {
            settle().await;
            if let Some(running) = &mut self.running {
                running.background.turn_journal();
            }
        }
        settle().await;
        self.collect()
    }

    /// Nothing more goes wrong, and everybody who waits gets an answer.
    async fn finish(&mut self) -> Result<(), String> {
        self.count_faults();
        let only_full =
            self.disk.calm().iter().all(|fault| matches!(fault, Fault::Full | Fault::NoFile));
        let Some(running) = &mut self.running else { return Ok(()) };
        let was_writing = *running.health.borrow() == LedgerHealth::Writing;
        for _ in 0..TURNS_MAX {
            running.background.turn_journal();
            if running.background.works() > 0 {
                running.background.work(0);
            }
            running.ledger.do_send(TryToWrite);
            settle().await;
        }
        let health = running.health.borrow().clone();
        self.collect()?;
        let open = self.running.as_ref().map_or(0, |running| running.pending.len());
        if open > 0 {
            return Err(format!("{open} requests are not answered, {health:?}"));
        }
        match health {
            LedgerHealth::ReadOnly { .. } if only_full => {
                Err(format!("there is room, and it does not write: {health:?}"))
            }
            LedgerHealth::Writing if !was_writing => {
                self.tally.resumed += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn stop(&mut self) -> Result<(), String> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let stopped = Rc::new(Cell::new(false));
        let tell = Rc::clone(&stopped);
        let stopping = running.ledger.send(StopLedger);
        actix::spawn(async move { tell.set(stopping.await.is_ok()) });
        for _ in 0..TURNS_MAX {
            if stopped.get() {
                break;
            }
            running.background.turn_journal();
            if running.background.works() > 0 {
                running.background.work(0);
            }
            settle().await;
        }
        self.collect()?;
        let open = self.running.as_ref().map_or(0, |running| running.pending.len());
        if self.disk.is_off() || self.has_failed()? {
            return Ok(());
        }
        if !stopped.get() || open > 0 {
            let stopped = stopped.get();
            return Err(format!("stopped: {stopped}, and {open} requests are not answered"));
        }
        self.tally.stops += 1;
        Ok(())
    }

    /// The whole journal, every signature in it, and every receipt that was given.
    pub(super) fn audit(&mut self) -> Result<(), String> {
        let disk: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let receipts = self.history.receipts();
        let audited = audit(disk, self.key, &receipts, |_| ());
        audited.map(drop).map_err(|error| format!("the audit: {error}"))
    }

    pub(super) fn tally(&self) -> Tally {
        let no_segment = self.disk.no_segment();
        let History { told, expired, .. } = self.history;
        Tally { told, expired, no_segment, torn: self.disk.torn(), ..self.tally }
    }
}

fn log() -> Logger {
    Logger::root(Discard, o!())
}

/// Lets the actors take what they were sent.
async fn settle() {
    for _ in 0..8 {
        yield_now().await;
    }
}
