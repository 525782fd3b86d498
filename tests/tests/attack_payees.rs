//! Attacks by a payee, or by whoever answers in their place, on a payer: the payer's client is a
//! real one.

use tempfile::TempDir;
use tests::forge;
use tests::listener::answer_in_text;
use tests::lying_server::settled;
use tests::payee::{Payee, Reached, Step};
use tests::person::Person;
use tests::process::Server;
use tests::secure::{SecureClient, SecureStream, key};
use wire::secure::{Answer, Call, OrderAnswer, PayeeAnswer, PayeeFrame};
use wire::{OrderId, PublicKey, Receipt, SignedOrder, Timestamp, signature};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BOB: u8 = 2;
const MALLORY: u8 = 3;

fn public(number: u8) -> PublicKey {
    signature::public_key(&key(number))
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

/// What bob says of an order that he was given and keeps.
type Claim = fn(&SignedOrder, &Receipt) -> Vec<u8>;

fn framed(id: OrderId, answer: PayeeAnswer) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::secure::frame::encode(&PayeeFrame::Answer { id, answer }, &mut bytes);
    bytes
}

fn decided(order: &SignedOrder, receipt: &Receipt) -> Vec<u8> {
    framed(order.order.id, PayeeAnswer::Decided(Box::new(receipt.clone())))
}

/// Bob has the order and says whatever suits him; alice finds out from the server, and has paid
/// once.
#[test]
fn a_payee_who_lies_is_paid_once_and_believed_never() {
    let (_data, server) = start();
    let mut bob = Payee::online(server.address, &key(BOB), "bob");
    let mut bobs = SecureClient::connect(server.address, &key(BOB));
    let mut alice = Person::online(MITE, server.address, "alice");
    // One honest payment, so that bob has a true receipt to show.
    alice.type_line("pay bob 10");
    let reached = bob.reach(Step::Answered);
    let order = reached.order.as_ref().expect("it is settled");
    let OrderAnswer::Decided { receipt, .. } = bob.submit(order) else { panic!("settled") };
    alice.program.line_with("paid 10 to bob");
    drop(reached);

    let claims: [(&str, Claim); 10] = [
        ("signed by bob", |order, _| decided(order, &forge::receipt(&key(BOB), settled(order)))),
        ("of another order", decided),
        ("signed by nobody", |order, _| {
            let mut header = forge::header(&key(BOB), &settled(order));
            header.seal = None;
            decided(order, &Receipt::new(&header, 0, Vec::new(), settled(order)))
        }),
        ("declined", |order, _| {
            framed(order.order.id, PayeeAnswer::Declined("\u{1b}[2Jpaid 10 to bob".into()))
        }),
        ("unknown", |order, _| framed(order.order.id, PayeeAnswer::Unknown)),
        ("about what nobody asked", |_, _| {
            framed(OrderId::new(Timestamp::new(1), [0; 10]), PayeeAnswer::Unknown)
        }),
        ("no frame", |_, _| [&8_u32.to_le_bytes()[..], &[0xFF; 8]].concat()),
        ("a frame without end", |_, _| u32::MAX.to_le_bytes().to_vec()),
        ("half a receipt", |order, receipt| {
            let mut half = decided(order, receipt);
            half.truncate(half.len() / 2);
            half
        }),
        ("nothing", |_, _| Vec::new()),
    ];
    for (number, (what, claim)) in (1..).zip(claims) {
        alice.type_line("pay bob 10");
        let Reached { link: Some(mut link), order: Some(order), .. } = bob.reach(Step::Offered)
        else {
            panic!("a link and an order")
        };
        assert_eq!(balance(&mut bobs), 1000 + 10 * number, "{what}: only handed over");
        link.send_bytes(&claim(&order, &receipt)).expect("the payer reads");
        // What does not end the connection by itself ends here.
        drop(link);
        let said = alice.program.line_with("paid 10 to bob");
        assert!(said.starts_with("paid 10 to bob; receipt "), "{what}: {said}");
        assert_eq!(balance(&mut bobs), 1010 + 10 * number, "{what}");
    }
    assert_eq!(alice.balance(), 890);
}

/// Somebody else answers at bob's address, with a key of their own: alice's client hands nothing
/// over, says so loudly with both keys, and pays the bob whom it means.
#[test]
fn nothing_is_handed_over_to_whoever_has_taken_the_payees_address() {
    let (_data, server) = start();
    let bob = Payee::online(server.address, &key(BOB), "bob");
    let mut bobs = SecureClient::connect(server.address, &key(BOB));
    let mut alice = Person::online(MITE, server.address, "alice");
    alice.type_line("pay bob 10 for the coffee");
    let met = SecureStream::accept(bob.accept(), &key(MALLORY));
    assert!(met.is_err(), "alice has shown her key and is about to hand over the order");
    alice.program.line_with("WARNING: SOMEBODY ELSE ANSWERS AT THE ADDRESS OF bob");
    alice.program.line_with(&format!("the key of bob: {}", public(BOB)));
    alice.program.line_with(&format!("the key shown:  {}", public(MALLORY)));
    alice.program.line_with("paid 10 to bob");
    assert_eq!(balance(&mut bobs), 1010);

    // Somebody who speaks no TLS, and hopes for text.
    alice.type_line("pay bob 10 for the coffee");
    let sent = answer_in_text(bob.accept(), "200 BAD_REQUEST");
    assert_eq!(sent[..2], [0x16, 3], "a handshake");
    for secret in ["alice", "bob", "coffee"] {
        let shown = sent.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!shown, "{secret}");
    }
    alice.program.line_with("paid 10 to bob");
    assert_eq!(balance(&mut bobs), 1020);
}
