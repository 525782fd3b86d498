//! Peers that want to confuse, exhaust or outlive the server.

use wire::secure::PROTOCOL_VERSION;
use wire::secure::hello::HELLO_BYTES_MAX;

use super::super::io::FRAME_TIME_MAX;
use super::super::load::ITEMS_UNDER_WAY_MAX;
use super::*;
use crate::connection::{NOTICE_BYTES_MAX, WRITE_TIME_MAX};
use crate::limits::CALLS_UNDER_WAY_MAX;

#[actix::test]
async fn a_first_frame_that_is_no_hello_is_refused() {
    let world = World::new();
    let hello = Hello::new(magic::CLIENT);
    let later = Hello { version_min: PROTOCOL_VERSION + 1, version_max: u16::MAX, ..hello };
    for (hello, problem) in [
        (Hello::new(magic::PAYER), Problem::WrongRole),
        (Hello::new(magic::SERVER), Problem::WrongRole),
        (later, Problem::UnknownVersion),
    ] {
        let mut stage = Stage::silent(1, &world);
        stage.send(&hello).await;
        assert_eq!(stage.frame::<Result<Welcome, Problem>>().await, Err(problem));
        stage.expect_end().await;
        stage.submitted.nothing();
    }
    let too_long = u32::try_from(HELLO_BYTES_MAX + 1).expect("a length").to_le_bytes();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &too_long, &[0, 0, 0, 0]] {
        let mut stage = Stage::silent(1, &world);
        stage.send_bytes(bytes).await;
        assert_eq!(stage.frame::<Result<Welcome, Problem>>().await, Err(Problem::Malformed));
        stage.expect_end().await;
    }
}

/// A length that lies, bytes behind a value, a value of no known kind: what came before is
/// answered.
#[actix::test]
async fn bytes_that_are_not_the_protocol_end_the_connection() {
    let world = World::new();
    let mut good = Vec::new();
    let request = Request { correlation: Correlation(1), call: Call::ReadBalance };
    frame::encode(&request, &mut good);
    let mut trailing = good.clone();
    trailing.push(0);
    trailing[0] += 1;
    let mut unknown = good.clone();
    let tag = unknown.len() - 4;
    unknown[tag] = 0xEE;
    let too_long = u32::try_from(REQUEST_BYTES_MAX + 1).expect("a length").to_le_bytes();
    tokio::time::pause();
    for bad in [trailing, unknown, too_long.to_vec(), vec![0xFF; 4], vec![0; 4]] {
        let mut stage = Stage::open(1, &world).await;
        let begin = tokio::time::Instant::now();
        stage.send_bytes(&[good.as_slice(), &bad, &good].concat()).await;
        assert!(matches!(stage.response().await, (1, Ok(Answer::Balance { .. }))));
        stage.expect_closing(Problem::Malformed).await;
        // At once: nobody waits for the rest of what a length claims.
        assert!(begin.elapsed() < FRAME_TIME_MAX);
    }
}

/// Ten thousand calls in one go: all are answered, and no more are under way than may be.
#[actix::test]
async fn a_flood_of_calls_is_answered_in_rounds_that_are_bounded() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let count: u64 = 10_000;
    let mut bytes = Vec::new();
    for correlation in 0..count {
        let call = Call::ReadBalance;
        frame::encode(&Request { correlation: Correlation(correlation), call }, &mut bytes);
    }
    stage.send_bytes(&bytes).await;
    for correlation in 0..count {
        let (found, result) = stage.response().await;
        assert!(result.is_ok());
        assert_eq!(found, correlation);
    }
    let mut asked = 0;
    while asked < count {
        let Submit(commands) = stage.submitted.next().await;
        assert!(commands.len() <= CALLS_UNDER_WAY_MAX + 1, "{}", commands.len());
        asked += commands.len() as u64 - 1;
    }
}

/// Pages, references and entries count, not calls alone: what is under way bounds what is to be
/// sent.
#[actix::test]
async fn large_answers_are_not_all_under_way_at_once() {
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let mut bytes = Vec::new();
    let entries = vec![EntryNumber::new(0); 512];
    for correlation in 0..100 {
        let call = Call::ReadReceipts { entries: entries.clone() };
        frame::encode(&Request { correlation: Correlation(correlation), call }, &mut bytes);
    }
    stage.send_bytes(&bytes).await;
    let mut in_a_round = Vec::new();
    for _ in 0..100 {
        let (_, result) = stage.response().await;
        assert!(matches!(result, Ok(Answer::Receipts(receipts)) if receipts.len() == 512));
    }
    while in_a_round.len() < 100 / (ITEMS_UNDER_WAY_MAX / 512) {
        in_a_round.push(stage.submitted.next().await);
    }
    // One question whose the key is, for each round.
    assert!(in_a_round.iter().all(|Submit(commands)| *commands == [find_key(1)]));
}

/// A peer that asks and asks and never reads is not read from for ever, and is left in the end.
#[actix::test]
async fn a_peer_that_never_reads_is_not_read_from() {
    tokio::time::pause();
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let mut frame_bytes = Vec::new();
    let call = Call::ReadReceipts { entries: vec![EntryNumber::new(0); 512] };
    frame::encode(&Request { correlation: Correlation(1), call }, &mut frame_bytes);
    let mut sent = 0;
    let begin = tokio::time::Instant::now();
    // Each answer takes some hundred bytes of the stream's mebibyte; so many are never sent.
    while stage.client.write_all(&frame_bytes).await.is_ok() {
        sent += 1;
        assert!(sent < 100_000, "the session reads on");
    }
    assert!(begin.elapsed() >= WRITE_TIME_MAX);
    assert_eq!(stage.log_outs.next().await, LogOut(SESSION));
}

/// Anybody can pay anybody, and as often as a call has room for: it must not cut the payee off.
#[actix::test]
async fn events_that_come_all_at_once_are_left_out_and_end_no_session() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    let event = Event::Received {
        payer: name("mallory"),
        amount: Amount::new(1),
        number: EntryNumber::new(9),
        order: None,
    };
    for _ in 0..20_000 {
        notices.do_send(SessionNotice::Event(event.clone()));
    }
    // What the session itself must know is not left out.
    notices.do_send(SessionNotice::Replaced { attempt: 1 });
    let mut encoded = Vec::new();
    frame::encode(&ServerFrame::Event(event.clone()), &mut encoded);
    let mut kept = 0;
    let behind = loop {
        match stage.frame::<ServerFrame>().await {
            ServerFrame::Event(found) if found == event => kept += encoded.len(),
            other => break other,
        }
    };
    assert!(kept > NOTICE_BYTES_MAX / 2 && kept <= 2 * NOTICE_BYTES_MAX, "{kept} bytes");
    assert_eq!(behind, ServerFrame::Event(Event::Replaced));
    assert_eq!(stage.frame::<ServerFrame>().await, ServerFrame::Event(Event::Missed));
    // Once, and then there is room again.
    notices.send(SessionNotice::Event(event.clone())).await.expect("the session lives");
    assert_eq!(stage.frame::<ServerFrame>().await, ServerFrame::Event(event));
    assert!(stage.call(Call::ReadBalance).await.is_ok());
}

#[actix::test]
async fn a_peer_that_does_not_read_its_events_is_left_when_its_time_is_over() {
    tokio::time::pause();
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    let begin = tokio::time::Instant::now();
    // The stream takes a mebibyte, which is some 11,000 events.
    for _ in 0..20_000 {
        let event = Event::PeerOnline(listed("bob", 2));
        notices.send(SessionNotice::Event(event)).await.expect("nobody else ends the session");
    }
    tokio::time::sleep(WRITE_TIME_MAX / 2).await;
    stage.log_outs.nothing();
    tokio::time::sleep(WRITE_TIME_MAX / 2).await;
    assert_eq!(stage.log_outs.next().await, LogOut(SESSION));
    assert!(begin.elapsed() >= WRITE_TIME_MAX);
}

#[actix::test]
async fn who_says_no_hello_is_left() {
    tokio::time::pause();
    let world = World::new();
    for begun in [0, 3, 10] {
        let mut stage = Stage::silent(1, &world);
        let mut bytes = Vec::new();
        frame::encode(&Hello::new(magic::CLIENT), &mut bytes);
        stage.send_bytes(&bytes[..begun]).await;
        let begin = tokio::time::Instant::now();
        stage.expect_end().await;
        let lasted = begin.elapsed();
        assert!(lasted >= HELLO_TIMEOUT && lasted < HELLO_TIMEOUT * 2, "{lasted:?}");
    }
}

/// The frame of a call.
fn read_balance() -> Vec<u8> {
    let mut bytes = Vec::new();
    let request = Request { correlation: Correlation(1), call: Call::ReadBalance };
    frame::encode(&request, &mut bytes);
    bytes
}

/// Half a frame keeps memory: the other half must come, also from somebody who is logged in.
#[actix::test]
async fn half_a_frame_is_not_kept_for_ever() {
    tokio::time::pause();
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let bytes = read_balance();
    let (half, rest) = bytes.split_at(7);
    // Slow, but in time.
    stage.send_bytes(half).await;
    tokio::time::sleep(FRAME_TIME_MAX / 2).await;
    stage.send_bytes(rest).await;
    assert!(stage.response().await.1.is_ok());
    tokio::time::sleep(FRAME_TIME_MAX * 2).await;
    assert!(stage.call(Call::ReadBalance).await.is_ok());
    // A byte now and then does not help.
    stage.send_bytes(&half[..1]).await;
    for byte in &half[1..4] {
        tokio::time::sleep(FRAME_TIME_MAX / 3).await;
        stage.send_bytes(&[*byte]).await;
    }
    stage.expect_closing(Problem::Malformed).await;
}

/// The answer to a whole frame says nothing of the half that came with it.
#[actix::test]
async fn half_a_frame_behind_a_whole_one_is_not_kept_for_ever() {
    tokio::time::pause();
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let bytes = read_balance();
    stage.send_bytes(&[bytes.as_slice(), &bytes[..7]].concat()).await;
    assert!(stage.response().await.1.is_ok());
    stage.expect_closing(Problem::Malformed).await;
}

/// The holder of a key that was changed is told so, and gets no answer any more.
#[actix::test]
async fn a_retired_key_ends_its_sessions() {
    let world = World::new();
    let mut idle = Stage::online(1, &world).await;
    let mut asking = Stage::open(1, &world).await;
    let mut logging_in = Stage::open(1, &world).await;
    let change = change(1, 11).sign(&key(1), &key(11));
    Stage::open(1, &world).await.call(Call::ChangeKey { change }).await.expect("changed");

    asking.ask(1, Call::ReadBalance).await;
    asking.expect_closing(Problem::KeyRetired).await;
    logging_in.ask(1, Call::LogIn { port: None }).await;
    logging_in.expect_closing(Problem::KeyRetired).await;
    // It took nobody's place on the way.
    logging_in.log_ins.nothing();
    let notices = idle.log_ins.next().await.notices.upgrade().expect("the session lives");
    notices.send(SessionNotice::KeyRetired).await.expect("the session lives");
    idle.expect_closing(Problem::KeyRetired).await;
}

/// The key may be changed between the log-in's question and its coming online.
#[actix::test]
async fn a_key_that_is_retired_while_it_logs_in_does_not_stay_online() {
    let world = World::new();
    let change = Box::new(change(1, 11).sign(&key(1), &key(11)).verify().expect("signed"));
    let ledger = world.clone();
    let mut stage = Stage::with_registry(1, &world, move |_| {
        let account = AccountId::new(0);
        ledger.apply(&Command::ChangeKey { account, change: change.clone() });
    });
    stage.send(&Hello::new(magic::CLIENT)).await;
    assert!(stage.frame::<Result<Welcome, Problem>>().await.is_ok());
    stage.ask(1, Call::LogIn { port: None }).await;
    stage.expect_closing(Problem::KeyRetired).await;
    assert_eq!(stage.log_ins.next().await.session, SESSION);
}
