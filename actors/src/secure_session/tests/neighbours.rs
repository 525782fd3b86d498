//! Neighbours that are gone, that forget what they were asked, that are full, or that are late: every call
//! has an answer, the others go on, and nothing waits for ever.

use wire::OrderId;
use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::secure::{OrderAnswer, OrderRef};

use super::super::load::ITEMS_UNDER_WAY_MAX;
use super::*;
use crate::connection::telling::NOTICES_UNHEARD_MAX;
use crate::limits::CALLS_UNDER_WAY_MAX;
use crate::probe::{Trouble, keyed_order, settle, slow, troubled};

/// Neighbours that all have this trouble. Who cannot be full is gone instead.
async fn all_troubled(trouble: Trouble) -> SecurePeers {
    SecurePeers {
        submit: troubled(trouble, Some(Err(LedgerUnavailable::Busy))).await,
        submit_for_receipts: troubled(trouble, Some(Err(LedgerUnavailable::Busy))).await,
        verify: troubled(trouble, Some(Err(VerifierBusy))).await,
        find_receipts: troubled(trouble, Some(Err(ArchiveUnavailable::Busy))).await,
        read_history: troubled(trouble, Some(Err(ArchiveUnavailable::Busy))).await,
        keep_order: troubled(trouble, Some(Err(ArchiveUnavailable::Busy))).await,
        read_open_orders: troubled(trouble, Some(Err(ArchiveUnavailable::Busy))).await,
        log_in: troubled(trouble, None).await,
        log_out: troubled(trouble, None).await,
        read_online: troubled(trouble, None).await,
        find_online: troubled(trouble, None).await,
        watch_names: troubled(trouble, Some(Err(WatchRefusal::Full))).await,
        notify: troubled(trouble, None).await,
        retire_key: troubled(trouble, None).await,
    }
}

fn order() -> wire::SignedOrder {
    keyed_order(1, ("alice", 1), ("bob", 2), 10).sign(&key(1))
}

fn status() -> Call {
    Call::OrderStatus { orders: vec![OrderRef { payer: name("alice"), id: order().order.id }] }
}

/// Puts a neighbour in the place of a good one.
type Replace = fn(&mut SecurePeers, SecurePeers);

/// Who is asked for an answer, and by which call.
fn asked() -> Vec<(&'static str, Call, Replace)> {
    let submit = || Call::SubmitOrders { orders: vec![order()] };
    vec![
        ("verifier", submit(), |peers, with| peers.verify = with.verify),
        ("ledger", submit(), |peers, with| peers.submit_for_receipts = with.submit_for_receipts),
        ("archive", status(), |peers, with| peers.find_receipts = with.find_receipts),
        ("archive", Call::ReadReceipts { entries: vec![EntryNumber::new(0)] }, |peers, with| {
            peers.find_receipts = with.find_receipts;
        }),
        ("archive", Call::ReadHistory { before: None, limit: 1 }, |peers, with| {
            peers.read_history = with.read_history;
        }),
        ("archive", Call::KeepOrder { order: order() }, |peers, with| {
            peers.keep_order = with.keep_order;
        }),
        ("archive", Call::ReadOpenOrders, |peers, with| {
            peers.read_open_orders = with.read_open_orders;
        }),
        ("registry", Call::ListOnline { after: None, limit: 1 }, |peers, with| {
            peers.read_online = with.read_online;
        }),
        ("registry", Call::FindAccount { name: name("bob") }, |peers, with| {
            peers.find_online = with.find_online;
        }),
        ("registry", Call::Watch { names: vec![name("bob")] }, |peers, with| {
            peers.watch_names = with.watch_names;
        }),
    ]
}

#[actix::test]
async fn who_is_not_answered_says_so_and_goes_on() {
    for trouble in Trouble::ALL {
        for (who, call, replace) in asked() {
            let cannot_be_full = matches!(call, Call::ListOnline { .. } | Call::FindAccount { .. });
            let expected = match trouble {
                Trouble::Full if !cannot_be_full => BUSY,
                _ if who == "archive" => Problem::HistoryUnavailable,
                _ => Problem::Stopping,
            };
            let (world, with) = (World::new(), all_troubled(trouble).await);
            let mut stage = Stage::among(1, &world, |peers, _| replace(peers, with));
            stage.be_welcomed().await;
            stage.call(Call::LogIn { port: None }).await.expect("logged in");
            let answer = stage.call(call.clone()).await;
            assert_eq!(answer, Err(expected), "{who}, {trouble:?}: {call:?}");
            assert!(stage.call(Call::ReadBalance).await.is_ok(), "{who}, {trouble:?}: {call:?}");
            assert_eq!(world.balances(), [1000; 4], "{who}, {trouble:?}");
        }
    }
}

/// Whoever is only told something holds nobody up.
#[actix::test]
async fn who_is_told_and_does_not_listen_changes_no_answer() {
    for trouble in Trouble::UNANSWERED {
        let (world, with) = (World::new(), all_troubled(trouble).await);
        let mut stage = Stage::among(1, &world, |peers, _| {
            (peers.notify, peers.retire_key, peers.log_out) =
                (with.notify, with.retire_key, with.log_out);
        });
        stage.be_welcomed().await;
        let answer = stage.call(Call::SubmitOrders { orders: vec![order()] }).await;
        let Ok(Answer::Orders(answers)) = answer else { panic!("{answer:?}") };
        assert!(matches!(answers[..], [OrderAnswer::Decided { replayed: false, .. }]));
        let change = change(1, 11).sign(&key(1), &key(11));
        let answer = stage.call(Call::ChangeKey { change }).await;
        assert!(matches!(answer, Ok(Answer::KeyChanged(_))), "{trouble:?}: {answer:?}");
        assert_eq!(stage.next_frame::<ServerFrame>().await, None);

        let with = all_troubled(trouble).await;
        let mut other = Stage::among(2, &world, |peers, _| peers.log_out = with.log_out);
        other.be_welcomed().await;
        assert_eq!(other.call(Call::LogOut).await, Ok(Answer::LoggedOut));
        assert_eq!(other.next_frame::<ServerFrame>().await, None);
    }
}

#[actix::test]
async fn without_a_registry_nobody_logs_in() {
    for trouble in Trouble::UNANSWERED {
        let (world, with) = (World::new(), all_troubled(trouble).await);
        let mut stage = Stage::among(1, &world, |peers, _| peers.log_in = with.log_in);
        stage.be_welcomed().await;
        let answer = stage.call(Call::LogIn { port: None }).await;
        assert_eq!(answer, Err(Problem::Stopping), "{trouble:?}");
        assert!(stage.call(Call::ReadBalance).await.is_ok());
    }
}

#[actix::test]
async fn without_a_ledger_nobody_is_welcome() {
    for (trouble, expected) in [
        (Trouble::Gone, Problem::Stopping),
        (Trouble::Forgetful, Problem::Stopping),
        (Trouble::Full, BUSY),
    ] {
        let (world, with) = (World::new(), all_troubled(trouble).await);
        let mut stage = Stage::among(1, &world, |peers, _| peers.submit = with.submit);
        stage.send(&Hello::new(magic::CLIENT)).await;
        let welcome = stage.frame::<Result<Welcome, Problem>>().await;
        assert_eq!(welcome, Err(expected), "{trouble:?}");
        stage.expect_end().await;
    }
}

/// Signatures take their time when somebody floods the verifier. Balances do not.
#[actix::test]
async fn a_late_verifier_holds_up_nothing_but_its_orders() {
    let world = World::new();
    let (verify, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.verify = verify);
    stage.be_welcomed().await;
    stage.ask(1, Call::SubmitOrders { orders: vec![order()] }).await;
    let (question, reply) = questions.next().await;
    assert!(stage.call(Call::ReadBalance).await.is_ok());
    assert!(stage.call(Call::ReadHistory { before: None, limit: 1 }).await.is_ok());
    assert_eq!(world.balances()[1], 1000);
    reply.send(Ok(question.orders.iter().map(super::verify).collect()));
    let (correlation, answer) = stage.response().await;
    assert!(correlation == 1 && answer.is_ok(), "{answer:?}");
    assert_eq!(world.balances()[1], 1010);
}

/// A disk that is slow to read holds up no payment, and no list.
#[actix::test]
async fn a_late_archive_holds_up_no_payment() {
    let world = World::new();
    let (read_history, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.read_history = read_history);
    stage.be_welcomed().await;
    stage.call(Call::LogIn { port: None }).await.expect("logged in");
    stage.ask(1, Call::ReadHistory { before: None, limit: 1 }).await;
    let (_, reply) = questions.next().await;
    assert!(stage.call(Call::SubmitOrders { orders: vec![order()] }).await.is_ok());
    assert!(stage.call(Call::ListOnline { after: None, limit: 1 }).await.is_ok());
    reply.send(Ok(HistoryPage { items: Vec::new(), more: false }));
    let page = Answer::History { items: Vec::new(), more: false };
    assert_eq!(stage.response().await, (1, Ok(page)));
}

#[actix::test]
async fn a_late_registry_holds_up_no_payment() {
    let world = World::new();
    let (find_online, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.find_online = find_online);
    stage.be_welcomed().await;
    stage.call(Call::LogIn { port: None }).await.expect("logged in");
    stage.ask(1, Call::FindAccount { name: name("bob") }).await;
    let (_, reply) = questions.next().await;
    assert!(stage.call(Call::SubmitOrders { orders: vec![order()] }).await.is_ok());
    reply.send(None);
    let (correlation, answer) = stage.response().await;
    assert_eq!(correlation, 1);
    assert!(matches!(answer, Ok(Answer::Account(Some(_)))), "{answer:?}");
}

/// Outcomes wait for the disk. Neither a client that has said all, nor a server that stops, ends the session
/// before they are told.
#[actix::test]
async fn a_late_ledger_is_waited_for_and_its_answer_told() {
    for stops in [false, true] {
        let world = World::new();
        let (submit_for_receipts, mut questions) = slow();
        let mut stage =
            Stage::among(1, &world, |peers, _| peers.submit_for_receipts = submit_for_receipts);
        stage.be_welcomed().await;
        stage.ask(1, Call::SubmitOrders { orders: vec![order()] }).await;
        let (SubmitForReceipts(commands), reply) = questions.next().await;
        if stops {
            stage.stop.cancel();
        } else {
            stage.client.shutdown().await.expect("our side closes");
        }
        // It has every occasion to end too early.
        settle().await;
        stage.log_outs.nothing();
        reply.send(world.apply_all(&commands));
        let (correlation, answer) = stage.response().await;
        assert!(correlation == 1 && answer.is_ok(), "{answer:?}");
        if stops {
            stage.expect_closing(Problem::Stopping).await;
        } else {
            stage.expect_end().await;
        }
    }
}

/// What neighbours have in their mailboxes, the sessions put there: the capacity of a mailbox holds up nobody
/// who awaits an answer. A client that floods has as much under way as it may, in however many messages.
#[actix::test]
async fn a_session_that_floods_has_no_more_under_way_than_it_may() {
    let world = World::new();
    let (verify, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.verify = verify);
    stage.be_welcomed().await;
    let order = order();
    // Each is read by itself: the most messages that so many calls can become.
    for correlation in 0..2 * CALLS_UNDER_WAY_MAX as u64 {
        stage.ask(correlation, Call::KeepOrder { order: order.clone() }).await;
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(questions.there().len(), CALLS_UNDER_WAY_MAX);
}

#[actix::test]
async fn a_session_that_floods_with_orders_has_no_more_under_way_than_it_may() {
    let world = World::new();
    let (verify, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.verify = verify);
    stage.be_welcomed().await;
    let orders = vec![order(); ORDERS_PER_CALL_MAX];
    // As many calls as the stream takes while nobody reads.
    for correlation in 0..10 {
        stage.ask(correlation, Call::SubmitOrders { orders: orders.clone() }).await;
        settle().await;
    }
    let there = questions.there();
    let waiting: usize = there.iter().map(|(question, _)| question.orders.len()).sum();
    assert_eq!(waiting, ITEMS_UNDER_WAY_MAX);
    // Nothing is lost: the rest comes when there is room.
    for (question, reply) in there {
        reply.send(Ok(question.orders.iter().map(super::verify).collect()));
    }
    for _ in 0..8 {
        assert!(stage.response().await.1.is_ok());
    }
    settle().await;
    let rest = questions.there().iter().map(|(question, _)| question.orders.len()).sum::<usize>();
    assert_eq!(waiting + rest, 10 * ORDERS_PER_CALL_MAX);
}

/// The story: a registry that is slow has its mailbox filled by one session, whose orders are decided
/// faster than their parties are told.
#[actix::test]
async fn a_session_that_floods_leaves_no_more_unheard_than_it_may() {
    const ORDERS: u64 = 200;
    let world = World::new();
    let (notify, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.notify = notify);
    stage.be_welcomed().await;
    let order = |number: u64| {
        let mut order = keyed_order(1, ("alice", 1), ("bob", 2), 1);
        let random = [&number.to_be_bytes()[..], &[0; 2]].concat();
        order.id = OrderId::new(order.not_after, random.try_into().expect("10 bytes"));
        order.sign(&key(1))
    };
    for number in 0..ORDERS {
        stage.ask(number, Call::SubmitOrders { orders: vec![order(number)] }).await;
        // A round of its own.
        settle().await;
    }
    let mut heard = 0;
    while heard < ORDERS {
        let first = questions.next().await;
        settle().await;
        let unheard: Vec<_> = std::iter::once(first).chain(questions.there()).collect();
        assert!(unheard.len() <= NOTICES_UNHEARD_MAX, "{} are unheard", unheard.len());
        for (NotifyParties(news), reply) in unheard {
            heard += news.len() as u64;
            reply.send(());
        }
    }
    for _ in 0..ORDERS {
        assert!(stage.response().await.1.is_ok());
    }
    assert_eq!(world.balances()[1], 1000 + ORDERS);
}

/// Nobody else may notice, and nobody may stay online who is gone.
#[actix::test]
async fn a_panic_ends_its_session_alone() {
    let world = World::new();
    let mut other = Stage::online(2, &world).await;
    let mut broken = Stage::among(1, &world, |_, settings| {
        let clock = || panic!("the clock is broken, on purpose");
        settings.clock = LedgerClock::new(clock, TERMS.now);
    });
    broken.send(&Hello::new(magic::CLIENT)).await;
    broken.expect_end().await;
    assert!(other.call(Call::ReadBalance).await.is_ok());
    let mut again = Stage::online(1, &world).await;
    assert!(again.call(Call::SubmitOrders { orders: vec![order()] }).await.is_ok());
}
