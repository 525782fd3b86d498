//! What a server is told, and the demo, which has one.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use actors::limits::{ByteLimits, CALLS_UNDER_WAY_MAX, PerAddress, Rate, SILENT_AFTER};
use wire::Amount;
use wire::text::Dialect;

use super::address::{SERVER_DEFAULT, host_port, look_up};
use super::archive::{self, ArchivingConfig};
use super::limits;
use crate::cli::{Flags, MetricsAddress, QuietTime, SilentTime, TextAccess};
use crate::error::Error;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const TEXT_QUIET_DEFAULT: Duration = Duration::from_millis(2);
const MAX_CONNECTIONS_DEFAULT: usize = 10_000;
/// Each may hold 16 KiB of a first message, and behind it what a handshake takes, some 80 KiB at the
/// worst: 100 MiB.
const HALF_OPEN_MAX_DEFAULT: usize = 1024;
/// A quarter, so that it takes several hosts to keep others out, and many people can connect at once
/// from behind one address.
const HALF_OPEN_PER_ADDRESS_MAX_DEFAULT: usize = 256;
/// More devices and tills than one account has, and a fortieth of the places.
const SESSIONS_PER_ACCOUNT_MAX_DEFAULT: usize = 256;
/// A class of thirty behind one router has opened its accounts, and some more, within a minute. At this rate
/// one address needs six days for a million.
const REGISTRATIONS_PER_MINUTE_DEFAULT: u32 = 120;
/// The text client looks four times a second when it pays, and some programs of the family in a loop. A list
/// of ten thousand takes a third of a millisecond, so one session takes no more than a thirtieth of a core.
const LISTS_PER_SECOND_DEFAULT: u32 = 100;
/// A page of a thousand items takes the archive, which has a thread of its own, some milliseconds.
const HISTORIES_PER_SECOND_DEFAULT: u32 = 100;
/// The ledger is one thread, which so many keep busy.
const SESSION_THREADS_DEFAULT_MAX: usize = 4;

/// The flags that a server has.
pub(super) const FLAGS: &[&str] = &[
    "listen",
    "metrics",
    "data",
    "opening_balance",
    "text",
    "text_dialect",
    "text_quiet",
    "max_connections",
    "half_open_max",
    "half_open_per_address_max",
    "connections_per_address_max",
    "make_room_after",
    "sessions_per_account_max",
    "calls_per_session_max",
    "line_bytes_max",
    "frame_bytes_max",
    "input_bytes_per_session_max",
    "output_bytes_per_session_max",
    "registrations_per_minute_max",
    "lists_per_second_max",
    "histories_per_second_max",
    "receipts_per_second_max",
    "session_threads",
    "archive_to",
    "keep_segments",
];

/// What a server needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to take connections; port 0 for any free one.
    pub listen: SocketAddr,
    /// Where to tell health and metrics over HTTP, if anywhere; port 0 for any free one.
    pub metrics: Option<SocketAddr>,
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
    /// How many connections one address may have, at least 1; `None` for a quarter of the places that
    /// there are, and all for this machine.
    pub connections_per_address: Option<usize>,
    /// How long a session must have been silent to make room when places run out.
    pub make_room_after: Duration,
    /// How many secure sessions one account's key may have, at least 1.
    pub sessions_per_account_max: usize,
    /// How many calls of a secure session may be without an answer, from 1 to
    /// [`CALLS_UNDER_WAY_MAX`].
    pub calls_per_session_max: usize,
    /// How much of the server's memory a session may take up.
    pub bytes: ByteLimits,
    /// How many accounts one address may open; `None` for as many as it likes.
    pub registrations: PerAddress<Option<Rate>>,
    /// How often a session gets the list.
    pub lists: Option<Rate>,
    /// How often a secure session gets a page of its history.
    pub histories: Option<Rate>,
    /// How many receipts a secure session may ask for.
    pub receipts: Option<Rate>,
    /// On how many threads of their own the sessions live; with 0 they share that of the ledger.
    pub session_threads: usize,
    /// Where old segments go; `None` if they stay.
    pub archiving: Option<ArchivingConfig>,
}

/// What the demo needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// Its server; `data_dir` is empty if there is to be a temporary one.
    pub server: ServerConfig,
    /// Whether to make a temporary data directory.
    pub temporary_data: bool,
}

/// What the flags say to a server.
pub(super) fn config(
    flags: Flags,
    data_dir: PathBuf,
    default_port: u16,
) -> Result<ServerConfig, Error> {
    let archiving = archive::policy(&flags)?;
    let bytes = limits::in_bytes(&flags)?;
    let receipts = rate(limits::receipts_per_second(&flags)?, SECOND);
    let listen = flags.listen.unwrap_or_else(|| host_port((SERVER_DEFAULT.0, default_port)));
    let text_dialect = flags.text_dialect.unwrap_or_default();
    let max_connections = flags.max_connections.map_or(MAX_CONNECTIONS_DEFAULT, Into::into);
    let calls_per_session_max = flags.calls_per_session_max.map_or(CALLS_UNDER_WAY_MAX, Into::into);
    if calls_per_session_max > CALLS_UNDER_WAY_MAX {
        return Err(Error::Usage {
            message: format!("{calls_per_session_max} calls of one session are too many"),
            hint: format!("--calls-per-session-max is {CALLS_UNDER_WAY_MAX} at most"),
        });
    }
    let metrics = flags.metrics.map(|MetricsAddress(address)| {
        let cannot_listen = |source| Error::Listen { address: address.to_string(), source };
        look_up(&address).map_err(cannot_listen)
    });
    Ok(ServerConfig {
        metrics: metrics.transpose()?,
        listen: look_up(&listen)
            .map_err(|source| Error::Listen { address: listen.to_string(), source })?,
        data_dir,
        opening_balance: flags.opening_balance.unwrap_or(text_dialect.opening_balance()),
        text: flags.text.unwrap_or_default(),
        text_dialect,
        text_quiet: flags.text_quiet.map_or(TEXT_QUIET_DEFAULT, |QuietTime(duration)| duration),
        max_connections,
        half_open_max: flags.half_open_max.map_or(HALF_OPEN_MAX_DEFAULT, Into::into),
        half_open_per_address_max: flags
            .half_open_per_address_max
            .map_or(HALF_OPEN_PER_ADDRESS_MAX_DEFAULT, Into::into),
        connections_per_address: flags.connections_per_address_max.map(Into::into),
        make_room_after: flags.make_room_after.map_or(SILENT_AFTER, |SilentTime(time)| time),
        sessions_per_account_max: flags
            .sessions_per_account_max
            .map_or(SESSIONS_PER_ACCOUNT_MAX_DEFAULT, Into::into),
        calls_per_session_max,
        bytes,
        registrations: registrations(flags.registrations_per_minute_max),
        lists: rate(flags.lists_per_second_max.unwrap_or(LISTS_PER_SECOND_DEFAULT), SECOND),
        histories: rate(
            flags.histories_per_second_max.unwrap_or(HISTORIES_PER_SECOND_DEFAULT),
            SECOND,
        ),
        receipts,
        session_threads: flags.session_threads.map_or_else(session_threads_default, Into::into),
        archiving,
    })
}

/// Whoever is on this machine is limited only if somebody says so.
fn registrations(given: Option<u32>) -> PerAddress<Option<Rate>> {
    let per_minute = |count| rate(count, MINUTE);
    PerAddress {
        loopback: given.and_then(per_minute),
        others: per_minute(given.unwrap_or(REGISTRATIONS_PER_MINUTE_DEFAULT)),
    }
}

/// So often within a period; 0 is no limit.
fn rate(count: u32, period: Duration) -> Option<Rate> {
    NonZeroU32::new(count).map(|count| Rate::new(count, period))
}

/// What the play cannot do without is said before it begins.
pub(super) fn demo(flags: Flags) -> Result<DemoConfig, Error> {
    let temporary_data = flags.data.is_none();
    let data = flags.data.clone().unwrap_or_default();
    let server = config(flags, data, 0)?;
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

pub(super) fn session_threads_default() -> usize {
    session_threads(thread::available_parallelism().map_or(1, Into::into))
}

/// How many threads of their own the sessions get on so many cores. A message that crosses threads wakes
/// one, which costs more than it brings where no core is idle: on two cores, which the load generator
/// shared, 128 sessions that wait for their answers took 12.7 µs of CPU a payment without such threads and
/// 23.7 µs with one.
pub(super) fn session_threads(cores: usize) -> usize {
    match cores {
        ..4 => 0,
        _ => (cores / 2).min(SESSION_THREADS_DEFAULT_MAX),
    }
}
