//! The journal on a thread of its own, so that the ledger goes on while the disk syncs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use wire::Timestamp;

use super::error::JournalError;
use super::{Batch, Journal, SealedBatch};

/// Batches that may be under way: more than gather during a slow sync, and each is at most
/// [`BATCH_BYTES_MAX`](super::BATCH_BYTES_MAX). What waits is written together.
pub const BATCHES_UNDER_WAY_MAX: usize = 16;

/// What became of a batch.
#[derive(Debug)]
pub enum Report {
    /// The next batches, of those that were handed over, are durable, as one.
    Committed {
        /// As which one, with what receipts are made of.
        sealed: Box<SealedBatch>,
        /// How many of those that were handed over went into it.
        batches: usize,
        /// The memory that held it, to be used again.
        buffer: Vec<u8>,
    },
    /// It may or may not be durable. The thread has ended and takes nothing more.
    Failed(JournalError),
}

/// The thread that writes a journal.
///
/// Dropping it ends the thread, once it has written what it was given; [`JournalWriter::stop`] waits
/// for that.
#[derive(Debug)]
pub struct JournalWriter {
    batches: SyncSender<(Batch, Timestamp)>,
    thread: JoinHandle<()>,
}

impl JournalWriter {
    /// Starts the thread. It calls `report` when the batches that it has written together are durable
    /// or have failed, in order; after a failure, never again.
    ///
    /// A panic while writing is reported as [`JournalError::Panicked`]. A panic of `report` itself
    /// ends the process: nobody would ever hear of the batch.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn start(journal: Journal, report: impl FnMut(Report) + Send + 'static) -> Self {
        let (batches, queue) = sync_channel(BATCHES_UNDER_WAY_MAX);
        let run = move || {
            let written = catch_unwind(AssertUnwindSafe(|| write_all(journal, queue, report)));
            if written.is_err() {
                // The panic hook has said why.
                process::abort();
            }
        };
        let thread = thread::Builder::new().name("mite-journal".to_owned()).spawn(run);
        Self { batches, thread: thread.expect("the system can start a thread more") }
    }

    /// Hands a batch to the thread, which reports what became of it.
    ///
    /// While one batch syncs, the next ones wait and are then written as one, without a word from the
    /// caller. The caller has no more than [`BATCHES_UNDER_WAY_MAX`] unreported ones; then this never
    /// blocks.
    ///
    /// # Errors
    /// [`JournalError::Stopped`] if the thread has ended, after a failure that it has reported.
    pub fn commit(&self, batch: Batch, now: Timestamp) -> Result<(), JournalError> {
        self.batches.send((batch, now)).map_err(|_| JournalError::Stopped)
    }

    /// Waits until everything that was committed is reported, and ends the thread. `report` must not
    /// wait for the caller meanwhile.
    pub fn stop(self) {
        drop(self.batches);
        // The thread catches its panics, so joining cannot fail.
        let _ = self.thread.join();
    }
}

pub(super) fn write_all(
    mut journal: Journal,
    queue: Receiver<(Batch, Timestamp)>,
    mut report: impl FnMut(Report),
) {
    let mut unfit = None;
    let error = loop {
        let Some((mut batch, mut now)) = unfit.take().or_else(|| queue.recv().ok()) else { return };
        let mut batches = 1;
        while let Ok((next, later)) = queue.try_recv() {
            match batch.absorb(next) {
                Ok(()) => (now, batches) = (later, batches + 1),
                Err(next) => {
                    unfit = Some((next, later));
                    break;
                }
            }
        }
        match catch_unwind(AssertUnwindSafe(|| journal.append(&mut batch, now))) {
            Ok(Ok(sealed)) => {
                let (sealed, buffer) = (Box::new(sealed), batch.into_buffer());
                report(Report::Committed { sealed, batches, buffer });
            }
            Ok(Err(error)) => break error,
            Err(panic) => break JournalError::Panicked(message(&*panic)),
        }
    };
    // Closed first: whoever has heard of the failure cannot commit any more.
    drop(queue);
    report(Report::Failed(error));
}

/// What a panic says of itself.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
