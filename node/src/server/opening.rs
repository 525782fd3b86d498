//! What a server finds in its data directory, or begins there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use actors::archive::{Archive, ArchiveError};
use actors::ledger::journal::{
    DataDirError, DiskStorage, Journal, JournalOptions, OpenError, Operation, Storage,
};
use actors::ledger::state::State;
use actors::messages::Signer;
use slog::{Logger, info, warn};

use super::archiving;
use crate::config::ServerConfig;
use crate::error::Error;
use crate::server_key;

/// A data directory that is open, and this process's alone.
pub(super) struct Opened {
    /// The server's key.
    pub(super) signer: Signer,
    pub(super) journal: Journal,
    /// What the journal comes to.
    pub(super) state: State,
    pub(super) archive: Archive,
    /// Where old segments go, until archiving is started.
    pub(super) archived: Option<archiving::Archive>,
}

impl Opened {
    pub(super) fn open(config: &ServerConfig, log: &Logger) -> Result<Self, Error> {
        let data_dir = config.data_dir.as_path();
        let live = open_storage(data_dir)?;
        let open_archive =
            |archiving| archiving::Archive::open(data_dir, Arc::clone(&live), archiving);
        let archived = config.archiving.as_ref().map(open_archive).transpose()?;
        let storage = archived.as_ref().map_or(live, archiving::Archive::together);
        let cannot_open = |error| journal_error(data_dir, error);
        // Only a ledger without a past may get a new key.
        let key = if Journal::has_begun(&*storage).map_err(|error| cannot_open(error.into()))? {
            server_key::load(data_dir, log)?
        } else {
            server_key::load_or_create(data_dir, log)?
        };
        if Journal::has_archived(&*storage).map_err(|error| cannot_open(error.into()))? {
            warn!(log, "old journal files are archived: without --archive-to their receipts, and an \
                index that is lost, cannot be had"; "data" => %data_dir.display());
        }
        let signer = Signer::new(*key.signing_key());
        let options = JournalOptions::default();
        let (journal, state) = Journal::open(Arc::clone(&storage), signer.clone(), options, log)
            .map_err(cannot_open)?;
        info!(log, "ledger opened"; "accounts" => state.accounts().len(),
            "entries" => state.next_entry().get(), "data" => %data_dir.display());
        let archive = Archive::open(data_dir, storage, journal.last().next_entry, log);
        let archive = archive.map_err(|error| match error {
            ArchiveError::JournalCut { .. } => {
                Error::JournalCut { path: data_dir.to_owned(), cause: error.into() }
            }
            ArchiveError::Open { .. } | ArchiveError::PutAway { .. } => {
                Error::DataDirectory { path: data_dir.to_owned(), source: io::Error::other(error) }
            }
        })?;
        Ok(Self { signer, journal, state, archive, archived })
    }
}

fn open_storage(data_dir: &Path) -> Result<Arc<dyn Storage>, Error> {
    match DiskStorage::open(data_dir) {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(
            DataDirError::Create { path, source }
            | DataDirError::NotWritable { path, source }
            | DataDirError::NotReadable { path, source },
        ) => Err(Error::DataDirectory { path, source }),
        Err(DataDirError::Locked { path }) => Err(Error::DataDirectoryLocked { path }),
    }
}

fn journal_error(data_dir: &Path, error: OpenError) -> Error {
    let path = data_dir.to_owned();
    match error {
        OpenError::Io(failure) => match failure.operation {
            Operation::List | Operation::Open | Operation::Read => {
                Error::DataDirectory { path: path.join(&failure.file), source: failure.source }
            }
            // A repair did not succeed: the disk fails.
            _ => Error::JournalFailed { path, cause: failure.into() },
        },
        OpenError::OtherServer { .. } => Error::JournalOfOther { path, cause: error.into() },
        OpenError::Newer { .. } => Error::JournalNewer { path, cause: error.into() },
        OpenError::Damaged { .. } | OpenError::BatchesMissing { .. } => {
            Error::JournalDamaged { path, cause: error.into() }
        }
    }
}
