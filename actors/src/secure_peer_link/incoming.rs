//! The link that a payer has opened.

use std::future::Future;
use std::net::SocketAddr;

use actix::prelude::*;
use slog::{Logger, debug, info, o};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use wire::secure::hello::magic;
use wire::secure::{Hello, PayeeAnswer, PayeeFrame, PayerFrame, Problem};
use wire::{Memo, OrderId, PublicKey, SignedOrder};

use super::rules::{check_offer, plain_reason};
use super::{PAYER_FRAME_BYTES_MAX, READ_BYTES, SecurePeerPatience};
use crate::frames::{FrameInput, FrameOutput, InputError, wait_until};
use crate::messages::{OfferOrder, OfferUnanswered};
use crate::reason::reason;

/// Orders of one payer that the wallet has and has not answered. A payer that sends more is not read from
/// until one is answered; the wallet has room for those of a few such payers.
const OFFERS_PER_LINK_MAX: usize = 16;

/// A payer that has left so many bytes of answers unread is not read from: some dozen receipts. What is
/// under way may come on top, [`OFFERS_PER_LINK_MAX`] answers.
const ANSWER_BYTES_WAITING_MAX: usize = 32 << 10;

/// The actor of one connection that a payer has opened, over any stream. It takes any number of orders,
/// offers those to the wallet that are the payer's own, and tells the payer what came of each.
pub struct SecurePeerLink<S> {
    /// Taken when the link starts.
    link: Option<Link<S>>,
}

impl<S: AsyncRead + AsyncWrite + 'static> SecurePeerLink<S> {
    /// A link with whoever is at the other end of `stream`, at `peer`, and has shown `peer_key`.
    pub fn incoming(
        stream: S,
        peer_key: PublicKey,
        peer: SocketAddr,
        wallet: Recipient<OfferOrder>,
        patience: SecurePeerPatience,
        log: &Logger,
    ) -> Self {
        let (input, output) = tokio::io::split(stream);
        let link = Link {
            input: FrameInput::new(input, PAYER_FRAME_BYTES_MAX, READ_BYTES),
            output: FrameOutput::new(output),
            peer_key,
            wallet,
            offers: JoinSet::new(),
            offered: 0,
            declined: 0,
            patience,
            log: log.new(o!("actor" => "secure-peer-link", "peer" => peer, "direction" => "in")),
        };
        Self { link: Some(link) }
    }
}

impl<S: AsyncRead + AsyncWrite + 'static> Actor for SecurePeerLink<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(link) = self.link.take() else { return ctx.stop() };
        ctx.spawn(link.run().into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

struct Link<S> {
    input: FrameInput<ReadHalf<S>>,
    output: FrameOutput<WriteHalf<S>>,
    peer_key: PublicKey,
    wallet: Recipient<OfferOrder>,
    /// Orders that the wallet has not answered.
    offers: JoinSet<(OrderId, PayeeAnswer)>,
    /// How many orders the wallet has been shown, and how many it was spared.
    offered: u64,
    declined: u64,
    patience: SecurePeerPatience,
    log: Logger,
}

impl<S: AsyncRead + AsyncWrite + 'static> Link<S> {
    async fn run(mut self) {
        let why = match timeout(self.patience.hello, self.greet()).await {
            Ok(Ok(())) => self.take_orders().await,
            Ok(Err(why)) => why,
            Err(_) => "the payer does not say hello".to_owned(),
        };
        info!(self.log, "disconnected"; "why" => why, "offered" => self.offered,
            "declined" => self.declined);
        self.output.close().await;
    }

    async fn greet(&mut self) -> Result<(), String> {
        let checked = match self.input.next::<Hello>().await {
            Ok(hello) => hello.check(magic::PAYER),
            Err(InputError::Violation(_)) => Err(Problem::Malformed),
            Err(error) => return Err(error.to_string()),
        };
        self.output.push(&checked.map(|_| Hello::new(magic::PAYEE)));
        self.output.drain().await.map_err(|error| reason(&error))?;
        checked.map(drop).map_err(|problem| problem.to_string())
    }

    /// Takes orders until it says why it does not any more.
    async fn take_orders(&mut self) -> String {
        let mut order_deadline = Instant::now() + self.patience.order;
        let mut write_deadline = None;
        loop {
            let has_room = self.offers.len() < OFFERS_PER_LINK_MAX
                && self.output.waiting() < ANSWER_BYTES_WAITING_MAX;
            let idle = self.offers.is_empty() && self.output.is_drained();
            if self.output.is_drained() {
                write_deadline = None;
            } else {
                write_deadline.get_or_insert(Instant::now() + self.patience.write);
            }
            // In order: what comes first cannot go on for ever without what comes behind it.
            tokio::select! {
                biased;
                written = self.output.drain(), if !self.output.is_drained() => {
                    if let Err(error) = written {
                        return reason(&error);
                    }
                }
                () = wait_until(write_deadline) => {
                    return "the payer does not read its answers".to_owned();
                }
                Some(answered) = self.offers.join_next() => {
                    order_deadline = Instant::now() + self.patience.order;
                    // A task that panics takes its answer with it; the payer asks the server itself.
                    if let Ok((id, answer)) = answered {
                        self.output.push(&PayeeFrame::Answer { id, answer });
                    }
                }
                frame = self.input.next(), if has_room => match frame {
                    Ok(PayerFrame::Offer { order, memo }) => {
                        order_deadline = Instant::now() + self.patience.order;
                        self.take(order, memo);
                    }
                    Err(error) => return error.to_string(),
                },
                () = sleep_until(order_deadline), if idle => {
                    return "the payer is silent".to_owned();
                }
            }
        }
    }

    fn take(&mut self, order: Box<SignedOrder>, memo: Option<Memo>) {
        let id = order.order.id;
        if let Err(problem) = check_offer(self.peer_key, &order.order, memo.as_ref()) {
            debug!(self.log, "order declined"; "order" => %id, "why" => %problem);
            self.declined += 1;
            let answer = PayeeAnswer::Declined(problem.to_string());
            self.output.push(&PayeeFrame::Answer { id, answer });
            return;
        }
        debug!(self.log, "order offered"; "order" => %id, "payer" => %order.order.payer,
            "amount" => %order.order.amount);
        self.offered += 1;
        let offer = OfferOrder { from: self.peer_key, order, memo };
        let answer = answer_of(self.wallet.send(offer), self.patience);
        self.offers.spawn_local(async move { (id, answer.await) });
    }
}

/// What the wallet says, in time.
async fn answer_of(
    asked: impl Future<Output = Result<Result<PayeeAnswer, OfferUnanswered>, MailboxError>>,
    patience: SecurePeerPatience,
) -> PayeeAnswer {
    match timeout(patience.wallet, asked).await {
        Ok(Ok(Ok(PayeeAnswer::Declined(why)))) => PayeeAnswer::Declined(plain_reason(&why)),
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(busy))) => PayeeAnswer::Declined(format!("busy: {busy}")),
        // It may have gone before or after it submitted the order.
        Ok(Err(MailboxError::Closed | MailboxError::Timeout)) | Err(_) => PayeeAnswer::Unknown,
    }
}

#[cfg(test)]
mod tests;
