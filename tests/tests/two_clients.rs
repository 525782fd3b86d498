//! The main job: a server and two clients, each a process of its own, one of whom pays the other.

use rustix::process::Signal;
use tests::client::Client;
use tests::process::{Program, Server};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

#[test]
fn one_pays_the_other_and_a_killed_server_comes_back_with_the_same_balances() {
    // Protects the whole: what both were told must still be true after a power cut.
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let address = server.address;
    let online = |name| {
        let mut client = Client::start_with(MITE, address, &["--log-level", "info"]);
        client.register(name);
        let (at, _) = client.log_in(name);
        (client, at)
    };
    let (mut bob, bob_at) = online("bob");
    let (mut alice, alice_at) = online("alice");

    let online = alice.list().online;
    assert_eq!(online, [format!("alice {alice_at}"), format!("bob {bob_at}")]);

    alice.ask("pay bob 10", "paid 10 to bob; balance: 990");
    bob.expect("received 10 from alice; balance: 1010");
    bob.ask("balance", "balance: 1010");
    // The payment went from client to client.
    alice
        .program
        .error_line_with(&format!("payment handed over, actor: peer-link, peer: {bob_at}"));
    bob.program.error_line_with("payment offered");

    server.program.kill();
    let lost = "the connection to the server is lost";
    assert!(alice.program.line().contains(lost), "the payer is told at once");
    assert!(bob.program.line().contains(lost), "the payee is told at once");
    bob.end(0);

    let _server = Server::start_at(MITE, address, data.path(), &[]);
    let mut bob = Client::start(MITE, address);
    assert_eq!(bob.log_in("bob").1.balance, 1010);
    // A client that is still there connects again when its user logs in.
    assert_eq!(alice.log_in("alice").1.balance, 990);
    bob.ask("pay alice 1010", "paid 1010 to alice; balance: 0");
    alice.expect("received 1010 from bob; balance: 2000");
    bob.leave();
    alice.leave();
}

#[test]
fn a_script_waits_for_a_payment_and_knows_what_failed() {
    // Protects scripts: they see by the exit code whether all went well, and `wait` misses nothing.
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let (mut bob, _) = Client::online(MITE, server.address, "bob");
    let (mut alice, _) = Client::online(MITE, server.address, "alice");

    bob.type_line("wait 30");
    alice.ask("pay bob 1", "paid 1 to bob; balance: 999");
    bob.expect("received 1 from alice; balance: 1001");
    // This one comes before anybody waits for it.
    alice.ask("pay bob 2", "paid 2 to bob; balance: 997");
    bob.expect("received 2 from alice; balance: 1003");
    bob.type_line("wait 30");
    bob.ask("balance", "balance: 1003");
    bob.expect_failure("wait 1", "error: no payment came within 1 seconds");

    for (line, error) in [
        ("pay bob 998", "error: the balance is 997, which is less than 998"),
        ("pay bob 0", "error: the amount is zero"),
        ("pay bob -5", "error: '-5' cannot be an amount"),
        ("pay alice 5", "error: payer and payee are the same account"),
        ("pay carol 5", "error: carol is not online"),
        ("register bob", "error: the server refused: 210 FAIL"),
        ("login carol", "error: the server refused: 220 AUTH_FAIL"),
        ("dance", "error: there is no command 'dance'"),
    ] {
        alice.expect_failure(line, error);
        alice.program.error_line_with("hint: ");
    }
    alice.ask("balance", "balance: 997");
    let ended = alice.end(1);
    assert!(ended.stderr.iter().any(|line| line == "error: 8 of 13 commands failed"), "{ended:?}");
    bob.end(1);
}

#[test]
fn a_client_that_is_killed_leaves_no_ghost() {
    // Protects payers: nobody on the list is a client that is gone.
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let (mut alice, alice_at) = Client::online(MITE, server.address, "alice");
    let (bob, _) = Client::online(MITE, server.address, "bob");
    assert_eq!(alice.list().online.len(), 2);
    bob.program.kill();
    server.program.error_line_with("logged out");
    assert_eq!(alice.list().online, [format!("alice {alice_at}")]);
    alice.expect_failure("pay bob 1", "error: bob is not online");
}

#[test]
fn a_goodbye_is_the_last_word() {
    // Protects the user: a connection that was closed on their own wish is not "lost".
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    // Whether the client sees the closed connection before it ends is a matter of microseconds.
    for round in 0..10 {
        let (client, _) = Client::online(MITE, server.address, &format!("user{round}"));
        let ended = client.leave();
        assert!(ended.stdout.is_empty(), "after the goodbye: {:?}", ended.stdout);
    }
}

#[test]
fn the_demo_plays_its_steps_and_serves_others_until_ctrl_c() {
    // Protects the first command that a newcomer runs.
    let demo = Program::start(MITE, ["--role", "demo"]);
    let first = demo.line();
    let address = first.strip_prefix("listening on ").expect("the address in the first line");
    let address = address.parse().expect("an address");
    for said in [
        "1. A server is up",
        "Its key, which its clients know it by, is",
        "2. alice and bob connect, each with a key of their own, and register",
        "alice has an account",
        "bob has an account",
        "3. They log in",
        "alice has 1000 and listens on port",
        "bob has 1000 and listens on port",
        "alice sees alice online at 127.0.0.1:",
        "alice sees bob online at 127.0.0.1:",
        "4. alice signs an order of 25 for bob, whose key is",
        "alice is told: paid",
        "bob is told: 25 received from alice, \"for the coffee\"",
        "The receipt proves it",
        "5. alice has 975, bob has 1025.",
        &format!("{MITE} --role client --server {address}"),
    ] {
        demo.line_with(said);
    }
    demo.line_with("Ctrl-C");

    let (mut carol, _) = Client::online(MITE, address, "carol");
    assert_eq!(carol.list().online.len(), 3);
    carol.ask("pay bob 100", "paid 100 to bob; balance: 900");
    carol.leave();

    demo.signal(Signal::INT);
    let ended = demo.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.is_empty(), "they part in peace: {ended:?}");
}

#[test]
fn a_demo_with_small_and_kept_balances_goes_on() {
    // Protects whoever plays with the flags: no demo ends in a mistake of the program.
    let data = tempfile::tempdir().expect("a temporary directory");
    let path = data.path().to_str().expect("temporary paths are text");
    let play = |said: &str| {
        let args = ["--role", "demo", "--opening-balance", "10", "--data", path];
        let demo = Program::start(MITE, args);
        demo.line_with(said);
        demo.line_with("Ctrl-C");
        demo.signal(Signal::TERM);
        let ended = demo.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert!(ended.stderr.is_empty(), "{ended:?}");
    };
    play("5. alice has 0, bob has 20.");
    play("5. alice has 20, bob has 0.");
    play("5. alice has 0, bob has 20.");
}

#[test]
fn a_demo_can_be_ended_in_the_middle() {
    // Protects whoever has seen enough: Ctrl-C is heard at every step.
    for said in ["1. A server is up", "2. alice and bob", "3. They log in", "4. alice signs"] {
        let demo = Program::start(MITE, ["--role", "demo"]);
        demo.line_with(said);
        demo.signal(Signal::INT);
        let ended = demo.wait();
        assert_eq!(ended.status.code(), Some(0), "at {said}: {ended:?}");
    }
}
