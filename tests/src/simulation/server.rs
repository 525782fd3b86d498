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
use actors::verifier::Verifier;
use actors::wiring;
use node::tls::server::{Accepted, Acceptor};
use slog::Logger;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use turmoil::net::{TcpListener, TcpStream};

use super::background::Tasks;
use super::clock;
use super::world::{GRANT, PORT, World};

/// Small, so that the journal has several.
const SEGMENT_BYTES: u64 = 16 << 10;

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
        let (peers, tls, log) = (Arc::new(peers), Acceptor::new(signer.key()), log.clone());
        Ok(Rc::new(Self { ledger, peers, settings, tls, next_id: Cell::new(1), log }))
    }

    async fn receive(
        self: Rc<Self>,
        world: Rc<World>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let wire = world.wires.wire(stream)?;
        if let Ok(Accepted::Mite { stream, peer: key }) = self.tls.accept(wire).await {
            let id = SessionId(self.next_id.replace(self.next_id.get() + 1));
            SecureSession::new(id, stream, peer, key, &self.peers, &self.settings, &self.log)
                .start();
        }
        Ok(())
    }
}
