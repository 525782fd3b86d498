//! What the ledger counts, for whoever watches over the server. Plain numbers, since it alone counts and
//! says them when it is asked: a payment costs an addition.

use std::time::Duration;

use actix::prelude::*;
use wire::{Entry, Refusal};

use super::Ledger;
use super::state::Outcome;
use crate::messages::ReadCounters;

/// One more than the largest code of a [`Refusal`].
const REFUSAL_CODES: usize = 14;

/// Up to how many microseconds the commits take that are counted together; one more place counts the rest.
/// From what a good disk takes to what somebody waits for.
pub const COMMIT_MICROS: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// What the ledger has done since it started. What it was asked and has not done for want of room or of a
/// disk is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, MessageResponse)]
pub struct LedgerCounters {
    /// Payments that were made by the text protocol's rules.
    pub text_payments: u64,
    /// Orders that were settled.
    pub settled_orders: u64,
    /// Commands and orders that the rules have refused, by [`Refusal::code`].
    pub refusals: [u64; REFUSAL_CODES],
    /// Orders that were not taken, which leave no trace, or were decided before.
    pub untaken_orders: u64,
    /// Accounts that were opened.
    pub opened: u64,
    /// Keys that were changed.
    pub key_changes: u64,
    /// What the operator did to accounts.
    pub operations: u64,
    /// Durable writes, each of a batch.
    pub commits: u64,
    /// How many of them took so long as [`COMMIT_MICROS`] says, from when the first of what was written
    /// together was handed over until all was durable.
    pub commit_times: [u64; COMMIT_MICROS.len() + 1],
    /// How long all of them took, in microseconds.
    pub commit_micros: u64,
}

impl LedgerCounters {
    /// Counts what became of a command.
    pub(super) fn count(&mut self, outcome: &Outcome, entry: Option<&Entry>) {
        match (outcome, entry) {
            (Outcome::Settled, _) => self.text_payments += 1,
            (Outcome::Refused(refusal), _) | (_, Some(Entry::OrderRefused { refusal, .. })) => {
                self.refuse(*refusal);
            }
            (Outcome::Decided(_), _) => self.settled_orders += 1,
            (Outcome::NotTaken(_) | Outcome::DecidedBefore(_), _) => self.untaken_orders += 1,
            (Outcome::Opened(_), _) => self.opened += 1,
            (Outcome::KeyChanged(_), _) => self.key_changes += 1,
            (Outcome::Operated(_), Some(_)) => self.operations += 1,
            _ => {}
        }
    }

    /// Counts a durable write.
    pub(super) fn commit(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits += 1;
        self.commit_micros = self.commit_micros.saturating_add(micros);
        self.commit_times[COMMIT_MICROS.partition_point(|most| *most < micros)] += 1;
    }

    fn refuse(&mut self, refusal: Refusal) {
        if let Some(count) = self.refusals.get_mut(usize::from(refusal.code())) {
            *count += 1;
        }
    }
}

impl Handler<ReadCounters> for Ledger {
    type Result = LedgerCounters;

    fn handle(&mut self, ReadCounters: ReadCounters, _: &mut Self::Context) -> LedgerCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use wire::EntryNumber;
    use wire::secure::OrderProblem;

    use super::*;

    #[test]
    fn outcomes_are_counted_by_kind_and_code() {
        let mut counters = LedgerCounters::default();
        let entry = EntryNumber::new(1);
        for outcome in [
            Outcome::Settled,
            Outcome::Settled,
            Outcome::Decided(entry),
            Outcome::DecidedBefore(entry),
            Outcome::NotTaken(OrderProblem::Expired),
            Outcome::Refused(Refusal::InsufficientBalance),
            Outcome::Refused(Refusal::AccountFrozen),
            Outcome::Found(None),
        ] {
            counters.count(&outcome, None);
        }
        let mut refusals = [0; REFUSAL_CODES];
        (refusals[1], refusals[13]) = (1, 1);
        let expected = LedgerCounters {
            text_payments: 2,
            settled_orders: 1,
            untaken_orders: 2,
            refusals,
            ..LedgerCounters::default()
        };
        assert_eq!(counters, expected);
    }

    #[test]
    fn a_commit_is_counted_where_its_time_belongs() {
        let mut counters = LedgerCounters::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            counters.commit(Duration::from_micros(micros));
        }
        let mut times = [0; COMMIT_MICROS.len() + 1];
        (times[0], times[1], times[14], times[15]) = (2, 1, 1, 1);
        assert_eq!((counters.commits, counters.commit_times), (5, times));
        assert_eq!(counters.commit_micros, 20_000_202);
    }
}
