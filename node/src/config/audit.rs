//! What an audit is told: words behind the flags, since it has two quite different jobs.

use std::ffi::OsString;
use std::path::PathBuf;

use wire::PublicKey;

use super::default_data_dir;
use crate::cli::Flags;
use crate::error::Error;

/// What to audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditConfig {
    /// One receipt, by itself.
    Receipt {
        /// Its file.
        file: PathBuf,
        /// The key of the server that is to have signed it.
        server_key: PublicKey,
    },
    /// A whole ledger.
    Ledger {
        /// Its directory.
        data_dir: PathBuf,
        /// Where its old segments are, if they were moved.
        archived: Option<PathBuf>,
        /// The key of its server; `None` for the one in the directory.
        server_key: Option<PublicKey>,
        /// The files of receipts that it must hold.
        against: Vec<PathBuf>,
    },
}

/// What the words behind the flags say.
pub(super) fn config(
    flags: Flags,
    words: &[OsString],
    against: Vec<PathBuf>,
    archived: Option<PathBuf>,
    typed: &[String],
) -> Result<AuditConfig, Error> {
    const HINT: &str = "--role audit receipt FILE --server-key KEY, or --role audit ledger";
    let refuse = |message: &str, hint: &str| {
        Err(Error::Usage { message: message.into(), hint: hint.into() })
    };
    let (what, rest) =
        words.split_first().map_or((None, words), |(what, rest)| (what.to_str(), rest));
    match (what, rest) {
        (Some("receipt"), [file]) => {
            if let Some(id) =
                typed.iter().find(|id| ["data", "against", "archived"].contains(&id.as_str()))
            {
                return refuse(
                    &format!("--{id} means nothing to the audit of a receipt"),
                    "leave it out; it belongs to --role audit ledger",
                );
            }
            let Some(server_key) = flags.server_key else {
                return refuse(
                    "a receipt can be checked only with the server's key",
                    "add --server-key KEY, the key that the server prints when it starts",
                );
            };
            Ok(AuditConfig::Receipt { file: file.into(), server_key })
        }
        (Some("receipt"), _) => refuse("audit receipt takes the file of one receipt", HINT),
        (Some("ledger"), []) => Ok(AuditConfig::Ledger {
            data_dir: flags.data.map_or_else(default_data_dir, Ok)?,
            archived,
            server_key: flags.server_key,
            against,
        }),
        (Some("ledger"), _) => refuse(
            "audit ledger takes no more words",
            "the directory is given with --data DIR, receipts with --against RECEIPT",
        ),
        _ => refuse("an audit is of a receipt or of a ledger", HINT),
    }
}
