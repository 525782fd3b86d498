//! The simplest thing that could be right: names to balances, and the rules in the reader's words.

use std::collections::{BTreeMap, BTreeSet};

use wire::order::ORDER_VALIDITY_MS_MAX;
use wire::secure::{Event, OrderProblem};
use wire::{EntryNumber, NameLook, Order, OrderId, Refusal, Username};

use super::steps::OPENING_BALANCE;

/// The keys of people are numbers here.
pub(super) type KeyNumber = u8;

#[derive(Clone, Debug)]
pub(super) struct Account {
    /// In the order of openings.
    pub(super) number: u64,
    /// `None` if it is an open one.
    pub(super) key: Option<KeyNumber>,
    pub(super) balance: u64,
    pub(super) frozen: bool,
}

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Decided { replayed: bool, outcome: Result<(), Refusal> },
    NotTaken(OrderProblem),
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: u64,
    pub(super) accounts: BTreeMap<String, Account>,
    /// Whose they are or were.
    keys_ever: BTreeMap<KeyNumber, String>,
    decided: BTreeMap<(String, OrderId), (Order, Result<(), Refusal>)>,
    operator_ids: BTreeSet<u8>,
    pub(super) next_entry: u64,
    /// The time of the last entry, which statuses tell.
    pub(super) shown: u64,
    /// What sessions may be told that nobody has told them yet.
    pub(super) events: Vec<(String, Event)>,
}

impl Model {
    /// Nobody has an account.
    pub(super) fn new(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    /// An entry is written, now.
    fn write(&mut self) {
        self.next_entry += 1;
        self.shown = self.now;
    }

    /// Whose key it is, and whether it still is.
    pub(super) fn holder(&self, key: KeyNumber) -> Option<(&str, bool)> {
        let name = self.keys_ever.get(&key)?;
        Some((name, self.accounts[name].key == Some(key)))
    }

    pub(super) fn open(&mut self, name: &str, key: Option<KeyNumber>) -> Result<(), Refusal> {
        if self.accounts.contains_key(name) {
            return Err(Refusal::NameTaken);
        }
        if key.is_some_and(|key| self.keys_ever.contains_key(&key)) {
            return Err(Refusal::KeyInUse);
        }
        if self.accounts.keys().any(|other| look(other).clashes(&look(name))) {
            return Err(Refusal::NameTooSimilar);
        }
        let number = self.accounts.len() as u64;
        let account = Account { number, key, balance: OPENING_BALANCE, frozen: false };
        self.accounts.insert(name.to_owned(), account);
        self.keys_ever.extend(key.map(|key| (key, name.to_owned())));
        self.write();
        Ok(())
    }

    /// Somebody who is logged in as `sender` says that `payer` pays `payee`.
    pub(super) fn text(
        &mut self,
        sender: &str,
        (payer, amount, payee): (&str, u64, &str),
    ) -> Result<(), Refusal> {
        let debited = self.accounts.get(payer).ok_or(Refusal::UnknownPayer)?;
        if !self.accounts.contains_key(payee) {
            return Err(Refusal::UnknownPayee);
        }
        if payer == payee {
            return Err(Refusal::SameAccount);
        }
        if payee != sender {
            return Err(Refusal::NoPermission);
        }
        if debited.key.is_some() {
            return Err(Refusal::SignatureRequired);
        }
        if debited.frozen {
            return Err(Refusal::AccountFrozen);
        }
        if debited.balance < amount {
            return Err(Refusal::InsufficientBalance);
        }
        self.pay(payer, amount, payee);
        Ok(())
    }

    fn pay(&mut self, payer: &str, amount: u64, payee: &str) {
        self.accounts.get_mut(payer).expect("it was looked at").balance -= amount;
        self.accounts.get_mut(payee).expect("it was looked at").balance += amount;
        self.write();
    }

    /// Somebody who is `submitter` hands in an order, which the key of this number has signed.
    pub(super) fn order(&mut self, submitter: &str, order: &Order, signer: KeyNumber) -> Fate {
        let (payer, payee) = (order.payer.as_str(), order.payee.as_str());
        if payer == payee {
            return Fate::NotTaken(OrderProblem::SameAccount);
        }
        if order.amount.is_zero() {
            return Fate::NotTaken(OrderProblem::AmountNotPositive);
        }
        if submitter != payer && submitter != payee {
            return Fate::NotTaken(OrderProblem::NotParty);
        }
        let Some(account) = self.accounts.get(payer) else {
            return Fate::NotTaken(OrderProblem::UnknownPayer);
        };
        let by_id = (payer.to_owned(), order.id);
        let not_after = order.not_after.get();
        if account.key == Some(signer) && (self.shown..self.now).contains(&not_after) {
            // That its time is over is written down before anybody is told.
            self.write();
        }
        let account = &self.accounts[payer];
        if let Some((decided, outcome)) = self.decided.get(&by_id) {
            return if decided == order {
                Fate::Decided { replayed: true, outcome: *outcome }
            } else {
                Fate::NotTaken(OrderProblem::Conflict)
            };
        }
        if account.key != Some(signer) {
            return Fate::NotTaken(OrderProblem::PayerKeyMismatch);
        }
        if order.not_after.get() < self.now {
            return Fate::NotTaken(OrderProblem::Expired);
        }
        if order.not_after.get() - self.now > ORDER_VALIDITY_MS_MAX {
            return Fate::NotTaken(OrderProblem::NotAfterTooFar);
        }
        let outcome = self.settle(order);
        self.decided.insert(by_id, (order.clone(), outcome));
        self.announce(submitter, order, outcome);
        Fate::Decided { replayed: false, outcome }
    }

    fn settle(&mut self, order: &Order) -> Result<(), Refusal> {
        let (payer, payee) = (order.payer.as_str(), order.payee.as_str());
        let amount = order.amount.credits();
        let creditor = self.accounts.get(payee);
        let payee_key = creditor.and_then(|creditor| creditor.key).map(super::steps::public);
        let refusal = if creditor.is_none() {
            Refusal::UnknownPayee
        } else if payee_key != order.payee_key {
            Refusal::PayeeKeyChanged
        } else if self.accounts[payer].frozen {
            Refusal::AccountFrozen
        } else if self.accounts[payer].balance < amount {
            Refusal::InsufficientBalance
        } else {
            self.pay(payer, amount, payee);
            return Ok(());
        };
        self.write();
        Err(refusal)
    }

    /// Whoever has not handed it in is told.
    fn announce(&mut self, submitter: &str, order: &Order, outcome: Result<(), Refusal>) {
        let number = EntryNumber::new(self.next_entry - 1);
        let (payer, payee) = (order.payer.as_str(), order.payee.as_str());
        if payer != submitter {
            let event = Event::OrderDecided { order: order.id, number };
            self.events.push((payer.to_owned(), event));
        }
        if outcome.is_ok() && payee != submitter {
            let (payer, amount) = (order.payer.clone(), order.amount);
            let event = Event::Received { payer, amount, number, order: Some(order.id) };
            self.events.push((payee.to_owned(), event));
        }
    }

    /// What became of an order, if somebody who is a party to it asks.
    pub(super) fn status(
        &self,
        asker: &str,
        payer: &str,
        id: OrderId,
    ) -> Option<Result<(), Refusal>> {
        let (order, outcome) = self.decided.get(&(payer.to_owned(), id))?;
        let is_party = payer == asker || order.payee.as_str() == asker;
        // Whoever took the payee's name after a refusal is not the payee.
        let was_there = outcome.is_ok() || *outcome != Err(Refusal::UnknownPayee) || payer == asker;
        (is_party && was_there).then_some(*outcome)
    }

    pub(super) fn rotate(&mut self, name: &str, new: KeyNumber) -> Result<(), Refusal> {
        if self.keys_ever.contains_key(&new) {
            return Err(Refusal::KeyInUse);
        }
        let account = self.accounts.get_mut(name).expect("only who has an account asks");
        if account.frozen {
            return Err(Refusal::AccountFrozen);
        }
        account.key = Some(new);
        self.keys_ever.insert(new, name.to_owned());
        self.write();
        Ok(())
    }

    /// Whether something is moved. `id` names it: nothing is moved under the same id again.
    pub(super) fn deposit(&mut self, name: &str, amount: u64, id: u8, withdrawn: bool) -> bool {
        let Some(account) = self.accounts.get_mut(name) else { return false };
        let lacks = withdrawn && account.balance < amount;
        if amount == 0 || lacks || self.operator_ids.contains(&id) {
            return false;
        }
        self.operator_ids.insert(id);
        if withdrawn {
            account.balance -= amount;
        } else {
            account.balance += amount;
        }
        self.write();
        true
    }

    /// Whether anything changes.
    pub(super) fn freeze(&mut self, name: &str, frozen: bool) -> bool {
        let Some(account) = self.accounts.get_mut(name) else { return false };
        let changes = account.frozen != frozen;
        account.frozen = frozen;
        if changes {
            self.write();
        }
        changes
    }
}

fn look(name: &str) -> NameLook {
    NameLook::of(&name.parse::<Username>().expect("a name"))
}
