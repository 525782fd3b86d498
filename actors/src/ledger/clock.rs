//! The server's clock, which never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wire::Timestamp;

/// The time that the ledger goes by, and that clients are told. Copies are the same clock.
///
/// When the machine's clock is set back, this one stands still until that has caught up. Everybody in the
/// server must read it: a client that is told an earlier time than the ledger's signs orders that are over
/// when they come.
#[derive(Clone, Debug)]
pub struct LedgerClock {
    machine: fn() -> Timestamp,
    /// The latest that anybody has read, in milliseconds.
    latest: Arc<AtomicU64>,
}

impl LedgerClock {
    /// A clock that goes by `machine`, and shows nothing that is earlier than `latest`.
    pub fn new(machine: fn() -> Timestamp, latest: Timestamp) -> Self {
        Self { machine, latest: Arc::new(AtomicU64::new(latest.get())) }
    }

    /// By how much what it shows at least is ahead of the machine's clock: so long it stands still.
    pub fn ahead(&self) -> Duration {
        let latest = self.latest.load(Ordering::Relaxed);
        Duration::from_millis(latest.saturating_sub((self.machine)().get()))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let now = (self.machine)().get();
        let latest = self.latest.load(Ordering::Relaxed);
        // Most read it within the millisecond in which it was read before, and write nothing.
        if now <= latest {
            return Timestamp::new(latest);
        }
        Timestamp::new(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static MACHINE: AtomicU64 = AtomicU64::new(0);

    /// Set back by hours, the machine's clock made every order of hours to come expired: clients were told
    /// the machine's time, and the ledger went by the latest that it had seen.
    #[test]
    fn no_copy_of_it_goes_back() {
        let machine = || Timestamp::new(MACHINE.load(Ordering::Relaxed));
        let clock = LedgerClock::new(machine, Timestamp::new(50));
        let copy = clock.clone();
        MACHINE.store(10, Ordering::Relaxed);
        assert_eq!(clock.ahead(), Duration::from_millis(40));
        for (shown, expected) in [(10, 50), (50, 50), (70, 70), (60, 70), (71, 71)] {
            MACHINE.store(shown, Ordering::Relaxed);
            assert_eq!(clock.now(), Timestamp::new(expected), "{shown}");
            assert_eq!(copy.now(), Timestamp::new(expected), "{shown}");
        }
        assert_eq!(clock.ahead(), Duration::ZERO);
    }
}
