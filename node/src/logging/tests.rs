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
    for part in
        ["\"level\":\"INFO\"", "\"msg\":\"paid \\\"5\\\"\\n\"", "\"amount\":5", "\"user\":\"bob\""]
    {
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
    info!(log, "record");
    drop((log, guard));
    let lines = taken(&lines);
    let count = |line: &String| {
        let (_, count) = line.split_once("dropped: ")?;
        Some(count.trim().parse::<usize>().expect("digits"))
    };
    let dropped: usize = lines.iter().filter_map(count).sum();
    let written = lines.iter().filter(|line| line.contains("INFO record")).count();
    assert!(written >= QUEUE_RECORDS_MAX, "{written} were written");
    assert_eq!(written + dropped, QUEUE_RECORDS_MAX * 2 + 1);
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
