//! The admin protocol: what an operator's program and a running server say to each other over the socket
//! in the server's data directory.
//!
//! Frames are those of [`secure`](crate::secure::frame). Each side says its [`AdminHello`]; then come
//! calls, one after the other, each answered by an [`AdminReply`]. Who may connect, the system decides:
//! `docs/adr/0018-the-operator.md`. All enums are added to at the end only.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::batch::Hash;
use crate::{
    Amount, BatchNumber, EntryNumber, FreezeReason, OperatorId, OperatorRefusal, PublicKey,
    Timestamp, Username,
};

/// The version that this code speaks. Both sides must speak the same one: program and server are
/// upgraded together.
pub const ADMIN_VERSION: u16 = 1;

/// The longest [`AdminHello`], without its length: room for what later versions may add.
pub const ADMIN_HELLO_BYTES_MAX: usize = 64;

/// The longest [`AdminCall`], without its length: a path of 4,096 bytes is the longest thing in one.
pub const ADMIN_CALL_BYTES_MAX: usize = 8192;

/// The longest path, in bytes: the longest that the system takes.
pub const ADMIN_PATH_BYTES_MAX: usize = 4096;

/// How many accounts are on a page of those that are online: at some 200 bytes each, 200 KiB.
pub const ADMIN_PAGE_MAX: u32 = 1000;

/// What the first frames begin with.
pub mod magic {
    /// The operator's program.
    pub const OPERATOR: [u8; 8] = *b"MiteOper";
    /// The server.
    pub const SERVER: [u8; 8] = *b"MiteAdmn";
}

/// Each side's first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminHello {
    /// One of [`magic`].
    pub magic: [u8; 8],
    /// What it speaks.
    pub version: u16,
}

impl AdminHello {
    /// What this program says.
    pub const fn new(magic: [u8; 8]) -> Self {
        Self { magic, version: ADMIN_VERSION }
    }
}

/// What the operator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminCall {
    /// How is the server?
    Status,
    /// Who is online, in order of names?
    Online {
        /// Begin behind this name; `None` begins with the first.
        after: Option<Username>,
        /// At most so many, and [`ADMIN_PAGE_MAX`].
        limit: u32,
    },
    /// Issue credits to an account.
    Deposit {
        /// Whose.
        account: Username,
        /// How much.
        amount: Amount,
        /// What names it: asked again, it is not done again.
        id: OperatorId,
    },
    /// Take credits of an account back.
    Withdraw {
        /// Whose.
        account: Username,
        /// How much.
        amount: Amount,
        /// What names it: asked again, it is not done again.
        id: OperatorId,
    },
    /// Let an account pay nobody and keep its key.
    Freeze {
        /// Whose.
        account: Username,
        /// For people, the account's holder among them.
        reason: FreezeReason,
    },
    /// Let it pay again.
    Unfreeze {
        /// Whose.
        account: Username,
    },
    /// Take no more connections, answer what is under way, and stop.
    Drain,
    /// Keep a snapshot of the ledger as it is now.
    Snapshot,
    /// Audit the journal, from its first batch on.
    Verify,
    /// Back the ledger up, or add to an earlier backup.
    Backup {
        /// The directory of the copies, as the server sees it: a path from the root, of at most
        /// [`ADMIN_PATH_BYTES_MAX`].
        to: String,
    },
}

/// What became of an [`AdminCall`].
pub type AdminReply = Result<AdminAnswer, AdminProblem>;

/// What a call brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminAnswer {
    /// How the server is.
    Status(Box<ServerStatus>),
    /// Who is online.
    Online {
        /// In order of names.
        people: Vec<OnlineAccount>,
        /// Whether more follow.
        more: bool,
    },
    /// The change is durable.
    Operated {
        /// The entry that made it.
        entry: EntryNumber,
        /// Whether it was made before: nothing has changed now.
        repeated: bool,
        /// What the account holds now.
        balance: Amount,
    },
    /// The server takes no more connections, and ends as soon as it has answered what is under way.
    Draining,
    /// A snapshot is kept behind this batch.
    SnapshotKept(BatchNumber),
    /// The journal holds no fault.
    Verified(Box<Verified>),
    /// The ledger is backed up.
    BackedUp(Box<BackedUp>),
}

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AdminProblem {
    /// The ledger's rules forbid it; nothing has changed.
    #[error(transparent)]
    Refused(OperatorRefusal),
    /// The server cannot take it now; nothing has changed.
    #[error("the server is busy")]
    Busy,
    /// The server is stopping; nothing has changed.
    #[error("the server is stopping")]
    Stopping,
    /// The server cannot write, and its status says why; nothing has changed.
    #[error("the server is read-only")]
    ReadOnly,
    /// It was tried and failed, for this reason.
    #[error("{0}")]
    Failed(String),
    /// The journal holds what it must not: this.
    #[error("{0}")]
    Fault(String),
    /// The call is none.
    #[error("the server does not understand the call")]
    Malformed,
    /// The disk failed while the change was on its way to it: it may have been made.
    #[error("the disk failed: whether it is done is not known yet")]
    OutcomeUnknown,
}

impl AdminProblem {
    /// The stable number of this problem.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Busy => 350,
            Self::Stopping => 351,
            Self::ReadOnly => 352,
            Self::Failed(_) => 353,
            Self::Fault(_) => 354,
            Self::Malformed => 355,
            Self::OutcomeUnknown => 356,
        }
    }
}

/// An account that is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineAccount {
    /// Who.
    pub name: Username,
    /// The key; `None` for an open account.
    pub key: Option<PublicKey>,
    /// Where peers reach it; `None` if it is not on the list.
    pub address: Option<SocketAddr>,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The version of its program.
    pub version: String,
    /// Its key, which its clients know it by.
    pub server: PublicKey,
    /// Since when it runs, by its clock.
    pub started: Timestamp,
    /// Its clock.
    pub now: Timestamp,
    /// Whether it takes payments.
    pub condition: Condition,
    /// The ledger; `None` while it reads its journal again, since it could not be written.
    pub ledger: Option<LedgerStatus>,
    /// How many connections are open.
    pub connections: u64,
    /// How many accounts are online, listed or not.
    pub online: u64,
    /// The files of the ledger, or why the directory cannot be read.
    pub files: Result<FilesStatus, String>,
}

/// Whether a server takes payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It does.
    Writing,
    /// It does not, since it cannot write, for this reason; it answers questions.
    ReadOnly(String),
    /// It takes no more connections and ends soon.
    Draining,
}

/// A ledger in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerStatus {
    /// How many entries are durable.
    pub entries: u64,
    /// The last batch that is durable; 0 if there is none.
    pub batch: BatchNumber,
    /// Its head.
    pub head: Hash,
    /// When it was written; 0 if there is none.
    pub written: Timestamp,
    /// How many accounts there are.
    pub accounts: u64,
    /// How many of them are frozen.
    pub frozen: u64,
    /// How many credits there are.
    pub supply: Amount,
}

/// What a ledger takes on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesStatus {
    /// What the journal's files take, with the zeros ahead.
    pub journal_bytes: u64,
    /// What the disk has left for the server; `None` if the system does not say.
    pub free_bytes: Option<u64>,
    /// The newest snapshot; `None` if there is none.
    pub snapshot: Option<SnapshotStatus>,
}

/// A snapshot that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotStatus {
    /// Behind which batch.
    pub batch: BatchNumber,
    /// When it was kept.
    pub kept: Timestamp,
}

/// What an audit without a fault has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The last batch.
    pub batch: BatchNumber,
    /// Its head.
    pub head: Hash,
    /// How many entries there are.
    pub entries: u64,
    /// How many accounts there are.
    pub accounts: u64,
    /// How many credits there are.
    pub supply: Amount,
    /// How many milliseconds it took.
    pub took_ms: u64,
}

/// What a backup holds, and what was copied for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// The last batch in it.
    pub batch: BatchNumber,
    /// Its head.
    pub head: Hash,
    /// How many entries are in it.
    pub entries: u64,
    /// Whether there was a backup before, and this has added to it.
    pub incremental: bool,
    /// How many batches were copied now.
    pub copied_batches: u64,
    /// How many bytes were copied now.
    pub copied_bytes: u64,
}

#[cfg(test)]
mod tests;
