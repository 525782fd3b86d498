//! The configuration: one value, whole and valid, out of four places.
//!
//! A flag goes before its environment variable, that before the configuration file, that before the
//! default. The environment and the file may be shared by several roles, so settings of another role
//! in them are passed over; a flag that the role does not have is a mistake.

mod audit;
mod bench;

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use etcetera::BaseStrategy as _;
use wire::text::Dialect;
use wire::{Amount, PublicKey, Username};

pub use self::audit::AuditConfig;
pub use self::bench::{BenchConfig, Scenario, Target};
use crate::cli::{Cli, Flags, QuietTime};
pub use crate::cli::{
    ClientStores, HostPort, LineEnd, LogFormat, LogLevel, Protocol, Rate, Role, TextAccess,
};
use crate::error::Error;
use crate::profile::directory::default_config_dir;
use crate::profile::keyring::ProfileError;

/// Where the server is when nobody says.
const SERVER_DEFAULT: (&str, u16) = ("127.0.0.1", 8000);
const P2P_PORT_DEFAULT: u16 = 7001;
const TEXT_QUIET_DEFAULT: Duration = Duration::from_millis(2);
const MAX_CONNECTIONS_DEFAULT: usize = 10_000;
/// Each may hold 16 KiB of a first message, and behind it what a handshake takes, some 80 KiB at the
/// worst: 100 MiB.
const HALF_OPEN_MAX_DEFAULT: usize = 1024;
/// A quarter, so that it takes several hosts to keep others out, and many people can connect at once
/// from behind one address.
const HALF_OPEN_PER_ADDRESS_MAX_DEFAULT: usize = 256;
/// The ledger is one thread, which so many keep busy.
const SESSION_THREADS_DEFAULT_MAX: usize = 4;
/// The profile of who says neither --profile nor --name.
const PROFILE_DEFAULT: &str = "default";
/// A configuration file is a screenful; one of more than this is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

const SERVER_FLAGS: &[&str] = &[
    "listen",
    "data",
    "opening_balance",
    "text",
    "text_dialect",
    "text_quiet",
    "max_connections",
    "half_open_max",
    "half_open_per_address_max",
    "session_threads",
];
const CLIENT_FLAGS: &[&str] = &[
    "server",
    "p2p_port",
    "name",
    "protocol",
    "profile",
    "config_dir",
    "passphrase_file",
    "no_passphrase",
    "server_key",
    "unlisted",
    "words",
];
const AUDIT_FLAGS: &[&str] = &["data", "server_key", "words", "against"];
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
    /// A measurement.
    Bench(BenchConfig),
}

/// What a server needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to take connections; port 0 for any free one.
    pub listen: SocketAddr,
    /// The directory of the ledger. It need not exist yet.
    pub data_dir: PathBuf,
    /// The credits of a new account.
    pub opening_balance: Amount,
    /// Who may speak the text protocol.
    pub text: TextAccess,
    /// Whose words the text protocol has.
    pub text_dialect: Dialect,
    /// How long nothing must come for an unterminated request to be whole; zero takes a drained
    /// socket for the end.
    pub text_quiet: Duration,
    /// How many connections may be open at once, at least 1.
    pub max_connections: usize,
    /// How many of them may not yet have shown what they are, at least 1.
    pub half_open_max: usize,
    /// The same for those from one address.
    pub half_open_per_address_max: usize,
    /// On how many threads of their own the sessions live; with 0 they share that of the ledger.
    pub session_threads: usize,
}

/// What a client needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Where the server is.
    pub server: SocketAddr,
    /// The port for peers; 0 for any free one.
    pub p2p_port: u16,
    /// Whom `login` means without a name.
    pub name: Option<Username>,
    /// How to speak to the server.
    pub protocol: ClientProtocol,
}

/// How a client speaks to its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProtocol {
    /// Mite's own protocol.
    Secure(SecureConfig),
    /// The text protocol.
    Text,
}

/// What a client of the secure protocol needs to know besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureConfig {
    /// How the server is called, as it was typed: what its key is remembered by.
    pub server_name: HostPort,
    /// Which profile holds the key.
    pub profile: Username,
    /// The directory of the profiles.
    pub config_dir: PathBuf,
    /// A file whose first line is the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Whether the key is kept unencrypted.
    pub no_passphrase: bool,
    /// The server's key, if it is known from elsewhere.
    pub server_key: Option<PublicKey>,
    /// Whether to stay off the list.
    pub unlisted: bool,
    /// Whether to make the profile out of its 24 words, instead of using it.
    pub restore: bool,
}

/// What the demo needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// Its server; `data_dir` is empty if there is to be a temporary one.
    pub server: ServerConfig,
    /// Whether to make a temporary data directory.
    pub temporary_data: bool,
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
        Some(path) => read_file(path)?,
        None => Flags::default(),
    };
    resolve(Cli { flags: cli.flags.clone().or(file), ..cli })
}

fn resolve(cli: Cli) -> Result<Settings, Error> {
    let Cli { flags, words, against, bench, typed, .. } = cli;
    let (words, typed) = (words.as_slice(), typed.as_slice());
    let role = flags.role.ok_or_else(|| Error::Usage {
        message: "no role is given".into(),
        hint:
            "add --role server, --role client, --role demo, --role audit or --role bench; --help \
               tells more"
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
            Config::Server(server(flags, data, SERVER_DEFAULT.1)?)
        }
        Role::Client => Config::Client(client(flags, words)?),
        Role::Demo => Config::Demo(demo(flags)?),
        Role::Audit => Config::Audit(audit::config(flags, words, against, typed)?),
        Role::Bench => Config::Bench(bench::config(&flags, bench, words, typed)?),
    };
    Ok(Settings { log, config })
}

/// A server is watched by its log; a person at a terminal wants to see what goes wrong only.
fn default_log_level(role: Role) -> LogLevel {
    match role {
        Role::Server => LogLevel::Info,
        Role::Client | Role::Demo | Role::Audit | Role::Bench => LogLevel::Warning,
    }
}

fn refuse_foreign_flags(role: Role, words: &[OsString], typed: &[String]) -> Result<(), Error> {
    let of = |role| match role {
        Role::Server | Role::Demo => SERVER_FLAGS,
        Role::Client => CLIENT_FLAGS,
        Role::Audit => AUDIT_FLAGS,
        Role::Bench => BENCH_FLAGS,
    };
    let owners = [
        (SERVER_FLAGS, "--role server and --role demo"),
        (CLIENT_FLAGS, "--role client"),
        (AUDIT_FLAGS, "--role audit"),
        (BENCH_FLAGS, "--role bench"),
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
            "words" => "--role audit and --role bench, or `restore` to --role client",
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
        Role::Bench => "a measurement",
    }
}

fn server(flags: Flags, data_dir: PathBuf, default_port: u16) -> Result<ServerConfig, Error> {
    let listen = flags.listen.unwrap_or_else(|| host_port((SERVER_DEFAULT.0, default_port)));
    let text_dialect = flags.text_dialect.unwrap_or_default();
    Ok(ServerConfig {
        listen: look_up(&listen)
            .map_err(|source| Error::Listen { address: listen.to_string(), source })?,
        data_dir,
        opening_balance: flags.opening_balance.unwrap_or(text_dialect.opening_balance()),
        text: flags.text.unwrap_or_default(),
        text_dialect,
        text_quiet: flags.text_quiet.map_or(TEXT_QUIET_DEFAULT, |QuietTime(duration)| duration),
        max_connections: flags.max_connections.map_or(MAX_CONNECTIONS_DEFAULT, Into::into),
        half_open_max: flags.half_open_max.map_or(HALF_OPEN_MAX_DEFAULT, Into::into),
        half_open_per_address_max: flags
            .half_open_per_address_max
            .map_or(HALF_OPEN_PER_ADDRESS_MAX_DEFAULT, Into::into),
        session_threads: flags.session_threads.map_or_else(session_threads_default, Into::into),
    })
}

fn session_threads_default() -> usize {
    session_threads(thread::available_parallelism().map_or(1, Into::into))
}

/// How many threads of their own the sessions get on so many cores. A message that crosses threads wakes
/// one, which costs more than it brings where no core is idle: on two cores, which the load generator
/// shared, 128 sessions that wait for their answers took 12.7 µs of CPU a payment without such threads and
/// 23.7 µs with one.
fn session_threads(cores: usize) -> usize {
    match cores {
        ..4 => 0,
        _ => (cores / 2).min(SESSION_THREADS_DEFAULT_MAX),
    }
}

/// What the play cannot do without is said before it begins.
fn demo(flags: Flags) -> Result<DemoConfig, Error> {
    let temporary_data = flags.data.is_none();
    let data = flags.data.clone().unwrap_or_default();
    let server = server(flags, data, 0)?;
    let refuse = |message: &str, hint: &str| {
        Err(Error::Usage { message: message.into(), hint: hint.into() })
    };
    if server.opening_balance == Amount::ZERO {
        return refuse(
            "--opening-balance 0 leaves the demo nothing to pay with",
            "leave it out, or give each account at least 1 credit",
        );
    }
    Ok(DemoConfig { server, temporary_data })
}

fn client(flags: Flags, words: &[OsString]) -> Result<ClientConfig, Error> {
    let server = flags.server.clone().unwrap_or_else(|| host_port(SERVER_DEFAULT));
    let address = reachable(&server)?;
    let protocol = match flags.protocol.unwrap_or_default() {
        Protocol::Secure => ClientProtocol::Secure(secure(&flags, words, server)?),
        Protocol::Text => ClientProtocol::Text,
    };
    Ok(ClientConfig {
        server: address,
        p2p_port: flags.p2p_port.unwrap_or(P2P_PORT_DEFAULT),
        name: flags.name,
        protocol,
    })
}

fn secure(flags: &Flags, words: &[OsString], server_name: HostPort) -> Result<SecureConfig, Error> {
    let profile = flags.profile.clone().or_else(|| flags.name.clone());
    let default = || PROFILE_DEFAULT.parse().expect("it is a name");
    Ok(SecureConfig {
        server_name,
        profile: profile.unwrap_or_else(default),
        config_dir: match &flags.config_dir {
            Some(dir) => dir.clone(),
            None => default_config_dir().map_err(ProfileError::from)?,
        },
        passphrase_file: flags.passphrase_file.clone(),
        no_passphrase: flags.no_passphrase,
        server_key: flags.server_key,
        unlisted: flags.unlisted,
        restore: restores(words)?,
    })
}

/// What the words behind the flags say.
fn restores(words: &[OsString]) -> Result<bool, Error> {
    match words {
        [] => Ok(false),
        [word] if word == "restore" => Ok(true),
        [word, ..] => Err(Error::Usage {
            message: format!("`{}` means nothing to a client", word.to_string_lossy()),
            hint: "leave it out, or write `restore` to make the key out of its 24 words".into(),
        }),
    }
}

fn host_port((host, port): (&str, u16)) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

/// Where the server is that has this name.
fn reachable(server: &HostPort) -> Result<SocketAddr, Error> {
    if server.port == 0 {
        return Err(Error::Usage {
            message: format!("{server} is no address to connect to"),
            hint: "give the port that the server prints when it starts".into(),
        });
    }
    look_up(server)
        .map_err(|source| Error::ServerUnreachable { address: server.to_string(), source })
}

/// The first IPv4 address, or else the first: `localhost` is often `::1` first, where a server on
/// `127.0.0.1` does not listen.
fn look_up(address: &HostPort) -> io::Result<SocketAddr> {
    let found: Vec<_> = (address.host.as_str(), address.port).to_socket_addrs()?.collect();
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| io::Error::other("the host has no address"))
}

fn default_data_dir() -> Result<PathBuf, Error> {
    let base = etcetera::choose_base_strategy().map_err(|error| Error::Usage {
        message: format!("there is no default data directory: {error}"),
        hint: "choose one with --data DIR".into(),
    })?;
    Ok(base.data_dir().join("mite"))
}

fn read_file(path: &Path) -> Result<Flags, Error> {
    let unreadable = |source| Error::ConfigUnreadable { path: path.into(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::other("it is too large for a configuration file")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    toml::from_str(&text).map_err(|error| invalid_file(path, &text, &error))
}

fn invalid_file(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    // The parser says what it found and what it would take in one long line; they are two here.
    let said = error.message().trim().replace('\n', ": ");
    let (found, wanted) = match said.split_once(", expected ") {
        Some((found, wanted)) => (found, Some(wanted)),
        None => (said.as_str(), None),
    };
    let (found, unknown_key) = match found.strip_prefix("unknown field ") {
        Some(key) => (format!("unknown key {key}"), true),
        None => (found.to_owned(), false),
    };
    let hint = match wanted {
        Some(keys) if unknown_key => {
            format!("the keys are {}", keys.trim_start_matches("one of "))
        }
        Some(wanted) => format!("expected {wanted}"),
        None => "the keys are the flags without --, such as opening-balance = 500 or \
                 text-quiet = \"2ms\""
            .into(),
    };
    Error::ConfigInvalid { path: path.into(), line, message: found, hint }
}

#[cfg(test)]
mod tests;
