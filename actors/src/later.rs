//! Replies that are sent later than the handler returns.
//!
//! actix wants a future for that, boxed and spawned for each message. The ledger answers whole
//! batches at once, so it keeps where the replies go instead: one shared cell a message.

use std::cell::RefCell;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::*;

/// What a handler returns whose reply comes later, through its [`ReplySlot`].
#[derive(Debug)]
pub struct Later<T>(Rc<RefCell<Slot<T>>>);

/// Where the reply to one message goes. Dropped without a reply, it tells the sender that nobody
/// will answer.
#[derive(Debug)]
pub(crate) struct ReplySlot<T>(Rc<RefCell<Slot<T>>>);

#[derive(Debug)]
enum Slot<T> {
    /// The handler has not returned yet.
    Empty,
    /// The handler has returned; the sender waits, or does not want to know.
    Sender(Option<OneshotSender<T>>),
    /// The reply was there before the handler returned.
    Reply(T),
}

impl<T> Later<T> {
    /// A reply to come, and where it is to be put.
    pub(crate) fn new() -> (Self, ReplySlot<T>) {
        let slot = Rc::new(RefCell::new(Slot::Empty));
        (Self(Rc::clone(&slot)), ReplySlot(slot))
    }
}

impl<T> ReplySlot<T> {
    /// Sends the reply.
    pub(crate) fn send(self, reply: T) {
        let slot = self.0.replace(Slot::Empty);
        match slot {
            // Whoever asked may have gone meanwhile.
            Slot::Sender(Some(sender)) => drop(sender.send(reply)),
            Slot::Sender(None) => {}
            Slot::Empty | Slot::Reply(_) => drop(self.0.replace(Slot::Reply(reply))),
        }
    }
}

impl<A, M> MessageResponse<A, M> for Later<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<M::Result>>) {
        let slot = self.0.replace(Slot::Empty);
        match (slot, sender) {
            (Slot::Reply(reply), Some(sender)) => drop(sender.send(reply)),
            (Slot::Reply(_), None) => {}
            (_, sender) => drop(self.0.replace(Slot::Sender(sender))),
        }
    }
}
