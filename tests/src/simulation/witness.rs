//! Who hears all that a client asks the server, and all answers.

use std::rc::Rc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, AsyncContext as _, Context, Handler, Message, Recipient,
    ResponseFuture,
};
use actors::messages::{AskServer, CallError};
use wire::secure::{Answer, OrderAnswer, OrderStatus};

use super::world::World;

/// How often it is looked whether a link, or whoever asks over it, is gone.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stands between a wallet and its link to the server, as long as both are there, and passes everything on.
pub(super) struct Witness {
    link: Recipient<AskServer>,
    /// One of them was gone when it was looked last.
    is_over: bool,
    who: usize,
    world: Rc<World>,
}

impl Witness {
    pub(super) fn start_before(
        link: Recipient<AskServer>,
        who: usize,
        world: Rc<World>,
    ) -> Recipient<AskServer> {
        Self { link, is_over: false, who, world }.start().recipient()
    }
}

impl Actor for Witness {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Whoever asks whether the link is there asks the witness.
        ctx.run_interval(LOOK_EVERY, |witness, ctx| {
            if std::mem::replace(&mut witness.is_over, is_over(&witness.link, ctx)) {
                ctx.stop();
            }
        });
    }
}

/// Whether a link, or whoever asks over it by way of a witness, is gone.
pub(super) fn is_over<W, M>(link: &Recipient<M>, witness: &Context<W>) -> bool
where
    W: Actor<Context = Context<W>>,
    M: Message<Result: Send> + Send,
{
    !link.connected() || !witness.connected()
}

impl Handler<AskServer> for Witness {
    type Result = ResponseFuture<Result<Answer, CallError>>;

    fn handle(&mut self, asked: AskServer, _: &mut Self::Context) -> Self::Result {
        let (world, who) = (Rc::clone(&self.world), self.who);
        let call = asked.0.clone();
        let answer = self.link.send(asked);
        Box::pin(async move {
            let gone = |_| Err(CallError::Lost("the link is gone".to_owned()));
            let answer = answer.await.unwrap_or_else(gone);
            world.note(who, &format!("server answers {}: {}", named(&call), summary(&answer)));
            if let Ok(answer) = &answer {
                world.words.hear(&call, answer);
            }
            for receipt in answer.iter().flat_map(receipts) {
                world.hear_receipt(receipt.clone());
            }
            answer
        })
    }
}

/// All receipts of an answer.
fn receipts(answer: &Answer) -> Vec<&wire::Receipt> {
    match answer {
        Answer::Orders(orders) => orders
            .iter()
            .filter_map(|order| match order {
                OrderAnswer::Decided { receipt, .. } => Some(&**receipt),
                OrderAnswer::NotTaken(_) => None,
            })
            .collect(),
        Answer::Statuses { statuses, .. } => statuses
            .iter()
            .filter_map(|status| match status {
                OrderStatus::Decided(receipt) => Some(&**receipt),
                OrderStatus::Unknown => None,
            })
            .collect(),
        Answer::Receipts(receipts) => receipts.iter().flatten().collect(),
        Answer::KeyChanged(receipt) => vec![receipt],
        _ => Vec::new(),
    }
}

/// The first word of how it is written for programmers.
fn named(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn summary(answer: &Result<Answer, CallError>) -> String {
    match answer {
        Ok(Answer::Orders(orders)) => {
            let each = orders.iter().map(|order| match order {
                OrderAnswer::Decided { replayed, receipt } => {
                    format!("{:?} replayed {replayed}", receipt.verdict())
                }
                OrderAnswer::NotTaken(problem) => problem.to_string(),
            });
            each.collect::<Vec<_>>().join(", ")
        }
        Ok(Answer::Statuses { statuses, now }) => {
            let each = statuses.iter().map(|status| match status {
                OrderStatus::Decided(receipt) => format!("{:?}", receipt.verdict()),
                OrderStatus::Unknown => "unknown".to_owned(),
            });
            format!("{} at {now}", each.collect::<Vec<_>>().join(", "))
        }
        Ok(Answer::Balance { amount, now }) => format!("{amount} at {now}"),
        Ok(answer) => named(answer),
        Err(error) => error.to_string(),
    }
}
