//! What keeps a backup from being made.

use wire::{BatchNumber, PublicKey};

use crate::ledger::audit::AuditError;
use crate::ledger::journal::{DataDirError, IoFailure, OpenError};

/// Why there is no new backup. What an earlier call has copied is as it was, or further.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DataDirError),
    /// The ledger itself is damaged, or not what its server has signed. Look at it before anything else.
    #[error("the ledger is not sound: {0}")]
    Unsound(#[from] AuditError),
    /// A file of the data directory cannot be read.
    #[error("{0}")]
    Source(IoFailure),
    /// The directory of the copies cannot be read or written.
    #[error("in the directory of the copies: {0}")]
    Target(IoFailure),
    /// Both are the same directory.
    #[error("the copies would be in the data directory itself")]
    SameDirectory,
    /// The directory has files, and none that says what they are.
    #[error("the directory for the copies holds {file}, and no {manifest}: it is something else")]
    Foreign {
        /// One of its files.
        file: String,
        /// What it lacks.
        manifest: &'static str,
    },
    /// The manifest was altered, or is of another kind or version.
    #[error("{file} is {}", if *.newer { "of another kind or version" } else { "damaged" })]
    Manifest {
        /// Its name.
        file: &'static str,
        /// It is not damaged, but unknown.
        newer: bool,
    },
    /// The copies are of another server's ledger.
    #[error("the copies are of the server with the key {of}, not of {server}")]
    OtherServer {
        /// Whose they are.
        of: PublicKey,
        /// Whose ledger was to be copied.
        server: PublicKey,
    },
    /// A copy is not what was written.
    #[error("the copy {file} is not what its manifest says: it was altered or is damaged")]
    Altered {
        /// Its name.
        file: String,
    },
    /// The ledger does not hold what was copied of it earlier: it is another one, or was set back.
    #[error("the ledger does not continue the copies: it differs from {file} up to batch {last}")]
    NotContinued {
        /// The copy that it differs from.
        file: String,
        /// The last batch of the copies.
        last: BatchNumber,
    },
    /// Batches are neither in the data directory nor among the copies.
    #[error("batches {first} to {last} are neither in the data directory nor among the copies")]
    Gone {
        /// The first of them.
        first: BatchNumber,
        /// The last of them.
        last: BatchNumber,
    },
    /// The ledger begins behind its first batch, and no snapshot says what stood before.
    #[error("the ledger begins with batch {first}, and no snapshot of it is whole")]
    NoSnapshot {
        /// Its first batch.
        first: BatchNumber,
    },
    /// What was read back is not what was written: a disk fails.
    #[error("{file} does not read back as it was written: the disk fails")]
    ReadBack {
        /// The copy.
        file: String,
    },
    /// The file of open orders was written all the time. The ledger is copied.
    #[error("the open orders change too fast to be copied; the ledger itself is copied")]
    OpenOrdersBusy,
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(failure) => Self::Source(failure),
            error => Self::Unsound(error.into()),
        }
    }
}
