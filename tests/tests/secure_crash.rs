//! Payers that are killed at every step of a payment, and payees who stop at every step: the money
//! moves exactly once or not at all, and the payer says which. `docs/SECURITY.md` promises it.

use std::thread;

use rustix::process::Signal;
use tempfile::TempDir;
use tests::payee::{Payee, Reached, STEPS, Step};
use tests::process::Server;
use tests::purse::{Purse, Session, Witness};
use tests::secure::key;
use wire::SignedOrder;
use wire::secure::OrderAnswer;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;

/// A server, alice's client as a process of its own, and bob, who is played.
struct Stage {
    _dir: TempDir,
    server: Server,
    purse: Purse,
    bob: Payee,
}

impl Stage {
    fn set() -> (Self, Session) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &dir.path().join("data"), &[]);
        let purse = Purse::new(MITE, dir.path(), "alice");
        let bob = Payee::online(server.address, &key(BOB), "bob");
        let mut alice = purse.open(server.address);
        alice.ask("login unlisted");
        (Self { _dir: dir, server, purse, bob }, alice)
    }

    fn witness(&self) -> Witness {
        Witness { server: self.server.address, payer: self.purse.key(), payee: key(BOB) }
    }
}

#[test]
fn a_payer_killed_at_any_step_says_what_became_of_the_payment() {
    // Protects whoever's machine dies in the middle of a payment from paying twice, and from not
    // knowing.
    let (mut stage, mut alice) = Stage::set();
    for (amount, step) in (1..).zip(STEPS) {
        alice.program.type_line(&format!("pay bob {amount}"));
        let reached = stage.bob.reach(step);
        alice.kill();
        if step == Step::Knocked {
            drop(stage.bob.accept());
        }
        alice = stage.purse.start(stage.server.address);
        let said = alice.ask("id").join("\n");
        // Written down before anybody heard of it, it is never forgotten; bob is not needed for it.
        assert!(stage.witness().confirms(amount, &alice.payments()), "{step:?}: {said}");
        if step < Step::Submitted {
            let began = format!("payment of {amount} to bob (");
            let told = |line: &str| {
                line.starts_with(&began) && line.ends_with("): paid while you were away")
            };
            assert!(said.lines().any(told), "{step:?}: {said}");
        }
        if let Some(order) = &reached.order {
            expect_replay(&mut stage.bob, order);
            assert!(stage.witness().confirms(amount, &alice.payments()), "{step:?}");
        }
        alice.ask("login unlisted");
    }
}

#[test]
fn a_payer_whose_payee_hangs_up_at_any_step_pays_by_itself() {
    // Protects payers from payees whose machines die, and from those who want to be paid twice.
    let (mut stage, mut alice) = Stage::set();
    for (amount, step) in (1..).zip(STEPS).skip(1) {
        alice.program.type_line(&format!("pay bob {amount}"));
        let Reached { order, .. } = stage.bob.reach(step);
        let said = alice.program.line_with(&format!("paid {amount} to bob; receipt "));
        assert!(stage.witness().confirms(amount, &alice.payments()), "{step:?}: {said}");
        if let Some(order) = order {
            expect_replay(&mut stage.bob, &order);
        }
        assert_eq!(stage.witness().settled().len() as u64, amount - 1, "{step:?}");
    }
    expect_no_error(alice);
}

#[test]
fn a_script_that_is_stopped_says_which_payment_it_does_not_know_of() {
    // Protects scripts from taking a payment for made, or for not made, that somebody may still
    // settle.
    let (mut stage, mut alice) = Stage::set();
    for (amount, signal) in (1..).zip([Signal::INT, Signal::TERM]) {
        alice.program.type_line(&format!("pay bob {amount}"));
        let _kept = stage.bob.reach(Step::Offered);
        alice.program.signal(signal);
        let ended = alice.program.wait();
        assert_eq!(ended.status.code(), Some(1), "{signal:?}: {ended:?}");
        let error = format!("error: outcome unknown: payment of {amount} to bob (");
        assert!(ended.stderr.iter().any(|line| line.starts_with(&error)), "{signal:?}: {ended:?}");
        alice = stage.purse.start(stage.server.address);
        alice.ask("login unlisted");
        assert!(stage.witness().confirms(amount, &alice.payments()), "{signal:?}");
    }
}

#[test]
fn a_payer_does_not_wait_for_ever_for_a_silent_payee() {
    // Protects payers from payees who keep the connection and say nothing. After a while it is not
    // known what became of the payment, and that is what is said, not that it failed.
    thread::scope(|scope| {
        for step in [Step::Knocked, Step::Encrypted, Step::Offered] {
            scope.spawn(move || pay_somebody_silent(step));
        }
    });
}

fn pay_somebody_silent(step: Step) {
    let (mut stage, mut alice) = Stage::set();
    alice.program.type_line("pay bob 7");
    let reached = stage.bob.reach(step);
    if step == Step::Offered {
        let said = alice.program.line_with("unknown, checking; do not pay again");
        assert!(said.starts_with("payment of 7 to bob ("), "{said}");
        assert_eq!(stage.witness().settled().len(), 0);
        let said = alice.program.line_with("payment of 7 to bob (");
        assert!(said.ends_with("): paid"), "{said}");
    } else {
        alice.program.line_with("paid 7 to bob; receipt ");
    }
    assert!(stage.witness().confirms(7, &alice.payments()), "{step:?}");
    if let Some(order) = &reached.order {
        expect_replay(&mut stage.bob, order);
        assert!(stage.witness().confirms(7, &alice.payments()), "{step:?}");
    }
    expect_no_error(alice);
}

/// An order that the payee has kept is worth nothing once the payer has seen to it.
#[track_caller]
fn expect_replay(payee: &mut Payee, order: &SignedOrder) {
    let answer = payee.submit(order);
    assert!(matches!(answer, OrderAnswer::Decided { replayed: true, .. }), "{answer:?}");
}

fn expect_no_error(mut alice: Session) {
    alice.program.type_line("exit");
    let ended = alice.program.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.iter().any(|line| line.starts_with("error")), "{ended:?}");
}
