//! Rounds of load on the server that is measured, and what it takes meanwhile.

use std::time::{Duration, SystemTime};

use super::Bench;
use super::error::BenchError;
use super::load::{Connection, Load, Measured, Pace};
use super::report::{Latency, Report, Spread, Unit, float};
use super::server::Server;

/// One round.
pub(super) struct Round {
    /// What came of it.
    pub(super) measured: Measured,
    /// The CPU time that the server took for all that was answered; `None` if that is not known.
    pub(super) cpu: Option<Duration>,
    /// When it began, by the clock that the server has.
    pub(super) begun: SystemTime,
}

impl Round {
    /// Carries load for a round, and gives the connections back.
    pub(super) async fn run<C: Connection + 'static>(
        bench: &Bench,
        server: &Server,
        mut load: Load<C>,
        pace: Pace,
    ) -> Result<(Load<C>, Self), BenchError> {
        let duration = bench.config.duration;
        let before = server.cpu_time()?;
        let run = move |watch: &_| {
            let measured = load.run(pace, duration, watch)?;
            Ok((load, measured))
        };
        let begun = SystemTime::now();
        let (load, measured) = bench.on_thread(run).await?;
        let cpu =
            server.cpu_time()?.zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok((load, Self { measured, cpu, begun }))
    }

    /// The server's CPU time for one answer, in microseconds.
    fn cpu_micros(&self) -> Option<f64> {
        let answers = self.measured.latency.len();
        self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / float(answers.max(1)))
    }
}

impl Measured {
    /// The answers a second.
    pub(super) fn per_second(&self) -> f64 {
        float(self.answered) / self.duration.as_secs_f64()
    }

    /// So much of the answers a second, and at least one.
    pub(super) fn percent_per_second(&self, percent: u8) -> u64 {
        let nanos = self.duration.as_nanos().max(1);
        let answers = u128::from(self.answered) * u128::from(percent) / 100;
        u64::try_from(answers * 1_000_000_000 / nanos).unwrap_or(u64::MAX).max(1)
    }
}

/// The answers a second of these rounds.
pub(super) fn per_second<'a>(rounds: impl IntoIterator<Item = &'a Measured>) -> Spread {
    Spread::of(rounds.into_iter().map(Measured::per_second))
}

/// The latencies of these rounds: the median of each point of theirs.
pub(super) fn latency<'a>(rounds: impl IntoIterator<Item = &'a Measured>) -> Latency {
    let rounds: Vec<_> = rounds.into_iter().map(|round| Latency::of(&round.latency)).collect();
    Latency::median(&rounds)
}

/// A point of the latencies of each of these rounds, in microseconds.
pub(super) fn latencies<'a>(
    rounds: impl IntoIterator<Item = &'a Measured>,
    point: fn(&Latency) -> f64,
) -> Spread {
    Spread::of(rounds.into_iter().map(|round| point(&Latency::of(&round.latency))))
}

/// The server's CPU time for one payment, in microseconds; `None` if its process is not known.
pub(super) fn cpu_micros(rounds: &[Round]) -> Option<Spread> {
    let cpu: Vec<f64> = rounds.iter().filter_map(Round::cpu_micros).collect();
    (!cpu.is_empty()).then(|| Spread::of(cpu))
}

/// What the rounds say of payments: how many, how long each took, and what of the server.
pub(super) fn report(
    bench: &Bench,
    rounds: &[Round],
    server: &Server,
    report: &mut Report,
) -> Result<(), BenchError> {
    let measured = || rounds.iter().map(|round| &round.measured);
    report.figure("payments per second", Unit::PerSecond, per_second(measured()));
    report.figure("p50 of payments", Unit::Micros, latencies(measured(), |latency| latency.p50));
    report.figure("p99 of payments", Unit::Micros, latencies(measured(), |latency| latency.p99));
    report.latency("payments", latency(measured()));
    if let Some(last) = rounds.last() {
        report.course("payments", &last.measured.moments);
    }
    let duration = bench.config.duration;
    let ended_early = rounds.iter().filter(|round| round.measured.duration < duration).count();
    if ended_early > 0 {
        report.note(format!(
            "{ended_early} rounds ended early: they paid faster than those before, and no signed \
             orders were left"
        ));
    }
    if let Some(cpu) = cpu_micros(rounds) {
        report.figure("server CPU per payment", Unit::Micros, cpu);
    }
    if let Some(memory) = server.memory()? {
        report.figure("server memory at its peak", Unit::Bytes, float(memory.peak));
    }
    Ok(())
}

/// What an echo server did with the same load, each of its rounds beside one of the payments.
pub(super) fn report_echo(rounds: &[Round], echoed: &[Measured], report: &mut Report) {
    report.figure("echo per second", Unit::PerSecond, per_second(echoed));
    let pairs = rounds.iter().zip(echoed);
    let ratios = pairs.map(|(round, echo)| round.measured.per_second() / echo.per_second());
    report.figure("payments to echo", Unit::Ratio, Spread::of(ratios));
    report.latency("echo", latency(echoed));
}
