//! The orders that are decided and whose time is not over: what keeps one from being settled twice.

use std::collections::{BTreeSet, HashMap};

use wire::{AccountId, EntryNumber, OrderHash, OrderId, Timestamp};

/// How many orders are remembered: at some 200 bytes each, 1.6 GiB. That is as many as the server may
/// decide within the time for which they are valid; when it is reached, more are turned away as busy.
pub(super) const RECENT_ORDERS_MAX: usize = 1 << 23;

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

/// Orders by payer and id, and by when their time is over.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentOrders {
    orders: HashMap<(AccountId, OrderId), RecentOrder>,
    /// Ids begin with the time up to which they are valid, so they are in its order.
    by_expiry: BTreeSet<(OrderId, AccountId)>,
    /// Orders whose time was over before this are not remembered.
    since: Timestamp,
}

impl RecentOrders {
    pub(super) fn find(&self, payer: AccountId, id: OrderId) -> Option<&RecentOrder> {
        self.orders.get(&(payer, id))
    }

    /// The same, unless the order's time is over: what is found must not depend on when it is
    /// forgotten.
    pub(super) fn find_valid(
        &self,
        payer: AccountId,
        id: OrderId,
        now: Timestamp,
    ) -> Option<&RecentOrder> {
        self.find(payer, id).filter(|_| id.not_after() >= now)
    }

    pub(super) fn insert(&mut self, order: DecidedOrder) {
        let DecidedOrder { payer, id, hash, decided } = order;
        self.orders.insert((payer, id), RecentOrder { hash, decided });
        self.by_expiry.insert((id, payer));
    }

    pub(super) fn is_full(&self) -> bool {
        self.orders.len() >= RECENT_ORDERS_MAX
    }

    /// The least moment up to which an order must be valid, so that it is known whether it was decided.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) fn forget_expired(&mut self, now: Timestamp) {
        self.since = self.since.max(now);
        while let Some(&(id, payer)) = self.by_expiry.first()
            && id.not_after() < now
        {
            self.by_expiry.pop_first();
            self.orders.remove(&(payer, id));
        }
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = DecidedOrder> {
        let orders = self.orders.iter();
        orders.map(|(&(payer, id), &RecentOrder { hash, decided })| DecidedOrder {
            payer,
            id,
            hash,
            decided,
        })
    }
}

impl PartialEq for RecentOrders {
    fn eq(&self, other: &Self) -> bool {
        self.orders == other.orders
    }
}

impl Eq for RecentOrders {}
