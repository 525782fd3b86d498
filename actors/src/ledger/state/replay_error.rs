//! Why an entry cannot have been written by the rules.

use wire::AccountId;

/// An entry that the rules forbid: whoever wrote it did not follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// An account was opened under a number that is not the next one.
    #[error("account {found} is opened where account {expected} is next")]
    WrongAccountNumber {
        /// The next free number.
        expected: AccountId,
        /// The number in the entry.
        found: AccountId,
    },
    /// An account was opened under a name that another one has.
    #[error("account {0} is opened under a name that is taken")]
    NameTaken(AccountId),
    /// The treasury issued more than the largest amount.
    #[error("account {0} is given more credits than can exist")]
    SupplyOverflow(AccountId),
    /// A transfer names an account that does not exist.
    #[error("account {0} does not exist")]
    UnknownAccount(AccountId),
    /// A transfer moves nothing, or from an account to itself.
    #[error("a transfer from account {0} moves nothing")]
    EmptyTransfer(AccountId),
    /// A transfer debits an account by more than it holds.
    #[error("account {0} is debited by more than it holds")]
    Overdraft(AccountId),
    /// A keyed account is debited on the text protocol's word.
    #[error("account {0} has a key and is debited without a signature")]
    MissingSignature(AccountId),
    /// An entry and the order in it do not say the same.
    #[error("an order of account {0} does not say what its entry does")]
    OrderMismatch(AccountId),
    /// An order is decided when its time is over already.
    #[error("an order of account {0} is decided after its time")]
    OrderExpired(AccountId),
    /// An order is refused that the rules would settle, or for another reason than theirs.
    #[error("an order of account {0} is refused without reason")]
    WrongRefusal(AccountId),
    /// An order is decided a second time.
    #[error("an order of account {0} is decided twice")]
    DecidedTwice(AccountId),
    /// A key change does not follow from what the account is.
    #[error("the key of account {0} is changed in a way that is not allowed")]
    WrongKeyChange(AccountId),
    /// A frozen account pays, or gets another key.
    #[error("account {0} is frozen and pays or changes its key")]
    Frozen(AccountId),
    /// A deposit or withdrawal has the id of another one.
    #[error("a deposit to account {0}, or a withdrawal from it, is made twice")]
    OperatedTwice(AccountId),
    /// An account is frozen that is frozen already, or unfrozen that is not.
    #[error("account {0} is frozen or unfrozen without effect")]
    WrongFreeze(AccountId),
}
