//! The journal on a thread of its own, so that the ledger goes on while the disk syncs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use wire::Timestamp;

use super::error::{IoFailure, JournalError};
use super::{BATCH_BYTES_MAX, Batch, Journal, SealedBatch};
use crate::ledger::background::Task;

/// Batches that may be under way: more than gather during a slow sync, and each is at most
/// [`BATCH_BYTES_MAX`]. What waits is written together.
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

/// How much room there must be on a disk that was full, or for a whole segment if that is less: for the largest
/// batch, so that it is not full again with the next one.
const ROOM_BYTES: u64 = BATCH_BYTES_MAX as u64 + 512;

/// The thread that writes a journal.
///
/// Dropping it ends the thread, once it has written what it was given; [`JournalWriter::stop`] waits
/// for that.
pub struct JournalWriter {
    orders: SyncSender<Order>,
    thread: Box<dyn Task>,
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
        let background = Arc::clone(&journal.background);
        let turns = JournalTurns::new(journal, queue, Box::new(report));
        let thread = background.start_journal(turns);
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
        self.thread.join();
    }
}

/// What the thread does, turn by turn.
pub struct JournalTurns {
    journal: Journal,
    /// `None` once it has failed.
    queue: Option<Receiver<Order>>,
    /// What was taken from the queue and did not go into the batch before.
    unfit: Option<Order>,
    /// There was no room, and nobody has asked since whether there is.
    is_full: bool,
    report: Box<dyn FnMut(Report) + Send>,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// What waited was done, and reported.
    Done,
    /// Nothing waited.
    Idle,
    /// Nothing will ever wait any more.
    Ended,
}

impl JournalTurns {
    pub(super) fn new(
        journal: Journal,
        queue: Receiver<Order>,
        report: Box<dyn FnMut(Report) + Send>,
    ) -> Self {
        Self { journal, queue: Some(queue), unfit: None, is_full: false, report }
    }

    /// Takes turns until whoever gives the orders ends, or the disk fails. A panic of whoever hears the reports
    /// ends the process: nobody would ever hear of the batch.
    pub fn run(mut self) {
        let run = || {
            while let Some(order) = self.unfit.take().or_else(|| self.queue.as_ref()?.recv().ok()) {
                self.obey(order);
            }
        };
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            // The panic hook has said why.
            process::abort();
        }
    }

    /// Does what waits now, without waiting for more.
    pub fn turn(&mut self) -> Turned {
        let order = match (self.unfit.take(), &self.queue) {
            (Some(order), _) => Ok(order),
            (None, Some(queue)) => queue.try_recv(),
            (None, None) => Err(TryRecvError::Disconnected),
        };
        match order {
            Ok(order) => {
                self.obey(order);
                Turned::Done
            }
            Err(TryRecvError::Empty) => Turned::Idle,
            Err(TryRecvError::Disconnected) => Turned::Ended,
        }
    }

    fn obey(&mut self, order: Order) {
        let done = match order {
            // It follows from batches that were dropped.
            Order::Commit(..) if self.is_full => return,
            Order::Commit(batch, now) => self.commit(batch, now),
            Order::MakeRoom => {
                self.is_full = false;
                let bytes = ROOM_BYTES.min(self.journal.segment_bytes);
                caught(|| self.journal.make_room(bytes)).map(|()| Report::HasRoom)
            }
        };
        let report = match done {
            Ok(report) => report,
            Err(JournalError::Full(failure)) => {
                self.is_full = true;
                Report::Full(failure)
            }
            Err(error) => {
                // Closed first: whoever has heard of the failure cannot commit any more.
                (self.queue, self.unfit) = (None, None);
                Report::Failed(error)
            }
        };
        (self.report)(report);
    }

    /// Writes a batch with those that wait behind it.
    fn commit(&mut self, mut batch: Batch, mut now: Timestamp) -> Result<Report, JournalError> {
        let mut batches = 1;
        while let Some(order) = self.queue.as_ref().and_then(|queue| queue.try_recv().ok()) {
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
