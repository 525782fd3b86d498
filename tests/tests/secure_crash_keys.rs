//! A payer who puts a new key in the place of its own while a payment is open, and is killed at any
//! moment of that: what the old key has signed is settled before the change or never, and the payer
//! says which.

use tempfile::TempDir;
use tests::payee::{Payee, Reached, Step};
use tests::process::Server;
use tests::purse::{Purse, Session, Witness};
use tests::relay::{Relay, Stopped};
use tests::secure::key;
use tests::terminal::Terminal;
use wire::SignedOrder;
use wire::secure::{OrderAnswer, OrderProblem};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;
const CTRL_C: &str = "\u{3}";

/// More records than a key change takes.
const RECORDS_MAX: u64 = 40;

/// A server, alice, and bob, who is played.
struct Stage {
    _dir: TempDir,
    server: Server,
    relay: Relay,
    purse: Purse,
    bob: Payee,
}

impl Stage {
    fn set() -> (Self, Session) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &dir.path().join("data"), &[]);
        let relay = Relay::to(server.address);
        let purse = Purse::new(MITE, dir.path(), "alice");
        let alice = purse.open(relay.address);
        let bob = Payee::online(server.address, &key(BOB), "bob");
        (Self { _dir: dir, server, relay, purse, bob }, alice)
    }

    /// Sits alice down at a terminal.
    fn sit_down(&self) -> Terminal {
        let mut alice = self.purse.sit_down(self.relay.address);
        alice.type_at("alice>", "login unlisted");
        alice
    }

    /// Begins a payment, of which bob keeps the order, and has alice do something else meanwhile.
    fn leave_open(&mut self, alice: &mut Terminal, amount: u64) -> Reached {
        alice.type_at("alice>", &format!("pay bob {amount}"));
        alice.type_at(&format!("pay {amount} to bob? [y/N]"), "y");
        let reached = self.bob.reach(Step::Offered);
        alice.press(CTRL_C);
        alice.expect_text("error: stopped waiting for the answer");
        reached
    }

    fn witness(&self) -> Witness {
        Witness { server: self.server.address, payer: self.purse.key(), payee: key(BOB) }
    }

    /// Bob submits the order that he has kept, whose time is over.
    fn expect_dead(&mut self, order: &SignedOrder) {
        let answer = self.bob.submit(order);
        assert_eq!(answer, OrderAnswer::NotTaken(OrderProblem::PayerKeyMismatch));
    }
}

fn change_key(alice: &mut Terminal) {
    alice.type_at("alice>", "rotate-key");
    alice.type_at("make a new key? [y/N]", "y");
    alice.type_at("have you written the 24 words down? [y/N]", "y");
}

#[test]
fn a_new_key_ends_the_payment_that_is_open_and_offers_to_make_it_anew() {
    // Protects payers from paying twice: by the old order, which somebody keeps, and by the new
    // one.
    let (mut stage, alice) = Stage::set();
    alice.kill();
    let mut alice = stage.sit_down();
    let kept = stage.leave_open(&mut alice, 7);
    change_key(&mut alice);
    alice.expect_text("These payments were signed by the old key and are refused for good:");
    alice.expect("the payment", |rows, _| {
        let is_listed = |row: &String| row.contains("  7  to bob  refused for good: ");
        rows.iter().any(is_listed)
    });
    stage.expect_dead(kept.order.as_ref().expect("he has it"));
    assert!(stage.witness().settled().is_empty());

    alice.type_at("make them anew now, one by one? [y/N]", "y");
    alice.type_at("pay 7 to bob? [y/N]", "y");
    let reached = stage.bob.reach(Step::Answered);
    alice.expect_text("paid 7 to bob; receipt ");
    stage.expect_dead(kept.order.as_ref().expect("he has it"));
    let settled = stage.witness().settled();
    assert_eq!(settled[&7], reached.order.expect("he has it").order.id);
}

#[test]
fn a_payer_killed_after_any_record_of_a_key_change_says_what_became_of_its_payment() {
    // Protects whoever's machine dies when an open payment and a key change meet: which of them
    // came first, the server decides, and the client that is started again finds out.
    let (mut stage, alice) = Stage::set();
    alice.kill();
    let mut paid = Vec::new();
    for records in 0.. {
        assert!(records < RECORDS_MAX, "a key change without an end");
        let amount = records + 1;
        let mut alice = stage.sit_down();
        let reached = stage.leave_open(&mut alice, amount);
        stage.relay.hold_after(records);
        change_key(&mut alice);
        let stopped = stage.relay.held_or(|| alice.shows("your key is now "));
        // Killed.
        drop(alice);
        stage.relay.cut();
        let kept = reached.order.expect("he has it");
        let mut alice = stage.purse.start(stage.relay.address);
        let said = alice.ask("id").join("\n");
        let is_paid = stage.witness().confirms(amount, &alice.payments());
        let named = format!("payment of {amount} to bob (");
        if is_paid {
            assert!(
                said.contains(&named) && said.contains("): paid while you were away"),
                "{said}"
            );
            let answer = stage.bob.submit(&kept);
            assert!(matches!(answer, OrderAnswer::Decided { replayed: true, .. }), "{answer:?}");
        } else {
            let told = alice.payments().into_iter().find(|payment| payment.amount == amount);
            let told = told.expect("it is not forgotten");
            assert!(told.state.starts_with("refused for good"), "{told:?} {said}");
            stage.expect_dead(&kept);
        }
        let _ = stage.witness().settled();
        paid.push(is_paid);
        if stopped == Stopped::Done {
            break;
        }
        alice.kill();
    }
    // The change did not reach the server, and it did.
    assert!(paid[0] && !paid[paid.len() - 1], "{paid:?}");
}
