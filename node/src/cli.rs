//! The command line: which flags there are and what their values look like.
//!
//! What they mean together, with the environment and the configuration file, is
//! [`config`](crate::config)'s matter.

mod admin;
mod bench;
mod copies;
mod flags;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

pub(crate) use self::admin::AdminFlags;
pub(crate) use self::bench::{BenchFlags, RoundTime};
pub use self::bench::{ClientStores, LineEnd, Rate};
pub(crate) use self::copies::CopyFlags;
pub(crate) use self::flags::Flags;
pub use self::values::{HostPort, LogFormat, LogLevel, Protocol, Role, TextAccess};
pub(crate) use self::values::{HostPortError, MetricsAddress, QuietTime, SilentTime};

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
  node --role backup --data DIR --to DIR           the server may run meanwhile
  node --role archive --data DIR --archive-to DIR  moves old journal files there
  node --role admin --data DIR status              how is the server that runs there?
  node --role bench limits                         what this machine can do
  node --role bench pipeline --rate 50%            payments by text at half of the maximum

Exit codes:
  0   all is well
  1   a command failed or was refused, a payment is still open, or the terminal is gone
  2   the command line or an environment variable is wrong
  3   the configuration file cannot be read or is wrong
  4   cannot listen: the port is in use or not permitted
  5   the data directory or the profile cannot be used, or what is to be audited cannot be read
  6   the journal is damaged
  7   the server cannot be reached, by a client of the text protocol, `restore` or --role admin
  8   an audit has found a fault, or a backup one in the ledger
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
    /// read from the standard input. Admin: what to do at the running server, `status`, `online`,
    /// `deposit NAME AMOUNT`, `withdraw NAME AMOUNT`, `freeze NAME`, `unfreeze NAME`, `drain`,
    /// `snapshot`, `verify` or `backup DIR`
    #[arg(value_name = "WHAT")]
    pub(crate) words: Vec<OsString>,
    /// Audit of a ledger: receipts that it must hold
    #[arg(long, value_name = "RECEIPT", num_args = 1..)]
    pub(crate) against: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) copies: CopyFlags,
    #[command(flatten)]
    pub(crate) bench: BenchFlags,

    #[command(flatten)]
    pub(crate) admin: AdminFlags,
    /// The flags that were typed, by the names of their fields.
    #[arg(skip)]
    pub(crate) typed: Vec<String>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scenario;

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
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
