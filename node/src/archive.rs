//! Archiving the old segments of a server that does not run. One that runs does it by itself.

use actors::archive::indexed_segment;
use actors::backup::{
    ArchivingOptions, ArchivingReport, BackupError, archive_segments, open_archive,
};
use actors::ledger::journal::{DataDirError, DiskStorage};
use slog::Logger;

use crate::announce;
use crate::audit::own_key;
use crate::config::ArchiveConfig;
use crate::error::Error;

/// Archives what the configuration says, and tells on the standard output what was moved.
///
/// # Errors
/// [`Error::Archiving`], or that the directory cannot be used.
pub(crate) fn run(config: &ArchiveConfig, log: &Logger) -> Result<(), Error> {
    let ArchiveConfig { data_dir, archiving, server_key } = config;
    let failed = |cause| Error::Archiving { path: data_dir.clone(), cause };
    let server = server_key.map_or_else(|| own_key(data_dir, log), Ok)?;
    let live = DiskStorage::open(data_dir).map_err(|error| match error {
        DataDirError::Locked { path } => Error::DataDirectoryLocked { path },
        error => failed(error.into()),
    })?;
    let archive = open_archive(data_dir, &archiving.to).map_err(failed)?;
    // Without an index, nothing of it is indexed.
    let indexed = indexed_segment(data_dir, log)
        .map_err(|error| Error::DataDirectory {
            path: data_dir.clone(),
            source: std::io::Error::other(error),
        })?
        .unwrap_or_default();
    let keep_segments = archiving.keep_segments;
    let options = ArchivingOptions { server, keep_segments, indexed: Some(indexed) };
    let report = archive_segments(&live, &archive, &options).map_err(failed)?;
    let ArchivingReport { segments, bytes, segments_in_all, last, segments_left } = report;
    let lines = [
        ("moved", format!("{segments} journal files, {bytes} bytes")),
        ("left", format!("{segments_left} journal files")),
        ("archived", format!("{segments_in_all} journal files, up to batch {}", last.batch)),
    ];
    let (data, to) = (data_dir.display(), archiving.to.display());
    announce::line(&announce::table(&format!("{data} is archived to {to}"), &lines));
    Ok(())
}

/// What to do about segments that were not archived.
pub(crate) fn hint(error: &BackupError) -> &'static str {
    match error {
        BackupError::SameDirectory | BackupError::Foreign { .. } => {
            "give a new directory with --archive-to DIR, or that of this ledger's archive"
        }
        BackupError::Gone { .. } => "give the directory that they were archived to before",
        BackupError::OtherServer { .. } | BackupError::NotContinued { .. } => {
            "nothing was removed: it is another ledger's archive; give a new directory, or its own"
        }
        BackupError::Unsound(_) => {
            "nothing that is damaged was moved; audit the ledger with --role audit ledger"
        }
        _ => "nothing was removed that is not safe in the archive; look at both directories",
    }
}
