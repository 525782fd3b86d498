mod flood;
mod keyed;

use std::sync::Arc;

use tokio::sync::mpsc::unbounded_channel;
use wire::PublicKey;

use super::*;
use crate::probe::{Received, forgetful, gone, no_log, probe, slow};

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

/// A ledger in which alice (0), bob (1) and bobby (2) have open accounts, and karl (3) a keyed one.
fn ledger() -> (Recipient<Submit>, Received<Submit>) {
    probe(|Submit(commands): &Submit| {
        let find = |command: &Command| match command {
            Command::FindAccount(name) => Outcome::Found(match name.as_str() {
                "alice" => Some((AccountId::new(0), Access::Open)),
                "bob" => Some((AccountId::new(1), Access::Open)),
                "bobby" => Some((AccountId::new(2), Access::Open)),
                "karl" => Some((AccountId::new(3), Access::Keyed(PublicKey::new([1; 32])))),
                _ => None,
            }),
            other => panic!("the registry asks for names only: {other:?}"),
        };
        Ok(commands.iter().map(find).collect())
    })
}

fn session() -> (Recipient<SessionNotice>, Received<SessionNotice>) {
    probe(|_: &SessionNotice| ())
}

fn log_in(id: u64, who: &str, port: u16, session: &Recipient<SessionNotice>) -> LogIn {
    LogIn {
        session: SessionId(id),
        attempt: 1,
        name: name(who),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        notices: session.downgrade(),
    }
}

async fn lines(registry: &Addr<Registry>) -> String {
    let list = registry.send(ListOnline).await.expect("the registry answers");
    let lines = list.pages.concat();
    assert_eq!(list.count, lines.lines().count());
    lines
}

#[actix::test]
async fn the_list_is_in_order_of_name_and_follows_who_comes_and_goes() {
    let (ledger, mut asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    for (id, who, port) in [(1, "bobby", 7003), (2, "alice", 7001), (3, "bob", 7002)] {
        let account = registry.send(log_in(id, who, port, &one)).await.expect("answers");
        assert!(account.is_ok(), "{who}");
        assert_eq!(asked.next().await, Submit(vec![Command::FindAccount(name(who))]));
    }
    assert_eq!(
        lines(&registry).await,
        "alice#127.0.0.1#7001\nbob#127.0.0.1#7002\nbobby#127.0.0.1#7003\n"
    );
    registry.do_send(LogOut(SessionId(3)));
    registry.do_send(LogOut(SessionId(9)));
    assert_eq!(lines(&registry).await, "alice#127.0.0.1#7001\nbobby#127.0.0.1#7003\n");
}

#[actix::test]
async fn an_unchanged_list_is_written_once() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers").expect("logs in");
    let first = registry.send(ListOnline).await.expect("answers");
    let second = registry.send(ListOnline).await.expect("answers");
    assert!(Arc::ptr_eq(&first.pages, &second.pages));
}

#[actix::test]
async fn who_cannot_log_in() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    for (who, expected) in
        [("ghost", LogInRefusal::UnknownName), ("karl", LogInRefusal::KeyRequired)]
    {
        let refused = registry.send(log_in(1, who, 7001, &one)).await.expect("answers");
        assert_eq!(refused, Err(expected), "{who}");
    }
    assert_eq!(lines(&registry).await, "");
}

#[actix::test]
async fn a_second_log_in_replaces_the_first_and_tells_it() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let ((one, mut first), (two, mut second)) = (session(), session());
    registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers").expect("logs in");
    registry.send(log_in(2, "alice", 7002, &two)).await.expect("answers").expect("logs in");
    assert_eq!(first.next().await, SessionNotice::Replaced { attempt: 1 });
    second.nothing();
    assert_eq!(lines(&registry).await, "alice#127.0.0.1#7002\n");
    // The farewell of the one that was replaced does not take the other one off the list.
    registry.do_send(LogOut(SessionId(1)));
    assert_eq!(lines(&registry).await, "alice#127.0.0.1#7002\n");
}

#[actix::test]
async fn another_name_on_the_same_session_replaces_the_old_name() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, mut notices) = session();
    for (who, port) in [("alice", 7001), ("bob", 7001), ("bob", 7009)] {
        registry.send(log_in(1, who, port, &one)).await.expect("answers").expect("logs in");
    }
    assert_eq!(lines(&registry).await, "bob#127.0.0.1#7009\n");
    notices.nothing();
}

/// A session that ends while the ledger is asked must not come online as a ghost.
#[actix::test]
async fn a_session_that_ends_while_it_logs_in_stays_away() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    let logging_in = registry.send(log_in(1, "alice", 7001, &one));
    registry.do_send(LogOut(SessionId(1)));
    logging_in.await.expect("answers").expect("the account is there");
    assert_eq!(lines(&registry).await, "");
}

#[actix::test]
async fn lines_reach_those_who_are_online() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, mut alice) = session();
    registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers").expect("logs in");
    registry
        .send(NotifyAccounts(vec![(name("bob"), "to bob\n"), (name("alice"), "to alice\n")]))
        .await
        .expect("answers");
    assert_eq!(alice.next().await, SessionNotice::Line("to alice\n"));
    alice.nothing();
    // A session that is gone without a farewell is no harm either.
    drop(one);
    tokio::task::yield_now().await;
    registry.send(NotifyAccounts(vec![(name("alice"), "x\n")])).await.expect("answers");
}

/// Who it believes to be online nobody can trust any more, and nobody could come online again.
#[actix::test]
async fn a_panic_stops_the_process() {
    let (ledger, _asked) = ledger();
    let (panicked, mut panics) = unbounded_channel();
    let fail_stop = FailStop::new(move || panicked.send(()).expect("the test waits"));
    let registry = Registry::new(ledger, &no_log()).with_fail_stop(fail_stop).start();
    let (one, _notices) = session();
    registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers").expect("logs in");
    assert!(panics.try_recv().is_err());
    // No session takes a port of zero.
    registry.do_send(log_in(2, "bob", 0, &one));
    assert_eq!(panics.recv().await, Some(()));
}

#[actix::test]
async fn a_registry_that_ends_in_peace_stops_nothing() {
    let (ledger, _asked) = ledger();
    let (panicked, mut panics) = unbounded_channel();
    let fail_stop = FailStop::new(move || panicked.send(()).expect("the test waits"));
    drop(Registry::new(ledger, &no_log()).with_fail_stop(fail_stop).start());
    // The channel closes with the registry.
    assert_eq!(panics.recv().await, None);
}

#[actix::test]
async fn without_a_ledger_nobody_logs_in() {
    let (one, _notices) = session();
    let registry = Registry::new(gone().await, &no_log()).start();
    let refused = registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers");
    assert_eq!(refused, Err(LogInRefusal::Unavailable(LedgerUnavailable::Stopping)));

    // It takes the question and ends with it.
    let registry = Registry::new(forgetful(), &no_log()).start();
    let refused = registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers");
    assert_eq!(refused, Err(LogInRefusal::Unavailable(LedgerUnavailable::Stopping)));

    let (busy, _asked) = probe(|_: &Submit| Err(LedgerUnavailable::Busy));
    let registry = Registry::new(busy, &no_log()).start();
    let refused = registry.send(log_in(1, "alice", 7001, &one)).await.expect("answers");
    assert_eq!(refused, Err(LogInRefusal::Unavailable(LedgerUnavailable::Busy)));
}

/// The list is there for everybody else while one log-in waits for the ledger.
#[actix::test]
async fn a_late_ledger_holds_up_one_log_in_alone() {
    let (ledger, mut questions) = slow();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    let late = registry.send(log_in(1, "alice", 7001, &one));
    let (_, reply) = questions.next().await;
    assert_eq!(lines(&registry).await, "");
    let keyed = LogInKeyed {
        session: SessionId(2),
        attempt: 1,
        name: name("karl"),
        key: PublicKey::new([1; 32]),
        address: Some(SocketAddr::from(([127, 0, 0, 1], 7002))),
        notices: one.downgrade(),
    };
    registry.send(keyed).await.expect("answers");
    assert_eq!(lines(&registry).await, "karl#127.0.0.1#7002\n");
    reply.send(Ok(vec![Outcome::Found(Some((AccountId::new(0), Access::Open)))]));
    assert_eq!(late.await.expect("answers"), Ok(AccountId::new(0)));
    assert_eq!(lines(&registry).await, "alice#127.0.0.1#7001\nkarl#127.0.0.1#7002\n");
}
