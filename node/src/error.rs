//! Everything that ends the program before its time, as the person who started it reads it.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::printable::printable;
use crate::profile::keyring::ProfileError;
use actors::reason::reason;

/// How long the end of the program waits for somebody to read why.
const REPORT_TIME_MAX: Duration = Duration::from_secs(1);

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
            Self::CommandsFailed { .. } | Self::OutcomesUnknown { .. } | Self::Terminal(_) => {
                exit::COMMANDS_FAILED
            }
            Self::Usage { .. } => exit::USAGE,
            Self::ConfigUnreadable { .. } | Self::ConfigInvalid { .. } => exit::CONFIG,
            Self::Listen { .. } => exit::LISTEN,
            Self::DataDirectory { .. }
            | Self::DataDirectoryLocked { .. }
            | Self::Profile { .. }
            | Self::ServerKey { .. }
            | Self::JournalOfOther { .. }
            | Self::Unreadable { .. }
            | Self::NoLedger { .. } => exit::DATA_DIRECTORY,
            Self::ReceiptInvalid { .. } | Self::LedgerFault { .. } => exit::AUDIT_FAULT,
            Self::JournalDamaged { .. } | Self::JournalNewer { .. } => exit::JOURNAL_DAMAGED,
            Self::ServerUnreachable { .. } => exit::SERVER_UNREACHABLE,
            Self::JournalFailed { .. } | Self::Internal(_) => exit::INTERNAL,
        }
    }

    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CommandsFailed { .. } | Self::Terminal(_) => None,
            Self::OutcomesUnknown { .. } => Some("start the client again to find out".into()),
            Self::CommandLine(error) => Some(parser_hint(&error.to_string())),
            Self::Usage { hint, .. }
            | Self::ConfigInvalid { hint, .. }
            | Self::Profile { hint, .. } => Some(hint.clone()),
            Self::ConfigUnreadable { .. } => {
                Some("check the path given with --config or MITE_CONFIG".into())
            }
            Self::Listen { address, source } => Some(listen_hint(address, source)),
            Self::DataDirectory { .. } => {
                Some("choose a directory that you may write to with --data DIR".into())
            }
            Self::DataDirectoryLocked { .. } => {
                Some("stop the other server, or choose another directory with --data DIR".into())
            }
            Self::ServerKey { problem, path } => Some(problem.hint(path)),
            Self::JournalDamaged { .. } => Some(
                "keep a copy of the directory as it is, then restore it from a backup; nothing \
                 has been changed"
                    .into(),
            ),
            Self::JournalOfOther { .. } => Some(
                "put back the server.key that this journal was written with: clients and receipts \
                 know the server by it; nothing has been changed"
                    .into(),
            ),
            Self::JournalNewer { .. } => {
                Some("start the version that has written it; nothing has been changed".into())
            }
            Self::JournalFailed { .. } => {
                Some("check the disk, then start again: what was confirmed is safe".into())
            }
            Self::Unreadable { .. } => Some("is the path right, and may you read it?".into()),
            Self::NoLedger { .. } => Some(
                "give the directory of a server with --data DIR; it has a ledger once it has an \
                 account"
                    .into(),
            ),
            Self::ReceiptInvalid { .. } => Some(
                "is it the key of the server that has given the receipt, and the file as it was \
                 exported?"
                    .into(),
            ),
            Self::LedgerFault { .. } => Some(
                "keep a copy of the directory as it is, and ask whoever runs the server; nothing \
                 has been changed"
                    .into(),
            ),
            Self::ServerUnreachable { .. } => {
                Some("is the server running? give its address with --server HOST:PORT".into())
            }
            Self::Internal(_) => Some("this is a mistake in the program: please report it".into()),
        }
    }

    /// Writes `error: …` and, on a line of its own, `hint: …`. The text of `--help` and
    /// `--version` goes to the standard output instead.
    ///
    /// # Errors
    /// When `err` cannot be written to.
    pub fn report(&self, err: &mut impl io::Write) -> io::Result<()> {
        if let Self::CommandLine(error) = self
            && !error.use_stderr()
        {
            return error.print();
        }
        write_problem(err, &self.to_string(), self.hint().as_deref())
    }

    /// Reports on the standard error and gives up after a second if nobody reads it: the program
    /// must end, whatever became of the other side of its pipe.
    pub(crate) fn report_and_give_up(&self) {
        let mut text = Vec::new();
        // Memory takes everything; the standard output of `--help` has a reader or wants none.
        let _ = self.report(&mut text);
        write_and_give_up(text);
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
    /// The audit has found a fault.
    pub const AUDIT_FAULT: u8 = 8;
    /// The program itself failed: the journal could not be written, or there was a panic.
    pub const INTERNAL: u8 = 70;
}

/// One failure as everybody sees it: one line, and the hint on another.
pub(crate) fn write_problem(
    out: &mut impl io::Write,
    message: &str,
    hint: Option<&str>,
) -> io::Result<()> {
    // One write, so that lines of two threads do not mix.
    out.write_all(problem_text(message, hint).as_bytes())?;
    out.flush()
}

/// Writes to the standard error, but waits a second at most.
pub(crate) fn write_and_give_up(text: Vec<u8>) {
    let (done, written) = mpsc::channel();
    let write = move || {
        // Whoever closed our standard error still gets the exit code.
        let _ = io::stderr().write_all(&text);
        // Nobody waits any more: the time is over.
        let _ = done.send(());
    };
    if thread::Builder::new().name("report".into()).spawn(write).is_ok() {
        let _ = written.recv_timeout(REPORT_TIME_MAX);
    }
}

/// The parser writes a paragraph: what is wrong in its first line, then what it would take, a tip, and
/// how the program is called.
fn parser_message(paragraph: &str) -> &str {
    let line = paragraph.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

fn parser_hint(paragraph: &str) -> String {
    let mut lines = paragraph.lines().map(str::trim);
    let values = lines.clone().find_map(|line| {
        line.strip_prefix("[possible values: ")?
            .strip_suffix(']')
            .map(|values| format!("possible values: {values}"))
    });
    let tip = lines.find_map(|line| line.strip_prefix("tip: ")).map(str::to_owned);
    let hints: Vec<String> = tip.into_iter().chain(values).collect();
    if hints.is_empty() { "run with --help for all flags".into() } else { hints.join("; ") }
}

pub(crate) fn problem_text(message: &str, hint: Option<&str>) -> String {
    let mut text = format!("error: {}\n", printable(message));
    if let Some(hint) = hint {
        text.push_str("hint: ");
        text.push_str(&printable(hint));
        text.push('\n');
    }
    text
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn listen_hint(address: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program listens on {address}: stop it, or choose another port; port 0 picks a free one"
            )
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose a higher one".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: 127.0.0.1 is itself, 0.0.0.0 all of its \
             addresses"
                .into()
        }
        _ => "give an address of this machine, such as 127.0.0.1:8000".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_key::KeyFileProblem;

    fn report(error: &Error) -> String {
        let mut out = Vec::new();
        error.report(&mut out).expect("a Vec takes every text");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_failure_has_its_code_one_line_and_one_hint() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let path = || PathBuf::from("/data");
        let cause = || Cause::from("segment 3, offset 4096: wrong checksum");
        for (error, code, line) in [
            (Error::Usage { message: "m".into(), hint: "h".into() }, 2, "error: m"),
            (
                Error::ConfigUnreadable { path: path(), source: denied() },
                3,
                "error: cannot read the configuration file /data: permission denied",
            ),
            (
                Error::ConfigInvalid {
                    path: path(),
                    line: Some(2),
                    message: "m".into(),
                    hint: "h".into(),
                },
                3,
                "error: /data, line 2: m",
            ),
            (
                Error::listen(([127, 0, 0, 1], 80).into(), io::Error::from_raw_os_error(98)),
                4,
                "error: cannot listen on 127.0.0.1:80: address already in use",
            ),
            (
                Error::DataDirectory { path: path(), source: denied() },
                5,
                "error: cannot use the data directory /data: permission denied",
            ),
            (
                Error::DataDirectoryLocked { path: path() },
                5,
                "error: the data directory /data is in use by another process",
            ),
            (
                Error::ServerKey { path: path(), problem: KeyFileProblem::Exposed },
                5,
                "error: cannot use the server key /data: others than its owner may read it",
            ),
            (
                Error::JournalDamaged { path: path(), cause: cause() },
                6,
                "error: the journal in /data is damaged: segment 3, offset 4096: wrong checksum",
            ),
            (
                Error::JournalOfOther { path: path(), cause: "batch 3 is not signed".into() },
                5,
                "error: the server key in /data is not that of the journal: batch 3 is not signed",
            ),
            (
                Error::JournalNewer { path: path(), cause: "segment 3: version 9".into() },
                6,
                "error: cannot open the journal in /data: segment 3: version 9",
            ),
            (
                Error::OutcomesUnknown { payments: 2 },
                1,
                "error: payments whose outcome is unknown: 2",
            ),
            (
                Error::ServerUnreachable { address: "127.0.0.1:1".into(), source: denied() },
                7,
                "error: cannot reach the server at 127.0.0.1:1: permission denied",
            ),
            (
                Error::Unreadable { path: path(), source: denied() },
                5,
                "error: cannot read /data: permission denied",
            ),
            (Error::NoLedger { path: path() }, 5, "error: there is no ledger in /data"),
            (
                Error::ReceiptInvalid { path: path(), cause: "not signed".into() },
                8,
                "error: the receipt /data proves nothing: not signed",
            ),
            (
                Error::LedgerFault { path: path(), cause: cause() },
                8,
                "error: the ledger in /data fails the audit: segment 3, offset 4096: wrong checksum",
            ),
            (
                Error::JournalFailed { path: path(), cause: cause() },
                70,
                "error: the journal in /data cannot be written: segment 3, offset 4096: wrong \
                 checksum",
            ),
            (Error::Internal("m".into()), 70, "error: internal error: m"),
        ] {
            let text = report(&error);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(error.exit_code(), code, "{text}");
            assert_eq!(lines[0], line);
            assert!(lines[1].starts_with("hint: ") && lines[1].len() > "hint: ".len(), "{text}");
            assert_eq!(lines.len(), 2, "{text}");
        }
    }

    #[test]
    fn the_parsers_paragraph_becomes_a_line_and_a_hint() {
        let values = "error: invalid value 'x' for '--role <ROLE>'\n  [possible values: a, b]\n";
        let tip = "\n  tip: a similar value exists: 'a'\n";
        let more = "\nFor more information, try '--help'.\n";
        for (paragraph, message, hint) in [
            (
                format!("{values}{more}"),
                "invalid value 'x' for '--role <ROLE>'",
                "possible values: a, b",
            ),
            (
                format!("{values}{tip}{more}"),
                "invalid value 'x' for '--role <ROLE>'",
                "a similar value exists: 'a'; possible values: a, b",
            ),
            (
                format!("error: unexpected argument 'x' found\n\nUsage: node [OPTIONS]\n{more}"),
                "unexpected argument 'x' found",
                "run with --help for all flags",
            ),
            (String::new(), "", "run with --help for all flags"),
        ] {
            assert_eq!(parser_message(&paragraph), message);
            assert_eq!(parser_hint(&paragraph), hint);
        }
    }

    #[test]
    fn failed_commands_are_summed_up_in_one_line() {
        let error = Error::CommandsFailed { failed: 2, commands: 7 };
        assert_eq!(error.exit_code(), 1);
        assert_eq!(report(&error), "error: 2 of 7 commands failed\n");
    }

    #[test]
    fn a_cause_cannot_draw_on_the_screen() {
        let cause = Cause::from("\u{1b}[2Jgone\nerror: forged");
        let text = report(&Error::JournalDamaged { path: "/d".into(), cause });
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.lines().count(), 2, "{text:?}");
    }
}
