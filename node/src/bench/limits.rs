//! What this machine can do: what no server on it can do better.

mod copy;
pub(super) mod disk;
pub(super) mod signatures;

use std::net::SocketAddr;

use self::copy::CopyCosts;
use self::disk::Disk;
use self::signatures::SignatureCosts;
use super::Bench;
use super::echo::EchoProcess;
use super::error::BenchError;
use super::load::{Load, Measured, Pace};
use super::report::{Report, Unit};
use super::round;
use super::text::{Script, TextClient, TextLane};
use crate::config::LineEnd;

/// What an echo server is sent: as long as a payment by text.
const ECHO_REQUEST: &[u8] = b"a0000000#1#b0000000\n";

/// Measures all limits.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let mut report = Report::default();
    let echo = EchoProcess::start().await?;
    let mut alone = Vec::new();
    let mut many = Vec::new();
    for round in 1..=bench.config.rounds {
        bench.progress.phase(format!("echo, round {round}"));
        alone.push(echo_round(bench, echo.address(), 1, Pace::Window(1)).await?);
        let connections = bench.config.connections;
        many.push(echo_round(bench, echo.address(), connections, Pace::Window(1)).await?);
    }
    report.figure("echo on one connection", Unit::PerSecond, round::per_second(&alone));
    report.figure("echo", Unit::PerSecond, round::per_second(&many));
    report.latency("echo on one connection", round::latency(&alone));
    report.latency("echo", round::latency(&many));
    disk(bench).await?.report(&mut report);
    signatures(bench).await?.report(&mut report);
    Ok(report)
}

/// One round of the echo server with as many connections, at the pace of what it is compared with.
pub(super) async fn echo_round(
    bench: &Bench,
    address: SocketAddr,
    connections: usize,
    pace: Pace,
) -> Result<Measured, BenchError> {
    let duration = bench.config.duration;
    bench
        .on_thread(move |watch| {
            let lane = |_| {
                let stream = TextClient::connect(address, LineEnd::Lf)?.into_stream();
                TextLane::new(stream, Script::echo(ECHO_REQUEST))
            };
            let lanes = (0..connections).map(lane).collect::<Result<Vec<_>, _>>()?;
            Load::new(lanes)?.run(pace, duration, watch)
        })
        .await
}

/// What the disk of the ledger does.
pub(super) async fn disk(bench: &Bench) -> Result<Disk, BenchError> {
    bench.progress.phase("disk");
    let root = bench.workplace.root().to_owned();
    bench.on_thread(move |watch| disk::measure(&root, watch)).await
}

/// What copies of so many bytes take of a core.
pub(super) async fn copy(bench: &Bench, bytes: usize) -> Result<CopyCosts, BenchError> {
    bench.progress.phase("copies");
    bench.on_thread(move |_| copy::measure(bytes)).await
}

/// What signatures take of a core.
pub(super) async fn signatures(bench: &Bench) -> Result<SignatureCosts, BenchError> {
    bench.progress.phase("signatures");
    let payers = bench.config.payers;
    bench.on_thread(move |watch| signatures::measure(payers, watch)).await
}
