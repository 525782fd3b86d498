//! Connections between two clients over the secure protocol.
//!
//! | module | holds |
//! |---|---|
//! | [`incoming`] | the [`SecurePeerLink`] that a payer has opened: its orders go to the wallet |
//! | [`dialer`] | the [`SecureDialer`]: keeps links to payees and hands orders over on them |
//! | `outgoing` | one link to a payee, shared by all orders for it |
//! | `rules` | what an order must be to be offered to the wallet; texts that a peer has written |
//!
//! Who is at the other end, TLS has shown before a link begins. Receipts are passed on as they come: the
//! wallet verifies them.

use std::time::Duration;

use wire::order::{MEMO_BYTES_MAX, SIGNED_ORDER_BYTES_MAX};
use wire::receipt::RECEIPT_BYTES_MAX;

pub mod dialer;
pub mod incoming;
mod outgoing;
mod rules;
#[cfg(test)]
mod stage;

pub use dialer::{ConnectPeer, SecureDialer};
pub use incoming::SecurePeerLink;

/// How long a link to a payee is kept when nothing is under way on it: shaking hands anew costs more than
/// an idle connection for a minute.
const LINK_IDLE: Duration = Duration::from_mins(1);

/// The longest frame of a payer: an order and a memo, and the tags, lengths and salt around them (29 bytes),
/// rounded up.
const PAYER_FRAME_BYTES_MAX: usize = SIGNED_ORDER_BYTES_MAX + MEMO_BYTES_MAX + 64;

/// The longest frame of a payee: a receipt, and the tags and the id around it (24 bytes), rounded up.
const PAYEE_FRAME_BYTES_MAX: usize = RECEIPT_BYTES_MAX + 64;

/// How much is read at once: an order or an answer with a receipt, and usually several.
const READ_BYTES: usize = 4 << 10;

/// How long a peer of the secure protocol is waited for.
#[derive(Clone, Copy, Debug)]
pub struct SecurePeerPatience {
    /// How long connecting to a payee may take, with both hellos.
    pub connect: Duration,
    /// How long the payee may take to say what came of an order.
    pub answer: Duration,
    /// How long a link to a payee is kept when nothing is under way on it.
    pub idle: Duration,
    /// How long a payer that has connected may take to say hello.
    pub hello: Duration,
    /// How long a payer may take to hand a whole order over, the first or the next: longer than `idle`,
    /// so that it is the payer who ends an idle link.
    pub order: Duration,
    /// How long this side's wallet may take to answer a payer: less than `answer`, so that the payer hears
    /// that nobody knows instead of nothing.
    pub wallet: Duration,
    /// How long a payer may take to read its answers.
    pub write: Duration,
}

impl Default for SecurePeerPatience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(20),
            idle: LINK_IDLE,
            hello: Duration::from_secs(5),
            order: LINK_IDLE + Duration::from_secs(30),
            wallet: Duration::from_secs(15),
            write: Duration::from_secs(10),
        }
    }
}
