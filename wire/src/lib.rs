//! Mite's vocabulary: bytes in, values out.
//!
//! This crate knows nobody: no I/O, no actors, no clock, no log. What exists here is valid; whoever
//! holds a [`Username`] holds a usable one.
//!
//! | module | holds |
//! |---|---|
//! | [`amount`] | [`Amount`]: whole credits, checked arithmetic only |
//! | [`username`] | [`Username`]: the rules of names |
//! | [`ids`] | numbers that must not be mistaken for each other |
//! | [`key`] | [`PublicKey`] |
//! | [`entry`] | [`Entry`]: one change of the ledger, as the journal keeps it |
//! | [`refusal`] | [`Refusal`]: why the ledger moved nothing, each with a stable code |
//! | [`codec`] | the bincode encoding of everything that is kept or sent in binary |
//! | [`text`] | the text protocol: requests, replies, payments between peers |

pub mod amount;
pub mod codec;
pub mod entry;
pub mod ids;
pub mod key;
pub mod refusal;
pub mod text;
pub mod username;

pub use amount::Amount;
pub use entry::{Access, Authority, Entry};
pub use ids::{AccountId, BatchNumber, EntryNumber, P2pPort, Timestamp};
pub use key::PublicKey;
pub use refusal::Refusal;
pub use username::Username;
