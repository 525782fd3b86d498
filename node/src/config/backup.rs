//! What a backup is told.

use std::path::PathBuf;

use wire::PublicKey;

use super::default_data_dir;
use crate::cli::{CopyFlags, Flags};
use crate::error::Error;

/// The flags of a backup, by the names of their fields.
pub(super) const FLAGS: &[&str] = &["data", "server_key", "to", "without_key", "archived"];

/// What to copy, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupConfig {
    /// The directory of the ledger.
    pub data_dir: PathBuf,
    /// Where its old segments are, if they were moved.
    pub archived: Option<PathBuf>,
    /// The directory of the copies.
    pub to: PathBuf,
    /// The key of the server; `None` for the one in the directory.
    pub server_key: Option<PublicKey>,
    /// Whether the server's secret key is copied, too.
    pub with_key: bool,
}

/// What the flags say.
pub(super) fn config(flags: Flags, copies: CopyFlags) -> Result<BackupConfig, Error> {
    let to = copies.to.ok_or_else(|| Error::Usage {
        message: "a backup needs a directory".into(),
        hint:
            "give it with --to DIR, best on another disk: a new one, or that of an earlier backup"
                .into(),
    })?;
    Ok(BackupConfig {
        data_dir: flags.data.map_or_else(default_data_dir, Ok)?,
        archived: copies.archived,
        to,
        server_key: flags.server_key,
        with_key: !copies.without_key,
    })
}
