//! bob's wallet: orders that are handed over, and what the server says was paid.

use std::sync::Arc;
use std::time::Duration;

use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem, PayeeAnswer, Problem};
use wire::text::TextPayment;
use wire::{Amount, Order, OrderId, Refusal, SignedOrder, Timestamp};

use super::super::OFFERS_MAX;
use super::super::store::{RedbStore, WalletStore as _};
use super::world::{Client, DAWN, Fault, GRANT, World, alice, bob, key, name, server_key};
use super::{calls, store};
use crate::messages::{
    CallError, ComeOnline, Offer, OfferAnswer, OfferOrder, OfferUnanswered, Proof, QuotePayment,
    ReadReceipt, ServerNews, Trust, WalletNews,
};

pub(super) async fn bob_online(world: &World, store: &Arc<RedbStore>) -> Client {
    let client = world.client(bob(), None, store);
    client.start().await.expect("the server is there");
    client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("logged in");
    client
}

pub(super) fn order(amount: u64, random: u8) -> SignedOrder {
    let not_after = Timestamp::new(DAWN + 60_000);
    let order = Order {
        version: ORDER_VERSION,
        server: wire::signature::public_key(&server_key()),
        id: OrderId::new(not_after, [random; 10]),
        payer: name("alice"),
        payer_key: alice().public_key(),
        payee: name("bob"),
        payee_key: Some(bob().public_key()),
        amount: Amount::new(amount),
        not_after,
        memo_hash: NO_MEMO,
    };
    order.sign(alice().key())
}

fn offer(order: &SignedOrder) -> OfferOrder {
    OfferOrder { from: order.order.payer_key, order: Box::new(order.clone()), memo: None }
}

pub(super) fn received(amount: u64, order: Option<OrderId>) -> WalletNews {
    news_of(amount, order, Proof::Kept)
}

pub(super) fn news_of(amount: u64, order: Option<OrderId>, proof: Proof) -> WalletNews {
    let (payer, amount) = (name("alice"), Amount::new(amount));
    WalletNews::Received { payer, amount, memo: None, order, proof }
}

pub(super) fn not_received(news: &WalletNews) -> bool {
    matches!(news, WalletNews::NotReceived { .. })
}

pub(super) async fn take(client: &Client, order: &SignedOrder) -> PayeeAnswer {
    let answer = client.wallet.send(offer(order)).await.expect("the wallet answers");
    answer.expect("there is room")
}

#[actix::test]
async fn an_order_is_settled_and_its_receipt_handed_back() {
    let (world, store) = (World::new(), store());
    let mut client = bob_online(&world, &store).await;
    let order = order(10, 1);
    let PayeeAnswer::Decided(receipt) = take(&client, &order).await else { panic!("decided") };
    assert_eq!(receipt.order(), Some(&order));
    assert_eq!(client.news.next().await, received(10, Some(order.order.id)));
    assert_eq!(world.balance("bob"), GRANT + 10);
    let kept = client.wallet.send(ReadReceipt(order.order.id)).await.expect("the wallet answers");
    assert_eq!(kept.as_ref(), Some(&*receipt));
    // alice's name and key are known now that the ledger has shown that they belong together.
    let quote = QuotePayment { payee: name("alice"), amount: Amount::new(1), memo: None };
    let quote = client.wallet.send(quote).await.expect("the wallet answers").expect("a quote");
    assert_eq!(quote.trust, Trust::Known);
    // The same again is the same receipt, and no news, also after a restart.
    assert_eq!(take(&client, &order).await, PayeeAnswer::Decided(receipt.clone()));
    client.news.nothing();
    let mut client = bob_online(&world, &store).await;
    assert_eq!(take(&client, &order).await, PayeeAnswer::Decided(receipt));
    client.news.nothing();
    assert_eq!(world.balance("bob"), GRANT + 10);
}

#[actix::test]
async fn a_refusal_is_handed_back_and_teaches_nobodys_key() {
    let (world, store) = (World::new(), store());
    let mut client = bob_online(&world, &store).await;
    let answer = take(&client, &order(GRANT + 1, 1)).await;
    let PayeeAnswer::Decided(receipt) = answer else { panic!("decided") };
    let refused = wire::Verdict::Refused(Refusal::InsufficientBalance);
    assert_eq!(receipt.verdict(), Some(refused));
    assert!(not_received(&client.news.next().await));
    let server = wire::signature::public_key(&server_key());
    assert_eq!(store.peer(&server, &name("alice")), Ok(None));
}

#[actix::test]
async fn what_is_wrong_never_reaches_the_server() {
    let (world, store) = (World::new(), store());
    let mut client = bob_online(&world, &store).await;
    let mut third = offer(&order(10, 1));
    third.from = wire::signature::public_key(&key(0xEE));
    let mut altered = offer(&order(10, 1));
    altered.order.order.amount = Amount::new(500);
    for offer in [third, altered] {
        let answer = client.wallet.send(offer).await.expect("the wallet answers");
        assert!(matches!(answer, Ok(PayeeAnswer::Declined(_))), "{answer:?}");
    }
    assert!(world.lock().submitted.is_empty());
    client.news.nothing();
}

/// What the server says, and what the payer is told. The person is told nothing: nobody has shown
/// that the payer has anything to do with it.
#[actix::test]
async fn the_payer_is_told_no_more_than_is_known() {
    tokio::time::pause();
    let problem = Problem::Busy;
    let not_taken = vec![OrderAnswer::NotTaken(OrderProblem::PayerKeyMismatch)];
    for (says, expected) in [
        (
            Ok(Answer::Orders(not_taken)),
            PayeeAnswer::Declined(OrderProblem::PayerKeyMismatch.to_string()),
        ),
        (Err(CallError::Problem(problem)), PayeeAnswer::Declined(problem.to_string())),
        (Err(CallError::Full), PayeeAnswer::Declined(CallError::Full.to_string())),
        (Err(CallError::Silent(10)), PayeeAnswer::Unknown),
        (Err(CallError::Lost("reset".to_owned())), PayeeAnswer::Unknown),
        (Ok(Answer::Orders(Vec::new())), PayeeAnswer::Unknown),
    ] {
        let world = World::new();
        let mut client = bob_online(&world, &store()).await;
        world.lock().faults.push(("SubmitOrders", Fault::Says(says.clone())));
        assert_eq!(take(&client, &order(10, 1)).await, expected, "{says:?}");
        // The wallet may still be looking for what became of it.
        tokio::time::sleep(Duration::from_secs(150)).await;
        client.news.nothing();
        assert_eq!(world.balance("bob"), GRANT);
    }
}

/// The answer is lost after the money has moved: the person hears of it all the same.
#[actix::test]
async fn a_lost_answer_is_looked_for() {
    tokio::time::pause();
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let silent = Fault::DoesAndSays(Err(CallError::Silent(10)));
    world.lock().faults.push(("SubmitOrders", silent));
    let order = order(10, 1);
    assert_eq!(take(&client, &order).await, PayeeAnswer::Unknown);
    client.news.nothing();
    assert_eq!(client.news.next().await, received(10, Some(order.order.id)));
}

#[actix::test]
async fn a_false_receipt_is_no_payment() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let (wanted, other) = (order(10, 1), order(9, 2));
    let PayeeAnswer::Decided(receipt) = take(&client, &other).await else { panic!("decided") };
    assert_eq!(client.news.next().await, received(9, Some(other.order.id)));
    let answer = Answer::Orders(vec![OrderAnswer::Decided { replayed: false, receipt }]);
    world.lock().faults.push(("SubmitOrders", Fault::Says(Ok(answer))));
    assert_eq!(take(&client, &wanted).await, PayeeAnswer::Unknown);
    client.news.nothing();
}

#[actix::test]
async fn an_order_that_is_offered_twice_at_once_is_submitted_once() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let order = order(10, 1);
    let both = [client.wallet.send(offer(&order)), client.wallet.send(offer(&order))];
    let answers = futures_util::future::join_all(both).await;
    for answer in answers {
        assert!(matches!(answer, Ok(Ok(PayeeAnswer::Decided(_)))));
    }
    assert_eq!(world.lock().submitted.len(), 1);
    assert_eq!(client.news.next().await, received(10, Some(order.order.id)));
    client.news.nothing();
}

/// Whoever comes at the same moment as a forger must not pay for it, nor be paid less.
#[actix::test]
async fn orders_that_come_together_are_taken_together_but_for_the_forged() {
    let world = World::new();
    let client = bob_online(&world, &store()).await;
    let mut orders: Vec<_> = (1..=5).map(|random| order(1, random)).collect();
    orders[2].order.amount = Amount::new(500);
    let offers = orders.iter().map(|order| client.wallet.send(offer(order)));
    let answers = futures_util::future::join_all(offers).await;
    for (order, answer) in orders.iter().zip(answers) {
        match answer.expect("the wallet answers").expect("there is room") {
            PayeeAnswer::Decided(receipt) => assert_eq!(receipt.order(), Some(order)),
            PayeeAnswer::Declined(_) => assert_eq!(order.order.amount, Amount::new(500)),
            PayeeAnswer::Unknown => panic!("the server has answered"),
        }
    }
    assert_eq!(calls(&world, "SubmitOrders"), 1);
    assert_eq!(world.balance("bob"), GRANT + 4);
}

#[actix::test]
async fn offers_are_bounded() {
    let world = World::new();
    let client = bob_online(&world, &store()).await;
    let offers = (0..=OFFERS_MAX).map(|random| {
        let random = u8::try_from(random).expect("few");
        client.wallet.send(offer(&order(1, random)))
    });
    let answers = futures_util::future::join_all(offers).await;
    let turned_away = answers.into_iter().filter(|answer| *answer == Ok(Err(OfferUnanswered)));
    assert_eq!(turned_away.count(), 1);
    // There is room again.
    assert!(matches!(take(&client, &order(1, 99)).await, PayeeAnswer::Decided(_)));
}

/// A receipt that the disk did not take is none to point at.
#[actix::test]
async fn a_receipt_that_is_not_kept_is_not_told_as_one() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    world.lock().disk_full = true;
    let order = order(10, 1);
    assert!(matches!(take(&client, &order).await, PayeeAnswer::Decided(_)));
    assert_eq!(client.news.next().await, news_of(10, Some(order.order.id), Proof::NotKept));
}

/// Whoever signs with a key that is not alice's cannot write on bob's screen in her name.
#[actix::test]
async fn an_order_by_a_strangers_key_is_no_news() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    let stranger = key(0xEE);
    let mut forged = order(999, 1).order;
    forged.payer_key = wire::signature::public_key(&stranger);
    for payer in ["alice", "nobody"] {
        forged.payer = name(payer);
        let answer = take(&client, &forged.clone().sign(&stranger)).await;
        assert!(matches!(answer, PayeeAnswer::Declined(_)), "{answer:?}");
    }
    assert_eq!(world.lock().submitted.len(), 2);
    client.news.nothing();
}

#[actix::test]
async fn a_text_payment_is_taken_for_me_alone() {
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    for (payment, expected) in [
        ("olga#10#bob", OfferAnswer::Settled),
        ("olga#10#alice", OfferAnswer::Refused(String::new())),
        ("alice#10#bob", OfferAnswer::Refused(String::new())),
        ("olga#99999#bob", OfferAnswer::Refused(String::new())),
    ] {
        let offer = Offer(TextPayment::parse(payment).expect("a payment"));
        let answer = client.wallet.send(offer).await.expect("the wallet answers");
        let same = std::mem::discriminant(&answer) == std::mem::discriminant(&expected);
        assert!(same, "{payment}: {answer:?}");
    }
    let (payer, amount) = (name("olga"), Amount::new(10));
    let news = WalletNews::Received { payer, amount, memo: None, order: None, proof: Proof::Word };
    assert_eq!(client.news.next().await, news);
    // Anybody can have written what was refused.
    client.news.nothing();
    let asked = |call: &&Call| matches!(call, Call::SubmitText { .. });
    assert_eq!(world.lock().calls.iter().filter(asked).count(), 3);

    let silent = Fault::Says(Err(CallError::Silent(10)));
    world.lock().faults.push(("SubmitText", silent));
    let offer = Offer(TextPayment::parse("olga#10#bob").expect("a payment"));
    assert_eq!(client.wallet.send(offer).await, Ok(OfferAnswer::Unknown));
    client.news.nothing();
}

/// Without a server nothing is submitted, and the payer may know it.
#[actix::test]
async fn who_has_no_server_declines() {
    tokio::time::pause();
    let world = World::new();
    let mut client = bob_online(&world, &store()).await;
    world.lock().unreachable = true;
    world.tell(ServerNews::Lost("reset".to_owned()));
    assert!(matches!(client.news.next().await, WalletNews::ServerLost(_)));
    assert!(matches!(take(&client, &order(10, 1)).await, PayeeAnswer::Declined(_)));
    client.news.nothing();
    world.lock().unreachable = false;
    // Who is online comes back without being asked.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(client.news.next().await, WalletNews::ServerBack);
    assert!(matches!(take(&client, &order(10, 1)).await, PayeeAnswer::Decided(_)));
}
