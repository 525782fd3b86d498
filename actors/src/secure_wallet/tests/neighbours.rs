//! Neighbours that are gone, or that forget what they were asked: no payment is made twice or called made,
//! and whoever waits hears of it.

use actix::prelude::*;

use super::super::Neighbours;
use super::world::{GRANT, World, alice};
use super::{Client, store};
use crate::messages::{
    AskServer, ComeOnline, ConnectError, ConnectSecure, PayError, PaymentState, SecureConnection,
    WalletNews,
};
use crate::probe::{forgetful, gone, slow};

async fn broken<M>(is_gone: bool) -> Recipient<M>
where
    M: Message + Clone + std::fmt::Debug + Send + Unpin + 'static,
    M::Result: Send,
{
    if is_gone { gone().await } else { forgetful() }
}

/// alice's wallet, started and logged in, with these neighbours.
async fn alice_among(world: &World, adjust: impl FnOnce(&mut Neighbours)) -> Client {
    let client = world.client_among(alice(), None, &store(), adjust);
    client.start().await.expect("the server is there");
    client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("logged in");
    client
}

#[actix::test]
async fn without_a_dialer_the_server_settles_the_payment() {
    for is_gone in [true, false] {
        let world = World::new();
        let dialer = broken(is_gone).await;
        let client = alice_among(&world, |neighbours| neighbours.dialer = dialer).await;
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Paid);
        assert_eq!((world.balance("alice"), world.balance("bob")), (GRANT - 10, GRANT + 10));
    }
}

#[actix::test]
async fn without_a_terminal_payments_go_on() {
    for is_gone in [true, false] {
        let world = World::new();
        let terminal = broken::<WalletNews>(is_gone).await;
        let client = alice_among(&world, |neighbours| neighbours.terminal = terminal).await;
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Paid);
        assert_eq!(client.payments().await, [(10, PaymentState::Paid)]);
    }
}

#[actix::test]
async fn without_a_connector_nothing_is_signed_and_everybody_hears_so() {
    for is_gone in [true, false] {
        let world = World::new();
        let connector = broken(is_gone).await;
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
    for is_gone in [true, false] {
        let world = World::new();
        let link = broken(is_gone).await;
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
