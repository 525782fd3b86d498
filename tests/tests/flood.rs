//! Whatever floods the server, an honest client pays by both protocols, is answered right, and the server's
//! memory stays small. How fast that goes is measured by `mite-floods`.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tests::flood::{Flood, Honest, OPENING_BALANCE, peak_memory, raise_file_limit};
use tests::process::Server;
use tests::secure::{SecureClient, key};
use tests::text::{Connection, connect_from};
use wire::secure::{Call, Problem};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// What the server may take for any of these floods, in bytes; it has some 30 MiB without one.
const MEMORY_MAX: u64 = 160 << 20;

/// Honest payments of each kind during a flood.
const PAYMENTS: usize = 50;

/// One flood at a time, or they would wait for each other.
static ALONE: Mutex<()> = Mutex::new(());

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server =
        Server::start(MITE, data.path(), &[&["--opening-balance", OPENING_BALANCE], args].concat());
    (data, server)
}

/// The honest client goes on while there is a flood, of which at least `done` is seen to come about.
fn weather(flood: Flood, size: usize, done: u64, args: &[&str]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_data, server) = start(args);
    let mut honest = Honest::new(server.address);
    let running = flood.start(server.address, size);
    let mut paid = 0;
    while paid < PAYMENTS || running.done() < done {
        honest.pay();
        honest.pay_signed();
        paid += 1;
    }
    honest.check();
    assert!(running.stop() >= done);
    honest.check();
    let peak = peak_memory(&server);
    println!("{flood:?}: {} MiB at most", peak >> 20);
    assert!(peak < MEMORY_MAX, "{} MiB", peak >> 20);
    server.stop();
}

#[test]
fn ten_thousand_idle_connections() {
    raise_file_limit(10_500);
    weather(Flood::Idle, 10_000, 10_000, &["--max-connections", "10100"]);
}

#[test]
fn readers_of_a_byte_a_second() {
    weather(Flood::SlowReaders, 100, 200, &[]);
}

#[test]
fn writers_of_a_byte_a_second() {
    weather(Flood::SlowWriters, 1000, 2000, &[]);
}

/// Four addresses begin as many handshakes as they may, and begin another for each that is ended.
#[test]
fn handshakes_that_are_never_done() {
    weather(Flood::HalfOpen, 1500, 2000, &[]);
}

#[test]
fn a_storm_of_connections_that_are_dropped() {
    weather(Flood::Storm, 50, 1000, &[]);
}

#[test]
fn a_text_session_that_pays_without_end() {
    weather(Flood::Talkers, 1, 100_000, &[]);
}

#[test]
fn a_secure_session_that_submits_without_end() {
    weather(Flood::SecureTalkers, 1, 20_000, &[]);
}

#[test]
fn sessions_that_ask_and_never_read() {
    weather(Flood::Deaf, 50, 50 << 10, &[]);
}

#[test]
fn registrations_without_end() {
    weather(Flood::Registrations, 20_000, 20_000, &[]);
}

/// What a session may have waiting for it at the least, as a flag.
const LITTLE_OUTPUT: [&str; 2] = ["--output-bytes-per-session-max", "1183744"];

#[test]
fn secure_readers_of_a_byte_a_second() {
    weather(Flood::SecureSlowReaders, 30, 60, &LITTLE_OUTPUT);
}

#[test]
fn secure_writers_of_a_byte_a_second() {
    weather(Flood::SecureSlowWriters, 100, 300, &[]);
}

/// Without a rate each has as much waiting for it as it may: sixty times what it may have by default would be more
/// than this server may take.
#[test]
fn secure_sessions_that_ask_and_never_read() {
    let no_rate = ["--receipts-per-second-max", "0"];
    weather(Flood::SecureDeaf, 60, 60 * (400 << 10), &[LITTLE_OUTPUT, no_rate].concat());
}

#[test]
fn accounts_with_keys_without_end() {
    weather(Flood::SecureRegistrations, 500, 500, &[]);
}

/// The same where they are limited: what is beyond is refused, by either protocol, and the honest client,
/// who has an account, notices nothing.
#[test]
fn registrations_beyond_the_limit_are_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_data, server) = start(&["--registrations-per-minute-max", "10"]);
    let mut honest = Honest::new(server.address);
    let running = Flood::Registrations.start(server.address, 5000);
    for _ in 0..PAYMENTS {
        honest.pay();
        honest.pay_signed();
    }
    // Four are the honest client's; one more may be opened in each six seconds that this takes.
    let opened = running.stop();
    assert!((6..20).contains(&opened), "{opened} accounts");
    let mut late = SecureClient::connect(server.address, &key(1));
    let name = "late".parse().expect("a name");
    let refused = late.call(Call::Register { name });
    assert!(matches!(refused, Err(Problem::BusyFor { wait_ms: 1..=6000 })), "{refused:?}");
    // Another address has its own.
    let mut elsewhere = Connection::from_stream(connect_from([127, 0, 0, 9], server.address));
    elsewhere.ask("REGISTER#elsewhere\n", "100 OK\n");
    honest.check();
    server.stop();
}

/// One address cannot take the places of all, and is told why.
#[test]
fn an_address_has_so_many_connections() {
    let (_data, server) = start(&["--connections-per-address-max", "20"]);
    let from = |last: u8| Connection::from_stream(connect_from([127, 0, 0, last], server.address));
    let mut honest = from(1);
    honest.register_and_log_in("alice", 5001);
    let mut greedy: Vec<Connection> = (0..20).map(|_| from(9)).collect();
    for _ in 0..5 {
        let refusal = from(9).rest();
        let expected =
            "220 ERROR too many connections from your address are open, try again later\n";
        assert_eq!(refusal, expected);
        honest.balance();
    }
    for connection in &mut greedy {
        connection.ask("hello\n", "200 BAD_REQUEST\n");
    }
    let mut other = from(8);
    other.ask("hello\n", "200 BAD_REQUEST\n");
    server.stop();
}

/// Whoever fills the server with sessions that are logged in and silent makes room for others, and those
/// who talk, or who have few, stay.
#[test]
fn silent_sessions_make_room_when_places_run_out() {
    const PLACES: usize = 20;
    let args = ["--max-connections", "20", "--make-room-after", "200ms"];
    let (_data, server) = start(&args);
    let from = |last: u8| Connection::from_stream(connect_from([127, 0, 0, last], server.address));
    let many = |number: usize| {
        let mut connection = from(9);
        connection.register_and_log_in(&format!("many{number}"), 5002);
        connection
    };
    let mut many: Vec<Connection> = (2..PLACES).map(many).collect();
    // Behind the many, and so never silent for long enough before one of them is, however slow this is.
    let mut few = from(8);
    few.register_and_log_in("few", 5001);
    let mut silent = SecureClient::registered(server.address, &key(1), "silent");
    // Each who comes is in at the latest when the next of the many has left.
    let mut newcomers: Vec<Connection> = Vec::new();
    for number in 0..5 {
        newcomers.push(loop {
            let mut newcomer = from(10);
            newcomer.send("hello\n");
            match newcomer.line().as_str() {
                "200 BAD_REQUEST" => break newcomer,
                line => assert!(line.starts_with("220 ERROR the server has too many"), "{line}"),
            }
            // Of very many at once, some would be closed without a word.
            thread::sleep(Duration::from_millis(10));
        });
        // The one that has been silent for longest.
        many.remove(0).expect_close();
        assert_eq!(newcomers.len(), number + 1);
    }
    assert_eq!(few.balance(), 100_000_000);
    assert!(silent.call(Call::ReadBalance).is_ok());
    let stayed = many.last_mut().expect("most of them are there");
    stayed.ask("hello\n", "200 BAD_REQUEST\n");
    server.stop();
}
