//! Attacks on the secure protocol's frames and sessions, by strangers and by account holders.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use tempfile::TempDir;
use tests::process::{PATIENCE, Server};
use tests::secure::{SecureClient, SecureStream, key};
use tests::text::Connection;
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Correlation, FRAME_BYTES_MAX, Hello, Problem, REQUEST_BYTES_MAX, Request,
    ServerFrame, Welcome,
};
use wire::text::TextPayment;
use wire::{Amount, P2pPort, Username, signature};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn start(more_args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), more_args);
    (data, server)
}

fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

/// The server's memory that is in use, in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.program.id()));
    let status = status.expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("its resident memory");
    kib.trim().parse().expect("a number")
}

/// What is left to say to somebody who sends what is no frame: why, and nothing more.
fn expect_closing(stream: &mut SecureStream, why: &str) {
    loop {
        match stream.receive::<ServerFrame>() {
            Ok(ServerFrame::Closing(Problem::Malformed)) => {}
            Ok(other) => panic!("{why}: {other:?}"),
            Err(_) => return,
        }
    }
}

/// Lengths are the first thing that a stranger can lie about.
#[test]
fn lying_and_oversized_lengths_cost_nothing_and_end_the_connection() {
    let (_data, server) = start(&[]);
    let honest = SecureClient::registered(server.address, &key(1), "alice");
    let before = resident(&server);
    for length in [u32::MAX, 1 << 31, u32::try_from(FRAME_BYTES_MAX).expect("small") + 1] {
        // Before the hello, and behind it.
        let mut stream = SecureStream::connect(server.address, &key(2)).expect("a handshake");
        stream.send_bytes(&length.to_le_bytes()).expect("the server reads");
        assert!(stream.receive::<Result<Welcome, Problem>>().is_ok_and(|first| first.is_err()));
        let mut client = SecureClient::connect(server.address, &key(2));
        client.stream.send_bytes(&length.to_le_bytes()).expect("the server reads");
        expect_closing(&mut client.stream, "an oversized frame");
    }
    // The longest frame that is allowed, announced on many connections, of which nothing comes.
    let length = u32::try_from(REQUEST_BYTES_MAX).expect("small").to_le_bytes();
    let mut waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut client = SecureClient::connect(server.address, &key(2));
            client.stream.send_bytes(&length).expect("the server reads");
            client.stream.send_bytes(&[0]).expect("the server reads");
            client
        })
        .collect();
    // All of them are listened to: a frame that is too long is answered.
    let mut honest = honest;
    for client in &mut waiting {
        assert!(matches!(honest.call(Call::ReadBalance), Ok(Answer::Balance { .. })));
        client.stream.send_bytes(&[0]).expect("the server reads on");
    }
    let grown = resident(&server).saturating_sub(before);
    let announced = 100 * u64::try_from(REQUEST_BYTES_MAX).expect("small") / 1024;
    assert!(grown < announced / 2, "{grown} KiB for {announced} that were only announced");
    drop(waiting);
    still_serves(honest);
}

/// A frame with something behind its value, with half a value, with no value at all, or with a list
/// that claims to be longer than the frame.
#[test]
fn frames_that_are_not_exactly_one_value_end_the_connection() {
    let (_data, server) = start(&[]);
    let honest = SecureClient::registered(server.address, &key(1), "alice");
    let request = Request { correlation: Correlation(1), call: Call::ReadBalance };
    let mut good = Vec::new();
    wire::codec::encode_into(&request, &mut good);
    let mut longer = good.clone();
    longer.push(0);
    let mut unknown = good.clone();
    unknown[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut many = Vec::new();
    let orders = Call::SubmitOrders { orders: Vec::new() };
    wire::codec::encode_into(&Request { correlation: Correlation(1), call: orders }, &mut many);
    let end = many.len();
    many[end - 8..].copy_from_slice(&u64::MAX.to_le_bytes());
    let half = good[..good.len() - 1].to_vec();
    for (why, content) in [
        ("bytes behind the value", longer),
        ("half a value", half),
        ("nothing", Vec::new()),
        ("a call that nobody knows", unknown),
        ("a list that lies", many),
        ("text", b"alice#10#bob\n".to_vec()),
    ] {
        let mut client = SecureClient::connect(server.address, &key(2));
        let length = u32::try_from(content.len()).expect("small").to_le_bytes();
        client.stream.send_bytes(&[&length, content.as_slice()].concat()).expect("it reads");
        expect_closing(&mut client.stream, why);
    }
    still_serves(honest);
}

fn still_serves(mut honest: SecureClient) {
    assert!(matches!(honest.call(Call::ReadBalance), Ok(Answer::Balance { .. })));
}

/// A program that speaks another version, or in another role, is told so.
#[test]
fn hellos_of_others_are_refused() {
    let (_data, server) = start(&[]);
    let newer = Hello { version_min: 3, version_max: 9, ..Hello::new(magic::CLIENT) };
    for (hello, problem) in [
        (newer, Problem::UnknownVersion),
        (Hello::new(magic::PAYER), Problem::WrongRole),
        (Hello::new(magic::SERVER), Problem::WrongRole),
    ] {
        let mut stream = SecureStream::connect(server.address, &key(1)).expect("a handshake");
        stream.send(&hello).expect("the server reads");
        let answer: Result<Welcome, Problem> = stream.receive().expect("an answer");
        assert_eq!(answer, Err(problem));
    }
}

/// Where people are is told to account holders who are logged in, and to nobody else.
#[test]
fn addresses_are_for_those_who_are_logged_in() {
    let (_data, server) = start(&[]);
    let mut alice = SecureClient::connect(server.address, &key(1));
    alice.call(Call::Register { name: name("alice") }).expect("an account");
    let port = P2pPort::try_from(7001).expect("a port");
    alice.call(Call::LogIn { port: Some(port) }).expect("a log-in");

    let mut stranger = SecureClient::connect(server.address, &key(2));
    let questions = || {
        [
            Call::ListOnline { after: None, limit: 10 },
            Call::FindAccount { name: name("alice") },
            Call::Watch { names: vec![name("alice")] },
        ]
    };
    for call in questions() {
        let answer = stranger.call(call);
        assert!(matches!(answer, Err(Problem::NoAccount | Problem::NotLoggedIn)), "{answer:?}");
    }
    stranger.call(Call::Register { name: name("bob") }).expect("an account");
    for call in questions() {
        assert_eq!(stranger.call(call), Err(Problem::NotLoggedIn));
    }
    // Who does not want to be on the list is not on it, and can still be found to be paid.
    stranger.call(Call::LogIn { port: None }).expect("a log-in");
    let list = stranger.call(Call::ListOnline { after: None, limit: 10 });
    let Ok(Answer::Online { peers, more: false }) = list else { panic!("{list:?}") };
    let names: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["alice"]);
    assert_eq!(peers[0].key, Some(signature::public_key(&key(1))));
    assert_eq!(peers[0].address, SocketAddr::from(([127, 0, 0, 1], 7001)));
    let found = alice.call(Call::FindAccount { name: name("bob") });
    let Ok(Answer::Account(Some(bob))) = found else { panic!("{found:?}") };
    assert_eq!((bob.key, bob.address), (Some(signature::public_key(&key(2))), None));
    // Nor does the text protocol tell before a log-in, or of who is not listed.
    let mut text = Connection::open(server.address);
    text.send("List\n");
    text.expect("220 AUTH_FAIL\n");
}

/// A keyed name is safe from the text protocol, which proves nothing: nobody registers it, logs in
/// to it, debits it or passes for it, whatever the disguise.
#[test]
fn the_text_protocol_does_not_touch_keyed_names() {
    let (_data, server) = start(&[]);
    let mut alice = SecureClient::connect(server.address, &key(1));
    alice.call(Call::Register { name: name("alice") }).expect("an account");
    let port = P2pPort::try_from(7001).expect("a port");
    alice.call(Call::LogIn { port: Some(port) }).expect("a log-in");
    let mut mallory = Connection::log_in(server.address, "mallory", 5001);
    for disguise in [
        "alice",
        "ALICE",
        "Alice",
        "aIice",
        "a1ice",
        "\u{430}lice",
        "alic\u{435}",
        "al\u{131}ce",
        "\u{ff41}lice",
        "alice\u{200b}",
        "\u{202e}ecila",
        "a\u{301}lice",
    ] {
        mallory.send(format!("REGISTER#{disguise}\n"));
        let answer = mallory.line();
        assert!(answer == "210 FAIL" || answer == "200 BAD_REQUEST", "{disguise:?}: {answer:?}");
        let mut thief = Connection::open(server.address);
        thief.send(format!("{disguise}#5002\n"));
        let answer = thief.line();
        assert!(
            answer == "220 AUTH_FAIL" || answer == "200 BAD_REQUEST",
            "{disguise:?}: {answer:?}"
        );
        // The payee asks: that is all that the text protocol wants to see of an open account.
        mallory.send(format!("{disguise}#1000#mallory\n"));
        let answer = mallory.line();
        assert!(
            answer == "Transfer failed due to invalid user." || answer == "200 BAD_REQUEST",
            "{disguise:?}: {answer:?}"
        );
    }
    let balance = alice.call(Call::ReadBalance).expect("a balance");
    assert!(matches!(balance, Answer::Balance { amount, .. } if amount.credits() == 1000));
    // The log-in is still hers.
    let list = alice.call(Call::ListOnline { after: None, limit: 10 });
    let Ok(Answer::Online { peers, .. }) = list else { panic!("{list:?}") };
    let alice_online = peers.iter().find(|peer| peer.name.as_str() == "alice");
    assert_eq!(alice_online.expect("alice is online").address.port(), 7001);
}

/// A key costs nothing. It must not let a stranger debit open accounts where the text protocol is
/// closed to them: on other machines, or everywhere.
#[test]
fn a_key_does_not_open_the_fence_round_text() {
    let (data, server) = start(&[]);
    Connection::open(server.address).ask("REGISTER#erin\n", "100 OK\n");
    let payment =
        TextPayment { payer: name("erin"), amount: Amount::new(900), payee: name("mallory") };
    let mut mallory = SecureClient::registered(server.address, &key(1), "mallory");
    // Here, by the text protocol's rules, whoever asks is paid.
    let answer = mallory.call(Call::SubmitText {
        payment: TextPayment { amount: Amount::new(1), ..payment.clone() },
    });
    assert_eq!(answer, Ok(Answer::TextSettled));
    let address = server.address;
    server.stop();
    let server = Server::start_at(MITE, address, data.path(), &["--text", "off"]);
    let mut mallory = SecureClient::connect(server.address, &key(1));
    let answer = mallory.call(Call::SubmitText { payment });
    assert_eq!(answer, Err(Problem::TextNotServed));
    let balance = mallory.call(Call::ReadBalance).expect("a balance");
    assert!(matches!(balance, Answer::Balance { amount, .. } if amount.credits() == 1001));
}

/// A client that offers TLS is not talked down to text, and a text client gets no secure session.
#[test]
fn nobody_is_talked_down_to_text() {
    let (_data, server) = start(&["--text", "off"]);
    // Text is off, inside TLS, too; the secure protocol is on.
    let mut plain = TcpStream::connect(server.address).expect("a connection");
    plain.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    plain.write_all(b"REGISTER#alice\n").expect("the server reads");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("an answer, then the end");
    assert!(answer.starts_with("220 ERROR") && answer.lines().count() == 1, "{answer:?}");
    let mut alice = SecureClient::registered(server.address, &key(1), "alice");
    // Text on a secure session is bytes that are no frame.
    alice.stream.send_bytes(b"alice#10#bob\n").expect("the server reads");
    expect_closing(&mut alice.stream, "text on a secure session");
}

/// A key that was replaced is worth nothing, on connections from before, too.
#[test]
fn a_replaced_key_opens_nothing() {
    let (_data, server) = start(&[]);
    let mut alice = SecureClient::registered(server.address, &key(1), "alice");
    let mut thief = SecureClient::connect(server.address, &key(1));
    let change = wire::KeyChange {
        version: wire::key_change::KEY_CHANGE_VERSION,
        server: alice.stream.peer,
        account: name("alice"),
        old: signature::public_key(&key(1)),
        new: signature::public_key(&key(9)),
    };
    // Not by somebody who does not hold both keys; who tries loses the connection, too.
    for forged in [change.clone().sign(&key(3), &key(9)), change.clone().sign(&key(1), &key(3))] {
        let mut thief = SecureClient::connect(server.address, &key(1));
        assert_eq!(thief.call(Call::ChangeKey { change: forged }), Err(Problem::InvalidSignature));
        assert!(thief.stream.receive::<ServerFrame>().is_err(), "the connection ends");
    }
    let change = change.sign(&key(1), &key(9));
    // Not by another account.
    let mut mallory = SecureClient::registered(server.address, &key(4), "mallory");
    let answer = mallory.call(Call::ChangeKey { change: change.clone() });
    assert_eq!(answer, Err(Problem::KeyChangeMismatch));
    let answer =
        alice.call(Call::ChangeKey { change: change.clone() }).expect("the key is changed");
    let Answer::KeyChanged(receipt) = answer else { panic!("{answer:?}") };
    receipt.verify(&mallory.stream.peer).expect("a receipt that verifies");

    let request = Request { correlation: Correlation(1), call: Call::ReadBalance };
    thief.stream.send(&request).expect("the server reads");
    let answer: ServerFrame = thief.stream.receive().expect("an answer");
    assert_eq!(answer, ServerFrame::Closing(Problem::KeyRetired));
    let mut late = SecureStream::connect(server.address, &key(1)).expect("a handshake");
    late.send(&Hello::new(magic::CLIENT)).expect("the server reads");
    let answer: Result<Welcome, Problem> = late.receive().expect("an answer");
    assert_eq!(answer, Err(Problem::KeyRetired));
    let mut alice = SecureClient::connect(server.address, &key(9));
    assert_eq!(alice.welcome.account.as_ref().map(|own| own.name.as_str()), Some("alice"));
    // The change is not done a second time, and not back.
    assert_eq!(alice.call(Call::ChangeKey { change }), Err(Problem::KeyChangeMismatch));
    still_serves(alice);
}
