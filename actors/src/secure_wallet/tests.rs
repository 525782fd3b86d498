//! The wallet among mocked neighbours, in [`world`].

mod busy;
mod crash;
mod keeping;
mod neighbours;
mod paying;
mod peers;
mod receipts;
mod receiving;
mod rotation;
mod time;
mod told;
pub(super) mod world;

use std::sync::Arc;

use wire::Amount;

use self::world::{Client, World, alice, name};
use super::store::RedbStore;
use crate::messages::{
    ComeOnline, PayError, PayQuote, Payment, PaymentState, Quote, QuotePayment, ReadPayments,
    Start, Started,
};

fn store() -> Arc<RedbStore> {
    Arc::new(RedbStore::in_memory().expect("memory"))
}

/// alice's wallet over a new store, started and logged in.
async fn alice_online(world: &World) -> Client {
    let client = world.client(alice(), None, &store());
    client.start().await.expect("the server is there");
    client.wallet.send(ComeOnline(None)).await.expect("the wallet answers").expect("logged in");
    client
}

/// How many calls of this kind the server has had.
fn calls(world: &World, kind: &str) -> usize {
    let calls = &world.lock().calls;
    calls.iter().filter(|call| format!("{call:?}").starts_with(kind)).count()
}

impl Client {
    async fn start(&self) -> Result<Started, PayError> {
        self.wallet.send(Start).await.expect("the wallet answers")
    }

    async fn quote(&self, payee: &str, amount: u64) -> Result<Quote, PayError> {
        let memo = Some("lunch".to_owned());
        let quote = QuotePayment { payee: name(payee), amount: Amount::new(amount), memo };
        self.wallet.send(quote).await.expect("the wallet answers")
    }

    async fn pay(&self, payee: &str, amount: u64) -> Result<Payment, PayError> {
        let quote = self.quote(payee, amount).await?;
        self.wallet.send(PayQuote(quote)).await.expect("the wallet answers")
    }

    async fn payments(&self) -> Vec<(u64, PaymentState)> {
        let payments = self.wallet.send(ReadPayments { limit: 100 }).await;
        let payments = payments.expect("the wallet answers").into_iter();
        payments.map(|payment| (payment.amount.credits(), payment.state)).collect()
    }
}
