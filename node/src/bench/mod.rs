//! The load generator: how fast a server is, beside what the machine can do, in one run.
//!
//! | module | holds |
//! |---|---|
//! | `closed` | scenario: each connection waits for its answer |
//! | `pipeline` | scenario: many payments are under way on each connection |
//! | `idle` | scenario: sessions that do nothing |
//! | `list` | scenario: the list of who is online |
//! | `recover` | scenario: the start of a server with a past |
//! | `p2p` | scenario: whole payments between clients |
//! | `limits` | scenario, and part of others: echo, disk, signatures |
//! | `load` | the loop that sends and receives, on one thread |
//! | `journal` | what the journal says of a run, and what a journal alone can do |
//! | `crew` | the connections of a run, whatever they speak |
//! | `secure` | connections that speak the secure protocol, and who signs orders |
//! | `text` | connections that speak the text protocol |
//! | `echo` | the bare echo server, in a process of its own |
//! | `server` | the server that is measured |
//! | `server_process` | servers of the run's own, each in a process of its own |
//! | `online` | sessions that are logged in |
//! | `prepare` | ledgers that are not empty |
//! | `round` | one round of load, and what the server takes meanwhile |
//! | `process_stats` | what a process takes: CPU time and memory |
//! | `workplace` | the directories of a run |
//! | `report` | what a scenario has found, as tables or JSON |
//! | `plot` | the same as pictures |
//! | `machine` | what it ran on |
//! | `progress` | how far it is, at a terminal |
//! | `random` | numbers that are the same in every run |
//! | `names` | how the accounts of a run are called |
//! | `error` | why a measurement failed |
//!
//! A scenario is one file with one function, `async fn run(bench: &Bench) -> Result<Report, BenchError>`.
//! To add one: a variant of [`Scenario`], with its word, in `config::bench`; its line in [`measure`]; and
//! its word in the help of `cli`. It may be dropped at every `.await`, when somebody presses Ctrl-C, and
//! what it has started ends with it: processes by their `Drop`, work on other threads by
//! [`Bench::on_thread`].

mod closed;
mod crew;
mod echo;
mod error;
mod idle;
mod journal;
mod limits;
mod list;
mod load;
mod machine;
mod names;
mod online;
mod p2p;
mod pipeline;
mod plot;
mod prepare;
mod process_stats;
mod progress;
mod random;
mod recover;
mod report;
mod round;
mod secure;
mod server;
mod server_process;
mod text;
mod workplace;

use std::sync::Arc;

use actix::System;

use self::error::BenchError;
use self::load::Watch;
use self::progress::Progress;
use self::report::Report;
use self::workplace::Workplace;
use crate::announce;
use crate::config::{BenchConfig, Scenario};
use crate::error::Error;

/// Measures what the configuration says, and prints what was found.
///
/// # Errors
/// [`Error::Bench`]; [`Error::DataDirectory`] for one that is not empty or cannot be used.
pub(crate) fn run(config: BenchConfig) -> Result<(), Error> {
    if config.scenario == Scenario::EchoServer {
        return Ok(echo::serve()?);
    }
    System::new().block_on(async {
        let stop = announce::stop_signal()?;
        let bench = Bench::new(config)?;
        let report = tokio::select! {
            biased;
            () = stop => Err(BenchError::Interrupted),
            report = measure(&bench) => report,
        }?;
        bench.progress.end();
        if let Some(path) = &bench.config.plot {
            plot::draw(&report.panels(), path)?;
        }
        report.print(&bench.config);
        Ok(())
    })
}

async fn measure(bench: &Bench) -> Result<Report, BenchError> {
    match bench.config.scenario {
        Scenario::Closed => closed::run(bench).await,
        Scenario::Pipeline => pipeline::run(bench).await,
        Scenario::Idle => idle::run(bench).await,
        Scenario::List => list::run(bench).await,
        Scenario::Recover => recover::run(bench).await,
        Scenario::P2p => p2p::run(bench).await,
        Scenario::Limits => limits::run(bench).await,
        Scenario::EchoServer => Ok(Report::default()),
    }
}

/// What every scenario has.
pub(crate) struct Bench {
    /// What was asked for.
    pub(crate) config: BenchConfig,
    /// Where ledgers are.
    pub(crate) workplace: Workplace,
    /// What is shown while it runs.
    pub(crate) progress: Progress,
}

impl Bench {
    fn new(config: BenchConfig) -> Result<Self, Error> {
        let workplace = Workplace::open(&config.target)?;
        Ok(Self { config, workplace, progress: Progress::new() })
    }

    /// Does something on another thread that takes long: it looks at [`Watch::is_stopped`] now and then,
    /// which it is when the future is dropped.
    pub(crate) async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Watch) -> Result<T, BenchError> + Send + 'static,
    ) -> Result<T, BenchError> {
        let watch = Arc::new(Watch::default());
        let _stopped = watch.stop_on_drop();
        let seen = Arc::clone(&watch);
        let mut working = tokio::task::spawn_blocking(move || work(&seen));
        loop {
            let shown = tokio::time::sleep(progress::SHOWN_EVERY);
            tokio::select! {
                done = &mut working => return done.map_err(|panic| BenchError::Panic(panic.to_string()))?,
                () = shown => self.progress.answered(watch.answered()),
            }
        }
    }
}
