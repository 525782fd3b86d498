//! The server's replies, in the two dialects of the family.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::str::FromStr;

use crate::{Amount, P2pPort, PublicKey, Refusal, Username};

/// Whose words the server uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The seed document's.
    #[default]
    Seed,
    /// Those of the family's reference server.
    Ta2021,
}

impl Dialect {
    /// What a new account is granted unless the operator says otherwise.
    pub const fn opening_balance(self) -> Amount {
        match self {
            Self::Seed => Amount::new(1000),
            Self::Ta2021 => Amount::new(10_000),
        }
    }

    /// The dialect's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Ta2021 => "ta2021",
        }
    }
}

/// A text that names no dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a dialect is 'seed' or 'ta2021'")]
pub struct ParseDialectError;

impl FromStr for Dialect {
    type Err = ParseDialectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Seed, Self::Ta2021]
            .into_iter()
            .find(|dialect| dialect.name() == text)
            .ok_or(ParseDialectError)
    }
}

/// What the server has to say, apart from the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The account is opened.
    Registered,
    /// The name is taken or not a valid one.
    RegisterFailed,
    /// The log-in failed.
    LogInFailed,
    /// The request needs a log-in first.
    NotLoggedIn,
    /// The payment is settled.
    Settled,
    /// The payment is refused.
    Refused(Refusal),
    /// The request is not one.
    BadRequest,
    /// The server cannot take the request now.
    Unavailable,
    /// Farewell.
    Bye,
}

/// Whose connection gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// The one that the request came from.
    Sender,
    /// The payer's, if the payer is online.
    Payer,
}

impl Reply {
    /// The line, with its LF.
    pub const fn line(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Seed => self.seed_line(),
            Dialect::Ta2021 => self.ta2021_line(),
        }
    }

    /// Whose connection gets it.
    pub const fn addressee(self, dialect: Dialect) -> Addressee {
        match (dialect, self) {
            (Dialect::Ta2021, Self::Settled | Self::Refused(Refusal::InsufficientBalance)) => {
                Addressee::Payer
            }
            _ => Addressee::Sender,
        }
    }

    const fn seed_line(self) -> &'static str {
        match self {
            Self::Registered | Self::Settled => "100 OK\n",
            Self::RegisterFailed => "210 FAIL\n",
            Self::LogInFailed | Self::NotLoggedIn => "220 AUTH_FAIL\n",
            Self::Refused(refusal) => match refusal {
                Refusal::InsufficientBalance => "Transfer failed due to insufficient balance.\n",
                Refusal::AmountNotPositive => "Transfer failed due to negative amount.\n",
                Refusal::NoPermission | Refusal::AccountFrozen => NO_PERMISSION,
                Refusal::UnknownPayer
                | Refusal::UnknownPayee
                | Refusal::SameAccount
                | Refusal::PayeeKeyChanged
                | Refusal::SignatureRequired => INVALID_USER,
                Refusal::NameTaken | Refusal::NameTooSimilar | Refusal::KeyInUse => "210 FAIL\n",
                Refusal::SupplyExhausted => UNAVAILABLE,
            },
            Self::BadRequest => "200 BAD_REQUEST\n",
            Self::Unavailable => UNAVAILABLE,
            Self::Bye => "Bye\n",
        }
    }

    const fn ta2021_line(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "Please login first\n",
            Self::Settled => "Transfer OK!\n",
            Self::Refused(Refusal::InsufficientBalance | Refusal::AmountNotPositive) => {
                "Transfer Fail!\n"
            }
            Self::BadRequest => "230 Input format error\n",
            same => same.seed_line(),
        }
    }
}

const NO_PERMISSION: &str = "Transfer failed due to no permission.\n";
const INVALID_USER: &str = "Transfer failed due to invalid user.\n";
const UNAVAILABLE: &str = "220 ERROR\n";

/// Appends the head of a list: the balance, the server's key and the number of lines that follow.
pub fn write_list_head(balance: Amount, key: &PublicKey, online: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{balance}\n{key}\n{online}\n").as_bytes());
}

/// Appends one line of a list.
pub fn write_list_line(name: &Username, ip: IpAddr, port: P2pPort, out: &mut String) {
    writeln!(out, "{name}#{}#{port}", ip.to_canonical()).expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the protocol page, whole, in both dialects.
    #[test]
    fn golden_replies() {
        use Addressee::{Payer, Sender};
        let refused = Reply::Refused;
        for (reply, seed, ta2021, ta2021_to) in [
            (Reply::Registered, "100 OK", "100 OK", Sender),
            (Reply::RegisterFailed, "210 FAIL", "210 FAIL", Sender),
            (Reply::LogInFailed, "220 AUTH_FAIL", "220 AUTH_FAIL", Sender),
            (Reply::NotLoggedIn, "220 AUTH_FAIL", "Please login first", Sender),
            (Reply::Settled, "100 OK", "Transfer OK!", Payer),
            (
                refused(Refusal::InsufficientBalance),
                "Transfer failed due to insufficient balance.",
                "Transfer Fail!",
                Payer,
            ),
            (
                refused(Refusal::AmountNotPositive),
                "Transfer failed due to negative amount.",
                "Transfer Fail!",
                Sender,
            ),
            (
                refused(Refusal::NoPermission),
                "Transfer failed due to no permission.",
                "Transfer failed due to no permission.",
                Sender,
            ),
            (
                refused(Refusal::UnknownPayer),
                INVALID_USER.trim_end(),
                INVALID_USER.trim_end(),
                Sender,
            ),
            (
                refused(Refusal::UnknownPayee),
                INVALID_USER.trim_end(),
                INVALID_USER.trim_end(),
                Sender,
            ),
            (
                refused(Refusal::SameAccount),
                "Transfer failed due to invalid user.",
                "Transfer failed due to invalid user.",
                Sender,
            ),
            (
                refused(Refusal::SignatureRequired),
                "Transfer failed due to invalid user.",
                "Transfer failed due to invalid user.",
                Sender,
            ),
            (refused(Refusal::NameTaken), "210 FAIL", "210 FAIL", Sender),
            (refused(Refusal::NameTooSimilar), "210 FAIL", "210 FAIL", Sender),
            (refused(Refusal::SupplyExhausted), "220 ERROR", "220 ERROR", Sender),
            (Reply::BadRequest, "200 BAD_REQUEST", "230 Input format error", Sender),
            (Reply::Unavailable, "220 ERROR", "220 ERROR", Sender),
            (Reply::Bye, "Bye", "Bye", Sender),
        ] {
            assert_eq!(reply.line(Dialect::Seed), format!("{seed}\n"), "{reply:?}");
            assert_eq!(reply.line(Dialect::Ta2021), format!("{ta2021}\n"), "{reply:?}");
            assert_eq!(reply.addressee(Dialect::Seed), Sender, "{reply:?}");
            assert_eq!(reply.addressee(Dialect::Ta2021), ta2021_to, "{reply:?}");
        }
    }

    #[test]
    fn golden_list() {
        let mut head = Vec::new();
        write_list_head(Amount::new(900), &PublicKey::new([0; 32]), 2, &mut head);
        assert_eq!(head, format!("900\n{}\n2\n", "A".repeat(43)).as_bytes());

        let mut lines = String::new();
        let name = "alice".parse().expect("a valid name");
        let port = "7001".parse().expect("a valid port");
        for ip in ["127.0.0.1", "::ffff:10.0.0.1", "::1"] {
            write_list_line(&name, ip.parse().expect("an address"), port, &mut lines);
        }
        assert_eq!(lines, "alice#127.0.0.1#7001\nalice#10.0.0.1#7001\nalice#::1#7001\n");
    }
}
