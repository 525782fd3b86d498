//! Payments of alice's: who is believed, and what is told.

use ed25519_zebra::SigningKey;
use wire::receipt::VerifiedHeaders;
use wire::secure::{Answer, Event, OrderAnswer, OrderProblem, OrderStatus, PayeeAnswer, Problem};
use wire::{
    AccountId, Amount, Authority, Entry, EntryNumber, Receipt, Refusal, SignedOrder, Timestamp,
};

use super::super::OPEN_PAYMENTS_MAX;
use super::world::{
    Bob, DAWN, Fault, GRANT, World, alice, bob, key, name, seal, server_key, ten_for_bob,
};
use super::{alice_online, calls};
use crate::messages::{
    CallError, DeliverError, MemoFate, PayError, PayQuote, PaymentState, QuotePayment, ReadReceipt,
    ServerNews, WalletNews,
};

fn silent() -> Result<Answer, CallError> {
    Err(CallError::Silent(10))
}

/// A receipt for this order by this server, whatever became of it really.
fn forged(server: &SigningKey, order: SignedOrder) -> Box<Receipt> {
    let amount = order.order.amount;
    forged_with(server, order, amount)
}

fn forged_with(server: &SigningKey, order: SignedOrder, amount: Amount) -> Box<Receipt> {
    let (payer, payee) = (AccountId::new(0), AccountId::new(1));
    let authority = Authority::Order(Box::new(order));
    let entry = Entry::Transferred { payer, payee, amount, authority };
    Box::new(seal(server, EntryNumber::new(99), DAWN, entry))
}

#[actix::test]
async fn a_payment_goes_to_the_payee_and_its_receipt_is_kept() {
    let world = World::new();
    let mut client = alice_online(&world).await;
    let payment = client.pay("bob", 10).await.expect("paid");
    assert_eq!(payment.state, PaymentState::Paid);
    assert_eq!((world.balance("alice"), world.balance("bob")), (GRANT - 10, GRANT + 10));
    let delivered = client.delivered.next().await;
    assert_eq!(delivered.payee_key, bob().public_key());
    let memo = delivered.memo.expect("a memo");
    assert_eq!(memo.text, "lunch");
    assert_eq!(delivered.order.order.memo_hash, memo.hash());
    let receipt = client.wallet.send(ReadReceipt(payment.id)).await.expect("the wallet answers");
    let receipt = receipt.expect("it is kept");
    assert_eq!(receipt.order(), Some(&*delivered.order));
    assert_eq!(calls(&world, "SubmitOrders"), 0, "the payee has done it");
    assert_eq!(calls(&world, "KeepOrder"), 0, "it was decided at once");
    assert_eq!(client.payments().await, [(10, PaymentState::Paid)]);
    client.news.nothing();
}

#[actix::test]
async fn what_cannot_be_paid_is_not_signed() {
    let world = World::new();
    let client = alice_online(&world).await;
    let (balance, amount) = (Amount::new(GRANT), Amount::new(GRANT + 1));
    for (payee, credits, expected) in [
        ("alice", 10, PayError::PayingOneself),
        ("bob", 0, PayError::NothingToPay),
        ("bob", GRANT + 1, PayError::InsufficientBalance { balance, amount }),
        ("ghost", 10, PayError::UnknownPayee(name("ghost"))),
    ] {
        assert_eq!(client.pay(payee, credits).await, Err(expected));
    }
    let memo = Some("m".repeat(wire::order::MEMO_BYTES_MAX + 1));
    let quote = QuotePayment { payee: name("bob"), amount: Amount::new(1), memo };
    let refused = client.wallet.send(quote).await.expect("the wallet answers");
    assert_eq!(refused, Err(PayError::MemoTooLong));
    assert!(client.payments().await.is_empty());
    assert!(world.lock().submitted.is_empty());
}

/// A quote is a message like any other: what it says of amount and key is checked again.
#[actix::test]
async fn a_made_up_quote_is_checked_like_a_wish() {
    let world = World::new();
    let client = alice_online(&world).await;
    assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
    let good = client.quote("bob", 10).await.expect("a quote");
    for change in 0..4 {
        let mut quote = good.clone();
        let key = key(0xEE);
        let found = wire::signature::public_key(&key);
        let expected = match change {
            0 => {
                quote.amount = Amount::ZERO;
                PayError::NothingToPay
            }
            1 => {
                quote.payee.name = name("alice");
                PayError::PayingOneself
            }
            2 => {
                quote.payee.key = Some(found);
                let (payee, known) = (name("bob"), bob().public_key());
                PayError::PayeeKeyChanged { payee, known, found }
            }
            _ => {
                quote.payee.key = None;
                PayError::PayeeKeyGone { payee: name("bob"), known: bob().public_key() }
            }
        };
        let refused = client.wallet.send(PayQuote(quote)).await.expect("the wallet answers");
        assert_eq!(refused, Err(expected));
    }
    assert_eq!(world.balance("alice"), GRANT - 10);
}

/// Whatever bob or the way to him does, alice pays once and knows it.
#[actix::test]
async fn the_payer_submits_what_the_payee_does_not() {
    let other = forged(&key(0xEE), order_of("bob", 7));
    for bob in [
        Bob::Away,
        Bob::Says(Err(DeliverError::Full)),
        Bob::Says(Err(DeliverError::Silent("gone".to_owned()))),
        Bob::Says(Ok(PayeeAnswer::Declined("no".to_owned()))),
        Bob::Says(Ok(PayeeAnswer::Unknown)),
        Bob::Says(Ok(PayeeAnswer::Decided(other.clone()))),
        Bob::SubmitsAndSays(Ok(PayeeAnswer::Unknown)),
        Bob::SubmitsAndSays(Ok(PayeeAnswer::Declined("I have nothing".to_owned()))),
        Bob::SubmitsAndSays(Ok(PayeeAnswer::Decided(other.clone()))),
        Bob::SubmitsAndSays(Err(DeliverError::Silent("gone".to_owned()))),
    ] {
        let world = World::new();
        let mut client = alice_online(&world).await;
        world.lock().bob = bob.clone();
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Paid, "{bob:?}");
        assert_eq!(world.balance("alice"), GRANT - 10, "{bob:?}");
        assert_eq!(calls(&world, "SubmitOrders"), 1, "{bob:?}");
        client.news.nothing();
    }
}

/// The server is never told a memo: only a payee who was reached has it.
#[actix::test]
async fn a_memo_that_did_not_reach_the_payee_is_not_passed_over() {
    let found = wire::signature::public_key(&key(0xEE));
    for (bob, fate) in [
        (Bob::Honest, MemoFate::Unremarkable),
        (Bob::Says(Ok(PayeeAnswer::Unknown)), MemoFate::Unremarkable),
        (Bob::Says(Err(DeliverError::Silent("gone".to_owned()))), MemoFate::Unanswered),
        (Bob::Away, MemoFate::Lost),
        (Bob::Says(Err(DeliverError::Full)), MemoFate::Lost),
        (Bob::Says(Err(DeliverError::WrongKey { found })), MemoFate::Lost),
    ] {
        let world = World::new();
        let client = alice_online(&world).await;
        world.lock().bob = bob.clone();
        let payment = client.pay("bob", 10).await.expect("paid");
        assert_eq!((payment.state, payment.memo_fate), (PaymentState::Paid, fate), "{bob:?}");
        let quote = QuotePayment { payee: name("bob"), amount: Amount::new(1), memo: None };
        let quote = client.wallet.send(quote).await.expect("the wallet answers").expect("a quote");
        let payment = client.wallet.send(PayQuote(quote)).await.expect("answers").expect("paid");
        assert_eq!(payment.memo_fate, MemoFate::Unremarkable, "there is none: {bob:?}");
    }
}

#[actix::test]
async fn somebody_else_at_the_payees_address_is_a_loud_warning() {
    let world = World::new();
    let mut client = alice_online(&world).await;
    let found = wire::signature::public_key(&key(0xEE));
    world.lock().bob = Bob::Says(Err(DeliverError::WrongKey { found }));
    assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
    let (payee, expected) = (name("bob"), bob().public_key());
    assert_eq!(client.news.next().await, WalletNews::PeerKeyMismatch { payee, expected, found });
}

#[actix::test]
async fn an_open_payee_is_paid_through_the_server() {
    let world = World::new();
    let mut client = alice_online(&world).await;
    let quote = client.quote("olga", 10).await.expect("a quote");
    assert_eq!(quote.trust, crate::messages::Trust::NoKey);
    assert_eq!(client.pay("olga", 10).await.expect("paid").state, PaymentState::Paid);
    assert_eq!(world.balance("olga"), GRANT + 10);
    client.delivered.nothing();
    let fate = client.pay("olga", 1).await.expect("paid").memo_fate;
    assert_eq!(fate, MemoFate::Lost, "nobody is told what it is for");
}

#[actix::test]
async fn a_refusal_is_told_with_its_proof() {
    let world = World::new();
    let client = alice_online(&world).await;
    let first = client.quote("bob", GRANT).await.expect("a quote");
    let second = client.quote("bob", GRANT).await.expect("a quote");
    let paid = client.wallet.send(PayQuote(first)).await.expect("the wallet answers");
    assert_eq!(paid.expect("paid").state, PaymentState::Paid);
    let refused = client.wallet.send(PayQuote(second)).await.expect("the wallet answers");
    let refused = refused.expect("decided");
    assert_eq!(refused.state, PaymentState::Refused(Refusal::InsufficientBalance));
    let receipt = client.wallet.send(ReadReceipt(refused.id)).await.expect("the wallet answers");
    assert!(receipt.is_some_and(|receipt| receipt.order().is_some()));
}

/// An order that alice never made.
fn order_of(payee: &str, amount: u64) -> SignedOrder {
    let order = wire::Order {
        payee: name(payee),
        amount: Amount::new(amount),
        ..ten_for_bob(Timestamp::new(DAWN + 1000))
    };
    order.sign(alice().key())
}

/// A lying server: receipts of other orders, other servers' receipts. Nothing is "paid" by them.
#[actix::test]
async fn a_false_receipt_of_the_server_pays_nothing() {
    tokio::time::pause();
    for lie in [forged(&key(0xEE), order_of("bob", 10)), forged(&server_key(), order_of("bob", 10))]
    {
        let world = World::new();
        let mut client = alice_online(&world).await;
        {
            let mut server = world.lock();
            server.bob = Bob::Away;
            let decided = OrderAnswer::Decided { replayed: false, receipt: lie.clone() };
            let answer = Ok(Answer::Orders(vec![decided]));
            server.faults.push(("SubmitOrders", Fault::Says(answer)));
            let now = Timestamp::new(DAWN);
            for _ in 0..9 {
                let statuses = vec![OrderStatus::Decided(lie.clone())];
                let answer = Ok(Answer::Statuses { statuses, now });
                server.faults.push(("OrderStatus", Fault::Says(answer)));
            }
        }
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Open);
        assert!(matches!(client.news.next().await, WalletNews::Checking { .. }));
        world.lock().faults.clear();
        // The server is honest again.
        match client.news.next().await {
            WalletNews::Decided(payment) => assert_eq!(payment.state, PaymentState::Paid),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.balance("alice"), GRANT - 10);
    }
}

/// A payee with a receipt that is right but for one thing. It must be exactly this order's.
#[test]
fn only_the_own_orders_receipt_is_a_proof() {
    use super::super::payment::judge;
    let order = order_of("bob", 10);
    let own = order.clone().verify().expect("alice has signed it");
    let mut headers = VerifiedHeaders::default();
    assert!(judge(&forged(&server_key(), order.clone()), &own, &mut headers).is_ok());
    let mut resigned = order.clone();
    resigned.order.amount = Amount::new(11);
    let resigned = resigned.order.sign(alice().key());
    for (story, receipt) in [
        ("another server", forged(&key(0xEE), order.clone())),
        ("another amount", forged(&server_key(), resigned)),
        ("another payee", forged(&server_key(), order_of("olga", 10))),
        ("less moved", forged_with(&server_key(), order.clone(), Amount::new(9))),
    ] {
        assert!(judge(&receipt, &own, &mut headers).is_err(), "{story}");
    }
    // A refusal is no payment, though it is a proof.
    let refusal = Refusal::InsufficientBalance;
    let refused =
        Entry::OrderRefused { payer: AccountId::new(0), order: Box::new(order.clone()), refusal };
    let receipt = seal(&server_key(), EntryNumber::new(1), DAWN, refused);
    let verdict = judge(&receipt, &own, &mut headers).expect("a proof").0;
    assert_eq!(verdict, wire::Verdict::Refused(refusal));
}

/// The server's answer is lost, after it has or has not done it. The wallet says "checking", asks by the
/// order's id before anything else, and never makes another order.
#[actix::test]
async fn a_time_out_is_checked_by_id() {
    tokio::time::pause();
    let lost = || Err(CallError::Lost("reset".to_owned()));
    for fault in [
        Fault::Says(silent()),
        Fault::DoesAndSays(silent()),
        Fault::Says(lost()),
        Fault::DoesAndSays(lost()),
        Fault::Says(Ok(Answer::LoggedOut)),
        Fault::DoesAndSays(Ok(Answer::Orders(Vec::new()))),
    ] {
        let world = World::new();
        let mut client = alice_online(&world).await;
        world.lock().bob = Bob::Away;
        world.lock().faults.push(("SubmitOrders", fault.clone()));
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, PaymentState::Paid, "{fault:?}");
        assert!(matches!(client.news.next().await, WalletNews::Checking { .. }));
        assert_eq!(world.balance("alice"), GRANT - 10);
        let orders = &world.lock().submitted;
        assert!(orders.iter().all(|order| *order == orders[0]), "{fault:?}");
    }
}

/// What the server says to an order that it does not take.
#[actix::test]
async fn problems_end_a_payment_or_are_waited_for() {
    tokio::time::pause();
    for (problem, expected) in [
        (OrderProblem::Conflict, PaymentState::Dead(OrderProblem::Conflict)),
        (OrderProblem::Expired, PaymentState::Dead(OrderProblem::Expired)),
        (OrderProblem::PayerKeyMismatch, PaymentState::Dead(OrderProblem::PayerKeyMismatch)),
        (OrderProblem::Busy, PaymentState::Paid),
        (OrderProblem::Stopping, PaymentState::Paid),
        (OrderProblem::NotAfterTooFar, PaymentState::Paid),
        (OrderProblem::NotParty, PaymentState::Paid),
    ] {
        let world = World::new();
        let client = alice_online(&world).await;
        world.lock().bob = Bob::Away;
        let answer = Ok(Answer::Orders(vec![OrderAnswer::NotTaken(problem)]));
        world.lock().faults.push(("SubmitOrders", Fault::Says(answer)));
        let payment = client.pay("bob", 10).await.expect("a payment");
        assert_eq!(payment.state, expected, "{problem}");
        assert_eq!(client.payments().await, [(10, expected)]);
    }
    let world = World::new();
    let client = alice_online(&world).await;
    world.lock().bob = Bob::Away;
    let busy = Fault::Says(Err(CallError::Problem(Problem::Busy)));
    world.lock().faults.push(("SubmitOrders", busy));
    assert_eq!(client.pay("bob", 10).await.expect("paid").state, PaymentState::Paid);
}

#[actix::test]
async fn open_payments_are_bounded() {
    let world = World::new();
    world.lock().bob = Bob::SubmitsAndHangs;
    let client = alice_online(&world).await;
    let quote = client.quote("bob", 1).await.expect("a quote");
    for _ in 0..OPEN_PAYMENTS_MAX {
        client.wallet.do_send(PayQuote(quote.clone()));
    }
    let refused = client.wallet.send(PayQuote(quote)).await.expect("the wallet answers");
    assert_eq!(refused, Err(PayError::TooManyOpen));
}

/// What is told as "paid" must be known after a crash, too: first the receipt is written down.
#[actix::test]
async fn nothing_is_paid_before_the_receipt_is_kept() {
    tokio::time::pause();
    let world = World::new();
    let mut client = alice_online(&world).await;
    world.lock().bob = Bob::SubmitsAndHangs;
    let quote = client.quote("bob", 10).await.expect("a quote");
    let wallet = client.wallet.clone();
    let paying = actix::spawn(async move { wallet.send(PayQuote(quote)).await });
    let order = client.delivered.next().await.order.order.id;
    world.lock().disk_full = true;
    world.tell(ServerNews::Event(Event::OrderDecided { order, number: EntryNumber::new(3) }));
    assert!(matches!(client.news.next().await, WalletNews::Checking { .. }));
    assert_eq!(client.payments().await, [(10, PaymentState::Open)]);
    world.lock().disk_full = false;
    let paid = paying.await.expect("no panic").expect("the wallet answers").expect("a payment");
    assert_eq!(paid.state, PaymentState::Paid);
    let receipt = client.wallet.send(ReadReceipt(order)).await.expect("the wallet answers");
    assert!(receipt.is_some());
}

/// A store that fails: nothing is sent that is not written down.
#[actix::test]
async fn nothing_leaves_before_it_is_written() {
    let world = World::new();
    let mut client = alice_online(&world).await;
    let quote = client.quote("bob", 10).await.expect("a quote");
    world.lock().fuse = Some(0);
    let refused = client.wallet.send(PayQuote(quote)).await.expect("the wallet answers");
    assert!(matches!(refused, Err(PayError::Store(_))), "{refused:?}");
    client.delivered.nothing();
    assert!(world.lock().submitted.is_empty());
}
