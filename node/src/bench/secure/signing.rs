//! Payers who sign orders ahead, so that the server is what is measured and not they.

use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_zebra::SigningKey;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::public_key;
use wire::{Amount, Order, OrderId, PublicKey, SignedOrder, Timestamp, Username};

use crate::bench::error::BenchError;
use crate::bench::load::Watch;

/// How long an order is valid: longer than a run takes, shorter than what the server takes at most.
const VALIDITY_MS: u64 = 2 * 60 * 60 * 1000;
/// How many valid orders of one payer the server remembers; it takes no more.
const ORDERS_PER_PAYER_MAX: u64 = 1 << 16;
/// Orders between two looks at whether somebody still waits for them.
const LOOK_EVERY: u64 = 256;

/// Somebody with a key.
#[derive(Clone)]
pub(in crate::bench) struct Person {
    pub(in crate::bench) name: Username,
    pub(in crate::bench) key: SigningKey,
}

impl Person {
    /// Somebody new.
    pub(in crate::bench) fn new(name: &str) -> Result<Self, BenchError> {
        let name = name.parse().expect("the names of a run are valid");
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| BenchError::Panic(error.to_string()))?;
        Ok(Self { name, key: SigningKey::from_bytes(&seed) })
    }
}

/// All who pay, and whom.
pub(in crate::bench) struct Payers {
    server: PublicKey,
    persons: Vec<(Person, PublicKey)>,
    payees: Vec<(Username, PublicKey)>,
    /// How many orders were signed, by all of them.
    signed: u64,
}

impl Payers {
    /// Payers of a server, and those whom they pay.
    pub(in crate::bench) fn new(server: PublicKey, payers: Vec<Person>, payees: &[Person]) -> Self {
        let with_key = |person: Person| {
            let key = public_key(&person.key);
            (person, key)
        };
        Self {
            server,
            persons: payers.into_iter().map(with_key).collect(),
            payees: payees
                .iter()
                .map(|payee| (payee.name.clone(), public_key(&payee.key)))
                .collect(),
            signed: 0,
        }
    }

    /// So many orders, as far as the server would remember them, shared among the payees; the payers in
    /// turns. All cores sign.
    pub(in crate::bench) fn sign(
        &mut self,
        orders: f64,
        watch: &Watch,
    ) -> Result<Vec<Vec<SignedOrder>>, BenchError> {
        let payees = self.payees.len() as u64;
        let most = ORDERS_PER_PAYER_MAX * self.persons.len() as u64;
        let for_each = whole(orders).div_ceil(payees).min((most - self.signed) / payees);
        if self.signed + payees > most {
            return Err(BenchError::TooManyOrders);
        }
        let first = self.signed;
        self.signed += for_each * payees;
        let cores = thread::available_parallelism().map_or(1, Into::into);
        let together = self.payees.len().div_ceil(cores);
        let this = &*self;
        let parts: Vec<_> = thread::scope(|scope| {
            let sign = |(first, payees)| {
                scope.spawn(move || this.sign_part(first, payees, for_each, watch))
            };
            let orders_together = together * usize::try_from(for_each).unwrap_or(1);
            let firsts = (first..).step_by(orders_together.max(1));
            let parts: Vec<_> = firsts.zip(this.payees.chunks(together)).map(sign).collect();
            parts.into_iter().map(|part| part.join().expect("signing does not panic")).collect()
        });
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The orders for some payees, numbered from `first`.
    fn sign_part(
        &self,
        first: u64,
        payees: &[(Username, PublicKey)],
        for_each: u64,
        watch: &Watch,
    ) -> Result<Vec<Vec<SignedOrder>>, BenchError> {
        let not_after = Timestamp::new(now_ms() + VALIDITY_MS);
        let mut numbers = first..;
        let mut parts = Vec::new();
        for payee in payees {
            let mut orders = Vec::new();
            for number in numbers.by_ref().take(usize::try_from(for_each).unwrap_or(usize::MAX)) {
                if number % LOOK_EVERY == 0 {
                    watch.add(LOOK_EVERY);
                    if watch.is_stopped() {
                        return Err(BenchError::Interrupted);
                    }
                }
                orders.push(self.order(number, payee, not_after));
            }
            parts.push(orders);
        }
        Ok(parts)
    }

    fn order(
        &self,
        number: u64,
        payee: &(Username, PublicKey),
        not_after: Timestamp,
    ) -> SignedOrder {
        let payers = self.persons.len() as u64;
        let payer = usize::try_from(number % payers).expect("it numbers a payer");
        let (payer, payer_key) = &self.persons[payer];
        // Each number is used once, so no two ids of a payer are the same.
        let mut unique = [0; 10];
        unique[..8].copy_from_slice(&number.to_le_bytes());
        let order = Order {
            version: ORDER_VERSION,
            server: self.server,
            id: OrderId::new(not_after, unique),
            payer: payer.name.clone(),
            payer_key: *payer_key,
            payee: payee.0.clone(),
            payee_key: Some(payee.1),
            amount: Amount::new(1),
            not_after,
            memo_hash: NO_MEMO,
        };
        order.sign(&payer.key)
    }
}

/// A number of orders, which is never so large that it is not exact.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` keeps to the bounds"
)]
const fn whole(orders: f64) -> u64 {
    orders as u64
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
