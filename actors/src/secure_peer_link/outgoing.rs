//! One link to a payee.

use std::collections::BTreeMap;
use std::future::Future;

use slog::{Logger, debug, info};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use wire::OrderId;
use wire::secure::hello::magic;
use wire::secure::{Hello, PayeeAnswer, PayeeFrame, PayerFrame, Problem};

use super::rules::plain_reason;
use super::{PAYEE_FRAME_BYTES_MAX, READ_BYTES, SecurePeerPatience};
use crate::frames::{FrameInput, FrameOutput};
use crate::messages::DeliverError;
use crate::reason::reason;

/// An order for a link, and who waits for the payee's answer.
#[derive(Debug)]
pub(super) struct Handover {
    pub(super) offer: PayerFrame,
    pub(super) answer: oneshot::Sender<Result<PayeeAnswer, LinkFailure>>,
}

/// Why a link brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkFailure {
    /// There was none, so nothing was handed over.
    NotConnected(DeliverError),
    /// It ended.
    Broken {
        /// Whether the payee may have the order.
        handed_over: bool,
        /// For people.
        why: String,
    },
    /// The payee may have the order and does not answer, or not in this protocol.
    Silent(String),
}

/// Connects, and hands over what comes on `orders`, until nothing has been under way for a while, the
/// connection breaks, or the sender of `orders` is dropped. `orders` is closed as soon as the link takes no
/// more.
pub(super) async fn run<S: AsyncRead + AsyncWrite + 'static>(
    connecting: impl Future<Output = Result<S, DeliverError>>,
    mut orders: mpsc::Receiver<Handover>,
    patience: SecurePeerPatience,
    log: Logger,
) {
    let connected = timeout(patience.connect, async { greet(connecting.await?).await }).await;
    let connected = connected.unwrap_or_else(|_| {
        let seconds = patience.connect.as_secs();
        Err(DeliverError::Unreachable(format!("no connection within {seconds} seconds")))
    });
    match connected {
        Ok((input, output)) => {
            debug!(log, "connected");
            Link { input, output, under_way: BTreeMap::new(), patience, log }.run(orders).await;
        }
        Err(error) => {
            info!(log, "no connection to the payee"; "why" => %error);
            refuse(&mut orders, &LinkFailure::NotConnected(error));
        }
    }
}

type Connection<S> = (FrameInput<ReadHalf<S>>, FrameOutput<WriteHalf<S>>);

async fn greet<S: AsyncRead + AsyncWrite>(stream: S) -> Result<Connection<S>, DeliverError> {
    let unreachable = DeliverError::Unreachable;
    let (input, output) = tokio::io::split(stream);
    let mut input = FrameInput::new(input, PAYEE_FRAME_BYTES_MAX, READ_BYTES);
    let mut output = FrameOutput::new(output);
    output.push(&Hello::new(magic::PAYER));
    // A payee that takes nobody says why and closes, perhaps before it is greeted.
    let _ = output.drain().await;
    let hello: Result<Hello, Problem> =
        input.next().await.map_err(|error| unreachable(error.to_string()))?;
    hello
        .and_then(|hello| hello.check(magic::PAYEE))
        .map_err(|problem| unreachable(format!("no hello: {problem}")))?;
    Ok((input, output))
}

struct Link<S> {
    input: FrameInput<ReadHalf<S>>,
    output: FrameOutput<WriteHalf<S>>,
    under_way: BTreeMap<OrderId, UnderWay>,
    patience: SecurePeerPatience,
    log: Logger,
}

struct UnderWay {
    /// Where its first byte is, by [`FrameOutput::taken`].
    place: u64,
    deadline: Instant,
    /// Nobody any more, once the deadline is over. Several, if one order is handed over twice at once.
    waiting: Vec<oneshot::Sender<Result<PayeeAnswer, LinkFailure>>>,
}

/// How a link ends.
enum End {
    /// Nothing is under way.
    Idle(&'static str),
    Broken(String),
    /// The payee says what no honest one does.
    Violation,
}

impl<S: AsyncRead + AsyncWrite> Link<S> {
    async fn run(mut self, mut orders: mpsc::Receiver<Handover>) {
        let end = self.hand_over_all(&mut orders).await;
        let why = match &end {
            End::Idle(why) => why,
            End::Broken(why) => why.as_str(),
            End::Violation => "the payee answers what it was not asked",
        };
        info!(self.log, "disconnected"; "why" => why);
        refuse(&mut orders, &LinkFailure::Broken { handed_over: false, why: why.to_owned() });
        for under_way in self.under_way.into_values() {
            let handed_over = self.output.taken() > under_way.place;
            let failure = match end {
                End::Violation => LinkFailure::Silent(why.to_owned()),
                _ => LinkFailure::Broken { handed_over, why: why.to_owned() },
            };
            tell(under_way.waiting, &Err(failure));
        }
        self.output.close().await;
    }

    async fn hand_over_all(&mut self, orders: &mut mpsc::Receiver<Handover>) -> End {
        let mut idle_deadline = Instant::now() + self.patience.idle;
        let mut takes_more = true;
        loop {
            let first_deadline = self.first_deadline();
            if first_deadline.is_some() {
                idle_deadline = Instant::now() + self.patience.idle;
            } else if !takes_more {
                return End::Idle("it is not needed any more");
            }
            // In order: what comes first cannot go on for ever without what comes behind it.
            tokio::select! {
                biased;
                written = self.output.drain(), if !self.output.is_drained() => {
                    if let Err(error) = written {
                        return End::Broken(reason(&error));
                    }
                }
                frame = self.input.next() => match frame {
                    Ok(PayeeFrame::Answer { id, answer }) => {
                        if !self.answered(id, answer) {
                            return End::Violation;
                        }
                    }
                    Err(error) => return End::Broken(error.to_string()),
                },
                () = sleep_until(first_deadline.unwrap_or(idle_deadline)) => {
                    if first_deadline.is_none() {
                        return End::Idle("idle");
                    }
                    self.give_up();
                    // Whoever is silent once may be gone: the next order tries a new link.
                    let why = "the payee is silent".to_owned();
                    refuse(orders, &LinkFailure::Broken { handed_over: false, why });
                    takes_more = false;
                }
                order = orders.recv(), if takes_more => match order {
                    Some(order) => self.hand_over(order),
                    None => takes_more = false,
                },
            }
        }
    }

    fn hand_over(&mut self, Handover { offer, answer }: Handover) {
        let PayerFrame::Offer { order, .. } = &offer;
        let id = order.order.id;
        let deadline = Instant::now() + self.patience.answer;
        if let Some(under_way) = self.under_way.get_mut(&id) {
            under_way.deadline = deadline;
            return under_way.waiting.push(answer);
        }
        debug!(self.log, "handing over"; "order" => %id);
        let place = self.output.push(&offer);
        self.under_way.insert(id, UnderWay { place, deadline, waiting: vec![answer] });
    }

    /// Whether the payee was asked.
    fn answered(&mut self, id: OrderId, answer: PayeeAnswer) -> bool {
        let Some(under_way) = self.under_way.remove(&id) else { return false };
        let answer = match answer {
            PayeeAnswer::Declined(why) => PayeeAnswer::Declined(plain_reason(&why)),
            answer => answer,
        };
        tell(under_way.waiting, &Ok(answer));
        true
    }

    fn first_deadline(&self) -> Option<Instant> {
        let awaited = self.under_way.values().filter(|under_way| !under_way.waiting.is_empty());
        awaited.map(|under_way| under_way.deadline).min()
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        let seconds = self.patience.answer.as_secs();
        let silent = Err(LinkFailure::Silent(format!("no answer within {seconds} seconds")));
        for under_way in self.under_way.values_mut().filter(|under_way| under_way.deadline <= now) {
            tell(std::mem::take(&mut under_way.waiting), &silent);
        }
    }
}

/// Takes no more orders, and tells those that wait why.
fn refuse(orders: &mut mpsc::Receiver<Handover>, failure: &LinkFailure) {
    orders.close();
    while let Ok(Handover { answer, .. }) = orders.try_recv() {
        tell(vec![answer], &Err(failure.clone()));
    }
}

fn tell(
    waiting: Vec<oneshot::Sender<Result<PayeeAnswer, LinkFailure>>>,
    outcome: &Result<PayeeAnswer, LinkFailure>,
) {
    for answer in waiting {
        // The wallet may have learnt it elsewhere and listens no more.
        let _ = answer.send(outcome.clone());
    }
}
