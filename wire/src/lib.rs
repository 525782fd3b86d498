//! Mite's vocabulary: bytes in, values out.
//!
//! This crate knows nobody: no I/O, no actors, no clock, no log. What exists here is valid; whoever
//! holds a [`Username`] holds a usable one.
//!
//! | module | holds |
//! |---|---|
//! | [`amount`] | [`Amount`]: whole credits, checked arithmetic only |
//! | [`username`] | [`Username`]: what an account can be called |
//! | [`new_username`] | [`NewUsername`]: what a new account can be called |
//! | [`name_look`] | [`NameLook`]: which names people would take for each other |
//! | [`ids`] | numbers that must not be mistaken for each other |
//! | [`key`], [`signature`] | [`PublicKey`], [`Signature`] and the one rule of what is valid |
//! | [`order`], [`key_change`] | what account holders sign: [`SignedOrder`], [`SignedKeyChange`] |
//! | [`entry`] | [`Entry`]: one change of the ledger, as the journal keeps it |
//! | [`operator`] | what an operator says beside a change of an account |
//! | [`batch`], [`merkle`], [`receipt`] | what the server signs: batches, and [`Receipt`]s from them |
//! | [`refusal`] | [`Refusal`]: why the ledger moved nothing, each with a stable code |
//! | [`codec`] | the bincode encoding of everything that is kept or sent in binary |
//! | [`admin`] | the admin protocol: frames between an operator's program and a running server |
//! | [`secure`] | the secure protocol: frames between client and server and between peers |
//! | [`text`] | the text protocol: requests, replies, payments between peers |

pub mod admin;
pub mod amount;
pub mod batch;
pub mod codec;
pub mod entry;
pub mod ids;
pub mod key;
pub mod key_change;
pub mod merkle;
pub mod name_look;
pub mod new_username;
pub mod operator;
pub mod order;
pub mod receipt;
pub mod refusal;
pub mod secure;
pub mod signature;
pub mod text;
pub mod username;

pub use amount::Amount;
pub use entry::{Access, Authority, Entry};
pub use ids::{AccountId, BatchNumber, EntryNumber, P2pPort, Timestamp};
pub use key::PublicKey;
pub use key_change::{KeyChange, SignedKeyChange, VerifiedKeyChange};
pub use name_look::NameLook;
pub use new_username::{NewUsername, NewUsernameError};
pub use operator::{FreezeReason, OperatorId, OperatorRefusal};
pub use order::{Memo, Order, OrderHash, OrderId, SignedOrder, VerifiedOrder};
pub use receipt::{Receipt, Verdict};
pub use refusal::Refusal;
pub use signature::{InvalidSignature, Signature};
pub use username::Username;
