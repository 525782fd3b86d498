//! Requests, from client to server.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::amount::ParseAmountError;
use crate::{Amount, P2pPort, Username};

/// A request that makes sense. Its `Display` form is what goes on the wire, without an end.
///
/// ```
/// use wire::text::TextRequest;
///
/// let request = TextRequest::parse("alice#7001")?;
/// assert!(matches!(&request, TextRequest::LogIn { name, .. } if name.as_str() == "alice"));
/// assert_eq!(request.to_string(), "alice#7001");
/// # Ok::<(), wire::text::InvalidRequest>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextRequest {
    /// `REGISTER#<name>`: open an account.
    Register(Username),
    /// `<name>#<port>`: log in, and say where peers reach me.
    LogIn {
        /// The account.
        name: Username,
        /// The port on which its client listens; the address is the one that the server sees.
        port: P2pPort,
    },
    /// `List`: my balance and who is online.
    List,
    /// `<payer>#<amount>#<payee>`: sent by the payee.
    Pay(TextPayment),
    /// `Exit`: leave.
    Exit,
}

/// A payment as the text protocol says it, `<payer>#<amount>#<payee>`. Proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPayment {
    /// Who is to be debited.
    pub payer: Username,
    /// How much; never zero when it was parsed.
    pub amount: Amount,
    /// Who is to be credited.
    pub payee: Username,
}

/// A request that is refused as it stands, whatever the state of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// A registration of something that cannot be a name.
    #[error("not a valid name")]
    RegisterName,
    /// A log-in with something that cannot be a name or a port.
    #[error("not a valid name and port")]
    LogIn,
    /// A payment of a zero or negative amount.
    #[error("the amount is not positive")]
    AmountNotPositive,
    /// A payment from or to something that cannot be a name.
    #[error("not a valid payer and payee")]
    PayName,
    /// Nothing that the protocol knows.
    #[error("not a request")]
    Malformed,
}

impl TextRequest {
    /// Reads one request, without its end.
    ///
    /// # Errors
    /// [`InvalidRequest`]: each kind has a reply of its own, and the connection stays open.
    pub fn parse(text: &str) -> Result<Self, InvalidRequest> {
        match text {
            "List" => return Ok(Self::List),
            "Exit" => return Ok(Self::Exit),
            _ => {}
        }
        let (first, rest) = split_field(text).ok_or(InvalidRequest::Malformed)?;
        if first == "REGISTER" {
            return rest.parse().map(Self::Register).map_err(|_| InvalidRequest::RegisterName);
        }
        match split_field(rest) {
            None => match (first.parse(), rest.parse()) {
                (Ok(name), Ok(port)) => Ok(Self::LogIn { name, port }),
                _ => Err(InvalidRequest::LogIn),
            },
            Some((amount, payee)) => TextPayment::from_fields(first, amount, payee).map(Self::Pay),
        }
    }
}

impl TextPayment {
    /// Reads `<payer>#<amount>#<payee>`.
    ///
    /// # Errors
    /// [`InvalidRequest`]: anything that is not exactly a payment is [`InvalidRequest::Malformed`].
    pub fn parse(text: &str) -> Result<Self, InvalidRequest> {
        match TextRequest::parse(text)? {
            TextRequest::Pay(payment) => Ok(payment),
            _ => Err(InvalidRequest::Malformed),
        }
    }

    fn from_fields(payer: &str, amount: &str, payee: &str) -> Result<Self, InvalidRequest> {
        match (payer.parse(), parse_payment_amount(amount), payee.parse()) {
            (Ok(payer), Ok(amount), Ok(payee)) => Ok(Self { payer, amount, payee }),
            // Four fields are no payment, whatever is in them.
            _ if payee.contains('#') => Err(InvalidRequest::Malformed),
            (_, Err(why), _) => Err(why),
            _ => Err(InvalidRequest::PayName),
        }
    }
}

/// What stands before and behind the first `#`. For the few bytes of a field, nothing is faster than to look
/// at each.
fn split_field(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == b'#')?;
    Some((&text[..end], &text[end + 1..]))
}

/// Digits with an optional leading `-`, nothing else.
fn parse_payment_amount(text: &str) -> Result<Amount, InvalidRequest> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    match digits.parse::<Amount>() {
        Ok(amount) if !negative && !amount.is_zero() => Ok(amount),
        Ok(_) => Err(InvalidRequest::AmountNotPositive),
        Err(ParseAmountError::TooLarge) if negative => Err(InvalidRequest::AmountNotPositive),
        Err(ParseAmountError::TooLarge | ParseAmountError::NotDigits) => {
            Err(InvalidRequest::Malformed)
        }
    }
}

impl fmt::Display for TextRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(name) => write!(f, "REGISTER#{name}"),
            Self::LogIn { name, port } => write!(f, "{name}#{port}"),
            Self::List => f.write_str("List"),
            Self::Pay(payment) => payment.fmt(f),
            Self::Exit => f.write_str("Exit"),
        }
    }
}

impl fmt::Display for TextPayment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.payer, self.amount, self.payee)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Username {
        text.parse().expect("a valid name")
    }

    fn payment(payer: &str, credits: u64, payee: &str) -> TextRequest {
        TextRequest::Pay(TextPayment {
            payer: name(payer),
            amount: Amount::new(credits),
            payee: name(payee),
        })
    }

    #[test]
    fn one_request_a_row() {
        let log_in = |who, port: &str| TextRequest::LogIn {
            name: name(who),
            port: port.parse().expect("a valid port"),
        };
        for (text, expected) in [
            ("REGISTER#alice", Ok(TextRequest::Register(name("alice")))),
            ("alice#7001", Ok(log_in("alice", "7001"))),
            ("bobby#1", Ok(log_in("bobby", "1"))),
            ("List", Ok(TextRequest::List)),
            ("Exit", Ok(TextRequest::Exit)),
            ("alice#10#bob", Ok(payment("alice", 10, "bob"))),
            ("alice#18446744073709551615#bob", Ok(payment("alice", u64::MAX, "bob"))),
            // names
            ("REGISTER#", Err(InvalidRequest::RegisterName)),
            ("REGISTER##", Err(InvalidRequest::RegisterName)),
            ("REGISTER#x#1.2.3.4#99", Err(InvalidRequest::RegisterName)),
            ("REGISTER#REGISTER", Err(InvalidRequest::RegisterName)),
            ("REGISTER#5#bob", Err(InvalidRequest::RegisterName)),
            ("REGISTER#12345", Err(InvalidRequest::RegisterName)),
            // ports
            ("alice#0", Err(InvalidRequest::LogIn)),
            ("alice#70000", Err(InvalidRequest::LogIn)),
            ("alice#abc", Err(InvalidRequest::LogIn)),
            ("alice#", Err(InvalidRequest::LogIn)),
            ("#7001", Err(InvalidRequest::LogIn)),
            ("register#7001", Err(InvalidRequest::LogIn)),
            // amounts
            ("alice#0#bob", Err(InvalidRequest::AmountNotPositive)),
            ("alice#-0#bob", Err(InvalidRequest::AmountNotPositive)),
            ("alice#-10#bob", Err(InvalidRequest::AmountNotPositive)),
            ("alice#-99999999999999999999#bob", Err(InvalidRequest::AmountNotPositive)),
            ("alice#99999999999999999999#bob", Err(InvalidRequest::Malformed)),
            ("alice#18446744073709551616#bob", Err(InvalidRequest::Malformed)),
            ("alice##bob", Err(InvalidRequest::Malformed)),
            ("alice#-#bob", Err(InvalidRequest::Malformed)),
            ("alice# 5#bob", Err(InvalidRequest::Malformed)),
            ("alice#5 #bob", Err(InvalidRequest::Malformed)),
            ("alice#5x#bob", Err(InvalidRequest::Malformed)),
            ("alice#+5#bob", Err(InvalidRequest::Malformed)),
            ("alice#--5#bob", Err(InvalidRequest::Malformed)),
            ("alice#1e3#bob", Err(InvalidRequest::Malformed)),
            ("alice#1.5#bob", Err(InvalidRequest::Malformed)),
            // payers and payees
            ("#5#bob", Err(InvalidRequest::PayName)),
            ("alice#5#", Err(InvalidRequest::PayName)),
            ("al ice#5#bob", Err(InvalidRequest::PayName)),
            // the rest
            ("", Err(InvalidRequest::Malformed)),
            ("REGISTER", Err(InvalidRequest::Malformed)),
            ("LIST", Err(InvalidRequest::Malformed)),
            ("List ", Err(InvalidRequest::Malformed)),
            ("hello", Err(InvalidRequest::Malformed)),
            ("alice#5#bob#", Err(InvalidRequest::Malformed)),
            ("alice#0#bob#", Err(InvalidRequest::Malformed)),
            ("#5#bob#", Err(InvalidRequest::Malformed)),
            ("a#1#b#2#c", Err(InvalidRequest::Malformed)),
        ] {
            assert_eq!(TextRequest::parse(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "(REGISTER#[a-z]{1,8}|[a-z]{1,8}#[1-9][0-9]{0,3}|List|Exit|[a-z]{1,8}#[1-9][0-9]{0,18}#[a-z]{1,8})") {
            if let Ok(request) = TextRequest::parse(&text) {
                prop_assert_eq!(request.to_string(), text);
            }
        }

        #[test]
        fn any_text_never_panics(text in "\\PC*") {
            let _ = TextRequest::parse(&text);
        }
    }
}
