//! The server's clock, which can be set, and how long disks take. Of the clients' clocks there is nothing to
//! simulate: no client ever looks at one.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use wire::Timestamp;

use crate::random::Random;

/// What the server's clock shows when the simulation begins.
const DAWN_MS: i64 = 1_800_000_000_000;

/// How long half a commit takes: mostly as on a fast disk, now and then as on one that is busy.
const COMMIT_MS_MAX: u64 = 8;
const SLOW_COMMIT_MS_MAX: u64 = 400;

thread_local! {
    /// By how much the server's clock is wrong, in milliseconds.
    static WRONG_BY_MS: Cell<i64> = const { Cell::new(0) };
    /// What is left to chance in how long things take.
    static PACE: RefCell<Random> = const { RefCell::new(Random::new(0)) };
}

/// Sets everything back for a run on this thread.
pub(super) fn start(random: &mut Random) {
    WRONG_BY_MS.set(0);
    PACE.set(Random::new(random.below(u64::MAX)));
}

/// Sets the server's clock to be wrong by so much from now on.
pub(super) fn set(wrong_by_ms: i64) {
    WRONG_BY_MS.set(wrong_by_ms);
}

/// What the server's clock shows.
pub(super) fn server_clock() -> Timestamp {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default().as_millis();
    let shown = DAWN_MS + WRONG_BY_MS.get() + i64::try_from(elapsed).unwrap_or(i64::MAX - DAWN_MS);
    Timestamp::new(u64::try_from(shown).unwrap_or_default())
}

/// How long half of a commit takes.
pub(super) fn commit() -> Duration {
    PACE.with_borrow_mut(|random| {
        let slow = random.below(20) == 0;
        Duration::from_millis(
            1 + random.below(if slow { SLOW_COMMIT_MS_MAX } else { COMMIT_MS_MAX }),
        )
    })
}
