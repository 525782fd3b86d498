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
//! it, who pays thousands has a queue in any case: as long as somebody asks for few, everybody has his turn, and a
//! batch is what all of them have in one turn (`turns`).

mod turns;

use std::thread;

use actix::prelude::*;
use slog::{Logger, debug, o};
use wire::SignedOrder;

use self::turns::Turns;
use crate::fail_stop::FailStop;
use crate::later::{Later, ReplySlot};
use crate::messages::{CountOrdersWaiting, Verdicts, VerifierBusy, VerifyOrders};

/// So many messages gather in the mailbox at no cost. It is no bound: who awaits an answer gets past it by a
/// clone of the address. What bounds the mailbox is what sessions may have under way, and the orders in it
/// what may wait: they move there at once.
const MAILBOX_MESSAGES: usize = 4096;

type Reply = ReplySlot<Result<Verdicts, VerifierBusy>>;

/// The actor that checks signatures. It only computes, so it is best started on an arbiter of its
/// own.
pub struct Verifier {
    turns: Turns,
    turn_scheduled: bool,
    /// Held until it is dropped.
    _fail_stop: Option<FailStop>,
    log: Logger,
}

impl Verifier {
    /// A verifier with nothing to do.
    pub fn new(log: &Logger) -> Self {
        Self {
            turns: Turns::default(),
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
                if !verifier.turns.is_empty() {
                    verifier.schedule_turn(ctx);
                }
            }));
        }
    }

    fn check_batch(&mut self) {
        let (mut groups, mut questions) = (Vec::new(), Vec::new());
        let mut count = 0;
        for (question, orders) in self.turns.take_batch() {
            count += orders.len();
            if question.apart {
                self.turns.answer(question, SignedOrder::verify_all(orders, rand::rng()));
            } else {
                groups.push(orders);
                questions.push(question);
            }
        }
        debug!(self.log, "signatures checked"; "count" => count, "senders" => groups.len());
        let verdicts = SignedOrder::verify_groups(groups, rand::rng());
        for (question, verdicts) in questions.into_iter().zip(verdicts) {
            self.turns.answer(question, verdicts);
        }
        if self.turns.is_shared() {
            // Where threads are more than cores, whoever has just got its verdict would wait for the end of this
            // one's time slice.
            thread::yield_now();
        }
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
        if message.orders.is_empty() {
            reply.send(Ok(Verdicts::new()));
        } else if self.turns.has_room(&message.sender, message.orders.len()) {
            self.turns.push(message, reply);
            self.schedule_turn(ctx);
        } else {
            reply.send(Err(VerifierBusy));
        }
        later
    }
}

impl Handler<CountOrdersWaiting> for Verifier {
    type Result = u64;

    fn handle(&mut self, CountOrdersWaiting: CountOrdersWaiting, _: &mut Self::Context) -> u64 {
        self.turns.orders() as u64
    }
}

#[cfg(test)]
mod tests;
