//! Batches of the journal that receipts are made of.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ledger::journal::{BatchPosition, OpenError, Storage, StoredBatch, read_batch};

/// So many batches stay in memory with their trees, so that asking for one receipt after another does not
/// read and hash a batch each time: 16 MiB each at most, 64 MiB.
const BATCHES_KEPT_MAX: usize = 4;

/// Reads batches again.
pub(super) struct Proofs {
    storage: Arc<dyn Storage>,
    /// The one that was used last is in front.
    kept: VecDeque<StoredBatch>,
}

impl Proofs {
    pub(super) const fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, kept: VecDeque::new() }
    }

    /// A batch that is durable. What stands where the index says may be another one.
    ///
    /// # Errors
    /// What the journal says.
    pub(super) fn batch(&mut self, position: BatchPosition) -> Result<&StoredBatch, OpenError> {
        let known = self.kept.iter().position(|batch| batch.position == position);
        let batch = match known.and_then(|place| self.kept.remove(place)) {
            Some(batch) => batch,
            None => read_batch(&*self.storage, position)?,
        };
        self.kept.truncate(BATCHES_KEPT_MAX - 1);
        self.kept.push_front(batch);
        Ok(&self.kept[0])
    }
}
