//! Attacks on signed orders, over real sockets, each by somebody who has the source and an account of
//! their own. `docs/SECURITY.md` says which promise each of them is about.

use std::sync::Barrier;
use std::thread;

use ed25519_zebra::SigningKey;
use tempfile::TempDir;
use tests::forge;
use tests::process::Server;
use tests::random::Random;
use tests::secure::{SecureClient, key};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem, OrderRef, OrderStatus};
use wire::{
    Amount, Memo, Order, OrderId, Refusal, SignedOrder, Timestamp, Username, Verdict, signature,
};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const ALICE: u8 = 1;
const BOB: u8 = 2;
const MALLORY: u8 = 3;

/// A server with three accounts of 1000 credits each.
struct Stage {
    data: TempDir,
    server: Server,
    alice: SecureClient,
    bob: SecureClient,
    mallory: SecureClient,
    random: Random,
}

impl Stage {
    fn set() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &[]);
        let [alice, bob, mallory] = [(ALICE, "alice"), (BOB, "bob"), (MALLORY, "mallory")]
            .map(|(number, name)| SecureClient::registered(server.address, &key(number), name));
        Self { data, server, alice, bob, mallory, random: Random::new(7) }
    }

    /// Alice's order of `amount` for bob, valid for a minute.
    fn order(&mut self, amount: u64) -> Order {
        let not_after = Timestamp::new(self.alice.welcome.now.get() + 60_000);
        self.order_until(amount, not_after)
    }

    fn order_until(&mut self, amount: u64, not_after: Timestamp) -> Order {
        Order {
            version: ORDER_VERSION,
            server: self.alice.stream.peer,
            id: OrderId::new(not_after, self.random_bytes()),
            payer: name("alice"),
            payer_key: signature::public_key(&key(ALICE)),
            payee: name("bob"),
            payee_key: Some(signature::public_key(&key(BOB))),
            amount: Amount::new(amount),
            not_after,
            memo_hash: NO_MEMO,
        }
    }

    fn random_bytes(&mut self) -> [u8; 10] {
        std::array::from_fn(|_| u8::try_from(self.random.below(256)).expect("a byte"))
    }

    /// What alice, bob and mallory have.
    fn balances(&mut self) -> [u64; 3] {
        [&mut self.alice, &mut self.bob, &mut self.mallory].map(balance)
    }
}

fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

fn signed(order: Order) -> SignedOrder {
    order.sign(&key(ALICE))
}

fn balance(client: &mut SecureClient) -> u64 {
    match client.call(Call::ReadBalance) {
        Ok(Answer::Balance { amount, .. }) => amount.credits(),
        other => panic!("a balance, not {other:?}"),
    }
}

fn submit_all(client: &mut SecureClient, orders: Vec<SignedOrder>) -> Vec<OrderAnswer> {
    match client.call(Call::SubmitOrders { orders }) {
        Ok(Answer::Orders(answers)) => answers,
        other => panic!("answers, not {other:?}"),
    }
}

fn submit(client: &mut SecureClient, order: SignedOrder) -> OrderAnswer {
    let mut answers = submit_all(client, vec![order]);
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// What an answer says, once its receipt is checked.
fn verdict(answer: &OrderAnswer, order: &SignedOrder, server: &wire::PublicKey) -> (bool, Verdict) {
    let OrderAnswer::Decided { replayed, receipt } = answer else {
        panic!("a decision, not {answer:?}")
    };
    receipt.verify(server).expect("a receipt that verifies");
    assert_eq!(receipt.order(), Some(order), "the receipt is about another order");
    (*replayed, receipt.verdict().expect("about a payment"))
}

fn not_taken(problem: OrderProblem) -> OrderAnswer {
    OrderAnswer::NotTaken(problem)
}

const SETTLED_NOW: (bool, Verdict) = (false, Verdict::Settled);
const SETTLED_BEFORE: (bool, Verdict) = (true, Verdict::Settled);

/// The system this one comes from let a payee make payments up. Mallory orders in alice's name.
#[test]
fn a_forged_order_moves_nothing() {
    let mut stage = Stage::set();
    let forged = |stage: &mut Stage, payer_key: &SigningKey, signer: &SigningKey| {
        let mut order = stage.order(1000);
        order.payer_key = signature::public_key(payer_key);
        (order.payee, order.payee_key) =
            (name("mallory"), Some(signature::public_key(&key(MALLORY))));
        order.sign(signer)
    };
    // In alice's name, with her key, signed with another one.
    let order = forged(&mut stage, &key(ALICE), &key(MALLORY));
    let answer = submit(&mut stage.mallory, order);
    assert_eq!(answer, not_taken(OrderProblem::InvalidSignature));
    // In alice's name, with mallory's own key, properly signed.
    let order = forged(&mut stage, &key(MALLORY), &key(MALLORY));
    let answer = submit(&mut stage.mallory, order);
    assert_eq!(answer, not_taken(OrderProblem::PayerKeyMismatch));
    // One bit of the signature of an order that is good.
    let good = stage.order(10).sign(&key(ALICE));
    for bit in [0, 255, 256, 511] {
        let mut bytes = good.signature.to_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let bad = SignedOrder { signature: wire::Signature::new(bytes), ..good.clone() };
        let answer = submit(&mut stage.bob, bad);
        assert_eq!(answer, not_taken(OrderProblem::InvalidSignature), "bit {bit}");
    }
    assert_eq!(stage.balances(), [1000, 1000, 1000]);
}

type Change = Box<dyn Fn(&mut Order)>;

/// A payee, or whoever handles an order on its way, changes what it says.
#[test]
fn an_altered_order_moves_nothing() {
    let mut stage = Stage::set();
    let memo = Memo { salt: [1; 16], text: "for the coffee".to_owned() };
    let mut order = stage.order(10);
    order.memo_hash = memo.hash();
    let good = signed(order);
    let other_id = OrderId::new(good.order.not_after, stage.random_bytes());
    let mallorys_key = Some(signature::public_key(&key(MALLORY)));
    let changes: [(&str, Change); 8] = [
        ("amount", Box::new(|order| order.amount = Amount::new(1000))),
        ("payee", Box::new(|order| order.payee = name("mallory"))),
        ("payee's key", Box::new(move |order| order.payee_key = mallorys_key)),
        ("id", Box::new(move |order| order.id = other_id)),
        (
            "memo",
            Box::new(|order| order.memo_hash = Memo { salt: [1; 16], text: "gift".into() }.hash()),
        ),
        ("payer", Box::new(|order| order.payer = name("mallory"))),
        ("server", Box::new(|order| order.server = order.payer_key)),
        (
            "time",
            Box::new(|order| {
                order.not_after = Timestamp::new(order.not_after.get() + 1000);
                let random = *order.id.as_bytes().last_chunk().expect("16 bytes");
                order.id = OrderId::new(order.not_after, random);
            }),
        ),
    ];
    for (what, change) in changes {
        let mut altered = good.clone();
        change(&mut altered.order);
        assert_ne!(altered.order, good.order, "{what}");
        for client in [&mut stage.bob, &mut stage.mallory] {
            let answer = submit(client, altered.clone());
            assert_eq!(answer, not_taken(OrderProblem::InvalidSignature), "{what}");
        }
    }
    assert_eq!(stage.balances(), [1000, 1000, 1000]);
    // It was the changes: as it is, it is settled.
    let server = stage.alice.stream.peer;
    let answer = submit(&mut stage.bob, good.clone());
    assert_eq!(verdict(&answer, &good, &server), SETTLED_NOW);
    assert_eq!(stage.balances(), [990, 1010, 1000]);
}

/// Mallory has got hold of an order that is not hers, and wants to see it happen, or at least to know.
#[test]
fn a_third_party_neither_submits_an_order_nor_learns_of_it() {
    let mut stage = Stage::set();
    let order = signed(stage.order(10));
    let answer = submit(&mut stage.mallory, order.clone());
    assert_eq!(answer, not_taken(OrderProblem::NotParty));
    assert_eq!(stage.balances(), [1000, 1000, 1000]);
    let server = stage.alice.stream.peer;
    let answer = submit(&mut stage.alice, order.clone());
    assert_eq!(verdict(&answer, &order, &server), SETTLED_NOW);
    let answer = submit(&mut stage.mallory, order.clone());
    assert_eq!(answer, not_taken(OrderProblem::NotParty));

    let OrderAnswer::Decided { receipt, .. } = submit(&mut stage.bob, order.clone()) else {
        panic!("bob is the payee")
    };
    let number = receipt.verify(&server).expect("a receipt").number;
    let status = |client: &mut SecureClient| {
        let orders = vec![OrderRef { payer: name("alice"), id: order.order.id }];
        match client.call(Call::OrderStatus { orders }) {
            Ok(Answer::Statuses { mut statuses, .. }) => statuses.remove(0),
            other => panic!("a status, not {other:?}"),
        }
    };
    assert!(matches!(status(&mut stage.alice), OrderStatus::Decided(_)));
    assert!(matches!(status(&mut stage.bob), OrderStatus::Decided(_)));
    assert_eq!(status(&mut stage.mallory), OrderStatus::Unknown);
    let receipts = stage.mallory.call(Call::ReadReceipts { entries: vec![number] });
    assert_eq!(receipts, Ok(Answer::Receipts(vec![None])));
    let history = stage.mallory.call(Call::ReadHistory { before: None, limit: 100 });
    let Ok(Answer::History { items, more: false }) = history else { panic!("{history:?}") };
    assert_eq!(items.len(), 1, "the opening alone: {items:?}");
}

/// An order is submitted again: by either side, on any connection, after a crash, at another server.
#[test]
fn a_replay_moves_nothing_a_second_time() {
    let mut stage = Stage::set();
    let order = signed(stage.order(10));
    let server = stage.alice.stream.peer;
    let answer = submit(&mut stage.bob, order.clone());
    assert_eq!(verdict(&answer, &order, &server), SETTLED_NOW);
    let OrderAnswer::Decided { receipt: first, .. } = answer else { unreachable!("verified") };
    for client in [&mut stage.bob, &mut stage.alice] {
        // Alone, and several times in one call.
        for answer in submit_all(client, vec![order.clone(); 3]) {
            assert_eq!(verdict(&answer, &order, &server), SETTLED_BEFORE);
            let OrderAnswer::Decided { receipt, .. } = answer else { unreachable!("verified") };
            assert_eq!(receipt, first, "the first outcome again");
        }
    }
    let mut again = SecureClient::connect(stage.server.address, &key(BOB));
    assert_eq!(verdict(&submit(&mut again, order.clone()), &order, &server), SETTLED_BEFORE);

    let address = stage.server.address;
    stage.server.program.kill();
    stage.server = Server::start_at(MITE, address, stage.data.path(), &[]);
    [stage.alice, stage.bob, stage.mallory] =
        [ALICE, BOB, MALLORY].map(|number| SecureClient::connect(address, &key(number)));
    let answer = submit(&mut stage.bob, order.clone());
    assert_eq!(verdict(&answer, &order, &server), SETTLED_BEFORE);
    assert_eq!(stage.balances(), [990, 1010, 1000]);

    let mut other = Stage::set();
    let answer = submit(&mut other.bob, order);
    assert_eq!(answer, not_taken(OrderProblem::WrongServer));
    assert_eq!(other.balances(), [1000, 1000, 1000]);
}

/// Alice spends the same credits many times at once, over several connections.
#[test]
fn credits_are_spent_once_however_many_orders_ask_at_once() {
    let mut stage = Stage::set();
    let server = stage.alice.stream.peer;
    let address = stage.server.address;
    let orders: Vec<Vec<SignedOrder>> =
        (0..4).map(|_| (0..10).map(|_| signed(stage.order(300))).collect()).collect();
    let start = Barrier::new(orders.len());
    let settled: usize = thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = orders
            .iter()
            .enumerate()
            .map(|(index, orders)| {
                scope.spawn(move || {
                    let who = if index % 2 == 0 { ALICE } else { BOB };
                    let mut client = SecureClient::connect(address, &key(who));
                    start.wait();
                    let answers = submit_all(&mut client, orders.clone());
                    let verdicts = answers.iter().zip(orders).map(|(answer, order)| {
                        let (replayed, verdict) = verdict(answer, order, &server);
                        assert!(!replayed);
                        let refused = Verdict::Refused(Refusal::InsufficientBalance);
                        assert!(matches!(verdict, Verdict::Settled) || verdict == refused);
                        verdict == Verdict::Settled
                    });
                    verdicts.filter(|settled| *settled).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(settled, 3);
    assert_eq!(stage.balances(), [100, 1900, 1000]);
    // What was refused stays refused, even with the money there.
    let refused: Vec<_> = orders.into_iter().flatten().collect();
    let mut back = stage.order(900);
    (back.payer, back.payer_key) = (name("bob"), signature::public_key(&key(BOB)));
    (back.payee, back.payee_key) = (name("alice"), Some(signature::public_key(&key(ALICE))));
    let back = back.sign(&key(BOB));
    assert_eq!(verdict(&submit(&mut stage.bob, back.clone()), &back, &server), SETTLED_NOW);
    for order in refused {
        let (replayed, _) = verdict(&submit(&mut stage.bob, order.clone()), &order, &server);
        assert!(replayed);
    }
    assert_eq!(stage.balances(), [1000, 1000, 1000]);
}

/// Alice gives one id to two orders, so that two payees both believe that it is theirs.
#[test]
fn an_id_names_one_order_for_ever() {
    let mut stage = Stage::set();
    let server = stage.alice.stream.peer;
    let first = signed(stage.order(10));
    assert_eq!(verdict(&submit(&mut stage.bob, first.clone()), &first, &server), SETTLED_NOW);
    let mut second = first.order.clone();
    second.amount = Amount::new(20);
    let second = signed(second);
    assert_eq!(submit(&mut stage.bob, second.clone()), not_taken(OrderProblem::Conflict));
    assert_eq!(submit(&mut stage.alice, second), not_taken(OrderProblem::Conflict));
    // With another time the id would come back to life once its first order is forgotten.
    let mut later = first.order.clone();
    later.not_after = Timestamp::new(later.not_after.get() + 1000);
    assert_eq!(submit(&mut stage.alice, signed(later)), not_taken(OrderProblem::IdMismatch));
    // Two at once: one of them wins.
    let left = stage.order(1);
    let right = Order { amount: Amount::new(2), ..left.clone() };
    let answers = submit_all(&mut stage.alice, vec![signed(left.clone()), signed(right)]);
    assert_eq!(verdict(&answers[0], &signed(left), &server), SETTLED_NOW);
    assert_eq!(answers[1], not_taken(OrderProblem::Conflict));
    assert_eq!(stage.balances(), [989, 1011, 1000]);
}

/// Bob keeps an order until it has expired, or alice makes one that never would. The server's clock
/// alone decides.
#[test]
fn an_order_is_taken_within_its_time_only() {
    let mut stage = Stage::set();
    let server = stage.alice.stream.peer;
    let now = stage.alice.welcome.now.get();
    let past = signed(stage.order_until(10, Timestamp::new(now - 1)));
    assert_eq!(submit(&mut stage.bob, past), not_taken(OrderProblem::Expired));
    let day = 24 * 60 * 60 * 1000;
    let far = signed(stage.order_until(10, Timestamp::new(now + day + 60_000)));
    assert_eq!(submit(&mut stage.bob, far), not_taken(OrderProblem::NotAfterTooFar));
    let never = signed(stage.order_until(10, Timestamp::new((1 << 48) - 1)));
    assert_eq!(submit(&mut stage.bob, never), not_taken(OrderProblem::NotAfterTooFar));
    assert_eq!(stage.balances(), [1000, 1000, 1000]);

    // One that was settled in time keeps its outcome when its time is over, and is never settled again.
    let short = signed(stage.order_until(10, Timestamp::new(now + 3_000)));
    let answer = submit(&mut stage.bob, short.clone());
    let late = not_taken(OrderProblem::Expired);
    assert_ne!(answer, late, "this machine takes more than three seconds for one call");
    assert_eq!(verdict(&answer, &short, &server), SETTLED_NOW);
    wait_until(&mut stage.bob, short.order.not_after);
    // Something else makes the ledger forget what has expired.
    let other = signed(stage.order(1));
    assert_eq!(verdict(&submit(&mut stage.bob, other.clone()), &other, &server), SETTLED_NOW);
    assert_eq!(verdict(&submit(&mut stage.bob, short.clone()), &short, &server), SETTLED_BEFORE);
    let mut reused = short.order.clone();
    reused.amount = Amount::new(500);
    assert_eq!(submit(&mut stage.bob, signed(reused)), not_taken(OrderProblem::Conflict));
    assert_eq!(stage.balances(), [989, 1011, 1000]);
}

/// Waits until the server's clock says that this moment is over.
fn wait_until(client: &mut SecureClient, moment: Timestamp) {
    loop {
        match client.call(Call::ReadBalance) {
            Ok(Answer::Balance { now, .. }) if now > moment => return,
            Ok(Answer::Balance { .. }) => thread::sleep(std::time::Duration::from_millis(20)),
            other => panic!("a balance, not {other:?}"),
        }
    }
}

/// A signature with a part of small order is valid by one rule of Ed25519 and not by another. If the
/// server checked batches by one and single orders by the other, or an auditor by a third, they
/// would disagree about who paid.
#[test]
fn torsion_tainted_signatures_have_one_verdict_alone_and_in_company() {
    let mut stage = Stage::set();
    let server = stage.alice.stream.peer;
    let tainted = |order: Order| {
        let signature = forge::torsion_tainted(&key(ALICE), &order);
        SignedOrder { order, signature }
    };
    let alone = tainted(stage.order(1));
    assert_eq!(verdict(&submit(&mut stage.bob, alone.clone()), &alone, &server), SETTLED_NOW);
    let mut company: Vec<_> = (0..5).map(|_| signed(stage.order(1))).collect();
    company.insert(2, tainted(stage.order(1)));
    // With a bad one among them, all are looked at one by one.
    let bad = SignedOrder { signature: company[0].signature, order: stage.order(1) };
    for orders in [company.clone(), [company.clone(), vec![bad.clone()]].concat()] {
        for (answer, order) in submit_all(&mut stage.bob, orders.clone()).iter().zip(&orders) {
            if *order == bad {
                assert_eq!(*answer, not_taken(OrderProblem::InvalidSignature));
            } else {
                assert_eq!(verdict(answer, order, &server).1, Verdict::Settled);
            }
        }
    }
    // The same signature in another form: S plus the order of the group.
    let order = stage.order(1);
    let signature = forge::not_canonical(&key(ALICE), &order);
    let answer = submit(&mut stage.bob, SignedOrder { order, signature });
    assert_eq!(answer, not_taken(OrderProblem::InvalidSignature));
    assert_eq!(stage.balances(), [993, 1007, 1000]);
}
