//! Payments by the text protocol's rules: who has asked for them, and what anybody was told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use actors::messages::{PaymentReport, WalletError};
use wire::{Amount, Username};

use super::model::Model;
use super::world::PEOPLE;

/// How many people speak text. They come behind those with keys.
pub(super) const TEXT_PEOPLE: usize = 2;

/// What their accounts are granted: more than all that they ever pay.
pub(super) const TEXT_GRANT: Amount = Amount::new(1 << 60);

/// Nothing in a payment by text says which one it is but its amount, so each has one of its own: three times that
/// of the one before, so that no balance looks like another one by what is paid and received besides. The first one
/// is more than people with keys ever pay them.
const FIRST_AMOUNT: u64 = 1_000_000;
const GROWTH: u64 = 3;
/// All of them come to less than [`TEXT_GRANT`].
const PAYMENTS_MAX: u32 = 25;
/// So many of them are kept for the end.
const KEPT_FOR_THE_END: u32 = 8;

/// Those who speak text, and what they have paid each other.
pub(super) struct Texts {
    people: Vec<TextPerson>,
    begun: Cell<u32>,
    payments: RefCell<BTreeMap<Amount, TextFate>>,
}

struct TextPerson {
    name: Username,
    lives: Cell<u8>,
    quiet: Cell<bool>,
    /// What they have at the end.
    ending: Cell<Option<Amount>>,
}

/// A payment, and who has said what became of it.
#[derive(Debug)]
struct TextFate {
    payer: Username,
    payee: Username,
    settled: Option<String>,
    not_settled: Option<String>,
}

impl Texts {
    pub(super) fn new() -> Self {
        let person = |name: &str| TextPerson {
            name: name.parse().expect("a valid name"),
            lives: Cell::new(0),
            quiet: Cell::new(false),
            ending: Cell::new(None),
        };
        let people: Vec<_> = ["erin", "frank"].into_iter().map(person).collect();
        debug_assert_eq!(people.len(), TEXT_PEOPLE);
        Self { people, begun: Cell::new(0), payments: RefCell::default() }
    }

    fn person(&self, who: usize) -> &TextPerson {
        &self.people[who - PEOPLE]
    }

    pub(super) fn name(&self, who: usize) -> Username {
        self.person(who).name.clone()
    }

    /// The other one of them.
    pub(super) fn other(&self, who: usize) -> Username {
        self.people[(who - PEOPLE + 1) % TEXT_PEOPLE].name.clone()
    }

    /// A client starts. Gives which of its lives that is.
    pub(super) fn begin_life(&self, who: usize) -> u8 {
        let lives = &self.person(who).lives;
        lives.update(|lives| lives + 1);
        lives.get()
    }

    /// A payment begins. `None` if there were too many; some are left for the end.
    pub(super) fn begin(&self, who: usize, is_end: bool) -> Option<Amount> {
        let most = if is_end { PAYMENTS_MAX } else { PAYMENTS_MAX - KEPT_FOR_THE_END };
        let number = self.begun.get();
        if number >= most {
            return None;
        }
        self.begun.set(number + 1);
        let amount = Amount::new(FIRST_AMOUNT * GROWTH.pow(number));
        let (payer, payee) = (self.name(who), self.other(who));
        let fate = TextFate { payer, payee, settled: None, not_settled: None };
        self.payments.borrow_mut().insert(amount, fate);
        Some(amount)
    }

    /// The payer's client says what became of it.
    pub(super) fn report(&self, amount: Amount, report: &Result<PaymentReport, WalletError>) {
        match report {
            Ok(PaymentReport::Paid { .. }) => self.settled(amount, "the payer's client"),
            Ok(PaymentReport::Refused { .. }) => self.not_settled(amount, "the payer's client"),
            // The payee may have it.
            Ok(PaymentReport::Unconfirmed { .. }) => {}
            Err(error) => self.not_settled(amount, &format!("the payer's client: {error}")),
        }
    }

    /// Somebody says that it is made.
    pub(super) fn settled(&self, amount: Amount, who: &str) {
        if let Some(fate) = self.payments.borrow_mut().get_mut(&amount) {
            fate.settled.get_or_insert_with(|| who.to_owned());
        }
    }

    /// Somebody says that it is not and never will be.
    pub(super) fn not_settled(&self, amount: Amount, who: &str) {
        if let Some(fate) = self.payments.borrow_mut().get_mut(&amount) {
            fate.not_settled.get_or_insert_with(|| who.to_owned());
        }
    }

    pub(super) fn is_quiet(&self, who: usize) {
        self.person(who).quiet.set(true);
    }

    pub(super) fn all_quiet(&self) -> bool {
        self.people.iter().all(|person| person.quiet.get())
    }

    pub(super) fn end(&self, who: usize, balance: Amount) {
        self.person(who).ending.set(Some(balance));
    }

    pub(super) fn all_done(&self) -> bool {
        self.people.iter().all(|person| person.ending.get().is_some())
    }

    /// Who is not at the end, for people.
    pub(super) fn whats_open(&self) -> Vec<String> {
        let open = self.people.iter().filter(|person| person.ending.get().is_none());
        open.map(|person| format!("{} is not done, quiet: {}", person.name, person.quiet.get()))
            .collect()
    }

    /// Whether the journal bears out all that was said. Gives how many were made.
    ///
    /// # Errors
    /// What it does not.
    pub(super) fn check(&self, model: &Model) -> Result<usize, String> {
        let payments = self.payments.borrow();
        for (amount, (payer, payee)) in &model.texts {
            let asked = payments.get(amount);
            if asked.is_none_or(|asked| asked.payer != *payer || asked.payee != *payee) {
                return Err(format!("{payer} has paid {payee} {amount}; asked for is {asked:?}"));
            }
        }
        for (amount, fate) in &*payments {
            let is_there = model.texts.contains_key(amount);
            if fate.settled.is_some() && !is_there {
                return Err(format!("{amount} was said to be paid and is not there: {fate:?}"));
            }
            if fate.not_settled.is_some() && is_there {
                return Err(format!("{amount} was said not to be paid and is there: {fate:?}"));
            }
        }
        for person in &self.people {
            let has = model.account(&person.name).map(|(balance, _)| balance);
            if has.is_none() || has != person.ending.get() {
                let sees = person.ending.get();
                return Err(format!("{} has {has:?} and sees {sees:?}", person.name));
            }
        }
        Ok(model.texts.len())
    }
}
