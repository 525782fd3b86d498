//! Scenario `idle`: sessions that are logged in and do nothing, and what each takes of the server.

use std::time::Duration;

use super::error::BenchError;
use super::report::{Report, Spread, Unit, float};
use super::server::Server;
use super::{Bench, online};

/// How long the server may take to put away what the log-ins needed.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Measures it, with a new server for each round: what one has put aside for sessions it gives to others.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    online::prepare(bench).await?;
    let mut rounds = Vec::new();
    for number in 1..=bench.config.rounds {
        rounds.push(Round::run(bench, number).await?);
    }

    let mut report = Report::default();
    let figure = |figure: fn(&Round) -> f64| Spread::of(rounds.iter().map(figure));
    report.figure("sessions", Unit::Count, figure(|round| round.sessions));
    report.figure("memory per session", Unit::Bytes, figure(Round::memory_per_session));
    let memory = figure(|round| float(round.before.memory));
    report.figure("server memory without them", Unit::Bytes, memory);
    let memory = figure(|round| float(round.after.memory));
    report.figure("server memory with them", Unit::Bytes, memory);
    report.figure("server CPU per log-in", Unit::Micros, figure(Round::cpu_per_log_in));
    let idle = rounds.iter().map(|round| round.cpu_idle() / bench.config.duration.as_secs_f64());
    report.figure("server CPU per session and second", Unit::Micros, Spread::of(idle));
    report.note("memory is what is resident; buffers of sockets are the system's and not in it");
    Ok(report)
}

/// What one server has taken at three moments.
struct Round {
    sessions: f64,
    before: Taken,
    /// With all sessions logged in.
    after: Taken,
    /// When they have done nothing for a round.
    later: Taken,
}

impl Round {
    async fn run(bench: &Bench, number: usize) -> Result<Self, BenchError> {
        let server = online::server(bench).await?;
        let before = Taken::by(&server)?;
        let online = online::log_in_all(bench, &server).await?;
        bench.progress.phase(format!("doing nothing, round {number}"));
        tokio::time::sleep(SETTLE_TIME).await;
        let after = Taken::by(&server)?;
        tokio::time::sleep(bench.config.duration).await;
        let later = Taken::by(&server)?;
        let sessions = float(online.count() as u64);
        drop(online);
        server.stop().await?;
        Ok(Self { sessions, before, after, later })
    }

    /// Bytes.
    fn memory_per_session(&self) -> f64 {
        (float(self.after.memory) - float(self.before.memory)) / self.sessions
    }

    /// Microseconds.
    fn cpu_per_log_in(&self) -> f64 {
        self.after.cpu_since(&self.before) / self.sessions
    }

    /// Microseconds of a session that does nothing.
    fn cpu_idle(&self) -> f64 {
        self.later.cpu_since(&self.after) / self.sessions
    }
}

/// What the server has taken.
struct Taken {
    cpu: Duration,
    memory: u64,
}

impl Taken {
    fn by(server: &Server) -> Result<Self, BenchError> {
        let taken = server.cpu_time()?.zip(server.memory()?);
        let (cpu, memory) = taken.expect("only a server of the run's own is measured");
        Ok(Self { cpu, memory: memory.resident })
    }

    /// Microseconds.
    fn cpu_since(&self, earlier: &Self) -> f64 {
        self.cpu.saturating_sub(earlier.cpu).as_secs_f64() * 1e6
    }
}
