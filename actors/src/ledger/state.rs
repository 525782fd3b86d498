//! The money logic, whole: a pure, deterministic state machine.
//!
//! No actor, no clock, no I/O, no log. [`State::apply`] decides what a command does and changes the
//! state accordingly; [`State::replay`] makes the same change from the entry that was written down.
//! Every credit that an account holds was issued by the treasury, whose balance is minus the supply:
//! all balances sum to zero, always.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use wire::text::TextPayment;
use wire::{Access, AccountId, Amount, Authority, Entry, EntryNumber, Refusal, Username};

/// What somebody asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open an account with a grant from the treasury.
    OpenAccount {
        /// Its name; refused if another account has it.
        name: Username,
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
}

/// What became of a [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The account is opened, under this number.
    Opened(AccountId),
    /// The credits have moved.
    Settled,
    /// What the account holds.
    Balance(Amount),
    /// The account that has the name, and what it takes to debit it; `None` if there is none.
    Found(Option<(AccountId, Access)>),
    /// The rules forbid it; nothing has changed.
    Refused(Refusal),
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, which no other account has.
    pub name: Username,
    /// What it takes to debit it.
    pub access: Access,
    /// What it holds.
    pub balance: Amount,
}

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
    #[error("account {0} is granted more credits than can exist")]
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
}

/// All accounts and what they hold.
#[derive(Clone, Debug, Default)]
pub struct State {
    accounts: Vec<Account>,
    by_name: NameIndex,
    supply: Amount,
    next_entry: EntryNumber,
}

impl State {
    /// Does what `command` asks, or refuses. The entry, if there is one, is what must be durable
    /// before anybody hears of the outcome.
    ///
    /// # Panics
    /// If the rules that decide and the rules that replay disagree: a defect of this file, after
    /// which no balance can be trusted.
    pub fn apply(&mut self, command: Command) -> (Outcome, Option<Entry>) {
        let decided = match command {
            Command::OpenAccount { name, access, grant } => {
                self.decide_opening(name, access, grant)
            }
            Command::TextTransfer { sender, payment } => {
                self.decide_text_transfer(sender, &payment)
            }
            Command::ReadBalance(account) => {
                // Account numbers come from this ledger alone, which never closes an account.
                let balance = self.account(account).map_or(Amount::ZERO, |account| account.balance);
                return (Outcome::Balance(balance), None);
            }
            Command::FindAccount(name) => {
                let found =
                    self.find(name.as_str()).and_then(|id| Some((id, self.account(id)?.access)));
                return (Outcome::Found(found), None);
            }
        };
        let entry = match decided {
            Ok(entry) => entry,
            Err(refusal) => return (Outcome::Refused(refusal), None),
        };
        self.replay(&entry).expect("what the rules decided, the rules allow");
        let outcome = match entry {
            Entry::AccountOpened { account, .. } => Outcome::Opened(account),
            Entry::Transferred { .. } => Outcome::Settled,
        };
        (outcome, Some(entry))
    }

    /// Makes the change that `entry` records.
    ///
    /// # Errors
    /// [`ReplayError`] if the rules forbid the entry; nothing has changed then.
    pub fn replay(&mut self, entry: &Entry) -> Result<(), ReplayError> {
        match entry {
            Entry::AccountOpened { account, name, access, grant } => {
                self.open(*account, name, *access, *grant)?;
            }
            Entry::Transferred { payer, payee, amount, authority } => {
                self.transfer(*payer, *payee, *amount, authority)?;
            }
        }
        self.next_entry = EntryNumber::new(self.next_entry.get() + 1);
        Ok(())
    }

    /// The state that holds these accounts, after `entries` entries.
    ///
    /// # Errors
    /// [`ReplayError`] if two have one name or they hold more than can exist.
    pub fn from_accounts(
        accounts: impl IntoIterator<Item = Account>,
        next_entry: EntryNumber,
    ) -> Result<Self, ReplayError> {
        let mut state = Self::default();
        for account in accounts {
            let id = state.next_account();
            state.open(id, &account.name, account.access, account.balance)?;
        }
        state.next_entry = next_entry;
        Ok(state)
    }

    /// All accounts, in the order of their numbers.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account with this number.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(index(id)?)
    }

    /// The number of the account with this name.
    pub fn find(&self, name: &str) -> Option<AccountId> {
        self.by_name.find(name, &self.accounts)
    }

    /// The balance of the treasury, from which all credits are issued: minus the supply.
    pub fn treasury(&self) -> i128 {
        -i128::from(self.supply.credits())
    }

    /// The number that the next entry will have, which is how many there have been.
    pub const fn next_entry(&self) -> EntryNumber {
        self.next_entry
    }

    fn decide_opening(
        &self,
        name: Username,
        access: Access,
        grant: Amount,
    ) -> Result<Entry, Refusal> {
        if self.find(name.as_str()).is_some() {
            return Err(Refusal::NameTaken);
        }
        if self.supply.checked_add(grant).is_none() {
            return Err(Refusal::SupplyExhausted);
        }
        Ok(Entry::AccountOpened { account: self.next_account(), name, access, grant })
    }

    fn decide_text_transfer(
        &self,
        sender: AccountId,
        payment: &TextPayment,
    ) -> Result<Entry, Refusal> {
        let payer = self.find(payment.payer.as_str()).ok_or(Refusal::UnknownPayer)?;
        let payee = self.find(payment.payee.as_str()).ok_or(Refusal::UnknownPayee)?;
        if payer == payee {
            return Err(Refusal::SameAccount);
        }
        if payee != sender {
            return Err(Refusal::NoPermission);
        }
        let debited = self.account(payer).ok_or(Refusal::UnknownPayer)?;
        if debited.access != Access::Open {
            return Err(Refusal::SignatureRequired);
        }
        if payment.amount.is_zero() {
            return Err(Refusal::AmountNotPositive);
        }
        if debited.balance < payment.amount {
            return Err(Refusal::InsufficientBalance);
        }
        Ok(Entry::Transferred { payer, payee, amount: payment.amount, authority: Authority::Text })
    }

    fn open(
        &mut self,
        id: AccountId,
        name: &Username,
        access: Access,
        grant: Amount,
    ) -> Result<(), ReplayError> {
        let expected = self.next_account();
        if id != expected {
            return Err(ReplayError::WrongAccountNumber { expected, found: id });
        }
        if self.find(name.as_str()).is_some() {
            return Err(ReplayError::NameTaken(id));
        }
        self.supply = self.supply.checked_add(grant).ok_or(ReplayError::SupplyOverflow(id))?;
        self.accounts.push(Account { name: name.clone(), access, balance: grant });
        self.by_name.insert(id, &self.accounts);
        Ok(())
    }

    fn transfer(
        &mut self,
        payer: AccountId,
        payee: AccountId,
        amount: Amount,
        authority: &Authority,
    ) -> Result<(), ReplayError> {
        let debited = self.account(payer).ok_or(ReplayError::UnknownAccount(payer))?;
        let credited = self.account(payee).ok_or(ReplayError::UnknownAccount(payee))?;
        if payer == payee || amount.is_zero() {
            return Err(ReplayError::EmptyTransfer(payer));
        }
        match (authority, debited.access) {
            (Authority::Text, Access::Open) => {}
            (Authority::Text, Access::Keyed(_)) => {
                return Err(ReplayError::MissingSignature(payer));
            }
        }
        let payer_left =
            debited.balance.checked_sub(amount).ok_or(ReplayError::Overdraft(payer))?;
        let payee_has = credited
            .balance
            .checked_add(amount)
            .expect("no balance exceeds the supply, which is an amount");
        self.set_balance(payer, payer_left);
        self.set_balance(payee, payee_has);
        Ok(())
    }

    fn set_balance(&mut self, id: AccountId, balance: Amount) {
        let account = index(id).and_then(|index| self.accounts.get_mut(index));
        account.expect("the caller has looked the account up").balance = balance;
    }

    fn next_account(&self) -> AccountId {
        AccountId::new(self.accounts.len() as u64)
    }
}

/// Two states are equal if they hold the same accounts after as many entries.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.accounts == other.accounts && self.next_entry == other.next_entry
    }
}

impl Eq for State {}

fn index(id: AccountId) -> Option<usize> {
    usize::try_from(id.get()).ok()
}

/// Finds accounts by name. Keeps numbers only: the names stand in the accounts, once.
///
/// The hash is keyed anew in each process, so that nobody can choose names that collide; nothing
/// that the state decides depends on its order.
#[derive(Clone, Debug, Default)]
struct NameIndex {
    ids: HashTable<AccountId>,
    hasher: RandomState,
}

impl NameIndex {
    fn find(&self, name: &str, accounts: &[Account]) -> Option<AccountId> {
        let hash = self.hasher.hash_one(name);
        self.ids.find(hash, |&id| name_of(id, accounts) == name).copied()
    }

    fn insert(&mut self, id: AccountId, accounts: &[Account]) {
        let Self { ids, hasher } = self;
        let hash = |id: &AccountId| hasher.hash_one(name_of(*id, accounts));
        ids.insert_unique(hash(&id), id, hash);
    }
}

fn name_of(id: AccountId, accounts: &[Account]) -> &str {
    let account = index(id).and_then(|index| accounts.get(index));
    account.expect("the index holds numbers of accounts only").name.as_str()
}

#[cfg(test)]
mod tests;
