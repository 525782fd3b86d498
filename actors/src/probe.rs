//! Mocked neighbours: an actor is tested alone, against recipients that record what they are sent.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use actix::prelude::*;
use ed25519_zebra::SigningKey;
use slog::{Discard, Logger, o};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::public_key;
use wire::{Access, Amount, Order, OrderId, PublicKey, Timestamp};

use crate::later::{Later, ReplySlot};
use crate::ledger::state::Terms;
use crate::messages::Signer;

/// A log for nobody.
pub(crate) fn no_log() -> Logger {
    Logger::root(Discard, o!())
}

/// What a mocked neighbour was sent, in order.
pub(crate) struct Received<M>(UnboundedReceiver<M>);

impl<M: Debug> Received<M> {
    /// The next message. The test fails if none comes.
    pub(crate) async fn next(&mut self) -> M {
        let next = tokio::time::timeout(Duration::from_secs(30), self.0.recv()).await;
        next.expect("a message comes").expect("the neighbour is there")
    }

    /// Asserts that nothing more was sent.
    pub(crate) fn nothing(&mut self) {
        if let Ok(message) = self.0.try_recv() {
            panic!("unexpected: {message:?}");
        }
    }
}

/// A neighbour that records every message and answers as `answer` says.
pub(crate) fn probe<M, F>(answer: F) -> (Recipient<M>, Received<M>)
where
    M: Message + Clone + Debug + Send + Unpin + 'static,
    M::Result: Send,
    F: FnMut(&M) -> M::Result + Unpin + 'static,
{
    let (sender, receiver) = unbounded_channel();
    (Probe { sender, answer }.start().recipient(), Received(receiver))
}

/// A neighbour that has ended.
pub(crate) async fn gone<M>() -> Recipient<M>
where
    M: Message + Clone + Debug + Send + Unpin + 'static,
    M::Result: Send,
{
    let (sender, _) = unbounded_channel::<M>();
    let answer = |_: &M| -> M::Result { unreachable!("nobody is there to answer") };
    let probe = Probe { sender, answer }.start();
    probe.send(End).await.expect("it ends only now");
    while probe.connected() {
        tokio::task::yield_now().await;
    }
    probe.recipient()
}

/// A neighbour that loses every question: whoever asks learns that nobody will answer.
pub(crate) fn forgetful<M>() -> Recipient<M>
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    // Nobody receives what is asked, and so the replies are dropped with the questions.
    let (sender, _) = unbounded_channel();
    Slow { sender }.start().recipient()
}

/// What is wrong with a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It has ended.
    Gone,
    /// It takes the question and ends with it.
    Forgetful,
    /// It has too much to do, and says so.
    Full,
}

impl Trouble {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Gone, Self::Forgetful, Self::Full];
    /// Those of a neighbour that cannot be full, or that is only told something.
    pub(crate) const UNANSWERED: [Self; 2] = [Self::Gone, Self::Forgetful];
}

/// A neighbour that has this trouble, and says `full` when it is full. Who cannot be full is gone instead.
pub(crate) async fn troubled<M>(trouble: Trouble, full: Option<M::Result>) -> Recipient<M>
where
    M: Message + Clone + Debug + Send + Unpin + 'static,
    M::Result: Clone + Send + Unpin,
{
    match (trouble, full) {
        (Trouble::Full, Some(full)) => probe(move |_: &M| full.clone()).0,
        (Trouble::Forgetful, _) => forgetful(),
        (Trouble::Gone, _) | (Trouble::Full, None) => gone().await,
    }
}

/// A neighbour that answers when the test does.
pub(crate) fn slow<M>() -> (Recipient<M>, Questions<M>)
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    let (sender, receiver) = unbounded_channel();
    (Slow { sender }.start().recipient(), Questions(receiver))
}

/// What a slow neighbour was asked, and where the answers go.
pub(crate) struct Questions<M: Message>(UnboundedReceiver<Question<M>>);

type Question<M> = (M, ReplySlot<<M as Message>::Result>);

impl<M: Message> Questions<M> {
    /// The next question. The test fails if none comes.
    pub(crate) async fn next(&mut self) -> Question<M> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.0.recv()).await;
        next.expect("a question comes").expect("the neighbour is there")
    }

    /// All questions that are there.
    pub(crate) fn there(&mut self) -> Vec<Question<M>> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A stream that brings these bytes, panics where more should be read, and takes what is written.
#[derive(Default)]
pub(crate) struct PanickingStream(pub(crate) Vec<u8>);

impl AsyncRead for PanickingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.0.is_empty(), "the reader panics, on purpose");
        let count = self.0.len().min(read.remaining());
        read.put_slice(&self.0[..count]);
        self.0.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PanickingStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets everybody do what they can without anybody's answer.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

struct Slow<M: Message> {
    sender: UnboundedSender<Question<M>>,
}

impl<M: Message + Unpin + 'static> Actor for Slow<M> {
    type Context = Context<Self>;
}

impl<M: Message + Unpin + 'static> Handler<M> for Slow<M> {
    type Result = Later<M::Result>;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        let (later, reply) = Later::new();
        // A test that has seen enough listens no more.
        let _ = self.sender.send((message, reply));
        later
    }
}

struct Probe<M, F> {
    sender: UnboundedSender<M>,
    answer: F,
}

#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl<M: Unpin + 'static, F: Unpin + 'static> Actor for Probe<M, F> {
    type Context = Context<Self>;
}

impl<M, F> Handler<M> for Probe<M, F>
where
    M: Message + Clone + Unpin + 'static,
    F: FnMut(&M) -> M::Result + Unpin + 'static,
{
    type Result = MessageResult<M>;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        let answer = (self.answer)(&message);
        // A test that has seen enough listens no more.
        let _ = self.sender.send(message);
        MessageResult(answer)
    }
}

impl<M: Unpin + 'static, F: Unpin + 'static> Handler<End> for Probe<M, F> {
    type Result = ();

    fn handle(&mut self, End: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// What the rules go by in tests where the clock does not matter. The server's key is that of
/// [`server_key`].
pub(crate) const TERMS: Terms = Terms { now: NOW, shown: NOW, server: PublicKey::new(SERVER) };

const NOW: Timestamp = Timestamp::new(1_700_000_000_000);
const SERVER: [u8; 32] = [
    0x81, 0x46, 0x64, 0x0F, 0x02, 0x49, 0x3A, 0xF4, 0xFB, 0xC5, 0x4F, 0xE3, 0x33, 0x88, 0xE7, 0x5D,
    0xC2, 0xC9, 0x37, 0xAE, 0x0B, 0x77, 0x27, 0xCC, 0x2B, 0x2A, 0xFB, 0x1B, 0x75, 0x19, 0x9A, 0x3E,
];

/// The key of the server.
pub(crate) fn server_key() -> Signer {
    Signer::new(key(0x5E))
}

/// Somebody's key: a different one for each number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// An order of the account with this name and the key with this number, valid for an hour.
pub(crate) fn order(payer: (&str, u8), payee: (&str, Access), amount: u64, nonce: u8) -> Order {
    let not_after = Timestamp::new(TERMS.now.get() + 3_600_000);
    Order {
        version: ORDER_VERSION,
        server: TERMS.server,
        id: OrderId::new(not_after, [nonce; 10]),
        payer: payer.0.parse().expect("a valid name"),
        payer_key: public_key(&key(payer.1)),
        payee: payee.0.parse().expect("a valid name"),
        payee_key: match payee.1 {
            Access::Open => None,
            Access::Keyed(key) => Some(key),
        },
        amount: Amount::new(amount),
        not_after,
        memo_hash: NO_MEMO,
    }
}

/// The access of an account with the key with this number.
pub(crate) fn keyed(number: u8) -> Access {
    Access::Keyed(public_key(&key(number)))
}

/// An order from one keyed account to another, each with its name and its key's number; `nonce` is in its
/// id.
pub(crate) fn keyed_order(nonce: u8, payer: (&str, u8), payee: (&str, u8), amount: u64) -> Order {
    order(payer, (payee.0, keyed(payee.1)), amount, nonce)
}
