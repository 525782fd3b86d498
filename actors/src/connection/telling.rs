//! What a session tells the Registry, which nobody waits for, and how much of it may be unheard.

use actix::dev::RecipientRequest;
use actix::prelude::*;

/// Messages of one session that the Registry may not have heard. The capacity of a mailbox holds up
/// nobody who only tells something: without this bound, a session whose orders are decided faster than
/// their parties are told would fill it without end. A message of the largest round takes some 200 KiB,
/// most less than one.
pub(crate) const NOTICES_UNHEARD_MAX: usize = 64;

/// Whoever is told answers one message in so many; each answer would wake the thread of the session.
const ANSWERED_EVERY: usize = NOTICES_UNHEARD_MAX / 2;

/// How much of what a session has told may be unheard.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// Messages since the one whose answer is awaited, or was there last.
    since: usize,
    awaited: bool,
}

impl Telling {
    /// Tells this. If an answer is returned, the caller awaits it, and says so with [`Telling::heard`].
    pub(crate) fn tell<M>(&mut self, to: &Recipient<M>, message: M) -> Option<RecipientRequest<M>>
    where
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.since += 1;
        if self.awaited || self.since < ANSWERED_EVERY {
            to.do_send(message);
            return None;
        }
        (self.since, self.awaited) = (0, true);
        Some(to.send(message))
    }

    /// The answer has come, or none comes any more.
    pub(crate) const fn heard(&mut self) {
        self.awaited = false;
    }

    /// Whether as much is unheard as may be: then nothing is asked that ends in more.
    pub(crate) const fn is_full(&self) -> bool {
        self.awaited && self.since >= ANSWERED_EVERY
    }
}
