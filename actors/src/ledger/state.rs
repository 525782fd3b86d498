//! The money logic, whole: a pure, deterministic state machine.
//!
//! No actor, no clock, no I/O, no log. [`State::apply`] decides what a command does and changes the
//! state accordingly; [`State::replay`] makes the same change from the entry that was written down.
//! Every credit that an account holds was issued by the treasury, whose balance is minus the supply:
//! all balances sum to zero, always.

mod command;
mod index;
mod look_index;
mod operator;
mod orders;
mod replay_error;
mod signed;
mod text_transfer;

use std::collections::BTreeMap;

use wire::secure::OrderProblem;
use wire::{
    Access, AccountId, Amount, Authority, Entry, EntryNumber, NameLook, OrderHash, PublicKey,
    Refusal, Timestamp, Username,
};

pub use self::command::{Command, KeyHolder, Operated, OperatorCommand, Outcome, Terms};
use self::index::{KeyIndex, NameIndex};
use self::look_index::LookIndex;
use self::operator::Operations;
pub use self::operator::{OperatorAct, RememberedAct};
pub use self::orders::DecidedOrder;
use self::orders::RecentOrders;
pub use self::replay_error::ReplayError;
use self::text_transfer::text_payer;

/// How many payers are found at once: more than a processor has waits for memory under way, and few enough
/// for its first cache to hold what was found until it is used (128 lines, 8 KiB).
const FOUND_AT_ONCE: usize = 64;

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

/// What it takes to put a [`State`] together again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// In the order of their numbers.
    pub accounts: Vec<Account>,
    /// Keys that accounts had and have no more, and whose.
    pub retired_keys: Vec<(PublicKey, AccountId)>,
    /// The orders that are remembered.
    pub orders: Vec<DecidedOrder>,
    /// The accounts that are frozen, and by which entries.
    pub frozen: Vec<(AccountId, EntryNumber)>,
    /// The deposits and withdrawals that are remembered, in the order in which they were made.
    pub acts: Vec<RememberedAct>,
    /// The number that the next entry has.
    pub next_entry: EntryNumber,
}

/// All accounts and what they hold.
#[derive(Clone, Debug, Default)]
pub struct State {
    accounts: Vec<Account>,
    by_name: NameIndex,
    looks: LookIndex,
    by_key: KeyIndex,
    /// Keys in the index that are nobody's any more, in the order in which they were given up.
    retired_keys: Vec<(PublicKey, AccountId)>,
    orders: RecentOrders,
    /// The accounts that are frozen, and by which entries.
    frozen: BTreeMap<AccountId, EntryNumber>,
    operations: Operations,
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
    pub fn apply(&mut self, command: Command, terms: &Terms) -> (Outcome, Option<Entry>) {
        self.apply_found(command, None, terms)
    }

    /// Does what `commands` ask, in order, and calls `each` with the state behind each one and what
    /// [`Self::apply`] returns for it. Where there are millions of accounts, this takes a fraction of the time.
    ///
    /// # Panics
    /// As [`Self::apply`].
    pub fn apply_all(
        &mut self,
        commands: Vec<Command>,
        terms: &Terms,
        mut each: impl FnMut(&Self, Outcome, Option<Entry>),
    ) {
        let mut commands = commands.into_iter();
        let mut terms = *terms;
        while let Some(next) = commands.as_slice().chunks(FOUND_AT_ONCE).next() {
            let payers = self.by_name.find_each(next.iter().map(text_payer), &self.accounts);
            for (payer, command) in payers.into_iter().zip(&mut commands) {
                let (outcome, entry) = self.apply_found(command, payer, &terms);
                if entry.is_some() {
                    // Its batch is durable before anybody hears of this outcome, or of those behind it.
                    terms.shown = terms.now;
                }
                each(self, outcome, entry);
            }
        }
    }

    /// `payer` is the account that a text transfer is to debit, if it was found before.
    fn apply_found(
        &mut self,
        command: Command,
        payer: Option<AccountId>,
        terms: &Terms,
    ) -> (Outcome, Option<Entry>) {
        // Known since the signature was checked.
        let mut hash = None;
        let decided = match command {
            Command::OpenAccount { name, access, grant } => {
                self.decide_opening(name.into(), access, grant)
            }
            Command::TextTransfer { sender, payment } => {
                self.decide_text_transfer(sender, payer, &payment)
            }
            Command::Order { submitter, order } => {
                hash = Some(*order.hash());
                self.decide_order(submitter, *order, terms)
            }
            Command::ChangeKey { account, change } => {
                self.decide_key_change(account, *change, terms)
            }
            Command::Operate(command) => self.decide_operation(*command),
            question => Err(self.answer(&question, terms)),
        };
        let entry = match decided {
            Ok(entry) => entry,
            Err(outcome) => return (outcome, None),
        };
        let number = self.next_entry;
        self.change(&entry, hash).expect("what the rules decided, the rules allow");
        let outcome = match &entry {
            Entry::AccountOpened { account, .. } => Outcome::Opened(*account),
            Entry::Transferred { authority: Authority::Text, .. } => Outcome::Settled,
            Entry::Transferred { .. } | Entry::OrderRefused { .. } => Outcome::Decided(number),
            Entry::KeyChanged { .. } => Outcome::KeyChanged(number),
            Entry::Deposited { account, .. }
            | Entry::Withdrawn { account, .. }
            | Entry::Frozen { account, .. }
            | Entry::Unfrozen { account } => self.operated(*account, number, false),
            Entry::TimePassed => Outcome::NotTaken(OrderProblem::Expired),
        };
        (outcome, Some(entry))
    }

    /// What can be said of `command` while nothing can be written. What asks for a change is not decided, not
    /// even refused: somebody else's change, of which nobody knows yet whether it is durable, may turn out
    /// to be, and then the rules may allow it. An order that was decided before is.
    ///
    /// `terms` hold the time of the last batch that is durable: of an order whose time was over by then,
    /// nothing can turn up any more.
    pub fn answer_read_only(&self, command: Command, terms: &Terms) -> Outcome {
        match command {
            Command::Order { submitter, order } => {
                match self.decide_order(submitter, *order, terms) {
                    Err(decided @ Outcome::DecidedBefore(_)) => decided,
                    _ => Outcome::ReadOnly,
                }
            }
            Command::Operate(command) => match self.decide_operation(*command) {
                Err(done @ Outcome::Operated(Ok(_))) => done,
                _ => Outcome::ReadOnly,
            },
            change if change.asks_for_change() => Outcome::ReadOnly,
            question => self.answer(&question, terms),
        }
    }

    /// Forgets the orders whose time was over before `now`. They are never decided again: from then on,
    /// no order is that expires before `now`, whatever the clock says.
    ///
    /// Nothing else that the rules decide depends on when it is called: an order whose time is over has
    /// expired whether it is remembered or not. It is as if all were forgotten at once; but where they
    /// are many, the room that they take becomes free bit by bit.
    pub fn forget_expired_orders(&mut self, now: Timestamp) {
        self.orders.forget_expired(now);
    }

    /// Up to when orders were forgotten: what expires before is decided no more.
    pub const fn forgotten_until(&self) -> Timestamp {
        self.orders.since()
    }

    /// Makes the change that `entry` records. Names that look alike are allowed: they were decided
    /// upon when the entry was written, by an older rule or another version of Unicode.
    ///
    /// # Errors
    /// [`ReplayError`] if the rules forbid the entry; nothing has changed then.
    pub fn replay(&mut self, entry: &Entry) -> Result<(), ReplayError> {
        self.change(entry, None)
    }

    /// The same, with the hash of the order in it, if it is known.
    fn change(&mut self, entry: &Entry, hash: Option<OrderHash>) -> Result<(), ReplayError> {
        match entry {
            Entry::AccountOpened { account, name, access, grant } => {
                self.open(*account, name, *access, *grant)?;
            }
            Entry::Transferred { payer, payee, amount, authority } => {
                self.transfer(*payer, *payee, *amount, authority, hash)?;
            }
            Entry::OrderRefused { payer, order, refusal } => {
                self.refuse(*payer, order, *refusal, hash)?;
            }
            Entry::KeyChanged { account, change } => self.change_key(*account, change)?,
            Entry::Deposited { account, amount, id } => self.deposit(*account, *amount, id)?,
            Entry::Withdrawn { account, amount, id } => self.withdraw(*account, *amount, id)?,
            Entry::Frozen { account, .. } => self.freeze(*account)?,
            Entry::Unfrozen { account } => self.unfreeze(*account)?,
            Entry::TimePassed => {}
        }
        self.next_entry = EntryNumber::new(self.next_entry.get() + 1);
        Ok(())
    }

    /// The state that is made of these.
    ///
    /// # Errors
    /// [`ReplayError`] if two accounts have one name, they hold more than can exist, an order is decided
    /// twice, or a key, an order or what the operator did is an account's that does not exist.
    pub fn restore(parts: Parts) -> Result<Self, ReplayError> {
        let mut state = Self::default();
        let count = parts.accounts.len() as u64;
        let exists = |id: AccountId| {
            if id.get() < count { Ok(id) } else { Err(ReplayError::UnknownAccount(id)) }
        };
        // In front of the accounts: in old journals, one may have a key that another one had first.
        for &(key, id) in &parts.retired_keys {
            state.by_key.insert(key, exists(id)?);
        }
        state.retired_keys = parts.retired_keys;
        for account in parts.accounts {
            let id = state.next_account();
            state.open(id, &account.name, account.access, account.balance)?;
        }
        for order in parts.orders {
            let payer = exists(order.payer)?;
            if state.orders.find(payer, order.id).is_some() {
                return Err(ReplayError::DecidedTwice(payer));
            }
            state.orders.insert(order);
        }
        state.restore_operations(parts.frozen, parts.acts)?;
        state.next_entry = parts.next_entry;
        Ok(state)
    }

    /// All accounts, in the order of their numbers.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Keys that accounts had and have no more, and whose, in the order in which they were given up.
    pub fn retired_keys(&self) -> &[(PublicKey, AccountId)] {
        &self.retired_keys
    }

    /// The orders that are remembered, in no order.
    pub fn orders(&self) -> Vec<DecidedOrder> {
        self.orders.to_vec()
    }

    /// The accounts that are frozen, in the order of their numbers, and by which entries.
    pub fn frozen(&self) -> Vec<(AccountId, EntryNumber)> {
        self.frozen.iter().map(|(&account, &entry)| (account, entry)).collect()
    }

    /// The deposits and withdrawals that are remembered, in the order in which they were made.
    pub fn acts(&self) -> Vec<RememberedAct> {
        self.operations.to_vec()
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

    /// How many credits there are: what all accounts hold together.
    pub const fn supply(&self) -> Amount {
        self.supply
    }

    /// How many accounts are frozen.
    pub fn frozen_count(&self) -> usize {
        self.frozen.len()
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
    ) -> Result<Entry, Outcome> {
        if self.find(name.as_str()).is_some() {
            return Err(Outcome::Refused(Refusal::NameTaken));
        }
        if let Access::Keyed(key) = access
            && self.find_key(&key).is_some()
        {
            return Err(Outcome::Refused(Refusal::KeyInUse));
        }
        if self.looks.holds(&NameLook::of(&name)) {
            return Err(Outcome::Refused(Refusal::NameTooSimilar));
        }
        if self.supply.checked_add(grant).is_none() {
            return Err(Outcome::Refused(Refusal::SupplyExhausted));
        }
        Ok(Entry::AccountOpened { account: self.next_account(), name, access, grant })
    }

    fn answer(&self, question: &Command, terms: &Terms) -> Outcome {
        match question {
            Command::ReadBalance(account) => {
                // Account numbers come from this ledger alone, which never closes an account.
                let account = self.account(*account);
                Outcome::Balance(account.map_or(Amount::ZERO, |account| account.balance))
            }
            Command::FindAccount(name) => {
                let found = self.find(name.as_str());
                Outcome::Found(found.map(|id| (id, self.existing(id).access)))
            }
            Command::FindKey(key) => Outcome::FoundKey(self.find_key(key).map(|id| {
                let Account { name, access, balance } = self.existing(id).clone();
                let current = access == Access::Keyed(*key);
                KeyHolder { account: id, name, balance, current }
            })),
            Command::FindOrder { payer, id } => {
                let payer = self.find(payer.as_str());
                let recent = payer.and_then(|payer| self.orders.find_valid(payer, *id, terms.now));
                let decided = recent.map(|recent| recent.decided);
                Outcome::FoundOrder { payer, decided, now: terms.shown.min(terms.now) }
            }
            Command::OpenAccount { .. }
            | Command::TextTransfer { .. }
            | Command::Order { .. }
            | Command::ChangeKey { .. }
            | Command::Operate(_) => unreachable!("the caller has decided these"),
        }
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
        self.looks.insert(&NameLook::of(name));
        if let Access::Keyed(key) = access {
            self.by_key.insert(key, id);
        }
        Ok(())
    }

    fn transfer(
        &mut self,
        payer: AccountId,
        payee: AccountId,
        amount: Amount,
        authority: &Authority,
        hash: Option<OrderHash>,
    ) -> Result<(), ReplayError> {
        let debited = self.account(payer).ok_or(ReplayError::UnknownAccount(payer))?;
        let credited = self.account(payee).ok_or(ReplayError::UnknownAccount(payee))?;
        if payer == payee || amount.is_zero() {
            return Err(ReplayError::EmptyTransfer(payer));
        }
        if self.is_frozen(payer) {
            return Err(ReplayError::Frozen(payer));
        }
        match (authority, debited.access) {
            (Authority::Text, Access::Open) => {}
            (Authority::Text, Access::Keyed(_)) => {
                return Err(ReplayError::MissingSignature(payer));
            }
            (Authority::Order(signed), _) => {
                self.check_order(payer, signed)?;
                if signed.order.amount != amount {
                    return Err(ReplayError::OrderMismatch(payer));
                }
                match self.creditor_of(payer, &signed.order) {
                    Ok(creditor) if creditor == payee => {}
                    Err(Refusal::InsufficientBalance) => return Err(ReplayError::Overdraft(payer)),
                    _ => return Err(ReplayError::OrderMismatch(payer)),
                }
            }
        }
        let payer_left =
            debited.balance.checked_sub(amount).ok_or(ReplayError::Overdraft(payer))?;
        let payee_has = credited
            .balance
            .checked_add(amount)
            .expect("no balance exceeds the supply, which is an amount");
        self.existing_mut(payer).balance = payer_left;
        self.existing_mut(payee).balance = payee_has;
        if let Authority::Order(signed) = authority {
            self.remember(payer, signed, hash);
        }
        Ok(())
    }

    /// The account that has this key or had it.
    fn find_key(&self, key: &PublicKey) -> Option<AccountId> {
        self.by_key.find(key)
    }

    fn existing(&self, id: AccountId) -> &Account {
        self.account(id).expect("the caller has found this number in an index")
    }

    fn existing_mut(&mut self, id: AccountId) -> &mut Account {
        let account = index(id).and_then(|index| self.accounts.get_mut(index));
        account.expect("the caller has looked the account up")
    }

    fn next_account(&self) -> AccountId {
        AccountId::new(self.accounts.len() as u64)
    }
}

/// Two states are equal if they hold the same accounts, keys and orders after as many entries,
/// whatever they have forgotten.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.accounts == other.accounts
            && self.next_entry == other.next_entry
            && self.by_key == other.by_key
            && self.retired_keys == other.retired_keys
            && self.frozen == other.frozen
            && self.operations == other.operations
            && self.orders == other.orders
    }
}

impl Eq for State {}

fn index(id: AccountId) -> Option<usize> {
    usize::try_from(id.get()).ok()
}

#[cfg(test)]
mod tests;
