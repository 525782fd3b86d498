//! Orders that stay open: the server keeps them, for whoever loses this machine.

use std::time::Duration;

use tokio::time::sleep;
use wire::secure::{Answer, Problem};

use super::world::{Bob, Client, Fault, World, alice};
use super::{alice_online, calls, store};
use crate::archive::OPEN_ORDERS_PER_ACCOUNT_MAX;
use crate::messages::{CallError, PayQuote, ServerNews, WalletNews};

/// What a server says that has no time.
const BUSY: Problem = Problem::BusyFor { wait_ms: 1000 };

/// Within this the server has been asked for all that it takes.
const A_FEW_LOOKS: Duration = Duration::from_secs(3);

/// alice pays bob, who takes the order and does nothing, and does not wait for it.
async fn begin(client: &Client, amount: u64) {
    let quote = client.quote("bob", amount).await.expect("a quote");
    let asked = client.wallet.send(PayQuote(quote));
    actix::spawn(asked);
}

/// The wallet ends before it has looked at the payment. The next one has it kept.
#[actix::test]
async fn an_order_of_the_run_before_is_kept() {
    tokio::time::pause();
    let (world, store) = (World::new(), store());
    world.lock().bob = Bob::Hangs;
    let client = world.client(alice(), None, &store);
    client.start().await.expect("the server is there");
    begin(&client, 10).await;
    sleep(Duration::from_millis(100)).await;
    drop(client);
    assert_eq!(calls(&world, "KeepOrder"), 0);
    let busy = || Fault::Says(Err(CallError::Problem(BUSY)));
    world.lock().faults.extend((0..9).map(|_| ("OrderStatus", busy())));
    let client = world.client(alice(), None, &store);
    let starting = actix::spawn(async move { client.start().await.map(|_| client) });
    sleep(A_FEW_LOOKS).await;
    assert_eq!(calls(&world, "KeepOrder"), 1);
    assert_eq!(world.lock().kept.len(), 1);
    starting.abort();
}

/// Whatever comes instead of "kept", the order is asked for again, until it is kept or never will be.
#[actix::test]
async fn what_is_not_kept_is_asked_for_again() {
    tokio::time::pause();
    for (says, asked) in [
        (Ok(Answer::LoggedOut), 2),
        (Err(CallError::Full), 2),
        (Err(CallError::Silent(10)), 2),
        (Err(CallError::Lost("reset".to_owned())), 2),
        (Err(CallError::Problem(BUSY)), 2),
        (Err(CallError::Problem(Problem::Busy)), 2),
        (Err(CallError::Problem(Problem::InvalidSignature)), 1),
    ] {
        let world = World::new();
        let client = alice_online(&world).await;
        world.lock().bob = Bob::Hangs;
        world.lock().faults.push(("KeepOrder", Fault::Says(says.clone())));
        begin(&client, 10).await;
        sleep(A_FEW_LOOKS).await;
        assert_eq!(calls(&world, "KeepOrder"), asked, "{says:?}");
        assert_eq!(world.lock().kept.len(), asked - 1, "{says:?}");
    }
}

/// A server that has no time is asked less and less often.
#[actix::test]
async fn who_is_busy_is_not_pressed() {
    tokio::time::pause();
    let world = World::new();
    let client = alice_online(&world).await;
    world.lock().bob = Bob::Hangs;
    let busy = || Fault::Says(Err(CallError::Problem(BUSY)));
    world.lock().faults.extend((0..99).map(|_| ("KeepOrder", busy())));
    begin(&client, 10).await;
    // After 1, 2, 4, 8, 16 s and so on.
    sleep(Duration::from_secs(14)).await;
    assert_eq!(calls(&world, "KeepOrder"), 4);
}

/// Nobody is asked while there is no connection, and the next one is.
#[actix::test]
async fn what_no_connection_was_there_for_is_kept_over_the_next() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    world.lock().bob = Bob::Hangs;
    begin(&client, 10).await;
    client.delivered.next().await;
    world.lock().unreachable = true;
    world.tell(ServerNews::Lost("reset".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(calls(&world, "KeepOrder"), 0);
    world.lock().unreachable = false;
    let busy = || Fault::Says(Err(CallError::Problem(BUSY)));
    world.lock().faults.extend((0..9).map(|_| ("OrderStatus", busy())));
    sleep(Duration::from_secs(12)).await;
    assert_eq!(calls(&world, "KeepOrder"), 1);
}

/// The server keeps no more of one account, and the link has room for other calls.
#[actix::test]
async fn no_more_is_asked_for_than_the_server_keeps() {
    tokio::time::pause();
    let world = World::new();
    let client = alice_online(&world).await;
    world.lock().bob = Bob::Hangs;
    for _ in 0..OPEN_ORDERS_PER_ACCOUNT_MAX + 6 {
        begin(&client, 1).await;
    }
    sleep(A_FEW_LOOKS).await;
    assert_eq!(calls(&world, "KeepOrder"), OPEN_ORDERS_PER_ACCOUNT_MAX);
}
