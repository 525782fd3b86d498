//! Doing what [`PaymentMachine`] says, and telling it what came of it.

use std::net::SocketAddr;

use actix::prelude::*;
use slog::{info, warn};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wire::secure::{Answer, Call, OrderAnswer, OrderRef};
use wire::signature::InvalidSignature;
use wire::{Memo, OrderId, PublicKey, VerifiedOrder};

use super::connection::ServerClock;
use super::keeping::Keeping;
use super::payment::{Action, Asked, Happened, PaymentMachine};
use super::store::{Change, ClosedRecord, OutboxRecord, Outcome, StoreError};
use super::{PATIENCE, Reply, SecureWallet, ask};
use crate::messages::{CallError, Deliver, DeliverError, MemoFate, Payment, WalletNews};

/// One payment that is open.
#[derive(Debug)]
pub(super) struct Paying {
    machine: PaymentMachine,
    memo: Option<String>,
    /// How the payee is reached, if it is to be.
    pub(super) hand_over: Option<HandOver>,
    /// Who waits for the outcome.
    waiting: Vec<oneshot::Sender<Payment>>,
    retry: Option<SpawnHandle>,
    /// Its outcome is being written down.
    closing: bool,
    /// Whether the server is asked to keep the order.
    pub(super) keeping: Keeping,
    /// What is known of whether the payee was told the memo.
    memo_fate: MemoFate,
}

#[derive(Debug)]
pub(super) struct HandOver {
    pub(super) address: SocketAddr,
    pub(super) payee_key: PublicKey,
    pub(super) memo: Option<Memo>,
}

/// Somebody waits for what becomes of a payment.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What is known now.
    pub(super) payment: Payment,
    outcome: Option<oneshot::Receiver<Payment>>,
}

impl Waiting {
    /// Nobody will say more.
    pub(super) const fn unheard(payment: Payment) -> Self {
        Self { payment, outcome: None }
    }
}

/// What becomes of these, or what is known when the patience is over.
pub(super) async fn outcomes(waiting: Vec<Waiting>) -> Vec<Payment> {
    let deadline = Instant::now() + PATIENCE;
    let mut payments = Vec::with_capacity(waiting.len());
    for Waiting { payment, outcome } in waiting {
        let told = match outcome {
            Some(outcome) => timeout_at(deadline, outcome).await.ok().and_then(Result::ok),
            None => None,
        };
        payments.push(told.unwrap_or(payment));
    }
    payments
}

impl TryFrom<OutboxRecord> for Paying {
    type Error = StoreError;

    fn try_from(OutboxRecord { order, memo }: OutboxRecord) -> Result<Self, StoreError> {
        let id = order.order.id;
        let order = order.verify().map_err(|InvalidSignature| {
            StoreError::Unreadable(format!("order {id} in the outbox is not signed by its payer"))
        })?;
        Ok(Self::new(order, memo))
    }
}

impl Paying {
    /// Nobody waits for it yet.
    pub(super) fn new(order: VerifiedOrder, memo: Option<String>) -> Self {
        Self {
            machine: PaymentMachine::new(order),
            memo,
            hand_over: None,
            waiting: Vec::new(),
            retry: None,
            closing: false,
            keeping: Keeping::Begun,
            memo_fate: MemoFate::Unremarkable,
        }
    }

    /// The payment as it is told.
    pub(super) fn payment(&self) -> Payment {
        Payment { memo_fate: self.memo_fate, ..self.record().payment() }
    }

    /// The payee is not told the memo, as far as is known now.
    pub(super) fn miss_memo(&mut self, fate: MemoFate) {
        if self.memo.is_some() {
            self.memo_fate = fate;
        }
    }

    /// Whether this key has signed it.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.machine.order().order.payer_key == *key
    }

    pub(super) fn wait(&mut self) -> Waiting {
        let (tell, told) = oneshot::channel();
        self.waiting.push(tell);
        Waiting { payment: self.payment(), outcome: Some(told) }
    }

    /// Nothing goes on by itself any more, and whoever waits is told this. False if nobody does.
    pub(super) fn give_up(&mut self, payment: &Payment, ctx: &mut Context<SecureWallet>) -> bool {
        if let Some(retry) = self.retry.take() {
            ctx.cancel_future(retry);
        }
        let mut heard = false;
        for waiting in std::mem::take(&mut self.waiting) {
            heard |= waiting.send(payment.clone()).is_ok();
        }
        heard
    }

    pub(super) fn record(&self) -> OutboxRecord {
        OutboxRecord { order: self.machine.order().clone(), memo: self.memo.clone() }
    }
}

impl SecureWallet {
    /// The connection is there: finds out what became of every payment that waits for that, and has the
    /// server keep what stays open.
    pub(super) fn resume(&mut self, ctx: &mut Context<Self>) {
        if self.account.is_some() {
            let ids = self.payments.keys();
            self.feed_all(ids.map(|id| (*id, Happened::Connected)).collect(), ctx);
            self.watch_open(ctx);
        }
    }

    /// Any open payment may be decided: finds out which are.
    pub(super) fn look_at_all(&mut self, ctx: &mut Context<Self>) {
        let ids = self.payments.keys();
        self.feed_all(ids.map(|id| (*id, Happened::SaidDecided)).collect(), ctx);
    }

    /// Tells a payment what happened and does what it says.
    pub(super) fn feed(&mut self, id: OrderId, happened: Happened, ctx: &mut Context<Self>) {
        self.feed_all(vec![(id, happened)], ctx);
    }

    /// The same for many, whose questions to the server go together.
    pub(super) fn feed_all(&mut self, happened: Vec<(OrderId, Happened)>, ctx: &mut Context<Self>) {
        let mut to_ask = Vec::new();
        for (id, happened) in happened {
            // A payment that is closed, or about to be, hears nothing more.
            let Some(paying) = self.payments.get_mut(&id).filter(|paying| !paying.closing) else {
                continue;
            };
            for action in paying.machine.handle(happened, &mut self.headers) {
                match action {
                    Action::AskStatus => to_ask.push(id),
                    action => self.perform(id, action, ctx),
                }
            }
        }
        for ids in to_ask.chunks(self.orders_per_call_max) {
            self.ask_status(ids.to_vec(), ctx);
        }
    }

    fn perform(&mut self, id: OrderId, action: Action, ctx: &mut Context<Self>) {
        let Some(paying) = self.payments.get_mut(&id) else { return };
        match action {
            Action::Deliver => self.deliver(id, ctx),
            Action::Submit => self.submit(id, ctx),
            Action::AskStatus => self.ask_status(vec![id], ctx),
            // Nobody would answer, and that is told.
            Action::RetryIn(_) | Action::TellChecking(_) if self.replaced => {}
            Action::RetryIn(delay) => {
                let retry = ctx.run_later(delay, move |wallet, ctx| {
                    wallet.feed(id, Happened::RetryDue, ctx);
                });
                if let Some(earlier) = paying.retry.replace(retry) {
                    ctx.cancel_future(earlier);
                }
            }
            Action::TellChecking(reason) => {
                let payment = paying.payment();
                info!(self.log, "checking"; "order" => %id, "why" => &reason);
                self.tell(WalletNews::Checking { payment, reason });
            }
            Action::TellKeyMismatch(found) => {
                let order = &paying.machine.order().order;
                let payee = order.payee.clone();
                // Whom nobody expects a key of, no order is handed over to.
                let expected = order.payee_key.unwrap_or(found);
                warn!(self.log, "the payee's device has another key"; "payee" => %payee,
                    "expected" => %expected, "found" => %found);
                self.tell(WalletNews::PeerKeyMismatch { payee, expected, found });
            }
            Action::Warn(lie) => warn!(self.log, "not believed"; "order" => %id, "why" => lie),
            Action::Close(outcome) => self.close(id, outcome, ctx),
        }
    }

    fn deliver(&mut self, id: OrderId, ctx: &mut Context<Self>) {
        let Some(paying) = self.payments.get_mut(&id) else { return };
        let order = Box::new(paying.machine.order().clone());
        let Some(HandOver { address, payee_key, memo }) = paying.hand_over.take() else {
            let unreachable = DeliverError::Unreachable("no address is known".to_owned());
            return self.feed(id, Happened::Payee(Err(unreachable)), ctx);
        };
        let delivered = self.neighbours.dialer.send(Deliver { address, payee_key, order, memo });
        ctx.spawn(delivered.into_actor(self).map(move |answer, wallet, ctx| {
            let gone = || Err(DeliverError::Silent("the program is stopping".to_owned()));
            let answer = answer.unwrap_or_else(|_| gone());
            if let (Err(error), Some(paying)) = (&answer, wallet.payments.get_mut(&id)) {
                paying.miss_memo(match error {
                    DeliverError::Silent(_) => MemoFate::Unanswered,
                    DeliverError::Unreachable(_)
                    | DeliverError::WrongKey { .. }
                    | DeliverError::Full => MemoFate::Lost,
                });
            }
            wallet.feed(id, Happened::Payee(answer), ctx);
        }));
    }

    fn submit(&mut self, id: OrderId, ctx: &mut Context<Self>) {
        let Some(paying) = self.payments.get(&id) else { return };
        let call = Call::SubmitOrders { orders: vec![paying.machine.order().clone()] };
        let asked = self.ask_in_background(call, ctx);
        ctx.spawn(asked.map(move |asked, wallet, ctx| {
            let answer = Asked::from_link(asked, |answer| match answer {
                Answer::Orders(orders) => {
                    <[OrderAnswer; 1]>::try_from(orders).ok().map(|[only]| only)
                }
                _ => None,
            });
            wallet.feed(id, Happened::Submitted(answer), ctx);
        }));
    }

    fn ask_status(&mut self, ids: Vec<OrderId>, ctx: &mut Context<Self>) {
        let payments = ids.iter().filter_map(|id| self.payments.get(id));
        let orders = payments.map(|paying| {
            let order = &paying.machine.order().order;
            OrderRef { payer: order.payer.clone(), id: order.id }
        });
        let call = Call::OrderStatus { orders: orders.collect() };
        let asked = self.ask_in_background(call, ctx);
        ctx.spawn(asked.map(move |asked, wallet, ctx| {
            let asked = Asked::from_link(asked, |answer| match answer {
                Answer::Statuses { statuses, now } if statuses.len() == ids.len() => {
                    let shown = wallet.clock.unwrap_or_else(|| ServerClock::heard(now));
                    wallet.clock = Some(shown.not_before(now));
                    Some(statuses.into_iter().map(|status| (status, now)).collect::<Vec<_>>())
                }
                _ => None,
            });
            let each = asked.each(ids.len()).into_iter().map(Happened::Status);
            wallet.feed_all(ids.into_iter().zip(each).collect(), ctx);
        }));
    }

    /// Asks what nobody waits for.
    pub(super) fn ask_in_background(
        &mut self,
        call: Call,
        ctx: &mut Context<Self>,
    ) -> Reply<Result<Result<Answer, CallError>, String>> {
        let link = self.background_link(ctx);
        Box::pin(
            link.then(|link, wallet, _| async { Ok(ask(&link?, call).await) }.into_actor(wallet)),
        )
    }

    /// Writes the outcome down; then, and only then, tells it.
    fn close(&mut self, id: OrderId, outcome: Outcome, ctx: &mut Context<Self>) {
        let Some(paying) = self.payments.get_mut(&id) else { return };
        paying.closing = true;
        let OutboxRecord { order, memo } = paying.record();
        let record = ClosedRecord { order, memo, outcome };
        let written = self.commits.write(vec![Change::Close(record.clone())]);
        ctx.spawn(written.into_actor(self).map(move |written, wallet, ctx| match written {
            Ok(()) => wallet.tell_outcome(id, &record, ctx),
            Err(error) => wallet.reopen(id, &error, ctx),
        }));
    }

    fn tell_outcome(&mut self, id: OrderId, record: &ClosedRecord, ctx: &mut Context<Self>) {
        let Some(mut paying) = self.payments.remove(&id) else { return };
        let payment = Payment { memo_fate: paying.memo_fate, ..record.payment() };
        info!(self.log, "decided"; "order" => %id, "payee" => %payment.payee,
            "amount" => %payment.amount, "outcome" => ?payment.state);
        let heard = paying.give_up(&payment, ctx);
        if let (false, Some(closed)) = (heard, self.starting.as_mut()) {
            closed.push(payment);
        } else if !heard {
            self.tell(WalletNews::Decided(payment));
        }
    }

    /// The outcome could not be written down, so nobody has heard it.
    fn reopen(&mut self, id: OrderId, error: &StoreError, ctx: &mut Context<Self>) {
        let Some(paying) = self.payments.get_mut(&id) else { return };
        paying.closing = false;
        let reason = format!("the wallet cannot be written: {error}");
        self.feed(id, Happened::NotKept(reason), ctx);
    }
}
