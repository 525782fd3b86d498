//! Whose question is worked at next.

use std::collections::VecDeque;

use wire::EntryNumber;

use super::queries::Query;

/// Searches that are worked at in turn, each for another account, so that one that reads many batches does
/// not hold up the others. Each may hold as many receipts as there are in a call: 1 MiB, 8 MiB in all.
pub(super) const SEARCHES_IN_TURN_MAX: usize = 8;

/// A question, and how far the index must go before it is answered.
pub(super) struct Waiting {
    pub(super) behind: EntryNumber,
    pub(super) query: Query,
}

/// The questions that are not answered yet. Whoever fills it bounds it.
#[derive(Default)]
pub(super) struct Turns {
    /// Those that one piece of work answers, in the order in which they came.
    short: VecDeque<Waiting>,
    /// Searches that are begun, at most one for each account: the next one is in front.
    begun: VecDeque<Waiting>,
    /// Searches that are not begun, in the order in which they came.
    searches: VecDeque<Waiting>,
}

impl Turns {
    pub(super) fn len(&self) -> usize {
        self.short.len() + self.begun.len() + self.searches.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        match waiting.query {
            Query::Receipts(..) => self.searches.push_back(waiting),
            Query::History(..) | Query::OpenOrders(..) => self.short.push_back(waiting),
        }
    }

    /// A question that one piece of work answers, if the index goes far enough for one.
    pub(super) fn next_short(&mut self, indexed: EntryNumber) -> Option<Waiting> {
        take_first(&mut self.short, indexed)
    }

    /// A search to do one piece of, if the index goes far enough for one.
    pub(super) fn next_search(&mut self, indexed: EntryNumber) -> Option<Waiting> {
        self.begin_searches();
        take_first(&mut self.begun, indexed)
    }

    /// Takes back a search that is not done: the others that are begun come before it.
    pub(super) fn put_back(&mut self, search: Waiting) {
        self.begun.push_back(search);
    }

    /// Forgets them all: nobody answers them.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Begins those that come first of accounts for which none is begun.
    fn begin_searches(&mut self) {
        let mut place = 0;
        while self.begun.len() < SEARCHES_IN_TURN_MAX
            && let Some(next) = self.searches.get(place)
        {
            let account = next.query.account();
            if self.begun.iter().any(|begun| begun.query.account() == account) {
                place += 1;
            } else {
                self.begun.extend(self.searches.remove(place));
            }
        }
    }
}

fn take_first(queue: &mut VecDeque<Waiting>, indexed: EntryNumber) -> Option<Waiting> {
    let place = queue.iter().position(|waiting| waiting.behind <= indexed)?;
    queue.remove(place)
}

#[cfg(test)]
mod tests;
