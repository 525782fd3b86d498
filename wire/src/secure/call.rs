//! What a client asks its server. The account is always that of the connection's key.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Answer;
use crate::order::SIGNED_ORDER_BYTES_MAX;
use crate::text::TextPayment;
use crate::{EntryNumber, OrderId, P2pPort, SignedKeyChange, SignedOrder, Username};

/// The most orders, order references or entries in one call, so that an answer with as many receipts
/// fits into a frame.
pub const ORDERS_PER_CALL_MAX: usize = 512;

/// Every server takes as many of the largest orders in one call, or references, or entries, whatever it is told to
/// take: what a client has to ask at once that pays, and is paid, by many people.
pub const ORDERS_PER_CALL_MIN: usize = 64;

/// The most items on one page of a list or history: each takes less than 256 bytes, a page 256 KiB.
pub const PAGE_ITEMS_MAX: u32 = 1000;

/// The most names that one session watches.
pub const WATCHED_NAMES_MAX: usize = 256;

/// The longest request, without its length: [`ORDERS_PER_CALL_MAX`] orders of
/// [`SIGNED_ORDER_BYTES_MAX`], and something for what stands around
/// them. A server makes no room for more than this.
pub const REQUEST_BYTES_MAX: usize = request_bytes(ORDERS_PER_CALL_MAX);

/// The longest request that every server takes: with [`ORDERS_PER_CALL_MIN`] orders. Any other call, with
/// as many items or [`WATCHED_NAMES_MAX`] names, is shorter.
pub const REQUEST_BYTES_MIN: usize = request_bytes(ORDERS_PER_CALL_MIN);

/// What stands around the orders in a request.
const REQUEST_HEAD_BYTES: usize = 64;

const fn request_bytes(orders: usize) -> usize {
    orders * SIGNED_ORDER_BYTES_MAX + REQUEST_HEAD_BYTES
}

/// How many orders, order references or entries a call may hold where no request is longer than this: whoever
/// keeps to them keeps to its length.
pub const fn orders_per_call_max(request_bytes_max: usize) -> usize {
    let fit = request_bytes_max.saturating_sub(REQUEST_HEAD_BYTES) / SIGNED_ORDER_BYTES_MAX;
    if fit < ORDERS_PER_CALL_MAX { fit } else { ORDERS_PER_CALL_MAX }
}

/// Which answer belongs to which request. Chosen by the client, which does not use one again while it
/// is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Correlation(pub u64);

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Which one.
    pub correlation: Correlation,
    /// What is asked.
    pub call: Call,
}

/// What is asked. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Open an account with this name for the connection's key. → [`Answer::Registered`]
    Register {
        /// The name.
        name: Username,
    },
    /// Come online. → [`Answer::LoggedIn`]
    LogIn {
        /// Where peers reach this client, at the address that the server sees; `None` stays off the
        /// list and is paid through the server.
        port: Option<P2pPort>,
    },
    /// Who is online, in order of names? Needs a log-in. → [`Answer::Online`]
    ListOnline {
        /// Begin behind this name; `None` begins with the first.
        after: Option<Username>,
        /// At most so many, and at most [`PAGE_ITEMS_MAX`].
        limit: u32,
    },
    /// Who has this name? Needs a log-in. → [`Answer::Account`]
    FindAccount {
        /// The exact name.
        name: Username,
    },
    /// What does my account hold? → [`Answer::Balance`]
    ReadBalance,
    /// Do these, in this order: at most [`ORDERS_PER_CALL_MAX`]. Each stands for itself.
    /// → [`Answer::Orders`]
    SubmitOrders {
        /// Signed by their payers. This account is the payer or the payee of each.
        orders: Vec<SignedOrder>,
    },
    /// What became of these? At most [`ORDERS_PER_CALL_MAX`]. → [`Answer::Statuses`]
    OrderStatus {
        /// Orders that this account pays or is paid by.
        orders: Vec<OrderRef>,
    },
    /// Do this by the text protocol's rules: an open account pays this one. → [`Answer::TextSettled`]
    SubmitText {
        /// What a peer has handed over.
        payment: TextPayment,
    },
    /// What happened to my account, newest first? → [`Answer::History`]
    ReadHistory {
        /// Begin before this entry; `None` begins with the newest.
        before: Option<EntryNumber>,
        /// At most so many, and at most [`PAGE_ITEMS_MAX`].
        limit: u32,
    },
    /// The receipts for these entries of my history: at most [`ORDERS_PER_CALL_MAX`].
    /// → [`Answer::Receipts`]
    ReadReceipts {
        /// Their numbers.
        entries: Vec<EntryNumber>,
    },
    /// Tell me when somebody of these comes online: at most [`WATCHED_NAMES_MAX`], in place of those
    /// that were watched before. Needs a log-in. → [`Answer::Watching`]
    Watch {
        /// Their exact names.
        names: Vec<Username>,
    },
    /// Keep this order of mine until it is decided or expires, so that I find it if I lose my machine.
    /// It moves nothing. → [`Answer::Kept`]
    KeepOrder {
        /// Signed by this account.
        order: SignedOrder,
    },
    /// Which orders of mine are kept and not decided? → [`Answer::OpenOrders`]
    ReadOpenOrders,
    /// Put another key in the place of mine. The connection ends behind the answer, if it is done or
    /// if the signatures are not valid.
    /// → [`Answer::KeyChanged`]
    ChangeKey {
        /// Signed by both keys.
        change: SignedKeyChange,
    },
    /// Goodbye. The connection ends behind the answer. → [`Answer::LoggedOut`]
    LogOut,
}

/// What names an order among all orders of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderRef {
    /// Who pays.
    pub payer: Username,
    /// Which of the payer's.
    pub id: OrderId,
}
