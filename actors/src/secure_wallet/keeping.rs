//! Having the server keep the orders that stay open, so that whoever loses this machine finds them.

use std::time::Duration;

use actix::prelude::*;
use wire::OrderId;
use wire::secure::{Answer, Call, Retry};

use super::{SecureWallet, ask};
use crate::archive::OPEN_ORDERS_PER_ACCOUNT_MAX;
use crate::messages::CallError;

/// How often the wallet looks for payments that do not end. The server is asked to keep an order that two
/// looks have found open, half a second to a second after it has begun: most are decided in milliseconds, and
/// to keep one costs the server more than to settle it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So often in a row the next look comes twice as late because the server has kept nothing: 8 s are not much
/// of the time for which an order is valid.
const DELAYS_MAX: u32 = 4;

/// Whether the server is asked to keep an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Not yet: it has begun since the wallet looked last.
    Begun,
    /// Not yet, but if it is open when the wallet looks again.
    Open,
    /// It is being asked.
    Asked,
    /// It keeps the order, or never will.
    Done,
}

/// The looks at what is open.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// One is due.
    due: bool,
    /// So many times in a row the server has not kept what it was asked to.
    failures: u32,
}

impl SecureWallet {
    /// Looks at what is open soon, if nobody does yet.
    pub(super) fn watch_open(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.looks.due, true) {
            let delay = LOOK_EVERY * (1 << self.looks.failures.min(DELAYS_MAX));
            ctx.run_later(delay, |wallet, ctx| {
                wallet.looks.due = false;
                wallet.keep_open(ctx);
            });
        }
    }

    /// Has the server keep orders that were open the last time already: of those that are open, no more than
    /// it keeps of one account, which also bounds the calls. Without a connection it is for the next one.
    fn keep_open(&mut self, ctx: &mut Context<Self>) {
        let Some(link) = self.live_link() else { return };
        let payments = self.payments.values();
        let taken = payments.filter(|paying| is_taken(paying.keeping)).count();
        let mut room = OPEN_ORDERS_PER_ACCOUNT_MAX.saturating_sub(taken);
        let mut asked = Vec::new();
        let mut again = false;
        for (id, paying) in &mut self.payments {
            match paying.keeping {
                Keeping::Open if room > 0 => {
                    room -= 1;
                    paying.keeping = Keeping::Asked;
                    let call = Call::KeepOrder { order: paying.record().order };
                    asked.push((*id, ask(&link, call)));
                }
                Keeping::Begun | Keeping::Open => {
                    paying.keeping = Keeping::Open;
                    again = true;
                }
                Keeping::Asked | Keeping::Done => {}
            }
        }
        if !asked.is_empty() {
            let answers = answers(asked).into_actor(self);
            ctx.spawn(answers.map(|answers, wallet, ctx| wallet.hear_of_keeps(answers, ctx)));
        }
        if again {
            self.watch_open(ctx);
        }
    }

    /// What is not kept is asked for again. Meanwhile the payment is as safe on this machine as with it.
    fn hear_of_keeps(
        &mut self,
        answers: Vec<(OrderId, Result<Answer, CallError>)>,
        ctx: &mut Context<Self>,
    ) {
        let mut failed = false;
        for (id, answer) in answers {
            let keeping = heard(&answer);
            failed |= keeping == Keeping::Open;
            // It may be decided by now.
            if let Some(paying) = self.payments.get_mut(&id) {
                paying.keeping = keeping;
            }
        }
        self.looks.failures = if failed { self.looks.failures.saturating_add(1) } else { 0 };
        if failed {
            self.watch_open(ctx);
        }
    }
}

/// Whether it takes up some of the room that the account has at the server.
const fn is_taken(keeping: Keeping) -> bool {
    matches!(keeping, Keeping::Asked | Keeping::Done)
}

async fn answers<T>(asked: Vec<(OrderId, impl Future<Output = T>)>) -> Vec<(OrderId, T)> {
    let mut answers = Vec::with_capacity(asked.len());
    for (id, asked) in asked {
        answers.push((id, asked.await));
    }
    answers
}

fn heard(answer: &Result<Answer, CallError>) -> Keeping {
    match answer {
        Ok(Answer::Kept) => Keeping::Done,
        Err(CallError::Problem(problem)) if matches!(problem.retry(), Retry::Never) => {
            Keeping::Done
        }
        _ => Keeping::Open,
    }
}
