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
//! | journal thread | [`JournalFull`], [`JournalFailed`] | Ledger | – |
//! | journal thread | [`JournalHasRoom`] | Ledger | – |
//! | thread that reads the journal again | [`StateRebuilt`] | Ledger | – |
//! | Ledger itself, from time to time | [`TryToWrite`] | Ledger | – |
//! | node | [`StopLedger`] | Ledger | `()` |
//! | `SecureSession` | [`LogInKeyed`] | Registry | – |
//! | `SecureSession` | [`ReadOnline`] | Registry | [`OnlinePage`] |
//! | `SecureSession` | [`FindOnline`] | Registry | `Option<SocketAddr>` |
//! | `SecureSession` | [`WatchNames`] | Registry | `Result<Vec<OnlinePeer>, WatchRefusal>` |
//! | `SecureSession` | [`NotifyParties`] | Registry | – |
//! | `SecureSession` | [`RetireKey`] | Registry | – |
//! | `SecureSession` | [`VerifyOrders`] | Verifier | `Result<Verdicts, VerifierBusy>` |
//! | `SecureSession` | [`SubmitForReceipts`] | Ledger | `Result<Vec<Settlement>, LedgerUnavailable>` |
//! | `SecureSession` | [`FindReceipts`] | Archive | `Result<Vec<Option<Receipt>>, ArchiveUnavailable>` |
//! | `SecureSession` | [`ReadHistory`] | Archive | `Result<HistoryPage, ArchiveUnavailable>` |
//! | `SecureSession` | [`KeepOrder`] | Archive | `Result<(), ArchiveUnavailable>` |
//! | `SecureSession` | [`ReadOpenOrders`] | Archive | `Result<Vec<SignedOrder>, ArchiveUnavailable>` |
//! | Ledger | [`JournalGrew`] | Archive | – |
//! | `AdminSession` | [`Submit`] | Ledger | `Result<Vec<Outcome>, LedgerUnavailable>` |
//! | `AdminSession` | [`ReadLedger`] | Ledger | `Result<LedgerStatus, LedgerUnavailable>` |
//! | `AdminSession` | [`KeepSnapshot`] | Ledger | `Result<BatchNumber, SnapshotFailure>` |
//! | snapshot thread | [`SnapshotStored`] | Ledger | – |
//! | `AdminSession` | [`ReadPresent`] | Registry | [`PresentPage`] |
//! | node (metrics) | [`ReadCounters`] | Ledger | [`LedgerCounters`] |
//! | node (metrics) | [`ReadLedger`], [`ReadPresent`], [`ReadServer`] | as above and below | as there |
//! | node (metrics) | [`CountOrdersWaiting`] | Verifier | `u64` |
//! | `AdminSession` | [`ReadServer`] | node | [`ServerFacts`] |
//! | `AdminSession` | [`AuditJournal`] | node | `Result<Verified, AuditFailure>` |
//! | `AdminSession` | [`BackUpLedger`] | node | `Result<BackedUp, BackupFailure>` |
//! | `AdminSession` | [`DrainServer`] | node | `CancellationToken` |
//!
//! **Client, secure protocol**
//!
//! | sender | message | receiver | reply |
//! |---|---|---|---|
//! | terminal | [`Start`] | `SecureWallet` | `Result<Started, PayError>` |
//! | terminal | [`OpenAccount`] | `SecureWallet` | `Result<OwnAccount, PayError>` |
//! | terminal | [`ComeOnline`] | `SecureWallet` | `Result<OwnAccount, PayError>` |
//! | terminal | [`ReadOverview`] | `SecureWallet` | `Result<Overview, PayError>` |
//! | terminal | [`QuotePayment`] | `SecureWallet` | `Result<Quote, PayError>` |
//! | terminal | [`TrustPeer`] | `SecureWallet` | `Result<(), PayError>` |
//! | terminal | [`PayQuote`] | `SecureWallet` | `Result<Payment, PayError>` |
//! | terminal | [`ReadPayments`] | `SecureWallet` | `Vec<Payment>` |
//! | terminal | [`ReadReceipt`] | `SecureWallet` | `Option<Receipt>` |
//! | terminal | [`ReadOwnHistory`] | `SecureWallet` | `Result<HistoryPage, PayError>` |
//! | terminal | [`RotateKey`] | `SecureWallet` | `Result<Rotated, PayError>` |
//! | terminal | [`SayGoodbye`] | `SecureWallet` | `Result<(), PayError>` |
//! | `SecureWallet` | [`WalletNews`] | terminal | – |
//! | `SecureWallet` | [`ConnectSecure`] | node | `Result<SecureConnection, ConnectError>` |
//! | `SecureWallet` | [`AskServer`] | `SecureServerLink` | `Result<Answer, CallError>` |
//! | `SecureServerLink` | [`ServerNews`] | `SecureWallet` | – |
//! | `SecureWallet` | [`Deliver`] | `SecureDialer` | `Result<PayeeAnswer, DeliverError>` |
//! | `SecurePeerLink` (incoming) | [`OfferOrder`] | `SecureWallet` | `Result<PayeeAnswer, OfferUnanswered>` |
//! | PeerLink (incoming) | [`Offer`] | `SecureWallet` | [`OfferAnswer`] |
//!
//! **Client, text protocol**
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

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use ed25519_zebra::SigningKey;
use tokio_util::sync::CancellationToken;
use wire::admin::{BackedUp, Condition, FilesStatus, LedgerStatus, OnlineAccount, Verified};
use wire::secure::{
    AccountInfo, Answer, Call, Event, HistoryItem, OnlinePeer, OrderProblem, OwnAccount,
    PayeeAnswer, Problem, Welcome,
};
use wire::signature::{Domain, SealingKey};
use wire::text::{TextPayment, TextRequest, reader};
use wire::{
    AccountId, Amount, BatchNumber, EntryNumber, InvalidSignature, Memo, OrderId, P2pPort,
    PublicKey, Receipt, Refusal, Signature, SignedOrder, Timestamp, Username, VerifiedOrder,
};
use zeroize::Zeroize as _;

use crate::ledger::LedgerFailure;
use crate::ledger::counters::LedgerCounters;
use crate::ledger::journal::{IoFailure, JournalError, SealedBatch};
use crate::ledger::state::{Command, Outcome, State};

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
    /// One line `<name>#<ip>#<port>` each, in order of name, on pages that follow one another.
    pub pages: Arc<[Arc<str>]>,
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
    /// A line for the person at the other end of a text session, with its LF.
    Line(&'static str),
    /// For the program at the other end of a secure session.
    Event(Event),
    /// The account has another key: this session's is worth nothing any more.
    KeyRetired,
}

/// `SecureSession` → Registry: my account is online. Takes the place of whoever was logged in to it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct LogInKeyed {
    /// Who asks.
    pub session: SessionId,
    /// The number of this log-in among the session's own, from 1.
    pub attempt: u64,
    /// The account's name.
    pub name: Username,
    /// The account's key, which the session's peer holds.
    pub key: PublicKey,
    /// Where peers reach it; `None` stays off the list.
    pub address: Option<SocketAddr>,
    /// Where to tell the session what happens to it.
    pub notices: WeakRecipient<SessionNotice>,
}

/// `SecureSession` → Registry: who is on the list, in order of names?
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "OnlinePage")]
pub struct ReadOnline {
    /// Begin behind this name; `None` begins with the first.
    pub after: Option<Username>,
    /// At most so many.
    pub limit: u32,
}

/// A part of the list.
#[derive(Clone, Debug, PartialEq, Eq, MessageResponse)]
pub struct OnlinePage {
    /// In order of names.
    pub peers: Vec<OnlinePeer>,
    /// Whether more follow.
    pub more: bool,
}

/// `SecureSession` → Registry: where do peers reach this account?
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Option<SocketAddr>")]
pub struct FindOnline(pub Username);

/// `SecureSession` → Registry: tell me when somebody of these comes on the list. Takes the place of what
/// the session watched before. The reply says who is there already.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Vec<OnlinePeer>, WatchRefusal>")]
pub struct WatchNames {
    /// Who asks.
    pub session: SessionId,
    /// Whom to watch: at most [`WATCHED_NAMES_MAX`](wire::secure::call::WATCHED_NAMES_MAX).
    pub names: Vec<Username>,
}

/// Why nobody is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchRefusal {
    /// The session is not logged in (any more).
    #[error("not logged in")]
    NotLoggedIn,
    /// All sessions together watch as many names as they may.
    #[error("too many names are watched")]
    Full,
}

/// `SecureSession` → Registry: tell these accounts' sessions, where they are online.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NotifyParties(pub Vec<(Username, Event)>);

/// `SecureSession` → Registry: this account has another key; whoever is logged in to it with the old one
/// must be told.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct RetireKey {
    /// The account's name.
    pub name: Username,
    /// The key that is the account's no more.
    pub key: PublicKey,
}

/// `SecureSession` → Verifier: have the payers signed these?
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Verdicts, VerifierBusy>")]
pub struct VerifyOrders {
    /// Whose session asks: who asks for much has no more turns than the others.
    pub sender: PublicKey,
    /// No more than a session may have under way.
    pub orders: Vec<SignedOrder>,
    /// Whether to check them apart from those of others: the session has submitted one before that its
    /// payer had not signed.
    pub apart: bool,
}

/// One verdict for each order, in order.
pub type Verdicts = Vec<Result<VerifiedOrder, InvalidSignature>>;

/// As many orders wait to be checked as may; nothing of what was asked is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the verifier is busy")]
pub struct VerifierBusy;

/// `SecureSession` → Ledger: like [`Submit`], for whoever wants receipts.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<Settlement>, LedgerUnavailable>")]
pub struct SubmitForReceipts(pub Vec<Command>);

/// What became of a command, and the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What became of it.
    pub outcome: Outcome,
    /// For the entry that it made, if it made one.
    pub receipt: Option<Box<Receipt>>,
}

/// Ledger → Archive: the journal has grown by something that an index records. Sent before anybody hears
/// of it. Payments by the text protocol's rules between open accounts are recorded nowhere: of batches
/// with nothing else in them it is told with the next one, or when there are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct JournalGrew {
    /// The entry behind those that were told of before.
    pub quiet_from: EntryNumber,
    /// All batches from there up to this entry hold nothing but such payments.
    pub news_from: EntryNumber,
    /// All entries in front of this one are durable.
    pub next_entry: EntryNumber,
}

/// `SecureSession` → Archive: the receipts for these, where they concern this account. One reply for each,
/// in order.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<Option<Receipt>>, ArchiveUnavailable>")]
pub struct FindReceipts {
    /// Who asks: payer, payee or holder in every entry that is found.
    pub account: AccountId,
    /// What is sought: at most
    /// [`ORDERS_PER_CALL_MAX`](wire::secure::call::ORDERS_PER_CALL_MAX).
    pub sought: Vec<Sought>,
}

/// An entry that is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// By its number: found if it is in the history of the account that asks.
    Entry(EntryNumber),
    /// The one that decided an order.
    Order {
        /// Who pays.
        payer: AccountId,
        /// Which of the payer's.
        id: OrderId,
    },
}

/// `SecureSession` → Archive: what happened to this account, newest first?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<HistoryPage, ArchiveUnavailable>")]
pub struct ReadHistory {
    /// Whose.
    pub account: AccountId,
    /// Begin before this entry; `None` begins with the newest.
    pub before: Option<EntryNumber>,
    /// At most so many.
    pub limit: u32,
}

/// A part of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Newest first.
    pub items: Vec<HistoryItem>,
    /// Whether older ones follow.
    pub more: bool,
}

/// `SecureSession` → Archive: keep this order of the account's until it is decided or expires.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), ArchiveUnavailable>")]
pub struct KeepOrder {
    /// Whose.
    pub account: AccountId,
    /// Signed by its key.
    pub order: VerifiedOrder,
    /// The server's clock.
    pub now: Timestamp,
}

/// `SecureSession` → Archive: which orders of this account are kept and not decided?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<SignedOrder>, ArchiveUnavailable>")]
pub struct ReadOpenOrders {
    /// Whose.
    pub account: AccountId,
    /// The server's clock.
    pub now: Timestamp,
}

/// The archive does not answer. Nothing is lost: it can be rebuilt from the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveUnavailable {
    /// It has as much to do as it takes, or this account has as much kept as it may.
    #[error("the archive is busy")]
    Busy,
    /// It is stopping, gone, its disk fails, or what is asked for is in a part of the journal that is
    /// not there.
    #[error("the archive is not there")]
    Gone,
}

/// Session or Registry → Ledger: do all of this, in this order. The reply comes when every outcome
/// in it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<Outcome>, LedgerUnavailable>")]
pub struct Submit(pub Vec<Command>);

/// The ledger does not answer. Unless it says [`LedgerUnavailable::OutcomeUnknown`], it did nothing of what
/// was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerUnavailable {
    /// As many commands wait for the disk as may; try again.
    #[error("the ledger is busy")]
    Busy,
    /// The ledger is stopping or gone.
    #[error("the ledger is stopping")]
    Stopping,
    /// The journal cannot be written; try later. What changes nothing is answered all the same.
    #[error("the ledger is read-only")]
    ReadOnly,
    /// The disk failed while this was on its way to it. It may be durable, and is done then as soon as the
    /// server has started again: this is no refusal.
    #[error("the disk failed: whether it is done is not known yet")]
    OutcomeUnknown,
}

/// Journal thread → Ledger: the next batches, of those that were handed over, are durable, as one.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BatchCommitted {
    /// As which one, with what receipts are made of.
    pub sealed: Box<SealedBatch>,
    /// How many of those that were handed over went into it.
    pub batches: usize,
    /// The memory that held it, to be used again.
    pub buffer: Vec<u8>,
}

/// Journal thread → Ledger: the batch may or may not be durable, and nothing can be written any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct JournalFailed(pub JournalError);

/// Journal thread → Ledger: there is no room on the disk. Nothing of the batches that were handed over and
/// not reported was written, nor will be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct JournalFull(pub IoFailure);

/// Journal thread → Ledger: there is room on the disk again.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct JournalHasRoom;

/// Ledger → Ledger, or whoever has made room on its disk: if the disk was full, see whether it still is.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct TryToWrite;

/// Thread → Ledger: what the journal comes to, up to the last batch that is known to be durable, or why that
/// cannot be told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StateRebuilt(pub Result<Box<State>, LedgerFailure>);

/// node → Ledger: finish what is under way, keep a snapshot, close the journal, stop. The reply comes
/// when all is on disk.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopLedger;

// ---- server, operator ----

/// `AdminSession` → Ledger: what do you hold?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<LedgerStatus, LedgerUnavailable>")]
pub struct ReadLedger;

/// node → Ledger: what have you done since you started?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "LedgerCounters")]
pub struct ReadCounters;

/// node → Verifier: how many orders wait to be checked?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "u64")]
pub struct CountOrdersWaiting;

/// `AdminSession` → Ledger: keep a snapshot of what you hold now. The reply comes when it is on disk, and
/// says behind which batch it is.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<BatchNumber, SnapshotFailure>")]
pub struct KeepSnapshot;

/// Why there is no snapshot. No money depends on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFailure {
    /// The ledger takes nothing now.
    #[error(transparent)]
    Unavailable(#[from] LedgerUnavailable),
    /// It was tried and failed.
    #[error("the snapshot cannot be kept: {0}")]
    Failed(String),
}

impl SnapshotFailure {
    pub(crate) fn from_error(error: &impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Snapshot thread → Ledger: what became of the snapshot that was captured last.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct SnapshotStored(pub Result<BatchNumber, SnapshotFailure>);

/// `AdminSession` → Registry: who is logged in, on the list or not, in order of names?
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "PresentPage")]
pub struct ReadPresent {
    /// Begin behind this name; `None` begins with the first.
    pub after: Option<Username>,
    /// At most so many.
    pub limit: u32,
}

/// A part of those who are logged in.
#[derive(Clone, Debug, PartialEq, Eq, MessageResponse)]
pub struct PresentPage {
    /// In order of names.
    pub people: Vec<OnlineAccount>,
    /// Whether more follow.
    pub more: bool,
    /// How many accounts are logged in, on this page or not.
    pub online: u64,
}

/// `AdminSession` → node: how are you?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "ServerFacts")]
pub struct ReadServer;

/// What a server knows of itself besides its actors.
#[derive(Clone, Debug, PartialEq, Eq, MessageResponse)]
pub struct ServerFacts {
    /// The version of the program.
    pub version: String,
    /// Its key.
    pub server: PublicKey,
    /// Since when it runs.
    pub started: Timestamp,
    /// Its clock.
    pub now: Timestamp,
    /// Whether it takes payments.
    pub condition: Condition,
    /// How many connections are open.
    pub connections: u64,
    /// What the ledger takes on the disk.
    pub files: Result<FilesStatus, FilesUnreadable>,
}

/// The data directory cannot be read, for this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data directory cannot be read: {0}")]
pub struct FilesUnreadable(pub String);

/// `AdminSession` → node: audit the journal.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Verified, AuditFailure>")]
pub struct AuditJournal;

/// Why an audit does not say that all is well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditFailure {
    /// One is under way.
    #[error("an audit is under way")]
    Busy,
    /// The journal cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It holds what it must not.
    #[error("{0}")]
    Fault(String),
}

/// `AdminSession` → node: back the ledger up into this directory.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<BackedUp, BackupFailure>")]
pub struct BackUpLedger(pub PathBuf);

/// Why there is no backup, or not more of it than before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupFailure {
    /// One is under way.
    #[error("a backup is under way")]
    Busy,
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// `AdminSession` → node: be ready to take no more connections, answer what is under way, and stop. That
/// begins when the token of the reply is cancelled: the operator is told before, and only if it can begin.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "CancellationToken")]
pub struct DrainServer;

// ---- client, secure protocol ----

/// Terminal → `SecureWallet`: connect, and find out what became of every payment that is open.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Started, PayError>")]
pub struct Start;

/// What a wallet finds when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The server's key.
    pub server: PublicKey,
    /// The key that the account has: the wallet's own, or the next one if a key change that was
    /// under way when the wallet was last closed has been made.
    pub key: PublicKey,
    /// The account of the wallet's key, if there is one.
    pub account: Option<OwnAccount>,
    /// Payments that were open when the wallet was last closed, and what is known of them now.
    pub payments: Vec<Payment>,
}

/// Terminal → `SecureWallet`: open an account with this name for my key.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<OwnAccount, PayError>")]
pub struct OpenAccount(pub Username);

/// Terminal → `SecureWallet`: log in. Peers reach me at this port; `None` stays off the list and is paid
/// through the server.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<OwnAccount, PayError>")]
pub struct ComeOnline(pub Option<P2pPort>);

/// Terminal → `SecureWallet`: what do I have, and who is online?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Overview, PayError>")]
pub struct ReadOverview;

/// What the account holds and who is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The account, and what it holds.
    pub account: OwnAccount,
    /// In order of names. `None` if the client is not logged in.
    pub peers: Option<Vec<OnlinePeer>>,
}

/// Terminal → `SecureWallet`: I want to pay this; whom exactly would I pay? Moves and signs nothing.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Quote, PayError>")]
pub struct QuotePayment {
    /// Who is to get it.
    pub payee: Username,
    /// How much.
    pub amount: Amount,
    /// What for, told to the payee alone. At most
    /// [`MEMO_BYTES_MAX`](wire::order::MEMO_BYTES_MAX) bytes.
    pub memo: Option<String>,
}

/// What is about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Who gets it, by which key, and where it is.
    pub payee: AccountInfo,
    /// What this wallet knew of the payee's key before.
    pub trust: Trust,
    /// How much.
    pub amount: Amount,
    /// What for.
    pub memo: Option<String>,
}

/// What a wallet knows of a key that it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was shown the same one before.
    Known,
    /// It is shown one for the first time.
    New,
    /// The account is open: there is no key, and nobody can be sure of who it is.
    NoKey,
}

/// Terminal → `SecureWallet`: this is this peer's key from now on, whatever was known before.
/// Whoever says so has compared it with what the peer says it is.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), PayError>")]
pub struct TrustPeer {
    /// Who.
    pub name: Username,
    /// The key.
    pub key: PublicKey,
}

/// Terminal → `SecureWallet`: yes, pay that. The reply comes when the payment is decided, or when nobody
/// can say so for now; then [`WalletNews`] tells later.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Payment, PayError>")]
pub struct PayQuote(pub Quote);

/// Terminal → `SecureWallet`: which payments of mine are there, newest first?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<Payment>")]
pub struct ReadPayments {
    /// At most so many of those that are decided; those that are open are all there.
    pub limit: usize,
}

/// A payment of this wallet's, and what it knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its order's id.
    pub id: OrderId,
    /// Who gets it.
    pub payee: Username,
    /// How much.
    pub amount: Amount,
    /// What for.
    pub memo: Option<String>,
    /// What became of it.
    pub state: PaymentState,
    /// What is known of whether the payee was told what it is for.
    pub memo_fate: MemoFate,
}

/// Whether a payee was told what a payment is for: the server never is, so that only handing the
/// order over does it. It is not written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoFate {
    /// There is no memo, it was told, or nobody remembers.
    Unremarkable,
    /// The order was handed over with the memo, and the payee did not answer.
    Unanswered,
    /// The payee was not reached.
    Lost,
}

impl Payment {
    /// Whether it is refused for good because another key than the one that signed it is the account's: it
    /// can be made anew.
    #[must_use]
    pub fn ended_with_key(&self) -> bool {
        self.state == PaymentState::Dead(OrderProblem::PayerKeyMismatch)
    }
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// It may or may not be settled, and may still be; the wallet is finding out.
    Open,
    /// It may or may not be settled, and this wallet cannot find out: another key has taken the place of
    /// the wallet's, and the server answers that one only. What was not settled by then never will be.
    OutOfReach,
    /// The credits have moved: there is a receipt that proves it.
    Paid,
    /// They have not and never will: there is a receipt that proves it.
    Refused(Refusal),
    /// They have not and never will, for this reason: the server does not take the order any more.
    Dead(OrderProblem),
}

/// Terminal → `SecureWallet`: the receipt of this order, as it is kept or, if there is a connection, as the
/// server has it. It is verified.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Option<Receipt>")]
pub struct ReadReceipt(pub OrderId);

/// Terminal → `SecureWallet`: what happened to my account, newest first?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<HistoryPage, PayError>")]
pub struct ReadOwnHistory {
    /// Begin before this entry; `None` begins with the newest.
    pub before: Option<EntryNumber>,
    /// At most so many.
    pub limit: u32,
}

/// Terminal → `SecureWallet`: put this key in the place of mine. The caller has stored it durably, beside
/// the old one, so that it cannot be lost whatever happens.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Rotated, PayError>")]
pub struct RotateKey(pub Signer);

/// What a key change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key from now on.
    pub key: PublicKey,
    /// Payments that the old key signed and that are now refused for good.
    pub dead: Vec<Payment>,
}

/// Terminal → `SecureWallet`: log out and close the connection.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), PayError>")]
pub struct SayGoodbye;

/// Why the wallet did not do what was asked. Nothing was moved, and only [`PayError::StoreUnsure`]
/// leaves something behind that may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// The server said no.
    #[error("the server refused: {0}")]
    Problem(Problem),
    /// The server cannot be asked.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection to the server does not answer. A question was asked in vain, or its answer is
    /// not known.
    #[error("the server does not answer: {0}")]
    ServerSilent(String),
    /// The wallet's key has no account at this server.
    #[error("this key has no account at the server")]
    NoAccount,
    /// A payment to oneself.
    #[error("payer and payee are the same account")]
    PayingOneself,
    /// The amount is zero.
    #[error("the amount is zero")]
    NothingToPay,
    /// The memo is too long.
    #[error("the memo is longer than {} bytes", wire::order::MEMO_BYTES_MAX)]
    MemoTooLong,
    /// The amount is more than the account holds.
    #[error("the balance is {balance}, which is less than {amount}")]
    InsufficientBalance {
        /// What the account holds.
        balance: Amount,
        /// What was to be paid.
        amount: Amount,
    },
    /// Nobody has the payee's name.
    #[error("there is no account {0}")]
    UnknownPayee(Username),
    /// The payee's key is not the one that this wallet knows.
    #[error("the key of {payee} has changed: it was {known} and is now {found}")]
    PayeeKeyChanged {
        /// Who.
        payee: Username,
        /// What this wallet has seen before.
        known: PublicKey,
        /// What the server says now.
        found: PublicKey,
    },
    /// The payee had a key, and the server says that there is none: nobody could be sure of who is
    /// paid.
    #[error("the account {payee} had the key {known} and now has none")]
    PayeeKeyGone {
        /// Who.
        payee: Username,
        /// What this wallet has seen before.
        known: PublicKey,
    },
    /// As many payments are open as may be.
    #[error("too many payments are open")]
    TooManyOpen,
    /// A key change has begun, and nobody knows its outcome yet. What can be done is to make the
    /// change to this same key.
    #[error("a change to the key {0} is under way")]
    RotationPending(PublicKey),
    /// The wallet's own disk fails.
    #[error("the wallet cannot be written: {0}")]
    Store(String),
    /// The wallet's own disk failed while the payment was written down. If it is there after all,
    /// it is made when the wallet is started again, which then says so.
    #[error("the wallet cannot be written, and the payment may be made later: {0}")]
    StoreUnsure(String),
}

/// `SecureWallet` → terminal: something happened that nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum WalletNews {
    /// I was paid.
    Received {
        /// By whom.
        payer: Username,
        /// How much.
        amount: Amount,
        /// What for, if the payer said so.
        memo: Option<String>,
        /// By which order; `None` for one by the text protocol's rules.
        order: Option<OrderId>,
        /// What shows it.
        proof: Proof,
    },
    /// A payment to me that its payer has signed and the server has refused, or that the server
    /// speaks of and cannot prove. What a stranger may have made up is no news.
    NotReceived {
        /// By whom.
        payer: Username,
        /// How much.
        amount: Amount,
        /// For people.
        reason: String,
    },
    /// Nobody says what became of a payment: the wallet is finding out.
    Checking {
        /// Which one.
        payment: Payment,
        /// For people: what went wrong.
        reason: String,
    },
    /// A payment that was open is decided.
    Decided(Payment),
    /// Another program has logged in to this account.
    Replaced,
    /// A key change whose outcome was unknown has been made: this is the account's key from now on.
    KeyChanged(PublicKey),
    /// Another device has put a key that this wallet does not have in the place of the wallet's: the server
    /// answers nothing any more.
    KeyReplaced {
        /// Payments whose outcome this wallet cannot find out any more.
        payments: Vec<Payment>,
    },
    /// The payee's own device did not show the key that the server says: somebody may be in between. The
    /// payment was not handed over and goes through the server.
    PeerKeyMismatch {
        /// Who.
        payee: Username,
        /// The key that the server says.
        expected: PublicKey,
        /// The key that was shown.
        found: PublicKey,
    },
    /// The connection to the server is gone. The wallet connects again when something is to be done.
    ServerLost(String),
    /// The connection is back.
    ServerBack,
}

/// What shows that this wallet was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A receipt that was checked and is kept.
    Kept,
    /// A receipt that was checked; the wallet's disk did not take it.
    NotKept,
    /// The server's word: there is no receipt, or none yet.
    Word,
}

/// `SecureWallet` → node: connect to the server.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<SecureConnection, ConnectError>")]
pub struct ConnectSecure {
    /// Whose connection it will be.
    pub signer: Signer,
    /// Who is to hear what the server says unasked.
    pub news: Recipient<ServerNews>,
}

/// A connection to the server, after both sides' hello.
#[derive(Clone, Debug)]
pub struct SecureConnection {
    /// Takes questions.
    pub link: Recipient<AskServer>,
    /// The key that the server has shown, and that this client trusts.
    pub server: PublicKey,
    /// What it said first.
    pub welcome: Welcome,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers there.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server has shown another key than the one that is known. Somebody may be in between.
    #[error("the server's key is {found}, but {expected} is expected")]
    WrongServerKey {
        /// What is known.
        expected: PublicKey,
        /// What was shown.
        found: PublicKey,
    },
    /// The server has shown another key than the one that was given at the start of the program. It may be
    /// another server, or somebody in between.
    #[error("the server's key is {found}, which is not the one given by --server-key")]
    NotTheGivenKey {
        /// What was given.
        given: PublicKey,
        /// What was shown.
        found: PublicKey,
    },
    /// It speaks something else.
    #[error("this is no Mite server of this version: {0}")]
    NotMite(String),
    /// It said why not.
    #[error("the server refused the connection: {0}")]
    Refused(Problem),
}

/// `SecureWallet` → `SecureServerLink`: ask this. Many may be under way; answers come in any order.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<Answer, CallError>")]
pub struct AskServer(pub Call);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server said no. Nothing was done.
    #[error(transparent)]
    Problem(Problem),
    /// The connection is gone; what was asked may or may not have been done.
    #[error("the connection to the server is lost: {0}")]
    Lost(String),
    /// The server is connected and silent; what was asked may or may not have been done.
    #[error("the server did not answer within {0} seconds")]
    Silent(u64),
    /// Too many questions wait for their answers; this one was not asked.
    #[error("too many requests wait for the server")]
    Full,
}

/// `SecureServerLink` → `SecureWallet`: something that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum ServerNews {
    /// The server says so.
    Event(Event),
    /// The connection is gone.
    Lost(String),
}

/// `SecureWallet` → `SecureDialer`: hand this order over to its payee.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<PayeeAnswer, DeliverError>")]
pub struct Deliver {
    /// Where the payee listens.
    pub address: SocketAddr,
    /// The key that it must show.
    pub payee_key: PublicKey,
    /// What is handed over.
    pub order: Box<SignedOrder>,
    /// What it is for.
    pub memo: Option<Memo>,
}

/// Why the payee has not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// Nobody answers at the address, or not in this protocol; nothing was handed over.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody else answers at the address; nothing was handed over.
    #[error("the key shown is {found}, which is not the payee's")]
    WrongKey {
        /// What was shown.
        found: PublicKey,
    },
    /// It was handed over, and there is no answer.
    #[error("the payee does not answer: {0}")]
    Silent(String),
    /// As many payments are being handed over as may; this one was not.
    #[error("too many payments are under way")]
    Full,
}

/// `SecurePeerLink` → `SecureWallet`: a peer hands me this order.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<PayeeAnswer, OfferUnanswered>")]
pub struct OfferOrder {
    /// The key that the peer has shown.
    pub from: PublicKey,
    /// What is handed over. Nothing in it is checked.
    pub order: Box<SignedOrder>,
    /// What it is for, as the peer says.
    pub memo: Option<Memo>,
}

/// The wallet takes no more offers for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many payments are being taken")]
pub struct OfferUnanswered;

/// A key to sign with. Copies share it; it is wiped from memory with the last of them. `Debug` shows the
/// public half only.
#[derive(Clone)]
pub struct Signer(Arc<WipedKey>);

struct WipedKey {
    key: SigningKey,
    sealing: SealingKey,
}

impl Signer {
    /// Takes the key.
    pub fn new(key: SigningKey) -> Self {
        Self(Arc::new(WipedKey { sealing: SealingKey::of(&key), key }))
    }

    /// The secret half.
    pub fn key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The same, made ready for signing orders.
    pub fn sealing_key(&self) -> &SealingKey {
        &self.0.sealing
    }

    /// Signs `bytes` for this purpose.
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> Signature {
        self.0.sealing.sign(domain, bytes)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        wire::signature::public_key(&self.0.key)
    }
}

impl Drop for WipedKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public_key())
    }
}

// ---- client, text protocol ----

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
