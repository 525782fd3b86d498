//! The ways in which the servers of the family differ.

use std::time::{Duration, Instant};

use tests::client::{Client, Shown};
use tests::listener::Listener;
use tests::text::Connection;

use super::{MITE, log_in};

/// The account that every list of this file shows.
fn shown() -> Shown {
    let online = ["alice 127.0.0.1:5001", "bob 127.0.0.1:5002"].map(str::to_owned).to_vec();
    Shown { balance: 1000, online }
}

fn connect() -> (Listener, Client, Connection) {
    let bank = Listener::open();
    let client = Client::start(MITE, bank.address);
    let server = bank.accept();
    (bank, client, server)
}

#[test]
fn replies_end_in_anything_or_nothing() {
    // Protects against the family's habits: each row is how some server writes.
    let (a, b) = ("alice#127.0.0.1#5001", "bob#127.0.0.1#5002");
    for (ok, list, bye) in [
        ("100 OK\n", format!("1000\nKEY\n2\n{a}\n{b}\n"), "Bye\n"),
        ("100 OK\r\n", format!("1000\r\nKEY\r\n2\r\n{a}\r\n{b}\r\n"), "Bye\r\n"),
        ("100 OK\0", format!("1000\nKEY\n2\n{a}\n{b}\n\0"), "Bye\0"),
        ("100 OK", format!("1000\nKEY\n2\n{a}\n{b}"), "Bye"),
        ("100 OK\n\0\0\0\0", format!("1000\nKEY\n2\n{a}\n{b}\0\0\0\0\0\0"), "Bye\0\0\0"),
        // no key
        ("100 ok\n", format!("1000\n2\n{a}\n{b}\n"), "bye\n"),
        // text before the count, and the last line without an end
        ("Ok\n", format!("1000\nKEY\nonline num: 2\n{a}\n{b}"), "BYE\n"),
        ("100 OK\n", format!("1000\nnumber of users: 2\n{a}\n{b}\n"), "Bye\n"),
        // no count at all
        ("100 OK\n", format!("1000\n{a}\n{b}\n"), "Bye\n"),
        // a greeting that nobody asked for, before and after the first request
        ("Welcome to the bank!\n100 OK\n", format!("1000\nKEY\n2\n{a}\n{b}\n"), "Bye\n"),
        ("Welcome to the bank!\r\n\r\n100 OK\r\n", format!("1000\nKEY\n2\n{a}\n{b}\n"), "Bye\n"),
        // the end of the stream instead of a farewell
        ("100 OK\n", format!("1000\nKEY\n2\n{a}\n{b}\n"), ""),
    ] {
        let (_bank, mut alice, mut server) = connect();
        alice.type_line("register alice");
        assert_eq!(server.message(), "REGISTER#alice", "{ok:?}");
        server.send(ok);
        if ok.starts_with("Welcome") {
            alice.expect("the server says: Welcome to the bank!");
        }
        alice.expect("registered alice");
        alice.type_line("login alice 0");
        assert!(server.message().starts_with("alice#"), "{ok:?}");
        server.send(&list);
        assert_eq!(alice.logged_in("alice").1, shown(), "{list:?}");
        // The same again: nothing of the last reply is taken for the next one.
        for _ in 0..2 {
            alice.type_line("list");
            assert_eq!(server.message(), "List", "{list:?}");
            server.send(&list);
            assert_eq!(alice.shown(), shown(), "{list:?}");
        }
        alice.type_line("exit");
        assert_eq!(server.message(), "Exit", "{list:?}");
        server.send(bye);
        drop(server);
        alice.expect("goodbye");
        let ended = alice.end(0);
        assert!(!ended.stderr.iter().any(|line| line.starts_with("error")), "{ended:?}");
    }
}

#[test]
fn a_greeting_before_any_request_is_shown_and_is_no_answer() {
    // Protects the first request: a server that speaks first must not put the two out of step.
    let (_bank, mut alice, mut server) = connect();
    server.send("connect success!\r\n");
    alice.expect("the server says: connect success!");
    alice.type_line("register alice");
    assert_eq!(server.message(), "REGISTER#alice");
    server.send("210 FAIL\r\n");
    alice.program.error_line_with("error: the server refused: 210 FAIL");
    log_in(&mut alice, &mut server, "alice", "1000\nKEY\n0\n");
}

#[test]
fn torn_replies_are_one() {
    // Protects against taking half a list for a whole one: segments tear anywhere.
    let tail = "0.1#5001\nbob#127.0.0.1#5002\n";
    expect_one_list(&["1000\nKE", "Y\n2\nalice#127.0.", tail]);
    expect_one_list(&["1000\n", "KEY\n", "2\n", "alice#127.0.", tail]);
}

#[test]
fn a_balance_that_is_torn_is_one() {
    // The same for the first line: a number without an end is not yet a balance, however long the
    // pause behind it.
    expect_one_list(&["10", "00\nKEY\n2\nalice#127.0.0.1#5001\nbob#127.0.0.1#5002\n"]);
}

/// Sends a list in pieces, with pauses that are longer than the quiet time.
fn expect_one_list(pieces: &[&str]) {
    let (_bank, mut alice, mut server) = connect();
    alice.type_line("login alice 0");
    assert!(server.message().starts_with("alice#"));
    for piece in pieces {
        server.send(piece);
        server.expect_silence(Duration::from_millis(80));
    }
    assert_eq!(alice.logged_in("alice").1, shown(), "{pieces:?}");
}

#[test]
fn a_balance_that_cannot_be_is_not_replaced_by_the_count() {
    // Protects the balance on the screen: family servers overdraw accounts, and their `-5` must not
    // make a balance of the number of people online.
    for balance in ["-5", "18446744073709551616"] {
        let (_bank, mut alice, mut server) = connect();
        log_in(&mut alice, &mut server, "alice", "1000\nKEY\n0\n");
        alice.type_line("balance");
        assert_eq!(server.message(), "List");
        server.send(format!("{balance}\nKEY\n1\nalice#127.0.0.1#5001\n"));
        drop(server);
        let ended = alice.end(1);
        let invented = |line: &String| line.starts_with("balance: ");
        assert!(!ended.stdout.iter().any(invented), "{balance}: {ended:?}");
    }
}

#[test]
fn refusals_of_every_wording_are_refusals() {
    // Protects the user: no wording of "no" may be shown as a success.
    let (_bank, mut alice, mut server) = connect();
    for no in [
        "210 FAIL\n",
        "210 fail",
        "220 ERROR\n",
        "Transfer Fail!\n",
        "230 Input format error\n",
        "200 BAD_REQUEST\r\n",
        "Transfer failed due to invalid user.\n",
    ] {
        alice.type_line("register alice");
        assert_eq!(server.message(), "REGISTER#alice", "{no:?}");
        server.send(no);
        alice.program.error_line_with(&format!("error: the server refused: {}", no.trim_end()));
    }
    for no in ["220 AUTH_FAIL\n", "Please login first\n", "220 AUTH_FAIL\0"] {
        alice.type_line("login alice 0");
        assert!(server.message().starts_with("alice#"), "{no:?}");
        server.send(no);
        let said = no.trim_end_matches(['\n', '\0']);
        alice.program.error_line_with(&format!("error: the server refused: {said}"));
        alice.expect_failure("list", "error: not logged in");
    }
    drop(server);
    alice.end(1);
}

#[test]
fn a_result_that_reaches_the_payer_counts() {
    // Protects payments with servers that answer the payer instead of the payee who asked: what such a
    // server says names no payment, so that the balance decides.
    for (said, settled) in [
        ("Transfer OK!\n", true),
        ("Transfer OK!", true),
        ("transfer ok\r\n", true),
        ("Transfer Fail!\n", false),
        ("Transfer failed due to insufficient balance.\n", false),
    ] {
        let (_bank, mut alice, mut server) = connect();
        let payee = Listener::open();
        let list =
            |balance| format!("{balance}\npublic key\n1\nbob#127.0.0.1#{}\n", payee.address.port());
        log_in(&mut alice, &mut server, "alice", &list(1000));
        alice.type_line("pay bob 100");
        assert_eq!(server.message(), "List");
        server.send(list(1000));
        let mut link = payee.accept();
        link.expect("alice#100#bob");
        server.send(said);
        server.answer_lists(list(if settled { 900 } else { 1000 }));
        if settled {
            alice.expect("paid 100 to bob; balance: 900");
        } else {
            drop(link);
            let said = said.trim_end();
            let refused = format!("error: the payment of 100 to bob was refused: {said}");
            alice.program.error_line_with(&refused);
        }
        alice.end(i32::from(!settled));
    }
}

#[test]
fn a_payee_that_closes_before_it_submits_is_waited_for() {
    // Protects the payer from "nobody confirms it" where the result is on its way: recorded payees
    // close the link as soon as they have read the payment, and the server answers the payer later.
    let (_bank, mut alice, mut server) = connect();
    let payee = Listener::open();
    let list =
        |balance| format!("{balance}\npublic key\n1\nbob#127.0.0.1#{}\n", payee.address.port());
    log_in(&mut alice, &mut server, "alice", &list(1000));
    alice.type_line("pay bob 100");
    assert_eq!(server.message(), "List");
    server.send(list(1000));
    let mut link = payee.accept();
    link.expect("alice#100#bob");
    drop(link);
    // The balance may be asked for before the payee's request has come, and then it is untouched.
    assert_eq!(server.message(), "List");
    server.send(list(1000));
    server.send("Transfer OK!\n");
    server.answer_lists(list(900));
    // Its answer comes behind the outcome of the payment.
    alice.type_line("balance");
    alice.expect("paid 100 to bob; balance: 900");
}

#[test]
fn a_payee_learns_of_the_result_that_only_the_payer_is_told() {
    // Protects the payee: with such a server its own balance tells, and a silent one moves nothing.
    let (_bank, mut bob, mut server) = connect();
    let bob_at = log_in(&mut bob, &mut server, "bob", "1000\nKEY\n0\n");
    for (balance, said) in [
        (1100, "received 100 from alice; balance: 1100"),
        (1100, "not received: 100 from alice: the server did not say what came of it"),
    ] {
        let mut payer = Connection::open(bob_at);
        payer.send("alice#100#bob");
        assert_eq!(server.message(), "alice#100#bob");
        // Nothing is said to the payee. After a while it asks for its balance.
        let asked = Instant::now();
        let settled = said.starts_with("received");
        for _ in 0..2 {
            assert_eq!(server.message(), "List");
            server.send(format!("{balance}\nKEY\n0\n"));
        }
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        bob.expect(said);
        if settled {
            payer.expect("100 OK\n");
        }
        payer.expect_close();
    }
}

#[test]
fn a_server_that_never_answers_holds_nobody() {
    // Protects the user: every wait for a server ends, with words and the exit code 1.
    let connect = || {
        let (bank, mut client, mut server) = connect();
        log_in(&mut client, &mut server, "alice", "1000\nKEY\n1\nbob#127.0.0.1#9\n");
        (bank, client, server)
    };
    let began = Instant::now();
    // All at the same time.
    let silent = ["register alice", "login alice", "list", "balance", "pay bob 1"];
    let mut clients = silent.map(|line| (line, connect()));
    for (line, (_, client, _)) in &mut clients {
        client.type_line(line);
    }
    let (_bank, mut leaving, _server) = connect();
    leaving.type_line("exit");
    leaving.program.error_line_with("error: the server does not answer");
    leaving.end(1);
    for (line, (_, client, server)) in clients {
        let error = client.program.error_line_with("error: ");
        let plain = ["did not answer within", "the server is silent"];
        assert!(plain.iter().any(|words| error.contains(words)), "{line}: {error}");
        client.program.error_line_with("hint: ");
        drop(server);
        client.end(1);
    }
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

#[test]
fn a_verdict_that_comes_too_late_answers_nothing_else() {
    // Protects the balance on the screen: a slow server's late refusal must not shift every later
    // answer by one.
    let (_bank, mut alice, mut server) = connect();
    log_in(&mut alice, &mut server, "alice", "1000\nKEY\n0\n");
    alice.type_line("register carol");
    assert_eq!(server.message(), "REGISTER#carol");
    alice.program.error_line_with("did not answer within");
    // To get in step again, the client asks for the list.
    assert_eq!(server.message(), "List");
    server.send("210 FAIL\n");
    server.send("900\nKEY\n0\n");
    for balance in [800, 700] {
        alice.type_line("balance");
        assert_eq!(server.message(), "List");
        server.send(format!("{balance}\nKEY\n0\n"));
        let shown = alice.program.line_with("balance: ");
        assert_eq!(shown, format!("balance: {balance}"));
    }
}

#[test]
fn a_server_that_talks_nonsense_is_survived() {
    // Protects the client against a server that is broken or hostile.
    for nonsense in [
        "\0\0\0\0\n\n\r\n".as_bytes().to_vec(),
        b"\xff\xfe\x00\x01\x02\xff\n".to_vec(),
        "\u{1b}[2J\u{1b}]0;owned\u{7}\n".as_bytes().to_vec(),
        vec![b'x'; 100_000],
    ] {
        let (_bank, mut alice, mut server) = connect();
        alice.type_line("login alice 0");
        assert!(server.message().starts_with("alice#"));
        server.send(&nonsense);
        drop(server);
        let story = String::from_utf8_lossy(&nonsense[..nonsense.len().min(20)]).into_owned();
        let ended = alice.end(1);
        assert!(ended.stderr.iter().any(|line| line.starts_with("error: ")), "{story:?} {ended:?}");
        assert!(!ended.stdout.iter().any(|line| line.contains("logged in")), "{story:?} {ended:?}");
        let escapes = |line: &String| line.contains('\u{1b}');
        assert!(!ended.stdout.iter().chain(&ended.stderr).any(escapes), "{story:?} {ended:?}");
    }
}

#[test]
fn a_list_that_lies_about_its_length_is_survived() {
    // Protects against a count that promises more than comes: what came is shown in bounded time.
    let (_bank, mut alice, mut server) = connect();
    alice.type_line("login alice 0");
    assert!(server.message().starts_with("alice#"));
    server.send("1000\nKEY\n3\nalice#127.0.0.1#5001\nbob#127.0.0.1#5002\n");
    assert_eq!(alice.logged_in("alice").1, shown());
    // More lines than it says, of users that cannot be.
    alice.type_line("list");
    assert_eq!(server.message(), "List");
    server.send(
        "1000\nKEY\n4\nalice#127.0.0.1#5001\nx#1.2.3.4#99#y\nbob#127.0.0.1#5002\n\
        carol#nowhere#5\n",
    );
    assert_eq!(alice.shown(), shown());
}
