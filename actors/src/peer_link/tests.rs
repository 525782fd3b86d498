mod neighbours;

use std::cell::RefCell;

use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::probe::{Received, no_log, probe};

const PATIENCE: PeerPatience = PeerPatience {
    quiet: Duration::from_millis(5),
    connect: Duration::from_millis(50),
    payment: Duration::from_millis(50),
    answer: Duration::from_millis(50),
};

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7002))
}

fn payment() -> TextPayment {
    TextPayment::parse("alice#10#bob").expect("a payment")
}

/// A link that `bytes` come in on, and everything that it says to the payer until it ends.
async fn take_from(bytes: &[u8], close: bool, answer: OfferAnswer) -> (Received<Offer>, String) {
    let (wallet, offers) = probe(move |_: &Offer| answer.clone());
    (offers, converse(bytes, close, wallet).await)
}

async fn converse(bytes: &[u8], close: bool, wallet: Recipient<Offer>) -> String {
    let (mut payer, stream) = duplex(1 << 16);
    PeerLink::incoming(stream, peer(), wallet, PATIENCE, &no_log()).start();
    // A link that has heard enough reads no more.
    let _ = payer.write_all(bytes).await;
    if close {
        payer.shutdown().await.expect("a duplex stream closes");
    }
    let mut said = String::new();
    payer.read_to_string(&mut said).await.expect("the link ends");
    said
}

#[actix::test]
async fn a_payment_is_offered_and_its_outcome_told() {
    let refused = |reason: &str| OfferAnswer::Refused(reason.to_owned());
    let unknown_payer = "Transfer failed due to invalid user.";
    for (answer, told) in [
        (OfferAnswer::Settled, "100 OK\n".to_owned()),
        (refused(unknown_payer), format!("{unknown_payer}\n")),
        (refused("closed for lunch"), "Transfer failed: closed for lunch\n".to_owned()),
        (OfferAnswer::Unknown, String::new()),
    ] {
        for (bytes, close) in
            [("alice#10#bob", false), ("alice#10#bob", true), ("hi\nalice#10#bob\n", false)]
        {
            let (mut offers, said) = take_from(bytes.as_bytes(), close, answer.clone()).await;
            assert_eq!(offers.next().await, Offer(payment()));
            offers.nothing();
            assert_eq!(said, told, "{answer:?}");
        }
    }
}

/// In the family, `Exit` sent to a payee's port logs the payee out.
#[actix::test]
async fn what_is_no_payment_does_nothing() {
    for bytes in [
        &b"Exit"[..],
        b"Exit\nREGISTER#x\n",
        b"REGISTER#x",
        b"List\0",
        b"\xff\xfe",
        b"",
        &[b'a'; 5000],
    ] {
        for close in [false, true] {
            let (mut offers, said) = take_from(bytes, close, OfferAnswer::Settled).await;
            offers.nothing();
            assert_eq!(said, "", "{bytes:?}");
        }
    }
}

/// Connects to whatever the test has put there, once.
struct TestConnector(RefCell<Option<io::Result<DuplexStream>>>);

impl Connect for TestConnector {
    type Stream = DuplexStream;

    fn connect(&self, _: SocketAddr) -> impl Future<Output = io::Result<DuplexStream>> + 'static {
        let connection = match &mut *self.0.borrow_mut() {
            Some(Err(error)) => Some(Err(error.kind().into())),
            connection => connection.take(),
        };
        async {
            match connection {
                Some(connection) => connection,
                None => std::future::pending().await,
            }
        }
    }
}

fn dialer(connection: Option<io::Result<DuplexStream>>) -> Addr<Dialer<TestConnector>> {
    Dialer::new(TestConnector(RefCell::new(connection)), PATIENCE, &no_log()).start()
}

async fn hand_over(dialer: &Addr<Dialer<TestConnector>>) -> Result<HandOverAnswer, HandOverError> {
    let hand_over = HandOver { address: peer(), payment: payment() };
    dialer.send(hand_over).await.expect("the dialer answers")
}

#[actix::test]
async fn a_payment_is_handed_over_without_an_end_and_the_answer_heard() {
    let refused = |line: &str| HandOverAnswer::Refused(line.to_owned());
    let insufficient = "Transfer failed due to insufficient balance.";
    for (says, closes, expected) in [
        ("100 OK\n".to_owned(), false, HandOverAnswer::Settled),
        ("100 OK".to_owned(), false, HandOverAnswer::Settled),
        (format!("{insufficient}\n"), true, refused(insufficient)),
        ("Hello, who are you?\n100 OK\n".to_owned(), false, HandOverAnswer::Settled),
        (String::new(), false, HandOverAnswer::Silence),
        (String::new(), true, HandOverAnswer::Silence),
        ("Hello, who are you?\n".to_owned(), true, HandOverAnswer::Silence),
    ] {
        let (mut payee, stream) = duplex(1 << 16);
        let dialer = dialer(Some(Ok(stream)));
        let handing_over = actix::spawn(async move { hand_over(&dialer).await });
        let mut read = vec![0; "alice#10#bob".len()];
        payee.read_exact(&mut read).await.expect("the payment comes");
        assert_eq!(read, b"alice#10#bob");
        payee.write_all(says.as_bytes()).await.expect("the link listens");
        if closes {
            drop(payee);
        }
        assert_eq!(handing_over.await.expect("no panic"), Ok(expected), "{says:?}");
    }
}

#[actix::test]
async fn who_cannot_be_reached_gets_nothing() {
    let unreachable = |reason: &str| Err(HandOverError::Unreachable(reason.to_owned()));
    let refused = dialer(Some(Err(io::ErrorKind::ConnectionRefused.into())));
    assert_eq!(hand_over(&refused).await, unreachable("connection refused"));
    assert_eq!(hand_over(&dialer(None)).await, unreachable("no connection within 0 seconds"));
}

#[actix::test]
async fn as_many_as_may_are_handed_over_at_once() {
    // Nothing but the test ends before the connections time out.
    let patience = PeerPatience { connect: Duration::from_hours(1), ..PATIENCE };
    let connector = TestConnector(RefCell::new(None));
    let dialer = Dialer::new(connector, patience, &no_log()).start();
    let handing_over: Vec<_> = (0..=HANDING_OVER_MAX)
        .map(|_| {
            let dialer = dialer.clone();
            actix::spawn(async move { hand_over(&dialer).await })
        })
        .collect();
    let (first, ..) = futures_util::future::select_all(handing_over).await;
    assert_eq!(first.expect("no panic"), Err(HandOverError::Full));
}

#[actix::test]
async fn what_has_failed_makes_room() {
    let dialer = dialer(Some(Err(io::ErrorKind::ConnectionRefused.into())));
    for _ in 0..=HANDING_OVER_MAX {
        let refused = hand_over(&dialer).await;
        assert!(matches!(refused, Err(HandOverError::Unreachable(_))));
    }
}
