//! The bytes of every frame, and the bounds of them all.
//!
//! `testdata/frames.txt` freezes one value of every kind. Programs of other versions read these bytes: a
//! line of that file never changes, and new ones are only added.

mod samples;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::samples::{NOW, longest_name, receipt};
use super::call::{
    ORDERS_PER_CALL_MAX, ORDERS_PER_CALL_MIN, PAGE_ITEMS_MAX, WATCHED_NAMES_MAX,
    orders_per_call_max,
};
use super::frame::{self, FRAME_BYTES_MAX, LENGTH_BYTES};
use super::{
    Answer, Call, Correlation, Event, HistoryEvent, OrderAnswer, OrderRef, OrderStatus, Problem,
    REQUEST_BYTES_MAX, REQUEST_BYTES_MIN, Request, Retry, ServerFrame,
};
use crate::batch::BATCH_ENTRIES_MAX;
use crate::merkle::PATH_HASHES_MAX;
use crate::order::SIGNED_ORDER_BYTES_MAX;
use crate::receipt::RECEIPT_BYTES_MAX;
use crate::{Amount, EntryNumber, Refusal};

/// One frame: its bytes, and whether others are one of the same kind.
struct Sample {
    name: String,
    content: Vec<u8>,
    decodes: fn(&[u8]) -> bool,
}

fn sample<T>(name: impl Into<String>, value: &T) -> Sample
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let content = content(value);
    let decoded: T = frame::decode(&content).expect("its own bytes");
    assert_eq!(decoded, *value);
    Sample { name: name.into(), content, decodes: |bytes| frame::decode::<T>(bytes).is_ok() }
}

fn content<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(value, &mut bytes);
    assert_eq!(frame::frame_len(&bytes).expect("a length"), Some(bytes.len()));
    bytes.split_off(LENGTH_BYTES)
}

/// A value's kind, as the first word of how it is shown.
fn kind(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn all_samples() -> Vec<Sample> {
    let mut all: Vec<Sample> =
        samples::hellos().iter().map(|(name, hello)| sample(*name, hello)).collect();
    all.extend(samples::welcomes().iter().map(|(name, welcome)| sample(*name, welcome)));
    for call in samples::calls() {
        let request = Request { correlation: Correlation(0x0102), call };
        all.push(sample(format!("call {}", kind(&request.call)), &request));
    }
    for answer in samples::answers() {
        let name = format!("answer {}", kind(&answer));
        all.push(sample(name, &samples::response(Ok(answer))));
    }
    for problem in samples::problems() {
        let name = match problem {
            Problem::Refused(refusal) => format!("problem Refused {}", kind(&refusal)),
            _ => format!("problem {}", kind(&problem)),
        };
        all.push(sample(name, &samples::response(Err(problem))));
    }
    for problem in samples::order_problems() {
        let answer = Answer::Orders(vec![OrderAnswer::NotTaken(problem)]);
        all.push(sample(
            format!("order problem {}", kind(&problem)),
            &samples::response(Ok(answer)),
        ));
    }
    for event in samples::events() {
        all.push(sample(format!("event {}", kind(&event)), &ServerFrame::Event(event)));
    }
    all.push(sample("closing", &ServerFrame::Closing(Problem::Malformed)));
    all.push(sample("payer offer", &samples::payer_frame()));
    for answer in samples::payee_answers() {
        let name = format!("payee {}", kind(&answer));
        all.push(sample(name, &samples::payee_frame(answer)));
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn every_frame_has_its_golden_bytes() {
    let written: String =
        all_samples().iter().fold(String::new(), |mut text, Sample { name, content, .. }| {
            let _ = writeln!(text, "{name}: {}", hex(content));
            text
        });
    let golden = include_str!("testdata/frames.txt");
    for (written, golden) in written.lines().zip(golden.lines()) {
        assert_eq!(written, golden);
    }
    assert_eq!(written.lines().count(), golden.lines().count(), "all of them:\n{written}");
}

/// A kind that is added must be added to the samples: this does not compile without it.
#[test]
fn there_is_a_sample_of_every_kind() {
    assert!(tags(samples::calls().iter().map(call_tag)).eq(0..=14), "calls");
    assert!(tags(samples::answers().iter().map(answer_tag)).eq(0..=14), "answers");
    assert!(tags(samples::events().iter().map(event_tag)).eq(0..=4), "events");
    let problem_tags = samples::problems().into_iter().map(|problem| tag(&problem));
    assert!(tags(problem_tags).eq(0..=20), "problems");
    let refusal_tags = samples::refusals().into_iter().map(|refusal| tag(&refusal));
    assert!(tags(refusal_tags).eq(0..=12), "refusals");
    let problem_tags = samples::order_problems().into_iter().map(|problem| tag(&problem));
    assert!(tags(problem_tags).eq(0..=15), "problems of orders");
}

fn tags(tags: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    tags.collect::<BTreeSet<_>>().into_iter()
}

/// The tag in front of an encoded enum.
fn tag<T: Serialize>(value: &T) -> u32 {
    let content = content(value);
    u32::from_le_bytes(*content.first_chunk().expect("a tag"))
}

fn call_tag(call: &Call) -> u32 {
    match call {
        Call::Register { .. }
        | Call::LogIn { .. }
        | Call::ListOnline { .. }
        | Call::FindAccount { .. }
        | Call::ReadBalance
        | Call::SubmitOrders { .. }
        | Call::OrderStatus { .. }
        | Call::SubmitText { .. }
        | Call::ReadHistory { .. }
        | Call::ReadReceipts { .. }
        | Call::Watch { .. }
        | Call::KeepOrder { .. }
        | Call::ReadOpenOrders
        | Call::ChangeKey { .. }
        | Call::LogOut => tag(call),
    }
}

fn answer_tag(answer: &Answer) -> u32 {
    match answer {
        Answer::Registered(_)
        | Answer::LoggedIn(_)
        | Answer::Online { .. }
        | Answer::Account(_)
        | Answer::Balance { .. }
        | Answer::Orders(_)
        | Answer::Statuses { .. }
        | Answer::TextSettled
        | Answer::History { .. }
        | Answer::Receipts(_)
        | Answer::Watching(_)
        | Answer::Kept
        | Answer::OpenOrders(_)
        | Answer::KeyChanged(_)
        | Answer::LoggedOut => tag(answer),
    }
}

fn event_tag(event: &Event) -> u32 {
    match event {
        Event::OrderDecided { .. }
        | Event::Received { .. }
        | Event::PeerOnline(_)
        | Event::Replaced
        | Event::Missed => tag(event),
    }
}

#[test]
fn cut_frames_and_longer_ones_are_refused() {
    for Sample { name, content, decodes } in all_samples() {
        for end in 0..content.len() {
            assert!(!decodes(&content[..end]), "{name}, cut at {end}");
        }
        for more in [0, 1, 0xFF] {
            let longer = [content.as_slice(), &[more]].concat();
            assert!(!decodes(&longer), "{name}, with {more} behind it");
        }
    }
}

/// Any length in a frame may claim anything: the answer is an error, or another value of the same
/// few bytes. (With room made for what is claimed, this test would not end.)
#[test]
fn lengths_that_lie_within_a_frame_take_no_memory() {
    for Sample { content, decodes, .. } in all_samples() {
        for at in 0..content.len().saturating_sub(8) {
            for claim in [u64::MAX, u64::MAX / 2, 1 << 40] {
                let mut lying = content.clone();
                lying[at..at + 8].copy_from_slice(&claim.to_le_bytes());
                let _ = decodes(&lying);
            }
        }
    }
    let orders =
        Request { correlation: Correlation(1), call: Call::SubmitOrders { orders: Vec::new() } };
    let mut lying = content(&orders);
    let count = lying.len() - 8;
    lying[count..].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    assert!(frame::decode::<Request>(&lying).is_err());
}

#[test]
fn the_largest_frames_fit() {
    let (payer, payee) = (longest_name(), longest_name());
    let order = samples::order(payer.clone(), payee.clone());
    assert!(content(&order).len() <= SIGNED_ORDER_BYTES_MAX, "{}", content(&order).len());
    let largest = receipt(order.clone(), PATH_HASHES_MAX);
    assert_eq!(1 << PATH_HASHES_MAX, BATCH_ENTRIES_MAX);
    assert!(content(&largest).len() <= RECEIPT_BYTES_MAX, "{}", content(&largest).len());

    // What stands around the receipts, and the receipts at the size that is claimed for them.
    let receipt = Box::new(largest);
    let bytes = content(&receipt).len();
    let decided = OrderAnswer::Decided { replayed: false, receipt: receipt.clone() };
    let status = OrderStatus::Decided(receipt.clone());
    for answer in [
        Answer::Orders(vec![decided; ORDERS_PER_CALL_MAX]),
        Answer::Statuses { statuses: vec![status; ORDERS_PER_CALL_MAX], now: NOW },
        Answer::Receipts(vec![Some(*receipt); ORDERS_PER_CALL_MAX]),
    ] {
        let around = content(&samples::response(Ok(answer))).len() - ORDERS_PER_CALL_MAX * bytes;
        assert!(around + ORDERS_PER_CALL_MAX * RECEIPT_BYTES_MAX <= FRAME_BYTES_MAX);
    }

    let items = usize::try_from(PAGE_ITEMS_MAX).expect("a small number");
    let refused = samples::item(HistoryEvent::Refused {
        payee: payee.clone(),
        amount: Amount::MAX,
        order: order.order.id,
        refusal: Refusal::PayeeKeyChanged,
    });
    for answer in [
        Answer::History { items: vec![refused; items], more: true },
        Answer::Online { peers: vec![samples::peer(payer.clone()); items], more: true },
    ] {
        assert!(content(&samples::response(Ok(answer))).len() <= 256 * items);
    }

    let reference = OrderRef { payer: payer.clone(), id: order.order.id };
    for (orders, bytes_max) in
        [(ORDERS_PER_CALL_MAX, REQUEST_BYTES_MAX), (ORDERS_PER_CALL_MIN, REQUEST_BYTES_MIN)]
    {
        for call in [
            Call::SubmitOrders { orders: vec![order.clone(); orders] },
            Call::OrderStatus { orders: vec![reference.clone(); orders] },
            Call::ReadReceipts { entries: vec![EntryNumber::new(1); orders] },
            Call::Watch { names: vec![payer.clone(); WATCHED_NAMES_MAX] },
        ] {
            let request = Request { correlation: Correlation(1), call };
            assert!(content(&request).len() <= bytes_max, "{}", kind(&request.call));
        }
        assert_eq!(orders_per_call_max(bytes_max), orders);
        assert_eq!(orders_per_call_max(bytes_max - 1), orders - 1);
    }
    assert_eq!(orders_per_call_max(usize::MAX), ORDERS_PER_CALL_MAX);
}

#[test]
fn codes_are_unique_and_stable() {
    let mut codes: Vec<(u16, Retry)> =
        samples::problems().iter().map(|problem| (problem.code(), problem.retry())).collect();
    codes.extend(samples::order_problems().iter().map(|problem| (problem.code(), problem.retry())));
    codes.sort_by_key(|(code, _)| *code);
    let numbers: Vec<u16> = codes.iter().map(|(code, _)| *code).collect();
    let expected: Vec<u16> = (1..=13).chain(100..=119).chain(200..=215).collect();
    assert_eq!(numbers, expected);
    let again: Vec<(u16, Retry)> =
        codes.into_iter().filter(|(_, retry)| *retry != Retry::Never).collect();
    let later =
        [107, 114, 116, 117, 118, 119, 204, 210, 211, 214, 215].map(|code| (code, Retry::Later));
    let same_id = [108, 115, 212].map(|code| (code, Retry::SameId));
    let mut expected = [later.as_slice(), &same_id].concat();
    expected.sort_by_key(|(code, _)| *code);
    assert_eq!(again, expected);
}

/// Each side's first frame names its role.
#[test]
fn a_hello_for_another_role_or_version_is_refused() {
    use super::hello::{Hello, PROTOCOL_VERSION, magic};
    let hello = Hello::new(magic::CLIENT);
    assert_eq!(hello.check(magic::CLIENT), Ok(PROTOCOL_VERSION));
    for other in [magic::SERVER, magic::PAYER, magic::PAYEE] {
        assert_eq!(hello.check(other), Err(Problem::WrongRole));
    }
    for (version_min, version_max, expected) in [
        (0, 0, Err(Problem::UnknownVersion)),
        (0, 1, Err(Problem::UnknownVersion)),
        (1, 1, Err(Problem::UnknownVersion)),
        (1, 9, Ok(2)),
        (2, 9, Ok(2)),
        (3, 9, Err(Problem::UnknownVersion)),
        (2, 1, Err(Problem::UnknownVersion)),
        (9, 0, Err(Problem::UnknownVersion)),
    ] {
        let hello = Hello { version_min, version_max, ..hello };
        assert_eq!(hello.check(magic::CLIENT), expected, "{version_min}..={version_max}");
    }
}
