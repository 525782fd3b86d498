//! How much slower an honest client's payments get while somebody floods the server, and how much memory
//! that takes.
//!
//! `cargo run --release -p tests --bin mite-floods` goes through all floods at full size and ends with 1 if
//! one makes the 99th percentile of payments more than five times as slow as on a calm server, or takes
//! more memory than is stated. `-- --seconds 10 --rounds 5` is how long and how often each is looked at, where what
//! counts is the median, and names of floods behind it (`Idle Storm`) choose some.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use actors::limits::OUTPUT_BYTES_MIN;
use rustix::process::setpriority_process;
use tests::flood::{Flood, Honest, OPENING_BALANCE, peak_memory, raise_file_limit};
use tests::process::Server;

/// How much slower payments may get.
const RATIO_MAX: f64 = 5.0;

/// What a flood without accounts may take, 10,000 connections included: 25 KiB each, and what a server takes
/// that does nothing.
const MEMORY_MAX: u64 = 256 << 20;

/// What each account takes in memory, the journal's and its readers' buffers included.
const MEMORY_PER_ACCOUNT_MAX: u64 = 1024;

/// The priority that gives way to any other.
const NICE_MAX: i32 = 19;

/// Both kinds of payments are measured in turns, so many in a row.
const IN_A_ROW: usize = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // It is its own server, in a process of its own.
    if args.first().is_some_and(|arg| arg == "--role") {
        return node::run();
    }
    let (mut seconds, mut rounds) = (6_u32, 3_u32);
    let mut chosen = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let number = match arg.as_str() {
            "--seconds" => &mut seconds,
            "--rounds" => &mut rounds,
            _ => {
                let named = |flood: &Flood| format!("{flood:?}") == arg;
                chosen.push(Flood::ALL.into_iter().find(named).expect("the name of a flood"));
                continue;
            }
        };
        let given = args.next().and_then(|text| text.parse().ok());
        *number = given.filter(|given| *given > 0).expect("a number");
    }
    if chosen.is_empty() {
        chosen = Flood::ALL.to_vec();
    }
    raise_file_limit(10_500);
    println!(
        "{:19} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6} {:>9} {:>12}",
        "flood",
        "text p99",
        "flooded",
        "ratio",
        "order p99",
        "flooded",
        "ratio",
        "peak MiB",
        "flood did"
    );
    let time = Duration::from_secs(seconds.into());
    // All are measured, whatever comes of the first.
    let failed = chosen.into_iter().filter(|flood| !measure(*flood, time, rounds)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const fn full_size(flood: Flood) -> usize {
    match flood {
        Flood::Idle | Flood::SlowWriters => 10_000,
        Flood::SlowReaders | Flood::Deaf | Flood::SecureSlowReaders | Flood::SecureDeaf => 200,
        Flood::SecureSlowWriters => 250,
        Flood::SecureRegistrations => 5000,
        Flood::HalfOpen => 2000,
        Flood::Storm => 100,
        Flood::Talkers | Flood::SecureTalkers => 1,
        Flood::Registrations => 1_000_000,
    }
}

/// What one look at a flood has shown: 99th percentiles of payments by text and of signed orders, in milliseconds.
struct Round {
    calm: [f64; 2],
    flooded: [f64; 2],
    /// Of the server's memory, in bytes.
    peak: u64,
    /// How much the flood did.
    done: u64,
}

/// Several rounds, and what is in the middle. Whether it is within the bounds.
fn measure(flood: Flood, time: Duration, rounds: u32) -> bool {
    let size = full_size(flood);
    let rounds: Vec<Round> = (0..rounds).map(|_| play(flood, size, time)).collect();
    let middle = |value: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_unstable_by(f64::total_cmp);
        f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
    };
    let [text, order] = [0, 1].map(|kind| {
        let ratio = middle(&|round| round.flooded[kind] / round.calm[kind]);
        (middle(&|round| round.calm[kind]), middle(&|round| round.flooded[kind]), ratio)
    });
    let most = |value: fn(&Round) -> u64| rounds.iter().map(value).max().unwrap_or(0);
    let (peak, done) = (most(|round| round.peak), most(|round| round.done));

    let accounts = if flood.has_end() { done } else { 0 };
    // By text, answers are as short as one read.
    let is_answered_at_length = matches!(flood, Flood::SecureSlowReaders | Flood::SecureDeaf);
    let answers = if is_answered_at_length { (size * OUTPUT_BYTES_MIN) as u64 } else { 0 };
    let within = text.2 <= RATIO_MAX
        && order.2 <= RATIO_MAX
        && peak <= MEMORY_MAX + accounts * MEMORY_PER_ACCOUNT_MAX + answers;
    println!(
        "{:19} {:>7.2}ms {:>7.2}ms {:>6.2} {:>7.2}ms {:>7.2}ms {:>6.2} {:>9} {:>12}{}",
        format!("{flood:?}"),
        text.0,
        text.1,
        text.2,
        order.0,
        order.1,
        order.2,
        peak >> 20,
        done,
        if within { "" } else { "  TOO MUCH" }
    );
    within
}

/// Calm first, then the flood, on one server.
fn play(flood: Flood, size: usize, time: Duration) -> Round {
    let data = tempfile::tempdir().expect("a temporary directory");
    let program = std::env::current_exe().expect("this program has a path");
    let program = program.to_str().expect("a path that is text");
    let output_max = OUTPUT_BYTES_MIN.to_string();
    let args = ["--opening-balance", OPENING_BALANCE, "--max-connections", "10300", "--log-level"];
    let output = ["error", "--output-bytes-per-session-max", &output_max];
    let server = Server::start(program, data.path(), &[&args[..], &output].concat());
    let mut honest = Honest::new(server.address);
    // What is slow at the beginning alone is neither.
    pay(&mut honest, time / 4, || false);
    let calm = pay(&mut honest, time, || false);
    let running = from_elsewhere(|| flood.start(server.address, size));
    // The last accounts are opened beside all others.
    let flooded = pay(&mut honest, time, || flood.has_end() && !running.has_ended());
    let done = running.stop();
    assert!(!flood.has_end() || done == size as u64, "{done} of {size} accounts were opened");
    honest.check();
    let peak = peak_memory(&server);
    server.stop();
    Round { calm, flooded, peak, done }
}

/// Does it on a thread to which, as to those that it starts, all others are preferred. A flood comes from machines
/// that have cores of their own: here, what it does at its own end must not keep the server or the honest client
/// from theirs.
fn from_elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = || {
        setpriority_process(None, NICE_MAX).expect("a thread may be nice");
        work()
    };
    thread::scope(|scope| scope.spawn(work).join()).expect("the flood began")
}

/// Pays for so long, and as long as it must go on. The 99th percentiles of payments by text and of signed orders, in milliseconds.
fn pay(honest: &mut Honest, time: Duration, goes_on: impl Fn() -> bool) -> [f64; 2] {
    let begin = Instant::now();
    let (mut text, mut signed) = (Vec::new(), Vec::new());
    while begin.elapsed() < time || goes_on() {
        text.extend((0..IN_A_ROW).map(|_| honest.pay()));
        signed.extend((0..IN_A_ROW).map(|_| honest.pay_signed()));
    }
    [p99(&mut text), p99(&mut signed)]
}

fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_mul(99) / 100;
    times.get(at).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
