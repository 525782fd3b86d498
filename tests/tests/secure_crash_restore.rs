//! Payers whose machines are lost in the middle of a payment, and who restore their profile from
//! the 24 words on another one: the money moves exactly once or not at all, and the restored client
//! says which.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::payee::{Payee, STEPS, Step};
use tests::process::{PATIENCE, Server};
use tests::purse::{Purse, Session, Witness, told};
use tests::relay::{Relay, Stopped};
use tests::secure::{SecureClient, key};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem, Problem};
use wire::{Amount, Order, OrderId, SignedOrder, Timestamp, signature};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;

/// More records than one payment takes, with everything that the payer asks the server for.
const RECORDS_MAX: u64 = 40;

/// A server, and alice, who has written her words down.
struct Stage {
    machines: Vec<TempDir>,
    server: Server,
    relay: Relay,
    words: String,
    purse: Purse,
}

impl Stage {
    fn set() -> (Self, Session) {
        let machine = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &machine.path().join("data"), &[]);
        let relay = Relay::to(server.address);
        let purse = Purse::new(MITE, machine.path(), "alice");
        let mut alice = purse.open(relay.address);
        let words = alice.words();
        alice.ask("login unlisted");
        (Self { machines: vec![machine], server, relay, words, purse }, alice)
    }

    /// Alice's client dies with its machine. Restores her profile on another one; returns what it
    /// shows.
    fn lose(&mut self, alice: Session) -> Vec<String> {
        alice.kill();
        self.relay.cut();
        let machine = tempfile::tempdir().expect("a temporary directory");
        self.purse = Purse::new(MITE, machine.path(), "alice");
        self.machines.push(machine);
        self.purse.restore(self.relay.address, &self.words)
    }

    fn log_in(&self) -> Session {
        let mut alice = self.purse.start(self.relay.address);
        alice.ask("login unlisted");
        alice
    }

    fn witness(&self) -> Witness {
        Witness { server: self.server.address, payer: self.purse.key(), payee: key(BOB) }
    }

    /// Waits until the server keeps an open order of alice's.
    fn wait_until_kept(&self) {
        let mut alice = SecureClient::connect(self.server.address, &self.purse.key());
        let began = Instant::now();
        loop {
            match alice.call(Call::ReadOpenOrders) {
                Ok(Answer::OpenOrders(orders)) if !orders.is_empty() => return,
                Ok(Answer::OpenOrders(_)) => {}
                Err(Problem::BusyFor { wait_ms }) => sleep(Duration::from_millis(wait_ms.into())),
                other => panic!("open orders, not {other:?}"),
            }
            assert!(began.elapsed() < PATIENCE, "the order is not kept");
        }
    }
}

/// Whether the history that is among these lines has a payment of this amount to bob.
fn is_in_history(lines: &[String], amount: u64) -> bool {
    let paid = format!("paid {amount} to bob");
    let after = |line: &str| line.split_once(&paid).map(|(_, rest)| rest.starts_with(' '));
    lines.iter().any(|line| after(line) == Some(true))
}

#[test]
fn a_restored_payer_finds_the_payment_that_its_lost_machine_had_begun() {
    // Protects whoever's machine falls into the sea with an order in it that a payee may have.
    let (mut stage, mut alice) = Stage::set();
    let mut bob = Payee::online(stage.server.address, &key(BOB), "bob");
    for (amount, step) in (1..).zip(STEPS) {
        alice.program.type_line(&format!("pay bob {amount}"));
        let reached = bob.reach(step);
        if step < Step::Submitted {
            stage.wait_until_kept();
        }
        let shown = stage.lose(alice);
        if step == Step::Knocked {
            drop(bob.accept());
        }
        assert!(is_in_history(&shown, amount), "{step:?}: {shown:?}");
        let settled = stage.witness().settled();
        if step < Step::Submitted {
            let named = format!("payment of {amount} to bob (");
            let found = |line: &String| {
                line.starts_with(&named) && line.ends_with("): paid while you were away")
            };
            assert!(shown.iter().any(found), "{step:?}: {shown:?}");
            assert!(stage.witness().confirms(amount, &told(&shown)), "{step:?}: {shown:?}");
        } else {
            assert!(settled.contains_key(&amount), "{step:?}: {settled:?}");
        }
        if let Some(order) = &reached.order {
            let answer = bob.submit(order);
            assert!(matches!(answer, OrderAnswer::Decided { replayed: true, .. }), "{answer:?}");
        }
        assert_eq!(stage.witness().settled(), settled, "{step:?}");
        alice = stage.log_in();
    }
}

#[test]
fn a_restored_payer_says_what_became_of_the_payment_whichever_record_was_the_last() {
    // Protects whoever's machine is lost before the server has heard of the payment, or after.
    let (mut stage, mut alice) = Stage::set();
    SecureClient::registered(stage.server.address, &key(BOB), "bob");
    let mut paid = Vec::new();
    for records in 0.. {
        let amount = records + 1;
        assert!(records < RECORDS_MAX, "a payment without an end");
        stage.relay.hold_after(records);
        alice.program.type_line(&format!("pay bob {amount}"));
        let said = format!("paid {amount} to bob; receipt ");
        let stopped = stage.relay.held_or(|| alice.has_said(&said));
        let shown = stage.lose(alice);
        let is_paid = stage.witness().settled().contains_key(&amount);
        assert_eq!(is_in_history(&shown, amount), is_paid, "{shown:?}");
        let mut open = told(&shown).into_iter().filter(|payment| payment.amount == amount);
        assert!(open.all(|payment| is_paid && payment.state == "paid"), "{shown:?}");
        paid.push(is_paid);
        if stopped == Stopped::Done {
            break;
        }
        alice = stage.log_in();
    }
    // The server had not heard of it, and it had.
    assert!(!paid[0] && paid[..paid.len() - 1].contains(&true), "{paid:?}");
}

#[test]
fn a_new_key_ends_what_a_lost_machine_has_signed() {
    // Protects whoever's machine is stolen together with an order that nobody else has seen.
    let (mut stage, alice) = Stage::set();
    let mut bob = Payee::online(stage.server.address, &key(BOB), "bob");
    let order = order_of_the_lost_machine(&stage);
    stage.lose(alice);
    let mut alice = stage.log_in();
    alice.ask("rotate-key");
    let answer = bob.submit(&order);
    assert_eq!(answer, OrderAnswer::NotTaken(OrderProblem::PayerKeyMismatch));
    assert!(stage.witness().settled().is_empty());
    // The new key pays as the old one did.
    alice.program.type_line("pay bob 8");
    bob.reach(Step::Answered);
    alice.program.line_with("paid 8 to bob; receipt ");
    assert!(stage.witness().confirms(8, &alice.payments()));
}

fn order_of_the_lost_machine(stage: &Stage) -> SignedOrder {
    let payer = stage.purse.key();
    let client = SecureClient::connect(stage.server.address, &payer);
    let not_after = Timestamp::new(client.welcome.now.get() + 60_000);
    let order = Order {
        version: ORDER_VERSION,
        server: client.stream.peer,
        id: OrderId::new(not_after, [7; 10]),
        payer: "alice".parse().expect("a name"),
        payer_key: signature::public_key(&payer),
        payee: "bob".parse().expect("a name"),
        payee_key: Some(signature::public_key(&key(BOB))),
        amount: Amount::new(7),
        not_after,
        memo_hash: NO_MEMO,
    };
    order.sign(&payer)
}
