//! Sessions that send many requests at once, while somebody else waits for few payments.

use super::super::conversation::SHARED_ROUND_MAX;
use super::*;
use crate::limits::{FEW_IN_A_ROW, Sharing};

const MANY: usize = 1000;
const PAY: &str = "alice#1#bob";

/// Who is logged in as `bob` and is paid by `alice`.
fn logged_in(sharing: &Arc<Sharing>) -> Conversation {
    let limits = SessionLimits { sharing: Arc::clone(sharing), ..SessionLimits::default() };
    let peer = [127, 0, 0, 1].into();
    let mut conversation = Conversation::new(settings(Dialect::Seed).rules, Arc::new(limits), peer);
    conversation.ask(vec![TextRequest::parse("bob#7002")]);
    let next = conversation.next(Instant::now(), &mut Vec::new());
    assert!(matches!(next, Next::LogIn { .. }));
    conversation.logged_in("bob".parse().expect("a valid name"), Ok(AccountId::new(1)));
    conversation
}

/// How many commands are in the next round.
fn round(conversation: &mut Conversation, now: Instant) -> Option<usize> {
    match conversation.next(now, &mut Vec::new()) {
        Next::Round(round) => Some(round.commands.len()),
        Next::Idle => None,
        next => panic!("a round, not {next:?}"),
    }
}

/// How many commands are in each round of so many such requests.
fn rounds(
    conversation: &mut Conversation,
    request: &str,
    count: usize,
    now: Instant,
) -> Vec<usize> {
    conversation.ask(vec![TextRequest::parse(request); count]);
    std::iter::from_fn(|| round(conversation, now)).collect()
}

#[test]
fn while_somebody_waits_for_single_payments_others_have_short_rounds() {
    let (sharing, now) = (Arc::default(), Instant::now());
    let (mut few, mut many) = (logged_in(&sharing), logged_in(&sharing));
    assert_eq!(rounds(&mut many, PAY, MANY, now), [MANY]);
    for _ in 0..FEW_IN_A_ROW {
        assert_eq!(rounds(&mut few, PAY, 1, now), [1]);
    }
    let shared =
        [SHARED_ROUND_MAX, SHARED_ROUND_MAX, SHARED_ROUND_MAX, MANY - 3 * SHARED_ROUND_MAX];
    assert_eq!(rounds(&mut many, PAY, MANY, now), shared);

    // A list ends a round as ever, and what is left when nobody waits any more is one.
    let mut requests = vec![TextRequest::parse(PAY); MANY];
    requests[SHARED_ROUND_MAX + 9] = TextRequest::parse("List");
    many.ask(requests);
    assert_eq!(round(&mut many, now), Some(SHARED_ROUND_MAX));
    assert_eq!(round(&mut many, now), Some(10));
    let later = now + Duration::from_secs(1);
    assert_eq!(round(&mut many, later), Some(MANY - SHARED_ROUND_MAX - 10));
    assert_eq!(round(&mut many, later), None);
}

/// What is sent without end is cut into reads anyhow, and some of them are short; and who looks at lists, or opens
/// accounts, does not pay.
#[test]
fn nobody_stands_back_for_pieces_of_many_payments_nor_for_other_requests() {
    let (sharing, now) = (Arc::default(), Instant::now());
    let (mut other, mut many) = (logged_in(&sharing), logged_in(&sharing));
    for _ in 0..3 {
        for _ in 1..FEW_IN_A_ROW {
            assert_eq!(rounds(&mut other, PAY, 1, now), [1]);
        }
        assert_eq!(rounds(&mut other, PAY, MANY, now), [MANY]);
    }
    for request in ["List", "REGISTER#carol", "nonsense"] {
        for _ in 0..FEW_IN_A_ROW {
            rounds(&mut other, request, 1, now);
        }
    }
    // One payment among much that asks for nothing.
    for _ in 0..FEW_IN_A_ROW {
        other.ask([vec![TextRequest::parse(PAY)], vec![TextRequest::parse("x"); 4]].concat());
        assert_eq!(round(&mut other, now), Some(1));
        assert_eq!(round(&mut other, now), None);
    }
    assert_eq!(rounds(&mut many, PAY, MANY, now), [MANY]);
}
