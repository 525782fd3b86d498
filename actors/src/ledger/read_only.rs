//! When the journal cannot be written: nothing is changed any more, and what is durable can be read.
//!
//! The state in memory holds changes that never became durable, and nobody may see those. So it is thrown away
//! and read from the journal again, up to the last batch that was reported durable; until that is done,
//! everybody is told to come back later. Nothing is tried again on a file that has failed. A disk that was
//! full before anything of a batch was written has not failed: it is asked from time to time whether it has
//! room. See `docs/adr/0016-read-only.md`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{crit, info, warn};

use super::journal::{JournalError, read_state};
use super::state::{State, Terms};
use super::waiting::{Request, Waiting};
use super::{Gathering, Ledger, LedgerFailure, LedgerHealth};
use crate::messages::{
    JournalFailed, JournalFull, JournalHasRoom, LedgerUnavailable, StateRebuilt, TryToWrite,
};

/// How often a full disk is asked whether it has room. Each time, a file grows by 8 MiB at most, if it has.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// Whether the ledger takes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It does.
    Writing,
    /// It does not, and the state is being read from the journal again.
    Rebuilding {
        /// The disk was full, and nothing worse.
        is_full: bool,
    },
    /// It does not, and the state is what is durable.
    ReadOnly {
        /// As above.
        is_full: bool,
        /// The journal's thread is looking for room.
        is_trying: bool,
    },
}

impl Ledger {
    /// Takes what somebody asks while nothing can be written.
    pub(super) fn take_read_only(&self, Request { commands, reply, load }: Request) {
        if matches!(self.mode, Mode::Rebuilding { .. }) {
            return reply.refuse(LedgerUnavailable::Busy);
        }
        let terms = Terms { now: self.last.time, shown: self.last.time, server: self.server };
        let answer = |command| self.state.answer_read_only(command, &terms);
        let outcomes = commands.into_iter().map(answer).collect();
        Waiting { outcomes, made: Vec::new(), reply, load }.release(None);
    }

    /// Ends the process: the state cannot be trusted, or there is none.
    pub(super) fn fail(&mut self, failure: LedgerFailure) {
        crit!(self.log, "the ledger stops the server"; "why" => %failure);
        // Nobody is told anything: what is on its way may or may not be durable.
        (self.settings.fail_stop)(failure);
    }

    /// Goes back to what is durable. Whoever waits for a change hears `unheard`.
    fn become_read_only(
        &mut self,
        why: &JournalError,
        unheard: LedgerUnavailable,
        ctx: &mut Context<Self>,
    ) {
        let is_full = matches!(why, JournalError::Full(_));
        crit!(self.log, "nothing can be written: the ledger is read-only"; "why" => %why,
            "batch" => self.last.batch.get(), "until there is room" => is_full);
        self.health.send_replace(LedgerHealth::ReadOnly {
            since: self.clock.now(),
            why: why.to_string().into(),
            resumes: is_full,
        });
        self.mode = Mode::Rebuilding { is_full };
        self.turn_away(unheard);
        let was_captured = self.snapshots.drop_captured(self.last.next_entry);
        self.asked_snapshots.refuse(was_captured, LedgerUnavailable::ReadOnly);
        // Before the next one is made: there may be no room in memory for both.
        self.state = State::default();
        self.rebuild(ctx);
        // Whoever has asked it to stop waits for what was under way.
        self.schedule_flush(ctx);
    }

    /// Tells everybody who waits that there will be no outcome.
    fn turn_away(&mut self, unheard: LedgerUnavailable) {
        let gathering = std::mem::replace(&mut self.gathering, Gathering::empty(Vec::new()));
        let committing = std::mem::take(&mut self.committing);
        let under_way = committing.into_iter().flat_map(|committing| committing.waiting);
        for Waiting { reply, load, .. } in under_way.chain(gathering.waiting) {
            // Its outcomes may tell of changes that are not durable.
            let why = if load.asks_for_change { unheard } else { LedgerUnavailable::Busy };
            reply.refuse(why);
        }
        for Request { reply, load, .. } in std::mem::take(&mut self.overflow) {
            let read_only = LedgerUnavailable::ReadOnly;
            reply.refuse(if load.asks_for_change { read_only } else { LedgerUnavailable::Busy });
        }
        self.waiting_bytes = 0;
    }

    /// Reads the durable state again, on a thread of its own.
    fn rebuild(&mut self, ctx: &mut Context<Self>) {
        let (storage, server, at) = (Arc::clone(&self.storage), self.server, self.last);
        let (ledger, log) = (ctx.address().downgrade(), self.log.clone());
        let rebuild = move || {
            // Unheard of, a panic would leave everybody told to come back later, for ever.
            let read = AssertUnwindSafe(|| read_state(&*storage, &server, &at, &log));
            let rebuilt = match catch_unwind(read) {
                Ok(Ok(state)) => Ok(Box::new(state)),
                Ok(Err(error)) => Err(LedgerFailure::Unreadable(error)),
                Err(_) => Err(LedgerFailure::Panicked),
            };
            if let Some(ledger) = ledger.upgrade() {
                ledger.do_send(StateRebuilt(rebuilt));
            }
        };
        let thread = self.background.start("mite-rebuild", Box::new(rebuild));
        // As where the journal's thread is started.
        thread.expect("the system can start a thread more");
    }

    /// Has a disk that was full asked whether it has room now.
    fn try_to_write(&mut self) {
        if let Mode::ReadOnly { is_full: true, is_trying: is_trying @ false } = &mut self.mode
            && let Some(writer) = &self.writer
        {
            // If the thread has ended, it has reported why.
            *is_trying = writer.make_room().is_ok();
        }
    }

    fn try_to_write_later(ctx: &mut Context<Self>) {
        ctx.run_later(TRY_EVERY, |ledger, _| ledger.try_to_write());
    }
}

impl Handler<JournalFailed> for Ledger {
    type Result = ();

    fn handle(&mut self, JournalFailed(error): JournalFailed, ctx: &mut Self::Context) {
        if !matches!(error, JournalError::Io(_)) {
            return self.fail(LedgerFailure::Journal(error));
        }
        match &mut self.mode {
            Mode::Writing => self.become_read_only(&error, LedgerUnavailable::OutcomeUnknown, ctx),
            // It was full, and now it fails. What was being read is durable all the same.
            Mode::Rebuilding { is_full } | Mode::ReadOnly { is_full, .. } => {
                *is_full = false;
                crit!(self.log, "the disk fails: the ledger stays read-only"; "why" => %error);
                self.health.send_modify(|health| {
                    if let LedgerHealth::ReadOnly { why, resumes, .. } = health {
                        (*why, *resumes) = (error.to_string().into(), false);
                    }
                });
            }
        }
    }
}

impl Handler<JournalFull> for Ledger {
    type Result = ();

    fn handle(&mut self, JournalFull(failure): JournalFull, ctx: &mut Self::Context) {
        if let Mode::ReadOnly { is_trying, .. } = &mut self.mode {
            *is_trying = false;
            Self::try_to_write_later(ctx);
        } else {
            // Nothing of what was under way was written, nor will be.
            let why = JournalError::Full(failure);
            self.become_read_only(&why, LedgerUnavailable::ReadOnly, ctx);
        }
    }
}

impl Handler<StateRebuilt> for Ledger {
    type Result = ();

    fn handle(&mut self, StateRebuilt(rebuilt): StateRebuilt, ctx: &mut Self::Context) {
        match (rebuilt, self.mode) {
            (Ok(state), Mode::Rebuilding { is_full }) => {
                info!(self.log, "what is durable can be read"; "entries" => state.next_entry().get());
                self.state = *state;
                self.mode = Mode::ReadOnly { is_full, is_trying: false };
                if is_full {
                    Self::try_to_write_later(ctx);
                }
            }
            (Ok(_), mode) => warn!(self.log, "a state that nobody waits for"; "mode" => ?mode),
            (Err(failure), _) => self.fail(failure),
        }
    }
}

impl Handler<TryToWrite> for Ledger {
    type Result = ();

    fn handle(&mut self, TryToWrite: TryToWrite, _: &mut Self::Context) {
        self.try_to_write();
    }
}

impl Handler<JournalHasRoom> for Ledger {
    type Result = ();

    fn handle(&mut self, JournalHasRoom: JournalHasRoom, _: &mut Self::Context) {
        info!(self.log, "there is room on the disk: the ledger takes changes again");
        self.mode = Mode::Writing;
        self.health.send_replace(LedgerHealth::Writing);
    }
}
