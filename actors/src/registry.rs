//! The Registry: who is online and where.
//!
//! Which names exist is the ledger's knowledge; the registry asks it at each log-in of a text
//! session. A secure session has asked it already, and its peer has shown the account's key. Every
//! session says goodbye when it ends, however it ends, so nobody stays on the list who is gone.

mod text_list;
mod watches;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Bound;

use actix::WeakRecipient;
use actix::prelude::*;
use slog::{Logger, debug, o};
use wire::admin::{ADMIN_PAGE_MAX, OnlineAccount};
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::secure::{Event, OnlinePeer};
use wire::{Access, AccountId, P2pPort, PublicKey, Username};

use self::text_list::TextList;
use self::watches::Watches;
use crate::fail_stop::FailStop;
use crate::ledger::state::{Command, Outcome};
use crate::messages::{
    FindOnline, LedgerUnavailable, ListOnline, LogIn, LogInKeyed, LogInRefusal, LogOut,
    NotifyAccounts, NotifyParties, OnlineList, OnlinePage, PresentPage, ReadOnline, ReadPresent,
    RetireKey, SessionId, SessionNotice, Submit, WatchNames, WatchRefusal,
};

/// The actor that knows who is online. One per server.
#[derive(Debug)]
pub struct Registry {
    ledger: Recipient<Submit>,
    online: BTreeMap<Username, Presence>,
    by_session: HashMap<SessionId, Username>,
    /// Sessions whose log-in waits for the ledger: one that ends meanwhile must not come online.
    logging_in: HashMap<SessionId, usize>,
    /// Those of them that are on the list, as the text protocol writes it.
    list: TextList,
    watches: Watches,
    /// Held until it is dropped.
    _fail_stop: Option<FailStop>,
    log: Logger,
}

/// One account that is logged in.
#[derive(Debug)]
struct Presence {
    session: SessionId,
    attempt: u64,
    /// The key that the session's peer holds; `None` for an open account.
    key: Option<PublicKey>,
    /// Where peers reach it; `None` if it is not on the list.
    address: Option<SocketAddr>,
    notices: WeakRecipient<SessionNotice>,
}

impl Presence {
    /// As others see it, if they do.
    fn listed(&self, name: &Username) -> Option<OnlinePeer> {
        let address = self.address?;
        Some(OnlinePeer { name: name.clone(), key: self.key, address })
    }

    /// Tells the session, if it is still there.
    fn tell(&self, notice: SessionNotice) {
        if let Some(notices) = self.notices.upgrade() {
            notices.do_send(notice);
        }
    }
}

impl Registry {
    /// A registry that nobody is on yet.
    pub fn new(ledger: Recipient<Submit>, log: &Logger) -> Self {
        Self {
            ledger,
            online: BTreeMap::new(),
            by_session: HashMap::new(),
            logging_in: HashMap::new(),
            list: TextList::default(),
            watches: Watches::default(),
            _fail_stop: None,
            log: log.new(o!("actor" => "registry")),
        }
    }

    /// The same, whose panic is the process's end: half a log-in must not be built upon, and without a
    /// registry nobody comes online or is told of a payment.
    #[must_use]
    pub fn with_fail_stop(self, fail_stop: FailStop) -> Self {
        Self { _fail_stop: Some(fail_stop), ..self }
    }

    fn come_online(&mut self, name: &Username, presence: Presence) {
        let session = presence.session;
        let before = self.find(name).and_then(|known| known.listed(name));
        if self.by_session.get(&session) != Some(name) {
            self.leave(session);
        }
        match presence.address {
            Some(address) => self.list.put(name, address.ip(), listed_port(address)),
            None => self.list.remove(name),
        }
        debug!(self.log, "online"; "user" => %name, "address" => ?presence.address);
        let listed = presence.listed(name);
        self.by_session.insert(session, name.clone());
        let replaced = self.online.insert(name.clone(), presence);
        if let Some(replaced) = replaced.filter(|replaced| replaced.session != session) {
            self.by_session.remove(&replaced.session);
            self.watches.remove(replaced.session);
            debug!(self.log, "an earlier log-in is replaced"; "user" => %name,
                "address" => ?replaced.address);
            replaced.tell(SessionNotice::Replaced { attempt: replaced.attempt });
        }
        if let Some(peer) = listed
            && before.as_ref() != Some(&peer)
        {
            self.tell_watchers(&peer);
        }
    }

    fn leave(&mut self, session: SessionId) {
        if let Some(name) = self.by_session.remove(&session) {
            self.online.remove(&name);
            self.watches.remove(session);
            self.list.remove(&name);
            debug!(self.log, "offline"; "user" => %name);
        }
    }

    fn find(&self, name: &Username) -> Option<&Presence> {
        self.online.get(name)
    }

    /// Tells whoever watches this name that it has come on the list.
    fn tell_watchers(&self, peer: &OnlinePeer) {
        for session in self.watches.watchers(&peer.name) {
            let watcher = self.by_session.get(&session).and_then(|name| self.find(name));
            if let Some(watcher) = watcher {
                watcher.tell(SessionNotice::Event(Event::PeerOnline(peer.clone())));
            }
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
}

fn listed_port(address: SocketAddr) -> P2pPort {
    P2pPort::try_from(address.port()).expect("the session has parsed the port of its log-in")
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
                let LogIn { session, attempt, name, address, notices } = log_in;
                let address = Some(address);
                let presence = Presence { session, attempt, key: None, address, notices };
                registry.come_online(&name, presence);
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
        self.list.read()
    }
}

impl Handler<NotifyAccounts> for Registry {
    type Result = ();

    fn handle(&mut self, NotifyAccounts(lines): NotifyAccounts, _: &mut Self::Context) {
        for (name, line) in lines {
            if let Some(presence) = self.find(&name) {
                presence.tell(SessionNotice::Line(line));
            }
        }
    }
}

impl Handler<LogInKeyed> for Registry {
    type Result = ();

    fn handle(&mut self, log_in: LogInKeyed, _: &mut Self::Context) {
        let LogInKeyed { session, attempt, name, key, address, notices } = log_in;
        let presence = Presence { session, attempt, key: Some(key), address, notices };
        self.come_online(&name, presence);
    }
}

impl Handler<ReadOnline> for Registry {
    type Result = OnlinePage;

    fn handle(
        &mut self,
        ReadOnline { after, limit }: ReadOnline,
        _: &mut Self::Context,
    ) -> OnlinePage {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = self
            .online
            .range((begin, Bound::Unbounded))
            .filter_map(|(name, presence)| presence.listed(name));
        let limit = usize::try_from(limit.min(PAGE_ITEMS_MAX)).unwrap_or(usize::MAX);
        let peers = listed.by_ref().take(limit).collect();
        OnlinePage { peers, more: listed.next().is_some() }
    }
}

impl Handler<ReadPresent> for Registry {
    type Result = PresentPage;

    fn handle(
        &mut self,
        ReadPresent { after, limit }: ReadPresent,
        _: &mut Self::Context,
    ) -> PresentPage {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut present = self.online.range((begin, Bound::Unbounded));
        let limit = usize::try_from(limit.min(ADMIN_PAGE_MAX)).unwrap_or(usize::MAX);
        let people = present.by_ref().take(limit).map(|(name, presence)| OnlineAccount {
            name: name.clone(),
            key: presence.key,
            address: presence.address,
        });
        let people = people.collect();
        PresentPage { people, more: present.next().is_some(), online: self.online.len() as u64 }
    }
}

impl Handler<FindOnline> for Registry {
    type Result = Option<SocketAddr>;

    fn handle(&mut self, FindOnline(name): FindOnline, _: &mut Self::Context) -> Self::Result {
        self.find(&name)?.address
    }
}

impl Handler<WatchNames> for Registry {
    type Result = Result<Vec<OnlinePeer>, WatchRefusal>;

    fn handle(
        &mut self,
        WatchNames { session, names }: WatchNames,
        _: &mut Self::Context,
    ) -> Self::Result {
        if !self.by_session.contains_key(&session) {
            return Err(WatchRefusal::NotLoggedIn);
        }
        let names = self.watches.watch(session, names)?;
        Ok(names.iter().filter_map(|name| self.find(name)?.listed(name)).collect())
    }
}

impl Handler<NotifyParties> for Registry {
    type Result = ();

    fn handle(&mut self, NotifyParties(events): NotifyParties, _: &mut Self::Context) {
        for (name, event) in events {
            if let Some(presence) = self.find(&name) {
                presence.tell(SessionNotice::Event(event));
            }
        }
    }
}

impl Handler<RetireKey> for Registry {
    type Result = ();

    fn handle(&mut self, RetireKey { name, key }: RetireKey, _: &mut Self::Context) {
        // Somebody may have logged in with the new key already.
        let Some(presence) = self.find(&name).filter(|presence| presence.key == Some(key)) else {
            return;
        };
        presence.tell(SessionNotice::KeyRetired);
        self.leave(presence.session);
    }
}

#[cfg(test)]
mod tests;
