//! What goes on beside the ledger, and where: on threads in a server; in a simulation, in turns that it gives.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::journal::JournalTurns;

/// Work that ends by itself.
pub type Work = Box<dyn FnOnce() + Send>;

/// Runs what goes on beside the ledger.
pub trait Background: Send + Sync + 'static {
    /// Starts work.
    ///
    /// # Errors
    /// What the system says if it cannot; nothing is done then.
    fn start(&self, name: &'static str, work: Work) -> io::Result<Box<dyn Task>>;

    /// Starts the writing of the journal, which goes on until nobody has anything to write any more.
    ///
    /// # Errors
    /// As [`Background::start`].
    fn start_journal(&self, turns: JournalTurns) -> io::Result<Box<dyn Task>> {
        self.start("mite-journal", Box::new(move || turns.run()))
    }

    /// Leaves the disk to others for so long.
    fn pause(&self, pause: Duration);
}

/// Work that was started.
pub trait Task: Send {
    /// Whether it has ended.
    fn is_finished(&self) -> bool;

    /// Waits for its end. If it panicked, the panic hook has said why.
    fn join(self: Box<Self>);
}

/// A thread for each.
#[derive(Clone, Copy, Debug)]
pub struct Threads;

impl Background for Threads {
    fn start(&self, name: &'static str, work: Work) -> io::Result<Box<dyn Task>> {
        Ok(Box::new(thread::Builder::new().name(name.to_owned()).spawn(work)?))
    }

    fn pause(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

impl Task for JoinHandle<()> {
    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn join(self: Box<Self>) {
        let _ = Self::join(*self);
    }
}
