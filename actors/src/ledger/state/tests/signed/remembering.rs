//! Of how many orders the ledger knows that they are decided, and for how long.

use super::*;
use crate::ledger::state::orders::ORDERS_PER_PAYER_MAX;

const EVE: u64 = 3;

/// An order that was decided long ago.
fn decided(payer: u64, nonce: u64, not_after: u64) -> DecidedOrder {
    let mut random = [0xFF; 10];
    random[..8].copy_from_slice(&nonce.to_be_bytes());
    DecidedOrder {
        payer: AccountId::new(payer),
        id: OrderId::new(Timestamp::new(not_after), random),
        hash: ten().hash(),
        decided: number(0),
    }
}

/// The signers, and these orders besides those that are decided.
fn with_orders(state: &State, orders: impl Iterator<Item = DecidedOrder>) -> State {
    let mut parts = parts(state);
    parts.orders.extend(orders);
    State::restore(parts).expect("whole")
}

/// The story: one account signs orders that are refused, valid for a day, until nobody's are taken.
#[test]
fn a_payer_with_too_many_orders_waits_and_others_do_not() {
    let not_after = ten().not_after.get();
    let most = u64::from(ORDERS_PER_PAYER_MAX);
    // They are forgotten when the whole second is over.
    let over = not_after + 1000;
    let last = verified(ten(), 1);
    let alices = |count| (0..count).map(|nonce| decided(ALICE, nonce, not_after));
    let mut full = with_orders(&signers(), alices(most - 1));
    assert_eq!(submit(&mut full, BOB, last.clone(), &TERMS), Outcome::Decided(number(4)));
    // As many as before, counted again.
    for mut full in [full.clone(), State::restore(parts(&full)).expect("whole")] {
        let before = full.clone();
        let more = verified(Order { memo_hash: [1; 32], ..valid_up_to(ten(), over) }, 1);
        let command =
            Command::Order { submitter: AccountId::new(BOB), order: Box::new(more.clone()) };
        let busy = Outcome::NotTaken(OrderProblem::Busy);
        assert_eq!(full.apply(command, &TERMS), (busy, None));
        assert_eq!(full, before, "it leaves no trace");
        // What was decided stays so, and others pay as ever.
        let again = submit(&mut full, BOB, last.clone(), &TERMS);
        assert_eq!(again, Outcome::DecidedBefore(number(4)));
        let eves = verified(order(("eve", 4), ("bob", keyed(2)), 1, 1), 4);
        assert_eq!(submit(&mut full, BOB, eves, &TERMS), Outcome::Decided(number(5)));
        full.forget_expired_orders(Timestamp::new(over));
        let later = at(over);
        assert_eq!(submit(&mut full, BOB, more, &later), Outcome::Decided(number(6)));
    }
}

/// A journal may have been written when there was no such bound, or another one.
#[test]
fn what_is_written_down_is_replayed_however_much_it_is() {
    let not_after = ten().not_after.get();
    let most = u64::from(ORDERS_PER_PAYER_MAX);
    let alices = (0..most).map(|nonce| decided(ALICE, nonce, not_after));
    let mut full = with_orders(&signers(), alices);
    let paid = Entry::Transferred {
        payer: AccountId::new(ALICE),
        payee: AccountId::new(BOB),
        amount: Amount::new(10),
        authority: Authority::Order(Box::new(ten().sign(&key(1)))),
    };
    assert_eq!(full.replay(&paid), Ok(()));
    assert_eq!(State::restore(parts(&full)), Ok(full));
}

/// What has expired and is not forgotten yet must neither answer for an order nor be in a snapshot.
#[test]
fn what_is_decided_does_not_depend_on_how_many_are_forgotten() {
    let not_after = ten().not_after.get();
    let first = verified(ten(), 1);
    let mut state = signers();
    assert_eq!(submit(&mut state, BOB, first.clone(), &TERMS), Outcome::Decided(number(4)));
    // They expire before alice's, and are more than are forgotten in one turn.
    let mut slow = with_orders(&state, (0..10_000).map(|nonce| decided(EVE, nonce, not_after - 1)));
    for state in [&mut state, &mut slow] {
        state.forget_expired_orders(Timestamp::new(not_after + 1));
        // The clock was put back.
        let outcome = submit(state, BOB, first.clone(), &TERMS);
        assert_eq!(outcome, Outcome::NotTaken(OrderProblem::Expired));
        let question = Command::FindOrder { payer: name("alice"), id: ten().id };
        let payer = Some(AccountId::new(ALICE));
        let unknown = Outcome::FoundOrder { payer, decided: None, now: TERMS.now };
        assert_eq!(state.apply(question, &TERMS), (unknown, None));
        let again = Entry::Transferred {
            payer: AccountId::new(ALICE),
            payee: AccountId::new(BOB),
            amount: Amount::new(10),
            authority: Authority::Order(Box::new(first.signed().clone())),
        };
        let expired = ReplayError::OrderExpired(AccountId::new(ALICE));
        assert_eq!(state.replay(&again), Err(expired));
    }
    assert_eq!(slow, state);
    assert_eq!(parts(&slow), parts(&state), "what a snapshot holds");
}
