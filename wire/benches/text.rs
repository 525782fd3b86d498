//! The text protocol's codec: requests out of a stream, replies and lists into one.
//!
//! `cargo bench -p wire --bench text`

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use wire::text::reader::{Expected, ReplyReader};
use wire::text::reply::{write_list_head, write_list_line};
use wire::text::{Dialect, Framer, Reply, TextRequest};
use wire::{Amount, P2pPort, PublicKey, Username};

/// What one read of a busy connection brings.
const REQUESTS: u64 = 1000;

const ONLINE: u32 = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    requests(&mut criterion);
    replies(&mut criterion);
    lists(&mut criterion);
    criterion.final_summary();
}

fn requests(criterion: &mut Criterion) {
    let payments = (0..REQUESTS).map(|number| format!("payer{number:07}#1#payee\n"));
    let payments = payments.collect::<Vec<String>>().concat();
    let mut group = criterion.benchmark_group("requests");
    group.throughput(Throughput::Elements(REQUESTS));
    group.bench_function("framed", |bencher| {
        bencher.iter(|| {
            let mut framer = Framer::default();
            framer.feed(black_box(payments.as_bytes()), |line| {
                black_box(line);
            })
        });
    });
    group.bench_function("framed and parsed", |bencher| {
        bencher.iter(|| {
            let mut framer = Framer::default();
            framer.feed(black_box(payments.as_bytes()), |line| {
                black_box(TextRequest::parse(line)).expect("a payment");
            })
        });
    });
    group.finish();
}

fn replies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replies");
    group.throughput(Throughput::Elements(REQUESTS));
    group.bench_function("settled", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for _ in 0..REQUESTS {
                let line = black_box(Reply::Settled).line(Dialect::Seed);
                out.extend_from_slice(line.as_bytes());
            }
            out.len()
        });
    });
    group.finish();
}

fn lists(criterion: &mut Criterion) {
    let online: Vec<_> = (0..ONLINE).map(name).collect();
    let ip = [127, 0, 0, 1].into();
    let port = P2pPort::try_from(7001).expect("a port");
    let mut group = criterion.benchmark_group("lists");
    group.throughput(Throughput::Elements(ONLINE.into()));
    group.bench_function("written", |bencher| {
        bencher.iter(|| {
            let mut lines = String::new();
            for name in &online {
                write_list_line(name, ip, port, &mut lines);
            }
            lines
        });
    });
    let mut list = Vec::new();
    let key = PublicKey::new([7; 32]);
    write_list_head(Amount::new(1000), &key, online.len(), &mut list);
    let mut lines = String::new();
    for name in &online {
        write_list_line(name, ip, port, &mut lines);
    }
    list.extend_from_slice(lines.as_bytes());
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut reader = ReplyReader::default();
            reader.expect(Expected::List);
            reader.feed(black_box(&list)).expect("a list")
        });
    });
    group.finish();
}

fn name(number: u32) -> Username {
    format!("user{number:05}").parse().expect("a valid name")
}
