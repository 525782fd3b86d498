//! Writing what must not be forgotten, while the wallet goes on: whatever waits when the disk is free is
//! written in one durable transaction.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::store::{Change, StoreError, WalletStore};

/// So many steps are written in one transaction at most, so that nobody waits for much more than is theirs:
/// half of the payments that may be open, some 1.5 MiB.
const STEPS_PER_TRANSACTION_MAX: usize = 512;

/// The store, for those who wait until it has written something.
#[derive(Debug)]
pub(super) struct Commits {
    store: Arc<dyn WalletStore>,
    queue: Rc<RefCell<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// One step at most of each payment that is open, of each offer under way or being looked for, and of
    /// each entry whose proof is sought, whose numbers are bounded.
    waiting: Vec<Step>,
    /// A transaction is under way. Whoever made it takes up what waits when it is done.
    writing: bool,
}

/// What one payment has to be written before it goes on.
#[derive(Debug)]
struct Step {
    changes: Vec<Change>,
    written: oneshot::Sender<Result<(), StoreError>>,
}

impl Commits {
    pub(super) fn new(store: Arc<dyn WalletStore>) -> Self {
        Self { store, queue: Rc::default() }
    }

    /// Writes all of this or nothing, durably, in one transaction with whatever else waits. It is written
    /// even if nobody waits for the answer any more.
    pub(super) fn write(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (tell, told) = oneshot::channel();
        let mut queue = self.queue.borrow_mut();
        queue.waiting.push(Step { changes, written: tell });
        if !std::mem::replace(&mut queue.writing, true) {
            actix::spawn(write_all(Arc::clone(&self.store), Rc::clone(&self.queue)));
        }
        async {
            let gone = |_| Err(StoreError::Unsure("the program is stopping".to_owned()));
            told.await.unwrap_or_else(gone)
        }
    }
}

/// Writes until nothing waits.
async fn write_all(store: Arc<dyn WalletStore>, queue: Rc<RefCell<Queue>>) {
    loop {
        let steps = take_up(&mut queue.borrow_mut().waiting);
        if steps.is_empty() {
            queue.borrow_mut().writing = false;
            return;
        }
        let (changes, waiting): (Vec<_>, Vec<_>) =
            steps.into_iter().map(|step| (step.changes, step.written)).unzip();
        let written = Arc::clone(&store).write_beside(changes.concat()).await;
        for step in waiting {
            // The wallet may be gone; what is written is found at the next start.
            let _ = step.send(written.clone());
        }
    }
}

/// What one transaction writes, the oldest first.
fn take_up(waiting: &mut Vec<Step>) -> Vec<Step> {
    waiting.drain(..waiting.len().min(STEPS_PER_TRANSACTION_MAX)).collect()
}

#[cfg(test)]
mod tests;
