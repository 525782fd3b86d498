//! Scenario `closed`: each connection sends one payment and waits for its answer, which comes when the
//! payment is on disk. In turns with it, the same load goes to a server that only sends back what it
//! gets.

use super::Bench;
use super::crew::Crew;
use super::echo::EchoProcess;
use super::error::BenchError;
use super::load::Pace;
use super::report::{Latency, Report, Spread, Unit};
use super::server::Server;
use super::{journal, limits, prepare, round};

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
        echoed.push(limits::echo_round(bench, echo.address(), connections, PACE).await?);
        let (round, phase);
        phase = format!("payments, round {number}");
        (crew, round) = crew.round(bench, &server, PACE, &phase).await?;
        rounds.push(round);
    }
    let disk = limits::disk(bench).await?;

    let mut report = Report::default();
    round::report(bench, &rounds, &server, &mut report)?;
    drop(crew);
    let is_own = server.is_own();
    server.stop().await?;
    round::report_echo(&rounds, &echoed, &mut report);
    if is_own {
        journal::report(bench, &rounds, &mut report).await?;
    }
    disk.report(&mut report);
    if connections == 1 {
        let answers = rounds.iter().map(|round| Latency::of(&round.measured.latency).p50);
        let echoes = echoed.iter().map(|echo| Latency::of(&echo.latency).p50);
        let ratios = answers.zip(echoes).map(|(answer, echo)| answer / (disk.sync.p50 + echo));
        report.figure("answer to fdatasync and echo", Unit::Ratio, Spread::of(ratios));
    }
    Ok(report)
}
