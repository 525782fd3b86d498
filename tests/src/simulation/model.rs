//! What the journal comes to, by rules of this crate's own: who has what, and what became of each order.

use std::collections::BTreeMap;
use std::sync::Arc;

use actors::ledger::journal::{BatchCursor, JournalPlace, Storage};
use wire::{
    Access, AccountId, Amount, Authority, Entry, EntryNumber, SignedOrder, Username, Verdict,
};

use super::texts::TEXT_GRANT;
use super::word::OrderName;
use super::world::GRANT;

/// What became of an order.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) signed: SignedOrder,
}

/// What the journal comes to.
#[derive(Default)]
pub(super) struct Model {
    accounts: BTreeMap<AccountId, Account>,
    granted: u64,
    /// By payer and id.
    pub(super) orders: BTreeMap<OrderName, Decided>,
    /// Who has paid whom by text, by the amount.
    pub(super) texts: BTreeMap<Amount, (Username, Username)>,
}

struct Account {
    name: Username,
    balance: u64,
    /// The entries that its history tells of.
    entries: Vec<EntryNumber>,
}

impl Model {
    /// Reads all of the journal.
    ///
    /// # Errors
    /// Which rule was broken, in words.
    pub(super) fn read(storage: Arc<dyn Storage>, end: EntryNumber) -> Result<Self, String> {
        let mut model = Self::default();
        let mut cursor = BatchCursor::new(storage, JournalPlace::BEGIN);
        while let Some(batch) = cursor.next(end).map_err(|error| error.to_string())? {
            for (number, entry) in (batch.header.first_entry.get()..).zip(&batch.entries) {
                model.take(EntryNumber::new(number), entry)?;
            }
        }
        Ok(model)
    }

    /// What everybody has together.
    pub(super) fn supply(&self) -> u64 {
        self.accounts.values().map(|account| account.balance).sum()
    }

    /// What all accounts were granted together.
    pub(super) const fn granted(&self) -> u64 {
        self.granted
    }

    /// What somebody has, and the entries of their history, newest first.
    pub(super) fn account(&self, name: &Username) -> Option<(Amount, Vec<EntryNumber>)> {
        let account = self.accounts.values().find(|account| account.name == *name)?;
        Some((Amount::new(account.balance), account.entries.iter().rev().copied().collect()))
    }

    fn take(&mut self, number: EntryNumber, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::AccountOpened { account, name, grant, access } => {
                let expected = if *access == Access::Open { TEXT_GRANT } else { GRANT };
                if *grant != expected {
                    return Err(format!("{name} is granted {grant}"));
                }
                self.granted += grant.credits();
                let opened =
                    Account { name: name.clone(), balance: grant.credits(), entries: vec![number] };
                if self.accounts.insert(*account, opened).is_some() {
                    return Err(format!("account {account} is opened twice"));
                }
            }
            Entry::Transferred { payer, payee, amount, authority } => {
                match authority {
                    Authority::Order(signed) => self.decide(signed, Verdict::Settled)?,
                    Authority::Text => self.pay_by_text(*payer, *payee, *amount)?,
                }
                let from = self.account_mut(*payer, number)?;
                let left = from.balance.checked_sub(amount.credits());
                from.balance = left.ok_or_else(|| format!("entry {number} overdraws {payer}"))?;
                self.account_mut(*payee, number)?.balance += amount.credits();
            }
            Entry::OrderRefused { payer, order, refusal } => {
                self.decide(order, Verdict::Refused(*refusal))?;
                self.account_mut(*payer, number)?;
            }
            Entry::KeyChanged { account, .. } => {
                self.account_mut(*account, number)?;
            }
            Entry::Deposited { .. }
            | Entry::Withdrawn { .. }
            | Entry::Frozen { .. }
            | Entry::Unfrozen { .. } => {
                return Err(format!("entry {number} is an operator's, and there is none"));
            }
            Entry::TimePassed => {}
        }
        Ok(())
    }

    fn pay_by_text(
        &mut self,
        payer: AccountId,
        payee: AccountId,
        amount: Amount,
    ) -> Result<(), String> {
        let name = |account| self.accounts.get(&account).map(|account| account.name.clone());
        let (Some(payer), Some(payee)) = (name(payer), name(payee)) else {
            return Err(format!("nobody pays or is paid {amount} by text"));
        };
        match self.texts.insert(amount, (payer, payee)) {
            None => Ok(()),
            Some(_) => Err(format!("{amount} is paid by text twice")),
        }
    }

    /// Whom an entry is about, who finds it in their history.
    fn account_mut(
        &mut self,
        account: AccountId,
        number: EntryNumber,
    ) -> Result<&mut Account, String> {
        let account = self.accounts.get_mut(&account).ok_or("an account that nobody has opened")?;
        account.entries.push(number);
        Ok(account)
    }

    fn decide(&mut self, signed: &SignedOrder, verdict: Verdict) -> Result<(), String> {
        let (payer, id) = (signed.order.payer.clone(), signed.order.id);
        let decided = Decided { verdict, signed: signed.clone() };
        match self.orders.insert((payer, id), decided) {
            None => Ok(()),
            Some(_) => Err(format!("order {id} is decided twice")),
        }
    }
}
