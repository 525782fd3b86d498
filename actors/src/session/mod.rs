//! The Session: one connection to the server.
//!
//! It reads a batch of requests, has them answered by the ledger and the registry, writes the answers
//! and only then reads on: a peer that does not read its answers is not read from either, and what
//! a session can have under way is bounded by one read. What is said is decided in
//! `conversation`; this is the shell that does it.

mod conversation;
mod input;
mod report_log;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, o};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use wire::Username;
use wire::text::InvalidRequest;

pub use self::conversation::TextRules;
use self::conversation::{Conversation, Next, Round};
use self::input::{Input, InputEnd, TextInput};
use crate::connection::connection_log::ConnectionLog;
use crate::connection::{
    self, DRAIN_TIME_VIOLATION, Farewell, LOG_IN_TIMEOUT_CROWDED, NOTICE_BYTES_MAX,
    OUTPUT_BYTES_FLUSH, OUTPUT_BYTES_KEPT, STOP_GRACE, WRITE_TIME_MAX, log_in_patience,
};
use crate::ledger::state::Outcome;
use crate::limits::{Seat, SessionLimits};
use crate::messages::{
    LedgerUnavailable, ListOnline, LogIn, LogOut, NotifyAccounts, OnlineList, SessionId,
    SessionNotice, Submit,
};

/// Whom a session talks to.
#[derive(Clone, Debug)]
pub struct SessionPeers {
    /// The Ledger.
    pub submit: Recipient<Submit>,
    /// The Registry.
    pub log_in: Recipient<LogIn>,
    /// The Registry.
    pub log_out: Recipient<LogOut>,
    /// The Registry.
    pub list_online: Recipient<ListOnline>,
    /// The Registry.
    pub notify: Recipient<NotifyAccounts>,
}

/// What a session needs to know.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// What it says.
    pub rules: TextRules,
    /// How long nothing must have come for an unterminated request to be whole.
    pub quiet: Duration,
    /// Cancelled when the server stops: what is under way is answered, then the connection closes.
    pub stop: CancellationToken,
    /// How much of the server a session may have.
    pub limits: Arc<SessionLimits>,
}

/// The actor of one connection, over any stream.
#[derive(Debug)]
pub struct Session<S> {
    id: SessionId,
    peers: Arc<SessionPeers>,
    conversation: Conversation,
    /// Not here while a read is under way.
    input: Option<TextInput<ReadHalf<S>>>,
    /// Not here while a write is under way.
    output: Option<WriteHalf<S>>,
    /// The registry has not heard what it was told last, until this is closed.
    unheard: Option<oneshot::Receiver<()>>,
    /// What is to be written next.
    out: Vec<u8>,
    /// How much of it nobody asked for.
    notice_bytes: usize,
    phase: Phase,
    /// No more requests are read; what is under way is answered.
    ending: bool,
    /// When something last came.
    heard_at: Instant,
    /// How long to read on, and throw away, what a peer still sends when the session closes.
    drain_time: Duration,
    /// This session's own, so that waiting for it takes no lock that others take.
    stop: CancellationToken,
    seat: Seat,
    log: ConnectionLog,
    _farewell: Farewell,
}

/// What the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests.
    Reading,
    /// The ledger and the registry.
    Asking,
    /// The peer, to take the answers.
    Writing,
}

/// What came of asking what a round needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Nobody needed to be asked: the round is answered.
    Answered,
    /// The session goes on when the answer comes.
    Waiting,
}

impl<S: AsyncRead + AsyncWrite + 'static> Session<S> {
    /// A session with whoever is at the other end of `stream`.
    pub fn new(
        id: SessionId,
        stream: S,
        peer: SocketAddr,
        peers: &Arc<SessionPeers>,
        settings: &SessionSettings,
        log: &Logger,
    ) -> Self {
        let (input, output) = tokio::io::split(stream);
        let (stop, limits) = (settings.stop.child_token(), Arc::clone(&settings.limits));
        let seat = limits.room.sit(id, peer.ip(), stop.clone());
        Self {
            id,
            input: Some(TextInput::new(input, settings.quiet, &limits.bytes)),
            conversation: Conversation::new(settings.rules.clone(), limits, peer.ip()),
            output: Some(output),
            unheard: None,
            out: Vec::new(),
            notice_bytes: 0,
            phase: Phase::Reading,
            ending: false,
            heard_at: Instant::now(),
            drain_time: Duration::ZERO,
            stop,
            seat,
            log: ConnectionLog::new(log.new(o!("session" => id.0, "peer" => peer))),
            _farewell: Farewell { id, log_out: peers.log_out.clone() },
            peers: Arc::clone(peers),
        }
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        let Some(mut input) = self.input.take() else { return };
        self.phase = Phase::Reading;
        let stop = self.stop.clone();
        let next = async move {
            let read = tokio::select! {
                biased;
                read = input.next(None) => Some(read),
                () = stop.cancelled() => None,
            };
            let read = match read {
                Some(read) => read,
                // What was sent before the server stopped is answered: it may not be seen yet.
                None => input.next(Some(STOP_GRACE)).await,
            };
            (input, read)
        };
        ctx.spawn(next.into_actor(self).map(|(input, read), session, ctx| {
            session.input = Some(input);
            session.take_input(read, ctx);
        }));
    }

    /// Ends the session if nobody has logged in on it and nothing comes. One timer a session.
    fn watch_idleness(&mut self, ctx: &mut Context<Self>) {
        let silent = self.heard_at.elapsed();
        let logged_in = self.conversation.user().is_some();
        let crowded = self.seat.is_crowded();
        if !logged_in && silent >= log_in_patience(crowded) {
            info!(self.log.now(), "not logged in and silent for too long, closing"; "crowded" => crowded);
            return match self.phase {
                Phase::Reading => self.stop.cancel(),
                // It does not even read its answers.
                Phase::Asking | Phase::Writing => ctx.stop(),
            };
        }
        ctx.run_later(LOG_IN_TIMEOUT_CROWDED, Self::watch_idleness);
    }

    fn take_input(&mut self, Input { mut requests, end }: Input, ctx: &mut Context<Self>) {
        self.heard_at = Instant::now();
        self.seat.heard(self.heard_at);
        if self.seat.is_asked_to_leave() && !self.ending {
            info!(self.log.now(), "silent while its place is needed, closing");
        }
        self.ending |= end.is_some() || self.stop.is_cancelled();
        match end {
            // Idle is the end of a session that was told to stop.
            None | Some(InputEnd::Closed | InputEnd::Idle) => {}
            Some(InputEnd::Violation(violation)) => {
                self.drain_time = DRAIN_TIME_VIOLATION;
                self.log.warning(&format!("protocol violation, closing: {violation}"));
                // One error reply, after the answers to what came before.
                requests.push(Err(InvalidRequest::Malformed));
            }
            Some(InputEnd::Broken(error)) => {
                debug!(self.log.now(), "connection broken"; "error" => %error);
                ctx.stop();
                return;
            }
        }
        self.conversation.ask(requests);
        self.advance(ctx);
    }

    /// Goes on with the requests until something must be waited for. A loop: the client decides how
    /// many rounds there are that need nobody's answer.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        while self.out.len() < OUTPUT_BYTES_FLUSH {
            match self.conversation.next(Instant::now(), &mut self.out) {
                Next::Round(round) => match self.ask(round, ctx) {
                    Asked::Answered => {}
                    Asked::Waiting => return,
                },
                Next::LogIn { attempt, name, address } => {
                    return self.log_in(attempt, name, address, ctx);
                }
                Next::Close => {
                    // Whoever has read the farewell finds the account off the list on every thread.
                    self.peers.log_out.do_send(LogOut(self.id));
                    self.ending = true;
                    return self.write(Phase::Writing, ctx);
                }
                Next::Wait(_) | Next::Idle if !self.out.is_empty() => {
                    return self.write(Phase::Writing, ctx);
                }
                // It would take its time to be answered, and the connection is to end soon.
                Next::Wait(_) if self.stop.is_cancelled() => {
                    info!(self.log.now(), "asked for too much to be answered in time, closing");
                    self.conversation.forget_requests();
                    self.ending = true;
                }
                Next::Wait(pause) => return self.pause(pause, ctx),
                Next::Idle if self.ending => return self.close(ctx),
                Next::Idle => return self.read(ctx),
            }
        }
        self.write(Phase::Writing, ctx);
    }

    /// Goes on after a while, or when the connection is to end: until then, nothing is answered and nothing
    /// more is read.
    fn pause(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.phase = Phase::Asking;
        let stop = self.stop.clone();
        // Which of the two it was is seen then.
        let paused = async move { drop(timeout(pause, stop.cancelled()).await) };
        ctx.spawn(paused.into_actor(self).map(|(), session, ctx| session.advance(ctx)));
    }

    fn log_in(
        &mut self,
        attempt: u64,
        name: Username,
        address: SocketAddr,
        ctx: &mut Context<Self>,
    ) {
        self.phase = Phase::Asking;
        let notices = ctx.address().downgrade().recipient();
        let log_in = LogIn { session: self.id, attempt, name: name.clone(), address, notices };
        let asked = self.peers.log_in.send(log_in).into_actor(self);
        ctx.spawn(asked.map(move |result, session, ctx| {
            let result = result.unwrap_or(Err(LedgerUnavailable::Stopping.into()));
            match result {
                Ok(account) => {
                    session.log.logged_in(&name, account, Some(address));
                }
                Err(refusal) => session.log.warning(&format!("log-in refused: {refusal}")),
            }
            let round = session.conversation.logged_in(name, result);
            if session.ask(round, ctx) == Asked::Answered {
                session.advance(ctx);
            }
        }));
    }

    fn ask(&mut self, mut round: Round, ctx: &mut Context<Self>) -> Asked {
        if round.commands.is_empty() {
            self.answer(round, Ok(Vec::new()), None, ctx);
            return Asked::Answered;
        }
        self.phase = Phase::Asking;
        let outcomes = self.peers.submit.send(Submit(std::mem::take(&mut round.commands)));
        let list = round.wants_list.then(|| self.peers.list_online.send(ListOnline));
        let unheard = self.unheard.take();
        let asked = async move {
            // No round is answered before what came of the last one was heard: one message waits at most.
            if let Some(unheard) = unheard {
                let _ = unheard.await;
            }
            let outcomes = outcomes.await.unwrap_or(Err(LedgerUnavailable::Stopping));
            let list = match list {
                Some(list) => list.await.ok(),
                None => None,
            };
            (outcomes, list)
        };
        ctx.spawn(asked.into_actor(self).map(move |(outcomes, list), session, ctx| {
            if outcomes == Err(LedgerUnavailable::OutcomeUnknown) {
                return session.end_unanswered(ctx);
            }
            session.answer(round, outcomes, list.as_ref(), ctx);
            session.advance(ctx);
        }));
        Asked::Waiting
    }

    fn answer(
        &mut self,
        round: Round,
        outcomes: Result<Vec<Outcome>, LedgerUnavailable>,
        list: Option<&OnlineList>,
        ctx: &mut Context<Self>,
    ) {
        if let Err(unavailable) = outcomes {
            self.log.warning(&format!("requests not taken: {unavailable}"));
        }
        let answered = self.conversation.answer(round, outcomes, list, &mut self.out);
        if !answered.notices.is_empty() {
            let told = self.peers.notify.send(NotifyAccounts(answered.notices));
            let (heard, unheard) = oneshot::channel::<()>();
            self.unheard = Some(unheard);
            // Without a registry nobody is told.
            ctx.spawn(told.into_actor(self).map(move |_, _, _| drop(heard)));
        }
        for report in answered.reports {
            self.log.limited(|log| report_log::write(&report, log));
        }
        self.log.withhold(answered.unreported);
    }

    /// Nobody knows what became of the requests, and no reply of the protocol says so: the connection ends
    /// without one.
    fn end_unanswered(&mut self, ctx: &mut Context<Self>) {
        self.log.warning("whether requests are done is not known, closing");
        self.conversation.forget_requests();
        self.ending = true;
        self.advance(ctx);
    }

    /// Writes what is to be written. In [`Phase::Writing`] the session goes on when that is done; in
    /// any other phase a notice is written while the session waits for something else.
    fn write(&mut self, phase: Phase, ctx: &mut Context<Self>) {
        self.phase = phase;
        // A write under way goes on with what has been added when it is done.
        let Some(mut output) = self.output.take() else { return };
        let mut bytes = std::mem::take(&mut self.out);
        self.notice_bytes = 0;
        let write = async move {
            let result = connection::write_all(&mut output, &bytes).await;
            bytes.clear();
            (output, bytes, result)
        };
        ctx.spawn(write.into_actor(self).map(move |(output, bytes, result), session, ctx| {
            session.output = Some(output);
            if let Err(error) = result {
                session.log.broken(&error);
                return ctx.stop();
            }
            if session.out.is_empty() && bytes.capacity() <= OUTPUT_BYTES_KEPT {
                session.out = bytes;
            }
            match session.phase {
                Phase::Writing => session.advance(ctx),
                phase if !session.out.is_empty() => session.write(phase, ctx),
                Phase::Reading | Phase::Asking => {}
            }
        }));
    }

    /// Ends the connection so that the peer gets to read what was written.
    fn close(&mut self, ctx: &mut Context<Self>) {
        // Off the list at once, however long the peer takes.
        self.peers.log_out.do_send(LogOut(self.id));
        let Some(mut output) = self.output.take() else {
            // A notice is being written: then this is called again.
            self.phase = Phase::Writing;
            return;
        };
        let Some(mut input) = self.input.take() else { return ctx.stop() };
        let drain_time = self.drain_time;
        let close = async move {
            // What the peer misses of it now, it did not want to read.
            if let Ok(Ok(())) = timeout(WRITE_TIME_MAX, output.shutdown()).await {
                let _ = timeout(drain_time, input.drain()).await;
            }
        };
        ctx.spawn(close.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl<S: AsyncRead + AsyncWrite + 'static> Actor for Session<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        debug!(self.log.now(), "connected");
        ctx.run_later(LOG_IN_TIMEOUT_CROWDED, Self::watch_idleness);
        self.read(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.log.ended();
    }
}

impl<S: AsyncRead + AsyncWrite + 'static> Handler<SessionNotice> for Session<S> {
    type Result = ();

    fn handle(&mut self, notice: SessionNotice, ctx: &mut Self::Context) {
        match notice {
            SessionNotice::Replaced { attempt } => {
                self.conversation.replaced(attempt);
                if self.conversation.user().is_none() {
                    self.log.replaced();
                }
            }
            // The text protocol has no words for these.
            SessionNotice::Event(_) | SessionNotice::KeyRetired => {}
            // The protocol has no words for what is left out.
            SessionNotice::Line(line) if self.notice_bytes + line.len() > NOTICE_BYTES_MAX => {}
            SessionNotice::Line(line) => {
                self.notice_bytes += line.len();
                self.out.extend_from_slice(line.as_bytes());
                if self.phase == Phase::Reading {
                    self.write(Phase::Reading, ctx);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
