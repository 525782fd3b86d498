//! Why the wallet did not do something, and what to do about it.

use actors::messages::{ConnectError, PayError};
use wire::Refusal;
use wire::secure::{Problem, problem::Retry};

use super::warning;
use crate::printable::printable;
use crate::terminal::view::Failure;

/// What was asked of the wallet: the same answer means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal::secure) enum Request {
    /// Something that changes nothing.
    Read,
    Register,
    LogIn,
    Quote,
    Pay,
    RotateKey,
    Leave,
}

/// Why the wallet did not do it.
pub(in crate::terminal::secure) fn pay_failure(error: &PayError, request: Request) -> Failure {
    let failure = Failure {
        warning: None,
        message: printable(error.to_string().trim_end()).into_owned(),
        hint: hint(error, request),
    };
    match error {
        PayError::PayeeKeyChanged { payee, known, found } => {
            failure.warn(warning::payee_key_changed(payee, known, Some(found)))
        }
        PayError::PayeeKeyGone { payee, known } => {
            failure.warn(warning::payee_key_changed(payee, known, None))
        }
        PayError::Connect(ConnectError::WrongServerKey { expected, found }) => {
            failure.warn(warning::server_key_changed(expected, found))
        }
        PayError::Connect(ConnectError::NotTheGivenKey { given, found }) => {
            failure.warn(warning::not_the_given_server_key(given, found))
        }
        _ => failure,
    }
}

fn hint(error: &PayError, request: Request) -> Option<String> {
    Some(match error {
        PayError::Problem(problem) => return problem_hint(*problem, request),
        PayError::Connect(error) => connect_hint(error, request),
        PayError::ServerSilent(_) => silence_hint(request)?.into(),
        PayError::NoAccount => "open an account first: register NAME".into(),
        PayError::PayingOneself => "'list' shows whom you can pay".into(),
        PayError::NothingToPay => "pay 1 credit or more".into(),
        PayError::MemoTooLong => "nothing was paid: say it shorter".into(),
        PayError::InsufficientBalance { .. } => "nothing was paid: pay less".into(),
        PayError::UnknownPayee(_) => "nothing was paid: is the name right?".into(),
        PayError::PayeeKeyChanged { payee, found, .. } => format!(
            "nothing was paid. If {} confirms exactly this key: trust {0} {found}",
            printable(payee.as_str())
        ),
        PayError::PayeeKeyGone { payee, .. } => format!(
            "nothing was paid, and nothing can be paid to {} by this wallet: an account never \
             loses its key, so ask who runs the server",
            printable(payee.as_str())
        ),
        PayError::TooManyOpen => {
            "nothing was paid: wait until some are decided, 'payments' shows them".into()
        }
        PayError::RotationPending(_) => {
            "nothing was paid: write 'rotate-key' to bring the change to its end".into()
        }
        PayError::Store(_) => {
            "nothing was paid: is the disk full, or the profile's directory not yours?".into()
        }
        PayError::StoreUnsure(_) => {
            "do not pay again: start the client again, which then says whether it was paid".into()
        }
    })
}

fn silence_hint(request: Request) -> Option<&'static str> {
    Some(match request {
        Request::Register => "it may have been done: 'id' shows whether you have the account",
        Request::Quote | Request::Pay => "nothing was paid: try again once the server is back",
        Request::RotateKey => {
            "it may have been done: write 'rotate-key' again, which finds out; both keys are kept"
        }
        Request::Read | Request::LogIn => "try again once the server is back",
        Request::Leave => return None,
    })
}

fn connect_hint(error: &ConnectError, request: Request) -> String {
    let nothing = match request {
        Request::Quote | Request::Pay => "nothing was paid: ",
        Request::Read
        | Request::Register
        | Request::LogIn
        | Request::RotateKey
        | Request::Leave => "",
    };
    match error {
        ConnectError::Unreachable(_) => {
            format!("{nothing}is the server running? payments under way are not forgotten")
        }
        ConnectError::WrongServerKey { found, .. } => format!(
            "{nothing}if who runs the server confirms exactly this key: start with --server-key \
             {found}, or take the server's line out of known.keys in your profile's directory"
        ),
        ConnectError::NotTheGivenKey { .. } => format!(
            "{nothing}is it the right server, and --server-key as who runs it says?"
        ),
        ConnectError::NotMite(_) => format!(
            "{nothing}is it a Mite server? one of the text protocol alone needs --protocol text"
        ),
        ConnectError::Refused(Problem::KeyRetired) => {
            "another device has changed the key: use the profile with the new one, or restore that from \
             the new key's 24 words; its 'history' says what became of payments that are open here"
                .into()
        }
        ConnectError::Refused(problem) => match problem.retry() {
            Retry::SameId | Retry::Later => format!("{nothing}try again in a moment"),
            Retry::Never => format!("{nothing}are client and server of the same version?"),
        },
    }
}

fn problem_hint(problem: Problem, request: Request) -> Option<String> {
    Some(match problem {
        Problem::Refused(refusal) => return refusal_hint(refusal, request),
        Problem::NoAccount => "open an account first: register NAME".into(),
        Problem::AlreadyRegistered => {
            "a key has one account: 'id' shows it; another profile has another key".into()
        }
        Problem::NameNotAllowed => "use letters of one script, digits and - _ .".into(),
        Problem::NotLoggedIn => "log in first: login".into(),
        Problem::ReadOnly => "nothing was changed: what you have can be read meanwhile".into(),
        Problem::OutcomeUnknown => "look again in a moment: 'history' says what was done".into(),
        Problem::HistoryUnavailable => "payments go on, and nothing is lost".into(),
        Problem::Busy
        | Problem::BusyFor { .. }
        | Problem::TooManySessions
        | Problem::PlaceNeeded
        | Problem::Stopping => "try again in a moment".into(),
        Problem::KeyRetired => {
            "another device has changed the key: restore this profile from the new key's 24 words"
                .into()
        }
        Problem::TextNotServed => "only programs that the server serves text may pay so".into(),
        Problem::KeyChangeMismatch => "start the client again, then try once more".into(),
        Problem::UnknownVersion => "client and server must be of the same version".into(),
        Problem::TooMany | Problem::InvalidSignature | Problem::WrongRole | Problem::Malformed => {
            "this is a mistake in the client or in the server: please report it".into()
        }
    })
}

fn refusal_hint(refusal: Refusal, request: Request) -> Option<String> {
    Some(match (refusal, request) {
        (Refusal::NameTaken | Refusal::NameTooSimilar, _) => "try another name".into(),
        (Refusal::KeyInUse, Request::Register) => {
            "a key has one account: 'id' shows it; another profile has another key".into()
        }
        (Refusal::KeyInUse, _) => "start the client again, which finds out whose it is".into(),
        (Refusal::AccountFrozen | Refusal::SupplyExhausted, _) => "ask who runs the server".into(),
        (_, Request::Quote | Request::Pay) => "nothing was paid".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
