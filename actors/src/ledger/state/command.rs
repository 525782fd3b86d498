//! What the ledger can be asked, and what becomes of it.

use wire::secure::OrderProblem;
use wire::text::TextPayment;
use wire::{
    Access, AccountId, Amount, EntryNumber, FreezeReason, NewUsername, OperatorId, OperatorRefusal,
    OrderId, PublicKey, Refusal, Timestamp, Username, VerifiedKeyChange, VerifiedOrder,
};

/// What the rules go by besides the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The server's clock, which never goes back from one command to the next.
    pub now: Timestamp,
    /// Up to when an order that has expired has done so for good, even if the server crashes and its clock is
    /// set back: the time of a batch that is durable before anybody hears of the outcome. Never later than `now`.
    pub shown: Timestamp,
    /// The server's key, which every order names.
    pub server: PublicKey,
}

/// What somebody asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open an account with a grant from the treasury.
    OpenAccount {
        /// Its name; refused if another account has it, or one that people would take for it.
        name: NewUsername,
        /// What it takes to debit it.
        access: Access,
        /// Credits issued to it.
        grant: Amount,
    },
    /// Move credits by the text protocol's rules: the payee asks, open accounts alone are debited.
    TextTransfer {
        /// The account that the asking connection is logged in to.
        sender: AccountId,
        /// What it asks.
        payment: TextPayment,
    },
    /// Say what an account holds, after everything that was asked before.
    ReadBalance(AccountId),
    /// Say which account has a name, after everything that was asked before.
    FindAccount(Username),
    /// Say which account has a key, after everything that was asked before.
    FindKey(PublicKey),
    /// Do what a payer has signed.
    Order {
        /// The account that the asking connection belongs to: the payer's or the payee's.
        submitter: AccountId,
        /// What was signed.
        order: Box<VerifiedOrder>,
    },
    /// Say what became of an order, after everything that was asked before.
    FindOrder {
        /// Who pays.
        payer: Username,
        /// Which of the payer's.
        id: OrderId,
    },
    /// Put another key in the place of an account's.
    ChangeKey {
        /// The account that the asking connection belongs to.
        account: AccountId,
        /// What both keys signed.
        change: Box<VerifiedKeyChange>,
    },
    /// Do what the operator says.
    Operate(Box<OperatorCommand>),
}

/// What the operator asks of the ledger. A deposit or withdrawal that is asked again, with the same id,
/// is not made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// Issue credits of the treasury to an account.
    Deposit {
        /// Whose it is.
        account: Username,
        /// How much.
        amount: Amount,
        /// What names it.
        id: OperatorId,
    },
    /// Take credits of an account back to the treasury, frozen or not.
    Withdraw {
        /// Whose it is.
        account: Username,
        /// How much.
        amount: Amount,
        /// What names it.
        id: OperatorId,
    },
    /// Let an account pay nobody and keep its key. Nothing changes if it is frozen already.
    Freeze {
        /// Whose it is.
        account: Username,
        /// For people.
        reason: FreezeReason,
    },
    /// Let it pay again.
    Unfreeze {
        /// Whose it is.
        account: Username,
    },
}

impl Command {
    /// Whether it asks for a change, and not just for what there is.
    pub const fn asks_for_change(&self) -> bool {
        !matches!(
            self,
            Self::ReadBalance(_) | Self::FindAccount(_) | Self::FindKey(_) | Self::FindOrder { .. }
        )
    }
}

/// What became of a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The account is opened, under this number.
    Opened(AccountId),
    /// The credits have moved.
    Settled,
    /// What the account holds.
    Balance(Amount),
    /// The account that has the name, and what it takes to debit it; `None` if there is none.
    Found(Option<(AccountId, Access)>),
    /// Who has the key; `None` if nobody does.
    FoundKey(Option<KeyHolder>),
    /// The order is decided, now, by the entry with this number.
    Decided(EntryNumber),
    /// The order was decided before, by the entry with this number.
    DecidedBefore(EntryNumber),
    /// The order was not taken; nothing has changed.
    NotTaken(OrderProblem),
    /// What is remembered of an order.
    FoundOrder {
        /// The payer's account, if there is one.
        payer: Option<AccountId>,
        /// The entry that decided it; `None` also if its time is over.
        decided: Option<EntryNumber>,
        /// [`Terms::shown`] at that moment: if it is not decided and its time was over by then, it never is.
        now: Timestamp,
    },
    /// The key is changed, by the entry with this number.
    KeyChanged(EntryNumber),
    /// The rules forbid it; nothing has changed.
    Refused(Refusal),
    /// What the operator said is done, or not, for this reason.
    Operated(Result<Operated, OperatorRefusal>),
    /// The journal cannot be written; nothing has changed.
    ReadOnly,
}

/// What became of an [`OperatorCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operated {
    /// The entry that made the change.
    pub entry: EntryNumber,
    /// Whether it was made before: nothing has changed now.
    pub repeated: bool,
    /// What the account holds now.
    pub balance: Amount,
}

/// Whose a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: Username,
    /// What it holds.
    pub balance: Amount,
    /// Whether it is the account's key now, and not one that it had.
    pub current: bool,
}
