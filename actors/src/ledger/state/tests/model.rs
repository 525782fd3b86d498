//! Whatever is asked, the state does what a simple model does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wire::{KeyChange, OrderHash, OrderId};

use super::*;

/// The simplest thing that could be right: names to balances, and the rules in the reader's words.
#[derive(Default)]
struct Model {
    balances: BTreeMap<String, u64>,
    /// By name; keys are numbers.
    keys: BTreeMap<String, u8>,
    keys_ever: Vec<u8>,
    /// What became of a payer's orders.
    decided: BTreeMap<(String, OrderId), (OrderHash, EntryNumber)>,
    frozen: BTreeSet<String>,
    /// What the operator has moved, by id: whose, how much, whether it was withdrawn.
    moved: BTreeMap<u8, (String, u64, bool)>,
}

impl Model {
    fn open(&mut self, who: &str, key: Option<u8>, grant: u64) -> bool {
        let issued: u128 = self.balances.values().copied().map(u128::from).sum();
        if self.balances.contains_key(who)
            || key.is_some_and(|key| self.keys_ever.contains(&key))
            || issued + u128::from(grant) > u128::from(u64::MAX)
        {
            return false;
        }
        self.balances.insert(who.to_owned(), grant);
        if let Some(key) = key {
            self.keys.insert(who.to_owned(), key);
            self.keys_ever.push(key);
        }
        true
    }

    fn pay(&mut self, sender: &str, payer: &str, amount: u64, payee: &str) -> bool {
        let allowed = sender == payee
            && payer != payee
            && amount > 0
            && !self.keys.contains_key(payer)
            && !self.frozen.contains(payer)
            && self.balances.contains_key(payee)
            && self.balances.get(payer).is_some_and(|&balance| balance >= amount);
        if allowed {
            self.move_credits(payer, amount, payee);
        }
        allowed
    }

    fn move_credits(&mut self, payer: &str, amount: u64, payee: &str) {
        *self.balances.get_mut(payer).expect("the caller has looked") -= amount;
        *self.balances.get_mut(payee).expect("the caller has looked") += amount;
    }

    /// `signer` is the key that the order names and that has signed it.
    fn order(&mut self, submitter: &str, order: &Order, signer: u8, next: EntryNumber) -> Outcome {
        let not_taken = Outcome::NotTaken;
        let (payer, payee) = (order.payer.as_str(), order.payee.as_str());
        if payer == payee {
            return not_taken(OrderProblem::SameAccount);
        }
        if order.amount.is_zero() {
            return not_taken(OrderProblem::AmountNotPositive);
        }
        if submitter != payer && submitter != payee {
            return not_taken(OrderProblem::NotParty);
        }
        if !self.balances.contains_key(payer) {
            return not_taken(OrderProblem::UnknownPayer);
        }
        match self.decided.get(&(payer.to_owned(), order.id)) {
            Some((hash, entry)) if *hash == order.hash() => return Outcome::DecidedBefore(*entry),
            Some(_) => return not_taken(OrderProblem::Conflict),
            None => {}
        }
        if self.keys.get(payer) != Some(&signer) {
            return not_taken(OrderProblem::PayerKeyMismatch);
        }
        self.decided.insert((payer.to_owned(), order.id), (order.hash(), next));
        let payee_key = self.keys.get(payee).map(|number| public_key(&key(*number)));
        let payable = self.balances.contains_key(payee) && order.payee_key == payee_key;
        if payable && !self.frozen.contains(payer) && self.balances[payer] >= order.amount.credits()
        {
            self.move_credits(payer, order.amount.credits(), payee);
        }
        Outcome::Decided(next)
    }

    fn rotate(&mut self, who: &str, old: u8, new: u8) -> bool {
        let has_old = self.keys.get(who) == Some(&old);
        if !has_old || self.keys_ever.contains(&new) || self.frozen.contains(who) {
            return false;
        }
        self.keys.insert(who.to_owned(), new);
        self.keys_ever.push(new);
        true
    }

    /// Whether the operator hears that it is done; whether it was done before.
    fn operate(&mut self, who: &str, amount: u64, withdrawn: bool, id: u8) -> Option<bool> {
        let issued: u128 = self.balances.values().copied().map(u128::from).sum();
        let balance = self.balances.get_mut(who)?;
        let wanted = (who.to_owned(), amount, withdrawn);
        if let Some(moved) = self.moved.get(&id) {
            return (*moved == wanted).then_some(true);
        }
        if amount == 0 || !withdrawn && issued + u128::from(amount) > u128::from(u64::MAX) {
            return None;
        }
        *balance = if withdrawn { balance.checked_sub(amount)? } else { *balance + amount };
        self.moved.insert(id, wanted);
        Some(false)
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open { who: usize, key: Option<u8>, grant: u64 },
    Pay { sender: usize, payer: usize, amount: u64, payee: usize },
    Order { submitter: usize, payer: usize, signer: u8, amount: u64, payee: usize, nonce: u8 },
    Rotate { who: usize, old: u8, new: u8 },
    Operate { who: usize, amount: u64, withdrawn: bool, id: u8 },
    Freeze { who: usize, thaw: bool },
}

const NAMES: [&str; 6] = ["alice", "bob", "bobby", "carol", "dave", "eve"];

fn credits() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..2000u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

/// So few keys and nonces that each is used again and again.
fn step() -> impl Strategy<Value = Step> {
    let who = || 0..NAMES.len();
    let key = || 0..8u8;
    prop_oneof![
        1 => (who(), prop::option::of(key()), credits())
            .prop_map(|(who, key, grant)| Step::Open { who, key, grant }),
        3 => (who(), who(), credits(), who(), prop::bool::weighted(0.8)).prop_map(
            |(sender, payer, amount, payee, honest)| {
                let sender = if honest { payee } else { sender };
                Step::Pay { sender, payer, amount, payee }
            }
        ),
        4 => (who(), who(), key(), 0..900u64, who(), 0..6u8).prop_map(
            |(submitter, payer, signer, amount, payee, nonce)| {
                Step::Order { submitter, payer, signer, amount, payee, nonce }
            }
        ),
        1 => (who(), key(), key()).prop_map(|(who, old, new)| Step::Rotate { who, old, new }),
        1 => (who(), credits(), any::<bool>(), 0..9u8)
            .prop_map(|(who, amount, withdrawn, id)| Step::Operate { who, amount, withdrawn, id }),
        1 => (who(), prop::bool::weighted(0.7)).prop_map(|(who, thaw)| Step::Freeze { who, thaw }),
    ]
}

/// The state and the model, and what they have been through.
#[derive(Default)]
struct Both {
    state: State,
    model: Model,
    entries: Vec<Entry>,
}

impl Both {
    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Open { who, key, grant } => {
                let accepted = self.model.open(NAMES[who], key, grant);
                let (name, grant) = (new_name(NAMES[who]), Amount::new(grant));
                let access = key.map_or(Access::Open, keyed);
                let outcome = self.apply(Command::OpenAccount { name, access, grant });
                prop_assert_eq!(matches!(outcome, Outcome::Opened(_)), accepted);
            }
            Step::Pay { sender, payer, amount, payee } => {
                // Only who has an account can be logged in.
                let Some(id) = self.state.find(NAMES[sender]) else { return Ok(()) };
                let accepted = self.model.pay(NAMES[sender], NAMES[payer], amount, NAMES[payee]);
                let (payer, payee) = (name(NAMES[payer]), name(NAMES[payee]));
                let payment = TextPayment { payer, amount: Amount::new(amount), payee };
                let outcome = self.apply(Command::TextTransfer { sender: id, payment });
                prop_assert_eq!(outcome == Outcome::Settled, accepted);
            }
            Step::Order { submitter, payer, signer, amount, payee, nonce } => {
                let Some(id) = self.state.find(NAMES[submitter]) else { return Ok(()) };
                // Mostly what the payer knows of the payee is true.
                let payee_key = self.model.keys.get(NAMES[payee]).filter(|_| amount % 7 > 0);
                let access = payee_key.copied().map_or(Access::Open, keyed);
                // Half of the payers sign with the key that they have.
                let own = self.model.keys.get(NAMES[payer]).filter(|_| amount % 2 == 0);
                let signer = own.copied().unwrap_or(signer);
                let order = order((NAMES[payer], signer), (NAMES[payee], access), amount, nonce);
                let next = self.state.next_entry();
                let expected = self.model.order(NAMES[submitter], &order, signer, next);
                let order = Box::new(order.sign(&key(signer)).verify().expect("it is signed"));
                let outcome = self.apply(Command::Order { submitter: id, order });
                prop_assert_eq!(outcome, expected);
            }
            Step::Rotate { who, old, new } => {
                let Some(account) = self.state.find(NAMES[who]) else { return Ok(()) };
                let old = self.model.keys.get(NAMES[who]).copied().unwrap_or(old);
                let accepted = self.model.rotate(NAMES[who], old, new);
                let change = KeyChange {
                    version: 1,
                    server: TERMS.server,
                    account: name(NAMES[who]),
                    old: public_key(&key(old)),
                    new: public_key(&key(new)),
                };
                let change = change.sign(&key(old), &key(new)).verify().expect("signed by both");
                let outcome = self.apply(Command::ChangeKey { account, change: Box::new(change) });
                prop_assert_eq!(matches!(outcome, Outcome::KeyChanged(_)), accepted);
            }
            Step::Operate { who, amount, withdrawn, id } => {
                let expected = self.model.operate(NAMES[who], amount, withdrawn, id);
                let (account, amount) = (name(NAMES[who]), Amount::new(amount));
                let id = format!("{id}").parse().expect("an id");
                let command = if withdrawn {
                    OperatorCommand::Withdraw { account, amount, id }
                } else {
                    OperatorCommand::Deposit { account, amount, id }
                };
                let outcome = self.apply(Command::Operate(Box::new(command)));
                let Outcome::Operated(result) = outcome else { panic!("{outcome:?}") };
                prop_assert_eq!(result.ok().map(|operated| operated.repeated), expected);
            }
            Step::Freeze { who, thaw } => self.freeze(NAMES[who], thaw)?,
        }
        prop_assert_eq!(sum(&self.state), 0);
        Ok(())
    }

    fn freeze(&mut self, who: &str, thaw: bool) -> Result<(), TestCaseError> {
        let exists = self.model.balances.contains_key(who);
        let account = name(who);
        let (command, accepted) = if thaw {
            (OperatorCommand::Unfreeze { account }, self.model.frozen.remove(who))
        } else {
            self.model.frozen.extend(exists.then(|| who.to_owned()));
            (OperatorCommand::Freeze { account, reason: "why".parse().expect("one") }, exists)
        };
        let outcome = self.apply(Command::Operate(Box::new(command)));
        prop_assert_eq!(matches!(outcome, Outcome::Operated(Ok(_))), accepted);
        Ok(())
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let next = self.state.next_entry();
        let (outcome, entry) = self.state.apply(command, &TERMS);
        assert_eq!(self.state.next_entry().get() - next.get(), u64::from(entry.is_some()));
        self.entries.extend(entry);
        outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is asked: the ledger does what the model does, conserves every credit, and its
    /// entries alone rebuild it.
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 0..200)) {
        let mut both = Both::default();
        for step in steps {
            both.step(step)?;
        }
        let Both { state, model, entries } = both;
        for (who, balance) in &model.balances {
            let id = state.find(who).expect("the model has it");
            prop_assert_eq!(state.account(id).expect("found").balance.credits(), *balance);
        }
        prop_assert_eq!(state.orders().len(), model.decided.len());
        let mut replayed = State::default();
        for entry in &entries {
            prop_assert_eq!(replayed.replay(entry), Ok(()));
        }
        prop_assert_eq!(&replayed, &state);
        prop_assert_eq!(State::restore(parts(&state)), Ok(state));
    }
}
