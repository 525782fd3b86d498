//! The log: from every actor to the standard error, held up by nothing and holding up nothing.
//!
//! A record goes into a bounded queue; a thread of the log's own formats and writes it. If the queue
//! is full, records are dropped and the next one that fits says how many. A standard error that is
//! closed or full of unread text costs the log, never the program.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use slog::{Drain, Level, LevelFilter, Logger, Never, OwnedKVList, Record, o};
use slog_async::{AsyncCore, AsyncGuard};
use slog_term::{Decorator, FullFormat, RecordDecorator};

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::printable::printable;

/// Records that wait to be written, at most: a second of a busy server at a few hundred bytes each.
const QUEUE_RECORDS_MAX: usize = 4096;
/// How long the end of the program waits for the log to be written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Where lines go instead of the standard error while it belongs to somebody else.
type Screen = Arc<dyn Fn(&str) + Send + Sync>;

/// The standard error is one for the whole process, and so is this.
static DIVERSION: Mutex<Option<Screen>> = Mutex::new(None);

/// Starts the log. What is in the queue is written when the guard is dropped.
pub fn start(config: LogConfig) -> (Logger, LogGuard) {
    start_with(config, io::stderr().is_terminal(), emit)
}

/// Sends the log's lines to a screen that is being drawn on, until the value is dropped.
#[must_use]
pub(crate) fn divert(screen: impl Fn(&str) + Send + Sync + 'static) -> Diversion {
    set_diversion(Some(Arc::new(screen)));
    Diversion(())
}

/// While it exists, the standard error is somebody else's.
#[derive(Debug)]
pub(crate) struct Diversion(());

impl Drop for Diversion {
    fn drop(&mut self) {
        set_diversion(None);
    }
}

/// Writes what is left in the log's queue when it is dropped, within a second.
pub struct LogGuard {
    flush: Option<(Arc<Queue>, AsyncGuard)>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let Some((queue, guard)) = self.flush.take() else { return };
        // The queue's own guard waits for ever if nobody reads our standard error.
        let (done, flushed) = mpsc::channel();
        let flush = move || {
            while !queue.report_dropped() {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(guard);
            // Nobody waits any more: the time is over.
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("log-flush".into()).spawn(flush).is_ok() {
            let _ = flushed.recv_timeout(FLUSH_TIME_MAX);
        }
    }
}

fn start_with(
    config: LogConfig,
    colour: bool,
    emit: impl Fn(&str) + Send + Clone + 'static,
) -> (Logger, LogGuard) {
    let (queue, guard) = match config.format {
        LogFormat::Term => queue(
            FullFormat::new(LineDecorator { colour, emit })
                .use_custom_timestamp(timestamp)
                .use_original_order()
                .build(),
        ),
        LogFormat::Json => queue(
            slog_json::Json::new(LineWriter { line: Vec::new(), emit })
                .add_key_value(o!(
                    "ts" => slog::FnValue(|_: &Record<'_>| now()),
                    "level" => slog::FnValue(|record: &Record<'_>| record.level().as_str()),
                    "msg" => slog::PushFnValue(|record: &Record<'_>, serializer| {
                        serializer.emit(record.msg())
                    }),
                ))
                .set_flush(true)
                .build(),
        ),
    };
    // Before the queue: what is not wanted costs nothing.
    let wanted = LevelFilter::new(Arc::clone(&queue), level(config.level));
    (Logger::root(wanted.ignore_res(), o!()), LogGuard { flush: Some((queue, guard)) })
}

fn queue<D>(drain: D) -> (Arc<Queue>, AsyncGuard)
where
    D: Drain + Send + 'static,
{
    let (core, guard) = AsyncCore::custom(drain.ignore_res())
        .chan_size(QUEUE_RECORDS_MAX)
        .thread_name("log".into())
        .build_with_guard();
    (Arc::new(Queue { core, dropped: AtomicU64::new(0) }), guard)
}

/// Drops records where it has to, and says how many. `slog_async::Async` does the same, but its
/// version 2.8 counts most of them twice.
struct Queue {
    core: AsyncCore,
    dropped: AtomicU64,
}

impl Queue {
    /// Whether nothing is left to report.
    fn report_dropped(&self) -> bool {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped == 0 {
            return true;
        }
        let reported = self.core.log(
            &slog::record!(
                Level::Warning,
                "",
                &format_args!("the log could not keep up: records are missing here"),
                slog::b!("dropped" => dropped)
            ),
            &o!().into(),
        );
        if reported.is_err() {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        reported.is_ok()
    }
}

impl Drain for Queue {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        // The report comes first, so that it stands where records are missing.
        if !self.report_dropped() || self.core.log(record, values).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warning => Level::Warning,
        LogLevel::Error => Level::Error,
    }
}

fn timestamp(out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(now().as_bytes())
}

/// RFC 3339, in UTC.
fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn set_diversion(screen: Option<Screen>) {
    *DIVERSION.lock().unwrap_or_else(PoisonError::into_inner) = screen;
}

/// Writes one line, whole. There is nobody to tell if that fails.
fn emit(line: &str) {
    let screen = DIVERSION.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match screen {
        Some(screen) => screen(line.trim_end_matches('\n')),
        None => {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Gathers a record into one line, in which nothing but our own colours can steer the screen.
struct LineDecorator<E> {
    colour: bool,
    emit: E,
}

impl<E: Fn(&str)> Decorator for LineDecorator<E> {
    fn with_record<F>(&self, record: &Record<'_>, _: &OwnedKVList, f: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        let colour = self.colour.then(|| record.level());
        let mut line = LineOfRecord { text: String::with_capacity(256), colour };
        f(&mut line)?;
        line.text.push('\n');
        (self.emit)(&line.text);
        Ok(())
    }
}

struct LineOfRecord {
    text: String,
    colour: Option<Level>,
}

impl LineOfRecord {
    fn style(&mut self, code: &str) {
        if self.colour.is_some() {
            self.text.push_str("\x1b[");
            self.text.push_str(code);
            self.text.push('m');
        }
    }
}

impl io::Write for LineOfRecord {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The formatter ends the record with a line end of its own; the decorator does it instead.
        if bytes != b"\n" {
            self.text.push_str(&printable(&String::from_utf8_lossy(bytes)));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RecordDecorator for LineOfRecord {
    fn reset(&mut self) -> io::Result<()> {
        self.style("0");
        Ok(())
    }

    fn start_level(&mut self) -> io::Result<()> {
        match self.colour {
            Some(Level::Critical | Level::Error) => self.style("31"),
            Some(Level::Warning) => self.style("33"),
            Some(Level::Info) => self.style("32"),
            Some(Level::Debug | Level::Trace) => self.style("36"),
            None => {}
        }
        Ok(())
    }

    fn start_msg(&mut self) -> io::Result<()> {
        self.style("1");
        Ok(())
    }
}

/// Gathers what the JSON formatter writes piece by piece.
struct LineWriter<E> {
    line: Vec<u8>,
    emit: E,
}

impl<E: Fn(&str)> io::Write for LineWriter<E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.emit)(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
