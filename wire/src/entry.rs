//! Entries: the changes of the ledger, as the journal keeps them for ever.

use serde::{Deserialize, Serialize};

use crate::key_change::SignedKeyChange;
use crate::operator::{FreezeReason, OperatorId};
use crate::order::SignedOrder;
use crate::{AccountId, Amount, PublicKey, Refusal, Username};

/// The most bytes that one encoded entry takes. The largest today is an [`Entry::Transferred`] with
/// the largest order in it (531 bytes); the rest is room for what is to come.
pub const ENTRY_BYTES_MAX: usize = 4096;

/// One change of the ledger.
///
/// Entries are facts: they say what happened, not what was asked. Replaying them in order rebuilds
/// every balance. Variants are only ever added at the end, so that old journals stay readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// An account came into being and got its opening grant from the treasury.
    AccountOpened {
        /// The new account, always the next free number.
        account: AccountId,
        /// Its name, which no other account has.
        name: Username,
        /// What it takes to debit it.
        access: Access,
        /// Credits issued to it by the treasury.
        grant: Amount,
    },
    /// Credits moved from one account to another.
    Transferred {
        /// Who is debited.
        payer: AccountId,
        /// Who is credited, never the payer.
        payee: AccountId,
        /// How much, never zero.
        amount: Amount,
        /// On whose word.
        authority: Authority,
    },
    /// An order was refused for good: it will never move anything.
    OrderRefused {
        /// Who signed it.
        payer: AccountId,
        /// What was signed.
        order: Box<SignedOrder>,
        /// Why.
        refusal: Refusal,
    },
    /// An account has another key. What the old one signed and is not settled before this is refused
    /// for good.
    KeyChanged {
        /// Whose.
        account: AccountId,
        /// What both keys signed.
        change: Box<SignedKeyChange>,
    },
    /// The operator issued credits of the treasury to an account.
    Deposited {
        /// To whom.
        account: AccountId,
        /// How much, never zero.
        amount: Amount,
        /// What names it among the operator's.
        id: OperatorId,
    },
    /// The operator took credits of an account back to the treasury.
    Withdrawn {
        /// From whom.
        account: AccountId,
        /// How much, never zero.
        amount: Amount,
        /// What names it among the operator's.
        id: OperatorId,
    },
    /// The operator has frozen an account: until it is unfrozen, it pays nobody and keeps its key.
    Frozen {
        /// Whose, never frozen already.
        account: AccountId,
        /// For people.
        reason: FreezeReason,
    },
    /// The operator has unfrozen an account.
    Unfrozen {
        /// Whose, always frozen.
        account: AccountId,
    },
    /// Somebody was told of an order that it has expired, and no batch before was as late as that. The batch that
    /// this is in is, so that the order stays expired, whatever the server's clock says later.
    TimePassed,
}

/// What it takes to log in to an account and to debit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Nothing but the text protocol's rules.
    Open,
    /// A signature by this key.
    Keyed(PublicKey),
}

/// On whose word credits moved.
///
/// Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authority {
    /// The payee's request over the text protocol, which proves nothing.
    Text,
    /// The payer's signature.
    Order(Box<SignedOrder>),
}
