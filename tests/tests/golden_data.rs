//! What earlier releases have left behind, opened by the program as it is now: nothing is lost by an upgrade.
//!
//! `make-golden` adds a directory for each release; none is ever changed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tests::golden::{ClientFacts, Facts, Golden};
use tests::payee::{Payee, Step};
use tests::process::{Ended, Program, Server, text};
use tests::purse::{Purse, Told, history};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::{Answer, Call};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// The key of a payee who is played, and nobody's in any golden directory.
const EVE: u8 = 200;

/// The directories of all releases.
fn releases() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/golden");
    let kept = fs::read_dir(all).expect("releases have left something behind");
    let mut kept: Vec<_> = kept.map(|entry| entry.expect("a listed directory").path()).collect();
    kept.sort();
    let this = concat!("data/golden/", env!("CARGO_PKG_VERSION"));
    assert!(
        kept.iter().any(|path| path.ends_with(this)),
        "{this} is missing: make it with make-golden before this version is released"
    );
    kept
}

fn audit(args: &[&str]) -> Ended {
    Program::start(MITE, [&["--role", "audit"], args].concat()).wait()
}

/// The ledger is sound and holds all receipts, each of which is valid by itself.
fn expect_sound(golden: &Golden) {
    let key = &golden.facts.server_key;
    let receipts = fs::read_dir(golden.receipts()).expect("receipts are kept");
    let receipts: Vec<_> = receipts.map(|file| file.expect("a listed file").path()).collect();
    let receipts: Vec<_> = receipts.iter().map(|path| text(path)).collect();
    assert!(!receipts.is_empty(), "no receipts are kept");
    for receipt in &receipts {
        let ended = audit(&["receipt", receipt, "--server-key", key]);
        assert!(ended.status.success(), "{ended:?}");
    }
    let data = golden.server();
    let args = ["ledger", "--data", text(&data), "--server-key", key, "--against"];
    let ended = audit(&[&args, &receipts[..]].concat());
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn what_a_release_has_left_behind_opens_and_goes_on() {
    // Protects everybody's money on the day of an upgrade.
    for release in releases() {
        let golden = Golden::open(&release);
        println!("{}", release.display());
        expect_sound(&golden);
        let server = Server::start(MITE, &golden.server(), &[]);
        let said = server.program.line_with("server key ");
        assert_eq!(said, format!("server key {}", golden.facts.server_key));
        expect_accounts(server.address, &golden.facts);
        golden.move_server(server.address);
        let mut eve = Payee::online(server.address, &key(EVE), "eve");
        for client in &golden.facts.clients {
            expect_client(&golden, client, server.address, &mut eve);
        }
        pay_by_text(server.address, &golden.facts);
        server.stop();
        expect_sound(&golden);
    }
}

/// Whoever can be asked has what they had.
fn expect_accounts(server: SocketAddr, facts: &Facts) {
    for (name, balance) in &facts.open {
        assert_eq!(log_in_by_text(server, name).1, *balance, "{name}");
    }
    for keyed in &facts.keyed {
        let mut client = SecureClient::connect(server, &key(keyed.key));
        let own = client.welcome.account.clone().expect("an account with this key");
        assert_eq!((own.name.as_str(), own.balance.credits()), (&*keyed.name, keyed.balance));
        assert_eq!(history(&mut client).len(), keyed.history, "{}", keyed.name);
        // Whatever is kept, it can be read.
        let open = client.call(Call::ReadOpenOrders);
        assert!(matches!(open, Ok(Answer::OpenOrders(_))), "{}: {open:?}", keyed.name);
    }
}

fn log_in_by_text(server: SocketAddr, name: &str) -> (Connection, u64) {
    let mut connection = Connection::open(server);
    connection.send(format!("{name}#5001\n"));
    let (balance, _) = connection.list();
    (connection, balance)
}

/// A client knows the server, its key, and its payments; those that were open have come to an end. It pays.
fn expect_client(golden: &Golden, facts: &ClientFacts, server: SocketAddr, eve: &mut Payee) {
    let purse = Purse::new(MITE, &golden.clients(), &facts.name);
    let purse = match &facts.passphrase {
        Some(passphrase) => purse.locked(passphrase),
        None => purse,
    };
    let mut client = purse.start(server);
    let said = client.ask("login unlisted");
    assert!(!said.iter().any(|line| line.contains("first contact")), "{said:?}");
    assert_eq!(client.balance(), facts.balance, "{}", facts.name);
    let payments = client.decided_payments().into_iter();
    let payments: Vec<_> = payments.map(|told| (told.amount, is_paid(&told))).collect();
    assert_eq!(payments, facts.payments, "{}", facts.name);
    client.program.type_line("pay eve 3");
    eve.reach(Step::Answered);
    client.program.line_with("paid 3 to eve; receipt ");
    assert_eq!(client.balance(), facts.balance - 3, "{}", facts.name);
    client.kill();
}

fn is_paid(told: &Told) -> bool {
    let paid = told.state.starts_with("paid");
    assert!(paid || told.state.starts_with("refused"), "{told:?}");
    paid
}

/// Everybody without a key who is not frozen pays the last one of them a credit.
fn pay_by_text(server: SocketAddr, facts: &Facts) {
    let (payee, before) = facts.open.last_key_value().expect("somebody has no key");
    let (mut connection, _) = log_in_by_text(server, payee);
    for payer in &facts.frozen {
        connection.ask(&format!("{payer}#1#{payee}\n"), "Transfer failed due to no permission.\n");
    }
    for payer in facts.open.keys().filter(|name| *name != payee) {
        connection.ask(&format!("{payer}#1#{payee}\n"), "100 OK\n");
    }
    assert_eq!(connection.balance(), before + facts.open.len() as u64 - 1);
}
