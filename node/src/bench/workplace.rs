//! The directories of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::config::Target;
use crate::error::Error;

/// Where a run has its ledgers and files. What is temporary is gone when it is dropped.
pub(crate) struct Workplace {
    root: PathBuf,
    _temporary: Option<TempDir>,
}

impl Workplace {
    /// Makes it.
    pub(super) fn open(target: &Target) -> Result<Self, Error> {
        if let Target::Own { data_dir: Some(dir) } = target {
            let unusable = |source| Error::DataDirectory { path: dir.clone(), source };
            fs::create_dir_all(dir).map_err(unusable)?;
            if fs::read_dir(dir).map_err(unusable)?.next().is_some() {
                return Err(unusable(io::ErrorKind::DirectoryNotEmpty.into()));
            }
            return Ok(Self { root: dir.clone(), _temporary: None });
        }
        let made = tempfile::Builder::new().prefix("mite-bench-").tempdir();
        let made =
            made.map_err(|source| Error::DataDirectory { path: std::env::temp_dir(), source })?;
        Ok(Self { root: made.path().to_owned(), _temporary: Some(made) })
    }

    /// The data directory of the server that is measured. It need not exist yet.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// The disk that is measured.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}
