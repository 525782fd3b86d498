//! Why a measurement failed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use actors::reason::reason;
use wire::secure::FrameError;

use crate::error::Error;

/// Why there is no result, or none to be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The connection to the server, or to the echo server, broke or could not be made.
    #[error("the connection to the server broke: {}", reason(.0))]
    Connection(#[source] io::Error),
    /// The server said something else than it must.
    #[error("the server answered {found:?} where {expected:?} was to come")]
    WrongAnswer {
        /// What was right.
        expected: String,
        /// What came.
        found: String,
    },
    /// More came than was asked.
    #[error("the server sent {0} answers that nobody had asked for")]
    Unasked(u64),
    /// It sent what is no frame of its protocol.
    #[error("the server sent {0}")]
    Frame(#[from] FrameError),
    /// The payers have signed all that the server would remember of them.
    #[error(
        "the server takes no more orders of so few payers in a day: measure less, or with more --payers"
    )]
    TooManyOrders,
    /// Nothing came for long.
    #[error("the server says nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// A process could not be started, or says nothing of where it listens.
    #[error("the {what} does not start: {}", reason(source))]
    Start {
        /// Which one.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The server has ended, or not as it should.
    #[error("the server has ended: {0}")]
    Ended(String),
    /// What the system knows of a process cannot be read.
    #[error("cannot read what process {pid} takes: {}", reason(source))]
    ProcessStats {
        /// Which one.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// A file of the measurement's own cannot be used.
    #[error("cannot use {}: {}", path.display(), reason(source))]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A journal cannot be read or written.
    #[error("the journal: {0}")]
    Journal(String),
    /// The system lets too few connections be open at once.
    #[error("only {possible} connections can be open here, of {wanted}: raise it with ulimit -Hn")]
    TooFewFiles {
        /// How many it takes.
        wanted: u32,
        /// How many there may be.
        possible: u32,
    },
    /// A client of the measurement's own could not do what it is for.
    #[error("a client failed: {0}")]
    Client(String),
    /// A payment was not paid, or not between its two clients, or its receipt is missing.
    #[error("not paid as it should be: {0}")]
    Unpaid(String),
    /// A picture cannot be drawn.
    #[error("cannot draw {}: {reason}", path.display())]
    Picture {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Something on another thread has panicked.
    #[error("internal error: {0}")]
    Panic(String),
    /// Somebody has pressed Ctrl-C.
    #[error("it was stopped")]
    Interrupted,
}

impl From<BenchError> for Error {
    fn from(error: BenchError) -> Self {
        Self::Bench { cause: error.into() }
    }
}
