//! The link between two clients: payees that are not there, say nothing, vanish or lie, and
//! strangers at a client's port.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::client::Client;
use tests::listener::{Listener, closed_address};
use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// What a payer may take to be told, in the worst case: the payee's time to answer and a look or two.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

fn server(more_args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), more_args);
    (data, server)
}

/// An account that is logged in by a program that is not Mite, with its own listener.
fn payee(server: SocketAddr, name: &str) -> (Connection, Listener) {
    let listener = Listener::open();
    (Connection::log_in(server, name, listener.address.port()), listener)
}

#[test]
fn a_payee_where_nobody_listens_is_unreachable() {
    // Protects the payer: it is said at once that nothing was paid.
    let (_data, server) = server(&[]);
    let closed = closed_address();
    let mut bob = Connection::log_in(server.address, "bob", closed.port());
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    alice.expect_failure("pay bob 10", &format!("error: bob cannot be reached at {closed}"));
    alice.program.error_line_with("hint: nothing was paid");
    alice.ask("balance", "balance: 1000");
    assert_eq!(bob.balance(), 1000);
    alice.end(1);
}

#[test]
fn silent_and_vanishing_payees_end_in_a_clear_message() {
    // Protects the payer from a hang and from a false "paid".
    let (_data, server) = server(&[]);
    let names = ["silent", "closer", "leaver", "resetter"];
    let mut payees = names.map(|name| (name, payee(server.address, name)));
    let mut payers = names.map(|name| {
        let payer = format!("{name}-payer");
        let (mut client, _) = Client::online(MITE, server.address, &payer);
        client.type_line(&format!("pay {name} 10"));
        (payer, client)
    });
    let began = Instant::now();
    let mut kept = Vec::new();
    for ((name, (_, listener)), (payer, _)) in payees.iter().zip(&payers) {
        let stream = listener.accept_stream();
        match *name {
            // Closed before anything is read: the payment may be lost in the socket.
            "closer" => drop(stream),
            "resetter" => Connection::from_stream(stream).reset(),
            _ => {
                let mut link = Connection::from_stream(stream);
                link.expect(format!("{payer}#10#{name}"));
                if *name == "silent" {
                    kept.push(link);
                }
            }
        }
    }
    for ((name, (session, _)), (_, client)) in payees.iter_mut().zip(&mut payers) {
        let error = client.program.error_line_with(&format!("error: {name} "));
        let unconfirmed = format!("error: {name} has the payment of 10, and nobody confirms it");
        let unreachable = format!("error: {name} cannot be reached at ");
        // A reset may come before the payment is sent.
        let reset = *name == "resetter" && error.starts_with(&unreachable);
        assert!(reset || error.starts_with(&unconfirmed), "{error}");
        let hint = if reset { "hint: nothing was paid" } else { "hint: it may still be settled" };
        client.program.error_line_with(hint);
        client.ask("balance", "balance: 1000");
        assert_eq!(session.balance(), 1000, "{name}");
    }
    assert!(began.elapsed() < TOLD_WITHIN, "{:?}", began.elapsed());
}

#[test]
fn a_payee_that_lies_is_not_believed() {
    // Protects the payer: "paid" is said when the server has moved the money, not before.
    let (_data, server) = server(&[]);
    let (mut bob, listener) = payee(server.address, "bob");
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    for lie in ["100 OK\n", "Transfer OK!\n", "100 OK", "1000\nKEY\n0\n100 OK\n"] {
        alice.type_line("pay bob 10");
        let mut link = listener.accept();
        link.expect("alice#10#bob");
        link.send(lie);
        alice.program.error_line_with("error: bob has the payment of 10, and nobody confirms it");
        alice.ask("balance", "balance: 1000");
    }
    // Nor the other way round: the payment is settled, and the payee says it is not.
    alice.type_line("pay bob 10");
    let mut link = listener.accept();
    link.expect("alice#10#bob");
    bob.ask("alice#10#bob\n", "100 OK\n");
    link.send("Transfer failed due to no permission.\n");
    alice.expect("paid 10 to bob; balance: 990");
}

#[test]
fn an_original_payee_is_paid() {
    // Protects payments to original clients, which submit and answer nothing on the link.
    let (_data, server) = server(&[]);
    let (mut bob, listener) = payee(server.address, "bob");
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    for (greeting, left) in [("", 990), ("hello, this is bob\n", 980), ("who is it?", 970)] {
        alice.type_line("pay bob 10");
        let mut link = listener.accept();
        link.send(greeting);
        link.expect("alice#10#bob");
        link.expect_silence(Duration::from_millis(50));
        bob.ask("alice#10#bob\n", "100 OK\n");
        alice.expect(&format!("paid 10 to bob; balance: {left}"));
    }
}

#[test]
fn a_payee_that_closes_the_link_and_then_submits_is_paid() {
    // Protects payments to recorded payees that close the link first: the outcome is a moment away.
    let (_data, server) = server(&[]);
    let (mut bob, listener) = payee(server.address, "bob");
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    alice.type_line("pay bob 10");
    let mut link = listener.accept();
    link.expect("alice#10#bob");
    drop(link);
    bob.expect_silence(Duration::from_millis(200));
    bob.ask("alice#10#bob\n", "100 OK\n");
    alice.type_line("list");
    alice.expect("paid 10 to bob; balance: 990");
}

#[test]
fn payers_of_other_programs_reach_a_mite_payee() {
    // Protects the account of the payee: each way of paying in the family is one payment.
    let (_data, server) = server(&[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let (bob, bob_at) = Client::online(MITE, server.address, "bob");
    let mut left = 1000;
    for (story, bytes, keep_open) in [
        ("sends and closes", &b"alice#10#bob"[..], false),
        ("sends and keeps open", b"alice#10#bob", true),
        ("line end", b"alice#10#bob\n", true),
        ("CRLF", b"alice#10#bob\r\n", false),
        ("stale buffer", b"alice#10#bob\0\0\0\x90\xca\x8b\xa1\xfc\x7f\0\0List\0Exit\n", true),
        ("greeting", b"alice is trying to transfer $10 to you\nalice#10#bob", true),
        ("greeting with line ends", b"hello\r\nalice#10#bob\r\n", false),
        ("commands behind it", b"alice#10#bob\nExit\nREGISTER#x\nalice#10#bob\n", false),
    ] {
        let mut link = Connection::open(bob_at);
        link.send(bytes);
        if keep_open {
            link.expect("100 OK\n");
            link.expect_close();
        }
        drop(link);
        left -= 10;
        bob.expect(&format!("received 10 from alice; balance: {}", 2000 - left));
        assert_eq!(alice.balance(), left, "{story}");
    }
    // A greeting and the payment in two segments, with a pause between.
    let mut link = Connection::open(bob_at);
    link.send("alice is trying to transfer $10 to you");
    link.expect_silence(Duration::from_millis(60));
    link.send("alice#10#bob");
    link.expect("100 OK\n");
    bob.expect(&format!("received 10 from alice; balance: {}", 2000 - left + 10));
}

#[test]
fn strangers_reach_nothing_behind_the_client() {
    // Protects the session: in the family, `Exit` at a client's port logs its user out.
    let bank = Listener::open();
    let mut bob = Client::start(MITE, bank.address);
    let mut server = bank.accept();
    bob.type_line("login bob 0");
    assert!(server.message().starts_with("bob#"));
    server.send("1000\nKEY\n0\n");
    let bob_at = bob.logged_in("bob").0;
    let endless = vec![b'a'; 1 << 20];
    for said in [
        &b"Exit"[..],
        b"Exit\n",
        b"Exit\0",
        b"REGISTER#x",
        b"REGISTER#x\nREGISTER#y\n",
        b"List",
        b"List\nList\n",
        b"bob#4444\n",
        b"",
        b"\n\n\n\n",
        b"\0\0\0\0",
        b"\xff\xfe\xfd\x00\x01\n\xff\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"alice#-5#bob\n",
        b"alice#0#bob\nalice#0#bob\n",
        b"alice#+5#bob\nalice# 5#bob\n",
        b"alice#1e3#bob\nalice#18446744073709551616#bob\n",
        b"alice#5#bob#Exit\n",
        b"alice#5\n#5#bob\n",
        b"a\nb\nalice#5#bob\n",
        b"al\x1b[2Jice#5#bob\n",
        b"alice#5#carol",
        b"alice#5#bobby\n",
        b"alice#5#Bob\n",
        &endless,
    ] {
        let story = String::from_utf8_lossy(&said[..said.len().min(40)]).into_owned();
        let mut stranger = TcpStream::connect(bob_at).expect("bob still listens");
        // An endless line is cut off while it is sent.
        let _ = stranger.write_all(said);
        let _ = stranger.shutdown(std::net::Shutdown::Write);
        let mut stranger = Connection::from_stream(stranger);
        if said.starts_with(b"alice#5#") && !story.contains("bob#Exit") {
            assert_eq!(stranger.line(), "Transfer failed due to no permission.", "{story:?}");
        }
        stranger.expect_close();
        // What the server hears next is what bob asks next.
        bob.type_line("balance");
        assert_eq!(server.message(), "List", "{story:?}");
        server.send("1000\nKEY\n0\n");
        bob.expect("balance: 1000");
    }
    server.expect_silence(Duration::from_millis(100));
}

#[test]
fn many_strangers_at_once_do_not_end_the_client() {
    // Protects the client's memory and its user: they are served, or turned away, and it lives on.
    let (_data, server) = server(&[]);
    let (mut bob, bob_at) = Client::online(MITE, server.address, "bob");
    let strangers: Vec<_> = (0..200)
        .map(|number| {
            let mut stranger = Connection::open(bob_at);
            stranger.send(if number % 2 == 0 { "Exit\nREGISTER#x\n" } else { "\u{0}\nExit\nx\n" });
            stranger
        })
        .collect();
    for mut stranger in strangers {
        stranger.expect_close();
    }
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    alice.ask("pay bob 10", "paid 10 to bob; balance: 990");
    bob.expect("received 10 from alice; balance: 1010");
    assert_eq!(bob.list().online.len(), 2);
}

#[test]
fn idle_strangers_do_not_keep_payments_away() {
    // Protects the payee: whoever opens connections and says nothing must not shut its port.
    let (_data, server) = server(&[]);
    let (bob, bob_at) = Client::online(MITE, server.address, "bob");
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    let _idle: Vec<_> = (0..100).map(|_| Connection::open(bob_at)).collect();
    alice.type_line("pay bob 10");
    // The list comes after the payment's outcome, whatever that is.
    alice.type_line("balance");
    alice.expect("paid 10 to bob; balance: 990");
    bob.expect("received 10 from alice; balance: 1010");
}

#[test]
fn a_mite_payer_is_told_the_outcome_in_the_servers_words() {
    // Protects the payer of a refused payment: it learns why, over the link.
    let (_data, server) = server(&[]);
    let (_bob, bob_at) = Client::online(MITE, server.address, "bob");
    let _alice = Connection::log_in(server.address, "alice", 5001);
    for (payment, outcome) in [
        ("alice#1000#bob", "100 OK\n"),
        ("alice#1#bob", "Transfer failed due to insufficient balance.\n"),
        ("nobody#1#bob", "Transfer failed due to invalid user.\n"),
        ("bob#1#bob", "Transfer failed due to invalid user.\n"),
        ("alice#1#carol", "Transfer failed due to no permission.\n"),
    ] {
        let mut link = Connection::open(bob_at);
        link.send(payment);
        link.expect(outcome);
        link.expect_close();
    }
}

#[test]
fn a_refused_payment_is_shown_to_both_clients() {
    // Protects against "paid" where the server said no: the payer's money is gone meanwhile.
    let (_data, server) = server(&[]);
    let (mut bob, bob_at) = Client::online(MITE, server.address, "bob");
    let middle = Listener::open();
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    let mut thief = Connection::log_in(server.address, "thief", 5001);
    // For alice, bob is where the test listens, so that the thief can be faster. This takes bob's
    // place on the list for a moment, and his client logs in again.
    let mut double = Connection::open(server.address);
    double.send(format!("bob#{}\n", middle.address.port()));
    double.list();
    alice.type_line("pay bob 600");
    let mut from_alice = middle.accept();
    from_alice.expect("alice#600#bob");
    thief.ask("alice#500#thief\n", "100 OK\n");
    bob.log_in("bob");
    let mut to_bob = Connection::open(bob_at);
    to_bob.send("alice#600#bob");
    let refusal = "Transfer failed due to insufficient balance.";
    assert_eq!(to_bob.line(), refusal);
    bob.expect(&format!("not received: 600 from alice: {refusal}"));
    from_alice.send(format!("{refusal}\n"));
    // The thief's debit is not taken for the payment's.
    let error = alice.program.error_line_with("error: ");
    assert_eq!(error, format!("error: the payment of 600 to bob was refused: {refusal}"));
}

#[test]
fn two_clients_that_pay_each_other_at_the_same_time_are_both_told_the_truth() {
    // Protects the reading of outcomes from balances, which move for both at once.
    const ROUNDS: usize = 20;
    let (_data, server) = server(&["--opening-balance", "100000"]);
    let (mut alice, _) = Client::online(MITE, server.address, "alice");
    let (mut bob, _) = Client::online(MITE, server.address, "bob");
    for _ in 0..ROUNDS {
        alice.type_line("pay bob 7");
        bob.type_line("pay alice 7");
    }
    for client in [&mut alice, &mut bob] {
        let (mut paid, mut received) = (0, 0);
        while paid + received < 2 * ROUNDS {
            let line = client.program.line();
            paid += usize::from(line.starts_with("paid 7 to "));
            received += usize::from(line.starts_with("received 7 from "));
        }
        assert_eq!((paid, received), (ROUNDS, ROUNDS));
        client.ask("balance", "balance: 100000");
    }
    alice.end(0);
    bob.end(0);
}
