//! The SecureSession: one connection to the server over the secure protocol.
//!
//! It reads calls, has them answered, and writes the answers in the order in which they come: many
//! calls are under way at once, and what waits for the archive does not hold up payments. What is
//! said is decided in `conversation`, `round` and `orders`; this is the shell that does it, with
//! `asking` for what is asked of others and `io` for the connection.
//!
//! The account of a session is that of the key that its peer has shown in TLS, and nothing else.

mod asking;
mod conversation;
mod follow_up;
mod io;
mod load;
mod orders;
mod pace;
mod report_log;
mod round;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, o};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::PublicKey;
use wire::secure::hello::{HELLO_BYTES_MAX, magic};
use wire::secure::{
    Answer, Event, FrameError, FrameReader, Hello, Problem, REQUEST_BYTES_MAX, Response,
    ServerFrame, Welcome, frame,
};

pub use self::conversation::SecureRules;
use self::conversation::{Arrived, Conversation, Taken, Ticket, Turn};
use self::io::Input;
use self::pace::{REFUSED_BYTES_MAX, REFUSED_PAUSE};
use crate::connection::connection_log::ConnectionLog;
use crate::connection::telling::Telling;
use crate::connection::{
    DRAIN_TIME_VIOLATION, Farewell, LOG_IN_TIMEOUT_CROWDED, OUTPUT_BYTES_FLUSH,
};
use crate::ledger::LedgerClock;
use crate::limits::{Place, Seat, SessionLimits};
use crate::messages::{
    FindOnline, FindReceipts, KeepOrder, LogInKeyed, LogOut, NotifyParties, ReadHistory,
    ReadOnline, ReadOpenOrders, RetireKey, SessionId, SessionNotice, Submit, SubmitForReceipts,
    VerifyOrders, WatchNames,
};

/// How long a client may take to say hello, once TLS is up: it has nothing to wait for.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom a secure session talks to.
#[derive(Clone, Debug)]
pub struct SecurePeers {
    /// The Ledger.
    pub submit: Recipient<Submit>,
    /// The Ledger.
    pub submit_for_receipts: Recipient<SubmitForReceipts>,
    /// The Verifier.
    pub verify: Recipient<VerifyOrders>,
    /// The Archive.
    pub find_receipts: Recipient<FindReceipts>,
    /// The Archive.
    pub read_history: Recipient<ReadHistory>,
    /// The Archive.
    pub keep_order: Recipient<KeepOrder>,
    /// The Archive.
    pub read_open_orders: Recipient<ReadOpenOrders>,
    /// The Registry.
    pub log_in: Recipient<LogInKeyed>,
    /// The Registry.
    pub log_out: Recipient<LogOut>,
    /// The Registry.
    pub read_online: Recipient<ReadOnline>,
    /// The Registry.
    pub find_online: Recipient<FindOnline>,
    /// The Registry.
    pub watch_names: Recipient<WatchNames>,
    /// The Registry.
    pub notify: Recipient<NotifyParties>,
    /// The Registry.
    pub retire_key: Recipient<RetireKey>,
}

/// What a secure session needs to know.
#[derive(Clone, Debug)]
pub struct SecureSettings {
    /// What it goes by.
    pub rules: SecureRules,
    /// The ledger's own.
    pub clock: LedgerClock,
    /// Cancelled when the server stops: what is under way is answered, then the connection closes.
    pub stop: CancellationToken,
    /// How much of the server a session may have.
    pub limits: Arc<SessionLimits>,
}

/// The actor of one connection, over any stream that has proven its peer's key.
#[derive(Debug)]
pub struct SecureSession<S> {
    id: SessionId,
    peers: Arc<SecurePeers>,
    clock: LedgerClock,
    conversation: Conversation,
    stage: Stage,
    /// Not here while a read is under way.
    input: Option<Input<ReadHalf<S>>>,
    telling: Telling,
    /// A request that must wait until others are answered.
    held_back: Option<Box<Arrived>>,
    /// How many bytes of calls were refused since nothing was read for a while, and whether nothing is.
    refused_bytes: usize,
    pausing: bool,
    /// Not here while a write is under way.
    output: Option<WriteHalf<S>>,
    /// How much that write is.
    being_written: usize,
    /// What is to be written next.
    out: Vec<u8>,
    /// How much of it nobody asked for.
    event_bytes: usize,
    /// Some were left out, and the peer was not told so yet.
    events_missed: bool,
    /// When something last came.
    heard_at: Instant,
    /// When the frame began of which a part has arrived.
    frame_begun_at: Option<Instant>,
    /// How long to read on, and throw away, what a peer still sends when the session closes.
    drain_time: Duration,
    /// This session's own, so that waiting for it takes no lock that others take.
    stop: CancellationToken,
    limits: Arc<SessionLimits>,
    seat: Seat,
    /// One of those that the key may have, once hello is said.
    place: Option<Place<PublicKey>>,
    log: ConnectionLog,
    _farewell: Farewell,
}

/// How far the connection is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The client has not said hello.
    Hello,
    /// The ledger is asked whose the client's key is.
    Greeting,
    /// Calls are taken.
    Open,
    /// Nothing more is read. What was read is answered, then comes the last word, if there is one.
    Ending(Option<Problem>),
    /// Nothing more is answered. What is written is still sent.
    Closing,
}

impl<S: AsyncRead + AsyncWrite + 'static> SecureSession<S> {
    /// A session with whoever is at the other end of `stream` and has proven to hold `key`.
    pub fn new(
        id: SessionId,
        stream: S,
        peer: SocketAddr,
        key: PublicKey,
        peers: &Arc<SecurePeers>,
        settings: &SecureSettings,
        log: &Logger,
    ) -> Self {
        let (input, output) = tokio::io::split(stream);
        let mut frames = FrameReader::new();
        frames.set_limit(HELLO_BYTES_MAX);
        let (stop, limits) = (settings.stop.child_token(), Arc::clone(&settings.limits));
        Self {
            id,
            clock: settings.clock.clone(),
            conversation: Conversation::new(settings.rules, Arc::clone(&limits), key, peer.ip()),
            stage: Stage::Hello,
            input: Some(Input { stream: input, frames, read_bytes_max: limits.bytes.read() }),
            telling: Telling::default(),
            held_back: None,
            refused_bytes: 0,
            pausing: false,
            output: Some(output),
            being_written: 0,
            out: Vec::new(),
            event_bytes: 0,
            events_missed: false,
            heard_at: Instant::now(),
            frame_begun_at: None,
            drain_time: Duration::ZERO,
            seat: limits.room.sit(id, peer.ip(), stop.clone()),
            stop,
            limits,
            place: None,
            log: ConnectionLog::new(log.new(o!("session" => id.0, "peer" => peer))),
            _farewell: Farewell { id, log_out: peers.log_out.clone() },
            peers: Arc::clone(peers),
        }
    }

    /// Goes on: takes what has been read, writes what is to be written, reads more or closes.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        let all_taken = self.take_frames(ctx);
        if all_taken
            && self.conversation.is_idle()
            && let Stage::Ending(last_word) = self.stage
        {
            if let Some(problem) = last_word {
                frame::encode(&ServerFrame::Closing(problem), &mut self.out);
            }
            self.stage = Stage::Closing;
        }
        match self.stage {
            _ if !self.out.is_empty() => self.write(ctx),
            Stage::Closing => self.close(ctx),
            Stage::Hello | Stage::Greeting | Stage::Open | Stage::Ending(_) => {}
        }
        let reads = matches!(self.stage, Stage::Hello | Stage::Open);
        if all_taken && reads && self.out.len() < OUTPUT_BYTES_FLUSH {
            self.read(ctx);
        }
    }

    /// Takes whole frames as long as calls and answers are within their bounds. Whether none is
    /// left.
    fn take_frames(&mut self, ctx: &mut Context<Self>) -> bool {
        let mut taken = false;
        let none_left = loop {
            if self.pausing || self.out.len() >= OUTPUT_BYTES_FLUSH || self.telling.is_full() {
                break false;
            }
            match self.stage {
                Stage::Hello => match self.next_frame() {
                    Ok(Some(hello)) => self.greet(hello, ctx),
                    Ok(None) => break true,
                    Err(error) => self.refuse_hello(&error),
                },
                Stage::Greeting | Stage::Closing => break false,
                Stage::Open | Stage::Ending(_) => match self.take_turn(ctx) {
                    TurnEnd::Asked => taken = true,
                    TurnEnd::NothingLeft => break true,
                    TurnEnd::Full => break false,
                },
            }
        };
        // While a read is under way, nothing has changed.
        if let Some(input) = &self.input {
            let begun = none_left && !input.frames.is_empty();
            self.frame_begun_at = match self.frame_begun_at {
                // The client waits for this session, or nobody waits.
                _ if !begun => None,
                Some(at) if !taken => Some(at),
                _ => Some(Instant::now()),
            };
        }
        none_left
    }

    /// Asks as much together as there is and may be.
    fn take_turn(&mut self, ctx: &mut Context<Self>) -> TurnEnd {
        let (mut turn, now) = (Turn::default(), Instant::now());
        let bytes_waiting = self.out.len() + self.being_written;
        let end = loop {
            let arrived = match self.held_back.take() {
                Some(arrived) => Ok(Some(*arrived)),
                None => self.next_request(),
            };
            match arrived {
                Ok(None) => break TurnEnd::NothingLeft,
                Ok(Some(arrived)) => {
                    match self.conversation.take(arrived, bytes_waiting, now, &mut turn) {
                        Taken::Turn => {}
                        Taken::Later(arrived) => {
                            self.held_back = Some(arrived);
                            break TurnEnd::Full;
                        }
                        Taken::Alone(ticket, alone) => {
                            self.ask_alone(ticket, alone, ctx);
                            break TurnEnd::Asked;
                        }
                    }
                }
                Err(error) => {
                    self.end_for_violation(&error);
                    break TurnEnd::NothingLeft;
                }
            }
        };
        if turn.is_empty() {
            return end;
        }
        self.conversation.note_payments(&turn, now);
        self.refused_bytes += turn.refused_bytes;
        if self.refused_bytes >= REFUSED_BYTES_MAX {
            self.pause(ctx);
        }
        self.ask(turn, ctx);
        TurnEnd::Asked
    }

    /// Takes nothing for a while.
    fn pause(&mut self, ctx: &mut Context<Self>) {
        self.refused_bytes = 0;
        self.pausing = true;
        ctx.run_later(REFUSED_PAUSE, |session, ctx| {
            session.pausing = false;
            session.advance(ctx);
        });
    }

    fn next_request(&mut self) -> Result<Option<Arrived>, FrameError> {
        let unread =
            |input: &Option<Input<_>>| input.as_ref().map_or(0, |input| input.frames.unread());
        let before = unread(&self.input);
        let request = self.next_frame()?;
        let bytes = before - unread(&self.input);
        Ok(request.map(|request| Arrived { request, bytes }))
    }

    fn next_frame<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        // While a read is under way, there is no whole frame.
        self.input.as_mut().map_or(Ok(None), |input| input.frames.next_frame())
    }

    fn greet(&mut self, hello: Hello, ctx: &mut Context<Self>) {
        match hello.check(magic::CLIENT) {
            Ok(version) => self.conversation.speak(version),
            Err(problem) => return self.welcome(&Err(problem)),
        }
        let key = self.conversation.key();
        self.place = self.limits.keys.enter(key, self.limits.sessions_per_key_max);
        if self.place.is_none() {
            return self.welcome(&Err(Problem::TooManySessions));
        }
        if let Some(input) = &mut self.input {
            input.frames.set_limit(self.limits.bytes.frame);
        }
        self.stage = Stage::Greeting;
        let peers = Arc::clone(&self.peers);
        let found = async move { follow_up::find_key(key, &peers).await };
        ctx.spawn(found.into_actor(self).map(|holder, session, ctx| {
            let now = session.clock.now();
            let welcome = holder.and_then(|holder| session.conversation.welcome(holder, now));
            session.welcome(&welcome);
            session.advance(ctx);
        }));
    }

    /// Sends the first frame.
    fn welcome(&mut self, welcome: &Result<Welcome, Problem>) {
        self.stage = match welcome {
            Ok(_) => Stage::Open,
            Err(problem) => {
                info!(self.log.now(), "not welcome"; "why" => %problem);
                Stage::Closing
            }
        };
        frame::encode(welcome, &mut self.out);
    }

    fn refuse_hello(&mut self, error: &FrameError) {
        debug!(self.log.now(), "no hello"; "error" => %error);
        self.drain_time = DRAIN_TIME_VIOLATION;
        self.welcome(&Err(Problem::Malformed));
    }

    /// What came before is answered; what comes behind cannot be read.
    fn end_for_violation(&mut self, error: &FrameError) {
        self.log.warning(&format!("protocol violation, closing: {error}"));
        self.drain_time = DRAIN_TIME_VIOLATION;
        self.stage = Stage::Ending(Some(match error {
            // The protocol's, but more than this server was told to take.
            FrameError::TooLong(length)
                if usize::try_from(*length).is_ok_and(|length| length <= REQUEST_BYTES_MAX) =>
            {
                Problem::TooMany
            }
            _ => Problem::Malformed,
        }));
        if let Some(input) = &mut self.input {
            input.frames = FrameReader::new();
        }
    }

    /// Ends the connection behind what is written already: nobody gets an answer any more.
    fn cut(&mut self, problem: Problem) {
        if !matches!(self.stage, Stage::Closing) {
            info!(self.log.now(), "closing"; "why" => %problem);
            frame::encode(&ServerFrame::Closing(problem), &mut self.out);
            self.stage = Stage::Closing;
        }
    }

    fn respond(&mut self, ticket: &Ticket, result: Result<Answer, Problem>) {
        self.conversation.answered(ticket);
        self.write_response(ticket, result);
    }

    fn write_response(&mut self, ticket: &Ticket, result: Result<Answer, Problem>) {
        if !matches!(self.stage, Stage::Closing) {
            let response = Response { correlation: ticket.correlation, result };
            frame::encode(&ServerFrame::Response(response), &mut self.out);
        }
    }
}

/// How a turn ends.
enum TurnEnd {
    /// Something was asked; there may be more.
    Asked,
    /// No whole frame is left.
    NothingLeft,
    /// What is left must wait until something is answered.
    Full,
}

impl<S: AsyncRead + AsyncWrite + 'static> Actor for SecureSession<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        debug!(self.log.now(), "connected");
        ctx.run_later(HELLO_TIMEOUT, |session, ctx| {
            if matches!(session.stage, Stage::Hello) {
                debug!(session.log.now(), "no hello, closing");
                ctx.stop();
            }
        });
        ctx.run_later(LOG_IN_TIMEOUT_CROWDED, Self::watch_idleness);
        self.advance(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.log.ended();
    }
}

impl<S: AsyncRead + AsyncWrite + 'static> Handler<SessionNotice> for SecureSession<S> {
    type Result = ();

    fn handle(&mut self, notice: SessionNotice, ctx: &mut Self::Context) {
        match notice {
            SessionNotice::Replaced { attempt } => {
                if self.conversation.replaced(attempt) {
                    self.log.replaced();
                    self.tell(Event::Replaced, ctx);
                }
            }
            SessionNotice::Event(event) => self.tell(event, ctx),
            SessionNotice::KeyRetired => {
                self.cut(Problem::KeyRetired);
                self.advance(ctx);
            }
            // The text protocol's words; the events say the same.
            SessionNotice::Line(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
