//! What a scenario has found: figures with their units, for people as a table, for machines as JSON.

mod course;
mod latency;
mod unit;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::course::Course;
pub(crate) use self::course::RatePoint;
pub(crate) use self::latency::Latency;
pub(crate) use self::unit::{Unit, float};
use super::load::Moment;
use super::machine::Machine;
use super::plot::Panel;
use crate::announce;
use crate::config::{BenchConfig, Protocol, Rate, Target};

const NANOS_PER_MICRO: f64 = 1000.0;

/// What a scenario has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    latencies: Vec<(&'static str, Latency)>,
    courses: Vec<Course>,
    sweep: Vec<RatePoint>,
    notes: Vec<String>,
}

/// One number of a report. In JSON, its name has `_` in the place of blanks; names are never changed.
#[derive(Clone, Copy, Debug)]
struct Figure {
    name: &'static str,
    unit: Unit,
    spread: Spread,
}

impl Figure {
    fn line(&self, width: usize) -> String {
        let Self { name, unit, spread: Spread { median, least, most } } = self;
        let median = unit.show(*median);
        let spread = if least < most {
            format!("   {} to {}", unit.show(*least), unit.show(*most))
        } else {
            String::new()
        };
        format!("{name:width$}  {median:>16}{spread}")
    }
}

/// What several rounds have measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one; of an even number, the greater one of the two in the middle.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
}

impl Spread {
    /// Of these rounds, of which there is at least one.
    pub(crate) fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        let [least, .., most] = rounds[..] else {
            let only = rounds.first().copied().unwrap_or(f64::NAN);
            return Self { median: only, least: only, most: only };
        };
        Self { median: rounds[rounds.len() / 2], least, most }
    }

    /// How many times a limit each round was, which is the same for all of them.
    pub(crate) fn to_limit(self, limit: f64) -> Self {
        let Self { median, least, most } = self;
        Self { median: median / limit, least: least / limit, most: most / limit }
    }
}

impl From<f64> for Spread {
    fn from(only: f64) -> Self {
        Self { median: only, least: only, most: only }
    }
}

impl Report {
    /// Adds a number.
    pub(crate) fn figure(&mut self, name: &'static str, unit: Unit, spread: impl Into<Spread>) {
        self.figures.push(Figure { name, unit, spread: spread.into() });
    }

    /// Adds how long something took.
    pub(crate) fn latency(&mut self, name: &'static str, latency: Latency) {
        self.latencies.push((name, latency));
    }

    /// Adds how a round went.
    pub(crate) fn course(&mut self, name: &'static str, moments: &[Moment]) {
        self.courses.push(Course { name, moments: moments.to_vec() });
    }

    /// Adds what came of a rate; they rise.
    pub(crate) fn rate(&mut self, point: RatePoint) {
        self.sweep.push(point);
    }

    /// What there is to draw.
    pub(super) fn panels(&self) -> Vec<Panel> {
        let mut panels: Vec<_> = self.courses.iter().flat_map(Course::panels).collect();
        if !self.sweep.is_empty() {
            panels.extend(RatePoint::panels(&self.sweep));
        }
        panels
    }

    /// Adds something that whoever reads the numbers must know.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn print(&self, config: &BenchConfig) {
        let machine = Machine::this();
        if config.json {
            announce::line(&self.json(config, &machine).to_string());
        } else {
            announce::line(&self.table(config, &machine));
        }
    }

    fn table(&self, config: &BenchConfig, machine: &Machine) -> String {
        let head = format!("{}, {}", config.scenario.name(), told(config));
        let mut lines = vec![head, machine.line(), String::new()];
        let names = self.figures.iter().map(|figure| figure.name);
        let names = names.chain(self.latencies.iter().map(|(name, _)| *name));
        let width = names.map(str::len).max().unwrap_or_default();
        lines.extend(self.figures.iter().map(|figure| figure.line(width)));
        if !self.latencies.is_empty() {
            lines.push(format!("\n{:width$}  {}", "", Latency::HEADINGS));
        }
        for (name, latency) in &self.latencies {
            lines.push(format!("{name:width$}  {}", latency.columns()));
        }
        if !self.sweep.is_empty() {
            lines.push(format!("\n{}", RatePoint::HEADINGS));
            lines.extend(self.sweep.iter().map(RatePoint::columns));
        }
        lines.extend(self.notes.iter().map(|note| format!("\nnote: {note}")));
        lines.join("\n")
    }

    fn json(&self, config: &BenchConfig, machine: &Machine) -> Value {
        let key = |name: &str| name.replace(' ', "_");
        let figures: Map<_, _> = self
            .figures
            .iter()
            .map(|Figure { name, unit, spread }| {
                let Spread { median, least, most } = spread;
                let unit = unit.symbol();
                (key(name), json!({ "median": median, "least": least, "most": most, "unit": unit }))
            })
            .collect();
        let latencies: Map<_, _> =
            self.latencies.iter().map(|(name, latency)| (key(name), latency.json())).collect();
        let courses: Map<_, _> =
            self.courses.iter().map(|course| (key(course.name), course.json())).collect();
        let sweep: Vec<_> = self.sweep.iter().map(RatePoint::json).collect();
        json!({
            "scenario": config.scenario.name(),
            "machine": machine,
            "settings": settings(config),
            "figures": figures,
            "latencies": latencies,
            "courses": courses,
            "sweep": sweep,
            "notes": self.notes,
        })
    }
}

/// The settings that matter in every scenario, in words.
fn told(config: &BenchConfig) -> String {
    let BenchConfig { rounds, duration, .. } = config;
    let protocol = protocol(config);
    let whose = match &config.target {
        Target::Own { .. } => String::new(),
        Target::Running { address, .. } => format!(", the server at {address}"),
    };
    let duration = humantime::format_duration(*duration);
    format!("{protocol}, rounds of {duration}: {rounds}{whose}")
}

fn protocol(config: &BenchConfig) -> &'static str {
    match config.protocol {
        Protocol::Secure => "secure",
        Protocol::Text => "text",
    }
}

/// As it is typed.
fn flag_value(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

fn settings(config: &BenchConfig) -> Value {
    let (server, data, pid) = match &config.target {
        Target::Own { data_dir } => (None, data_dir.as_ref(), None),
        Target::Running { address, pid } => (Some(address.to_string()), None, *pid),
    };
    let rate = config.rate.map(|rate| match rate {
        Rate::PerSecond(per_second) => per_second.to_string(),
        Rate::Percent(percent) => format!("{percent}%"),
    });
    json!({
        "server": server,
        "server_pid": pid,
        "data": data,
        "session_threads": config.session_threads,
        "rate": rate,
        "sweep": config.sweep,
        "line_end": flag_value(&config.line_end),
        "client_stores": flag_value(&config.client_stores),
        "plot": config.plot,
        "protocol": protocol(config),
        "connections": config.connections,
        "window": config.window,
        "duration_seconds": config.duration.as_secs_f64(),
        "rounds": config.rounds,
        "signed": config.signed,
        "payers": config.payers,
        "accounts": config.accounts,
        "sessions": config.sessions,
        "entries": config.entries,
    })
}

#[cfg(test)]
mod tests;
