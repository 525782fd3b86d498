//! A server that says how long to wait, and how much it takes.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::secure::{Call, Problem};

use super::world::{Bob, Fault, World, alice};
use super::{alice_online, calls, store};
use crate::messages::{CallError, PayError, PayQuote, ReadOwnHistory};

fn busy_for(wait_ms: u32) -> (&'static str, Fault) {
    let problem = CallError::Problem(Problem::BusyFor { wait_ms });
    ("ReadHistory", Fault::Says(Err(problem)))
}

const HISTORY: ReadOwnHistory = ReadOwnHistory { before: None, limit: 10 };

#[actix::test]
async fn it_is_asked_again_when_the_time_is_over() {
    tokio::time::pause();
    let world = World::new();
    let client = alice_online(&world).await;
    world.lock().faults.extend([busy_for(400), busy_for(300)]);
    let (begin, before) = (Instant::now(), calls(&world, "ReadHistory"));
    client.wallet.send(HISTORY).await.expect("the wallet answers").expect("a history");
    assert!(begin.elapsed() >= Duration::from_millis(700));
    assert_eq!(calls(&world, "ReadHistory"), before + 3);
}

/// A server that is busy for ever, or for long, must not keep a person waiting without a word.
#[actix::test]
async fn whoever_asked_is_told_in_the_end() {
    tokio::time::pause();
    for (wait_ms, asked) in [(1000, 4), (60_000, 1)] {
        let world = World::new();
        let client = alice_online(&world).await;
        world.lock().faults.extend((0..9).map(|_| busy_for(wait_ms)));
        let before = calls(&world, "ReadHistory");
        let told = client.wallet.send(HISTORY).await.expect("the wallet answers");
        assert_eq!(told, Err(PayError::Problem(Problem::BusyFor { wait_ms })));
        assert_eq!(calls(&world, "ReadHistory"), before + asked);
    }
}

/// A server may be told to take short requests only, and says so in its welcome.
#[actix::test]
async fn no_more_is_asked_about_in_one_call_than_the_server_takes() {
    tokio::time::pause();
    let (world, store) = (World::new(), store());
    world.lock().bob = Bob::Hangs;
    let client = world.client(alice(), None, &store);
    client.start().await.expect("the server is there");
    for amount in 1..=8 {
        let quote = client.quote("bob", amount).await.expect("a quote");
        actix::spawn(client.wallet.send(PayQuote(quote)));
    }
    sleep(Duration::from_millis(100)).await;
    drop(client);
    world.lock().orders_per_call_max = 3;
    world.client(alice(), None, &store).start().await.expect("the server is there");
    let asked: Vec<_> = world.lock().calls.iter().filter_map(orders_asked_about).collect();
    assert_eq!(asked, [3, 3, 2]);
}

fn orders_asked_about(call: &Call) -> Option<usize> {
    match call {
        Call::OrderStatus { orders } => Some(orders.len()),
        _ => None,
    }
}
