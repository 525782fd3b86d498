//! Who is who, and how that changes: the server's key at first contact and later, and the change of an
//! account's key, interrupted wherever it can be.

use std::io::Read as _;
use std::net::TcpListener;

use tempfile::TempDir;
use tests::person::{Person, server_key};
use tests::process::{Ended, Program, Server};
use tests::profile::Profile;
use tests::secure::{SecureStream, key};
use wire::signature;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn server() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

/// Tells a client one thing, and expects that it is the end of a script that failed.
fn expect_failed(mut program: Program, line: &str) -> Ended {
    program.type_line(line);
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    ended
}

/// The server's key is not the one that is known: said so that nobody overlooks it, with both keys.
fn expect_server_refused(ended: &Ended, known: &str, shown: &str) {
    let said = ended.stderr.join("\n");
    for words in [
        "@ STOP: THE KEY OF THE SERVER HAS CHANGED",
        &format!("known from before:  {known}"),
        &format!("shown now:          {shown}"),
        "Nothing was sent.",
        "error: ",
        &format!("start with --server-key {shown}"),
    ] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
}

/// Protects the first contact: the key is shown and kept, with nobody at a terminal.
#[test]
fn the_servers_key_is_shown_and_kept_at_first_contact() {
    let (_data, server) = server();
    let key = server_key(&server);
    let mut alice = Person::start(MITE, server.address, "alice");
    alice.type_line("register alice");
    assert_eq!(alice.first_contact(), key);
    alice.expect("registered alice");
    let known = alice.profile.read("known.keys");
    let line = format!("server {} {key} ", server.address);
    assert!(known.lines().any(|known| known.starts_with(&line)), "{known}");
    let mut alice = alice.restart();
    // Not a word of it the second time.
    alice.ask("balance", "balance: 1000");
    assert_eq!(alice.profile.read("known.keys"), known);
    assert_eq!(alice.keys().server, key);
}

/// Protects the client from whoever takes the server's place: it stops before it shows even its own key.
#[test]
fn another_server_at_the_same_address_is_refused() {
    let (_data, server) = server();
    let known = server_key(&server);
    let address = server.address;
    let alice = Person::registered(MITE, address, "alice");
    let (profile, _) = alice.leave();
    server.stop();

    // An honest server that was set up anew.
    let data = tempfile::tempdir().expect("a temporary directory");
    let other = Server::start_at(MITE, address, data.path(), &[]);
    let shown = server_key(&other);
    assert_ne!(known, shown);
    let plain = ["--no-passphrase"];
    let before = profile.read("known.keys");
    for line in ["id", "register alice", "login", "pay bob 1"] {
        expect_server_refused(
            &expect_failed(profile.launch(MITE, address, &plain), line),
            &known,
            &shown,
        );
    }
    assert_eq!(profile.read("known.keys"), before);

    // Whoever has asked may go on with it.
    let given = ["--no-passphrase", "--server-key", &shown];
    let mut alice = Person::start_on(profile, MITE, address, &given[1..]);
    alice.type_line("register alice");
    alice.expect(&format!("the key of this server was {known}"));
    alice.expect(&format!("it is {shown} from now on, as given by --server-key"));
    alice.expect("registered alice");
    let (profile, _) = alice.leave();
    let ended = other.stop();
    let accounts = ended.stderr.iter().filter(|line| line.contains("account opened")).count();
    assert_eq!(accounts, 1, "{ended:?}");

    // A thief who listens to what is said: nothing is.
    let thief = TcpListener::bind(address).expect("the server is gone");
    let client = profile.launch(MITE, address, &plain);
    let ended = std::thread::scope(|scope| {
        let ended = scope.spawn(|| expect_failed(client, "id"));
        let (mut stream, _) = thief.accept().expect("the client");
        let handshake =
            SecureStream::accept(stream.try_clone().expect("a live connection"), &key(66));
        let refused = handshake.err().expect("the client goes on").to_string();
        assert!(refused.contains("alert"), "{refused}");
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or(0), 0, "something was sent");
        ended.join().expect("the client ends")
    });
    expect_server_refused(&ended, &shown, &signature::public_key(&key(66)).to_string());
}

/// Protects whoever has asked for the key before: there is no first contact to be deceived at.
#[test]
fn a_key_that_is_given_is_the_only_one_that_is_accepted() {
    let (_data, server) = server();
    let right = server_key(&server);
    let wrong = signature::public_key(&key(66)).to_string();
    let profile = Profile::new("alice");
    let given = ["--no-passphrase", "--server-key", &wrong];
    let ended = expect_failed(profile.launch(MITE, server.address, &given), "register alice");
    let said = ended.stderr.join("\n");
    for words in [
        "STOP: THE SERVER HAS ANOTHER KEY THAN THE ONE THAT YOU GAVE",
        &format!("given by --server-key: {wrong}"),
        &format!("shown by the server:   {right}"),
        "Nothing was sent.",
    ] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    assert!(!profile.file("known.keys").exists(), "a key was kept");

    let mut alice = Person::start_on(profile, MITE, server.address, &["--server-key", &right]);
    alice.ask("register alice", "registered alice");
    let mut alice = alice.restart();
    // It is kept like one that was seen.
    alice.ask("balance", "balance: 1000");
}

/// Protects an account whose key may be known to somebody else: the new key has it, with its history and
/// its money, and the old one has nothing.
#[test]
fn a_changed_key_has_the_account_and_the_old_one_nothing() {
    let (_data, server) = server();
    let mut bob = Person::online(MITE, server.address, "bob");
    let mut alice = Person::online(MITE, server.address, "alice");
    alice.pay("bob 10");
    let thief = alice.profile.copy();
    let old = alice.keys().own;
    let (_, new) = alice.rotate_key();
    assert_ne!(new, old);
    assert_eq!(alice.keys().own, new);
    assert!(!alice.profile.file("identity.next").exists());
    assert_eq!(alice.balance(), 990);
    assert_eq!(alice.history()[0], format!("key changed to {new}"));
    // The same connection, a new one, and the next start: all of it with the new key.
    assert_eq!(alice.pay("bob 1").balance, 989);
    let mut alice = alice.restart();
    assert_eq!(alice.keys().own, new);
    alice.log_in();
    assert_eq!(alice.pay("bob 1").balance, 988);
    assert_eq!(bob.balance(), 1012);

    let mut thief = Person::start_on(thief, MITE, server.address, &[]);
    let [error, hint] = thief.expect_failure("login", "another key");
    assert!(hint.contains("24 words"), "{error} {hint}");
    thief.expect_failure("register alice2", "another key");
    thief.expect_failure("pay bob 1", "another key");
    assert_eq!(alice.balance(), 988);
}

/// Protects payers from a server that puts its own key in the place of their friend's: they hear of every
/// change, and pay nothing until they have asked.
#[test]
fn peers_are_warned_of_a_changed_key_and_must_trust_it() {
    let (_data, server) = server();
    let mut alice = Person::online(MITE, server.address, "alice");
    let mut bob = Person::online(MITE, server.address, "bob");
    alice.pay("bob 10");
    bob.program.line_with("received 10 from alice");
    let old = bob.keys().own;
    let (_, new) = bob.rotate_key();
    alice.type_line("pay bob 5");
    alice.program.error_line_with("@ STOP: THE KEY OF bob HAS CHANGED");
    alice.program.error_line_with(&format!("known from before:  {old}"));
    alice.program.error_line_with(&format!("said by the server: {new}"));
    alice.program.error_line_with("Nothing was signed, nothing was moved.");
    alice.program.error_line_with("error: ");
    let hint = alice.program.error_line_with("");
    assert!(hint.ends_with(&format!("confirms exactly this key: trust bob {new}")), "{hint}");
    assert_eq!(alice.balance(), 990);

    // Trusting another key than the one that is there helps nobody.
    alice.type_line(&format!("trust bob {old}"));
    alice.program.line_with("is known by the key");
    alice.expect_failure("pay bob 5", "");
    alice.ask(&format!("trust bob {new}"), &format!("bob is known by the key {new} from now on"));
    let paid = alice.pay("bob 5");
    assert_eq!(paid.quote, format!("about to pay 5 to bob, key {new} (known from before)"));
    assert_eq!(paid.balance, 985);
    // Bob takes payments with his new key without having logged in again.
    bob.program.line_with("received 5 from alice");
}
