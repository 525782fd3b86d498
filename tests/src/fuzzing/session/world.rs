//! A server in this thread, without sockets and without a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor as _, Addr};
use actors::ledger::journal::{Journal, JournalOptions, MemoryStorage};
use actors::ledger::state::{Command, OperatorCommand, Outcome, State};
use actors::ledger::{Ledger, LedgerClock, LedgerSettings};
use actors::messages::{SessionId, StopLedger, Submit};
use actors::registry::Registry;
use actors::secure_session::{SecurePeers, SecureRules, SecureSession, SecureSettings};
use actors::session::{Session, SessionPeers, SessionSettings, TextRules};
use actors::verifier::Verifier;
use actors::wiring;
use tokio::io::{DuplexStream, duplex};
use tokio_util::sync::CancellationToken;
use wire::text::Dialect;
use wire::{Amount, PublicKey, Timestamp};

use super::archive::Archive;
use super::model::KeyNumber;
use super::steps::{OPENING_BALANCE, public};
use crate::fuzzing::journal::past::{Past, log, signer};

/// The server's clock. One input is tried at a time.
static NOW: AtomicU64 = AtomicU64::new(0);

/// More than all answers take that one step asks for, so that nobody waits for a reader.
const STREAM_BYTES: usize = 256 << 10;

/// So few that snapshots are taken.
const SNAPSHOT_ENTRIES: u64 = 6;

pub(super) struct World {
    storage: MemoryStorage,
    server: Server,
    sessions: u64,
}

struct Server {
    ledger: Addr<Ledger>,
    clock: LedgerClock,
    text: Arc<SessionPeers>,
    secure: Arc<SecurePeers>,
}

impl World {
    pub(super) fn new() -> Self {
        let storage = MemoryStorage::new();
        let server = Server::start(&storage);
        Self { storage, server, sessions: 0 }
    }

    pub(super) fn set_clock(now: u64) {
        NOW.store(now, Ordering::Relaxed);
    }

    /// Stops the server, and starts it again on what it has written. Returns what that is.
    pub(super) async fn restart(&mut self) -> State {
        self.server.ledger.send(StopLedger).await.expect("the ledger stops");
        let (_, state) = open(&self.storage);
        self.server = Server::start(&self.storage);
        state
    }

    /// A connection of whoever holds this key.
    pub(super) fn connect(&mut self, key: KeyNumber) -> DuplexStream {
        let (near, far) = duplex(STREAM_BYTES);
        let settings = SecureSettings {
            rules: SecureRules {
                opening_balance: Amount::new(OPENING_BALANCE),
                server_key: Past::server(),
                text: true,
            },
            clock: self.server.clock.clone(),
            stop: CancellationToken::new(),
            limits: Arc::default(),
        };
        let (id, peers) = (self.next_session(), &self.server.secure);
        SecureSession::new(id, far, address(), public(key), peers, &settings, &log()).start();
        near
    }

    pub(super) fn connect_text(&mut self) -> DuplexStream {
        let (near, far) = duplex(STREAM_BYTES);
        let settings = SessionSettings {
            rules: TextRules {
                dialect: Dialect::Seed,
                opening_balance: Amount::new(OPENING_BALANCE),
                server_key: Past::server(),
            },
            quiet: Duration::from_millis(1),
            stop: CancellationToken::new(),
            limits: Arc::default(),
        };
        let (id, peers) = (self.next_session(), &self.server.text);
        Session::new(id, far, address(), peers, &settings, &log()).start();
        near
    }

    pub(super) async fn operate(&self, command: OperatorCommand) -> Outcome {
        let submit = Submit(vec![Command::Operate(Box::new(command))]);
        let outcomes = self.server.ledger.send(submit).await.expect("the ledger is there");
        outcomes.expect("it takes more").pop().expect("one outcome for one command")
    }

    const fn next_session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }
}

impl Server {
    fn start(storage: &MemoryStorage) -> Self {
        let (journal, state) = open(storage);
        let settings = LedgerSettings {
            clock,
            snapshot_entries: SNAPSHOT_ENTRIES,
            grew: None,
            fail_stop: Arc::new(|failure| panic!("{failure}")),
        };
        let ledger = Ledger::new(journal, state, settings, &log());
        let (clock, ledger) = (ledger.clock(), ledger.start());
        let registry = Registry::new(ledger.clone().recipient(), &log()).start();
        let verifier = Verifier::new(&log()).start();
        let archive = Archive(storage.clone()).start();
        let text = wiring::text_peers(&ledger, &registry);
        let secure = wiring::secure_peers(&ledger, &registry, &verifier, &archive);
        Self { ledger, clock, text: Arc::new(text), secure: Arc::new(secure) }
    }
}

fn open(storage: &MemoryStorage) -> (Journal, State) {
    // A batch or two a segment.
    let options = JournalOptions { segment_bytes: 2 << 10 };
    let opened = Journal::open(Arc::new(storage.clone()), signer(), options, &log());
    opened.expect("what the server has written")
}

fn clock() -> Timestamp {
    Timestamp::new(NOW.load(Ordering::Relaxed))
}

fn address() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 50_000))
}

/// The key that orders are to name.
pub(super) fn server_key() -> PublicKey {
    Past::server()
}
