//! When snapshots are taken and where they are stored: on a thread of their own, one at a time.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use slog::{Logger, error, info};
use wire::{EntryNumber, PublicKey};

use super::journal::{Captured, Committed, Journal, Snapshot, Storage};
use super::state::State;

/// Takes a snapshot of the state every so many entries.
pub(super) struct Snapshots {
    storage: Arc<dyn Storage>,
    /// The key that seals the journal's batches.
    server: PublicKey,
    /// How many entries may follow a snapshot before the next one is due.
    entries_between: u64,
    /// Behind which entries the last one was captured.
    last: EntryNumber,
    /// One is captured and waits for its batch to be durable.
    captured: bool,
    /// The thread that stores one, or has done so.
    storing: Option<JoinHandle<()>>,
    log: Logger,
}

impl Snapshots {
    /// No snapshot is due before `entries_between` entries follow those of `state`.
    pub(super) fn new(journal: &Journal, entries_between: u64, state: &State, log: Logger) -> Self {
        let (storage, server) = (Arc::clone(journal.storage()), journal.server());
        let last = state.next_entry();
        Self { storage, server, entries_between, last, captured: false, storing: None, log }
    }

    /// Captures the state if a snapshot is due. While one is under way it stays due: each is a copy of
    /// the whole state, and a slow disk must not make them pile up.
    pub(super) fn capture_if_due(&mut self, state: &State) -> Option<Captured> {
        let entries = state.next_entry().get() - self.last.get();
        let storing = self.storing.as_ref().is_some_and(|thread| !thread.is_finished());
        (entries >= self.entries_between && !self.captured && !storing).then(|| {
            self.captured = true;
            self.last = state.next_entry();
            Snapshot::capture(state, &self.server)
        })
    }

    /// Stores what was captured, behind the durable batch `at`, without holding up the next batch.
    pub(super) fn store_in_background(&mut self, snapshot: Captured, at: Committed) {
        self.captured = false;
        let (storage, log) = (Arc::clone(&self.storage), self.log.clone());
        let store = move || store(snapshot, &*storage, &at, &log);
        match thread::Builder::new().name("mite-snapshot".to_owned()).spawn(store) {
            // The one before has ended, or this one would not have been captured.
            Ok(thread) => self.storing = Some(thread),
            Err(error) => {
                error!(self.log, "no snapshot: the system starts no thread"; "error" => %error);
            }
        }
    }

    /// Waits for the one that is being stored, and stores the last one if anything follows it.
    pub(super) fn finish(&mut self, state: &State, at: &Committed) {
        if let Some(thread) = self.storing.take() {
            // If it panicked, the panic hook has said why; the journal alone rebuilds everything.
            let _ = thread.join();
        }
        if state.next_entry() > self.last {
            self.last = state.next_entry();
            store(Snapshot::capture(state, &self.server), &*self.storage, at, &self.log);
        }
    }
}

fn store(snapshot: Captured, storage: &dyn Storage, at: &Committed, log: &Logger) {
    match snapshot.store(storage, at) {
        Ok(()) => info!(log, "snapshot kept"; "batch" => at.batch.get()),
        // The journal alone rebuilds everything; it only takes longer.
        Err(error) => error!(log, "no snapshot"; "batch" => at.batch.get(), "error" => %error),
    }
}
