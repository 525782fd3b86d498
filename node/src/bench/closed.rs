//! Scenario `closed`: each connection sends one payment and waits for its answer, which comes when the
//! payment is on disk. In turns with it, the same load goes to a server that only sends back what it
//! gets.

use super::Bench;
use super::crew::Crew;
use super::echo::EchoProcess;
use super::error::BenchError;
use super::load::Pace;
use super::report::{Report, Unit};
use super::server::Server;
use super::{limits, prepare, round};

/// One payment is under way on each connection.
const PACE: Pace = Pace::Window(1);

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let connections = bench.config.connections;
    prepare::payers(bench).await?;
    let server = Server::start(bench, &[]).await?;
    let echo = EchoProcess::start().await?;
    let mut crew = Crew::open(bench, &server).await?;
    let (mut rounds, mut echoed) = (Vec::new(), Vec::new());
    for number in 1..=bench.config.rounds {
        bench.progress.phase(format!("echo, round {number}"));
        echoed.push(limits::echo_round(bench, echo.address(), connections).await?);
        let (round, phase);
        phase = format!("payments, round {number}");
        (crew, round) = crew.round(bench, &server, PACE, &phase).await?;
        rounds.push(round);
    }
    let disk = limits::disk(bench).await?;

    let mut report = Report::default();
    round::report(&rounds, &server, &mut report)?;
    drop(crew);
    server.stop().await?;
    let (paid, echoes) =
        (round::per_second(rounds.iter().map(|round| &round.measured)), round::per_second(&echoed));
    report.figure("echo per second", Unit::PerSecond, echoes);
    report.figure("payments to echo", Unit::Ratio, paid.median / echoes.median);
    let (answer, echo) =
        (round::latency(rounds.iter().map(|round| &round.measured)), round::latency(&echoed));
    report.latency("echo", echo);
    disk.report(&mut report);
    if connections == 1 {
        let limit = disk.sync.p50 + echo.p50;
        report.figure("answer to fdatasync and echo", Unit::Ratio, answer.p50 / limit);
    }
    Ok(report)
}
