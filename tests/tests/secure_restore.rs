//! A machine is lost: what 24 words and the server bring back, and what they never touch.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bip39::Mnemonic;
use ed25519_zebra::SigningKey;
use tempfile::TempDir;
use tests::listener;
use tests::payee::{Payee, Step};
use tests::person::Person;
use tests::process::{Ended, PATIENCE, Server};
use tests::profile::Profile;
use tests::secure::{SecureClient, key};
use wire::SignedOrder;
use wire::secure::{Answer, Call, OrderAnswer, Problem};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn server() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

/// Restores a profile of these words, as a pipe gives them.
fn restore(profile: &Profile, server: std::net::SocketAddr, words: &str) -> Ended {
    let mut program = profile.launch(MITE, server, &["--no-passphrase", "restore"]);
    program.type_line(words);
    program.close_stdin();
    program.wait()
}

fn expect_shown(ended: &Ended, line: &str) {
    let shown = ended.stdout.iter().any(|shown| shown.contains(line));
    assert!(shown, "{line:?} is missing in {ended:?}");
}

/// Protects everybody whose machine breaks: the account is that of the words.
#[test]
fn words_bring_back_key_balance_and_history() {
    let (_data, server) = server();
    let mut bob = Person::online(MITE, server.address, "bob");
    let mut alice = Person::registered(MITE, server.address, "alice");
    let words = alice.words();
    alice.log_in();
    let paid = alice.pay("bob 10 for the coffee");
    bob.pay("alice 3");
    let (keys, history) = (alice.keys(), alice.history());
    drop(alice);

    // Written down in capitals, and typed on four lines.
    let typed: Vec<_> = words.split(' ').map(str::to_uppercase).collect();
    let typed: Vec<_> = typed.chunks(6).map(|line| line.join("  ")).collect();
    let profile = Profile::new("alice");
    let ended = restore(&profile, server.address, &typed.join("\n"));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for line in [
        "the key is restored",
        &format!("your key      {}", keys.own),
        "your account  alice, balance: 993",
        &format!("paid 10 to bob       {}…", paid.id),
    ] {
        expect_shown(&ended, line);
    }
    let mut alice = Person::start_on(profile, MITE, server.address, &[]);
    assert_eq!(alice.keys(), keys);
    assert_eq!(alice.history(), history);
    let receipt = alice.told(&format!("receipt {}", paid.id)).join("\n");
    assert!(receipt.contains("outcome  settled"), "{receipt}");
    alice.log_in();
    assert_eq!(alice.pay("bob 1").balance, 992);
}

/// Protects a payment that the lost machine had begun: the server has kept it, it is found and settled, and
/// there is no second one.
#[test]
fn an_open_payment_is_found_again_and_happens_once() {
    let (_data, server) = server();
    let mut carol = Payee::online(server.address, &key(3), "carol");
    let mut alice = Person::registered(MITE, server.address, "alice");
    let words = alice.words();
    alice.log_in();
    alice.type_line("pay carol 10 for the tea");
    let silent = carol.reach(Step::Offered);
    let order = silent.order.expect("it is offered");
    wait_kept(&server, &words, &order);
    alice.program.kill();

    let profile = Profile::new("alice");
    let ended = restore(&profile, server.address, &words);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let id = &order.order.id.to_string()[..16];
    expect_shown(&ended, &format!("payment of 10 to carol ({id}…): paid while you were away"));
    expect_shown(&ended, "your account  alice, balance: 990");
    // Carol had it all the time.
    let answer = carol.submit(&order);
    assert!(matches!(answer, OrderAnswer::Decided { replayed: true, .. }), "{answer:?}");
    let mut alice = Person::start_on(profile, MITE, server.address, &[]);
    assert_eq!(alice.balance(), 990);
    let receipt = alice.told(&format!("receipt {id}")).join("\n");
    assert!(receipt.contains("outcome  settled"), "{receipt}");
}

/// Protects the key that is there, and whoever has mistyped a word.
#[test]
fn nothing_is_overwritten_and_wrong_words_are_named() {
    let nowhere = listener::closed_address();
    let alice = Person::start(MITE, nowhere, "alice");
    let words = alice.words();
    let (profile, _) = alice.leave();
    let before = profile.read("identity.key");
    let ended = restore(&profile, nowhere, &words);
    expect_refused(&ended, "this profile has a key already", "no key is ever overwritten");
    assert_eq!(profile.read("identity.key"), before);

    let list: Vec<_> = words.split(' ').collect();
    let with = |number: usize, word: &str| {
        let mut list = list.clone();
        list[number - 1] = word;
        list.join(" ")
    };
    let other = if list[4] == "abandon" { "zoo" } else { "abandon" };
    let swapped = [&list[..3], &[list[4], list[3]], &list[5..]].concat().join(" ");
    let cases = [
        (with(7, "creddit"), "word 7 is not in the list"),
        (with(24, "zzz"), "word 24 is not in the list"),
        (list[..23].join(" "), "24 words, not 23"),
        (format!("{words} {}", list[0]), "24 words, not 25"),
        (String::new(), "24 words, not 0"),
        (with(5, other), "not a recovery phrase"),
        (swapped, "not a recovery phrase"),
    ];
    let profile = Profile::new("alice");
    for (typed, error) in cases {
        // One checksum in 256 fits all the same; then it is another key, and no mistake to be seen.
        if error.starts_with("not a") && typed.parse::<Mnemonic>().is_ok() {
            continue;
        }
        let ended = restore(&profile, nowhere, &typed);
        expect_refused(&ended, error, "");
        assert!(!ended.stderr.join(" ").contains("creddit"), "{ended:?}");
    }
    let left: Vec<_> = fs::read_dir(profile.file("")).expect("a directory").flatten().collect();
    assert!(left.iter().all(|file| file.file_name() == "lock"), "{left:?}");
    let ended = restore(&profile, nowhere, &words);
    assert_eq!(profile.read("identity.key"), before, "{ended:?}");
}

fn expect_refused(ended: &Ended, error: &str, hint: &str) {
    assert_eq!(ended.status.code(), Some(5), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let [said, hinted] = &ended.stderr[..] else { panic!("two lines: {ended:?}") };
    assert!(said.starts_with("error: ") && said.contains(error), "{ended:?}");
    assert!(hinted.starts_with("hint: ") && hinted.contains(hint), "{ended:?}");
}

/// Waits until the server keeps this order for its payer, whose words these are.
fn wait_kept(server: &Server, words: &str, order: &SignedOrder) {
    let entropy = words.parse::<Mnemonic>().expect("24 words").to_entropy();
    let seed: [u8; 32] = entropy.try_into().expect("24 words are 32 bytes");
    let mut payer = SecureClient::connect(server.address, &SigningKey::from_bytes(&seed));
    let began = Instant::now();
    loop {
        match payer.call(Call::ReadOpenOrders) {
            Ok(Answer::OpenOrders(orders)) if orders.contains(order) => return,
            Ok(Answer::OpenOrders(_)) => assert!(began.elapsed() < PATIENCE, "it is not kept"),
            Err(Problem::BusyFor { wait_ms }) => sleep(Duration::from_millis(wait_ms.into())),
            other => panic!("open orders, not {other:?}"),
        }
    }
}
