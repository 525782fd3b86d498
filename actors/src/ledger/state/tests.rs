use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::signature::public_key;
use wire::{Order, PublicKey};

use super::*;
use crate::probe::{TERMS, key, keyed, order};

mod signed;

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn open(state: &mut State, who: &str, access: Access, grant: u64) -> Outcome {
    let (name, grant) = (name(who), Amount::new(grant));
    state.apply(Command::OpenAccount { name, access, grant }, &TERMS).0
}

fn pay(state: &mut State, sender: u64, payer: &str, amount: u64, payee: &str) -> Outcome {
    let payment =
        TextPayment { payer: name(payer), amount: Amount::new(amount), payee: name(payee) };
    state.apply(Command::TextTransfer { sender: AccountId::new(sender), payment }, &TERMS).0
}

fn balances(state: &State) -> Vec<u64> {
    state.accounts().iter().map(|account| account.balance.credits()).collect()
}

fn sum(state: &State) -> i128 {
    state.accounts().iter().map(|a| i128::from(a.balance.credits())).sum::<i128>()
        + state.treasury()
}

fn parts(state: &State) -> Parts {
    Parts {
        accounts: state.accounts().to_vec(),
        retired_keys: state.retired_keys().to_vec(),
        orders: state.orders().collect(),
        next_entry: state.next_entry(),
    }
}

/// alice (0), bob (1), bobby (2), each with 1000, and the keyed karl (3) with 1000.
fn four_accounts() -> State {
    let mut state = State::default();
    for who in ["alice", "bob", "bobby"] {
        open(&mut state, who, Access::Open, 1000);
    }
    open(&mut state, "karl", Access::Keyed(PublicKey::new([7; 32])), 1000);
    state
}

#[test]
fn one_transfer_a_row() {
    let refused = Outcome::Refused;
    for (sender, payer, amount, payee, expected, after) in [
        (1, "alice", 10, "bob", Outcome::Settled, [990, 1010, 1000, 1000]),
        (1, "alice", 1000, "bob", Outcome::Settled, [0, 2000, 1000, 1000]),
        (3, "alice", 10, "karl", Outcome::Settled, [990, 1000, 1000, 1010]),
        (1, "alice", 1001, "bob", refused(Refusal::InsufficientBalance), [1000; 4]),
        (1, "alice", u64::MAX, "bob", refused(Refusal::InsufficientBalance), [1000; 4]),
        (1, "alice", 0, "bob", refused(Refusal::AmountNotPositive), [1000; 4]),
        (1, "ghost", 10, "bob", refused(Refusal::UnknownPayer), [1000; 4]),
        (1, "alice", 10, "ghost", refused(Refusal::UnknownPayee), [1000; 4]),
        (1, "bob", 10, "bob", refused(Refusal::SameAccount), [1000; 4]),
        (0, "alice", 10, "bob", refused(Refusal::NoPermission), [1000; 4]),
        (2, "alice", 10, "bob", refused(Refusal::NoPermission), [1000; 4]),
        (1, "karl", 10, "bob", refused(Refusal::SignatureRequired), [1000; 4]),
    ] {
        let mut state = four_accounts();
        let outcome = pay(&mut state, sender, payer, amount, payee);
        assert_eq!(outcome, expected, "{payer}#{amount}#{payee} sent by {sender}");
        assert_eq!(balances(&state), after, "{payer}#{amount}#{payee} sent by {sender}");
        assert_eq!(sum(&state), 0);
    }
}

#[test]
fn names_are_taken_once_and_the_supply_never_wraps() {
    let mut state = four_accounts();
    assert_eq!(open(&mut state, "alice", Access::Open, 1), Outcome::Refused(Refusal::NameTaken));
    let rest = u64::MAX - 4000;
    assert_eq!(
        open(&mut state, "carol", Access::Open, rest + 1),
        Outcome::Refused(Refusal::SupplyExhausted)
    );
    assert_eq!(open(&mut state, "carol", Access::Open, rest), Outcome::Opened(AccountId::new(4)));
    assert_eq!(
        open(&mut state, "dave", Access::Open, 1),
        Outcome::Refused(Refusal::SupplyExhausted)
    );
    assert_eq!(pay(&mut state, 4, "alice", 1000, "carol"), Outcome::Settled);
    assert_eq!(sum(&state), 0);
}

#[test]
fn questions_change_nothing() {
    let mut state = four_accounts();
    let before = state.clone();
    for (command, expected) in [
        (Command::ReadBalance(AccountId::new(0)), Outcome::Balance(Amount::new(1000))),
        (
            Command::FindAccount(name("bob")),
            Outcome::Found(Some((AccountId::new(1), Access::Open))),
        ),
        (Command::FindAccount(name("bo")), Outcome::Found(None)),
    ] {
        assert_eq!(state.apply(command, &TERMS), (expected, None));
    }
    assert_eq!(state, before);
}

#[test]
fn entries_that_break_a_rule_are_refused_and_change_nothing() {
    let id = AccountId::new;
    let opened = |account, who: &str, grant| Entry::AccountOpened {
        account: id(account),
        name: name(who),
        access: Access::Open,
        grant: Amount::new(grant),
    };
    let transferred = |payer, payee, amount| Entry::Transferred {
        payer: id(payer),
        payee: id(payee),
        amount: Amount::new(amount),
        authority: Authority::Text,
    };
    for (entry, expected) in [
        (opened(5, "eve", 0), ReplayError::WrongAccountNumber { expected: id(4), found: id(5) }),
        (opened(0, "eve", 0), ReplayError::WrongAccountNumber { expected: id(4), found: id(0) }),
        (opened(4, "bob", 0), ReplayError::NameTaken(id(4))),
        (opened(4, "eve", u64::MAX), ReplayError::SupplyOverflow(id(4))),
        (transferred(9, 1, 1), ReplayError::UnknownAccount(id(9))),
        (transferred(0, 9, 1), ReplayError::UnknownAccount(id(9))),
        (transferred(0, u64::MAX, 1), ReplayError::UnknownAccount(id(u64::MAX))),
        (transferred(0, 0, 1), ReplayError::EmptyTransfer(id(0))),
        (transferred(0, 1, 0), ReplayError::EmptyTransfer(id(0))),
        (transferred(0, 1, 1001), ReplayError::Overdraft(id(0))),
        (transferred(3, 1, 1), ReplayError::MissingSignature(id(3))),
    ] {
        let mut state = four_accounts();
        assert_eq!(state.replay(&entry), Err(expected), "{entry:?}");
        assert_eq!(state, four_accounts(), "{entry:?}");
    }
}

/// The simplest thing that could be right: names to balances, and the rules in the reader's words.
#[derive(Default)]
struct Model {
    balances: BTreeMap<String, u64>,
    keyed: Vec<String>,
}

impl Model {
    fn open(&mut self, who: &str, keyed: bool, grant: u64) -> bool {
        let issued: u128 = self.balances.values().copied().map(u128::from).sum();
        if self.balances.contains_key(who) || issued + u128::from(grant) > u128::from(u64::MAX) {
            return false;
        }
        self.balances.insert(who.to_owned(), grant);
        if keyed {
            self.keyed.push(who.to_owned());
        }
        true
    }

    fn pay(&mut self, sender: &str, payer: &str, amount: u64, payee: &str) -> bool {
        let allowed = sender == payee
            && payer != payee
            && amount > 0
            && !self.keyed.iter().any(|keyed| keyed == payer)
            && self.balances.contains_key(payee)
            && self.balances.get(payer).is_some_and(|&balance| balance >= amount);
        if allowed {
            *self.balances.get_mut(payer).expect("just looked up") -= amount;
            *self.balances.get_mut(payee).expect("just looked up") += amount;
        }
        allowed
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open { who: usize, keyed: bool, grant: u64 },
    Pay { sender: usize, payer: usize, amount: u64, payee: usize },
}

const NAMES: [&str; 6] = ["alice", "bob", "bobby", "carol", "dave", "eve"];

fn credits() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..2000u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..NAMES.len();
    prop_oneof![
        1 => (who(), prop::bool::weighted(0.2), credits())
            .prop_map(|(who, keyed, grant)| Step::Open { who, keyed, grant }),
        4 => (who(), who(), credits(), who(), prop::bool::weighted(0.8)).prop_map(
            |(sender, payer, amount, payee, honest)| {
                let sender = if honest { payee } else { sender };
                Step::Pay { sender, payer, amount, payee }
            }
        ),
    ]
}

proptest! {
    /// Whatever is asked: the ledger does what the model does, conserves every credit, and its
    /// entries alone rebuild it.
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 0..200)) {
        let (mut state, mut model, mut entries) = (State::default(), Model::default(), Vec::new());
        for step in steps {
            let (command, accepted) = match step {
                Step::Open { who, keyed, grant } => {
                    // A key of its own for each, as many as there are names.
                    let key = PublicKey::new([u8::try_from(who).expect("few"); 32]);
                    let access = if keyed { Access::Keyed(key) } else { Access::Open };
                    let command = Command::OpenAccount {
                        name: name(NAMES[who]),
                        access,
                        grant: Amount::new(grant),
                    };
                    (command, model.open(NAMES[who], keyed, grant))
                }
                Step::Pay { sender, payer, amount, payee } => {
                    // Only who has an account can be logged in.
                    let Some(id) = state.find(NAMES[sender]) else { continue };
                    let payment = TextPayment {
                        payer: name(NAMES[payer]),
                        amount: Amount::new(amount),
                        payee: name(NAMES[payee]),
                    };
                    let accepted = model.pay(NAMES[sender], NAMES[payer], amount, NAMES[payee]);
                    (Command::TextTransfer { sender: id, payment }, accepted)
                }
            };
            let (outcome, entry) = state.apply(command, &TERMS);
            prop_assert_eq!(!matches!(outcome, Outcome::Refused(_)), accepted);
            prop_assert_eq!(entry.is_some(), accepted);
            entries.extend(entry);
            prop_assert_eq!(sum(&state), 0);
        }
        for (who, balance) in &model.balances {
            let id = state.find(who).expect("the model has it");
            prop_assert_eq!(state.account(id).expect("found").balance.credits(), *balance);
        }
        let mut replayed = State::default();
        for entry in &entries {
            prop_assert_eq!(replayed.replay(entry), Ok(()));
        }
        prop_assert_eq!(&replayed, &state);
        prop_assert_eq!(State::restore(parts(&state)), Ok(state));
    }
}
