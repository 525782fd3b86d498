//! Who makes room when others cannot come in.
//!
//! Whoever is logged in may be silent for as long as they like, as long as there are places. When there
//! are none, one session at a time is asked to leave: of the address that has the most, of those that have
//! a silent one, the one that has been silent for longest. So an address that fills the server with silence
//! empties it again, and one that talks on all its sessions keeps nobody else from making room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::network;
use crate::messages::SessionId;

/// Who has said something within this is not silent, and is not asked to leave, unless another time is set.
pub const SILENT_AFTER: Duration = Duration::from_mins(1);

/// How often somebody is asked to leave: to find out whom takes up to a millisecond with ten thousand
/// sessions, so it takes a hundredth of the time at the worst.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// All sessions, by how long they have been silent.
#[derive(Debug)]
pub struct Room {
    /// Whether few places are left.
    crowded: AtomicBool,
    silent_after: Duration,
    began_at: Instant,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<SessionId, Arc<Sitting>>,
    looked_at: Option<Instant>,
}

#[derive(Debug)]
struct Sitting {
    network: IpAddr,
    /// When something last came, in microseconds since the room began.
    heard_at: AtomicU64,
    /// Whether it was asked to leave, by `stop`.
    asked: AtomicBool,
    stop: CancellationToken,
}

/// A session's part in the room, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<Room>,
    session: SessionId,
    sitting: Arc<Sitting>,
}

impl Default for Room {
    fn default() -> Self {
        Self::new(SILENT_AFTER)
    }
}

impl Room {
    /// A room that only those leave who have been silent for so long.
    pub fn new(silent_after: Duration) -> Self {
        let (crowded, seats) = (AtomicBool::default(), Mutex::default());
        Self { crowded, silent_after, began_at: Instant::now(), seats }
    }

    /// Few places are left, or enough.
    pub fn set_crowded(&self, crowded: bool) {
        self.crowded.store(crowded, Ordering::Relaxed);
    }

    /// Whether few places are left.
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Asks one session to leave, if there is one that is silent. Does nothing shortly after it did.
    pub fn make_room(&self) {
        let now = Instant::now();
        let mut seats = self.seats();
        let too_early = |last: Instant| now.saturating_duration_since(last) < LOOK_EVERY;
        if seats.looked_at.is_some_and(too_early) {
            return;
        }
        seats.looked_at = Some(now);
        if let Some(sitting) = seats.most_silent(self.micros(now), self.silent_after) {
            sitting.asked.store(true, Ordering::Relaxed);
            sitting.stop.cancel();
        }
    }

    /// Takes a seat for a session that ends when `stop` is cancelled.
    pub(crate) fn sit(
        self: &Arc<Self>,
        session: SessionId,
        peer: IpAddr,
        stop: CancellationToken,
    ) -> Seat {
        let heard_at = AtomicU64::new(self.micros(Instant::now()));
        let asked = AtomicBool::default();
        let sitting = Arc::new(Sitting { network: network(peer), heard_at, asked, stop });
        self.seats().taken.insert(session, Arc::clone(&sitting));
        Seat { room: Arc::clone(self), session, sitting }
    }

    fn micros(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began_at).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Nothing that holds it can panic between two changes that belong together.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// Of the networks that have a session that has been silent for long enough, the one with the most
    /// sessions; of its sessions, the one that has been silent for longest. Those that were asked already
    /// are as good as gone.
    fn most_silent(&self, now_us: u64, silent_after: Duration) -> Option<&Arc<Sitting>> {
        let mut networks: HashMap<IpAddr, (usize, u64, &Arc<Sitting>)> = HashMap::new();
        for sitting in self.taken.values().filter(|one| !one.asked.load(Ordering::Relaxed)) {
            let heard_at = sitting.heard_at.load(Ordering::Relaxed);
            let network = networks.entry(sitting.network).or_insert((0, heard_at, sitting));
            network.0 += 1;
            if heard_at < network.1 {
                (network.1, network.2) = (heard_at, sitting);
            }
        }
        let silent_us = u64::try_from(silent_after.as_micros()).unwrap_or(u64::MAX);
        let (_, (_, _, most_silent)) = networks
            .into_iter()
            .filter(|(_, (_, heard_at, _))| now_us.saturating_sub(*heard_at) >= silent_us)
            .max_by_key(|(network, (count, ..))| (*count, *network))?;
        Some(most_silent)
    }
}

impl Seat {
    /// Something has come.
    pub(crate) fn heard(&self, now: Instant) {
        self.sitting.heard_at.store(self.room.micros(now), Ordering::Relaxed);
    }

    /// Whether few places are left.
    pub(crate) fn is_crowded(&self) -> bool {
        self.room.is_crowded()
    }

    /// Whether the session was asked to leave, so that others can come in.
    pub(crate) fn is_asked_to_leave(&self) -> bool {
        self.sitting.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.seats().taken.remove(&self.session);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    fn sit(room: &Arc<Room>, session: u64, peer: &str) -> Seat {
        let peer = peer.parse().expect("an address");
        room.sit(SessionId(session), peer, CancellationToken::new())
    }

    fn asked(seats: &[Seat]) -> Vec<usize> {
        (0..seats.len()).filter(|at| seats[*at].is_asked_to_leave()).collect()
    }

    #[tokio::test]
    async fn the_most_silent_of_the_address_with_most_leaves() {
        pause();
        let room = Arc::new(Room::default());
        let mut seats = vec![sit(&room, 0, "192.0.2.9")];
        for session in 1..4 {
            advance(Duration::from_secs(1)).await;
            seats.push(sit(&room, session, "192.0.2.1"));
        }
        seats[0].heard(Instant::now());
        seats[1].heard(Instant::now());
        advance(SILENT_AFTER.saturating_sub(Duration::from_secs(2))).await;
        room.make_room();
        assert_eq!(asked(&seats), [0_usize; 0], "none is silent for long enough");
        advance(Duration::from_secs(1)).await;
        room.make_room();
        assert_eq!(asked(&seats), [2]);
        assert!(seats[2].sitting.stop.is_cancelled());
        room.make_room();
        assert_eq!(asked(&seats), [2], "one at a time");
        advance(Duration::from_secs(1)).await;
        room.make_room();
        let asked = asked(&seats);
        assert!(asked == [1, 2] || asked == [2, 3], "{asked:?}");
    }

    /// The story: one address took its quarter of the places and said something on each now and then. None
    /// of its sessions was silent, so nobody made room any more.
    #[tokio::test]
    async fn who_talks_on_all_sessions_does_not_keep_the_silent_ones_in() {
        pause();
        let room = Arc::new(Room::default());
        let at = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"];
        let seats: Vec<_> =
            (0..).zip(at).map(|(session, peer)| sit(&room, session, peer)).collect();
        advance(SILENT_AFTER).await;
        for talking in &seats[..3] {
            talking.heard(Instant::now());
        }
        room.make_room();
        let first = asked(&seats);
        assert!(first == [4] || first == [5], "of the silent ones, {first:?}");
    }

    #[tokio::test]
    async fn who_has_left_is_forgotten() {
        let room = Arc::new(Room::default());
        drop(sit(&room, 1, "192.0.2.1"));
        assert!(room.seats().taken.is_empty());
        room.make_room();
    }
}
