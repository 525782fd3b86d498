//! What runs beside the ledger, by the simulation's clock.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actors::ledger::background::{Background, Task, Work};
use actors::ledger::journal::{JournalTurns, Turned};
use tokio::time::sleep;

use super::clock;

/// The journal's writer is a task that takes its time; all other work is done at once.
pub(super) struct Tasks;

impl Background for Tasks {
    fn start(&self, _: &'static str, work: Work) -> io::Result<Box<dyn Task>> {
        work();
        Ok(Box::new(Done))
    }

    fn start_journal(&self, turns: JournalTurns) -> io::Result<Box<dyn Task>> {
        let turns = Arc::new(Mutex::new(turns));
        actix::spawn({
            let turns = Arc::clone(&turns);
            async move {
                loop {
                    sleep(clock::commit()).await;
                    if turn(&turns) == Turned::Ended {
                        return;
                    }
                }
            }
        });
        Ok(Box::new(Writing(turns)))
    }

    fn pause(&self, _: Duration) {}
}

/// Work that is done.
struct Done;

impl Task for Done {
    fn is_finished(&self) -> bool {
        true
    }

    fn join(self: Box<Self>) {}
}

/// The journal's writer.
struct Writing(Arc<Mutex<JournalTurns>>);

impl Task for Writing {
    fn is_finished(&self) -> bool {
        false
    }

    fn join(self: Box<Self>) {
        while turn(&self.0) != Turned::Ended {}
    }
}

fn turn(turns: &Mutex<JournalTurns>) -> Turned {
    turns.lock().unwrap_or_else(PoisonError::into_inner).turn()
}
