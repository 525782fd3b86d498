//! Neighbours that are gone, that forget what they were asked, that are full, or that are late: whoever
//! watches over the server hears which of them, in time.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use actors::ledger::counters::LedgerCounters;
use actors::messages::{PresentPage, ServerFacts};
use slog::{Discard, o};
use tokio::time::Instant;
use wire::admin::{FilesStatus, LedgerStatus};
use wire::{Amount, BatchNumber, PublicKey, Timestamp};

use super::*;
use crate::config::TextAccess;
use crate::listener::{GateLimits, HalfOpenLimits};

/// How a neighbour does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It answers.
    Well,
    /// It has ended.
    Gone,
    /// It takes the question and ends with it.
    Forgetful,
    /// It never answers.
    Late,
}

/// A neighbour that answers this, or does not.
struct Neighbour<R> {
    does: Does,
    answer: R,
}

impl<R: Unpin + 'static> Actor for Neighbour<R> {
    type Context = Context<Self>;
}

impl<M> Handler<M> for Neighbour<M::Result>
where
    M: Message + 'static,
    M::Result: Clone + Unpin,
{
    type Result = ResponseFuture<M::Result>;

    fn handle(&mut self, _: M, _: &mut Self::Context) -> Self::Result {
        let (does, answer) = (self.does, self.answer.clone());
        Box::pin(async move {
            match does {
                Does::Well => answer,
                Does::Forgetful => panic!("it ends with the question, on purpose"),
                Does::Gone | Does::Late => std::future::pending().await,
            }
        })
    }
}

fn neighbour<M>(does: Does, answer: M::Result) -> Recipient<M>
where
    M: Message + Send + 'static,
    M::Result: Clone + Send + Unpin,
{
    let neighbour = Neighbour { does, answer };
    match does {
        Does::Gone => {
            let gone = actix::Context::<Neighbour<M::Result>>::new();
            let address = actix::AsyncContext::address(&gone);
            drop(gone);
            address.recipient()
        }
        Does::Well | Does::Forgetful | Does::Late => neighbour.start().recipient(),
    }
}

fn facts() -> ServerFacts {
    let files = FilesStatus { journal_bytes: 512, free_bytes: None, snapshot: None };
    ServerFacts {
        version: "9.9".into(),
        server: PublicKey::new([1; 32]),
        started: Timestamp::new(1),
        now: Timestamp::new(2),
        condition: Condition::Writing,
        connections: 4,
        files: Ok(files),
    }
}

fn status() -> LedgerStatus {
    LedgerStatus {
        entries: 3,
        batch: BatchNumber::new(2),
        head: [7; 32],
        written: Timestamp::new(5),
        accounts: 2,
        frozen: 1,
        supply: Amount::new(2000),
    }
}

/// Everybody does well, but for one of them.
fn peers(whose: &str, does: Does) -> MetricsPeers {
    let of = |who: &str| if who == whose { does } else { Does::Well };
    let limits = GateLimits {
        connections: 10,
        per_address: None,
        half_open: HalfOpenLimits { all: 10, per_address: 10 },
    };
    let log = Logger::root(Discard, o!());
    let nobody = PresentPage { people: Vec::new(), more: false, online: 7 };
    MetricsPeers {
        ledger: neighbour(of("ledger"), Ok(status())),
        counters: neighbour(of("counters"), LedgerCounters::default()),
        present: neighbour(of("registry"), nobody),
        verifier: neighbour(of("verifier"), 8),
        server: neighbour(of("server"), facts()),
        gate: Arc::new(Gate::new(limits, TextAccess::Loopback, Arc::default(), &log)),
    }
}

#[actix::test]
async fn who_does_not_answer_is_named_in_time() {
    tokio::time::pause();
    for (does, says) in
        [(Does::Gone, "is gone"), (Does::Forgetful, "is gone"), (Does::Late, "does not answer")]
    {
        for (whose, named, is_health) in [
            ("server", "server", true),
            ("ledger", "ledger", true),
            ("counters", "ledger", false),
            ("registry", "registry", false),
            ("verifier", "verifier", false),
        ] {
            let (peers, begun) = (peers(whose, does), Instant::now());
            let expected = format!("the {named} {says}");
            let why = peers.facts().await.map(|_| ()).expect_err("not all is known");
            assert_eq!(why, expected, "{does:?}");
            // Payments need neither the list nor the numbers.
            let health = if is_health { Err(expected) } else { Ok(()) };
            assert_eq!(peers.health().await, health, "{whose}, {does:?}");
            assert!(begun.elapsed() < 3 * ACTOR_TIME_MAX, "{whose}, {does:?}");
        }
    }
}

/// A ledger that reads its journal again is busy: it takes no payments, and the rest can be told.
#[actix::test]
async fn a_busy_ledger_is_no_health_and_the_other_numbers_are_told() {
    let busy = Err(LedgerUnavailable::Busy);
    let peers = MetricsPeers { ledger: neighbour(Does::Well, busy), ..peers("", Does::Well) };
    assert_eq!(peers.health().await, Err(LedgerUnavailable::Busy.to_string()));
    let facts = peers.facts().await.expect("the others answer");
    assert_eq!((facts.ledger, facts.online, facts.orders_waiting), (None, 7, 8));
}
