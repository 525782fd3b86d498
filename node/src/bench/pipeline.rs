//! Scenario `pipeline`: many payments are under way on each connection, as many as the server takes or at
//! a fixed rate.

use super::Bench;
use super::crew::Crew;
use super::error::BenchError;
use super::load::Pace;
use super::report::{Report, Unit, float};
use super::round::{self, Round};
use super::server::Server;
use super::{journal, limits, prepare};
use crate::config::Rate;

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let window = bench.config.window as u64;
    let mut report = Report::default();
    prepare::payers(bench).await?;
    let server = Server::start(bench, &[]).await?;
    let mut crew = Crew::open(bench, &server).await?;
    let pace = match bench.config.rate {
        None => Pace::Window(window),
        Some(Rate::PerSecond(per_second)) => Pace::Rate { per_second, window },
        Some(Rate::Percent(percent)) => {
            let round;
            let maximum = Pace::Window(window);
            (crew, round) = crew.round(bench, &server, maximum, "the maximum").await?;
            let maximum = round.measured.per_second();
            report.figure("maximum per second", Unit::PerSecond, maximum);
            let per_second = round.measured.percent_per_second(percent);
            Pace::Rate { per_second, window }
        }
    };
    if let Pace::Rate { per_second, .. } = pace {
        report.figure("offered per second", Unit::PerSecond, float(per_second));
    }
    let mut rounds = Vec::new();
    for number in 1..=bench.config.rounds {
        let (round, phase);
        phase = format!("payments, round {number}");
        (crew, round) = crew.round(bench, &server, pace, &phase).await?;
        rounds.push(round);
    }
    drop(crew);
    round::report(&rounds, &server, &mut report)?;
    let is_own = server.is_own();
    server.stop().await?;
    report_limits(bench, &rounds, is_own, &mut report).await?;
    Ok(report)
}

/// What the machine could have done.
async fn report_limits(
    bench: &Bench,
    rounds: &[Round],
    is_own: bool,
    report: &mut Report,
) -> Result<(), BenchError> {
    if is_own {
        journal::report(bench, rounds, report).await?;
    }
    if bench.config.signed {
        let costs = limits::signatures(bench).await?;
        costs.report(report);
        if let Some(cpu) = round::cpu_micros(rounds) {
            let verify = costs.verify_in_batch.as_secs_f64() * 1e6;
            report.figure("server CPU to verification", Unit::Ratio, cpu.median / verify);
        }
    }
    let disk = limits::disk(bench).await?;
    disk.report(report);
    if bench.config.rate.is_some() {
        let latency = round::latency(rounds.iter().map(|round| &round.measured));
        report.figure("p99 to fdatasync", Unit::Ratio, latency.p99 / disk.sync.p50);
    }
    Ok(())
}
