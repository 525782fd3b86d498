//! Connects to payees, and takes the connections of payers.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor as _, Recipient};
use actors::messages::{DeliverError, Offer, OfferOrder};
use actors::peer_link::{PeerLink, PeerPatience};
use actors::reason::reason;
use actors::secure_peer_link::{ConnectPeer, SecurePeerLink, SecurePeerPatience};
use slog::{Logger, debug, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_rustls::client::TlsStream;
use wire::PublicKey;

use super::LiveIdentity;
use crate::client::{ACCEPT_PAUSE, INCOMING_LINKS_MAX, connect};
use crate::connection::{Connection, raise_file_limit};
use crate::listener::{HalfOpen, HalfOpenLimits};
use crate::tls;
use crate::tls::client::{ConnectError, ExpectedKey};
use crate::tls::keys::TlsKey;
use crate::tls::server::{Accepted, Acceptor};
use crate::tls::sniff::{FirstByte, NoFirstByte, first_byte};

/// Connections of payers that have not shown what they are: a quarter of all that there may be, and as
/// many from one address as a person with some programs has.
const HALF_OPEN: HalfOpenLimits = HalfOpenLimits { all: 256, per_address: 64 };

/// Connects to payees over TLS.
pub(crate) struct PeerConnector {
    identity: LiveIdentity,
}

impl PeerConnector {
    pub(crate) const fn new(identity: LiveIdentity) -> Self {
        Self { identity }
    }
}

impl ConnectPeer for PeerConnector {
    type Stream = TlsStream<TcpStream>;

    fn connect(
        &self,
        address: SocketAddr,
        payee_key: PublicKey,
    ) -> impl Future<Output = Result<Self::Stream, DeliverError>> + 'static {
        let signer = self.identity.get();
        async move {
            let stream = connect(address).await;
            let stream = stream.map_err(|error| DeliverError::Unreachable(reason(&error)))?;
            let own = TlsKey::new(signer.key());
            let connected = tls::client::connect(stream, &own, ExpectedKey::Exactly(payee_key));
            match connected.await {
                Ok((stream, _)) => Ok(stream),
                Err(ConnectError::WrongKey { found, .. }) => Err(DeliverError::WrongKey { found }),
                Err(ConnectError::Io(error)) => Err(DeliverError::Unreachable(reason(&error))),
                Err(error) => Err(DeliverError::Unreachable(error.to_string())),
            }
        }
    }
}

/// Takes the connections of payers: over TLS by Mite's own protocol, or by the text protocol.
pub(crate) struct PeerListener {
    identity: LiveIdentity,
    orders: Recipient<OfferOrder>,
    text: Recipient<Offer>,
    half_open: Arc<HalfOpen>,
    log: Logger,
}

impl PeerListener {
    pub(crate) fn new(
        identity: LiveIdentity,
        orders: Recipient<OfferOrder>,
        text: Recipient<Offer>,
        log: &Logger,
    ) -> Self {
        Self { identity, orders, text, half_open: HalfOpen::new(HALF_OPEN), log: log.clone() }
    }

    /// Runs for ever.
    pub(crate) async fn run(self: Rc<Self>, listener: TcpListener) {
        let places_max = raise_file_limit(INCOMING_LINKS_MAX, &self.log);
        let places = Arc::new(Semaphore::new(places_max as usize));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    actix::spawn(Rc::clone(&self).receive(stream, peer, place));
                }
                Err(error) => {
                    warn!(self.log, "cannot take a peer's connection"; "error" => %error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn receive(
        self: Rc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) {
        let half_open = match self.half_open.enter(peer.ip()) {
            Ok(half_open) => half_open,
            Err(limit) => {
                warn!(self.log, "a peer's connection refused"; "peer" => peer, "why" => ?limit);
                return;
            }
        };
        match first_byte(&mut stream).await {
            Ok(FirstByte::Tls) => {
                // Made for each: the key may have changed, and it costs little beside the handshake.
                let tls = Acceptor::new(self.identity.get().key());
                match tls.accept(Connection::new(stream, place)).await {
                    Ok(Accepted::Mite { stream, peer: key }) => {
                        let (orders, patience) =
                            (self.orders.clone(), SecurePeerPatience::default());
                        SecurePeerLink::incoming(stream, key, peer, orders, patience, &self.log)
                            .start();
                    }
                    Ok(Accepted::Text { stream }) => self.start_text(stream, peer),
                    Err(error) => {
                        debug!(self.log, "TLS handshake failed"; "peer" => peer, "why" => %error);
                    }
                }
            }
            Ok(FirstByte::Text) | Err(NoFirstByte::Silent) => {
                self.start_text(Connection::new(stream, place), peer);
            }
            Err(none @ (NoFirstByte::Closed | NoFirstByte::Io(_))) => {
                debug!(self.log, "gone without a word"; "peer" => peer, "why" => %none);
            }
        }
        drop(half_open);
    }

    fn start_text<S>(&self, stream: S, peer: SocketAddr)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        PeerLink::incoming(stream, peer, self.text.clone(), PeerPatience::default(), &self.log)
            .start();
    }
}
