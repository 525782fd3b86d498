//! The journal on a thread of its own, so that the ledger goes on while the disk syncs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use wire::Timestamp;

use super::error::{IoFailure, JournalError};
use super::{BATCH_BYTES_MAX, Batch, Journal, SealedBatch};

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
    /// There is no room on the disk. Nothing of the batches that were handed over and not reported was
    /// written; they are dropped, and so are those that are handed over before [`JournalWriter::make_room`].
    Full(IoFailure),
    /// There is room on the disk again: what is handed over from now on is written.
    HasRoom,
    /// It may or may not be durable. The thread has ended and takes nothing more.
    Failed(JournalError),
}

/// What the thread is asked to do.
pub(super) enum Order {
    /// To write this.
    Commit(Batch, Timestamp),
    /// To see whether a full disk has room again.
    MakeRoom,
}

/// How much room there must be on a disk that was full: for the largest batch, so that it is not full again
/// with the next one.
const ROOM_BYTES: u64 = BATCH_BYTES_MAX as u64 + 512;

/// The thread that writes a journal.
///
/// Dropping it ends the thread, once it has written what it was given; [`JournalWriter::stop`] waits
/// for that.
#[derive(Debug)]
pub struct JournalWriter {
    orders: SyncSender<Order>,
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
        // What is asked for when there was no room comes on top of the batches.
        let (orders, queue) = sync_channel(BATCHES_UNDER_WAY_MAX + 1);
        let writing = Writing::new(journal, queue, report);
        let run = move || {
            let written = catch_unwind(AssertUnwindSafe(|| writing.run()));
            if written.is_err() {
                // The panic hook has said why.
                process::abort();
            }
        };
        let thread = thread::Builder::new().name("mite-journal".to_owned()).spawn(run);
        Self { orders, thread: thread.expect("the system can start a thread more") }
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
        self.order(Order::Commit(batch, now))
    }

    /// After [`Report::Full`], and not twice at once: has the thread look whether there is room again. It
    /// reports [`Report::HasRoom`] or once more [`Report::Full`].
    ///
    /// # Errors
    /// As [`JournalWriter::commit`].
    pub fn make_room(&self) -> Result<(), JournalError> {
        self.order(Order::MakeRoom)
    }

    fn order(&self, order: Order) -> Result<(), JournalError> {
        self.orders.send(order).map_err(|_| JournalError::Stopped)
    }

    /// Waits until everything that was committed is reported, and ends the thread. `report` must not
    /// wait for the caller meanwhile.
    pub fn stop(self) {
        drop(self.orders);
        // The thread catches its panics, so joining cannot fail.
        let _ = self.thread.join();
    }
}

/// What the thread does.
pub(super) struct Writing<R> {
    journal: Journal,
    queue: Receiver<Order>,
    /// What was taken from the queue and did not go into the batch before.
    unfit: Option<Order>,
    /// There was no room, and nobody has asked since whether there is.
    is_full: bool,
    report: R,
}

impl<R: FnMut(Report)> Writing<R> {
    pub(super) const fn new(journal: Journal, queue: Receiver<Order>, report: R) -> Self {
        Self { journal, queue, unfit: None, is_full: false, report }
    }

    /// Until whoever gives the orders ends, or the disk fails.
    pub(super) fn run(mut self) {
        while let Some(order) = self.unfit.take().or_else(|| self.queue.recv().ok()) {
            if let Err(error) = self.obey(order) {
                let Self { queue, mut report, .. } = self;
                // Closed first: whoever has heard of the failure cannot commit any more.
                drop(queue);
                return report(Report::Failed(error));
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), JournalError> {
        let done = match order {
            // It follows from batches that were dropped.
            Order::Commit(..) if self.is_full => return Ok(()),
            Order::Commit(batch, now) => self.commit(batch, now),
            Order::MakeRoom => {
                self.is_full = false;
                caught(|| self.journal.make_room(ROOM_BYTES)).map(|()| Report::HasRoom)
            }
        };
        (self.report)(match done {
            Err(JournalError::Full(failure)) => {
                self.is_full = true;
                Report::Full(failure)
            }
            done => done?,
        });
        Ok(())
    }

    /// Writes a batch with those that wait behind it.
    fn commit(&mut self, mut batch: Batch, mut now: Timestamp) -> Result<Report, JournalError> {
        let mut batches = 1;
        while let Ok(order) = self.queue.try_recv() {
            self.unfit = match order {
                Order::Commit(next, later) => match batch.absorb(next) {
                    Ok(()) => {
                        (now, batches) = (later, batches + 1);
                        continue;
                    }
                    Err(next) => Some(Order::Commit(next, later)),
                },
                order @ Order::MakeRoom => Some(order),
            };
            break;
        }
        let sealed = Box::new(caught(|| self.journal.append(&mut batch, now))?);
        Ok(Report::Committed { sealed, batches, buffer: batch.into_buffer() })
    }
}

/// A panic of `work` is its error.
fn caught<T>(work: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(JournalError::Panicked(message(&*panic))))
}

/// What a panic says of itself.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
