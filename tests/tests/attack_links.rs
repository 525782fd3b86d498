//! Attacks by somebody on the wire: who pretends to be the server, changes bytes, strips what says
//! that both sides speak securely, or keeps others out with handshakes that never end.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use tests::listener::{Listener, answer_in_text};
use tests::person::{Person, server_key};
use tests::process::Server;
use tests::profile::Profile;
use tests::relay::{Relay, Way};
use tests::secure::{SecureClient, SecureStream, key};
use tests::text::connect_from;
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Hello, OrderAnswer, PayeeAnswer, PayeeFrame, PayerFrame, Problem, Welcome,
};
use wire::{P2pPort, signature};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;
const MALLORY: u8 = 3;

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), args);
    (data, server)
}

fn balance(client: &mut SecureClient) -> u64 {
    match client.call(Call::ReadBalance) {
        Ok(Answer::Balance { amount, .. }) => amount.credits(),
        other => panic!("a balance, not {other:?}"),
    }
}

/// Answers once at this address with mallory's key. Whether somebody has shown her theirs.
fn mallory_answers(address: SocketAddr) -> JoinHandle<bool> {
    let listener = TcpListener::bind(address).expect("the address is free");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("somebody connects");
        SecureStream::accept(stream, &key(MALLORY)).is_ok()
    })
}

/// Mallory answers at the address of a server that alice's client knows: it stops before it has
/// shown its own key, says both keys, and goes on only by alice's word.
#[test]
fn another_key_at_the_address_of_a_known_server_is_a_stop() {
    let (data, server) = start(&[]);
    let (address, known) = (server.address, server_key(&server));
    let shown = signature::public_key(&key(MALLORY)).to_string();
    let (profile, _) = Person::registered(MITE, address, "alice").leave();
    server.stop();

    let expect_stop = |profile, args: &[&str], title: &str, expected: &str| {
        let mallory = mallory_answers(address);
        let mut alice = Person::start_on(profile, MITE, address, args);
        alice.type_line("balance");
        assert!(!mallory.join().expect("no panic"), "alice's client has shown its key");
        alice.program.error_line_with(title);
        let said = alice.program.error_line_with(expected);
        assert!(said.ends_with(&known), "{said}");
        let said = alice.program.error_line_with("shown ");
        assert!(said.ends_with(&shown), "{said}");
        alice.program.error_line_with("hint: ");
        alice.profile
    };
    let changed = "STOP: THE KEY OF THE SERVER HAS CHANGED";
    let profile = expect_stop(profile, &[], changed, "known from before:");
    let given = "STOP: THE SERVER HAS ANOTHER KEY THAN THE ONE THAT YOU GAVE";
    let args = ["--server-key", known.as_str()];
    let profile = expect_stop(profile, &args, given, "given by --server-key:");

    // Nothing of it is remembered: the right server is served as before.
    let server = Server::start_at(MITE, address, data.path(), &[]);
    let mut alice = Person::start_on(profile, MITE, address, &[]);
    assert_eq!(alice.balance(), 1000);
    let (profile, _) = alice.leave();
    server.stop();
    // Alice says that this is the key.
    let mallory = mallory_answers(address);
    let mut alice = Person::start_on(profile, MITE, address, &["--server-key", &shown]);
    alice.type_line("balance");
    assert!(mallory.join().expect("no panic"), "a key that is given is believed");
}

/// A way that turns one bit over, when it is told to.
struct Middle {
    relay: Relay,
    armed: Arc<Mutex<Option<Flip>>>,
}

/// Which bit: one in the last byte of a record, behind so many that pass as they are.
struct Flip {
    way: Way,
    skip: u32,
}

impl Middle {
    fn to(target: SocketAddr) -> Self {
        let armed: Arc<Mutex<Option<Flip>>> = Arc::default();
        let flip = Arc::clone(&armed);
        let relay = Relay::changing(target, move |way, record| {
            let mut armed = flip.lock().expect("nobody panics with it");
            match &mut *armed {
                Some(flip) if flip.way != way => {}
                Some(Flip { skip: 0, .. }) => {
                    *record.last_mut().expect("a record has a header") ^= 1;
                    *armed = None;
                }
                Some(Flip { skip, .. }) => *skip -= 1,
                None => {}
            }
        });
        Self { relay, armed }
    }

    fn flip(&self, way: Way, skip: u32) {
        *self.armed.lock().expect("nobody panics with it") = Some(Flip { way, skip });
    }

    /// Turns nothing over any more. Whether it was still to be done.
    fn disarm(&self) -> bool {
        self.armed.lock().expect("nobody panics with it").take().is_some()
    }
}

/// A bit is turned over at any point of a payment between client and server: the connection ends,
/// what was said on it is not believed, and the payment is done once or not at all, as the client
/// says.
#[test]
fn a_bit_that_is_turned_over_ends_the_connection_and_moves_nothing() {
    let (_data, server) = start(&[]);
    let middle = Middle::to(server.address);
    let mut bob = SecureClient::registered(server.address, &key(BOB), "bob");
    let mut alice = Person::registered(MITE, middle.relay.address, "alice");
    alice.log_in_unlisted();
    let mut paid = 0;
    for way in [Way::There, Way::Back] {
        for skip in 0.. {
            middle.flip(way, skip);
            alice.type_line("pay bob 1");
            alice.type_line("id");
            let mut told = Vec::new();
            while !told.last().is_some_and(|line: &String| line.contains("your account")) {
                told.push(alice.program.line());
            }
            let turned = !middle.disarm();
            let lost = told.iter().any(|line| line.contains("the server is lost"));
            assert_eq!(lost, turned, "{way:?} {skip}: {told:?}");
            paid += u64::from(told.iter().any(|line| line.starts_with("paid 1 to bob")));
            assert_eq!(balance(&mut bob), 1000 + paid, "{way:?} {skip}: {told:?}");
            if !turned {
                break;
            }
        }
    }
    assert!(paid > 2, "{paid}");
    assert_eq!(alice.balance(), 1000 - paid);
}

/// The same between payer and payee: the order does not arrive, or its receipt does not, and
/// alice's client finds out from the server.
#[test]
fn a_bit_that_is_turned_over_between_peers_is_noticed() {
    let (_data, server) = start(&[]);
    let listener = Listener::open();
    let middle = Middle::to(listener.address);
    let mut bob = SecureClient::registered(server.address, &key(BOB), "bob");
    let port = P2pPort::try_from(middle.relay.address.port()).expect("a port");
    bob.call(Call::LogIn { port: Some(port) }).expect("a log-in");
    let mut alice = Person::online(MITE, server.address, "alice");

    alice.type_line("pay bob 10");
    let mut link = SecureStream::accept(listener.accept_stream(), &key(BOB)).expect("a handshake");
    link.receive::<Hello>().expect("a hello");
    middle.flip(Way::There, 0);
    link.send(&Ok::<_, Problem>(Hello::new(magic::PAYEE))).expect("the payer reads");
    let offered = link.receive::<PayerFrame>().expect_err("what was changed does not arrive");
    assert!(offered.to_string().contains("decrypt"), "{offered}");
    drop(link);
    alice.program.line_with("paid 10 to bob");
    assert_eq!(balance(&mut bob), 1010);

    alice.type_line("pay bob 10");
    let mut link = SecureStream::accept(listener.accept_stream(), &key(BOB)).expect("a handshake");
    link.receive::<Hello>().expect("a hello");
    link.send(&Ok::<_, Problem>(Hello::new(magic::PAYEE))).expect("the payer reads");
    let PayerFrame::Offer { order, .. } = link.receive().expect("an order");
    let answers = bob.call(Call::SubmitOrders { orders: vec![(*order).clone()] });
    let Ok(Answer::Orders(mut answers)) = answers else { panic!("{answers:?}") };
    let OrderAnswer::Decided { receipt, .. } = answers.remove(0) else { panic!("{answers:?}") };
    middle.flip(Way::Back, 0);
    let answer = PayeeAnswer::Decided(receipt);
    link.send(&PayeeFrame::Answer { id: order.order.id, answer }).expect("the payer reads");
    alice.program.line_with("paid 10 to bob");
    assert_eq!(balance(&mut bob), 1020);
    assert_eq!(alice.balance(), 980);
}

/// A client of the secure protocol sends no text, whoever answers in text and whatever is stripped
/// from the handshake: it says what is wrong, and nothing is opened.
#[test]
fn a_client_of_the_secure_protocol_is_not_talked_down() {
    // A server that speaks text alone, or somebody who pretends to be one.
    let text = Listener::open();
    let mut alice = Person::start(MITE, text.address, "alice");
    alice.type_line("register alice");
    let sent = answer_in_text(text.accept_stream(), "220 ERROR speak text");
    assert_eq!(sent[..2], [0x16, 3], "a handshake");
    for word in ["alice", "REGISTER"] {
        let shown = sent.windows(word.len()).any(|bytes| bytes == word.as_bytes());
        assert!(!shown, "{word}");
    }
    alice.program.error_line_with("does not speak TLS");
    let hint = alice.program.error_line_with("hint: ");
    assert!(hint.contains("--protocol text"), "{hint}");

    // TLS that names no protocol, or another one.
    for protocols in [vec![], vec![&b"mite/0"[..]]] {
        let tls = Listener::open();
        let mut alice = Person::start(MITE, tls.address, "alice");
        alice.type_line("register alice");
        let stream = tls.accept_stream();
        if let Ok(mut stream) = SecureStream::accept_speaking(stream, &key(MALLORY), &protocols) {
            stream.receive::<Hello>().expect_err("nothing of the protocol is said");
        }
        alice.program.error_line_with("does not speak mite/1");
    }
}

/// The extension (RFC 7301) with the one name in it, as a client sends it.
const ALPN: &[u8] = b"\x00\x10\x00\x09\x00\x07\x06mite/1";

type Change = fn(&mut [u8]);

/// Somebody on the wire takes the name of the protocol out of the client's first message: neither
/// side goes on in text.
#[test]
fn stripping_the_protocols_name_from_a_handshake_ends_it() {
    let (_data, server) = start(&[]);
    let right = server_key(&server);
    let changes: [(&str, Change); 2] = [
        ("another name", |alpn| alpn[ALPN.len() - 1] = b'0'),
        ("another extension", |alpn| alpn[..2].copy_from_slice(&[0x7a, 0x7a])),
    ];
    for (what, change) in changes {
        let relay = Relay::changing(server.address, move |way, record| {
            let at = record.windows(ALPN.len()).position(|bytes| bytes == ALPN);
            if let (Way::There, Some(at)) = (way, at) {
                change(&mut record[at..]);
            }
        });
        let profile = Profile::new("alice");
        let mut alice = Person::start_on(profile, MITE, relay.address, &["--server-key", &right]);
        alice.type_line("register alice");
        alice.program.error_line_with("error: ");
        let ended = alice.program.wait();
        assert_eq!(ended.status.code(), Some(1), "{what}");
        assert_eq!(ended.stdout, [""; 0], "{what}");
    }
    // Nobody has the name yet.
    Person::registered(MITE, server.address, "alice");
}

/// Keys are public: who shows one without holding its other half is nobody.
#[test]
fn a_key_is_shown_only_by_whoever_holds_it() {
    let (_data, server) = start(&[]);
    let mut bob = SecureClient::registered(server.address, &key(BOB), "bob");
    let bobs = signature::public_key(&key(BOB));
    // To the server.
    let stream = TcpStream::connect(server.address).expect("it listens");
    let shown = SecureStream::over_showing(stream, &bobs, &key(MALLORY));
    let welcome = shown.and_then(|mut stream| {
        stream.send(&Hello::new(magic::CLIENT))?;
        stream.receive::<Result<Welcome, Problem>>()
    });
    assert!(welcome.is_err(), "{welcome:?}");
    // To a payer.
    let listener = Listener::open();
    let port = P2pPort::try_from(listener.address.port()).expect("a port");
    bob.call(Call::LogIn { port: Some(port) }).expect("a log-in");
    let mut alice = Person::online(MITE, server.address, "alice");
    alice.type_line("pay bob 10");
    let stream = listener.accept_stream();
    let met = SecureStream::accept_showing(stream, &bobs, &key(MALLORY), &[b"mite/1"]);
    assert!(met.is_err(), "alice takes mallory for bob");
    alice.program.line_with("paid 10 to bob");
    assert_eq!(balance(&mut bob), 1010);
}

/// A host begins as many handshakes as it can and ends none: others open accounts and pay
/// meanwhile.
#[test]
fn handshakes_that_never_end_keep_nobody_from_paying() {
    let (_data, server) = start(&["--half-open-per-address-max", "20", "--half-open-max", "50"]);
    let mut begun = Vec::new();
    for number in 0..120 {
        let mut stream = connect_from([127, 0, 0, 2], server.address);
        // Nothing at all, a first byte, half a first message. Those that are too many are closed.
        let _ = stream.write_all(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..number % 10]);
        begun.push(stream);
    }
    server.program.error_line_with("connection refused");
    let mut bob = SecureClient::registered(server.address, &key(BOB), "bob");
    let mut alice = Person::online(MITE, server.address, "alice");
    assert_eq!(alice.pay("bob 10").balance, 990);
    assert_eq!(balance(&mut bob), 1010);
    drop(begun);
}
