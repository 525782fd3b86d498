//! What a wallet does for each payment besides talking: receipts that are verified, steps that are written.
//!
//! `cargo bench -p actors --bench wallet`

use std::hint::black_box;

use actors::secure_wallet::store::{Change, ClosedRecord, Outcome, RedbStore, WalletStore as _};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::SigningKey;
use wire::batch::{BatchHeader, Seal};
use wire::merkle::{MerkleTree, leaf};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::receipt::VerifiedHeaders;
use wire::signature::{Domain, SealingKey, Signature, public_key};
use wire::{
    AccountId, Amount, Authority, BatchNumber, Entry, EntryNumber, Order, OrderId, Receipt,
    Timestamp, VerifiedOrder, codec,
};

/// Payments of one batch of the server.
const BATCH: u32 = 256;

/// How many payments wait at once for the store.
const STEPS: [usize; 3] = [1, 16, 256];

fn key(seed: u8) -> SigningKey {
    SigningKey::from([seed; 32])
}

fn order(number: u32) -> VerifiedOrder {
    let not_after = Timestamp::new(1_700_000_000_000);
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    let order = Order {
        version: ORDER_VERSION,
        server: public_key(&key(0x5E)),
        id: OrderId::new(not_after, random),
        payer: "alice".parse().expect("a name"),
        payer_key: public_key(&key(0xA1)),
        payee: "bob".parse().expect("a name"),
        payee_key: Some(public_key(&key(0xB0))),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    };
    order.sign_as_payer(&SealingKey::of(&key(0xA1)))
}

/// Orders that one batch settled, with their receipts.
fn settled() -> Vec<(VerifiedOrder, Receipt)> {
    let orders: Vec<_> = (0..BATCH).map(order).collect();
    let entries = orders.iter().map(|order| Entry::Transferred {
        payer: AccountId::new(0),
        payee: AccountId::new(1),
        amount: Amount::new(10),
        authority: Authority::Order(Box::new(order.signed().clone())),
    });
    let entries: Vec<_> = entries.collect();
    let leaves = entries.iter().map(|entry| {
        let mut bytes = Vec::new();
        codec::encode_into(entry, &mut bytes);
        leaf(&bytes)
    });
    let tree = MerkleTree::new(leaves.collect());
    let mut header = BatchHeader {
        entry_count: BATCH,
        batch: BatchNumber::new(7),
        first_entry: EntryNumber::new(100),
        time: Timestamp::new(1_700_000_000_000),
        byte_len: 1 << 16,
        entries_checksum: 0,
        previous_head: [3; 32],
        seal: None,
    };
    let merkle_root = tree.root();
    let signature = Signature::sign(&key(0x5E), Domain::Batch, &header.signed_bytes(&merkle_root));
    header.seal = Some(Seal { merkle_root, signature });
    let receipts = (0..BATCH).zip(entries).map(|(index, entry)| {
        let path = tree.path(index).expect("a leaf");
        Receipt::new(&header, index, path, entry)
    });
    orders.into_iter().zip(receipts).collect()
}

fn receipts(criterion: &mut Criterion) {
    let settled = settled();
    let server = public_key(&key(0x5E));
    let mut group = criterion.benchmark_group("receipt");
    group.throughput(Throughput::Elements(1));
    let mut each = settled.iter().cycle();
    group.bench_function("of an unknown order", |bencher| {
        bencher.iter(|| {
            let (_, receipt) = each.next().expect("a cycle");
            black_box(receipt.verify(&server)).expect("it proves it");
        });
    });
    group.bench_function("of a known order, first of its batch", |bencher| {
        bencher.iter(|| {
            let (order, receipt) = each.next().expect("a cycle");
            let mut headers = VerifiedHeaders::default();
            black_box(receipt.verify_for(order, &mut headers)).expect("it proves it");
        });
    });
    let mut headers = VerifiedHeaders::default();
    group.bench_function("of a known order, its batch known", |bencher| {
        bencher.iter(|| {
            let (order, receipt) = each.next().expect("a cycle");
            black_box(receipt.verify_for(order, &mut headers)).expect("it proves it");
        });
    });
    group.finish();
}

/// So many outcomes in one durable transaction, on the disk of the temporary directory.
fn commits(criterion: &mut Criterion) {
    let settled = settled();
    let closed: Vec<_> = settled
        .into_iter()
        .map(|(order, receipt)| {
            let outcome = Outcome::Decided(Box::new(receipt));
            Change::Close(ClosedRecord { order: order.into_signed(), memo: None, outcome })
        })
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(&directory.path().join("wallet.redb")).expect("opened");
    let mut group = criterion.benchmark_group("commit");
    for steps in STEPS {
        group.throughput(Throughput::Elements(steps as u64));
        group.bench_function(format!("{steps} outcomes"), |bencher| {
            bencher.iter_batched(
                || &closed[..steps],
                |changes| store.write(changes).expect("written"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, receipts, commits);
criterion_main!(benches);
