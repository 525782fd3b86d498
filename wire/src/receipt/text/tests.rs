use std::fs;
use std::path::Path;

use ed25519_zebra::SigningKey;

use super::*;
use crate::batch::Seal;
use crate::order::ORDER_VERSION;
use crate::signature::{Domain, Signature, public_key};
use crate::{
    AccountId, Amount, Authority, BatchNumber, EntryNumber, Order, OrderId, Refusal, SignedOrder,
    Timestamp, merkle,
};

const NOT_AFTER: Timestamp = Timestamp::new(1_790_000_600_000);

fn key(seed: u8) -> SigningKey {
    SigningKey::from([seed; 32])
}

fn order(payee: &str) -> SignedOrder {
    let order = Order {
        version: ORDER_VERSION,
        server: public_key(&key(1)),
        id: OrderId::new(NOT_AFTER, [0xC5; 10]),
        payer: "alice".parse().expect("a name"),
        payer_key: public_key(&key(2)),
        payee: payee.parse().expect("a name"),
        payee_key: Some(public_key(&key(3))),
        amount: Amount::new(10),
        not_after: NOT_AFTER,
        memo_hash: [0; 32],
    };
    order.sign(&key(2))
}

fn transferred(payee: &str) -> Entry {
    Entry::Transferred {
        payer: AccountId::new(1),
        payee: AccountId::new(2),
        amount: Amount::new(10),
        authority: Authority::Order(Box::new(order(payee))),
    }
}

/// The receipt for an entry that is alone in its batch.
fn receipt(entry: Entry) -> Receipt {
    let mut bytes = Vec::new();
    codec::encode_into(&entry, &mut bytes);
    let merkle_root = merkle::leaf(&bytes);
    let mut header = BatchHeader {
        entry_count: 1,
        batch: BatchNumber::new(7),
        first_entry: EntryNumber::new(40),
        time: Timestamp::new(1_790_000_000_123),
        byte_len: u32::try_from(bytes.len()).expect("a small entry"),
        entries_checksum: crc32c::crc32c(&bytes),
        previous_head: [9; 32],
        seal: None,
    };
    let signature = Signature::sign(&key(1), Domain::Batch, &header.signed_bytes(&merkle_root));
    header.seal = Some(Seal { merkle_root, signature });
    Receipt::new(&header, 0, Vec::new(), entry)
}

/// Files that people keep: each can be read for ever. After a deliberate change of the form:
/// `MITE_WRITE_GOLDEN=1 cargo test -p wire golden`.
#[test]
fn golden_text() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata/receipt-v1.txt");
    let written = receipt(transferred("bob")).to_text();
    if std::env::var_os("MITE_WRITE_GOLDEN").is_some() {
        fs::write(&path, &written).expect("the source tree");
    }
    let golden = fs::read_to_string(&path).expect("a golden file");
    assert_eq!(written, golden);
    let read = Receipt::from_text(&golden).expect("a receipt");
    assert_eq!(read, receipt(transferred("bob")));
    read.verify(&public_key(&key(1))).expect("it proves what it says");
}

#[test]
fn every_sort_of_receipt_comes_back() {
    let refused = Entry::OrderRefused {
        payer: AccountId::new(1),
        order: Box::new(order("bob")),
        refusal: Refusal::InsufficientBalance,
    };
    let by_text = Entry::Transferred {
        payer: AccountId::new(1),
        payee: AccountId::new(2),
        amount: Amount::new(10),
        authority: Authority::Text,
    };
    for (entry, said) in [
        (transferred("bob"), "Payer: alice\nPayee: bob\nAmount: 10\nOrder: "),
        (transferred("bo\u{202e}b"), "\nPayee: bo\\u{202e}b\n"),
        (refused, "\nOutcome: refused, insufficient balance\n"),
        (by_text, "\nPayer: account 1\nPayee: account 2\n"),
        (transferred("bob"), "\nOutcome: settled\nTime: 2026-09-21T14:13:20.123Z\n\n"),
    ] {
        let receipt = receipt(entry);
        let text = receipt.to_text();
        assert!(text.contains(said), "{text}");
        assert_eq!(Receipt::from_text(&text), Ok(receipt), "{text}");
    }
}

#[test]
fn lines_for_people_are_not_believed() {
    let text = receipt(transferred("bob")).to_text();
    let forged = text.replace("Payee: bob", "Payee: mallory").replace("Amount: 10", "Amount: 9000");
    assert_ne!(forged, text);
    assert_eq!(Receipt::from_text(&forged), Ok(receipt(transferred("bob"))));
}

/// The largest receipt has a text of the length that is read.
#[test]
fn the_longest_text_is_not_too_long() {
    let widest = "\u{1041f}".repeat(crate::username::USERNAME_CHARS_MAX);
    let mut longest = receipt(transferred(&widest));
    longest.path = vec![[0xFF; 32]; 16];
    let escaped = "\u{e0100}".repeat(crate::username::USERNAME_CHARS_MAX);
    let mut most_escaped = receipt(transferred(&escaped));
    most_escaped.path = vec![[0xFF; 32]; 16];
    for receipt in [longest, most_escaped] {
        let text = receipt.to_text();
        assert_eq!(Receipt::from_text(&text), Ok(receipt), "{} bytes", text.len());
    }
    let rest = RECEIPT_TEXT_BYTES_MAX - RECEIPT_BYTES_MAX.div_ceil(3) * 4 - 43;
    assert!(rest >= 1200, "room for the lines for people: {rest}");
}

#[test]
fn one_mistake_a_row() {
    use ReceiptTextError as Wrong;
    let text = receipt(transferred("bob")).to_text();
    let lines: Vec<&str> = text.lines().collect();
    let blank = lines.iter().position(|line| line.is_empty()).expect("an empty line");
    let without = |number: usize| {
        let mut lines = lines.clone();
        lines.remove(number);
        lines.join("\n")
    };
    let long = text.replace("Amount: 10", &format!("Amount: {}", "1".repeat(4096)));
    let (before_end, _) = text.split_once(END).expect("an end");
    let (head, _) = text.split_once("\n\n").expect("an empty line");
    let mut bytes = Vec::new();
    codec::encode_into(&receipt(transferred("bob")), &mut bytes);
    bytes.push(0);
    let longer = Receipt::from_text(&armoured(head, &bytes));
    assert_eq!(longer, Err(Wrong::Malformed), "a byte behind the receipt");
    bytes.pop();
    assert!(Receipt::from_text(&armoured(head, &bytes)).is_ok());
    for (text, expected) in [
        (String::new(), Wrong::NoBegin),
        (format!(" {text}"), Wrong::NoBegin),
        (text.replace('\n', "\r\n"), Wrong::NoBegin),
        (long, Wrong::TooLong),
        (before_end.to_owned(), Wrong::NoEnd),
        (format!("{text}\n"), Wrong::NoEnd),
        (format!("{text}{text}"), Wrong::Base64),
        (text.replace("Version: 1", "Version: 2"), Wrong::UnknownVersion),
        (without(1), Wrong::UnknownVersion),
        (text.replace("Amount: ", "Amount="), Wrong::Head(5)),
        (text.replace("Amount: ", "The amount: "), Wrong::Head(5)),
        (without(blank), Wrong::Head(blank + 1)),
        (without(blank + 1), Wrong::Malformed),
        (text.replace(END, &format!("\n{END}")), Wrong::Base64),
        (text.replace(END, &format!("AAAA\n{END}")), Wrong::Base64),
        (text.replacen(lines[blank + 1], &lines[blank + 1][1..], 1), Wrong::Base64),
        (text.replacen(lines[blank + 1], &lines[blank + 1].replace('A', "_"), 1), Wrong::Base64),
        // The same digits in other lines.
        (
            text.replacen(&lines[blank + 1][60..], &format!("\n{}", &lines[blank + 1][60..]), 1),
            Wrong::Base64,
        ),
        (text.replacen(&format!("{}\n", lines[blank + 1]), lines[blank + 1], 1), Wrong::Base64),
        (format!("{BEGIN}\nVersion: 1\n\n{END}\n"), Wrong::Malformed),
    ] {
        assert_eq!(Receipt::from_text(&text), Err(expected), "{text}");
    }
    assert!(Receipt::from_text(text.trim_end()).is_ok(), "the last line end may be missing");
}

fn armoured(head: &str, bytes: &[u8]) -> String {
    let digits = STANDARD.encode(bytes).into_bytes();
    let lines = digits.chunks(LINE_CHARS).map(|line| std::str::from_utf8(line).expect("ASCII"));
    format!("{head}\n\n{}\n{END}\n", lines.collect::<Vec<_>>().join("\n"))
}
