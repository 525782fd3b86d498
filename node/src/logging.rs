//! The log: from every actor to the standard error, held up by nothing and holding up nothing.
//!
//! A record goes into a bounded queue; a thread of the log's own formats and writes it. If the queue
//! is full, records are dropped and the next one that fits says how many. A standard error that is
//! closed or full of unread text costs the log, never the program.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use slog::{Drain, Level, LevelFilter, Logger, OwnedKVList, Record, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
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
    queue: Option<AsyncGuard>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        // The queue's own guard waits for ever if nobody reads our standard error.
        let (done, flushed) = mpsc::channel();
        let flush = move || {
            drop(queue);
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
    let wanted = LevelFilter::new(queue.ignore_res(), level(config.level));
    (Logger::root(wanted.ignore_res(), o!()), LogGuard { queue: Some(guard) })
}

fn queue<D>(drain: D) -> (Async, AsyncGuard)
where
    D: Drain + Send + 'static,
{
    Async::new(drain.ignore_res())
        .chan_size(QUEUE_RECORDS_MAX)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".into())
        .build_with_guard()
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
mod tests {
    use slog::{crit, debug, error, info, trace, warn};

    use super::*;

    type Lines = Arc<Mutex<Vec<String>>>;

    fn capture(level: LogLevel, format: LogFormat, colour: bool) -> (Lines, Logger, LogGuard) {
        let lines = Lines::default();
        let sink = Arc::clone(&lines);
        let (log, guard) = start_with(LogConfig { level, format }, colour, move |line: &str| {
            sink.lock().expect("no panic").push(line.to_owned());
        });
        (lines, log, guard)
    }

    fn taken(lines: &Lines) -> Vec<String> {
        std::mem::take(&mut *lines.lock().expect("no panic"))
    }

    #[test]
    fn a_level_lets_through_itself_and_what_is_worse() {
        for (level, expected) in [
            (LogLevel::Trace, "tdiwec"),
            (LogLevel::Debug, "diwec"),
            (LogLevel::Info, "iwec"),
            (LogLevel::Warning, "wec"),
            (LogLevel::Error, "ec"),
        ] {
            let (lines, log, guard) = capture(level, LogFormat::Json, false);
            trace!(log, "t");
            debug!(log, "d");
            info!(log, "i");
            warn!(log, "w");
            error!(log, "e");
            crit!(log, "c");
            drop((log, guard));
            let messages: String = taken(&lines)
                .iter()
                .map(|line| line.split("\"msg\":\"").nth(1).expect("a message")[..1].to_owned())
                .collect();
            assert_eq!(messages, expected, "{level:?}");
        }
    }

    #[test]
    fn a_record_is_one_line_that_cannot_be_forged() {
        let (lines, log, guard) = capture(LogLevel::Info, LogFormat::Term, false);
        info!(log.new(o!("peer" => "1.2.3.4")), "said {}", "a\nb"; "text" => "\u{1b}[2J\n");
        drop((log, guard));
        let lines = taken(&lines);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let (time, rest) = lines[0].split_once(' ').expect("a time first");
        assert!(time.ends_with('Z') && humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(rest, "INFO said a\\nb, peer: 1.2.3.4, text: \\u{1b}[2J\\n\n");
    }

    #[test]
    fn colours_are_for_terminals() {
        let (lines, log, guard) = capture(LogLevel::Info, LogFormat::Term, true);
        warn!(log, "careful");
        drop((log, guard));
        let lines = taken(&lines);
        assert!(lines[0].contains("\x1b[33mWARN\x1b[0m"), "{lines:?}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let (lines, log, guard) = capture(LogLevel::Info, LogFormat::Json, false);
        info!(log.new(o!("user" => "bob")), "paid \"{}\"\n", 5; "amount" => 5);
        drop((log, guard));
        let lines = taken(&lines);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert!(line.starts_with('{') && line.ends_with("}\n"), "{line}");
        for part in [
            "\"level\":\"INFO\"",
            "\"msg\":\"paid \\\"5\\\"\\n\"",
            "\"amount\":5",
            "\"user\":\"bob\"",
        ] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
    }

    /// A reader of our standard error that has stopped reading must not stop us.
    #[test]
    fn a_stuck_reader_costs_records_and_says_how_many() {
        let lines = Lines::default();
        let (sink, gate) = (Arc::clone(&lines), Arc::new(Mutex::new(())));
        let (stuck, closed) = (Arc::clone(&gate), gate.lock().expect("no panic"));
        let config = LogConfig::default();
        let (log, guard) = start_with(config, false, move |line: &str| {
            drop(stuck.lock());
            sink.lock().expect("no panic").push(line.to_owned());
        });
        for number in 0..QUEUE_RECORDS_MAX * 2 {
            info!(log, "record"; "number" => number);
        }
        drop(closed);
        // Records fit again once some are written; the next one brings the count along.
        while lines.lock().expect("no panic").is_empty() {
            std::thread::yield_now();
        }
        info!(log, "after");
        drop((log, guard));
        let lines = taken(&lines);
        assert!(lines.len() < QUEUE_RECORDS_MAX * 2, "some were dropped");
        let reports: Vec<_> = lines.iter().filter(|line| line.contains("dropped")).collect();
        eprintln!("{} {:?} {:?}", lines.len(), &lines[..3], &lines[lines.len() - 3..]);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("count: "), "{reports:?}");
    }

    #[test]
    fn the_end_waits_for_a_stuck_reader_for_a_second_only() {
        let config = LogConfig::default();
        let (log, guard) = start_with(config, false, |_: &str| {
            loop {
                std::thread::park();
            }
        });
        info!(log, "never written");
        let start = std::time::Instant::now();
        drop((log, guard));
        assert!(start.elapsed() < 5 * FLUSH_TIME_MAX);
    }
}
