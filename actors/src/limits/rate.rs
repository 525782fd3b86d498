//! How often something may be done.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// How often something may be done: so often in a row, and then evenly. This is the token bucket, kept
/// as one moment (the generic cell rate algorithm of ITU-T I.371).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    every: Duration,
    in_a_row: u32,
}

/// How much of its rate something has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// From when on nothing is used; `None` if nothing ever was.
    whole_at: Option<Instant>,
}

impl Rate {
    /// So often within a period, all at its beginning if need be.
    pub fn new(count: NonZeroU32, period: Duration) -> Self {
        Self { every: period / count.get(), in_a_row: count.get() }
    }
}

impl Pace {
    /// Uses it once.
    ///
    /// # Errors
    /// How long to wait until it can be used.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_many(rate, 1, now)
    }

    /// Uses it so often at once, or, if it can never be used so often, as often as it can.
    ///
    /// # Errors
    /// How long to wait until it can be used so often.
    pub(crate) fn take_many(
        &mut self,
        rate: Rate,
        count: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        let count = count.min(rate.in_a_row);
        let whole_at = self.whole_at.map_or(now, |moment| moment.max(now));
        let ahead_max = rate.every * (rate.in_a_row - count);
        let wait = (whole_at - now).saturating_sub(ahead_max);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.whole_at = Some(whole_at + rate.every * count);
        Ok(())
    }

    /// Whether it is as if nothing had been used.
    pub(crate) fn is_whole(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|moment| moment <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    #[test]
    fn so_often_in_a_row_and_then_evenly() {
        let rate = Rate::new(NonZeroU32::new(4).expect("not 0"), Duration::from_secs(1));
        let (mut pace, begin) = (Pace::default(), Instant::now());
        assert!(pace.is_whole(begin));
        for (after_ms, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (100, Ok(())),
            (100, Err(150)),
            (249, Err(1)),
            (250, Ok(())),
            (250, Err(250)),
            // Who waits has all of it again, and no more.
            (9000, Ok(())),
            (9000, Ok(())),
            (9000, Ok(())),
            (9000, Ok(())),
            (9000, Err(250)),
        ] {
            let taken = pace.take(rate, begin + after_ms * MILLIS);
            assert_eq!(taken, expected.map_err(|wait: u32| wait * MILLIS), "after {after_ms} ms");
        }
        assert!(!pace.is_whole(begin + 9999 * MILLIS));
        assert!(pace.is_whole(begin + 10_000 * MILLIS));
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        let rate = Rate::new(NonZeroU32::new(10).expect("not 0"), Duration::from_secs(1));
        let (mut pace, begin) = (Pace::default(), Instant::now());
        for (after_ms, count, expected) in [
            (0, 6, Ok(())),
            (0, 6, Err(200)),
            (0, 4, Ok(())),
            (0, 1, Err(100)),
            (0, 0, Ok(())),
            (600, 6, Ok(())),
            (600, 10, Err(1000)),
            // More than it ever can is all that it can.
            (1600, 11, Ok(())),
            (1600, 1, Err(100)),
        ] {
            let taken = pace.take_many(rate, count, begin + after_ms * MILLIS);
            let expected = expected.map_err(|wait: u32| wait * MILLIS);
            assert_eq!(taken, expected, "{count} after {after_ms} ms");
        }
    }

    #[test]
    fn once_is_once() {
        let rate = Rate::new(NonZeroU32::MIN, Duration::from_secs(1));
        let (mut pace, begin) = (Pace::default(), Instant::now());
        assert_eq!(pace.take(rate, begin), Ok(()));
        assert_eq!(pace.take(rate, begin), Err(Duration::from_secs(1)));
        assert_eq!(pace.take(rate, begin + Duration::from_secs(1)), Ok(()));
    }
}
