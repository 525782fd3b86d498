//! Attacks by a payer on a payee: orders that are no payment, over and over, and what is no order.
//! The payee's client is a real one.

use std::net::{SocketAddr, TcpStream};

use tempfile::TempDir;
use tests::person::Person;
use tests::process::Server;
use tests::secure::{SecureClient, SecureStream, key};
use tests::text::connect_from;
use wire::order::{MEMO_BYTES_MAX, NO_MEMO, ORDER_VERSION};
use wire::secure::hello::{PROTOCOL_VERSION, magic};
use wire::secure::{Answer, Call, Hello, PayeeAnswer, PayeeFrame, PayerFrame, Problem};
use wire::{
    Amount, Memo, Order, OrderId, PublicKey, Refusal, SignedOrder, Timestamp, Username, Verdict,
    signature,
};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;
const MALLORY: u8 = 3;

fn public(number: u8) -> PublicKey {
    signature::public_key(&key(number))
}

fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

fn start() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

fn balance(client: &mut SecureClient) -> u64 {
    match client.call(Call::ReadBalance) {
        Ok(Answer::Balance { amount, .. }) => amount.credits(),
        other => panic!("a balance, not {other:?}"),
    }
}

/// Mallory and bob, who pay alice's client in whatever way they like.
struct Payers {
    _data: TempDir,
    server: Server,
    alice: Person,
    /// Where alice's client takes payments.
    address: SocketAddr,
    alices_key: PublicKey,
    mallory: SecureClient,
    used: u8,
}

impl Payers {
    fn set() -> Self {
        let (data, server) = start();
        let mut mallory = SecureClient::registered(server.address, &key(MALLORY), "mallory");
        let mut alice = Person::registered(MITE, server.address, "alice");
        let (address, _) = alice.log_in();
        let found = mallory.call(Call::FindAccount { name: name("alice") });
        let Ok(Answer::Account(Some(found))) = found else { panic!("{found:?}") };
        let alices_key = found.key.expect("alice has a key");
        Self { _data: data, server, alice, address, alices_key, mallory, used: 0 }
    }

    fn now(&mut self) -> Timestamp {
        match self.mallory.call(Call::ReadBalance) {
            Ok(Answer::Balance { now, .. }) => now,
            other => panic!("a balance, not {other:?}"),
        }
    }

    /// A good order of mallory's for alice.
    fn order(&mut self, amount: u64) -> Order {
        let not_after = Timestamp::new(self.now().get() + 60_000);
        self.used += 1;
        Order {
            version: ORDER_VERSION,
            server: self.mallory.stream.peer,
            id: OrderId::new(not_after, [self.used; 10]),
            payer: name("mallory"),
            payer_key: public(MALLORY),
            payee: name("alice"),
            payee_key: Some(self.alices_key),
            amount: Amount::new(amount),
            not_after,
            memo_hash: NO_MEMO,
        }
    }

    /// A link to alice's client, behind the hellos, by the holder of this key.
    fn link(&self, number: u8) -> SecureStream {
        let stream = TcpStream::connect(self.address).expect("alice listens");
        greeted(stream, number)
    }

    fn balances(&mut self) -> [u64; 2] {
        [self.alice.balance(), balance(&mut self.mallory)]
    }

    /// An honest payment still comes through.
    fn expect_service(&mut self) {
        let order = self.order(1).sign(&key(MALLORY));
        let mut link = self.link(MALLORY);
        let answer = offer(&mut link, &order, None);
        assert!(matches!(answer, PayeeAnswer::Decided(_)), "{answer:?}");
        self.alice.program.line_with("received 1 from mallory");
    }
}

fn greeted(stream: TcpStream, number: u8) -> SecureStream {
    let mut link = SecureStream::over(stream, &key(number)).expect("a handshake");
    link.send(&Hello::new(magic::PAYER)).expect("alice reads");
    let hello: Result<Hello, Problem> = link.receive().expect("a hello");
    assert_eq!(hello.and_then(|hello| hello.check(magic::PAYEE)), Ok(PROTOCOL_VERSION));
    link
}

fn offer(link: &mut SecureStream, order: &SignedOrder, memo: Option<Memo>) -> PayeeAnswer {
    link.send(&PayerFrame::Offer { order: Box::new(order.clone()), memo }).expect("alice reads");
    let PayeeFrame::Answer { id, answer } = link.receive().expect("an answer");
    assert_eq!(id, order.order.id);
    answer
}

fn memo(text: &str) -> Memo {
    Memo { salt: [1; 16], text: text.to_owned() }
}

/// Mallory hands over what is no payment to alice by her. Alice's client says why it does not take
/// it, and shows no payment.
#[test]
fn orders_that_are_no_payment_to_the_payee_by_the_payer_are_declined() {
    type Change = fn(&mut Order);
    let changes: [(&str, u8, u8, Change); 13] = [
        ("not the payer's", BOB, MALLORY, |_| {}),
        ("not signed by its payer", MALLORY, BOB, |_| {}),
        ("not the payer's", MALLORY, BOB, |order| order.payer_key = public(BOB)),
        ("not for this account", MALLORY, MALLORY, |order| order.payee = name("bob")),
        ("not for this account's key", MALLORY, MALLORY, |order| {
            order.payee_key = Some(public(BOB));
        }),
        ("not for this account's key", MALLORY, MALLORY, |order| order.payee_key = None),
        ("for another server", MALLORY, MALLORY, |order| order.server = public(9)),
        ("unknown version", MALLORY, MALLORY, |order| order.version = 2),
        ("the same account", MALLORY, MALLORY, |order| order.payer = name("alice")),
        ("amount is zero", MALLORY, MALLORY, |order| order.amount = Amount::new(0)),
        ("does not fit its not-after", MALLORY, MALLORY, |order| {
            order.not_after = Timestamp::new(order.not_after.get() + 1);
        }),
        ("has expired", MALLORY, MALLORY, |order| {
            order.not_after = Timestamp::new(order.not_after.get() - 120_000);
            order.id = OrderId::new(order.not_after, [0; 10]);
        }),
        ("does not fit the order", MALLORY, MALLORY, |order| order.memo_hash = [1; 32]),
    ];
    let mut payers = Payers::set();
    let _bob = SecureClient::registered(payers.server.address, &key(BOB), "bob");
    for (why, by, signer, change) in changes {
        let mut order = payers.order(10);
        change(&mut order);
        let answer = offer(&mut payers.link(by), &order.sign(&key(signer)), None);
        let PayeeAnswer::Declined(reason) = &answer else { panic!("{why}: {answer:?}") };
        assert!(reason.contains(why), "{why:?}, not {reason:?}");
    }
    for (why, signed, shown) in [
        ("does not fit the order", "for the coffee", memo("for the house")),
        ("do not show as they are", "\u{1b}[2J", memo("\u{1b}[2J")),
        ("do not show as they are", "\u{202e}eeffoc", memo("\u{202e}eeffoc")),
        ("longer than", "x", memo(&"x".repeat(MEMO_BYTES_MAX + 1))),
    ] {
        let mut order = payers.order(10);
        order.memo_hash = memo(signed).hash();
        let answer = offer(&mut payers.link(MALLORY), &order.sign(&key(MALLORY)), Some(shown));
        let PayeeAnswer::Declined(reason) = &answer else { panic!("{why}: {answer:?}") };
        assert!(reason.contains(why), "{why:?}, not {reason:?}");
    }
    // What only the server can know: whose key it is.
    let order = Order { payer: name("bob"), ..payers.order(10) };
    let answer = offer(&mut payers.link(MALLORY), &order.sign(&key(MALLORY)), None);
    let PayeeAnswer::Declined(reason) = &answer else { panic!("{answer:?}") };
    assert!(reason.contains("signed by a key that is not the payer's"), "{reason}");
    // Nobody gets to speak to alice in other people's names.
    let told = payers.alice.told("payments");
    assert!(!told.iter().any(|line| line.contains("received")), "{told:?}");

    assert_eq!(payers.balances(), [1000, 1000]);
    payers.expect_service();
    assert_eq!(payers.balances(), [1001, 999]);
}

/// One order many times, on one link and on several: it is received once. Another one under its id,
/// or one that is not covered, is not received at all.
#[test]
fn an_order_that_is_handed_over_again_is_received_once() {
    let mut payers = Payers::set();
    let server = payers.mallory.stream.peer;
    let order = payers.order(10).sign(&key(MALLORY));
    let mut links: Vec<_> = (0..4).map(|_| payers.link(MALLORY)).collect();
    for link in &mut links {
        for _ in 0..8 {
            let frame = PayerFrame::Offer { order: Box::new(order.clone()), memo: None };
            link.send(&frame).expect("alice reads");
        }
    }
    for link in &mut links {
        for _ in 0..8 {
            let PayeeFrame::Answer { answer, .. } = link.receive().expect("an answer");
            let PayeeAnswer::Decided(receipt) = answer else { panic!("{answer:?}") };
            receipt.verify(&server).expect("a receipt that verifies");
            assert_eq!(receipt.order(), Some(&order));
        }
    }
    let told = payers.alice.told("history");
    let received = told.iter().filter(|line| line.starts_with("received 10 from mallory"));
    assert_eq!(received.count(), 1, "{told:?}");
    assert_eq!(payers.balances(), [1010, 990]);

    // And once more, when all of that is over.
    let answer = offer(&mut payers.link(MALLORY), &order, None);
    let PayeeAnswer::Decided(receipt) = answer else { panic!("{answer:?}") };
    assert_eq!(receipt.order(), Some(&order));
    assert_eq!(payers.balances(), [1010, 990]);

    let reused = Order { amount: Amount::new(20), ..order.order.clone() };
    let answer = offer(&mut links[0], &reused.sign(&key(MALLORY)), None);
    let PayeeAnswer::Declined(reason) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("another order has this id"), "{reason}");
    let not_covered = payers.order(5000).sign(&key(MALLORY));
    let answer = offer(&mut links[0], &not_covered, None);
    let PayeeAnswer::Decided(receipt) = answer else { panic!("{answer:?}") };
    assert_eq!(receipt.verdict(), Some(Verdict::Refused(Refusal::InsufficientBalance)));
    payers.alice.program.line_with("not received: 5000 from mallory: insufficient balance");
    assert_eq!(payers.balances(), [1010, 990]);
}

/// Many orders at once, more than alice's client works on: every one is answered, and each is
/// received or not, as the answer says.
#[test]
fn a_flood_of_orders_is_answered_to_the_last() {
    const ORDERS: usize = 200;
    let mut payers = Payers::set();
    let mut link = payers.link(MALLORY);
    let orders: Vec<_> = (0..ORDERS).map(|_| payers.order(1).sign(&key(MALLORY))).collect();
    for order in &orders {
        let frame = PayerFrame::Offer { order: Box::new(order.clone()), memo: None };
        link.send(&frame).expect("alice reads");
    }
    let mut settled = 0;
    for _ in &orders {
        match link.receive().expect("an answer") {
            PayeeFrame::Answer { answer: PayeeAnswer::Decided(_), .. } => settled += 1,
            PayeeFrame::Answer { answer: PayeeAnswer::Declined(_), .. } => {}
            PayeeFrame::Answer { answer: PayeeAnswer::Unknown, .. } => panic!("it is known"),
        }
    }
    assert_eq!(payers.balances(), [1000 + settled, 1000 - settled]);
    assert!(settled > 0);
}

/// What is no order: lengths that lie, halves of frames, nothing at all, text. Each ends its own
/// connection, and honest payers are served before, meanwhile and afterwards.
#[test]
fn what_is_no_order_ends_its_own_connection_alone() {
    let mut payers = Payers::set();
    let good = payers.order(1).sign(&key(MALLORY));
    let mut frame = Vec::new();
    let offer = PayerFrame::Offer { order: Box::new(good), memo: None };
    wire::secure::frame::encode(&offer, &mut frame);
    let mut longer = frame.clone();
    longer[0] += 1;
    longer.push(0);
    for (what, bytes) in [
        ("a length without end", u32::MAX.to_le_bytes().to_vec()),
        ("longer than an order", 10_000_u32.to_le_bytes().to_vec()),
        ("no order", [&8_u32.to_le_bytes()[..], &[0xFF; 8]].concat()),
        ("an order and a byte", longer),
        ("text", b"mallory#1#alice\n".to_vec()),
    ] {
        let mut link = payers.link(MALLORY);
        link.send_bytes(&bytes).expect("alice reads");
        println!("{what}");
        link.expect_end();
    }
    let mut wrong = SecureStream::connect(payers.address, &key(MALLORY)).expect("a handshake");
    wrong.send(&Hello::new(magic::CLIENT)).expect("alice reads");
    let answer: Result<Hello, Problem> = wrong.receive().expect("an answer");
    assert_eq!(answer, Err(Problem::WrongRole));

    // Halves, and connections that never say what they are, from another address of this machine.
    let mut half = payers.link(MALLORY);
    half.send_bytes(&frame[..frame.len() / 2]).expect("alice reads");
    let mut silent = SecureStream::connect(payers.address, &key(MALLORY)).expect("a handshake");
    let half_open: Vec<_> =
        (0..300).map(|_| connect_from([127, 0, 0, 2], payers.address)).collect();
    payers.expect_service();
    // Whoever does not say hello has no place for ever.
    silent.expect_end();
    payers.expect_service();
    drop((half, half_open));
    assert_eq!(payers.balances(), [1002, 998]);
}

/// Whoever opens an account that looks like somebody else's would be paid in their place.
#[test]
fn nobody_passes_for_another_on_the_list() {
    let mut payers = Payers::set();
    let mut mallory = SecureClient::connect(payers.server.address, &key(9));
    for disguise in ["alice", "ALICE", "a1ice", "aIice", "\u{430}lice", "ａlice", "alice\u{200b}"]
    {
        // Some of them are no names at all.
        let Ok(name) = disguise.parse() else { continue };
        let answer = mallory.call(Call::Register { name });
        assert!(
            matches!(
                answer,
                Err(Problem::NameNotAllowed
                    | Problem::Refused(Refusal::NameTaken | Refusal::NameTooSimilar))
            ),
            "{disguise:?}: {answer:?}"
        );
    }
    // Nor does a second key get into the account of a first one.
    let answer = mallory.call(Call::LogIn { port: None });
    assert_eq!(answer, Err(Problem::NoAccount));
    // An open account may be anybody, and says so.
    let _carol = tests::text::Connection::log_in(payers.server.address, "carol", 5001);
    payers.alice.type_line("list");
    let shown = payers.alice.program.line_with("carol");
    assert!(shown.contains("no key: anybody may be called so"), "{shown}");
}
