//! The server that is measured: one of this program's own, or one that runs already.

use std::net::SocketAddr;
use std::time::Duration;

use super::Bench;
use super::error::BenchError;
use super::names::Names;
use super::process_stats::{self, Memory};
use super::server_process::ServerProcess;
use crate::config::Target;

/// The server, and what is known of it.
pub(crate) struct Server {
    own: Option<ServerProcess>,
    address: SocketAddr,
    pid: Option<u32>,
    names: Names,
}

impl Server {
    /// Starts one on the ledger of the run, unless it is said which one is measured.
    pub(crate) async fn start(bench: &Bench, more_args: &[&str]) -> Result<Self, BenchError> {
        if let Target::Running { address, pid } = bench.config.target {
            return Ok(Self { own: None, address, pid, names: Names::unique() });
        }
        bench.progress.phase("starting the server");
        let threads = bench.config.session_threads.map(|threads| threads.to_string());
        let mut args = more_args.to_vec();
        if let Some(threads) = &threads {
            args.extend(["--session-threads", threads]);
        }
        let own = ServerProcess::start(&bench.workplace.ledger(), &args).await?;
        let (address, pid) = (own.address(), Some(own.pid()));
        Ok(Self { own: Some(own), address, pid, names: Names::own() })
    }

    /// Whether it was started here: its ledger is this run's.
    pub(crate) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How accounts are called on it.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// The CPU time that it has taken so far; `None` if its process is not known.
    pub(crate) fn cpu_time(&self) -> Result<Option<Duration>, BenchError> {
        self.pid.map(process_stats::cpu_time).transpose()
    }

    /// The memory that it has; `None` if its process is not known.
    pub(crate) fn memory(&self) -> Result<Option<Memory>, BenchError> {
        self.pid.map(process_stats::memory).transpose()
    }

    /// Stops it, if it was started here: its ledger is whole then.
    pub(crate) async fn stop(self) -> Result<(), BenchError> {
        match self.own {
            Some(own) => own.stop().await,
            None => Ok(()),
        }
    }
}
