//! The link between a payer and the server is closed after any number of records, and then the
//! payer or the server is killed: the money moves exactly once or not at all, and the payer says
//! which.

use std::net::SocketAddr;

use tempfile::TempDir;
use tests::process::Server;
use tests::purse::{Purse, Session, Witness};
use tests::relay::{Relay, Stopped};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// More records than one payment takes, with everything that it asks the server for.
const RECORDS_MAX: u64 = 40;

/// What becomes of the records that were on their way when somebody was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnTheWay {
    /// They are lost.
    Lost,
    /// They arrive after that, late.
    Late,
}

/// How alice's payments reach bob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bob {
    /// Through the server alone.
    Offline,
    /// Through his client.
    Online,
}

/// A server; alice's client, whose way to it can be closed; and bob.
struct Stage {
    dir: TempDir,
    address: SocketAddr,
    /// `None` while it is dead.
    server: Option<Server>,
    relay: Relay,
    purse: Purse,
    payee: Purse,
    /// Bob's client, if he is online.
    bob: Option<Session>,
}

impl Stage {
    fn set(bob: Bob) -> (Self, Session) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &dir.path().join("data"), &[]);
        let relay = Relay::to(server.address);
        let [purse, payee] = ["alice", "bob"].map(|name| Purse::new(MITE, dir.path(), name));
        let mut session = payee.open(server.address);
        let bob = match bob {
            Bob::Online => {
                session.ask("login 0");
                Some(session)
            }
            Bob::Offline => None,
        };
        let mut alice = purse.open(relay.address);
        alice.ask("login unlisted");
        let (address, server) = (server.address, Some(server));
        (Self { dir, address, server, relay, purse, payee, bob }, alice)
    }

    /// Begins a payment, of whose records on the way to and from the server so many pass.
    fn pay(&self, alice: &mut Session, amount: u64, records: u64) -> Stopped {
        assert!(records < RECORDS_MAX, "a payment without an end");
        self.relay.hold_after(records);
        alice.program.type_line(&format!("pay bob {amount}"));
        let paid = format!("paid {amount} to bob; receipt ");
        self.relay.held_or(|| alice.has_said(&paid))
    }

    fn open_way(&self, on_the_way: OnTheWay) {
        match on_the_way {
            OnTheWay::Lost => self.relay.cut(),
            OnTheWay::Late => self.relay.go_on(),
        }
    }

    fn kill_server(&mut self) {
        self.server.take().expect("it was alive").program.kill();
    }

    fn restart_server(&mut self) {
        let data = self.dir.path().join("data");
        self.server = Some(Server::start_at(MITE, self.address, &data, &[]));
    }

    fn witness(&self) -> Witness {
        let (payer, payee) = (self.purse.key(), self.payee.key());
        Witness { server: self.address, payer, payee }
    }
}

#[test]
fn a_payer_killed_after_any_record_says_what_became_of_the_payment() {
    // Protects whoever's machine dies while the server is spoken to: what was on its way is lost.
    for bob in [Bob::Offline, Bob::Online] {
        kill_payer_after_each_record(bob, OnTheWay::Lost);
    }
}

#[test]
fn a_payer_killed_after_any_record_says_the_same_if_the_rest_arrives_late() {
    // Protects from the order that the network delivers when its payer has begun to ask about it.
    for bob in [Bob::Offline, Bob::Online] {
        kill_payer_after_each_record(bob, OnTheWay::Late);
    }
}

fn kill_payer_after_each_record(bob: Bob, on_the_way: OnTheWay) {
    let (stage, mut alice) = Stage::set(bob);
    let mut paid = Vec::new();
    for records in 0.. {
        let amount = records + 1;
        let stopped = stage.pay(&mut alice, amount, records);
        alice.kill();
        stage.open_way(on_the_way);
        alice = stage.purse.start(stage.relay.address);
        let said = alice.ask("id").join("\n");
        let is_paid = stage.witness().confirms(amount, &alice.payments());
        // What it says at once, nobody has asked for.
        let told = said.contains(&format!("payment of {amount} to bob ("));
        assert!(!told || is_paid && said.contains("): paid while you were away"), "{said}");
        paid.push(is_paid);
        if stopped == Stopped::Done {
            break;
        }
        alice.ask("login unlisted");
    }
    // It was killed before the order was written down, and after that and before it was told.
    assert!(!paid[0] && paid[..paid.len() - 1].contains(&true), "{bob:?} {on_the_way:?} {paid:?}");
}

#[test]
fn a_server_killed_after_any_record_of_the_payer_costs_nobody_anything() {
    // Protects payers from servers that die: what is not known is not called a failure.
    kill_server_after_each_record(Bob::Offline, OnTheWay::Lost);
}

#[test]
fn a_server_killed_while_payer_and_payee_are_at_it_costs_nobody_anything() {
    // The same with a payee who has lost the server too, and words of the dead server that come
    // late.
    kill_server_after_each_record(Bob::Online, OnTheWay::Late);
}

fn kill_server_after_each_record(bob: Bob, on_the_way: OnTheWay) {
    let (mut stage, mut alice) = Stage::set(bob);
    let (mut paid, mut was_unknown) = (Vec::new(), false);
    for records in 0.. {
        let amount = records + 1;
        alice.heard.clear();
        let stopped = stage.pay(&mut alice, amount, records);
        stage.kill_server();
        stage.open_way(on_the_way);
        stage.restart_server();
        alice.rest();
        let errors = alice.errors();
        let is_paid = stage.witness().confirms(amount, &alice.decided_payments());
        let story = format!("{amount}: {:?} {errors:?}", alice.heard);
        let named = format!("payment of {amount} to bob (");
        let checking = said(&alice, &named, "): unknown, checking");
        if is_paid {
            assert!(errors.is_empty(), "{story}");
            let at_once = said(&alice, &format!("paid {amount} to bob; "), "receipt");
            assert!(at_once || checking && said(&alice, &named, "): paid"), "{story}");
        } else {
            assert!(errors.len() == 1 && !checking, "{story}");
        }
        was_unknown |= checking;
        paid.push(is_paid);
        if stopped == Stopped::Done {
            break;
        }
        alice.insist("login unlisted", "logged in as alice");
        if let Some(bob) = &mut stage.bob {
            bob.insist("balance", "balance: ");
        }
    }
    // With a payee who brings the receipt, the server dies before the payer has begun or when it has
    // been told.
    let may_be_told = bob == Bob::Online;
    assert!(!paid[0] && (was_unknown || may_be_told), "{bob:?} {on_the_way:?} {paid:?}");
}

fn said(session: &Session, start: &str, text: &str) -> bool {
    session.heard.iter().any(|line| line.starts_with(start) && line.contains(text))
}
