//! bob's wallet: what the server says unasked was paid.

use std::time::Duration;

use wire::secure::{Answer, Event, PayeeAnswer, Problem};
use wire::{Amount, EntryNumber, SignedOrder};

use super::super::PROOFS_SOUGHT_MAX;
use super::receiving::{bob_online, news_of, not_received, order, received, take};
use super::world::{Fault, World, alice, name};
use super::{calls, store};
use crate::messages::{CallError, Proof, ReadReceipt, ServerNews};

/// What the server says unasked needs a proof, and is told once.
#[actix::test]
async fn the_servers_word_of_a_payment_is_proved_and_told_once() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let paid = order(10, 1);
    world.lock().submit(alice().public_key(), &paid);
    let number = EntryNumber::new(3);
    let told = |amount: u64, number, id| {
        let (payer, amount) = (name("alice"), Amount::new(amount));
        ServerNews::Event(Event::Received { payer, amount, number, order: Some(id) })
    };
    world.tell(told(10, number, paid.order.id));
    assert_eq!(client.news.next().await, received(10, Some(paid.order.id)));
    world.tell(told(10, number, paid.order.id));
    assert!(matches!(take(&client, &paid).await, PayeeAnswer::Decided(_)));
    client.news.nothing();
    let receipt = client.wallet.send(ReadReceipt(paid.order.id)).await;
    assert!(receipt.expect("the wallet answers").is_some());
    // Entries that are no payment to bob, that are not there, that are another payment than was said.
    let mut to_olga = order(5, 2).order;
    (to_olga.payee, to_olga.payee_key) = (name("olga"), None);
    let to_olga = to_olga.sign(alice().key());
    let other = order(6, 3);
    for paid in [&to_olga, &other] {
        world.lock().submit(alice().public_key(), paid);
    }
    let elsewhere = vec![world.lock().numbered.last().cloned()];
    let elsewhere = Fault::Says(Ok(Answer::Receipts(elsewhere)));
    for (number, id) in [
        (0, paid.order.id),
        (77, other.order.id),
        (4, to_olga.order.id),
        (5, paid.order.id),
        (78, other.order.id),
    ] {
        if number == 78 {
            world.lock().faults.push(("ReadReceipts", elsewhere.clone()));
        }
        world.tell(told(1_000_000, EntryNumber::new(number), id));
        assert!(not_received(&client.news.next().await), "{number}");
    }
}

/// What the server says unasked that alice has paid bob by her first order.
fn said(paid: &SignedOrder) -> ServerNews {
    let (payer, amount, order) = (name("alice"), paid.order.amount, Some(paid.order.id));
    ServerNews::Event(Event::Received { payer, amount, number: EntryNumber::new(3), order })
}

fn busy() -> (&'static str, Fault) {
    ("ReadReceipts", Fault::Says(Err(CallError::Problem(Problem::Busy))))
}

/// The server cannot give the proof at once: it is asked again before anything is told.
#[actix::test]
async fn a_proof_is_asked_for_again() {
    tokio::time::pause();
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let paid = order(10, 1);
    world.lock().submit(alice().public_key(), &paid);
    world.lock().faults.extend([busy(), busy()]);
    world.tell(said(&paid));
    assert_eq!(client.news.next().await, received(10, Some(paid.order.id)));
    assert!(world.lock().faults.is_empty());
}

/// It cannot at all: the news says that it is the server's word, and the proof is kept when it comes.
#[actix::test]
async fn a_proof_that_comes_later_is_kept_without_news() {
    tokio::time::pause();
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let paid = order(10, 1);
    world.lock().submit(alice().public_key(), &paid);
    world.lock().faults.extend((0..8).map(|_| busy()));
    world.tell(said(&paid));
    // Longer than the wallet asks.
    tokio::time::sleep(Duration::from_secs(150)).await;
    let id = Some(paid.order.id);
    assert_eq!(client.news.next().await, news_of(10, id, Proof::Word));
    let receipt = client.wallet.send(ReadReceipt(paid.order.id)).await;
    assert!(receipt.expect("the wallet answers").is_some());
}

/// The server says the same again while the first is still being proved or written: it is sought and written
/// once, or whoever lies would fill this client's memory.
#[actix::test]
async fn what_is_said_again_meanwhile_is_sought_once() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let paid = order(10, 1);
    world.lock().submit(alice().public_key(), &paid);
    for _ in 0..100 {
        world.tell(said(&paid));
    }
    assert_eq!(client.news.next().await, received(10, Some(paid.order.id)));
    assert_eq!(calls(&world, "ReadReceipts"), 1);
    client.news.nothing();
}

/// Of more than a wallet seeks at once, it tells the server's word. Then there is room again.
#[actix::test]
async fn proofs_are_sought_within_bounds() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let id = order(10, 1).order.id;
    let most = u64::try_from(PROOFS_SOUGHT_MAX).expect("few");
    // None of these is there.
    for number in 1_000..=1_000 + most {
        let (payer, amount) = (name("alice"), Amount::new(10));
        let (number, order) = (EntryNumber::new(number), Some(id));
        world.tell(ServerNews::Event(Event::Received { payer, amount, number, order }));
    }
    assert_eq!(client.news.next().await, news_of(10, Some(id), Proof::Word));
    for _ in 0..PROOFS_SOUGHT_MAX {
        assert!(not_received(&client.news.next().await));
    }
    assert_eq!(calls(&world, "ReadReceipts"), PROOFS_SOUGHT_MAX);
    let paid = order(10, 1);
    world.lock().submit(alice().public_key(), &paid);
    world.tell(said(&paid));
    assert_eq!(client.news.next().await, received(10, Some(id)));
}
