//! The secure protocol: frames between a client and its server, and between peers.
//!
//! Each frame is a length (4 bytes, little-endian) and as many bytes, which are one value in the
//! encoding of [`codec`](crate::codec), without anything behind it. `docs/PROTOCOL.md` tells who says
//! what when. Both sides speak over TLS 1.3 with raw public keys; who somebody is, TLS has shown.
//!
//! | module | holds |
//! |---|---|
//! | [`frame`] | lengths, bounds, encoding and decoding |
//! | [`reader`] | from a stream's bytes to frames: [`FrameReader`] |
//! | [`hello`] | the first frame of each side: versions and limits |
//! | [`call`] | what a client asks: [`Request`], [`Call`] |
//! | [`answer`] | what the server says: [`ServerFrame`], [`Answer`], [`Event`] |
//! | [`problem`] | why not: [`Problem`], [`OrderProblem`], each with a code and [`Retry`] |
//! | [`peer`] | what payer and payee say to each other |
//! | [`reader`] | from a stream's bytes to frames: [`FrameReader`] |

pub mod answer;
pub mod call;
pub mod frame;
pub mod hello;
pub mod peer;
pub mod problem;
pub mod reader;

pub use answer::{
    AccountInfo, Answer, Event, HistoryEvent, HistoryItem, OnlinePeer, OrderAnswer, OrderStatus,
    OwnAccount, Response, ServerFrame,
};
pub use call::{Call, Correlation, OrderRef, REQUEST_BYTES_MAX, REQUEST_BYTES_MIN, Request};
pub use frame::{FRAME_BYTES_MAX, FrameError};
pub use hello::{HELLO_BYTES_MAX, Hello, Limits, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, Welcome};
pub use peer::{PayeeAnswer, PayeeFrame, PayerFrame};
pub use problem::{OrderProblem, Problem, Retry};
pub use reader::FrameReader;

#[cfg(test)]
mod golden;
