//! Scenario `pipeline`: many payments are under way on each connection, as many as the server takes or at
//! a fixed rate.

use super::Bench;
use super::error::BenchError;
use super::limits;
use super::load::{Connection, Load, Pace};
use super::report::Report;
use super::round::{self, Round};
use super::server::Server;
use super::{journal, text};

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let server = Server::start(bench, &[]).await?;
    let load = Load::new(text::payees(bench, &server).await?)?;
    let rounds = measure(bench, &server, load).await?;
    let disk = limits::disk(bench).await?;

    let mut report = Report::default();
    round::report(&rounds, &server, &mut report)?;
    let is_own = server.is_own();
    server.stop().await?;
    if is_own {
        journal::report(bench, &rounds, &mut report).await?;
    }
    disk.report(&mut report);
    Ok(report)
}

async fn measure<C: Connection + 'static>(
    bench: &Bench,
    server: &Server,
    mut load: Load<C>,
) -> Result<Vec<Round>, BenchError> {
    let pace = Pace::Window(bench.config.window as u64);
    let mut rounds = Vec::new();
    for number in 1..=bench.config.rounds {
        bench.progress.phase(format!("payments, round {number}"));
        let round;
        (load, round) = Round::run(bench, server, load, pace).await?;
        rounds.push(round);
    }
    Ok(rounds)
}
