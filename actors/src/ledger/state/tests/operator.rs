//! What the operator does, and what a frozen account cannot do.

use wire::{FreezeReason, KeyChange, OperatorId, OperatorRefusal};

use super::super::operator::ACTS_REMEMBERED_MAX;
use super::*;

fn deposit(who: &str, amount: u64, id: &str) -> OperatorCommand {
    OperatorCommand::Deposit { account: name(who), amount: Amount::new(amount), id: self::id(id) }
}

fn withdraw(who: &str, amount: u64, id: &str) -> OperatorCommand {
    OperatorCommand::Withdraw { account: name(who), amount: Amount::new(amount), id: self::id(id) }
}

fn freeze(who: &str) -> OperatorCommand {
    OperatorCommand::Freeze { account: name(who), reason: FreezeReason::default() }
}

fn unfreeze(who: &str) -> OperatorCommand {
    OperatorCommand::Unfreeze { account: name(who) }
}

fn id(text: &str) -> OperatorId {
    text.parse().expect("an id")
}

fn operate(
    state: &mut State,
    command: OperatorCommand,
) -> (Result<Operated, OperatorRefusal>, Option<Entry>) {
    match state.apply(Command::Operate(Box::new(command)), &TERMS) {
        (Outcome::Operated(result), entry) => (result, entry),
        (other, _) => panic!("not what became of an operation: {other:?}"),
    }
}

fn done(entry: u64, repeated: bool, balance: u64) -> Operated {
    Operated { entry: EntryNumber::new(entry), repeated, balance: Amount::new(balance) }
}

/// alice and bob are open, the keyed karl has key 1.
fn three_accounts() -> State {
    let mut state = State::default();
    open(&mut state, "alice", Access::Open, 1000);
    open(&mut state, "bob", Access::Open, 1000);
    open(&mut state, "karl", keyed(1), 1000);
    state
}

#[test]
fn one_operation_a_row() {
    use OperatorRefusal::{
        AmountNotPositive, IdUsed, InsufficientBalance, NotFrozen, SupplyExhausted, UnknownAccount,
    };
    // Entry 3 deposits 5 to alice by the id "first", entry 4 freezes bob.
    for (command, expected, alice) in [
        (deposit("alice", 10, "a"), Ok(done(5, false, 1015)), 1015),
        (deposit("karl", 10, "a"), Ok(done(5, false, 1010)), 1005),
        (deposit("bob", 10, "a"), Ok(done(5, false, 1010)), 1005),
        (deposit("alice", 5, "first"), Ok(done(3, true, 1005)), 1005),
        (deposit("alice", 6, "first"), Err(IdUsed(EntryNumber::new(3))), 1005),
        (deposit("bob", 5, "first"), Err(IdUsed(EntryNumber::new(3))), 1005),
        (withdraw("alice", 5, "first"), Err(IdUsed(EntryNumber::new(3))), 1005),
        (deposit("alice", 0, "a"), Err(AmountNotPositive), 1005),
        (deposit("ghost", 1, "a"), Err(UnknownAccount), 1005),
        (
            deposit("alice", u64::MAX - 3005, "a"),
            Ok(done(5, false, u64::MAX - 2000)),
            u64::MAX - 2000,
        ),
        (deposit("alice", u64::MAX - 3004, "a"), Err(SupplyExhausted), 1005),
        (deposit("alice", u64::MAX, "a"), Err(SupplyExhausted), 1005),
        (withdraw("alice", 10, "a"), Ok(done(5, false, 995)), 995),
        (withdraw("alice", 1005, "a"), Ok(done(5, false, 0)), 0),
        (withdraw("alice", 1006, "a"), Err(InsufficientBalance), 1005),
        (withdraw("alice", 0, "a"), Err(AmountNotPositive), 1005),
        (withdraw("ghost", 1, "a"), Err(UnknownAccount), 1005),
        (withdraw("bob", 10, "a"), Ok(done(5, false, 990)), 1005),
        (freeze("alice"), Ok(done(5, false, 1005)), 1005),
        (freeze("bob"), Ok(done(4, true, 1000)), 1005),
        (freeze("ghost"), Err(UnknownAccount), 1005),
        (unfreeze("bob"), Ok(done(5, false, 1000)), 1005),
        (unfreeze("alice"), Err(NotFrozen), 1005),
        (unfreeze("ghost"), Err(UnknownAccount), 1005),
    ] {
        let mut state = three_accounts();
        operate(&mut state, deposit("alice", 5, "first")).0.expect("allowed");
        operate(&mut state, freeze("bob")).0.expect("allowed");
        let mut replayed = state.clone();
        let text = format!("{command:?}");
        let (result, entry) = operate(&mut state, command);
        assert_eq!(result, expected, "{text}");
        let changes = matches!(expected, Ok(Operated { repeated: false, .. }));
        assert_eq!(entry.is_some(), changes, "{text}");
        assert_eq!(balances(&state)[0], alice, "{text}");
        assert_eq!(sum(&state), 0, "{text}");
        if let Some(entry) = entry {
            assert_eq!(replayed.replay(&entry), Ok(()), "{text}");
        }
        assert_eq!(replayed, state, "{text}");
        assert_eq!(State::restore(parts(&state)), Ok(state), "{text}");
    }
}

/// The supply is what all hold: what is withdrawn can be issued again.
#[test]
fn the_supply_follows_deposits_and_withdrawals() {
    let mut state = three_accounts();
    operate(&mut state, deposit("alice", u64::MAX - 3000, "all")).0.expect("there is room");
    assert_eq!(state.treasury(), -i128::from(u64::MAX));
    operate(&mut state, withdraw("bob", 7, "some")).0.expect("bob has it");
    assert_eq!(
        operate(&mut state, deposit("bob", 8, "more")).0,
        Err(OperatorRefusal::SupplyExhausted)
    );
    assert_eq!(operate(&mut state, deposit("bob", 7, "back")).0, Ok(done(5, false, 1000)));
    assert_eq!(sum(&state), 0);
}

/// The story: an account is suspected; until that is cleared up it must not pay, whoever asks and however,
/// and must not slip away under a new key. What comes in is its own.
#[test]
fn a_frozen_account_pays_nobody_and_keeps_its_key() {
    let mut state = three_accounts();
    for who in ["alice", "karl"] {
        operate(&mut state, freeze(who)).0.expect("it is not frozen");
    }
    let frozen = Outcome::Refused(Refusal::AccountFrozen);
    assert_eq!(pay(&mut state, 1, "alice", 10, "bob"), frozen);
    assert_eq!(pay(&mut state, 1, "alice", 0, "bob"), frozen, "whatever the amount");

    let bob = ("bob", Access::Open);
    let signed = |nonce| {
        let order = order(("karl", 1), bob, 10, nonce).sign(&key(1));
        let order = Box::new(order.verify().expect("it is signed"));
        Command::Order { submitter: AccountId::new(1), order }
    };
    let (outcome, entry) = state.apply(signed(1), &TERMS);
    assert_eq!(outcome, Outcome::Decided(EntryNumber::new(5)));
    let refused = Refusal::AccountFrozen;
    assert!(matches!(entry, Some(Entry::OrderRefused { refusal, .. }) if refusal == refused));

    let change = KeyChange {
        version: 1,
        server: TERMS.server,
        account: name("karl"),
        old: public_key(&key(1)),
        new: public_key(&key(2)),
    };
    let change = || {
        let change = change.clone().sign(&key(1), &key(2)).verify().expect("signed by both");
        Command::ChangeKey { account: AccountId::new(2), change: Box::new(change) }
    };
    assert_eq!(state.apply(change(), &TERMS).0, frozen);

    assert_eq!(pay(&mut state, 0, "bob", 1, "alice"), Outcome::Settled, "it is paid");
    assert_eq!(balances(&state), [1001, 999, 1000]);

    for who in ["alice", "karl"] {
        operate(&mut state, unfreeze(who)).0.expect("it is frozen");
    }
    assert_eq!(pay(&mut state, 1, "alice", 10, "bob"), Outcome::Settled);
    let again = state.apply(signed(1), &TERMS).0;
    assert_eq!(again, Outcome::DecidedBefore(EntryNumber::new(5)), "what was refused stays so");
    assert!(matches!(state.apply(signed(2), &TERMS).0, Outcome::Decided(_)));
    assert!(matches!(state.apply(change(), &TERMS).0, Outcome::KeyChanged(_)));
    assert_eq!(balances(&state), [991, 1019, 990]);
}

/// Nobody but the rules may have written what is replayed.
#[test]
fn entries_that_the_rules_forbid_are_not_replayed() {
    let (alice, ghost) = (AccountId::new(0), AccountId::new(9));
    let deposited =
        |account, amount, id| Entry::Deposited { account, amount: Amount::new(amount), id };
    let withdrawn =
        |account, amount, id| Entry::Withdrawn { account, amount: Amount::new(amount), id };
    let frozen = |account| Entry::Frozen { account, reason: FreezeReason::default() };
    let (bob, karl) = (AccountId::new(1), AccountId::new(2));
    let change = KeyChange {
        version: 1,
        server: TERMS.server,
        account: name("karl"),
        old: public_key(&key(1)),
        new: public_key(&key(2)),
    };
    let by_text = Entry::Transferred {
        payer: bob,
        payee: alice,
        amount: Amount::new(1),
        authority: Authority::Text,
    };
    let order = order(("karl", 1), ("alice", Access::Open), 1, 1).sign(&key(1));
    let ordered = Entry::Transferred {
        payer: karl,
        payee: alice,
        amount: Amount::new(1),
        authority: Authority::Order(Box::new(order.clone())),
    };
    let refused = Entry::OrderRefused {
        payer: karl,
        order: Box::new(order),
        refusal: Refusal::InsufficientBalance,
    };
    let change = Box::new(change.sign(&key(1), &key(2)));
    for (entry, expected) in [
        (deposited(ghost, 1, id("a")), ReplayError::UnknownAccount(ghost)),
        (deposited(alice, 0, id("a")), ReplayError::EmptyTransfer(alice)),
        (deposited(alice, 1, id("first")), ReplayError::OperatedTwice(alice)),
        (deposited(alice, u64::MAX, id("a")), ReplayError::SupplyOverflow(alice)),
        (withdrawn(ghost, 1, id("a")), ReplayError::UnknownAccount(ghost)),
        (withdrawn(alice, 0, id("a")), ReplayError::EmptyTransfer(alice)),
        (withdrawn(alice, 1, id("first")), ReplayError::OperatedTwice(alice)),
        (withdrawn(alice, 1006, id("a")), ReplayError::Overdraft(alice)),
        (frozen(ghost), ReplayError::UnknownAccount(ghost)),
        (frozen(bob), ReplayError::WrongFreeze(bob)),
        (Entry::Unfrozen { account: alice }, ReplayError::WrongFreeze(alice)),
        (Entry::Unfrozen { account: ghost }, ReplayError::WrongFreeze(ghost)),
        (by_text, ReplayError::Frozen(bob)),
        (ordered, ReplayError::Frozen(karl)),
        (refused, ReplayError::WrongRefusal(karl)),
        (Entry::KeyChanged { account: karl, change }, ReplayError::Frozen(karl)),
    ] {
        let mut state = three_accounts();
        operate(&mut state, deposit("alice", 5, "first")).0.expect("allowed");
        operate(&mut state, freeze("bob")).0.expect("allowed");
        operate(&mut state, freeze("karl")).0.expect("allowed");
        let before = state.clone();
        assert_eq!(state.replay(&entry), Err(expected), "{entry:?}");
        assert_eq!(state, before, "{entry:?}");
    }
}

#[test]
fn a_snapshot_that_contradicts_itself_is_not_restored() {
    let mut state = three_accounts();
    operate(&mut state, deposit("alice", 5, "first")).0.expect("allowed");
    operate(&mut state, freeze("bob")).0.expect("allowed");
    let good = parts(&state);
    let (frozen, act) = (good.frozen[0], good.acts[0].clone());
    let ghost = AccountId::new(9);
    let nobodys = RememberedAct { id: id("x"), act: OperatorAct { account: ghost, ..act.act } };
    for (parts, expected) in [
        (Parts { frozen: vec![frozen; 2], ..good.clone() }, ReplayError::WrongFreeze(frozen.0)),
        (
            Parts { frozen: vec![(ghost, frozen.1)], ..good.clone() },
            ReplayError::UnknownAccount(ghost),
        ),
        (
            Parts { acts: vec![act.clone(), act], ..good.clone() },
            ReplayError::OperatedTwice(AccountId::new(0)),
        ),
        (Parts { acts: vec![nobodys], ..good }, ReplayError::UnknownAccount(ghost)),
    ] {
        assert_eq!(State::restore(parts), Err(expected));
    }
}

/// What is remembered is bounded, and which it is follows from the entries alone.
#[test]
fn the_oldest_ids_are_forgotten() {
    let mut state = three_accounts();
    let mut entries = Vec::new();
    for number in 0..=ACTS_REMEMBERED_MAX {
        let (result, entry) = operate(&mut state, deposit("alice", 1, &number.to_string()));
        assert!(result.is_ok_and(|operated| !operated.repeated));
        entries.extend(entry);
    }
    assert_eq!(state.acts().len(), ACTS_REMEMBERED_MAX);
    let mut replayed = three_accounts();
    assert!(entries.iter().all(|entry| replayed.replay(entry).is_ok()));
    assert_eq!(replayed, state);
    let second = operate(&mut state, deposit("alice", 1, "1")).0.expect("it is remembered");
    assert!(second.repeated);
    let first = operate(&mut state, deposit("alice", 1, "0")).0.expect("it is forgotten");
    assert!(!first.repeated);
}
