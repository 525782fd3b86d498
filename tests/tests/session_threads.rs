//! Sessions on threads of their own: whoever they meet there or elsewhere, all is as on one thread.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::process::{PATIENCE, Server};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::{Answer, Call, Event};
use wire::{Amount, P2pPort};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn start(threads: &str) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &["--session-threads", threads]);
    (data, server)
}

fn listed(connection: &mut Connection) -> (u64, Vec<String>) {
    connection.send("List\n");
    connection.list()
}

/// Protects whoever shares a server with others: neighbours on other threads are paid, listed, replaced
/// and told like those on one's own.
#[test]
fn text_sessions_meet_across_threads() {
    for threads in ["1", "2", "3"] {
        let (_data, server) = start(threads);
        let mut people: Vec<_> = (0..7_u16)
            .map(|number| Connection::log_in(server.address, &format!("p{number}"), 7000 + number))
            .collect();
        for payer in 0..7 {
            let payee = (payer + 1) % 7;
            people[payee].ask(&format!("p{payer}#{}#p{payee}\n", payer + 1), "100 OK\n");
        }
        let balances = people.iter_mut().map(listed).map(|(balance, lines)| {
            assert_eq!(lines.len(), 7, "{threads} threads");
            balance
        });
        assert_eq!(balances.collect::<Vec<_>>(), [1006, 999, 999, 999, 999, 999, 999]);
        // The account is taken on each of the threads in turn.
        for _ in 0..4 {
            let mut next = Connection::open(server.address);
            next.send("p0#7000\n");
            next.list();
            people[0].ask("List\n", "220 AUTH_FAIL\n");
            people[0] = next;
        }
        drop(people.pop());
        let deadline = Instant::now() + PATIENCE;
        while listed(&mut people[0]).1.len() != 6 {
            assert!(Instant::now() < deadline, "who is gone stays on the list");
        }
        server.stop();
    }
}

/// The same over the secure protocol, whose handshakes are done on those threads.
#[test]
fn secure_sessions_meet_across_threads() {
    for threads in ["1", "2"] {
        let (_data, server) = start(threads);
        let mut watcher = SecureClient::registered(server.address, &key(1), "watcher");
        let names = vec!["late".parse().expect("a name")];
        let watched = watcher.call(Call::Watch { names }).expect("it watches");
        assert!(matches!(watched, Answer::Watching(peers) if peers.is_empty()));
        // On the next thread, and on the watcher's own.
        for _ in 0..2 {
            let mut late = SecureClient::connect(server.address, &key(2));
            if late.welcome.account.is_none() {
                let name = "late".parse().expect("a name");
                late.call(Call::Register { name }).expect("an account");
            }
            let port = Some(P2pPort::try_from(7002).expect("a port"));
            late.call(Call::LogIn { port }).expect("a log-in");
            let balance = late.call(Call::ReadBalance).expect("a balance");
            assert!(
                matches!(balance, Answer::Balance { amount, .. } if amount == Amount::new(1000))
            );
            let is_late = |event: &Event| match event {
                Event::PeerOnline(peer) => peer.name.as_str() == "late",
                _ => false,
            };
            let deadline = Instant::now() + PATIENCE;
            while !watcher.events.iter().any(is_late) {
                assert!(Instant::now() < deadline, "{threads} threads: nothing is heard");
                watcher.call(Call::ReadBalance).expect("a balance");
            }
            watcher.events.clear();
            // Else the next one may be there before this one is gone, at the same address, which is no news.
            late.call(Call::LogOut).expect("it is gone");
        }
        server.stop();
    }
}

/// Protects what was asked when the operator stops the server: it is answered, on every thread.
#[test]
fn a_stop_answers_on_every_thread_what_was_sent() {
    let (_data, server) = start("2");
    let mut people: Vec<_> = (0..4_u16)
        .map(|number| Connection::log_in(server.address, &format!("p{number}"), 7000 + number))
        .collect();
    for (number, person) in people.iter_mut().enumerate() {
        person.send(format!("p{}#1#p{number}\n", (number + 1) % 4));
    }
    std::thread::sleep(Duration::from_millis(20));
    server.stop();
    for person in &mut people {
        person.expect("100 OK\n");
        person.expect_close();
    }
}

/// Protects everybody on the server from a connection that asks, without a log-in, for as many lists as
/// one read takes: none may cost a piece of the stack.
#[test]
fn lists_without_a_log_in_do_not_end_the_server() {
    const LISTS: usize = 13_000;
    for threads in ["1", "2"] {
        let (_data, server) = start(threads);
        let mut neighbour = Connection::log_in(server.address, "alice", 7001);
        let mut connections: Vec<_> = (0..2).map(|_| Connection::open(server.address)).collect();
        for connection in &mut connections {
            connection.send("List\n".repeat(LISTS));
            connection.expect("220 AUTH_FAIL\n".repeat(LISTS));
        }
        assert_eq!(listed(&mut neighbour).1.len(), 1, "{threads} threads");
        server.stop();
    }
}

/// Protects the operator's limits: they hold for all threads together.
#[test]
fn places_are_counted_over_all_threads() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let limits = ["--session-threads", "3", "--max-connections", "5"];
    let server = Server::start(MITE, data.path(), &limits);
    let mut inside: Vec<_> = (0..5).map(|_| Connection::open(server.address)).collect();
    for connection in &mut inside {
        connection.ask("hello\n", "200 BAD_REQUEST\n");
    }
    assert!(Connection::open(server.address).rest().starts_with("220 ERROR"));
    server.stop();
}
