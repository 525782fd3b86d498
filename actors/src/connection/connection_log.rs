//! What one session writes to the log, and how much of it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use slog::{Logger, debug, info, o, warn};
use wire::{AccountId, Username};

use super::log_budget::LogBudget;

/// The log of a session, with its peer and, once one is logged in, its user.
#[derive(Debug)]
pub(crate) struct ConnectionLog {
    connection: Logger,
    user: Option<Logger>,
    budget: LogBudget,
}

impl ConnectionLog {
    pub(crate) fn new(connection: Logger) -> Self {
        Self { connection, user: None, budget: LogBudget::default() }
    }

    /// The log in the context of now, for lines that come once a session.
    pub(crate) fn now(&self) -> &Logger {
        self.user.as_ref().unwrap_or(&self.connection)
    }

    /// `address` is where peers reach the account, if it is on the list.
    pub(crate) fn logged_in(
        &mut self,
        name: &Username,
        account: AccountId,
        address: Option<SocketAddr>,
    ) {
        let user = o!("user" => name.to_string(), "account" => account.get());
        self.user = Some(self.connection.new(user));
        self.limited(|log| match address {
            Some(address) => info!(log, "logged in"; "address" => address),
            None => info!(log, "logged in, unlisted"),
        });
    }

    /// Another session has taken the account.
    pub(crate) fn replaced(&mut self) {
        self.limited(|log| info!(log, "logged in from elsewhere"));
        self.user = None;
    }

    pub(crate) fn warning(&mut self, what: &str) {
        self.limited(|log| warn!(log, "{}", what));
    }

    /// What was to be written could not be.
    pub(crate) fn broken(&self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::TimedOut => warn!(self.now(), "the peer does not read, closing"),
            _ => debug!(self.now(), "connection broken"; "error" => %error),
        }
    }

    pub(crate) fn ended(&self) {
        self.tell_withheld(self.budget.withheld());
        match &self.user {
            Some(log) => info!(log, "logged out"),
            None => debug!(self.connection, "disconnected"),
        }
    }

    /// Writes one more line if there may be one; says how many were withheld before it.
    pub(crate) fn limited(&mut self, write: impl FnOnce(&Logger)) {
        let withheld = self.budget.spend(Instant::now());
        self.tell_withheld(withheld.unwrap_or(0));
        if withheld.is_some() {
            write(self.now());
        }
    }

    /// Counts lines that would be too many in any case.
    pub(crate) const fn withhold(&mut self, lines: u64) {
        self.budget.withhold(lines);
    }

    fn tell_withheld(&self, count: u64) {
        if count > 0 {
            info!(self.now(), "requests were not logged one by one"; "count" => count);
        }
    }
}
