//! Makes the directory that this release leaves behind, `tests/data/golden/<version>/`: everything that the
//! server and its clients write, each kind of entry, several segments, snapshots, and things that are under
//! way. Every later release must open it (`tests/tests/golden_data.rs`).
//!
//! `cargo run -p tests --bin make-golden`, once for each release, with the programs that are released. `-- 2` makes
//! another one of the same version, where what it writes has changed before its release.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use tests::golden::{ClientFacts, Golden, KeyedFacts};
use tests::operator::{SOCKET, admin};
use tests::payee::{Payee, Step};
use tests::person::server_key;
use tests::process::{PATIENCE, Server, expect_done, is_under_test, this_program};
use tests::purse::{Purse, Session, history};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem};
use wire::{Entry, OrderId, Timestamp};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Enough for all text payments.
const ARGS: [&str; 2] = ["--opening-balance", "1000000"];
/// Text payments are made until there are so many segments.
const SEGMENTS: usize = 3;
/// Payments in one write.
const BURST: usize = 500;
/// The second segment begins behind some 7,000 payments, the third behind some 22,000.
const BURSTS_MAX: usize = 200;

const PASSPHRASE: &str = "correct horse battery";
/// The keys of payees who are played.
const BOB: u8 = 2;
const CAROL: u8 = 3;

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long an order is valid that comes too late.
const SOON_MS: u64 = 100;

fn main() -> ExitCode {
    if is_under_test() {
        return node::run();
    }
    let name = match std::env::args().nth(1) {
        Some(number) => format!("{VERSION}-{number}"),
        None => VERSION.to_owned(),
    };
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/golden").join(name);
    if kept.exists() {
        eprintln!("error: {} is there and is never changed", kept.display());
        return ExitCode::FAILURE;
    }
    let golden = make();
    golden.keep(&kept);
    println!("made {}", kept.display());
    ExitCode::SUCCESS
}

fn make() -> Golden {
    let mut golden = Golden::begin();
    let mite = this_program();
    let server = Server::start(mite, &golden.server(), &ARGS);
    let address = server.address;
    golden.facts.server_key = server_key(&server);
    pay_by_text(address, &golden.server());

    // Both keys of the one are encrypted; the other one's is not, and a payment stays open.
    fs::create_dir(golden.clients()).expect("a new directory");
    let alices = Purse::new(mite, &golden.clients(), "alice").locked(PASSPHRASE);
    let doras = Purse::new(mite, &golden.clients(), "dora");
    let mut bob = Payee::online(address, &key(BOB), "bob");
    let mut alice = alices.open(address);
    alice.ask("login unlisted");
    pay(&mut alice, &mut bob, "bob 5 for the coffee");
    alice.program.type_line("rotate-key");
    alice.program.line_with("your key is now ");
    pay(&mut alice, &mut bob, "bob 6");
    refuse(address);
    operate(&mut golden, address);
    expire(address);
    // With a snapshot, behind which more follows.
    server.stop();

    let server = Server::start_at(mite, address, &golden.server(), &ARGS);
    let mut carol = Payee::online(address, &key(CAROL), "carol");
    alice.insist("login unlisted", "logged in as");
    let paid = pay(&mut alice, &mut carol, "carol 7");
    export(&mut alice, &paid, &golden.receipts());
    let paid = alice.payments().pop().expect("the oldest payment").id;
    export(&mut alice, &paid, &golden.receipts());
    let mut dora = doras.open(address);
    dora.ask("login unlisted");
    pay(&mut dora, &mut carol, "carol 8");
    dora.program.type_line("pay alice 9");
    alice.program.line_with("received 9 from dora");
    dora.program.type_line("pay carol 11");
    let _keeps_the_order = carol.reach(Step::Offered);
    wait_until_kept(address, &doras);
    note(&mut golden, address, &mut alice, &mut dora);
    dora.kill();
    alice.kill();
    server.program.kill();
    // Which it had no time to remove; an archive takes files alone.
    fs::remove_file(golden.server().join(SOCKET)).expect("the socket stays");
    golden
}

/// Two accounts, one of which pays the other in small steps until the journal has several segments.
fn pay_by_text(server: SocketAddr, data: &Path) {
    Connection::log_in(server, "ann", 5001);
    let mut zoe = Connection::log_in(server, "zoë", 5002);
    let segments = || {
        let files = fs::read_dir(data).expect("a data directory");
        let names = files.map(|file| file.expect("a listed file").file_name());
        // The next one has no number yet.
        names.filter(|name| name.to_string_lossy().starts_with("journal-0")).count()
    };
    for _ in 0..BURSTS_MAX {
        zoe.send("ann#1#zoë\n".repeat(BURST));
        zoe.expect("100 OK\n".repeat(BURST));
        if segments() >= SEGMENTS {
            return;
        }
    }
    panic!("{BURSTS_MAX} times {BURST} payments fit into less than {SEGMENTS} segments");
}

/// A payment in which the payee takes part. Returns the beginning of its id.
fn pay(payer: &mut Session, payee: &mut Payee, what: &str) -> String {
    payer.program.type_line(&format!("pay {what}"));
    payee.reach(Step::Answered);
    let said = payer.program.line_with("; receipt ");
    let id = said.split("; receipt ").nth(1).and_then(|rest| rest.split('…').next());
    id.expect("an id").to_owned()
}

/// Orders that the ledger refuses: for more than there is, for somebody who does not exist, and for
/// somebody who has a key and not none.
fn refuse(server: SocketAddr) {
    let payer = key(BOB);
    let mut client = SecureClient::connect(server, &payer);
    let order = |payee, amount| client.order(&payer, payee, None, amount);
    let orders = vec![order("ann", 2_000_000), order("nobody", 1), order("alice", 1)];
    let answer = client.call(Call::SubmitOrders { orders });
    let Ok(Answer::Orders(answers)) = &answer else { panic!("answers, not {answer:?}") };
    for answer in answers {
        let OrderAnswer::Decided { receipt, .. } = answer else { panic!("{answer:?}") };
        assert!(matches!(receipt.entry(), Entry::OrderRefused { .. }), "{receipt:?}");
    }
}

/// What an operator does: each of its entries, and an account that stays frozen.
fn operate(golden: &mut Golden, server: SocketAddr) {
    Connection::open(server).ask("REGISTER#frank\n", "100 OK\n");
    for command in [
        "deposit ann 50 --id in-1",
        "withdraw ann 20 --id out-1",
        "freeze ann",
        "unfreeze ann",
        "freeze frank --reason suspected",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        expect_done(&admin(this_program(), &golden.server(), &words));
    }
    golden.facts.frozen.push("frank".to_owned());
}

/// An order that comes too late, so that the journal says until when.
fn expire(server: SocketAddr) {
    let payer = key(BOB);
    let mut client = SecureClient::connect(server, &payer);
    let mut order = client.order(&payer, "ann", None, 1).order;
    order.not_after = Timestamp::new(client.welcome.now.get() + SOON_MS);
    order.id = OrderId::new(order.not_after, [7; 10]);
    thread::sleep(Duration::from_millis(2 * SOON_MS));
    let answer = client.call(Call::SubmitOrders { orders: vec![order.sign(&payer)] });
    let Ok(Answer::Orders(answers)) = &answer else { panic!("answers, not {answer:?}") };
    assert_eq!(answers[..], [OrderAnswer::NotTaken(OrderProblem::Expired)]);
}

fn export(client: &mut Session, id: &str, dir: &Path) {
    let file = dir.join(id);
    let told = client.ask(&format!("receipt {id} --export {}", file.display()));
    assert!(file.exists(), "{told:?}");
}

fn wait_until_kept(server: SocketAddr, purse: &Purse) {
    let mut client = SecureClient::connect(server, &purse.key());
    let began = Instant::now();
    loop {
        match client.call(Call::ReadOpenOrders) {
            Ok(Answer::OpenOrders(orders)) if !orders.is_empty() => return,
            Ok(Answer::OpenOrders(_)) => thread::sleep(LOOK_INTERVAL),
            other => panic!("open orders, not {other:?}"),
        }
        assert!(began.elapsed() < PATIENCE, "the order is not kept");
    }
}

/// Writes down what is true now.
fn note(golden: &mut Golden, server: SocketAddr, alice: &mut Session, dora: &mut Session) {
    for name in ["ann", "zoë"] {
        let mut connection = Connection::open(server);
        connection.send(format!("{name}#5001\n"));
        golden.facts.open.insert(name.to_owned(), connection.list().0);
    }
    for (name, number) in [("bob", BOB), ("carol", CAROL)] {
        let mut client = SecureClient::connect(server, &key(number));
        let history = history(&mut client).len();
        let own = client.welcome.account.expect("an account with this key");
        let (name, balance) = (name.to_owned(), own.balance.credits());
        golden.facts.keyed.push(KeyedFacts { name, key: number, balance, history });
    }
    for (name, session, passphrase) in [("alice", alice, Some(PASSPHRASE)), ("dora", dora, None)] {
        let payments = session.payments().into_iter();
        // Nobody submits the open one any more: when it is looked at, its time is over.
        let payments = payments.map(|told| (told.amount, told.state.starts_with("paid")));
        golden.facts.clients.push(ClientFacts {
            name: name.to_owned(),
            passphrase: passphrase.map(str::to_owned),
            balance: session.balance(),
            payments: payments.collect(),
        });
    }
}
