//! What can go wrong with the archive's files.

use std::io;
use std::path::PathBuf;

/// Why an archive cannot be opened. The ledger does not need it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file of the archive cannot be opened or made.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database or the system says.
        source: redb::Error,
    },
    /// A file that is damaged cannot be put out of the way.
    #[error("cannot put the damaged file {} out of the way: {source}", path.display())]
    PutAway {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A file that does not hold what the archive has written.
pub(super) fn corrupted(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.to_owned())
}

/// Whether the file is to blame, so that another one in its place helps; else it is the disk.
pub(super) fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        redb::Error::DatabaseAlreadyOpen
        | redb::Error::LockProtocolMismatch
        | redb::Error::PreviousIo => false,
        _ => true,
    }
}
