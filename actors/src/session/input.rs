//! The reading half of a session: from a stream's bytes to batches of requests.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::time::timeout;
use wire::text::{Framer, InvalidRequest, TextRequest, Violation};

use crate::connection::{self, DRAIN_BYTES_MAX};
use crate::limits::ByteLimits;

/// Reads requests off a stream.
#[derive(Debug)]
pub(super) struct TextInput<R> {
    stream: R,
    framer: Framer,
    read_bytes_max: usize,
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
    pub(super) fn new(stream: R, quiet: Duration, bytes: &ByteLimits) -> Self {
        Self { stream, framer: Framer::new(bytes.line), read_bytes_max: bytes.read_text(), quiet }
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
        let Self { stream, framer, read_bytes_max, .. } = self;
        let mut take = |request: &str| requests.push(TextRequest::parse(request));
        let fed = connection::read(stream, *read_bytes_max, |bytes| match bytes {
            [] => framer.end(&mut take).map_err(InputEnd::Violation).and(Err(InputEnd::Closed)),
            bytes => framer.feed(bytes, &mut take).map_err(InputEnd::Violation),
        });
        fed.await.map_err(InputEnd::Broken)?
    }

    /// Reads what still comes and throws it away.
    pub(super) async fn drain(&mut self) {
        connection::drain(&mut self.stream, DRAIN_BYTES_MAX).await;
    }
}
