//! What checking the signatures of orders costs: one by one, and in batches of orders of one payer and of
//! a thousand.
//!
//! `cargo bench -p wire --bench verify`

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros; nobody handles errors here"
)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::SigningKey;
use wire::{Amount, Order, OrderId, PublicKey, SignedOrder, Timestamp, signature};

const BATCHES: [u32; 7] = [1, 4, 16, 64, 256, 1024, 4096];

fn key(number: u32) -> SigningKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

/// Orders of so many payers, each of another one than the last.
fn orders(count: u32, payers: u32) -> Vec<SignedOrder> {
    let keys: Vec<_> = (0..payers).map(key).collect();
    let not_after = Timestamp::new(1_790_000_000_000);
    let order = |number: u32| {
        let payer = number % payers;
        let key = &keys[payer as usize];
        let mut random = [0; 10];
        random[..4].copy_from_slice(&number.to_le_bytes());
        let order = Order {
            version: 1,
            server: PublicKey::new([5; 32]),
            id: OrderId::new(not_after, random),
            payer: format!("payer{payer}").parse().unwrap(),
            payer_key: signature::public_key(key),
            payee: "payee".parse().unwrap(),
            payee_key: Some(PublicKey::new([6; 32])),
            amount: Amount::new(1),
            not_after,
            memo_hash: [3; 32],
        };
        order.sign(key)
    };
    (0..count).map(order).collect()
}

fn sign_and_verify_one(c: &mut Criterion) {
    let order = orders(1, 1).remove(0);
    let key = key(0);
    c.bench_function("sign an order", |b| {
        b.iter_batched(|| order.order.clone(), |order| order.sign(&key), BatchSize::SmallInput);
    });
    c.bench_function("verify an order", |b| {
        b.iter_batched(|| order.clone(), SignedOrder::verify, BatchSize::SmallInput);
    });
}

fn verify_batches(c: &mut Criterion) {
    for payers in [1, 1000] {
        let mut group = c.benchmark_group(format!("verify a batch of orders of {payers} payers"));
        for count in BATCHES {
            let orders = orders(count, payers);
            group.throughput(Throughput::Elements(count.into()));
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter_batched(
                    || orders.clone(),
                    |orders| black_box(SignedOrder::verify_all(orders, rand::rng())),
                    BatchSize::LargeInput,
                );
            });
        }
    }
}

criterion_group!(benches, sign_and_verify_one, verify_batches);
criterion_main!(benches);
