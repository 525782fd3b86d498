//! The Archive: the read side of the ledger. Histories, old receipts, and the open orders that clients have it
//! keep.
//!
//! It follows the journal by itself and keeps an index of it, `index.redb`, which can be rebuilt at any time.
//! Kept orders are in `open-orders.redb`; nothing else holds them. Nothing that the archive does or fails
//! to do moves money.
//!
//! **Starting it.** It reads and writes files while it handles messages, so it needs a thread of its own:
//!
//! ```no_run
//! # fn start(durable: wire::EntryNumber, storage: std::sync::Arc<dyn actors::ledger::journal::Storage>,
//! #     log: slog::Logger) -> Result<(), actors::archive::ArchiveError> {
//! use actix::{Actor, Arbiter};
//! use actors::archive::Archive;
//!
//! let archive = Archive::open("data".as_ref(), storage, durable, &log)?;
//! let arbiter = Arbiter::new();
//! let archive = Archive::start_in_arbiter(&arbiter.handle(), |_| archive);
//! # Ok(()) }
//! ```
//!
//! It stops when nobody holds an address of it any more, or with its arbiter; in both cases nothing is lost.
//! If it cannot be opened or dies, the ledger goes on, and whoever asks it is told
//! [`ArchiveUnavailable::Gone`].
//!
//! | module | holds |
//! |---|---|
//! | `record` | what the index remembers of an entry |
//! | `index` | the file that finds things in the journal |
//! | `tables` | writing it |
//! | `rows` | what stands together in it |
//! | `reading` | following the journal |
//! | `proofs` | batches that receipts are made of |
//! | `queries` | questions under way |
//! | `turns` | whose question is worked at next |
//! | `keeps` | open orders that wait to be kept |
//! | `kept` | the file of open orders |
//! | `database` | opening files, damaged ones too |

mod database;
mod error;
mod index;
mod keeps;
mod kept;
mod proofs;
mod queries;
mod reading;
mod record;
mod rows;
mod tables;
mod turns;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, error, o};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::{BatchNumber, EntryNumber, Receipt, SignedOrder};

pub use self::error::ArchiveError;
use self::error::is_damage;
use self::index::Index;
use self::keeps::WaitingKeeps;
use self::kept::KeptOrders;
pub(crate) use self::kept::count_kept_orders;
pub use self::kept::{OPEN_ORDERS_MAX, OPEN_ORDERS_PER_ACCOUNT_MAX};
use self::queries::{Fault, Query, ReceiptSearch, Reply};
use self::reading::Reading;
use self::turns::{Turns, Waiting};
use crate::ledger::journal::Storage;
use crate::messages::{
    ArchiveUnavailable, FindReceipts, HistoryPage, JournalGrew, KeepOrder, ReadHistory,
    ReadOpenOrders,
};

/// The name of the index, in the data directory.
pub const INDEX_FILE: &str = "index.redb";

/// The name of the file of kept orders, in the data directory.
pub const OPEN_ORDERS_FILE: &str = "open-orders.redb";

/// Questions that need no batch of the journal and are answered between two that do: at some 1 ms for a
/// long page, they take no longer than the batch.
const SHORT_QUERIES_AT_ONCE: usize = 16;

/// How long orders that are to be kept wait for others: a sync takes the disk from the payments, and nobody
/// waits for the answer. So it is fifty times a second at most, and not once a payment.
const KEEP_PAUSE: Duration = Duration::from_millis(20);

/// While more entries are not indexed yet, questions are [`ArchiveUnavailable::Busy`]: those who ask must
/// not wait for longer than some seconds' work.
const ENTRIES_BEHIND_MAX: u64 = 1 << 20;

/// How long the index may rest while the journal grows and nobody asks. Many batches together cost a tenth of
/// what they cost one by one, and of text payments, a million a second, fewer come in between than may be behind.
const INDEX_PAUSE: Duration = Duration::from_millis(500);

/// So many messages gather in the mailbox at no cost. It is no bound: who awaits an answer gets past it by a
/// clone of the address. What bounds the mailbox is that a session has no more under way than calls; and they
/// wait for nothing in it, since what there is no room for is answered at once.
const MAILBOX_MESSAGES: usize = 1024;

type Answer<T> = Result<T, ArchiveUnavailable>;

/// The first batch of the segment that the last batch is in that the index in `data_dir` knows; `None` if it
/// knows none. No server must use the directory.
///
/// # Errors
/// [`ArchiveError`].
pub fn indexed_segment(data_dir: &Path, log: &Logger) -> Result<Option<BatchNumber>, ArchiveError> {
    let path = data_dir.join(INDEX_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let index = Index::open(&path, log)?;
    Ok(index.mark().map(|mark| mark.last.segment))
}

/// The actor that remembers what happened. One per server.
pub struct Archive {
    /// `None` once it has failed for good.
    reading: Option<Reading>,
    /// `None` once it has failed for good.
    kept: Option<KeptOrders>,
    /// All entries in front of this one are durable, as far as anybody was told.
    durable: EntryNumber,
    /// As far as the index goes before it rests.
    goal: EntryNumber,
    resting: bool,
    queries: Turns,
    keeps: WaitingKeeps,
    /// They have waited long enough.
    keeps_due: bool,
    turn_scheduled: bool,
    log: Logger,
}

impl Archive {
    /// Opens the archive in `data_dir`, making its files if they are not there, over the journal in
    /// `storage`, whose entries in front of `durable` are on disk. An index that is damaged, or of another
    /// journal, is rebuilt once the actor runs.
    ///
    /// # Errors
    /// [`ArchiveError`]: the disk. The ledger can do without the archive.
    pub fn open(
        data_dir: &Path,
        storage: Arc<dyn Storage>,
        durable: EntryNumber,
        log: &Logger,
    ) -> Result<Self, ArchiveError> {
        let log = log.new(o!("actor" => "archive"));
        let kept = KeptOrders::open(&data_dir.join(OPEN_ORDERS_FILE), OPEN_ORDERS_MAX, &log)?;
        let reading = Reading::open(&data_dir.join(INDEX_FILE), storage, durable, &log)?;
        Ok(Self {
            reading: Some(reading),
            kept: Some(kept),
            durable,
            goal: durable,
            resting: false,
            queries: Turns::default(),
            keeps: WaitingKeeps::default(),
            keeps_due: false,
            turn_scheduled: false,
            log,
        })
    }

    /// Answers `make`'s question once everything is indexed that anybody was told of until now.
    fn ask<T: 'static>(
        &mut self,
        make: impl FnOnce(Reply<T>) -> Query,
        ctx: &mut Context<Self>,
    ) -> ResponseFuture<Answer<T>> {
        let (reply, answer) = oneshot::channel();
        let query = make(reply);
        match self.room_for(&query) {
            Ok(()) => {
                self.goal = self.durable;
                self.queries.push(Waiting { behind: self.durable, query });
                self.schedule_turn(ctx);
            }
            Err(unavailable) => query.refuse(unavailable),
        }
        answered(answer)
    }

    fn room_for(&self, query: &Query) -> Answer<()> {
        self.takes_questions()?;
        if self.queries.has_room(query) { Ok(()) } else { Err(ArchiveUnavailable::Busy) }
    }

    fn takes_questions(&self) -> Answer<()> {
        let reading = self.reading.as_ref().ok_or(ArchiveUnavailable::Gone)?;
        let behind = self.durable.get().saturating_sub(reading.index.next_entry().get());
        if behind > ENTRIES_BEHIND_MAX {
            return Err(ArchiveUnavailable::Busy);
        }
        Ok(())
    }

    /// Works as soon as the mailbox is empty, and lets others on this thread do so, too.
    fn schedule_turn(&mut self, ctx: &mut Context<Self>) {
        if !self.turn_scheduled {
            self.turn_scheduled = true;
            ctx.spawn(yield_now().into_actor(self).map(|(), archive, ctx| {
                archive.turn_scheduled = false;
                archive.turn();
                if archive.has_work() {
                    archive.schedule_turn(ctx);
                }
            }));
        }
    }

    fn has_work(&self) -> bool {
        self.keeps_due
            || !self.queries.is_empty()
            || self.indexed().is_some_and(|indexed| indexed < self.goal)
    }

    /// Does one piece of each kind of work.
    fn turn(&mut self) {
        if std::mem::take(&mut self.keeps_due) {
            self.keep_orders();
        }
        if let Some(reading) = &mut self.reading {
            match reading.catch_up(self.goal) {
                Ok(()) => self.work_at_queries(),
                Err(Fault::Journal(error)) => self.give_up(&error),
                Err(fault) => self.recover(fault),
            }
        }
    }

    /// Keeps all orders that wait, with one sync.
    fn keep_orders(&mut self) {
        let waiting = self.keeps.take();
        let Some(kept) = self.kept.as_ref().filter(|_| !waiting.is_empty()) else { return };
        // An order of which nothing is known is not decided.
        let decisions = self.reading.as_ref().and_then(|reading| reading.index.decisions().ok());
        let is_decided = |payer, id| {
            let found = decisions.as_ref().map(|decisions| decisions.find(payer, id));
            matches!(found, Some(Ok(Some(_))))
        };
        match kept.keep(waiting.iter().map(|(order, _)| order), is_decided) {
            Ok(kept) => {
                for ((_, reply), kept) in waiting.into_iter().zip(kept) {
                    // Whoever asked may have gone meanwhile.
                    let _ = reply.send(if kept { Ok(()) } else { Err(ArchiveUnavailable::Busy) });
                }
            }
            Err(error) => self.recover(Fault::Kept(error)),
        }
    }

    /// Answers some short questions whose entries are indexed, and does one piece of a search.
    fn work_at_queries(&mut self) {
        for _ in 0..SHORT_QUERIES_AT_ONCE {
            let Some(indexed) = self.indexed() else { return };
            let Some(question) = self.queries.next_short(indexed) else { break };
            self.work_at(question);
        }
        if let Some(indexed) = self.indexed()
            && let Some(search) = self.queries.next_search(indexed)
        {
            self.work_at(search);
        }
    }

    fn work_at(&mut self, Waiting { behind, query }: Waiting) {
        let Some(reading) = &mut self.reading else { return };
        match query.work(reading, self.kept.as_ref()) {
            Ok(None) => {}
            Ok(Some(search)) => self.queries.put_back(Waiting { behind, query: search }),
            // One bad batch is no reason to refuse those who ask for others.
            Err(fault @ Fault::Journal(_)) => {
                error!(self.log, "a receipt cannot be made"; "error" => %fault);
            }
            Err(fault) => self.recover(fault),
        }
    }

    /// The entry behind the last one that is indexed.
    fn indexed(&self) -> Option<EntryNumber> {
        self.reading.as_ref().map(|reading| reading.index.next_entry())
    }

    /// Does without what has failed, or with another one in its place.
    fn recover(&mut self, fault: Fault) {
        match (fault, &mut self.reading) {
            (Fault::Kept(error), _) => {
                error!(self.log, "open orders are kept no more"; "error" => %error);
                self.kept = None;
            }
            (Fault::Index(error), Some(reading)) if is_damage(&error) => {
                match reading.rebuild(&error, &self.log) {
                    // It is there again in a moment.
                    Ok(true) => self.queries.refuse_all(ArchiveUnavailable::Busy),
                    Ok(false) => self.give_up(&error),
                    Err(error) => self.give_up(&error),
                }
            }
            (fault, _) => self.give_up(&fault),
        }
    }

    fn give_up(&mut self, error: &dyn std::fmt::Display) {
        error!(self.log, "the archive answers nobody until the next start"; "error" => %error);
        self.reading = None;
        self.queries.clear();
    }
}

fn answered<T: 'static>(answer: oneshot::Receiver<Answer<T>>) -> ResponseFuture<Answer<T>> {
    // A question that is dropped is not answered.
    Box::pin(async { answer.await.unwrap_or(Err(ArchiveUnavailable::Gone)) })
}

impl Actor for Archive {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        self.schedule_turn(ctx);
    }
}

impl Handler<JournalGrew> for Archive {
    type Result = ();

    fn handle(&mut self, grew: JournalGrew, ctx: &mut Self::Context) {
        let JournalGrew { quiet_from, news_from, next_entry } = grew;
        if let Some(reading) = &mut self.reading {
            reading.remember_quiet(quiet_from..news_from);
        }
        self.durable = self.durable.max(next_entry);
        if !self.resting {
            self.resting = true;
            ctx.run_later(INDEX_PAUSE, |archive, ctx| {
                archive.resting = false;
                archive.goal = archive.durable;
                archive.schedule_turn(ctx);
            });
        }
    }
}

impl Handler<FindReceipts> for Archive {
    type Result = ResponseFuture<Answer<Vec<Option<Receipt>>>>;

    fn handle(&mut self, find: FindReceipts, ctx: &mut Self::Context) -> Self::Result {
        if find.sought.len() > ORDERS_PER_CALL_MAX {
            return Box::pin(async { Err(ArchiveUnavailable::Busy) });
        }
        self.ask(|reply| Query::Receipts(ReceiptSearch::new(find), reply), ctx)
    }
}

impl Handler<ReadHistory> for Archive {
    type Result = ResponseFuture<Answer<HistoryPage>>;

    fn handle(&mut self, read: ReadHistory, ctx: &mut Self::Context) -> Self::Result {
        self.ask(|reply| Query::History(read, reply), ctx)
    }
}

impl Handler<ReadOpenOrders> for Archive {
    type Result = ResponseFuture<Answer<Vec<SignedOrder>>>;

    fn handle(&mut self, read: ReadOpenOrders, ctx: &mut Self::Context) -> Self::Result {
        self.ask(|reply| Query::OpenOrders(read, reply), ctx)
    }
}

impl Handler<KeepOrder> for Archive {
    type Result = ResponseFuture<Answer<()>>;

    fn handle(&mut self, keep: KeepOrder, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        if self.kept.is_none() {
            let _ = reply.send(Err(ArchiveUnavailable::Gone));
        } else if !self.keeps.has_room(keep.account) {
            let _ = reply.send(Err(ArchiveUnavailable::Busy));
        } else {
            if self.keeps.is_empty() {
                ctx.run_later(KEEP_PAUSE, |archive, ctx| {
                    archive.keeps_due = true;
                    archive.schedule_turn(ctx);
                });
            }
            self.keeps.push(keep, reply);
        }
        answered(answer)
    }
}

#[cfg(test)]
mod tests;
