//! A stream that ends when a client's first message does not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that are read until the first message is whole. Real ones take 200 bytes to
/// 2 KiB, the larger with a key for post-quantum exchange; one record of TLS holds 16 KiB.
const HELLO_BYTES_MAX: usize = 16 << 10;

/// Hands on the first [`HELLO_BYTES_MAX`] bytes, then fails.
pub(super) struct HelloStream<S> {
    stream: S,
    left: usize,
}

impl<S> HelloStream<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, left: HELLO_BYTES_MAX }
    }

    /// The stream without the limit.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the first message is too long")]
struct TooLong;

/// Whether this is the limit's error.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(source) if source.is::<TooLong>())
}

impl<S: AsyncRead + Unpin> AsyncRead for HelloStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, TooLong)));
        }
        let length = buffer.remaining().min(self.left);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(length));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        self.left -= read;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HelloStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
