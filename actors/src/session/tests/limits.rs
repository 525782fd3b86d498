//! What a session may have, how often it may ask, and when it must leave.

use wire::secure::REQUEST_BYTES_MIN as SECURE_REQUEST_BYTES_MIN;
use wire::text::framing::REQUEST_BYTES_MIN;

use super::*;
use crate::connection::REPLY_BYTES_PER_BYTE;
use crate::limits::{ByteLimits, OUTPUT_BYTES_MIN};

/// Connections that do nothing must not use up the server.
#[actix::test]
async fn a_silent_session_makes_room_when_the_server_is_crowded() {
    tokio::time::pause();
    let mut logged_in = start(Dialect::Seed);
    logged_in.log_in().await;
    logged_in.room.set_crowded(true);
    let mut silent = start(Dialect::Seed);
    tokio::time::sleep(LOG_IN_TIMEOUT_CROWDED * 2).await;
    silent.log_outs.nothing();
    silent.room.set_crowded(true);
    silent.expect_close().await;
    logged_in.send("alice#1#bob\n").await;
    logged_in.expect("100 OK\n").await;
}

#[actix::test]
async fn a_silent_session_may_be_so_for_a_while() {
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    start(Dialect::Seed).expect_close().await;
    let lasted = begin.elapsed();
    assert!(lasted >= LOG_IN_TIMEOUT && lasted < LOG_IN_TIMEOUT * 2, "{lasted:?}");
}

/// A peer that asks and never reads once kept its place for as long as it liked: only results for a payer
/// had a time to be taken in.
#[actix::test]
async fn who_does_not_read_the_answers_is_closed() {
    tokio::time::pause();
    let mut deaf = start(Dialect::Seed);
    deaf.log_in().await;
    // The answers are eight times as long, more than the stream holds.
    deaf.send(&"x\n".repeat(100_000)).await;
    tokio::time::sleep(WRITE_TIME_MAX / 2).await;
    deaf.log_outs.nothing();
    tokio::time::sleep(WRITE_TIME_MAX).await;
    assert_eq!(deaf.log_outs.next().await, LogOut(SessionId(5)));
}

fn so_often(count: u32) -> Rate {
    Rate::new(count.try_into().expect("not 0"), Duration::from_secs(1))
}

#[actix::test]
async fn lists_come_later_when_they_are_asked_for_too_often() {
    tokio::time::pause();
    let limits = SessionLimits { lists: Some(so_often(4)), ..SessionLimits::default() };
    let mut stage = start_limited(limits);
    let begin = tokio::time::Instant::now();
    // The log-in's is the first of four.
    stage.log_in().await;
    stage.send(&format!("{}alice#1#bob\nList\nalice#2#bob\n", "List\n".repeat(4))).await;
    let list = format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n");
    stage.expect(&list.repeat(3)).await;
    assert!(begin.elapsed() < Duration::from_millis(250));
    stage.expect(&format!("{list}100 OK\n")).await;
    // The payment did not wait for the list behind it.
    let waited = begin.elapsed();
    assert!(waited >= Duration::from_millis(250) && waited < Duration::from_millis(500));
    stage.expect(&format!("{list}100 OK\n")).await;
    assert!(begin.elapsed() >= Duration::from_millis(500));
    stage.send("bob#7002\n").await;
    stage.expect(&list).await;
    assert!(begin.elapsed() >= Duration::from_millis(750), "the list answers a log-in, too");
}

#[actix::test]
async fn a_line_that_is_longer_than_the_server_takes_is_refused_and_ends_the_connection() {
    tokio::time::pause();
    let bytes = ByteLimits { line: REQUEST_BYTES_MIN, ..ByteLimits::default() };
    let mut stage = start_limited(SessionLimits { bytes, ..SessionLimits::default() });
    stage.send(&format!("{}\nREGISTER#carol\n", "x".repeat(REQUEST_BYTES_MIN))).await;
    stage.expect("200 BAD_REQUEST\n100 OK\n").await;
    stage.send(&"x".repeat(REQUEST_BYTES_MIN + 1)).await;
    stage.expect("200 BAD_REQUEST\n").await;
    stage.expect_close().await;
}

/// What is read is parsed and answered before more is: that bounds both.
#[actix::test]
async fn no_more_is_read_than_bytes_may_be_read_and_not_answered() {
    const REQUEST: &str = "alice#1#bob\n";
    const COUNT: usize = READ_BYTES_MAX / REQUEST.len();
    let least = ByteLimits { frame: SECURE_REQUEST_BYTES_MIN, ..ByteLimits::default() };
    for (bytes, read) in [
        (ByteLimits { input: SECURE_REQUEST_BYTES_MIN, ..least }, SECURE_REQUEST_BYTES_MIN),
        (ByteLimits { output: OUTPUT_BYTES_MIN, ..least }, OUTPUT_BYTES_MIN / REPLY_BYTES_PER_BYTE),
    ] {
        let mut stage = start_limited(SessionLimits { bytes, ..SessionLimits::default() });
        stage.log_in().await;
        stage.send(&REQUEST.repeat(COUNT)).await;
        stage.expect(&"100 OK\n".repeat(COUNT)).await;
        let Submit(commands) = stage.submitted.next().await;
        assert_eq!(commands.len(), read / REQUEST.len());
    }
}

#[actix::test]
async fn one_address_opens_so_many_accounts_and_no_more() {
    let rates = PerAddress { loopback: Some(so_often(2)), others: None };
    let registrations = Arc::new(Registrations::new(rates));
    let limits = SessionLimits { registrations, ..SessionLimits::default() };
    let mut stage = start_limited(limits.clone());
    stage.send("REGISTER#carol\nREGISTER#dave\nREGISTER#erin\nREGISTER#a b\nnonsense\n").await;
    stage.expect("100 OK\n100 OK\n220 ERROR\n210 FAIL\n200 BAD_REQUEST\n").await;
    let Submit(commands) = stage.submitted.next().await;
    assert_eq!(commands.len(), 2, "the ledger hears of no more");
    let mut another = start_limited(limits);
    another.send("REGISTER#frank\n").await;
    another.expect("220 ERROR\n").await;
}

/// Who is logged in and silent for long makes room when the server is full.
#[actix::test]
async fn who_is_asked_to_leave_is_answered_and_closed() {
    tokio::time::pause();
    let mut stage = start(Dialect::Seed);
    stage.log_in().await;
    stage.room.make_room();
    stage.send("alice#1#bob\n").await;
    stage.expect("100 OK\n").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    stage.log_outs.nothing();
    stage.room.make_room();
    stage.expect_close().await;
}

/// The story: a client asks for more lists than it may have in a minute and more. Its place is needed, or the
/// server stops; it is given one list after the other, and whoever waits for its place waits for them all.
#[actix::test]
async fn who_is_asked_to_leave_does_not_wait_for_lists() {
    tokio::time::pause();
    for stops in [false, true] {
        let limits = SessionLimits { lists: Some(so_often(1)), ..SessionLimits::default() };
        let mut stage = start_limited(limits);
        stage.log_in().await;
        stage.send(&format!("{}alice#1#bob\n", "List\n".repeat(1000))).await;
        tokio::time::sleep(Duration::from_millis(60_500)).await;
        let asked = tokio::time::Instant::now();
        if stops {
            stage.stop.cancel();
        } else {
            stage.room.make_room();
        }
        stage.expect(&list().repeat(60)).await;
        stage.expect_close().await;
        assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    }
}
