//! Attacks by the server on those who use it: false receipts, a wrong clock, nonsense, and the key
//! of somebody else for a payee. Real clients, and a server in the test that lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use ed25519_zebra::SigningKey;
use tests::forge;
use tests::lying_server::{Books, Lie, LyingServer, framed, settled};
use tests::person::Person;
use tests::process::Program;
use tests::secure::key;
use wire::secure::{
    Answer, Call, Correlation, Event, FRAME_BYTES_MAX, OrderAnswer, OrderStatus, Problem, Request,
    Response, ServerFrame,
};
use wire::{
    AccountId, Amount, Authority, Entry, EntryNumber, Order, OrderId, PublicKey, Receipt, Refusal,
    SignedOrder, Timestamp, signature,
};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const SERVER: u8 = 1;
const BOB: u8 = 2;
const MALLORY: u8 = 3;

fn public(number: u8) -> PublicKey {
    signature::public_key(&key(number))
}

fn books() -> Books {
    Books::with_bob(key(SERVER), public(BOB))
}

/// What a client says first of a payment: that it is paid, or something else.
fn first_word(program: &Program) -> String {
    loop {
        let line = program.line();
        if line.contains("paid ") || line.contains("unknown, checking") {
            return line;
        }
    }
}

/// Has alice pay bob at a server that answers the order with `lie`, and the truth when it is asked
/// again. Returns what she says at first; in the end she says that she has paid.
fn pay_at(lie: impl Fn(&mut Books, &Request, &SignedOrder) -> Lie + Send + 'static) -> String {
    let mut lied = false;
    let server = LyingServer::start(books(), move |books, request| match &request.call {
        Call::SubmitOrders { orders } if !lied => {
            lied = true;
            Some(lie(books, request, &orders[0]))
        }
        _ => None,
    });
    let mut alice = Person::registered(MITE, server.address, "alice");
    alice.type_line("pay bob 10");
    let first = first_word(&alice.program);
    assert!(first.contains("unknown, checking"), "{first}");
    alice.program.line_with("paid 10 to bob");
    // The same order all along: what it was asked about, what was submitted, what was settled.
    let calls = server.asked();
    let ids = calls.iter().flat_map(|call| match call {
        Call::SubmitOrders { orders } => orders.iter().map(|order| order.order.id).collect(),
        Call::OrderStatus { orders } => orders.iter().map(|order| order.id).collect(),
        Call::KeepOrder { order } => vec![order.order.id],
        _ => Vec::new(),
    });
    let mut ids: Vec<_> = ids.collect();
    assert!(ids.len() > 1, "it was asked again: {calls:?}");
    ids.dedup();
    assert_eq!(ids.len(), 1, "one payment has one id");
    first
}

/// Tells each lie to a client of its own, all at once: each of them waits a second before it asks
/// again.
fn pay_at_each<L: Send + 'static>(
    lies: Vec<(&'static str, L)>,
    tell: impl Fn(&L, &mut Books, &Request, &SignedOrder) -> Lie + Copy + Send + 'static,
) {
    let clients = lies.into_iter().map(|(why, lie)| {
        let pay = move || pay_at(move |books, request, order| tell(&lie, books, request, order));
        (why, thread::spawn(pay))
    });
    for (why, client) in clients.collect::<Vec<_>>() {
        let said = client.join().unwrap_or_else(|_| panic!("{why:?}"));
        assert!(said.contains(why), "{why:?}, not {said:?}");
    }
}

type Forge = fn(&Books, &SignedOrder) -> Receipt;

/// The server says "settled" with something that does not prove it. It may want the payer to
/// believe that the payee was paid, and keep the credits.
#[test]
fn only_the_receipt_for_this_order_by_this_server_is_a_payment() {
    let forgeries: Vec<(&str, Forge)> = vec![
        ("is not signed by this server", |_, order| forge::receipt(&key(MALLORY), settled(order))),
        ("is for another order", |books, order| {
            let another = Order { id: other_id(order), ..order.order.clone() };
            forge::receipt(&books.key, settled(&another.sign(&key(MALLORY))))
        }),
        ("is for another order", |books, order| {
            // Of another payer, who has given it the same id.
            let another = Order { payer_key: public(MALLORY), ..order.order.clone() };
            forge::receipt(&books.key, settled(&another.sign(&key(MALLORY))))
        }),
        ("is for another order", |books, order| {
            // Changed after it was signed.
            let mut changed = order.clone();
            changed.order.amount = Amount::new(1);
            forge::receipt(&books.key, settled(&changed))
        }),
        ("is for another order", |books, order| {
            let entry = Entry::Transferred {
                payer: AccountId::new(1),
                payee: AccountId::new(2),
                amount: order.order.amount,
                authority: Authority::Text,
            };
            forge::receipt(&books.key, entry)
        }),
        ("does not do what the order in it says", |books, order| {
            forge::receipt(&books.key, moving(order, 9))
        }),
        ("is not in the batch that the server signed", |books, order| {
            // The server's signature is under a refusal of this order.
            let refused = refused(order);
            Receipt::new(&forge::header(&books.key, &refused), 0, Vec::new(), settled(order))
        }),
        ("is not signed by this server", |books, order| {
            let mut header = forge::header(&books.key, &settled(order));
            header.seal = None;
            Receipt::new(&header, 0, Vec::new(), settled(order))
        }),
        ("cannot be read", |books, order| {
            let mut header = forge::header(&books.key, &settled(order));
            header.entry_count = 0;
            Receipt::new(&header, 0, Vec::new(), settled(order))
        }),
    ];
    pay_at_each(forgeries, |forge, books, _, order| {
        let receipt = Box::new(forge(books, order));
        let answers = vec![OrderAnswer::Decided { replayed: false, receipt }];
        Lie::Answer(Ok(Answer::Orders(answers)))
    });
}

fn other_id(order: &SignedOrder) -> OrderId {
    OrderId::new(order.order.not_after, [7; 10])
}

fn moving(order: &SignedOrder, amount: u64) -> Entry {
    let (payer, payee) = (AccountId::new(1), AccountId::new(2));
    let authority = Authority::Order(Box::new(order.clone()));
    Entry::Transferred { payer, payee, amount: Amount::new(amount), authority }
}

fn refused(order: &SignedOrder) -> Entry {
    let (payer, order) = (AccountId::new(1), Box::new(order.clone()));
    Entry::OrderRefused { payer, order, refusal: Refusal::InsufficientBalance }
}

/// The server's receipt proves that the order was refused, whatever is said around it.
#[test]
fn the_receipt_of_a_refusal_is_no_payment() {
    let server = LyingServer::start(books(), |books, request| {
        let Call::SubmitOrders { orders } = &request.call else { return None };
        let receipt = Box::new(forge::receipt(&books.key, refused(&orders[0])));
        let answers = vec![OrderAnswer::Decided { replayed: true, receipt }];
        Some(Lie::Answer(Ok(Answer::Orders(answers))))
    });
    let mut alice = Person::registered(MITE, server.address, "alice");
    let [error, hint] = alice.expect_failure("pay bob 10", "was refused: insufficient balance");
    assert!(hint.contains("nothing was moved"), "{error} {hint}");
}

/// What is no answer to the order ends the connection, and the client finds out over another one.
#[test]
fn nonsense_in_place_of_an_answer_leaves_the_payment_open() {
    type Nonsense = fn(&Request) -> Lie;
    let nonsense: Vec<(&str, Nonsense)> = vec![
        ("what was not asked", |request| {
            let correlation = Correlation(request.correlation.0 + 1000);
            Lie::Bytes(response(correlation, Answer::Orders(Vec::new())))
        }),
        ("something else", |request| Lie::Bytes(response(request.correlation, Answer::Kept))),
        ("something else", |request| {
            Lie::Bytes(response(request.correlation, Answer::Orders(Vec::new())))
        }),
        ("longer than the protocol allows", |_| Lie::Bytes(u32::MAX.to_le_bytes().to_vec())),
        ("longer than the protocol allows", |_| {
            let length = u32::try_from(FRAME_BYTES_MAX + 1).expect("small");
            Lie::Bytes(length.to_le_bytes().to_vec())
        }),
        ("not what the protocol says", |_| {
            Lie::Bytes([&4_u32.to_le_bytes()[..], &[0xFF; 4]].concat())
        }),
        ("not what the protocol says", |request| {
            // A good answer, and a byte behind it.
            let mut bytes = response(request.correlation, Answer::Kept);
            bytes[0] += 1;
            bytes.push(0);
            Lie::Bytes(bytes)
        }),
        ("", |_| Lie::End(Vec::new())),
        ("", |request| {
            let mut half = response(request.correlation, Answer::Orders(Vec::new()));
            half.truncate(half.len() / 2);
            Lie::End(half)
        }),
        ("stopping", |_| Lie::Bytes(framed(&ServerFrame::Closing(Problem::Stopping)))),
        ("busy", |_| Lie::Answer(Err(Problem::Busy))),
    ];
    pay_at_each(nonsense, |nonsense, _, request, _| nonsense(request));
}

fn response(correlation: Correlation, answer: Answer) -> Vec<u8> {
    framed(&ServerFrame::Response(Response { correlation, result: Ok(answer) }))
}

/// A client whose clock is wrong makes orders that are good all the same: their time is the
/// server's.
#[test]
fn the_own_clock_is_not_asked() {
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    const TEN_MINUTES_MS: u64 = 10 * 60 * 1000;
    // In 1971, and in 2500.
    for now in [YEAR_MS, 530 * YEAR_MS] {
        let server = LyingServer::start(Books { now: Timestamp::new(now), ..books() }, |_, _| None);
        let mut alice = Person::registered(MITE, server.address, "alice");
        alice.type_line("pay bob 10");
        let order = server.submitted().order;
        let validity = order.not_after.get().checked_sub(now).expect("valid from now on");
        assert!((TEN_MINUTES_MS..2 * TEN_MINUTES_MS).contains(&validity), "{validity} ms");
        assert_eq!(order.id.not_after(), order.not_after);
        alice.program.line_with("paid 10 to bob");
    }
}

/// The server calls an order unknown and keeps it, to settle it after the payer has paid anew. It
/// is open until the server's own clock says that its time is over; only then it is given up.
#[test]
fn an_order_is_given_up_only_when_its_time_is_over() {
    let not_yet = Arc::new(AtomicU8::new(0));
    let later = Arc::clone(&not_yet);
    let server = LyingServer::start(books(), move |books, request| match &request.call {
        Call::SubmitOrders { .. } => Some(Lie::Answer(Err(Problem::Busy))),
        Call::OrderStatus { orders } => {
            let asked = later.fetch_add(1, Ordering::SeqCst);
            // To the millisecond, then past it.
            let not_after = orders[0].id.not_after().get();
            books.now = Timestamp::new(not_after + u64::from(asked));
            let statuses = vec![OrderStatus::Unknown];
            Some(Lie::Answer(Ok(Answer::Statuses { statuses, now: books.now })))
        }
        _ => None,
    });
    let mut alice = Person::registered(MITE, server.address, "alice");
    let [error, _] = alice.expect_failure("pay bob 10", "the order has expired");
    assert!(error.contains("payment of 10 to bob"), "{error}");
    assert_eq!(not_yet.load(Ordering::SeqCst), 2, "asked again, and then told");
}

/// The server names mallory's key for bob, whom alice has paid before: she is warned of it, signs
/// nothing, and decides herself.
#[test]
fn another_key_for_a_known_payee_is_a_stop() {
    let phase = Arc::new(AtomicU8::new(0));
    let now = Arc::clone(&phase);
    let server = LyingServer::start(books(), move |books, _| {
        let bob = books.payees.values_mut().next().expect("bob");
        bob.key = [Some(public(BOB)), Some(public(MALLORY)), None]
            [usize::from(now.load(Ordering::SeqCst))];
        None
    });
    let mut alice = Person::registered(MITE, server.address, "alice");
    alice.type_line("pay bob 10");
    alice.program.line_with("paid 10 to bob");
    assert_eq!(server.submitted().order.payee_key, Some(public(BOB)));

    let stop = |alice: &mut Person, found: String| {
        alice.type_line("pay bob 20");
        alice.program.error_line_with("STOP: THE KEY OF bob HAS CHANGED");
        alice.program.error_line_with(&format!("known from before:  {}", public(BOB)));
        alice.program.error_line_with(&format!("said by the server: {found}"));
        alice.program.error_line_with("hint: nothing was paid.")
    };
    phase.store(1, Ordering::SeqCst);
    let hint = stop(&mut alice, public(MALLORY).to_string());
    assert!(hint.ends_with(&format!("trust bob {}", public(MALLORY))), "{hint}");
    phase.store(2, Ordering::SeqCst);
    alice.type_line("pay bob 20");
    alice.program.error_line_with("said by the server: none at all");
    // The program that is started again has not forgotten.
    let mut alice = alice.crash();
    phase.store(1, Ordering::SeqCst);
    stop(&mut alice, public(MALLORY).to_string());
    let signed = |call: &Call| matches!(call, Call::SubmitOrders { .. } | Call::KeepOrder { .. });
    let calls = server.asked();
    assert_eq!(calls.iter().filter(|call| signed(call)).count(), 0, "{calls:?}");

    alice.type_line(&format!("trust bob {}", public(MALLORY)));
    alice.type_line("pay bob 20");
    alice.program.line_with("paid 20 to bob");
    assert_eq!(server.submitted().order.payee_key, Some(public(MALLORY)));
}

/// The server says that somebody has paid alice, who hands over goods for it, and has no proof.
#[test]
fn a_payment_that_the_server_cannot_prove_is_not_received() {
    let number = EntryNumber::new(40);
    let server = LyingServer::start(books(), move |books, request| match &request.call {
        Call::ReadBalance => {
            let order = order_to_alice(books, &key(BOB)).order.id;
            let (payer, amount) = ("bob".parse().expect("a name"), Amount::new(10));
            let event = Event::Received { payer, amount, number, order: Some(order) };
            let balance = books.answer(&request.call).expect("a balance");
            let balance = response(request.correlation, balance);
            Some(Lie::Bytes([framed(&ServerFrame::Event(event)), balance].concat()))
        }
        Call::ReadReceipts { .. } => {
            // Bob has signed nothing.
            let order = order_to_alice(books, &key(MALLORY));
            let receipt = forge::receipt(&books.key, settled(&order));
            Some(Lie::Answer(Ok(Answer::Receipts(vec![Some(receipt)]))))
        }
        _ => None,
    });
    let mut alice = Person::registered(MITE, server.address, "alice");
    alice.type_line("balance");
    let told = loop {
        let line = alice.program.line();
        if line.contains("received") {
            break line;
        }
    };
    assert!(told.starts_with("not received: 10 from bob") && told.contains("no proof"), "{told}");
}

/// An order of bob's for alice, signed by whoever.
fn order_to_alice(books: &Books, signer: &SigningKey) -> SignedOrder {
    let not_after = Timestamp::new(books.now.get() + 60_000);
    let order = Order {
        version: wire::order::ORDER_VERSION,
        server: signature::public_key(&books.key),
        id: OrderId::new(not_after, [9; 10]),
        payer: "bob".parse().expect("a name"),
        payer_key: public(BOB),
        payee: "alice".parse().expect("a name"),
        payee_key: None,
        amount: Amount::new(10),
        not_after,
        memo_hash: wire::order::NO_MEMO,
    };
    order.sign(signer)
}
