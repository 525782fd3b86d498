//! The Verifier: checks the signatures of orders, many at once.
//!
//! Signatures that are checked together cost half as much each. What waits in the mailbox is
//! therefore checked as one batch, whoever sent it. One wrong signature makes a batch fail; then
//! each message is checked by itself, and the orders of the message with the wrong one, one by one.
//! A session that has sent a wrong one has its orders checked apart from then on
//! ([`VerifyOrders::apart`]), so that it makes a batch of others fail once in its life, and who
//! wants that again must connect again.
//!
//! Large batches are cheap by the order and long to wait for. Who pays a person has one order and waits for
//! it, who pays thousands has a queue in any case: messages of few orders are checked before those of many,
//! and as long as some come, those of many are checked in smaller batches.

use std::collections::VecDeque;

use actix::prelude::*;
use slog::{Logger, debug, o};
use wire::SignedOrder;

use crate::fail_stop::FailStop;
use crate::later::{Later, ReplySlot};
use crate::messages::{
    CountOrdersWaiting, QUESTION_ORDERS_MAX, Verdicts, VerifierBusy, VerifyOrders,
};

/// The most signatures of one batch: what waits behind it waits 40 ms, and 70 ms if no two are of one
/// payer. The more there are, the more payers have signed several, whose keys are worked out once: of a
/// thousand payers, one costs two thirds of what it does among 1,024.
const BATCH_ORDERS_MAX: usize = 4096;

/// The most orders of a message that is checked before those with more: what somebody pays by hand, and a
/// till in a few milliseconds.
const FEW_ORDERS_MAX: usize = 16;

/// The most signatures of a batch with large messages while small ones come: 2 ms at the worst, which is what
/// a payment takes without them.
const SHARED_BATCH_ORDERS_MAX: usize = QUESTION_ORDERS_MAX;

/// So many batches are small after the last small message: half a second at the worst, which is how long
/// somebody who pays one after the other may think about the next.
const SHARED_BATCHES: u32 = 256;

/// The most orders that wait: at 15 µs each, a second. At 700 bytes each, 46 MiB.
const ORDERS_WAITING_MAX: usize = 1 << 16;

/// So many messages gather in the mailbox at no cost. It is no bound: who awaits an answer gets past it by a
/// clone of the address. What bounds the mailbox is what sessions may have under way, and the orders in it
/// [`ORDERS_WAITING_MAX`]: they move there at once.
const MAILBOX_MESSAGES: usize = 4096;

type Reply = ReplySlot<Result<Verdicts, VerifierBusy>>;

/// The actor that checks signatures. It only computes, so it is best started on an arbiter of its
/// own.
#[derive(Debug)]
pub struct Verifier {
    /// Messages of at most [`FEW_ORDERS_MAX`] orders, in the order in which they came.
    small: VecDeque<(VerifyOrders, Reply)>,
    /// The others.
    large: VecDeque<(VerifyOrders, Reply)>,
    /// In both.
    orders_waiting: usize,
    /// How many batches are yet to be small.
    shared_batches: u32,
    turn_scheduled: bool,
    /// Held until it is dropped.
    _fail_stop: Option<FailStop>,
    log: Logger,
}

impl Verifier {
    /// A verifier with nothing to do.
    pub fn new(log: &Logger) -> Self {
        Self {
            small: VecDeque::new(),
            large: VecDeque::new(),
            orders_waiting: 0,
            shared_batches: 0,
            turn_scheduled: false,
            _fail_stop: None,
            log: log.new(o!("actor" => "verifier")),
        }
    }

    /// The same, whose panic is the process's end: without a verifier no signed order is taken.
    #[must_use]
    pub fn with_fail_stop(self, fail_stop: FailStop) -> Self {
        Self { _fail_stop: Some(fail_stop), ..self }
    }

    /// Checks a batch as soon as the mailbox is empty: a batch is whatever is there.
    fn schedule_turn(&mut self, ctx: &mut Context<Self>) {
        if !self.turn_scheduled {
            self.turn_scheduled = true;
            // The context polls its futures after it has emptied the mailbox.
            ctx.spawn(async {}.into_actor(self).map(|(), verifier, ctx| {
                verifier.turn_scheduled = false;
                verifier.check_batch();
                if !verifier.small.is_empty() || !verifier.large.is_empty() {
                    verifier.schedule_turn(ctx);
                }
            }));
        }
    }

    fn add(&mut self, message: VerifyOrders, reply: Reply) {
        let count = message.orders.len();
        self.orders_waiting += count;
        let queue = if count <= FEW_ORDERS_MAX { &mut self.small } else { &mut self.large };
        queue.push_back((message, reply));
    }

    fn check_batch(&mut self) {
        let (mut groups, mut replies) = (Vec::new(), Vec::new());
        let batch = self.take_batch();
        let count: usize = batch.iter().map(|(message, _)| message.orders.len()).sum();
        for (VerifyOrders { orders, apart }, reply) in batch {
            if apart {
                reply.send(Ok(SignedOrder::verify_all(orders, rand::rng())));
            } else {
                groups.push(orders);
                replies.push(reply);
            }
        }
        self.orders_waiting -= count;
        debug!(self.log, "signatures checked"; "count" => count, "senders" => groups.len());
        let verdicts = SignedOrder::verify_groups(groups, rand::rng());
        for (verdicts, reply) in verdicts.into_iter().zip(replies) {
            reply.send(Ok(verdicts));
        }
    }

    /// The small messages, and of the large ones what still fits; the first of each in any case, so that
    /// neither waits for the other for ever.
    fn take_batch(&mut self) -> Vec<(VerifyOrders, Reply)> {
        self.shared_batches = if self.small.is_empty() {
            self.shared_batches.saturating_sub(1)
        } else {
            SHARED_BATCHES
        };
        let large_max =
            if self.shared_batches == 0 { BATCH_ORDERS_MAX } else { SHARED_BATCH_ORDERS_MAX };
        let (mut batch, mut count) = (Vec::new(), 0);
        let mut take = |queue: &mut VecDeque<(VerifyOrders, Reply)>, orders_max| {
            let mut is_first = true;
            while let Some((message, _)) = queue.front()
                && (is_first || count + message.orders.len() <= orders_max)
                && let Some(question) = queue.pop_front()
            {
                is_first = false;
                count += question.0.orders.len();
                batch.push(question);
            }
        };
        take(&mut self.small, BATCH_ORDERS_MAX);
        take(&mut self.large, large_max);
        batch
    }
}

impl Actor for Verifier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
    }
}

impl Handler<VerifyOrders> for Verifier {
    type Result = Later<Result<Verdicts, VerifierBusy>>;

    fn handle(&mut self, message: VerifyOrders, ctx: &mut Self::Context) -> Self::Result {
        let (later, reply) = Later::new();
        let count = message.orders.len();
        if self.orders_waiting + count > ORDERS_WAITING_MAX {
            reply.send(Err(VerifierBusy));
        } else {
            self.add(message, reply);
            self.schedule_turn(ctx);
        }
        later
    }
}

impl Handler<CountOrdersWaiting> for Verifier {
    type Result = u64;

    fn handle(&mut self, CountOrdersWaiting: CountOrdersWaiting, _: &mut Self::Context) -> u64 {
        self.orders_waiting as u64
    }
}

#[cfg(test)]
mod tests;
