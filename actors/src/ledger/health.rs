//! Whether the ledger takes changes, for whoever watches over the server.

use std::sync::Arc;

use wire::Timestamp;

/// What [`Ledger::health`](super::Ledger::health) shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LedgerHealth {
    /// All is well.
    #[default]
    Writing,
    /// The journal could not be written. Nothing is changed any more; balances, accounts and what became of
    /// orders are told up to the last batch that is known to be durable.
    ReadOnly {
        /// When that happened, by the server's clock.
        since: Timestamp,
        /// What the disk said.
        why: Arc<str>,
        /// Whether it ends by itself, once there is room on the disk. Else the server must be started again.
        resumes: bool,
    },
}
