//! Keys of peers: known, new, changed, gone; and what only asks.

use wire::secure::{AccountInfo, Answer, OnlinePeer};
use wire::{Amount, EntryNumber, P2pPort};

use super::super::store::{Change, KnownPeer, WalletStore as _};
use super::store;
use super::world::{Client, DAWN, Fault, GRANT, World, alice, bob, key, name, server_key};
use crate::messages::{
    CallError, ComeOnline, OpenAccount, PayError, ReadOverview, ReadOwnHistory, ReadReceipt,
    SayGoodbye, Signer, Trust, TrustPeer,
};

fn found(who: &str, key: Option<wire::PublicKey>) -> Fault {
    let account = AccountInfo { name: name(who), key, address: None };
    Fault::Says(Ok(Answer::Account(Some(account))))
}

#[actix::test]
async fn a_changed_key_is_a_stop_until_it_is_trusted() {
    let world = World::new();
    let client = super::alice_online(&world).await;
    assert_eq!(client.quote("bob", 10).await.expect("a quote").trust, Trust::New);
    client.pay("bob", 10).await.expect("paid");
    assert_eq!(client.quote("bob", 10).await.expect("a quote").trust, Trust::Known);

    // A server, or somebody in between, who shows another key or none.
    let other = wire::signature::public_key(&key(0xEE));
    let known = bob().public_key();
    world.lock().faults.push(("FindAccount", found("bob", Some(other))));
    let stop = PayError::PayeeKeyChanged { payee: name("bob"), known, found: other };
    assert_eq!(client.quote("bob", 10).await, Err(stop));
    world.lock().faults.push(("FindAccount", found("bob", None)));
    let stop = PayError::PayeeKeyGone { payee: name("bob"), known };
    assert_eq!(client.quote("bob", 10).await, Err(stop));
    world.lock().faults.push(("FindAccount", found("bobby", Some(other))));
    assert!(matches!(client.quote("bob", 10).await, Err(PayError::ServerSilent(_))));

    let trust = TrustPeer { name: name("bob"), key: other };
    assert_eq!(client.wallet.send(trust).await, Ok(Ok(())));
    world.lock().faults.push(("FindAccount", found("bob", Some(other))));
    assert_eq!(client.quote("bob", 10).await.expect("a quote").trust, Trust::Known);
    assert!(client.quote("bob", 10).await.is_err(), "the old key is the wrong one now");
}

#[actix::test]
async fn peers_of_another_server_are_strangers() {
    let (world, store) = (World::new(), store());
    let peer = KnownPeer { key: bob().public_key(), since: wire::Timestamp::new(DAWN) };
    let server = wire::signature::public_key(&key(0xEE));
    store.write(&[Change::Trust { server, name: name("bob"), peer }]).expect("written");
    let client = world.client(alice(), None, &store);
    client.start().await.expect("the server is there");
    assert_eq!(client.quote("bob", 10).await.expect("a quote").trust, Trust::New);
}

async fn overview(client: &Client) -> Result<(u64, Option<usize>), PayError> {
    let overview = client.wallet.send(ReadOverview).await.expect("the wallet answers")?;
    Ok((overview.account.balance.credits(), overview.peers.map(|peers| peers.len())))
}

#[actix::test]
async fn questions_are_answered() {
    let world = World::new();
    let client = world.client(alice(), None, &store());
    let started = client.start().await.expect("the server is there");
    assert_eq!(started.server, wire::signature::public_key(&server_key()));
    assert_eq!(started.key, alice().public_key());
    assert_eq!(overview(&client).await, Ok((GRANT, None)));
    let port: P2pPort = "7001".parse().expect("a port");
    let online = client.wallet.send(ComeOnline(Some(port))).await.expect("the wallet answers");
    assert_eq!(online.expect("logged in").name, name("alice"));
    assert_eq!(overview(&client).await, Ok((GRANT, Some(1))));
    let history = ReadOwnHistory { before: Some(EntryNumber::new(9)), limit: u32::MAX };
    let page = client.wallet.send(history).await.expect("the wallet answers").expect("a page");
    assert!(!page.more);
    let nothing = wire::OrderId::new(wire::Timestamp::new(1), [0; 10]);
    assert_eq!(client.wallet.send(ReadReceipt(nothing)).await, Ok(None));
    assert_eq!(client.wallet.send(SayGoodbye).await, Ok(Ok(())));
    assert_eq!(client.wallet.send(SayGoodbye).await, Ok(Ok(())));
    let connects = world.lock().connects;
    assert_eq!(overview(&client).await, Ok((GRANT, None)));
    assert_eq!(world.lock().connects, connects + 1);
}

/// A list that says "more" for ever must not be read for ever.
#[actix::test]
async fn an_endless_list_is_given_up() {
    let world = World::new();
    let client = super::alice_online(&world).await;
    let key = Some(bob().public_key());
    let peer = OnlinePeer { name: name("bob"), key, address: ([127, 0, 0, 1], 1).into() };
    for peers in [vec![peer], Vec::new()] {
        let page = Fault::Says(Ok(Answer::Online { peers, more: true }));
        world.lock().faults.push(("ListOnline", page.clone()));
        world.lock().faults.push(("ListOnline", page));
        assert!(matches!(overview(&client).await, Err(PayError::ServerSilent(_))));
        world.lock().faults.clear();
    }
}

#[actix::test]
async fn an_account_is_opened_once() {
    let world = World::new();
    let carol = || Signer::new(key(0xC0));
    let client = world.client(carol(), None, &store());
    let started = client.start().await.expect("the server is there");
    assert_eq!(started.account, None);
    assert_eq!(client.quote("bob", 1).await, Err(PayError::NoAccount));
    assert_eq!(overview(&client).await, Err(PayError::NoAccount));
    // The answer is lost: the next connection's welcome says that it was done.
    let lost = Fault::DoesAndSays(Err(CallError::Lost("reset".to_owned())));
    world.lock().faults.push(("Register", lost));
    let opened = client.wallet.send(OpenAccount(name("carol"))).await.expect("answers");
    let opened = opened.expect("it is done");
    assert_eq!((opened.name, opened.balance), (name("carol"), Amount::new(GRANT)));
    // Lost before it was done.
    let dave = world.client(Signer::new(key(0xD0)), None, &store());
    dave.start().await.expect("the server is there");
    let lost = Fault::Says(Err(CallError::Lost("reset".to_owned())));
    world.lock().faults.push(("Register", lost));
    let opened = dave.wallet.send(OpenAccount(name("dave"))).await.expect("answers");
    assert!(matches!(opened, Err(PayError::ServerSilent(_))));
    let opened = dave.wallet.send(OpenAccount(name("dave"))).await.expect("answers");
    assert_eq!(opened.expect("opened").name, name("dave"));
}
