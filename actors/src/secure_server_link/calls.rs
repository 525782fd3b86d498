//! Which calls are under way.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use wire::secure::{Answer, Correlation, Problem};

use super::Expected;

/// Calls without an answer in time whose late answers are still awaited. A server that answers so few is
/// given up: it is as good as gone.
const LATE_MAX: usize = 1024;

/// The calls under way, each with something to remember it by.
#[derive(Debug)]
pub(super) struct Calls<R> {
    next: Correlation,
    max: usize,
    /// All are given the same time, so the first in order is also the first to be given up.
    under_way: BTreeMap<Correlation, UnderWay<R>>,
    late: BTreeSet<Correlation>,
}

#[derive(Debug)]
struct UnderWay<R> {
    expected: Expected,
    deadline: Instant,
    waiting: R,
}

/// An answer that no honest server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    /// To a call that is not under way.
    #[error("the server answers what was not asked")]
    Unasked,
    /// That is none to this call.
    #[error("the server answers something else than was asked")]
    Unfit,
}

/// More than [`LATE_MAX`] calls were not answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silent;

impl<R> Calls<R> {
    /// Up to `max` at once.
    pub(super) fn new(max: usize) -> Self {
        Self { next: Correlation(0), max, under_way: BTreeMap::new(), late: BTreeSet::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.under_way.len() >= self.max
    }

    pub(super) fn begin(
        &mut self,
        expected: Expected,
        deadline: Instant,
        waiting: R,
    ) -> Correlation {
        let correlation = self.next;
        self.next = Correlation(correlation.0 + 1);
        self.under_way.insert(correlation, UnderWay { expected, deadline, waiting });
        correlation
    }

    /// Who waits for this answer; nobody, if it comes late.
    pub(super) fn answered(
        &mut self,
        correlation: Correlation,
        result: &Result<Answer, Problem>,
    ) -> Result<Option<R>, Violation> {
        if self.late.remove(&correlation) {
            return Ok(None);
        }
        let under_way = self.under_way.get(&correlation).ok_or(Violation::Unasked)?;
        if result.as_ref().is_ok_and(|answer| !under_way.expected.is_met_by(answer)) {
            return Err(Violation::Unfit);
        }
        Ok(self.under_way.remove(&correlation).map(|under_way| under_way.waiting))
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|(_, under_way)| under_way.deadline)
    }

    /// Whose time is over.
    pub(super) fn give_up(&mut self, now: Instant) -> (Vec<R>, Result<(), Silent>) {
        let mut given_up = Vec::new();
        while let Some(first) = self.under_way.first_entry() {
            if first.get().deadline > now {
                break;
            }
            let (correlation, under_way) = first.remove_entry();
            self.late.insert(correlation);
            given_up.push(under_way.waiting);
        }
        let result = if self.late.len() > LATE_MAX { Err(Silent) } else { Ok(()) };
        (given_up, result)
    }

    /// All who wait, when no more answers come.
    pub(super) fn end(&mut self) -> impl Iterator<Item = R> {
        std::mem::take(&mut self.under_way).into_values().map(|under_way| under_way.waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let mut calls = Calls::new(usize::MAX);
        let now = Instant::now();
        for round in 0..LATE_MAX {
            calls.begin(Expected::LoggedOut, now, round);
            assert_eq!(calls.give_up(now), (vec![round], Ok(())));
        }
        calls.begin(Expected::LoggedOut, now, LATE_MAX);
        assert_eq!(calls.give_up(now), (vec![LATE_MAX], Err(Silent)));
    }

    #[test]
    fn only_those_whose_time_is_over_are_given_up() {
        let mut calls = Calls::new(3);
        let now = Instant::now();
        let soon = now + Duration::from_secs(1);
        calls.begin(Expected::LoggedOut, now, "first");
        calls.begin(Expected::LoggedOut, soon, "second");
        assert_eq!(calls.give_up(now), (vec!["first"], Ok(())));
        assert_eq!(calls.first_deadline(), Some(soon));
        assert_eq!(calls.end().collect::<Vec<_>>(), ["second"]);
        assert_eq!(calls.first_deadline(), None);
    }
}
