//! The orders that are decided and whose time is not over: what keeps one from being settled twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use wire::{AccountId, EntryNumber, OrderHash, OrderId, Timestamp};

/// How many orders are remembered: at some 200 bytes each, 1.6 GiB. That is as many as the server may
/// decide within the time for which they are valid; when it is reached, more are turned away as busy.
pub(super) const RECENT_ORDERS_MAX: usize = 1 << 23;

/// How many of them may be one payer's, so that none turns the others away: a 128th of all. Orders that
/// are valid for ten minutes, as the wallet makes them, may come at 109 a second, and those that are for
/// a day every 1.3 seconds; what a payer signs beyond that is turned away as busy.
pub(super) const ORDERS_PER_PAYER_MAX: u32 = 1 << 16;

/// How much of what is free may be one payer's: a 64th. Accounts cost nothing, so somebody may sign with many
/// of them; the fuller it is, the less each of them adds, and whoever has few orders always finds room. A
/// thousand accounts leave half a million places free, a million leave 500, and nine of them for each other.
const FREE_SHARE: usize = 64;

/// How many expired orders are forgotten in one turn of the ledger: at some 1 µs each, 4 ms. All of them
/// may expire at the same moment, and to forget them at once would hold everybody up for seconds.
const FORGET_AT_ONCE: usize = 1 << 12;

/// How many expired orders are forgotten for each that is remembered: more than one, so that those that
/// are left become fewer, however many orders one turn decides.
const FORGET_FOR_EACH: usize = 2;

/// An order that was decided, as far as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecidedOrder {
    /// Who signed it.
    pub payer: AccountId,
    /// Which of the payer's.
    pub id: OrderId,
    /// Of its bytes.
    pub hash: OrderHash,
    /// The entry that decided it.
    pub decided: EntryNumber,
}

/// What is remembered of an order besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecentOrder {
    pub(super) hash: OrderHash,
    pub(super) decided: EntryNumber,
}

/// Orders by payer and id, and by when their time is over. Expired ones are hidden at once and forgotten
/// bit by bit: until then they only take room.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentOrders {
    orders: HashMap<(AccountId, OrderId), RecentOrder>,
    /// By the second in which their time is over: of 86,400, since none is valid for longer than a day. A
    /// set in the order of ids takes twice the time of all the rest.
    by_expiry: BTreeMap<u64, Vec<(AccountId, OrderId)>>,
    /// How many of them are a payer's; none is 0.
    by_payer: HashMap<AccountId, u32>,
    /// Orders whose time was over before this are hidden.
    since: Timestamp,
}

impl RecentOrders {
    pub(super) fn find(&self, payer: AccountId, id: OrderId) -> Option<&RecentOrder> {
        self.find_valid(payer, id, self.since)
    }

    /// The same, unless the order's time is over: what is found must not depend on when it is
    /// forgotten.
    pub(super) fn find_valid(
        &self,
        payer: AccountId,
        id: OrderId,
        now: Timestamp,
    ) -> Option<&RecentOrder> {
        let found = self.orders.get(&(payer, id));
        found.filter(|_| id.not_after() >= now.max(self.since))
    }

    /// Remembers an order, even if there is no room: what is written down has happened.
    pub(super) fn insert(&mut self, order: DecidedOrder) {
        let DecidedOrder { payer, id, hash, decided } = order;
        self.forget_some(FORGET_FOR_EACH);
        if self.orders.insert((payer, id), RecentOrder { hash, decided }).is_none() {
            self.by_expiry.entry(id.not_after().get() / 1000).or_default().push((payer, id));
            *self.by_payer.entry(payer).or_default() += 1;
        }
    }

    /// Whether one more order of this payer may be remembered.
    pub(super) fn has_room(&self, payer: AccountId) -> bool {
        let of_payer = self.by_payer.get(&payer).copied().unwrap_or_default();
        of_payer < room_of_payer(self.orders.len())
    }

    /// The least moment up to which an order must be valid, so that it is known whether it was decided.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Hides all orders whose time was over before `now`, and forgets some of those that are hidden.
    pub(super) fn forget_expired(&mut self, now: Timestamp) {
        self.since = self.since.max(now);
        self.forget_some(FORGET_AT_ONCE);
    }

    fn forget_some(&mut self, most: usize) {
        for _ in 0..most {
            let Some(mut first) = self.by_expiry.first_entry() else { return };
            // The whole second is over.
            if *first.key() >= self.since.get() / 1000 {
                return;
            }
            let order = first.get_mut().pop();
            if first.get().is_empty() {
                first.remove();
            }
            let Some((payer, id)) = order else { continue };
            self.orders.remove(&(payer, id));
            if let Entry::Occupied(mut count) = self.by_payer.entry(payer) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// All that are not hidden, in no order.
    pub(super) fn to_vec(&self) -> Vec<DecidedOrder> {
        let mut orders = Vec::with_capacity(self.orders.len());
        orders.extend(self.visible().map(|(&(payer, id), &RecentOrder { hash, decided })| {
            DecidedOrder { payer, id, hash, decided }
        }));
        orders
    }

    fn visible(&self) -> impl Iterator<Item = (&(AccountId, OrderId), &RecentOrder)> {
        self.orders.iter().filter(|((_, id), _)| id.not_after() >= self.since)
    }
}

/// Equal if they show the same, whatever they still have to forget.
impl PartialEq for RecentOrders {
    fn eq(&self, other: &Self) -> bool {
        self.visible().count() == other.visible().count()
            && self.visible().all(|(&(payer, id), order)| other.find(payer, id) == Some(order))
    }
}

impl Eq for RecentOrders {}

/// How many orders one payer may have when so many are remembered of all.
fn room_of_payer(remembered: usize) -> u32 {
    let free = RECENT_ORDERS_MAX.saturating_sub(remembered);
    let share = u32::try_from(free.div_ceil(FREE_SHARE)).unwrap_or(u32::MAX);
    share.min(ORDERS_PER_PAYER_MAX)
}

#[cfg(test)]
mod tests;
