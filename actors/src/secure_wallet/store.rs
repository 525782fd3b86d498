//! What a wallet keeps on its disk: its outbox, what became of its payments, known peers, receipts.

mod redb_store;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use wire::order::{MEMO_BYTES_MAX, SIGNED_ORDER_BYTES_MAX};
use wire::receipt::RECEIPT_BYTES_MAX;
use wire::secure::OrderProblem;
use wire::{OrderId, PublicKey, Receipt, SignedOrder, Timestamp, Username, Verdict};

pub use self::redb_store::RedbStore;
use crate::messages::{MemoFate, PayError, Payment, PaymentState};

/// The most bytes of one record: an order, a memo, a receipt, and what stands around them.
pub(super) const RECORD_BYTES_MAX: usize =
    SIGNED_ORDER_BYTES_MAX + MEMO_BYTES_MAX + RECEIPT_BYTES_MAX + 64;

/// Where a wallet keeps what it must not forget. Everything belongs to one server, by its key: one
/// profile may speak to several.
pub trait WalletStore: fmt::Debug + Send + Sync + 'static {
    /// Writes all of this or nothing, durably.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`]: nothing has changed. [`StoreError::Unsure`]: it may be there when the
    /// store is opened the next time, or not.
    fn write(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Does the same while the caller goes on. By default, on a thread that may wait for a disk.
    ///
    /// # Errors
    /// Those of [`WalletStore::write`].
    fn write_beside(self: Arc<Self>, changes: Vec<Change>) -> Writing {
        Box::pin(async move {
            let written = spawn_blocking(move || self.write(&changes)).await;
            written.unwrap_or_else(|panic| Err(StoreError::Unsure(panic.to_string())))
        })
    }

    /// The orders that stand in the outbox, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    fn outbox(&self, server: &PublicKey) -> Result<Vec<OutboxRecord>, StoreError>;

    /// The newest payments that are closed, at most so many.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    fn closed(&self, server: &PublicKey, limit: usize) -> Result<Vec<ClosedRecord>, StoreError>;

    /// The payment with this id, if it is closed.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    fn find_closed(
        &self,
        server: &PublicKey,
        id: OrderId,
    ) -> Result<Option<ClosedRecord>, StoreError>;

    /// The receipts of payments to this wallet whose orders have this id. Ids are the payers' own, so
    /// there may be several; at most eight are read.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    fn received(&self, server: &PublicKey, id: OrderId) -> Result<Vec<Receipt>, StoreError>;

    /// What is known of a peer's key.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    fn peer(&self, server: &PublicKey, name: &Username) -> Result<Option<KnownPeer>, StoreError>;

    /// The server that the wallet was connected to last.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    fn last_server(&self) -> Result<Option<PublicKey>, StoreError>;
}

/// A transaction under way.
pub type Writing = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

/// One thing to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The wallet is connected to this server.
    Server(PublicKey),
    /// From now on this is a peer's key.
    Trust {
        /// At which server.
        server: PublicKey,
        /// Who.
        name: Username,
        /// The key, and since when it is known.
        peer: KnownPeer,
    },
    /// The same, unless another key of theirs is known.
    Meet {
        /// At which server.
        server: PublicKey,
        /// Who.
        name: Username,
        /// The key, and since when it is known.
        peer: KnownPeer,
    },
    /// An order that is about to be sent for the first time.
    Open(OutboxRecord),
    /// What became of an order that stands in the outbox, which it leaves.
    Close(ClosedRecord),
    /// This wallet was paid; the receipt that proves it. One without an order changes nothing.
    Received(Box<Receipt>),
}

/// A payment that is not decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// What was signed.
    pub order: SignedOrder,
    /// What it is for.
    pub memo: Option<String>,
}

/// A payment whose outcome is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedRecord {
    /// What was signed.
    pub order: SignedOrder,
    /// What it is for.
    pub memo: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// How a payment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The server decided it; the proof, which was checked.
    Decided(Box<Receipt>),
    /// The server will never take it.
    Dead(OrderProblem),
}

/// A key that somebody has shown before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    /// The key.
    pub key: PublicKey,
    /// Since when it is known, by the server's clock.
    pub since: Timestamp,
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made, or another process has it.
    #[error("{0}")]
    Unopened(String),
    /// It was written by another version of this program.
    #[error("version {0} of the wallet's file is not known")]
    Version(u16),
    /// It cannot be read, or holds something that no wallet has written.
    #[error("{0}")]
    Unreadable(String),
    /// It cannot be written; nothing has changed.
    #[error("{0}")]
    NotWritten(String),
    /// Writing failed at the end; what was written may be there the next time, or not.
    #[error("{0}")]
    Unsure(String),
}

impl OutboxRecord {
    /// The payment as it is told.
    pub fn payment(&self) -> Payment {
        payment(&self.order, self.memo.as_ref(), PaymentState::Open)
    }
}

impl ClosedRecord {
    /// The id of its order.
    pub(super) const fn id(&self) -> OrderId {
        self.order.order.id
    }

    /// The payment as it is told.
    pub fn payment(&self) -> Payment {
        payment(&self.order, self.memo.as_ref(), self.outcome.state())
    }
}

impl Outcome {
    /// The outcome as it is told.
    pub fn state(&self) -> PaymentState {
        match self {
            Self::Dead(problem) => PaymentState::Dead(*problem),
            Self::Decided(receipt) => match receipt.verdict() {
                Some(Verdict::Settled) => PaymentState::Paid,
                Some(Verdict::Refused(refusal)) => PaymentState::Refused(refusal),
                // Nothing is decided by a receipt that is about no payment.
                None => PaymentState::Open,
            },
        }
    }
}

fn payment(signed: &SignedOrder, memo: Option<&String>, state: PaymentState) -> Payment {
    let order = &signed.order;
    let (payee, amount) = (order.payee.clone(), order.amount);
    Payment {
        id: order.id,
        payee,
        amount,
        memo: memo.cloned(),
        state,
        memo_fate: MemoFate::Unremarkable,
    }
}

impl From<StoreError> for PayError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

#[cfg(test)]
mod tests;
