//! The actors of a server, and who of them talks to whom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;

use actix::{Actor as _, Addr, Arbiter, ArbiterHandle};
use actors::admin::AdminPeers;
use actors::archive::Archive;
use actors::fail_stop::FailStop;
use actors::ledger::{
    Ledger, LedgerClock, LedgerFailure, LedgerHealth, LedgerSettings, SNAPSHOT_ENTRIES,
    system_clock,
};
use actors::limits::{Registrations, Room, SessionLimits};
use actors::messages::{SessionId, StopLedger};
use actors::registry::Registry;
use actors::secure_session::{SecurePeers, SecureRules, SecureSession, SecureSettings};
use actors::session::{SessionSettings, TextRules};
use actors::verifier::Verifier;
use actors::wiring;
use rustix::process::setpriority_process;
use slog::{Logger, debug};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use wire::PublicKey;

use super::admin::Host;
use super::opening::Opened;
use crate::config::ServerConfig;
use crate::connection::Connection;
use crate::error::Error;
use crate::listener::{Gate, MiteSessions, Services};
use crate::metrics::MetricsPeers;

/// All but the sessions, running.
pub(super) struct Actors {
    ledger: Addr<Ledger>,
    health: watch::Receiver<LedgerHealth>,
    clock: LedgerClock,
    registry: Addr<Registry>,
    verifier: Addr<Verifier>,
    archive: Addr<Archive>,
    /// The threads of the Archive and the Verifier, whose work must not hold up the others'.
    arbiters: [Arbiter; 2],
    /// Those that sessions live on, if they do not share the ledger's.
    session_arbiters: Vec<Arbiter>,
    server_key: PublicKey,
    log: Logger,
}

impl Actors {
    /// Starts them. A ledger that fails ends the process.
    pub(super) fn start(opened: Opened, config: &ServerConfig, log: &Logger) -> Self {
        let Opened { signer, journal, state, archive, .. } = opened;
        let arbiters = [patient_thread(log), patient_thread(log)];
        let session_arbiters = (0..config.session_threads).map(|_| Arbiter::new()).collect();
        let archive = Archive::start_in_arbiter(&arbiters[0].handle(), |_| archive);
        let verifier_log = log.clone();
        let verifier = Verifier::start_in_arbiter(&arbiters[1].handle(), move |_| {
            Verifier::new(&verifier_log).with_fail_stop(panic_stop("verifier"))
        });
        let settings = LedgerSettings {
            clock: system_clock,
            snapshot_entries: SNAPSHOT_ENTRIES,
            grew: Some(archive.clone().recipient()),
            fail_stop: Arc::new(fail_stop(config.data_dir.clone())),
        };
        let ledger = Ledger::new(journal, state, settings, log);
        let health = ledger.health();
        let clock = ledger.clock();
        let ledger = ledger.start();
        let registry = Registry::new(ledger.clone().recipient(), log)
            .with_fail_stop(panic_stop("registry"))
            .start();
        let (server_key, log) = (signer.public_key(), log.clone());
        Self {
            ledger,
            health,
            clock,
            registry,
            verifier,
            archive,
            arbiters,
            session_arbiters,
            server_key,
            log,
        }
    }

    /// Whether the ledger takes changes.
    pub(super) fn health(&self) -> watch::Receiver<LedgerHealth> {
        self.health.clone()
    }

    /// The threads that sessions live on; none if they share the ledger's.
    pub(super) fn session_threads(&self) -> Vec<ArbiterHandle> {
        self.session_arbiters.iter().map(Arbiter::handle).collect()
    }

    /// What the listener starts sessions with.
    pub(super) fn services(
        &self,
        config: &ServerConfig,
        gate: &Arc<Gate>,
        room: Arc<Room>,
        stop: &CancellationToken,
    ) -> Services<SecureSessions> {
        let Self { ledger, registry, verifier, archive, .. } = self;
        let (opening_balance, server_key) = (config.opening_balance, self.server_key);
        let limits = Arc::new(SessionLimits {
            registrations: Arc::new(Registrations::new(config.registrations)),
            keys: Arc::default(),
            sessions_per_key_max: config.sessions_per_account_max,
            calls_max: config.calls_per_session_max,
            lists: config.lists,
            histories: config.histories,
            receipts: config.receipts,
            bytes: config.bytes,
            room,
            sharing: Arc::default(),
        });
        Services {
            peers: Arc::new(wiring::text_peers(ledger, registry)),
            settings: SessionSettings {
                rules: TextRules { dialect: config.text_dialect, opening_balance, server_key },
                quiet: config.text_quiet,
                stop: stop.clone(),
                limits: Arc::clone(&limits),
            },
            mite: SecureSessions {
                peers: Arc::new(wiring::secure_peers(ledger, registry, verifier, archive)),
                settings: SecureSettings {
                    // Whether text is served depends on the peer.
                    rules: SecureRules { opening_balance, server_key, text: false },
                    clock: self.clock.clone(),
                    stop: stop.clone(),
                    limits,
                },
                gate: Arc::clone(gate),
                log: self.log.clone(),
            },
        }
    }

    /// Whom the metrics are asked of; `host` speaks for the server as a whole.
    pub(super) fn metrics_peers(&self, host: &Addr<Host>, gate: &Arc<Gate>) -> MetricsPeers {
        MetricsPeers {
            ledger: self.ledger.clone().recipient(),
            counters: self.ledger.clone().recipient(),
            present: self.registry.clone().recipient(),
            verifier: self.verifier.clone().recipient(),
            server: host.clone().recipient(),
            gate: Arc::clone(gate),
        }
    }

    /// Whom operators' sessions talk to; `host` speaks for the server as a whole.
    pub(super) fn admin_peers(&self, host: &Addr<Host>) -> AdminPeers {
        let Self { ledger, registry, .. } = self;
        AdminPeers {
            submit: ledger.clone().recipient(),
            read_ledger: ledger.clone().recipient(),
            keep_snapshot: ledger.clone().recipient(),
            read_present: registry.clone().recipient(),
            read_server: host.clone().recipient(),
            audit: host.clone().recipient(),
            back_up: host.clone().recipient(),
            drain: host.clone().recipient(),
        }
    }

    /// Waits until what was submitted is durable, and ends them.
    pub(super) async fn stop(self) {
        // Without a reply the ledger is gone, which has ended the process.
        let _ = self.ledger.send(StopLedger).await;
        for arbiter in self.session_arbiters.into_iter().chain(self.arbiters) {
            arbiter.stop();
            // A panic there was reported when it happened.
            let _ = arbiter.join();
        }
    }
}

/// Starts the sessions of Mite's own protocol.
pub(super) struct SecureSessions {
    peers: Arc<SecurePeers>,
    settings: SecureSettings,
    gate: Arc<Gate>,
    log: Logger,
}

impl MiteSessions for SecureSessions {
    fn start(
        &self,
        id: SessionId,
        stream: TlsStream<Connection>,
        peer: SocketAddr,
        key: PublicKey,
    ) {
        // Peers are told to come there: an IPv4 address in IPv6 clothes would not reach everybody.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let mut settings = self.settings.clone();
        settings.rules.text = self.gate.serves_text(peer);
        SecureSession::new(id, stream, peer, key, &self.peers, &settings, &self.log).start();
    }
}

/// How much the threads of the Verifier and the Archive stand back for those of the ledger, the journal and
/// the sessions where there are more threads than cores: who has orders checked waits for a batch in any case,
/// everybody else for a turn of less than a millisecond.
const PATIENCE: i32 = 10;

/// A thread that others go before.
fn patient_thread(log: &Logger) -> Arbiter {
    let (arbiter, log) = (Arbiter::new(), log.clone());
    arbiter.spawn_fn(move || {
        // On Linux that is this thread alone.
        if let Err(error) = setpriority_process(None, PATIENCE) {
            debug!(log, "a thread has the priority of all others"; "why" => %error);
        }
    });
    arbiter
}

/// Ends the process when the actor of this name panics.
fn panic_stop(actor: &'static str) -> FailStop {
    FailStop::new(move || end(&Error::Internal(format!("the {actor} panicked"))))
}

/// Ends the process at once: the ledger cannot be trusted, or there is none.
fn fail_stop(data_dir: PathBuf) -> impl Fn(LedgerFailure) + Send + Sync {
    move |failure| {
        let error = match failure {
            LedgerFailure::Journal(cause) => {
                Error::JournalFailed { path: data_dir.clone(), cause: cause.into() }
            }
            LedgerFailure::Unreadable(cause) => {
                Error::JournalFailed { path: data_dir.clone(), cause: cause.into() }
            }
            LedgerFailure::Panicked => Error::Internal(failure.to_string()),
        };
        end(&error);
    }
}

fn end(error: &Error) {
    error.report_and_give_up();
    process::exit(error.exit_code().into());
}
