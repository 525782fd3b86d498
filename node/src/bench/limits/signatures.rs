//! What signatures take of a core: the time of this thread, which others on the machine do not change.

use std::time::Duration;

use ed25519_zebra::{SigningKey, batch};
use rustix::time::{ClockId, clock_gettime};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::{Domain, public_key};
use wire::{Amount, Order, OrderId, SignedOrder, Timestamp};

use crate::bench::error::BenchError;
use crate::bench::load::Watch;
use crate::bench::report::{Report, Unit};

/// As many as the server checks together at most.
const BATCH: u32 = 1024;
/// Each cost is the least of so many measurements: whatever disturbs one makes it longer.
const MEASUREMENTS: usize = 5;

/// What a signature costs.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct SignatureCosts {
    /// To make.
    pub(in crate::bench) sign: Duration,
    /// To check by itself.
    pub(in crate::bench) verify: Duration,
    /// To check together with [`BATCH`] others of as many payers as pay.
    pub(in crate::bench) verify_in_batch: Duration,
}

impl SignatureCosts {
    pub(in crate::bench) fn report(&self, report: &mut Report) {
        for (name, cost) in [
            ("sign", self.sign),
            ("verify one signature", self.verify),
            ("verify a signature of a batch", self.verify_in_batch),
        ] {
            report.figure(name, Unit::Micros, cost.as_secs_f64() * 1e6);
        }
    }
}

/// Signs orders of so many payers, and checks them.
pub(super) fn measure(payers: u32, watch: &Watch) -> Result<SignatureCosts, BenchError> {
    let keys: Vec<SigningKey> = (0..payers.min(BATCH)).map(key).collect();
    let mut orders = Vec::new();
    let sign = cost(watch, || {
        let sign = |(number, key)| order(number, key).sign(key);
        orders = (0..BATCH).zip(keys.iter().cycle()).map(sign).collect();
    })?;
    let verify = cost(watch, || {
        let valid = orders.iter().all(|SignedOrder { order, signature }| {
            signature.verify(&order.payer_key, Domain::Order, &order.to_bytes()).is_ok()
        });
        assert!(valid, "they were signed here");
    })?;
    let verify_in_batch = cost(watch, || {
        let mut batch = batch::Verifier::new();
        for SignedOrder { order, signature } in &orders {
            let bytes = order.to_bytes();
            batch.queue(signature.batch_item(&order.payer_key, Domain::Order, &bytes));
        }
        batch.verify(rand::rng()).expect("they were signed here");
    })?;
    Ok(SignatureCosts { sign, verify, verify_in_batch })
}

/// The time of this thread for one of [`BATCH`] signatures.
fn cost(watch: &Watch, mut work: impl FnMut()) -> Result<Duration, BenchError> {
    let mut least = Duration::MAX;
    for _ in 0..MEASUREMENTS {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        let begin = thread_time();
        work();
        least = least.min(thread_time().saturating_sub(begin));
    }
    Ok(least / BATCH)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("no thread has taken a negative time")
}

fn key(number: u32) -> SigningKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

fn order(number: u32, key: &SigningKey) -> Order {
    let not_after = Timestamp::new(1_800_000_000_000);
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_le_bytes());
    Order {
        version: ORDER_VERSION,
        server: public_key(key),
        id: OrderId::new(not_after, random),
        payer: "a0000000".parse().expect("it is a name"),
        payer_key: public_key(key),
        payee: "b0000000".parse().expect("it is a name"),
        payee_key: Some(public_key(key)),
        amount: Amount::new(1),
        not_after,
        memo_hash: NO_MEMO,
    }
}
