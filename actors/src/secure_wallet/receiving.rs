//! Payments to this wallet: what receipts prove of them, and what the server says was paid.

use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, error, info, warn};
use wire::secure::{Answer, Call, OrderRef, OrderStatus, Problem};
use wire::text::{Dialect, Reply as TextReply, TextPayment};
use wire::{
    Amount, EntryNumber, Order, OrderId, Receipt, Refusal, SignedOrder, Username, Verdict,
    VerifiedOrder,
};

use super::payment::{Asked, FalseReceipt, RETRY_FIRST, judge};
use super::store::{Change, KnownPeer, StoreError};
use super::{OFFERS_MAX, PROOFS_SOUGHT_MAX, Reply, SecureWallet};
use crate::messages::{Offer, OfferAnswer, Proof, WalletNews};

/// How often the server is asked what became of an order that it did not answer, after 1, 2, 4 … seconds:
/// two minutes in all.
const LOOKS_MAX: u32 = 7;

/// An order that passed the checks.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) order: VerifiedOrder,
    pub(super) memo: Option<String>,
}

/// What the server says was paid, unasked.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) payer: Username,
    pub(super) amount: Amount,
    pub(super) number: EntryNumber,
    pub(super) order: Option<OrderId>,
}

impl SecureWallet {
    /// The server was asked to settle a payment to me and did not answer: finds out, as long as it takes to
    /// be told something.
    pub(super) fn look_later(&mut self, incoming: Incoming, looks: u32, ctx: &mut Context<Self>) {
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
                let status = Asked::from_link(asked, |answer| match answer {
                    Answer::Statuses { statuses, .. } => statuses.into_iter().next(),
                    _ => None,
                });
                if let Asked::Answer(OrderStatus::Decided(receipt)) = status {
                    let taken = wallet.take_receipt(incoming, &receipt);
                    ctx.spawn(taken.map(|_, wallet, _| wallet.looking -= 1));
                } else {
                    wallet.looking -= 1;
                    wallet.look_later(incoming, looks + 1, ctx);
                }
            }));
        });
    }

    /// Keeps and tells what a receipt proves of an order to this wallet.
    pub(super) fn take_receipt(
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
        if self.told.contains(&told.number) || self.sought.contains(&told.number) {
            return;
        }
        if told.order.is_none() || self.sought.len() >= PROOFS_SOUGHT_MAX {
            return self.receive_by_word(told);
        }
        self.sought.insert(told.number);
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
                _ => {
                    wallet.sought.remove(&told.number);
                    wallet.receive_by_word(told);
                }
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
            ctx.spawn(received.map(move |(), wallet, _| {
                wallet.sought.remove(&told.number);
            }));
            return;
        }
        let Told { payer, amount, number, .. } = told;
        self.sought.remove(&number);
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
pub(super) fn ignore(log: &Logger, signed: &SignedOrder, reason: &str) {
    let order = &signed.order;
    debug!(log, "an order to me came to nothing"; "payer" => %order.payer, "order" => %order.id,
        "amount" => %order.amount, "why" => reason);
}

/// The ledger's refusal as payers of the text protocol know it.
fn refusal(refusal: Refusal) -> String {
    TextReply::Refused(refusal).line(Dialect::Seed).trim_end().to_owned()
}
