//! Receipts: in binary, as text, and what they prove.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use wire::codec;
use wire::receipt::{RECEIPT_BYTES_MAX, RECEIPT_TEXT_BYTES_MAX};
use wire::{EntryNumber, Receipt};

use super::journal::past::{PAST, Past};

/// What the entries of the past are, and with what numbers.
static FACTS: LazyLock<BTreeSet<(EntryNumber, Vec<u8>)>> = LazyLock::new(|| {
    PAST.receipts.iter().map(|receipt| fact(receipt).expect("it is a good one")).collect()
});

/// The first byte says whether the rest is a text, a receipt in binary, or what becomes of a good one:
/// its number, and pairs of a place and what is there.
pub(super) fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    match kind % 3 {
        0 => check_text(&String::from_utf8_lossy(rest)),
        1 => check_bytes(rest),
        _ => {
            let [number, changes @ ..] = rest else { return };
            let receipts = &PAST.receipts;
            let mut bytes = encoded(&receipts[usize::from(*number) % receipts.len()]);
            for change in changes.chunks_exact(3) {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
                let length = bytes.len();
                bytes[place % length] ^= change[2];
            }
            check_bytes(&bytes);
        }
    }
}

fn check_text(text: &str) {
    let Ok(receipt) = Receipt::from_text(text) else { return };
    assert!(text.len() <= RECEIPT_TEXT_BYTES_MAX);
    // Nothing but the lines for people may differ, and an end of line that is not there.
    let written = check_receipt(&receipt);
    let body = |text: &str| text.trim_end().split_once("\n\n").map(|(_, body)| body.to_owned());
    assert_eq!(body(&written), body(text));
}

fn check_bytes(bytes: &[u8]) {
    let Ok(receipt) = codec::decode_exact::<RECEIPT_BYTES_MAX, Receipt>(bytes) else { return };
    assert_eq!(encoded(&receipt), bytes, "a receipt has one encoding");
    check_receipt(&receipt);
}

/// Its text.
fn check_receipt(receipt: &Receipt) -> String {
    let text = receipt.to_text();
    assert!(text.len() <= RECEIPT_TEXT_BYTES_MAX, "a text of {} bytes", text.len());
    let readable = |c: char| c == '\n' || !c.is_control();
    assert!(text.chars().all(readable), "{text:?}");
    assert_eq!(Receipt::from_text(&text).as_ref(), Ok(receipt));
    if let Some(fact) = fact(receipt) {
        assert!(FACTS.contains(&fact), "{receipt:?} is no receipt of this server's");
    }
    text
}

/// What it proves, if it proves anything.
fn fact(receipt: &Receipt) -> Option<(EntryNumber, Vec<u8>)> {
    let proven = receipt.verify(&Past::server()).ok()?;
    let mut entry = Vec::new();
    codec::encode_into(proven.entry, &mut entry);
    Some((proven.number, entry))
}

fn encoded(receipt: &Receipt) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_into(receipt, &mut bytes);
    bytes
}
