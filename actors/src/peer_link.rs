//! The PeerLink: one connection between two clients, over the text protocol.
//!
//! An incoming link takes one payment, offers it to the wallet, and tells the payer what came of it.
//! An outgoing link hands one payment over and listens for that answer, which original programs do
//! not give. Nothing that a peer sends reaches the server as it is: it is parsed here, and what is
//! not a payment does nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, o};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::text::peer::PaymentReader;
use wire::text::reader::{Expected, Heard, ReplyReader, ServerReply};
use wire::text::wording::is_refusal;
use wire::text::{Dialect, Reply, TextPayment};

use crate::messages::{HandOver, HandOverAnswer, HandOverError, Offer, OfferAnswer};
use crate::reason::reason;

/// Payments that may be handed over at once.
const HANDING_OVER_MAX: usize = 64;

/// How much is read at once: a payment and its answer take a few dozen bytes.
const READ_BYTES: usize = 2048;

/// How long a peer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct PeerPatience {
    /// Nothing having come for so long ends an unterminated payment or answer.
    pub quiet: Duration,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long a peer that has connected may take to send its payment.
    pub payment: Duration,
    /// How long the payee may take to say what came of a payment, also the one at this end.
    pub answer: Duration,
}

impl Default for PeerPatience {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(20),
            connect: Duration::from_secs(5),
            payment: Duration::from_secs(5),
            answer: Duration::from_secs(10),
        }
    }
}

/// The actor of one connection to a peer, over any stream.
#[derive(Debug)]
pub struct PeerLink<S> {
    /// Taken when the link starts.
    work: Option<(S, Work)>,
    patience: PeerPatience,
    log: Logger,
}

/// What a link is for.
#[derive(Debug)]
enum Work {
    /// Take a payment and offer it to the wallet.
    Take(Recipient<Offer>),
    /// Hand a payment over.
    Give(TextPayment, oneshot::Sender<HandOverAnswer>),
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> PeerLink<S> {
    /// A link that a peer has opened: it takes a payment and offers it to `wallet`.
    pub fn incoming(
        stream: S,
        peer: SocketAddr,
        wallet: Recipient<Offer>,
        patience: PeerPatience,
        log: &Logger,
    ) -> Self {
        let log = log.new(o!("actor" => "peer-link", "peer" => peer, "direction" => "in"));
        Self { work: Some((stream, Work::Take(wallet))), patience, log }
    }

    /// A link to a payee: it hands `payment` over and says on `answer` what the payee said.
    pub fn outgoing(
        stream: S,
        peer: SocketAddr,
        payment: TextPayment,
        answer: oneshot::Sender<HandOverAnswer>,
        patience: PeerPatience,
        log: &Logger,
    ) -> Self {
        let log = log.new(o!("actor" => "peer-link", "peer" => peer, "direction" => "out"));
        Self { work: Some((stream, Work::Give(payment, answer))), patience, log }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Actor for PeerLink<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (patience, log) = (self.patience, self.log.clone());
        let work: LocalBoxActorFuture<Self, ()> = match self.work.take() {
            Some((stream, Work::Take(wallet))) => {
                Box::pin(take(stream, wallet, patience, log).into_actor(self))
            }
            Some((stream, Work::Give(payment, answer))) => Box::pin(
                async move {
                    let said = give(stream, payment, patience, log).await;
                    // The wallet may have learnt it elsewhere and listens no more.
                    let _ = answer.send(said);
                }
                .into_actor(self),
            ),
            None => return ctx.stop(),
        };
        ctx.spawn(work.map(|(), _, ctx| ctx.stop()));
    }
}

type LocalBoxActorFuture<A, T> = std::pin::Pin<Box<dyn ActorFuture<A, Output = T>>>;

async fn take<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    wallet: Recipient<Offer>,
    patience: PeerPatience,
    log: Logger,
) {
    let payment = match timeout(patience.payment, read_payment(&mut stream, patience)).await {
        Ok(Ok(payment)) => payment,
        Ok(Err(reason)) => return info!(log, "no payment came"; "why" => reason),
        Err(_) => return info!(log, "no payment came"; "why" => "the peer is silent"),
    };
    info!(log, "payment offered"; "payer" => %payment.payer, "payee" => %payment.payee,
        "amount" => %payment.amount);
    let answer = match timeout(patience.answer, wallet.send(Offer(payment))).await {
        Ok(Ok(answer)) => answer,
        // It may have gone before or after it submitted the payment.
        Ok(Err(_)) => OfferAnswer::Unknown,
        // The payer has stopped listening by now. The wallet goes on.
        Err(_) => {
            info!(log, "the wallet is late");
            OfferAnswer::Unknown
        }
    };
    if let Some(line) = answer_line(&answer) {
        // An original payer has stopped listening.
        if let Err(error) = stream.write_all(line.as_bytes()).await {
            debug!(log, "the payer does not listen"; "error" => %error);
        }
    }
    let _ = stream.shutdown().await;
}

async fn read_payment<S: AsyncRead + Unpin>(
    stream: &mut S,
    patience: PeerPatience,
) -> Result<TextPayment, String> {
    let mut reader = PaymentReader::default();
    let mut bytes = [0; READ_BYTES];
    loop {
        let quiet = reader.awaits_quiet().then_some(patience.quiet);
        let read = read_within(quiet, stream, &mut bytes).await;
        let (payment, ended) = match read {
            None => (reader.quiet(), false),
            Some(Ok(0)) => (reader.quiet(), true),
            Some(Ok(length)) => (reader.feed(&bytes[..length]), false),
            Some(Err(error)) => return Err(reason(&error)),
        };
        match payment.map_err(|error| error.to_string())? {
            Some(payment) => return Ok(payment),
            None if ended => return Err("the peer closed the connection".to_owned()),
            None => {}
        }
    }
}

/// What the payer is told, in the words of the server's protocol.
fn answer_line(answer: &OfferAnswer) -> Option<String> {
    match answer {
        OfferAnswer::Settled => Some(Reply::Settled.line(Dialect::Seed).to_owned()),
        OfferAnswer::Refused(reason) if is_refusal(reason) => Some(format!("{reason}\n")),
        OfferAnswer::Refused(reason) => Some(format!("Transfer failed: {reason}\n")),
        // Silence makes the payer look at its balance; a word could be taken for an outcome.
        OfferAnswer::Unknown => None,
    }
}

async fn give<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    payment: TextPayment,
    patience: PeerPatience,
    log: Logger,
) -> HandOverAnswer {
    // Without an end, as the original does: every payee of the family takes it.
    if let Err(error) = stream.write_all(payment.to_string().as_bytes()).await {
        info!(log, "the payee vanished"; "error" => %error);
        return HandOverAnswer::Silence;
    }
    let answer = timeout(patience.answer, read_answer(&mut stream, patience)).await;
    let answer = answer.unwrap_or(HandOverAnswer::Silence);
    info!(log, "payment handed over"; "payee" => %payment.payee, "amount" => %payment.amount,
        "answer" => ?answer);
    answer
}

async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    patience: PeerPatience,
) -> HandOverAnswer {
    let mut reader = ReplyReader::default();
    reader.expect(Expected::Verdict);
    let mut bytes = [0; READ_BYTES];
    loop {
        let quiet = reader.awaits_quiet().then_some(patience.quiet);
        let read = read_within(quiet, stream, &mut bytes).await;
        let heard = match read {
            None => reader.quiet().into_iter().collect(),
            Some(Ok(length)) if length > 0 => match reader.feed(&bytes[..length]) {
                Ok(heard) => heard,
                Err(_) => return HandOverAnswer::Silence,
            },
            Some(_) => match reader.give_up() {
                Some(reply) => vec![Heard::Reply(reply)],
                None => return HandOverAnswer::Silence,
            },
        };
        // Some payees speak first: what is no verdict is passed over.
        for heard in heard {
            match heard {
                Heard::Reply(ServerReply::Ok(_)) => return HandOverAnswer::Settled,
                Heard::Reply(ServerReply::Failed(line)) => return HandOverAnswer::Refused(line),
                _ => {}
            }
        }
    }
}

/// Reads once. `None` if there is a quiet time and nothing comes for so long.
async fn read_within<S: AsyncRead + Unpin>(
    quiet: Option<Duration>,
    stream: &mut S,
    bytes: &mut [u8],
) -> Option<io::Result<usize>> {
    match quiet {
        Some(quiet) => timeout(quiet, stream.read(bytes)).await.ok(),
        None => Some(stream.read(bytes).await),
    }
}

/// Opens connections to peers: TCP in the program, anything in a test.
pub trait Connect: 'static {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Connects to a peer.
    ///
    /// # Errors
    /// Whatever the network says.
    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Stream>> + 'static;
}

/// The Dialer: connects to payees and starts a [`PeerLink`] for each payment.
#[derive(Debug)]
pub struct Dialer<C> {
    connector: C,
    patience: PeerPatience,
    handing_over: usize,
    log: Logger,
}

impl<C: Connect> Dialer<C> {
    /// A dialer that connects with `connector`.
    pub fn new(connector: C, patience: PeerPatience, log: &Logger) -> Self {
        Self { connector, patience, handing_over: 0, log: log.clone() }
    }
}

impl<C: Connect + Unpin> Actor for Dialer<C> {
    type Context = Context<Self>;
}

impl<C: Connect + Unpin> Handler<HandOver> for Dialer<C> {
    type Result = ResponseActFuture<Self, Result<HandOverAnswer, HandOverError>>;

    fn handle(&mut self, hand_over: HandOver, _: &mut Self::Context) -> Self::Result {
        if self.handing_over >= HANDING_OVER_MAX {
            return Box::pin(async { Err(HandOverError::Full) }.into_actor(self));
        }
        self.handing_over += 1;
        let HandOver { address, payment } = hand_over;
        let (patience, log) = (self.patience, self.log.clone());
        let connecting = timeout(patience.connect, self.connector.connect(address));
        let handed_over = async move {
            let stream = match connecting.await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return Err(HandOverError::Unreachable(reason(&error))),
                Err(_) => {
                    let seconds = patience.connect.as_secs();
                    let why = format!("no connection within {seconds} seconds");
                    return Err(HandOverError::Unreachable(why));
                }
            };
            let (answer, answered) = oneshot::channel();
            PeerLink::outgoing(stream, address, payment, answer, patience, &log).start();
            Ok(answered.await.unwrap_or(HandOverAnswer::Silence))
        };
        Box::pin(handed_over.into_actor(self).map(|result, dialer, _| {
            dialer.handing_over -= 1;
            result
        }))
    }
}

#[cfg(test)]
mod tests;
