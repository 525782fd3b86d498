//! What signatures take of a core: the time of this thread, which others on the machine do not change.

use std::time::Duration;

use ed25519_zebra::{SigningKey, batch};
use rustix::time::{ClockId, clock_gettime};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::{Domain, SealingKey};
use wire::{Amount, Order, OrderId, SignedOrder, Timestamp};

use crate::bench::error::BenchError;
use crate::bench::load::Watch;
use crate::bench::report::{Report, Unit};

/// Where larger batches begin to bring little, unless payers come again in them.
const BATCH: u32 = 1024;
/// As many as the server checks together at most.
const LARGEST_BATCH: u32 = 4096;
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
    /// The same for the largest batch that the server makes.
    pub(in crate::bench) verify_in_largest: Duration,
}

impl SignatureCosts {
    pub(in crate::bench) fn report(&self, report: &mut Report) {
        for (name, cost) in [
            ("sign", self.sign),
            ("verify one signature", self.verify),
            ("verify a signature of a batch", self.verify_in_batch),
            ("verify one of the largest batch", self.verify_in_largest),
        ] {
            report.figure(name, Unit::Micros, cost.as_secs_f64() * 1e6);
        }
        report.note(format!(
            "a batch is {BATCH} signatures, and the largest {LARGEST_BATCH}, as many as the server \
             checks together at most"
        ));
    }
}

/// Signs orders of so many payers, and checks them.
pub(super) fn measure(payers: u32, watch: &Watch) -> Result<SignatureCosts, BenchError> {
    let keys: Vec<SealingKey> = (0..payers.min(LARGEST_BATCH)).map(key).collect();
    let mut orders = Vec::new();
    let sign = cost(LARGEST_BATCH, watch, || {
        let sign = |(number, key)| order(number, key).sign_as_payer(key).into_signed();
        orders = (0..LARGEST_BATCH).zip(keys.iter().cycle()).map(sign).collect();
    })?;
    let some = &orders[..BATCH as usize];
    let verify = cost(BATCH, watch, || {
        let valid = some.iter().all(|SignedOrder { order, signature }| {
            signature.verify(&order.payer_key, Domain::Order, &order.to_bytes()).is_ok()
        });
        assert!(valid, "they were signed here");
    })?;
    let verify_in_batch = cost(BATCH, watch, || verify_together(some))?;
    let verify_in_largest = cost(LARGEST_BATCH, watch, || verify_together(&orders))?;
    Ok(SignatureCosts { sign, verify, verify_in_batch, verify_in_largest })
}

fn verify_together(orders: &[SignedOrder]) {
    let mut batch = batch::Verifier::new();
    for SignedOrder { order, signature } in orders {
        let bytes = order.to_bytes();
        batch.queue(signature.batch_item(&order.payer_key, Domain::Order, &bytes));
    }
    batch.verify(rand::rng()).expect("they were signed here");
}

/// The time of this thread for one of `count` signatures.
fn cost(count: u32, watch: &Watch, mut work: impl FnMut()) -> Result<Duration, BenchError> {
    let mut least = Duration::MAX;
    for _ in 0..MEASUREMENTS {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        let begin = thread_time();
        work();
        least = least.min(thread_time().saturating_sub(begin));
    }
    Ok(least / count)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("no thread has taken a negative time")
}

fn key(number: u32) -> SealingKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    SealingKey::of(&SigningKey::from_bytes(&seed))
}

fn order(number: u32, key: &SealingKey) -> Order {
    let not_after = Timestamp::new(1_800_000_000_000);
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_le_bytes());
    Order {
        version: ORDER_VERSION,
        server: key.public_key(),
        id: OrderId::new(not_after, random),
        payer: "a0000000".parse().expect("it is a name"),
        payer_key: key.public_key(),
        payee: "b0000000".parse().expect("it is a name"),
        payee_key: Some(key.public_key()),
        amount: Amount::new(1),
        not_after,
        memo_hash: NO_MEMO,
    }
}
