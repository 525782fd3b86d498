//! What runs beside the ledger, in turns that the simulation gives.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actors::ledger::background::{Background, Task, Work};
use actors::ledger::journal::{JournalTurns, Turned};

/// Everything that was started and has not ended.
#[derive(Clone, Default)]
pub(super) struct SimulatedBackground {
    started: Arc<Mutex<Started>>,
}

#[derive(Default)]
struct Started {
    journal: Option<Shared<JournalTurns>>,
    works: Vec<Shared<Work>>,
}

/// `None` once it has ended.
type Shared<T> = Arc<Mutex<Option<T>>>;

impl SimulatedBackground {
    /// Gives the journal's writer a turn. Says whether it had anything to do.
    pub(super) fn turn_journal(&self) -> bool {
        let journal = self.lock().journal.clone();
        journal.is_some_and(|journal| turn(&journal) == Turned::Done)
    }

    /// How many works wait.
    pub(super) fn works(&self) -> usize {
        self.lock().works.len()
    }

    /// Does one of the works that wait.
    pub(super) fn work(&self, number: usize) {
        let work = self.lock().works.remove(number);
        run(&work);
    }

    /// The process is gone, and all of this with it.
    pub(super) fn end(&self) {
        let started = std::mem::take(&mut *self.lock());
        for work in &started.works {
            locked(work).take();
        }
        if let Some(journal) = started.journal {
            let turns = locked(&journal).take();
            drop(turns);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Started> {
        self.started.lock().expect("nothing panics while it holds the lock")
    }
}

impl Background for SimulatedBackground {
    fn start(&self, _: &'static str, work: Work) -> io::Result<Box<dyn Task>> {
        let work: Shared<Work> = Arc::new(Mutex::new(Some(work)));
        self.lock().works.push(Arc::clone(&work));
        Ok(Box::new(SimulatedWork { work, of: self.clone() }))
    }

    fn start_journal(&self, turns: JournalTurns) -> io::Result<Box<dyn Task>> {
        let journal = Arc::new(Mutex::new(Some(turns)));
        self.lock().journal = Some(Arc::clone(&journal));
        Ok(Box::new(SimulatedJournal(journal)))
    }

    fn pause(&self, _: Duration) {}
}

struct SimulatedWork {
    work: Shared<Work>,
    of: SimulatedBackground,
}

impl Task for SimulatedWork {
    fn is_finished(&self) -> bool {
        locked(&self.work).is_none()
    }

    fn join(self: Box<Self>) {
        self.of.lock().works.retain(|work| !Arc::ptr_eq(work, &self.work));
        run(&self.work);
    }
}

struct SimulatedJournal(Shared<JournalTurns>);

impl Task for SimulatedJournal {
    fn is_finished(&self) -> bool {
        locked(&self.0).is_none()
    }

    fn join(self: Box<Self>) {
        while turn(&self.0) == Turned::Done {}
        let turns = locked(&self.0).take();
        drop(turns);
    }
}

fn locked<T>(shared: &Shared<T>) -> MutexGuard<'_, Option<T>> {
    shared.lock().expect("nothing panics while it holds the lock")
}

fn run(work: &Shared<Work>) {
    // Unlocked before it runs: it may look whether it has ended.
    let work = locked(work).take();
    if let Some(work) = work {
        work();
    }
}

fn turn(journal: &Shared<JournalTurns>) -> Turned {
    let turned = locked(journal).as_mut().map_or(Turned::Ended, JournalTurns::turn);
    if turned == Turned::Ended {
        let turns = locked(journal).take();
        drop(turns);
    }
    turned
}
