//! The server: wires the actors together, takes connections, stops cleanly.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr, Arbiter, Recipient, System};
use actors::archive::{Archive, ArchiveError};
use actors::ledger::journal::{
    DataDirError, DiskStorage, Journal, JournalOptions, OpenError, Operation, Storage,
};
use actors::ledger::{Ledger, LedgerFailure, LedgerSettings, SNAPSHOT_ENTRIES, system_clock};
use actors::messages::{SessionId, Signer, StopLedger};
use actors::registry::Registry;
use actors::secure_session::{SecurePeers, SecureRules, SecureSession, SecureSettings};
use actors::session::{SessionPeers, SessionSettings, TextRules};
use actors::verifier::Verifier;
use slog::{Logger, info, warn};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use wire::PublicKey;

use crate::announce;
use crate::config::ServerConfig;
use crate::connection::Connection;
use crate::error::Error;
use crate::listener::{Gate, HalfOpenLimits, MiteSessions, Services, SessionListener};
use crate::server_key;

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
    ledger: Recipient<StopLedger>,
    stop: CancellationToken,
    listening: JoinHandle<()>,
    gate: Arc<Gate>,
    /// The threads of the Archive and the Verifier, whose work must not hold up the others'.
    arbiters: [Arbiter; 2],
    log: Logger,
}

impl Server {
    /// Opens the ledger and takes connections. Needs an actix system.
    pub(crate) async fn start(config: ServerConfig, log: &Logger) -> Result<Self, Error> {
        // First of all: a port in use must not cost the replay of a long journal.
        let cannot_listen = |source| Error::listen(config.listen, source);
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;

        let storage = open_storage(&config.data_dir)?;
        let cannot_open = |error| journal_error(&config.data_dir, error);
        // Only a ledger without a past may get a new key.
        let key = if Journal::has_begun(&*storage).map_err(|error| cannot_open(error.into()))? {
            server_key::load(&config.data_dir, log)?
        } else {
            server_key::load_or_create(&config.data_dir, log)?
        };
        let signer = Signer::new(*key.signing_key());
        let options = JournalOptions::default();
        let (journal, state) =
            Journal::open(Arc::clone(&storage), signer, options, log).map_err(cannot_open)?;
        info!(log, "ledger opened"; "accounts" => state.accounts().len(),
            "entries" => state.next_entry().get(), "data" => %config.data_dir.display());

        let arbiters = [Arbiter::new(), Arbiter::new()];
        let archive = Archive::open(&config.data_dir, storage, journal.last().next_entry, log)
            .map_err(|error| archive_error(&config.data_dir, error))?;
        let archive = Archive::start_in_arbiter(&arbiters[0].handle(), |_| archive);
        let verifier_log = log.clone();
        let verifier = Verifier::start_in_arbiter(&arbiters[1].handle(), move |_| {
            Verifier::new(&verifier_log)
        });
        let settings = LedgerSettings {
            clock: system_clock,
            snapshot_entries: SNAPSHOT_ENTRIES,
            grew: Some(archive.clone().recipient()),
            fail_stop: Arc::new(fail_stop(config.data_dir.clone())),
        };
        let ledger = Ledger::new(journal, state, settings, log).start();
        let registry = Registry::new(ledger.clone().recipient(), log).start();

        let stop = CancellationToken::new();
        let half_open = HalfOpenLimits {
            all: config.half_open_max,
            per_address: config.half_open_per_address_max,
        };
        let gate = Arc::new(Gate::new(config.max_connections, half_open, config.text, log));
        let public_key = key.public_key();
        let services = Services {
            peers: text_peers(&ledger, &registry),
            settings: SessionSettings {
                rules: TextRules {
                    dialect: config.text_dialect,
                    opening_balance: config.opening_balance,
                    server_key: public_key,
                },
                quiet: config.text_quiet,
                stop: stop.clone(),
                crowded: gate.crowded(),
            },
            mite: Some(SecureSessions {
                peers: secure_peers(&ledger, &registry, &verifier, &archive),
                settings: SecureSettings {
                    rules: SecureRules {
                        opening_balance: config.opening_balance,
                        server_key: public_key,
                    },
                    clock: system_clock,
                    stop: stop.clone(),
                    crowded: gate.crowded(),
                },
                log: log.clone(),
            }),
        };
        let sessions =
            SessionListener::new(listener, Arc::clone(&gate), key.signing_key(), services, log);
        let listening = actix::spawn(sessions.run());
        info!(log, "listening"; "address" => address, "dialect" => config.text_dialect.name());
        let (ledger, log) = (ledger.recipient(), log.clone());
        Ok(Self { address, public_key, ledger, stop, listening, gate, arbiters, log })
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
        // Without a reply the ledger is gone, which has ended the process.
        let _ = self.ledger.send(StopLedger).await;
        for arbiter in self.arbiters {
            arbiter.stop();
            // A panic there was reported when it happened.
            let _ = arbiter.join();
        }
    }
}

/// Starts the sessions of Mite's own protocol.
struct SecureSessions {
    peers: SecurePeers,
    settings: SecureSettings,
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
        let peers = self.peers.clone();
        SecureSession::new(id, stream, peer, key, peers, &self.settings, &self.log).start();
    }
}

fn text_peers(ledger: &Addr<Ledger>, registry: &Addr<Registry>) -> SessionPeers {
    SessionPeers {
        submit: ledger.clone().recipient(),
        log_in: registry.clone().recipient(),
        log_out: registry.clone().recipient(),
        list_online: registry.clone().recipient(),
        notify: registry.clone().recipient(),
    }
}

fn secure_peers(
    ledger: &Addr<Ledger>,
    registry: &Addr<Registry>,
    verifier: &Addr<Verifier>,
    archive: &Addr<Archive>,
) -> SecurePeers {
    SecurePeers {
        submit: ledger.clone().recipient(),
        submit_for_receipts: ledger.clone().recipient(),
        verify: verifier.clone().recipient(),
        find_receipts: archive.clone().recipient(),
        read_history: archive.clone().recipient(),
        keep_order: archive.clone().recipient(),
        read_open_orders: archive.clone().recipient(),
        log_in: registry.clone().recipient(),
        log_out: registry.clone().recipient(),
        read_online: registry.clone().recipient(),
        find_online: registry.clone().recipient(),
        watch_names: registry.clone().recipient(),
        notify: registry.clone().recipient(),
        retire_key: registry.clone().recipient(),
    }
}

fn archive_error(data_dir: &Path, error: ArchiveError) -> Error {
    Error::DataDirectory { path: data_dir.to_owned(), source: std::io::Error::other(error) }
}

fn open_storage(data_dir: &Path) -> Result<Arc<dyn Storage>, Error> {
    match DiskStorage::open(data_dir) {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(
            DataDirError::Create { path, source }
            | DataDirError::NotWritable { path, source }
            | DataDirError::NotReadable { path, source },
        ) => Err(Error::DataDirectory { path, source }),
        Err(DataDirError::Locked { path }) => Err(Error::DataDirectoryLocked { path }),
    }
}

fn journal_error(data_dir: &Path, error: OpenError) -> Error {
    let path = data_dir.to_owned();
    match error {
        OpenError::Io(failure) => match failure.operation {
            Operation::List | Operation::Open | Operation::Read => {
                Error::DataDirectory { path: path.join(&failure.file), source: failure.source }
            }
            // A repair did not succeed: the disk fails.
            _ => Error::JournalFailed { path, cause: failure.into() },
        },
        OpenError::OtherServer { .. } => Error::JournalOfOther { path, cause: error.into() },
        OpenError::Newer { .. } => Error::JournalNewer { path, cause: error.into() },
        OpenError::Damaged { .. } | OpenError::BatchesMissing { .. } => {
            Error::JournalDamaged { path, cause: error.into() }
        }
    }
}

/// Ends the process at once: nobody may hear of an outcome that may not be durable.
fn fail_stop(data_dir: PathBuf) -> impl Fn(LedgerFailure) + Send + Sync {
    move |failure| {
        let error = match failure {
            LedgerFailure::Journal(cause) => {
                Error::JournalFailed { path: data_dir.clone(), cause: cause.into() }
            }
            LedgerFailure::Panicked => Error::Internal(failure.to_string()),
        };
        error.report_and_give_up();
        process::exit(error.exit_code().into());
    }
}
