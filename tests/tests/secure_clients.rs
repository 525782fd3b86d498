//! Honest payments between real clients over the secure protocol: every way in which a payee can be
//! there or not, and every mistake a payer can make.

use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;
use tests::client::Client;
use tests::listener::{self, Listener};
use tests::person::Person;
use tests::process::Server;
use tests::secure::{SecureClient, key};
use wire::secure::{Answer, Call, Event};
use wire::{Amount, P2pPort};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn server() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

/// Logs in somebody who listens at this port, or nowhere, as far as the server knows.
fn raw(server: &Server, number: u8, name: &str, port: u16) -> SecureClient {
    let mut client = SecureClient::registered(server.address, &key(number), name);
    let port = P2pPort::try_from(port).expect("a port");
    client.call(Call::LogIn { port: Some(port) }).expect("a log-in");
    client
}

fn raw_balance(client: &mut SecureClient) -> u64 {
    match client.call(Call::ReadBalance) {
        Ok(Answer::Balance { amount, .. }) => amount.credits(),
        other => panic!("a balance, not {other:?}"),
    }
}

/// Protects everybody's first minutes: each step says what was done, to both sides.
#[test]
fn newcomers_meet_and_pay_each_other() {
    let (_data, server) = server();
    let mut bob = Person::online(MITE, server.address, "bob");
    let mut alice = Person::start(MITE, server.address, "alice");
    alice.type_line("register alice");
    let server_key = alice.first_contact();
    alice.expect("registered alice");
    let (at, shown) = alice.log_in();
    assert_eq!(shown.balance, 1000);
    assert_eq!(shown.online.len(), 2);
    assert_eq!(shown.online[0], format!("alice {at}"));
    assert!(shown.online[1].starts_with("bob 127.0.0.1:"), "{shown:?}");
    assert_eq!(alice.list(), shown);

    let (alices, bobs) = (alice.keys(), bob.keys());
    assert_eq!((&alices.server, &bobs.server), (&server_key, &server_key));
    assert_ne!(alices.own, bobs.own);
    assert_eq!(alice.key_of("bob"), bobs.own);

    let paid = alice.pay("bob 10 for the coffee");
    let quote = format!(
        "about to pay 10 to bob, key {} (seen for the first time), memo \"for the coffee\"",
        bobs.own
    );
    assert_eq!((paid.quote, paid.balance), (quote, 990));
    let id = &paid.id;
    bob.expect(&format!("received 10 from alice, memo \"for the coffee\"; receipt {id}…"));
    assert_eq!(bob.balance(), 1010);

    // The second time, the key is known.
    let again = alice.pay("bob 5");
    assert_eq!(again.quote, format!("about to pay 5 to bob, key {} (known from before)", bobs.own));
    assert_ne!(again.id, *id);
    let paid_list = [
        format!("  {}…  5   to bob  paid", again.id),
        format!("  {id}…  10  to bob  paid  \"for the coffee\""),
    ];
    assert_eq!(alice.told("payments"), paid_list);
    assert_eq!(alice.told("receipts")[1..3], paid_list);
    bob.expect(&format!("received 5 from alice; receipt {}…", again.id));

    for (person, event) in [(&mut alice, "paid 10 to bob"), (&mut bob, "received 10 from alice")] {
        let history = person.history();
        let (before, after) = history[1].split_at(event.len());
        assert_eq!((before, after.trim()), (event, format!("{id}…").as_str()));
        assert_eq!(history[2], "opened with 1000");
        let receipt = person.told(&format!("receipt {id}"));
        let receipt = receipt.join("\n");
        for words in [
            &format!("payer    alice, key {}", alices.own),
            &format!("payee    bob, key {}", bobs.own),
            "amount   10",
            "outcome  settled",
            &format!("server   {server_key}, whose signature is valid"),
        ] {
            assert!(receipt.contains(words), "{words:?} is missing in {receipt}");
        }
    }
    for person in [alice, bob] {
        let (_, ended) = person.leave();
        assert!(!ended.stderr.iter().any(|line| line.starts_with("error")), "{ended:?}");
    }
}

/// Protects whoever is away: their money waits for them at the server.
#[test]
fn somebody_offline_is_paid_through_the_server() {
    let (_data, server) = server();
    let bob = Person::registered(MITE, server.address, "bob");
    let (bobs, _) = bob.leave();
    let mut alice = Person::online(MITE, server.address, "alice");
    let paid = alice.pay("bob 10");
    assert!(
        paid.quote.ends_with("(seen for the first time), not on the list of who is online"),
        "{}",
        paid.quote
    );
    assert_eq!(paid.balance, 990);
    let mut bob = Person::start_on(bobs, MITE, server.address, &[]);
    let (_, shown) = bob.log_in();
    assert_eq!(shown.balance, 1010);
    assert_eq!(bob.history()[0], format!("received 10 from alice  {}…", paid.id));
    let receipt = bob.told(&format!("receipt {}", paid.id)).join("\n");
    assert!(receipt.contains("outcome  settled"), "{receipt}");
}

/// Protects the privacy of the list: whoever stays off it pays and is paid all the same.
#[test]
fn unlisted_people_pay_and_are_paid() {
    let (_data, server) = server();
    let mut alice = Person::online(MITE, server.address, "alice");
    let mut bob = Person::registered(MITE, server.address, "bob");
    let shown = bob.log_in_unlisted();
    assert_eq!(shown.online.len(), 1, "alice alone: {shown:?}");
    assert_eq!(alice.list().online.len(), 1);

    let paid = alice.pay("bob 10");
    assert!(paid.quote.ends_with(", not on the list of who is online"), "{}", paid.quote);
    bob.expect(&format!("received 10 from alice; receipt {}…", paid.id));
    bob.type_line("wait 0");
    let paid = bob.pay("alice 4 thanks");
    assert_eq!(paid.balance, 1006);
    alice.expect(&format!("received 4 from bob, memo \"thanks\"; receipt {}…", paid.id));
    assert_eq!(alice.balance(), 994);
}

/// Protects the payment: a payee whose device does not answer does not hold it up, and is told.
#[test]
fn a_payee_who_cannot_be_reached_is_paid_through_the_server() {
    let (_data, server) = server();
    let mut bob = raw(&server, 2, "bob", listener::closed_address().port());
    let mut alice = Person::online(MITE, server.address, "alice");
    let paid = alice.pay("bob 10");
    assert!(!paid.quote.contains("not on the list"), "{}", paid.quote);
    assert_eq!(paid.balance, 990);
    assert_eq!(raw_balance(&mut bob), 1010);
    let told = bob
        .events
        .iter()
        .any(|event| matches!(event, Event::Received { amount, .. } if *amount == Amount::new(10)));
    assert!(told, "{:?}", bob.events);

    // One who hangs up in the middle.
    let listener = Listener::open();
    let mut carol = raw(&server, 3, "carol", listener.address.port());
    alice.type_line("pay carol 10");
    drop(listener.accept_stream());
    let said = alice.program.line_with("paid 10 to carol; receipt ");
    assert!(said.ends_with("; balance: 980"), "{said}");
    assert_eq!(raw_balance(&mut carol), 1010);
}

/// Protects the sum of all money when everybody pays everybody at the same time.
#[test]
fn payments_at_the_same_time_conserve_the_sum() {
    const ROUNDS: usize = 10;
    let (_data, server) = server();
    let names = ["alice", "bob", "carol"];
    let people = names.map(|name| (name, Person::online(MITE, server.address, name)));
    let start = Barrier::new(people.len());
    let mut people = thread::scope(|scope| {
        let paying = people.map(|(own, mut person)| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    for other in names.iter().filter(|name| **name != own) {
                        person.pay(&format!("{other} {}", round + 1));
                    }
                }
                person
            })
        });
        paying.map(|person| person.join().expect("no payer panics"))
    });
    // Each has paid as much as they got.
    for person in &mut people {
        assert_eq!(person.balance(), 1000);
        // `opened`, and for each round two paid and two received.
        assert_eq!(person.told("history 100").len(), 1 + 4 * ROUNDS);
        let payments = person.told("payments");
        assert!(payments.iter().all(|line| line.trim_end().ends_with("paid")), "{payments:?}");
    }
}

/// Protects both worlds: programs of the text protocol pay people with keys, and the other way round.
#[test]
fn open_and_keyed_accounts_pay_each_other() {
    let (_data, server) = server();
    let mut bob = Person::online(MITE, server.address, "bob");
    let (mut old, _) = Client::online(MITE, server.address, "old");
    assert_eq!(old.list().online.len(), 2);
    old.ask("pay bob 7", "paid 7 to bob; balance: 993");
    bob.expect("received 7 from old");
    assert_eq!(bob.balance(), 1007);
    let paid = bob.pay("old 3");
    assert_eq!(
        paid.quote,
        "about to pay 3 to old, an account without a key: nobody can be sure who that is"
    );
    assert_eq!(paid.balance, 1004);
    assert_eq!(old.list().balance, 996);
    assert_eq!(bob.history()[1], "received 7 from old");
    // What nobody signed has no receipt, what bob signed has one.
    let receipt = bob.told(&format!("receipt {}", paid.id)).join("\n");
    assert!(receipt.contains("payee    old, no key"), "{receipt}");
}

/// Protects the payer from their own mistakes: each is named, none costs anything, all are counted.
#[test]
fn mistakes_are_named_and_move_nothing() {
    let (_data, server) = server();
    let mut alice = Person::start(MITE, server.address, "alice");
    let [error, hint] = alice.expect_failure("login", "");
    assert_eq!(hint, "hint: open an account first: register NAME", "{error}");
    alice.first_contact();
    alice.ask("register alice", "registered alice");
    alice.expect_failure("pay bob 1", "not logged in");
    alice.log_in();
    let _bob = Person::registered(MITE, server.address, "bob");
    for (line, error, hint) in [
        ("pay bob 1001", "1000", "nothing was paid: pay less"),
        ("pay alice 1", "the same account", "'list' shows whom you can pay"),
        ("pay carol 1", "carol", "nothing was paid: is the name right?"),
        ("pay bob 0", "the amount is zero", "pay 1 credit or more"),
        ("pay bob -1", "'-1' cannot be an amount", ""),
        ("pay bob 1.5", "'1.5' cannot be an amount", ""),
        ("pay bob ten", "'ten' cannot be an amount", ""),
        ("pay bob 18446744073709551616", "cannot be an amount", ""),
        ("pay bob 18446744073709551615", "1000", "nothing was paid: pay less"),
        (
            "register alicia",
            "an account already",
            "a key has one account: 'id' shows it; another profile has another key",
        ),
    ] {
        let [error, given] = alice.expect_failure(line, error);
        assert!(given.contains(hint), "{line}: {error} {given}");
    }
    let mut carl = Person::start(MITE, server.address, "carl");
    let [_, hint] = carl.expect_failure("register alice", "taken");
    assert_eq!(hint, "hint: try another name");
    assert_eq!(alice.balance(), 1000);
    assert_eq!(alice.told("payments"), ["no payments yet"]);
    // All of it, and not a credit more.
    assert_eq!(alice.pay("bob 1000").balance, 0);
    alice.type_line("exit");
    let ended = alice.program.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}

/// Protects whoever types on another keyboard: one name is one account, however its accents are typed.
#[test]
fn a_name_typed_with_combining_accents_is_the_same_name() {
    let (_data, server) = server();
    let mut jose = Person::start(MITE, server.address, "jose");
    jose.type_line("register jose\u{301}");
    jose.first_contact();
    jose.expect("registered jos\u{e9}");
    let mut alice = Person::online(MITE, server.address, "alice");
    for name in ["jos\u{e9}", "jose\u{301}"] {
        let paid = alice.pay(&format!("{name} 1"));
        assert!(paid.quote.starts_with("about to pay 1 to jos\u{e9}, key "), "{}", paid.quote);
    }
    alice.expect_failure("pay jose 1", "jose");
    assert_eq!(jose.balance(), 1002);
    let mut bob = Person::start(MITE, server.address, "bob");
    bob.expect_failure("register Jose\u{301}", "too similar");
}

/// Protects an account that is used from two machines: there is one place where its payer finds it, and
/// whoever loses the place hears of it, as it may be a thief who took it.
#[test]
fn a_second_log_in_replaces_the_first() {
    let (_data, server) = server();
    let (profile, _) = Person::registered(MITE, server.address, "alice").leave();
    let mut second = Person::start_on(profile.copy(), MITE, server.address, &[]);
    let mut first = Person::start_on(profile, MITE, server.address, &[]);
    first.log_in();
    assert_eq!(second.keys(), first.keys());
    let (at, shown) = second.log_in();
    assert_eq!(shown.online, [format!("alice {at}")]);
    let said = first.program.line_with("another program has logged in to this account");
    assert!(said.contains("rotate-key"), "{said}");
    // What the first wants next it can have, and the account is where it was last logged in.
    assert_eq!(first.balance(), 1000);
    let (at, shown) = first.log_in();
    assert_eq!(shown.online, [format!("alice {at}")]);
    second.program.line_with("another program has logged in to this account");
}
