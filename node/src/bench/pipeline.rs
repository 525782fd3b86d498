//! Scenario `pipeline`: many payments are under way on each connection, as many as the server takes or at
//! a fixed rate.

use std::fs;

use super::Bench;
use super::crew::Crew;
use super::echo::EchoProcess;
use super::error::BenchError;
use super::load::{Measured, Pace};
use super::report::{RatePoint, Report, Unit, float};
use super::round::{self, Round};
use super::server::Server;
use super::server_process::ServerProcess;
use super::{journal, limits, prepare};
use crate::config::{Rate, Target};

/// Rates of a sweep, in percent of the maximum.
const SWEPT: [u8; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/// So many take about 12 MB; of fewer, the pages that a start happens to touch would be much of it.
const ACCOUNTS_WEIGHED_MIN: u32 = 100_000;

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let mut report = Report::default();
    prepare::payers(bench).await?;
    let with_one = memory_with_one_account(bench).await?;
    let server = Server::start(bench, &[]).await?;
    if let Some((without, with)) = with_one.zip(server.memory()?) {
        let memory = float(with.resident) - float(without);
        report.figure("memory per account", Unit::Bytes, memory / f64::from(bench.config.accounts));
    }
    let mut crew = Crew::open(bench, &server).await?;
    let window = bench.config.window as u64;
    if let Some(most) = crew.window_max().filter(|most| *most < window) {
        report.note(format!(
            "the server lets {most} payments be under way on a connection, so not all {window} were"
        ));
    }
    let Rounds { paid: rounds, offered, echoed } = if bench.config.sweep {
        sweep(bench, &server, crew, &mut report).await?
    } else {
        at_one_pace(bench, &server, crew, &mut report).await?
    };
    round::report(bench, &rounds, &server, &mut report)?;
    let is_own = server.is_own();
    server.stop().await?;
    if !echoed.is_empty() {
        round::report_echo(&rounds, &echoed, &mut report);
    }
    report_limits(bench, &rounds, is_own, &mut report).await?;
    if let Some(per_second) = offered
        && is_own
        && !bench.config.signed
    {
        journal::report_at_rate(bench, &rounds, per_second, &mut report).await?;
    }
    Ok(report)
}

/// The resident memory of a server that has just started with one account, where the run's own has so
/// many more that the difference is theirs.
async fn memory_with_one_account(bench: &Bench) -> Result<Option<u64>, BenchError> {
    let is_own = matches!(bench.config.target, Target::Own { .. });
    if bench.config.signed || !is_own || bench.config.accounts < ACCOUNTS_WEIGHED_MIN {
        return Ok(None);
    }
    let dir = bench.workplace.root().join("one-account");
    prepare::one_account(bench, &dir).await?;
    let server = ServerProcess::start(&dir, &[]).await?;
    let memory = server.memory()?.resident;
    server.stop().await?;
    fs::remove_dir_all(&dir).map_err(|source| BenchError::File { path: dir, source })?;
    Ok(Some(memory))
}

/// What was measured at one pace.
struct Rounds {
    paid: Vec<Round>,
    /// How many a second were offered, if that was not as many as they went.
    offered: Option<u64>,
    /// The echo server as fast as it goes, in turns with payments as fast as they go.
    echoed: Vec<Measured>,
}

/// All rounds at the pace that was asked for.
async fn at_one_pace(
    bench: &Bench,
    server: &Server,
    mut crew: Crew,
    report: &mut Report,
) -> Result<Rounds, BenchError> {
    let window = bench.config.window as u64;
    let fastest = Pace::Window(window);
    let per_second = match bench.config.rate {
        None => return Ok(beside_echo(bench, server, crew, fastest).await?.1),
        Some(Rate::PerSecond(per_second)) => per_second,
        Some(Rate::Percent(percent)) => {
            let at_most;
            (crew, at_most) = rounds(bench, server, crew, fastest, "maximum").await?;
            let maximum = round::per_second(at_most.iter().map(|round| &round.measured));
            report.figure("maximum per second", Unit::PerSecond, maximum);
            median(&at_most).percent_per_second(percent)
        }
    };
    report.figure("offered per second", Unit::PerSecond, float(per_second));
    let pace = Pace::Rate { per_second, window };
    let (_, paid) = rounds(bench, server, crew, pace, "payments").await?;
    Ok(Rounds { paid, offered: Some(per_second), echoed: Vec::new() })
}

/// The maximum, whose rounds are returned, and then parts of it.
async fn sweep(
    bench: &Bench,
    server: &Server,
    crew: Crew,
    report: &mut Report,
) -> Result<Rounds, BenchError> {
    let window = bench.config.window as u64;
    let (mut crew, fastest) = beside_echo(bench, server, crew, Pace::Window(window)).await?;
    for percent in SWEPT {
        let per_second = median(&fastest.paid).percent_per_second(percent);
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

/// Rounds of payments in turns with rounds of the echo server, at the same pace.
async fn beside_echo(
    bench: &Bench,
    server: &Server,
    mut crew: Crew,
    pace: Pace,
) -> Result<(Crew, Rounds), BenchError> {
    let echo = EchoProcess::start().await?;
    let connections = bench.config.connections;
    let mut rounds = Rounds { paid: Vec::new(), offered: None, echoed: Vec::new() };
    for number in 1..=bench.config.rounds {
        bench.progress.phase(format!("echo, round {number}"));
        rounds.echoed.push(limits::echo_round(bench, echo.address(), connections, pace).await?);
        let (round, phase);
        phase = format!("payments, round {number}");
        (crew, round) = crew.round(bench, server, pace, &phase).await?;
        rounds.paid.push(round);
    }
    Ok((crew, rounds))
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

/// The round in the middle, by how much was answered.
fn median(rounds: &[Round]) -> &Measured {
    let mut by_rate: Vec<_> = rounds.iter().map(|round| &round.measured).collect();
    by_rate.sort_by(|one, other| one.per_second().total_cmp(&other.per_second()));
    by_rate[by_rate.len() / 2]
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
                report.figure(name, Unit::Ratio, cpu.to_limit(verify.as_secs_f64() * 1e6));
            }
        }
    }
    let disk = limits::disk(bench).await?;
    disk.report(report);
    if bench.config.rate.is_some() {
        let p99 = round::latencies(rounds.iter().map(|round| &round.measured), |point| point.p99);
        report.figure("p99 to fdatasync", Unit::Ratio, p99.to_limit(disk.sync.p50));
    }
    Ok(())
}
