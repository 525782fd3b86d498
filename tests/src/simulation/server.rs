//! The server's host: the real actors over a journal in memory, wired as the program wires them.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor as _, Addr};
use actors::archive::Archive;
use actors::ledger::journal::{Journal, JournalOptions, Storage};
use actors::ledger::{Ledger, LedgerSettings};
use actors::messages::{SessionId, StopLedger};
use actors::registry::Registry;
use actors::secure_session::{SecurePeers, SecureRules, SecureSession, SecureSettings};
use actors::session::{Session, SessionPeers, SessionSettings, TextRules};
use actors::verifier::Verifier;
use actors::wiring;
use node::tls::server::{Accepted, Acceptor};
use node::tls::sniff::{FirstByte, NoFirstByte, first_byte};
use slog::Logger;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use turmoil::net::{TcpListener, TcpStream};
use wire::text::Dialect;

use super::background::Tasks;
use super::clock;
use super::network::Peeking;
use super::texts::TEXT_GRANT;
use super::world::{GRANT, PORT, World};

/// Small, so that the journal has several.
const SEGMENT_BYTES: u64 = 16 << 10;

/// How long nothing must have come for an unterminated request to be whole, as by default.
const TEXT_QUIET: std::time::Duration = std::time::Duration::from_millis(2);

/// How long the sessions have to answer what is under way when the server stops.
const SESSIONS_STOP: std::time::Duration = std::time::Duration::from_millis(500);

/// Runs until it is crashed, or told to stop.
pub(super) async fn live(world: Rc<World>) -> turmoil::Result {
    let log = world.log.clone();
    let server = Server::open(&world, &log)?;
    world.note_of_server("has opened its journal");
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let stop = world.new_stop();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                actix::spawn(Rc::clone(&server).receive(Rc::clone(&world), stream, peer));
            }
        }
    }
    drop(listener);
    server.settings.stop.cancel();
    sleep(SESSIONS_STOP).await;
    server.ledger.send(StopLedger).await?;
    world.note_of_server("has stopped");
    std::future::pending().await
}

struct Server {
    ledger: Addr<Ledger>,
    peers: Arc<SecurePeers>,
    settings: SecureSettings,
    text_peers: Arc<SessionPeers>,
    text_settings: SessionSettings,
    tls: Acceptor,
    next_id: Cell<u64>,
    log: Logger,
}

impl Server {
    fn open(world: &Rc<World>, log: &Logger) -> Result<Rc<Self>, Box<dyn std::error::Error>> {
        let storage: Arc<dyn Storage> = Arc::new(world.journal.clone());
        let options = JournalOptions { segment_bytes: SEGMENT_BYTES };
        let signer = world.server.clone();
        let (journal, state) = Journal::open(Arc::clone(&storage), signer.clone(), options, log)?;
        let journal = journal.with_background(Arc::new(Tasks));
        let durable = journal.last().next_entry;
        let archive = Archive::open(world.archive.path(), storage, durable, log)?.start();
        let verifier = Verifier::new(log).start();
        let settings = LedgerSettings {
            clock: clock::server_clock,
            snapshot_entries: u64::MAX,
            grew: Some(archive.clone().recipient()),
            fail_stop: Arc::new(|failure| panic!("{failure}")),
        };
        let ledger = Ledger::new(journal, state, settings, log);
        let told = ledger.clock();
        let ledger = ledger.start();
        let registry = Registry::new(ledger.clone().recipient(), log).start();
        let peers = wiring::secure_peers(&ledger, &registry, &verifier, &archive);
        let server_key = signer.public_key();
        let settings = SecureSettings {
            rules: SecureRules { opening_balance: GRANT, server_key, text: false },
            clock: told,
            stop: CancellationToken::new(),
            limits: Arc::default(),
        };
        let text_settings = SessionSettings {
            rules: TextRules {
                dialect: Dialect::default(),
                opening_balance: TEXT_GRANT,
                server_key,
            },
            quiet: TEXT_QUIET,
            stop: settings.stop.clone(),
            limits: Arc::clone(&settings.limits),
        };
        Ok(Rc::new(Self {
            text_peers: Arc::new(wiring::text_peers(&ledger, &registry)),
            text_settings,
            ledger,
            peers: Arc::new(peers),
            settings,
            tls: Acceptor::new(signer.key()),
            next_id: Cell::new(1),
            log: log.clone(),
        }))
    }

    async fn receive(
        self: Rc<Self>,
        world: Rc<World>,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let id = SessionId(self.next_id.replace(self.next_id.get() + 1));
        let mut peeking = Peeking(&mut stream);
        let first = tokio::select! {
            biased;
            first = first_byte(&mut peeking) => first,
            () = self.settings.stop.cancelled() => Err(NoFirstByte::Silent),
        };
        let wire = world.wires.wire(stream)?;
        match first {
            Ok(FirstByte::Tls) => {
                let Ok(Accepted::Mite { stream, peer: key }) = self.tls.accept(wire).await else {
                    return Ok(());
                };
                let Self { peers, settings, log, .. } = &*self;
                SecureSession::new(id, stream, peer, key, peers, settings, log).start();
            }
            Ok(FirstByte::Text) | Err(NoFirstByte::Silent) => {
                let Self { text_peers, text_settings, log, .. } = &*self;
                Session::new(id, wire, peer, text_peers, text_settings, log).start();
            }
            Err(NoFirstByte::Closed | NoFirstByte::Io(_)) => {}
        }
        Ok(())
    }
}
