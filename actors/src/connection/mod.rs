//! What the two kinds of sessions have in common: how a connection is read, watched and left.

pub(crate) mod connection_log;
mod log_budget;
pub(crate) mod telling;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::task::yield_now;
use tokio::time::timeout;

pub(crate) use self::log_budget::LOG_LINES_PER_SECOND;
use crate::messages::{LogOut, SessionId};

/// The most bytes that are read at once. The shortest text request takes one byte, so one read
/// yields at most as many, whose replies take at most 1.5 MiB. A secure session takes as many of the
/// calls in it as may be under way.
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;

/// How many bytes the replies to text requests take at most for each byte of these, lists excepted: the shortest
/// request is a line end, and longer replies are to longer requests.
pub(crate) const REPLY_BYTES_PER_BYTE: usize = 24;

/// Answers are written when they take this much, even if requests are left: enough for one write to
/// be worth it, and what a session buffers stays at one list or page beyond it.
pub(crate) const OUTPUT_BYTES_FLUSH: usize = 64 << 10;

/// The memory for answers that a session keeps while it waits: what a few take. Most sessions are
/// idle most of the time.
pub(crate) const OUTPUT_BYTES_KEPT: usize = 1 << 10;

/// The most bytes of what nobody asked for that wait until they are written: some 4,000 lines, or
/// 500 events. What comes on top is left out. It does not end the session: all of it may have come
/// at once, from somebody who likes to, before the peer could read any.
pub(crate) const NOTICE_BYTES_MAX: usize = 64 << 10;

/// How long a client may take to accept [`OUTPUT_BYTES_FLUSH`] bytes: 1 KB/s. Whoever is slower
/// does not read.
pub(crate) const WRITE_TIME_MAX: Duration = Duration::from_mins(1);

/// How long a session that is not logged in may be silent. One that is logged in may be so as long
/// as it likes; TCP keep-alive ends the ones whose peer is gone.
pub(crate) const LOG_IN_TIMEOUT: Duration = Duration::from_mins(10);

/// The same while the server has few places left: connections that do nothing must not keep others
/// away. Each session looks at the clock as often.
pub(crate) const LOG_IN_TIMEOUT_CROWDED: Duration = Duration::from_secs(10);

/// What is read and thrown away when a session closes, so that the peer gets to read the last reply
/// instead of a reset: what is there already, or, from a peer that does not speak the protocol and
/// may be in the middle of something, what comes within a second.
pub(crate) const DRAIN_BYTES_MAX: usize = 4 << 20;
pub(crate) const DRAIN_TIME_VIOLATION: Duration = Duration::from_secs(1);

/// How long the system may take to show what a peer had sent before the server stopped.
pub(crate) const STOP_GRACE: Duration = Duration::from_millis(50);

thread_local! {
    /// All sessions of a thread read through one buffer: an idle one keeps nothing but the request
    /// that it has begun.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// Reads once, up to `bytes_max` and [`READ_BYTES_MAX`], and has `take` look at what has come: nothing at the
/// end of the stream.
pub(crate) async fn read<R, T>(
    stream: &mut R,
    bytes_max: usize,
    mut take: impl FnMut(&[u8]) -> T,
) -> io::Result<T>
where
    R: AsyncRead + Unpin,
{
    poll_fn(|cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..bytes_max.min(READ_BYTES_MAX)]);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(take(buffer.filled())))
        })
    })
    .await
}

/// Writes all of it, as long as the peer takes [`OUTPUT_BYTES_FLUSH`] bytes within [`WRITE_TIME_MAX`]. Other sessions
/// of the thread have their turn before each of several such parts: to encrypt and send them takes a fraction
/// of a millisecond each.
pub(crate) async fn write_all<W: AsyncWrite + Unpin>(
    output: &mut W,
    bytes: &[u8],
) -> io::Result<()> {
    for part in bytes.chunks(OUTPUT_BYTES_FLUSH) {
        if bytes.len() > OUTPUT_BYTES_FLUSH {
            yield_now().await;
        }
        timeout(WRITE_TIME_MAX, output.write_all(part)).await??;
    }
    // TLS keeps what the socket has not taken.
    timeout(WRITE_TIME_MAX, output.flush()).await?
}

/// Reads what still comes and throws it away, so that the peer gets to read the last reply instead
/// of a reset. Bounded by `bytes_max`; the caller bounds the time.
pub(crate) async fn drain<R: AsyncRead + Unpin>(stream: &mut R, mut bytes_max: usize) {
    while let Ok(count) = read(stream, READ_BYTES_MAX, <[u8]>::len).await
        && count > 0
        && bytes_max > count
    {
        bytes_max -= count;
    }
}

/// How long a session may be silent on which nobody is logged in.
pub(crate) const fn log_in_patience(crowded: bool) -> Duration {
    if crowded { LOG_IN_TIMEOUT_CROWDED } else { LOG_IN_TIMEOUT }
}

/// Takes the session off the list when it ends, be it by a panic.
#[derive(Debug)]
pub(crate) struct Farewell {
    /// Who ends.
    pub(crate) id: SessionId,
    /// The Registry.
    pub(crate) log_out: Recipient<LogOut>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.log_out.do_send(LogOut(self.id));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Whoever is sent much must not hold up the others of its thread until all of it is sent.
    #[actix::test]
    async fn others_have_their_turn_between_the_parts_of_a_long_write() {
        const PARTS: usize = 5;
        let turns = Rc::new(Cell::new(0));
        let other = actix::spawn({
            let turns = Rc::clone(&turns);
            async move {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            }
        });
        let turns_during = async |bytes: usize| {
            let (mut output, _input) = tokio::io::duplex(PARTS * OUTPUT_BYTES_FLUSH);
            let before = turns.get();
            write_all(&mut output, &vec![0; bytes]).await.expect("there is room");
            turns.get() - before
        };
        assert!(turns_during(PARTS * OUTPUT_BYTES_FLUSH).await >= PARTS);
        assert_eq!(turns_during(OUTPUT_BYTES_FLUSH).await, 0, "a short one needs none");
        other.abort();
    }
}
