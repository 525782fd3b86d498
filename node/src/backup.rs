//! Backups: copies a ledger, of a server that runs or of one that does not.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use actors::backup::{
    BackupError, BackupOptions, BackupProgress, BackupReport, RECHECK_BYTES, Source,
    backup_directory,
};
use slog::Logger;
use wire::PublicKey;

use crate::announce::{self, LINE_EVERY};
use crate::audit::own_key;
use crate::config::BackupConfig;
use crate::error::Error;
use crate::hex::hex;
use crate::server_key;

/// Makes the backup that the configuration says, and tells on the standard output what it holds.
///
/// # Errors
/// [`Error::Backup`], or what is wrong with the server's key.
pub(crate) fn run(config: BackupConfig, log: &Logger) -> Result<(), Error> {
    let BackupConfig { data_dir, archived, to, server_key, with_key } = config;
    let server = server_key.map_or_else(|| own_key(&data_dir, log), Ok)?;
    let mut line_due = Instant::now() + LINE_EVERY;
    let source = Source { data_dir: &data_dir, archived: archived.as_deref() };
    let report = back_up(source, &to, server, with_key, |progress| {
        if Instant::now() >= line_due {
            line_due = Instant::now() + LINE_EVERY;
            let BackupProgress { segments, segments_in_all, last } = progress;
            // Whoever closed our standard error does not want to know.
            let _ = writeln!(
                io::stderr(),
                "copied so far: {} batches, {segments} of {segments_in_all} files",
                last.batch
            );
        }
    })?;
    let title = format!("{} is backed up to {}", data_dir.display(), to.display());
    announce::line(&announce::table(&title, &findings(&server, &report)));
    Ok(())
}

/// Makes a backup of the data directory of the server with this key. It blocks as long as it takes to read
/// what is new, and calls `progress` now and then.
///
/// # Errors
/// [`Error::Backup`].
pub(crate) fn back_up<'a>(
    source: impl Into<Source<'a>>,
    to: &Path,
    server: PublicKey,
    with_key: bool,
    progress: impl FnMut(&BackupProgress),
) -> Result<BackupReport, Error> {
    let source = source.into();
    let key_file = with_key.then_some(server_key::FILE_NAME);
    let options = BackupOptions { server, key_file, recheck_bytes: RECHECK_BYTES };
    backup_directory(source, to, &options, progress)
        .map_err(|cause| Error::Backup { path: source.data_dir.into(), cause })
}

/// What a report says, in lines for people.
pub(crate) fn findings(server: &PublicKey, report: &BackupReport) -> Vec<(&'static str, String)> {
    let BackupReport { last, batches, segments, bytes, rechecked_bytes, .. } = report;
    let BackupReport { bytes_in_all, snapshot, open_orders, with_key, incremental, .. } = report;
    let secret = if *with_key {
        "in it: whoever has the copies can be the server"
    } else {
        "not in it: it must come from elsewhere to start a server from it"
    };
    let mut lines = vec![
        ("server key", server.to_string()),
        ("head", hex(&last.head)),
        ("batches", format!("{}, of which {batches} are new", last.batch)),
        ("entries", last.next_entry.to_string()),
        ("copied", format!("{bytes} bytes; of the journal, {segments} files")),
        ("in all", format!("{bytes_in_all} bytes")),
        ("snapshot", snapshot.map_or("none yet".into(), |batch| format!("behind batch {batch}"))),
        ("open orders", open_orders.map_or("none kept".into(), |count| count.to_string())),
        ("secret key", secret.into()),
    ];
    if *incremental {
        let read_back = format!("{rechecked_bytes} bytes of earlier copies, all as they were");
        lines.push(("read back", read_back));
    }
    lines
}

/// What to do about a backup that was not made.
pub(crate) fn hint(error: &BackupError) -> &'static str {
    match error {
        BackupError::Directory(_) | BackupError::Target(_) => {
            "what was copied before is safe; look at the directory and its disk, then try again"
        }
        BackupError::Source(_) => "is it the directory of a ledger, and may you read it?",
        BackupError::Unsound(_) => {
            "earlier backups are as they were: keep them, and audit the ledger with --role audit \
             ledger"
        }
        BackupError::SameDirectory | BackupError::Foreign { .. } => {
            "give a new directory with --to DIR, or that of an earlier backup"
        }
        BackupError::Manifest { newer: true, .. } => {
            "use the version that has written it, or give a new directory with --to DIR"
        }
        BackupError::Manifest { .. } | BackupError::Altered { .. } => {
            "do not trust these copies: make a new backup in another directory, then find out what \
             has changed them"
        }
        BackupError::OtherServer { .. } | BackupError::NotContinued { .. } => {
            "nothing was overwritten: keep those copies, and give a new directory with --to DIR"
        }
        BackupError::Gone { .. } => {
            "they were archived since the last backup: give a new directory with --to DIR"
        }
        BackupError::NoSnapshot { .. } => {
            "stop the server in an orderly way, which makes one, and back up again"
        }
        BackupError::ReadBack { .. } => "use another disk; nothing that was there was overwritten",
        BackupError::OpenOrdersBusy => "start it again: it only has to copy what is new",
    }
}
