//! What vouches for a batch: the Merkle tree over its entries, and the server's signature on its header.
//!
//! `cargo bench -p wire --bench seals`

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::SigningKey;
use wire::batch::{BatchHeader, Seal};
use wire::merkle::{MerkleTree, leaf, root_of};
use wire::signature::{Domain, SealingKey, public_key};
use wire::{BatchNumber, EntryNumber, Timestamp};

const BATCH_SIZES: [u32; 4] = [1, 16, 1000, 8000];

/// What a payment over the text protocol takes.
const ENTRY_BYTES: usize = 32;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = trees, headers
}
criterion_main!(benches);

fn trees(criterion: &mut Criterion) {
    let entry = [7; ENTRY_BYTES];
    let mut group = criterion.benchmark_group("merkle/tree");
    for count in BATCH_SIZES {
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let leaves = || (0..count).map(|_| leaf(black_box(&entry))).collect();
            bencher.iter(|| MerkleTree::new(leaves()).root());
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("merkle/receipt");
    for count in BATCH_SIZES {
        let tree = MerkleTree::new(vec![leaf(&entry); count as usize]);
        group.bench_function(BenchmarkId::new("path", count), |bencher| {
            bencher.iter(|| tree.path(black_box(count / 2)));
        });
        let path = tree.path(count / 2).expect("a leaf");
        group.bench_function(BenchmarkId::new("verify", count), |bencher| {
            bencher.iter(|| root_of(leaf(black_box(&entry)), count / 2, count, &path));
        });
    }
    group.finish();
}

fn headers(criterion: &mut Criterion) {
    let key = SigningKey::from([0x5E; 32]);
    let server = public_key(&key);
    let mut header = BatchHeader {
        entry_count: 16,
        batch: BatchNumber::new(17),
        first_entry: EntryNumber::new(1000),
        time: Timestamp::new(1_700_000_000_000),
        byte_len: 16 * 32,
        entries_checksum: 0x1234_5678,
        previous_head: [1; 32],
        seal: None,
    };
    let merkle_root = [2; 32];
    let sealing = SealingKey::of(&key);
    let sign =
        |header: &BatchHeader| sealing.sign(Domain::Batch, &header.signed_bytes(&merkle_root));
    header.seal = Some(Seal { merkle_root, signature: sign(&header) });

    let mut group = criterion.benchmark_group("header");
    group.bench_function("sign", |bencher| bencher.iter(|| sign(black_box(&header))));
    group.bench_function("verify", |bencher| bencher.iter(|| black_box(&header).verify(&server)));
    group.bench_function("head", |bencher| bencher.iter(|| black_box(&header).head()));
    group.finish();
}
