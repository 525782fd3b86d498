//! Payments to this wallet: orders that peers hand over, and what the server says was paid.

use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, error, info, warn};
use tokio::sync::oneshot;
use wire::secure::{Answer, Call, OrderAnswer, OrderRef, OrderStatus, PayeeAnswer, Problem};
use wire::text::{Dialect, Reply as TextReply, TextPayment};
use wire::{
    Amount, EntryNumber, Order, OrderId, Receipt, Refusal, SignedOrder, Username, Verdict,
    VerifiedOrder,
};

use super::offer::{Decline, Payee, check};
use super::payment::{Asked, FalseReceipt, RETRY_FIRST, judge};
use super::store::{Change, KnownPeer, StoreError};
use super::{OFFERS_MAX, Reply, SecureWallet};
use crate::messages::{Offer, OfferAnswer, OfferOrder, OfferUnanswered, Proof, WalletNews};

/// How often the server is asked what became of an order that it did not answer, after 1, 2, 4 … seconds:
/// two minutes in all.
const LOOKS_MAX: u32 = 7;

/// The answer to a call with one order.
pub(super) fn only_order(answer: Answer) -> Option<OrderAnswer> {
    match answer {
        Answer::Orders(orders) => <[OrderAnswer; 1]>::try_from(orders).ok().map(|[only]| only),
        _ => None,
    }
}

/// An order that passed the checks.
#[derive(Clone, Debug)]
struct Incoming {
    order: VerifiedOrder,
    memo: Option<String>,
}

/// What the server says was paid, unasked.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) payer: Username,
    pub(super) amount: Amount,
    pub(super) number: EntryNumber,
    pub(super) order: Option<OrderId>,
}

impl Handler<OfferOrder> for SecureWallet {
    type Result = Reply<Result<PayeeAnswer, OfferUnanswered>>;

    fn handle(&mut self, offer: OfferOrder, ctx: &mut Self::Context) -> Self::Result {
        if self.offered >= OFFERS_MAX {
            return Box::pin(async { Err(OfferUnanswered) }.into_actor(self));
        }
        let memo = offer.memo.as_ref().map(|memo| memo.text.clone());
        let order = match self.payee().and_then(|me| check(offer, &me)) {
            Ok(order) => order,
            // Who it is from is not shown: nobody has proved it.
            Err(decline) => {
                debug!(self.log, "an order is turned away"; "why" => %decline);
                let declined = PayeeAnswer::Declined(decline.to_string());
                return Box::pin(async { Ok(declined) }.into_actor(self));
            }
        };
        self.offered += 1;
        let (tell, told) = oneshot::channel();
        let waiting = self.offers.entry(*order.hash()).or_default();
        waiting.push(tell);
        if waiting.len() == 1 {
            self.submit_offer(Incoming { order, memo }, ctx);
        }
        let told = async { told.await.unwrap_or(Err(OfferUnanswered)) }.into_actor(self);
        Box::pin(told.map(|answer, wallet, _| {
            wallet.offered -= 1;
            answer
        }))
    }
}

impl SecureWallet {
    fn payee(&self) -> Result<Payee<'_>, Decline> {
        let (Some(account), Some(server), Some(clock)) = (&self.account, self.server, self.clock)
        else {
            return Err(Decline::NoAccount);
        };
        let key = self.signer.public_key();
        Ok(Payee { name: &account.name, key, server, now: clock.now() })
    }

    fn submit_offer(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        let call = Call::SubmitOrders { orders: vec![incoming.order.signed().clone()] };
        let asked = self.ask_in_background(call, ctx);
        let hash = *incoming.order.hash();
        let answered = asked.then(|asked, wallet, ctx| {
            wallet.conclude(incoming, Asked::from_link(asked, only_order), ctx)
        });
        ctx.spawn(answered.map(move |answer, wallet, _| {
            for waiting in wallet.offers.remove(&hash).unwrap_or_default() {
                // The peer may have hung up meanwhile.
                let _ = waiting.send(Ok(answer.clone()));
            }
        }));
    }

    /// What the payer is told of what the server said.
    fn conclude(
        &mut self,
        incoming: Incoming,
        asked: Asked<OrderAnswer>,
        ctx: &mut Context<Self>,
    ) -> Reply<PayeeAnswer> {
        let answer = match asked {
            Asked::Answer(OrderAnswer::Decided { receipt, .. }) => {
                let taken = self.take_receipt(incoming, &receipt);
                return Box::pin(taken.map(|taken, _, _| match taken {
                    Ok(()) => PayeeAnswer::Decided(receipt),
                    Err(_) => PayeeAnswer::Unknown,
                }));
            }
            Asked::Unanswered(reason) => {
                debug!(self.log, "a payment to me is not answered"; "why" => reason);
                self.look_later(incoming, 0, ctx);
                PayeeAnswer::Unknown
            }
            Asked::Answer(OrderAnswer::NotTaken(problem)) => {
                self.decline(&incoming, problem.to_string())
            }
            Asked::Problem(problem) => self.decline(&incoming, problem.to_string()),
            Asked::Unsent(reason) => self.decline(&incoming, reason),
        };
        Box::pin(async { answer }.into_actor(self))
    }

    fn decline(&self, incoming: &Incoming, reason: String) -> PayeeAnswer {
        ignore(&self.log, incoming.order.signed(), &reason);
        PayeeAnswer::Declined(reason)
    }

    /// The server was asked to settle a payment to me and did not answer: finds out, as long as it takes to
    /// be told something.
    fn look_later(&mut self, incoming: Incoming, looks: u32, ctx: &mut Context<Self>) {
        if looks >= LOOKS_MAX || self.looking >= OFFERS_MAX {
            let reason = "the server does not say what became of it";
            return ignore(&self.log, incoming.order.signed(), reason);
        }
        self.looking += 1;
        let delay: Duration = RETRY_FIRST * (1 << looks);
        ctx.run_later(delay, move |wallet, ctx| {
            let order = incoming.order.order();
            let sought = OrderRef { payer: order.payer.clone(), id: order.id };
            let asked = wallet.ask_in_background(Call::OrderStatus { orders: vec![sought] }, ctx);
            ctx.spawn(asked.map(move |asked, wallet, ctx| {
                wallet.looking -= 1;
                let status = Asked::from_link(asked, |answer| match answer {
                    Answer::Statuses { statuses, .. } => statuses.into_iter().next(),
                    _ => None,
                });
                match status {
                    Asked::Answer(OrderStatus::Decided(receipt)) => {
                        let taken = wallet.take_receipt(incoming, &receipt);
                        ctx.spawn(taken.map(|_, _, _| ()));
                    }
                    _ => wallet.look_later(incoming, looks + 1, ctx),
                }
            }));
        });
    }

    /// Keeps and tells what a receipt proves of an order to this wallet.
    fn take_receipt(
        &mut self,
        incoming: Incoming,
        receipt: &Receipt,
    ) -> Reply<Result<(), FalseReceipt>> {
        let judged = judge(receipt, &incoming.order, &mut self.headers);
        let signed = incoming.order.into_signed();
        match judged {
            Ok((Verdict::Settled, number)) => {
                let received = self.receive(signed, incoming.memo, receipt, number);
                return Box::pin(received.map(|(), _, _| Ok(())));
            }
            Ok((Verdict::Refused(refusal), _)) => self.not_received(&signed, refusal.to_string()),
            Err(lie) => self.distrust(&signed, lie),
        }
        Box::pin(async move { judged.map(|_| ()) }.into_actor(self))
    }

    /// Keeps a receipt that was judged to prove a payment to this account, and then tells of it.
    fn receive(
        &mut self,
        signed: SignedOrder,
        memo: Option<String>,
        receipt: &Receipt,
        number: EntryNumber,
    ) -> Reply<()> {
        let order = &signed.order;
        let kept = self.store.received(&order.server, order.id).unwrap_or_default();
        if kept.iter().any(|receipt| receipt.order() == Some(&signed)) {
            return Box::pin(async {}.into_actor(self));
        }
        let mut changes = vec![Change::Received(Box::new(receipt.clone()))];
        // Only the ledger shows that this key has this name; a key that is known already stays.
        if let Some(clock) = self.clock {
            let peer = KnownPeer { key: order.payer_key, since: clock.now() };
            let (server, name) = (order.server, order.payer.clone());
            changes.push(Change::Meet { server, name, peer });
        }
        let written = self.commits.write(changes);
        Box::pin(written.into_actor(self).map(move |written, wallet, _| {
            wallet.tell_received(signed.order, memo, number, written);
        }))
    }

    fn tell_received(
        &mut self,
        order: Order,
        memo: Option<String>,
        number: EntryNumber,
        written: Result<(), StoreError>,
    ) {
        let proof = match written {
            Ok(()) => Proof::Kept,
            // The money has come all the same.
            Err(error) => {
                error!(self.log, "a receipt cannot be kept"; "order" => %order.id, "why" => %error);
                Proof::NotKept
            }
        };
        if !self.is_news(number) {
            return;
        }
        let Order { id, payer, amount, .. } = order;
        info!(self.log, "payment received"; "payer" => %payer, "amount" => %amount,
            "order" => %id);
        self.tell(WalletNews::Received { payer, amount, memo, order: Some(id), proof });
    }

    /// The server's receipt for an order proves nothing. Who has made the order up is not known either.
    fn distrust(&self, signed: &SignedOrder, lie: FalseReceipt) {
        let order = &signed.order;
        warn!(self.log, "the server's receipt is no proof"; "payer" => %order.payer,
            "order" => %order.id, "why" => %lie);
    }

    /// The server has decided an order that its payer has really signed.
    fn not_received(&self, signed: &SignedOrder, reason: String) {
        let order = &signed.order;
        info!(self.log, "payment not received"; "payer" => %order.payer, "order" => %order.id,
            "amount" => %order.amount, "why" => &reason);
        let (payer, amount) = (order.payer.clone(), order.amount);
        self.tell(WalletNews::NotReceived { payer, amount, reason });
    }

    /// The server says unasked that this account was paid. It is asked for the proof.
    pub(super) fn hear_of_payment(&mut self, told: Told, ctx: &mut Context<Self>) {
        if self.told.contains(&told.number) {
            return;
        }
        if told.order.is_none() {
            return self.receive_by_word(told);
        }
        self.seek_proof(told, 0, ctx);
    }

    fn seek_proof(&mut self, told: Told, looks: u32, ctx: &mut Context<Self>) {
        let asked = self.ask_in_background(Call::ReadReceipts { entries: vec![told.number] }, ctx);
        ctx.spawn(asked.map(move |asked, wallet, ctx| {
            let receipt = Asked::from_link(asked, |answer| match answer {
                Answer::Receipts(receipts) => Some(receipts.into_iter().next().flatten()),
                _ => None,
            });
            match receipt {
                Asked::Answer(receipt) => wallet.receive_by_receipt(told, receipt.as_ref(), ctx),
                _ if looks < LOOKS_MAX && wallet.looking < OFFERS_MAX => {
                    wallet.looking += 1;
                    ctx.run_later(RETRY_FIRST * (1 << looks), move |wallet, ctx| {
                        wallet.looking -= 1;
                        wallet.seek_proof(told, looks + 1, ctx);
                    });
                }
                // It said so over its own connection; the proof can be had later.
                _ => wallet.receive_by_word(told),
            }
        }));
    }

    fn receive_by_word(&mut self, told: Told) {
        let Told { payer, amount, number, order } = told;
        if self.is_news(number) {
            info!(self.log, "payment received"; "payer" => %payer, "amount" => %amount);
            self.tell(WalletNews::Received {
                payer,
                amount,
                memo: None,
                order,
                proof: Proof::Word,
            });
        }
    }

    fn receive_by_receipt(
        &mut self,
        told: Told,
        receipt: Option<&Receipt>,
        ctx: &mut Context<Self>,
    ) {
        let proof = receipt.and_then(|receipt| {
            let signed = receipt.order()?;
            let order = &signed.order;
            let mine = self.account.as_ref().is_some_and(|account| account.name == order.payee)
                && Some(order.server) == self.server
                && Some(order.id) == told.order;
            let verified = signed.clone().verify().ok()?;
            let verdict = judge(receipt, &verified, &mut self.headers).ok()?;
            let proves = mine && verdict == (Verdict::Settled, told.number);
            proves.then(|| (signed.clone(), receipt))
        });
        if let Some((signed, receipt)) = proof {
            let received = self.receive(signed, None, receipt, told.number);
            ctx.spawn(received);
            return;
        }
        let Told { payer, amount, .. } = told;
        warn!(self.log, "the server has no proof of a payment"; "payer" => %payer);
        let reason = "the server says that it is paid and has no proof".to_owned();
        self.tell(WalletNews::NotReceived { payer, amount, reason });
    }
}

impl Handler<Offer> for SecureWallet {
    type Result = Reply<OfferAnswer>;

    fn handle(&mut self, Offer(payment): Offer, ctx: &mut Self::Context) -> Self::Result {
        let is_mine = self.account.as_ref().is_some_and(|account| account.name == payment.payee);
        let turned_away = if !is_mine {
            Some(refusal(Refusal::NoPermission))
        } else if self.offered >= OFFERS_MAX {
            Some("Transfer failed: too many payments at once, try again".to_owned())
        } else {
            None
        };
        if let Some(reason) = turned_away {
            debug!(self.log, "a text payment is turned away"; "why" => &reason);
            return Box::pin(async { OfferAnswer::Refused(reason) }.into_actor(self));
        }
        self.offered += 1;
        let asked = self.ask_in_background(Call::SubmitText { payment: payment.clone() }, ctx);
        Box::pin(asked.map(|asked, wallet, _| {
            wallet.offered -= 1;
            let settled = Asked::from_link(asked, |answer| match answer {
                Answer::TextSettled => Some(()),
                _ => None,
            });
            let answer = match settled {
                Asked::Answer(()) => OfferAnswer::Settled,
                Asked::Problem(Problem::Refused(reason)) => OfferAnswer::Refused(refusal(reason)),
                Asked::Problem(problem) => {
                    OfferAnswer::Refused(format!("Transfer failed: {problem}"))
                }
                Asked::Unsent(reason) => OfferAnswer::Refused(format!("Transfer failed: {reason}")),
                Asked::Unanswered(_) => OfferAnswer::Unknown,
            };
            wallet.report_text(payment, &answer);
            answer
        }))
    }
}

impl SecureWallet {
    fn report_text(&self, payment: TextPayment, answer: &OfferAnswer) {
        let TextPayment { payer, amount, .. } = payment;
        if *answer == OfferAnswer::Settled {
            info!(self.log, "a text payment is received"; "payer" => %payer, "amount" => %amount);
            let (memo, order, proof) = (None, None, Proof::Word);
            self.tell(WalletNews::Received { payer, amount, memo, order, proof });
        } else {
            // Anybody can have written the line, in anybody's name.
            debug!(self.log, "a text payment is not received"; "payer" => %payer,
                "amount" => %amount, "outcome" => ?answer);
        }
    }
}

/// Nobody has shown that the payer has anything to do with this order: the key that has signed it
/// may be a stranger's, so that a person who is told of it could be told anything.
fn ignore(log: &Logger, signed: &SignedOrder, reason: &str) {
    let order = &signed.order;
    debug!(log, "an order to me came to nothing"; "payer" => %order.payer, "order" => %order.id,
        "amount" => %order.amount, "why" => reason);
}

/// The ledger's refusal as payers of the text protocol know it.
fn refusal(refusal: Refusal) -> String {
    TextReply::Refused(refusal).line(Dialect::Seed).trim_end().to_owned()
}
