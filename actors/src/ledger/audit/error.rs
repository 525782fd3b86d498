//! What an audit can find.

use wire::receipt::ReceiptError;
use wire::{BatchNumber, EntryNumber, PublicKey};

use crate::ledger::journal::OpenError;
use crate::ledger::state::ReplayError;

/// The first fault of a journal, or what kept it from being read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It cannot be read, or is not whole.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// It can be read, and holds what it must not.
    #[error("{file} at byte {offset}, in batch {batch}{}: {fault}", entry_text(*.entry))]
    Fault {
        /// The file, in the data directory.
        file: String,
        /// Where the batch begins in it.
        offset: u64,
        /// The batch.
        batch: BatchNumber,
        /// The entry; `None` if it is the batch as a whole.
        entry: Option<EntryNumber>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Not a single batch is signed, so anybody may have written them.
    #[error("none of its {0} batches is signed by the server: nobody vouches for them")]
    Unsealed(u64),
    /// Credits appeared or vanished, by rules that should not allow it.
    #[error("all balances, the treasury's too, sum to {0} and not to zero")]
    Books(i128),
    /// A receipt that it was held against does not fit it.
    #[error("{fault}")]
    Receipt {
        /// Which one, from 0.
        index: usize,
        /// What does not fit.
        fault: ReceiptFault,
    },
}

/// What a journal must not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The seal is not by the server's key.
    #[error("the batch is not signed by the server's key")]
    ServerSignature,
    /// The order is not by the payer's key.
    #[error("the order is not signed by its payer")]
    PayerSignature,
    /// The key change is not by the old key.
    #[error("the key change is not signed by the old key")]
    OldKeySignature,
    /// The key change is not by the new key.
    #[error("the key change is not signed by the new key")]
    NewKeySignature,
    /// What was signed is for another server.
    #[error("what was signed names another server, {0}")]
    OtherServer(PublicKey),
    /// The order's time was further away than the rules allow.
    #[error("the order was valid for longer than is allowed")]
    OrderTooLong,
    /// The ledger's rules forbid the entry.
    #[error(transparent)]
    Rules(#[from] ReplayError),
}

/// Why a receipt does not fit a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// The receipt itself proves nothing.
    #[error(transparent)]
    Invalid(#[from] ReceiptError),
    /// The journal has another batch in the place of the receipt's.
    #[error("batch {batch} in {file} at byte {offset} is not the one that the server signed then")]
    OtherBatch {
        /// The file, in the data directory.
        file: String,
        /// Where the batch begins in it.
        offset: u64,
        /// The batch.
        batch: BatchNumber,
    },
    /// The journal ends before the receipt's batch.
    #[error("the journal ends with batch {last}, and the receipt is of batch {batch}")]
    Missing {
        /// The receipt's batch.
        batch: BatchNumber,
        /// The journal's last one.
        last: BatchNumber,
    },
}

fn entry_text(entry: Option<EntryNumber>) -> String {
    entry.map(|entry| format!(", entry {entry}")).unwrap_or_default()
}
