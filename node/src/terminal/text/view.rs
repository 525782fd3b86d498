//! Values as sentences: what only the text protocol has to say is worded here.

use actors::messages::{AccountList, PaymentReport, ServerLinkError, WalletError, WalletEvent};
use wire::{Amount, P2pPort, Username};

use super::command::LANGUAGE;
use crate::printable::printable;
use crate::terminal::view::{self, Failure};

/// What a person sees first.
pub(super) fn welcome(name: Option<&Username>) -> String {
    let next = match name {
        Some(name) => format!(
            "Type 'register' to open the account {name}, or 'login' if you have it already.",
            name = printable(name.as_str())
        ),
        None => "Type 'register NAME' to open an account, or 'login NAME' if you have one.".into(),
    };
    let help = view::help(&(LANGUAGE.usages)());
    format!("Mite: payments from person to person.\n{help}{next}")
}

/// The balance, and a table of who is online and where.
pub(super) fn account_list(list: &AccountList, me: Option<&Username>) -> String {
    let rows = list.online.iter().map(|user| {
        let mine = if Some(&user.name) == me { "(you)" } else { "" };
        let name = printable(user.name.as_str()).into_owned();
        vec![name, user.address.to_string(), mine.to_owned()]
    });
    let table = view::table(&rows.collect::<Vec<_>>());
    format!("balance: {}\nonline: {}\n{table}", list.balance, list.online.len())
}

pub(super) fn balance(balance: Amount) -> String {
    format!("balance: {balance}")
}

pub(super) fn registered(name: &Username) -> String {
    format!("registered {}", printable(name.as_str()))
}

pub(super) fn logged_in(name: &Username, port: P2pPort) -> String {
    format!("logged in as {}, listening on port {port}", printable(name.as_str()))
}

/// What became of a payment; only one that the server has settled is a success.
pub(super) fn payment_report(
    report: &PaymentReport,
    payee: &Username,
    amount: Amount,
) -> Result<String, Failure> {
    let payee = printable(payee.as_str());
    match report {
        PaymentReport::Paid { balance } => {
            Ok(format!("paid {amount} to {payee}{}", balance_after(*balance)))
        }
        PaymentReport::Refused { reason } => Err(Failure::new(
            format!("the payment of {amount} to {payee} was refused: {}", printable(reason)),
            "nothing was moved",
        )),
        PaymentReport::Unconfirmed { balance_before, balance_now } => {
            let now = match balance_now {
                Some(now) => format!("the balance was {balance_before} and is {now} now"),
                None => format!("the balance was {balance_before}"),
            };
            Err(Failure::new(
                format!("{payee} has the payment of {amount}, and nobody confirms it; {now}"),
                "it may still be settled: look at 'balance' before you pay again",
            ))
        }
    }
}

/// What happened that nobody asked for.
pub(super) fn event(event: &WalletEvent) -> String {
    match event {
        WalletEvent::Received { payment, balance } => {
            let payer = printable(payment.payer.as_str());
            format!("received {} from {payer}{}", payment.amount, balance_after(*balance))
        }
        WalletEvent::NotReceived { payment, reason } => {
            let payer = printable(payment.payer.as_str());
            let reason = printable(reason.trim_end());
            format!("not received: {} from {payer}: {reason}", payment.amount)
        }
        WalletEvent::ServerSaid(text) => format!("the server says: {}", printable(text.trim_end())),
        WalletEvent::ServerLost(reason) => format!(
            "the connection to the server is lost: {}; 'login' connects again",
            printable(reason.trim_end())
        ),
    }
}

/// What was asked of the wallet: the same answer means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Register,
    LogIn,
    Read,
    Pay,
    Leave,
}

/// Why the wallet did not do it.
pub(super) fn wallet_failure(error: &WalletError, request: Request) -> Failure {
    let hint = match error {
        // A server that cannot take it says so itself.
        WalletError::Refused(line) if line.starts_with("220 ERROR") => {
            Some("try again later, or ask who runs the server".to_owned())
        }
        WalletError::Refused(_) => match request {
            Request::Register => Some("the name may be taken: try another one".to_owned()),
            Request::LogIn => {
                Some("is the name right? 'register NAME' opens an account".to_owned())
            }
            Request::Read => Some("'login NAME' again: somebody may have taken your place".into()),
            Request::Pay | Request::Leave => None,
        },
        WalletError::Server(ServerLinkError::Lost(_) | ServerLinkError::Silent(_)) => match request
        {
            // The wallet hands a payment over only after the server has answered.
            Request::Pay => Some("nothing was paid: 'login' again once the server is back".into()),
            Request::Register => Some("it may have been done: try 'login' first".into()),
            Request::LogIn | Request::Read => Some("try again once the server is back".into()),
            Request::Leave => None,
        },
        WalletError::Server(ServerLinkError::Full) => Some("try again in a moment".into()),
        WalletError::PaymentUnderWay => Some("nothing was paid: wait for its outcome".into()),
        WalletError::NotLoggedIn => Some("log in first: login NAME".into()),
        WalletError::PayingOneself => Some("'list' shows whom you can pay".into()),
        WalletError::NothingToPay => Some("pay 1 credit or more".into()),
        WalletError::InsufficientBalance { .. } => Some("nothing was paid: pay less".into()),
        WalletError::PayeeOffline(_) => Some("'list' shows who is online".into()),
        WalletError::PayeeUnreachable { .. } => {
            Some("nothing was paid: they may have left, look at 'list' and try again".into())
        }
    };
    let message = printable(error.to_string().trim_end()).into_owned();
    Failure { warning: None, message, hint }
}

fn balance_after(balance: Option<Amount>) -> String {
    balance.map(|balance| format!("; balance: {balance}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actors::messages::ServerLinkError;
    use wire::text::TextPayment;
    use wire::text::list::OnlineUser;

    use super::*;

    fn name(text: &str) -> Username {
        text.parse().expect("a valid name")
    }

    fn online(user: &str, address: &str) -> OnlineUser {
        OnlineUser { name: name(user), address: address.parse().expect("an address") }
    }

    #[test]
    fn lists_are_aligned_by_what_the_screen_shows() {
        let mut list = AccountList { balance: Amount::new(990), server_key: None, online: vec![] };
        assert_eq!(account_list(&list, None), "balance: 990\nonline: 0\n");
        list.online = vec![
            online("alice", "127.0.0.1:7001"),
            online("你好", "[::1]:7002"),
            online("r\u{202e}x", "10.0.0.1:9"),
        ];
        assert_eq!(
            account_list(&list, Some(&name("alice"))),
            "balance: 990\n\
             online: 3\n\
             \x20 alice       127.0.0.1:7001  (you)\n\
             \x20 你好        [::1]:7002\n\
             \x20 r\\u{202e}x  10.0.0.1:9\n"
        );
    }

    #[test]
    fn reports_of_payments() {
        let report = |report| payment_report(&report, &name("bob"), Amount::new(10));
        let balance = Some(Amount::new(990));
        assert_eq!(
            report(PaymentReport::Paid { balance }),
            Ok("paid 10 to bob; balance: 990".to_owned())
        );
        assert_eq!(report(PaymentReport::Paid { balance: None }), Ok("paid 10 to bob".to_owned()));
        assert_eq!(
            report(PaymentReport::Refused { reason: "no\u{1b}[2J".into() }),
            Err(Failure::new(
                "the payment of 10 to bob was refused: no\\u{1b}[2J",
                "nothing was moved"
            ))
        );
        let unconfirmed = |balance_now| {
            let balance_before = Amount::new(1000);
            report(PaymentReport::Unconfirmed { balance_before, balance_now })
        };
        let hint = "it may still be settled: look at 'balance' before you pay again";
        assert_eq!(
            unconfirmed(balance),
            Err(Failure::new(
                "bob has the payment of 10, and nobody confirms it; the balance was 1000 and is \
                 990 now",
                hint
            ))
        );
        assert_eq!(
            unconfirmed(None),
            Err(Failure::new(
                "bob has the payment of 10, and nobody confirms it; the balance was 1000",
                hint
            ))
        );
    }

    #[test]
    fn events() {
        let payment =
            || TextPayment { payer: name("alice"), amount: Amount::new(10), payee: name("bob") };
        let balance = Some(Amount::new(1010));
        for (value, expected) in [
            (
                WalletEvent::Received { payment: payment(), balance },
                "received 10 from alice; balance: 1010",
            ),
            (WalletEvent::Received { payment: payment(), balance: None }, "received 10 from alice"),
            (
                WalletEvent::NotReceived { payment: payment(), reason: "Transfer Fail!\n".into() },
                "not received: 10 from alice: Transfer Fail!",
            ),
            (
                WalletEvent::ServerSaid("\u{1b}]0;owned\u{7}\n".into()),
                "the server says: \\u{1b}]0;owned\\u{7}",
            ),
            (
                WalletEvent::ServerLost("reset".into()),
                "the connection to the server is lost: reset; 'login' connects again",
            ),
        ] {
            assert_eq!(event(&value), expected);
        }
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let lost = || WalletError::Server(ServerLinkError::Lost("reset".into()));
        for (error, request, message, hint) in [
            (
                WalletError::Refused("210 FAIL\u{7}\n".into()),
                Request::Register,
                "the server refused: 210 FAIL\\u{7}",
                "try another one",
            ),
            (
                WalletError::Refused("220 AUTH_FAIL".into()),
                Request::LogIn,
                "the server refused: 220 AUTH_FAIL",
                "register NAME",
            ),
            (lost(), Request::Read, "the connection to the server is lost: reset", "try again"),
            (lost(), Request::Pay, "the connection to the server is lost", "nothing was paid"),
            (lost(), Request::Register, "the connection to the server is lost", "login"),
            (
                WalletError::Server(ServerLinkError::Silent(10)),
                Request::Read,
                "the server did not answer within 10 seconds",
                "try again",
            ),
            (WalletError::Server(ServerLinkError::Full), Request::Pay, "too many", "moment"),
            (WalletError::NotLoggedIn, Request::Pay, "not logged in", "login NAME"),
            (WalletError::PayingOneself, Request::Pay, "same account", "list"),
            (WalletError::NothingToPay, Request::Pay, "zero", "1 credit"),
            (
                WalletError::InsufficientBalance {
                    balance: Amount::new(5),
                    amount: Amount::new(10),
                },
                Request::Pay,
                "the balance is 5, which is less than 10",
                "nothing was paid",
            ),
            (WalletError::PayeeOffline(name("bob")), Request::Pay, "bob is not online", "list"),
            (
                WalletError::PayeeUnreachable {
                    payee: name("bob"),
                    address: "127.0.0.1:9".parse().expect("an address"),
                    reason: "refused".into(),
                },
                Request::Pay,
                "bob cannot be reached at 127.0.0.1:9: refused",
                "nothing was paid",
            ),
        ] {
            let failure = wallet_failure(&error, request);
            assert!(failure.message.contains(message), "{failure:?}");
            assert!(failure.hint.as_deref().unwrap_or("").contains(hint), "{failure:?}");
        }
    }

    #[test]
    fn the_menu_shows_every_letter() {
        let help = view::help(&(LANGUAGE.usages)());
        for (letter, word) in
            [("a", "login"), ("b", "register"), ("c", "list"), ("d", "pay"), ("e", "exit")]
        {
            assert!(help.contains(&format!("  {letter}  {word} ")), "{letter}: {help}");
        }
        assert!(welcome(Some(&name("alice"))).contains("'register' to open the account alice"));
        assert!(welcome(None).contains("'login NAME'"));
    }
}
