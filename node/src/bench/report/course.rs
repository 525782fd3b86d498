//! How a measurement went, over time and over the offered rate.

use serde_json::{Value, json};

use super::{Latency, NANOS_PER_MICRO, float};
use crate::bench::load::Moment;
use crate::bench::plot::Panel;

/// A round, moment by moment.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) name: &'static str,
    pub(super) moments: Vec<Moment>,
}

impl Course {
    /// Throughput and latency over time.
    pub(super) fn panels(&self) -> [Panel; 2] {
        let name = self.name;
        let mut begin = 0.0;
        let throughput = self.moments.iter().map(|moment| {
            let end = moment.end.as_secs_f64();
            let point = (end, float(moment.answered) / (end - begin));
            begin = end;
            point
        });
        let throughput = throughput.collect();
        let answered = || self.moments.iter().filter(|moment| moment.answered > 0);
        let millis = |nanos: u64| float(nanos) / NANOS_PER_MICRO / 1000.0;
        let line = |nanos: fn(&Moment) -> u64| {
            answered().map(|moment| (moment.end.as_secs_f64(), millis(nanos(moment)))).collect()
        };
        [
            Panel {
                title: format!("{name} over time"),
                right: "seconds",
                up: "a second",
                logarithmic: false,
                lines: vec![("answered", throughput)],
            },
            Panel {
                title: format!("latency of {name} over time"),
                right: "seconds",
                up: "milliseconds",
                logarithmic: true,
                lines: vec![
                    ("half within", line(|moment| moment.p50)),
                    ("99 % within", line(|moment| moment.p99)),
                ],
            },
        ]
    }

    /// Each moment: its end in seconds, answers, and latencies in microseconds.
    pub(super) fn json(&self) -> Value {
        let micros = |nanos: u64| float(nanos) / NANOS_PER_MICRO;
        let moment = |moment: &Moment| {
            json!({
                "end": moment.end.as_secs_f64(),
                "answered": moment.answered,
                "p50": micros(moment.p50),
                "p99": micros(moment.p99),
            })
        };
        self.moments.iter().map(moment).collect()
    }
}

/// What came of one offered rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RatePoint {
    /// How many requests a second were due.
    pub(crate) offered: f64,
    /// How many were answered.
    pub(crate) answered: f64,
    /// How long after they were due.
    pub(crate) latency: Latency,
}

impl RatePoint {
    pub(super) const HEADINGS: &'static str =
        "     offered /s    answered /s           p50          p99        p99.9          max";

    /// Throughput and latency of rising rates.
    pub(super) fn panels(points: &[Self]) -> [Panel; 2] {
        let line =
            |up: fn(&Self) -> f64| points.iter().map(|point| (point.offered, up(point))).collect();
        let millis = |micros: fn(&Latency) -> f64| {
            points.iter().map(|point| (point.offered, micros(&point.latency) / 1000.0)).collect()
        };
        [
            Panel {
                title: "throughput over the offered rate".to_owned(),
                right: "offered a second",
                up: "a second",
                logarithmic: false,
                lines: vec![
                    ("answered", line(|point| point.answered)),
                    ("offered", line(|point| point.offered)),
                ],
            },
            Panel {
                title: "latency over the offered rate".to_owned(),
                right: "offered a second",
                up: "milliseconds",
                logarithmic: true,
                lines: vec![
                    ("half within", millis(|latency| latency.p50)),
                    ("99 % within", millis(|latency| latency.p99)),
                    ("99.9 % within", millis(|latency| latency.p999)),
                ],
            },
        ]
    }

    pub(super) fn columns(&self) -> String {
        let Self { offered, answered, latency } = self;
        let columns = [latency.p50, latency.p99, latency.p999, latency.max];
        let columns = columns.map(|micros| format!("{micros:>9.1} µs")).join(" ");
        format!("{offered:>15.0} {answered:>14.0}  {columns}")
    }

    pub(super) fn json(&self) -> Value {
        let Self { offered, answered, latency } = self;
        json!({ "offered": offered, "answered": answered, "latency": latency.json() })
    }
}
