//! What a person or a script can say: lines in, commands out.

use std::time::Duration;

use wire::amount::ParseAmountError;
use wire::ids::P2pPortError;
use wire::username::UsernameError;
use wire::{Amount, P2pPort, Username};

/// How long `wait` waits unless it is told.
const WAIT_DEFAULT: Duration = Duration::from_mins(1);
/// A day: a script that waits longer has forgotten what for.
const WAIT_SECONDS_MAX: u64 = 86_400;

/// A line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Log in and listen; without a name as the account that the program was started for, and on
    /// the port that it was started for.
    LogIn {
        name: Option<Username>,
        port: Option<u16>,
    },
    Register(Option<Username>),
    List,
    Pay {
        payee: Username,
        amount: Amount,
    },
    Balance,
    /// Wait until a payment has come in that no earlier `wait` has waited for.
    Wait(Duration),
    Help,
    Exit,
}

/// A command as the help shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verb {
    /// The menu's letter, where it has one.
    pub(super) letter: Option<&'static str>,
    pub(super) word: &'static str,
    pub(super) arguments: &'static str,
    pub(super) meaning: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    LogIn,
    Register,
    List,
    Pay,
    Balance,
    Wait,
    Help,
    Exit,
}

const fn verb(
    letter: Option<&'static str>,
    word: &'static str,
    arguments: &'static str,
    meaning: &'static str,
    kind: Kind,
) -> Verb {
    Verb { letter, word, arguments, meaning, kind }
}

/// Every command, in the order of the menu.
pub(super) const VERBS: [Verb; 9] = [
    verb(Some("a"), "login", "[NAME] [PORT]", "log in and listen for payments", Kind::LogIn),
    verb(Some("b"), "register", "[NAME]", "open an account", Kind::Register),
    verb(Some("c"), "list", "", "my balance and who is online", Kind::List),
    verb(Some("d"), "pay", "NAME AMOUNT", "pay somebody who is online", Kind::Pay),
    verb(Some("e"), "exit", "", "leave", Kind::Exit),
    verb(None, "quit", "", "leave", Kind::Exit),
    verb(None, "balance", "", "my balance", Kind::Balance),
    verb(None, "wait", "[SECONDS]", "wait for the next payment to me", Kind::Wait),
    verb(None, "help", "", "show this", Kind::Help),
];

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    #[error("there is no command '{0}'")]
    Unknown(String),
    #[error("'{}' needs {}", .0.word, .0.arguments)]
    TooFew(Verb),
    #[error("'{}' takes {}", .0.word, if .0.arguments.is_empty() { "nothing" } else { .0.arguments })]
    TooMany(Verb),
    #[error("'{text}' cannot be a name: {reason}")]
    Name { text: String, reason: UsernameError },
    #[error("'{text}' cannot be an amount: {reason}")]
    Amount { text: String, reason: ParseAmountError },
    #[error("'{text}' cannot be a port: {reason}, or 0 for any free one")]
    Port { text: String, reason: P2pPortError },
    #[error("'{0}' is not a number of seconds from 1 to {WAIT_SECONDS_MAX}")]
    Seconds(String),
}

impl CommandError {
    /// What to type instead.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Unknown(word) => match closest(word) {
                Some(verb) => format!("did you mean '{}'? 'help' shows all commands", verb.word),
                None => "'help' shows all commands".into(),
            },
            Self::TooFew(verb) | Self::TooMany(verb) => {
                format!("write: {}", format!("{} {}", verb.word, verb.arguments).trim_end())
            }
            Self::Name { .. } => "a name is 1 to 32 characters, such as alice".into(),
            Self::Amount { .. } => "an amount is a whole number of credits, such as 10".into(),
            Self::Port { .. } => "write: login alice 7001".into(),
            Self::Seconds(_) => "write: wait 60".into(),
        }
    }
}

/// Reads one line. Blank lines and those that begin with `#` say nothing.
pub(super) fn parse(line: &str) -> Result<Option<Command>, CommandError> {
    let mut words = line.split_whitespace();
    let Some(word) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let verb = find(word).ok_or_else(|| CommandError::Unknown(word.to_owned()))?;
    let arguments: Vec<&str> = words.collect();
    let too_few = || CommandError::TooFew(verb);
    let command = match (verb.kind, arguments.as_slice()) {
        // A name is never digits only, so this can only be a port.
        (Kind::LogIn, [port]) if is_digits(port) => {
            Command::LogIn { name: None, port: Some(parse_port(port)?) }
        }
        (Kind::LogIn, [] | [_] | [_, _]) => Command::LogIn {
            name: arguments.first().map(|text| parse_name(text)).transpose()?,
            port: arguments.get(1).map(|text| parse_port(text)).transpose()?,
        },
        (Kind::Register, [] | [_]) => {
            Command::Register(arguments.first().map(|text| parse_name(text)).transpose()?)
        }
        (Kind::Pay, [payee, amount]) => {
            Command::Pay { payee: parse_name(payee)?, amount: parse_amount(amount)? }
        }
        (Kind::Pay, [] | [_]) => return Err(too_few()),
        (Kind::Wait, []) => Command::Wait(WAIT_DEFAULT),
        (Kind::Wait, [seconds]) => Command::Wait(parse_seconds(seconds)?),
        (Kind::List, []) => Command::List,
        (Kind::Balance, []) => Command::Balance,
        (Kind::Help, []) => Command::Help,
        (Kind::Exit, []) => Command::Exit,
        _ => return Err(CommandError::TooMany(verb)),
    };
    Ok(Some(command))
}

/// Something to ask a person for, if the line does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Name,
    /// An empty answer means the port that the program was started for.
    Port,
    Payee,
    Amount,
}

/// What the line leaves open. The answers, put behind the line one by one, complete it.
pub(super) fn questions(line: &str, has_default_name: bool) -> &'static [Question] {
    let mut words = line.split_whitespace();
    let Some(verb) = words.next().and_then(find) else { return &[] };
    match (verb.kind, words.count()) {
        (Kind::LogIn, 0) if !has_default_name => &[Question::Name, Question::Port],
        (Kind::Register, 0) if !has_default_name => &[Question::Name],
        (Kind::Pay, 0) => &[Question::Payee, Question::Amount],
        (Kind::Pay, 1) => &[Question::Amount],
        _ => &[],
    }
}

/// Judges one answer before the next question is asked.
pub(super) fn check_answer(question: Question, answer: &str) -> Result<(), CommandError> {
    match question {
        Question::Name | Question::Payee => parse_name(answer).map(drop),
        Question::Port => parse_port(answer).map(drop),
        Question::Amount => parse_amount(answer).map(drop),
    }
}

fn find(word: &str) -> Option<Verb> {
    let is_it = |verb: &&Verb| {
        verb.word.eq_ignore_ascii_case(word)
            || verb.letter.is_some_and(|letter| letter.eq_ignore_ascii_case(word))
    };
    VERBS.iter().find(is_it).copied()
}

/// The one command that begins so, or that is one slip of a finger away.
fn closest(word: &str) -> Option<Verb> {
    let word = word.to_ascii_lowercase();
    let near = |verb: &&Verb| {
        (word.len() >= 2 && verb.word.starts_with(&word)) || one_slip_apart(verb.word, &word)
    };
    VERBS.iter().find(near).copied()
}

/// One letter more, less, other, or two swapped.
fn one_slip_apart(left: &str, right: &str) -> bool {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let same = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let (left, right) = (&left[same..], &right[same..]);
    match (left, right) {
        ([], [_]) | ([_], []) => true,
        ([_, left_rest @ ..], [_, right_rest @ ..]) => {
            left_rest == right_rest
                || left_rest == right
                || left == right_rest
                || (left.len() == right.len()
                    && left.len() >= 2
                    && left[0] == right[1]
                    && left[1] == right[0]
                    && left[2..] == right[2..])
        }
        _ => false,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_name(text: &str) -> Result<Username, CommandError> {
    text.parse().map_err(|reason| CommandError::Name { text: text.to_owned(), reason })
}

fn parse_amount(text: &str) -> Result<Amount, CommandError> {
    text.parse().map_err(|reason| CommandError::Amount { text: text.to_owned(), reason })
}

fn parse_port(text: &str) -> Result<u16, CommandError> {
    if text == "0" {
        return Ok(0);
    }
    let port = text.parse::<P2pPort>().map(P2pPort::get);
    port.map_err(|reason| CommandError::Port { text: text.to_owned(), reason })
}

fn parse_seconds(text: &str) -> Result<Duration, CommandError> {
    match text.parse() {
        Ok(seconds @ 1..=WAIT_SECONDS_MAX) if is_digits(text) => Ok(Duration::from_secs(seconds)),
        _ => Err(CommandError::Seconds(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        text.parse().expect("a valid name")
    }

    #[test]
    fn one_line_a_row() {
        let log_in = |who: Option<&str>, port| Command::LogIn { name: who.map(name), port };
        let pay =
            |payee, credits| Command::Pay { payee: name(payee), amount: Amount::new(credits) };
        let wait = |seconds| Command::Wait(Duration::from_secs(seconds));
        for (line, expected) in [
            ("", None),
            ("   \t", None),
            ("# pay bob 10", None),
            ("#", None),
            ("a", Some(log_in(None, None))),
            ("A alice", Some(log_in(Some("alice"), None))),
            ("login alice 7001", Some(log_in(Some("alice"), Some(7001)))),
            ("login 7001", Some(log_in(None, Some(7001)))),
            ("login alice 0", Some(log_in(Some("alice"), Some(0)))),
            ("  Login\talice  65535 ", Some(log_in(Some("alice"), Some(65535)))),
            ("b", Some(Command::Register(None))),
            ("b alice", Some(Command::Register(Some(name("alice"))))),
            ("register alice", Some(Command::Register(Some(name("alice"))))),
            ("c", Some(Command::List)),
            ("list", Some(Command::List)),
            ("d bob 10", Some(pay("bob", 10))),
            ("pay bob 18446744073709551615", Some(pay("bob", u64::MAX))),
            ("e", Some(Command::Exit)),
            ("exit", Some(Command::Exit)),
            ("QUIT", Some(Command::Exit)),
            ("balance", Some(Command::Balance)),
            ("help", Some(Command::Help)),
            ("wait", Some(wait(60))),
            ("wait 5", Some(wait(5))),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn one_mistake_a_row_and_what_to_do_about_it() {
        for (line, said, hint) in [
            ("dance", "there is no command 'dance'", "'help' shows all commands"),
            ("pya bob 10", "there is no command 'pya'", "did you mean 'pay'?"),
            ("lis", "there is no command 'lis'", "did you mean 'list'?"),
            ("bal", "there is no command 'bal'", "did you mean 'balance'?"),
            ("lst", "there is no command 'lst'", "did you mean 'list'?"),
            ("pay", "'pay' needs NAME AMOUNT", "write: pay NAME AMOUNT"),
            ("d bob", "'pay' needs NAME AMOUNT", "write: pay NAME AMOUNT"),
            ("pay bob 10 now", "'pay' takes NAME AMOUNT", "write: pay NAME AMOUNT"),
            ("list all", "'list' takes nothing", "write: list"),
            ("login a 1 2", "'login' takes [NAME] [PORT]", "write: login [NAME] [PORT]"),
            ("pay bob -5", "'-5' cannot be an amount", "a whole number"),
            ("pay bob +5", "'+5' cannot be an amount", "a whole number"),
            ("pay bob 1.5", "'1.5' cannot be an amount", "a whole number"),
            ("pay bob 1e3", "'1e3' cannot be an amount", "a whole number"),
            ("pay bob 18446744073709551616", "an amount is at most 18446744073709551615", "whole"),
            ("pay b#b 5", "'b#b' cannot be a name: a name holds no '#'", "such as alice"),
            ("register 123", "'123' cannot be a name", "such as alice"),
            ("register EXIT", "'EXIT' cannot be a name", "such as alice"),
            ("login alice 70000", "'70000' cannot be a port", "login alice 7001"),
            ("login alice abc", "'abc' cannot be a port", "login alice 7001"),
            ("login 70000", "'70000' cannot be a port", "login alice 7001"),
            ("login alice -1", "'-1' cannot be a port", "login alice 7001"),
            ("wait 0", "'0' is not a number of seconds", "wait 60"),
            ("wait 86401", "'86401' is not a number of seconds", "wait 60"),
            ("wait +5", "'+5' is not a number of seconds", "wait 60"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.to_string().contains(said), "{line:?}: {error}");
            assert!(error.hint().contains(hint), "{line:?}: {}", error.hint());
        }
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        use Question::{Amount, Name, Payee, Port};
        for (line, has_default_name, expected) in [
            ("a", false, &[Name, Port][..]),
            ("a", true, &[]),
            ("login", false, &[Name, Port]),
            ("login alice", false, &[]),
            ("b", false, &[Name]),
            ("b", true, &[]),
            ("d", false, &[Payee, Amount]),
            ("pay", true, &[Payee, Amount]),
            ("pay bob", true, &[Amount]),
            ("pay bob 10", true, &[]),
            ("list", false, &[]),
            ("nonsense", false, &[]),
            ("", false, &[]),
        ] {
            assert_eq!(questions(line, has_default_name), expected, "{line:?}");
        }
        assert_eq!(check_answer(Payee, "bob"), Ok(()));
        assert_eq!(check_answer(Port, "0"), Ok(()));
        assert!(check_answer(Name, "b#b").is_err());
        assert!(check_answer(Amount, "-1").is_err());
        assert!(check_answer(Port, "x").is_err());
    }
}
