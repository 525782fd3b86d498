//! A server whose disk is really full, or fails: payments are refused with an answer, what is there can be
//! read, health and metrics say so. When a full one has room again payments go on, with nothing lost.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::http::{get, number};
use tests::operator::{admin, admin_json};
use tests::process::{PATIENCE, Program, Server, expect_done, text};
use tests::secure::{SecureClient, key};
use tests::small_disk::SmallDisk;
use tests::text::Connection;
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// Room for the files of a server, and then as much again as the journal wants before it is written to again.
const DISK_BYTES: u64 = 64 << 20;

/// Payments that are sent in one piece. Each takes less than 100 bytes of the journal.
const PAYMENTS_AT_ONCE: usize = 2000;

/// More payments than fit into the zeros that a server has written ahead.
const PAYMENTS_MAX: usize = 1_000_000;

/// How often health is asked for while it must change.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn start(data: &Path) -> (Server, SocketAddr) {
    let args = ["--metrics", "127.0.0.1:0", "--opening-balance", "10000000"];
    let server = Server::start(MITE, data, &args);
    let line = server.program.line_with("metrics on ");
    let address = line.strip_prefix("metrics on ").expect("the whole line").parse();
    (server, address.expect("an address"))
}

/// Sends payments of 1 until one is refused. How many were settled.
fn pay_until_refused(payee: &mut Connection) -> usize {
    let mut settled = 0;
    while settled < PAYMENTS_MAX {
        payee.send("alice#1#bob\n".repeat(PAYMENTS_AT_ONCE));
        let replies: Vec<_> = (0..PAYMENTS_AT_ONCE).map(|_| payee.line()).collect();
        let now_settled = replies.iter().filter(|reply| *reply == "100 OK").count();
        settled += now_settled;
        if now_settled < PAYMENTS_AT_ONCE {
            let refused = replies.iter().filter(|reply| *reply == "220 ERROR").count();
            assert_eq!(now_settled + refused, PAYMENTS_AT_ONCE, "another answer");
            return settled;
        }
    }
    panic!("{settled} payments were settled on a full disk");
}

/// Asks for a list until there is one, and returns the balance in it: the ledger reads its journal again first,
/// and is busy meanwhile.
fn ask_until_known(client: &mut Connection, request: &str) -> u64 {
    let began = Instant::now();
    loop {
        client.send(request);
        let line = client.line();
        if let Ok(balance) = line.parse() {
            let _key = client.line();
            let online: usize = client.line().parse().expect("a count");
            (0..online).for_each(|_| drop(client.line()));
            return balance;
        }
        assert_eq!(line, "220 ERROR");
        assert!(began.elapsed() < PATIENCE, "the journal is not read");
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until health is told with this status, and returns what is told.
fn wait_for_health(metrics: SocketAddr, status: u16) -> String {
    let began = Instant::now();
    loop {
        let (told, why) = get(metrics, "/health");
        if told == status {
            return why;
        }
        assert!(began.elapsed() < PATIENCE, "{told}, not {status}: {why}");
        thread::sleep(LOOK_EVERY);
    }
}

fn submit(client: &mut SecureClient, amount: u64) -> OrderAnswer {
    let order = client.order(&key(1), "bob", None, amount);
    match client.call(Call::SubmitOrders { orders: vec![order] }) {
        Ok(Answer::Orders(mut answers)) => answers.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_refuses_payments_with_an_answer_and_payments_go_on_when_there_is_room() {
    let mount_point = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(DISK_BYTES, mount_point.path()) else { return };
    let data = disk.path().join("data");
    let (server, metrics) = start(&data);
    Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    SecureClient::registered(server.address, &key(1), "karl");
    let mut karl = SecureClient::connect(server.address, &key(1));
    assert!(matches!(submit(&mut karl, 5), OrderAnswer::Decided { .. }));
    assert_eq!(get(metrics, "/health").0, 200);

    disk.fill();
    let settled = pay_until_refused(&mut bob);
    let why = wait_for_health(metrics, 503);
    assert!(why.contains("read-only") && why.contains("room on the disk"), "{why}");
    let balance = 10_000_000 + 5 + settled as u64;
    assert_eq!(ask_until_known(&mut bob, "List\n"), balance);
    // Who asks for a change hears it each time, in the words of the protocol; nothing else has changed.
    for _ in 0..3 {
        bob.ask("alice#1#bob\n", "220 ERROR\n");
        bob.ask("REGISTER#dave\n", "220 ERROR\n");
        assert_eq!(bob.balance(), balance);
        assert_eq!(submit(&mut karl, 7), OrderAnswer::NotTaken(OrderProblem::ReadOnly));
        assert!(karl.call(Call::ReadBalance).is_ok());
    }
    let (status, page) = get(metrics, "/metrics");
    assert_eq!((status, number(&page, "mite_read_only")), (200, 1));
    assert_eq!(admin_json(MITE, &data, &["status"])["condition"], "read-only");
    let refused = admin(MITE, &data, &["deposit", "alice", "1"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    disk.make_room();
    wait_for_health(metrics, 200);
    let (_, page) = get(metrics, "/metrics");
    assert_eq!(number(&page, "mite_read_only"), 0);
    bob.ask("alice#1#bob\n", "100 OK\n");
    assert!(matches!(submit(&mut karl, 7), OrderAnswer::Decided { .. }));
    assert_eq!(bob.balance(), balance + 1 + 7);
    server.stop();
    check_books(&data, balance + 1 + 7);
}

/// The story: the system refuses what the server writes, for another reason than want of room, and the
/// server looks alive. This one needs no disk of its own: the system lets the process write into no file
/// any more.
#[test]
fn a_disk_that_fails_ends_payments_until_the_next_start_and_health_says_so() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path().join("data");
    let (server, metrics) = start_unlimited(&data);
    Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    SecureClient::registered(server.address, &key(1), "karl");
    bob.ask("alice#5#bob\n", "100 OK\n");
    server.program.limit_file_bytes(1);
    // Whether it is done is not known, and nothing in the protocol says so.
    bob.send("alice#1#bob\n");
    bob.expect_close();
    let why = wait_for_health(metrics, 503);
    assert!(why.contains("read-only") && why.contains("started again"), "{why}");
    let (status, page) = get(metrics, "/metrics");
    assert_eq!((status, number(&page, "mite_read_only")), (200, 1));
    let mut bob = Connection::open(server.address);
    assert_eq!(ask_until_known(&mut bob, "bob#5002\n"), 10_000_005);
    for _ in 0..3 {
        bob.ask("alice#1#bob\n", "220 ERROR\n");
        assert_eq!(bob.balance(), 10_000_005);
    }
    let mut karl = SecureClient::connect(server.address, &key(1));
    assert_eq!(submit(&mut karl, 7), OrderAnswer::NotTaken(OrderProblem::ReadOnly));
    // It has nothing to keep that is not kept.
    server.stop();
    check_books(&data, 10_000_005);
}

/// A server that is told of a limit to its files by an error, as of any other, and not by a signal.
fn start_unlimited(data: &Path) -> (Server, SocketAddr) {
    let sh = ["-c", "trap '' XFSZ && exec \"$@\"", "sh", MITE];
    let server = ["--role", "server", "--listen", "127.0.0.1:0", "--data", text(data)];
    let more = ["--metrics", "127.0.0.1:0", "--opening-balance", "10000000"];
    let args = sh.into_iter().chain(server).chain(more);
    let program = Program::start("sh", args);
    let address = |line: &str| {
        let line = program.line_with(line);
        line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("an address")
    };
    let (address, metrics) = (address("listening on "), address("metrics on "));
    (Server { program, address }, metrics)
}

/// What was answered is there at the next start, and the journal is sound.
fn check_books(data: &Path, balance: u64) {
    let (server, metrics) = start(data);
    assert_eq!(get(metrics, "/health").0, 200);
    let mut bob = Connection::open(server.address);
    bob.send("bob#5002\n");
    assert_eq!(bob.list().0, balance);
    let status: Value = admin_json(MITE, data, &["status"]);
    assert_eq!((&status["accounts"], &status["supply"]), (&3.into(), &30_000_000.into()));
    server.stop();
    let audit = ["--role", "audit", "ledger", "--data", text(data)];
    expect_done(&Program::start(MITE, audit).wait());
}
