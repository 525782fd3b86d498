//! Health and metrics of a running server, over HTTP.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tests::http::{exchange, get, number};
use tests::operator::admin;
use tests::process::{PATIENCE, Server};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::Call;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn start(data: &std::path::Path) -> (Server, SocketAddr) {
    let server = Server::start(MITE, data, &["--metrics", "127.0.0.1:0"]);
    let line = server.program.line_with("metrics on ");
    let address = line.strip_prefix("metrics on ").expect("the whole line").parse();
    (server, address.expect("an address"))
}

#[test]
fn the_numbers_are_those_of_what_was_done() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let (server, metrics) = start(data.path());
    assert_eq!(get(metrics, "/health"), (200, "the server takes payments\n".into()));
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    for _ in 0..3 {
        bob.ask("alice#1#bob\n", "100 OK\n");
    }
    alice.ask("bob#9999#alice\n", "Transfer failed due to insufficient balance.\n");
    SecureClient::registered(server.address, &key(1), "karl");
    let mut karl = SecureClient::connect(server.address, &key(1));
    let order = karl.order(&key(1), "bob", None, 5);
    karl.call(Call::SubmitOrders { orders: vec![order] }).expect("it is settled");
    assert!(admin(MITE, data.path(), &["freeze", "alice"]).status.success());
    bob.ask("alice#1#bob\n", "Transfer failed due to no permission.\n");

    let (status, page) = get(metrics, "/metrics");
    assert_eq!(status, 200);
    for (name, expected) in [
        ("mite_payments_total{protocol=\"text\"}", 3),
        ("mite_payments_total{protocol=\"secure\"}", 1),
        ("mite_refusals_total{code=\"1\"}", 1),
        ("mite_refusals_total{code=\"13\"}", 1),
        ("mite_operations_total", 1),
        ("mite_opened_accounts_total", 3),
        ("mite_entries", 8),
        ("mite_accounts", 3),
        ("mite_frozen_accounts", 1),
        ("mite_supply_credits", 3000),
        ("mite_read_only", 0),
        ("mite_draining", 0),
        ("mite_verifier_waiting_orders", 0),
    ] {
        assert_eq!(number(&page, name), expected, "{name}");
    }
    let batches = number(&page, "mite_batches_total");
    assert!((1..=8).contains(&batches), "{batches}");
    assert_eq!(number(&page, "mite_commit_seconds_count"), batches);
    assert_eq!(number(&page, "mite_commit_seconds_bucket{le=\"+Inf\"}"), batches);
    assert!(number(&page, "mite_online_accounts") >= 2, "alice and bob");
    assert!(number(&page, "mite_connections") >= 2);
    assert!(number(&page, "mite_disk_free_bytes") > 0 && number(&page, "mite_journal_bytes") > 0);
    server.stop();
    assert!(TcpStream::connect(metrics).is_err(), "nobody listens any more");
}

#[test]
fn who_was_turned_away_is_counted() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let args = ["--metrics", "127.0.0.1:0", "--max-connections", "1"];
    let server = Server::start(MITE, data.path(), &args);
    let line = server.program.line_with("metrics on ");
    let metrics = line.strip_prefix("metrics on ").expect("the whole line").parse();
    let metrics = metrics.expect("an address");
    let _first = Connection::log_in(server.address, "alice", 5001);
    let told = "220 ERROR too many connections from your address are open, try again later\n";
    Connection::open(server.address).expect(told);
    let (_, page) = get(metrics, "/metrics");
    assert_eq!(number(&page, "mite_refused_connections_total{why=\"per-address\"}"), 1);
    assert_eq!(number(&page, "mite_refused_connections_total{why=\"half-open\"}"), 0);
    server.stop();
}

/// Whoever watches is told that no payments are taken, and when to look again.
#[test]
fn a_server_that_stops_is_not_healthy_and_says_when_to_ask_again() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let (server, metrics) = start(data.path());
    // It is waited for as long as it does not read what it has asked for.
    let mut deaf = Connection::open_with_small_window(server.address);
    deaf.register_and_log_in("deaf", 5001);
    deaf.send_until_stalled(&b"x\n".repeat(8 << 20), Duration::from_millis(500));
    server.program.signal(rustix::process::Signal::TERM);
    let begin = Instant::now();
    let refusal = loop {
        let answer = exchange(metrics, "GET /health HTTP/1.1\r\nHost: mite\r\n\r\n");
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{answer}");
    };
    let refusal = refusal.to_lowercase();
    assert!(refusal.starts_with("http/1.1 503 ") && refusal.contains("draining"), "{refusal}");
    assert!(refusal.contains("\r\nretry-after: 5\r\n"), "{refusal}");
    drop(deaf);
    assert!(server.program.wait().status.success());
}

/// Protects the server from whoever can reach the port: it answers short requests, and nothing else.
#[test]
fn what_is_no_request_harms_nobody() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let (server, metrics) = start(data.path());
    assert_eq!(get(metrics, "/").0, 404);
    let post = exchange(metrics, "POST /metrics HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    assert!(exchange(metrics, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(7000));
    assert!(exchange(metrics, &long).starts_with("HTTP/1.1 4"));
    // As many as are served at once say nothing; the next one is served when one of them goes.
    let mut silent: Vec<_> =
        (0..16).map(|_| TcpStream::connect(metrics).expect("somebody listens")).collect();
    silent.pop();
    assert_eq!(get(metrics, "/health").0, 200);
    drop(silent);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    assert_eq!(alice.balance(), 1000);
    server.stop();
}

#[test]
fn a_port_in_use_is_said_before_the_ledger_is_opened() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let data = tempfile::tempdir().expect("a temporary directory");
    let listen = ([127, 0, 0, 1], 0).into();
    let ended = Server::launch(MITE, listen, data.path(), &["--metrics", &address]).wait();
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains(&address)), "{ended:?}");
}
