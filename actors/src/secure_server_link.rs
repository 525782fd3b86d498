//! The SecureServerLink: the client's connection to the server, over the secure protocol.
//!
//! Many calls are under way at once, each with a correlation, and their answers come in any order. The
//! actor takes the questions; one task, which waits for questions, frames, the writing and the next
//! deadline all at once, holds the connection. The server is not trusted: an answer to nothing, an answer
//! that does not fit its call, or bytes that are not the protocol end the connection.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, o};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Event, FRAME_BYTES_MAX, Hello, Limits, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN,
    Problem, Request, Response, ServerFrame, Welcome,
};

use self::calls::Calls;
pub use self::expected::Expected;
use crate::frames::{FrameInput, FrameOutput, InputError, wait_until};
use crate::later::{Later, ReplySlot};
use crate::messages::{AskServer, CallError, ConnectError, ServerNews};
use crate::reason::reason;

mod calls;
mod expected;

/// Calls that may be under way, if the server takes as many: those of a person, and of the payments that
/// come in and go out at once.
const CALLS_UNDER_WAY_MAX: usize = 1024;

/// The most bytes of calls that wait for a server that does not read: the longest call, with
/// [`ORDERS_PER_CALL_MAX`](wire::secure::call::ORDERS_PER_CALL_MAX) orders, takes 288 KiB, and most take
/// less than one.
const CALL_BYTES_WAITING_MAX: usize = 1 << 20;

/// How much is read at once, and so how much of what nobody asked for is on its way to the wallet: some
/// hundred events.
const READ_BYTES: usize = 16 << 10;

/// The connection is given up if no frame has come on it for so many times the patience with an answer since
/// something was asked: TCP itself finds a server that is gone without a word only after a quarter of
/// an hour. Once would have all clients of a server that is stuck for a moment connect anew.
const PATIENCES_UNHEARD_MAX: u32 = 2;

/// How long this client is patient with a server of the secure protocol.
#[derive(Clone, Copy, Debug)]
pub struct SecureServerPatience {
    /// How long the two hellos may take.
    pub hello: Duration,
    /// How long an answer may take.
    pub answer: Duration,
}

impl Default for SecureServerPatience {
    fn default() -> Self {
        Self { hello: Duration::from_secs(5), answer: Duration::from_secs(10) }
    }
}

/// The actor of the connection to the server. The connection ends when nobody holds the actor's address
/// any more.
#[derive(Debug)]
pub struct SecureServerLink {
    questions: mpsc::Sender<Question>,
}

type Reply = Result<Answer, CallError>;

/// A call and who waits for its answer.
#[derive(Debug)]
struct Question {
    call: Call,
    answer: ReplySlot<Reply>,
}

impl SecureServerLink {
    /// Says hello over `stream`, whose other end has shown its key, and starts the actor. `news` hears
    /// what the server says unasked, and once that the connection is lost: not if it ends because this
    /// side logged out, changed its key, or dropped the link.
    ///
    /// # Errors
    /// [`ConnectError::Unreachable`] if the connection breaks or is silent, [`ConnectError::Refused`] if
    /// the server says why not, [`ConnectError::NotMite`] if it says something else.
    pub async fn connect<S: AsyncRead + AsyncWrite + 'static>(
        stream: S,
        news: Recipient<ServerNews>,
        patience: SecureServerPatience,
        log: &Logger,
    ) -> Result<(Recipient<AskServer>, Welcome), ConnectError> {
        let (input, output) = tokio::io::split(stream);
        let mut input = FrameInput::new(input, FRAME_BYTES_MAX, READ_BYTES);
        let mut output = FrameOutput::new(output);
        let greeted = timeout(patience.hello, greet(&mut input, &mut output)).await;
        let welcome = greeted.unwrap_or_else(|_| {
            let seconds = patience.hello.as_secs();
            Err(ConnectError::Unreachable(format!("no hello within {seconds} seconds")))
        })?;
        let calls_max = usize::try_from(welcome.limits.calls_under_way_max)
            .map_or(CALLS_UNDER_WAY_MAX, |max| max.min(CALLS_UNDER_WAY_MAX));
        let conversation = Conversation {
            input,
            output,
            calls: Calls::new(calls_max),
            limits: welcome.limits,
            patience,
            unheard_since: None,
            news,
            telling: None,
            log: log.new(o!("actor" => "secure-server-link")),
        };
        let (questions, asked) = mpsc::channel(CALLS_UNDER_WAY_MAX);
        let link = Self { questions }.start().recipient();
        let news = conversation.news.clone();
        let running = actix::spawn(conversation.run(asked));
        actix::spawn(async move {
            if running.await.is_err() {
                news.do_send(ServerNews::Lost("the link has failed".to_owned()));
            }
        });
        Ok((link, welcome))
    }
}

async fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    input: &mut FrameInput<R>,
    output: &mut FrameOutput<W>,
) -> Result<Welcome, ConnectError> {
    output.push(&Hello::new(magic::CLIENT));
    // A server that takes nobody says why and closes, perhaps before it is greeted.
    let _ = output.drain().await;
    let welcome: Welcome = match input.next::<Result<Welcome, Problem>>().await {
        Ok(Ok(welcome)) => welcome,
        Ok(Err(problem)) => return Err(ConnectError::Refused(problem)),
        Err(InputError::Violation(error)) => return Err(ConnectError::NotMite(error.to_string())),
        Err(error) => return Err(ConnectError::Unreachable(error.to_string())),
    };
    let not_mite = |why: &str| Err(ConnectError::NotMite(why.to_owned()));
    if welcome.magic != magic::SERVER {
        return not_mite("it is not in the role of a server");
    }
    if !(PROTOCOL_VERSION_MIN..=PROTOCOL_VERSION).contains(&welcome.version) {
        return not_mite("it speaks a version that was not offered");
    }
    if welcome.limits.calls_under_way_max == 0 {
        return not_mite("it takes no calls at all");
    }
    Ok(welcome)
}

impl Actor for SecureServerLink {
    type Context = Context<Self>;
}

impl Handler<AskServer> for SecureServerLink {
    type Result = Later<Reply>;

    fn handle(&mut self, AskServer(call): AskServer, _: &mut Self::Context) -> Self::Result {
        let (later, answer) = Later::new();
        match self.questions.try_send(Question { call, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(question)) => {
                question.answer.send(Err(CallError::Full));
            }
            Err(mpsc::error::TrySendError::Closed(question)) => {
                question.answer.send(Err(CallError::Lost("it has ended".to_owned())));
            }
        }
        later
    }
}

/// The connection.
struct Conversation<S> {
    input: FrameInput<ReadHalf<S>>,
    output: FrameOutput<WriteHalf<S>>,
    calls: Calls<ReplySlot<Reply>>,
    /// What the server takes.
    limits: Limits,
    patience: SecureServerPatience,
    /// When the first call was asked since something has last come.
    unheard_since: Option<Instant>,
    news: Recipient<ServerNews>,
    /// The events of the last read. Until the wallet has heard all of them, no more is read.
    telling: Option<Pin<Box<dyn Future<Output = ()>>>>,
    log: Logger,
}

/// How a connection ends.
enum End {
    /// As both sides meant it to.
    Meant(&'static str),
    /// In any other way.
    Lost(String),
}

impl<S: AsyncRead + AsyncWrite + 'static> Conversation<S> {
    async fn run(mut self, mut questions: mpsc::Receiver<Question>) {
        let end = self.converse(&mut questions).await;
        let why = match &end {
            End::Meant(why) => *why,
            End::Lost(why) => why,
        };
        info!(self.log, "disconnected"; "why" => why);
        let lost = || Err(CallError::Lost(why.to_owned()));
        for answer in self.calls.end() {
            answer.send(lost());
        }
        questions.close();
        while let Ok(question) = questions.try_recv() {
            question.answer.send(lost());
        }
        if let End::Lost(why) = end {
            // What the server said before is not lost.
            if let Some(telling) = self.telling.take() {
                telling.await;
            }
            self.news.do_send(ServerNews::Lost(why));
        }
        self.output.close().await;
    }

    async fn converse(&mut self, questions: &mut mpsc::Receiver<Question>) -> End {
        loop {
            let deadline = self.calls.first_deadline();
            // In order: what comes first cannot go on for ever without what comes behind it.
            tokio::select! {
                biased;
                () = told(&mut self.telling) => self.telling = None,
                written = self.output.drain(), if !self.output.is_drained() => {
                    if let Err(error) = written {
                        return End::Lost(reason(&error));
                    }
                }
                frames = self.input.next_batch(), if self.telling.is_none() => match frames {
                    Ok(frames) => if let Err(end) = self.hear(frames) { return end },
                    Err(error) => return End::Lost(error.to_string()),
                },
                () = wait_until(deadline) => {
                    if self.give_up_calls().is_err() || self.is_unheard() {
                        return End::Lost("the server is silent".to_owned());
                    }
                }
                question = questions.recv() => {
                    let Some(question) = question else { return End::Meant("nobody asks any more") };
                    self.ask(question);
                    // What is asked at once is written at once.
                    while let Ok(question) = questions.try_recv() {
                        self.ask(question);
                    }
                }
            }
        }
    }

    fn ask(&mut self, Question { call, answer }: Question) {
        if !Expected::is_within(&call, &self.limits) {
            return answer.send(Err(CallError::Problem(Problem::TooMany)));
        }
        if self.calls.is_full() || self.output.waiting() >= CALL_BYTES_WAITING_MAX {
            return answer.send(Err(CallError::Full));
        }
        let expected = Expected::of(&call);
        let now = Instant::now();
        self.unheard_since.get_or_insert(now);
        let deadline = now + self.patience.answer;
        let correlation = self.calls.begin(expected, deadline, answer);
        debug!(self.log, "asking"; "call" => correlation.0);
        self.output.push(&Request { correlation, call });
    }

    /// Whether the server is as good as gone.
    fn is_unheard(&self) -> bool {
        let bound = self.patience.answer * PATIENCES_UNHEARD_MAX;
        self.unheard_since.is_some_and(|since| since.elapsed() >= bound)
    }

    fn hear(&mut self, frames: Vec<ServerFrame>) -> Result<(), End> {
        self.unheard_since = None;
        let mut events = Vec::new();
        let heard = frames.into_iter().try_for_each(|frame| match frame {
            ServerFrame::Response(response) => self.hear_response(response),
            ServerFrame::Event(event) => {
                events.push(event);
                Ok(())
            }
            ServerFrame::Closing(problem) => Err(End::Lost(problem.to_string())),
        });
        if !events.is_empty() {
            self.telling = Some(Box::pin(tell(self.news.clone(), events)));
        }
        heard
    }

    fn hear_response(&mut self, response: Response) -> Result<(), End> {
        let ends = match &response.result {
            Ok(Answer::LoggedOut) => Some("logged out"),
            Ok(Answer::KeyChanged(_)) => Some("the key is changed"),
            _ => None,
        };
        let answered = self.calls.answered(response.correlation, &response.result);
        let waiting = answered.map_err(|violation| End::Lost(violation.to_string()))?;
        // Nobody, if the answer comes late.
        if let Some(waiting) = waiting {
            waiting.send(response.result.map_err(CallError::Problem));
            ends.map_or(Ok(()), |why| Err(End::Meant(why)))?;
        }
        Ok(())
    }

    fn give_up_calls(&mut self) -> Result<(), calls::Silent> {
        let silent = CallError::Silent(self.patience.answer.as_secs());
        let (waiting, result) = self.calls.give_up(Instant::now());
        debug!(self.log, "calls without an answer"; "calls" => waiting.len());
        for answer in waiting {
            answer.send(Err(silent.clone()));
        }
        result
    }
}

/// Tells these in order, each after the one before was heard.
async fn tell(news: Recipient<ServerNews>, events: Vec<Event>) {
    for event in events {
        // Without a wallet nobody needs to hear it.
        let _ = news.send(ServerNews::Event(event)).await;
    }
}

async fn told(telling: &mut Option<Pin<Box<dyn Future<Output = ()>>>>) {
    match telling {
        Some(telling) => telling.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
