//! What one session writes to the log, and how much of it.

use std::net::SocketAddr;
use std::time::Instant;

use slog::{Logger, debug, info, o, warn};
use wire::text::{Dialect, Reply};
use wire::{AccountId, Username};

use super::conversation::Report;
use super::log_budget::LogBudget;

/// The log of a session, with its peer and, once one is logged in, its user.
#[derive(Debug)]
pub(super) struct SessionLog {
    connection: Logger,
    user: Option<Logger>,
    budget: LogBudget,
}

impl SessionLog {
    pub(super) fn new(connection: Logger) -> Self {
        Self { connection, user: None, budget: LogBudget::default() }
    }

    /// The log in the context of now, for lines that come once a session.
    pub(super) fn now(&self) -> &Logger {
        self.user.as_ref().unwrap_or(&self.connection)
    }

    pub(super) fn logged_in(&mut self, name: &Username, account: AccountId, address: SocketAddr) {
        let user = o!("user" => name.to_string(), "account" => account.get());
        self.user = Some(self.connection.new(user));
        if self.may_log() {
            info!(self.now(), "logged in"; "address" => address);
        }
    }

    /// Another session has taken the account.
    pub(super) fn replaced(&mut self) {
        if self.may_log() {
            info!(self.now(), "logged in from elsewhere");
        }
        self.user = None;
    }

    pub(super) fn report(&mut self, report: &Report) {
        if !self.may_log() {
            return;
        }
        let log = self.now();
        match report {
            Report::Opening(name, Ok(())) => info!(log, "account opened"; "name" => %name),
            Report::Opening(name, Err(refusal)) => {
                info!(log, "account refused"; "name" => %name, "why" => %refusal);
            }
            Report::UnfitName(name, why) => {
                info!(log, "account refused"; "name" => %name, "why" => %why);
            }
            Report::Payment(payment, Ok(())) => {
                info!(log, "payment settled"; "payer" => %payment.payer,
                    "payee" => %payment.payee, "amount" => %payment.amount);
            }
            Report::Payment(payment, Err(refusal)) => {
                info!(log, "payment refused"; "payer" => %payment.payer,
                    "payee" => %payment.payee, "amount" => %payment.amount, "why" => %refusal);
            }
            Report::Invalid(Reply::Refused(refusal)) => {
                info!(log, "payment refused"; "why" => %refusal);
            }
            Report::Invalid(reply) => {
                let reply = reply.line(Dialect::Seed).trim_end();
                warn!(log, "request refused"; "reply" => reply);
            }
        }
    }

    pub(super) fn warning(&mut self, what: &str) {
        if self.may_log() {
            warn!(self.now(), "{}", what);
        }
    }

    pub(super) fn ended(&self) {
        self.tell_withheld(self.budget.withheld());
        match &self.user {
            Some(log) => info!(log, "logged out"),
            None => debug!(self.connection, "disconnected"),
        }
    }

    /// Whether there may be one more line; says how many there were not.
    fn may_log(&mut self) -> bool {
        let withheld = self.budget.spend(Instant::now());
        self.tell_withheld(withheld.unwrap_or(0));
        withheld.is_some()
    }

    fn tell_withheld(&self, count: u64) {
        if count > 0 {
            info!(self.now(), "requests were not logged one by one"; "count" => count);
        }
    }
}
