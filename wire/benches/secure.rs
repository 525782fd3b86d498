//! What the frames of the secure protocol cost: calls with signed orders, answers with their receipts; and
//! payments by the text protocol's rules, of which each is a call.
//!
//! `cargo bench -p wire --bench secure`

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros; nobody handles errors here"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_zebra::SigningKey;
use wire::batch::{BatchHeader, Seal};
use wire::merkle::{self, MerkleTree};
use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::secure::{Answer, Call, Correlation, OrderAnswer, Request, Response, ServerFrame, frame};
use wire::text::TextPayment;
use wire::{
    AccountId, Amount, Authority, BatchNumber, Entry, EntryNumber, Order, OrderId, PublicKey,
    Receipt, Signature, SignedOrder, Timestamp,
};

/// A batch in which so many orders are settled: each receipt has a path of twelve hashes.
const BATCH_ENTRIES: u32 = 4096;

fn orders() -> Vec<SignedOrder> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let not_after = Timestamp::new(1_790_000_000_000);
    let order = Order {
        version: 1,
        server: PublicKey::new([5; 32]),
        id: OrderId::new(not_after, [9; 10]),
        payer: "payer123".parse().unwrap(),
        payer_key: PublicKey::new([8; 32]),
        payee: "payee".parse().unwrap(),
        payee_key: Some(PublicKey::new([6; 32])),
        amount: Amount::new(1),
        not_after,
        memo_hash: [3; 32],
    };
    vec![order.sign(&key); ORDERS_PER_CALL_MAX]
}

fn entry(order: SignedOrder) -> Entry {
    let (payer, payee) = (AccountId::new(1), AccountId::new(2));
    let amount = order.order.amount;
    Entry::Transferred { payer, payee, amount, authority: Authority::Order(Box::new(order)) }
}

fn receipts() -> Vec<OrderAnswer> {
    let tree =
        MerkleTree::new((0..BATCH_ENTRIES).map(|n| merkle::leaf(&n.to_le_bytes())).collect());
    let header = BatchHeader {
        entry_count: BATCH_ENTRIES,
        batch: BatchNumber::new(1),
        first_entry: EntryNumber::new(0),
        time: Timestamp::new(1_790_000_000_000),
        byte_len: BATCH_ENTRIES * 350,
        entries_checksum: 0,
        previous_head: [0; 32],
        seal: Some(Seal { merkle_root: tree.root(), signature: Signature::new([1; 64]) }),
    };
    let receipt = |(order, index)| {
        let path = tree.path(index).expect("a leaf");
        let receipt = Box::new(Receipt::new(&header, index, path, entry(order)));
        OrderAnswer::Decided { replayed: false, receipt }
    };
    orders().into_iter().zip(0..).map(receipt).collect()
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frames");
    group.throughput(Throughput::Elements(ORDERS_PER_CALL_MAX as u64));
    let call =
        Request { correlation: Correlation(1), call: Call::SubmitOrders { orders: orders() } };
    let answer = ServerFrame::Response(Response {
        correlation: Correlation(1),
        result: Ok(Answer::Orders(receipts())),
    });
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    frame::encode(&call, &mut asked);
    frame::encode(&answer, &mut answered);
    let mut bytes = Vec::new();
    group.bench_function("encode a call with orders", |b| {
        b.iter(|| {
            bytes.clear();
            frame::encode(black_box(&call), &mut bytes);
        });
    });
    group.bench_function("decode a call with orders", |b| {
        b.iter(|| frame::decode::<Request>(&asked[frame::LENGTH_BYTES..]).unwrap());
    });
    group.bench_function("encode an answer with receipts", |b| {
        b.iter(|| {
            bytes.clear();
            frame::encode(black_box(&answer), &mut bytes);
        });
    });
    group.bench_function("decode an answer with receipts", |b| {
        b.iter(|| frame::decode::<ServerFrame>(&answered[frame::LENGTH_BYTES..]).unwrap());
    });
    group.finish();
}

fn text_payment(c: &mut Criterion) {
    let mut group = c.benchmark_group("frames");
    group.throughput(Throughput::Elements(1));
    let payment = TextPayment {
        payer: "payer123".parse().unwrap(),
        amount: Amount::new(1),
        payee: "payee".parse().unwrap(),
    };
    let call = Request { correlation: Correlation(1), call: Call::SubmitText { payment } };
    let mut asked = Vec::new();
    frame::encode(&call, &mut asked);
    let mut bytes = Vec::new();
    group.bench_function("encode a payment by text", |b| {
        b.iter(|| {
            bytes.clear();
            frame::encode(black_box(&call), &mut bytes);
        });
    });
    group.bench_function("decode a payment by text", |b| {
        b.iter(|| frame::decode::<Request>(&asked[frame::LENGTH_BYTES..]).unwrap());
    });
    group.finish();
}

criterion_group!(benches, frames, text_payment);
criterion_main!(benches);
