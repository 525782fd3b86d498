//! What a commit costs: encoding its entries, sealing it, and bringing it to a disk; and reading it again.
//!
//! `cargo bench -p actors --bench journal`. The directory is a temporary one (`TMPDIR`); what is on disk
//! says something only if that is on the disk in question.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::ledger::journal::{
    Batch, DiskStorage, Journal, JournalOptions, MemoryStorage, Snapshot, Storage,
};
use actors::ledger::state::State;
use actors::messages::Signer;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::SigningKey;
use slog::{Discard, Logger, o};
use wire::{Access, AccountId, Amount, Authority, Entry, Timestamp};

const BATCH_SIZES: [u32; 4] = [1, 16, 1000, 8000];

/// How many entries the journal holds that is opened.
const REPLAYED_ENTRIES: u32 = 1_000_000;

/// So many accounts are in a snapshot.
const ACCOUNTS: u64 = 100_000;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = encode, append, replay, snapshots
}
criterion_main!(benches);

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal/encode");
    for count in BATCH_SIZES {
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let mut buffer = Vec::new();
            bencher.iter(|| {
                let batch = batch_in(std::mem::take(&mut buffer), count);
                buffer = black_box(batch).into_buffer();
            });
        });
    }
    group.finish();
}

/// Sealing, chaining and writing, in memory and on disk. The batches are made beforehand.
fn append(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = DiskStorage::open(directory.path()).expect("nobody else has it");
    append_in(criterion, "journal/append, memory", Arc::new(MemoryStorage::new()));
    append_in(criterion, "journal/append, disk", Arc::new(disk));
}

fn append_in(criterion: &mut Criterion, name: &str, storage: Arc<dyn Storage>) {
    let (mut journal, _) = open(storage);
    let mut group = criterion.benchmark_group(name);
    for count in BATCH_SIZES {
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                for _ in 0..rounds {
                    let mut batch = batch_in(Vec::new(), count);
                    let begin = Instant::now();
                    journal.append(&mut batch, Timestamp::new(1)).expect("the disk works");
                    taken += begin.elapsed();
                }
                taken
            });
        });
    }
    group.finish();
}

/// Opening a journal without a snapshot: everything is read, checked and replayed.
fn replay(criterion: &mut Criterion) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (mut journal, _) = open(Arc::clone(&storage));
    let mut first = Batch::new(Vec::new());
    for account in 0..2 {
        first.push(&opening(account, u64::MAX / 4));
    }
    journal.append(&mut first, Timestamp::new(1)).expect("memory does not fail");
    for _ in 0..REPLAYED_ENTRIES / 1000 {
        let mut batch = batch_in(Vec::new(), 1000);
        journal.append(&mut batch, Timestamp::new(1)).expect("memory does not fail");
    }
    let mut group = criterion.benchmark_group("journal/open");
    group.throughput(Throughput::Elements(REPLAYED_ENTRIES.into()));
    group.bench_function("batches of 1000", |bencher| {
        bencher.iter(|| open(Arc::clone(&storage)).1);
    });
    group.finish();
}

/// Capturing the state, which is all that the ledger waits for, and opening what was stored.
fn snapshots(criterion: &mut Criterion) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let (mut journal, mut state) = open(Arc::clone(&storage));
    let mut batch = Batch::new(Vec::new());
    let mut committed = *journal.last();
    for account in 0..ACCOUNTS {
        let entry = opening(account, 1000);
        state.replay(&entry).expect("the next number");
        batch.push(&entry);
        if batch.is_full() || account + 1 == ACCOUNTS {
            let sealed = journal.append(&mut batch, Timestamp::new(1));
            committed = sealed.expect("memory does not fail").committed;
            batch = Batch::new(batch.into_buffer());
        }
    }
    let server = journal.server();
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(ACCOUNTS));
    group.bench_function("capture", |bencher| bencher.iter(|| Snapshot::capture(&state, &server)));
    let captured = Snapshot::capture(&state, &server);
    captured.store(&*storage, &committed).expect("memory does not fail");
    group.bench_function("open", |bencher| bencher.iter(|| open(Arc::clone(&storage)).1));
    group.finish();
}

fn open(storage: Arc<dyn Storage>) -> (Journal, State) {
    let server = Signer::new(SigningKey::from([0x5E; 32]));
    let log = Logger::root(Discard, o!());
    Journal::open(storage, server, JournalOptions::default(), &log).expect("an intact journal")
}

fn batch_in(buffer: Vec<u8>, count: u32) -> Batch {
    let mut batch = Batch::new(buffer);
    for number in 0..count {
        batch.push(&payment(number));
    }
    batch
}

fn payment(number: u32) -> Entry {
    let (one, other) = (AccountId::new(0), AccountId::new(1));
    let (payer, payee) = if number.is_multiple_of(2) { (one, other) } else { (other, one) };
    Entry::Transferred { payer, payee, amount: Amount::new(1), authority: Authority::Text }
}

fn opening(account: u64, grant: u64) -> Entry {
    Entry::AccountOpened {
        account: AccountId::new(account),
        name: format!("account{account}").parse().expect("a valid name"),
        access: Access::Open,
        grant: Amount::new(grant),
    }
}
