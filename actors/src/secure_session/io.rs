//! The connection of a session: how it is read, written, watched and closed.

use std::io;
use std::time::Duration;

use actix::prelude::*;
use slog::{debug, info};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use wire::secure::{Event, FrameReader, Problem, ServerFrame, frame};

use super::{SecureSession, Stage};
use crate::connection::{
    self, DRAIN_BYTES_MAX, LOG_IN_TIMEOUT_CROWDED, NOTICE_BYTES_MAX, OUTPUT_BYTES_KEPT, STOP_GRACE,
    WRITE_TIME_MAX, log_in_patience,
};
use crate::messages::LogOut;

/// How long a client may take to send the rest of a frame: the largest (288 KiB) at 10 KB/s.
pub(super) const FRAME_TIME_MAX: Duration = Duration::from_secs(30);

/// The reading half of a stream, and what of a frame has arrived.
#[derive(Debug)]
pub(super) struct Input<R> {
    pub(super) stream: R,
    pub(super) frames: FrameReader,
    pub(super) read_bytes_max: usize,
}

/// What a read has brought.
enum Read {
    Bytes,
    /// The peer has closed its side.
    End,
    /// Nothing, and the session was told to stop.
    Stopped,
    Broken(io::Error),
}

impl<S: AsyncRead + AsyncWrite + 'static> SecureSession<S> {
    pub(super) fn read(&mut self, ctx: &mut Context<Self>) {
        let Some(mut input) = self.input.take() else { return };
        let stop = self.stop.clone();
        let read = async move {
            let read = tokio::select! {
                biased;
                read = input.read() => read,
                // What was sent before the server stopped is answered: it may not be seen yet.
                () = stop.cancelled() => {
                    timeout(STOP_GRACE, input.read()).await.unwrap_or(Read::Stopped)
                }
            };
            (input, read)
        };
        ctx.spawn(read.into_actor(self).map(|(input, read), session, ctx| {
            session.input = Some(input);
            session.take_read(read, ctx);
        }));
    }

    fn take_read(&mut self, read: Read, ctx: &mut Context<Self>) {
        let open = matches!(self.stage, Stage::Hello | Stage::Open);
        match read {
            Read::Bytes => {
                self.heard_at = Instant::now();
                self.seat.heard(self.heard_at);
            }
            Read::End if open => self.stage = Stage::Ending(None),
            Read::End | Read::Stopped => {}
            Read::Broken(error) => {
                debug!(self.log.now(), "connection broken"; "error" => %error);
                return ctx.stop();
            }
        }
        if self.stop.is_cancelled() {
            self.stage = match self.stage {
                Stage::Hello => Stage::Closing,
                Stage::Open if self.seat.is_asked_to_leave() => {
                    info!(self.log.now(), "silent while its place is needed, closing");
                    Stage::Ending(Some(Problem::PlaceNeeded))
                }
                Stage::Open => Stage::Ending(Some(Problem::Stopping)),
                stage @ (Stage::Greeting | Stage::Ending(_) | Stage::Closing) => stage,
            };
        }
        self.advance(ctx);
    }

    /// Says what nobody asked for, as long as there is room; if there is none, that something was
    /// left out, as soon as there is. Others decide how much of it comes, so it ends no session.
    pub(super) fn tell(&mut self, event: Event, ctx: &mut Context<Self>) {
        if matches!(self.stage, Stage::Closing) {
            return;
        }
        // It comes once for each time that this session itself has logged in, and must be heard.
        let may_be_left_out = !matches!(event, Event::Replaced);
        let before = self.out.len();
        frame::encode(&ServerFrame::Event(event), &mut self.out);
        let event_bytes = self.event_bytes + self.out.len() - before;
        if may_be_left_out && (self.events_missed || event_bytes > NOTICE_BYTES_MAX) {
            self.out.truncate(before);
            self.events_missed = true;
        } else {
            self.event_bytes = event_bytes;
            self.write(ctx);
        }
    }

    /// Writes what is to be written, if nothing is being written.
    pub(super) fn write(&mut self, ctx: &mut Context<Self>) {
        let Some(mut output) = self.output.take() else { return };
        // Nothing follows a last word.
        if std::mem::take(&mut self.events_missed) && !matches!(self.stage, Stage::Closing) {
            frame::encode(&ServerFrame::Event(Event::Missed), &mut self.out);
        }
        let mut bytes = std::mem::take(&mut self.out);
        self.event_bytes = 0;
        self.being_written = bytes.len();
        let write = async move {
            let result = connection::write_all(&mut output, &bytes).await;
            bytes.clear();
            (output, bytes, result)
        };
        ctx.spawn(write.into_actor(self).map(|(output, bytes, result), session, ctx| {
            session.output = Some(output);
            session.being_written = 0;
            if let Err(error) = result {
                session.log.broken(&error);
                return ctx.stop();
            }
            if session.out.is_empty() && bytes.capacity() <= OUTPUT_BYTES_KEPT {
                session.out = bytes;
            }
            session.advance(ctx);
        }));
    }

    /// Ends sessions on which nobody is logged in and nothing comes, and those that never send the
    /// rest of a frame. One timer a session.
    pub(super) fn watch_idleness(&mut self, ctx: &mut Context<Self>) {
        let crowded = self.seat.is_crowded();
        let silent = self.heard_at.elapsed() >= log_in_patience(crowded);
        let last_word = if self.frame_begun_at.is_some_and(|at| at.elapsed() >= FRAME_TIME_MAX) {
            self.log.warning("the rest of a frame does not come, closing");
            Some(Problem::Malformed)
        } else if silent && !self.conversation.is_logged_in() && self.conversation.is_idle() {
            info!(self.log.now(), "not logged in and silent for too long, closing"; "crowded" => crowded);
            Some(Problem::NotLoggedIn)
        } else {
            None
        };
        if let Some(problem) = last_word
            && matches!(self.stage, Stage::Open)
        {
            self.stage = Stage::Ending(Some(problem));
            self.stop.cancel();
            return self.advance(ctx);
        }
        ctx.run_later(LOG_IN_TIMEOUT_CROWDED, Self::watch_idleness);
    }

    /// Ends the connection so that the peer gets to read what was written.
    pub(super) fn close(&mut self, ctx: &mut Context<Self>) {
        // Off the list at once, however long the peer takes.
        self.peers.log_out.do_send(LogOut(self.id));
        // While something is read or written, this is called again when that is done.
        if self.input.is_none() {
            return self.stop.cancel();
        }
        let Some(mut output) = self.output.take() else { return };
        let Some(mut input) = self.input.take() else { return };
        let drain_time = self.drain_time;
        let close = async move {
            // What the peer misses of it now, it did not want to read.
            if let Ok(Ok(())) = timeout(WRITE_TIME_MAX, output.shutdown()).await {
                let drain = connection::drain(&mut input.stream, DRAIN_BYTES_MAX);
                let _ = timeout(drain_time, drain).await;
            }
        };
        ctx.spawn(close.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl<R: AsyncRead + Unpin> Input<R> {
    async fn read(&mut self) -> Read {
        let Self { stream, frames, read_bytes_max } = self;
        let read = connection::read(stream, *read_bytes_max, |bytes| {
            frames.extend(bytes);
            bytes.len()
        });
        match read.await {
            Ok(0) => Read::End,
            Ok(_) => Read::Bytes,
            Err(error) => Read::Broken(error),
        }
    }
}
