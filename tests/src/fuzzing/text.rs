//! The text protocol, from both of its sides and between peers.

use wire::text::peer::{NotAPayment, PaymentReader};
use wire::text::reader::{Expected, Heard, ReplyReader, ReplyTooLong, ServerReply};
use wire::text::reply::{write_list_head, write_list_line};
use wire::text::{Framer, TextPayment, TextRequest, Violation, framing, list, wording};
use wire::{P2pPort, PublicKey};

use super::cuts::segments;

/// What a client may wait for, by the first byte of the input.
const EXPECTED: [Option<Expected>; 5] = [
    None,
    Some(Expected::Verdict),
    Some(Expected::List),
    Some(Expected::ListAtLast),
    Some(Expected::Bye),
];

/// The first byte says what a client waits for, the second how the rest is cut.
pub(super) fn run(input: &[u8]) {
    let [expected, seed, bytes @ ..] = input else { return };
    let expected = EXPECTED[usize::from(*expected) % EXPECTED.len()];
    let cut = segments(bytes, *seed);

    let (asked, end) = requests(&[bytes]);
    assert_eq!(requests(&cut), (asked.clone(), end), "requests");
    for request in &asked {
        check_request(request);
    }

    assert_eq!(payment(&cut), payment(&[bytes]), "payment of a peer");

    let said = replies(expected, &[bytes]);
    assert_eq!(replies(expected, &cut), said, "replies");
    for heard in said.0 {
        if let Heard::Reply(ServerReply::List(list)) = heard {
            check_list(&list);
        }
    }
}

/// What a server hears, and how it ends.
fn requests(segments: &[&[u8]]) -> (Vec<String>, Result<(), Violation>) {
    let mut framer = Framer::default();
    let mut requests = Vec::new();
    let mut take = |request: &str| requests.push(request.to_owned());
    let fed = segments.iter().try_for_each(|segment| framer.feed(segment, &mut take));
    let end = fed.and_then(|()| framer.end(&mut take));
    (requests, end)
}

fn check_request(text: &str) {
    assert!(text.len() <= framing::REQUEST_BYTES_MAX);
    let parsed = TextRequest::parse(text);
    let Ok(request) = parsed else { return };
    let written = request.to_string();
    assert!(written.len() <= text.len(), "{text:?} grows to {written:?}");
    assert_eq!(TextRequest::parse(&written), Ok(request), "{text:?}");
}

/// What a payee takes from a peer.
fn payment(segments: &[&[u8]]) -> Result<Option<TextPayment>, NotAPayment> {
    let mut reader = PaymentReader::default();
    for segment in segments {
        if let Some(payment) = reader.feed(segment)? {
            return Ok(Some(payment));
        }
    }
    reader.quiet()
}

/// What a client hears, and what it makes of the rest.
fn replies(
    expected: Option<Expected>,
    segments: &[&[u8]],
) -> (Vec<Heard>, Result<Option<ServerReply>, ReplyTooLong>) {
    let mut reader = ReplyReader::default();
    if let Some(expected) = expected {
        reader.expect(expected);
    }
    let mut heard = Vec::new();
    for segment in segments {
        match reader.feed(segment) {
            Ok(more) => heard.extend(more),
            Err(too_long) => return (heard, Err(too_long)),
        }
    }
    for heard in &heard {
        if let Heard::TransferResult { line, .. } | Heard::Said(line) = heard {
            assert!(!line.is_empty() && line.trim() == line);
            assert!(!(wording::leaves_open_which(line) && line.contains('#')), "{line:?}");
        }
    }
    let rest = reader.give_up();
    (heard, Ok(rest))
}

/// A list that some server has written is the same list when Mite's server writes it.
fn check_list(list: &list::AccountList) {
    let key = PublicKey::new([7; 32]);
    let mut bytes = Vec::new();
    write_list_head(list.balance, &key, list.online.len(), &mut bytes);
    let mut lines = String::new();
    for user in &list.online {
        let port = P2pPort::try_from(user.address.port()).expect("a list holds ports");
        write_list_line(&user.name, user.address.ip(), port, &mut lines);
    }
    bytes.extend(lines.into_bytes());
    let (heard, _) = replies(Some(Expected::List), &[&bytes]);
    let [Heard::Reply(ServerReply::List(again))] = heard.as_slice() else {
        panic!("no list: {heard:?}");
    };
    assert_eq!((again.balance, &again.server_key), (list.balance, &Some(key.to_string())));
    let of = |list: &list::AccountList| -> Vec<_> {
        let users = list.online.iter();
        users.map(|user| (user.name.clone(), user.address.ip().to_canonical())).collect()
    };
    assert_eq!(of(again), of(list));
}
