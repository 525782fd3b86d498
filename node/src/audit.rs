//! The audit: checks a receipt by itself, or a whole ledger with nothing but its directory.
//!
//! It trusts nothing that is written for people and nothing that a server says of itself; it
//! connects to nobody and changes nothing.

mod progress;
mod receipt;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actors::ledger::audit::{AuditError, Audited, Operations, audit};
use actors::ledger::journal::{DataDirError, OpenError, ReadOnlyDirectory, Storage, WithArchived};
use slog::Logger;
use wire::receipt::RECEIPT_TEXT_BYTES_MAX;
use wire::{PublicKey, Receipt};

use self::progress::Progress;
use crate::announce::{self, table};
use crate::config::AuditConfig;
use crate::error::{Cause, Error};
use crate::hex::push_hex;
use crate::server_key::{self, KeyFileProblem};

/// Audits what the configuration says, and tells on the standard output what was found.
///
/// # Errors
/// [`Error::ReceiptInvalid`] and [`Error::LedgerFault`] for a fault; else what kept it from being
/// looked for.
pub(crate) fn run(config: AuditConfig, log: &Logger) -> Result<(), Error> {
    match config {
        AuditConfig::Receipt { file, server_key } => audit_receipt(&file, &server_key),
        AuditConfig::Ledger { data_dir, archived, server_key, against } => {
            let dirs = Directories { data: data_dir, archived };
            audit_ledger(&dirs, server_key, &against, log)
        }
    }
}

fn audit_receipt(file: &Path, server_key: &PublicKey) -> Result<(), Error> {
    let receipt = read_receipt(file)?;
    let proven = receipt
        .verify(server_key)
        .map_err(|error| Error::ReceiptInvalid { path: file.into(), cause: error.into() })?;
    let mut lines = vec![("signed by", server_key.to_string())];
    lines.extend(receipt::lines(&proven));
    announce::line(&table("the receipt is valid", &lines));
    Ok(())
}

/// Where a ledger is.
struct Directories {
    data: PathBuf,
    /// Where its old segments are, if they were moved.
    archived: Option<PathBuf>,
}

impl Directories {
    fn open(&self) -> Result<Arc<dyn Storage>, DataDirError> {
        let data = Arc::new(ReadOnlyDirectory::open(&self.data)?);
        let Some(archived) = &self.archived else { return Ok(data) };
        let archived = Arc::new(ReadOnlyDirectory::open(archived)?);
        Ok(Arc::new(WithArchived::new(data, archived)))
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.data].into_iter().chain(&self.archived).map(PathBuf::as_path)
    }
}

fn audit_ledger(
    dirs: &Directories,
    server_key: Option<PublicKey>,
    against: &[PathBuf],
    log: &Logger,
) -> Result<(), Error> {
    let storage = dirs.open().map_err(unreadable_directory)?;
    let data_dir = dirs.data.as_path();
    let receipts = against.iter().map(|file| read_receipt(file)).collect::<Result<Vec<_>, _>>()?;
    let (key, whose) = match server_key {
        Some(key) => (key, "as given"),
        None => (own_key(data_dir, log)?, "the directory's own word: give --server-key to be sure"),
    };
    let mut progress = Progress::start(dirs.all());
    let audited = audit(storage, key, &receipts, |place| progress.show(place));
    progress.end();
    let audited = audited.map_err(|error| ledger_error(data_dir, against, error))?;
    if audited.last.batch.get() == 0 {
        return Err(Error::NoLedger { path: data_dir.into() });
    }
    let mut lines = vec![("server key", format!("{key} ({whose})"))];
    lines.extend(findings(&audited));
    if !receipts.is_empty() {
        lines.push(("receipts", format!("{}, each of them in it", receipts.len())));
    }
    announce::line(&table(&format!("the ledger in {} is sound", data_dir.display()), &lines));
    Ok(())
}

fn findings(audited: &Audited) -> Vec<(&'static str, String)> {
    let Audited { last, began, unsealed, accounts, supply, orders, .. } = audited;
    let Audited { text_payments, key_changes, operations, unfinished, .. } = audited;
    let mut head = String::new();
    push_hex(&mut head, &last.head);
    let batches = match unsealed {
        0 => format!("{}, all signed by the server", last.batch),
        _ => format!(
            "{}, of which the first {unsealed} are not signed themselves, but chained to",
            last.batch
        ),
    };
    let began = began.map(wire::Timestamp::to_utc).unwrap_or_default();
    let mut lines = vec![
        ("head", head),
        ("batches", batches),
        ("entries", last.next_entry.to_string()),
        ("accounts", accounts.to_string()),
        ("supply", format!("{supply} credits, which is what all accounts hold")),
        ("orders", format!("{orders}, each signed by its payer")),
        ("by text", format!("{text_payments} payments, which nobody signed")),
        ("keys", format!("{key_changes} changed, each signed by the old and the new one")),
        ("written", format!("{began} to {}", last.time.to_utc())),
    ];
    if *operations != Operations::default() {
        let Operations { deposits, withdrawals, freezes, frozen } = operations;
        lines.push((
            "operator",
            format!(
                "{deposits} deposits, {withdrawals} withdrawals, {freezes} times an account was \
                 frozen, {frozen} accounts still are"
            ),
        ));
    }
    if let Some(position) = unfinished {
        let place = format!("{} at byte {}", position.file(), position.offset);
        lines.push((
            "end",
            format!(
                "{} batches, then an unfinished end in {place}: no fault, nobody was told of it",
                last.batch
            ),
        ));
    }
    lines
}

/// The receipt in a file. Not verified yet.
fn read_receipt(path: &Path) -> Result<Receipt, Error> {
    let invalid = |cause: Cause| Error::ReceiptInvalid { path: path.into(), cause };
    let bytes = read_start(path, RECEIPT_TEXT_BYTES_MAX as u64 + 1)
        .map_err(|source| Error::Unreadable { path: path.into(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| invalid("the file is no text".into()))?;
    Receipt::from_text(&text).map_err(|error| invalid(error.into()))
}

fn read_start(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The key that the directory says is its server's.
pub(crate) fn own_key(data_dir: &Path, log: &Logger) -> Result<PublicKey, Error> {
    match server_key::load(data_dir, log) {
        Ok(key) => Ok(key.public_key()),
        Err(Error::ServerKey { problem: KeyFileProblem::Missing, path }) => Err(Error::Usage {
            message: format!("there is no {} that says whose ledger it is", path.display()),
            hint: "give the server's key with --server-key KEY".into(),
        }),
        Err(error) => Err(error),
    }
}

fn unreadable_directory(error: DataDirError) -> Error {
    match error {
        DataDirError::Create { path, source }
        | DataDirError::NotWritable { path, source }
        | DataDirError::NotReadable { path, source } => Error::Unreadable { path, source },
        DataDirError::Locked { path } => Error::DataDirectoryLocked { path },
    }
}

fn ledger_error(data_dir: &Path, against: &[PathBuf], error: AuditError) -> Error {
    let path = data_dir.to_owned();
    match error {
        AuditError::Journal(OpenError::Io(failure)) => {
            Error::Unreadable { path: path.join(&failure.file), source: failure.source }
        }
        AuditError::Journal(error @ OpenError::Newer { .. }) => {
            Error::JournalNewer { path, cause: error.into() }
        }
        AuditError::Receipt { index, fault } => {
            let receipt = against.get(index).map(|file| file.display().to_string());
            let receipt = receipt.unwrap_or_default();
            Error::LedgerFault { path, cause: format!("it does not fit {receipt}: {fault}").into() }
        }
        error => Error::LedgerFault { path, cause: error.into() },
    }
}

#[cfg(test)]
mod tests;
