//! Holes of the family that cost money or names, each closed: what is refused changes nothing.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BAD: &str = "200 BAD_REQUEST\n";
const SETTLED: &str = "100 OK\n";
const REGISTER_FAILED: &str = "210 FAIL\n";
const LOG_IN_FAILED: &str = "220 AUTH_FAIL\n";
const NOT_LOGGED_IN: &str = "220 AUTH_FAIL\n";
const NOT_POSITIVE: &str = "Transfer failed due to negative amount.\n";
const TOO_LITTLE: &str = "Transfer failed due to insufficient balance.\n";
const INVALID_USER: &str = "Transfer failed due to invalid user.\n";
const NO_PERMISSION: &str = "Transfer failed due to no permission.\n";

fn start() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

/// A server with alice and bob, logged in.
fn start_with_two() -> (TempDir, Server, Connection, Connection) {
    let (data, server) = start();
    let alice = Connection::log_in(server.address, "alice", 5001);
    let bob = Connection::log_in(server.address, "bob", 5002);
    (data, server, alice, bob)
}

/// Protects money from amounts that programs of the family read as something else: negative ones
/// move it backwards, long ones wrap, padded ones are cut.
#[test]
fn odd_amounts_move_nothing() {
    let (_data, _server, mut alice, mut bob) = start_with_two();
    for (amount, reply) in [
        ("-1", NOT_POSITIVE),
        ("-100", NOT_POSITIVE),
        ("-9223372036854775808", NOT_POSITIVE),
        ("-18446744073709551615", NOT_POSITIVE),
        ("-99999999999999999999", NOT_POSITIVE),
        ("0", NOT_POSITIVE),
        ("-0", NOT_POSITIVE),
        ("00", NOT_POSITIVE),
        ("1001", TOO_LITTLE),
        ("2147483648", TOO_LITTLE),
        ("4294967297", TOO_LITTLE),
        ("9223372036854775808", TOO_LITTLE),
        ("18446744073709551615", TOO_LITTLE),
        ("18446744073709551616", BAD),
        ("18446744073709551617", BAD),
        ("99999999999999999999", BAD),
        ("340282366920938463463374607431768211457", BAD),
        ("", BAD),
        (" ", BAD),
        (" 5", BAD),
        ("5 ", BAD),
        ("\t5", BAD),
        ("5x", BAD),
        ("x5", BAD),
        ("+5", BAD),
        ("--5", BAD),
        ("- 5", BAD),
        ("-", BAD),
        ("1e3", BAD),
        ("1.5", BAD),
        ("1,5", BAD),
        ("1_000", BAD),
        ("0x10", BAD),
        ("５", BAD),
        ("٣", BAD),
        ("½", BAD),
        ("inf", BAD),
        ("NaN", BAD),
    ] {
        println!("{amount:?}");
        bob.ask(&format!("alice#{amount}#bob\n"), reply);
    }
    assert_eq!((alice.balance(), bob.balance()), (1000, 1000));
    // Zeros in front are digits like others.
    bob.ask("alice#0005#bob\n", SETTLED);
    bob.ask("alice#00000000000000000000000000005#bob\n", SETTLED);
    assert_eq!((alice.balance(), bob.balance()), (990, 1010));
    bob.ask("alice#990#bob\n", SETTLED);
    bob.ask("alice#1#bob\n", TOO_LITTLE);
    assert_eq!((alice.balance(), bob.balance()), (0, 2000));
}

/// Protects a payer whom many payees debit at once: what is paid out is what was there, to the
/// credit, and the rest is refused.
#[test]
fn many_payees_at_once_cannot_overdraw_a_payer() {
    const PAYEES: u64 = 16;
    const REQUESTS: usize = 100;
    const AMOUNT: u64 = 7;
    let (_data, server) = start();
    let mut payer = Connection::log_in(server.address, "payer", 5001);
    let together = Barrier::new(usize::try_from(PAYEES).expect("few"));
    let debit = |number: u64| {
        let name = format!("payee{number}");
        let mut payee = Connection::log_in(server.address, &name, 5002);
        together.wait();
        // Half of them one by one, half all at once.
        let request = format!("payer#{AMOUNT}#{name}\n");
        let batch = if number.is_multiple_of(2) { 1 } else { REQUESTS };
        let mut settled = 0;
        for _ in 0..REQUESTS / batch {
            payee.send(request.repeat(batch));
            for _ in 0..batch {
                match payee.line() + "\n" {
                    line if line == SETTLED => settled += 1,
                    line => assert_eq!(line, TOO_LITTLE),
                }
            }
        }
        assert_eq!(payee.balance(), 1000 + settled * AMOUNT);
        settled
    };
    let settled: u64 = thread::scope(|scope| {
        let debit = &debit;
        let payees: Vec<_> = (0..PAYEES).map(|number| scope.spawn(move || debit(number))).collect();
        payees.into_iter().map(|payee| payee.join().expect("the payee is answered")).sum()
    });
    assert_eq!(settled, 1000 / AMOUNT);
    assert_eq!(payer.balance(), 1000 % AMOUNT);
}

/// Protects against money out of nothing: in some programs, who pays himself is credited only.
#[test]
fn paying_oneself_moves_nothing() {
    let (_data, _server, mut alice, _bob) = start_with_two();
    for amount in ["1", "1000", "1001"] {
        alice.ask(&format!("alice#{amount}#alice\n"), INVALID_USER);
    }
    alice.ask("alice#-5#alice\n", NOT_POSITIVE);
    assert_eq!(alice.balance(), 1000);
}

/// Protects against money out of nothing: nobody is credited what nobody is debited.
#[test]
fn an_unknown_payer_pays_nothing() {
    let (_data, server, _alice, mut bob) = start_with_two();
    for payer in ["nobody", "Alice", "alic", "alice1", "", "List", "5001", "al ice", "../alice"] {
        bob.ask(&format!("{payer}#5#bob\n"), INVALID_USER);
    }
    assert_eq!(bob.balance(), 1000);
    // Nor did asking open an account.
    Connection::open(server.address).ask("nobody#5003\n", LOG_IN_FAILED);
}

/// Protects everybody from who did not log in, or has lost his log-in: no list, no payment.
#[test]
fn who_is_not_logged_in_gets_and_moves_nothing() {
    let (_data, server, mut alice, mut bob) = start_with_two();
    let mut stranger = Connection::open(server.address);
    let mut refused_log_in = Connection::open(server.address);
    refused_log_in.ask("alice#0\n", LOG_IN_FAILED);
    let mut replaced = alice;
    alice = Connection::open(server.address);
    alice.send("alice#5001\n");
    alice.list();
    for connection in [&mut stranger, &mut refused_log_in, &mut replaced] {
        for request in ["List", "bob#5#alice", "alice#5#bob", "alice#0#bob", "a b#5#bob"] {
            connection.ask(&format!("{request}\n"), NOT_LOGGED_IN);
        }
    }
    assert_eq!((alice.balance(), bob.balance()), (1000, 1000));
}

/// Protects the list and the requests from names that would be read as something else.
#[test]
fn names_that_are_no_names_are_refused() {
    let (_data, server, mut alice, _bob) = start_with_two();
    let mut stranger = Connection::open(server.address);
    for name in [
        "",
        "#",
        "a#b",
        "x#1.2.3.4#99",
        "REGISTER",
        "register",
        "List",
        "LIST",
        "Exit",
        "a b",
        " alice",
        "alice ",
        "a\tb",
        "a\rb",
        "a\u{7f}b",
        "a\u{a0}b",
        "a\u{2028}b",
        "\u{1b}[2J",
        "12345",
        &"n".repeat(33),
        &"n".repeat(300),
        &"é".repeat(33),
    ] {
        println!("{name:?}");
        stranger.ask(&format!("REGISTER#{name}\n"), REGISTER_FAILED);
        // With these the line is another request.
        if !name.contains('#') && name != "REGISTER" {
            stranger.ask(&format!("{name}#5003\n"), LOG_IN_FAILED);
            stranger.ask("List\n", NOT_LOGGED_IN);
        }
    }
    alice.send("List\n");
    assert_eq!(alice.list().1, ["alice#127.0.0.1#5001", "bob#127.0.0.1#5002"]);
}

/// Protects payers from being sent elsewhere: no name and no port can put another's address on the
/// list.
#[test]
fn nobody_can_poison_the_list() {
    let (_data, server, mut alice, _bob) = start_with_two();
    let mut mallory = Connection::open(server.address);
    mallory.ask("REGISTER#bob#6.6.6.6#666\n", REGISTER_FAILED);
    // Three fields: it is read as a payment.
    mallory.ask("bob#6.6.6.6#666\n", BAD);
    mallory.ask("REGISTER#mallory\n", SETTLED);
    mallory.ask("mallory#666\rbob#5002\n", BAD);
    mallory.send("mallory#666\n");
    mallory.list();
    alice.send("List\n");
    let online = ["alice#127.0.0.1#5001", "bob#127.0.0.1#5002", "mallory#127.0.0.1#666"];
    assert_eq!(alice.list().1, online);
}

/// Protects payers from addresses where nobody can listen.
#[test]
fn ports_that_are_none_are_refused() {
    let (_data, server, mut alice, _bob) = start_with_two();
    let mut carol = Connection::open(server.address);
    carol.ask("REGISTER#carol\n", SETTLED);
    for port in [
        "0",
        "00",
        "-0",
        "-1",
        "65536",
        "70000",
        "99999",
        "4294972297",
        "18446744073709551617",
        "abc",
        "",
        " ",
        " 5003",
        "5003 ",
        "+5003",
        "5003x",
        "5e3",
        "0x1388",
        "80.5",
        "５００３",
    ] {
        println!("{port:?}");
        carol.ask(&format!("carol#{port}\n"), LOG_IN_FAILED);
        carol.ask("List\n", NOT_LOGGED_IN);
    }
    alice.send("List\n");
    assert_eq!(alice.list().1.len(), 2);
    carol.send("carol#65535\n");
    assert!(carol.list().1.contains(&"carol#127.0.0.1#65535".into()));
}

/// Protects bobby from bob: some programs look for the name anywhere in the line.
#[test]
fn bob_is_not_bobby() {
    let (_data, server, mut alice, mut bob) = start_with_two();
    let mut stranger = Connection::open(server.address);
    stranger.ask("bobby#5003\n", LOG_IN_FAILED);
    stranger.ask("bo#5003\n", LOG_IN_FAILED);
    let mut bobby = Connection::log_in(server.address, "bobby", 5003);
    let mut bo = Connection::log_in(server.address, "bo", 5004);
    bob.ask("alice#1#bob\n", SETTLED);
    bobby.ask("alice#10#bobby\n", SETTLED);
    bo.ask("bobby#100#bo\n", SETTLED);
    bobby.ask("alice#1#bob\n", NO_PERMISSION);
    bob.ask("alice#1#bobby\n", NO_PERMISSION);
    let balances = [&mut alice, &mut bob, &mut bobby, &mut bo].map(Connection::balance);
    assert_eq!(balances, [989, 1001, 910, 1100]);
    // Case counts, and one leaving does not take the other along.
    stranger.ask("BOB#5003\n", LOG_IN_FAILED);
    bob.ask("Exit\n", "Bye\n");
    bob.expect_close();
    drop(bob);
    stranger.ask("bob#0\n", LOG_IN_FAILED);
    bobby.send("List\n");
    assert!(bobby.list().1.contains(&"bobby#127.0.0.1#5003".into()));
}

/// Protects requests that the network tears: all of the family read `Li` and `st` as two.
#[test]
fn a_torn_request_is_one() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &["--text-quiet", "100ms"]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    // In line mode, with pauses longer than the quiet time.
    alice.send_torn([&b"Li"[..], b"st\n"], Duration::from_millis(150));
    assert_eq!(alice.list().0, 1000);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    bob.send_torn(b"alice#12#bob\r\n".chunks(1), Duration::from_millis(1));
    bob.expect(SETTLED);
    assert_eq!(alice.balance(), 988);
    // Without ends, with pauses shorter than the quiet time.
    let mut carol = Connection::open(server.address);
    carol.send_torn([&b"REGISTER#c"[..], b"arol"], Duration::from_millis(5));
    carol.expect(SETTLED);
    carol.send_torn([&b"car"[..], b"ol#5003"], Duration::from_millis(5));
    carol.list();
    carol.send_torn([&b"Li"[..], b"st"], Duration::from_millis(5));
    assert_eq!(carol.list().0, 1000);
}
