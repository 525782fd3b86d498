//! What payer and payee say to each other over a peer link.
//!
//! The payer says [`Hello`](super::Hello), and so does the payee; then the payer hands orders over, one
//! [`PayerFrame`] each, and the payee answers each with a [`PayeeFrame`], in any order.

use serde::{Deserialize, Serialize};

use crate::{Memo, OrderId, Receipt, SignedOrder};

/// Payer to payee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayerFrame {
    /// Submit this.
    Offer {
        /// To the payee, signed by the payer whose key the link has shown.
        order: Box<SignedOrder>,
        /// What it is for.
        memo: Option<Memo>,
    },
}

/// Payee to payer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayeeFrame {
    /// What became of an order.
    Answer {
        /// Which one.
        id: OrderId,
        /// What the payee says.
        answer: PayeeAnswer,
    },
}

/// What the payee says of an order that was handed over. Only a receipt is to be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayeeAnswer {
    /// The server has decided it; the proof.
    Decided(Box<Receipt>),
    /// The payee does not submit it, for this reason, in words for people.
    Declined(String),
    /// The payee has submitted it, or tried to, and does not know what became of it.
    Unknown,
}
