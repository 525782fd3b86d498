//! Neighbours that are gone, that forget what they were asked, that are full, or that are late: every request
//! has its answer, in order, and nothing waits for ever.

use super::*;
use crate::probe::{forgetful, settle, slow};

const ERROR: &str = "220 ERROR\n";

/// Puts a neighbour in the place of a good one.
type Replace = fn(&mut SessionPeers, SessionPeers);

async fn all_gone() -> SessionPeers {
    SessionPeers {
        submit: gone().await,
        log_in: gone().await,
        log_out: gone().await,
        list_online: gone().await,
        notify: gone().await,
    }
}

fn all_forgetful() -> SessionPeers {
    SessionPeers {
        submit: forgetful(),
        log_in: forgetful(),
        log_out: forgetful(),
        list_online: forgetful(),
        notify: forgetful(),
    }
}

/// Who cannot be full forgets instead.
fn all_full() -> SessionPeers {
    SessionPeers {
        submit: probe(|_: &Submit| Err(LedgerUnavailable::Busy)).0,
        log_in: probe(|_: &LogIn| Err(LedgerUnavailable::Busy.into())).0,
        ..all_forgetful()
    }
}

#[actix::test]
async fn who_is_not_answered_says_so_and_goes_on() {
    let list = format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n");
    for trouble in 0..3 {
        let rows: [(&str, &str, Replace); 3] = [
            ("REGISTER#dave\n", "bob#7002\n", |peers, with| peers.submit = with.submit),
            ("bob#7002\n", "REGISTER#dave\n", |peers, with| peers.log_in = with.log_in),
            ("List\n", "alice#1#bob\n", |peers, with| peers.list_online = with.list_online),
        ];
        for (request, other, replace) in rows {
            let with = match trouble {
                0 => all_gone().await,
                1 => all_forgetful(),
                _ => all_full(),
            };
            let mut stage = among(|peers| replace(peers, with));
            if request == "List\n" {
                // The log-in is done, but cannot be answered with a list.
                stage.send("bob#7002\n").await;
                stage.expect(ERROR).await;
            }
            stage.send(request).await;
            stage.expect(ERROR).await;
            stage.send(other).await;
            match other {
                // The ledger is asked for the balance.
                "bob#7002\n" => stage.expect(ERROR).await,
                _ => stage.expect("100 OK\n").await,
            }
        }
    }
    let mut good = among(|_| ());
    good.send("bob#7002\n").await;
    good.expect(&list).await;
}

/// Whoever is only told something holds nobody up.
#[actix::test]
async fn who_is_told_and_does_not_listen_changes_no_answer() {
    for with in [all_gone().await, all_forgetful()] {
        let SessionPeers { notify, log_out, .. } = with;
        let mut stage = among(|peers| (peers.notify, peers.log_out) = (notify, log_out));
        stage.log_in().await;
        stage.send("alice#1#bob\nExit\n").await;
        stage.expect("100 OK\nBye\n").await;
        let mut rest = String::new();
        stage.client.read_to_string(&mut rest).await.expect("the session closes");
        assert_eq!(rest, "");
    }
}

/// However much a client sends, the ledger has one message of its session under way, and outcomes wait for
/// the disk: neither a client that has said all, nor a server that stops, ends the session before they are told.
#[actix::test]
async fn a_late_ledger_is_waited_for_and_asked_one_thing_at_a_time() {
    for stops in [false, true] {
        let (submit, mut questions) = slow();
        let mut stage = among(|peers| peers.submit = submit);
        stage.send("bob#7002\n").await;
        let (Submit(commands), reply) = questions.next().await;
        reply.send(Ok(commands.iter().map(outcome).collect()));
        stage.expect(&format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n")).await;
        let payments = 20_000;
        stage.send(&"alice#1#bob\n".repeat(payments)).await;
        if stops {
            stage.stop.cancel();
        } else {
            stage.client.shutdown().await.expect("our side closes");
        }
        let mut answered = 0;
        while answered < payments {
            let (Submit(commands), reply) = questions.next().await;
            settle().await;
            assert!(questions.there().is_empty(), "two messages under way");
            assert!(commands.len() <= READ_BYTES_MAX, "more than one read");
            stage.log_outs.nothing();
            reply.send(Ok(commands.iter().map(outcome).collect()));
            stage.expect(&"100 OK\n".repeat(commands.len())).await;
            answered += commands.len();
            // What a server that stops has not read by now, it never reads.
            if stops {
                break;
            }
        }
        if !stops {
            stage.expect_close().await;
        }
    }
}

/// Log-ins and lists wait for the registry, and what comes behind them, in order; no other session does.
#[actix::test]
async fn a_late_registry_is_waited_for_by_its_session_alone() {
    let (log_in, mut log_ins) = slow();
    let (list_online, mut lists) = slow();
    let mut stage = among(|peers| (peers.log_in, peers.list_online) = (log_in, list_online));
    stage.send("bob#7002\nREGISTER#dave\n").await;
    let (_, late) = log_ins.next().await;
    settle().await;
    stage.submitted.nothing();
    let mut other = among(|_| ());
    other.log_in().await;
    other.send("alice#1#bob\n").await;
    other.expect("100 OK\n").await;
    late.send(Ok(AccountId::new(1)));
    let (ListOnline, late) = lists.next().await;
    late.send(OnlineList { count: 1, pages: ["bob#127.0.0.1#7002\n".into()].into() });
    stage.expect(&format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n100 OK\n")).await;
}

/// The story: a registry that is slow has its mailbox filled by sessions whose payments are decided
/// faster than the payers are told.
#[actix::test]
async fn a_session_that_floods_leaves_one_message_unheard() {
    let (notify, mut told) = slow();
    let (submit, submitted) =
        probe(|Submit(commands): &Submit| Ok(commands.iter().map(outcome).collect()));
    let limits = SessionLimits::default();
    let mut stage = start_among(limits, Dialect::Ta2021, submit, submitted, |peers| {
        peers.notify = notify;
    });
    stage.send("bob#7002\n").await;
    stage.expect(&format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n")).await;
    let payments = 20_000;
    stage.send(&"alice#1#bob\n".repeat(payments)).await;
    let mut heard = 0;
    while heard < payments {
        let (NotifyAccounts(lines), reply) = told.next().await;
        settle().await;
        assert!(told.there().is_empty(), "two messages unheard");
        heard += lines.len();
        reply.send(());
    }
}
