//! Payers, payee and server that are killed at random moments under several payments at once: each
//! payment is made once or not at all, its payer says which, and no credit appears or vanishes.
//!
//! `MITE_TEST_CRASH_ROUNDS` says how often, `MITE_TEST_SEED` when.

use std::env;
use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tests::process::{Program, Server};
use tests::purse::{Purse, Session, Witness};
use tests::random::Random;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// So much that nobody runs out.
const ARGS: [&str; 2] = ["--opening-balance", "1000000"];
const PAYERS: [&str; 3] = ["alice", "carol", "dave"];
/// Payments that each payer begins in one round. Its client shows twenty.
const PAYMENTS: u64 = 5;
/// About as long as they take.
const MOMENT_MAX_MS: u64 = 150;

fn setting(name: &str, default: u64) -> u64 {
    let value = env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Somebody with a client.
struct Person {
    purse: Purse,
    session: Session,
    log_in: &'static str,
}

impl Person {
    fn move_in(street: &TempDir, server: SocketAddr, name: &str, log_in: &'static str) -> Self {
        let purse = Purse::new(MITE, street.path(), name);
        let session = purse.open(server);
        Self { purse, session, log_in }
    }

    fn restart(&mut self, server: SocketAddr) {
        self.session.program.kill_in_place();
        self.session = self.purse.start(server);
    }

    /// All that was typed is done, and the client is online, as it was before or anew.
    fn come_back(&mut self) {
        self.session.rest();
        self.session.insist(self.log_in, "logged in as");
    }
}

/// Everybody, of whom anybody may die.
struct Street {
    dir: TempDir,
    address: SocketAddr,
    /// `None` while it is dead.
    server: Option<Server>,
    payers: Vec<Person>,
    payee: Person,
    random: Random,
}

impl Street {
    fn set(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &dir.path().join("data"), &ARGS);
        let address = server.address;
        let move_in = |name, log_in| Person::move_in(&dir, address, name, log_in);
        let payers = PAYERS.map(|name| move_in(name, "login unlisted")).into();
        let payee = move_in("bob", "login");
        let server = Some(server);
        Self { address, server, payers, payee, random: Random::new(seed), dir }
    }

    /// Kills some of them and starts them again.
    fn strike(&mut self) {
        let moment = self.random.below(MOMENT_MAX_MS);
        let mut is_struck = |times| self.random.below(times) == 0;
        let (server, payee) = (is_struck(3), is_struck(3));
        let payers = PAYERS.map(|_| is_struck(2));
        thread::sleep(Duration::from_millis(moment));
        if server {
            self.server.take().expect("it was alive").program.kill();
        }
        if payee {
            self.payee.restart(self.address);
        }
        for (payer, is_struck) in self.payers.iter_mut().zip(payers) {
            if is_struck {
                payer.restart(self.address);
            }
        }
        if server {
            let data = self.dir.path().join("data");
            self.server = Some(Server::start_at(MITE, self.address, &data, &ARGS));
        }
    }

    /// How many of these payments were made, all payers' together, as they say, and rightly.
    fn made(&mut self, amounts: Range<u64>) -> usize {
        let mut made = 0;
        for Person { purse, session, .. } in &mut self.payers {
            let told = session.decided_payments();
            let (payer, payee) = (purse.key(), self.payee.purse.key());
            let witness = Witness { server: self.address, payer, payee };
            made += amounts.clone().filter(|amount| witness.confirms(*amount, &told)).count();
        }
        made
    }

    /// The server stops, and somebody who has nothing but its directory decides everything again.
    fn audit(mut self) {
        self.server.take().expect("it is alive").stop();
        let data = self.dir.path().join("data");
        let data = data.to_str().expect("temporary paths are text");
        let ended = Program::start(MITE, ["--role", "audit", "ledger", "--data", data]).wait();
        assert!(ended.status.success(), "{ended:?}");
    }
}

#[test]
fn whoever_is_killed_whenever_each_payment_is_made_at_most_once() {
    // Protects everybody from moments that nobody has thought of.
    let seed = setting("MITE_TEST_SEED", u64::from(std::process::id()));
    println!("MITE_TEST_SEED={seed}");
    let mut street = Street::set(seed);
    let mut made = 0;
    for round in 0..setting("MITE_TEST_CRASH_ROUNDS", 10) {
        street.payee.come_back();
        street.payers.iter_mut().for_each(Person::come_back);
        let first = round * PAYMENTS + 1;
        let amounts = first..first + PAYMENTS;
        for payer in &mut street.payers {
            for amount in amounts.clone() {
                payer.session.program.type_line(&format!("pay bob {amount}"));
            }
        }
        street.strike();
        street.payers.iter_mut().for_each(Person::come_back);
        made += street.made(amounts);
    }
    assert!(made > 0, "nobody pays");
    street.audit();
}
