//! What an operator says beside a change of an account: names of changes, and reasons.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::EntryNumber;

/// The longest [`OperatorId`], in characters: room for a date, a purpose and a number, or for a random
/// one in hexadecimal digits.
pub const OPERATOR_ID_CHARS_MAX: usize = 64;

/// The longest [`FreezeReason`], in bytes of UTF-8: a sentence.
pub const FREEZE_REASON_BYTES_MAX: usize = 120;

/// What names a deposit or a withdrawal among all of a ledger's: 1 to 64 visible ASCII characters. Who
/// says it again means the same one.
///
/// ```
/// use wire::OperatorId;
///
/// assert!("invoice-4711".parse::<OperatorId>().is_ok());
/// assert!("two words".parse::<OperatorId>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString")]
pub struct OperatorId(CompactString);

impl OperatorId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not an [`OperatorId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to {OPERATOR_ID_CHARS_MAX} visible ASCII characters, without spaces")]
pub struct OperatorIdError;

impl TryFrom<CompactString> for OperatorId {
    type Error = OperatorIdError;

    fn try_from(text: CompactString) -> Result<Self, Self::Error> {
        let fits = (1..=OPERATOR_ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(OperatorIdError) }
    }
}

impl FromStr for OperatorId {
    type Err = OperatorIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        CompactString::new(text).try_into()
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an account is frozen, for people: at most 120 bytes without control characters; empty if nobody
/// says. The account's holder can read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CompactString")]
pub struct FreezeReason(CompactString);

impl FreezeReason {
    /// The reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody has said one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A text that is not a [`FreezeReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reason has at most {FREEZE_REASON_BYTES_MAX} bytes and no control characters")]
pub struct FreezeReasonError;

impl TryFrom<CompactString> for FreezeReason {
    type Error = FreezeReasonError;

    fn try_from(text: CompactString) -> Result<Self, Self::Error> {
        let fits = text.len() <= FREEZE_REASON_BYTES_MAX && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(FreezeReasonError) }
    }
}

impl FromStr for FreezeReason {
    type Err = FreezeReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        CompactString::new(text).try_into()
    }
}

impl fmt::Display for FreezeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an operator's change was not made. Nothing has changed.
///
/// The codes are part of the admin protocol: they never change and are never used again. Variants are
/// only ever added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OperatorRefusal {
    /// No account has the name.
    #[error("no account has this name")]
    UnknownAccount,
    /// The amount is zero.
    #[error("the amount is not positive")]
    AmountNotPositive,
    /// The account has less than the amount.
    #[error("the account holds less than that")]
    InsufficientBalance,
    /// The deposit would bring the supply above the largest amount.
    #[error("no more credits can be issued")]
    SupplyExhausted,
    /// Another deposit or withdrawal has this id.
    #[error("entry {0} has this id and says something else")]
    IdUsed(EntryNumber),
    /// The account is not frozen.
    #[error("the account is not frozen")]
    NotFrozen,
}

impl OperatorRefusal {
    /// The stable number of this refusal.
    pub const fn code(self) -> u16 {
        match self {
            Self::UnknownAccount => 300,
            Self::AmountNotPositive => 301,
            Self::InsufficientBalance => 302,
            Self::SupplyExhausted => 303,
            Self::IdUsed(_) => 304,
            Self::NotFrozen => 305,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (text, fits) in [
            ("a", true),
            ("invoice-4711/2", true),
            ("", false),
            ("two words", false),
            ("line\n", false),
            ("größe", false),
        ] {
            assert_eq!(text.parse::<OperatorId>().is_ok(), fits, "{text:?}");
        }
        for (len, fits) in [(OPERATOR_ID_CHARS_MAX, true), (OPERATOR_ID_CHARS_MAX + 1, false)] {
            assert_eq!("x".repeat(len).parse::<OperatorId>().is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn reasons() {
        for (text, fits) in [
            ("", true),
            ("größere Beträge, fünfmal", true),
            ("two\nlines", false),
            ("\u{7f}", false),
        ] {
            assert_eq!(text.parse::<FreezeReason>().is_ok(), fits, "{text:?}");
        }
        for (len, fits) in [(FREEZE_REASON_BYTES_MAX, true), (FREEZE_REASON_BYTES_MAX + 1, false)] {
            assert_eq!("x".repeat(len).parse::<FreezeReason>().is_ok(), fits, "{len}");
        }
    }
}
