//! What a measurement is told. Its flags count only where they were typed: the environment and the
//! configuration file may name a ledger that is somebody's.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::cli::{BenchFlags, ClientStores, Flags, LineEnd, Protocol, Rate, RoundTime};
use crate::error::Error;

const DURATION_DEFAULT: Duration = Duration::from_secs(5);
const ROUNDS_DEFAULT: usize = 5;
const CONNECTIONS_DEFAULT: usize = 8;
/// So many wait for their answers at once on a server that is busy, but not overloaded.
const CONNECTIONS_CLOSED_DEFAULT: usize = 32;
const WINDOW_DEFAULT: usize = 1000;
/// What two clients hand each other at once at most: more would go through the server.
const WINDOW_P2P_MAX: usize = 64;
/// So many keep both sides busy.
const WINDOW_P2P_DEFAULT: usize = 32;
const PAYERS_DEFAULT: u32 = 1000;
const ACCOUNTS_DEFAULT: u32 = 1000;
const SESSIONS_DEFAULT: u32 = 10_000;
const ENTRIES_DEFAULT: u64 = 10_000_000;

/// The flags that every scenario has.
const FLAGS_OF_ALL: [&str; 5] = ["words", "data", "duration", "rounds", "json"];

/// What to measure, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchConfig {
    /// What.
    pub scenario: Scenario,
    /// Which server.
    pub target: Target,
    /// How to speak to it.
    pub protocol: Protocol,
    /// How many connections carry the load.
    pub connections: usize,
    /// How many payments are under way on each connection.
    pub window: usize,
    /// How long each round measures.
    pub duration: Duration,
    /// How often it is measured.
    pub rounds: usize,
    /// How many payments a second are offered; `None` for as fast as it goes.
    pub rate: Option<Rate>,
    /// Whether to go through all rates.
    pub sweep: bool,
    /// Whether payers have signed what they pay.
    pub signed: bool,
    /// How many payers sign.
    pub payers: u32,
    /// How many accounts pay.
    pub accounts: u32,
    /// How many sessions are logged in.
    pub sessions: u32,
    /// How many entries the journal has.
    pub entries: u64,
    /// On how many threads the sessions of the run's own server live; `None` for its default.
    pub session_threads: Option<u8>,
    /// Where clients keep what they must not forget.
    pub client_stores: ClientStores,
    /// What ends a request of the text protocol.
    pub line_end: LineEnd,
    /// Whether to print JSON.
    pub json: bool,
    /// Where to draw.
    pub plot: Option<PathBuf>,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Each connection waits for its answer.
    Closed,
    /// Many payments are under way on each connection.
    Pipeline,
    /// Sessions that do nothing.
    Idle,
    /// The list of who is online.
    List,
    /// The start of a server with a long journal.
    Recover,
    /// Whole payments between clients.
    P2p,
    /// What this machine can do: echo, disk and signatures.
    Limits,
    /// Nothing: this process is the echo server that others are compared with.
    EchoServer,
}

impl Scenario {
    /// Those that people ask for.
    pub(crate) const ALL: [Self; 7] = [
        Self::Closed,
        Self::Pipeline,
        Self::Idle,
        Self::List,
        Self::Recover,
        Self::P2p,
        Self::Limits,
    ];

    /// The word for it on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Pipeline => "pipeline",
            Self::Idle => "idle",
            Self::List => "list",
            Self::Recover => "recover",
            Self::P2p => "p2p",
            Self::Limits => "limits",
            Self::EchoServer => "echo-server",
        }
    }

    /// The flags that mean something to it, by the names of their fields, besides [`FLAGS_OF_ALL`].
    const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Closed => &[
                "server",
                "server_pid",
                "session_threads",
                "protocol",
                "connections",
                "signed",
                "payers",
                "accounts",
                "line_end",
                "plot",
            ],
            Self::Pipeline => &[
                "server",
                "server_pid",
                "session_threads",
                "protocol",
                "connections",
                "window",
                "rate",
                "sweep",
                "signed",
                "payers",
                "accounts",
                "line_end",
                "plot",
            ],
            // They say themselves why they take no server.
            Self::Idle => {
                &["server", "session_threads", "protocol", "accounts", "sessions", "line_end"]
            }
            Self::List => &[
                "server",
                "session_threads",
                "protocol",
                "signed",
                "connections",
                "window",
                "accounts",
                "sessions",
                "line_end",
            ],
            Self::Recover => &["server", "entries"],
            Self::P2p => &[
                "server",
                "server_pid",
                "session_threads",
                "protocol",
                "connections",
                "window",
                "payers",
                "client_stores",
                "plot",
            ],
            Self::Limits => &["connections", "payers"],
            Self::EchoServer => &[],
        }
    }

    /// Whether no server can be measured that runs already.
    const fn needs_own_server(self) -> bool {
        match self {
            Self::Idle | Self::List | Self::Recover => true,
            Self::Closed | Self::Pipeline | Self::P2p | Self::Limits | Self::EchoServer => false,
        }
    }

    const fn connections_default(self) -> usize {
        match self {
            Self::Closed | Self::Limits => CONNECTIONS_CLOSED_DEFAULT,
            Self::Pipeline
            | Self::Idle
            | Self::List
            | Self::Recover
            | Self::P2p
            | Self::EchoServer => CONNECTIONS_DEFAULT,
        }
    }

    const fn window_default(self) -> usize {
        match self {
            Self::P2p => WINDOW_P2P_DEFAULT,
            _ => WINDOW_DEFAULT,
        }
    }
}

/// A word that is no [`Scenario`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none of {}", Scenario::ALL.map(Scenario::name).join(", "))]
pub struct ScenarioError;

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter().chain([Self::EchoServer]);
        all.find(|scenario| scenario.name() == text).ok_or(ScenarioError)
    }
}

/// Which server is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of this program's own, in a process of its own.
    Own {
        /// An empty directory for its ledger, which is kept; `None` for a temporary one.
        data_dir: Option<PathBuf>,
    },
    /// One that runs already.
    Running {
        /// Where.
        address: SocketAddr,
        /// Its process, if it is on this machine.
        pid: Option<u32>,
    },
}

/// What the words behind the flags say, and the flags.
pub(super) fn config(
    flags: &Flags,
    bench: BenchFlags,
    words: &[OsString],
    typed: &[String],
) -> Result<BenchConfig, Error> {
    let scenario = scenario(words)?;
    refuse_flags_of_others(scenario, typed)?;
    let line_end = bench.line_end.unwrap_or_default();
    let one_by_one = line_end != LineEnd::Lf;
    let window = match bench.window.map(usize::from) {
        Some(2..) if one_by_one => {
            return Err(refusal(
                "only requests that end with a line feed can be under way together",
                "leave --window or --line-end out",
            ));
        }
        None if one_by_one => 1,
        Some(window) if scenario == Scenario::P2p && window > WINDOW_P2P_MAX => {
            return Err(refusal(
                &format!("two clients hand each other {WINDOW_P2P_MAX} payments at once at most"),
                "make --window smaller",
            ));
        }
        window => window.unwrap_or(scenario.window_default()),
    };
    let is_typed = |id: &str| typed.iter().any(|typed| typed == id);
    let typed_protocol = flags.protocol.filter(|_| is_typed("protocol"));
    let signed = bench.signed || scenario == Scenario::P2p;
    let protocol_default = if signed { Protocol::Secure } else { Protocol::Text };
    let protocol = typed_protocol.unwrap_or(protocol_default);
    if scenario == Scenario::List && protocol == Protocol::Secure {
        return Err(refusal(
            "the list with everybody on it is the text protocol's",
            "leave --protocol or --signed out",
        ));
    }
    if signed && protocol == Protocol::Text {
        return Err(refusal(
            "the text protocol knows no signed orders",
            "leave --protocol or --signed out",
        ));
    }
    if bench.line_end.is_some() && protocol == Protocol::Secure {
        return Err(refusal(
            "requests of the secure protocol are frames and have no ends",
            "leave --line-end or --protocol out",
        ));
    }
    if bench.sweep && bench.rate.is_some() {
        return Err(refusal("a sweep goes through all rates", "leave --rate or --sweep out"));
    }
    Ok(BenchConfig {
        scenario,
        target: target(scenario, flags, &bench, is_typed)?,
        protocol,
        connections: bench.connections.map_or(scenario.connections_default(), Into::into),
        window,
        duration: bench.duration.map_or(DURATION_DEFAULT, |RoundTime(time)| time),
        rounds: bench.rounds.map_or(ROUNDS_DEFAULT, Into::into),
        rate: bench.rate,
        sweep: bench.sweep,
        signed,
        payers: bench.payers.map_or(PAYERS_DEFAULT, Into::into),
        accounts: bench.accounts.map_or(ACCOUNTS_DEFAULT, Into::into),
        sessions: bench.sessions.map_or(SESSIONS_DEFAULT, Into::into),
        entries: bench.entries.map_or(ENTRIES_DEFAULT, Into::into),
        session_threads: flags.session_threads.filter(|_| is_typed("session_threads")),
        client_stores: bench.client_stores.unwrap_or_default(),
        line_end,
        json: bench.json,
        plot: bench.plot,
    })
}

fn scenario(words: &[OsString]) -> Result<Scenario, Error> {
    let names = Scenario::ALL.map(Scenario::name).join(", ");
    let hint = format!("--role bench WHAT, where WHAT is one of {names}");
    match words {
        [word] => word.to_str().unwrap_or_default().parse().map_err(|ScenarioError| {
            refusal(&format!("`{}` cannot be measured", word.to_string_lossy()), &hint)
        }),
        [] => Err(refusal("it is not said what to measure", &hint)),
        [..] => Err(refusal("one thing is measured at a time", &hint)),
    }
}

fn refuse_flags_of_others(scenario: Scenario, typed: &[String]) -> Result<(), Error> {
    let is_foreign = |id: &&String| {
        let id = id.as_str();
        super::BENCH_FLAGS.contains(&id)
            && !FLAGS_OF_ALL.contains(&id)
            && !scenario.flags().contains(&id)
    };
    let Some(id) = typed.iter().find(is_foreign) else { return Ok(()) };
    let owners: Vec<_> = Scenario::ALL
        .into_iter()
        .filter(|owner| owner.flags().contains(&id.as_str()))
        .map(Scenario::name)
        .collect();
    Err(refusal(
        &format!("--{} means nothing to `{}`", id.replace('_', "-"), scenario.name()),
        &format!("leave it out; it belongs to {}", owners.join(", ")),
    ))
}

fn target(
    scenario: Scenario,
    flags: &Flags,
    bench: &BenchFlags,
    is_typed: impl Fn(&str) -> bool,
) -> Result<Target, Error> {
    let pid = bench.server_pid.map(Into::into);
    let data_dir = flags.data.clone().filter(|_| is_typed("data"));
    match flags.server.as_ref().filter(|_| is_typed("server")) {
        Some(_) if scenario.needs_own_server() => Err(refusal(
            "it takes a server that is started for it, with a ledger that is made for it",
            "leave --server out",
        )),
        Some(server) => {
            if data_dir.is_some() {
                return Err(refusal(
                    "a server that runs already has its own data directory",
                    "leave --data or --server out",
                ));
            }
            if is_typed("session_threads") {
                return Err(refusal(
                    "a server that runs already has its own threads",
                    "leave --session-threads or --server out",
                ));
            }
            Ok(Target::Running { address: super::address::reachable(server)?, pid })
        }
        None if pid.is_some() => {
            Err(refusal("--server-pid is that of which server?", "add --server HOST:PORT"))
        }
        None => Ok(Target::Own { data_dir }),
    }
}

fn refusal(message: &str, hint: &str) -> Error {
    Error::Usage { message: message.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests;
