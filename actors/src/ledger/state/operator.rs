//! What the operator does: deposits, withdrawals, and accounts that are frozen.

use std::collections::{HashMap, VecDeque};

use wire::{
    AccountId, Amount, Entry, EntryNumber, FreezeReason, OperatorId, OperatorRefusal, Username,
};

use super::{Operated, OperatorCommand, Outcome, ReplayError, State};

/// How many deposits and withdrawals are remembered, the latest ones: those of more than a year, if there
/// are 150 a day. At some 200 bytes each, 13 MiB. An id that is forgotten could be used again.
pub(super) const ACTS_REMEMBERED_MAX: usize = 1 << 16;

/// A deposit or withdrawal, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedAct {
    /// What names it.
    pub id: OperatorId,
    /// What it was.
    pub act: OperatorAct,
}

/// What a deposit or withdrawal was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorAct {
    /// Whose account.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
    /// Whether the account was debited.
    pub withdrawn: bool,
    /// The entry that made it.
    pub entry: EntryNumber,
}

/// Deposits and withdrawals by id: what keeps one from being made twice. What is remembered follows from
/// the entries alone, so that the rules decide the same whenever they are replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Operations {
    acts: HashMap<OperatorId, OperatorAct>,
    oldest_first: VecDeque<OperatorId>,
}

impl Operations {
    fn find(&self, id: &OperatorId) -> Option<&OperatorAct> {
        self.acts.get(id)
    }

    /// Remembers one with a new id, and forgets the oldest if they are too many.
    pub(super) fn insert(&mut self, RememberedAct { id, act }: RememberedAct) {
        self.oldest_first.push_back(id.clone());
        self.acts.insert(id, act);
        if self.oldest_first.len() > ACTS_REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.acts.remove(&oldest);
        }
    }

    pub(super) fn to_vec(&self) -> Vec<RememberedAct> {
        let ids = self.oldest_first.iter();
        ids.map(|id| RememberedAct { id: id.clone(), act: self.acts[id] }).collect()
    }
}

impl State {
    /// Decides what the operator asks.
    pub(super) fn decide_operation(&self, command: OperatorCommand) -> Result<Entry, Outcome> {
        match command {
            OperatorCommand::Deposit { account, amount, id } => {
                let account = self.named(&account)?;
                self.check_repeated(&id, account, amount, false)?;
                if self.supply.checked_add(amount).is_none() {
                    return refuse(OperatorRefusal::SupplyExhausted);
                }
                Ok(Entry::Deposited { account, amount, id })
            }
            OperatorCommand::Withdraw { account, amount, id } => {
                let account = self.named(&account)?;
                self.check_repeated(&id, account, amount, true)?;
                if self.existing(account).balance < amount {
                    return refuse(OperatorRefusal::InsufficientBalance);
                }
                Ok(Entry::Withdrawn { account, amount, id })
            }
            OperatorCommand::Freeze { account, reason } => self.decide_freeze(&account, reason),
            OperatorCommand::Unfreeze { account } => {
                let account = self.named(&account)?;
                if !self.is_frozen(account) {
                    return refuse(OperatorRefusal::NotFrozen);
                }
                Ok(Entry::Unfrozen { account })
            }
        }
    }

    /// What became of something that the operator asked, made by this entry.
    pub(super) fn operated(
        &self,
        account: AccountId,
        entry: EntryNumber,
        repeated: bool,
    ) -> Outcome {
        let balance = self.existing(account).balance;
        Outcome::Operated(Ok(Operated { entry, repeated, balance }))
    }

    /// Whether the account pays nobody and keeps its key.
    pub(super) fn is_frozen(&self, account: AccountId) -> bool {
        // Nearly always nobody is: that takes no search.
        !self.frozen.is_empty() && self.frozen.contains_key(&account)
    }

    pub(super) fn deposit(
        &mut self,
        account: AccountId,
        amount: Amount,
        id: &OperatorId,
    ) -> Result<(), ReplayError> {
        let held = self.check_act(account, amount, id)?;
        let supply = self.supply.checked_add(amount).ok_or(ReplayError::SupplyOverflow(account))?;
        self.supply = supply;
        self.existing_mut(account).balance =
            held.checked_add(amount).expect("no balance exceeds the supply, which is an amount");
        self.remember_act(account, amount, id, false);
        Ok(())
    }

    pub(super) fn withdraw(
        &mut self,
        account: AccountId,
        amount: Amount,
        id: &OperatorId,
    ) -> Result<(), ReplayError> {
        let held = self.check_act(account, amount, id)?;
        self.existing_mut(account).balance =
            held.checked_sub(amount).ok_or(ReplayError::Overdraft(account))?;
        self.supply =
            self.supply.checked_sub(amount).expect("the supply holds what the account held");
        self.remember_act(account, amount, id, true);
        Ok(())
    }

    pub(super) fn freeze(&mut self, account: AccountId) -> Result<(), ReplayError> {
        self.account(account).ok_or(ReplayError::UnknownAccount(account))?;
        if self.is_frozen(account) {
            return Err(ReplayError::WrongFreeze(account));
        }
        self.frozen.insert(account, self.next_entry);
        Ok(())
    }

    pub(super) fn unfreeze(&mut self, account: AccountId) -> Result<(), ReplayError> {
        self.frozen.remove(&account).map(|_| ()).ok_or(ReplayError::WrongFreeze(account))
    }

    /// Takes what a snapshot holds of all this.
    pub(super) fn restore_operations(
        &mut self,
        frozen: Vec<(AccountId, EntryNumber)>,
        acts: Vec<RememberedAct>,
    ) -> Result<(), ReplayError> {
        for (account, entry) in frozen {
            self.account(account).ok_or(ReplayError::UnknownAccount(account))?;
            if self.frozen.insert(account, entry).is_some() {
                return Err(ReplayError::WrongFreeze(account));
            }
        }
        for remembered in acts {
            let account = remembered.act.account;
            self.account(account).ok_or(ReplayError::UnknownAccount(account))?;
            if self.operations.find(&remembered.id).is_some() {
                return Err(ReplayError::OperatedTwice(account));
            }
            self.operations.insert(remembered);
        }
        Ok(())
    }

    fn decide_freeze(&self, name: &Username, reason: FreezeReason) -> Result<Entry, Outcome> {
        let account = self.named(name)?;
        match self.frozen.get(&account) {
            Some(&since) => Err(self.operated(account, since, true)),
            None => Ok(Entry::Frozen { account, reason }),
        }
    }

    fn named(&self, name: &Username) -> Result<AccountId, Outcome> {
        let found = self.find(name.as_str());
        found.ok_or(Outcome::Operated(Err(OperatorRefusal::UnknownAccount)))
    }

    /// Whether a deposit or withdrawal is a new one that moves anything.
    fn check_repeated(
        &self,
        id: &OperatorId,
        account: AccountId,
        amount: Amount,
        withdrawn: bool,
    ) -> Result<(), Outcome> {
        match self.operations.find(id) {
            Some(&act) if act == (OperatorAct { account, amount, withdrawn, entry: act.entry }) => {
                Err(self.operated(account, act.entry, true))
            }
            Some(act) => refuse(OperatorRefusal::IdUsed(act.entry)),
            None if amount.is_zero() => refuse(OperatorRefusal::AmountNotPositive),
            None => Ok(()),
        }
    }

    /// What the account holds, if an entry may move so much with this id.
    fn check_act(
        &self,
        id: AccountId,
        amount: Amount,
        operator_id: &OperatorId,
    ) -> Result<Amount, ReplayError> {
        let account = self.account(id).ok_or(ReplayError::UnknownAccount(id))?;
        if amount.is_zero() {
            return Err(ReplayError::EmptyTransfer(id));
        }
        if self.operations.find(operator_id).is_some() {
            return Err(ReplayError::OperatedTwice(id));
        }
        Ok(account.balance)
    }

    fn remember_act(
        &mut self,
        account: AccountId,
        amount: Amount,
        id: &OperatorId,
        withdrawn: bool,
    ) {
        let act = OperatorAct { account, amount, withdrawn, entry: self.next_entry };
        self.operations.insert(RememberedAct { id: id.clone(), act });
    }
}

fn refuse<T>(why: OperatorRefusal) -> Result<T, Outcome> {
    Err(Outcome::Operated(Err(why)))
}
