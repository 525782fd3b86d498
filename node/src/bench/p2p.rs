//! Scenario `p2p`: whole payments between clients, as people make them.
//!
//! Each pair is a payer and a payee with the actors of a real client: wallet, links to server and peer, over
//! TLS. A payment is all of it: the payee is looked up, the order signed, written to the payer's outbox and
//! handed over on the peer link; the payee verifies and submits it; the server settles it durably; both
//! sides verify the receipt and write it down. It counts when its payer is told "paid".
//!
//! What it is compared with is the crypto alone, on all cores of the machine: one signature made (the
//! order), one verified by the payee (the order) and one by the payer (the receipt). Handshakes are made
//! before it is measured.

mod crowd;

use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use self::crowd::Crowd;
use super::Bench;
use super::error::BenchError;
use super::journal;
use super::limits;
use super::limits::signatures::SignatureCosts;
use super::process_stats;
use super::report::{Report, Spread, Unit, float};
use super::round::{self, Round};
use super::server::Server;
use crate::config::ClientStores;

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let signatures = limits::signatures(bench).await?;
    let server = Server::start(bench, &[]).await?;
    bench.progress.phase("starting the clients");
    let crowd = Crowd::gather(bench, &server).await?;
    let (mut rounds, mut own_cpu) = (Vec::new(), Vec::new());
    for number in 1..=bench.config.rounds {
        bench.progress.phase(format!("payments, round {number}"));
        let before = (server.cpu_time()?, own_cpu_time()?);
        let begun = SystemTime::now();
        let measured = crowd.pay(bench).await?;
        let after = (server.cpu_time()?, own_cpu_time()?);
        let cpu = after.0.zip(before.0).map(|(after, before)| after.saturating_sub(before));
        let payments = float(measured.latency.len().max(1));
        own_cpu.push(after.1.saturating_sub(before.1).as_secs_f64() * 1e6 / payments);
        rounds.push(Round { measured, cpu, begun });
    }

    let mut report = Report::default();
    round::report(bench, &rounds, &server, &mut report)?;
    drop(crowd);
    let is_own = server.is_own();
    server.stop().await?;
    if is_own {
        journal::report(bench, &rounds, &mut report).await?;
    }
    limits::disk(bench).await?.report(&mut report);
    report.figure("CPU of both clients per payment", Unit::Micros, Spread::of(own_cpu));
    signatures.report(&mut report);
    let paid = round::per_second(rounds.iter().map(|round| &round.measured));
    compare(paid, signatures, &mut report);
    report.note(format!(
        "{} pairs of clients in one process, {} payments under way for each; {}.",
        bench.config.connections,
        bench.config.window,
        match bench.config.client_stores {
            ClientStores::Memory =>
                "their stores are in memory: each would have a disk of its own (--client-stores disk)",
            ClientStores::Disk => "their stores are all on the disk of the ledger",
        },
    ));
    Ok(report)
}

/// What signatures alone would allow, and how much of it was reached.
fn compare(paid: Spread, signatures: SignatureCosts, report: &mut Report) {
    let SignatureCosts { sign, verify, verify_in_batch, .. } = signatures;
    let cores = available_parallelism().map_or(1, usize::from);
    let crypto = |each: Duration| float(cores as u64) / each.as_secs_f64();
    let alone = crypto(sign + 2 * verify);
    report.figure("crypto alone", Unit::PerSecond, alone);
    report.figure("payments to crypto alone", Unit::Ratio, paid.to_limit(alone));
    let in_batches = crypto(sign + 2 * verify_in_batch);
    report.figure("crypto alone in batches", Unit::PerSecond, in_batches);
    report.figure("payments to crypto alone in batches", Unit::Ratio, paid.to_limit(in_batches));
    report.note(format!(
        "crypto alone is one signature made and one verified by each side on {cores} cores: one by one, \
         or, harder to reach, in batches of a thousand. The server's own check is not in it."
    ));
}

fn own_cpu_time() -> Result<Duration, BenchError> {
    process_stats::cpu_time(std::process::id())
}
