//! What can go wrong with a journal, and whose fault it is.

use std::io;
use std::path::PathBuf;

use wire::codec::DecodeError;
use wire::{BatchNumber, EntryNumber, PublicKey};

use super::segment::segment_name;
use crate::ledger::state::ReplayError;

/// What was asked of the storage when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List the directory.
    List,
    /// Open a file that is there.
    Open,
    /// Make a new file.
    Create,
    /// Read a file.
    Read,
    /// Write to a file.
    Write,
    /// Write to the end of a file, durably.
    Append,
    /// Make what was written durable.
    Sync,
    /// Give a file its final name.
    Rename,
    /// Remove a file.
    Remove,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Append => "append to",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// The disk or the file system failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {file}: {source}")]
pub struct IoFailure {
    /// What was asked of it.
    pub operation: Operation,
    /// Of which file of the data directory; the directory itself is `.`.
    pub file: String,
    /// What the system says.
    pub source: io::Error,
}

impl IoFailure {
    pub(crate) fn of(operation: Operation, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { operation, file: file.to_owned(), source }
    }
}

/// Why a batch or a snapshot is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the file system failed. What was under way may or may not be durable: only
    /// opening the journal again tells.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// There is no room on the disk for the batch. Nothing of it was written; it can be appended once there is
    /// room.
    #[error("the disk is full: {0}")]
    Full(IoFailure),
    /// An earlier append failed. Nothing of this batch was written; open the journal again.
    #[error("the journal has failed before and takes nothing more")]
    Failed,
    /// The batch has no entries. The caller is mistaken; nothing was written.
    #[error("a batch without entries cannot be written")]
    EmptyBatch,
    /// The journal thread panicked: a defect of this program. The batch may or may not be durable.
    #[error("the journal thread panicked: {0}")]
    Panicked(String),
    /// The journal thread has ended, so the batch was not taken.
    #[error("the journal thread has ended")]
    Stopped,
}

/// Why a journal cannot be opened or read. Unless it says [`OpenError::Io`], nothing on disk was
/// changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk or the file system failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The bytes are not what was written: restore the file from a copy.
    #[error("{file} is damaged at byte {offset}, in batch {batch}: {what}")]
    Damaged {
        /// The file, in the data directory.
        file: String,
        /// Where the damaged batch or header begins.
        offset: u64,
        /// The batch that belongs there.
        batch: BatchNumber,
        /// What is wrong with it.
        what: Damage,
    },
    /// Batches that were there once are gone: restore their files from a copy.
    #[error("batches {first} to {last} are missing: from {file}, or the end of the file before it")]
    BatchesMissing {
        /// The file in the data directory that they are missing from, unless they stood at the end of the one before.
        file: String,
        /// The first one that is missing.
        first: BatchNumber,
        /// The last one that must be there, since a file names or follows it.
        last: BatchNumber,
    },
    /// The journal is another server's, or this one's key was replaced: put its own key back.
    #[error("batch {batch} at byte {offset} of {file} is not signed by the server key {server}")]
    OtherServer {
        /// The file, in the data directory.
        file: String,
        /// Where the batch begins; 0 in a snapshot.
        offset: u64,
        /// The batch that the file's seal is for.
        batch: BatchNumber,
        /// The key that it was opened with.
        server: PublicKey,
    },
    /// A newer Mite wrote this: open it with that one.
    #[error("{file} was written by a newer mite: {what} at byte {offset}")]
    Newer {
        /// The file, in the data directory.
        file: String,
        /// Where the header or batch begins that this one does not know.
        offset: u64,
        /// What this one does not know.
        what: Newer,
    },
}

impl OpenError {
    /// Batches are missing, the first of which would begin a file if it did not stand at the end of another.
    pub(crate) fn missing(first: BatchNumber, last: BatchNumber) -> Self {
        Self::BatchesMissing { file: segment_name(first), first, last }
    }
}

/// A part of a format that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Newer {
    /// The version of a header.
    #[error("format version {0}")]
    Version(u16),
    /// The flags of a batch.
    #[error("batch flags {0:#06x}")]
    Flags(u16),
}

/// What is wrong with a batch or a segment.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The file is longer than any segment can be.
    #[error("the file has {0} bytes, more than any segment")]
    SegmentTooLong(u64),
    /// The header of the segment is not one, or its checksum does not match.
    #[error("the segment's header is not intact")]
    SegmentHeader,
    /// The header of the segment names another first batch than its file name does.
    #[error("the segment's header names batch {0} as its first")]
    SegmentNumber(BatchNumber),
    /// The segment begins with a batch that the one before it holds too.
    #[error("the segment repeats batches of the one before it")]
    SegmentOverlap,
    /// The segment does not follow the batch before it.
    #[error("the segment does not continue the one before it")]
    SegmentChain,
    /// The header of a batch is not one, or its checksum does not match.
    #[error("the batch's header is not intact")]
    BatchHeader,
    /// The header's checksum matches, but no batch can have so many entries or bytes.
    #[error("{entries} entries in {bytes} bytes are no possible batch")]
    BatchBounds {
        /// How many entries the header names.
        entries: u32,
        /// How many bytes it says they take.
        bytes: u32,
    },
    /// The header's checksum matches, but no journal comes to such numbers.
    #[error("batch {batch} that begins with entry {entry} is no possible batch")]
    BatchNumbers {
        /// The number that the header names.
        batch: u64,
        /// That of its first entry.
        entry: u64,
    },
    /// The entries' checksum does not match or the end marker is not there.
    #[error("the batch's entries are not intact")]
    BatchEntries,
    /// The batch was never wholly written, though later ones were.
    #[error("the batch is incomplete, and it is not the last one")]
    BatchIncomplete,
    /// Another batch stands here.
    #[error("batch {0} stands here")]
    WrongBatchNumber(BatchNumber),
    /// The batch does not begin with the next entry.
    #[error("the batch begins with entry {found} where entry {expected} is next")]
    WrongEntryNumber {
        /// The next entry.
        expected: EntryNumber,
        /// The first one of the batch.
        found: EntryNumber,
    },
    /// The batch holds the hash of another header than that of the batch before it.
    #[error("the batch does not follow the batch before it")]
    WrongPreviousHead,
    /// The batch is older than the one before it.
    #[error("the batch is older than the one before it")]
    TimeGoesBack,
    /// The server vouches for other entries than these.
    #[error("the batch's Merkle root is not that of its entries")]
    WrongMerkleRoot,
    /// The server does not vouch for the batch, though it does for an earlier one.
    #[error("the batch is not sealed, but one before it is")]
    SealMissing,
    /// The snapshot was made of a history with another batch of this number.
    #[error("the batch is not the one that the snapshot was made at")]
    NotOfSnapshot,
    /// An entry cannot be decoded.
    #[error("entry {entry} cannot be decoded: {source}")]
    Entry {
        /// Which one.
        entry: EntryNumber,
        /// Why.
        source: DecodeError,
    },
    /// All entries are decoded, and bytes are left.
    #[error("{0} bytes are left after the batch's last entry")]
    BytesLeft(usize),
    /// The rules of the ledger forbid an entry.
    #[error("entry {entry} breaks the ledger's rules: {source}")]
    Rules {
        /// Which one.
        entry: EntryNumber,
        /// Why.
        source: ReplayError,
    },
}

pub(super) fn damaged(file: &str, offset: u64, batch: BatchNumber, what: Damage) -> OpenError {
    OpenError::Damaged { file: file.to_owned(), offset, batch, what }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is not there and cannot be made, or something else has its name.
    #[error("cannot create the directory {}: {source}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is there, but this user cannot write to it.
    #[error("cannot write to the directory {}: {source}", path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not there, or this user cannot read it.
    #[error("cannot read the directory {}: {source}", path.display())]
    NotReadable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process works with it.
    #[error("the directory {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}
