use actors::messages::{HistoryPage, PaymentState};
use wire::secure::{AccountInfo, HistoryEvent, HistoryItem, OrderProblem};
use wire::{EntryNumber, FreezeReason, Timestamp};

use super::*;

fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

fn key(byte: u8) -> PublicKey {
    PublicKey::new([byte; 32])
}

fn id() -> OrderId {
    "01a0c45993c0c5c6c7c8c9cacbcccdce".parse().expect("an id")
}

fn payment(state: PaymentState) -> Payment {
    let memo = Some("a \"b\"\u{1b}".to_owned());
    Payment {
        id: id(),
        payee: name("bo\u{202e}b"),
        amount: Amount::new(10),
        memo,
        state,
        memo_fate: MemoFate::Unremarkable,
    }
}

#[test]
fn a_quote_says_whom_and_how_sure_that_is() {
    let quoted = |key, trust, address: bool, memo: Option<&str>| {
        let address = address.then(|| ([10, 0, 0, 1], 7001).into());
        let payee = AccountInfo { name: name("bob"), key, address };
        quote(&Quote { payee, trust, amount: Amount::new(10), memo: memo.map(str::to_owned) })
    };
    let bob = key(3);
    assert_eq!(
        quoted(Some(bob), Trust::Known, true, None),
        format!("about to pay 10 to bob, key {bob} (known from before)")
    );
    assert_eq!(
        quoted(Some(bob), Trust::New, false, Some("x\", key forged\n")),
        format!(
            "about to pay 10 to bob, key {bob} (seen for the first time), not on the list of who \
             is online, memo \"x\\\", key forged\\n\" (the memo will not reach them: they are not \
             reachable now)"
        )
    );
    let told = quoted(Some(bob), Trust::Known, true, Some("lunch"));
    assert!(told.ends_with("(known from before), memo \"lunch\""), "{told}");
    let untold = quoted(None, Trust::NoKey, true, Some("lunch"));
    let why = "memo \"lunch\" (the memo will not reach them: their account has no key)";
    assert!(untold.ends_with(why), "{untold}");
    let nobody_is_sure =
        "about to pay 10 to bob, an account without a key: nobody can be sure who that is";
    assert_eq!(quoted(None, Trust::NoKey, true, None), nobody_is_sure);
    // Whatever the wallet says of a key that is not there.
    assert_eq!(quoted(None, Trust::Known, true, None), nobody_is_sure);
}

#[test]
fn outcomes_of_payments() {
    let told = |state, balance: Option<u64>| paid(&payment(state), balance.map(Amount::new));
    assert_eq!(
        told(PaymentState::Paid, Some(990)),
        Ok("paid 10 to bo\\u{202e}b; receipt 01a0c45993c0c5c6…; balance: 990".into())
    );
    let lost = Payment { memo_fate: MemoFate::Lost, ..payment(PaymentState::Paid) };
    assert_eq!(
        paid(&lost, Some(Amount::new(990))),
        Ok("paid 10 to bo\\u{202e}b; receipt 01a0c45993c0c5c6…; balance: 990; the memo did not \
            reach them"
            .into())
    );
    assert_eq!(
        told(PaymentState::Paid, None),
        Ok("paid 10 to bo\\u{202e}b; receipt 01a0c45993c0c5c6…".into())
    );
    let open = told(PaymentState::Open, None).expect("no failure");
    assert!(open.contains("unknown, checking; do not pay again"), "{open}");
    for (state, message, hint) in [
        (
            PaymentState::Refused(Refusal::InsufficientBalance),
            "the payment of 10 to bo\\u{202e}b was refused: insufficient balance",
            "nothing was moved",
        ),
        (
            PaymentState::Refused(Refusal::PayeeKeyChanged),
            "the payment of 10 to bo\\u{202e}b was refused: their key has just changed",
            "nothing was moved: compare the new key",
        ),
        (
            PaymentState::Dead(OrderProblem::Expired),
            "the payment of 10 to bo\\u{202e}b was refused for good: the order has expired",
            "nothing was moved",
        ),
    ] {
        let failure = told(state, None).expect_err("a failure");
        assert_eq!(failure.message, message);
        assert!(failure.hint.as_deref().is_some_and(|said| said.starts_with(hint)), "{failure:?}");
    }
}

#[test]
fn events() {
    let (payer, amount) = (name("al\u{202e}ice"), Amount::new(3));
    let received = |memo: Option<&str>, order, proof| WalletNews::Received {
        payer: payer.clone(),
        amount,
        memo: memo.map(str::to_owned),
        order,
        proof,
    };
    let shown = "payment of 10 to bo\\u{202e}b (01a0c45993c0c5c6…)";
    for (event, expected) in [
        (received(None, None, Proof::Word), "received 3 from al\\u{202e}ice".to_owned()),
        (
            received(Some("\u{1b}[2J"), Some(id()), Proof::Kept),
            "received 3 from al\\u{202e}ice, memo \"\\u{1b}[2J\"; receipt 01a0c45993c0c5c6…".into(),
        ),
        (
            received(None, Some(id()), Proof::NotKept),
            "received 3 from al\\u{202e}ice; its receipt cannot be kept on this disk: \
             'receipt 01a0c45993c0c5c6…' asks for it"
                .into(),
        ),
        (
            received(None, Some(id()), Proof::Word),
            "the server says: received 3 from al\\u{202e}ice; no receipt yet".into(),
        ),
        (
            WalletNews::NotReceived { payer: payer.clone(), amount, reason: "no\u{7}\n".into() },
            "not received: 3 from al\\u{202e}ice: no\\u{7}".into(),
        ),
        (
            WalletNews::Checking { payment: payment(PaymentState::Open), reason: "lost\n".into() },
            format!("{shown}: unknown, checking (lost)"),
        ),
        (WalletNews::Decided(payment(PaymentState::Paid)), format!("{shown}: paid")),
        (
            WalletNews::Decided(Payment {
                memo_fate: MemoFate::Unanswered,
                ..payment(PaymentState::Paid)
            }),
            format!("{shown}: paid; the memo may not have reached them"),
        ),
        (
            WalletNews::Decided(payment(PaymentState::Dead(OrderProblem::Expired))),
            format!("{shown}: refused for good: the order has expired; nothing was moved"),
        ),
        (
            WalletNews::ServerLost("reset\u{1b}".into()),
            "the connection to the server is lost: reset\\u{1b}; it is made again when it is needed"
                .into(),
        ),
        (WalletNews::ServerBack, "the connection to the server is back".into()),
        (
            WalletNews::KeyReplaced { payments: Vec::new() },
            "this key was replaced by another device; if that was not you, somebody has your key\n"
                .into(),
        ),
        (
            WalletNews::KeyChanged(key(7)),
            format!("the change of your key is made: it is now {}", key(7)),
        ),
    ] {
        assert_eq!(news(&event), expected);
    }
    assert!(news(&WalletNews::Replaced).contains("somebody has your key"));
}

#[test]
fn a_stranger_at_the_payees_address_is_loud() {
    let (expected, found) = (key(1), key(2));
    let text = news(&WalletNews::PeerKeyMismatch { payee: name("bob"), expected, found });
    assert!(text.starts_with("@@@@"), "{text}");
    for said in [
        "@ WARNING: SOMEBODY ELSE ANSWERS AT THE ADDRESS OF bob\n".to_owned(),
        format!("the key of bob: {expected}\n"),
        format!("the key shown:  {found}\n"),
        "was not handed over".into(),
    ] {
        assert!(text.contains(&said), "{said:?} in {text}");
    }
}

#[test]
fn lists() {
    let payments = [payment(PaymentState::Open), payment(PaymentState::Paid)];
    assert_eq!(
        records::payments(&payments),
        "  01a0c45993c0c5c6…  10  to bo\\u{202e}b  unknown, checking  \"a \\\"b\\\"\\u{1b}\"\n\
         \x20 01a0c45993c0c5c6…  10  to bo\\u{202e}b  paid               \"a \\\"b\\\"\\u{1b}\"\n"
    );
    assert_eq!(records::payments(&[]), "no payments yet");
    let receipts = records::receipts(&payments);
    assert_eq!(receipts.matches("01a0c45993c0c5c6…").count(), 1, "open ones have none: {receipts}");
    assert!(
        records::receipts(&payments[..1]).starts_with("receipts of payments by you:\n  none\n")
    );
    let happened = [
        HistoryEvent::Paid { payee: name("bob"), amount: Amount::new(10), order: id() },
        HistoryEvent::Received { payer: name("bob"), amount: Amount::new(3), order: None },
        HistoryEvent::Refused {
            payee: name("bob"),
            amount: Amount::new(5),
            order: id(),
            refusal: Refusal::InsufficientBalance,
        },
        HistoryEvent::KeyChanged { key: key(7) },
        HistoryEvent::Deposited { amount: Amount::new(7) },
        HistoryEvent::Withdrawn { amount: Amount::new(8) },
        HistoryEvent::Frozen { reason: FreezeReason::default() },
        HistoryEvent::Frozen { reason: "ask \u{202e}us".parse().expect("a reason") },
        HistoryEvent::Unfrozen,
    ];
    let items = happened.map(|event| HistoryItem {
        number: EntryNumber::new(1),
        time: Timestamp::new(0),
        event,
    });
    let page = HistoryPage { items: items.to_vec(), more: false };
    let text = records::history(&page);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines.len(), 9, "{text}");
    for (line, said) in lines.iter().zip([
        "paid 10 to bob",
        "received 3 from bob",
        "refused: 5 to bob: insufficient balance",
        &format!("key changed to {}", key(7)),
        "7 deposited by the server's operator",
        "8 withdrawn by the server's operator",
        "frozen by the server's operator",
        "frozen by the server's operator: ask ",
        "unfrozen by the server's operator",
    ]) {
        assert!(line.starts_with(&format!("  1970-01-01T00:00:00.000Z  {said}")), "{line}");
    }
    assert_eq!(
        records::history(&HistoryPage { items: vec![], more: false }),
        "nothing has happened yet"
    );
}

#[test]
fn the_menu_fits_a_screen_of_80_columns() {
    let welcome = welcome();
    assert!(welcome.lines().all(|line| line.chars().count() <= 80), "{welcome}");
}
