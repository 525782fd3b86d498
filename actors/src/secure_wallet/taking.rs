//! Orders that peers hand over: those that come together are verified together, and taken to the server in
//! one call.

use std::collections::BTreeMap;

use actix::prelude::*;
use slog::debug;
use tokio::sync::oneshot;
use wire::order::OrderHash;
use wire::secure::{Answer, Call, OrderAnswer, PayeeAnswer};
use wire::{InvalidSignature, PublicKey, SignedOrder, VerifiedOrder};

use super::offer::{Decline, Payee, check};
use super::payment::Asked;
use super::receiving::{Incoming, ignore};
use super::{OFFERS_MAX, Reply, SecureWallet};
use crate::messages::{OfferOrder, OfferUnanswered};

/// Who waits for what becomes of an offer.
pub(super) type Waiting = oneshot::Sender<Result<PayeeAnswer, OfferUnanswered>>;

/// An order whose signature is not checked yet.
#[derive(Debug)]
pub(super) struct Offered {
    order: SignedOrder,
    memo: Option<String>,
    waiting: Waiting,
}

impl Handler<OfferOrder> for SecureWallet {
    type Result = Reply<Result<PayeeAnswer, OfferUnanswered>>;

    fn handle(&mut self, offer: OfferOrder, ctx: &mut Self::Context) -> Self::Result {
        if self.offered >= OFFERS_MAX {
            return Box::pin(async { Err(OfferUnanswered) }.into_actor(self));
        }
        if let Err(decline) = self.payee().and_then(|me| check(&offer, &me)) {
            let declined = self.turn_away(decline);
            return Box::pin(async { Ok(declined) }.into_actor(self));
        }
        self.offered += 1;
        let (waiting, told) = oneshot::channel();
        let memo = offer.memo.map(|memo| memo.text);
        self.unverified.push(Offered { order: *offer.order, memo, waiting });
        if self.unverified.len() == 1 {
            // Once all that waits in the mailbox is here, too.
            let gathered = async {}.into_actor(self);
            ctx.spawn(gathered.map(|(), wallet, ctx| wallet.verify_offers(ctx)));
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

    /// Who it is from is not shown: nobody has proved it.
    fn turn_away(&self, decline: Decline) -> PayeeAnswer {
        debug!(self.log, "an order is turned away"; "why" => %decline);
        PayeeAnswer::Declined(decline.to_string())
    }

    fn verify_offers(&mut self, ctx: &mut Context<Self>) {
        let mut incoming = Vec::new();
        for (verified, memo, waiting) in verified(std::mem::take(&mut self.unverified)) {
            match verified {
                Ok(order) => {
                    let same = self.offers.entry(*order.hash()).or_default();
                    same.push(waiting);
                    if same.len() == 1 {
                        incoming.push(Incoming { order, memo });
                    }
                }
                Err(InvalidSignature) => {
                    // The peer may have hung up meanwhile.
                    let _ = waiting.send(Ok(self.turn_away(Decline::Signature)));
                }
            }
        }
        if !incoming.is_empty() {
            self.submit_offers(incoming, ctx);
        }
    }

    /// Takes orders to the server, at most [`OFFERS_MAX`], which fit into one call.
    fn submit_offers(&mut self, incoming: Vec<Incoming>, ctx: &mut Context<Self>) {
        let orders = incoming.iter().map(|incoming| incoming.order.signed().clone()).collect();
        let asked = self.ask_in_background(Call::SubmitOrders { orders }, ctx);
        ctx.spawn(asked.map(|asked, wallet, ctx| {
            let count = incoming.len();
            let asked = Asked::from_link(asked, |answer| match answer {
                Answer::Orders(orders) if orders.len() == count => Some(orders),
                _ => None,
            });
            for (incoming, asked) in incoming.into_iter().zip(asked.each(count)) {
                let hash = *incoming.order.hash();
                let answered = wallet.conclude(incoming, asked, ctx);
                ctx.spawn(answered.map(move |answer, wallet, _| wallet.answer(&hash, &answer)));
            }
        }));
    }

    fn answer(&mut self, offer: &OrderHash, answer: &PayeeAnswer) {
        for waiting in self.offers.remove(offer).unwrap_or_default() {
            // The peer may have hung up meanwhile.
            let _ = waiting.send(Ok(answer.clone()));
        }
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
}

type Verified = (Result<VerifiedOrder, InvalidSignature>, Option<String>, Waiting);

/// Checks the signatures together. One that is wrong costs the others of the same payer alone.
fn verified(offers: Vec<Offered>) -> impl Iterator<Item = Verified> {
    let mut payers: BTreeMap<PublicKey, (Vec<SignedOrder>, Vec<_>)> = BTreeMap::new();
    for Offered { order, memo, waiting } in offers {
        let (orders, offers) = payers.entry(order.order.payer_key).or_default();
        orders.push(order);
        offers.push((memo, waiting));
    }
    let (orders, offers): (Vec<_>, Vec<_>) = payers.into_values().unzip();
    let verdicts = SignedOrder::verify_groups(orders, rand::rng());
    let each = verdicts.into_iter().flatten().zip(offers.into_iter().flatten());
    each.map(|(verdict, (memo, waiting))| (verdict, memo, waiting))
}
