//! What an operator's program is told: one command, in words behind the flags.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use wire::{Amount, FreezeReason, OperatorId, Username};

use super::default_data_dir;
use crate::cli::{AdminFlags, Flags};
use crate::error::Error;

/// The flags that it has.
pub(super) const FLAGS: &[&str] = &["data", "words", "id", "reason", "json"];

/// What an operator's program needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// The data directory of the server.
    pub data_dir: PathBuf,
    /// What to do there.
    pub command: AdminCommand,
    /// Whether to print JSON instead of words.
    pub json: bool,
}

/// What to do at a running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Say how it is.
    Status,
    /// Say who is online.
    Online,
    /// Issue credits to an account.
    Deposit(Movement),
    /// Take credits of an account back.
    Withdraw(Movement),
    /// Let an account pay nobody.
    Freeze {
        /// Whose.
        account: Username,
        /// For people.
        reason: FreezeReason,
    },
    /// Let it pay again.
    Unfreeze {
        /// Whose.
        account: Username,
    },
    /// Stop it, when all is answered.
    Drain,
    /// Have a snapshot kept.
    Snapshot,
    /// Have the journal audited.
    Verify,
    /// Have the ledger backed up.
    Backup {
        /// The directory of the copies, from the root.
        to: String,
    },
}

/// Credits that an operator moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Whose account.
    pub account: Username,
    /// How much.
    pub amount: Amount,
    /// What names it; `None` for one of its own.
    pub id: Option<OperatorId>,
}

/// What the words behind the flags say.
pub(super) fn config(
    flags: Flags,
    AdminFlags { id, reason }: AdminFlags,
    json: bool,
    words: &[OsString],
) -> Result<AdminConfig, Error> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let words = words.ok_or_else(|| refusal("a word is no text", HINT))?;
    let (has_id, has_reason) = (id.is_some(), reason.is_some());
    let command = match *words {
        ["status"] => AdminCommand::Status,
        ["online"] => AdminCommand::Online,
        ["deposit", account, amount] => AdminCommand::Deposit(movement(account, amount, id)?),
        ["withdraw", account, amount] => AdminCommand::Withdraw(movement(account, amount, id)?),
        ["freeze", account] => {
            let reason = reason.unwrap_or_default();
            AdminCommand::Freeze { account: name(account)?, reason }
        }
        ["unfreeze", account] => AdminCommand::Unfreeze { account: name(account)? },
        ["drain"] => AdminCommand::Drain,
        ["snapshot"] => AdminCommand::Snapshot,
        ["verify"] => AdminCommand::Verify,
        ["backup", to] => AdminCommand::Backup { to: from_root(to)? },
        ["deposit" | "withdraw", ..] => {
            return Err(refusal(&format!("{} takes a name and an amount", words[0]), HINT));
        }
        ["freeze" | "unfreeze", ..] => {
            return Err(refusal(&format!("{} takes a name", words[0]), HINT));
        }
        ["backup", ..] => return Err(refusal("backup takes a directory", HINT)),
        _ => return Err(refusal("it is not said what to do at the server", HINT)),
    };
    if has_id && !matches!(command, AdminCommand::Deposit(_) | AdminCommand::Withdraw(_)) {
        return Err(refusal(&format!("--id means nothing to {}", words[0]), "leave it out"));
    }
    if has_reason && !matches!(command, AdminCommand::Freeze { .. }) {
        return Err(refusal(&format!("--reason means nothing to {}", words[0]), "leave it out"));
    }
    let data_dir = flags.data.map_or_else(default_data_dir, Ok)?;
    Ok(AdminConfig { data_dir, command, json })
}

const HINT: &str = "--role admin --data DIR, and one of: status, online, deposit NAME AMOUNT, \
                    withdraw NAME AMOUNT, freeze NAME, unfreeze NAME, drain, snapshot, verify, \
                    backup DIR";

fn movement(account: &str, amount: &str, id: Option<OperatorId>) -> Result<Movement, Error> {
    let parsed = Amount::from_str(amount).ok().filter(|amount| !amount.is_zero());
    let amount = parsed.ok_or_else(|| {
        refusal(
            &format!("{amount} is no amount to move"),
            "write a whole number of credits, 1 or more, in digits",
        )
    })?;
    Ok(Movement { account: name(account)?, amount, id })
}

/// The server may have another working directory.
fn from_root(path: &str) -> Result<String, Error> {
    let path =
        std::path::absolute(path).ok().and_then(|path| path.into_os_string().into_string().ok());
    path.ok_or_else(|| refusal("the directory of a backup is a path in UTF-8", "choose another"))
}

fn name(text: &str) -> Result<Username, Error> {
    Username::from_typed(text)
        .map_err(|error| refusal(&format!("{text:?} is no name: {error}"), "check the name"))
}

fn refusal(message: &str, hint: &str) -> Error {
    Error::Usage { message: message.into(), hint: hint.into() }
}
