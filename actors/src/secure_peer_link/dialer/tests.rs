use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use wire::SignedOrder;
use wire::secure::hello::magic;
use wire::secure::{Hello, PayeeFrame, Problem};

use super::super::stage::{PAYEE, PAYER, declined, order, order_with_memo};
use super::*;
use crate::frames::peer::{Peer, framed};
use crate::probe::no_log;

/// Not the default: each time-out is told by its length.
const PATIENCE: SecurePeerPatience = SecurePeerPatience {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(20),
    idle: Duration::from_mins(1),
    hello: Duration::from_secs(1),
    order: Duration::from_secs(1),
    wallet: Duration::from_secs(1),
    write: Duration::from_secs(1),
};

/// Connects to what the test has put there, in order; then to nobody.
#[derive(Clone, Default)]
struct Network(Rc<RefCell<Connections>>);

#[derive(Default)]
struct Connections {
    next: VecDeque<Result<DuplexStream, DeliverError>>,
    made: usize,
}

impl Network {
    /// The next connection leads to a payee that the test plays.
    fn add_payee(&self) -> Peer {
        let (payee, stream) = duplex(16 << 10);
        self.0.borrow_mut().next.push_back(Ok(stream));
        Peer::new(payee)
    }

    fn add_failure(&self, error: DeliverError) {
        self.0.borrow_mut().next.push_back(Err(error));
    }

    /// How many connections were asked for.
    fn made(&self) -> usize {
        self.0.borrow().made
    }
}

impl ConnectPeer for Network {
    type Stream = DuplexStream;

    fn connect(
        &self,
        _: SocketAddr,
        _: PublicKey,
    ) -> impl Future<Output = Result<DuplexStream, DeliverError>> + 'static {
        self.0.borrow_mut().made += 1;
        let next = self.0.borrow_mut().next.pop_front();
        async {
            match next {
                Some(connection) => connection,
                None => std::future::pending().await,
            }
        }
    }
}

/// A dialer on a network of its own.
struct Stage {
    network: Network,
    dialer: Addr<SecureDialer<Network>>,
}

type Outcome = Result<PayeeAnswer, DeliverError>;

impl Stage {
    fn new() -> Self {
        let network = Network::default();
        let dialer = SecureDialer::new(network.clone(), PATIENCE, &no_log()).start();
        Self { network, dialer }
    }

    /// Delivers to the payee at this port without waiting.
    fn deliver_to(
        &self,
        port: u16,
        order: Box<SignedOrder>,
    ) -> impl Future<Output = Outcome> + use<> {
        let address = ([127, 0, 0, 1], port).into();
        let deliver = Deliver { address, payee_key: PAYEE, order, memo: None };
        let delivered = actix::spawn(self.dialer.send(deliver));
        async { delivered.await.expect("no panic").expect("the dialer answers") }
    }

    fn deliver(&self, number: u8) -> impl Future<Output = Outcome> + use<> {
        self.deliver_to(7002, order(number))
    }

    /// Delivers an order over a link that is made for it, which is then idle.
    async fn deliver_first(&self, number: u8) -> Peer {
        let mut payee = self.network.add_payee();
        let delivered = self.deliver(number);
        greet(&mut payee).await;
        take(&mut payee, number).await;
        answer(&mut payee, number, PayeeAnswer::Unknown).await;
        assert_eq!(delivered.await, Ok(PayeeAnswer::Unknown));
        payee
    }
}

async fn greet(payee: &mut Peer) {
    assert_eq!(payee.hears::<Hello>().await, Hello::new(magic::PAYER));
    payee.says(&Ok::<_, Problem>(Hello::new(magic::PAYEE))).await;
}

async fn take(payee: &mut Peer, number: u8) {
    let PayerFrame::Offer { order: taken, memo } = payee.hears().await;
    assert_eq!((taken, memo), (order(number), None));
}

async fn answer(payee: &mut Peer, number: u8, answer: PayeeAnswer) {
    payee.says(&PayeeFrame::Answer { id: order(number).order.id, answer }).await;
}

fn unreachable(why: &str) -> Outcome {
    Err(DeliverError::Unreachable(why.to_owned()))
}

fn silent(why: &str) -> Outcome {
    Err(DeliverError::Silent(why.to_owned()))
}

#[actix::test]
async fn orders_share_a_link_and_are_answered_in_any_order() {
    let stage = Stage::new();
    let mut payee = stage.deliver_first(1).await;
    let (second, third) = (stage.deliver(2), stage.deliver(3));
    take(&mut payee, 2).await;
    take(&mut payee, 3).await;
    answer(&mut payee, 3, declined("no\u{1b}")).await;
    assert_eq!(third.await, Ok(declined("no ")), "and what would move the cursor is taken out");
    answer(&mut payee, 2, PayeeAnswer::Unknown).await;
    assert_eq!(second.await, Ok(PayeeAnswer::Unknown));
    assert_eq!(stage.network.made(), 1);
}

#[actix::test]
async fn orders_that_come_while_a_link_is_made_share_it() {
    let stage = Stage::new();
    let mut payee = stage.network.add_payee();
    let delivered = [1, 2].map(|number| stage.deliver(number));
    greet(&mut payee).await;
    for (number, delivered) in (1..).zip(delivered) {
        take(&mut payee, number).await;
        answer(&mut payee, number, PayeeAnswer::Unknown).await;
        assert_eq!(delivered.await, Ok(PayeeAnswer::Unknown));
    }
    assert_eq!(stage.network.made(), 1);
}

#[actix::test]
async fn an_order_that_is_delivered_twice_at_once_is_handed_over_once() {
    let stage = Stage::new();
    let mut payee = stage.deliver_first(1).await;
    let twice = [stage.deliver(2), stage.deliver(2)];
    take(&mut payee, 2).await;
    // The payee would see it again before what comes behind it.
    let _third = stage.deliver(3);
    take(&mut payee, 3).await;
    answer(&mut payee, 2, declined("no")).await;
    for delivered in twice {
        assert_eq!(delivered.await, Ok(declined("no")));
    }
}

#[actix::test]
async fn another_key_or_address_is_another_link() {
    tokio::time::pause();
    let stage = Stage::new();
    let _payee = stage.deliver_first(1).await;
    let elsewhere = actix::spawn(stage.deliver_to(7003, order(2)));
    let address = ([127, 0, 0, 1], 7002).into();
    let deliver = Deliver { address, payee_key: PAYER, order: order(3), memo: None };
    let other_key = stage.dialer.send(deliver);
    // The account's key was changed: what the new one signs needs a link that has shown it.
    let mut after_change = order(4);
    after_change.order.payer_key = PublicKey::new([0xA2; 32]);
    let after_change = actix::spawn(stage.deliver_to(7002, after_change));
    let expected = unreachable("no connection within 5 seconds");
    assert_eq!(other_key.await.expect("the dialer answers"), expected);
    assert_eq!(elsewhere.await.expect("no panic"), expected);
    assert_eq!(after_change.await.expect("no panic"), expected);
    assert_eq!(stage.network.made(), 4);
}

/// A link shows the key that the payer had when it was made.
#[actix::test]
async fn a_payer_with_another_key_uses_no_link_of_its_old_one() {
    let stage = Stage::new();
    let _old = stage.deliver_first(1).await;
    let mut payee = stage.network.add_payee();
    let mut renewed = order(2);
    renewed.order.payer_key = PublicKey::new([0xA2; 32]);
    let delivered = stage.deliver_to(7002, renewed.clone());
    greet(&mut payee).await;
    let PayerFrame::Offer { order: taken, .. } = payee.hears().await;
    assert_eq!(taken, renewed);
    answer(&mut payee, 2, PayeeAnswer::Unknown).await;
    assert_eq!(delivered.await, Ok(PayeeAnswer::Unknown));
    assert_eq!(stage.network.made(), 2);
}

#[actix::test]
async fn who_is_not_the_payee_gets_nothing() {
    let stage = Stage::new();
    let wrong_key = DeliverError::WrongKey { found: PAYER };
    stage.network.add_failure(wrong_key.clone());
    assert_eq!(stage.deliver(1).await, Err(wrong_key));

    let as_payer = Ok(Hello::new(magic::PAYER));
    let role = "no hello: this is not the kind of program that was expected";
    let stopping = "no hello: the server is stopping";
    for (hello, why) in [(as_payer, role), (Err(Problem::Stopping), stopping)] {
        let mut payee = stage.network.add_payee();
        let delivered = stage.deliver(1);
        payee.says(&hello).await;
        assert_eq!(delivered.await, unreachable(why));
        assert_eq!(payee.hears::<Hello>().await, Hello::new(magic::PAYER));
        payee.ends().await;
    }
    assert_eq!(stage.network.made(), 3);
}

#[actix::test]
async fn a_slow_hello_is_given_up_before_anything_is_handed_over() {
    tokio::time::pause();
    let stage = Stage::new();
    let mut payee = stage.network.add_payee();
    let begun = Instant::now();
    assert_eq!(stage.deliver(1).await, unreachable("no connection within 5 seconds"));
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(payee.hears::<Hello>().await, Hello::new(magic::PAYER));
    payee.ends().await;
}

#[actix::test]
async fn an_idle_link_is_closed() {
    tokio::time::pause();
    let stage = Stage::new();
    let payee = stage.deliver_first(1).await;
    let begun = Instant::now();
    payee.ends().await;
    assert_eq!(begun.elapsed().as_secs(), 60);
    stage.deliver_first(2).await;
    assert_eq!(stage.network.made(), 2);
}

#[actix::test]
async fn a_silent_payee_gets_no_more_on_that_link() {
    tokio::time::pause();
    let stage = Stage::new();
    let mut payee = stage.deliver_first(1).await;
    let begun = Instant::now();
    let unanswered = stage.deliver(2);
    take(&mut payee, 2).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let slow = stage.deliver(3);
    take(&mut payee, 3).await;
    assert_eq!(unanswered.await, silent("no answer within 20 seconds"));
    assert_eq!(begun.elapsed().as_secs(), 20);
    // What is under way may still be answered, the silent one in vain; what comes next goes elsewhere.
    answer(&mut payee, 2, declined("late")).await;
    let mut anew = stage.network.add_payee();
    let next = stage.deliver(4);
    greet(&mut anew).await;
    take(&mut anew, 4).await;
    answer(&mut payee, 3, declined("in time")).await;
    assert_eq!(slow.await, Ok(declined("in time")));
    payee.ends().await;
    answer(&mut anew, 4, PayeeAnswer::Unknown).await;
    assert_eq!(next.await, Ok(PayeeAnswer::Unknown));
    assert_eq!(stage.network.made(), 2);
}

#[actix::test]
async fn a_payee_that_answers_what_it_was_not_asked_ends() {
    let stage = Stage::new();
    let mut payee = stage.deliver_first(1).await;
    let delivered = stage.deliver(2);
    take(&mut payee, 2).await;
    answer(&mut payee, 1, PayeeAnswer::Unknown).await;
    assert_eq!(delivered.await, silent("the payee answers what it was not asked"));
    payee.ends().await;
    assert_eq!(stage.network.made(), 1, "an answer like that is not asked for twice");
}

#[actix::test]
async fn a_frame_that_is_too_long_or_malformed_ends_the_link() {
    tokio::time::pause();
    let too_long = u32::try_from(super::super::PAYEE_FRAME_BYTES_MAX + 1).expect("it fits");
    for bytes in [too_long.to_le_bytes().to_vec(), vec![0; 8], framed(&7_u8)] {
        let stage = Stage::new();
        let mut payee = stage.network.add_payee();
        let delivered = stage.deliver(1);
        greet(&mut payee).await;
        take(&mut payee, 1).await;
        payee.stream.write_all(&bytes).await.expect("the link is open");
        let why = delivered.await.expect_err("no answer").to_string();
        assert!(why.starts_with("the payee does not answer: a frame"), "{why}");
        payee.ends().await;
    }
}

#[actix::test]
async fn a_new_link_that_breaks_is_not_made_again() {
    let stage = Stage::new();
    let mut payee = stage.network.add_payee();
    let delivered = stage.deliver(1);
    greet(&mut payee).await;
    take(&mut payee, 1).await;
    drop(payee);
    assert_eq!(delivered.await, silent("the other side closed it"));
    assert_eq!(stage.network.made(), 1);
}

/// The payee has started again: its old connections are dead, and it listens at the same address.
#[actix::test]
async fn a_kept_link_that_is_dead_is_made_again_once() {
    // It is known to be dead.
    let stage = Stage::new();
    drop(stage.deliver_first(1).await);
    stage.deliver_first(2).await;
    assert_eq!(stage.network.made(), 2);

    // It breaks when the order is on its way; the same one again is harmless.
    let stage = Stage::new();
    let mut dead = stage.deliver_first(1).await;
    let mut payee = stage.network.add_payee();
    let delivered = stage.deliver(2);
    take(&mut dead, 2).await;
    drop(dead);
    greet(&mut payee).await;
    take(&mut payee, 2).await;
    answer(&mut payee, 2, PayeeAnswer::Unknown).await;
    assert_eq!(delivered.await, Ok(PayeeAnswer::Unknown));

    // Once.
    let mut last = stage.network.add_payee();
    let delivered = stage.deliver(3);
    take(&mut payee, 3).await;
    drop(payee);
    greet(&mut last).await;
    take(&mut last, 3).await;
    drop(last);
    assert_eq!(delivered.await, silent("the other side closed it"));
    assert_eq!(stage.network.made(), 3);
}

/// What was handed over once is never called "not handed over" because of the second attempt.
#[actix::test]
async fn an_order_that_the_payee_may_have_is_never_unreachable() {
    for failure in [
        DeliverError::Unreachable("connection refused".to_owned()),
        DeliverError::WrongKey { found: PAYER },
    ] {
        let stage = Stage::new();
        let mut dead = stage.deliver_first(1).await;
        stage.network.add_failure(failure.clone());
        let delivered = stage.deliver(2);
        take(&mut dead, 2).await;
        drop(dead);
        assert_eq!(delivered.await, silent(&format!("the other side closed it; then: {failure}")));
    }
}

#[actix::test]
async fn a_memo_that_the_payee_would_not_take_is_not_handed_over() {
    let stage = Stage::new();
    let (order, memo) = order_with_memo(1, &"x".repeat(1 << 21));
    let address = ([127, 0, 0, 1], 7002).into();
    let deliver = Deliver { address, payee_key: PAYEE, order, memo: Some(memo) };
    let delivered = stage.dialer.send(deliver).await.expect("the dialer answers");
    assert_eq!(delivered, unreachable("the memo is longer than 256 bytes"));
    assert_eq!(stage.network.made(), 0);
}

#[actix::test]
async fn as_many_as_may_are_under_way_on_a_link() {
    let stage = Stage::new();
    let mut payee = stage.deliver_first(0).await;
    let most = u8::try_from(OFFERS_UNDER_WAY_MAX).expect("a small number");
    let mut under_way = VecDeque::new();
    for number in 1..=most {
        under_way.push_back(stage.deliver(number));
        take(&mut payee, number).await;
    }
    assert_eq!(stage.deliver(most + 1).await, Err(DeliverError::Full));
    answer(&mut payee, 1, PayeeAnswer::Unknown).await;
    assert_eq!(under_way.pop_front().expect("the first").await, Ok(PayeeAnswer::Unknown));
    let _next = stage.deliver(most + 1);
    take(&mut payee, most + 1).await;
}

#[actix::test]
async fn the_link_that_was_used_longest_ago_makes_room() {
    tokio::time::pause();
    let stage = Stage::new();
    let port = |number: usize| u16::try_from(7000 + number).expect("a port");
    let mut payees = Vec::new();
    for number in 0..LINKS_MAX {
        let mut payee = stage.network.add_payee();
        let delivered = stage.deliver_to(port(number), order(1));
        greet(&mut payee).await;
        take(&mut payee, 1).await;
        payees.push((payee, delivered));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let full = stage.deliver_to(port(LINKS_MAX), order(1)).await;
    assert_eq!(full, Err(DeliverError::Full), "all are in use");
    // The second becomes idle, then the first, which was used before it.
    let mut answered = Vec::new();
    for number in [1, 0] {
        let (mut payee, delivered) = payees.remove(number);
        answer(&mut payee, 1, PayeeAnswer::Unknown).await;
        assert_eq!(delivered.await, Ok(PayeeAnswer::Unknown));
        answered.push(payee);
    }
    let mut payee = stage.network.add_payee();
    let _delivered = stage.deliver_to(port(LINKS_MAX), order(1));
    greet(&mut payee).await;
    answered.pop().expect("the first").ends().await;
    let _used = stage.deliver_to(port(1), order(2));
    take(&mut answered[0], 2).await;
}
