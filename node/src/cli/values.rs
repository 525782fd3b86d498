//! What the values of flags look like, wherever they stand.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};

/// What the program is to be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Keeps the accounts
    Server,
    /// Pays and is paid
    Client,
    /// A server and two clients that pay each other, to look at
    Demo,
    /// Checks receipts and ledgers
    Audit,
    /// Copies a ledger, of a running server, too, so that a server can be started from the copy
    Backup,
    /// Moves old journal files of a server that does not run to another directory
    Archive,
    /// Measures how fast a server is, beside what the machine can do
    Bench,
    /// Tells a running server what to do
    Admin,
}

/// Who may speak the text protocol.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TextAccess {
    /// Nobody
    Off,
    /// Programs on this machine
    #[default]
    Loopback,
    /// Everybody who can connect
    Any,
}

/// How a client speaks to its server.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Mite's own: nobody moves money but its owner
    #[default]
    Secure,
    /// The text protocol, which proves nothing
    Text,
}

/// The least important records that are logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    #[value(alias = "warn")]
    #[serde(alias = "warn")]
    Warning,
    Error,
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Term,
    /// One JSON object a line
    Json,
}

/// `host:port`, where the host is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Without brackets.
    pub host: String,
    /// From 0 to 65535.
    pub port: u16,
}

/// A text that is not `host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is HOST:PORT, such as 127.0.0.1:8000, localhost:8000 or [::1]:8000")]
pub struct HostPortError;

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let is_host = match bare {
            Some(address) => address.contains(':'),
            None => !host.is_empty() && !host.contains([':', '[', ']', ' ']),
        };
        if !is_port || !is_host {
            return Err(HostPortError);
        }
        let port = port.parse().map_err(|_| HostPortError)?;
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where to tell health and metrics: `host:port`, or a port of 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricsAddress(pub(crate) HostPort);

impl FromStr for MetricsAddress {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_port = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let address = if is_port { format!("127.0.0.1:{text}") } else { text.to_owned() };
        Ok(Self(address.parse()?))
    }
}

/// More than any request needs; a longer one would only look like a server that hangs.
const QUIET_TIME_MAX: Duration = Duration::from_secs(10);

/// How long nothing must come for an unterminated request to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuietTime(pub(crate) Duration);

/// A text that is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is a number with a unit, such as 2ms or 500us, and at most 10s")]
pub(crate) struct QuietTimeError;

impl FromStr for QuietTime {
    type Err = QuietTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= QUIET_TIME_MAX => Ok(Self(duration)),
            _ => Err(QuietTimeError),
        }
    }
}

/// More than a day is no limit.
const SILENT_TIME_MAX: Duration = Duration::from_hours(24);

/// How long a session must be silent to be asked to leave when there are no places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SilentTime(pub(crate) Duration);

/// A text that is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is a number with a unit, such as 60s or 10m, and at most 24h")]
pub(crate) struct SilentTimeError;

impl FromStr for SilentTime {
    type Err = SilentTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= SILENT_TIME_MAX => Ok(Self(duration)),
            _ => Err(SilentTimeError),
        }
    }
}

/// A value that the file writes as text, by the rules of the command line.
pub(super) fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address = |host: &str, port| Ok(HostPort { host: host.to_owned(), port });
        for (text, expected) in [
            ("127.0.0.1:8000", address("127.0.0.1", 8000)),
            ("localhost:0", address("localhost", 0)),
            ("[::1]:8000", address("::1", 8000)),
            ("", Err(HostPortError)),
            ("8000", Err(HostPortError)),
            (":8000", Err(HostPortError)),
            ("localhost", Err(HostPortError)),
            ("localhost:", Err(HostPortError)),
            ("localhost:x", Err(HostPortError)),
            ("localhost:+80", Err(HostPortError)),
            ("localhost:70000", Err(HostPortError)),
            ("::1:8000", Err(HostPortError)),
            ("[::1]", Err(HostPortError)),
            ("[host]:80", Err(HostPortError)),
        ] {
            assert_eq!(text.parse::<HostPort>(), expected, "{text:?}");
        }
    }

    #[test]
    fn silent_times() {
        for (text, expected) in [
            ("1m", Ok(Duration::from_mins(1))),
            ("24h", Ok(SILENT_TIME_MAX)),
            ("25h", Err(SilentTimeError)),
            ("60", Err(SilentTimeError)),
        ] {
            assert_eq!(text.parse::<SilentTime>(), expected.map(SilentTime), "{text:?}");
        }
    }

    #[test]
    fn quiet_times() {
        for (text, expected) in [
            ("2ms", Ok(Duration::from_millis(2))),
            ("500us", Ok(Duration::from_micros(500))),
            ("0", Ok(Duration::ZERO)),
            ("0ms", Ok(Duration::ZERO)),
            ("10s", Ok(Duration::from_secs(10))),
            ("11s", Err(QuietTimeError)),
            ("2", Err(QuietTimeError)),
            ("-2ms", Err(QuietTimeError)),
            ("", Err(QuietTimeError)),
        ] {
            assert_eq!(text.parse::<QuietTime>(), expected.map(QuietTime), "{text:?}");
        }
    }
}
