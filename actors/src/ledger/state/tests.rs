use wire::secure::OrderProblem;
use wire::signature::public_key;
use wire::text::TextPayment;
use wire::{NewUsername, Order};

use super::*;
use crate::probe::{TERMS, key, keyed, order};

mod model;
mod operator;
mod signed;

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn new_name(text: &str) -> NewUsername {
    name(text).try_into().expect("a name that may be given")
}

fn open(state: &mut State, who: &str, access: Access, grant: u64) -> Outcome {
    let (name, grant) = (new_name(who), Amount::new(grant));
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
        orders: state.orders(),
        frozen: state.frozen(),
        acts: state.acts(),
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

/// Payers are found ahead, when those are not there yet that earlier commands open.
#[test]
fn together_commands_come_to_what_they_do_one_by_one() {
    let transfer = |payer: &str| {
        let (payer, payee) = (name(payer), name("bob"));
        let payment = TextPayment { payer, amount: Amount::new(600), payee };
        Command::TextTransfer { sender: AccountId::new(1), payment }
    };
    let mut commands = Vec::new();
    for number in 0..FOUND_AT_ONCE {
        let opened = format!("user{number}");
        let (access, grant) = (Access::Open, Amount::new(1000));
        commands.push(transfer(&opened));
        commands.push(Command::OpenAccount { name: new_name(&opened), access, grant });
        commands.extend([&opened, "karl", "ghost", &opened].map(transfer));
        commands.push(Command::ReadBalance(AccountId::new(1)));
    }
    let (mut one_by_one, mut together) = (four_accounts(), four_accounts());
    let expected: Vec<_> =
        commands.iter().map(|command| one_by_one.apply(command.clone(), &TERMS)).collect();
    let mut results = Vec::new();
    together.apply_all(commands, &TERMS, |_, outcome, entry| results.push((outcome, entry)));
    assert_eq!(results, expected);
    assert_eq!(together, one_by_one);
    let settled = results.iter().filter(|(outcome, _)| *outcome == Outcome::Settled).count();
    assert_eq!(settled, FOUND_AT_ONCE, "each new account pays once, and has too little then");
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

/// Protects owners of names from others who would be taken for them.
#[test]
fn no_new_name_looks_like_another() {
    let mut state = four_accounts();
    open(&mut state, "Straße", Access::Open, 0);
    open(&mut state, "Tim", Access::Keyed(PublicKey::new([8; 32])), 0);
    let before = state.clone();
    for disguise in [
        "Alice",
        "ALICE",
        "aIice",       // a capital I
        "a1ice",       // a one
        "al\u{131}ce", // i without its dot
        "B0B",
        "\u{412}\u{41e}\u{412}", // Cyrillic ВОВ
        "\u{392}\u{39f}\u{392}", // Greek ΒΟΒ
        "KARL",
        "kar1",
        "strasse",
        "STRASSE",
        "tirn",
        "\u{422}\u{406}\u{41c}", // Cyrillic ТІМ
    ] {
        for access in [Access::Open, Access::Keyed(PublicKey::new([9; 32]))] {
            let outcome = open(&mut state, disguise, access, 1);
            assert_eq!(outcome, Outcome::Refused(Refusal::NameTooSimilar), "{disguise:?}");
        }
    }
    assert_eq!(state, before);
    // The rule holds between strangers only: every other name is free, and the very name is taken.
    assert_eq!(open(&mut state, "alicia", Access::Open, 1), Outcome::Opened(AccountId::new(6)));
    assert_eq!(open(&mut state, "karl", Access::Open, 1), Outcome::Refused(Refusal::NameTaken));
}

/// Protects servers with an old journal: its names came under no rule of looks, and all of them
/// count against new ones.
#[test]
fn old_names_may_look_alike_and_are_safe_from_new_ones() {
    let old = ["alice", "ALICE", "\u{430}lice", "al\u{200b}ice", "ｂｏｂ", "ｂob"];
    let mut replayed = State::default();
    for (account, who) in (0..).zip(old) {
        let opened = Entry::AccountOpened {
            account: AccountId::new(account),
            name: name(who),
            access: Access::Open,
            grant: Amount::new(1),
        };
        assert_eq!(replayed.replay(&opened), Ok(()), "{who:?}");
    }
    let restored = State::restore(Parts {
        accounts: replayed.accounts().to_vec(),
        next_entry: replayed.next_entry(),
        ..Parts::default()
    });
    for mut state in [replayed, restored.expect("the names differ")] {
        for (account, who) in (0..).zip(old) {
            assert_eq!(state.find(who), Some(AccountId::new(account)), "{who:?}");
        }
        for disguise in ["Alice", "aIice", "bob", "BOB"] {
            let outcome = open(&mut state, disguise, Access::Open, 1);
            assert_eq!(outcome, Outcome::Refused(Refusal::NameTooSimilar), "{disguise:?}");
        }
        assert_eq!(open(&mut state, "carol", Access::Open, 1), Outcome::Opened(AccountId::new(6)));
    }
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
