//! How long answers took.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{NANOS_PER_MICRO, Spread, float};

/// Points of a distribution, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// How many answers it is made of.
    pub(crate) count: u64,
    /// Half took less.
    pub(crate) p50: f64,
    /// 90 in 100 took less.
    pub(crate) p90: f64,
    /// 99 in 100 took less.
    pub(crate) p99: f64,
    /// 999 in 1000 took less.
    pub(crate) p999: f64,
    /// None took longer.
    pub(crate) max: f64,
}

impl Latency {
    pub(super) const HEADINGS: &'static str =
        "         p50          p90          p99        p99.9          max";

    /// Of a histogram of nanoseconds.
    pub(crate) fn of(nanos: &Histogram<u64>) -> Self {
        let at = |quantile| float(nanos.value_at_quantile(quantile)) / NANOS_PER_MICRO;
        Self {
            count: nanos.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: float(nanos.max()) / NANOS_PER_MICRO,
        }
    }

    /// The medians of what several rounds had, of which there is at least one: one round that somebody
    /// disturbed says nothing of the others. The longest is that of all.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let median = |of: fn(&Self) -> f64| Spread::of(rounds.iter().map(of)).median;
        Self {
            count: rounds.iter().map(|round| round.count).sum(),
            p50: median(|round| round.p50),
            p90: median(|round| round.p90),
            p99: median(|round| round.p99),
            p999: median(|round| round.p999),
            max: Spread::of(rounds.iter().map(|round| round.max)).most,
        }
    }

    pub(super) fn columns(&self) -> String {
        let columns = [self.p50, self.p90, self.p99, self.p999, self.max];
        columns.map(|micros| format!("{micros:>9.1} µs")).join(" ")
    }

    pub(super) fn json(&self) -> Value {
        let Self { count, p50, p90, p99, p999, max } = self;
        json!({
            "count": count, "unit": "us",
            "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": max,
        })
    }
}
