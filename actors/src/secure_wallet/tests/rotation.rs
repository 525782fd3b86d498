//! Changes of the key, with every answer lost and a crash at every point.

use std::time::Duration;

use tokio::time::timeout;
use wire::secure::{Answer, OrderProblem, Problem};
use wire::{AccountId, Entry, EntryNumber, KeyChange};

use super::store;
use super::world::server_key;
use super::world::{Bob, Client, DAWN, Fault, GRANT, World, alice, alice_next, key, name, seal};
use crate::messages::{
    CallError, ComeOnline, ConnectError, PayError, PayQuote, PaymentState, RotateKey, Rotated,
    Signer, WalletNews,
};

async fn rotate(client: &Client, new: Signer) -> Result<Rotated, PayError> {
    client.wallet.send(RotateKey(new)).await.expect("the wallet answers")
}

/// Who can debit alice's account.
fn live_key(world: &World) -> wire::PublicKey {
    let server = world.lock();
    let account = server.ledger.find("alice").and_then(|id| server.ledger.account(id).cloned());
    match account.expect("an account").access {
        wire::Access::Keyed(key) => key,
        wire::Access::Open => panic!("alice has a key"),
    }
}

#[actix::test]
async fn what_the_old_key_signed_is_dead_and_listed() {
    tokio::time::pause();
    let world = World::new();
    let mut client = super::alice_online(&world).await;
    world.lock().bob = Bob::Hangs;
    let open = client.pay("bob", 10).await.expect("a payment");
    assert_eq!(open.state, PaymentState::Open);
    let rotated = rotate(&client, alice_next()).await.expect("rotated");
    assert_eq!(rotated.key, alice_next().public_key());
    assert_eq!(live_key(&world), rotated.key);
    let dead: Vec<_> = rotated.dead.iter().map(|payment| (payment.id, payment.state)).collect();
    assert_eq!(dead, [(open.id, PaymentState::Dead(OrderProblem::PayerKeyMismatch))]);
    // The new key pays, and the wallet is logged in with it.
    world.lock().bob = Bob::Honest;
    assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
    assert_eq!(world.balance("alice"), GRANT - 10);
    client.news.nothing();
    // Saying it again changes nothing.
    let again = rotate(&client, alice_next()).await.expect("it is done");
    assert_eq!(again, Rotated { key: alice_next().public_key(), dead: Vec::new() });
}

/// A receipt of a key change that the server has never made.
fn false_receipt() -> Answer {
    let change = KeyChange {
        version: wire::key_change::KEY_CHANGE_VERSION,
        server: wire::signature::public_key(&server_key()),
        account: name("alice"),
        old: alice().public_key(),
        new: alice_next().public_key(),
    };
    let change = Box::new(change.sign(alice().key(), alice_next().key()));
    let entry = Entry::KeyChanged { account: AccountId::new(0), change };
    Answer::KeyChanged(Box::new(seal(&key(0xEE), EntryNumber::new(9), DAWN, entry)))
}

/// The answer is lost, or proves nothing: which of the two keys has the account decides.
#[actix::test]
async fn a_lost_answer_is_found_out() {
    tokio::time::pause();
    let lost = || Err(CallError::Lost("reset".to_owned()));
    for answer in [lost(), Err(CallError::Silent(10)), Ok(false_receipt()), Ok(Answer::Kept)] {
        let world = World::new();
        let client = super::alice_online(&world).await;
        world.lock().faults.push(("ChangeKey", Fault::DoesAndSays(answer.clone())));
        let rotated = rotate(&client, alice_next()).await.expect("it was done");
        assert_eq!(rotated.key, live_key(&world));
        assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);

        let world = World::new();
        let client = super::alice_online(&world).await;
        world.lock().faults.push(("ChangeKey", Fault::Says(answer.clone())));
        let kept = rotate(&client, alice_next()).await;
        let unsure = PayError::ServerSilent("whether the key is changed is not known yet".into());
        assert_eq!(kept, Err(unsure), "{answer:?}");
        assert_eq!(live_key(&world), alice().public_key());
        assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
        // The request may still be on its way: no other key until this one is settled.
        let other = rotate(&client, Signer::new(key(0xA3))).await;
        assert_eq!(other, Err(PayError::RotationPending(alice_next().public_key())));
        let rotated = rotate(&client, alice_next()).await.expect("it is done now");
        assert_eq!(rotated.key, live_key(&world));
    }
}

/// The change may be made while nobody can be asked: nothing is said that may be false.
#[actix::test]
async fn a_change_whose_server_is_gone_is_not_said_to_have_failed() {
    tokio::time::pause();
    let world = World::new();
    let client = super::alice_online(&world).await;
    let lost = Fault::DoesAndSays(Err(CallError::Lost("reset".to_owned())));
    world.lock().faults.push(("ChangeKey", lost));
    world.lock().unreachable = true;
    let unsure = PayError::ServerSilent("whether the key is changed is not known yet".into());
    assert_eq!(rotate(&client, alice_next()).await, Err(unsure));
    world.lock().unreachable = false;
    let rotated = rotate(&client, alice_next()).await.expect("it was done");
    assert_eq!(rotated.key, live_key(&world));
}

#[actix::test]
async fn a_refused_change_changes_nothing() {
    let world = World::new();
    let client = super::alice_online(&world).await;
    let busy = Fault::Says(Err(CallError::Problem(Problem::Busy)));
    world.lock().faults.push(("ChangeKey", busy));
    assert_eq!(rotate(&client, alice_next()).await, Err(PayError::Problem(Problem::Busy)));
    assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
}

/// While nobody knows which key the account has, an order could be signed by the wrong one.
#[actix::test]
async fn no_payment_begins_while_the_key_changes() {
    tokio::time::pause();
    let world = World::new();
    let client = super::alice_online(&world).await;
    let quote = client.quote("bob", 10).await.expect("a quote");
    let rotating = client.wallet.send(RotateKey(alice_next()));
    let paying = client.wallet.send(PayQuote(quote));
    let (rotated, paid) = futures_util::future::join(rotating, paying).await;
    rotated.expect("the wallet answers").expect("rotated");
    let paid = paid.expect("the wallet answers");
    assert_eq!(paid, Err(PayError::RotationPending(alice_next().public_key())));
    assert!(world.lock().submitted.is_empty());
}

/// An old request that the server does at last, when nobody expects it any more.
#[actix::test]
async fn a_change_that_is_made_late_is_noticed() {
    tokio::time::pause();
    let world = World::new();
    let mut client = super::alice_online(&world).await;
    let silent = Fault::Says(Err(CallError::Silent(10)));
    world.lock().faults.push(("ChangeKey", silent));
    rotate(&client, alice_next()).await.expect_err("nobody answers");
    let change = world.lock().calls.iter().rev().find_map(|call| match call {
        wire::secure::Call::ChangeKey { change } => Some(change.clone()),
        _ => None,
    });
    world.lock().change_key(change.expect("it was asked for"));
    world.tell(crate::messages::ServerNews::Lost("the account has another key".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    let key = alice_next().public_key();
    assert_eq!(client.news.next().await, WalletNews::KeyChanged(key));
    assert_eq!(client.news.next().await, WalletNews::ServerBack);
    assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
}

/// Another device, which has the words, puts a key that this wallet has never seen in the place of its.
fn change_key_elsewhere(world: &World) {
    let change = KeyChange {
        version: wire::key_change::KEY_CHANGE_VERSION,
        server: wire::signature::public_key(&server_key()),
        account: name("alice"),
        old: alice().public_key(),
        new: wire::signature::public_key(&key(0xA9)),
    };
    world.lock().change_key(change.sign(alice().key(), &key(0xA9)));
}

/// The server answers another key only: whoever kept saying "checking" would never know more.
#[actix::test]
async fn a_wallet_whose_key_was_replaced_elsewhere_says_so_and_stops_asking() {
    tokio::time::pause();
    let (world, store) = (World::new(), store());
    let mut client = world.client(alice(), None, &store);
    client.start().await.expect("the server is there");
    client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("online");
    world.lock().bob = Bob::Hangs;
    assert_eq!(client.pay("bob", 10).await.expect("a payment").state, PaymentState::Open);
    change_key_elsewhere(&world);
    world.tell(crate::messages::ServerNews::Lost("the account has another key".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    let WalletNews::KeyReplaced { payments } = client.news.next().await else {
        panic!("it knows what happened")
    };
    let states: Vec<_> = payments.iter().map(|payment| payment.state).collect();
    assert_eq!(states, [PaymentState::OutOfReach]);
    assert_eq!(client.payments().await, [(10, PaymentState::OutOfReach)]);
    let connects = world.lock().attempts;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.lock().attempts, connects, "nobody would answer");
    client.news.nothing();
    // A person may ask again, and the record is kept.
    let error = client.start().await.expect_err("the key is not the account's");
    assert_eq!(error, PayError::Connect(ConnectError::Refused(Problem::KeyRetired)));
    assert_eq!(world.lock().attempts, connects + 1);

    let mut client = world.client(alice(), None, &store);
    assert_eq!(client.payments().await, [(10, PaymentState::Open)], "nobody was asked yet");
    client.start().await.expect_err("the key is not the account's");
    assert!(matches!(client.news.next().await, WalletNews::KeyReplaced { .. }));
    assert_eq!(client.payments().await, [(10, PaymentState::OutOfReach)]);
}

/// If the wallet forgot the new key, or went on with the old one, the account would be lost.
#[actix::test]
async fn a_crash_at_every_point_of_a_key_change() {
    tokio::time::pause();
    for fuse in 0..100 {
        let (world, store) = (World::new(), store());
        world.lock().bob = Bob::Hangs;
        let client = world.client(alice(), None, &store);
        client.start().await.expect("the server is there");
        client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("online");
        assert_eq!(client.pay("bob", 10).await.expect("a payment").state, PaymentState::Open);
        world.lock().fuse = Some(fuse);
        let rotated = timeout(Duration::from_mins(5), rotate(&client, alice_next())).await;
        let finished = world.lock().fuse != Some(0);
        world.lock().fuse = None;
        let rotated = finished && rotated.is_ok_and(|rotated| rotated.is_ok());

        let client = world.client(alice(), Some(alice_next()), &store);
        let started = client.start().await.expect("the server is there");
        assert_eq!(started.key, live_key(&world), "{fuse} steps");
        let account = started.account.expect("she has an account");
        assert_eq!(account.name, name("alice"));
        let moved = match client.payments().await.as_slice() {
            [(10, PaymentState::Paid)] => 10,
            [(10, PaymentState::Dead(OrderProblem::PayerKeyMismatch))] => 0,
            other => panic!("{fuse} steps: {other:?}"),
        };
        assert_eq!(world.balance("alice"), GRANT - moved, "{fuse} steps");
        world.lock().bob = Bob::Honest;
        client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("online");
        assert_eq!(client.pay("bob", 1).await.expect("paid").state, PaymentState::Paid);
        if rotated {
            assert!(fuse > 4, "the fuse burns at each message and write");
            return;
        }
    }
    panic!("it never ends");
}
