use super::*;
use crate::terminal::lexicon::Line;
use crate::terminal::lexicon::testing::{check_letters, check_mistakes};

const KEY: &str = "gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q";

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

#[test]
fn one_line_a_row() {
    let log_in = |who: Option<&str>, reach| Command::LogIn { name: who.map(name), reach };
    let pay = |payee, credits, memo: Option<&str>| Command::Pay {
        payee: name(payee),
        amount: Amount::new(credits),
        memo: memo.map(str::to_owned),
    };
    let receipt = |id: &str, file: Option<&str>| Command::Receipt {
        id: IdStart(id.to_owned()),
        export: file.map(PathBuf::from),
    };
    let key = || KEY.parse().expect("a key");
    for (line, expected) in [
        ("a", log_in(None, Reach::Default)),
        ("login alice", log_in(Some("alice"), Reach::Default)),
        ("login alice 7001", log_in(Some("alice"), Reach::Port(7001))),
        ("login 0", log_in(None, Reach::Port(0))),
        ("login unlisted", log_in(None, Reach::Unlisted)),
        ("login --unlisted", log_in(None, Reach::Unlisted)),
        ("login alice unlisted", log_in(Some("alice"), Reach::Unlisted)),
        ("b", Command::Register(None)),
        ("register alice", Command::Register(Some(name("alice")))),
        // Names are composed, as new accounts' are.
        ("register Zoe\u{308}", Command::Register(Some(name("Zo\u{eb}")))),
        ("c", Command::List),
        ("d bob 10", pay("bob", 10, None)),
        ("pay bob 10 for  the\tlunch", pay("bob", 10, Some("for the lunch"))),
        ("balance", Command::Balance),
        ("whois bob", Command::Whois(name("bob"))),
        (&format!("trust bob {KEY}"), Command::Trust { name: name("bob"), key: key() }),
        ("history", Command::History(20)),
        ("history 1000", Command::History(1000)),
        ("payments", Command::Payments),
        ("receipts", Command::Receipts),
        ("receipt 0A1b2c", receipt("0a1b2c", None)),
        ("receipt 01a0c45993c0c5c5…", receipt("01a0c45993c0c5c5", None)),
        ("receipt 0a1b2c --export my file", receipt("0a1b2c", Some("my file"))),
        ("rotate-key", Command::RotateKey),
        ("ID", Command::Id),
    ] {
        assert_eq!((LANGUAGE.parse)(line), Ok(Some(Line::Command(expected))), "{line:?}");
    }
    for (line, expected) in
        [("", None), ("# pay bob 10", None), ("e", Some(Line::Exit)), ("help", Some(Line::Help))]
    {
        assert_eq!((LANGUAGE.parse)(line), Ok(expected), "{line:?}");
    }
}

#[test]
fn one_mistake_a_row_and_what_to_do_about_it() {
    let rows = [
        ("reciept 0a1b2c", "there is no command 'reciept'", "did you mean 'receipt'?"),
        ("rotate", "there is no command 'rotate'", "did you mean 'rotate-key'?"),
        ("pay bob", "'pay' needs NAME AMOUNT [MEMO...]", "write: pay NAME AMOUNT"),
        ("pay bob ten for lunch", "'ten' cannot be an amount", "a whole number"),
        ("login alice 7001 x", "'login' takes [NAME] [PORT|unlisted]", "write: login"),
        ("login alice elsewhere", "'elsewhere' cannot be a port", "login alice 7001"),
        ("login b#b", "'b#b' cannot be a name", "such as alice"),
        ("whois", "'whois' needs NAME", "write: whois NAME"),
        ("whois a b", "'whois' takes NAME", "write: whois NAME"),
        ("trust bob", "'trust' needs NAME KEY", "write: trust NAME KEY"),
        ("trust bob abc", "'abc' cannot be a key: a public key is 43", "'whois NAME'"),
        ("history 0", "'0' is not a number from 1 to 1000", "write: history 20"),
        ("history 1001", "'1001' is not a number", "write: history 20"),
        ("history +5", "'+5' is not a number", "write: history 20"),
        ("receipt", "'receipt' needs ID", "write: receipt ID [--export FILE]"),
        ("receipt 12345", "'12345' is not the beginning of an id", "'receipts'"),
        ("receipt 12345g", "'12345g' is not the beginning of an id", "'receipts'"),
        ("receipt 0a1b2c --export", "'receipt' takes ID", "write: receipt ID [--export FILE]"),
        ("receipt 0a1b2c file", "'receipt' takes ID", "write: receipt ID [--export FILE]"),
        ("payments all", "'payments' takes nothing", "write: payments"),
    ];
    check_mistakes(&LANGUAGE, &rows);
}

#[test]
fn what_is_missing_is_asked_for() {
    use Question::{Amount, Name, Payee};
    for (line, has_default_name, expected) in [
        ("a", false, &[][..]),
        ("b", false, &[Name]),
        ("b", true, &[]),
        ("pay", true, &[Payee, Amount]),
        ("pay bob", true, &[Amount]),
        ("pay bob 10", true, &[]),
        ("whois", true, &[]),
    ] {
        assert_eq!(questions(line, has_default_name), expected, "{line:?}");
    }
}

#[test]
fn the_menu_keeps_the_letters() {
    check_letters(&(LANGUAGE.usages)());
}
