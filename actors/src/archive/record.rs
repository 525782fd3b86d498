//! What the index remembers of an entry.

use std::collections::HashSet;

use wire::secure::HistoryEvent;
use wire::{Access, AccountId, Authority, Entry, OrderId, Username};

/// The accounts that have a key. Only these have a history: an entry that touches none of them costs
/// nothing.
pub(super) type KeyedAccounts = HashSet<AccountId>;

/// What an entry adds to the index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The order that it decides: whose, and which one.
    pub(super) order: Option<(AccountId, OrderId)>,
    /// In whose histories it is, and what it says there. Never empty.
    pub(super) history: Vec<(AccountId, HistoryEvent)>,
}

impl Record {
    /// What `entry` adds; `None` if it touches open accounts only. `name_of` is asked for the names of
    /// open accounts that have paid a keyed one.
    ///
    /// # Errors
    /// What `name_of` says.
    pub(super) fn of<E>(
        entry: &Entry,
        keyed: &KeyedAccounts,
        name_of: impl FnOnce(AccountId) -> Result<Username, E>,
    ) -> Result<Option<Self>, E> {
        if !is_recorded(entry, keyed) {
            return Ok(None);
        }
        let record = match entry {
            Entry::AccountOpened { account, grant, .. } => Self {
                order: None,
                history: vec![(*account, HistoryEvent::Opened { grant: *grant })],
            },
            Entry::Transferred { payer, payee, amount, authority: Authority::Text } => {
                let payer = name_of(*payer)?;
                let received = HistoryEvent::Received { payer, amount: *amount, order: None };
                Self { order: None, history: vec![(*payee, received)] }
            }
            Entry::Transferred { payer, payee, amount, authority: Authority::Order(signed) } => {
                let order = &signed.order;
                let (id, amount) = (order.id, *amount);
                let paid = HistoryEvent::Paid { payee: order.payee.clone(), amount, order: id };
                let mut history = vec![(*payer, paid)];
                if keyed.contains(payee) {
                    let payer = order.payer.clone();
                    let received = HistoryEvent::Received { payer, amount, order: Some(id) };
                    history.push((*payee, received));
                }
                Self { order: Some((*payer, id)), history }
            }
            Entry::OrderRefused { payer, order, refusal } => {
                let order = &order.order;
                let refused = HistoryEvent::Refused {
                    payee: order.payee.clone(),
                    amount: order.amount,
                    order: order.id,
                    refusal: *refusal,
                };
                Self { order: Some((*payer, order.id)), history: vec![(*payer, refused)] }
            }
            Entry::KeyChanged { account, change } => {
                let changed = HistoryEvent::KeyChanged { key: change.change.new };
                Self { order: None, history: vec![(*account, changed)] }
            }
            Entry::Deposited { account, amount, .. } => {
                Self::by_operator(*account, HistoryEvent::Deposited { amount: *amount })
            }
            Entry::Withdrawn { account, amount, .. } => {
                Self::by_operator(*account, HistoryEvent::Withdrawn { amount: *amount })
            }
            Entry::Frozen { account, reason } => {
                Self::by_operator(*account, HistoryEvent::Frozen { reason: reason.clone() })
            }
            Entry::Unfrozen { account } => Self::by_operator(*account, HistoryEvent::Unfrozen),
            Entry::TimePassed => return Ok(None),
        };
        Ok(Some(record))
    }

    fn by_operator(account: AccountId, event: HistoryEvent) -> Self {
        Self { order: None, history: vec![(account, event)] }
    }
}

/// Whether a keyed account is touched.
pub(super) fn is_recorded(entry: &Entry, keyed: &KeyedAccounts) -> bool {
    match entry {
        Entry::AccountOpened { access, .. } => matches!(access, Access::Keyed(_)),
        // By the text protocol's rules no keyed account pays.
        Entry::Transferred { payee, authority: Authority::Text, .. } => keyed.contains(payee),
        Entry::Transferred { authority: Authority::Order(_), .. }
        | Entry::OrderRefused { .. }
        | Entry::KeyChanged { .. } => true,
        Entry::Deposited { account, .. }
        | Entry::Withdrawn { account, .. }
        | Entry::Frozen { account, .. }
        | Entry::Unfrozen { account } => keyed.contains(account),
        Entry::TimePassed => false,
    }
}
