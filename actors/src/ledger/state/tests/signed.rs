//! Orders and key changes: one wrong field a row, and nothing ever twice.

use wire::order::{ORDER_VALIDITY_MS_MAX, ORDER_VERSION};
use wire::{KeyChange, OrderId, Signature, SignedOrder, VerifiedOrder};

use super::*;

mod key_changes;
mod remembering;
mod replaying;

const ALICE: u64 = 0;
const BOB: u64 = 1;
const CAROL: u64 = 2;
const STRANGER: u64 = 3;

/// The keyed alice (key 1), bob (key 2) and eve (key 4), the open carol, with 1000 each.
fn signers() -> State {
    let mut state = State::default();
    for (who, access) in
        [("alice", keyed(1)), ("bob", keyed(2)), ("carol", Access::Open), ("eve", keyed(4))]
    {
        open(&mut state, who, access, 1000);
    }
    state
}

fn verified(order: Order, signer: u8) -> VerifiedOrder {
    order.sign(&key(signer)).verify().expect("it is signed")
}

fn submit(state: &mut State, submitter: u64, order: VerifiedOrder, terms: &Terms) -> Outcome {
    let submitter = AccountId::new(submitter);
    state.apply(Command::Order { submitter, order: Box::new(order) }, terms).0
}

/// Alice pays bob 10.
fn ten() -> Order {
    order(("alice", 1), ("bob", keyed(2)), 10, 1)
}

fn at(now: u64) -> Terms {
    Terms { now: Timestamp::new(now), shown: Timestamp::new(now), ..TERMS }
}

fn valid_up_to(order: Order, not_after: u64) -> Order {
    let not_after = Timestamp::new(not_after);
    Order { id: OrderId::new(not_after, [1; 10]), not_after, ..order }
}

fn number(entry: u64) -> EntryNumber {
    EntryNumber::new(entry)
}

/// Alice's key 1 becomes key 3.
fn change() -> KeyChange {
    KeyChange {
        version: 1,
        server: TERMS.server,
        account: name("alice"),
        old: public_key(&key(1)),
        new: public_key(&key(3)),
    }
}

fn rotate(state: &mut State, account: u64, change: KeyChange, old: u8, new: u8) -> Outcome {
    let change = change.sign(&key(old), &key(new)).verify().expect("both have signed");
    let account = AccountId::new(account);
    state.apply(Command::ChangeKey { account, change: Box::new(change) }, &TERMS).0
}

#[test]
fn one_wrong_field_a_row() {
    let now = TERMS.now.get();
    let too_far = now + ORDER_VALIDITY_MS_MAX + 1;
    let other_id = OrderId::new(Timestamp::new(now), [1; 10]);
    let whole = |problem| (Outcome::NotTaken(problem), [1000; 4]);
    let refused = (Outcome::Decided(number(4)), [1000; 4]);
    let settled = |after| (Outcome::Decided(number(4)), after);
    for (what, submitter, order, (expected, after)) in [
        ("the payee submits", BOB, ten(), settled([990, 1010, 1000, 1000])),
        ("the payer submits", ALICE, ten(), settled([990, 1010, 1000, 1000])),
        (
            "to an open account",
            CAROL,
            Order { payee: name("carol"), payee_key: None, ..ten() },
            settled([990, 1000, 1010, 1000]),
        ),
        ("all", BOB, Order { amount: Amount::new(1000), ..ten() }, settled([0, 2000, 1000, 1000])),
        ("valid up to now", BOB, valid_up_to(ten(), now), settled([990, 1010, 1000, 1000])),
        (
            "valid as long as can be",
            BOB,
            valid_up_to(ten(), too_far - 1),
            settled([990, 1010, 1000, 1000]),
        ),
        ("version", BOB, Order { version: 2, ..ten() }, whole(OrderProblem::UnknownVersion)),
        (
            "server",
            BOB,
            Order { server: PublicKey::new([9; 32]), ..ten() },
            whole(OrderProblem::WrongServer),
        ),
        ("a third party submits", STRANGER, ten(), whole(OrderProblem::NotParty)),
        ("nobody submits", 99, ten(), whole(OrderProblem::NotParty)),
        ("payer", BOB, Order { payer: name("ghost"), ..ten() }, whole(OrderProblem::UnknownPayer)),
        (
            "another's account",
            BOB,
            Order { payer: name("eve"), ..ten() },
            whole(OrderProblem::PayerKeyMismatch),
        ),
        (
            "an open account",
            BOB,
            Order { payer: name("carol"), ..ten() },
            whole(OrderProblem::PayerKeyMismatch),
        ),
        (
            "to oneself",
            ALICE,
            Order { payee: name("alice"), ..ten() },
            whole(OrderProblem::SameAccount),
        ),
        (
            "amount",
            BOB,
            Order { amount: Amount::ZERO, ..ten() },
            whole(OrderProblem::AmountNotPositive),
        ),
        ("id", BOB, Order { id: other_id, ..ten() }, whole(OrderProblem::IdMismatch)),
        ("too late", BOB, valid_up_to(ten(), now - 1), whole(OrderProblem::Expired)),
        ("too early", BOB, valid_up_to(ten(), too_far), whole(OrderProblem::NotAfterTooFar)),
        ("too much", BOB, Order { amount: Amount::new(1001), ..ten() }, refused.clone()),
        ("far too much", BOB, Order { amount: Amount::new(u64::MAX), ..ten() }, refused.clone()),
        ("unknown payee", ALICE, Order { payee: name("ghost"), ..ten() }, refused.clone()),
        ("other payee key", BOB, Order { payee_key: None, ..ten() }, refused.clone()),
        ("key of an open payee", CAROL, Order { payee: name("carol"), ..ten() }, refused),
    ] {
        let mut state = signers();
        assert_eq!(submit(&mut state, submitter, verified(order, 1), &TERMS), expected, "{what}");
        assert_eq!(balances(&state), after, "{what}");
        assert_eq!(sum(&state), 0, "{what}");
        if matches!(expected, Outcome::NotTaken(_)) {
            assert_eq!(state, signers(), "{what}: it leaves no trace");
        }
    }
}

#[test]
fn what_the_ledger_has_against_an_order_is_written_down() {
    for (submitter, order, expected) in [
        (BOB, Order { amount: Amount::new(1001), ..ten() }, Refusal::InsufficientBalance),
        (ALICE, Order { payee: name("ghost"), ..ten() }, Refusal::UnknownPayee),
        (
            BOB,
            Order { payee_key: Some(PublicKey::new([9; 32])), ..ten() },
            Refusal::PayeeKeyChanged,
        ),
    ] {
        let mut state = signers();
        let order = Box::new(verified(order, 1));
        let signed = Box::new(order.signed().clone());
        let submitter = AccountId::new(submitter);
        let (_, entry) = state.apply(Command::Order { submitter, order }, &TERMS);
        let payer = AccountId::new(ALICE);
        assert_eq!(entry, Some(Entry::OrderRefused { payer, order: signed, refusal: expected }));
    }
}

/// The story: a payment is refused for want of credits, the payer gets some, somebody submits the order
/// again, and what was "refused" is paid.
#[test]
fn an_outcome_never_changes() {
    let mut state = signers();
    let much = verified(Order { amount: Amount::new(1500), ..ten() }, 1);
    let decided = Outcome::Decided(number(4));
    assert_eq!(submit(&mut state, BOB, much.clone(), &TERMS), decided);
    let back = order(("bob", 2), ("alice", keyed(1)), 800, 7);
    assert_eq!(submit(&mut state, ALICE, verified(back, 2), &TERMS), Outcome::Decided(number(5)));
    for submitter in [ALICE, BOB] {
        let again = submit(&mut state, submitter, much.clone(), &TERMS);
        assert_eq!(again, Outcome::DecidedBefore(number(4)));
    }
    assert_eq!(balances(&state), [1800, 200, 1000, 1000]);
}

#[test]
fn an_order_happens_once_and_its_id_is_used_up() {
    let mut state = signers();
    let first = verified(ten(), 1);
    assert_eq!(submit(&mut state, BOB, first.clone(), &TERMS), Outcome::Decided(number(4)));
    let after = state.clone();
    let before = Outcome::DecidedBefore(number(4));
    assert_eq!(submit(&mut state, BOB, first.clone(), &TERMS), before);
    assert_eq!(submit(&mut state, ALICE, first, &TERMS), before);
    for other in [
        Order { amount: Amount::new(11), ..ten() },
        Order { memo_hash: [1; 32], ..ten() },
        Order { payee: name("eve"), payee_key: None, ..ten() },
    ] {
        let outcome = submit(&mut state, ALICE, verified(other, 1), &TERMS);
        assert_eq!(outcome, Outcome::NotTaken(OrderProblem::Conflict));
    }
    // A stranger learns nothing of it.
    let outcome = submit(&mut state, STRANGER, verified(ten(), 1), &TERMS);
    assert_eq!(outcome, Outcome::NotTaken(OrderProblem::NotParty));
    assert_eq!(state, after);
    // Another payer may have used the same id.
    let eves = verified(order(("eve", 4), ("bob", keyed(2)), 1, 1), 4);
    assert_eq!(submit(&mut state, BOB, eves, &TERMS), Outcome::Decided(number(5)));
}

/// Another valid signature over the same order is the same order.
#[test]
fn the_signature_is_no_part_of_an_orders_identity() {
    let mut state = State::default();
    // A key of small order, under which more than one signature is valid.
    let zeros = PublicKey::new([0; 32]);
    open(&mut state, "alice", Access::Keyed(zeros), 1000);
    open(&mut state, "bob", keyed(2), 1000);
    let order = Order { payer_key: zeros, ..ten() };
    let mut identity = [0; 64];
    identity[0] = 1;
    for (signature, expected) in
        [([0; 64], Outcome::Decided(number(2))), (identity, Outcome::DecidedBefore(number(2)))]
    {
        let signed = SignedOrder { order: order.clone(), signature: Signature::new(signature) };
        let order = signed.verify().expect("valid for everything");
        assert_eq!(submit(&mut state, BOB, order, &TERMS), expected);
    }
    assert_eq!(balances(&state), [990, 1010]);
}

#[test]
fn an_order_has_expired_whether_it_is_forgotten_or_not() {
    let not_after = ten().not_after.get();
    let first = verified(ten(), 1);
    let mut state = signers();
    assert_eq!(submit(&mut state, BOB, first.clone(), &TERMS), Outcome::Decided(number(4)));
    let mut forgetful = state.clone();
    for now in [not_after - 1, not_after, not_after + 1, not_after + 2] {
        forgetful.forget_expired_orders(Timestamp::new(now));
        let expected = if now <= not_after {
            Outcome::DecidedBefore(number(4))
        } else {
            Outcome::NotTaken(OrderProblem::Expired)
        };
        for state in [&mut state, &mut forgetful] {
            assert_eq!(submit(state, BOB, first.clone(), &at(now)), expected, "{now}");
            let found =
                state.apply(Command::FindOrder { payer: name("alice"), id: ten().id }, &at(now));
            let decided = (now <= not_after).then_some(number(4));
            let (payer, now) = (Some(AccountId::new(ALICE)), Timestamp::new(now));
            assert_eq!(found, (Outcome::FoundOrder { payer, decided, now }, None));
        }
    }
    assert_eq!((state.orders().len(), forgetful.orders().len()), (1, 0));
    // Even if the clock is put back behind what is forgotten.
    let outcome = submit(&mut forgetful, BOB, first.clone(), &TERMS);
    assert_eq!(outcome, Outcome::NotTaken(OrderProblem::Expired));
    assert_eq!(submit(&mut state, BOB, first, &TERMS), Outcome::DecidedBefore(number(4)));
}

/// By an earlier clock, behind a crash, it could be settled: that it is over must be on the disk first, once.
#[test]
fn that_time_has_passed_is_an_entry_where_nothing_shows_it() {
    let not_after = ten().not_after.get();
    let late = |nonce| Command::Order {
        submitter: AccountId::new(BOB),
        order: Box::new(verified(
            Order { id: OrderId::new(ten().not_after, [nonce; 10]), ..ten() },
            1,
        )),
    };
    let expired = Outcome::NotTaken(OrderProblem::Expired);
    for (shown, entry) in [
        (not_after - 1, Some(Entry::TimePassed)),
        (not_after, Some(Entry::TimePassed)),
        (not_after + 1, None),
    ] {
        let mut state = signers();
        let terms = Terms { shown: Timestamp::new(shown), ..at(not_after + 1) };
        let mut outcomes = Vec::new();
        state.apply_all(vec![late(1), late(2)], &terms, |_, outcome, entry| {
            outcomes.push((outcome, entry));
        });
        assert_eq!(
            outcomes,
            [(expired.clone(), entry.clone()), (expired.clone(), None)],
            "{shown}"
        );
        let mut replayed = signers();
        replayed.replay(&Entry::TimePassed).expect("it changes nothing");
        assert_eq!(state == replayed, entry.is_some(), "{shown}");
        // Nothing is asked for what could not be settled anyway.
        let status = Command::FindOrder { payer: name("alice"), id: ten().id };
        let found = Outcome::FoundOrder {
            payer: Some(AccountId::new(ALICE)),
            decided: None,
            now: Timestamp::new(shown),
        };
        assert_eq!(state.apply(status, &terms), (found, None));
    }
}

#[test]
fn an_order_from_the_future_is_taken_when_it_is_time() {
    let mut state = signers();
    let now = TERMS.now.get();
    let early = verified(valid_up_to(ten(), now + ORDER_VALIDITY_MS_MAX + 5), 1);
    let not_yet = Outcome::NotTaken(OrderProblem::NotAfterTooFar);
    assert_eq!(submit(&mut state, BOB, early.clone(), &at(now + 4)), not_yet);
    assert_eq!(submit(&mut state, BOB, early, &at(now + 5)), Outcome::Decided(number(4)));
}
