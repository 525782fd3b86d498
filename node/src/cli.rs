//! The command line: which flags there are and what their values look like.
//!
//! What they mean together, with the environment and the configuration file, is
//! [`config`](crate::config)'s matter.

mod bench;

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};
use serde::{Deserialize, Deserializer};
use wire::text::Dialect;
use wire::{Amount, PublicKey, Username};

pub(crate) use self::bench::{BenchFlags, RoundTime};
pub use self::bench::{ClientStores, LineEnd, Rate};

const ABOUT: &str = "Mite: payments from person to person.";

/// Stands behind the name of the system: `mite 0.1.0 (node)`.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (node)");

const AFTER_HELP: &str = "\
Each flag can also stand in the environment (MITE_DATA for --data) or in a TOML file (data = \"…\").
A flag goes before the environment, the environment before the file. Those of `bench` are typed,
--log-level and --log-format apart: a measurement is described by its command line.

Examples:
  node --role demo                                 a server and two clients that pay each other
  node --role server --listen 0.0.0.0:8000
  node --role client --name alice --p2p-port 7001
  node --role client restore --name alice          her key, out of its 24 words
  printf 'login\\nwait 60\\n' | node --role client --name bob --no-passphrase
  node --role audit receipt FILE --server-key KEY  does the receipt prove what it says?
  node --role audit ledger --data DIR --against RECEIPT
  node --role bench limits                         what this machine can do
  node --role bench pipeline --rate 50%            payments by text at half of the maximum

Exit codes:
  0   all is well
  1   a command of a script failed, a payment is still open, or the terminal is gone
  2   the command line or an environment variable is wrong
  3   the configuration file cannot be read or is wrong
  4   cannot listen: the port is in use or not permitted
  5   the data directory or the profile cannot be used, or what is to be audited cannot be read
  6   the journal is damaged
  7   the server cannot be reached, by a client of the text protocol or by `restore`
  8   the audit has found a fault
  9   a measurement failed: a wrong answer, or a server that ended
  70  the program itself failed";

/// What was given on the command line or in the environment.
#[derive(Debug, Parser)]
#[command(name = "node", display_name = "mite", version = VERSION, about = ABOUT, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// A TOML file with the same names, such as `opening-balance = 500`
    #[arg(long, env = "MITE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Audit: what to audit, `receipt FILE` or `ledger`. Bench: what to measure, `closed`, `pipeline`,
    /// `idle`, `list`, `recover`, `p2p` or `limits`. Client: `restore` makes the key out of its 24 words,
    /// read from the standard input
    #[arg(value_name = "WHAT")]
    pub(crate) words: Vec<OsString>,
    /// Audit of a ledger: receipts that it must hold
    #[arg(long, value_name = "RECEIPT", num_args = 1..)]
    pub(crate) against: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) bench: BenchFlags,
    /// The flags that were typed, by the names of their fields.
    #[arg(skip)]
    pub(crate) typed: Vec<String>,
}

/// Everything that can be set, whatever the place it is set in. The configuration file has the same
/// names.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Flags {
    /// What to be
    #[arg(long, env = "MITE_ROLE", value_enum)]
    pub(crate) role: Option<Role>,

    /// Server, demo: where to take connections; port 0 picks a free one [default: 127.0.0.1:8000,
    /// demo: 127.0.0.1:0]
    #[arg(long, env = "MITE_LISTEN", value_name = "HOST:PORT")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) listen: Option<HostPort>,
    /// Server, demo, audit: the directory of the ledger [default: ~/.local/share/mite by the XDG
    /// rules, demo: a temporary one]. Bench: an empty directory, on the disk to measure, for a ledger
    /// that is kept; it must be typed [default: a temporary one]
    #[arg(long, env = "MITE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Server, demo: the credits of a new account [default: 1000, with the dialect ta2021 10000]
    #[arg(
        long,
        env = "MITE_OPENING_BALANCE",
        value_name = "CREDITS",
        allow_negative_numbers = true
    )]
    pub(crate) opening_balance: Option<Amount>,
    /// Server, demo: who may speak the text protocol, which proves nobody's identity
    /// [default: loopback]
    #[arg(long, env = "MITE_TEXT", value_enum)]
    pub(crate) text: Option<TextAccess>,
    /// Server, demo: whose words the text protocol has, `seed` or `ta2021` [default: seed]
    #[arg(long, env = "MITE_TEXT_DIALECT", value_name = "DIALECT")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) text_dialect: Option<Dialect>,
    /// Server, demo: how long nothing must come for an unterminated request to be whole
    /// [default: 2ms]
    #[arg(long, env = "MITE_TEXT_QUIET", value_name = "DURATION")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) text_quiet: Option<QuietTime>,
    /// Server, demo: how many connections may be open at once [default: 10000]
    #[arg(long, env = "MITE_MAX_CONNECTIONS", value_name = "COUNT")]
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// Server, demo: how many connections may be half-open at once: begun, and not yet known to be
    /// text or done with their TLS handshake [default: 1024]
    #[arg(long, env = "MITE_HALF_OPEN_MAX", value_name = "COUNT")]
    pub(crate) half_open_max: Option<NonZeroUsize>,
    /// Server, demo: how many of them may come from one address [default: 256]
    #[arg(long, env = "MITE_HALF_OPEN_PER_ADDRESS_MAX", value_name = "COUNT")]
    pub(crate) half_open_per_address_max: Option<NonZeroUsize>,
    /// Server, demo, and bench for a server of its own, where it must be typed: on how many threads of
    /// their own the sessions live; with 0 they share that of the ledger [default: 0 on less than 4
    /// cores, else half of the cores, 4 at most]
    #[arg(long, env = "MITE_SESSION_THREADS", value_name = "COUNT")]
    pub(crate) session_threads: Option<u8>,

    /// Client: where the server is [default: 127.0.0.1:8000]. Bench: a server that runs already, of any
    /// program of the family; it must be typed [default: one of its own]
    #[arg(long, env = "MITE_SERVER", value_name = "HOST:PORT")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) server: Option<HostPort>,
    /// Client: the port on which peers reach it once it is logged in; 0 picks a free one
    /// [default: 7001]
    #[arg(long, env = "MITE_P2P_PORT", value_name = "PORT")]
    pub(crate) p2p_port: Option<u16>,
    /// Client: the name that `register` means when it is given none, and with --protocol text `login`,
    /// too
    #[arg(long, env = "MITE_NAME", value_name = "NAME")]
    pub(crate) name: Option<Username>,
    /// Client, bench: how to speak to the server [default: secure, bench: text]
    #[arg(long, env = "MITE_PROTOCOL", value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// Client: which of the keys that are kept here to use [default: that of --name, or `default`]
    #[arg(long, env = "MITE_PROFILE", value_name = "NAME")]
    pub(crate) profile: Option<Username>,
    /// Client: the directory of the profiles [default: ~/.config/mite by the XDG rules]
    #[arg(long, env = "MITE_CONFIG_DIR", value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Client: a file whose first line is the passphrase of the key; `MITE_PASSPHRASE` may hold it,
    /// too, and at a terminal it is asked for
    #[arg(long, env = "MITE_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Client: keep the key unencrypted, protected by nothing but the permissions of its file
    #[arg(long)]
    #[serde(skip)]
    pub(crate) no_passphrase: bool,
    /// Client, audit: the server's key, as it prints it [default of a client: trusted at first
    /// contact, and kept; of the audit of a ledger: the one in its directory]
    #[arg(long, env = "MITE_SERVER_KEY", value_name = "KEY", allow_hyphen_values = true)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) server_key: Option<PublicKey>,
    /// Client: stay off the list, listen to nobody, and be paid through the server
    #[arg(long)]
    #[serde(skip)]
    pub(crate) unlisted: bool,

    /// What to log on the standard error [default: info for a server, warning for the others]
    #[arg(long, env = "MITE_LOG_LEVEL", value_enum)]
    pub(crate) log_level: Option<LogLevel>,
    /// Lines to read, or one JSON object a line [default: term]
    #[arg(long, env = "MITE_LOG_FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

impl Cli {
    /// Reads the command line and the environment.
    pub(crate) fn parse_args(
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(args)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.typed = matches
            .ids()
            .map(|id| id.as_str().to_owned())
            .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
            .collect();
        Ok(cli)
    }
}

impl Flags {
    /// These, and from `other` what is not set here.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            role: self.role.or(other.role),
            listen: self.listen.or(other.listen),
            data: self.data.or(other.data),
            opening_balance: self.opening_balance.or(other.opening_balance),
            text: self.text.or(other.text),
            text_dialect: self.text_dialect.or(other.text_dialect),
            text_quiet: self.text_quiet.or(other.text_quiet),
            max_connections: self.max_connections.or(other.max_connections),
            half_open_max: self.half_open_max.or(other.half_open_max),
            half_open_per_address_max: self
                .half_open_per_address_max
                .or(other.half_open_per_address_max),
            session_threads: self.session_threads.or(other.session_threads),
            server: self.server.or(other.server),
            p2p_port: self.p2p_port.or(other.p2p_port),
            name: self.name.or(other.name),
            protocol: self.protocol.or(other.protocol),
            profile: self.profile.or(other.profile),
            config_dir: self.config_dir.or(other.config_dir),
            passphrase_file: self.passphrase_file.or(other.passphrase_file),
            no_passphrase: self.no_passphrase,
            server_key: self.server_key.or(other.server_key),
            unlisted: self.unlisted,
            log_level: self.log_level.or(other.log_level),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

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
    /// Measures how fast a server is, beside what the machine can do
    Bench,
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

/// A value that the file writes as text, by the rules of the command line.
fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
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
    use crate::config::Scenario;

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

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

    #[test]
    fn help_lists_every_scenario() {
        let command = Cli::command();
        let words = command.get_arguments().find(|argument| argument.get_id() == "words");
        let help = words.and_then(clap::Arg::get_help).expect("it has a help").to_string();
        for scenario in Scenario::ALL {
            let name = format!("`{}`", scenario.name());
            assert!(help.contains(&name), "{name} is missing in:\n{help}");
        }
    }

    #[test]
    fn help_lists_every_exit_code_and_variable() {
        let help = Cli::command().render_long_help().to_string();
        for text in ["\n  70  ", "\n  8   ", "--role demo", "[env: MITE_TEXT_QUIET="] {
            assert!(help.contains(text), "{text:?} is missing in:\n{help}");
        }
    }
}
