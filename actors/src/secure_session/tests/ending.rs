//! How sessions end, and what others have to do with it.

use super::*;
use crate::connection::LOG_IN_TIMEOUT;

#[actix::test]
async fn a_session_that_is_replaced_is_told_and_not_logged_in_any_more() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    notices.send(SessionNotice::Replaced { attempt: 1 }).await.expect("the session lives");
    assert_eq!(stage.frame::<ServerFrame>().await, ServerFrame::Event(Event::Replaced));
    let list = Call::ListOnline { after: None, limit: 1 };
    assert_eq!(stage.call(list.clone()).await, Err(Problem::NotLoggedIn));
    assert!(stage.call(Call::ReadBalance).await.is_ok());
    stage.call(Call::LogIn { port: None }).await.expect("logged in again");
    // The word that the first log-in was replaced, come late, does not end the second.
    notices.send(SessionNotice::Replaced { attempt: 1 }).await.expect("the session lives");
    assert!(stage.call(list).await.is_ok());
}

#[actix::test]
async fn events_are_passed_on() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    let event = Event::PeerOnline(listed("bob", 2));
    notices.send(SessionNotice::Event(event.clone())).await.expect("the session lives");
    assert_eq!(stage.frame::<ServerFrame>().await, ServerFrame::Event(event));
    notices.send(SessionNotice::Line("text\n")).await.expect("the session lives");
    assert!(stage.call(Call::ReadBalance).await.is_ok());
}

/// The story: who had read that it is logged out asked on another thread who is online, and still was.
#[actix::test]
async fn the_registry_hears_of_a_log_out_before_the_peer_reads_the_answer() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    // More than the stream takes: nothing else can be written before the test reads.
    for _ in 0..20_000 {
        let event = Event::PeerOnline(listed("bob", 2));
        notices.send(SessionNotice::Event(event)).await.expect("the session lives");
    }
    stage.log_outs.nothing();
    stage.ask(1, Call::LogOut).await;
    assert_eq!(stage.log_outs.next().await, LogOut(SESSION));
}

#[actix::test]
async fn the_end_of_the_stream_answers_what_came_before_and_logs_out() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    stage.ask(1, Call::ReadBalance).await;
    stage.client.shutdown().await.expect("our side closes");
    assert!(stage.response().await.1.is_ok());
    stage.expect_end().await;

    let mut stage = Stage::online(1, &world).await;
    drop(stage.client);
    assert_eq!(stage.log_outs.next().await, LogOut(SESSION));
}

#[actix::test]
async fn a_stop_answers_what_had_been_sent_and_says_why() {
    let world = World::new();
    let mut stage = Stage::online(1, &world).await;
    stage.ask(1, Call::ReadBalance).await;
    stage.stop.cancel();
    assert!(stage.response().await.1.is_ok());
    stage.expect_closing(Problem::Stopping).await;

    let mut idle = Stage::online(1, &world).await;
    idle.stop.cancel();
    idle.expect_closing(Problem::Stopping).await;

    let mut silent = Stage::silent(1, &world);
    silent.stop.cancel();
    silent.expect_end().await;
}

#[actix::test]
async fn who_is_not_logged_in_may_be_silent_for_a_while() {
    tokio::time::pause();
    let world = World::new();
    let mut online = Stage::online(1, &world).await;
    let mut stage = Stage::open(2, &world).await;
    let begin = tokio::time::Instant::now();
    stage.expect_closing(Problem::NotLoggedIn).await;
    let lasted = begin.elapsed();
    assert!(lasted >= LOG_IN_TIMEOUT && lasted < LOG_IN_TIMEOUT * 2, "{lasted:?}");
    assert!(online.call(Call::ReadBalance).await.is_ok());

    let mut crowded = Stage::open(2, &world).await;
    crowded.room.set_crowded(true);
    let begin = tokio::time::Instant::now();
    crowded.expect_closing(Problem::NotLoggedIn).await;
    assert!(begin.elapsed() <= LOG_IN_TIMEOUT_CROWDED * 2);
}
