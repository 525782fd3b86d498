//! What the commands of both protocols have in common: how a line is read, what can be wrong with
//! it, and what is asked for when it leaves something open.

use std::time::Duration;

use wire::amount::ParseAmountError;
use wire::ids::P2pPortError;
use wire::username::UsernameError;
use wire::{Amount, P2pPort, Username};

/// How long `wait` waits unless it is told.
const WAIT_DEFAULT: Duration = Duration::from_mins(1);
/// A day: a script that waits longer has forgotten what for.
const WAIT_SECONDS_MAX: u64 = 86_400;

/// A command as the help shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// The menu's letter, where it has one.
    pub(super) letter: Option<&'static str>,
    pub(super) word: &'static str,
    pub(super) arguments: &'static str,
    pub(super) meaning: &'static str,
}

impl Usage {
    /// Whether the command is called so.
    pub(super) fn is(&self, word: &str) -> bool {
        self.word.eq_ignore_ascii_case(word)
            || self.letter.is_some_and(|letter| letter.eq_ignore_ascii_case(word))
    }

    /// Whether its first argument is somebody else's name.
    pub(super) fn names_somebody(&self) -> bool {
        self.arguments.starts_with("NAME")
    }

    /// The word and its arguments.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.word, self.arguments).trim_end().to_owned()
    }

    fn takes(&self) -> &'static str {
        if self.arguments.is_empty() { "nothing" } else { self.arguments }
    }
}

/// A command of one protocol: `K` says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verb<K> {
    pub(super) usage: Usage,
    pub(super) kind: Kind<K>,
}

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<K> {
    Wait,
    Help,
    Exit,
    /// One that this protocol words for itself.
    Own(K),
}

pub(super) const fn verb<K>(
    letter: Option<&'static str>,
    word: &'static str,
    arguments: &'static str,
    meaning: &'static str,
    kind: Kind<K>,
) -> Verb<K> {
    Verb { usage: Usage { letter, word, arguments, meaning }, kind }
}

/// A line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<C> {
    /// Wait until a payment has come in that no earlier `wait` has waited for.
    Wait(Duration),
    Help,
    Exit,
    Command(C),
}

/// The commands of one protocol.
pub(super) struct Language<C> {
    /// Every command, in the order of the menu.
    pub(super) usages: fn() -> Vec<Usage>,
    /// Reads one line.
    pub(super) parse: fn(&str) -> Result<Option<Line<C>>, CommandError>,
    /// What a line leaves open, to be asked for. The flag says whether a name is known for those
    /// who give none.
    pub(super) questions: fn(&str, bool) -> &'static [Question],
}

/// What a line that was typed comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// It says nothing.
    Nothing,
    /// A command.
    Complete,
    /// A command that leaves something open; this is the same with answers of somebody's.
    Open(String),
}

impl<C> Language<C> {
    /// Reads a line that somebody has typed who is known by no name yet.
    ///
    /// # Errors
    /// [`CommandError`].
    pub(super) fn read(&self, line: &str) -> Result<Typed, CommandError> {
        let questions = (self.questions)(line, false);
        if questions.is_empty() {
            let parsed = (self.parse)(line)?;
            return Ok(parsed.map_or(Typed::Nothing, |_| Typed::Complete));
        }
        let answers = questions.iter().map(|question| match question {
            Question::Name | Question::Payee => "alice",
            Question::Port => "7001",
            Question::Amount => "10",
        });
        Ok(Typed::Open(answers.fold(line.to_owned(), |line, answer| format!("{line} {answer}"))))
    }
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    #[error("there is no command '{word}'")]
    Unknown { word: String, closest: Option<&'static str> },
    #[error("'{}' needs {}", .0.word, .0.arguments)]
    TooFew(Usage),
    #[error("'{}' takes {}", .0.word, .0.takes())]
    TooMany(Usage),
    #[error("'{text}' cannot be a name: {reason}")]
    Name { text: String, reason: UsernameError },
    #[error("'{text}' cannot be an amount: {reason}")]
    Amount { text: String, reason: ParseAmountError },
    #[error("'{text}' cannot be a port: {reason}, or 0 for any free one")]
    Port { text: String, reason: P2pPortError },
    #[error("'{0}' is not a number of seconds from 1 to {WAIT_SECONDS_MAX}")]
    Seconds(String),
    /// Something that only one protocol has.
    #[error("'{text}' {reason}")]
    Other { text: String, reason: String, hint: &'static str },
}

impl CommandError {
    /// What to type instead.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Unknown { closest: Some(word), .. } => {
                format!("did you mean '{word}'? 'help' shows all commands")
            }
            Self::Unknown { closest: None, .. } => "'help' shows all commands".into(),
            Self::TooFew(usage) | Self::TooMany(usage) => format!("write: {}", usage.line()),
            Self::Name { .. } => "a name is 1 to 32 characters, such as alice".into(),
            Self::Amount { .. } => "an amount is a whole number of credits, such as 10".into(),
            Self::Port { .. } => "write: login alice 7001".into(),
            Self::Seconds(_) => "write: wait 60".into(),
            Self::Other { hint, .. } => (*hint).into(),
        }
    }
}

/// Reads one line; `own` reads the arguments of the protocol's own commands. Blank lines and those
/// that begin with `#` say nothing.
pub(super) fn parse<K: Copy, C>(
    verbs: &[Verb<K>],
    line: &str,
    own: impl FnOnce(K, Usage, &[&str]) -> Result<C, CommandError>,
) -> Result<Option<Line<C>>, CommandError> {
    let mut words = line.split_whitespace();
    let Some(word) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let Some(verb) = find(verbs, word) else {
        let closest = closest(verbs, word);
        return Err(CommandError::Unknown { word: word.to_owned(), closest });
    };
    let arguments: Vec<&str> = words.collect();
    let line = match (verb.kind, arguments.as_slice()) {
        (Kind::Wait, []) => Line::Wait(WAIT_DEFAULT),
        (Kind::Wait, [seconds]) => Line::Wait(parse_seconds(seconds)?),
        (Kind::Help, []) => Line::Help,
        (Kind::Exit, []) => Line::Exit,
        (Kind::Own(kind), arguments) => Line::Command(own(kind, verb.usage, arguments)?),
        _ => return Err(CommandError::TooMany(verb.usage)),
    };
    Ok(Some(line))
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

/// What the line leaves open, by the kind of its command and the number of its arguments. The
/// answers, put behind the line one by one, complete it.
pub(super) fn questions<K: Copy>(
    verbs: &[Verb<K>],
    line: &str,
    open: impl FnOnce(K, usize) -> &'static [Question],
) -> &'static [Question] {
    let mut words = line.split_whitespace();
    match words.next().and_then(|word| find(verbs, word)) {
        Some(Verb { kind: Kind::Own(kind), .. }) => open(kind, words.count()),
        _ => &[],
    }
}

/// What a payment leaves open whose line has so many arguments.
pub(super) const fn questions_to_pay(arguments: usize) -> &'static [Question] {
    match arguments {
        0 => &[Question::Payee, Question::Amount],
        1 => &[Question::Amount],
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

fn find<K: Copy>(verbs: &[Verb<K>], word: &str) -> Option<Verb<K>> {
    verbs.iter().find(|verb| verb.usage.is(word)).copied()
}

/// The one command that begins so, or that is one slip of a finger away.
fn closest<K>(verbs: &[Verb<K>], word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let near = |known: &&'static str| {
        (word.len() >= 2 && known.starts_with(&word)) || one_slip_apart(known, &word)
    };
    verbs.iter().map(|verb| verb.usage.word).find(near)
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

pub(super) fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name as the text protocol takes it: byte for byte.
pub(super) fn parse_name(text: &str) -> Result<Username, CommandError> {
    text.parse().map_err(|reason| CommandError::Name { text: text.to_owned(), reason })
}

pub(super) fn parse_amount(text: &str) -> Result<Amount, CommandError> {
    text.parse().map_err(|reason| CommandError::Amount { text: text.to_owned(), reason })
}

pub(super) fn parse_port(text: &str) -> Result<u16, CommandError> {
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

/// Tests that both protocols' commands share.
#[cfg(test)]
pub(super) mod testing {
    use std::fmt::Debug;

    use super::{Language, Usage};

    /// Rows of a line, what is said of it, and what is hinted at.
    pub(in crate::terminal) fn check_mistakes<C: Debug>(
        language: &Language<C>,
        rows: &[(&str, &str, &str)],
    ) {
        for (line, said, hint) in rows {
            let error = (language.parse)(line).expect_err(line);
            assert!(error.to_string().contains(said), "{line:?}: {error}");
            assert!(error.hint().contains(hint), "{line:?}: {}", error.hint());
        }
    }

    /// People know these letters from the original program.
    pub(in crate::terminal) fn check_letters(usages: &[Usage]) {
        for (letter, word) in
            [("a", "login"), ("b", "register"), ("c", "list"), ("d", "pay"), ("e", "exit")]
        {
            let usage = usages.iter().find(|usage| usage.letter == Some(letter));
            assert_eq!(usage.map(|usage| usage.word), Some(word));
        }
    }
}
