//! Each call, as an honest client makes it.

use wire::P2pPort;
use wire::secure::call::{ORDERS_PER_CALL_MAX, PAGE_ITEMS_MAX, WATCHED_NAMES_MAX};
use wire::secure::{AccountInfo, OrderAnswer, OrderProblem, OrderRef};
use wire::text::TextPayment;
use wire::{OrderId, Refusal, SignedKeyChange};

use super::*;
use crate::messages::RetireKey;
use crate::probe::keyed_order;

#[actix::test]
async fn a_client_is_told_its_account_and_the_limits() {
    let world = World::new();
    let mut stage = Stage::silent(1, &world);
    stage.send(&Hello::new(magic::CLIENT)).await;
    let welcome = stage.frame::<Result<Welcome, Problem>>().await.expect("welcome");
    assert_eq!(welcome.account, Some(alice()));
    assert_eq!(welcome.limits.calls_under_way_max, 1024);

    let mut stranger = Stage::silent(9, &world);
    stranger.send(&Hello::new(magic::CLIENT)).await;
    let welcome = stranger.frame::<Result<Welcome, Problem>>().await.expect("welcome");
    assert_eq!(welcome.account, None);
}

#[actix::test]
async fn registering_opens_an_account_for_the_connections_key() {
    let world = World::new();
    let mut stage = Stage::open(9, &world).await;
    assert_eq!(stage.call(Call::ReadBalance).await, Err(Problem::NoAccount));
    let taken = stage.call(Call::Register { name: name("alice") }).await;
    assert_eq!(taken, Err(Problem::Refused(Refusal::NameTaken)));
    let opened = stage.call(Call::Register { name: name("dave") }).await;
    let dave =
        OwnAccount { account: AccountId::new(4), name: name("dave"), balance: Amount::new(1000) };
    assert_eq!(opened, Ok(Answer::Registered(dave)));
    let access = Access::Keyed(public_key(&key(9)));
    assert_eq!(world.state.borrow().accounts()[4].access, access);
    let again = stage.call(Call::Register { name: name("dave2") }).await;
    assert_eq!(again, Err(Problem::AlreadyRegistered));
}

/// Two connections with one key: the second learns of the account that the first has opened.
#[actix::test]
async fn an_account_that_another_connection_opened_is_found() {
    let world = World::new();
    let mut first = Stage::open(9, &world).await;
    let mut second = Stage::open(9, &world).await;
    let mut third = Stage::open(9, &world).await;
    first.call(Call::Register { name: name("dave") }).await.expect("registered");
    let refused = second.call(Call::Register { name: name("dave2") }).await;
    assert_eq!(refused, Err(Problem::AlreadyRegistered));
    assert!(second.call(Call::ReadBalance).await.is_ok());
    assert!(third.call(Call::LogIn { port: None }).await.is_ok());
}

#[actix::test]
async fn logging_in_puts_the_account_where_the_server_sees_it() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let port = Some(P2pPort::try_from(7009).expect("a port"));
    assert_eq!(stage.call(Call::LogIn { port }).await, Ok(Answer::LoggedIn(alice())));
    let log_in = stage.log_ins.next().await;
    assert_eq!(log_in.address, Some(SocketAddr::from(([127, 0, 0, 1], 7009))));
    assert_eq!((log_in.name, log_in.key), (name("alice"), public_key(&key(1))));
    stage.call(Call::LogIn { port: None }).await.expect("logged in, unlisted");
    let log_in = stage.log_ins.next().await;
    assert_eq!((log_in.address, log_in.attempt), (None, 2));

    let mut stranger = Stage::open(9, &world).await;
    assert_eq!(stranger.call(Call::LogIn { port }).await, Err(Problem::NoAccount));
    stranger.log_ins.nothing();
}

#[actix::test]
async fn who_is_online_only_those_learn_who_are_online() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let online = |limit| Call::ListOnline { after: None, limit };
    let find = |who| Call::FindAccount { name: name(who) };
    let watch = |names| Call::Watch { names };
    for call in [online(10), find("bob"), watch(vec![name("bob")])] {
        assert_eq!(stage.call(call).await, Err(Problem::NotLoggedIn));
    }
    stage.pages.nothing();
    stage.watched.nothing();

    stage.call(Call::LogIn { port: None }).await.expect("logged in");
    let peers = vec![listed("alice", 1), listed("bob", 2)];
    assert_eq!(stage.call(online(10)).await, Ok(Answer::Online { peers, more: true }));
    assert_eq!(stage.pages.next().await.limit, 10);
    for (limit, asked) in [(0, 1), (u32::MAX, PAGE_ITEMS_MAX)] {
        stage.call(online(limit)).await.expect("a page");
        assert_eq!(stage.pages.next().await.limit, asked);
    }
    let bob = AccountInfo {
        name: name("bob"),
        key: Some(public_key(&key(2))),
        address: Some(listed("bob", 2).address),
    };
    assert_eq!(stage.call(find("bob")).await, Ok(Answer::Account(Some(bob))));
    let carol = AccountInfo { name: name("carol"), key: None, address: None };
    assert_eq!(stage.call(find("carol")).await, Ok(Answer::Account(Some(carol))));
    assert_eq!(stage.call(find("nobody")).await, Ok(Answer::Account(None)));
    let watching = stage.call(watch(vec![name("bob")])).await;
    assert_eq!(watching, Ok(Answer::Watching(vec![listed("bob", 2)])));
    assert_eq!(stage.watched.next().await.session, SESSION);
    assert_eq!(stage.call(watch(Vec::new())).await, Err(BUSY));
}

#[actix::test]
async fn calls_that_hold_too_much_are_refused() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let one = keyed_order(1, ("alice", 1), ("bob", 2), 10).sign(&key(1));
    let reference = OrderRef { payer: name("alice"), id: one.order.id };
    let many = ORDERS_PER_CALL_MAX + 1;
    for call in [
        Call::OrderStatus { orders: vec![reference; many] },
        Call::ReadReceipts { entries: vec![EntryNumber::new(0); many] },
        Call::Watch { names: vec![name("bob"); WATCHED_NAMES_MAX + 1] },
    ] {
        assert_eq!(stage.call(call).await, Err(Problem::TooMany));
    }
    // So many orders may fit into a frame if their names are short.
    let orders = Call::SubmitOrders { orders: vec![one; many] };
    assert_eq!(stage.call(orders).await, Err(Problem::TooMany));
    stage.verified.nothing();
}

#[actix::test]
async fn the_archive_and_the_text_protocols_payments() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let balance = Answer::Balance { amount: Amount::new(1000), now: TERMS.now };
    assert_eq!(stage.call(Call::ReadBalance).await, Ok(balance));
    let history = Call::ReadHistory { before: None, limit: 10 };
    let page = Answer::History { items: Vec::new(), more: true };
    assert_eq!(stage.call(history).await, Ok(page));
    assert_eq!(stage.call(Call::ReadOpenOrders).await, Ok(Answer::OpenOrders(Vec::new())));

    let pay = |payer, payee| {
        let payment =
            TextPayment { payer: name(payer), amount: Amount::new(7), payee: name(payee) };
        Call::SubmitText { payment }
    };
    assert_eq!(stage.call(pay("carol", "alice")).await, Ok(Answer::TextSettled));
    for (payer, payee, refusal) in [
        ("bob", "alice", Refusal::SignatureRequired),
        ("carol", "bob", Refusal::NoPermission),
        ("alice", "carol", Refusal::NoPermission),
    ] {
        let refused = stage.call(pay(payer, payee)).await;
        assert_eq!(refused, Err(Problem::Refused(refusal)), "{payer} to {payee}");
    }
    assert_eq!(world.balances(), [1007, 1000, 993, 1000]);
}

#[actix::test]
async fn a_kept_order_is_ones_own() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let own = keyed_order(1, ("alice", 1), ("bob", 2), 10);
    let keep = |order| Call::KeepOrder { order };
    assert_eq!(stage.call(keep(own.clone().sign(&key(1)))).await, Ok(Answer::Kept));
    let kept = stage.kept.next().await;
    assert_eq!((kept.account, kept.now), (AccountId::new(0), TERMS.now));
    assert_eq!(*kept.order.order(), own);

    let other_server = wire::Order { server: public_key(&key(8)), ..own.clone() };
    for wrong in [
        own.sign(&key(2)),
        keyed_order(1, ("bob", 1), ("alice", 1), 10).sign(&key(1)),
        keyed_order(1, ("bob", 2), ("alice", 1), 10).sign(&key(2)),
        other_server.sign(&key(1)),
    ] {
        assert_eq!(stage.call(keep(wrong)).await, Err(Problem::InvalidSignature));
    }
    stage.kept.nothing();
}

#[actix::test]
async fn a_changed_key_ends_the_session_behind_the_proof() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let change = change(1, 11).sign(&key(1), &key(11));
    let answer = stage.call(Call::ChangeKey { change: change.clone() }).await;
    let Ok(Answer::KeyChanged(receipt)) = answer else { panic!("{answer:?}") };
    assert!(matches!(receipt.entry(), Entry::KeyChanged { change: done, .. } if **done == change));
    let retired = RetireKey { name: name("alice"), key: public_key(&key(1)) };
    assert_eq!(stage.retired.next().await, retired);
    stage.expect_end().await;

    let mut old = Stage::silent(1, &world);
    old.send(&Hello::new(magic::CLIENT)).await;
    let refused = old.frame::<Result<Welcome, Problem>>().await;
    assert_eq!(refused, Err(Problem::KeyRetired));
    old.expect_end().await;
    assert!(Stage::open(11, &world).await.call(Call::ReadBalance).await.is_ok());
}

#[actix::test]
async fn a_key_change_that_does_not_fit_changes_nothing() {
    let world = World::new();
    let other_server = KeyChange { server: public_key(&key(8)), ..change(1, 11) };
    let other_account = KeyChange { account: name("bob"), ..change(1, 11) };
    let mut stage = Stage::open(1, &world).await;
    for wrong in [
        other_server.sign(&key(1), &key(11)),
        other_account.sign(&key(1), &key(11)),
        change(2, 11).sign(&key(2), &key(11)),
        change(1, 1).sign(&key(1), &key(1)),
    ] {
        let refused = stage.call(Call::ChangeKey { change: wrong }).await;
        assert_eq!(refused, Err(Problem::KeyChangeMismatch));
    }
    let taken = change(1, 2).sign(&key(1), &key(2));
    let refused = stage.call(Call::ChangeKey { change: taken }).await;
    assert_eq!(refused, Err(Problem::Refused(Refusal::KeyInUse)));

    let good = change(1, 11).sign(&key(1), &key(11));
    for wrong in [
        SignedKeyChange { by_old: good.by_new, ..good.clone() },
        SignedKeyChange { by_new: good.by_old, ..good },
    ] {
        let mut stage = Stage::open(1, &world).await;
        let refused = stage.call(Call::ChangeKey { change: wrong }).await;
        assert_eq!(refused, Err(Problem::InvalidSignature));
        stage.expect_end().await;
    }
    let access = Access::Keyed(public_key(&key(1)));
    assert_eq!(world.state.borrow().accounts()[0].access, access);
    stage.retired.nothing();
}

#[actix::test]
async fn logging_out_answers_what_came_before_and_ends() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    stage.ask(1, Call::ReadHistory { before: None, limit: 1 }).await;
    stage.ask(2, Call::LogOut).await;
    stage.ask(3, Call::ReadBalance).await;
    let (first, result) = stage.response().await;
    assert!(first == 1 && result.is_ok());
    assert_eq!(stage.response().await, (2, Ok(Answer::LoggedOut)));
    stage.expect_end().await;
}

/// What registers, logs in and pays in one go is done in that order.
#[actix::test]
async fn calls_may_be_sent_ahead() {
    let world = World::new();
    let mut stage = Stage::silent(9, &world);
    let mut bytes = Vec::new();
    frame::encode(&Hello::new(magic::CLIENT), &mut bytes);
    let paid = keyed_order(1, ("dave", 9), ("bob", 2), 10).sign(&key(9));
    let calls = [
        Call::Register { name: name("dave") },
        Call::LogIn { port: None },
        Call::SubmitOrders { orders: vec![paid] },
        Call::LogOut,
    ];
    for (number, call) in (0..).zip(calls) {
        frame::encode(&Request { correlation: Correlation(number), call }, &mut bytes);
    }
    stage.send_bytes(&bytes).await;
    assert!(stage.frame::<Result<Welcome, Problem>>().await.is_ok());
    for number in 0..4 {
        let (correlation, result) = stage.response().await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(correlation, number);
    }
    stage.expect_end().await;
    assert_eq!(world.balances()[1], 1010);
}

#[actix::test]
async fn what_arrives_together_is_asked_together() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let mut bytes = Vec::new();
    let id = OrderId::new(TERMS.now, [3; 10]);
    for correlation in 0..100 {
        let call = if correlation % 2 == 0 {
            Call::ReadBalance
        } else {
            Call::OrderStatus { orders: vec![OrderRef { payer: name("alice"), id }] }
        };
        let request = Request { correlation: Correlation(correlation), call };
        frame::encode(&request, &mut bytes);
    }
    stage.send_bytes(&bytes).await;
    let mut answered = Vec::new();
    for _ in 0..100 {
        let (correlation, result) = stage.response().await;
        assert!(result.is_ok());
        answered.push(correlation);
    }
    answered.sort_unstable();
    assert!(answered.into_iter().eq(0..100));
    let Submit(commands) = stage.submitted.next().await;
    assert_eq!(commands.len(), 101);
    assert_eq!(commands[0], find_key(1));
}

#[actix::test]
async fn without_a_ledger_or_archive_every_call_has_an_answer() {
    let (no_ledger, no_past) = (Problem::Stopping, Problem::HistoryUnavailable);
    for (unavailable, problem, archive, archive_problem) in [
        (LedgerUnavailable::Busy, BUSY, ArchiveUnavailable::Busy, BUSY),
        (LedgerUnavailable::Stopping, no_ledger, ArchiveUnavailable::Gone, no_past),
    ] {
        let world = World::new();
        let mut stage = Stage::online(1, &world).await;
        let signed = keyed_order(1, ("alice", 1), ("bob", 2), 10).sign(&key(1));
        let reference = OrderRef { payer: name("alice"), id: signed.order.id };
        let archived = [
            Call::ReadHistory { before: None, limit: 1 },
            Call::ReadReceipts { entries: vec![EntryNumber::new(0)] },
            Call::OrderStatus { orders: vec![reference] },
        ];
        *world.archive_down.borrow_mut() = Some(archive);
        for call in archived.clone() {
            assert_eq!(stage.call(call).await, Err(archive_problem));
        }
        *world.ledger_down.borrow_mut() = Some(unavailable);
        let others = [
            Call::ReadBalance,
            Call::LogIn { port: None },
            Call::FindAccount { name: name("bob") },
            Call::SubmitOrders { orders: vec![signed] },
        ];
        for call in archived.into_iter().chain(others) {
            assert_eq!(stage.call(call).await, Err(problem));
        }
        let mut next = Stage::silent(1, &world);
        next.send(&Hello::new(magic::CLIENT)).await;
        assert_eq!(next.frame::<Result<Welcome, Problem>>().await, Err(problem));
        next.expect_end().await;
    }
}

/// A ledger that cannot write answers what it knows, and refuses nothing for good.
#[actix::test]
async fn a_read_only_ledger_answers_all_but_changes() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let order = |nonce| keyed_order(nonce, ("alice", 1), ("bob", 2), 10).sign(&key(1));
    let submit = |nonce| Call::SubmitOrders { orders: vec![order(nonce)] };
    let decided = stage.call(submit(1)).await.expect("it is decided");
    world.read_only.set(true);
    assert!(matches!(stage.call(Call::ReadBalance).await, Ok(Answer::Balance { .. })));
    let Ok(Answer::Orders(replayed)) = stage.call(submit(1)).await else { panic!("no answer") };
    let Answer::Orders(decided) = decided else { panic!("no orders") };
    assert!(matches!((&replayed[0], &decided[0]), (
            OrderAnswer::Decided { replayed: true, receipt },
            OrderAnswer::Decided { replayed: false, receipt: first },
        ) if receipt == first));
    let not_taken = Answer::Orders(vec![OrderAnswer::NotTaken(OrderProblem::ReadOnly)]);
    assert_eq!(stage.call(submit(2)).await, Ok(not_taken));
    let change = change(1, 7).sign(&key(1), &key(7));
    assert_eq!(stage.call(Call::ChangeKey { change }).await, Err(Problem::ReadOnly));

    // Whoever has an account comes online; nobody opens one.
    let mut bob = Stage::open(2, &world).await;
    assert!(matches!(bob.call(Call::LogIn { port: None }).await, Ok(Answer::LoggedIn(_))));
    let mut stranger = Stage::open(9, &world).await;
    let register = Call::Register { name: name("dave") };
    assert_eq!(stranger.call(register).await, Err(Problem::ReadOnly));
}

/// No answer may say that nothing was done, since it may turn out to be done.
#[actix::test]
async fn a_connection_ends_with_what_nobody_knows() {
    let order = keyed_order(1, ("alice", 1), ("bob", 2), 10).sign(&key(1));
    for (number, call) in [
        (1, Call::SubmitOrders { orders: vec![order] }),
        (1, Call::ChangeKey { change: change(1, 7).sign(&key(1), &key(7)) }),
        (9, Call::Register { name: name("dave") }),
    ] {
        let world = World::new();
        let mut stage = Stage::open(number, &world).await;
        *world.ledger_down.borrow_mut() = Some(LedgerUnavailable::OutcomeUnknown);
        stage.ask(1, call).await;
        stage.expect_closing(Problem::OutcomeUnknown).await;
    }
}

/// The ledger is lost between the two questions of a log-in: nobody may stay online unconfirmed.
#[actix::test]
async fn a_log_in_that_cannot_be_confirmed_is_undone() {
    let world = World::new();
    let ledger = world.clone();
    let mut stage = Stage::with_registry(1, &world, move |_| {
        *ledger.ledger_down.borrow_mut() = Some(LedgerUnavailable::Busy);
    });
    stage.send(&Hello::new(magic::CLIENT)).await;
    assert!(stage.frame::<Result<Welcome, Problem>>().await.is_ok());
    stage.ask(1, Call::LogIn { port: None }).await;
    stage.expect_closing(BUSY).await;
}
