//! The wallet crashes at every point of a payment, and another one opens the same store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wire::OrderId;
use wire::secure::PayeeAnswer;

use super::super::store::{RedbStore, WalletStore as _};
use super::store;
use super::world::{Bob, Client, Fault, GRANT, World, alice};
use crate::messages::{CallError, ComeOnline, DeliverError, PayQuote, PaymentState, ReadReceipt};

/// Longer than a wallet is patient.
const LONG: Duration = Duration::from_mins(2);

/// More steps than anything here takes.
const STEPS_MAX: u32 = 100;

fn bobs() -> [Bob; 5] {
    [
        Bob::Honest,
        Bob::Away,
        Bob::SubmitsAndHangs,
        Bob::SubmitsAndSays(Ok(PayeeAnswer::Unknown)),
        Bob::Says(Err(DeliverError::Silent("gone".to_owned()))),
    ]
}

/// alice wants to pay bob 10 and crashes after so many steps. Whether she did it at all.
async fn pay_and_crash(world: &World, store: &Arc<RedbStore>, bob: &Bob, fuse: u32) -> bool {
    world.lock().bob = bob.clone();
    let client = world.client(alice(), None, store);
    client.start().await.expect("the server is there");
    client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("logged in");
    let quote = client.quote("bob", 10).await.expect("a quote");
    world.lock().fuse = Some(fuse);
    let paying = timeout(LONG, client.wallet.send(PayQuote(quote))).await;
    drop(client);
    let finished = world.lock().fuse != Some(0);
    let paid = paying.is_ok_and(|paid| paid.is_ok_and(|paid| paid.is_ok()));
    world.lock().fuse = None;
    finished && paid
}

/// The money moved exactly once or not at all, and the wallet says which.
async fn check_books(world: &World, client: &Client, story: &str) {
    let said = client.payments().await;
    let moved = match said.as_slice() {
        [] | [(10, PaymentState::Dead(_) | PaymentState::Refused(_))] => 0,
        [(10, PaymentState::Paid)] => 10,
        other => panic!("{story}: {other:?}"),
    };
    assert_eq!(world.balance("alice"), GRANT - moved, "{story}");
    assert_eq!(world.balance("bob"), GRANT + moved, "{story}");
    let ids: BTreeSet<OrderId> = {
        let server = world.lock();
        server.submitted.iter().chain(&server.kept).map(|order| order.order.id).collect()
    };
    assert!(ids.len() <= 1, "{story}: one wish, one order");
    if moved > 0 {
        let id = *ids.first().expect("it was submitted");
        let receipt = client.wallet.send(ReadReceipt(id)).await.expect("the wallet answers");
        assert!(receipt.is_some(), "{story}: paid is what has a receipt");
    }
}

/// If the order were sent before it is in the outbox, or another one were made after a restart, alice would
/// pay without knowing it, or twice.
#[actix::test]
async fn a_crash_at_every_point_of_a_payment() {
    tokio::time::pause();
    for bob in bobs() {
        let mut fuse = 0;
        loop {
            let (world, store) = (World::new(), store());
            let finished = pay_and_crash(&world, &store, &bob, fuse).await;
            let client = world.client(alice(), None, &store);
            client.start().await.expect("the server is there");
            check_books(&world, &client, &format!("{bob:?}, {fuse} steps")).await;
            if finished {
                break;
            }
            fuse += 1;
            assert!(fuse < STEPS_MAX);
        }
        assert!(fuse > 4, "{bob:?}: the fuse burns at each message and write");
    }
}

/// The same, and then the wallet crashes again while it finds out what happened.
#[actix::test]
async fn a_crash_while_finding_out() {
    tokio::time::pause();
    let open = Bob::Says(Err(DeliverError::Silent("gone".to_owned())));
    for bob in [open, Bob::SubmitsAndHangs] {
        for fuse in 0.. {
            let (world, store) = (World::new(), store());
            let paid = pay_and_crash(&world, &store, &bob, fuse).await;
            let mut second = 0;
            loop {
                let client = world.client(alice(), None, &store);
                world.lock().fuse = Some(second);
                let started = timeout(LONG, client.start()).await;
                let finished = world.lock().fuse != Some(0);
                world.lock().fuse = None;
                if finished && started.is_ok_and(|started| started.is_ok()) {
                    check_books(&world, &client, &format!("{bob:?}, {fuse}, {second}")).await;
                    break;
                }
                second += 1;
                assert!(second < STEPS_MAX);
            }
            let client = world.client(alice(), None, &store);
            client.start().await.expect("the server is there");
            check_books(&world, &client, &format!("{bob:?}, {fuse}, at last")).await;
            if paid {
                break;
            }
            assert!(fuse < STEPS_MAX);
        }
    }
}

/// The machine is lost with the order in its outbox. Whoever has the phrase finds the order at the server.
#[actix::test]
async fn a_restored_wallet_takes_up_what_the_server_kept() {
    tokio::time::pause();
    let world = World::new();
    world.lock().bob = Bob::Hangs;
    let client = world.client(alice(), None, &store());
    client.start().await.expect("the server is there");
    assert_eq!(client.pay("bob", 10).await.expect("a payment").state, PaymentState::Open);
    assert_eq!(world.balance("alice"), GRANT);
    // A stranger's order and a forged one are not taken up.
    let mut forged = world.lock().kept[0].clone();
    forged.order.amount = wire::Amount::new(500);
    forged.order.id = OrderId::new(forged.order.not_after, [8; 10]);
    let mut others = forged.order.clone();
    others.payer_key = super::world::bob().public_key();
    others.id = OrderId::new(others.not_after, [9; 10]);
    let others = others.sign(super::world::bob().key());
    world.lock().kept.splice(0..0, [forged, others]);

    let (new_store, restored_id) = (store(), world.lock().kept[2].order.id);
    let restored = world.client(alice(), None, &new_store);
    let started = restored.start().await.expect("the server is there");
    let payments: Vec<_> = started.payments.iter().map(|p| (p.id, p.state)).collect();
    assert_eq!(payments, [(restored_id, PaymentState::Paid)]);
    assert_eq!(world.balance("alice"), GRANT - 10);
    let server = wire::signature::public_key(&super::world::server_key());
    assert!(new_store.outbox(&server).expect("readable").is_empty());
}

/// The server is not there when the wallet starts: the payment is open, and shown so, until it is.
#[actix::test]
async fn a_start_without_a_server_forgets_nothing() {
    tokio::time::pause();
    let (world, store) = (World::new(), store());
    world.lock().bob = Bob::Away;
    let silent = || Fault::Says(Err(CallError::Silent(10)));
    world.lock().faults.extend((0..9).flat_map(|_| [("SubmitOrders", silent())]));
    let client = world.client(alice(), None, &store);
    client.start().await.expect("the server is there");
    assert_eq!(client.pay("bob", 10).await.expect("a payment").state, PaymentState::Open);
    world.lock().unreachable = true;
    let client = world.client(alice(), None, &store);
    client.start().await.expect_err("nobody is there");
    assert_eq!(client.payments().await, [(10, PaymentState::Open)]);
    world.lock().unreachable = false;
    world.lock().faults.clear();
    let started = client.start().await.expect("the server is there");
    assert_eq!(started.payments.len(), 1);
    assert_eq!(started.payments[0].state, PaymentState::Paid);
    check_books(&world, &client, "started at last").await;
}
