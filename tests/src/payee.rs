//! A payee who is played by the test, and takes part in a payment as far as it is told and no
//! further.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use ed25519_zebra::SigningKey;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Hello, OrderAnswer, PayeeAnswer, PayeeFrame, PayerFrame, Problem, frame,
};
use wire::{P2pPort, SignedOrder};

use crate::process::PATIENCE;
use crate::secure::{SecureClient, SecureStream};

/// How far a payment has come at the payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
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

/// Every step, in order.
pub const STEPS: [Step; 8] = [
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
pub struct Reached {
    /// The connection, if it was taken and nothing was said.
    pub tcp: Option<TcpStream>,
    /// The link, from [`Step::Encrypted`] on.
    pub link: Option<SecureStream>,
    /// The order, from [`Step::Offered`] on.
    pub order: Option<SignedOrder>,
}

/// A payee who is online, and its connection to the server.
pub struct Payee {
    listener: TcpListener,
    key: SigningKey,
    client: SecureClient,
}

impl Payee {
    /// Opens an account and comes online.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn online(server: SocketAddr, key: &SigningKey, name: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let mut client = SecureClient::registered(server, key, name);
        let port = Some(P2pPort::try_from(port).expect("a port"));
        client.call(Call::LogIn { port }).expect("a log-in");
        Self { listener, key: *key, client }
    }

    /// Takes part in the payment that has just been begun, up to this step.
    ///
    /// # Panics
    /// If the payer does not come that far.
    pub fn reach(&mut self, step: Step) -> Reached {
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
        let link = SecureStream::accept(tcp, &self.key).expect("a handshake");
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
        let OrderAnswer::Decided { receipt, .. } = submit(&mut self.client, order) else {
            panic!("an order that cannot be settled: {order:?}")
        };
        let answer = PayeeAnswer::Decided(receipt);
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

    /// Submits an order that was kept.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn submit(&mut self, order: &SignedOrder) -> OrderAnswer {
        submit(&mut self.client, order)
    }

    /// Takes the next connection.
    ///
    /// # Panics
    /// If nobody connects within [`PATIENCE`].
    pub fn accept(&self) -> TcpStream {
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

fn submit(client: &mut SecureClient, order: &SignedOrder) -> OrderAnswer {
    match client.call(Call::SubmitOrders { orders: vec![order.clone()] }) {
        Ok(Answer::Orders(mut answers)) if answers.len() == 1 => answers.remove(0),
        other => panic!("an answer, not {other:?}"),
    }
}
