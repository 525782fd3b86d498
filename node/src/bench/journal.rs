//! What the journal says of a run: how large its batches were, and how many syncs they took. And what a
//! journal alone can do with batches as large.

use std::path::Path;
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
use super::load::Watch;
use super::report::{Report, Spread, Unit, float};
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
    let failed = |error: &dyn std::fmt::Display| BenchError::Journal(error.to_string());
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
    let failed = |error: &dyn std::fmt::Display| BenchError::Journal(error.to_string());
    let storage = DiskStorage::open(dir).map_err(|error| failed(&error))?;
    let signer = Signer::new(SigningKey::from_bytes(&[7; 32]));
    let log = Logger::root(Discard, o!());
    let opened = Journal::open(Arc::new(storage), signer, JournalOptions::default(), &log);
    let (mut journal, _) = opened.map_err(|error| failed(&error))?;
    let mut payments = payments(batch);
    let begin = Instant::now();
    let mut entries = 0;
    while begin.elapsed() < ALONE_TIME {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        journal.append(&mut payments, Timestamp::new(1)).map_err(|error| failed(&error))?;
        entries += u64::from(payments.entry_count());
    }
    let per_second = float(entries) / begin.elapsed().as_secs_f64();
    drop(journal);
    std::fs::remove_dir_all(dir)
        .map_err(|source| BenchError::File { path: dir.to_owned(), source })?;
    Ok(per_second)
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
