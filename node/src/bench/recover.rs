//! Scenario `recover`: how long a server with a long journal takes until it listens, without a snapshot
//! and with one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::BenchError;
use super::report::{Report, Spread, Unit, float};
use super::server_process::ServerProcess;
use super::{Bench, prepare};

/// Who pays whom in the journal: so many that no cache holds them all, and few beside the payments.
const ACCOUNTS: u32 = 100_000;

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    let (dir, entries) = (bench.workplace.ledger(), bench.config.entries);
    // Each pays somebody else.
    let accounts = ACCOUNTS.min(u32::try_from(entries / 2).unwrap_or(ACCOUNTS)).max(2);

    bench.progress.phase("writing the journal");
    let ledger = dir.clone();
    let begin = Instant::now();
    bench.on_thread(move |watch| prepare::past(&ledger, accounts, entries, watch)).await?;
    let written = begin.elapsed();

    let without = starts(bench, &dir, "without a snapshot", remove_snapshots).await?;
    let bytes = journal_bytes(&dir)?;
    bench.progress.phase("keeping a snapshot");
    let ledger = dir.clone();
    bench.on_thread(move |_| prepare::snapshot(&ledger)).await?;
    let with = starts(bench, &dir, "with a snapshot", |_| Ok(())).await?;

    let seconds =
        |starts: &[Start]| Spread::of(starts.iter().map(|start| start.time.as_secs_f64()));
    let memory = |starts: &[Start]| Spread::of(starts.iter().map(|start| float(start.memory)));
    let replayed = without.iter().map(|start| float(entries) / start.time.as_secs_f64());
    let mut report = Report::default();
    report.figure("journal", Unit::Bytes, float(bytes));
    report.figure(
        "entries written per second",
        Unit::PerSecond,
        float(entries) / written.as_secs_f64(),
    );
    report.figure("start without a snapshot", Unit::Seconds, seconds(&without));
    report.figure("entries replayed per second", Unit::PerSecond, Spread::of(replayed));
    report.figure("memory without a snapshot", Unit::Bytes, memory(&without));
    report.figure("start with a snapshot", Unit::Seconds, seconds(&with));
    report.figure("memory with a snapshot", Unit::Bytes, memory(&with));
    report.note("the journal was written just before, so the system has it in memory");
    Ok(report)
}

/// One start of the server.
struct Start {
    /// From the start of its process to its first line, which says that it listens.
    time: Duration,
    /// The most memory that it took until then, in bytes.
    memory: u64,
}

async fn starts(
    bench: &Bench,
    dir: &Path,
    how: &str,
    prepare: fn(&Path) -> Result<(), BenchError>,
) -> Result<Vec<Start>, BenchError> {
    let mut starts = Vec::new();
    for number in 1..=bench.config.rounds {
        bench.progress.phase(format!("starting {how}, round {number}"));
        prepare(dir)?;
        let begin = Instant::now();
        let server = ServerProcess::start(dir, &[]).await?;
        let time = begin.elapsed();
        starts.push(Start { time, memory: server.memory()?.peak });
        server.stop().await?;
    }
    Ok(starts)
}

/// A server that has replayed much keeps a snapshot when it stops.
fn remove_snapshots(dir: &Path) -> Result<(), BenchError> {
    let remove = || -> io::Result<()> {
        for file in fs::read_dir(dir)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("snapshot-") {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(|source| BenchError::File { path: dir.to_owned(), source })
}

/// What the files of the journal hold.
fn journal_bytes(dir: &Path) -> Result<u64, BenchError> {
    let sizes = || -> io::Result<u64> {
        let mut bytes = 0;
        for file in fs::read_dir(dir)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("journal-") {
                bytes += file.metadata()?.len();
            }
        }
        Ok(bytes)
    };
    sizes().map_err(|source| BenchError::File { path: dir.to_owned(), source })
}
