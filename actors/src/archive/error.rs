//! What can go wrong with the archive's files.

use std::io;
use std::path::PathBuf;

use wire::EntryNumber;

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
    /// The journal ends before something that the index has read in it, when it was durable.
    #[error(
        "it ends in front of entry {journal_end}, and {} has read it up to entry {index_end}: the batch at \
         offset {offset} of {file} is gone",
        path.display()
    )]
    JournalCut {
        /// The index.
        path: PathBuf,
        /// The file of the journal in which the last batch stood that the index knows.
        file: String,
        /// Where it stood in it, in bytes.
        offset: u64,
        /// The number behind the journal's last entry.
        journal_end: EntryNumber,
        /// The number behind the last entry that the index knows.
        index_end: EntryNumber,
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
