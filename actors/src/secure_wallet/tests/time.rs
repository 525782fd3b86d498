//! Time and connections: expiry, clocks, patience, and a server that goes and comes back.

use std::time::Duration;

use wire::secure::{Answer, Event, OrderProblem, OrderStatus, Problem};
use wire::{EntryNumber, Timestamp};

use super::super::ORDER_VALIDITY;
use super::world::{Bob, DAWN, Fault, GRANT, World, key, server_key};
use super::{Client, alice_online, calls};
use crate::messages::{
    CallError, ConnectError, PayError, PayQuote, Payment, PaymentState, ServerNews, WalletNews,
};

fn silent() -> Result<Answer, CallError> {
    Err(CallError::Silent(10))
}

/// The server is gone while a payment is open, and comes back when its time is over: it never happened,
/// and the wallet may say so.
#[actix::test]
async fn an_order_that_nobody_has_seen_expires() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    let quote = client.quote("bob", 10).await.expect("a quote");
    {
        let mut server = world.lock();
        server.bob = Bob::Away;
        server.faults.push(("SubmitOrders", Fault::Says(silent())));
        server.faults.push(("OrderStatus", Fault::Says(silent())));
        server.faults.push(("OrderStatus", Fault::Says(silent())));
        server.faults.push(("OrderStatus", Fault::Says(silent())));
        server.faults.push(("OrderStatus", Fault::Says(silent())));
    }
    let payment = client.wallet.send(PayQuote(quote)).await.expect("the wallet answers");
    assert_eq!(payment.expect("a payment").state, PaymentState::Open);
    let validity = u64::try_from(ORDER_VALIDITY.as_millis()).expect("minutes");
    world.lock().now = DAWN + validity + 60_000;
    assert!(matches!(client.news.next().await, WalletNews::Checking { .. }));
    match client.news.next().await {
        WalletNews::Decided(payment) => {
            assert_eq!(payment.state, PaymentState::Dead(OrderProblem::Expired));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.balance("alice"), GRANT);
}

/// The own clock is never asked: the server's is decades away from it.
#[actix::test]
async fn the_servers_clock_counts() {
    tokio::time::pause();
    let world = World::new();
    world.lock().now = 42_000;
    let mut client = alice_online(&world).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    let quote = client.quote("bob", 10).await.expect("a quote");
    tokio::time::advance(Duration::from_secs(7)).await;
    let paid = client.wallet.send(PayQuote(quote)).await.expect("the wallet answers");
    assert_eq!(paid.expect("paid").state, PaymentState::Paid);
    let order = client.delivered.next().await.order;
    let validity = u64::try_from(ORDER_VALIDITY.as_millis()).expect("minutes");
    let late = order.order.not_after.get() - validity;
    assert!((49_000..49_100).contains(&late), "{late}");
}

/// The story: a server that cannot write says what became of an order as of its last batch, hours ago; the
/// wallet took that for the time, and the next order that it signed was over before anybody saw it.
#[actix::test]
async fn what_was_long_ago_is_not_the_time() {
    tokio::time::pause();
    let world = World::new();
    let client = alice_online(&world).await;
    let (first, second) = (client.quote("bob", 10).await, client.quote("bob", 20).await);
    {
        let mut server = world.lock();
        server.bob = Bob::Away;
        server.faults.push(("SubmitOrders", Fault::Says(silent())));
        let statuses = vec![OrderStatus::Unknown];
        let now = Timestamp::new(DAWN - 3_600_000);
        let old = Ok(Answer::Statuses { statuses, now });
        server.faults.push(("OrderStatus", Fault::Says(old)));
    }
    for quote in [first, second] {
        let paid = client.wallet.send(PayQuote(quote.expect("a quote"))).await;
        let paid = paid.expect("the wallet answers").expect("a payment");
        assert_eq!(paid.state, PaymentState::Paid);
    }
    assert_eq!(world.lock().faults.len(), 0, "it has asked");
    let validity = u64::try_from(ORDER_VALIDITY.as_millis()).expect("minutes");
    for order in &world.lock().submitted {
        assert!(order.order.not_after.get() >= DAWN + validity, "{order:?}");
    }
}

/// The story: the server dies while the wallet logs in. The connection's end is heard before the wallet has taken it, and
/// is no news of any that it has; so it keeps one over which nothing is ever answered, until the program ends.
#[actix::test]
async fn a_connection_that_ends_before_it_is_taken_is_made_anew() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    world.lock().stillborn = 2;
    world.tell(ServerNews::Lost("the server has died".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    // Nobody asks: whoever is online comes back by themselves.
    assert!(matches!(client.news.next().await, WalletNews::ServerBack));
    assert_eq!(world.lock().connects, 4);
    let quote = client.quote("bob", 10).await.expect("the server answers");
    let paid = client.wallet.send(PayQuote(quote)).await.expect("the wallet answers");
    assert_eq!(paid.expect("paid").state, PaymentState::Paid);
}

/// Alice pays bob, who submits the order and does not say so; and what she will be told.
async fn pay_bob_who_hangs(world: &World) -> (Client, impl Future<Output = Payment>) {
    let client = alice_online(world).await;
    world.lock().bob = Bob::SubmitsAndHangs;
    let quote = client.quote("bob", 10).await.expect("a quote");
    let wallet = client.wallet.clone();
    let paying = actix::spawn(async move { wallet.send(PayQuote(quote)).await });
    let paid = async {
        let paid = paying.await.expect("no panic").expect("the wallet answers");
        paid.expect("a payment")
    };
    (client, paid)
}

/// The payee hangs after it has submitted: the server's word to the payer is enough to ask.
#[actix::test]
async fn the_servers_event_is_followed_up_while_the_payee_hangs() {
    tokio::time::pause();
    let world = World::new();
    let (mut client, paying) = pay_bob_who_hangs(&world).await;
    let order = client.delivered.next().await.order.order.id;
    world.tell(ServerNews::Event(Event::OrderDecided { order, number: EntryNumber::new(3) }));
    assert_eq!(paying.await.state, PaymentState::Paid);
}

/// Where the server has left out its word, the wallet asks about all that is open.
#[actix::test]
async fn events_that_were_left_out_are_followed_up_while_the_payee_hangs() {
    tokio::time::pause();
    let world = World::new();
    let (mut client, paying) = pay_bob_who_hangs(&world).await;
    client.delivered.next().await;
    world.tell(ServerNews::Event(Event::Missed));
    assert_eq!(paying.await.state, PaymentState::Paid);
}

#[actix::test]
async fn patience_ends_and_the_news_come_later() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    world.lock().bob = Bob::SubmitsAndHangs;
    let payment = client.pay("bob", 10).await.expect("a payment");
    assert_eq!(payment.state, PaymentState::Open);
    let order = payment.id;
    world.tell(ServerNews::Event(Event::OrderDecided { order, number: EntryNumber::new(3) }));
    match client.news.next().await {
        WalletNews::Decided(decided) => assert_eq!(decided.state, PaymentState::Paid),
        other => panic!("{other:?}"),
    }
}

#[actix::test]
async fn a_lost_connection_is_made_again_and_payments_go_on() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    world.lock().bob = Bob::Away;
    let quote = client.quote("bob", 10).await.expect("a quote");
    world.lock().faults.push(("SubmitOrders", Fault::Says(silent())));
    world.lock().faults.push(("OrderStatus", Fault::Says(silent())));
    let wallet = client.wallet.clone();
    let paying = actix::spawn(async move { wallet.send(PayQuote(quote)).await });
    assert!(matches!(client.news.next().await, WalletNews::Checking { .. }));
    world.lock().unreachable = true;
    let old = world.lock().news.clone().expect("a connection");
    world.tell(ServerNews::Lost("reset".to_owned()));
    assert_eq!(client.news.next().await, WalletNews::ServerLost("reset".to_owned()));
    let logins = calls(&world, "LogIn");
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.lock().unreachable = false;
    assert_eq!(client.news.next().await, WalletNews::ServerBack);
    let paid = paying.await.expect("no panic").expect("the wallet answers").expect("a payment");
    assert_eq!(paid.state, PaymentState::Paid);
    assert_eq!(calls(&world, "LogIn"), logins + 1);
    assert_eq!(world.balance("alice"), GRANT - 10);
    // What the old connection says late is not heard.
    old.do_send(ServerNews::Lost("again".to_owned()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.news.nothing();
}

/// Nobody could find a client whose log-in the server had no room for, until the connection was lost.
#[actix::test]
async fn a_log_in_that_is_refused_is_tried_again() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    let logins = calls(&world, "LogIn");
    let full = || ("LogIn", Fault::Says(Err(CallError::Problem(Problem::Stopping))));
    world.lock().faults.extend([full(), full()]);
    world.tell(ServerNews::Lost("reset".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    assert_eq!(client.news.next().await, WalletNews::ServerBack);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(calls(&world, "LogIn"), logins + 3);
}

#[actix::test]
async fn who_is_replaced_does_not_fight() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    let logins = calls(&world, "LogIn");
    world.tell(ServerNews::Event(Event::Replaced));
    assert_eq!(client.news.next().await, WalletNews::Replaced);
    world.tell(ServerNews::Lost("reset".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    tokio::time::sleep(Duration::from_mins(10)).await;
    client.start().await.expect("connected");
    assert_eq!(client.news.next().await, WalletNews::ServerBack);
    assert_eq!(calls(&world, "LogIn"), logins);
}

#[actix::test]
async fn another_servers_key_is_refused() {
    let world = World::new();
    let mut client = alice_online(&world).await;
    world.lock().shown_key = key(0xEE);
    world.tell(ServerNews::Lost("reset".to_owned()));
    let (expected, found) = (server_key(), key(0xEE));
    let expected = wire::signature::public_key(&expected);
    let found = wire::signature::public_key(&found);
    let refused = PayError::Connect(ConnectError::WrongServerKey { expected, found });
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    assert_eq!(client.start().await, Err(refused));
}
