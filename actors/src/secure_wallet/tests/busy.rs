//! A server that says how long to wait.

use std::time::Duration;

use tokio::time::Instant;
use wire::secure::Problem;

use super::world::{Fault, World};
use super::{alice_online, calls};
use crate::messages::{CallError, PayError, ReadOwnHistory};

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
