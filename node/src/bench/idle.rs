//! Scenario `idle`: sessions that are logged in and do nothing, and what each takes of the server.

use std::time::Duration;

use super::error::BenchError;
use super::report::{Report, Unit, float};
use super::server::Server;
use super::{Bench, online};

/// How long the server may take to put away what the log-ins needed.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let server = online::server(bench).await?;
    let before = Taken::by(&server)?;
    let online = online::log_in_all(bench, &server).await?;
    tokio::time::sleep(SETTLE_TIME).await;
    let after = Taken::by(&server)?;
    tokio::time::sleep(bench.config.duration).await;
    let later = Taken::by(&server)?;

    let sessions = float(online.count() as u64);
    let mut report = Report::default();
    report.figure("sessions", Unit::Count, sessions);
    let memory = float(after.memory) - float(before.memory);
    report.figure("memory per session", Unit::Bytes, memory / sessions);
    report.figure("server memory without them", Unit::Bytes, float(before.memory));
    report.figure("server memory with them", Unit::Bytes, float(after.memory));
    let cpu = |taken: Duration| taken.as_secs_f64() * 1e6;
    report.figure(
        "server CPU per log-in",
        Unit::Micros,
        cpu(after.cpu.saturating_sub(before.cpu)) / sessions,
    );
    let idle =
        cpu(later.cpu.saturating_sub(after.cpu)) / sessions / bench.config.duration.as_secs_f64();
    report.figure("server CPU per session and second", Unit::Micros, idle);
    report.note("memory is what is resident; buffers of sockets are the system's and not in it");
    drop(online);
    server.stop().await?;
    Ok(report)
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
}
