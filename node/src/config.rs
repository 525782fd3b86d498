//! The configuration: one value, whole and valid, out of four places.
//!
//! A flag goes before its environment variable, that before the configuration file, that before the
//! default. The environment and the file may be shared by several roles, so settings of another role
//! in them are passed over; a flag that the role does not have is a mistake.

mod address;
mod admin;
mod archive;
mod audit;
mod backup;
mod bench;
mod client;
pub(crate) mod file;
mod limits;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use self::address::SERVER_DEFAULT;
pub use self::admin::{AdminCommand, AdminConfig, Movement};
pub use self::archive::{ArchiveConfig, ArchivingConfig};
pub use self::audit::AuditConfig;
pub use self::backup::BackupConfig;
pub use self::bench::{BenchConfig, Scenario, Target};
pub use self::client::{ClientConfig, ClientProtocol, SecureConfig};
pub use self::server::{DemoConfig, ServerConfig};
use crate::cli::{Cli, Flags};
pub use crate::cli::{
    ClientStores, HostPort, LineEnd, LogFormat, LogLevel, Protocol, Rate, Role, TextAccess,
};
use crate::error::Error;

const AUDIT_FLAGS: &[&str] = &["data", "server_key", "words", "against", "archived"];
const BENCH_FLAGS: &[&str] = &[
    "words",
    "data",
    "server",
    "protocol",
    "connections",
    "window",
    "duration",
    "rounds",
    "rate",
    "sweep",
    "signed",
    "payers",
    "accounts",
    "sessions",
    "entries",
    "session_threads",
    "client_stores",
    "line_end",
    "server_pid",
    "json",
    "plot",
];

/// Everything that the program was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How to log.
    pub log: LogConfig,
    /// What to be.
    pub config: Config,
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// What to log.
    pub level: LogLevel,
    /// How it looks.
    pub format: LogFormat,
}

/// What to be, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// The server.
    Server(ServerConfig),
    /// A client with its terminal.
    Client(ClientConfig),
    /// A server and two clients in one process.
    Demo(DemoConfig),
    /// The audit of a receipt or of a ledger.
    Audit(AuditConfig),
    /// Archiving old segments.
    Archive(ArchiveConfig),
    /// A backup of a ledger.
    Backup(BackupConfig),
    /// A measurement.
    Bench(BenchConfig),
    /// A command to a running server.
    Admin(AdminConfig),
}

/// Reads the command line, the environment, and the configuration file.
///
/// # Errors
/// [`Error::CommandLine`] and [`Error::Usage`] for what was typed or stands in the environment,
/// [`Error::ConfigUnreadable`] and [`Error::ConfigInvalid`] for the file, [`Error::Listen`] and
/// [`Error::ServerUnreachable`] for a host that has no address.
pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Settings, Error> {
    let cli = Cli::parse_args(args)?;
    let file = match &cli.config {
        Some(path) => file::read(path)?,
        None => Flags::default(),
    };
    resolve(Cli { flags: cli.flags.clone().or(file), ..cli })
}

fn resolve(cli: Cli) -> Result<Settings, Error> {
    let Cli { flags, words, against, copies, bench, admin, typed, .. } = cli;
    let (words, typed) = (words.as_slice(), typed.as_slice());
    let role = flags.role.ok_or_else(|| Error::Usage {
        message: "no role is given".into(),
        hint: "add --role server, --role client, --role demo, --role audit, --role backup, --role \
             archive, --role bench or --role admin; --help tells more"
            .into(),
    })?;
    refuse_foreign_flags(role, words, typed)?;
    let log = LogConfig {
        level: flags.log_level.unwrap_or_else(|| default_log_level(role)),
        format: flags.log_format.unwrap_or_default(),
    };
    let config = match role {
        Role::Server => {
            let data = flags.data.clone().map_or_else(default_data_dir, Ok)?;
            Config::Server(server::config(flags, data, SERVER_DEFAULT.1)?)
        }
        Role::Client => Config::Client(client::config(flags, words)?),
        Role::Demo => Config::Demo(server::demo(flags)?),
        Role::Audit => Config::Audit(audit::config(flags, words, against, copies.archived, typed)?),
        Role::Archive => Config::Archive(archive::config(flags)?),
        Role::Backup => Config::Backup(backup::config(flags, copies)?),
        Role::Admin => Config::Admin(admin::config(flags, admin, bench.json, words)?),
        Role::Bench => Config::Bench(bench::config(&flags, bench, words, typed)?),
    };
    Ok(Settings { log, config })
}

/// A server is watched by its log; a person at a terminal wants to see what goes wrong only.
fn default_log_level(role: Role) -> LogLevel {
    match role {
        Role::Server => LogLevel::Info,
        Role::Client
        | Role::Demo
        | Role::Audit
        | Role::Backup
        | Role::Archive
        | Role::Bench
        | Role::Admin => LogLevel::Warning,
    }
}

fn refuse_foreign_flags(role: Role, words: &[OsString], typed: &[String]) -> Result<(), Error> {
    let of = |role| match role {
        Role::Server | Role::Demo => server::FLAGS,
        Role::Client => client::FLAGS,
        Role::Audit => AUDIT_FLAGS,
        Role::Backup => backup::FLAGS,
        Role::Archive => archive::FLAGS,
        Role::Bench => BENCH_FLAGS,
        Role::Admin => admin::FLAGS,
    };
    let owners = [
        (server::FLAGS, "--role server and --role demo"),
        (client::FLAGS, "--role client"),
        (AUDIT_FLAGS, "--role audit"),
        (backup::FLAGS, "--role backup"),
        (archive::FLAGS, "--role archive"),
        (BENCH_FLAGS, "--role bench"),
        (admin::FLAGS, "--role admin"),
    ];
    for id in typed.iter().map(String::as_str).filter(|id| !of(role).contains(id)) {
        let Some((_, owner)) = owners.iter().find(|(flags, _)| flags.contains(&id)) else {
            continue;
        };
        let what = match words {
            [word, ..] if id == "words" => format!("`{}`", word.to_string_lossy()),
            _ => format!("--{}", id.replace('_', "-")),
        };
        let owner = match id {
            "words" => "--role audit, --role bench and --role admin, or `restore` to --role client",
            _ => owner,
        };
        return Err(Error::Usage {
            message: format!("{what} means nothing to {}", role_name(role)),
            hint: format!("leave it out; it belongs to {owner}"),
        });
    }
    Ok(())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Server => "a server",
        Role::Client => "a client",
        Role::Demo => "a demo",
        Role::Audit => "an audit",
        Role::Backup => "a backup",
        Role::Archive => "archiving",
        Role::Bench => "a measurement",
        Role::Admin => "an operator's program",
    }
}

fn default_data_dir() -> Result<PathBuf, Error> {
    let base = etcetera::choose_base_strategy().map_err(|error| Error::Usage {
        message: format!("there is no default data directory: {error}"),
        hint: "choose one with --data DIR".into(),
    })?;
    Ok(base.data_dir().join("mite"))
}

#[cfg(test)]
mod tests;
