//! The first frame of each side.

use serde::{Deserialize, Serialize};

use super::{OwnAccount, Problem};
use crate::Timestamp;

/// The newest version of the secure protocol that this code speaks. What came with version 2, programs of
/// version 1 cannot read: problems, refusals in signed entries, events of histories.
pub const PROTOCOL_VERSION: u16 = 2;

/// The oldest one.
pub const PROTOCOL_VERSION_MIN: u16 = 2;

/// What the first frames begin with, so that a stranger is noticed at once. The two sides of a
/// connection to a server and of one between peers differ, so that neither is taken for the other.
pub mod magic {
    /// Client to server.
    pub const CLIENT: [u8; 8] = *b"MiteClnt";
    /// Server to client.
    pub const SERVER: [u8; 8] = *b"MiteSrvr";
    /// Payer to payee.
    pub const PAYER: [u8; 8] = *b"MitePayr";
    /// Payee to payer.
    pub const PAYEE: [u8; 8] = *b"MitePaye";
}

/// Whoever has connected says first which versions it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// One of [`magic`].
    pub magic: [u8; 8],
    /// The lowest version.
    pub version_min: u16,
    /// The highest version.
    pub version_max: u16,
}

impl Hello {
    /// What this program says.
    pub const fn new(magic: [u8; 8]) -> Self {
        Self { magic, version_min: PROTOCOL_VERSION_MIN, version_max: PROTOCOL_VERSION }
    }

    /// The newest version that both sides speak, if it is the hello of this role.
    ///
    /// # Errors
    /// [`Problem::WrongRole`], [`Problem::UnknownVersion`].
    pub fn check(&self, magic: [u8; 8]) -> Result<u16, Problem> {
        if self.magic != magic {
            return Err(Problem::WrongRole);
        }
        let version = self.version_max.min(PROTOCOL_VERSION);
        if version >= self.version_min.max(PROTOCOL_VERSION_MIN) {
            Ok(version)
        } else {
            Err(Problem::UnknownVersion)
        }
    }
}

/// The longest [`Hello`], without its length: room for what later versions may add.
pub const HELLO_BYTES_MAX: usize = 64;

/// The server's first frame, if it takes the client. On the wire it is a
/// `Result<Welcome, Problem>`: with a problem, the connection ends behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`magic::SERVER`].
    pub magic: [u8; 8],
    /// The version that is spoken from here on.
    pub version: u16,
    /// The server's clock.
    pub now: Timestamp,
    /// What the server takes.
    pub limits: Limits,
    /// The account that has the key of this connection; `None` if there is none yet.
    pub account: Option<OwnAccount>,
}

/// What the server takes from one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a frame.
    pub frame_bytes_max: u32,
    /// Calls without an answer yet; more of them are read later.
    pub calls_under_way_max: u32,
    /// Orders in one call.
    pub orders_per_call_max: u32,
    /// Items on one page of a list or history.
    pub page_items_max: u32,
    /// Milliseconds that an order may be valid.
    pub order_validity_ms_max: u64,
}
