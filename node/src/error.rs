//! Everything that ends the program before its time, as the person who started it reads it.

mod hint;
mod report;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use actors::backup::BackupError;
use actors::messages::{ConnectError, PayError};
use actors::reason::reason;
use wire::OperatorId;
use wire::admin::AdminProblem;

pub(crate) use self::report::{problem_text, write_and_give_up, write_problem};
use crate::profile::keyring::ProfileError;

/// A cause from a part of the program that has an error type of its own.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the program ended. Its `Display` form is one line; [`Error::hint`] says what to do next and
/// [`Error::exit_code`] what a script sees.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, as its parser puts it; `--help` and `--version` come this way too.
    #[error("{}", parser_message(&.0.to_string()))]
    CommandLine(#[from] clap::Error),
    /// A setting is missing, wrong, or does not fit the role.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {}", path.display(), reason(source))]
    ConfigUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The configuration file says something that cannot be understood.
    #[error("{}{}: {message}", path.display(), at_line(*line))]
    ConfigInvalid {
        /// The file.
        path: PathBuf,
        /// The line in it, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// No connections can be taken at this address.
    #[error("cannot listen on {address}: {}", reason(source))]
    Listen {
        /// The address, as it was asked for.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {}", path.display(), reason(source))]
    DataDirectory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process works in the data directory.
    #[error("the data directory {} is in use by another process", path.display())]
    DataDirectoryLocked {
        /// The directory.
        path: PathBuf,
    },
    /// The file of the server's key is not one that can be used, or missing beside a ledger.
    #[error("cannot use the server key {}: {problem}", path.display())]
    ServerKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: crate::server_key::KeyFileProblem,
    },
    /// The client's key, or what else it keeps, cannot be used.
    #[error("{cause}")]
    Profile {
        /// Why not.
        cause: Cause,
        /// What to do about it.
        hint: String,
    },
    /// The journal is damaged: the balances cannot be told from it.
    #[error("the journal in {} is damaged: {cause}", path.display())]
    JournalDamaged {
        /// The data directory.
        path: PathBuf,
        /// What is damaged, with file and offset.
        cause: Cause,
    },
    /// The end of the journal is gone.
    #[error("the journal in {} has lost its end: {cause}", path.display())]
    JournalCut {
        /// The data directory.
        path: PathBuf,
        /// What is gone, with file and offset.
        cause: Cause,
    },
    /// The journal is not one that the server's key has signed.
    #[error("the server key in {} is not that of the journal: {cause}", path.display())]
    JournalOfOther {
        /// The data directory.
        path: PathBuf,
        /// Which file and batch the key has not signed.
        cause: Cause,
    },
    /// The journal was written by a later version of this program.
    #[error("cannot open the journal in {}: {cause}", path.display())]
    JournalNewer {
        /// The data directory.
        path: PathBuf,
        /// What is newer, and in which file.
        cause: Cause,
    },
    /// The journal cannot be written any more.
    #[error("the journal in {} cannot be written: {cause}", path.display())]
    JournalFailed {
        /// The data directory.
        path: PathBuf,
        /// Why not.
        cause: Cause,
    },
    /// What is to be audited cannot be read.
    #[error("cannot read {}: {}", path.display(), reason(source))]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory to audit has no journal.
    #[error("there is no ledger in {}", path.display())]
    NoLedger {
        /// The directory.
        path: PathBuf,
    },
    /// The receipt does not prove what it says.
    #[error("the receipt {} proves nothing: {cause}", path.display())]
    ReceiptInvalid {
        /// Its file.
        path: PathBuf,
        /// What does not fit.
        cause: Cause,
    },
    /// The audit has found the first fault of a ledger.
    #[error("the ledger in {} fails the audit: {cause}", path.display())]
    LedgerFault {
        /// The data directory.
        path: PathBuf,
        /// What is wrong, and where.
        cause: Cause,
    },
    /// Nobody answers where the server should be.
    #[error("cannot reach the server at {address}: {}", reason(source))]
    ServerUnreachable {
        /// Where it should be.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// A profile was restored, and its server said no or could not be asked.
    #[error("the key is restored, but {0}")]
    OnlyRestored(#[source] PayError),
    /// The terminal or the standard output is gone or cannot be used.
    #[error("cannot use the terminal: {}", reason(.0))]
    Terminal(#[source] io::Error),
    /// Commands of a script have failed; each has been reported already.
    #[error("{failed} of {commands} commands failed")]
    CommandsFailed {
        /// How many failed.
        failed: u64,
        /// How many there were.
        commands: u64,
    },
    /// A script has ended before its payments' outcomes were known; each has been reported already.
    #[error("payments whose outcome is unknown: {payments}")]
    OutcomesUnknown {
        /// How many.
        payments: usize,
    },
    /// A ledger could not be backed up.
    #[error("cannot back up {}: {cause}", path.display())]
    Backup {
        /// Its directory.
        path: PathBuf,
        /// Why not.
        cause: BackupError,
    },
    /// Old segments could not be moved.
    #[error("cannot archive old files of {}: {cause}", path.display())]
    Archiving {
        /// The data directory.
        path: PathBuf,
        /// Why not.
        cause: BackupError,
    },
    /// A measurement could not be made, or not believed.
    #[error("the measurement failed: {cause}")]
    Bench {
        /// Why not.
        cause: Cause,
        /// What to do about it, where there is something to do.
        hint: Option<String>,
    },
    /// No server runs on the data directory, or it does not let this user in.
    #[error("cannot reach a server that runs on {}: {}", path.display(), reason(source))]
    AdminUnreachable {
        /// The data directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server took an operator's command, and its answer is missing.
    #[error("the server has not answered: {cause}")]
    AdminUnanswered {
        /// Why not.
        cause: Cause,
        /// By which the command can be asked again.
        id: Option<OperatorId>,
    },
    /// The server has not done what its operator asked.
    #[error("refused with code {}: {_0}", _0.code())]
    AdminRefused(AdminProblem),
    /// A mistake in the program itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<ProfileError> for Error {
    fn from(error: ProfileError) -> Self {
        Self::Profile { hint: error.hint(), cause: error.into() }
    }
}

impl Error {
    /// That nobody can listen there.
    pub fn listen(address: SocketAddr, source: io::Error) -> Self {
        Self::Listen { address: address.to_string(), source }
    }

    /// What the process answers to whoever started it. `--help` lists the codes.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CommandLine(error) => u8::try_from(error.exit_code()).unwrap_or(exit::USAGE),
            Self::OnlyRestored(
                PayError::Connect(ConnectError::Unreachable(_)) | PayError::ServerSilent(_),
            )
            | Self::ServerUnreachable { .. }
            | Self::AdminUnreachable { .. }
            | Self::AdminUnanswered { .. } => exit::SERVER_UNREACHABLE,
            Self::OnlyRestored(_)
            | Self::CommandsFailed { .. }
            | Self::OutcomesUnknown { .. }
            | Self::AdminRefused(_)
            | Self::Terminal(_) => exit::COMMANDS_FAILED,
            Self::Usage { .. } => exit::USAGE,
            Self::ConfigUnreadable { .. } | Self::ConfigInvalid { .. } => exit::CONFIG,
            Self::Listen { .. } => exit::LISTEN,
            Self::Backup { cause: BackupError::Unsound(_), .. }
            | Self::Archiving { cause: BackupError::Unsound(_), .. }
            | Self::ReceiptInvalid { .. }
            | Self::LedgerFault { .. } => exit::AUDIT_FAULT,
            Self::DataDirectory { .. }
            | Self::DataDirectoryLocked { .. }
            | Self::Profile { .. }
            | Self::ServerKey { .. }
            | Self::JournalOfOther { .. }
            | Self::Unreadable { .. }
            | Self::NoLedger { .. }
            | Self::Backup { .. }
            | Self::Archiving { .. } => exit::DATA_DIRECTORY,
            Self::Bench { .. } => exit::BENCH_FAILED,
            Self::JournalDamaged { .. } | Self::JournalCut { .. } | Self::JournalNewer { .. } => {
                exit::JOURNAL_DAMAGED
            }
            Self::JournalFailed { .. } | Self::Internal(_) => exit::INTERNAL,
        }
    }
}

/// The exit codes of the program. 0 is success.
pub mod exit {
    /// A command of a script failed, or the outcome of a payment is unknown at its end.
    pub const COMMANDS_FAILED: u8 = 1;
    /// The command line or an environment variable is wrong.
    pub const USAGE: u8 = 2;
    /// The configuration file is unreadable or wrong.
    pub const CONFIG: u8 = 3;
    /// Cannot listen: the port is in use or not permitted.
    pub const LISTEN: u8 = 4;
    /// The data directory is not writable, in use by another process, or its key is unusable; or
    /// what is to be audited cannot be read.
    pub const DATA_DIRECTORY: u8 = 5;
    /// The journal is damaged.
    pub const JOURNAL_DAMAGED: u8 = 6;
    /// The server cannot be reached.
    pub const SERVER_UNREACHABLE: u8 = 7;
    /// The audit has found a fault, or a backup that the ledger is not sound.
    pub const AUDIT_FAULT: u8 = 8;
    /// A measurement failed: a wrong answer, or a server that ended.
    pub const BENCH_FAILED: u8 = 9;
    /// The program itself failed: the journal could not be written, or there was a panic.
    pub const INTERNAL: u8 = 70;
}

/// The parser writes a paragraph: what is wrong in its first line, then what it would take, a tip, and
/// how the program is called.
fn parser_message(paragraph: &str) -> &str {
    let line = paragraph.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
