use futures_util::future::join_all;
use tokio::sync::mpsc::unbounded_channel;
use wire::{InvalidSignature, SignedOrder};

use super::turns::{BATCH_ORDERS_MAX, ORDERS_WAITING_MAX};
use super::*;
use crate::probe::{key, keyed_order, no_log};

fn good(number: u8) -> SignedOrder {
    keyed_order(number, ("alice", 1), ("bob", 2), 10).sign(&key(1))
}

fn forged(number: u8) -> SignedOrder {
    keyed_order(number, ("alice", 1), ("bob", 2), 10).sign(&key(2))
}

fn question(orders: &[SignedOrder], apart: bool) -> VerifyOrders {
    VerifyOrders { sender: wire::PublicKey::new([9; 32]), orders: orders.to_vec(), apart }
}

fn validity(verdicts: Result<Verdicts, VerifierBusy>) -> Vec<bool> {
    let verdicts = verdicts.expect("there is room");
    verdicts.iter().map(|verdict| *verdict != Err(InvalidSignature)).collect()
}

#[actix::test]
async fn each_sender_gets_the_verdicts_on_its_own_orders() {
    for apart in [false, true] {
        let verifier = Verifier::new(&no_log()).start();
        let first = verifier.send(question(&[good(1), good(2)], false));
        let second = verifier.send(question(&[good(3), forged(4), good(5)], apart));
        let third = verifier.send(question(&[], false));
        let fourth = verifier.send(question(&[good(6)], false));
        assert_eq!(validity(first.await.expect("answers")), [true, true]);
        assert_eq!(validity(second.await.expect("answers")), [true, false, true]);
        assert_eq!(validity(third.await.expect("answers")), [] as [bool; 0]);
        let verdicts = fourth.await.expect("answers").expect("there is room");
        let verified = verdicts[0].as_ref().expect("signed");
        assert_eq!(*verified.signed(), good(6));
        assert_eq!(*verified.hash(), good(6).order.hash());
    }
}

#[actix::test]
async fn what_is_altered_after_signing_is_found() {
    let verifier = Verifier::new(&no_log()).start();
    let mut altered = good(1);
    altered.order.amount = wire::Amount::new(11);
    let mut resigned = good(2);
    resigned.signature = good(3).signature;
    let orders = [altered, good(4), resigned];
    let verdicts = verifier.send(question(&orders, false)).await.expect("answers");
    assert_eq!(validity(verdicts), [false, true, false]);
}

/// More than one batch takes are checked in several, and nobody is forgotten.
#[actix::test]
async fn large_crowds_are_checked_in_batches() {
    let verifier = Verifier::new(&no_log()).start();
    let orders = vec![good(1); BATCH_ORDERS_MAX / 3];
    let asked: Vec<_> = (0..7).map(|_| verifier.send(question(&orders, false))).collect();
    for answer in asked {
        let verdicts = answer.await.expect("answers").expect("there is room");
        assert_eq!(verdicts.len(), orders.len());
        assert!(verdicts.iter().all(Result::is_ok));
    }
}

#[actix::test]
async fn who_comes_when_too_many_wait_is_told_so() {
    let mut full = Verifier::new(&no_log());
    // A fourth of that is one sender's.
    full.turns.pretend_orders(ORDERS_WAITING_MAX - 4);
    let verifier = full.start();
    let two = verifier.send(question(&[good(1), good(2)], false)).await.expect("answers");
    assert_eq!(two, Err(VerifierBusy));
    let one = verifier.send(question(&[good(1)], false)).await.expect("answers");
    assert_eq!(validity(one), [true]);
}

/// A server that takes no order and looks alive would be worse than one that starts again.
#[actix::test]
async fn a_panic_stops_the_process() {
    let (panicked, mut panics) = unbounded_channel();
    let fail_stop = FailStop::new(move || panicked.send(()).expect("the test waits"));
    let mut verifier = Verifier::new(&no_log()).with_fail_stop(fail_stop);
    // One that nobody has counted: the books do not balance, and it notices.
    let (_later, reply) = Later::new();
    verifier.turns.push(question(&[good(1)], false), reply);
    verifier.turns.pretend_orders(0);
    verifier.start().do_send(question(&[good(2)], false));
    assert_eq!(panics.recv().await, Some(()));
}

/// More messages than the mailbox is told to hold: awaiting them goes past that, each has its answer, and what
/// waits is bounded by the orders in them.
#[actix::test]
async fn a_flood_of_messages_is_answered_and_no_more_orders_wait_than_may() {
    const ROOM: usize = 1000;
    const MESSAGES: usize = 3 * MAILBOX_MESSAGES;
    let mut nearly_full = Verifier::new(&no_log());
    nearly_full.turns.pretend_orders(ORDERS_WAITING_MAX - 5 * ROOM);
    let verifier = nearly_full.start().recipient();
    tokio::task::yield_now().await;
    let one = question(&[good(1)], false);
    let asked = (0..MESSAGES).map(|_| verifier.send(one.clone()));
    let (mut checked, mut busy) = (0, 0);
    for answer in join_all(asked).await {
        match answer.expect("answers") {
            Ok(verdicts) => checked += verdicts.len(),
            Err(VerifierBusy) => busy += 1,
        }
    }
    assert_eq!(checked + busy, MESSAGES);
    assert!(checked >= ROOM && busy > 0, "{checked} checked, {busy} busy");
}
