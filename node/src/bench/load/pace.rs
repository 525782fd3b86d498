//! When requests are sent, and when those were due that are under way.

use std::collections::VecDeque;
use std::time::Duration;

use super::WAIT_MAX;
use super::record::Recorder;
use crate::bench::error::BenchError;

/// Requests of a fixed rate that become due within as long are sent together: a fraction of what a
/// sync of the disk takes, and few enough system calls to leave the server its cores.
const TICK: Duration = Duration::from_micros(50);
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// When to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As soon as there are fewer than so many under way on a connection.
    Window(u64),
    /// So many a second over all connections. Those for which a connection has no room are late, and
    /// their latency says so.
    Rate {
        /// How many.
        per_second: u64,
        /// The most that are under way on a connection.
        window: u64,
    },
}

impl Pace {
    pub(super) const fn clock(self) -> Clock {
        Clock { pace: self, taken: 0 }
    }
}

/// Requests in a row on one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// When the first one was due.
    pub(super) due: Duration,
    /// How many seconds lie between this and the ones that are due `per_second` requests later; `None`
    /// if all were due at once.
    pub(super) per_second: Option<u64>,
    /// How many they are.
    pub(super) count: u64,
}

/// Says which requests are due.
#[derive(Debug)]
pub(super) struct Clock {
    pace: Pace,
    /// How many were taken of those that are ever due.
    taken: u64,
}

impl Clock {
    /// What a connection is to ask now, on which so many are under way.
    pub(super) fn take(&mut self, now: Duration, under_way: u64) -> Option<Run> {
        let run = match self.pace {
            Pace::Window(window) => {
                Run { due: now, per_second: None, count: window.saturating_sub(under_way) }
            }
            Pace::Rate { per_second, window } => {
                let left = due_by(per_second, now).saturating_sub(self.taken);
                let count = left.min(window.saturating_sub(under_way));
                Run { due: due_at(per_second, self.taken), per_second: Some(per_second), count }
            }
        };
        self.taken += run.count;
        (run.count > 0).then_some(run)
    }

    /// So many of what was taken were not asked.
    pub(super) const fn give_back(&mut self, count: u64) {
        self.taken -= count;
    }

    /// Whether requests that were due before the end are not asked yet: late, but asked they are.
    pub(super) fn is_late(&self, end: Duration) -> bool {
        match self.pace {
            Pace::Window(_) => false,
            Pace::Rate { per_second, .. } => due_by(per_second, end) > self.taken,
        }
    }

    pub(super) const fn wait_max(&self) -> Duration {
        match self.pace {
            Pace::Window(_) => WAIT_MAX,
            Pace::Rate { .. } => TICK,
        }
    }
}

/// How many requests are due by then.
fn due_by(per_second: u64, now: Duration) -> u64 {
    let due = now.as_nanos() * u128::from(per_second) / NANOS_PER_SECOND;
    u64::try_from(due).unwrap_or(u64::MAX)
}

/// When the request with this number, from 0, is due.
fn due_at(per_second: u64, number: u64) -> Duration {
    let nanos = u128::from(number) * NANOS_PER_SECOND / u128::from(per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What is under way on a connection, which answers in the order of its requests. It holds no more runs
/// than the window holds requests.
#[derive(Debug)]
pub(super) struct UnderWay {
    runs: VecDeque<Run>,
    count: u64,
}

impl UnderWay {
    pub(super) const fn new() -> Self {
        Self { runs: VecDeque::new(), count: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many requests.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn push(&mut self, run: Run) {
        self.count += run.count;
        self.runs.push_back(run);
    }

    /// The first so many were answered now.
    pub(super) fn answered(
        &mut self,
        mut answered: u64,
        recorder: &mut Recorder,
    ) -> Result<(), BenchError> {
        let now = recorder.now();
        while answered > 0 {
            let Some(run) = self.runs.front_mut() else {
                return Err(BenchError::Unasked(answered));
            };
            let count = run.count.min(answered);
            match run.per_second {
                None => recorder.answered(now.saturating_sub(run.due), now, count),
                Some(per_second) => {
                    for number in 0..count {
                        let due = run.due + due_at(per_second, number);
                        recorder.answered(now.saturating_sub(due), now, 1);
                    }
                    run.due += due_at(per_second, count);
                }
            }
            run.count -= count;
            self.count -= count;
            answered -= count;
            if run.count == 0 {
                self.runs.pop_front();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_waits_for_room() {
        let mut clock = Pace::Rate { per_second: 1000, window: 6 }.clock();
        let at = Duration::from_millis;
        assert!(clock.take(at(0), 0).is_none());
        let first = clock.take(at(10), 1).expect("10 are due, and there is room for 5");
        assert_eq!((first.due, first.count), (at(0), 5));
        let second = clock.take(at(10), 3).expect("5 are left, and there is room for 3");
        assert_eq!((second.due, second.count), (at(5), 3));
        // The two that had no room are still due when they were.
        let late = clock.take(at(20), 0).expect("12 are left");
        assert_eq!((late.due, late.count), (at(8), 6));
        assert!(clock.is_late(at(20)) && !clock.is_late(at(14)));
    }

    #[test]
    fn a_window_is_filled_up() {
        let mut clock = Pace::Window(4).clock();
        assert_eq!(clock.take(Duration::ZERO, 1).map(|run| run.count), Some(3));
        assert!(clock.take(Duration::ZERO, 4).is_none());
    }

    #[test]
    fn latency_counts_from_when_each_was_due() {
        let mut recorder = Recorder::start(Duration::from_secs(1));
        let mut under_way = UnderWay::new();
        under_way.push(Run { due: Duration::ZERO, per_second: Some(1000), count: 3 });
        while recorder.now() < Duration::from_millis(20) {}
        under_way.answered(3, &mut recorder).expect("three are under way");
        assert!(under_way.is_empty());
        assert!(matches!(under_way.answered(1, &mut recorder), Err(BenchError::Unasked(1))));
        let measured = recorder.finish();
        let (least, most) = (measured.latency.min(), measured.latency.max());
        assert!((1_900_000..=2_100_000).contains(&(most - least)), "{least} {most}");
    }
}
