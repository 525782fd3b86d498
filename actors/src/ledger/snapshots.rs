//! When snapshots are taken and where they are stored: on a thread of their own, one at a time.

use std::sync::Arc;

use actix::WeakRecipient;
use slog::{Logger, error, info};
use wire::{BatchNumber, EntryNumber, PublicKey};

use super::background::{Background, Task};
use super::journal::{Captured, Committed, Journal, JournalError, Snapshot, Storage};
use super::state::State;
use crate::messages::{SnapshotFailure, SnapshotStored};

/// How many accounts a ledger has before its snapshots become rarer, in proportion: half of
/// [`SNAPSHOT_ENTRIES`](super::SNAPSHOT_ENTRIES). To capture an account takes the ledger some 100 ns, so that
/// its share in each of the two entries that follow is 50 ns at most, a twentieth of what one takes.
const ACCOUNTS_MANY: u64 = 2_000_000;

/// Takes a snapshot of the state every so many entries.
pub(super) struct Snapshots {
    storage: Arc<dyn Storage>,
    /// The key that seals the journal's batches.
    server: PublicKey,
    /// How many entries may follow a snapshot before the next one is due, unless there are more than
    /// [`ACCOUNTS_MANY`] accounts.
    entries_between: u64,
    /// Behind which entries the last one was captured; 0 if there is none.
    last: EntryNumber,
    /// Behind which entries the last one was captured that is known to be on disk.
    kept: EntryNumber,
    /// One is captured and waits for its batch to be durable.
    captured: bool,
    /// One is being stored, or the ledger has not heard what became of it.
    is_storing: bool,
    /// The thread that stores one, or has done so.
    storing: Option<Box<dyn Task>>,
    background: Arc<dyn Background>,
    /// Who is told what became of the one that was captured last.
    told: Option<WeakRecipient<SnapshotStored>>,
    log: Logger,
}

impl Snapshots {
    /// No snapshot is due before `entries_between` entries follow those of the one that the journal was
    /// opened with. After a long replay, that may be so at once.
    pub(super) fn new(journal: &Journal, entries_between: u64, log: Logger) -> Self {
        let (storage, server) = (Arc::clone(journal.storage()), journal.server());
        let background = Arc::clone(journal.background());
        let last = journal.snapshot();
        Self {
            storage,
            server,
            entries_between,
            last,
            kept: last,
            captured: false,
            is_storing: false,
            storing: None,
            told: None,
            background,
            log,
        }
    }

    /// From now on, `told` hears of each snapshot that is stored beside commits, and passes it on to
    /// [`Snapshots::stored`].
    pub(super) fn tell(&mut self, told: WeakRecipient<SnapshotStored>) {
        self.told = Some(told);
    }

    /// What became of the one that was under way.
    pub(super) const fn stored(&mut self, kept: bool) {
        self.is_storing = false;
        if kept {
            self.kept = self.last;
        }
    }

    /// Whether one is captured and not stored yet.
    pub(super) const fn is_under_way(&self) -> bool {
        self.captured || self.is_storing
    }

    /// Whether the last one that is kept is of this state.
    pub(super) fn is_of(&self, state: &State) -> bool {
        self.kept == state.next_entry()
    }

    /// Captures the state if a snapshot is due, or asked for. While one is under way it stays due: each is a
    /// copy of the whole state, and a slow disk must not make them pile up.
    pub(super) fn capture_if_due(&mut self, state: &State, asked: bool) -> Option<Captured> {
        let entries = state.next_entry().get() - self.last.get();
        let accounts = state.accounts().len() as u64;
        let due = asked || entries >= entries_until_due(self.entries_between, accounts);
        (due && !self.is_under_way()).then(|| self.capture(state))
    }

    /// Captures the state; the caller has made sure that none is under way.
    pub(super) fn capture(&mut self, state: &State) -> Captured {
        self.captured = true;
        self.last = state.next_entry();
        Snapshot::capture(state, &self.server)
    }

    /// Stores what was captured, behind the durable batch `at`, without holding up the next batch.
    pub(super) fn store_in_background(&mut self, snapshot: Captured, at: Committed) {
        (self.captured, self.is_storing) = (false, true);
        let (storage, log) = (Arc::clone(&self.storage), self.log.clone());
        let telling = Telling::new(self.told.clone());
        let store = move || {
            let stored = snapshot.store_beside_commits(&*storage, &at);
            let result = stored.as_ref().map(|()| at.batch).map_err(SnapshotFailure::from_error);
            log_stored(stored, &at, &log);
            telling.tell(result);
        };
        match self.background.start("mite-snapshot", Box::new(store)) {
            // The one before has told, or this one would not have been captured.
            Ok(thread) => self.storing = Some(thread),
            // What was to be done is dropped, which tells.
            Err(error) => {
                error!(self.log, "no snapshot: the system starts no thread"; "error" => %error);
            }
        }
    }

    /// Forgets the one that waits for its batch, which will not be durable. The state is the one behind
    /// `next_entry` again. Whether there was one.
    pub(super) fn drop_captured(&mut self, next_entry: EntryNumber) -> bool {
        self.last = self.last.min(next_entry);
        std::mem::take(&mut self.captured)
    }

    /// Waits for the one that is being stored.
    pub(super) fn wait(&mut self) {
        if let Some(thread) = self.storing.take() {
            // Even if it panicked: the journal alone rebuilds everything.
            thread.join();
        }
    }

    /// Waits for the one that is being stored, and stores the last one if anything follows it.
    pub(super) fn finish(&mut self, state: &State, at: &Committed) {
        self.wait();
        if state.next_entry() > self.last {
            self.last = state.next_entry();
            let snapshot = Snapshot::capture(state, &self.server);
            log_stored(snapshot.store(&*self.storage, at), at, &self.log);
        }
    }
}

/// After how many entries a snapshot of so many accounts is due, if that is `entries_between` for few.
fn entries_until_due(entries_between: u64, accounts: u64) -> u64 {
    entries_between.saturating_mul(accounts.max(ACCOUNTS_MANY)) / ACCOUNTS_MANY
}

/// Tells what became of a snapshot when it is dropped, even by a panic or by a thread that was never started:
/// unheard of, that snapshot would be the last one.
struct Telling {
    told: Option<WeakRecipient<SnapshotStored>>,
    result: Result<BatchNumber, SnapshotFailure>,
}

impl Telling {
    fn new(told: Option<WeakRecipient<SnapshotStored>>) -> Self {
        let unheard = "what stores it has ended without a word".to_owned();
        Self { told, result: Err(SnapshotFailure::Failed(unheard)) }
    }

    fn tell(mut self, result: Result<BatchNumber, SnapshotFailure>) {
        self.result = result;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(told) = self.told.as_ref().and_then(WeakRecipient::upgrade) {
            // One a snapshot, of which one is under way.
            told.do_send(SnapshotStored(self.result.clone()));
        }
    }
}

fn log_stored(stored: Result<(), JournalError>, at: &Committed, log: &Logger) {
    match stored {
        Ok(()) => info!(log, "snapshot kept"; "batch" => at.batch.get()),
        // The journal alone rebuilds everything; it only takes longer.
        Err(error) => error!(log, "no snapshot"; "batch" => at.batch.get(), "error" => %error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SNAPSHOT_ENTRIES;
    use super::*;

    #[test]
    fn snapshots_of_millions_of_accounts_are_rarer() {
        for (accounts, expected) in [
            (0, 4_000_000),
            (1000, 4_000_000),
            (2_000_000, 4_000_000),
            (3_000_000, 6_000_000),
            (5_000_000, 10_000_000),
        ] {
            let due = entries_until_due(SNAPSHOT_ENTRIES, accounts);
            assert_eq!(due, expected, "{accounts}");
        }
        assert_eq!(entries_until_due(1, 1), 1);
    }
}
