//! Sessions that send many requests at once, while somebody else waits for few payments.

use super::super::conversation::{FEW_IN_A_ROW, SHARED_ROUND_MAX};
use super::*;
use crate::limits::Sharing;

const MANY: usize = 1000;

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

/// How many commands are in each round of so many such requests.
fn rounds(conversation: &mut Conversation, request: &str, count: usize) -> Vec<usize> {
    conversation.ask(vec![TextRequest::parse(request); count]);
    let mut rounds = Vec::new();
    loop {
        match conversation.next(Instant::now(), &mut Vec::new()) {
            Next::Round(round) => rounds.push(round.commands.len()),
            Next::Idle => return rounds,
            next => panic!("a round, not {next:?}"),
        }
    }
}

#[test]
fn while_somebody_waits_for_single_payments_others_have_short_rounds() {
    let sharing = Arc::default();
    let (mut few, mut many) = (logged_in(&sharing), logged_in(&sharing));
    assert_eq!(rounds(&mut many, "alice#1#bob", MANY), [MANY]);
    for _ in 0..FEW_IN_A_ROW {
        assert_eq!(rounds(&mut few, "alice#1#bob", 1), [1]);
    }
    let shared =
        [SHARED_ROUND_MAX, SHARED_ROUND_MAX, SHARED_ROUND_MAX, MANY - 3 * SHARED_ROUND_MAX];
    assert_eq!(rounds(&mut many, "alice#1#bob", MANY), shared);
}

/// What is sent without end is cut into reads anyhow, and some of them are short; and who looks at lists, or opens
/// accounts, does not pay.
#[test]
fn nobody_stands_back_for_pieces_of_many_payments_nor_for_other_requests() {
    let sharing = Arc::default();
    let (mut other, mut many) = (logged_in(&sharing), logged_in(&sharing));
    for _ in 0..3 {
        for _ in 1..FEW_IN_A_ROW {
            assert_eq!(rounds(&mut other, "alice#1#bob", 1), [1]);
        }
        assert_eq!(rounds(&mut other, "alice#1#bob", MANY), [MANY]);
    }
    for request in ["List", "REGISTER#carol", "nonsense"] {
        for _ in 0..FEW_IN_A_ROW {
            rounds(&mut other, request, 1);
        }
    }
    assert_eq!(rounds(&mut many, "alice#1#bob", MANY), [MANY]);
}
