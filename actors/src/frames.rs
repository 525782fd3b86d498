//! Frames over a stream: read one by one, written many at a time.
//!
//! Everything here may be cancelled and called again without losing or repeating a byte, so that a link
//! can wait for its reads, writes and deadlines all at once.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use wire::secure::{FrameError, FrameReader, frame};

use crate::reason::reason;

#[cfg(test)]
pub(crate) mod peer;

/// How long the other side may take to let a link say that it ends. What it misses then it did not want.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// The half of a stream that frames come from.
#[derive(Debug)]
pub(crate) struct FrameInput<R> {
    input: R,
    reader: FrameReader,
    /// What one read brings; empty in between.
    read: Vec<u8>,
}

/// Why no frame comes any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The other side says no more.
    #[error("the other side closed it")]
    Closed,
    /// The connection broke.
    #[error("{}", reason(.0))]
    Broken(#[from] io::Error),
    /// The other side does not speak the protocol.
    #[error(transparent)]
    Violation(#[from] FrameError),
}

impl<R: AsyncRead + Unpin> FrameInput<R> {
    /// Takes frames of up to `frame_bytes_max` and reads up to `read_bytes` at once.
    pub(crate) fn new(input: R, frame_bytes_max: usize, read_bytes: usize) -> Self {
        let mut reader = FrameReader::new();
        reader.set_limit(frame_bytes_max);
        Self { input, reader, read: Vec::with_capacity(read_bytes) }
    }

    /// From the next frame on, takes frames of up to so many bytes.
    pub(crate) const fn set_limit(&mut self, frame_bytes_max: usize) {
        self.reader.set_limit(frame_bytes_max);
    }

    /// The next frame.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, InputError> {
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(frame);
            }
            if self.input.read_buf(&mut self.read).await? == 0 {
                return Err(InputError::Closed);
            }
            self.reader.extend(&self.read);
            self.read.clear();
        }
    }

    /// The next frame and all others that came with it.
    pub(crate) async fn next_batch<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, InputError> {
        let mut frames = vec![self.next().await?];
        // What is wrong with the one behind them is said when it is its turn.
        while let Ok(Some(frame)) = self.reader.next_frame() {
            frames.push(frame);
        }
        Ok(frames)
    }
}

/// The half of a stream that frames go to.
#[derive(Debug)]
pub(crate) struct FrameOutput<W> {
    output: W,
    waiting: BytesMut,
    /// One frame, while it is encoded.
    frame: Vec<u8>,
    /// Whether the stream may hold bytes back: TLS does until it is flushed.
    unflushed: bool,
    /// How many bytes have ever been pushed, and how many of them the stream has taken.
    pushed: u64,
    taken: u64,
}

impl<W: AsyncWrite + Unpin> FrameOutput<W> {
    /// Nothing waits.
    pub(crate) fn new(output: W) -> Self {
        Self {
            output,
            waiting: BytesMut::new(),
            frame: Vec::new(),
            unflushed: false,
            pushed: 0,
            taken: 0,
        }
    }

    /// Lets a frame wait for [`FrameOutput::drain`]. The caller bounds how many wait. Returns the place
    /// of its first byte, for [`FrameOutput::taken`].
    pub(crate) fn push<T: Serialize>(&mut self, value: &T) -> u64 {
        self.frame.clear();
        frame::encode(value, &mut self.frame);
        self.waiting.extend_from_slice(&self.frame);
        let start = self.pushed;
        self.pushed += self.frame.len() as u64;
        start
    }

    /// How many bytes wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the stream has taken and sent all.
    pub(crate) fn is_drained(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    /// How many bytes the stream has taken: whatever was pushed at this place or behind it has certainly
    /// not reached the other side.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Writes what waits.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let taken = self.output.write_buf(&mut self.waiting).await?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unflushed = true;
            self.taken += taken as u64;
        }
        self.output.flush().await?;
        self.unflushed = false;
        Ok(())
    }

    /// Says that nothing more comes.
    pub(crate) async fn close(mut self) {
        let close = async {
            if self.drain().await.is_ok() {
                // It may have closed first.
                let _ = self.output.shutdown().await;
            }
        };
        let _ = timeout(CLOSE_TIME_MAX, close).await;
    }
}

/// Waits until then; for ever, if there is no deadline.
pub(crate) async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{BufWriter, duplex};

    use super::peer::Peer;
    use super::*;

    /// TLS keeps what it has encrypted to itself until it is flushed, if the connection is slow.
    #[actix::test]
    async fn what_a_stream_holds_back_is_flushed() {
        let (other, stream) = duplex(64);
        let mut output = FrameOutput::new(BufWriter::new(stream));
        assert_eq!((output.push(&1_u32), output.push(&2_u32)), (0, 8));
        assert!(!output.is_drained());
        output.drain().await.expect("there is room");
        assert!(output.is_drained());
        assert_eq!(output.taken(), 16);
        let mut other = Peer::new(other);
        assert_eq!((other.hears::<u32>().await, other.hears::<u32>().await), (1, 2));
    }
}
