//! What an operator asks of the ledger besides changes of accounts: how it is, and a snapshot now.

use actix::prelude::*;
use wire::BatchNumber;
use wire::admin::LedgerStatus;

use super::Ledger;
use super::read_only::Mode;
use crate::later::{Later, ReplySlot};
use crate::messages::{
    KeepSnapshot, LedgerUnavailable, ReadLedger, SnapshotFailure, SnapshotStored,
};

/// How many may wait for a snapshot: as many as operators may be connected, and one more is told that the
/// ledger is busy.
const WAITING_MAX: usize = 8;

/// Where it is to be told that a snapshot is kept.
type Slot = ReplySlot<Result<BatchNumber, SnapshotFailure>>;

/// Who has asked for a snapshot.
#[derive(Debug, Default)]
pub(super) struct AskedSnapshots {
    /// They have asked since the last one was captured.
    waiting: Vec<Slot>,
    /// Theirs is captured and being stored.
    captured: Vec<Slot>,
}

impl AskedSnapshots {
    /// Whether somebody waits for the next one.
    pub(super) const fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The state is captured, behind all that those who have asked so far have seen.
    pub(super) fn captured(&mut self) {
        self.captured.append(&mut self.waiting);
    }

    /// Tells those who wait, and those whose snapshot is captured if that is given up, that there is none.
    pub(super) fn refuse(&mut self, captured: bool, why: LedgerUnavailable) {
        if captured {
            self.tell(&Err(why.into()));
        }
        for slot in std::mem::take(&mut self.waiting) {
            slot.send(Err(why.into()));
        }
    }

    fn tell(&mut self, result: &Result<BatchNumber, SnapshotFailure>) {
        for slot in std::mem::take(&mut self.captured) {
            slot.send(result.clone());
        }
    }
}

impl Ledger {
    /// Captures the state for those who have asked for a snapshot, if all of it is durable. Else the next
    /// batch is captured, or this is called again when the last one is durable.
    pub(super) fn keep_asked_snapshot(&mut self) {
        let waits = self.asked_snapshots.is_waiting() && self.mode == Mode::Writing;
        if !waits || !self.is_idle() || self.snapshots.is_under_way() {
            return;
        }
        self.asked_snapshots.captured();
        if self.snapshots.is_of(&self.state) {
            let batch = self.last.batch;
            return self.asked_snapshots.tell(&Ok(batch));
        }
        let snapshot = self.snapshots.capture(&self.state);
        self.snapshots.store_in_background(snapshot, self.last);
    }
}

impl Handler<ReadLedger> for Ledger {
    type Result = Result<LedgerStatus, LedgerUnavailable>;

    fn handle(&mut self, ReadLedger: ReadLedger, _: &mut Self::Context) -> Self::Result {
        if matches!(self.mode, Mode::Rebuilding { .. }) {
            return Err(LedgerUnavailable::Busy);
        }
        Ok(LedgerStatus {
            entries: self.last.next_entry.get(),
            batch: self.last.batch,
            head: self.last.head,
            written: self.last.time,
            accounts: self.state.accounts().len() as u64,
            frozen: self.state.frozen_count() as u64,
            supply: self.state.supply(),
        })
    }
}

impl Handler<KeepSnapshot> for Ledger {
    type Result = Later<Result<BatchNumber, SnapshotFailure>>;

    fn handle(&mut self, KeepSnapshot: KeepSnapshot, ctx: &mut Self::Context) -> Self::Result {
        let (later, reply) = Later::new();
        if self.stop_asked {
            reply.send(Err(LedgerUnavailable::Stopping.into()));
        } else if self.mode != Mode::Writing {
            reply.send(Err(LedgerUnavailable::ReadOnly.into()));
        } else if self.asked_snapshots.waiting.len() >= WAITING_MAX {
            reply.send(Err(LedgerUnavailable::Busy.into()));
        } else {
            self.asked_snapshots.waiting.push(reply);
            self.schedule_flush(ctx);
        }
        later
    }
}

impl Handler<SnapshotStored> for Ledger {
    type Result = ();

    fn handle(&mut self, SnapshotStored(result): SnapshotStored, ctx: &mut Self::Context) {
        self.snapshots.stored(result.is_ok());
        self.asked_snapshots.tell(&result);
        // Others may have asked meanwhile.
        self.schedule_flush(ctx);
    }
}
