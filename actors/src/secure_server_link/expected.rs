//! Which answer fits which call.

use wire::Username;
use wire::secure::call::{ORDERS_PER_CALL_MAX, PAGE_ITEMS_MAX, WATCHED_NAMES_MAX};
use wire::secure::{Answer, Call, Limits};

/// What an answer must be to be one to a certain call: of the right kind, about whom was asked, and with as
/// many items as were asked for. The link ends the connection to a server whose answer is none, so whoever
/// gets an answer from it may rely on this. That receipts in it are valid is not checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// [`Answer::Registered`], with this name.
    Registered(Username),
    /// [`Answer::LoggedIn`].
    LoggedIn,
    /// [`Answer::Online`], with at most so many.
    Online(usize),
    /// [`Answer::Account`], of this name if of any.
    Account(Username),
    /// [`Answer::Balance`].
    Balance,
    /// [`Answer::Orders`], with exactly so many.
    Orders(usize),
    /// [`Answer::Statuses`], with exactly so many.
    Statuses(usize),
    /// [`Answer::TextSettled`].
    TextSettled,
    /// [`Answer::History`], with at most so many.
    History(usize),
    /// [`Answer::Receipts`], with exactly so many.
    Receipts(usize),
    /// [`Answer::Watching`], of these and nobody else.
    Watching(Vec<Username>),
    /// [`Answer::Kept`].
    Kept,
    /// [`Answer::OpenOrders`].
    OpenOrders,
    /// [`Answer::KeyChanged`].
    KeyChanged,
    /// [`Answer::LoggedOut`].
    LoggedOut,
}

impl Expected {
    /// What answers this call.
    pub fn of(call: &Call) -> Self {
        match call {
            Call::Register { name } => Self::Registered(name.clone()),
            Call::LogIn { .. } => Self::LoggedIn,
            Call::ListOnline { limit, .. } => Self::Online(page(*limit)),
            Call::FindAccount { name } => Self::Account(name.clone()),
            Call::ReadBalance => Self::Balance,
            Call::SubmitOrders { orders } => Self::Orders(orders.len()),
            Call::OrderStatus { orders } => Self::Statuses(orders.len()),
            Call::SubmitText { .. } => Self::TextSettled,
            Call::ReadHistory { limit, .. } => Self::History(page(*limit)),
            Call::ReadReceipts { entries } => Self::Receipts(entries.len()),
            Call::Watch { names } => Self::Watching(names.clone()),
            Call::KeepOrder { .. } => Self::Kept,
            Call::ReadOpenOrders => Self::OpenOrders,
            Call::ChangeKey { .. } => Self::KeyChanged,
            Call::LogOut => Self::LoggedOut,
        }
    }

    /// Whether this answers it.
    pub fn is_met_by(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Registered(name), Answer::Registered(account)) => account.name == *name,
            (Self::Online(max), Answer::Online { peers, .. }) => peers.len() <= *max,
            (Self::Account(name), Answer::Account(found)) => {
                found.as_ref().is_none_or(|account| account.name == *name)
            }
            (Self::Orders(count), Answer::Orders(items)) => items.len() == *count,
            (Self::Statuses(count), Answer::Statuses { statuses, .. }) => statuses.len() == *count,
            (Self::History(max), Answer::History { items, .. }) => items.len() <= *max,
            (Self::Receipts(count), Answer::Receipts(items)) => items.len() == *count,
            (Self::Watching(names), Answer::Watching(peers)) => {
                peers.len() <= names.len() && peers.iter().all(|peer| names.contains(&peer.name))
            }
            (Self::LoggedIn, Answer::LoggedIn(_))
            | (Self::Balance, Answer::Balance { .. })
            | (Self::TextSettled, Answer::TextSettled)
            | (Self::Kept, Answer::Kept)
            | (Self::OpenOrders, Answer::OpenOrders(_))
            | (Self::KeyChanged, Answer::KeyChanged(_))
            | (Self::LoggedOut, Answer::LoggedOut) => true,
            _ => false,
        }
    }

    /// Whether the call has no more items than protocol and server allow.
    pub(super) fn is_within(call: &Call, limits: &Limits) -> bool {
        let orders_max = usize::try_from(limits.orders_per_call_max)
            .map_or(ORDERS_PER_CALL_MAX, |max| max.min(ORDERS_PER_CALL_MAX));
        match call {
            Call::SubmitOrders { orders } => orders.len() <= orders_max,
            Call::OrderStatus { orders } => orders.len() <= orders_max,
            Call::ReadReceipts { entries } => entries.len() <= orders_max,
            Call::Watch { names } => names.len() <= WATCHED_NAMES_MAX,
            _ => true,
        }
    }
}

fn page(limit: u32) -> usize {
    usize::try_from(limit.min(PAGE_ITEMS_MAX)).unwrap_or(usize::MAX)
}
