//! What a person or a script can say to a client of the text protocol.

use wire::{Amount, Username};

use crate::terminal::lexicon::{
    self, CommandError, Kind, Language, Question, Usage, Verb, is_digits, parse_amount, parse_name,
    parse_port, verb,
};

/// A command of the text protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum Command {
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    LogIn,
    Register,
    List,
    Pay,
    Balance,
}

/// Every command, in the order of the menu.
const VERBS: [Verb<Own>; 9] = [
    verb(
        Some("a"),
        "login",
        "[NAME] [PORT]",
        "log in and listen for payments",
        Kind::Own(Own::LogIn),
    ),
    verb(Some("b"), "register", "[NAME]", "open an account", Kind::Own(Own::Register)),
    verb(Some("c"), "list", "", "my balance and who is online", Kind::Own(Own::List)),
    verb(Some("d"), "pay", "NAME AMOUNT", "pay somebody who is online", Kind::Own(Own::Pay)),
    verb(Some("e"), "exit", "", "leave", Kind::Exit),
    verb(None, "quit", "", "leave", Kind::Exit),
    verb(None, "balance", "", "my balance", Kind::Own(Own::Balance)),
    verb(None, "wait", "[SECONDS]", "wait for the next payment to me", Kind::Wait),
    verb(None, "help", "", "show this", Kind::Help),
];

pub(in crate::terminal) const LANGUAGE: Language<Command> = Language {
    usages: || VERBS.map(|verb| verb.usage).to_vec(),
    parse: |line| lexicon::parse(&VERBS, line, parse_own),
    questions,
};

fn parse_own(own: Own, usage: Usage, arguments: &[&str]) -> Result<Command, CommandError> {
    Ok(match (own, arguments) {
        // A name is never digits only, so this can only be a port.
        (Own::LogIn, [port]) if is_digits(port) => {
            Command::LogIn { name: None, port: Some(parse_port(port)?) }
        }
        (Own::LogIn, [] | [_] | [_, _]) => Command::LogIn {
            name: arguments.first().map(|text| parse_name(text)).transpose()?,
            port: arguments.get(1).map(|text| parse_port(text)).transpose()?,
        },
        (Own::Register, [] | [_]) => {
            Command::Register(arguments.first().map(|text| parse_name(text)).transpose()?)
        }
        (Own::Pay, [payee, amount]) => {
            Command::Pay { payee: parse_name(payee)?, amount: parse_amount(amount)? }
        }
        (Own::Pay, [] | [_]) => return Err(CommandError::TooFew(usage)),
        (Own::List, []) => Command::List,
        (Own::Balance, []) => Command::Balance,
        _ => return Err(CommandError::TooMany(usage)),
    })
}

/// What the line leaves open.
fn questions(line: &str, has_default_name: bool) -> &'static [Question] {
    lexicon::questions(&VERBS, line, |own, arguments| match (own, arguments) {
        (Own::LogIn, 0) if !has_default_name => &[Question::Name, Question::Port],
        (Own::Register, 0) if !has_default_name => &[Question::Name],
        (Own::Pay, _) => lexicon::questions_to_pay(arguments),
        _ => &[],
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::terminal::lexicon::testing::check_mistakes;
    use crate::terminal::lexicon::{Line, check_answer};

    fn name(text: &str) -> Username {
        text.parse().expect("a valid name")
    }

    #[test]
    fn one_line_a_row() {
        let log_in =
            |who: Option<&str>, port| Line::Command(Command::LogIn { name: who.map(name), port });
        let pay = |payee, credits| {
            Line::Command(Command::Pay { payee: name(payee), amount: Amount::new(credits) })
        };
        let register = |who: Option<&str>| Line::Command(Command::Register(who.map(name)));
        let wait = |seconds| Line::Wait(Duration::from_secs(seconds));
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
            ("b", Some(register(None))),
            ("b alice", Some(register(Some("alice")))),
            ("register alice", Some(register(Some("alice")))),
            ("c", Some(Line::Command(Command::List))),
            ("list", Some(Line::Command(Command::List))),
            ("d bob 10", Some(pay("bob", 10))),
            ("pay bob 18446744073709551615", Some(pay("bob", u64::MAX))),
            ("e", Some(Line::Exit)),
            ("exit", Some(Line::Exit)),
            ("QUIT", Some(Line::Exit)),
            ("balance", Some(Line::Command(Command::Balance))),
            ("help", Some(Line::Help)),
            ("wait", Some(wait(60))),
            ("wait 5", Some(wait(5))),
        ] {
            assert_eq!((LANGUAGE.parse)(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn one_mistake_a_row_and_what_to_do_about_it() {
        let rows = [
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
        ];
        check_mistakes(&LANGUAGE, &rows);
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
