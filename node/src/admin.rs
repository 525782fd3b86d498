//! The operator's program: one command to a running server, over the socket in its data directory.

mod link;
mod view;

use std::path::Path;

use rand::RngExt as _;
use wire::OperatorId;
use wire::admin::{ADMIN_PAGE_MAX, AdminAnswer, AdminCall, AdminProblem, OnlineAccount};

use self::link::{Link, LinkError};
use crate::announce;
use crate::config::{AdminCommand, AdminConfig, Movement};
use crate::error::Error;

/// Does the command, and tells on the standard output what came of it.
///
/// # Errors
/// [`Error::AdminUnreachable`] if no server runs there, [`Error::AdminUnanswered`] if it does not answer,
/// [`Error::AdminRefused`] if it says no, [`Error::LedgerFault`] if the audit has found a fault.
pub(crate) fn run(config: AdminConfig) -> Result<(), Error> {
    let AdminConfig { data_dir, command, json } = config;
    let (call, id) = call_of(command);
    let failed = |error| failure(&data_dir, error, id.as_ref());
    let mut link = Link::connect(&data_dir).map_err(failed)?;
    let mut answer = link.ask(&call).map_err(failed)?;
    if let AdminAnswer::Online { people, more } = &mut answer {
        // Each page begins behind the last name of the one before.
        while *more {
            let after = people.last().map(|person| person.name.clone());
            let next = AdminCall::Online { after, limit: ADMIN_PAGE_MAX };
            let AdminAnswer::Online { people: next, more: again } =
                link.ask(&next).map_err(failed)?
            else {
                return Err(failed(LinkError::OtherAnswer));
            };
            *more = again && !next.is_empty();
            people.extend::<Vec<OnlineAccount>>(next);
        }
    }
    if answer == AdminAnswer::Draining {
        link.wait_for_end().map_err(failed)?;
    }
    announce::line(&if json { view::json(&answer) } else { view::words(&answer) });
    Ok(())
}

/// The call, and the id of what is moved.
fn call_of(command: AdminCommand) -> (AdminCall, Option<OperatorId>) {
    let call = match command {
        AdminCommand::Status => AdminCall::Status,
        AdminCommand::Online => AdminCall::Online { after: None, limit: ADMIN_PAGE_MAX },
        AdminCommand::Deposit(Movement { account, amount, id }) => {
            let id = id.unwrap_or_else(new_id);
            return (AdminCall::Deposit { account, amount, id: id.clone() }, Some(id));
        }
        AdminCommand::Withdraw(Movement { account, amount, id }) => {
            let id = id.unwrap_or_else(new_id);
            return (AdminCall::Withdraw { account, amount, id: id.clone() }, Some(id));
        }
        AdminCommand::Freeze { account, reason } => AdminCall::Freeze { account, reason },
        AdminCommand::Unfreeze { account } => AdminCall::Unfreeze { account },
        AdminCommand::Drain => AdminCall::Drain,
        AdminCommand::Snapshot => AdminCall::Snapshot,
        AdminCommand::Verify => AdminCall::Verify,
        AdminCommand::Backup { to } => AdminCall::Backup { to },
    };
    (call, None)
}

/// An id that nobody has used. Told before it is: who hears no answer can ask again with it.
fn new_id() -> OperatorId {
    let id = format!("{:032x}", rand::rng().random::<u128>());
    eprintln!("id {id}");
    id.parse().expect("hexadecimal digits are an id")
}

fn failure(data_dir: &Path, error: LinkError, id: Option<&OperatorId>) -> Error {
    match error {
        LinkError::Connect(source) => Error::AdminUnreachable { path: data_dir.to_owned(), source },
        LinkError::Problem(AdminProblem::Fault(fault)) => {
            Error::LedgerFault { path: data_dir.to_owned(), cause: fault.into() }
        }
        LinkError::Problem(problem) => Error::AdminRefused(problem),
        error => Error::AdminUnanswered { cause: error.into(), id: id.cloned() },
    }
}
