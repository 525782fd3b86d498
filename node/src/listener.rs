//! The server's listener: who may come in, and a session for each who does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::Actor as _;
use actors::messages::SessionId;
use actors::session::{Session, SessionPeers, SessionSettings};
use slog::{Logger, error, warn};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::config::TextAccess;
use crate::connection::{Connection, raise_file_limit};

/// How long to wait after the system refused to hand a connection over, mostly for want of file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a refusal may take to be written.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);

/// Peers that may be told at once why they are turned away. Being told takes a moment for all but
/// those that do not read; a quarter of the files that are kept free of connections.
const REFUSALS_MAX: usize = 16;

/// The server is crowded when less than one in so many of its places is left.
const CROWDED_SHARE: usize = 4;

/// Decides who may come in and counts who is in.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    places_max: u32,
    crowded: Arc<AtomicBool>,
    text: TextAccess,
    refusals: Arc<Semaphore>,
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turned {
    /// As many connections are open as may.
    Full,
    /// The text protocol is not for this peer.
    TextNotAllowed,
}

impl Turned {
    /// What the peer is told; its first word is one that programs of the family know.
    const fn line(self) -> &'static str {
        match self {
            Self::Full => "220 ERROR the server has too many connections, try again later\n",
            Self::TextNotAllowed => {
                "220 ERROR plain text is not for this address, the server's --text says for whom\n"
            }
        }
    }
}

impl Gate {
    pub(crate) fn new(connections_max: usize, text: TextAccess, log: &Logger) -> Self {
        let places_max = u32::try_from(connections_max).unwrap_or(u32::MAX >> 3).min(u32::MAX >> 3);
        let places_max = raise_file_limit(places_max, log);
        let places = Arc::new(Semaphore::new(places_max as usize));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        Self { places, places_max, crowded: Arc::default(), text, refusals }
    }

    /// Whether this peer may come in; if so, its place is taken until the permit is dropped.
    fn admit(&self, peer: SocketAddr) -> Result<OwnedSemaphorePermit, Turned> {
        let allowed = match self.text {
            TextAccess::Off => false,
            TextAccess::Loopback => peer.ip().to_canonical().is_loopback(),
            TextAccess::Any => true,
        };
        if !allowed {
            return Err(Turned::TextNotAllowed);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Turned::Full);
        let left = self.places.available_permits();
        let few_left = left * CROWDED_SHARE < self.places_max as usize;
        self.crowded.store(few_left, Ordering::Relaxed);
        place
    }

    /// Whether few places were left when somebody last came.
    pub(crate) fn crowded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.crowded)
    }

    /// Whether there is time to tell one more peer why it is turned away; it counts until the permit
    /// is dropped.
    fn refuse(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.refusals).try_acquire_owned().ok()
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.places_max as usize - self.places.available_permits()
    }

    /// Waits until every connection is closed.
    pub(crate) async fn all_left(&self) {
        // The semaphore is never closed.
        let _ = self.places.acquire_many(self.places_max).await;
    }
}

/// Takes connections and starts a session for each.
pub(crate) struct SessionListener {
    listener: TcpListener,
    gate: Arc<Gate>,
    peers: SessionPeers,
    settings: SessionSettings,
    next_id: u64,
    log: Logger,
}

impl SessionListener {
    pub(crate) fn new(
        listener: TcpListener,
        gate: Arc<Gate>,
        peers: SessionPeers,
        settings: SessionSettings,
        log: &Logger,
    ) -> Self {
        Self { listener, gate, peers, settings, next_id: 1, log: log.clone() }
    }

    /// Runs until the settings' stop token is cancelled.
    pub(crate) async fn run(mut self) {
        let stop = self.settings.stop.clone();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) => {
                    error!(self.log, "cannot take a connection"; "error" => %error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) {
        let place = match self.gate.admit(peer) {
            Ok(place) => place,
            Err(turned) => {
                warn!(self.log, "connection refused"; "peer" => peer, "why" => ?turned);
                // In a flood of them, the rest is closed without a word.
                if let Some(refusal) = self.gate.refuse() {
                    actix::spawn(turn_away(stream, turned, refusal));
                }
                return;
            }
        };
        let id = SessionId(self.next_id);
        self.next_id += 1;
        let connection = Connection::new(stream, place);
        Session::new(id, connection, peer, self.peers.clone(), &self.settings, &self.log).start();
    }
}

async fn turn_away(mut stream: TcpStream, turned: Turned, _refusal: OwnedSemaphorePermit) {
    // The peer is told if it listens; it is closed in any case.
    let _ = timeout(REFUSAL_TIME_MAX, async {
        stream.write_all(turned.line().as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    fn admitted(text: TextAccess, peer: &str) -> Result<(), Turned> {
        let gate = Gate::new(1, text, &Logger::root(Discard, o!()));
        gate.admit(peer.parse().expect("an address")).map(|_| ())
    }

    #[test]
    fn plain_text_is_for_whom_the_operator_says() {
        use TextAccess::{Any, Loopback, Off};
        for (text, peer, expected) in [
            (Loopback, "127.0.0.1:5000", Ok(())),
            (Loopback, "[::1]:5000", Ok(())),
            (Loopback, "[::ffff:127.0.0.1]:5000", Ok(())),
            (Loopback, "192.0.2.1:5000", Err(Turned::TextNotAllowed)),
            (Loopback, "[::ffff:192.0.2.1]:5000", Err(Turned::TextNotAllowed)),
            (Any, "192.0.2.1:5000", Ok(())),
            (Off, "127.0.0.1:5000", Err(Turned::TextNotAllowed)),
        ] {
            assert_eq!(admitted(text, peer), expected, "{text:?} {peer}");
        }
    }

    #[tokio::test]
    async fn a_place_is_taken_until_it_is_left() {
        let gate = Gate::new(2, TextAccess::Loopback, &Logger::root(Discard, o!()));
        let peer = "127.0.0.1:5000".parse().expect("an address");
        let first = gate.admit(peer).expect("two places are free");
        let _second = gate.admit(peer).expect("one place is free");
        assert_eq!(gate.admit(peer).map(|_| ()), Err(Turned::Full));
        assert_eq!(gate.open(), 2);
        assert!(gate.crowded().load(Ordering::Relaxed));
        drop(first);
        assert_eq!(gate.open(), 1);
        assert!(gate.admit(peer).is_ok());
    }

    #[test]
    fn only_so_many_are_told_at_once() {
        let gate = Gate::new(1, TextAccess::Off, &Logger::root(Discard, o!()));
        let mut told: Vec<_> = std::iter::from_fn(|| gate.refuse()).take(1000).collect();
        assert_eq!(told.len(), REFUSALS_MAX);
        told.pop();
        assert!(gate.refuse().is_some());
    }
}
