use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, duplex};
use wire::order::MEMO_BYTES_MAX;

use super::super::stage::{PAYEE, PAYER, declined, order, order_with_memo};
use super::*;
use crate::frames::peer::{Peer, framed};
use crate::later::{Later, ReplySlot};
use crate::probe::{PanickingStream, Received, Trouble, no_log, probe, settle, troubled};

/// Not the default: each time-out is told by its length.
const PATIENCE: SecurePeerPatience = SecurePeerPatience {
    connect: Duration::from_secs(1),
    answer: Duration::from_secs(1),
    idle: Duration::from_secs(1),
    hello: Duration::from_secs(5),
    order: Duration::from_secs(90),
    wallet: Duration::from_secs(15),
    write: Duration::from_secs(10),
};

type WalletReply = Result<PayeeAnswer, OfferUnanswered>;

/// A link before any hello.
fn open(wallet: Recipient<OfferOrder>) -> Peer {
    let (payer, stream) = duplex(16 << 10);
    let address = ([127, 0, 0, 1], 7001).into();
    SecurePeerLink::incoming(stream, PAYER, address, wallet, PATIENCE, &no_log()).start();
    Peer::new(payer)
}

/// A link after both hellos, and what the wallet is offered on it.
async fn start(answer: WalletReply) -> (Peer, Received<OfferOrder>) {
    let (wallet, offers) = probe(move |_: &OfferOrder| answer.clone());
    (greeted(wallet).await, offers)
}

async fn greeted(wallet: Recipient<OfferOrder>) -> Peer {
    let mut payer = open(wallet);
    payer.says(&Hello::new(magic::PAYER)).await;
    assert_eq!(payer.hears::<Result<Hello, Problem>>().await, Ok(Hello::new(magic::PAYEE)));
    payer
}

fn offer(number: u8) -> PayerFrame {
    PayerFrame::Offer { order: order(number), memo: None }
}

fn answer(number: u8, answer: PayeeAnswer) -> PayeeFrame {
    PayeeFrame::Answer { id: order(number).order.id, answer }
}

/// A wallet that answers when the test says so.
#[derive(Default)]
struct SlowWallet(Waiting);

type Waiting = Rc<RefCell<Vec<(OrderId, ReplySlot<WalletReply>)>>>;

impl Actor for SlowWallet {
    type Context = Context<Self>;
}

impl Handler<OfferOrder> for SlowWallet {
    type Result = Later<WalletReply>;

    fn handle(&mut self, offer: OfferOrder, _: &mut Self::Context) -> Self::Result {
        let (later, slot) = Later::new();
        self.0.borrow_mut().push((offer.order.order.id, slot));
        later
    }
}

#[actix::test]
async fn only_a_payer_is_greeted() {
    let hello = Hello::new(magic::PAYER);
    for (first, problem) in [
        (framed(&Hello::new(magic::CLIENT)), Problem::WrongRole),
        (framed(&Hello { version_min: 3, version_max: 9, ..hello }), Problem::UnknownVersion),
        (vec![0xFF; 4], Problem::Malformed),
        (framed(&()), Problem::Malformed),
        (b"alice#10#bob".to_vec(), Problem::Malformed),
    ] {
        let (wallet, mut offers) = probe(|_: &OfferOrder| Ok(PayeeAnswer::Unknown));
        let mut payer = open(wallet);
        payer.stream.write_all(&first).await.expect("there is room");
        assert_eq!(payer.hears::<Result<Hello, Problem>>().await, Err(problem), "{first:?}");
        payer.ends().await;
        offers.nothing();
    }
}

#[actix::test]
async fn a_slow_hello_ends_the_link() {
    tokio::time::pause();
    for first in [&[][..], &framed(&Hello::new(magic::PAYER))[..9]] {
        let (wallet, _offers) = probe(|_: &OfferOrder| Ok(PayeeAnswer::Unknown));
        let mut payer = open(wallet);
        payer.stream.write_all(first).await.expect("there is room");
        let begun = Instant::now();
        payer.ends().await;
        assert_eq!(begun.elapsed().as_secs(), 5);
    }
}

#[actix::test]
async fn orders_are_offered_and_answered_in_any_order() {
    let waiting = Waiting::default();
    let mut payer = greeted(SlowWallet(Rc::clone(&waiting)).start().recipient()).await;
    for number in 1..=3 {
        payer.says(&offer(number)).await;
    }
    while waiting.borrow().len() < 3 {
        tokio::task::yield_now().await;
    }
    for number in [3, 1, 2] {
        let id = order(number).order.id;
        let place = waiting.borrow().iter().position(|(waiting, _)| *waiting == id);
        let (_, slot) = waiting.borrow_mut().remove(place.expect("it was offered"));
        slot.send(Ok(declined(&number.to_string())));
        let expected = answer(number, declined(&number.to_string()));
        assert_eq!(payer.hears::<PayeeFrame>().await, expected);
    }
}

#[actix::test]
async fn the_wallet_sees_who_pays_and_what_for() {
    let (mut payer, mut offers) = start(Ok(PayeeAnswer::Unknown)).await;
    let (order, memo) = order_with_memo(1, "for the 🥧, née Kuchen");
    payer.says(&PayerFrame::Offer { order: order.clone(), memo: Some(memo.clone()) }).await;
    let offered = OfferOrder { from: PAYER, order, memo: Some(memo) };
    assert_eq!(offers.next().await, offered);
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
}

#[actix::test]
async fn the_longest_order_and_the_longest_memo_fit() {
    let (mut order, memo) = order_with_memo(1, &"x".repeat(MEMO_BYTES_MAX));
    let longest = "\u{20000}".repeat(32);
    order.order.payer = longest.parse().expect("a name");
    order.order.payee = longest.parse().expect("a name");
    let (mut payer, mut offers) = start(Ok(PayeeAnswer::Unknown)).await;
    payer.says(&PayerFrame::Offer { order, memo: Some(memo) }).await;
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
    assert_eq!(offers.next().await.order.order.payer, longest.parse().expect("a name"));
}

#[actix::test]
async fn what_is_not_the_payers_own_does_not_reach_the_wallet() {
    let mut of_others = order(1);
    of_others.order.payer_key = PAYEE;
    let longest = "x".repeat(MEMO_BYTES_MAX);
    let (fitting, memo) = order_with_memo(1, &longest);
    let (too_long, long_memo) = order_with_memo(1, &format!("{longest}x"));
    let (escaping, escape) = order_with_memo(1, "\u{1b}[2J");
    let (turning, turn) = order_with_memo(1, "100\u{202E}1");
    let (_, other_memo) = order_with_memo(1, "other");
    let does_not_show = "the memo holds characters that do not show as they are";
    let (mut payer, mut offers) = start(Ok(PayeeAnswer::Unknown)).await;
    for (order, memo, why) in [
        (of_others, None, "this link's key is not the payer's"),
        (fitting.clone(), None, "the memo does not fit the order"),
        (fitting.clone(), Some(other_memo.clone()), "the memo does not fit the order"),
        (order(1), Some(other_memo), "the memo does not fit the order"),
        (too_long, Some(long_memo), "the memo is longer than 256 bytes"),
        (escaping, Some(escape), does_not_show),
        (turning, Some(turn), does_not_show),
    ] {
        payer.says(&PayerFrame::Offer { order, memo }).await;
        assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, declined(why)));
    }
    offers.nothing();
    payer.says(&PayerFrame::Offer { order: fitting, memo: Some(memo) }).await;
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
    offers.next().await;
}

#[actix::test]
async fn a_wallet_that_is_busy_gone_or_silent_is_not_a_refusal_of_the_server() {
    tokio::time::pause();
    let (mut payer, _offers) = start(Err(OfferUnanswered)).await;
    payer.says(&offer(1)).await;
    let busy = declined("busy: too many payments are being taken");
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, busy));

    for trouble in Trouble::UNANSWERED {
        let mut payer = greeted(troubled(trouble, None).await).await;
        payer.says(&offer(1)).await;
        assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
    }

    let mut payer = greeted(SlowWallet::default().start().recipient()).await;
    payer.says(&offer(1)).await;
    let begun = Instant::now();
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[actix::test]
async fn a_long_reason_is_cut() {
    let (mut payer, _offers) = start(Ok(declined(&"x".repeat(1 << 20)))).await;
    payer.says(&offer(1)).await;
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, declined(&"x".repeat(512))));
}

#[actix::test]
async fn a_payer_that_floods_is_not_read_from() {
    tokio::time::pause();
    let waiting = Waiting::default();
    let mut payer = greeted(SlowWallet(Rc::clone(&waiting)).start().recipient()).await;
    let flood: Vec<u8> = (0..200).flat_map(|number| framed(&offer(number))).collect();
    let write = payer.stream.write_all(&flood);
    assert!(timeout(Duration::from_secs(1), write).await.is_err(), "it takes no more");
    assert_eq!(waiting.borrow().len(), OFFERS_PER_LINK_MAX);
    let (_, slot) = waiting.borrow_mut().remove(0);
    slot.send(Ok(PayeeAnswer::Unknown));
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(0, PayeeAnswer::Unknown));
    assert_eq!(waiting.borrow().len(), OFFERS_PER_LINK_MAX, "one more");
}

/// Each order is declined without the wallet; the answers are what piles up.
#[actix::test]
async fn a_payer_that_reads_no_answers_ends() {
    tokio::time::pause();
    let (mut payer, mut offers) = start(Ok(PayeeAnswer::Unknown)).await;
    let mut of_others = order(1);
    of_others.order.payer_key = PAYEE;
    let frame = framed(&PayerFrame::Offer { order: of_others, memo: None });
    let begun = Instant::now();
    let mut sent = 0_usize;
    let flood = async {
        while sent < 10_000 && payer.stream.write_all(&frame).await.is_ok() {
            sent += 1;
        }
    };
    timeout(Duration::from_mins(1), flood).await.expect("the link closes");
    assert_eq!(begun.elapsed().as_secs(), 10 + 1, "a second is left for the farewell");
    // What waits in both directions of the stream, and at the link.
    let answer = framed(&answer(1, declined("this link's key is not the payer's"))).len();
    let most = (16 << 10) / frame.len() + ((16 << 10) + ANSWER_BYTES_WAITING_MAX) / answer;
    assert!(sent < most + 32, "{sent} orders were read, {most} are the most");
    offers.nothing();
}

#[actix::test]
async fn a_payer_that_hands_nothing_over_ends() {
    tokio::time::pause();
    let (mut payer, _offers) = start(Ok(PayeeAnswer::Unknown)).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    payer.says(&offer(1)).await;
    assert_eq!(payer.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
    let begun = Instant::now();
    // Bytes that make no whole order keep nothing open.
    let half = framed(&offer(2));
    let (first, second) = half.split_at(100);
    payer.stream.write_all(first).await.expect("the link is open");
    tokio::time::sleep(Duration::from_mins(1)).await;
    payer.stream.write_all(&second[..100]).await.expect("the link is open");
    payer.ends().await;
    assert_eq!(begun.elapsed().as_secs(), 90);
}

#[actix::test]
async fn what_is_not_the_protocol_ends_the_link() {
    tokio::time::pause();
    let too_long = u32::try_from(PAYER_FRAME_BYTES_MAX + 1).expect("it fits").to_le_bytes();
    for bytes in [&too_long[..], &[0; 8], &framed(&Hello::new(magic::PAYER))] {
        let (mut payer, mut offers) = start(Ok(PayeeAnswer::Unknown)).await;
        payer.stream.write_all(bytes).await.expect("the link is open");
        let begun = Instant::now();
        payer.ends().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "at once");
        offers.nothing();
    }
}

/// Nobody else notices.
#[actix::test]
async fn a_panic_ends_its_link_alone() {
    let (mut other, mut offers) = start(Ok(PayeeAnswer::Unknown)).await;
    let (wallet, mut nothing) = probe(|_: &OfferOrder| Ok(PayeeAnswer::Unknown));
    let stream = PanickingStream(framed(&Hello::new(magic::PAYER)));
    let address = ([127, 0, 0, 1], 7001).into();
    SecurePeerLink::incoming(stream, PAYER, address, wallet, PATIENCE, &no_log()).start();
    settle().await;
    nothing.nothing();
    other.says(&offer(1)).await;
    assert_eq!(other.hears::<PayeeFrame>().await, answer(1, PayeeAnswer::Unknown));
    offers.next().await;
}
