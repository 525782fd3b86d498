//! What archiving is told, of a server that runs and of one that does not.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use wire::PublicKey;

use super::default_data_dir;
use crate::cli::Flags;
use crate::error::Error;

/// A gibibyte: what is read most, receipts of the last days, stays on the disk that is meant for it.
const KEEP_SEGMENTS_DEFAULT: NonZeroUsize = NonZeroUsize::new(16).expect("it is not zero");

/// The flags of archiving, by the names of their fields.
pub(super) const FLAGS: &[&str] = &["data", "server_key", "archive_to", "keep_segments"];

/// Where old segments go, and which are old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivingConfig {
    /// The directory of the archive.
    pub to: PathBuf,
    /// So many of the newest segments stay in any case.
    pub keep_segments: usize,
}

/// What to archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The directory of the ledger.
    pub data_dir: PathBuf,
    /// Where to, and what.
    pub archiving: ArchivingConfig,
    /// The key of the server; `None` for the one in the directory.
    pub server_key: Option<PublicKey>,
}

/// What the flags say.
pub(super) fn config(flags: Flags) -> Result<ArchiveConfig, Error> {
    let archiving = policy(&flags)?.ok_or_else(|| Error::Usage {
        message: "archiving needs a directory".into(),
        hint: "give it with --archive-to DIR: a new one, or that of this ledger's archive".into(),
    })?;
    Ok(ArchiveConfig {
        data_dir: flags.data.map_or_else(default_data_dir, Ok)?,
        archiving,
        server_key: flags.server_key,
    })
}

/// What they say of where segments go; `None` if they stay where they are.
pub(super) fn policy(flags: &Flags) -> Result<Option<ArchivingConfig>, Error> {
    match (&flags.archive_to, flags.keep_segments) {
        (Some(to), keep) => {
            let keep_segments = keep.unwrap_or(KEEP_SEGMENTS_DEFAULT).get();
            Ok(Some(ArchivingConfig { to: to.clone(), keep_segments }))
        }
        (None, Some(_)) => Err(Error::Usage {
            message: "--keep-segments says how many are not archived, and none is".into(),
            hint: "add --archive-to DIR, or leave it out".into(),
        }),
        (None, None) => Ok(None),
    }
}
