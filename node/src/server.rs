//! The server: opens the ledger, takes connections, stops cleanly.

mod actors;
mod archiving;
mod opening;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::actors::limits::Room;
use actix::System;
use slog::{Logger, info, warn};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::PublicKey;

use self::actors::Actors;
use self::archiving::Archiving;
use self::opening::Opened;
use crate::announce;
use crate::config::ServerConfig;
use crate::connection::listen;
use crate::error::Error;
use crate::listener::{Gate, GateLimits, HalfOpenLimits, SessionListener};

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
        stop.await;
        info!(log, "stopping");
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
    log: Logger,
}

impl Server {
    /// Opens the ledger and takes connections. Needs an actix system.
    pub(crate) async fn start(config: ServerConfig, log: &Logger) -> Result<Self, Error> {
        // First of all: a port in use must not cost the replay of a long journal.
        let (listener, address) = listen(config.listen).await?;
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
        Ok(Self { address, public_key, actors, archiving, stop, listening, gate, log })
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
        self.actors.stop().await;
        if let Some(archiving) = self.archiving {
            archiving.stop();
        }
    }
}
