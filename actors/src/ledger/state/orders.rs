//! The orders that are decided and whose time is not over: what keeps one from being settled twice.

use std::collections::{BTreeSet, HashMap};

use wire::{AccountId, EntryNumber, OrderHash, OrderId, Timestamp};

/// How many orders are remembered: at some 200 bytes each, 1.6 GiB. That is as many as the server may
/// decide within the time for which they are valid; when it is reached, more are turned away as busy.
pub(super) const RECENT_ORDERS_MAX: usize = 1 << 23;

/// What is remembered of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecentOrder {
    /// Of its bytes.
    pub(super) hash: OrderHash,
    /// The entry that decided it.
    pub(super) decided: EntryNumber,
}

/// Orders by payer and id, and by when their time is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecentOrders {
    orders: HashMap<(AccountId, OrderId), RecentOrder>,
    /// Ids begin with the time up to which they are valid, so they are in its order.
    by_expiry: BTreeSet<(OrderId, AccountId)>,
}

impl RecentOrders {
    pub(super) fn find(&self, payer: AccountId, id: OrderId) -> Option<&RecentOrder> {
        self.orders.get(&(payer, id))
    }

    pub(super) fn insert(&mut self, payer: AccountId, id: OrderId, order: RecentOrder) {
        self.orders.insert((payer, id), order);
        self.by_expiry.insert((id, payer));
    }

    pub(super) fn is_full(&self) -> bool {
        self.orders.len() >= RECENT_ORDERS_MAX
    }

    pub(super) fn forget_expired(&mut self, now: Timestamp) {
        while let Some(&(id, payer)) = self.by_expiry.first()
            && id.not_after() < now
        {
            self.by_expiry.pop_first();
            self.orders.remove(&(payer, id));
        }
    }

    /// All of them, in order of expiry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (AccountId, OrderId, RecentOrder)> {
        self.by_expiry.iter().map(|&(id, payer)| (payer, id, self.orders[&(payer, id)]))
    }
}
