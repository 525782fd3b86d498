//! Payers that are killed at every step of a payment, and payees who stop at every step: the money moves
//! exactly once or not at all, and the payer says which. `docs/SECURITY.md` promises it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;
use tests::process::{PATIENCE, Server};
use tests::purse::{Purse, Session, Witness};
use tests::secure::{SecureClient, SecureStream, key};
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Hello, OrderAnswer, PayeeAnswer, PayeeFrame, PayerFrame, Problem, frame,
};
use wire::{P2pPort, SignedOrder};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;

/// How far a payment has come at the payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The payer has connected and nobody has noticed.
    Knocked,
    /// The connection is taken; nothing is said.
    Accepted,
    /// Both keys are shown.
    Encrypted,
    /// Both have said hello; the order is not read.
    Greeted,
    /// The payee has the order and keeps it.
    Offered,
    /// The order is settled, which the payee does not say.
    Submitted,
    /// Half of the receipt is on its way.
    HalfAnswered,
    /// The receipt is on its way.
    Answered,
}

const STEPS: [Step; 8] = [
    Step::Knocked,
    Step::Accepted,
    Step::Encrypted,
    Step::Greeted,
    Step::Offered,
    Step::Submitted,
    Step::HalfAnswered,
    Step::Answered,
];

/// What the payee has in hand.
#[derive(Default)]
struct Reached {
    tcp: Option<TcpStream>,
    link: Option<SecureStream>,
    order: Option<SignedOrder>,
}

/// A payee who goes as far as he is told and no further.
struct Bob {
    listener: TcpListener,
    client: SecureClient,
}

impl Bob {
    fn online(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let mut client = SecureClient::registered(server.address, &key(BOB), "bob");
        let port = Some(P2pPort::try_from(port).expect("a port"));
        client.call(Call::LogIn { port }).expect("a log-in");
        Self { listener, client }
    }

    /// Takes part in the payment that has just been begun, up to this step.
    fn reach(&mut self, step: Step) -> Reached {
        let mut reached = Reached::default();
        self.wait_for_knock();
        if step == Step::Knocked {
            return reached;
        }
        let tcp = self.accept();
        if step == Step::Accepted {
            reached.tcp = Some(tcp);
            return reached;
        }
        let link = SecureStream::accept(tcp, &key(BOB)).expect("a handshake");
        let link = reached.link.insert(link);
        if step == Step::Encrypted {
            return reached;
        }
        let hello: Hello = link.receive().expect("a hello");
        hello.check(magic::PAYER).expect("a payer's");
        link.send(&Ok::<_, Problem>(Hello::new(magic::PAYEE))).expect("the payer reads");
        if step == Step::Greeted {
            return reached;
        }
        let PayerFrame::Offer { order, .. } = link.receive().expect("an order");
        let order = reached.order.insert(*order);
        if step == Step::Offered {
            return reached;
        }
        let (_, answer) = submit(&mut self.client, order);
        let mut bytes = Vec::new();
        frame::encode(&PayeeFrame::Answer { id: order.order.id, answer }, &mut bytes);
        let sent = match step {
            Step::HalfAnswered => bytes.len() / 2,
            Step::Answered => bytes.len(),
            _ => 0,
        };
        link.send_bytes(&bytes[..sent]).expect("the payer reads");
        reached
    }

    fn accept(&self) -> TcpStream {
        self.wait_for_knock();
        self.listener.accept().expect("somebody is there").0
    }

    /// Waits until somebody has connected, and takes no notice.
    fn wait_for_knock(&self) {
        let patience = Timespec::try_from(PATIENCE).expect("some seconds");
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        let ready = poll(&mut polled, Some(&patience)).expect("a listener can be polled");
        assert_eq!(ready, 1, "nobody connects");
    }
}

/// Has an order decided. Returns whether it was before, and what there is to answer the payer.
fn submit(client: &mut SecureClient, order: &SignedOrder) -> (bool, PayeeAnswer) {
    match client.call(Call::SubmitOrders { orders: vec![order.clone()] }) {
        Ok(Answer::Orders(mut answers)) => match answers.remove(0) {
            OrderAnswer::Decided { replayed, receipt } => (replayed, PayeeAnswer::Decided(receipt)),
            other => panic!("a decision, not {other:?}"),
        },
        other => panic!("answers, not {other:?}"),
    }
}

/// A server, alice's client as a process of its own, and bob, who is played.
struct Stage {
    _dir: TempDir,
    server: Server,
    purse: Purse,
    bob: Bob,
}

impl Stage {
    fn set() -> (Self, Session) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &dir.path().join("data"), &[]);
        let purse = Purse::new(MITE, dir.path(), "alice");
        let bob = Bob::online(&server);
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
    // Protects whoever's machine dies in the middle of a payment from paying twice, and from not knowing.
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
        // What bob has kept in his pocket is worth nothing any more.
        if let Some(order) = &reached.order {
            let (replayed, _) = submit(&mut stage.bob.client, order);
            assert!(replayed, "{step:?}");
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
            let (replayed, _) = submit(&mut stage.bob.client, &order);
            assert!(replayed, "{step:?}");
        }
        assert_eq!(stage.witness().settled().len() as u64, amount - 1, "{step:?}");
    }
    expect_no_error(alice);
}

#[test]
fn a_payer_does_not_wait_for_ever_for_a_silent_payee() {
    // Protects payers from payees who keep the connection and say nothing. After a while it is not known
    // what became of the payment, and that is what is said, not that it failed.
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
        assert!(submit(&mut stage.bob.client, order).0, "{step:?}");
        assert!(stage.witness().confirms(7, &alice.payments()), "{step:?}");
    }
    expect_no_error(alice);
}

fn expect_no_error(mut alice: Session) {
    alice.program.type_line("exit");
    let ended = alice.program.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.iter().any(|line| line.starts_with("error")), "{ended:?}");
}
