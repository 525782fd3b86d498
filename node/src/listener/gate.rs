//! Who may come in, and how many at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slog::Logger;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::half_open::{HalfOpen, HalfOpenLimit, HalfOpenLimits, HalfOpenPlace};
use crate::config::TextAccess;
use crate::connection::raise_file_limit;

/// Peers that may be told at once why they are turned away. Being told takes a moment for all but
/// those that do not hang up; a quarter of the files that are kept free of connections.
const REFUSALS_MAX: usize = 16;

/// The server is crowded when less than one in so many of its places is left.
const CROWDED_SHARE: usize = 4;

/// Decides who may come in and counts who is in.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    places_max: u32,
    crowded: Arc<AtomicBool>,
    half_open: Arc<HalfOpen>,
    text: TextAccess,
    refusals: Arc<Semaphore>,
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// As many connections are open as may.
    Full,
    /// As many connections as may are half-open, all or of this address.
    HalfOpen(HalfOpenLimit),
    /// The text protocol is not for this peer.
    TextNotAllowed,
}

impl Turned {
    /// What a peer that speaks text, or says nothing, is told; the first word is one that programs
    /// of the family know.
    pub(super) const fn line(self) -> &'static [u8] {
        match self {
            Self::Full => b"220 ERROR the server has too many connections, try again later\n",
            Self::HalfOpen(HalfOpenLimit::All) => {
                b"220 ERROR too many connections have not said what they are, try again later\n"
            }
            Self::HalfOpen(HalfOpenLimit::PerAddress) => {
                b"220 ERROR too many connections from your address have not said what they are, \
                  try again later\n"
            }
            Self::TextNotAllowed => {
                b"220 ERROR text is not for this address, the server's --text says for whom\n"
            }
        }
    }
}

impl Gate {
    pub(crate) fn new(
        connections_max: usize,
        half_open: HalfOpenLimits,
        text: TextAccess,
        log: &Logger,
    ) -> Self {
        let places_max = u32::try_from(connections_max).unwrap_or(u32::MAX >> 3).min(u32::MAX >> 3);
        let places_max = raise_file_limit(places_max, log);
        let places = Arc::new(Semaphore::new(places_max as usize));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let half_open = HalfOpen::new(half_open);
        Self { places, places_max, crowded: Arc::default(), half_open, text, refusals }
    }

    /// Whether one more may come in; if so, its place is taken until the permit is dropped.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit, Turned> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Turned::Full);
        let left = self.places.available_permits();
        let few_left = left * CROWDED_SHARE < self.places_max as usize;
        self.crowded.store(few_left, Ordering::Relaxed);
        place
    }

    /// Whether the text protocol is for this peer.
    pub(crate) fn serves_text(&self, peer: SocketAddr) -> bool {
        match self.text {
            TextAccess::Off => false,
            TextAccess::Loopback => peer.ip().to_canonical().is_loopback(),
            TextAccess::Any => true,
        }
    }

    /// Whether one more from this address may take its time to show what it is; it counts until the
    /// place is dropped.
    pub(super) fn half_open(&self, peer: IpAddr) -> Result<HalfOpenPlace, Turned> {
        self.half_open.enter(peer).map_err(Turned::HalfOpen)
    }

    /// Whether few places were left when somebody last came.
    pub(crate) fn crowded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.crowded)
    }

    /// Whether there is time to tell one more peer why it is turned away; it counts until the
    /// permit is dropped.
    pub(super) fn refuse(&self) -> Option<OwnedSemaphorePermit> {
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

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    fn gate(connections_max: usize, text: TextAccess) -> Gate {
        let half_open = HalfOpenLimits { all: 10, per_address: 10 };
        Gate::new(connections_max, half_open, text, &Logger::root(Discard, o!()))
    }

    #[test]
    fn text_is_for_whom_the_operator_says() {
        use TextAccess::{Any, Loopback, Off};
        for (text, peer, expected) in [
            (Loopback, "127.0.0.1:5000", true),
            (Loopback, "[::1]:5000", true),
            (Loopback, "[::ffff:127.0.0.1]:5000", true),
            (Loopback, "192.0.2.1:5000", false),
            (Loopback, "[::ffff:192.0.2.1]:5000", false),
            (Any, "192.0.2.1:5000", true),
            (Off, "127.0.0.1:5000", false),
        ] {
            let peer = peer.parse().expect("an address");
            assert_eq!(gate(1, text).serves_text(peer), expected, "{text:?} {peer}");
        }
    }

    #[tokio::test]
    async fn a_place_is_taken_until_it_is_left() {
        let gate = gate(2, TextAccess::Loopback);
        let first = gate.admit().expect("two places are free");
        let _second = gate.admit().expect("one place is free");
        assert_eq!(gate.admit().map(|_| ()), Err(Turned::Full));
        assert_eq!(gate.open(), 2);
        assert!(gate.crowded().load(Ordering::Relaxed));
        drop(first);
        assert_eq!(gate.open(), 1);
        assert!(gate.admit().is_ok());
    }

    #[test]
    fn only_so_many_are_told_at_once() {
        let gate = gate(1, TextAccess::Off);
        let mut told: Vec<_> = std::iter::from_fn(|| gate.refuse()).take(1000).collect();
        assert_eq!(told.len(), REFUSALS_MAX);
        told.pop();
        assert!(gate.refuse().is_some());
    }
}
