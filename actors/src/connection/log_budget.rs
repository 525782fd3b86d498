//! How much one session may write to the log.

use std::time::{Duration, Instant};

/// Lines a second: a person's pace is logged whole, a program's is counted.
pub(crate) const LOG_LINES_PER_SECOND: u32 = 10;

/// Counts lines, and what is withheld of them.
#[derive(Debug, Default)]
pub(super) struct LogBudget {
    since: Option<Instant>,
    lines: u32,
    withheld: u64,
}

impl LogBudget {
    /// How many lines are withheld and not told of yet.
    pub(super) const fn withheld(&self) -> u64 {
        self.withheld
    }

    /// Counts lines that are not even asked for.
    pub(super) const fn withhold(&mut self, lines: u64) {
        self.withheld += lines;
    }

    /// Asks for one line at `now`. If it may be written, says how many were withheld before it.
    pub(super) fn spend(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.lines = 0;
        }
        if self.lines < LOG_LINES_PER_SECOND {
            self.lines += 1;
            Some(std::mem::take(&mut self.withheld))
        } else {
            self.withheld += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_counted() {
        let mut budget = LogBudget::default();
        let start = Instant::now();
        for _ in 0..LOG_LINES_PER_SECOND {
            assert_eq!(budget.spend(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(budget.spend(start + Duration::from_millis(999)), None);
        }
        assert_eq!(budget.spend(start + Duration::from_secs(1)), Some(7));
        assert_eq!(budget.spend(start + Duration::from_secs(1)), Some(0));
    }
}
