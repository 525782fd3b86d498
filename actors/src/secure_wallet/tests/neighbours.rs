//! Neighbours that are gone, or that forget what they were asked: no payment is made twice or called made,
//! and whoever waits hears of it.

use actix::prelude::*;
use wire::Amount;
use wire::secure::Event;

use super::super::Neighbours;
use super::world::{GRANT, World, alice, name};
use super::{Client, store};
use crate::messages::{
    AskServer, CallError, ComeOnline, ConnectError, ConnectSecure, PayError, PaymentState,
    QuotePayment, SecureConnection, ServerNews, WalletNews,
};
use crate::probe::{Trouble, settle, slow, troubled};

/// alice's wallet, started and logged in, with these neighbours.
async fn alice_among(world: &World, adjust: impl FnOnce(&mut Neighbours)) -> Client {
    let client = world.client_among(alice(), None, &store(), adjust);
    client.start().await.expect("the server is there");
    client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("logged in");
    client
}

#[actix::test]
async fn without_a_dialer_the_server_settles_the_payment() {
    for trouble in Trouble::UNANSWERED {
        let world = World::new();
        let dialer = troubled(trouble, None).await;
        let client = alice_among(&world, |neighbours| neighbours.dialer = dialer).await;
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Paid);
        assert_eq!((world.balance("alice"), world.balance("bob")), (GRANT - 10, GRANT + 10));
    }
}

#[actix::test]
async fn without_a_terminal_payments_go_on() {
    for trouble in Trouble::UNANSWERED {
        let world = World::new();
        let terminal = troubled::<WalletNews>(trouble, None).await;
        let client = alice_among(&world, |neighbours| neighbours.terminal = terminal).await;
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Paid);
        assert_eq!(client.payments().await, [(10, PaymentState::Paid)]);
    }
}

#[actix::test]
async fn without_a_connector_nothing_is_signed_and_everybody_hears_so() {
    for trouble in Trouble::UNANSWERED {
        let world = World::new();
        let connector = troubled(trouble, None).await;
        let adjust = |neighbours: &mut Neighbours| neighbours.connector = connector;
        let client = world.client_among(alice(), None, &store(), adjust);
        let refused = client.quote("bob", 10).await;
        assert!(matches!(refused, Err(PayError::Connect(_))), "{refused:?}");
        assert_eq!(client.payments().await, []);
        assert_eq!(world.balance("alice"), GRANT);
    }
}

/// Makes connections whose links are as the test wants them.
fn connector_with(link: Recipient<AskServer>, neighbours: &mut Neighbours) {
    let real = neighbours.connector.clone();
    let (connector, mut questions) = slow::<ConnectSecure>();
    neighbours.connector = connector;
    actix::spawn(async move {
        loop {
            let (question, reply) = questions.next().await;
            let made = real.send(question).await.expect("the world is there");
            reply.send(made.map(|made| SecureConnection { link: link.clone(), ..made }));
        }
    });
}

#[actix::test]
async fn a_link_that_answers_nothing_is_no_payment() {
    for trouble in Trouble::UNANSWERED {
        let world = World::new();
        let link = troubled(trouble, None).await;
        let adjust = |neighbours: &mut Neighbours| connector_with(link, neighbours);
        let client = world.client_among(alice(), None, &store(), adjust);
        let refused = client.quote("bob", 10).await;
        assert!(
            matches!(
                refused,
                Err(PayError::ServerSilent(_) | PayError::Connect(ConnectError::Unreachable(_)))
            ),
            "{refused:?}"
        );
        assert_eq!(client.payments().await, []);
        assert_eq!(world.balance("alice"), GRANT);
    }
}

/// More is asked than a link takes: whoever asks hears so, and nothing is signed that is not asked for again.
#[actix::test]
async fn a_full_link_is_no_payment() {
    let world = World::new();
    let link = troubled(Trouble::Full, Some(Err(CallError::Full))).await;
    let adjust = |neighbours: &mut Neighbours| connector_with(link, neighbours);
    let client = world.client_among(alice(), None, &store(), adjust);
    let refused = client.quote("bob", 10).await;
    assert!(matches!(refused, Err(PayError::ServerSilent(_))), "{refused:?}");
    assert_eq!(client.payments().await, []);
    assert_eq!(world.balance("alice"), GRANT);
}

/// A server is silent for up to ten seconds. Whoever wants nothing of it is answered meanwhile.
#[actix::test]
async fn a_late_link_holds_up_who_waits_for_it_alone() {
    let world = World::new();
    let (link, mut calls) = slow::<AskServer>();
    let adjust = |neighbours: &mut Neighbours| connector_with(link, neighbours);
    let client = world.client_among(alice(), None, &store(), adjust);
    let quote = QuotePayment { payee: name("bob"), amount: Amount::new(10), memo: None };
    let quoting = actix::spawn(client.wallet.send(quote));
    let (_, late) = calls.next().await;
    assert_eq!(client.payments().await, []);
    settle().await;
    assert!(!quoting.is_finished());
    late.send(Err(CallError::Silent(10)));
    actix::spawn(async move {
        loop {
            calls.next().await.1.send(Err(CallError::Silent(10)));
        }
    });
    let refused = quoting.await.expect("no panic").expect("the wallet answers");
    assert!(matches!(refused, Err(PayError::ServerSilent(_))), "{refused:?}");
}

/// A server takes up to five seconds to be connected to. Whoever wants nothing of it is answered
/// meanwhile, and all who do share the connection.
#[actix::test]
async fn a_late_connector_is_asked_once() {
    let world = World::new();
    let (connector, mut asked) = slow::<ConnectSecure>();
    let mut real = None;
    let client = world.client_among(alice(), None, &store(), |neighbours| {
        real = Some(std::mem::replace(&mut neighbours.connector, connector));
    });
    let quote = || QuotePayment { payee: name("bob"), amount: Amount::new(10), memo: None };
    let quoting = [(); 10].map(|()| actix::spawn(client.wallet.send(quote())));
    let (question, late) = asked.next().await;
    assert_eq!(client.payments().await, []);
    settle().await;
    assert!(asked.there().is_empty(), "two connections are made");
    let real = real.expect("it was replaced");
    late.send(real.send(question).await.expect("the world is there"));
    for quoting in quoting {
        let quote = quoting.await.expect("no panic").expect("the wallet answers");
        assert!(quote.is_ok(), "{quote:?}");
    }
}

/// News wait for a terminal that is late, and nobody else does.
#[actix::test]
async fn a_late_terminal_holds_up_nobody() {
    let world = World::new();
    let (terminal, mut news) = slow::<WalletNews>();
    let client = alice_among(&world, |neighbours| neighbours.terminal = terminal).await;
    for _ in 0..100 {
        world.tell(ServerNews::Event(Event::Replaced));
    }
    assert_eq!(client.pay("bob", 10).await.expect("a payment").state, PaymentState::Paid);
    assert!(!news.there().is_empty());
}
