//! The list: who stands on it, when, and with which words.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::process::{PATIENCE, Server};
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// "At once": long enough for a busy machine, shorter than any time that the server waits for
/// something.
const AT_ONCE: Duration = Duration::from_millis(500);

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), args);
    (data, server)
}

/// Lists again and again until the list is this one.
#[track_caller]
fn wait_for_list(watcher: &mut Connection, expected: &[&str], patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        watcher.send("List\n");
        let (_, online) = watcher.list();
        if online == expected {
            return;
        }
        assert!(Instant::now() < deadline, "after {patience:?} still {online:?}, not {expected:?}");
    }
}

fn key_of(connection: &mut Connection) -> String {
    connection.send("List\n");
    let (_, key) = (connection.line(), connection.line());
    let online = connection.line().parse().expect("a count");
    (0..online).for_each(|_| drop(connection.line()));
    key
}

/// Protects clients that read a list with one read: it comes in one write, in order of name, with
/// the address that the server sees.
#[test]
fn a_list_is_ordered_and_comes_in_one_write() {
    let (_data, server) = start(&[]);
    let names = ["bob", "Anna", "zoe", "alice", "b", "7up", "Émile", "-", "bobby"];
    let mut connections: Vec<_> = (5001..)
        .zip(names)
        .map(|(port, name)| Connection::log_in(server.address, name, port))
        .collect();
    let key = key_of(&mut connections[0]);
    let expected = format!(
        "1000\n{key}\n9\n-#127.0.0.1#5008\n7up#127.0.0.1#5006\nAnna#127.0.0.1#5002\n\
         alice#127.0.0.1#5004\nb#127.0.0.1#5005\nbob#127.0.0.1#5001\nbobby#127.0.0.1#5009\n\
         zoe#127.0.0.1#5003\nÉmile#127.0.0.1#5007\n"
    );
    for connection in &mut connections {
        connection.send("List\n");
        assert_eq!(connection.read_once(), expected);
    }
}

/// Protects clients that read the reply to a log-in with one read, also where the list is long.
#[test]
fn a_long_list_comes_whole() {
    let (_data, server) = start(&[]);
    let mut connections: Vec<_> = (0..200)
        .map(|number| Connection::log_in(server.address, &format!("user{number:03}"), 5001))
        .collect();
    let online: Vec<_> = (0..200).map(|number| format!("user{number:03}#127.0.0.1#5001")).collect();
    for connection in &mut connections {
        connection.send("List\n");
        let list = connection.read_once();
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines[2], "200");
        assert_eq!(lines[3..], online);
    }
}

/// Protects the opening balances of the two dialects, and the operator's own.
#[test]
fn the_opening_balance_follows_the_dialect_unless_the_operator_says() {
    for (args, expected) in [
        (&[][..], 1000),
        (&["--text-dialect", "seed"], 1000),
        (&["--text-dialect", "ta2021"], 10_000),
        (&["--opening-balance", "0"], 0),
        (&["--opening-balance", "77", "--text-dialect", "seed"], 77),
        (&["--opening-balance", "77", "--text-dialect", "ta2021"], 77),
    ] {
        let (_data, server) = start(args);
        let mut connection = Connection::open(server.address);
        connection.ask("REGISTER#alice\n", "100 OK\n");
        connection.send("alice#5001\n");
        assert_eq!(connection.list(), (expected, vec!["alice#127.0.0.1#5001".into()]), "{args:?}");
    }
}

/// Protects who remembers the server's key: it is a key, and it stays the same.
#[test]
fn the_key_line_is_the_key_of_the_server_also_after_a_restart() {
    let (data, server) = start(&[]);
    let key = key_of(&mut Connection::log_in(server.address, "alice", 5001));
    assert_eq!(key.len(), 43, "{key}");
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(key.bytes().all(base64url), "{key}");
    server.stop();

    let server = Server::start(MITE, data.path(), &["--text-dialect", "ta2021"]);
    assert_eq!(key_of(&mut Connection::log_in(server.address, "bob", 5002)), key);

    let (_other_data, other) = start(&[]);
    assert_ne!(key_of(&mut Connection::log_in(other.address, "alice", 5001)), key);
}

/// Protects payers from ghosts: a connection that ends, in whatever way, leaves the list at once.
#[test]
fn a_connection_that_ends_leaves_the_list_at_once() {
    let (_data, server) = start(&[]);
    let mut watcher = Connection::log_in(server.address, "watcher", 5001);
    let both = ["ghost#127.0.0.1#5002", "watcher#127.0.0.1#5001"];
    let mut ghost = Connection::log_in(server.address, "ghost", 5002);
    for how in ["drop", "reset", "half closed", "half closed in a request", "gone in a request"] {
        wait_for_list(&mut watcher, &both, PATIENCE);
        match how {
            "drop" => drop(ghost),
            "reset" => ghost.reset(),
            "half closed" => {
                ghost.finish_sending();
                ghost.expect_close();
            }
            "half closed in a request" => {
                ghost.send("Li");
                ghost.finish_sending();
                ghost.expect_close();
            }
            _ => {
                ghost.send("ghost#1#watcher\nLi");
                drop(ghost);
            }
        }
        wait_for_list(&mut watcher, &both[1..], AT_ONCE);
        ghost = Connection::open(server.address);
        ghost.send("ghost#5002\n");
        ghost.list();
    }
}

/// The same for an end that the server brings about: who was told `Bye`, or was thrown out, is not
/// on the list any more, even while the other side takes its time to close.
#[test]
fn a_connection_that_the_server_ends_leaves_the_list_at_once() {
    let (_data, server) = start(&[]);
    let mut watcher = Connection::log_in(server.address, "watcher", 5001);
    for (name, request, reply) in
        [("leaver", &b"Exit\n"[..], "Bye\n"), ("breaker", b"\xff\xfe\n", "200 BAD_REQUEST\n")]
    {
        let mut ghost = Connection::log_in(server.address, name, 5002);
        ghost.send(request);
        // The server has closed its side; this side stays open to the end of the test.
        assert_eq!(ghost.rest(), reply);
        wait_for_list(&mut watcher, &["watcher#127.0.0.1#5001"], AT_ONCE);
    }
}

/// Protects the owner of a name who logs in again: the first connection is not logged in any more,
/// and its end does not take the second off the list.
#[test]
fn a_second_log_in_replaces_the_first() {
    for (dialect, not_logged_in) in
        [("seed", "220 AUTH_FAIL\n"), ("ta2021", "Please login first\n")]
    {
        let (_data, server) = start(&["--text-dialect", dialect]);
        let mut first = Connection::log_in(server.address, "alice", 5001);
        let mut second = Connection::open(server.address);
        second.send("alice#6001\n");
        assert_eq!(second.list().1, ["alice#127.0.0.1#6001"]);
        first.ask("List\n", not_logged_in);
        first.ask("bob#1#alice\n", not_logged_in);
        drop(first);
        for _ in 0..100 {
            second.send("List\n");
            assert_eq!(second.list().1, ["alice#127.0.0.1#6001"]);
        }
        // The first may come back the same way.
        let mut third = Connection::open(server.address);
        third.send("alice#7001\n");
        assert_eq!(third.list().1, ["alice#127.0.0.1#7001"]);
        second.ask("List\n", not_logged_in);
        second.send("alice#6001\n");
        assert_eq!(second.list().1, ["alice#127.0.0.1#6001"]);
        third.ask("List\n", not_logged_in);
    }
}

/// Protects the same when both log in in the same instant: one of them stays, not two, not none.
#[test]
fn of_many_log_ins_in_one_instant_one_stays() {
    const CONNECTIONS: usize = 16;
    const ROUNDS: usize = 20;
    let (_data, server) = start(&[]);
    Connection::log_in(server.address, "alice", 5001);
    for round in 0..ROUNDS {
        let together = Barrier::new(CONNECTIONS);
        let log_in = || {
            let mut connection = Connection::open(server.address);
            together.wait();
            connection.send("alice#5001\n");
            assert_eq!(connection.list().1.len(), 1);
            connection
        };
        let connections: Vec<Connection> = thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(log_in)).collect();
            threads.into_iter().map(|thread| thread.join().expect("all log in")).collect()
        });
        let mut logged_in = 0;
        for mut connection in connections {
            connection.send("List\n");
            if connection.line() != "220 AUTH_FAIL" {
                logged_in += 1;
            }
        }
        assert_eq!(logged_in, 1, "in round {round}");
    }
}

/// Protects one connection that logs in twice: under another name, it is not on the list twice;
/// with another port, peers find the new one.
#[test]
fn logging_in_again_on_one_connection_replaces_name_and_port() {
    let (_data, server) = start(&[]);
    let mut watcher = Connection::log_in(server.address, "watcher", 5009);
    let mut connection = Connection::log_in(server.address, "alice", 5001);
    connection.ask("REGISTER#bob\n", "100 OK\n");
    for (request, line) in [
        ("alice#5002\n", "alice#127.0.0.1#5002"),
        ("bob#5003\n", "bob#127.0.0.1#5003"),
        ("bob#5003\n", "bob#127.0.0.1#5003"),
        ("alice#65535\n", "alice#127.0.0.1#65535"),
        ("alice#1\n", "alice#127.0.0.1#1"),
    ] {
        connection.send(request);
        assert_eq!(connection.list().1, [line, "watcher#127.0.0.1#5009"]);
        watcher.send("List\n");
        assert_eq!(watcher.list().1, [line, "watcher#127.0.0.1#5009"]);
    }
    // The account that is debited is the one of the last log-in.
    connection.ask("watcher#5#bob\n", "Transfer failed due to no permission.\n");
    connection.ask("watcher#5#alice\n", "100 OK\n");
}
