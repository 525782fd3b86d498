//! What a person or a script can say to a client of the secure protocol.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use wire::secure::call::PAGE_ITEMS_MAX;
use wire::{Amount, OrderId, PublicKey, Username};

use crate::terminal::lexicon::{
    self, CommandError, Kind, Language, Question, Usage, Verb, is_digits, parse_amount, parse_port,
    verb,
};

/// How many entries of the history are shown unless it is said.
const HISTORY_DEFAULT: u32 = 20;
/// The fewest digits that stand for an order's id: who types fewer has not looked at one.
const ID_DIGITS_MIN: usize = 6;
const ID_DIGITS: usize = 32;
/// Stays off the list, in place of a port.
const UNLISTED: [&str; 2] = ["unlisted", "--unlisted"];
const EXPORT: &str = "--export";

/// A command of the secure protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum Command {
    Register(Option<Username>),
    /// Log in to the account of the wallet's key, which must be the one that is named.
    LogIn {
        name: Option<Username>,
        reach: Reach,
    },
    List,
    Pay {
        payee: Username,
        amount: Amount,
        memo: Option<String>,
    },
    Balance,
    Whois(Username),
    /// This is the peer's key from now on.
    Trust {
        name: Username,
        key: PublicKey,
    },
    History(u32),
    Payments,
    Receipts,
    Receipt {
        id: IdStart,
        export: Option<PathBuf>,
    },
    RotateKey,
    Id,
}

/// How peers reach a client that logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum Reach {
    /// As the program was started.
    Default,
    /// At this port; 0 for any free one.
    Port(u16),
    /// Not at all.
    Unlisted,
}

/// The beginning of an order's id: 6 to 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::terminal) struct IdStart(String);

impl IdStart {
    /// The id itself, if all of it is there.
    pub(super) fn whole(&self) -> Option<OrderId> {
        self.0.parse().ok()
    }

    pub(super) fn is_of(&self, id: &OrderId) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for IdStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IdStart {
    type Err = CommandError;

    /// Takes the dots that a shortened id is shown with.
    fn from_str(text: &str) -> Result<Self, CommandError> {
        let digits = text.trim_end_matches(['…', '.']).to_ascii_lowercase();
        let is_start = (ID_DIGITS_MIN..=ID_DIGITS).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_start {
            Ok(Self(digits))
        } else {
            Err(CommandError::Other {
                text: text.to_owned(),
                reason: format!(
                    "is not the beginning of an id: {ID_DIGITS_MIN} to {ID_DIGITS} hexadecimal \
                     digits"
                ),
                hint: "'receipts' and 'history' show ids",
            })
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Balance,
    History,
    Id,
    List,
    LogIn,
    Pay,
    Payments,
    Receipt,
    Receipts,
    Register,
    RotateKey,
    Trust,
    Whois,
}

/// Every command, in the order of the menu.
const VERBS: [Verb<Own>; 17] = [
    own(Some("a"), "login", "[NAME] [PORT|unlisted]", "log in and listen", Own::LogIn),
    own(Some("b"), "register", "[NAME]", "open an account for this key", Own::Register),
    own(Some("c"), "list", "", "my balance and who is online", Own::List),
    own(Some("d"), "pay", "NAME AMOUNT [MEMO...]", "pay somebody, online or not", Own::Pay),
    verb(Some("e"), "exit", "", "leave", Kind::Exit),
    verb(None, "quit", "", "leave", Kind::Exit),
    own(None, "balance", "", "my balance", Own::Balance),
    own(None, "whois", "NAME", "somebody's key, and whether it is known", Own::Whois),
    own(None, "trust", "NAME KEY", "accept a changed key that you have compared", Own::Trust),
    own(None, "history", "[COUNT]", "what happened to my account", Own::History),
    own(None, "payments", "", "what became of my payments", Own::Payments),
    own(None, "receipts", "", "my payments that have receipts", Own::Receipts),
    own(
        None,
        "receipt",
        "ID [--export FILE]",
        "check and show the receipt of any payment",
        Own::Receipt,
    ),
    own(None, "rotate-key", "", "put a new key in the place of mine", Own::RotateKey),
    own(None, "id", "", "my key and the server's", Own::Id),
    verb(None, "wait", "[SECONDS]", "wait for the next payment to me", Kind::Wait),
    verb(None, "help", "", "show this", Kind::Help),
];

const fn own(
    letter: Option<&'static str>,
    word: &'static str,
    arguments: &'static str,
    meaning: &'static str,
    own: Own,
) -> Verb<Own> {
    verb(letter, word, arguments, meaning, Kind::Own(own))
}

pub(in crate::terminal) const LANGUAGE: Language<Command> = Language {
    usages: || VERBS.map(|verb| verb.usage).to_vec(),
    parse: |line| lexicon::parse(&VERBS, line, parse_own),
    questions,
};

fn parse_own(own: Own, usage: Usage, arguments: &[&str]) -> Result<Command, CommandError> {
    Ok(match (own, arguments) {
        (Own::LogIn, arguments) => parse_log_in(usage, arguments)?,
        (Own::Register, []) => Command::Register(None),
        (Own::Register, [name]) => Command::Register(Some(typed_name(name)?)),
        (Own::Pay, [payee, amount, memo @ ..]) => Command::Pay {
            payee: typed_name(payee)?,
            amount: parse_amount(amount)?,
            memo: (!memo.is_empty()).then(|| memo.join(" ")),
        },
        (Own::Whois, [name]) => Command::Whois(typed_name(name)?),
        (Own::Trust, [name, key]) => {
            Command::Trust { name: typed_name(name)?, key: parse_key(key)? }
        }
        (Own::History, []) => Command::History(HISTORY_DEFAULT),
        (Own::History, [count]) => Command::History(parse_count(count)?),
        (Own::Receipt, [id]) => Command::Receipt { id: id.parse()?, export: None },
        (Own::Receipt, [id, option, file @ ..]) if *option == EXPORT && !file.is_empty() => {
            Command::Receipt { id: id.parse()?, export: Some(file.join(" ").into()) }
        }
        (Own::Pay | Own::Trust, [] | [_]) | (Own::Whois | Own::Receipt, []) => {
            return Err(CommandError::TooFew(usage));
        }
        (Own::List, []) => Command::List,
        (Own::Balance, []) => Command::Balance,
        (Own::Payments, []) => Command::Payments,
        (Own::Receipts, []) => Command::Receipts,
        (Own::RotateKey, []) => Command::RotateKey,
        (Own::Id, []) => Command::Id,
        _ => return Err(CommandError::TooMany(usage)),
    })
}

fn parse_log_in(usage: Usage, arguments: &[&str]) -> Result<Command, CommandError> {
    let reach = |text: &str| {
        if UNLISTED.contains(&text) {
            Ok(Reach::Unlisted)
        } else {
            parse_port(text).map(Reach::Port)
        }
    };
    Ok(match arguments {
        [] => Command::LogIn { name: None, reach: Reach::Default },
        // A name is never digits only, so this can only be a port.
        [text] if is_digits(text) || UNLISTED.contains(text) => {
            Command::LogIn { name: None, reach: reach(text)? }
        }
        [name] => Command::LogIn { name: Some(typed_name(name)?), reach: Reach::Default },
        [name, text] => Command::LogIn { name: Some(typed_name(name)?), reach: reach(text)? },
        _ => return Err(CommandError::TooMany(usage)),
    })
}

/// What the line leaves open.
fn questions(line: &str, has_default_name: bool) -> &'static [Question] {
    lexicon::questions(&VERBS, line, |own, arguments| match (own, arguments) {
        (Own::Register, 0) if !has_default_name => &[Question::Name],
        (Own::Pay, _) => lexicon::questions_to_pay(arguments),
        _ => &[],
    })
}

/// A name in the form that new accounts have.
fn typed_name(text: &str) -> Result<Username, CommandError> {
    Username::from_typed(text)
        .map_err(|reason| CommandError::Name { text: text.to_owned(), reason })
}

fn parse_key(text: &str) -> Result<PublicKey, CommandError> {
    text.parse().map_err(|error| CommandError::Other {
        text: text.to_owned(),
        reason: format!("cannot be a key: {error}"),
        hint: "'whois NAME' shows the key to compare",
    })
}

fn parse_count(text: &str) -> Result<u32, CommandError> {
    match text.parse() {
        Ok(count @ 1..=PAGE_ITEMS_MAX) if is_digits(text) => Ok(count),
        _ => Err(CommandError::Other {
            text: text.to_owned(),
            reason: format!("is not a number from 1 to {PAGE_ITEMS_MAX}"),
            hint: "write: history 20",
        }),
    }
}

#[cfg(test)]
mod tests;
