//! What to do about each error.

use std::io;

use actors::messages::{ConnectError, PayError};
use wire::admin::AdminProblem;
use wire::secure::Problem;

use super::Error;

impl Error {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bench { hint, .. } => hint.clone(),
            Self::OutcomesUnknown { .. } => {
                Some("what was said of each tells how to find out; do not pay again before".into())
            }
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
            Self::JournalCut { .. } => Some(
                "keep a copy of the directory as it is, then restore it from a later backup; if you have put an \
                 older journal there and mean it, remove index.redb, which is rebuilt"
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
            Self::Archiving { cause, .. } => Some(crate::archive::hint(cause).into()),
            Self::Backup { cause, .. } => Some(crate::backup::hint(cause).into()),
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
            Self::OnlyRestored(PayError::Connect(ConnectError::Refused(Problem::KeyRetired))) => Some(
                "another key has taken its place: restore that one from its own 24 words, into \
                 another profile"
                    .into(),
            ),
            Self::OnlyRestored(_) => Some(
                "nothing need be restored again: start the client once the server can be asked"
                    .into(),
            ),
            Self::AdminUnreachable { source, .. } => Some(admin_hint(source)),
            Self::AdminUnanswered { id: Some(id), .. } => Some(format!(
                "it may have been done: the same command with --id {id} does it only if it has not"
            )),
            Self::AdminUnanswered { id: None, .. } => {
                Some("look at the server's log, then ask again".into())
            }
            Self::AdminRefused(AdminProblem::Busy) => Some("try again later".into()),
            Self::AdminRefused(AdminProblem::ReadOnly) => {
                Some("look at the status: it says why, and whether that ends by itself".into())
            }
            Self::AdminRefused(AdminProblem::OutcomeUnknown) => Some(
                "start the server again when the disk is well; then the same command with the same \
                 --id does it only if it has not"
                    .into(),
            ),
            Self::CommandsFailed { .. } | Self::Terminal(_) | Self::AdminRefused(_) => None,
            Self::Internal(_) => Some("this is a mistake in the program: please report it".into()),
        }
    }
}

pub(super) fn parser_hint(paragraph: &str) -> String {
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

fn admin_hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "run it as the user that the server runs as, or as root",
        _ => "is the server running? give its directory with --data DIR",
    }
    .into()
}

fn listen_hint(address: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program listens on {address}: stop it, or choose another port; port 0 \
                 picks a free one"
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
