//! Payments of this wallet's: quotes and new orders.

use actix::prelude::*;
use rand::RngExt as _;
use slog::{info, warn};
use wire::order::{MEMO_BYTES_MAX, NO_MEMO, ORDER_VERSION};
use wire::secure::{AccountInfo, Answer, Call};
use wire::{
    Amount, Memo, Order, OrderId, PublicKey, SignedOrder, Timestamp, Username, VerifiedOrder,
};

use super::asking::expect;
use super::connection::{self, ServerClock};
use super::driving::{HandOver, Paying, Waiting, outcomes};
use super::keeping::Keeping;
use super::payment::{Happened, NONSENSE};
use super::store::{Change, KnownPeer, StoreError};
use super::{OPEN_PAYMENTS_MAX, ORDER_VALIDITY, Reply, SecureWallet, ask};
use crate::messages::{
    CallError, MemoFate, PayError, PayQuote, Payment, Quote, QuotePayment, Trust,
};

impl Handler<QuotePayment> for SecureWallet {
    type Result = Reply<Result<Quote, PayError>>;

    fn handle(&mut self, wanted: QuotePayment, ctx: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.check_terms(wanted.amount, wanted.memo.as_deref()) {
            return Box::pin(async { Err(error) }.into_actor(self));
        }
        let find = Call::FindAccount { name: wanted.payee.clone() };
        let payee = wanted.payee.clone();
        let asked = self.connected(ctx).then(move |link, wallet, _| {
            let own = wallet.check_payee(&payee);
            async move {
                let link = link?;
                own?;
                Ok(tokio::join!(ask(&link, find), ask(&link, Call::ReadBalance)))
            }
            .into_actor(wallet)
        });
        Box::pin(asked.map(|asked: Result<_, PayError>, wallet, _| {
            let (found, balance) = asked?;
            wallet.quote(wanted, found, balance)
        }))
    }
}

impl Handler<PayQuote> for SecureWallet {
    type Result = Reply<Result<Payment, PayError>>;

    fn handle(&mut self, PayQuote(quote): PayQuote, ctx: &mut Self::Context) -> Self::Result {
        let drafted = self.connected(ctx).then(|link, wallet, _| {
            let drafted = link.and_then(|_| wallet.draft(quote));
            let drafted = drafted.map(|paying| (wallet.write_order(&paying), paying));
            async {
                let (written, paying) = drafted?;
                Ok((written.await, paying))
            }
            .into_actor(wallet)
        });
        let begun = drafted.map(|drafted: Result<_, PayError>, wallet, ctx| {
            let (written, paying) = drafted?;
            wallet.begin(written, paying, ctx)
        });
        Box::pin(begun.then(|begun, wallet, _| {
            async {
                let open = begun?;
                let payment = open.payment.clone();
                Ok(outcomes(vec![open]).await.pop().unwrap_or(payment))
            }
            .into_actor(wallet)
        }))
    }
}

impl SecureWallet {
    fn quote(
        &mut self,
        wanted: QuotePayment,
        found: Result<Answer, CallError>,
        balance: Result<Answer, CallError>,
    ) -> Result<Quote, PayError> {
        let QuotePayment { payee: name, amount, memo } = wanted;
        let found = expect(found, |answer| match answer {
            Answer::Account(found) => Some(found),
            _ => None,
        })?;
        let (balance, now) = expect(balance, |answer| match answer {
            Answer::Balance { amount, now } => Some((amount, now)),
            _ => None,
        })?;
        self.clock = Some(ServerClock::heard(now));
        let payee = found.ok_or_else(|| PayError::UnknownPayee(name.clone()))?;
        if payee.name != name {
            return Err(PayError::ServerSilent(NONSENSE.to_owned()));
        }
        let trust = self.trust(&payee)?;
        if balance < amount {
            return Err(PayError::InsufficientBalance { balance, amount });
        }
        Ok(Quote { payee, trust, amount, memo })
    }

    /// What is known of the payee's key. One that has changed, or is gone, is a stop: somebody may be in
    /// between.
    fn trust(&self, payee: &AccountInfo) -> Result<Trust, PayError> {
        let server = self.server.ok_or_else(connection::lost)?;
        let known = self.store.peer(&server, &payee.name)?;
        match (known, payee.key) {
            (None, None) => Ok(Trust::NoKey),
            (None, Some(_)) => Ok(Trust::New),
            (Some(known), Some(key)) if known.key == key => Ok(Trust::Known),
            (Some(KnownPeer { key: known, .. }), Some(found)) => {
                Err(PayError::PayeeKeyChanged { payee: payee.name.clone(), known, found })
            }
            (Some(KnownPeer { key: known, .. }), None) => {
                Err(PayError::PayeeKeyGone { payee: payee.name.clone(), known })
            }
        }
    }

    fn check_terms(&self, amount: Amount, memo: Option<&str>) -> Result<(), PayError> {
        if self.rotating {
            let key = self.next.as_ref().unwrap_or(&self.signer).public_key();
            return Err(PayError::RotationPending(key));
        }
        if amount.is_zero() {
            return Err(PayError::NothingToPay);
        }
        if memo.is_some_and(|memo| memo.len() > MEMO_BYTES_MAX) {
            return Err(PayError::MemoTooLong);
        }
        Ok(())
    }

    fn check_payee(&self, payee: &Username) -> Result<(), PayError> {
        if self.account()?.name == *payee { Err(PayError::PayingOneself) } else { Ok(()) }
    }

    /// Signs the order. It is to be written down before anybody else sees it.
    fn draft(&mut self, quote: Quote) -> Result<Paying, PayError> {
        let Quote { payee, amount, memo, .. } = quote;
        // Whoever pays has thought about it for a while, and may have made the quote up.
        self.check_terms(amount, memo.as_deref())?;
        self.check_payee(&payee.name)?;
        let trust = self.trust(&payee)?;
        if self.payments.len() + self.beginning >= OPEN_PAYMENTS_MAX {
            return Err(PayError::TooManyOpen);
        }
        let server = self.server.ok_or_else(connection::lost)?;
        let now = self.clock.ok_or_else(connection::lost)?.now();
        let memo = memo.map(|text| Memo { salt: self.random.random(), text });
        let order = self.sign(server, now, &payee, amount, memo.as_ref())?;
        if let (Trust::New, Some(key)) = (trust, payee.key) {
            // At once: another quote, with another key, may be the next to be paid.
            let peer = KnownPeer { key, since: now };
            let change = Change::Trust { server, name: payee.name.clone(), peer };
            self.store.write(&[change]).map_err(not_written)?;
        }
        let mut paying = Paying::new(order, memo.as_ref().map(|memo| memo.text.clone()));
        let hand_over = payee.key.zip(payee.address);
        paying.hand_over =
            hand_over.map(|(payee_key, address)| HandOver { address, payee_key, memo });
        Ok(paying)
    }

    /// Writes the order to the outbox. [`SecureWallet::begin`] is to hear what came of it.
    fn write_order(
        &mut self,
        paying: &Paying,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        self.beginning += 1;
        self.commits.write(vec![Change::Open(paying.record())])
    }

    /// Lets the order out, if it stands in the outbox.
    fn begin(
        &mut self,
        written: Result<(), StoreError>,
        mut paying: Paying,
        ctx: &mut Context<Self>,
    ) -> Result<Waiting, PayError> {
        self.beginning -= 1;
        written.map_err(not_written)?;
        let signed = paying.record().order;
        let order = &signed.order;
        let id = order.id;
        info!(self.log, "paying"; "order" => %id, "payee" => %order.payee,
            "amount" => %order.amount);
        // An order by a key that was changed meanwhile is the server's to refuse.
        let deliver = paying.hand_over.is_some() && paying.is_signed_by(&self.signer.public_key());
        if !deliver {
            paying.miss_memo(MemoFate::Lost);
        }
        let waiting = paying.wait();
        self.payments.insert(id, paying);
        self.watch_open(ctx);
        self.feed(id, Happened::Begun { deliver }, ctx);
        Ok(waiting)
    }

    fn sign(
        &mut self,
        server: PublicKey,
        now: Timestamp,
        payee: &AccountInfo,
        amount: Amount,
        memo: Option<&Memo>,
    ) -> Result<VerifiedOrder, PayError> {
        let validity = ORDER_VALIDITY.min(self.order_validity_max).as_millis();
        let validity = u64::try_from(validity).unwrap_or(u64::MAX);
        let not_after = Timestamp::new(now.get().saturating_add(validity));
        let order = Order {
            version: ORDER_VERSION,
            server,
            id: OrderId::new(not_after, self.random.random()),
            payer: self.account()?.name.clone(),
            payer_key: self.signer.public_key(),
            payee: payee.name.clone(),
            payee_key: payee.key,
            amount,
            not_after,
            memo_hash: memo.map_or(NO_MEMO, Memo::hash),
        };
        Ok(order.sign_as_payer(self.signer.sealing_key()))
    }

    /// Takes up the orders that the server has kept and this store does not know: the wallet was restored.
    pub(super) fn adopt(
        &mut self,
        kept: Result<Answer, CallError>,
        ctx: &mut Context<Self>,
    ) -> Result<(), PayError> {
        let orders = match kept {
            Ok(Answer::OpenOrders(orders)) => orders,
            other => {
                warn!(self.log, "kept orders cannot be read"; "answer" => ?other);
                return Ok(());
            }
        };
        let room = OPEN_PAYMENTS_MAX.saturating_sub(self.payments.len());
        let mut adopted = Vec::new();
        for order in orders.into_iter().take(room) {
            if let Some(order) = self.new_own_order(order)? {
                let mut paying = Paying::new(order, None);
                paying.keeping = Keeping::Done;
                adopted.push(paying);
            }
        }
        let changes: Vec<_> = adopted.iter().map(|paying| Change::Open(paying.record())).collect();
        if !changes.is_empty() {
            self.store.write(&changes)?;
        }
        let ids: Vec<_> = adopted.iter().map(|paying| paying.record().order.order.id).collect();
        for (id, paying) in ids.iter().zip(adopted) {
            info!(self.log, "an order of ours was kept at the server"; "order" => %id);
            self.payments.insert(*id, paying);
        }
        self.feed_all(ids.into_iter().map(|id| (id, Happened::Connected)).collect(), ctx);
        Ok(())
    }

    /// This order, if this wallet's key has signed it and the store does not know it.
    fn new_own_order(&self, signed: SignedOrder) -> Result<Option<VerifiedOrder>, PayError> {
        let order = &signed.order;
        let own = Some(order.server) == self.server
            && order.payer_key == self.signer.public_key()
            && self.account.as_ref().is_some_and(|account| account.name == order.payer)
            && !self.payments.contains_key(&order.id);
        if !own || self.store.find_closed(&order.server, order.id)?.is_some() {
            return Ok(None);
        }
        Ok(signed.verify().ok())
    }
}

fn not_written(error: StoreError) -> PayError {
    match error {
        StoreError::Unsure(reason) => PayError::StoreUnsure(reason),
        error => PayError::Store(error.to_string()),
    }
}
