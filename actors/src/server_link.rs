//! The ServerLink: the client's connection to the server, over the text protocol.
//!
//! The protocol does not say which reply belongs to which request, so requests go out one at a time.
//! A server of the family may answer somebody else or not at all: a request that is not answered in
//! time is followed by `List`, whose reply puts the two sides in step again.

use std::collections::VecDeque;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, o};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::text::TextRequest;
use wire::text::reader::{Expected, Heard, ReplyReader};

use crate::messages::{Ask, ServerEvent, ServerLinkError, ServerReply};
use crate::reason::reason;

/// Requests that may wait for their turn: a person's, and those of payments that come in.
const WAITING_MAX: usize = 1024;

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// How long this client is patient with a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerPatience {
    /// Nothing having come for so long ends an unterminated reply.
    pub quiet: Duration,
    /// How long to wait for the answer to a registration or a payment, which some servers never give.
    pub verdict: Duration,
    /// How long to wait for a list or a farewell. After that the connection is given up.
    pub list: Duration,
}

impl Default for ServerPatience {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            verdict: Duration::from_secs(2),
            list: Duration::from_secs(10),
        }
    }
}

type Answer = Result<ServerReply, ServerLinkError>;

/// The actor of the connection to the server, over any stream.
#[derive(Debug)]
pub struct ServerLink<S> {
    events: Recipient<ServerEvent>,
    patience: ServerPatience,
    reader: ReplyReader,
    /// Not here while a read is under way.
    input: Option<ReadHalf<S>>,
    /// Not here while a write is under way.
    output: Option<WriteHalf<S>>,
    asking: Option<Asking>,
    waiting: VecDeque<Question>,
    /// The wallet has heard that the connection is gone, or wanted it to be.
    ended: bool,
    log: Logger,
}

/// A request and who waits for its reply: nobody, if the link asks for itself.
#[derive(Debug)]
struct Question {
    request: TextRequest,
    answer: Option<oneshot::Sender<Answer>>,
}

/// The request whose reply comes next.
#[derive(Debug)]
struct Asking {
    expected: Expected,
    answer: Option<oneshot::Sender<Answer>>,
    time_out: SpawnHandle,
}

impl<S: AsyncRead + AsyncWrite + 'static> ServerLink<S> {
    /// A link over `stream` that tells `events` what the server says unasked.
    pub fn new(
        stream: S,
        events: Recipient<ServerEvent>,
        patience: ServerPatience,
        log: &Logger,
    ) -> Self {
        let (input, output) = tokio::io::split(stream);
        Self {
            events,
            patience,
            reader: ReplyReader::default(),
            input: Some(input),
            output: Some(output),
            asking: None,
            waiting: VecDeque::new(),
            ended: false,
            log: log.new(o!("actor" => "server-link")),
        }
    }

    fn ask_next(&mut self, ctx: &mut Context<Self>) {
        if self.asking.is_some() {
            return;
        }
        let Some(mut output) = self.output.take() else { return };
        let Some(Question { request, answer }) = self.waiting.pop_front() else {
            self.output = Some(output);
            return;
        };
        let expected = match request {
            TextRequest::Register(_) | TextRequest::Pay(_) => Expected::Verdict,
            // The link asks for itself when the server has not answered something.
            TextRequest::List if answer.is_none() => Expected::ListAtLast,
            TextRequest::LogIn { .. } | TextRequest::List => Expected::List,
            TextRequest::Exit => Expected::Bye,
        };
        let patience = match expected {
            Expected::Verdict => self.patience.verdict,
            Expected::List | Expected::ListAtLast | Expected::Bye => self.patience.list,
        };
        self.reader.expect(expected);
        let time_out = ctx.run_later(patience, Self::time_out);
        self.asking = Some(Asking { expected, answer, time_out });
        debug!(self.log, "asking"; "request" => %request);
        // Every server of the family takes a request that ends in NUL, and few take LF.
        let bytes = format!("{request}\0").into_bytes();
        let write = async move { (output.write_all(&bytes).await, output) };
        ctx.spawn(write.into_actor(self).map(|(result, output), link, ctx| {
            link.output = Some(output);
            match result {
                Ok(()) => link.ask_next(ctx),
                Err(error) => link.lose(&reason(&error), ctx),
            }
        }));
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        let Some(input) = self.input.take() else { return };
        let quiet = self.reader.awaits_quiet().then_some(self.patience.quiet);
        let read = read_once(input, quiet).into_actor(self);
        ctx.spawn(read.map(|(input, read), link, ctx| {
            link.input = Some(input);
            let heard = match read {
                Read::Bytes(bytes) => link.reader.feed(&bytes).map_err(|error| error.to_string()),
                Read::Quiet => Ok(link.reader.quiet().into_iter().collect()),
                Read::End(reason) => Err(reason),
            };
            match heard {
                Ok(heard) => link.hear(heard, ctx),
                Err(reason) => link.lose(&reason, ctx),
            }
        }));
    }

    /// Reads on when the wallet has heard all of it: what it has not stays with the server.
    fn hear(&mut self, heard: Vec<Heard>, ctx: &mut Context<Self>) {
        let is_event = |heard: &Heard| !matches!(heard, Heard::Reply(_));
        let mut events_left = heard.iter().filter(|heard| is_event(heard)).count();
        let mut all_told = None;
        for heard in heard {
            let event = match heard {
                Heard::Reply(reply) => {
                    self.answer(Ok(reply), ctx);
                    continue;
                }
                Heard::TransferResult { settled, line } => {
                    ServerEvent::TransferResult { settled, line }
                }
                Heard::Said(line) => ServerEvent::Said(line),
            };
            events_left -= 1;
            if events_left > 0 {
                self.events.do_send(event);
            } else {
                // When it has heard the last one, it has heard them all.
                all_told = Some(self.events.send(event));
            }
        }
        match all_told {
            None => self.read(ctx),
            // Without a wallet nobody needs to hear it.
            Some(told) => {
                ctx.spawn(told.into_actor(self).map(|_, link, ctx| link.read(ctx)));
            }
        }
    }

    fn answer(&mut self, answer: Answer, ctx: &mut Context<Self>) {
        let Some(asking) = self.asking.take() else { return };
        ctx.cancel_future(asking.time_out);
        if let Some(waiting) = asking.answer {
            // Whoever asked may have gone meanwhile.
            let _ = waiting.send(answer);
        }
        if asking.expected == Expected::Bye {
            // The end of the connection is what was asked for.
            return self.end("goodbye is said", ctx);
        }
        self.ask_next(ctx);
    }

    fn time_out(&mut self, ctx: &mut Context<Self>) {
        let Some(Asking { expected, .. }) = self.asking else { return };
        if let Some(reply) = self.reader.give_up() {
            return self.answer(Ok(reply), ctx);
        }
        if expected != Expected::Verdict {
            return self.lose("the server is silent", ctx);
        }
        // A late verdict must not be taken for the next one: the reply to List comes after it.
        self.waiting.push_front(Question { request: TextRequest::List, answer: None });
        self.answer(Err(ServerLinkError::Silent(self.patience.verdict.as_secs())), ctx);
    }

    fn lose(&mut self, reason: &str, ctx: &mut Context<Self>) {
        info!(self.log, "disconnected"; "why" => reason);
        if let Some(Asking { expected: Expected::Bye, .. }) = self.asking {
            return self.answer(Ok(ServerReply::Bye), ctx);
        }
        let last = self.reader.give_up();
        let lost = || ServerLinkError::Lost(reason.to_owned());
        if let Some(waiting) = self.asking.take().and_then(|asking| asking.answer) {
            let _ = waiting.send(last.ok_or_else(lost));
        }
        self.events.do_send(ServerEvent::Lost(reason.to_owned()));
        self.end(reason, ctx);
    }

    fn end(&mut self, reason: &str, ctx: &mut Context<Self>) {
        self.ended = true;
        for waiting in self.waiting.drain(..).filter_map(|question| question.answer) {
            let _ = waiting.send(Err(ServerLinkError::Lost(reason.to_owned())));
        }
        ctx.stop();
    }
}

/// A link that fails must not leave a wallet behind that believes to be logged in.
impl<S> Drop for ServerLink<S> {
    fn drop(&mut self) {
        if !self.ended {
            self.events.do_send(ServerEvent::Lost("the link has failed".to_owned()));
        }
    }
}

/// What one read yields.
enum Read {
    Bytes(Vec<u8>),
    /// Nothing has come for the quiet time.
    Quiet,
    /// The connection is gone, in the system's words.
    End(String),
}

async fn read_once<R: AsyncRead + Unpin>(mut input: R, quiet: Option<Duration>) -> (R, Read) {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    let read = input.read_buf(&mut bytes);
    let read = match quiet {
        None => read.await,
        Some(quiet) => match timeout(quiet, read).await {
            Ok(read) => read,
            Err(_) => return (input, Read::Quiet),
        },
    };
    let read = match read {
        Ok(0) => Read::End("the server closed it".to_owned()),
        Ok(_) => Read::Bytes(bytes),
        Err(error) => Read::End(reason(&error)),
    };
    (input, read)
}

impl<S: AsyncRead + AsyncWrite + 'static> Actor for ServerLink<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.read(ctx);
    }
}

impl<S: AsyncRead + AsyncWrite + 'static> Handler<Ask> for ServerLink<S> {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, Ask(request): Ask, ctx: &mut Self::Context) -> Self::Result {
        if self.waiting.len() >= WAITING_MAX {
            return Box::pin(async { Err(ServerLinkError::Full) });
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.push_back(Question { request, answer: Some(answer) });
        self.ask_next(ctx);
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| Err(ServerLinkError::Lost("it is closed".to_owned())))
        })
    }
}

#[cfg(test)]
mod tests;
