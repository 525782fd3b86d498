//! The flags of those who copy a ledger. They are typed: what is copied where is no standing matter.

use std::path::PathBuf;

use clap::Args;

/// What copies are told.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CopyFlags {
    /// Backup: the directory of the copies; each further backup into it adds what is new
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Audit of a ledger, backup: the directory that its old journal files were moved to
    #[arg(long, value_name = "DIR")]
    pub(crate) archived: Option<PathBuf>,
    /// Backup: leave out the server's secret key, without which no server can be started from it
    #[arg(long)]
    pub(crate) without_key: bool,
}
