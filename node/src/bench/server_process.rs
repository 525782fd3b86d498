//! Processes that are measured: each is this same program, and ends in any case.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::BenchError;
use super::process_stats::{self, Memory};

/// How long a process may take to end when it is asked to, before it is killed: the server answers
/// what is under way and may write a snapshot of millions of accounts.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
const STOP_LOOK_EVERY: Duration = Duration::from_millis(5);
/// What every account gets: nobody runs out of it within a run.
pub(crate) const OPENING_BALANCE: u64 = 1_000_000_000;

/// A server in a process of its own, on a free port of the loopback interface.
pub(crate) struct ServerProcess {
    child: ChildProcess,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts a server on a ledger, and waits until it listens.
    pub(crate) async fn start(data_dir: &Path, more_args: &[&str]) -> Result<Self, BenchError> {
        let mut command = own_program()?;
        command.args(["--role", "server", "--listen", "127.0.0.1:0", "--log-level", "warning"]);
        command.args(["--opening-balance", &OPENING_BALANCE.to_string()]);
        command.arg("--data").arg(data_dir).args(more_args).stdin(Stdio::null());
        let (child, [said]) = ChildProcess::start(command, "server").await?;
        let address = value(&said, "listening on ").ok_or_else(|| unexpected("server"))?;
        Ok(Self { child, address })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The memory that it has.
    pub(crate) fn memory(&self) -> Result<Memory, BenchError> {
        process_stats::memory(self.pid())
    }

    /// Stops it as its operator does, and waits for its end.
    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        let ended = tokio::task::spawn_blocking(move || self.child.stop()).await;
        match ended.map_err(|panic| BenchError::Panic(panic.to_string()))? {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(BenchError::Ended(status.to_string())),
            Err(error) => Err(BenchError::Ended(error.to_string())),
        }
    }
}

/// A process that says in its first lines where it listens, and ends with this value.
pub(super) struct ChildProcess {
    child: Child,
    /// Kept open: what it prints later must not end it.
    output: BufReader<ChildStdout>,
}

impl ChildProcess {
    /// Starts it and waits for its first lines.
    pub(super) async fn start<const LINES: usize>(
        mut command: Command,
        what: &'static str,
    ) -> Result<(Self, [String; LINES]), BenchError> {
        let failed = |source| BenchError::Start { what, source };
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let output = child.stdout.take().expect("it is piped");
        let mut started = Self { child, output: BufReader::new(output) };
        let reading = tokio::task::spawn_blocking(move || {
            let mut lines = [const { String::new() }; LINES];
            for line in &mut lines {
                if started.output.read_line(line)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok((started, lines))
        });
        let read = reading.await.map_err(|panic| BenchError::Panic(panic.to_string()))?;
        read.map_err(failed)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and kills it if it does not.
    fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(STOP_LOOK_EVERY);
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.stop();
    }
}

/// This program once more, without the settings that its user has in the environment.
pub(super) fn own_program() -> Result<Command, BenchError> {
    let program = std::env::current_exe();
    let program = program.map_err(|source| BenchError::Start { what: "program", source })?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MITE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// What stands behind these words in a line.
pub(super) fn value<T: std::str::FromStr>(line: &str, words: &str) -> Option<T> {
    line.trim_end().strip_prefix(words)?.parse().ok()
}

pub(super) fn unexpected(what: &'static str) -> BenchError {
    BenchError::Start { what, source: io::ErrorKind::InvalidData.into() }
}
