//! Why a measurement failed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use actors::reason::reason;
use wire::secure::FrameError;

use crate::error::Error;

/// Why there is no result, or none to be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// Nobody takes a connection where the server should be.
    #[error("cannot reach the server at {address}: {}", reason(source))]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The connection to the server, or to the echo server, broke.
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
    #[error("the server takes no more orders of so few payers in a day")]
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
    #[error("only {possible} connections can be open here, of {wanted}")]
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

impl BenchError {
    /// What to do next, where there is something to do.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some("start it, or correct --server"),
            Self::WrongAnswer { found, .. } if says_too_poor(found) => Some(
                "start the server with a larger --opening-balance, or let more --accounts share the payments",
            ),
            Self::TooManyOrders => Some("measure less, or with more --payers"),
            Self::Silent(_) => Some(
                "if it takes one request at a time, or none that ends with a line feed, add --line-end nul or \
                 --line-end none",
            ),
            Self::ProcessStats { .. } => Some("correct --server-pid, or leave it out"),
            Self::TooFewFiles { .. } => {
                Some("raise it with `ulimit -Hn`, or measure with fewer --sessions")
            }
            _ => None,
        }
    }
}

/// Whether a server says so of a payer, in any wording of the family.
fn says_too_poor(answer: &str) -> bool {
    let answer = answer.to_ascii_lowercase();
    answer.contains("insufficient") || answer.contains("transfer fail!")
}

impl From<BenchError> for Error {
    fn from(error: BenchError) -> Self {
        Self::Bench { hint: error.hint().map(str::to_owned), cause: error.into() }
    }
}
