//! Who pays little at a time, beside those who send without end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The most payments of somebody who waits for their answers and for no others: what a person does, or a till.
const FEW_PAYMENTS_MAX: usize = 4;

/// So often in a row somebody must pay few at a time. What is sent without end arrives in small pieces, too, now and
/// then, and begins with one.
pub(crate) const FEW_IN_A_ROW: u8 = 16;

/// How long others stand back after such a payment: who pays one after the other has paid again by then. A session that
/// has many requests to make waits for the disk the more often, so it is short.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// A payment is written down so often at most: all cores read where it stands.
const WRITE_EVERY: Duration = Duration::from_millis(10);

/// When somebody has last waited for few payments. While it is not long ago, no text session has the ledger do more at
/// once than a fraction of a millisecond's work: whoever waits for one payment waits for one such turn of each of
/// the others.
#[derive(Debug)]
pub struct Sharing {
    began_at: Instant,
    /// In milliseconds since then, and one; 0 for never.
    waited_at: AtomicU64,
}

/// How often in a row one session has paid few at a time, as far as it counts.
#[derive(Debug, Default)]
pub(crate) struct FewPayments(u8);

impl Default for Sharing {
    fn default() -> Self {
        Self { began_at: Instant::now(), waited_at: AtomicU64::new(0) }
    }
}

impl Sharing {
    /// A session waits for so many payments now, and, if `alone`, for nothing else.
    pub(crate) fn note(&self, few: &mut FewPayments, payments: usize, alone: bool, now: Instant) {
        match payments {
            0 => return,
            1..=FEW_PAYMENTS_MAX if alone => few.0 = FEW_IN_A_ROW.min(few.0 + 1),
            _ => few.0 = 0,
        }
        if few.0 == FEW_IN_A_ROW {
            self.begin(now);
        }
    }

    fn begin(&self, now: Instant) {
        if self.waited_since(now).is_none_or(|time| time >= WRITE_EVERY) {
            self.waited_at.store(1 + self.millis(now), Ordering::Relaxed);
        }
    }

    /// Whether somebody did lately.
    pub(crate) fn is_on(&self, now: Instant) -> bool {
        self.waited_since(now).is_some_and(|time| time < SHARED_FOR)
    }

    fn waited_since(&self, now: Instant) -> Option<Duration> {
        let waited_at = self.waited_at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.millis(now).saturating_sub(waited_at)))
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from((now - self.began_at).as_millis()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_for_a_while_after_few_were_waited_for() {
        let (sharing, begin) = (Sharing::default(), Instant::now());
        assert!(!sharing.is_on(begin), "nobody has paid");
        for pause in [Duration::ZERO, Duration::from_mins(1)] {
            let paid = begin + pause;
            sharing.begin(paid);
            assert!(sharing.is_on(paid));
            assert!(sharing.is_on(paid + SHARED_FOR - Duration::from_millis(1)));
            assert!(!sharing.is_on(paid + SHARED_FOR));
        }
    }

    #[test]
    fn who_pays_again_and_again_keeps_it_on() {
        let (sharing, begin) = (Sharing::default(), Instant::now());
        for millis in 0..3000 {
            let now = begin + Duration::from_millis(millis);
            sharing.begin(now);
            assert!(sharing.is_on(now + SHARED_FOR - WRITE_EVERY));
        }
    }

    #[test]
    fn few_payments_count_when_nothing_else_is_waited_for_and_they_come_in_a_row() {
        let begins = |habit: &[(usize, bool)]| {
            let (sharing, now) = (Sharing::default(), Instant::now());
            let mut few = FewPayments::default();
            for &(payments, alone) in habit {
                sharing.note(&mut few, payments, alone, now);
            }
            sharing.is_on(now)
        };
        let often = usize::from(FEW_IN_A_ROW);
        assert!(begins(&vec![(1, true); often]));
        assert!(begins(&vec![(FEW_PAYMENTS_MAX, true); often]));
        assert!(begins(&[&vec![(1, true); often - 1][..], &[(0, false), (1, true)]].concat()));
        assert!(!begins(&vec![(1, true); often - 1]));
        assert!(!begins(&vec![(FEW_PAYMENTS_MAX + 1, true); often]));
        assert!(!begins(&vec![(1, false); often]));
        assert!(!begins(&vec![(0, true); often]));
        assert!(!begins(&[&vec![(1, true); often - 1][..], &[(9, true), (1, true)]].concat()));
    }
}
