//! The server's listener: one port for text and TLS, and a session for each who may come in.
//!
//! A connection is *half-open* while the server can do nothing but wait for it: until its TLS
//! handshake is done, and, where text is not to be had, until its first byte. Half-open ones are
//! few and end soon. Whoever says nothing where text is served is a text client that thinks:
//! programs of the family connect long before they speak, so silence makes a text session, with that
//! session's rules of idleness.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, ArbiterHandle};
use actors::messages::SessionId;
use actors::session::{Session, SessionPeers, SessionSettings};
use ed25519_zebra::SigningKey;
use slog::{Logger, debug, error, warn};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use wire::PublicKey;

use self::gate::Turned;
pub(crate) use self::gate::{Gate, GateLimits, TurnedAway};
use self::half_open::HalfOpenPlace;
pub(crate) use self::half_open::{HalfOpen, HalfOpenLimits};
use crate::connection::{Connection, ConnectionPlace};
use crate::tls::server::{Accepted, Acceptor};
use crate::tls::sniff::{FirstByte, NoFirstByte, first_byte};

mod gate;
mod half_open;

/// How long to wait after the system refused to hand a connection over, mostly for want of file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a refusal may take to be written, and to be read by a peer that still sends.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);

/// How much is read at once, and thrown away, of what a peer sends that is turned away.
const REFUSED_READ_BYTES: usize = 1024;

/// What a peer that speaks TLS is told instead of a line: one record, the fatal alert
/// `internal_error` (RFC 8446, section 6).
const TLS_BUSY: &[u8] = &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x50];

/// Starts sessions of Mite's own protocol.
pub(crate) trait MiteSessions: Send + Sync + 'static {
    /// Starts one with the holder of `key`, which is proven.
    fn start(&self, id: SessionId, stream: TlsStream<Connection>, peer: SocketAddr, key: PublicKey);
}

/// What is served.
pub(crate) struct Services<M> {
    /// Whom text sessions talk to.
    pub(crate) peers: Arc<SessionPeers>,
    /// What text sessions need to know. Its stop token ends the listener as well.
    pub(crate) settings: SessionSettings,
    /// Mite's own protocol.
    pub(crate) mite: M,
}

/// Takes connections and starts a session for each.
pub(crate) struct SessionListener<M> {
    listener: TcpListener,
    reception: Arc<Reception<M>>,
    /// Where sessions live, in turn; if there is none, here.
    threads: Vec<ArbiterHandle>,
    next_id: u64,
}

impl<M: MiteSessions> SessionListener<M> {
    /// A listener whose sessions live on the thread that it runs on.
    pub(crate) fn new(
        listener: TcpListener,
        gate: Arc<Gate>,
        key: &SigningKey,
        services: Services<M>,
        log: &Logger,
    ) -> Self {
        let tls = Acceptor::new(key);
        let reception = Arc::new(Reception { gate, tls, services, log: log.clone() });
        Self { listener, reception, threads: Vec::new(), next_id: 1 }
    }

    /// Has the sessions live on these threads, in turn; their TLS handshakes are done there, too.
    pub(crate) fn with_threads(mut self, threads: Vec<ArbiterHandle>) -> Self {
        self.threads = threads;
        self
    }

    /// Runs until the settings' stop token is cancelled.
    pub(crate) async fn run(mut self) {
        let stop = self.reception.services.settings.stop.clone();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) => {
                    error!(self.reception.log, "cannot take a connection"; "error" => %error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) {
        let reception = &self.reception;
        let guest = Guest { id: SessionId(self.next_id), peer };
        let place = match reception.gate.admit(peer.ip()) {
            Ok(place) => place,
            Err(turned) => return reception.turn_away(stream, guest, turned, turned.line()),
        };
        let half_open = if reception.gate.serves_text(peer) {
            None
        } else {
            match reception.gate.half_open(peer.ip()) {
                Ok(half_open) => Some(half_open),
                Err(turned) => return reception.turn_away(stream, guest, turned, turned.line()),
            }
        };
        let reception = Arc::clone(reception);
        let visit = Visit { guest, place, half_open };
        match self.next_thread() {
            None => drop(actix::spawn(reception.receive(visit, stream))),
            Some(thread) => reception.hand_over(visit, stream, thread),
        }
        self.next_id += 1;
    }

    fn next_thread(&self) -> Option<&ArbiterHandle> {
        let count = NonZeroU64::new(self.threads.len() as u64)?;
        let turn = usize::try_from(self.next_id % count).expect("less than the threads");
        self.threads.get(turn)
    }
}

/// Who has come.
#[derive(Clone, Copy)]
struct Guest {
    id: SessionId,
    peer: SocketAddr,
}

/// Who has come in, and what is taken until they have shown what they are.
struct Visit {
    guest: Guest,
    place: ConnectionPlace,
    half_open: Option<HalfOpenPlace>,
}

/// Finds out what a connection is, and starts its session.
struct Reception<M> {
    gate: Arc<Gate>,
    tls: Acceptor,
    services: Services<M>,
    log: Logger,
}

impl<M: MiteSessions> Reception<M> {
    /// Receives on another thread. No more can wait for it than there are places.
    fn hand_over(self: Arc<Self>, visit: Visit, stream: TcpStream, thread: &ArbiterHandle) {
        let peer = visit.guest.peer;
        let lost = move |error, log: &Logger| {
            error!(log, "cannot hand a connection over"; "peer" => peer, "error" => %error);
        };
        // Each thread waits for its own sockets.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return lost(error, &self.log),
        };
        // It takes nobody when it is gone, as the server stops then.
        thread.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => self.receive(visit, stream).await,
                Err(error) => lost(error, &self.log),
            }
        });
    }

    async fn receive(self: Arc<Self>, visit: Visit, mut stream: TcpStream) {
        let Visit { guest, place, half_open } = visit;
        let serves_text = self.gate.serves_text(guest.peer);
        let first = tokio::select! {
            biased;
            first = first_byte(&mut stream) => first,
            () = self.services.settings.stop.cancelled() => {
                // A text session answers what was sent before the server stopped.
                if serves_text {
                    self.start_text(guest, Connection::new(stream, place));
                }
                return;
            }
        };
        match first {
            Ok(FirstByte::Tls) => {
                let half_open = half_open.map_or_else(|| self.gate.half_open(guest.peer.ip()), Ok);
                match half_open {
                    Ok(half_open) => self.shake_hands(guest, stream, place, half_open).await,
                    Err(turned) => self.turn_away(stream, guest, turned, TLS_BUSY),
                }
            }
            Ok(FirstByte::Text) | Err(NoFirstByte::Silent) if serves_text => {
                self.start_text(guest, Connection::new(stream, place));
            }
            Ok(FirstByte::Text) | Err(NoFirstByte::Silent) => {
                let turned = Turned::TextNotAllowed;
                self.turn_away(stream, guest, turned, turned.line());
            }
            Err(none @ (NoFirstByte::Closed | NoFirstByte::Io(_))) => {
                debug!(self.log, "gone without a word"; "peer" => guest.peer, "why" => %none);
            }
        }
    }

    async fn shake_hands(
        &self,
        guest: Guest,
        stream: TcpStream,
        place: ConnectionPlace,
        half_open: HalfOpenPlace,
    ) {
        let Guest { id, peer } = guest;
        let accepted = tokio::select! {
            accepted = self.tls.accept(Connection::new(stream, place)) => accepted,
            () = self.services.settings.stop.cancelled() => return,
        };
        drop(half_open);
        match accepted {
            Ok(Accepted::Mite { stream, peer: key }) => {
                self.services.mite.start(id, stream, peer, key);
            }
            // It proves nobody's identity either.
            Ok(Accepted::Text { stream }) if self.gate.serves_text(peer) => {
                self.start_text(guest, stream);
            }
            Ok(Accepted::Text { stream }) => {
                let turned = Turned::TextNotAllowed;
                self.turn_away(stream, guest, turned, turned.line());
            }
            Err(error) => {
                warn!(self.log, "TLS handshake failed"; "peer" => peer, "why" => %error);
            }
        }
    }

    fn start_text<S>(&self, Guest { id, peer }: Guest, stream: S)
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        let Services { peers, settings, .. } = &self.services;
        Session::new(id, stream, peer, peers, settings, &self.log).start();
    }

    /// Closes the connection, with a word about why if there is time for it.
    fn turn_away<S>(&self, stream: S, guest: Guest, turned: Turned, word: &'static [u8])
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        self.gate.count(turned);
        warn!(self.log, "connection refused"; "peer" => guest.peer, "why" => ?turned);
        // In a flood of them, the rest is closed without a word.
        if let Some(refusal) = self.gate.refuse() {
            actix::spawn(tell(stream, word, refusal));
        }
    }
}

async fn tell<S>(mut stream: S, word: &'static [u8], _refusal: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // The peer is told if it listens; it is closed in any case.
    let _ = timeout(REFUSAL_TIME_MAX, async {
        stream.write_all(word).await?;
        stream.shutdown().await?;
        // A connection that is closed with something unread is reset, and the word is lost with it.
        let mut unread = [0; REFUSED_READ_BYTES];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<(), std::io::Error>(())
    })
    .await;
}

#[cfg(test)]
mod tests;
