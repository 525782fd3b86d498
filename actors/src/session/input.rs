//! The reading half of a session: from a stream's bytes to batches of requests.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;
use wire::text::{Framer, InvalidRequest, TextRequest, Violation};

/// The most bytes that are read at once. The shortest request takes one byte, so one read yields at
/// most as many requests, whose replies (24 bytes each, a list excepted) take at most 1.5 MiB.
const READ_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// All sessions of a thread read through one buffer: an idle one keeps nothing but the request
    /// that it has begun.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// Reads requests off a stream.
#[derive(Debug)]
pub(super) struct TextInput<R> {
    stream: R,
    framer: Framer,
    quiet: Duration,
}

/// What one read yields.
#[derive(Debug)]
pub(super) struct Input {
    /// The requests, in order.
    pub(super) requests: Vec<Result<TextRequest, InvalidRequest>>,
    /// Why there will be no more, if there will not.
    pub(super) end: Option<InputEnd>,
}

/// Why a session reads no more.
#[derive(Debug)]
pub(super) enum InputEnd {
    /// The peer has closed its side.
    Closed,
    /// The peer sends what is no text protocol.
    Violation(Violation),
    /// Nothing has come for as long as it was waited for.
    Idle,
    /// The connection is broken.
    Broken(io::Error),
}

impl<R: AsyncRead + Unpin> TextInput<R> {
    pub(super) fn new(stream: R, quiet: Duration) -> Self {
        Self { stream, framer: Framer::default(), quiet }
    }

    /// Waits for at least one request, or for the end; for bytes no longer than `patience`, if there
    /// is any. Without, an idle session costs no timer, and a busy one none a request.
    pub(super) async fn next(&mut self, patience: Option<Duration>) -> Input {
        let mut requests = Vec::new();
        let end = loop {
            let awaits_quiet = self.framer.awaits_quiet();
            let patience = if awaits_quiet { Some(self.quiet) } else { patience };
            let reading = self.read(&mut requests);
            let read = match patience {
                Some(patience) => timeout(patience, reading).await,
                None => Ok(reading.await),
            };
            let progress = match read {
                Ok(progress) => progress,
                Err(_) if awaits_quiet => self
                    .framer
                    .quiet(|request| requests.push(TextRequest::parse(request)))
                    .map_err(InputEnd::Violation),
                Err(_) => Err(InputEnd::Idle),
            };
            match progress {
                Err(end) => break Some(end),
                Ok(()) if !requests.is_empty() => break None,
                Ok(()) => {}
            }
        };
        Input { requests, end }
    }

    /// Reads once, into the requests.
    async fn read(
        &mut self,
        requests: &mut Vec<Result<TextRequest, InvalidRequest>>,
    ) -> Result<(), InputEnd> {
        let Self { stream, framer, .. } = self;
        let mut take = |request: &str| requests.push(TextRequest::parse(request));
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                if let Err(error) = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                    return Poll::Ready(Err(InputEnd::Broken(error)));
                }
                let fed = match buffer.filled() {
                    [] => framer.end(&mut take),
                    bytes => framer.feed(bytes, &mut take),
                };
                let end = if buffer.filled().is_empty() { Err(InputEnd::Closed) } else { Ok(()) };
                Poll::Ready(fed.map_err(InputEnd::Violation).and(end))
            })
        })
        .await
    }

    /// Reads what still comes and throws it away, so that the peer gets to read the last reply
    /// instead of a reset. Bounded by `bytes_max`; the caller bounds the time.
    pub(super) async fn drain(&mut self, mut bytes_max: usize) {
        while let Ok(read) = self.discard().await
            && read > 0
            && bytes_max > read
        {
            bytes_max -= read;
        }
    }

    async fn discard(&mut self) -> io::Result<usize> {
        let stream = &mut self.stream;
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            })
        })
        .await
    }
}
