//! Who may come in, and how many at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actors::limits::{PerAddress, Places, Room, network};
use slog::Logger;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::half_open::{HalfOpen, HalfOpenLimit, HalfOpenLimits, HalfOpenPlace};
use crate::config::TextAccess;
use crate::connection::{ConnectionPlace, raise_file_limit};

/// Peers that may be told at once why they are turned away. Being told takes a moment for all but
/// those that do not hang up; a quarter of the files that are kept free of connections.
const REFUSALS_MAX: usize = 16;

/// One address has one in so many of the places that there are, so that no three of them fill the server.
const ADDRESS_SHARE: usize = 4;

/// The server is crowded when less than one in so many of its places is left.
const CROWDED_SHARE: usize = 4;

/// When fewer than one in so many places is left, whoever has been silent for longest makes room: early
/// enough that nobody who comes meanwhile is turned away.
const FULL_SHARE: usize = 64;

/// How many may come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateLimits {
    /// Connections that may be open at once.
    pub(crate) connections: usize,
    /// Those of one address; `None` for its share of them, and all for this machine.
    pub(crate) per_address: Option<usize>,
    /// Those that have not shown what they are.
    pub(crate) half_open: HalfOpenLimits,
}

/// Decides who may come in and counts who is in.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    places_max: u32,
    per_address: PerAddress<usize>,
    by_address: Arc<Places<IpAddr>>,
    room: Arc<Room>,
    half_open: Arc<HalfOpen>,
    text: TextAccess,
    refusals: Arc<Semaphore>,
    turned_away: [AtomicU64; REASONS.len()],
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// As many connections are open as may.
    Full,
    /// As many connections of this address are open as may.
    PerAddress,
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
            Self::PerAddress => {
                b"220 ERROR too many connections from your address are open, try again later\n"
            }
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

/// How many connections were turned away since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnedAway([u64; REASONS.len()]);

/// Why connections are turned away, in a word each.
const REASONS: [&str; 4] = ["full", "per-address", "half-open", "text-not-allowed"];

impl TurnedAway {
    /// How many, for each reason.
    pub(crate) fn by_reason(self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.0)
    }
}

impl Gate {
    pub(crate) fn new(limits: GateLimits, text: TextAccess, room: Arc<Room>, log: &Logger) -> Self {
        let GateLimits { connections, per_address, half_open } = limits;
        let places_max = u32::try_from(connections).unwrap_or(u32::MAX >> 3).min(u32::MAX >> 3);
        let places_max = raise_file_limit(places_max, log);
        // Of as many as there are, not as many as were wished for.
        let all = places_max as usize;
        let per_address = per_address
            .map_or(PerAddress { loopback: all, others: all.div_ceil(ADDRESS_SHARE) }, |given| {
                PerAddress { loopback: given, others: given }
            });
        let places = Arc::new(Semaphore::new(all));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let half_open = HalfOpen::new(half_open);
        let by_address = Arc::default();
        Self {
            places,
            places_max,
            per_address,
            by_address,
            room,
            half_open,
            text,
            refusals,
            turned_away: Default::default(),
        }
    }

    /// Whether one more may come in from this address; if so, its place is taken until it is dropped.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<ConnectionPlace, Turned> {
        // Whoever has taken too many is told so, also when they have filled all places.
        let of_address = self.by_address.enter(network(peer), self.per_address.of(peer));
        let of_address = of_address.ok_or(Turned::PerAddress)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Turned::Full);
        let (left, all) = (self.places.available_permits(), self.places_max as usize);
        self.room.set_crowded(left * CROWDED_SHARE < all);
        if left * FULL_SHARE < all {
            self.room.make_room();
        }
        place.map(|place| ConnectionPlace::new(place, of_address))
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

    /// Whether there is time to tell one more peer why it is turned away; it counts until the
    /// permit is dropped.
    pub(super) fn refuse(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.refusals).try_acquire_owned().ok()
    }

    /// One was turned away.
    pub(super) fn count(&self, turned: Turned) {
        let reason = match turned {
            Turned::Full => 0,
            Turned::PerAddress => 1,
            Turned::HalfOpen(_) => 2,
            Turned::TextNotAllowed => 3,
        };
        self.turned_away[reason].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were turned away.
    pub(crate) fn turned_away(&self) -> TurnedAway {
        TurnedAway(self.turned_away.each_ref().map(|count| count.load(Ordering::Relaxed)))
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
        let limits = GateLimits {
            connections: connections_max,
            per_address: None,
            half_open: HalfOpenLimits { all: 10, per_address: 10 },
        };
        Gate::new(limits, text, Arc::default(), &Logger::root(Discard, o!()))
    }

    fn admit(gate: &Gate, peer: &str) -> Result<ConnectionPlace, Turned> {
        gate.admit(peer.parse().expect("an address"))
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
        let first = admit(&gate, "127.0.0.1").expect("two places are free");
        let _second = admit(&gate, "127.0.0.1").expect("one place is free");
        assert_eq!(admit(&gate, "192.0.2.1").map(|_| ()), Err(Turned::Full));
        assert_eq!(gate.open(), 2);
        assert!(gate.room.is_crowded());
        drop(first);
        assert_eq!(gate.open(), 1);
        assert!(admit(&gate, "127.0.0.1").is_ok());
    }

    /// One host must not take the places of all, neither IPv6 network.
    #[tokio::test]
    async fn an_address_has_so_many_places_and_no_more() {
        let gate = gate(4, TextAccess::Any);
        let first = admit(&gate, "192.0.2.1").expect("its first");
        for peer in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(admit(&gate, peer).map(|_| ()), Err(Turned::PerAddress), "{peer}");
        }
        let _other = admit(&gate, "2001:db8::1").expect("another address");
        assert_eq!(admit(&gate, "2001:db8::2").map(|_| ()), Err(Turned::PerAddress));
        let here: Vec<_> = (0..2).map(|_| admit(&gate, "127.0.0.1")).collect();
        assert!(here.iter().all(Result::is_ok), "this machine is told apart");
        assert_eq!(gate.open(), 4);
        drop(first);
        assert!(admit(&gate, "192.0.2.1").is_ok());
    }

    /// The story: where the system allows a thousand files, one address could take all places, since its
    /// quarter was that of the ten thousand that were configured.
    #[test]
    fn an_address_has_a_quarter_of_the_places_that_there_are() {
        let gate = gate(usize::MAX, TextAccess::Any);
        let all = gate.places_max as usize;
        assert!(all < usize::MAX, "no system opens so many files");
        assert_eq!(gate.per_address.loopback, all);
        assert_eq!(gate.per_address.others, all.div_ceil(4));
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
