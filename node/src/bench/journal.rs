//! What the journal says of a run: how large its batches were, and how many syncs they took. And what a
//! journal alone can do with batches as large.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use actors::ledger::journal::{
    Batch, DiskStorage, Journal, JournalOptions, ReadOnlyDirectory, read_headers,
};
use actors::messages::Signer;
use ed25519_zebra::SigningKey;
use slog::{Discard, Logger, o};
use wire::{AccountId, Amount, Authority, Entry, Timestamp};

use super::Bench;
use super::error::BenchError;
use super::load::{self, Watch};
use super::report::{Latency, Report, Spread, Unit, float};
use super::round::{self, Round};

/// How long the journal alone is measured.
const ALONE_TIME: Duration = Duration::from_secs(1);

/// Adds it to a report of payments.
pub(super) async fn report(
    bench: &Bench,
    rounds: &[Round],
    report: &mut Report,
) -> Result<(), BenchError> {
    bench.progress.phase("reading the journal");
    let (ledger, alone) = (bench.workplace.ledger(), bench.workplace.root().join("journal-limit"));
    let mut counts = rounds.iter().map(Counts::of).collect::<Vec<_>>();
    let (counts, alone) = bench
        .on_thread(move |watch| {
            read(&ledger, &mut counts)?;
            let entries = counts.iter().map(|counts| counts.entries).sum::<u64>();
            let syncs = counts.iter().map(|counts| counts.syncs).sum::<u64>();
            let batch = entries / syncs.max(1);
            Ok((counts, entries_per_second(&alone, batch.max(1), watch)?))
        })
        .await?;
    let seconds = rounds.iter().map(|round| round.measured.duration.as_secs_f64());
    let syncs = counts.iter().zip(seconds).map(|(counts, seconds)| float(counts.syncs) / seconds);
    let entries = counts.iter().map(|counts| float(counts.entries) / float(counts.syncs.max(1)));
    report.figure("syncs per second", Unit::PerSecond, Spread::of(syncs));
    report.figure("entries per batch", Unit::Count, Spread::of(entries));
    report.figure("journal alone entries per second", Unit::PerSecond, alone);
    let paid = round::per_second(rounds.iter().map(|round| &round.measured));
    report.figure("payments to journal alone", Unit::Ratio, paid.to_limit(alone));
    Ok(())
}

/// Adds how late a journal alone is at the rate at which payments by text were offered, in as many rounds.
pub(super) async fn report_at_rate(
    bench: &Bench,
    rounds: &[Round],
    per_second: u64,
    report: &mut Report,
) -> Result<(), BenchError> {
    let dir = bench.workplace.root().join("journal-at-rate");
    let (times, duration) = (bench.config.rounds, bench.config.duration);
    bench.progress.phase("a journal alone, at the rate");
    let measured = bench
        .on_thread(move |watch| {
            let mut journal = Alone::open(&dir)?;
            let measure = |_| {
                load::work_at_rate(per_second, duration, watch, |count| {
                    journal.append(&mut payments(count))
                })
            };
            let measured = (0..times).map(measure).collect::<Result<Vec<_>, _>>()?;
            journal.remove()?;
            Ok(measured)
        })
        .await?;
    let p99 = |point: &Latency| point.p99;
    let paid = round::latencies(rounds.iter().map(|round| &round.measured), p99);
    let alone = round::latencies(measured.iter(), p99);
    report.latency("journal alone at this rate", round::latency(measured.iter()));
    report.figure("p99 to journal alone", Unit::Ratio, paid.to_limit(alone.median));
    Ok(())
}

/// What was written during a round.
struct Counts {
    begin: Timestamp,
    end: Timestamp,
    syncs: u64,
    entries: u64,
}

impl Counts {
    fn of(round: &Round) -> Self {
        let millis = |time: Duration| Timestamp::new(u64::try_from(time.as_millis()).unwrap_or(0));
        let begin = round.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = millis(begin + round.measured.duration);
        Self { begin: millis(begin), end, syncs: 0, entries: 0 }
    }
}

fn read(ledger: &Path, counts: &mut [Counts]) -> Result<(), BenchError> {
    let storage = ReadOnlyDirectory::open(ledger).map_err(|error| failed(&error))?;
    let count = |header: &wire::batch::BatchHeader| {
        for counts in &mut *counts {
            if (counts.begin..counts.end).contains(&header.time) {
                counts.syncs += 1;
                counts.entries += u64::from(header.entry_count);
            }
        }
    };
    read_headers(&storage, count).map_err(|error| failed(&error))
}

/// How many entries a second a journal appends that does nothing else, in batches of so many.
fn entries_per_second(dir: &Path, batch: u64, watch: &Watch) -> Result<f64, BenchError> {
    let mut journal = Alone::open(dir)?;
    let mut payments = payments(batch);
    let begin = Instant::now();
    let mut entries = 0;
    while begin.elapsed() < ALONE_TIME {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        journal.append(&mut payments)?;
        entries += u64::from(payments.entry_count());
    }
    let per_second = float(entries) / begin.elapsed().as_secs_f64();
    journal.remove()?;
    Ok(per_second)
}

/// A journal without a server.
struct Alone {
    journal: Journal,
    dir: PathBuf,
}

impl Alone {
    fn open(dir: &Path) -> Result<Self, BenchError> {
        let storage = DiskStorage::open(dir).map_err(|error| failed(&error))?;
        let signer = Signer::new(SigningKey::from_bytes(&[7; 32]));
        let log = Logger::root(Discard, o!());
        let opened = Journal::open(Arc::new(storage), signer, JournalOptions::default(), &log);
        let (journal, _) = opened.map_err(|error| failed(&error))?;
        Ok(Self { journal, dir: dir.to_owned() })
    }

    fn append(&mut self, batch: &mut Batch) -> Result<(), BenchError> {
        self.journal.append(batch, Timestamp::new(1)).map_err(|error| failed(&error))?;
        Ok(())
    }

    fn remove(self) -> Result<(), BenchError> {
        let Self { journal, dir } = self;
        drop(journal);
        fs::remove_dir_all(&dir).map_err(|source| BenchError::File { path: dir, source })
    }
}

fn failed(error: &dyn fmt::Display) -> BenchError {
    BenchError::Journal(error.to_string())
}

/// So many payments by text, or as many as a batch takes.
fn payments(count: u64) -> Batch {
    let mut batch = Batch::new(Vec::new());
    for number in 0..count {
        if batch.is_full() {
            break;
        }
        batch.push(&Entry::Transferred {
            payer: AccountId::new(number + 1),
            payee: AccountId::new(number + 2),
            amount: Amount::new(1),
            authority: Authority::Text,
        });
    }
    batch
}
