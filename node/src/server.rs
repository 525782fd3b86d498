//! The server: opens the ledger, takes connections, stops cleanly.

mod actors;
pub(crate) mod admin;
mod archiving;
mod opening;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::actors::admin::AdminPeers;
use ::actors::limits::Room;
use actix::{Actor as _, System};
use slog::{Logger, error, info, warn};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::PublicKey;

use self::actors::Actors;
use self::admin::{AdminSocket, Host, HostSettings, SOCKET_NAME};
use self::archiving::Archiving;
use self::opening::Opened;
use crate::announce;
use crate::config::ServerConfig;
use crate::connection::listen;
use crate::error::Error;
use crate::listener::{Gate, GateLimits, HalfOpenLimits, SessionListener};
use crate::metrics::Metrics;

/// How long the sessions may take to answer what is under way when the server stops. Longer than any
/// sync of a healthy disk.
const SESSIONS_STOP_MAX: Duration = Duration::from_secs(10);

/// The server, from start to Ctrl-C or SIGTERM.
pub(crate) fn run(config: ServerConfig, log: &Logger) -> Result<(), Error> {
    System::new().block_on(async {
        let stop = announce::stop_signal()?;
        let server = Server::start(config, log).await?;
        announce::line(&format!("listening on {}", server.address()));
        announce::line(&format!("server key {}", server.public_key()));
        if let Some(metrics) = &server.metrics {
            announce::line(&format!("metrics on {}", metrics.address()));
        }
        tokio::select! {
            () = stop => info!(log, "stopping"),
            () = server.drain_asked() => info!(log, "draining"),
        }
        server.stop().await;
        Ok(())
    })
}

/// A server that runs in this process.
pub(crate) struct Server {
    address: SocketAddr,
    public_key: PublicKey,
    actors: Actors,
    archiving: Option<Archiving>,
    stop: CancellationToken,
    listening: JoinHandle<()>,
    gate: Arc<Gate>,
    /// Cancelled when the operator wants the server to stop.
    drain: CancellationToken,
    /// `None` if it cannot be had.
    admin: Option<AdminSocket>,
    /// `None` if nobody wants to know.
    metrics: Option<Metrics>,
    log: Logger,
}

impl Server {
    /// Opens the ledger and takes connections. Needs an actix system.
    pub(crate) async fn start(config: ServerConfig, log: &Logger) -> Result<Self, Error> {
        // First of all: a port in use must not cost the replay of a long journal.
        let (listener, address) = listen(config.listen).await?;
        let watched = match config.metrics {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let mut opened = Opened::open(&config, log)?;
        let signer = opened.signer.clone();
        let archiving = opened.archived.take();
        let archiving = archiving.map(|archive| archive.start(signer.public_key(), log));
        let actors = Actors::start(opened, &config, log);
        let room = Arc::new(Room::new(config.make_room_after));

        let stop = CancellationToken::new();
        let limits = GateLimits {
            connections: config.max_connections,
            per_address: config.connections_per_address,
            half_open: HalfOpenLimits {
                all: config.half_open_max,
                per_address: config.half_open_per_address_max,
            },
        };
        let gate = Arc::new(Gate::new(limits, config.text, Arc::clone(&room), log));
        let services = actors.services(&config, &gate, room, &stop);
        let sessions =
            SessionListener::new(listener, Arc::clone(&gate), signer.key(), services, log)
                .with_threads(actors.session_threads());
        let listening = actix::spawn(sessions.run());
        info!(log, "listening"; "address" => address, "dialect" => config.text_dialect.name());
        let (public_key, log) = (signer.public_key(), log.clone());
        let drain = CancellationToken::new();
        let host = HostSettings {
            data_dir: config.data_dir,
            archived: config.archiving.map(|archiving| archiving.to),
            server: public_key,
            health: actors.health(),
            gate: Arc::clone(&gate),
            stop: stop.clone(),
            drain: drain.clone(),
            log: log.clone(),
        };
        let (data_dir, host) = (host.data_dir.clone(), Host::new(host).start());
        let peers = actors.metrics_peers(&host, &gate);
        let metrics =
            watched.map(|(listener, address)| Metrics::serve(listener, address, peers, &log));
        let admin = open_admin_socket(&data_dir, actors.admin_peers(&host), &log);
        Ok(Self {
            address,
            public_key,
            actors,
            archiving,
            stop,
            listening,
            gate,
            drain,
            admin,
            metrics,
            log,
        })
    }

    /// Waits until the operator wants the server to stop.
    pub(crate) async fn drain_asked(&self) {
        self.drain.cancelled().await;
    }

    /// What its clients know it by.
    pub(crate) const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Where it takes connections.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, answers what is under way, closes the journal.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // It ends when the token is cancelled and does not panic.
        let _ = self.listening.await;
        if timeout(SESSIONS_STOP_MAX, self.gate.all_left()).await.is_err() {
            warn!(self.log, "some connections do not take their answers"; "left" => self.gate.open());
        }
        // While the directory is still locked: the next server makes its own.
        drop(self.admin);
        self.actors.stop().await;
        if let Some(archiving) = self.archiving {
            archiving.stop();
        }
    }
}

/// A server without it serves all the same.
fn open_admin_socket(data_dir: &Path, peers: AdminPeers, log: &Logger) -> Option<AdminSocket> {
    match AdminSocket::open(data_dir, peers, log) {
        Ok(socket) => Some(socket),
        Err(error) => {
            error!(log, "operators cannot connect"; "error" => %error,
                "socket" => %data_dir.join(SOCKET_NAME).display());
            None
        }
    }
}
