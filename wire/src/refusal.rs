//! Why the ledger moved nothing.

use serde::{Deserialize, Serialize};

/// The ledger's answer to a command that its rules do not allow. Nothing was moved or opened.
///
/// The codes are part of the protocol: they never change and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The payer has less than the amount.
    #[error("insufficient balance")]
    InsufficientBalance,
    /// The amount is zero or negative.
    #[error("the amount is not positive")]
    AmountNotPositive,
    /// Who asks is not allowed to ask for this payment.
    #[error("no permission")]
    NoPermission,
    /// No account has the payer's name.
    #[error("unknown payer")]
    UnknownPayer,
    /// No account has the payee's name.
    #[error("unknown payee")]
    UnknownPayee,
    /// Payer and payee are one account.
    #[error("payer and payee are the same account")]
    SameAccount,
    /// The payer's account has a key: only an order signed by it can debit the account.
    #[error("the payer's account needs a signature")]
    SignatureRequired,
    /// Another account has this name.
    #[error("the name is taken")]
    NameTaken,
    /// The opening grant would bring the supply above the largest amount.
    #[error("no more credits can be issued")]
    SupplyExhausted,
    /// Another account has a name that people would take for this one.
    #[error("the name is too similar to another account's")]
    NameTooSimilar,
    /// The payee has another key than the order says.
    #[error("the payee's key is not the one in the order")]
    PayeeKeyChanged,
    /// An account has this key, or had it once.
    #[error("the key belongs to an account")]
    KeyInUse,
    /// The operator has frozen the account that is to pay, or whose key is to be changed.
    #[error("the account is frozen")]
    AccountFrozen,
}

impl Refusal {
    /// The stable number of this refusal.
    pub const fn code(self) -> u16 {
        match self {
            Self::InsufficientBalance => 1,
            Self::AmountNotPositive => 2,
            Self::NoPermission => 3,
            Self::UnknownPayer => 4,
            Self::UnknownPayee => 5,
            Self::SameAccount => 6,
            Self::SignatureRequired => 7,
            Self::NameTaken => 8,
            Self::SupplyExhausted => 9,
            Self::NameTooSimilar => 10,
            Self::PayeeKeyChanged => 11,
            Self::KeyInUse => 12,
            Self::AccountFrozen => 13,
        }
    }
}
