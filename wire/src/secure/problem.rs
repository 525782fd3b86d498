//! Why not: each problem has a stable code, a reason, and whether to try again.

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same again, with the same id: now or when the connection is back.
    SameId,
    /// The same again after a while.
    Later,
    /// Not as it is.
    Never,
}

/// Why a call, or a whole connection, was refused. Nothing was done. Variants are only ever added at
/// the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Problem {
    /// The ledger's rules forbid it.
    #[error(transparent)]
    Refused(Refusal),
    /// The connection's key has no account.
    #[error("this key has no account here: register first")]
    NoAccount,
    /// The connection's key has an account already.
    #[error("this key has an account already")]
    AlreadyRegistered,
    /// The name may not be given to an account.
    #[error("the name is not allowed")]
    NameNotAllowed,
    /// This needs a log-in.
    #[error("not logged in")]
    NotLoggedIn,
    /// More items than one call may hold; or, as the last word of a connection, more bytes than this server takes in
    /// one.
    #[error("too many items in one call")]
    TooMany,
    /// A signature in the call is not valid.
    #[error("the signature is not valid")]
    InvalidSignature,
    /// The key change is not one for this account, this key and this server.
    #[error("the key change does not fit this account")]
    KeyChangeMismatch,
    /// The server has as much to do as it takes. Servers say [`Problem::BusyFor`] instead; this is what older
    /// ones say.
    #[error("the server is busy")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The other side speaks no version that this side does.
    #[error("no common version of the protocol")]
    UnknownVersion,
    /// The other side is not in the role that this connection is for.
    #[error("this is not the kind of program that was expected")]
    WrongRole,
    /// The other side's bytes are not the protocol.
    #[error("bytes that are not the protocol")]
    Malformed,
    /// The key of this connection is not its account's any more.
    #[error("the account has another key")]
    KeyRetired,
    /// Payments by the text protocol's rules are not taken from this address.
    #[error("the text protocol is not for this address")]
    TextNotServed,
    /// The server's disk takes no changes. What is there can be read.
    #[error("the server cannot write: try later")]
    ReadOnly,
    /// The server's disk failed while this was under way: it may have been done, or be found done when the
    /// server has started again. The last word of a connection, since it is no answer.
    #[error("the server's disk failed: whether it is done is not known yet")]
    OutcomeUnknown,
    /// The server has as much to do as it takes, or what was asked for may be asked for only so often.
    #[error("the server is busy: again in {wait_ms} ms")]
    BusyFor {
        /// How long to wait before the same is asked again, in milliseconds.
        wait_ms: u32,
    },
    /// As many connections of this key are open as one may have.
    #[error("too many connections with this key are open")]
    TooManySessions,
    /// The connection was silent while its place was needed.
    #[error("the server needs the places of connections that are silent")]
    PlaceNeeded,
    /// The server cannot read what this asks for of its past: its index has failed, or a part of the
    /// journal has been moved to where it does not look. Nothing is lost, and payments go on; who runs
    /// it must see to it.
    #[error("the server cannot read this part of its past: ask who runs it")]
    HistoryUnavailable,
}

impl Problem {
    /// The stable number of this problem; a refusal has its own.
    pub const fn code(self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::NoAccount => 100,
            Self::AlreadyRegistered => 101,
            Self::NameNotAllowed => 102,
            Self::NotLoggedIn => 103,
            Self::TooMany => 104,
            Self::InvalidSignature => 105,
            Self::KeyChangeMismatch => 106,
            Self::Busy => 107,
            Self::Stopping => 108,
            Self::UnknownVersion => 109,
            Self::WrongRole => 110,
            Self::Malformed => 111,
            Self::KeyRetired => 112,
            Self::TextNotServed => 113,
            Self::ReadOnly => 114,
            Self::OutcomeUnknown => 115,
            Self::BusyFor { .. } => 116,
            Self::TooManySessions => 117,
            Self::PlaceNeeded => 118,
            Self::HistoryUnavailable => 119,
        }
    }

    /// Whether asking again can help.
    pub const fn retry(self) -> Retry {
        match self {
            Self::Busy
            | Self::ReadOnly
            | Self::BusyFor { .. }
            | Self::TooManySessions
            | Self::PlaceNeeded
            | Self::HistoryUnavailable => Retry::Later,
            Self::Stopping | Self::OutcomeUnknown => Retry::SameId,
            _ => Retry::Never,
        }
    }
}

/// Why an order was not taken. Nothing has moved by it, and nothing was written down. Variants are only
/// ever added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OrderProblem {
    /// The payer has not signed it.
    #[error("the order is not signed by its payer")]
    InvalidSignature,
    /// Its form is of a version that the server does not know.
    #[error("the order is of an unknown version")]
    UnknownVersion,
    /// It is for another server.
    #[error("the order is for another server")]
    WrongServer,
    /// Who submits it is neither its payer nor its payee.
    #[error("only payer and payee may submit an order")]
    NotParty,
    /// No account has the payer's name.
    #[error("unknown payer")]
    UnknownPayer,
    /// The payer's account has another key: it had this one once, or never.
    #[error("the order is signed by a key that is not the payer's")]
    PayerKeyMismatch,
    /// Payer and payee are one account.
    #[error("payer and payee are the same account")]
    SameAccount,
    /// The amount is zero.
    #[error("the amount is not positive")]
    AmountNotPositive,
    /// The payer has given this id to another order before.
    #[error("another order has this id")]
    Conflict,
    /// Its time is over, and the server has never taken it before.
    #[error("the order has expired")]
    Expired,
    /// It would be valid for longer than the server allows. It may still be taken later.
    #[error("the order is valid for longer than the server allows")]
    NotAfterTooFar,
    /// The server has as much to do as it takes.
    #[error("the server is busy")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// Its id does not begin with its not-after.
    #[error("the order's id does not fit its not-after")]
    IdMismatch,
    /// The server's disk takes no changes. It may still be taken later.
    #[error("the server cannot write: try later")]
    ReadOnly,
    /// The order was not decided lately, and the server cannot read its past: whether it was decided
    /// before is not known yet.
    #[error("the server cannot read this part of its past: ask who runs it")]
    HistoryUnavailable,
}

impl OrderProblem {
    /// The stable number of this problem.
    pub const fn code(self) -> u16 {
        match self {
            Self::InvalidSignature => 200,
            Self::UnknownVersion => 201,
            Self::WrongServer => 202,
            Self::NotParty => 203,
            Self::UnknownPayer => 204,
            Self::PayerKeyMismatch => 205,
            Self::SameAccount => 206,
            Self::AmountNotPositive => 207,
            Self::Conflict => 208,
            Self::Expired => 209,
            Self::NotAfterTooFar => 210,
            Self::Busy => 211,
            Self::Stopping => 212,
            Self::IdMismatch => 213,
            Self::ReadOnly => 214,
            Self::HistoryUnavailable => 215,
        }
    }

    /// Whether submitting the order again can help.
    pub const fn retry(self) -> Retry {
        match self {
            Self::Busy
            | Self::NotAfterTooFar
            | Self::UnknownPayer
            | Self::ReadOnly
            | Self::HistoryUnavailable => Retry::Later,
            Self::Stopping => Retry::SameId,
            _ => Retry::Never,
        }
    }
}
