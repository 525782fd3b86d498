//! The wallet's connection to the server: made when something is to be done, and made again.

use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;
use slog::info;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::secure::{Answer, Call, Problem};
use wire::{PublicKey, Timestamp};

use super::payment::{NONSENSE, retry_after};
use super::store::Change;
use super::{Listening, Reply, SecureWallet, ask};
use crate::messages::{
    AskServer, CallError, ConnectError, ConnectSecure, PayError, SecureConnection, ServerNews,
    Signer, WalletNews,
};

/// The connection that there is.
#[derive(Debug)]
pub(super) struct Connection {
    link: Recipient<AskServer>,
    /// Which one, of all that this wallet has tried to make.
    attempt: u64,
}

/// How the next connection is made.
#[derive(Debug, Default)]
pub(super) struct Reconnecting {
    /// The attempts so far.
    attempts: u64,
    /// One is under way; these wait for it.
    under_way: bool,
    /// Of those under way, the connections that have ended already, before they were taken.
    ended: Vec<u64>,
    waiting: Vec<oneshot::Sender<Result<Recipient<AskServer>, PayError>>>,
    /// Attempts in a row that failed.
    failures: u32,
    /// What nobody waits for makes no attempt before.
    not_before: Option<Instant>,
    /// Goodbye was said: only a person makes the next attempt.
    asleep: bool,
    /// The person was told that there is no connection.
    lost: bool,
    /// An attempt is due, so that peers find this client again.
    timer: Option<SpawnHandle>,
    /// The same for a log-in that was refused.
    log_in: Option<SpawnHandle>,
}

/// The server's clock, as far as it is known: what it said, and how long that is ago. The own clock may be
/// wrong and is never asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    said: Timestamp,
    since: Instant,
}

impl ServerClock {
    pub(super) fn heard(now: Timestamp) -> Self {
        Self { said: now, since: Instant::now() }
    }

    /// The same, where an earlier moment than it shows says nothing about the time: what became of an order
    /// is told as of a moment that may be long over, when the server cannot write.
    pub(super) fn not_before(self, moment: Timestamp) -> Self {
        if moment > self.now() { Self::heard(moment) } else { self }
    }

    pub(super) fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::new(self.said.get().saturating_add(elapsed))
    }
}

/// With how many keys it is tried at once: the account's, and the one that takes its place.
const KEYS_MAX: usize = 2;

/// A key to connect with.
struct Attempt {
    number: u64,
    request: ConnectSecure,
}

/// What came of the attempts.
struct Made {
    attempt: u64,
    signer: Signer,
    connection: SecureConnection,
    /// What the server said to the log-in, if there was one.
    logged_in: Option<Result<Answer, CallError>>,
}

impl SecureWallet {
    /// A connection to ask over, for somebody who waits for the answer: the one there is, or a new one.
    pub(super) fn connected(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> Reply<Result<Recipient<AskServer>, PayError>> {
        self.reconnecting.asleep = false;
        if let Some(link) = self.live_link() {
            return Box::pin(async { Ok(link) }.into_actor(self));
        }
        let (tell, told) = oneshot::channel();
        self.reconnecting.waiting.push(tell);
        if !self.reconnecting.under_way {
            self.connect(ctx);
        }
        Box::pin(async { told.await.unwrap_or_else(|_| Err(lost())) }.into_actor(self))
    }

    /// The same for what goes on by itself: it makes no attempts shortly after one that failed.
    pub(super) fn background_link(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> Reply<Result<Recipient<AskServer>, String>> {
        let Reconnecting { asleep, not_before, .. } = self.reconnecting;
        let too_early = not_before.is_some_and(|moment| Instant::now() < moment);
        if self.live_link().is_none() && (asleep || too_early || self.replaced) {
            let reason = Err("the server is not connected".to_owned());
            return Box::pin(async { reason }.into_actor(self));
        }
        Box::pin(self.connected(ctx).map(|link, _, _| link.map_err(|error| error.to_string())))
    }

    /// The connection that there is, if it is alive.
    pub(super) fn live_link(&self) -> Option<Recipient<AskServer>> {
        let link = &self.connection.as_ref()?.link;
        link.connected().then(|| link.clone())
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        // A link that has ended may not have said so yet.
        if self.connection.is_some() {
            self.lose_connection("it is closed", ctx);
        }
        if let Some(timer) = self.reconnecting.timer.take() {
            ctx.cancel_future(timer);
        }
        self.reconnecting.under_way = true;
        self.reconnecting.ended.clear();
        let keys: [_; KEYS_MAX] = [Some(self.signer.clone()), self.next.clone()];
        let attempts = keys.into_iter().flatten().map(|signer| {
            self.reconnecting.attempts += 1;
            let number = self.reconnecting.attempts;
            let relay = Relay { attempt: number, wallet: ctx.address().downgrade() };
            Attempt { number, request: ConnectSecure { signer, news: relay.start().recipient() } }
        });
        let made = make(self.neighbours.connector.clone(), attempts.collect(), self.online);
        ctx.spawn(made.into_actor(self).map(|made, wallet, ctx| {
            let link =
                made.map_err(PayError::from).and_then(|made| wallet.take_connection(made, ctx));
            wallet.end_attempt(&link, ctx);
        }));
    }

    fn take_connection(
        &mut self,
        made: Made,
        ctx: &mut Context<Self>,
    ) -> Result<Recipient<AskServer>, PayError> {
        let Made { attempt, signer, connection, logged_in } = made;
        if self.reconnecting.ended.contains(&attempt) {
            return Err(ConnectError::Unreachable("it closed the connection".to_owned()).into());
        }
        let SecureConnection { link, server, welcome } = connection;
        match self.server {
            Some(expected) if expected != server => {
                return Err(ConnectError::WrongServerKey { expected, found: server }.into());
            }
            Some(_) => {}
            None => self.load(server)?,
        }
        self.clock = Some(ServerClock::heard(welcome.now));
        self.order_validity_max = Duration::from_millis(welcome.limits.order_validity_ms_max);
        self.orders_per_call_max = usize::try_from(welcome.limits.orders_per_call_max)
            .unwrap_or(ORDERS_PER_CALL_MAX)
            .clamp(1, ORDERS_PER_CALL_MAX);
        self.account = welcome.account;
        self.connection = Some(Connection { link: link.clone(), attempt });
        if let Some(answer) = logged_in {
            self.hear_of_log_in(answer, attempt, 0, ctx);
        }
        self.replaced = false;
        info!(self.log, "connected"; "server" => %server, "key" => %signer.public_key());
        if signer.public_key() != self.signer.public_key() {
            self.promote(signer);
        }
        if std::mem::take(&mut self.reconnecting.lost) {
            self.tell(WalletNews::ServerBack);
        }
        self.resume(ctx);
        Ok(link)
    }

    fn end_attempt(
        &mut self,
        link: &Result<Recipient<AskServer>, PayError>,
        ctx: &mut Context<Self>,
    ) {
        let reconnecting = &mut self.reconnecting;
        reconnecting.under_way = false;
        if let Err(error) = link {
            info!(self.log, "not connected"; "why" => %error);
            reconnecting.not_before = Some(Instant::now() + retry_after(reconnecting.failures));
            reconnecting.failures = reconnecting.failures.saturating_add(1);
        } else {
            reconnecting.failures = 0;
            reconnecting.not_before = None;
        }
        let waiting = std::mem::take(&mut reconnecting.waiting);
        if let Err(PayError::Connect(ConnectError::Refused(Problem::KeyRetired))) = link {
            self.key_is_replaced(ctx);
        }
        for waiting in waiting {
            // Whoever asked may have gone meanwhile.
            let _ = waiting.send(link.clone());
        }
        if link.is_err() {
            self.stay_online(ctx);
        }
    }

    /// Reads what the store knows of this server.
    fn load(&mut self, server: PublicKey) -> Result<(), super::store::StoreError> {
        self.store.write(&[Change::Server(server)])?;
        for record in self.store.outbox(&server)? {
            self.payments.insert(record.order.order.id, record.try_into()?);
        }
        self.server = Some(server);
        Ok(())
    }

    /// The connection is gone, by itself.
    pub(super) fn lose_connection(&mut self, reason: &str, ctx: &mut Context<Self>) {
        info!(self.log, "the connection to the server is lost"; "why" => reason);
        self.connection = None;
        self.reconnecting.lost = true;
        self.tell(WalletNews::ServerLost(reason.to_owned()));
        self.stay_online(ctx);
    }

    /// Gives the connection up. Whatever it still brings is not heard.
    pub(super) fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// As [`SecureWallet::drop_connection`], until a person wants something again.
    pub(super) fn sleep(&mut self, ctx: &mut Context<Self>) {
        self.drop_connection();
        self.reconnecting.asleep = true;
        if let Some(timer) = self.reconnecting.timer.take() {
            ctx.cancel_future(timer);
        }
    }

    /// Whoever is logged in wants to be found by peers, and connects again without being asked.
    fn stay_online(&mut self, ctx: &mut Context<Self>) {
        let Reconnecting { failures, asleep, .. } = self.reconnecting;
        if self.online.is_none() || asleep || self.reconnecting.timer.is_some() {
            return;
        }
        self.reconnecting.timer = Some(ctx.run_later(retry_after(failures), |wallet, ctx| {
            wallet.reconnecting.timer = None;
            if wallet.live_link().is_none() && !wallet.reconnecting.under_way {
                wallet.connect(ctx);
            }
        }));
    }

    /// Takes the answer to a log-in that nobody waits for, over the connection of this attempt. One that is
    /// refused is tried again over the same connection, or else nobody would find this client until that is
    /// lost.
    fn hear_of_log_in(
        &mut self,
        answer: Result<Answer, CallError>,
        attempt: u64,
        refused_before: u32,
        ctx: &mut Context<Self>,
    ) {
        let why = match answer {
            Ok(Answer::LoggedIn(own)) => {
                self.account = Some(own);
                return;
            }
            Ok(_) => NONSENSE.to_owned(),
            Err(error) => error.to_string(),
        };
        info!(self.log, "not logged in again"; "why" => why);
        self.forget_log_in(ctx);
        let log_in = ctx.run_later(retry_after(refused_before), move |wallet, ctx| {
            wallet.reconnecting.log_in = None;
            let is_present =
                wallet.connection.as_ref().is_some_and(|present| present.attempt == attempt);
            if is_present
                && let (Some(Listening(port)), Some(link)) = (wallet.online, wallet.live_link())
            {
                let asked = ask(&link, Call::LogIn { port }).into_actor(wallet);
                ctx.spawn(asked.map(move |answer, wallet, ctx| {
                    wallet.hear_of_log_in(answer, attempt, refused_before.saturating_add(1), ctx);
                }));
            }
        });
        self.reconnecting.log_in = Some(log_in);
    }

    /// Somebody has logged in meanwhile: this program by its person, or another one, which must not be replaced
    /// without being asked.
    pub(super) fn forget_log_in(&mut self, ctx: &mut Context<Self>) {
        if let Some(log_in) = self.reconnecting.log_in.take() {
            ctx.cancel_future(log_in);
        }
    }
}

/// Connects with the first of these keys that has an account, or else with the first that is let in.
async fn make(
    connector: Recipient<ConnectSecure>,
    attempts: Vec<Attempt>,
    log_in: Option<Listening>,
) -> Result<Made, ConnectError> {
    let mut without_account = None;
    for Attempt { number, request } in attempts {
        let signer = request.signer.clone();
        let gone = || Err(ConnectError::Unreachable("the program is stopping".to_owned()));
        match connector.send(request).await.unwrap_or_else(|_| gone()) {
            Ok(connection) => {
                let has_account = connection.welcome.account.is_some();
                let made = Made { attempt: number, signer, connection, logged_in: None };
                if has_account {
                    return Ok(logged_in(made, log_in).await);
                }
                without_account.get_or_insert(Ok(made));
            }
            Err(error @ ConnectError::Refused(Problem::KeyRetired | Problem::NoAccount)) => {
                without_account.get_or_insert(Err(error));
            }
            Err(error) => return Err(error),
        }
    }
    without_account.unwrap_or_else(|| Err(ConnectError::Unreachable("no key".to_owned())))
}

async fn logged_in(made: Made, log_in: Option<Listening>) -> Made {
    let Some(Listening(port)) = log_in else { return made };
    let answer = ask(&made.connection.link, Call::LogIn { port }).await;
    Made { logged_in: Some(answer), ..made }
}

/// What is said when there is no connection and nobody knows more.
pub(super) fn lost() -> PayError {
    PayError::ServerSilent("the connection is closed".to_owned())
}

/// Hears what one connection brings unasked, and says which one it was: the news of an old connection must
/// not be taken for that of the present one.
struct Relay {
    attempt: u64,
    wallet: WeakAddr<SecureWallet>,
}

/// Relay → `SecureWallet`: this came over that connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Relayed {
    attempt: u64,
    news: ServerNews,
}

impl Actor for Relay {
    type Context = Context<Self>;
}

impl Handler<ServerNews> for Relay {
    type Result = ();

    fn handle(&mut self, news: ServerNews, _: &mut Self::Context) {
        if let Some(wallet) = self.wallet.upgrade() {
            wallet.do_send(Relayed { attempt: self.attempt, news });
        }
    }
}

impl Handler<Relayed> for SecureWallet {
    type Result = ();

    fn handle(&mut self, Relayed { attempt, news }: Relayed, ctx: &mut Self::Context) {
        let Reconnecting { attempts, under_way, ended, .. } = &mut self.reconnecting;
        if self.connection.as_ref().is_some_and(|connection| connection.attempt == attempt) {
            self.hear(news, ctx);
        } else if *under_way
            && matches!(news, ServerNews::Lost(_))
            && attempt + KEYS_MAX as u64 > *attempts
        {
            // Taken all the same, it would be a connection for ever over which nothing is answered.
            ended.push(attempt);
        }
    }
}
