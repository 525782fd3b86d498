//! What a round has measured: a histogram of all latencies, and the course of time.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Latencies of 1 ns to a minute, to three digits.
const LATENCY_MAX: Duration = Duration::from_mins(1);
const DIGITS: u8 = 3;
/// Into how many moments a round is divided: points of a picture.
const MOMENTS: u32 = 50;

/// What one round has measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// How long requests were sent.
    pub(crate) duration: Duration,
    /// How many were answered meanwhile.
    pub(crate) answered: u64,
    /// Nanoseconds from when a request was due to its answer.
    pub(crate) latency: Histogram<u64>,
    /// How it went.
    pub(crate) moments: Vec<Moment>,
}

/// A part of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// When it ended, from the beginning of the round.
    pub(crate) end: Duration,
    /// How many requests were answered in it.
    pub(crate) answered: u64,
    /// The latency in nanoseconds of which half of them took less.
    pub(crate) p50: u64,
    /// The same of 99 in 100.
    pub(crate) p99: u64,
}

/// Measures one round.
pub(crate) struct Recorder {
    begin: Instant,
    duration: Duration,
    answered: u64,
    latency: Histogram<u64>,
    moments: Vec<Moment>,
    moment_time: Duration,
    moment_end: Duration,
    moment_latency: Histogram<u64>,
}

impl Recorder {
    /// A round of so long begins now.
    pub(crate) fn start(duration: Duration) -> Self {
        Self {
            begin: Instant::now(),
            duration,
            answered: 0,
            latency: histogram(),
            moments: Vec::new(),
            moment_time: duration / MOMENTS,
            moment_end: duration / MOMENTS,
            moment_latency: histogram(),
        }
    }

    /// How long requests are sent.
    pub(super) const fn duration(&self) -> Duration {
        self.duration
    }

    /// They were not sent any longer than this.
    pub(super) fn end_early(&mut self, now: Duration) {
        self.duration = self.duration.min(now);
    }

    /// The time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// So many were answered now, after so long.
    pub(crate) fn answered(&mut self, latency: Duration, now: Duration, count: u64) {
        while now >= self.moment_end && self.moment_end <= self.duration {
            self.end_moment();
        }
        if now < self.duration {
            self.answered += count;
        }
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record_n(nanos, count);
        self.moment_latency.saturating_record_n(nanos, count);
    }

    /// The round is over.
    pub(crate) fn finish(mut self) -> Measured {
        while self.moment_end <= self.duration {
            self.end_moment();
        }
        let Self { duration, answered, latency, moments, .. } = self;
        Measured { duration, answered, latency, moments }
    }

    fn end_moment(&mut self) {
        let latency = &mut self.moment_latency;
        self.moments.push(Moment {
            end: self.moment_end,
            answered: latency.len(),
            p50: latency.value_at_quantile(0.5),
            p99: latency.value_at_quantile(0.99),
        });
        latency.reset();
        self.moment_end += self.moment_time;
    }
}

/// An empty histogram of latencies.
pub(crate) fn histogram() -> Histogram<u64> {
    let most = u64::try_from(LATENCY_MAX.as_nanos()).expect("a minute has fewer than 2^64 ns");
    Histogram::new_with_bounds(1, most, DIGITS).expect("the bounds are in order")
}
