//! What the server says.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Correlation, OrderProblem, Problem};
use crate::{
    AccountId, Amount, EntryNumber, FreezeReason, OrderId, PublicKey, Receipt, Refusal,
    SignedOrder, Timestamp, Username,
};

/// What the server sends behind its [`Welcome`](super::Welcome).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerFrame {
    /// What became of a request. Answers come in any order.
    Response(Response),
    /// Something that nobody asked for.
    Event(Event),
    /// The connection ends, for this reason.
    Closing(Problem),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Of which one.
    pub correlation: Correlation,
    /// What it brought.
    pub result: Result<Answer, Problem>,
}

/// What a request brought. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The account is opened.
    Registered(OwnAccount),
    /// The account is online.
    LoggedIn(OwnAccount),
    /// Who is online.
    Online {
        /// In order of names.
        peers: Vec<OnlinePeer>,
        /// Whether more follow.
        more: bool,
    },
    /// Who has the name; `None` if nobody does.
    Account(Option<AccountInfo>),
    /// What the account holds.
    Balance {
        /// How much.
        amount: Amount,
        /// The server's clock at that moment.
        now: Timestamp,
    },
    /// What became of each order, in the order of the call.
    Orders(Vec<OrderAnswer>),
    /// What is known of each, in the order of the call.
    Statuses {
        /// One for each.
        statuses: Vec<OrderStatus>,
        /// The time of the last durable batch when the server looked: an order that was unknown then and whose
        /// not-after lies before then will never be settled, even if the server's clock is set back.
        now: Timestamp,
    },
    /// The payment by the text protocol's rules is settled.
    TextSettled,
    /// What happened to the account, newest first.
    History {
        /// At most a page.
        items: Vec<HistoryItem>,
        /// Whether older ones follow.
        more: bool,
    },
    /// In the order of the call; `None` for an entry that is not this account's.
    Receipts(Vec<Option<Receipt>>),
    /// The names are watched. Who of them is online now.
    Watching(Vec<OnlinePeer>),
    /// The order is kept.
    Kept,
    /// Orders that are kept and not decided.
    OpenOrders(Vec<SignedOrder>),
    /// The key is changed; this receipt proves it.
    KeyChanged(Box<Receipt>),
    /// Goodbye.
    LoggedOut,
}

/// The account of the connection's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// Its number.
    pub account: AccountId,
    /// Its name.
    pub name: Username,
    /// What it holds.
    pub balance: Amount,
}

/// Somebody who is online and on the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlinePeer {
    /// Who.
    pub name: Username,
    /// The key; `None` for an open account, whom nobody can be sure of.
    pub key: Option<PublicKey>,
    /// Where peers reach it.
    pub address: SocketAddr,
}

/// Somebody who has an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountInfo {
    /// Who.
    pub name: Username,
    /// The key; `None` for an open account, whom nobody can be sure of.
    pub key: Option<PublicKey>,
    /// Where peers reach it; `None` if it is not online or not on the list.
    pub address: Option<SocketAddr>,
}

/// What became of an order that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderAnswer {
    /// It is decided, once and for all.
    Decided {
        /// Whether it was decided before: this is the first outcome again.
        replayed: bool,
        /// The proof.
        receipt: Box<Receipt>,
    },
    /// It was not taken. Nothing has moved.
    NotTaken(OrderProblem),
}

/// What is known of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStatus {
    /// It is decided, once and for all; the proof.
    Decided(Box<Receipt>),
    /// The server has not decided it, or it does not concern this account.
    Unknown,
}

/// One thing that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryItem {
    /// The entry's number in the ledger.
    pub number: EntryNumber,
    /// When, by the server's clock.
    pub time: Timestamp,
    /// What.
    pub event: HistoryEvent,
}

/// What happened. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryEvent {
    /// The account was opened.
    Opened {
        /// What it was granted.
        grant: Amount,
    },
    /// It paid.
    Paid {
        /// Whom.
        payee: Username,
        /// How much.
        amount: Amount,
        /// By which order.
        order: OrderId,
    },
    /// It was paid.
    Received {
        /// By whom.
        payer: Username,
        /// How much.
        amount: Amount,
        /// By which order; `None` for one by the text protocol's rules.
        order: Option<OrderId>,
    },
    /// An order of its own was refused for good.
    Refused {
        /// Whom it was to pay.
        payee: Username,
        /// How much.
        amount: Amount,
        /// Which one.
        order: OrderId,
        /// Why.
        refusal: Refusal,
    },
    /// It has another key.
    KeyChanged {
        /// The new one.
        key: PublicKey,
    },
    /// The operator has issued credits to it.
    Deposited {
        /// How much.
        amount: Amount,
    },
    /// The operator has taken credits of it back.
    Withdrawn {
        /// How much.
        amount: Amount,
    },
    /// The operator has frozen it: it pays nobody and keeps its key.
    Frozen {
        /// For people.
        reason: FreezeReason,
    },
    /// The operator has unfrozen it.
    Unfrozen,
}

/// Something that nobody asked for. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// An order of this account was decided; whoever submitted it has the receipt, and
    /// [`Call::OrderStatus`](super::Call::OrderStatus) gives it.
    OrderDecided {
        /// Which one.
        order: OrderId,
        /// The entry that says so.
        number: EntryNumber,
    },
    /// This account was paid.
    Received {
        /// By whom.
        payer: Username,
        /// How much.
        amount: Amount,
        /// The entry that says so.
        number: EntryNumber,
        /// By which order; `None` for one by the text protocol's rules.
        order: Option<OrderId>,
    },
    /// Somebody who is watched has come online.
    PeerOnline(OnlinePeer),
    /// Another connection has logged in to this account: this one is not logged in any more.
    Replaced,
    /// Events were left out, as more came than could be written: look at the history.
    Missed,
}
