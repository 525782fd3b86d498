//! A client's host: the real actors over a wallet in memory, wired as the program wires them.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Recipient};
use actors::messages::{OfferOrder, Signer, WalletNews};
use actors::secure_peer_link::{SecureDialer, SecurePeerLink, SecurePeerPatience};
use actors::secure_wallet::store::{
    Change, ClosedRecord, KnownPeer, OutboxRecord, RedbStore, StoreError, WalletStore, Writing,
};
use actors::secure_wallet::{Neighbours, SecureWallet};
use node::tls::server::{Accepted, Acceptor};
use slog::Logger;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};
use wire::{OrderId, PublicKey, Receipt, Username};

use super::clock;
use super::network::{Connector, PeerConnector};
use super::person;
use super::world::{PORT, World};

/// The key that a client shows, to the server and to peers.
#[derive(Clone)]
pub(super) struct Identity(Rc<RefCell<Signer>>);

impl Identity {
    pub(super) fn get(&self) -> Signer {
        self.0.borrow().clone()
    }

    pub(super) fn set(&self, signer: Signer) {
        *self.0.borrow_mut() = signer;
    }
}

/// Runs until it is crashed.
pub(super) async fn live(world: Rc<World>, who: usize) -> turmoil::Result {
    let seed = world.begin_life(who);
    let log = world.log.new(slog::o!("who" => who));
    let (signer, next, store) = world.profile(who);
    let identity = Identity(Rc::new(RefCell::new(signer.clone())));
    let terminal = Terminal { world: Rc::clone(&world), who, identity: identity.clone() }.start();
    let connector = Connector { world: Rc::clone(&world), who, log: log.clone() }.start();
    let to_peers = PeerConnector { world: Rc::clone(&world), identity: identity.clone() };
    let dialer = SecureDialer::new(to_peers, SecurePeerPatience::default(), &log).start();
    let neighbours = Neighbours {
        connector: connector.recipient(),
        dialer: dialer.recipient(),
        terminal: terminal.recipient(),
    };
    let store = Box::new(Disk(store));
    let wallet = SecureWallet::new(signer, next, neighbours, store, &log);
    let wallet = wallet.with_seed(seed).start();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let orders = wallet.clone().recipient();
    let peers = Peers { world: Rc::clone(&world), identity: identity.clone(), orders, log };
    actix::spawn(Rc::new(peers).take(listener));
    person::live(world, who, wallet, identity, seed).await;
    Ok(())
}

/// Takes the connections of payers.
struct Peers {
    world: Rc<World>,
    identity: Identity,
    orders: Recipient<OfferOrder>,
    log: Logger,
}

impl Peers {
    async fn take(self: Rc<Self>, listener: TcpListener) {
        while let Ok((stream, peer)) = listener.accept().await {
            actix::spawn(Rc::clone(&self).receive(stream, peer));
        }
    }

    async fn receive(self: Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok(wire) = self.world.wires.wire(stream) else { return };
        let tls = Acceptor::new(self.identity.get().key());
        if let Ok(Accepted::Mite { stream, peer: key }) = tls.accept(wire).await {
            let (orders, patience) = (self.orders.clone(), SecurePeerPatience::default());
            SecurePeerLink::incoming(stream, key, peer, orders, patience, &self.log).start();
        }
    }
}

/// Hears the wallet's news, as the program's terminal does.
struct Terminal {
    world: Rc<World>,
    who: usize,
    identity: Identity,
}

impl Actor for Terminal {
    type Context = Context<Self>;
}

impl Handler<WalletNews> for Terminal {
    type Result = ();

    fn handle(&mut self, news: WalletNews, _: &mut Self::Context) {
        if let WalletNews::KeyChanged(key) = &news
            && let Some(signer) = self.world.promote(self.who, key)
        {
            self.identity.set(signer);
        }
        self.world.hear_news(self.who, &news);
    }
}

/// A wallet's disk, which takes its time. It keeps what was written when the client crashes; a write that is
/// under way is there behind its first half.
#[derive(Debug)]
struct Disk(Arc<RedbStore>);

impl WalletStore for Disk {
    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.0.write(changes)
    }

    fn write_beside(self: Arc<Self>, changes: Vec<Change>) -> Writing {
        Box::pin(async move {
            sleep(clock::commit()).await;
            let written = self.0.write(&changes);
            sleep(clock::commit()).await;
            written
        })
    }

    fn outbox(&self, server: &PublicKey) -> Result<Vec<OutboxRecord>, StoreError> {
        self.0.outbox(server)
    }

    fn closed(&self, server: &PublicKey, limit: usize) -> Result<Vec<ClosedRecord>, StoreError> {
        self.0.closed(server, limit)
    }

    fn find_closed(
        &self,
        server: &PublicKey,
        id: OrderId,
    ) -> Result<Option<ClosedRecord>, StoreError> {
        self.0.find_closed(server, id)
    }

    fn received(&self, server: &PublicKey, id: OrderId) -> Result<Vec<Receipt>, StoreError> {
        self.0.received(server, id)
    }

    fn peer(&self, server: &PublicKey, name: &Username) -> Result<Option<KnownPeer>, StoreError> {
        self.0.peer(server, name)
    }

    fn last_server(&self) -> Result<Option<PublicKey>, StoreError> {
        self.0.last_server()
    }
}
