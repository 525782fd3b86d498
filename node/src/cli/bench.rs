//! What only a measurement is told. A measurement is described by its command line alone, so none of
//! this stands in the environment or in the configuration file.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// The flags of `--role bench`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Bench")]
pub(crate) struct BenchFlags {
    /// How many connections carry the load, or, of p2p, how many pairs of clients [default: 8, closed:
    /// 32]
    #[arg(long, value_name = "COUNT")]
    pub(crate) connections: Option<NonZeroUsize>,
    /// How many payments are under way on each connection: those of a pipeline, or those of a pair
    /// of clients, 64 at most [default: 1000, p2p: 32]
    #[arg(long, value_name = "COUNT")]
    pub(crate) window: Option<NonZeroUsize>,
    /// How long each round measures [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) duration: Option<RoundTime>,
    /// How often everything is measured; the medians are printed, with the least and the most
    /// [default: 5]
    #[arg(long, value_name = "COUNT")]
    pub(crate) rounds: Option<NonZeroUsize>,
    /// Pipeline: offer so many payments a second, or so much of the maximum, which is measured first;
    /// latency is then counted from the moment at which a payment was due [default: as fast as it
    /// goes]
    #[arg(long, value_name = "PER_SECOND|PERCENT%")]
    pub(crate) rate: Option<Rate>,
    /// Pipeline: the maximum, then rates from 10 % to 100 % of it
    #[arg(long)]
    pub(crate) sweep: bool,
    /// Pipeline: orders that their payers have signed, over the secure protocol
    #[arg(long)]
    pub(crate) signed: bool,
    /// Pipeline of signed orders: how many payers sign them [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) payers: Option<NonZeroU32>,
    /// How many accounts pay, each payment from another one of them; on a running server that answers the
    /// payer instead of the payee who asks, one pays on each connection [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) accounts: Option<NonZeroU32>,
    /// Idle, list: how many sessions are logged in [default: 10000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) sessions: Option<NonZeroU32>,
    /// Recover: how many entries the journal has [default: 10000000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) entries: Option<NonZeroU64>,
    /// P2p: where the clients keep their orders and receipts. Each would have a machine and a disk of
    /// its own, and here they would share the server's [default: memory]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) client_stores: Option<ClientStores>,
    /// What ends a request of the text protocol; all but `lf` keep one under way per connection
    /// [default: lf]
    #[arg(long, value_enum, value_name = "END")]
    pub(crate) line_end: Option<LineEnd>,
    /// The process of the server that --server gives, if it runs on this machine: tells what it takes
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<NonZeroU32>,
    /// Bench, admin: print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw throughput and latency into this file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

/// What ends a request of the text protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LineEnd {
    /// A line feed; many requests may be under way
    #[default]
    Lf,
    /// A NUL, for servers of the family that read a string of C
    Nul,
    /// Nothing, as in the original program
    None,
}

/// Where clients keep what they must not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientStores {
    /// In memory
    #[default]
    Memory,
    /// In files, beside the ledger
    Disk,
}

/// How many payments a second are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// So many.
    PerSecond(u64),
    /// So much of what the server takes at most, from 1 to 100.
    Percent(u8),
}

/// A text that is no [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is a number of payments a second, such as 100000, or a part of the most, such as 50%"
)]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(RateError),
            },
            None => match text.parse() {
                Ok(rate @ 1..) => Ok(Self::PerSecond(rate)),
                _ => Err(RateError),
            },
        }
    }
}

/// More than a day is no round of a measurement.
const ROUND_TIME_MAX: Duration = Duration::from_hours(24);
/// Less than this measures the beginning alone.
const ROUND_TIME_MIN: Duration = Duration::from_millis(10);

/// How long one round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundTime(pub(crate) Duration);

/// A text that is no [`RoundTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a round is a number with a unit, such as 5s or 200ms: at least 10ms, at most a day")]
pub(crate) struct RoundTimeError;

impl FromStr for RoundTime {
    type Err = RoundTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match humantime::parse_duration(text) {
            Ok(time) if (ROUND_TIME_MIN..=ROUND_TIME_MAX).contains(&time) => Ok(Self(time)),
            _ => Err(RoundTimeError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, expected) in [
            ("1", Ok(Rate::PerSecond(1))),
            ("900000", Ok(Rate::PerSecond(900_000))),
            ("50%", Ok(Rate::Percent(50))),
            ("100%", Ok(Rate::Percent(100))),
            ("0", Err(RateError)),
            ("0%", Err(RateError)),
            ("101%", Err(RateError)),
            ("1.5", Err(RateError)),
            ("half", Err(RateError)),
            ("", Err(RateError)),
        ] {
            assert_eq!(text.parse::<Rate>(), expected, "{text:?}");
        }
    }

    #[test]
    fn round_times() {
        for (text, expected) in [
            ("5s", Ok(RoundTime(Duration::from_secs(5)))),
            ("10ms", Ok(RoundTime(Duration::from_millis(10)))),
            ("9ms", Err(RoundTimeError)),
            ("2days", Err(RoundTimeError)),
            ("5", Err(RoundTimeError)),
        ] {
            assert_eq!(text.parse::<RoundTime>(), expected, "{text:?}");
        }
    }
}
