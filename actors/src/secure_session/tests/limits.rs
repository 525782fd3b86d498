//! What one key, one address and one session may have of the server.

use wire::secure::OrderRef;

use super::*;
use crate::limits::{FEW_IN_A_ROW, PerAddress, Rate, Registrations, Sharing};
use crate::probe::keyed_order;

fn limited(limits: SessionLimits) -> World {
    World { limits: Arc::new(limits), ..World::new() }
}

fn so_often(count: u32) -> Rate {
    Rate::new(count.try_into().expect("not 0"), Duration::from_secs(1))
}

fn register(name: &str) -> Call {
    Call::Register { name: name.parse().expect("a valid name") }
}

const HISTORY: Call = Call::ReadHistory { before: None, limit: 1 };
const LIST: Call = Call::ListOnline { after: None, limit: 1 };

#[actix::test]
async fn a_key_has_so_many_sessions_and_another_when_one_ends() {
    let world = limited(SessionLimits { sessions_per_key_max: 2, ..SessionLimits::default() });
    let (_first, mut second) = (Stage::open(1, &world).await, Stage::open(1, &world).await);
    // Connections that have not said hello do not count, so nobody can keep others out by them.
    let mut third = Stage::silent(1, &world);
    let _other = Stage::open(2, &world).await;
    third.send(&Hello::new(magic::CLIENT)).await;
    let refused = third.frame::<Result<Welcome, Problem>>().await;
    assert_eq!(refused, Err(Problem::TooManySessions));
    third.expect_end().await;
    second.call(Call::LogOut).await.expect("it says goodbye");
    second.expect_end().await;
    // Its place is free when its actor is gone, a moment later.
    let open_again = async {
        loop {
            let mut again = Stage::silent(1, &world);
            again.send(&Hello::new(magic::CLIENT)).await;
            match again.frame::<Result<Welcome, Problem>>().await {
                Ok(_) => break,
                refused => assert_eq!(refused, Err(Problem::TooManySessions)),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), open_again).await.expect("a place is free");
}

#[actix::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    tokio::time::pause();
    // The log-in is the first of three.
    let (lists, histories) = (Some(so_often(3)), Some(so_often(4)));
    let world = limited(SessionLimits { lists, histories, ..SessionLimits::default() });
    let mut stage = Stage::online(1, &world).await;
    for (call, often, wait_ms_max) in [(LIST, 2, 334), (HISTORY, 4, 250)] {
        for _ in 0..often {
            assert!(stage.call(call.clone()).await.is_ok());
        }
        let Err(Problem::BusyFor { wait_ms }) = stage.call(call.clone()).await else {
            panic!("it was asked for too often");
        };
        assert!((wait_ms_max - 10..=wait_ms_max).contains(&wait_ms), "{wait_ms}");
        tokio::time::sleep(Duration::from_millis(wait_ms.into())).await;
        assert!(stage.call(call.clone()).await.is_ok(), "who has waited for so long is answered");
        assert!(matches!(stage.call(call).await, Err(Problem::BusyFor { .. })));
    }
    assert!(stage.call(Call::ReadBalance).await.is_ok(), "nothing else is held up");
    // Each session has its own.
    assert!(Stage::open(2, &world).await.call(HISTORY).await.is_ok());
}

/// Whoever watches a name hears of each log-in: one who logs in without end must not keep all others busy.
#[actix::test]
async fn who_logs_in_too_often_is_told_how_long_to_wait() {
    tokio::time::pause();
    let world = limited(SessionLimits { lists: Some(so_often(2)), ..SessionLimits::default() });
    let mut stage = Stage::online(1, &world).await;
    let log_in = Call::LogIn { port: None };
    assert!(stage.call(log_in.clone()).await.is_ok());
    for _ in 0..2 {
        stage.log_ins.next().await;
    }
    let refused = stage.call(log_in.clone()).await;
    assert!(matches!(refused, Err(Problem::BusyFor { wait_ms: 490..=500 })), "{refused:?}");
    stage.log_ins.nothing();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(stage.call(log_in).await.is_ok());
}

/// Receipts may stand in as many batches as they are, which the archive reads from the disk.
#[actix::test]
async fn who_asks_for_too_many_receipts_is_told_how_long_to_wait() {
    tokio::time::pause();
    let receipts = Some(so_often(600));
    let world = limited(SessionLimits { receipts, ..SessionLimits::default() });
    let mut stage = Stage::open(1, &world).await;
    let receipts = |count| Call::ReadReceipts { entries: vec![EntryNumber::new(4); count] };
    let reference =
        OrderRef { payer: name("alice"), id: keyed_order(1, ("alice", 1), ("bob", 2), 1).id };
    let statuses = |count| Call::OrderStatus { orders: vec![reference.clone(); count] };
    assert!(stage.call(receipts(512)).await.is_ok());
    assert!(stage.call(statuses(88)).await.is_ok());
    for call in [receipts(1), statuses(1)] {
        let refused = stage.call(call).await;
        assert!(matches!(refused, Err(Problem::BusyFor { wait_ms: 1..=2 })), "{refused:?}");
    }
    let refused = stage.call(statuses(300)).await;
    let Err(Problem::BusyFor { wait_ms: wait_ms @ 490..=500 }) = refused else {
        panic!("{refused:?}")
    };
    tokio::time::sleep(Duration::from_millis(wait_ms.into())).await;
    assert!(stage.call(statuses(300)).await.is_ok());
    // Payments are asked for as often as anybody likes.
    let order = keyed_order(2, ("alice", 1), ("bob", 2), 1).sign(&key(1));
    assert!(stage.call(Call::SubmitOrders { orders: vec![order; 100] }).await.is_ok());
}

#[actix::test]
async fn one_address_opens_so_many_accounts_and_no_more() {
    tokio::time::pause();
    let rates = PerAddress { loopback: Some(so_often(1)), others: None };
    let registrations = Arc::new(Registrations::new(rates));
    let world = limited(SessionLimits { registrations, ..SessionLimits::default() });
    let mut first = Stage::open(8, &world).await;
    assert_eq!(first.call(register("a\u{430}")).await, Err(Problem::NameNotAllowed));
    assert!(first.call(register("erin")).await.is_ok(), "what is refused anyway does not count");
    assert_eq!(first.call(register("frank")).await, Err(Problem::AlreadyRegistered));
    let mut second = Stage::open(9, &world).await;
    let refused = second.call(register("frank")).await;
    assert!(matches!(refused, Err(Problem::BusyFor { wait_ms: 900..=1000 })), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(second.call(register("frank")).await.is_ok());
}

/// It could not read what came with version 2 of the protocol, and some of that is signed and cannot be put into
/// other words.
#[actix::test]
async fn a_client_of_version_1_is_told_so() {
    let mut stage = Stage::silent(1, &World::new());
    stage.send(&Hello { magic: magic::CLIENT, version_min: 1, version_max: 1 }).await;
    let refused = stage.frame::<Result<Welcome, Problem>>().await;
    assert_eq!(refused, Err(Problem::UnknownVersion));
    stage.expect_end().await;
}

#[actix::test]
async fn so_many_calls_are_under_way_and_the_client_is_told() {
    let world = limited(SessionLimits { calls_max: 3, ..SessionLimits::default() });
    let mut stage = Stage::silent(1, &world);
    stage.send(&Hello::new(magic::CLIENT)).await;
    let welcome = stage.frame::<Result<Welcome, Problem>>().await.expect("welcome");
    assert_eq!(welcome.limits.calls_under_way_max, 3);
    assert_eq!(stage.submitted.next().await, Submit(vec![find_key(1)]));
    let mut bytes = Vec::new();
    for correlation in 0..10 {
        let request = Request { correlation: Correlation(correlation), call: Call::ReadBalance };
        frame::encode(&request, &mut bytes);
    }
    stage.send_bytes(&bytes).await;
    for _ in 0..10 {
        assert!(stage.response().await.1.is_ok());
    }
    for expected in [3, 3, 3, 1] {
        let Submit(commands) = stage.submitted.next().await;
        assert_eq!(commands.len(), expected + 1, "each and the key");
    }
}

/// Others stand back for who waits for few orders, not for who has more under way.
#[actix::test]
async fn others_stand_back_for_who_waits_for_few_orders_alone() {
    tokio::time::pause();
    let order = keyed_order(1, ("alice", 1), ("bob", 2), 1).sign(&key(1));
    let shared_after = async |calls: &[Call]| {
        let sharing = Arc::new(Sharing::default());
        let world =
            limited(SessionLimits { sharing: Arc::clone(&sharing), ..SessionLimits::default() });
        let mut stage = Stage::online(1, &world).await;
        for _ in 0..FEW_IN_A_ROW {
            let mut bytes = Vec::new();
            for call in calls {
                let request = Request { correlation: Correlation(7), call: call.clone() };
                frame::encode(&request, &mut bytes);
            }
            stage.send_bytes(&bytes).await;
            for _ in calls {
                stage.response().await.1.expect("an answer");
            }
        }
        sharing.is_on(Instant::now())
    };
    let pay = |count| Call::SubmitOrders { orders: vec![order.clone(); count] };
    assert!(shared_after(&[pay(1)]).await);
    assert!(!shared_after(&[pay(5)]).await);
    assert!(!shared_after(&[pay(1), pay(1)]).await);
    assert!(!shared_after(&[Call::ReadBalance]).await);
}

#[actix::test]
async fn who_is_silent_for_long_makes_room_and_hears_why() {
    tokio::time::pause();
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    stage.room.make_room();
    stage.expect_closing(Problem::PlaceNeeded).await;
}
