use wire::{Amount, PublicKey, Username};

use super::*;

fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

fn key(byte: u8) -> PublicKey {
    PublicKey::new([byte; 32])
}

#[test]
fn each_failure_says_what_to_do() {
    let unreachable = || PayError::Connect(ConnectError::Unreachable("refused\u{1b}[2J".into()));
    let refused = |problem| PayError::Connect(ConnectError::Refused(problem));
    let problem = PayError::Problem;
    let silent = || PayError::ServerSilent("timed out".into());
    let balance = Amount::new(5);
    for (error, request, message, hint) in [
        (unreachable(), Request::Read, "cannot be reached: refused\\u{1b}[2J", "running?"),
        (unreachable(), Request::Pay, "cannot be reached", "nothing was paid"),
        (
            PayError::Connect(ConnectError::NotMite("text".into())),
            Request::Read,
            "no Mite server of this version: text",
            "--protocol text",
        ),
        (refused(Problem::Busy), Request::Read, "refused the connection", "in a moment"),
        (refused(Problem::UnknownVersion), Request::Read, "no common version", "same version"),
        (silent(), Request::Read, "the server does not answer: timed out", "try again"),
        (silent(), Request::Register, "does not answer", "it may have been done"),
        (silent(), Request::Quote, "does not answer", "nothing was paid"),
        (silent(), Request::RotateKey, "does not answer", "both keys are kept"),
        (PayError::NoAccount, Request::Quote, "no account at the server", "register NAME"),
        (PayError::PayingOneself, Request::Quote, "same account", "'list'"),
        (PayError::NothingToPay, Request::Quote, "zero", "1 credit"),
        (PayError::MemoTooLong, Request::Quote, "longer than 256 bytes", "shorter"),
        (
            PayError::InsufficientBalance { balance, amount: Amount::new(10) },
            Request::Quote,
            "the balance is 5, which is less than 10",
            "nothing was paid",
        ),
        (PayError::UnknownPayee(name("bo\u{202e}b")), Request::Quote, "bo\\u{202e}b", "right?"),
        (PayError::TooManyOpen, Request::Pay, "too many payments are open", "nothing was paid"),
        (PayError::RotationPending(key(1)), Request::Pay, "under way", "'rotate-key'"),
        (PayError::Store("full".into()), Request::Pay, "cannot be written", "nothing was paid"),
        (
            PayError::StoreUnsure("full".into()),
            Request::Pay,
            "may be made later",
            "do not pay again",
        ),
        (problem(Problem::NoAccount), Request::Read, "no account here", "register NAME"),
        (problem(Problem::AlreadyRegistered), Request::Register, "an account already", "'id'"),
        (problem(Problem::NameNotAllowed), Request::Register, "not allowed", "one script"),
        (problem(Problem::NotLoggedIn), Request::Read, "not logged in", "login"),
        (problem(Problem::Busy), Request::Read, "busy", "in a moment"),
        (problem(Problem::BusyFor { wait_ms: 5 }), Request::Read, "in 5 ms", "in a moment"),
        (problem(Problem::Stopping), Request::Read, "stopping", "in a moment"),
        (problem(Problem::ReadOnly), Request::Register, "cannot write", "can be read"),
        (problem(Problem::OutcomeUnknown), Request::Read, "not known yet", "'history'"),
        (problem(Problem::HistoryUnavailable), Request::Read, "who runs it", "nothing is lost"),
        (problem(Problem::KeyRetired), Request::Read, "another key", "24 words"),
        (problem(Problem::KeyChangeMismatch), Request::RotateKey, "does not fit", "once more"),
        (problem(Problem::UnknownVersion), Request::Read, "version", "same version"),
        (problem(Problem::TooMany), Request::Read, "too many items", "report it"),
        (problem(Problem::InvalidSignature), Request::Read, "not valid", "report it"),
        (problem(Problem::WrongRole), Request::Read, "expected", "report it"),
        (problem(Problem::Malformed), Request::Read, "not the protocol", "report it"),
        (problem(Problem::Refused(Refusal::NameTaken)), Request::Register, "taken", "another name"),
        (
            problem(Problem::Refused(Refusal::NameTooSimilar)),
            Request::Register,
            "too similar",
            "another name",
        ),
        (problem(Problem::Refused(Refusal::KeyInUse)), Request::Register, "belongs", "'id'"),
        (problem(Problem::Refused(Refusal::KeyInUse)), Request::RotateKey, "belongs", "start"),
        (problem(Problem::Refused(Refusal::SupplyExhausted)), Request::Register, "issued", "ask"),
        (
            problem(Problem::Refused(Refusal::UnknownPayee)),
            Request::Pay,
            "payee",
            "nothing was paid",
        ),
    ] {
        let failure = pay_failure(&error, request);
        assert!(failure.message.contains(message), "{failure:?}");
        assert!(failure.hint.as_deref().unwrap_or("").contains(hint), "{failure:?}");
        assert_eq!(failure.warning, None, "{failure:?}");
    }
}

/// A goodbye that fails leaves nothing to do.
#[test]
fn a_failed_goodbye_has_no_hint() {
    assert_eq!(pay_failure(&PayError::ServerSilent("x".into()), Request::Leave).hint, None);
}

#[test]
fn other_keys_than_the_known_ones_are_loud() {
    let payee = || name("bob");
    let (known, found) = (key(1), key(2));
    for (error, title, hint) in [
        (
            PayError::PayeeKeyChanged { payee: payee(), known, found },
            "@ STOP: THE KEY OF bob HAS CHANGED\n",
            format!("trust bob {found}"),
        ),
        (
            PayError::PayeeKeyGone { payee: payee(), known },
            "@ STOP: THE KEY OF bob HAS CHANGED\n",
            "nothing can be paid to bob".into(),
        ),
        (
            PayError::Connect(ConnectError::WrongServerKey { expected: known, found }),
            "@ STOP: THE KEY OF THE SERVER HAS CHANGED\n",
            format!("--server-key {found}"),
        ),
        (
            PayError::Connect(ConnectError::NotTheGivenKey { given: known, found }),
            "@ STOP: THE SERVER HAS ANOTHER KEY THAN THE ONE THAT YOU GAVE\n",
            "--server-key".into(),
        ),
    ] {
        let gone = matches!(error, PayError::PayeeKeyGone { .. });
        let failure = pay_failure(&error, Request::Quote);
        let warning = failure.warning.expect("a warning");
        assert!(warning.contains(title), "{warning}");
        assert!(warning.contains(&known.to_string()), "{warning}");
        assert_eq!(warning.contains(&found.to_string()), !gone, "{warning}");
        let said = failure.hint.expect("a hint");
        assert!(said.contains("nothing was paid") && said.contains(&hint), "{said}");
        let given = title.contains("YOU GAVE");
        assert!(!(given && warning.contains("known from before")), "{warning}");
        assert!(warning.lines().all(|line| line.chars().count() <= 100), "{warning}");
    }
    let hint = pay_failure(
        &PayError::Connect(ConnectError::WrongServerKey { expected: known, found }),
        Request::Read,
    );
    assert!(hint.hint.expect("a hint").contains("known.keys"));
}
