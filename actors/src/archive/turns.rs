//! Whose question is worked at next.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use wire::{AccountId, EntryNumber};

use super::queries::Query;
use crate::messages::ArchiveUnavailable;

/// Searches that are worked at in turn, each for another account, so that one that reads many batches does
/// not hold up the others. Each may hold as many receipts as there are in a call: 1 MiB, 8 MiB in all.
pub(super) const SEARCHES_IN_TURN_MAX: usize = 8;

/// Questions that may wait; one more is [`Busy`](crate::messages::ArchiveUnavailable::Busy). Each takes
/// some 300 bytes besides what it seeks, 1 MiB in all, and 1 ms if it is short: four seconds, and a
/// client waits for ten.
pub(super) const QUERIES_WAITING_MAX: usize = 1 << 12;

/// Entries that they may seek: as many as a thousand of the largest, 16 MiB.
pub(super) const SOUGHT_WAITING_MAX: usize = 1 << 19;

/// How much of what is free of either may be one account's: a 64th, and so 64 questions, or 15 of the
/// largest, when nobody else asks. Accounts cost little, and sessions of one nothing; the fuller it is,
/// the less each of them adds, and whoever asks little finds room: a hundred accounts that ask without
/// end leave a fifth.
const FREE_SHARE: usize = 64;

/// A question, and how far the index must go before it is answered.
pub(super) struct Waiting {
    pub(super) behind: EntryNumber,
    pub(super) query: Query,
}

/// How many questions wait, and how many entries they seek.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    questions: usize,
    sought: usize,
}

/// The questions that are not answered yet.
#[derive(Default)]
pub(super) struct Turns {
    /// Those that one piece of work answers, in the order in which they came.
    short: VecDeque<Waiting>,
    /// Searches that are begun, at most one for each account: the next one is in front.
    begun: VecDeque<Waiting>,
    /// Searches that are not begun, in the order in which they came.
    searches: VecDeque<Waiting>,
    /// All of them, and those of each account that has any.
    load: Load,
    of_account: HashMap<AccountId, Load>,
}

impl Turns {
    pub(super) fn len(&self) -> usize {
        self.load.questions
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this question may wait, too.
    pub(super) fn has_room(&self, query: &Query) -> bool {
        let own = self.of_account.get(&query.account()).copied().unwrap_or_default();
        let questions = share(QUERIES_WAITING_MAX, self.load.questions);
        let sought = share(SOUGHT_WAITING_MAX, self.load.sought);
        own.questions < questions && own.sought + query.sought() <= sought
    }

    /// Lets it wait. The caller has looked whether there is room.
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.count_in(&waiting.query);
        match waiting.query {
            Query::Receipts(..) => self.searches.push_back(waiting),
            Query::History(..) | Query::OpenOrders(..) => self.short.push_back(waiting),
        }
    }

    /// A question that one piece of work answers, if the index goes far enough for one.
    pub(super) fn next_short(&mut self, indexed: EntryNumber) -> Option<Waiting> {
        let short = take_first(&mut self.short, indexed)?;
        self.count_out(&short.query);
        Some(short)
    }

    /// A search to do one piece of, if the index goes far enough for one.
    pub(super) fn next_search(&mut self, indexed: EntryNumber) -> Option<Waiting> {
        self.begin_searches();
        let search = take_first(&mut self.begun, indexed)?;
        self.count_out(&search.query);
        Some(search)
    }

    /// Takes back a search that is not done: the others that are begun come before it.
    pub(super) fn put_back(&mut self, search: Waiting) {
        self.count_in(&search.query);
        self.begun.push_back(search);
    }

    /// Answers none of them, and says why.
    pub(super) fn refuse_all(&mut self, why: ArchiveUnavailable) {
        let Self { short, begun, searches, .. } = std::mem::take(self);
        for Waiting { query, .. } in short.into_iter().chain(begun).chain(searches) {
            query.refuse(why);
        }
    }

    /// Forgets them all: nobody answers them.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn count_in(&mut self, query: &Query) {
        let own = self.of_account.entry(query.account()).or_default();
        for load in [&mut self.load, own] {
            load.questions += 1;
            load.sought += query.sought();
        }
    }

    fn count_out(&mut self, query: &Query) {
        let Entry::Occupied(mut own) = self.of_account.entry(query.account()) else { return };
        for load in [&mut self.load, own.get_mut()] {
            load.questions -= 1;
            load.sought -= query.sought();
        }
        if own.get().questions == 0 {
            own.remove();
        }
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

/// How much one account may have when so much of the most waits.
const fn share(most: usize, waiting: usize) -> usize {
    most.saturating_sub(waiting).div_ceil(FREE_SHARE)
}

fn take_first(queue: &mut VecDeque<Waiting>, indexed: EntryNumber) -> Option<Waiting> {
    let place = queue.iter().position(|waiting| waiting.behind <= indexed)?;
    queue.remove(place)
}

#[cfg(test)]
mod tests;
