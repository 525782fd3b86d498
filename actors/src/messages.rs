//! Every message of the system, one struct each. Read this file and you have seen the whole graph.
//!
//! **Server**
//!
//! | sender | message | receiver | reply |
//! |---|---|---|---|
//! | Session | [`LogIn`] | Registry | `Result<AccountId, LogInRefusal>` |
//! | Session | [`ListOnline`] | Registry | [`OnlineList`] |
//! | Session | [`NotifyAccounts`] | Registry | – |
//! | Session (when it ends in any way) | [`LogOut`] | Registry | – |
//! | Registry | [`SessionNotice`] | Session | – |
//! | Session, Registry | [`Submit`] | Ledger | `Result<Vec<Outcome>, LedgerUnavailable>` |
//! | journal thread | [`BatchCommitted`] | Ledger | – |
//! | journal thread | [`JournalFailed`] | Ledger | – |
//! | node | [`StopLedger`] | Ledger | `()` |
//!
//! **Client**
//!
//! | sender | message | receiver | reply |
//! |---|---|---|---|
//! | terminal | [`Register`] | Wallet | `Result<(), WalletError>` |
//! | terminal | [`GoOnline`] | Wallet | `Result<AccountList, WalletError>` |
//! | terminal | [`ReadAccount`] | Wallet | `Result<AccountList, WalletError>` |
//! | terminal | [`Pay`] | Wallet | `Result<PaymentReport, WalletError>` |
//! | terminal | [`Leave`] | Wallet | `Result<(), WalletError>` |
//! | Wallet | [`WalletEvent`] | terminal | – |
//! | Wallet | [`ConnectServer`] | node | `Result<Recipient<Ask>, ServerLinkError>` |
//! | Wallet | [`Ask`] | ServerLink | `Result<ServerReply, ServerLinkError>` |
//! | ServerLink | [`ServerEvent`] | Wallet | – |
//! | Wallet | [`HandOver`] | Dialer | `Result<HandOverAnswer, HandOverError>` |
//! | PeerLink (incoming) | [`Offer`] | Wallet | [`OfferAnswer`] |
//!
//! The Dialer starts one outgoing PeerLink for each [`HandOver`]; the node's listener starts an
//! incoming one for each connection. Sessions, links and the ledger never hold each other's `Addr`,
//! only `Recipient`s of the messages above.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use wire::text::{TextPayment, TextRequest, reader};
use wire::{AccountId, Amount, P2pPort, Username};

use crate::ledger::journal::{Committed, JournalError};
use crate::ledger::state::{Command, Outcome};

// ---- server ----

/// One connection, for as long as the server runs. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Session → Registry: put my account on the list. Takes the place of whoever was logged in to it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<AccountId, LogInRefusal>")]
pub struct LogIn {
    /// Who asks.
    pub session: SessionId,
    /// The number of this log-in among the session's own, from 1.
    pub attempt: u64,
    /// The account.
    pub name: Username,
    /// Where peers reach it: the address that the server sees and the port that the client says.
    pub address: SocketAddr,
    /// Where to tell the session what happens to it.
    pub notices: WeakRecipient<SessionNotice>,
}

/// Why a log-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogInRefusal {
    /// No account has this name.
    #[error("unknown name")]
    UnknownName,
    /// The account has a key, and this session does not prove that it holds it.
    #[error("the account needs its key")]
    KeyRequired,
    /// The ledger cannot say who has the name.
    #[error(transparent)]
    Unavailable(#[from] LedgerUnavailable),
}

/// Session → Registry: take me off the list, if I am still on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct LogOut(pub SessionId);

/// Session → Registry: who is online?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "OnlineList")]
pub struct ListOnline;

/// Who is online, as the text protocol writes it. Shared: an unchanged list is written once.
#[derive(Clone, Debug, PartialEq, Eq, MessageResponse)]
pub struct OnlineList {
    /// How many accounts are online.
    pub count: usize,
    /// One line `<name>#<ip>#<port>` each, in order of name.
    pub lines: Arc<str>,
}

/// Session → Registry: tell these accounts' sessions, where they are online.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NotifyAccounts(pub Vec<(Username, &'static str)>);

/// Registry → Session: something happened to your account.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum SessionNotice {
    /// Another session has logged in to this one's account: it is not logged in any more. May
    /// arrive before the reply to the log-in that it ends.
    Replaced {
        /// The log-in that it ends, by [`LogIn::attempt`].
        attempt: u64,
    },
    /// A line for the person at the other end, with its LF.
    Line(&'static str),
}

/// Session or Registry → Ledger: do all of this, in this order. The reply comes when every outcome
/// in it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<Outcome>, LedgerUnavailable>")]
pub struct Submit(pub Vec<Command>);

/// The ledger did nothing of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerUnavailable {
    /// As many commands wait for the disk as may; try again.
    #[error("the ledger is busy")]
    Busy,
    /// The ledger is stopping or gone.
    #[error("the ledger is stopping")]
    Stopping,
}

/// Journal thread → Ledger: the next batches, of those that were handed over, are durable, as one.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BatchCommitted {
    /// As which one.
    pub committed: Committed,
    /// How many of those that were handed over went into it.
    pub batches: usize,
    /// The memory that held it, to be used again.
    pub buffer: Vec<u8>,
}

/// Journal thread → Ledger: the batch may or may not be durable, and nothing can be written any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct JournalFailed(pub JournalError);

/// node → Ledger: finish what is under way, keep a snapshot, close the journal, stop. The reply comes
/// when all is on disk.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopLedger;

// ---- client ----

/// Terminal → Wallet: open an account with this name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), WalletError>")]
pub struct Register(pub Username);

/// Terminal → Wallet: log in, and tell the server where peers reach me.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<AccountList, WalletError>")]
pub struct GoOnline {
    /// The account.
    pub name: Username,
    /// The port on which the P2P listener really listens.
    pub port: P2pPort,
}

/// Terminal → Wallet: what do I have, and who is online?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<AccountList, WalletError>")]
pub struct ReadAccount;

/// Terminal → Wallet: pay somebody who is online.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<PaymentReport, WalletError>")]
pub struct Pay {
    /// Who is to get it.
    pub payee: Username,
    /// How much.
    pub amount: Amount,
}

/// Terminal → Wallet: say goodbye to the server.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), WalletError>")]
pub struct Leave;

/// My balance and who is online, as the server last said.
pub use wire::text::list::AccountList;

/// What became of a payment that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentReport {
    /// The server has moved the money.
    Paid {
        /// What is left, if the server could be asked.
        balance: Option<Amount>,
    },
    /// The server has refused: nothing was moved.
    Refused {
        /// In the server's words.
        reason: String,
    },
    /// The payee has the payment, and nobody says what became of it. It may still be settled.
    Unconfirmed {
        /// What was there before it was handed over.
        balance_before: Amount,
        /// What is there now, if the server could be asked.
        balance_now: Option<Amount>,
    },
}

/// Why the wallet did not do what was asked. Nothing was moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// The server said no, in these words.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The connection to the server cannot answer.
    #[error(transparent)]
    Server(#[from] ServerLinkError),
    /// Nobody is logged in on this client.
    #[error("not logged in")]
    NotLoggedIn,
    /// A payment to oneself.
    #[error("payer and payee are the same account")]
    PayingOneself,
    /// The amount is zero.
    #[error("the amount is zero")]
    NothingToPay,
    /// The amount is more than the account holds.
    #[error("the balance is {balance}, which is less than {amount}")]
    InsufficientBalance {
        /// What the account holds.
        balance: Amount,
        /// What was to be paid.
        amount: Amount,
    },
    /// Another payment waits for its outcome; with the text protocol there is one at a time.
    #[error("another payment is under way")]
    PaymentUnderWay,
    /// The payee is not on the list.
    #[error("{0} is not online")]
    PayeeOffline(Username),
    /// The payee is on the list but cannot be connected to: the payment was not handed over.
    #[error("{payee} cannot be reached at {address}: {reason}")]
    PayeeUnreachable {
        /// Who.
        payee: Username,
        /// Where.
        address: SocketAddr,
        /// In the system's words.
        reason: String,
    },
}

/// Wallet → terminal: something happened that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum WalletEvent {
    /// A payment to me is settled.
    Received {
        /// What was paid.
        payment: TextPayment,
        /// What I have now, if the server could be asked.
        balance: Option<Amount>,
    },
    /// A payment to me was refused by the server.
    NotReceived {
        /// What was to be paid.
        payment: TextPayment,
        /// In the server's words, or ours.
        reason: String,
    },
    /// The server said something that nobody asked for.
    ServerSaid(String),
    /// The connection to the server is gone; who it was for must connect again.
    ServerLost(String),
}

/// Wallet → node: the connection to the server is gone, make another one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Recipient<Ask>, ServerLinkError>")]
pub struct ConnectServer {
    /// Who is to hear what the server says unasked.
    pub events: Recipient<ServerEvent>,
}

/// Wallet → ServerLink: send this, and tell me what comes back. One at a time, in order.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<ServerReply, ServerLinkError>")]
pub struct Ask(pub TextRequest);

/// What the server answered.
pub use reader::ServerReply;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerLinkError {
    /// The connection ended; what was asked may or may not have been done.
    #[error("the connection to the server is lost: {0}")]
    Lost(String),
    /// The server is connected and silent; what was asked may or may not have been done.
    #[error("the server did not answer within {0} seconds")]
    Silent(u64),
    /// Too many questions wait for their answers; this one was not asked.
    #[error("too many requests wait for the server")]
    Full,
}

/// ServerLink → Wallet: the server did something that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum ServerEvent {
    /// It told the payer what became of a transfer, as one dialect does.
    TransferResult {
        /// Whether the credits have moved.
        settled: bool,
        /// In its own words.
        line: String,
    },
    /// It said something else.
    Said(String),
    /// The connection is gone.
    Lost(String),
}

/// Wallet → Dialer: connect to the payee and hand this over.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<HandOverAnswer, HandOverError>")]
pub struct HandOver {
    /// Where the payee listens.
    pub address: SocketAddr,
    /// What is paid.
    pub payment: TextPayment,
}

/// What the payee said once it had the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOverAnswer {
    /// The server settled it.
    Settled,
    /// It is refused, in these words.
    Refused(String),
    /// Nothing, as the original program does.
    Silence,
}

/// The payment was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Nobody answers at the payee's address.
    #[error("{0}")]
    Unreachable(String),
    /// As many payments are being handed over as may.
    #[error("too many payments are under way")]
    Full,
}

/// PeerLink → Wallet: a peer hands me this payment.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "OfferAnswer")]
pub struct Offer(pub TextPayment);

/// What became of an offered payment, to be told to the payer.
#[derive(Clone, Debug, PartialEq, Eq, MessageResponse)]
pub enum OfferAnswer {
    /// The server settled it.
    Settled,
    /// It is refused, in these words.
    Refused(String),
    /// Nobody knows: the server did not say.
    Unknown,
}
