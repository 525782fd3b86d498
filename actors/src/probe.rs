//! Mocked neighbours: an actor is tested alone, against recipients that record what they are sent.

use std::fmt::Debug;
use std::time::Duration;

use actix::prelude::*;
use slog::{Discard, Logger, o};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wire::{PublicKey, Timestamp};

use crate::ledger::state::Terms;

/// A log for nobody.
pub(crate) fn no_log() -> Logger {
    Logger::root(Discard, o!())
}

/// What a mocked neighbour was sent, in order.
pub(crate) struct Received<M>(UnboundedReceiver<M>);

impl<M: Debug> Received<M> {
    /// The next message. The test fails if none comes.
    pub(crate) async fn next(&mut self) -> M {
        let next = tokio::time::timeout(Duration::from_secs(30), self.0.recv()).await;
        next.expect("a message comes").expect("the neighbour is there")
    }

    /// Asserts that nothing more was sent.
    pub(crate) fn nothing(&mut self) {
        if let Ok(message) = self.0.try_recv() {
            panic!("unexpected: {message:?}");
        }
    }
}

/// A neighbour that records every message and answers as `answer` says.
pub(crate) fn probe<M, F>(answer: F) -> (Recipient<M>, Received<M>)
where
    M: Message + Clone + Debug + Send + Unpin + 'static,
    M::Result: Send,
    F: FnMut(&M) -> M::Result + Unpin + 'static,
{
    let (sender, receiver) = unbounded_channel();
    (Probe { sender, answer }.start().recipient(), Received(receiver))
}

/// A neighbour that has ended.
pub(crate) async fn gone<M>() -> Recipient<M>
where
    M: Message + Clone + Debug + Send + Unpin + 'static,
    M::Result: Send,
{
    let (sender, _) = unbounded_channel::<M>();
    let answer = |_: &M| -> M::Result { unreachable!("nobody is there to answer") };
    let probe = Probe { sender, answer }.start();
    probe.send(End).await.expect("it ends only now");
    while probe.connected() {
        tokio::task::yield_now().await;
    }
    probe.recipient()
}

struct Probe<M, F> {
    sender: UnboundedSender<M>,
    answer: F,
}

#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl<M: Unpin + 'static, F: Unpin + 'static> Actor for Probe<M, F> {
    type Context = Context<Self>;
}

impl<M, F> Handler<M> for Probe<M, F>
where
    M: Message + Clone + Unpin + 'static,
    F: FnMut(&M) -> M::Result + Unpin + 'static,
{
    type Result = MessageResult<M>;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        let answer = (self.answer)(&message);
        // A test that has seen enough listens no more.
        let _ = self.sender.send(message);
        MessageResult(answer)
    }
}

impl<M: Unpin + 'static, F: Unpin + 'static> Handler<End> for Probe<M, F> {
    type Result = ();

    fn handle(&mut self, End: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// What the rules go by in tests where neither the clock nor the server matters.
pub(crate) const TERMS: Terms =
    Terms { now: Timestamp::new(1_700_000_000_000), server: PublicKey::new([0x5E; 32]) };
