use proptest::prelude::*;
use wire::{AccountId, Amount, Authority, Entry, Refusal};

use super::*;
use crate::secure_wallet::tests::world::{DAWN, alice, key, seal, server_key, ten_for_bob};

const NOT_AFTER: u64 = DAWN + 60_000;

fn order() -> VerifiedOrder {
    ten_for_bob(Timestamp::new(NOT_AFTER)).sign_as_payer(alice().sealing_key())
}

fn signed() -> Box<SignedOrder> {
    Box::new(order().into_signed())
}

/// By this server: settled.
fn receipt(server: &ed25519_zebra::SigningKey) -> Box<Receipt> {
    let (payer, payee) = (AccountId::new(0), AccountId::new(1));
    let authority = Authority::Order(signed());
    let entry = Entry::Transferred { payer, payee, amount: Amount::new(10), authority };
    Box::new(seal(server, EntryNumber::new(9), DAWN, entry))
}

fn refusal() -> Box<Receipt> {
    let refusal = Refusal::InsufficientBalance;
    let entry = Entry::OrderRefused { payer: AccountId::new(0), order: signed(), refusal };
    Box::new(seal(&server_key(), EntryNumber::new(9), DAWN, entry))
}

/// What happens, each under the name that the table calls it.
fn happened(what: &str) -> Happened {
    let no = || "no".to_owned();
    let decided = |receipt| OrderAnswer::Decided { replayed: false, receipt };
    let answered = |answer| Happened::Submitted(Asked::Answer(answer));
    let not_taken = |problem| answered(OrderAnswer::NotTaken(problem));
    let status = |status, now| Happened::Status(Asked::Answer((status, Timestamp::new(now))));
    match what {
        "connected" => Happened::Connected,
        "payee: paid" => Happened::Payee(Ok(PayeeAnswer::Decided(receipt(&server_key())))),
        "payee: refused" => Happened::Payee(Ok(PayeeAnswer::Decided(refusal()))),
        "payee lies" => Happened::Payee(Ok(PayeeAnswer::Decided(receipt(&key(0xEE))))),
        "payee declines" => Happened::Payee(Ok(PayeeAnswer::Declined(no()))),
        "payee knows not" => Happened::Payee(Ok(PayeeAnswer::Unknown)),
        "payee unreachable" => Happened::Payee(Err(DeliverError::Unreachable(no()))),
        "payee silent" => Happened::Payee(Err(DeliverError::Silent(no()))),
        "dialer full" => Happened::Payee(Err(DeliverError::Full)),
        "wrong key" => {
            let found = wire::signature::public_key(&key(0xEE));
            Happened::Payee(Err(DeliverError::WrongKey { found }))
        }
        "submitted: paid" => answered(decided(receipt(&server_key()))),
        "submitted: refused" => answered(decided(refusal())),
        "submitted: lie" => answered(decided(receipt(&key(0xEE)))),
        "submitted: busy" => not_taken(OrderProblem::Busy),
        "submitted: not party" => not_taken(OrderProblem::NotParty),
        "submitted: conflict" => not_taken(OrderProblem::Conflict),
        "submitted: expired" => not_taken(OrderProblem::Expired),
        "submitted: problem" => Happened::Submitted(Asked::Problem(Problem::Busy)),
        "submitted: busy for" => {
            Happened::Submitted(Asked::Problem(Problem::BusyFor { wait_ms: 7000 }))
        }
        "submitted: silence" => Happened::Submitted(Asked::Unanswered(no())),
        "submitted: unsent" => Happened::Submitted(Asked::Unsent(no())),
        "status: paid" => status(OrderStatus::Decided(receipt(&server_key())), DAWN),
        "status: lie" => status(OrderStatus::Decided(receipt(&key(0xEE))), DAWN),
        "status: unknown" => status(OrderStatus::Unknown, NOT_AFTER),
        "status: expired" => status(OrderStatus::Unknown, NOT_AFTER + 1),
        "status: busy for ever" => {
            Happened::Status(Asked::Problem(Problem::BusyFor { wait_ms: u32::MAX }))
        }
        "status: silence" => Happened::Status(Asked::Unanswered(no())),
        "said decided" => Happened::SaidDecided,
        "key retired" => Happened::KeyRetired,
        "retry due" => Happened::RetryDue,
        "not kept" => Happened::NotKept(no()),
        other => panic!("{other}"),
    }
}

/// The actions in words, as the table has them.
fn words(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::Deliver => "deliver".to_owned(),
        Action::Submit => "submit".to_owned(),
        Action::AskStatus => "ask".to_owned(),
        Action::RetryIn(delay) => format!("wait {}", delay.as_secs()),
        Action::TellChecking(_) => "tell".to_owned(),
        Action::TellKeyMismatch(_) => "warn!".to_owned(),
        Action::Warn(_) => "log".to_owned(),
        Action::Close(outcome) => match outcome.state() {
            crate::messages::PaymentState::Paid => "PAID".to_owned(),
            crate::messages::PaymentState::Refused(_) => "REFUSED".to_owned(),
            crate::messages::PaymentState::Dead(_) => "DEAD".to_owned(),
            crate::messages::PaymentState::Open | crate::messages::PaymentState::OutOfReach => {
                "OPEN?".to_owned()
            }
        },
    };
    actions.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Lets it hear this, with nothing verified before.
fn handle(machine: &mut PaymentMachine, happened: Happened) -> Vec<Action> {
    machine.handle(happened, &mut VerifiedHeaders::default())
}

/// From the outbox; being delivered; the same while the server is asked; submitted; asked about; waiting
/// after a silence; being delivered when the server says that it is decided.
fn machines() -> [PaymentMachine; 7] {
    let begun = |deliver| {
        let mut machine = PaymentMachine::new(order());
        handle(&mut machine, Happened::Begun { deliver });
        machine
    };
    let then = |mut machine: PaymentMachine, what| {
        handle(&mut machine, happened(what));
        machine
    };
    [
        PaymentMachine::new(order()),
        begun(true),
        then(then(begun(true), "said decided"), "retry due"),
        begun(false),
        then(PaymentMachine::new(order()), "connected"),
        then(begun(false), "submitted: silence"),
        then(begun(true), "said decided"),
    ]
}

/// Every event in every state, in the order of [`machines`].
#[test]
fn one_event_a_row() {
    let but_sixth = |all, sixth| [all, all, all, all, all, sixth, all];
    let waits = |sixth| but_sixth("tell, wait 1", sixth);
    let lies = |sixth| but_sixth("log, tell, wait 1", sixth);
    let alone = ["ask", "submit", "", "", "", "ask", "ask"];
    for (what, expected) in [
        ("connected", ["ask", "", "", "", "", "ask", "ask"]),
        ("payee: paid", ["PAID"; 7]),
        ("payee: refused", ["REFUSED"; 7]),
        ("payee lies", ["log, ask", "log, submit", "log", "log", "log", "log, ask", "log, ask"]),
        ("payee declines", alone),
        ("payee knows not", alone),
        ("payee unreachable", alone),
        ("payee silent", alone),
        ("dialer full", alone),
        (
            "wrong key",
            ["warn!, ask", "warn!, submit", "warn!", "warn!", "warn!", "warn!, ask", "warn!, ask"],
        ),
        ("submitted: paid", ["PAID"; 7]),
        ("submitted: refused", ["REFUSED"; 7]),
        ("submitted: lie", lies("log, wait 2")),
        ("submitted: busy", waits("wait 2")),
        ("submitted: not party", waits("wait 2")),
        ("submitted: conflict", ["DEAD"; 7]),
        ("submitted: expired", ["DEAD"; 7]),
        ("submitted: problem", waits("wait 2")),
        ("submitted: busy for", but_sixth("tell, wait 7", "wait 7")),
        ("submitted: silence", waits("wait 2")),
        ("submitted: unsent", waits("wait 2")),
        ("status: paid", ["PAID"; 7]),
        ("status: lie", lies("log, wait 2")),
        ("status: unknown", ["submit", "", "", "submit", "submit", "submit", ""]),
        ("status: expired", ["DEAD"; 7]),
        ("status: busy for ever", but_sixth("tell, wait 60", "wait 60")),
        ("status: silence", waits("wait 2")),
        ("said decided", ["ask", "wait 1", "", "", "", "ask", "ask"]),
        ("key retired", ["ask", "ask", "", "", "", "ask", "ask"]),
        ("retry due", ["ask", "", "", "", "", "ask", "ask"]),
        ("not kept", waits("wait 2")),
    ] {
        let found = machines().map(|mut machine| words(&handle(&mut machine, happened(what))));
        assert_eq!(found, expected, "{what}");
    }
}

/// The server says "decided", and the payee, who has the proof, says nothing: the server is asked for it.
#[test]
fn a_payee_who_keeps_the_proof_is_not_waited_for_long() {
    let [.., mut waiting] = machines();
    assert_eq!(words(&handle(&mut waiting, happened("retry due"))), "ask");
    assert_eq!(words(&handle(&mut waiting, happened("status: paid"))), "PAID");
}

/// The server says "decided" while an older answer is on its way: it is asked once more.
#[test]
fn an_answer_that_may_be_too_old_is_asked_for_again() {
    let [_, _, mut delivering, _, mut asking, ..] = machines();
    for machine in [&mut delivering, &mut asking] {
        assert_eq!(words(&handle(machine, happened("said decided"))), "");
        assert_eq!(words(&handle(machine, happened("status: unknown"))), "ask");
    }
    assert_eq!(words(&handle(&mut delivering, happened("status: unknown"))), "");
    assert_eq!(words(&handle(&mut asking, happened("status: unknown"))), "submit");
}

#[test]
fn the_time_between_two_questions_grows_and_ends() {
    let mut machine = PaymentMachine::new(order());
    let waits: Vec<_> =
        (0..9).map(|_| words(&handle(&mut machine, happened("status: silence")))).collect();
    assert_eq!(waits[0], "tell, wait 1");
    assert_eq!(waits[1..], [2, 4, 8, 16, 32, 60, 60, 60].map(|wait| format!("wait {wait}")));
    handle(&mut machine, Happened::Connected);
    assert_eq!(words(&handle(&mut machine, happened("status: silence"))), "wait 1");
}

/// What happens when nobody can prove anything.
const PROOFLESS: [&str; 20] = [
    "connected",
    "payee lies",
    "payee declines",
    "payee knows not",
    "payee unreachable",
    "payee silent",
    "dialer full",
    "wrong key",
    "submitted: lie",
    "submitted: busy",
    "submitted: not party",
    "submitted: problem",
    "submitted: silence",
    "submitted: unsent",
    "status: lie",
    "status: unknown",
    "status: silence",
    "said decided",
    "key retired",
    "retry due",
];

proptest! {
    /// Whatever happens, and in whatever order: without a proof nothing ends, and the payment never
    /// stands still with nobody to wake it.
    #[test]
    fn without_proof_a_payment_goes_on(
        deliver: bool,
        story in prop::collection::vec(0..PROOFLESS.len(), 0..40),
    ) {
        let mut machine = PaymentMachine::new(order());
        handle(&mut machine, Happened::Begun { deliver });
        for what in story {
            let was_waiting = machine.server == Server::Waiting;
            let actions = handle(&mut machine, happened(PROOFLESS[what]));
            let closes = actions.iter().any(|action| matches!(action, Action::Close(_)));
            prop_assert!(!closes, "{}", PROOFLESS[what]);
            prop_assert!(machine.delivering || machine.server != Server::Idle);
            let is_timed = actions.iter().any(|action| matches!(action, Action::RetryIn(_)));
            let is_waiting = machine.server == Server::Waiting;
            prop_assert!(!is_waiting || is_timed || was_waiting);
        }
        let actions = handle(&mut machine, happened("status: paid"));
        prop_assert!(matches!(actions.as_slice(), [Action::Close(_)]));
    }
}
