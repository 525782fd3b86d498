//! The text protocol: what the original program and its relatives speak.
//!
//! | module | holds |
//! |---|---|
//! | [`framing`] | where a request ends: line ends, NUL, or a quiet time |
//! | [`request`] | requests: parsed by the server, written by the client |
//! | [`reply`] | the server's replies in both dialects |
//! | [`reader`] | the client's reading of replies from any server of the family |
//! | [`list`] | the lists among them |
//! | [`wording`] | what other lines say |
//! | [`peer`] | payments handed from payer to payee |
//!
//! `docs/PROTOCOL.md` describes the protocol itself.

pub mod framing;
pub mod list;
pub mod peer;
pub mod reader;
pub mod reply;
pub mod request;
pub mod wording;

pub use framing::{Framer, Violation};
pub use reply::{Addressee, Dialect, Reply};
pub use request::{InvalidRequest, TextPayment, TextRequest};
