//! Scenario `list`: what the list of who is online costs, when many are: a server that does nothing else,
//! and one that settles payments meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::error::BenchError;
use super::load::{Load, Pace, Watch};
use super::report::{Report, Spread, Unit, float};
use super::round::{self, Round};
use super::server::Server;
use super::text::{self, TextClient};
use super::{Bench, limits, online};

/// How many lists a second are asked for beside payments.
const LISTS_PER_SECOND: u32 = 100;
/// With less than so many a second, what stands beside payments is not what it is called.
const LISTS_PER_SECOND_MIN: f64 = 99.0;

/// Measures it.
pub(super) async fn run(bench: &Bench) -> Result<Report, BenchError> {
    online::prepare(bench).await?;
    let server = online::server(bench).await?;
    let online = online::log_in_all(bench, &server).await?;
    let mut load = Load::new(text::payees(bench, &server).await?)?;
    let (mut lists, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let mut listed = Vec::new();
    for number in 1..=bench.config.rounds {
        bench.progress.phase(format!("lists, round {number}"));
        lists.push(Lists::of(bench, &server).await?);
        let pace = Pace::Window(bench.config.window as u64);
        for (with_lists, rounds) in [(false, &mut alone), (true, &mut beside)] {
            let what = if with_lists { "payments and lists" } else { "payments" };
            bench.progress.phase(format!("{what}, round {number}"));
            let lister = with_lists.then(|| Lister::start(bench, &server, number)).transpose()?;
            let round;
            (load, round) = Round::run(bench, &server, load, pace).await?;
            rounds.push(round);
            listed.extend(lister.map(Lister::stop).transpose()?);
        }
    }
    let bytes = lists.first().map_or(0, |lists| lists.bytes);
    let limit = limits::copy(bench, bytes).await?;

    let mut report = Report::default();
    report.figure("sessions", Unit::Count, float(online.count() as u64));
    report.figure("bytes of a list", Unit::Bytes, float(bytes as u64));
    let cpu = Spread::of(lists.iter().map(Lists::cpu_micros));
    report.figure("server CPU per list", Unit::Micros, cpu);
    report.figure("copy of as many bytes", Unit::Micros, limit.memory);
    report.figure("bare write of as many bytes to a socket", Unit::Micros, limit.socket);
    report.figure("list to copy", Unit::Ratio, cpu.median / limit.memory);
    report.figure("list to bare write", Unit::Ratio, cpu.median / limit.socket);
    let paid = |rounds: &[Round]| round::per_second(rounds.iter().map(|round| &round.measured));
    let (alone, beside) = (paid(&alone), paid(&beside));
    report.figure("payments per second", Unit::PerSecond, alone);
    report.figure("payments per second beside 100 lists", Unit::PerSecond, beside);
    report.figure("payments beside lists to alone", Unit::Ratio, beside.median / alone.median);
    let listed = Spread::of(listed);
    report.figure("lists per second beside payments", Unit::PerSecond, listed);
    if listed.median < LISTS_PER_SECOND_MIN {
        report.note(format!(
            "beside payments the server gave fewer lists a second than the {LISTS_PER_SECOND} that were to be \
             asked for, each when the last had come: payments had less to bear"
        ));
    }
    drop(online);
    server.stop().await?;
    Ok(report)
}

/// Lists that were asked for one after the other, with nothing else to do.
struct Lists {
    count: u64,
    bytes: usize,
    cpu: Duration,
}

impl Lists {
    async fn of(bench: &Bench, server: &Server) -> Result<Self, BenchError> {
        let mut client = lister(bench, server, 0)?;
        let duration = bench.config.duration;
        let before = server.cpu_time()?.unwrap_or_default();
        let ask = move |watch: &Watch| {
            let begin = Instant::now();
            let (mut count, mut bytes) = (0, 0);
            while begin.elapsed() < duration {
                if watch.is_stopped() {
                    return Err(BenchError::Interrupted);
                }
                bytes = client.list()?;
                count += 1;
                watch.add(1);
            }
            Ok((count, bytes))
        };
        let (count, bytes) = bench.on_thread(ask).await?;
        let cpu = server.cpu_time()?.unwrap_or_default().saturating_sub(before);
        Ok(Self { count, bytes, cpu })
    }

    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / float(self.count.max(1))
    }
}

/// Asks for a list again and again, on a thread of its own, until it is dropped.
struct Lister {
    stopped: Arc<AtomicBool>,
    /// Returns how many lists a second came.
    thread: Option<thread::JoinHandle<Result<f64, BenchError>>>,
}

impl Lister {
    fn start(bench: &Bench, server: &Server, number: usize) -> Result<Self, BenchError> {
        let mut client = lister(bench, server, number)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let ask = move || {
            let begin = Instant::now();
            let (mut count, mut due) = (0, Duration::ZERO);
            while !seen.load(Ordering::Relaxed) {
                client.list()?;
                count += 1;
                due += Duration::from_secs(1) / LISTS_PER_SECOND;
                thread::sleep(due.saturating_sub(begin.elapsed()));
            }
            Ok(float(count) / begin.elapsed().as_secs_f64())
        };
        let thread = thread::Builder::new().name("lister".to_owned()).spawn(ask);
        let thread = thread.map_err(|source| BenchError::Start { what: "thread", source })?;
        Ok(Self { stopped, thread: Some(thread) })
    }

    /// How many lists a second came.
    fn stop(mut self) -> Result<f64, BenchError> {
        self.stopped.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("only this takes it");
        thread.join().map_err(|_| BenchError::Panic("the lister".to_owned()))?
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Somebody who is logged in, in the place of one of the sessions.
fn lister(bench: &Bench, server: &Server, number: usize) -> Result<TextClient, BenchError> {
    let names = server.names();
    let number = u32::try_from(number).unwrap_or(0) % bench.config.sessions;
    let mut client = TextClient::connect(server.address(), bench.config.line_end)?;
    client.log_in(&names.payer(number), text::P2P_PORT)?;
    Ok(client)
}
