//! Accounts with keys: listed or not, watched, told, retired.

use wire::{Amount, EntryNumber};

use super::*;
use crate::messages::{NotifyParties, WatchRefusal};

const KEY: PublicKey = PublicKey::new([1; 32]);

fn keyed(id: u64, who: &str, port: Option<u16>, session: &Recipient<SessionNotice>) -> LogInKeyed {
    LogInKeyed {
        session: SessionId(id),
        attempt: 1,
        name: name(who),
        key: KEY,
        address: port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
        notices: session.downgrade(),
    }
}

fn peer(who: &str, key: Option<PublicKey>, port: u16) -> OnlinePeer {
    OnlinePeer { name: name(who), key, address: SocketAddr::from(([127, 0, 0, 1], port)) }
}

async fn page(registry: &Addr<Registry>, after: Option<&str>, limit: u32) -> (Vec<String>, bool) {
    let page = registry.send(ReadOnline { after: after.map(name), limit }).await.expect("answers");
    (page.peers.iter().map(|peer| peer.name.to_string()).collect(), page.more)
}

async fn watch(
    registry: &Addr<Registry>,
    id: u64,
    names: &[&str],
) -> Result<Vec<OnlinePeer>, WatchRefusal> {
    let names = names.iter().copied().map(name).collect();
    registry.send(WatchNames { session: SessionId(id), names }).await.expect("answers")
}

fn online(who: &str, port: u16) -> SessionNotice {
    SessionNotice::Event(Event::PeerOnline(peer(who, Some(KEY), port)))
}

#[actix::test]
async fn the_list_shows_open_and_keyed_accounts_alike_and_no_unlisted_ones() {
    let (ledger, mut asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    registry.send(log_in(1, "bob", 7001, &one)).await.expect("answers").expect("logs in");
    asked.next().await;
    registry.send(keyed(2, "karl", Some(7002), &one)).await.expect("answers");
    registry.send(keyed(3, "karla", None, &one)).await.expect("answers");
    registry.send(keyed(4, "alina", Some(7004), &one)).await.expect("answers");
    // The session has asked the ledger.
    asked.nothing();
    assert_eq!(
        lines(&registry).await,
        "alina#127.0.0.1#7004\nbob#127.0.0.1#7001\nkarl#127.0.0.1#7002\n"
    );
    let all = registry.send(ReadOnline { after: None, limit: 9 }).await.expect("answers");
    let listed =
        [peer("alina", Some(KEY), 7004), peer("bob", None, 7001), peer("karl", Some(KEY), 7002)];
    assert_eq!(all, OnlinePage { peers: listed.to_vec(), more: false });
    for (who, found) in [("karl", Some(7002)), ("karla", None), ("ghost", None)] {
        let address = registry.send(FindOnline(name(who))).await.expect("answers");
        assert_eq!(address.map(|address| address.port()), found, "{who}");
    }
    // Off the list, and on it again.
    registry.send(keyed(2, "karl", None, &one)).await.expect("answers");
    assert!(!lines(&registry).await.contains("karl"));
    registry.do_send(LogOut(SessionId(3)));
    registry.send(keyed(3, "karla", Some(7003), &one)).await.expect("answers");
    assert!(lines(&registry).await.contains("karla#127.0.0.1#7003"));
}

#[actix::test]
async fn pages_go_on_where_the_last_one_ended() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    for (id, who) in (0..).zip(["ada", "ben", "cleo", "dan"]) {
        let port = (who != "ben").then_some(7000);
        registry.send(keyed(id, who, port, &one)).await.expect("answers");
    }
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(page(&registry, None, 2).await, (names(&["ada", "cleo"]), true));
    assert_eq!(page(&registry, Some("cleo"), 2).await, (names(&["dan"]), false));
    assert_eq!(page(&registry, Some("b"), 1).await, (names(&["cleo"]), true));
    assert_eq!(page(&registry, Some("dan"), 2).await, (names(&[]), false));
    assert_eq!(page(&registry, None, 3).await, (names(&["ada", "cleo", "dan"]), false));
}

#[actix::test]
async fn a_second_keyed_log_in_replaces_the_first_and_what_it_watched() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let ((one, mut first), (two, mut second)) = (session(), session());
    registry.send(keyed(1, "karl", Some(7001), &one)).await.expect("answers");
    watch(&registry, 1, &["bob"]).await.expect("watched");
    registry.send(keyed(2, "karl", Some(7002), &two)).await.expect("answers");
    assert_eq!(first.next().await, SessionNotice::Replaced { attempt: 1 });
    assert_eq!(watch(&registry, 1, &["bob"]).await, Err(WatchRefusal::NotLoggedIn));
    registry.send(log_in(3, "bob", 7003, &two)).await.expect("answers").expect("logs in");
    first.nothing();
    second.nothing();
    registry.do_send(LogOut(SessionId(1)));
    assert!(lines(&registry).await.contains("karl#127.0.0.1#7002"));
}

/// A text log-in to a keyed account is refused whether somebody is on it or not.
#[actix::test]
async fn text_takes_over_no_keyed_account() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let ((one, mut first), (two, _second)) = (session(), session());
    registry.send(keyed(1, "karl", Some(7001), &one)).await.expect("answers");
    let refused = registry.send(log_in(2, "karl", 7002, &two)).await.expect("answers");
    assert_eq!(refused, Err(LogInRefusal::KeyRequired));
    first.nothing();
    assert_eq!(lines(&registry).await, "karl#127.0.0.1#7001\n");
}

#[actix::test]
async fn watchers_hear_of_those_who_come_on_the_list() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let ((one, mut watcher), (two, mut other)) = (session(), session());
    assert_eq!(watch(&registry, 1, &["karl"]).await, Err(WatchRefusal::NotLoggedIn));
    registry.send(keyed(1, "alina", None, &one)).await.expect("answers");
    registry.send(keyed(2, "karl", Some(7002), &two)).await.expect("answers");
    let known = watch(&registry, 1, &["karl", "karla", "ghost"]).await;
    assert_eq!(known, Ok(vec![peer("karl", Some(KEY), 7002)]));
    watcher.nothing();

    // The same again is no news; another address is.
    registry.send(keyed(2, "karl", Some(7002), &two)).await.expect("answers");
    registry.send(keyed(3, "unwatched", Some(7005), &two)).await.expect("answers");
    registry.send(keyed(4, "karla", None, &two)).await.expect("answers");
    watcher.nothing();
    registry.send(keyed(2, "karl", Some(7009), &two)).await.expect("answers");
    assert_eq!(watcher.next().await, online("karl", 7009));
    registry.send(keyed(4, "karla", Some(7004), &two)).await.expect("answers");
    assert_eq!(watcher.next().await, online("karla", 7004));

    // What is watched now takes the place of what was watched before; what ended is forgotten.
    watch(&registry, 1, &["ghost"]).await.expect("watched");
    registry.do_send(LogOut(SessionId(2)));
    registry.send(keyed(2, "karl", Some(7002), &two)).await.expect("answers");
    registry.do_send(LogOut(SessionId(1)));
    registry.send(keyed(5, "ghost", Some(7006), &two)).await.expect("answers");
    watcher.nothing();
    other.nothing();
}

#[actix::test]
async fn parties_are_told_wherever_they_are_online() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, mut notices) = session();
    registry.send(keyed(1, "karl", None, &one)).await.expect("answers");
    let event = Event::Received {
        payer: name("bob"),
        amount: Amount::new(5),
        number: EntryNumber::new(3),
        order: None,
    };
    let parties = vec![(name("ghost"), event.clone()), (name("karl"), event.clone())];
    registry.send(NotifyParties(parties)).await.expect("answers");
    assert_eq!(notices.next().await, SessionNotice::Event(event));
    notices.nothing();
}

#[actix::test]
async fn a_retired_key_goes_off_the_list_and_a_new_one_stays() {
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, mut notices) = session();
    let retire = |key| RetireKey { name: name("karl"), key };
    registry.send(keyed(1, "karl", Some(7001), &one)).await.expect("answers");
    registry.send(retire(PublicKey::new([9; 32]))).await.expect("answers");
    notices.nothing();
    assert_eq!(lines(&registry).await, "karl#127.0.0.1#7001\n");
    registry.send(retire(KEY)).await.expect("answers");
    assert_eq!(notices.next().await, SessionNotice::KeyRetired);
    assert_eq!(lines(&registry).await, "");
    registry.send(retire(KEY)).await.expect("answers");
    notices.nothing();
}
