//! Orders: submitted by their payers, their payees and others; once, again and too late.

use wire::secure::{OrderAnswer, OrderProblem, OrderRef, OrderStatus};
use wire::{InvalidSignature, Refusal, SignedOrder, Verdict};

use super::*;
use crate::messages::VerifierBusy;
use crate::probe::keyed_order;

async fn submit(stage: &mut Stage, orders: Vec<SignedOrder>) -> Vec<OrderAnswer> {
    match stage.call(Call::SubmitOrders { orders }).await {
        Ok(Answer::Orders(answers)) => answers,
        other => panic!("{other:?}"),
    }
}

/// Submits one, and expects it not to be taken.
async fn problem(stage: &mut Stage, order: SignedOrder) -> OrderProblem {
    match submit(stage, vec![order]).await.as_slice() {
        [OrderAnswer::NotTaken(problem)] => *problem,
        other => panic!("{other:?}"),
    }
}

async fn decided(stage: &mut Stage, order: &SignedOrder) -> (bool, Verdict) {
    match submit(stage, vec![order.clone()]).await.as_slice() {
        [OrderAnswer::Decided { replayed, receipt }] => {
            assert_eq!(receipt.order(), Some(order));
            (*replayed, receipt.verdict().expect("an order was decided"))
        }
        other => panic!("{other:?}"),
    }
}

async fn status(stage: &mut Stage, order: &SignedOrder) -> OrderStatus {
    let reference = OrderRef { payer: order.order.payer.clone(), id: order.order.id };
    match stage.call(Call::OrderStatus { orders: vec![reference] }).await {
        Ok(Answer::Statuses { mut statuses, now }) => {
            assert_eq!(now, TERMS.now);
            statuses.pop().expect("one")
        }
        other => panic!("{other:?}"),
    }
}

fn paid(number: u8, amount: u64) -> SignedOrder {
    keyed_order(number, ("alice", 1), ("bob", 2), amount).sign(&key(1))
}

#[actix::test]
async fn payer_and_payee_may_submit_and_the_other_one_hears_of_it() {
    let world = World::new();
    let (mut alice, mut bob) = (Stage::open(1, &world).await, Stage::open(2, &world).await);
    let (first, second, refused) = (paid(1, 10), paid(2, 20), paid(3, 5000));
    let number = |number| EntryNumber::new(number);

    assert_eq!(decided(&mut bob, &first).await, (false, Verdict::Settled));
    let event = Event::OrderDecided { order: first.order.id, number: number(4) };
    assert_eq!(bob.notified.next().await, NotifyParties(vec![(name("alice"), event)]));

    assert_eq!(decided(&mut alice, &second).await, (false, Verdict::Settled));
    let event = Event::Received {
        payer: name("alice"),
        amount: Amount::new(20),
        number: number(5),
        order: Some(second.order.id),
    };
    assert_eq!(alice.notified.next().await, NotifyParties(vec![(name("bob"), event)]));

    let verdict = Verdict::Refused(Refusal::InsufficientBalance);
    assert_eq!(decided(&mut alice, &refused).await, (false, verdict));
    // A second time, nothing is news.
    assert_eq!(decided(&mut alice, &first).await, (true, Verdict::Settled));
    alice.notified.nothing();
    bob.notified.nothing();
    assert_eq!(world.balances(), [970, 1030, 1000, 1000]);
}

#[actix::test]
async fn each_order_of_a_call_stands_for_itself() {
    let world = World::new();
    let mut alice = Stage::open(1, &world).await;
    let forged = keyed_order(2, ("alice", 1), ("bob", 2), 20).sign(&key(4));
    let good = [paid(1, 10), paid(3, 30)];
    let all = vec![good[0].clone(), forged, good[1].clone(), good[0].clone()];
    let answers = submit(&mut alice, all).await;
    let shown: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            OrderAnswer::Decided { replayed, receipt } => {
                Ok((*replayed, receipt.order().expect("an order").order.amount.credits()))
            }
            OrderAnswer::NotTaken(problem) => Err(*problem),
        })
        .collect();
    let expected =
        [Ok((false, 10)), Err(OrderProblem::InvalidSignature), Ok((false, 30)), Ok((true, 10))];
    assert_eq!(shown, expected);
    assert_eq!(world.balances()[0], 960);
    assert_eq!(submit(&mut alice, Vec::new()).await, Vec::new());
}

#[actix::test]
async fn what_a_stranger_submits_is_not_taken() {
    let world = World::new();
    let mut mallory = Stage::open(4, &world).await;
    assert_eq!(problem(&mut mallory, paid(1, 10)).await, OrderProblem::NotParty);
    let to_me = keyed_order(2, ("alice", 4), ("mallory", 4), 10).sign(&key(4));
    assert_eq!(problem(&mut mallory, to_me).await, OrderProblem::PayerKeyMismatch);
    let mut altered = keyed_order(3, ("alice", 1), ("mallory", 4), 10).sign(&key(1));
    altered.order.amount = Amount::new(1000);
    assert_eq!(problem(&mut mallory, altered).await, OrderProblem::InvalidSignature);
    mallory.notified.nothing();
    assert_eq!(world.balances(), [1000; 4]);
}

#[actix::test]
async fn a_status_is_for_payer_and_payee_alone() {
    let world = World::new();
    let mut alice = Stage::open(1, &world).await;
    let order = paid(1, 10);
    assert_eq!(status(&mut alice, &order).await, OrderStatus::Unknown);
    decided(&mut alice, &order).await;
    for (number, knows) in [(1, true), (2, true), (4, false)] {
        let mut stage = Stage::open(number, &world).await;
        let found = status(&mut stage, &order).await;
        assert_eq!(matches!(found, OrderStatus::Decided(_)), knows, "{number}");
        let entries = vec![EntryNumber::new(4), EntryNumber::new(99)];
        let Ok(Answer::Receipts(receipts)) = stage.call(Call::ReadReceipts { entries }).await
        else {
            panic!("receipts");
        };
        assert_eq!(receipts.iter().map(Option::is_some).collect::<Vec<_>>(), [knows, false]);
    }
    let ghost = crate::probe::keyed_order(9, ("ghost", 1), ("bob", 2), 1).sign(&key(1));
    assert_eq!(status(&mut alice, &ghost).await, OrderStatus::Unknown);
}

/// "Unknown" would be taken for "not decided", and the payer would pay again.
#[actix::test]
async fn an_order_that_is_decided_is_never_called_unknown() {
    let world = World::new();
    let mut alice = Stage::open(1, &world).await;
    let order = paid(1, 10);
    decided(&mut alice, &order).await;
    world.receipts.borrow_mut().clear();
    let reference = OrderRef { payer: name("alice"), id: order.order.id };
    let status = alice.call(Call::OrderStatus { orders: vec![reference] }).await;
    assert_eq!(status, Err(BUSY));
    assert_eq!(problem(&mut alice, order).await, OrderProblem::Busy);
}

/// The ledger forgets orders whose time is over; what became of them stays.
#[actix::test]
async fn an_order_that_the_ledger_has_forgotten_gives_its_first_outcome_again() {
    let world = World::new();
    let (mut alice, mut bob) = (Stage::open(1, &world).await, Stage::open(2, &world).await);
    let mut old = keyed_order(1, ("alice", 1), ("bob", 2), 10);
    old.not_after = wire::Timestamp::new(TERMS.now.get() - 1);
    old.id = wire::OrderId::new(old.not_after, [1; 10]);
    let never_seen = wire::Order { id: wire::OrderId::new(old.not_after, [2; 10]), ..old.clone() };
    let other = wire::Order { amount: Amount::new(500), ..old.clone() };
    let (old, other) = (old.sign(&key(1)), other.sign(&key(1)));
    let (payer, payee) = (AccountId::new(0), AccountId::new(1));
    let authority = wire::Authority::Order(Box::new(old.clone()));
    let entry = Entry::Transferred { payer, payee, amount: Amount::new(10), authority };
    let number = EntryNumber::new(77);
    world.receipts.borrow_mut().insert(number, receipt(number, entry));

    for stage in [&mut alice, &mut bob] {
        assert_eq!(decided(stage, &old).await, (true, Verdict::Settled));
        assert!(matches!(status(stage, &old).await, OrderStatus::Decided(_)));
        assert_eq!(problem(stage, other.clone()).await, OrderProblem::Conflict);
        let never_seen = never_seen.clone().sign(&key(1));
        assert_eq!(problem(stage, never_seen).await, OrderProblem::Expired);
    }
    // While the archive does not answer, nobody says "expired".
    *world.archive_down.borrow_mut() = Some(ArchiveUnavailable::Busy);
    assert_eq!(problem(&mut alice, old.clone()).await, OrderProblem::Busy);
    *world.archive_down.borrow_mut() = Some(ArchiveUnavailable::Gone);
    let fresh = paid(5, 10);
    let answers = submit(&mut alice, vec![old, fresh]).await;
    assert_eq!(answers[0], OrderAnswer::NotTaken(OrderProblem::HistoryUnavailable));
    assert!(matches!(answers[1], OrderAnswer::Decided { replayed: false, .. }));
    assert_eq!(world.balances(), [990, 1010, 1000, 1000]);
}

/// The key was changed after the order was decided, and the order was forgotten: its outcome stays.
#[actix::test]
async fn an_order_by_an_old_key_is_dead_unless_it_was_decided() {
    let world = World::new();
    let (before, after) = (paid(1, 10), paid(2, 20));
    decided(&mut Stage::open(1, &world).await, &before).await;
    let change = change(1, 11).sign(&key(1), &key(11));
    Stage::open(1, &world).await.call(Call::ChangeKey { change }).await.expect("changed");
    let later = wire::Timestamp::new(before.order.not_after.get() + 1);
    world.state.borrow_mut().forget_expired_orders(later);
    for number in [2, 11] {
        let mut stage = Stage::open(number, &world).await;
        assert_eq!(decided(&mut stage, &before).await, (true, Verdict::Settled));
        assert_eq!(problem(&mut stage, after.clone()).await, OrderProblem::PayerKeyMismatch);
    }
}

#[actix::test]
async fn one_id_is_for_one_order() {
    let world = World::new();
    let mut alice = Stage::open(1, &world).await;
    decided(&mut alice, &paid(1, 10)).await;
    assert_eq!(problem(&mut alice, paid(1, 11)).await, OrderProblem::Conflict);
    assert_eq!(world.balances()[0], 990);
}

/// Who has sent one wrong signature makes no batch of others fail again.
#[actix::test]
async fn who_forges_once_is_checked_apart() {
    let world = World::new();
    let mut alice = Stage::open(1, &world).await;
    let forged = keyed_order(1, ("alice", 1), ("bob", 2), 20).sign(&key(4));
    for (order, apart) in [(paid(2, 1), false), (forged, false), (paid(3, 1), true)] {
        submit(&mut alice, vec![order]).await;
        assert_eq!(alice.verified.next().await.apart, apart);
    }
}

#[actix::test]
async fn many_orders_are_checked_together() {
    let world = World::new();
    let mut alice = Stage::open(1, &world).await;
    let mut bytes = Vec::new();
    let one = paid(1, 10);
    for number in 0..60 {
        let call = Call::SubmitOrders { orders: vec![one.clone(); 3] };
        frame::encode(&Request { correlation: Correlation(number), call }, &mut bytes);
    }
    alice.send_bytes(&bytes).await;
    for _ in 0..60 {
        assert!(alice.response().await.1.is_ok());
    }
    let first = alice.verified.next().await;
    assert!(first.orders.len() >= 150, "{} together", first.orders.len());
    assert_eq!(world.balances()[0], 990);
}

/// A verifier that has too much to do says so; so does its absence.
#[actix::test]
async fn what_cannot_be_checked_is_not_submitted() {
    let mut round = SignedRoundProbe::new();
    for (answer, expected) in
        [(Ok(vec![Err(InvalidSignature)]), None), (Err(VerifierBusy), Some(BUSY))]
    {
        assert_eq!(round.ask(answer).await, expected);
    }
}

/// A session whose verifier answers as the test says.
struct SignedRoundProbe(World);

impl SignedRoundProbe {
    fn new() -> Self {
        Self(World::new())
    }

    async fn ask(
        &mut self,
        answer: Result<crate::messages::Verdicts, VerifierBusy>,
    ) -> Option<Problem> {
        let mut stage = Stage::with_verifier(1, &self.0, move |_| answer.clone());
        stage.send(&Hello::new(magic::CLIENT)).await;
        assert!(stage.frame::<Result<Welcome, Problem>>().await.is_ok());
        let result = stage.call(Call::SubmitOrders { orders: vec![paid(1, 10)] }).await;
        stage.settled.nothing();
        assert_eq!(self.0.balances(), [1000; 4]);
        result.err()
    }
}
