//! What only asks the server or the store: nothing is signed and nothing is moved.

use std::cmp::Reverse;

use actix::prelude::*;
use slog::info;
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::secure::{Answer, Call, OnlinePeer, OwnAccount, Problem};

use super::connection::{self, ServerClock};
use super::payment::NONSENSE;
use super::store::{Change, ClosedRecord, KnownPeer};
use super::{Listening, Reply, SecureWallet, ask};
use crate::messages::{
    AskServer, CallError, ComeOnline, HistoryPage, OpenAccount, Overview, PayError, Payment,
    PaymentState, ReadOverview, ReadOwnHistory, ReadPayments, SayGoodbye, TrustPeer,
};

/// The most peers that are read for one overview: as many as the text protocol's list is believed to have.
const OVERVIEW_PEERS_MAX: usize = 100_000;

/// What an answer says that should be of some kind.
pub(super) fn expect<T>(
    answer: Result<Answer, CallError>,
    take: impl FnOnce(Answer) -> Option<T>,
) -> Result<T, PayError> {
    match answer {
        Ok(answer) => take(answer).ok_or_else(|| PayError::ServerSilent(NONSENSE.to_owned())),
        Err(CallError::Problem(Problem::NoAccount)) => Err(PayError::NoAccount),
        Err(CallError::Problem(problem)) => Err(PayError::Problem(problem)),
        Err(error) => Err(PayError::ServerSilent(error.to_string())),
    }
}

impl SecureWallet {
    fn call<T: 'static>(
        &mut self,
        call: Call,
        ctx: &mut Context<Self>,
        take: impl FnOnce(Answer) -> Option<T> + 'static,
    ) -> Reply<Result<T, PayError>> {
        let asked = self.connected(ctx).then(|link, wallet, _| {
            async { Ok::<_, PayError>(ask(&link?, call).await) }.into_actor(wallet)
        });
        Box::pin(asked.map(|answer, _, _| expect(answer?, take)))
    }
}

impl Handler<OpenAccount> for SecureWallet {
    type Result = Reply<Result<OwnAccount, PayError>>;

    fn handle(&mut self, OpenAccount(name): OpenAccount, ctx: &mut Self::Context) -> Self::Result {
        let opened = self.call(Call::Register { name: name.clone() }, ctx, |answer| match answer {
            Answer::Registered(own) => Some(own),
            _ => None,
        });
        // An answer that is lost may have been "registered": a new connection's welcome tells.
        let opened = opened.then(|opened, wallet, ctx| match opened {
            Err(PayError::ServerSilent(reason)) => {
                wallet.drop_connection();
                let connected = wallet.connected(ctx);
                let found: Reply<_> = Box::pin(connected.map(move |link, wallet, _| {
                    link?;
                    let own = wallet.account.clone().filter(|own| own.name == name);
                    own.ok_or(PayError::ServerSilent(reason))
                }));
                found
            }
            opened => Box::pin(async { opened }.into_actor(wallet)),
        });
        Box::pin(opened.map(|opened, wallet, _| {
            let own = opened?;
            info!(wallet.log, "account opened"; "name" => %own.name);
            wallet.account = Some(own.clone());
            Ok(own)
        }))
    }
}

impl Handler<ComeOnline> for SecureWallet {
    type Result = Reply<Result<OwnAccount, PayError>>;

    fn handle(&mut self, ComeOnline(port): ComeOnline, ctx: &mut Self::Context) -> Self::Result {
        let logged_in = self.call(Call::LogIn { port }, ctx, |answer| match answer {
            Answer::LoggedIn(own) => Some(own),
            _ => None,
        });
        Box::pin(logged_in.map(move |own, wallet, ctx| {
            let own = own?;
            info!(wallet.log, "logged in"; "name" => %own.name);
            wallet.forget_log_in(ctx);
            wallet.account = Some(own.clone());
            wallet.online = Some(Listening(port));
            Ok(own)
        }))
    }
}

impl Handler<ReadOverview> for SecureWallet {
    type Result = Reply<Result<Overview, PayError>>;

    fn handle(&mut self, ReadOverview: ReadOverview, ctx: &mut Self::Context) -> Self::Result {
        let asked = self.connected(ctx).then(|link, wallet, _| {
            let listed = wallet.online.is_some();
            async move {
                let link = link?;
                let balance = expect(ask(&link, Call::ReadBalance).await, |answer| match answer {
                    Answer::Balance { amount, now } => Some((amount, now)),
                    _ => None,
                })?;
                let peers = if listed { Some(read_peers(&link).await?) } else { None };
                Ok::<_, PayError>((balance, peers))
            }
            .into_actor(wallet)
        });
        Box::pin(asked.map(|asked, wallet, _| {
            let ((balance, now), peers) = asked?;
            wallet.clock = Some(ServerClock::heard(now));
            let own = wallet.account.as_mut().ok_or(PayError::NoAccount)?;
            own.balance = balance;
            Ok(Overview { account: own.clone(), peers })
        }))
    }
}

async fn read_peers(link: &Recipient<AskServer>) -> Result<Vec<OnlinePeer>, PayError> {
    let mut peers: Vec<OnlinePeer> = Vec::new();
    loop {
        let after = peers.last().map(|peer| peer.name.clone());
        let call = Call::ListOnline { after: after.clone(), limit: PAGE_ITEMS_MAX };
        let (page, more) = expect(ask(link, call).await, |answer| match answer {
            Answer::Online { peers, more } => Some((peers, more)),
            _ => None,
        })?;
        // A list that does not go on would never end.
        let goes_on = page.first().is_none_or(|first| after.is_none_or(|last| last < first.name));
        if !goes_on || (more && page.is_empty()) {
            return Err(PayError::ServerSilent(NONSENSE.to_owned()));
        }
        peers.extend(page);
        if !more || peers.len() >= OVERVIEW_PEERS_MAX {
            return Ok(peers);
        }
    }
}

impl Handler<TrustPeer> for SecureWallet {
    type Result = Result<(), PayError>;

    fn handle(
        &mut self,
        TrustPeer { name, key }: TrustPeer,
        _: &mut Self::Context,
    ) -> Self::Result {
        let server = self.server.ok_or_else(connection::lost)?;
        let since = self.clock.ok_or_else(connection::lost)?.now();
        info!(self.log, "a key is trusted from now on"; "peer" => %name, "key" => %key);
        let change = Change::Trust { server, name, peer: KnownPeer { key, since } };
        Ok(self.store.write(&[change])?)
    }
}

impl Handler<ReadPayments> for SecureWallet {
    type Result = MessageResult<ReadPayments>;

    fn handle(
        &mut self,
        ReadPayments { limit }: ReadPayments,
        _: &mut Context<Self>,
    ) -> Self::Result {
        MessageResult(self.read_payments(limit).unwrap_or_else(|error| {
            slog::error!(self.log, "the wallet cannot be read"; "why" => %error);
            Vec::new()
        }))
    }
}

impl SecureWallet {
    fn read_payments(&self, limit: usize) -> Result<Vec<Payment>, PayError> {
        let mut payments: Vec<_> = match self.server {
            Some(_) => self.payments.values().map(super::Paying::payment).collect(),
            // Not connected yet: what is known of the server of the last time.
            None => match self.last_server()? {
                Some(server) => {
                    let outbox = self.store.outbox(&server)?;
                    outbox.iter().map(super::store::OutboxRecord::payment).collect()
                }
                None => Vec::new(),
            },
        };
        if self.replaced {
            for payment in &mut payments {
                payment.state = PaymentState::OutOfReach;
            }
        }
        if let Some(server) = self.last_server()? {
            let closed = self.store.closed(&server, limit)?;
            // What is being closed this moment is not told yet.
            let told = closed.iter().filter(|closed| !self.payments.contains_key(&closed.id()));
            payments.extend(told.map(ClosedRecord::payment));
        }
        payments.sort_by_key(|payment| Reverse(payment.id));
        Ok(payments)
    }

    pub(super) fn last_server(&self) -> Result<Option<wire::PublicKey>, PayError> {
        match self.server {
            Some(server) => Ok(Some(server)),
            None => Ok(self.store.last_server()?),
        }
    }
}

impl Handler<ReadOwnHistory> for SecureWallet {
    type Result = Reply<Result<HistoryPage, PayError>>;

    fn handle(&mut self, wanted: ReadOwnHistory, ctx: &mut Self::Context) -> Self::Result {
        let ReadOwnHistory { before, limit } = wanted;
        let limit = limit.min(PAGE_ITEMS_MAX);
        self.call(Call::ReadHistory { before, limit }, ctx, |answer| match answer {
            Answer::History { items, more } => Some(HistoryPage { items, more }),
            _ => None,
        })
    }
}

impl Handler<SayGoodbye> for SecureWallet {
    type Result = Reply<Result<(), PayError>>;

    fn handle(&mut self, SayGoodbye: SayGoodbye, ctx: &mut Self::Context) -> Self::Result {
        self.online = None;
        let link = self.live_link();
        self.sleep(ctx);
        Box::pin(
            async {
                // There is nobody to say goodbye to when the connection is gone.
                match link {
                    Some(link) => expect(ask(&link, Call::LogOut).await, |_| Some(())),
                    None => Ok(()),
                }
            }
            .into_actor(self),
        )
    }
}
