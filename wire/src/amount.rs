//! Money: whole credits, never a fraction, never a wrapped sum.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of credits, from 0 to `u64::MAX`.
///
/// The value is private and all arithmetic is checked: there is no operator that could wrap or panic.
///
/// ```
/// use wire::Amount;
///
/// let price = Amount::new(250);
/// assert_eq!(price.checked_add(Amount::new(50)), Some(Amount::new(300)));
/// assert_eq!(price.checked_sub(Amount::new(251)), None);
/// assert_eq!("300".parse(), Ok(Amount::new(300)));
/// assert!("+300".parse::<Amount>().is_err());
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Amount(u64);

impl Amount {
    /// No credits.
    pub const ZERO: Self = Self(0);
    /// The most credits that one amount, and so the whole supply, can be.
    pub const MAX: Self = Self(u64::MAX);

    /// This many credits.
    pub const fn new(credits: u64) -> Self {
        Self(credits)
    }

    /// The number of credits.
    pub const fn credits(self) -> u64 {
        self.0
    }

    /// Whether this is no money at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` where it would be more than [`Amount::MAX`].
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` where it would be less than zero.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Something other than the digits 0 to 9 stands in it, or nothing at all.
    #[error("an amount is written in the digits 0 to 9 and nothing else")]
    NotDigits,
    /// It is larger than [`Amount::MAX`].
    #[error("an amount is at most {}", Amount::MAX)]
    TooLarge,
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // u64::from_str takes a leading `+`; money does not.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseAmountError::NotDigits);
        }
        text.parse().map(Self).map_err(|_| ParseAmountError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_amounts() {
        for (text, expected) in [
            ("0", Ok(Amount::ZERO)),
            ("007", Ok(Amount::new(7))),
            ("18446744073709551615", Ok(Amount::MAX)),
            ("18446744073709551616", Err(ParseAmountError::TooLarge)),
            ("99999999999999999999", Err(ParseAmountError::TooLarge)),
            ("", Err(ParseAmountError::NotDigits)),
            (" 5", Err(ParseAmountError::NotDigits)),
            ("5 ", Err(ParseAmountError::NotDigits)),
            ("5x", Err(ParseAmountError::NotDigits)),
            ("+5", Err(ParseAmountError::NotDigits)),
            ("-5", Err(ParseAmountError::NotDigits)),
            ("1e3", Err(ParseAmountError::NotDigits)),
            ("1.0", Err(ParseAmountError::NotDigits)),
            ("٣", Err(ParseAmountError::NotDigits)),
        ] {
            assert_eq!(text.parse::<Amount>(), expected, "{text:?}");
        }
    }

    #[test]
    fn sums_never_wrap() {
        assert_eq!(Amount::MAX.checked_add(Amount::new(1)), None);
        assert_eq!(Amount::ZERO.checked_sub(Amount::new(1)), None);
        assert_eq!(Amount::MAX.checked_sub(Amount::MAX), Some(Amount::ZERO));
    }
}
