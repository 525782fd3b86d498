//! Scenario `pipeline`: many payments are under way on each connection, as many as the server takes or at
//! a fixed rate.

use super::Bench;
use super::crew::Crew;
use super::error::BenchError;
use super::load::Pace;
use super::report::{RatePoint, Report, Unit, float};
use super::round::{self, Round};
use super::server::Server;
use super::{journal, limits, prepare};
use crate::config::Rate;

/// Rates of a sweep, in percent of the maximum.
const SWEPT: [u8; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let mut report = Report::default();
    prepare::payers(bench).await?;
    let server = Server::start(bench, &[]).await?;
    let crew = Crew::open(bench, &server).await?;
    let rounds = if bench.config.sweep {
        sweep(bench, &server, crew, &mut report).await?
    } else {
        at_one_pace(bench, &server, crew, &mut report).await?
    };
    round::report(&rounds, &server, &mut report)?;
    let is_own = server.is_own();
    server.stop().await?;
    report_limits(bench, &rounds, is_own, &mut report).await?;
    Ok(report)
}

/// All rounds at the pace that was asked for.
async fn at_one_pace(
    bench: &Bench,
    server: &Server,
    mut crew: Crew,
    report: &mut Report,
) -> Result<Vec<Round>, BenchError> {
    let window = bench.config.window as u64;
    let pace = match bench.config.rate {
        None => Pace::Window(window),
        Some(Rate::PerSecond(per_second)) => Pace::Rate { per_second, window },
        Some(Rate::Percent(percent)) => {
            let maximum;
            let pace = Pace::Window(window);
            (crew, maximum) = crew.round(bench, server, pace, "the maximum").await?;
            let maximum = maximum.measured;
            report.figure("maximum per second", Unit::PerSecond, maximum.per_second());
            Pace::Rate { per_second: maximum.percent_per_second(percent), window }
        }
    };
    if let Pace::Rate { per_second, .. } = pace {
        report.figure("offered per second", Unit::PerSecond, float(per_second));
    }
    let (_, rounds) = rounds(bench, server, crew, pace, "payments").await?;
    Ok(rounds)
}

/// The maximum, whose rounds are returned, and then parts of it.
async fn sweep(
    bench: &Bench,
    server: &Server,
    crew: Crew,
    report: &mut Report,
) -> Result<Vec<Round>, BenchError> {
    let window = bench.config.window as u64;
    let (mut crew, fastest) = rounds(bench, server, crew, Pace::Window(window), "maximum").await?;
    let mut by_rate: Vec<&Round> = fastest.iter().collect();
    by_rate.sort_by(|one, other| one.measured.per_second().total_cmp(&other.measured.per_second()));
    let median = &by_rate[by_rate.len() / 2].measured;
    for percent in SWEPT {
        let per_second = median.percent_per_second(percent);
        let (pace, phase) = (Pace::Rate { per_second, window }, format!("{percent} %"));
        let at_rate;
        (crew, at_rate) = rounds(bench, server, crew, pace, &phase).await?;
        let measured = || at_rate.iter().map(|round| &round.measured);
        report.rate(RatePoint {
            offered: float(per_second),
            answered: round::per_second(measured()).median,
            latency: round::latency(measured()),
        });
    }
    Ok(fastest)
}

async fn rounds(
    bench: &Bench,
    server: &Server,
    mut crew: Crew,
    pace: Pace,
    phase: &str,
) -> Result<(Crew, Vec<Round>), BenchError> {
    let mut rounds = Vec::new();
    for number in 1..=bench.config.rounds {
        let phase = format!("{phase}, round {number}");
        let round;
        (crew, round) = crew.round(bench, server, pace, &phase).await?;
        rounds.push(round);
    }
    Ok((crew, rounds))
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
            for (name, verify) in [
                ("server CPU to verification", costs.verify_in_batch),
                ("server CPU to largest batches", costs.verify_in_largest),
            ] {
                let ratio = cpu.median / (verify.as_secs_f64() * 1e6);
                report.figure(name, Unit::Ratio, ratio);
            }
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
