//! What the person in front of a client does: pays, looks, changes the key, leaves and comes back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use actors::messages::{
    ComeOnline, OpenAccount, PayError, PayQuote, PaymentState, QuotePayment, ReadOverview,
    ReadOwnHistory, ReadPayments, ReadReceipt, RotateKey, SayGoodbye, Start, TrustPeer,
};
use actors::secure_wallet::SecureWallet;
use tokio::time::sleep;
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::{Amount, Username};

use super::client::Identity;
use super::world::{Ending, PEOPLE, World, p2p_port};
use crate::random::Random;

/// How long somebody waits before they try again what has failed.
const AGAIN: Duration = Duration::from_secs(1);

/// More payments than a run has.
const ALL: usize = 100_000;

/// Lives on until the client crashes.
pub(super) async fn live(
    world: Rc<World>,
    who: usize,
    wallet: Addr<SecureWallet>,
    identity: Identity,
    seed: [u8; 32],
) {
    let seed = seed.chunks_exact(8).fold(0_u64, |all, part| {
        let part = part.try_into().map_or(0, u64::from_le_bytes);
        all.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part
    });
    let person = Rc::new(Person { world, who, wallet, identity, paying: Cell::new(0) });
    let mut random = Random::new(seed);
    person.come().await;
    while !person.world.is_calm() {
        person.act(&mut random).await;
        sleep(Duration::from_millis(10 + random.below(1500))).await;
    }
    person.end().await;
    std::future::pending::<()>().await;
}

struct Person {
    world: Rc<World>,
    who: usize,
    wallet: Addr<SecureWallet>,
    identity: Identity,
    /// Payments that are being made.
    paying: Cell<usize>,
}

impl Person {
    /// Comes online, with an account that may have to be opened first.
    async fn come(&self) {
        loop {
            match self.start().await {
                Ok(true) => break,
                Ok(false) => {
                    let opened = self.ask(OpenAccount(self.world.name(self.who))).await;
                    self.note("opens an account", &opened.map(|own| own.balance));
                }
                Err(error) => self.note("starts", &Err::<(), _>(error)),
            }
            sleep(AGAIN).await;
        }
        self.come_online().await;
    }

    /// Whether there is an account.
    async fn start(&self) -> Result<bool, PayError> {
        let started = self.ask(Start).await?;
        self.take_key(&started.key);
        for payment in &started.payments {
            self.world.hear_payment(self.who, payment);
        }
        Ok(started.account.is_some())
    }

    async fn come_online(&self) {
        loop {
            let online = self.ask(ComeOnline(Some(p2p_port()))).await;
            let done = online.is_ok();
            self.note("comes online", &online.map(|own| own.balance));
            if done {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    async fn act(self: &Rc<Self>, random: &mut Random) {
        match random.below(20) {
            0..13 => self.begin_payment(random),
            13 => {
                let overview = self.ask(ReadOverview).await;
                self.note("looks around", &overview.map(|overview| overview.account.balance));
            }
            14 => {
                let page = self.ask(ReadOwnHistory { before: None, limit: 20 }).await;
                self.note("reads its history", &page.map(|page| page.items.len()));
            }
            15 | 16 => self.read_receipt(random).await,
            17 => self.rotate_key().await,
            18 => {
                let goodbye = self.ask(SayGoodbye).await;
                self.note("says goodbye", &goodbye);
                sleep(Duration::from_millis(random.below(4000))).await;
                self.come_online().await;
            }
            _ => sleep(Duration::from_millis(random.below(3000))).await,
        }
    }

    fn begin_payment(self: &Rc<Self>, random: &mut Random) {
        let step = 1 + usize::try_from(random.below(PEOPLE as u64 - 1)).expect("there are few");
        let payee = match random.below(8) {
            // Who has no key cannot take an order: it goes to the server.
            0 => self.world.texts.name(PEOPLE),
            _ => self.world.name((self.who + step) % PEOPLE),
        };
        let amount = Amount::new(1 + random.below(400));
        let memo = (random.below(2) == 0).then(|| format!("for {amount} reasons"));
        let doubt = Duration::from_millis(random.below(300));
        let person = Rc::clone(self);
        self.paying.update(|paying| paying + 1);
        actix::spawn(async move {
            person.pay(payee, amount, memo, doubt).await;
            person.paying.update(|paying| paying - 1);
        });
    }

    async fn pay(&self, payee: Username, amount: Amount, memo: Option<String>, doubt: Duration) {
        let what = format!("wants to pay {payee} {amount}");
        let quote = match self.ask(QuotePayment { payee: payee.clone(), amount, memo }).await {
            Ok(quote) => quote,
            Err(PayError::PayeeKeyChanged { found: key, .. }) => {
                let trusted = self.ask(TrustPeer { name: payee, key }).await;
                return self.note("trusts another key", &trusted);
            }
            Err(error) => return self.note(&what, &Err::<(), _>(error)),
        };
        sleep(doubt).await;
        match self.ask(PayQuote(quote)).await {
            Ok(payment) => self.world.hear_payment(self.who, &payment),
            Err(error) => self.note(&what, &Err::<(), _>(error)),
        }
    }

    /// Pays something for the last time: whatever has happened, that must be possible again.
    async fn pay_at_last(&self) {
        let payee = self.world.name((self.who + 1) % PEOPLE);
        let paid = || self.world.count_paid(self.who);
        let before = paid();
        // Who has nothing left cannot.
        while paid() == before && self.holds_something().await {
            self.pay(payee.clone(), Amount::new(1), None, Duration::ZERO).await;
            sleep(AGAIN).await;
        }
    }

    async fn holds_something(&self) -> bool {
        let overview = self.ask(ReadOverview).await;
        overview.map_or(true, |overview| overview.account.balance > Amount::ZERO)
    }

    async fn read_receipt(&self, random: &mut Random) {
        let seen = self.world.seen(self.who);
        let Some(choice) = random.below(u64::MAX).checked_rem(seen.len() as u64) else { return };
        let choice = usize::try_from(choice).expect("fewer than there are");
        let Some((id, state)) = seen.into_iter().nth(choice) else { return };
        let receipt = self.wallet.send(ReadReceipt(id)).await.expect("the wallet lives");
        let found = receipt.is_some();
        self.world.note(self.who, &format!("reads the receipt of {id}: {found}"));
        if !found && state == PaymentState::Paid {
            self.world.violate(format!("there is no receipt for order {id}, which is paid"));
        }
        if let Some(receipt) = receipt {
            self.world.hear_receipt(receipt);
        }
    }

    async fn rotate_key(&self) {
        let next = self.world.next_key(self.who);
        let rotated = self.ask(RotateKey(next)).await;
        if let Ok(rotated) = &rotated {
            self.take_key(&rotated.key);
            for payment in &rotated.dead {
                self.world.hear_payment(self.who, payment);
            }
        }
        self.note("changes its key", &rotated.map(|rotated| rotated.key));
    }

    fn take_key(&self, key: &wire::PublicKey) {
        if let Some(signer) = self.world.promote(self.who, key) {
            self.identity.set(signer);
        }
    }

    /// Waits until nothing is open, for this person and for all others, and looks at what has come of it.
    async fn end(&self) {
        self.pay_at_last().await;
        while !self.has_nothing_open().await {
            sleep(AGAIN).await;
        }
        self.world.is_quiet(self.who);
        while !self.world.all_quiet() {
            sleep(AGAIN).await;
        }
        loop {
            match self.look().await {
                Ok(ending) => return self.world.end(self.who, ending),
                Err(error) => self.note("looks at the end", &Err::<(), _>(error)),
            }
            sleep(AGAIN).await;
        }
    }

    async fn has_nothing_open(&self) -> bool {
        let payments = self.wallet.send(ReadPayments { limit: ALL }).await;
        let payments = payments.expect("the wallet lives");
        for payment in &payments {
            let known = self.world.seen(self.who).get(&payment.id) == Some(&payment.state);
            if !known && payment.state != PaymentState::Open {
                self.world.hear_payment(self.who, payment);
            }
        }
        let open = payments.iter().any(|payment| payment.state == PaymentState::Open);
        !open && self.paying.get() == 0
    }

    async fn look(&self) -> Result<Ending, PayError> {
        let balance = self.ask(ReadOverview).await?.account.balance;
        let mut history = Vec::new();
        let mut before = None;
        loop {
            let page = self.ask(ReadOwnHistory { before, limit: PAGE_ITEMS_MAX }).await?;
            before = page.items.last().map(|item| item.number);
            history.extend(page.items);
            if !page.more {
                return Ok(Ending { balance, history });
            }
        }
    }

    /// Asks the wallet, which lives as long as the client.
    async fn ask<M, T>(&self, message: M) -> Result<T, PayError>
    where
        M: actix::Message<Result = Result<T, PayError>> + Send + 'static,
        T: Send + 'static,
        SecureWallet: actix::Handler<M>,
    {
        self.wallet.send(message).await.expect("the wallet lives")
    }

    fn note<T: std::fmt::Debug>(&self, what: &str, result: &Result<T, PayError>) {
        let result = match result {
            Ok(done) => format!("{done:?}"),
            Err(error) => error.to_string(),
        };
        self.world.note(self.who, &format!("{what}: {result}"));
    }
}
