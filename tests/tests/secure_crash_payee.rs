//! Payees whose link to the server is closed after any number of records, and who are killed then,
//! alone or together with the payer: the money moves exactly once, and both say so.

use tempfile::TempDir;
use tests::process::Server;
use tests::purse::{Purse, Session, Witness};
use tests::relay::{Relay, Stopped};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// More records than a payee takes for one payment.
const RECORDS_MAX: u64 = 20;

/// A server; alice's client; and bob's, whose way to the server can be closed.
struct Stage {
    _dir: TempDir,
    server: Server,
    relay: Relay,
    payer: Purse,
    payee: Purse,
}

impl Stage {
    fn set() -> (Self, Session, Session) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &dir.path().join("data"), &[]);
        let relay = Relay::to(server.address);
        let [payer, payee] = ["alice", "bob"].map(|name| Purse::new(MITE, dir.path(), name));
        let mut alice = payer.open(server.address);
        alice.ask("login unlisted");
        let mut bob = payee.open(relay.address);
        bob.ask("login 0");
        (Self { _dir: dir, server, relay, payer, payee }, alice, bob)
    }

    /// Begins a payment, of whose records between bob and the server so many pass.
    fn pay(&self, alice: &mut Session, bob: &mut Session, amount: u64, records: u64) -> Stopped {
        assert!(records < RECORDS_MAX, "a payment without an end");
        for session in [&mut *alice, &mut *bob] {
            session.heard.clear();
        }
        self.relay.hold_after(records);
        alice.program.type_line(&format!("pay bob {amount}"));
        let received = format!("received {amount} from alice; receipt ");
        self.relay.held_or(|| alice.has_said(&paid(amount)) && bob.has_said(&received))
    }

    /// Starts bob's client again, who has been paid this once, and knows it.
    fn restart_bob(&self, amount: u64) -> Session {
        let mut bob = self.payee.start(self.relay.address);
        let received = format!("received {amount} from alice");
        let history = bob.ask("history");
        let times = history.iter().filter(|line| {
            line.split_once(&received).is_some_and(|(_, rest)| rest.starts_with(' '))
        });
        assert_eq!(times.count(), 1, "{amount}: {history:?}");
        bob.ask("login 0");
        bob
    }

    fn confirm(&self, amount: u64, alice: &mut Session) {
        let (payer, payee) = (self.payer.key(), self.payee.key());
        let witness = Witness { server: self.server.address, payer, payee };
        assert!(witness.confirms(amount, &alice.payments()), "{amount}: {:?}", alice.heard);
    }
}

fn paid(amount: u64) -> String {
    format!("paid {amount} to bob; receipt ")
}

#[test]
fn a_payee_killed_after_any_record_is_paid_once_and_the_payer_knows() {
    // Protects payers whose payees' machines die with the order in hand, submitted or not.
    for end in [Relay::cut, Relay::go_on] {
        let (stage, mut alice, mut bob) = Stage::set();
        for records in 0.. {
            let amount = records + 1;
            let stopped = stage.pay(&mut alice, &mut bob, amount, records);
            bob.kill();
            end(&stage.relay);
            alice.rest();
            assert!(alice.has_said(&paid(amount)), "{amount}: {:?}", alice.heard);
            stage.confirm(amount, &mut alice);
            bob = stage.restart_bob(amount);
            if stopped == Stopped::Done {
                assert!(records > 0, "bob pays no attention");
                break;
            }
        }
        assert_eq!(alice.errors(), [""; 0]);
    }
}

#[test]
fn payer_and_payee_killed_together_are_of_one_mind_afterwards() {
    // Protects both when the whole street loses its power: nobody is left who could tell the other.
    for end in [Relay::cut, Relay::go_on] {
        let (stage, mut alice, mut bob) = Stage::set();
        for records in 0.. {
            let amount = records + 1;
            let stopped = stage.pay(&mut alice, &mut bob, amount, records);
            bob.kill();
            alice.kill();
            end(&stage.relay);
            alice = stage.payer.start(stage.server.address);
            alice.ask("id");
            stage.confirm(amount, &mut alice);
            bob = stage.restart_bob(amount);
            if stopped == Stopped::Done {
                break;
            }
            alice.ask("login unlisted");
        }
    }
}
