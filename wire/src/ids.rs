//! Numbers that a caller could mistake for each other, each with a type of its own.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The value with this number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The bare number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// An account's place in the order of openings, from 0. It never changes and is never used again.
    AccountId
}
number! {
    /// An entry's place in the whole ledger, from 0.
    EntryNumber
}
number! {
    /// A batch's place in the journal, from 1; 0 stands for "before the first batch".
    BatchNumber
}
number! {
    /// A moment of the server's clock: milliseconds since the Unix epoch, in UTC.
    Timestamp
}

impl Timestamp {
    /// The moment in UTC as RFC 3339 writes it, with milliseconds; the bare number where its four
    /// digits of a year do not suffice.
    pub fn to_utc(self) -> String {
        const YEAR_10000_MS: u64 = 253_402_300_800_000;
        if self.0 >= YEAR_10000_MS {
            return format!("{} ms after 1970", self.0);
        }
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(self.0)).to_string()
    }
}

/// The TCP port on which a client takes payments from its peers, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct P2pPort(NonZeroU16);

/// A text or number that is not a port from 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a port is a number from 1 to 65535")]
pub struct P2pPortError;

impl P2pPort {
    /// The port number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<u16> for P2pPort {
    type Error = P2pPortError;

    fn try_from(port: u16) -> Result<Self, Self::Error> {
        NonZeroU16::new(port).map(Self).ok_or(P2pPortError)
    }
}

impl FromStr for P2pPort {
    type Err = P2pPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(P2pPortError);
        }
        text.parse().map(Self).map_err(|_| P2pPortError)
    }
}

impl fmt::Display for P2pPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_a_text() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_790_000_000_123, "2026-09-21T14:13:20.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "253402300800000 ms after 1970"),
            (u64::MAX, "18446744073709551615 ms after 1970"),
        ] {
            assert_eq!(Timestamp::new(ms).to_utc(), text);
        }
    }

    #[test]
    fn ports_are_1_to_65535_in_digits() {
        assert_eq!("1".parse::<P2pPort>().map(P2pPort::get), Ok(1));
        assert_eq!("65535".parse::<P2pPort>().map(P2pPort::get), Ok(65535));
        for text in
            ["", "0", "00", "65536", "70000", "abc", "+80", "-1", " 80", "80 ", "99999999999"]
        {
            assert_eq!(text.parse::<P2pPort>(), Err(P2pPortError), "{text:?}");
        }
    }
}
