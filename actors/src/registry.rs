//! The Registry: who is online and where.
//!
//! Which names exist is the ledger's knowledge; the registry asks it at each log-in. Every session
//! says goodbye when it ends, however it ends, so nobody stays on the list who is gone.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use slog::{Logger, debug, o};
use wire::text::reply::write_list_line;
use wire::{Access, AccountId, P2pPort, Username};

use crate::ledger::state::{Command, Outcome};
use crate::messages::{
    LedgerUnavailable, ListOnline, LogIn, LogInRefusal, LogOut, NotifyAccounts, OnlineList,
    SessionId, SessionNotice, Submit,
};

/// The actor that knows who is online. One per server.
#[derive(Debug)]
pub struct Registry {
    ledger: Recipient<Submit>,
    online: BTreeMap<Username, Presence>,
    by_session: HashMap<SessionId, Username>,
    /// Sessions whose log-in waits for the ledger: one that ends meanwhile must not come online.
    logging_in: HashMap<SessionId, usize>,
    /// The list as it was last written, until somebody comes or goes.
    list: Option<OnlineList>,
    log: Logger,
}

/// One account that is logged in.
#[derive(Debug)]
struct Presence {
    session: SessionId,
    attempt: u64,
    address: SocketAddr,
    notices: WeakRecipient<SessionNotice>,
}

impl Registry {
    /// A registry that nobody is on yet.
    pub fn new(ledger: Recipient<Submit>, log: &Logger) -> Self {
        Self {
            ledger,
            online: BTreeMap::new(),
            by_session: HashMap::new(),
            logging_in: HashMap::new(),
            list: None,
            log: log.new(o!("actor" => "registry")),
        }
    }

    fn come_online(&mut self, log_in: LogIn) {
        let LogIn { session, attempt, name, address, notices } = log_in;
        self.list = None;
        self.leave(session);
        debug!(self.log, "on the list"; "user" => %name, "address" => %address);
        let presence = Presence { session, attempt, address, notices };
        self.by_session.insert(session, name.clone());
        if let Some(replaced) = self.online.insert(name.clone(), presence) {
            self.by_session.remove(&replaced.session);
            debug!(self.log, "an earlier log-in is replaced"; "user" => %name,
                "address" => %replaced.address);
            if let Some(notices) = replaced.notices.upgrade() {
                notices.do_send(SessionNotice::Replaced { attempt: replaced.attempt });
            }
        }
    }

    fn leave(&mut self, session: SessionId) {
        if let Some(name) = self.by_session.remove(&session) {
            self.online.remove(&name);
            self.list = None;
            debug!(self.log, "off the list"; "user" => %name);
        }
    }

    /// Takes back the mark of one log-in. Whether the session is still there.
    fn end_logging_in(&mut self, session: SessionId) -> bool {
        match self.logging_in.get_mut(&session) {
            None => false,
            Some(1) => self.logging_in.remove(&session).is_some(),
            Some(count) => {
                *count -= 1;
                true
            }
        }
    }

    fn write_list(&self) -> OnlineList {
        let mut lines = String::new();
        for (name, presence) in &self.online {
            let port = P2pPort::try_from(presence.address.port())
                .expect("the session has parsed the port of its log-in");
            write_list_line(name, presence.address.ip(), port, &mut lines);
        }
        OnlineList { count: self.online.len(), lines: Arc::from(lines) }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}

impl Handler<LogIn> for Registry {
    type Result = ResponseActFuture<Self, Result<AccountId, LogInRefusal>>;

    fn handle(&mut self, log_in: LogIn, _: &mut Self::Context) -> Self::Result {
        let session = log_in.session;
        *self.logging_in.entry(session).or_insert(0) += 1;
        let found = self.ledger.send(Submit(vec![Command::FindAccount(log_in.name.clone())]));
        Box::pin(found.into_actor(self).map(move |found, registry, _| {
            let still_there = registry.end_logging_in(session);
            let account = open_account(found)?;
            if still_there {
                registry.come_online(log_in);
            } else {
                debug!(registry.log, "a session ended while it logged in"; "user" => %log_in.name);
            }
            Ok(account)
        }))
    }
}

fn open_account(
    found: Result<Result<Vec<Outcome>, LedgerUnavailable>, MailboxError>,
) -> Result<AccountId, LogInRefusal> {
    let outcomes = found.unwrap_or(Err(LedgerUnavailable::Stopping))?;
    match outcomes.first() {
        Some(Outcome::Found(Some((account, Access::Open)))) => Ok(*account),
        Some(Outcome::Found(Some((_, Access::Keyed(_))))) => Err(LogInRefusal::KeyRequired),
        _ => Err(LogInRefusal::UnknownName),
    }
}

impl Handler<LogOut> for Registry {
    type Result = ();

    fn handle(&mut self, LogOut(session): LogOut, _: &mut Self::Context) {
        self.logging_in.remove(&session);
        self.leave(session);
    }
}

impl Handler<ListOnline> for Registry {
    type Result = OnlineList;

    fn handle(&mut self, ListOnline: ListOnline, _: &mut Self::Context) -> OnlineList {
        match &self.list {
            Some(list) => list.clone(),
            None => self.list.insert(self.write_list()).clone(),
        }
    }
}

impl Handler<NotifyAccounts> for Registry {
    type Result = ();

    fn handle(&mut self, NotifyAccounts(lines): NotifyAccounts, _: &mut Self::Context) {
        for (name, line) in lines {
            let notices = self.online.get(&name).and_then(|presence| presence.notices.upgrade());
            if let Some(notices) = notices {
                notices.do_send(SessionNotice::Line(line));
            }
        }
    }
}

#[cfg(test)]
mod tests;
