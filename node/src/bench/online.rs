//! Sessions that are logged in, as many as are asked for, over either protocol.

use std::net::TcpStream;

use ed25519_zebra::SigningKey;
use slog::{Discard, Logger, o};
use wire::Access;
use wire::signature::public_key;

use super::error::BenchError;
use super::load::Watch;
use super::secure::SecureClient;
use super::server::Server;
use super::text::{P2P_PORT, TextClient};
use super::{Bench, prepare};
use crate::config::Protocol;
use crate::connection::raise_file_limit;

/// Connections of a run besides the sessions: those that carry load, and who looks at the list.
const OTHER_CONNECTIONS: u32 = 1024;

/// Connections that are kept open, on each of which somebody is logged in.
pub(super) enum Online {
    /// By text.
    Text(Vec<TcpStream>),
    /// Over the secure protocol.
    Secure(Vec<SecureClient>),
}

/// Opens the accounts for the sessions, in a ledger that no server has yet, and makes room for their
/// connections.
pub(super) async fn prepare(bench: &Bench) -> Result<(), BenchError> {
    let wanted = connections_max(bench);
    let possible = raise_file_limit(wanted, &Logger::root(Discard, o!()));
    if possible < wanted {
        return Err(BenchError::TooFewFiles { wanted, possible });
    }
    let protocol = bench.config.protocol;
    let access = move |number| match protocol {
        Protocol::Secure => Access::Keyed(public_key(&key(number))),
        Protocol::Text => Access::Open,
    };
    prepare::accounts(bench, bench.config.sessions.max(bench.config.accounts), access).await
}

/// Starts a server on the ledger that is [prepared](prepare()), with room for the sessions.
pub(super) async fn server(bench: &Bench) -> Result<Server, BenchError> {
    let connections_max = connections_max(bench).to_string();
    let args = ["--max-connections", &connections_max, "--lists-per-second-max", "0"];
    Server::start(bench, &args).await
}

fn connections_max(bench: &Bench) -> u32 {
    bench.config.sessions.saturating_add(OTHER_CONNECTIONS)
}

/// Logs in one after the other.
pub(super) async fn log_in_all(bench: &Bench, server: &Server) -> Result<Online, BenchError> {
    bench.progress.phase("logging in");
    let (sessions, line_end) = (bench.config.sessions, bench.config.line_end);
    let (address, names) = (server.address(), server.names().clone());
    let by_text = move |number| {
        let mut client = TextClient::connect(address, line_end)?;
        client.log_in(&names.payer(number), P2P_PORT)?;
        Ok(client.into_stream())
    };
    let by_key = move |number| {
        let mut client = SecureClient::connect(address, &key(number))?;
        client.log_in()?;
        Ok(client)
    };
    let protocol = bench.config.protocol;
    bench
        .on_thread(move |watch| match protocol {
            Protocol::Text => each(sessions, by_text, watch).map(Online::Text),
            Protocol::Secure => each(sessions, by_key, watch).map(Online::Secure),
        })
        .await
}

fn each<T>(
    count: u32,
    log_in: impl Fn(u32) -> Result<T, BenchError>,
    watch: &Watch,
) -> Result<Vec<T>, BenchError> {
    let log_in = |number| {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        watch.add(1);
        log_in(number)
    };
    (0..count).map(log_in).collect()
}

impl Online {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Text(connections) => connections.len(),
            Self::Secure(connections) => connections.len(),
        }
    }
}

/// The key of an account of the run: worth nothing, and the same in every run.
fn key(number: u32) -> SigningKey {
    let mut seed = [0x5e; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&seed)
}
