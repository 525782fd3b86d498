//! The `SecureWallet`: the client's account over the secure protocol. It pays, and it takes payments.
//!
//! | module | holds |
//! |---|---|
//! | [`store`] | what must not be forgotten: outbox, closed payments, known peers, receipts |
//! | `payment` | one payment, decided without I/O: what happened in, what to do out |
//! | `commits` | writing to the store, many steps at once |
//! | `paying`, `driving` | quotes and new orders; doing what `payment` says |
//! | `keeping` | orders that stay open, kept at the server |
//! | `offer` | what must hold of an order that a peer hands over |
//! | `taking` | such orders: verified together, taken to the server |
//! | `receiving` | what receipts prove of payments to me, and those that come through the server |
//! | `receipts` | receipts that are kept, and those that only the server has |
//! | `rotation` | the change of the account's key |
//! | `connection` | the connection to the server, made again when something is to be done |
//! | `asking` | what only asks the server or the store |
//!
//! Nobody is believed without proof: a payment is paid when the server's receipt for exactly this order
//! stands in the store, whoever brought it. Until then it is open, and the wallet finds out.

mod asking;
mod commits;
mod connection;
mod driving;
mod keeping;
mod offer;
mod paying;
mod payment;
mod receipts;
mod receiving;
mod rotation;
pub mod store;
mod taking;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use slog::{Logger, info, o};
use wire::order::OrderHash;
use wire::receipt::VerifiedHeaders;
use wire::secure::call::{ORDERS_PER_CALL_MAX, ORDERS_PER_CALL_MIN};
use wire::secure::{Answer, Call, Event, OwnAccount, Problem};
use wire::{EntryNumber, OrderId, P2pPort, PublicKey};

use self::commits::Commits;
use self::connection::{Connection, Reconnecting, ServerClock};
use self::driving::{Paying, Waiting};
use self::keeping::Looks;
use self::store::WalletStore;
use self::taking::Offered;
use crate::messages::{
    AskServer, CallError, ConnectSecure, Deliver, PayError, Payment, ServerNews, Signer, Start,
    Started, WalletNews,
};

/// How long whoever asked for a payment waits for its outcome before it is told that it is open: a payee
/// who is reached answers within a second, and one who is not is given up after five.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long an order may be settled. Long enough for a server that is restarted, short enough that
/// whoever is told "unknown" knows within minutes.
pub const ORDER_VALIDITY: Duration = Duration::from_mins(10);

/// How long a server may ask to wait, and how often, until whoever asked is told that it is busy: what may be
/// done only so often is possible again within a second with the server's defaults.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
const BUSY_WAITS_MAX: u32 = 3;

/// Payments that may be open at once: their orders take less than a megabyte, and asking what became of
/// all of them takes two calls.
pub const OPEN_PAYMENTS_MAX: usize = 1024;

/// Offers of peers that may be under way at once: one call each, so that they never take more than a small
/// part of what the server answers one client, and so few that every server takes them in one.
pub const OFFERS_MAX: usize = 64;

const _: () = assert!(OFFERS_MAX <= ORDERS_PER_CALL_MIN, "whatever the server is told to take");

/// Entries whose proofs may be sought or written at once, of all that the server says unasked: a quarter of
/// the calls that may be under way, and half a megabyte of receipts. Of one more only the server's word is told.
const PROOFS_SOUGHT_MAX: usize = 256;

/// Entries whose news was told, remembered so that none is told twice: more than come before a
/// connection is made again and the server repeats itself.
const NEWS_REMEMBERED: usize = 1024;

/// What a handler of this actor returns when its answer takes a while.
type Reply<T> = ResponseActFuture<SecureWallet, T>;

/// Whom a wallet speaks to.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// Makes connections to the server.
    pub connector: Recipient<ConnectSecure>,
    /// Hands orders over to payees.
    pub dialer: Recipient<Deliver>,
    /// Hears the news.
    pub terminal: Recipient<WalletNews>,
}

/// Where peers reach an account that is online; nowhere if it is paid through the server alone.
#[derive(Clone, Copy, Debug)]
struct Listening(Option<P2pPort>);

/// The actor of the client's account.
#[derive(Debug)]
pub struct SecureWallet {
    signer: Signer,
    /// The key of a change whose outcome is not known. Kept until the account has it, whatever the server
    /// says meanwhile: a request that was sent long ago may still be done.
    next: Option<Signer>,
    /// A key change is being asked for: no payment is begun.
    rotating: bool,
    /// The server says that a key of another device has taken the place of this wallet's: nothing goes on
    /// by itself any more.
    replaced: bool,
    neighbours: Neighbours,
    /// For reading, and for writing what is rare and what a person waits for.
    store: Arc<dyn WalletStore>,
    /// The same, for the steps of payments.
    commits: Commits,
    /// The server of this run; set by the first connection.
    server: Option<PublicKey>,
    account: Option<OwnAccount>,
    clock: Option<ServerClock>,
    /// The longest that this server lets an order be valid.
    order_validity_max: Duration,
    /// About how many orders this server may be asked in one call.
    orders_per_call_max: usize,
    connection: Option<Connection>,
    reconnecting: Reconnecting,
    /// What the wallet logs in with again after a new connection: `None` if it is not to.
    online: Option<Listening>,
    payments: BTreeMap<OrderId, Paying>,
    /// Payments whose orders are being written to the outbox.
    beginning: usize,
    looks: Looks,
    headers: VerifiedHeaders,
    /// While the wallet starts: what was closed meanwhile, for [`Started`] to tell.
    starting: Option<Vec<Payment>>,
    /// Who waits for the answer to an offer, by what is offered.
    offers: HashMap<OrderHash, Vec<taking::Waiting>>,
    /// Offers that came just now, whose signatures are to be checked.
    unverified: Vec<Offered>,
    /// How many offers are under way, of either protocol.
    offered: usize,
    /// Orders to this wallet that the server did not answer and is asked about again.
    looking: usize,
    told: BTreeSet<EntryNumber>,
    /// Entries whose proofs are being sought or written.
    sought: BTreeSet<EntryNumber>,
    /// What ids of orders and salts of memos are made of.
    random: StdRng,
    log: Logger,
}

impl SecureWallet {
    /// A wallet with this key that is not connected yet. `next` is the key of a change that was under way
    /// when the wallet was last closed: if the server does not know `signer` any more, the wallet uses it.
    pub fn new(
        signer: Signer,
        next: Option<Signer>,
        neighbours: Neighbours,
        store: Box<dyn WalletStore>,
        log: &Logger,
    ) -> Self {
        let store: Arc<dyn WalletStore> = store.into();
        Self {
            signer,
            next,
            rotating: false,
            replaced: false,
            neighbours,
            commits: Commits::new(Arc::clone(&store)),
            store,
            server: None,
            account: None,
            clock: None,
            order_validity_max: ORDER_VALIDITY,
            orders_per_call_max: ORDERS_PER_CALL_MAX,
            connection: None,
            reconnecting: Reconnecting::default(),
            online: None,
            payments: BTreeMap::new(),
            beginning: 0,
            looks: Looks::default(),
            headers: VerifiedHeaders::default(),
            starting: None,
            offers: HashMap::new(),
            unverified: Vec::new(),
            offered: 0,
            looking: 0,
            told: BTreeSet::new(),
            sought: BTreeSet::new(),
            random: rand::make_rng(),
            log: log.new(o!("actor" => "secure-wallet")),
        }
    }

    /// Makes ids of orders and salts of memos out of this seed, which must be secret wherever memos are: for
    /// simulations, which are to come again.
    #[must_use]
    pub fn with_seed(mut self, seed: [u8; 32]) -> Self {
        self.random = StdRng::from_seed(seed);
        self
    }

    fn account(&self) -> Result<&OwnAccount, PayError> {
        self.account.as_ref().ok_or(PayError::NoAccount)
    }

    fn tell(&self, news: WalletNews) {
        self.neighbours.terminal.do_send(news);
    }

    /// Remembers that this entry's news is told; false if it was told before.
    fn is_news(&mut self, number: EntryNumber) -> bool {
        if self.told.len() >= NEWS_REMEMBERED {
            // What is older than everything remembered was told long ago, or is not worth a line.
            if self.told.first().is_some_and(|oldest| number < *oldest) {
                return false;
            }
            self.told.pop_first();
        }
        self.told.insert(number)
    }
}

impl Actor for SecureWallet {
    type Context = Context<Self>;
}

impl Handler<Start> for SecureWallet {
    type Result = Reply<Result<Started, PayError>>;

    fn handle(&mut self, Start: Start, ctx: &mut Self::Context) -> Self::Result {
        self.starting = Some(Vec::new());
        let asked = self.connected(ctx).then(|link, wallet, _| {
            let has_account = wallet.account.is_some();
            async move {
                let link = link?;
                let kept =
                    if has_account { Some(ask(&link, Call::ReadOpenOrders).await) } else { None };
                Ok(kept)
            }
            .into_actor(wallet)
        });
        let settled = asked.then(|kept: Result<_, PayError>, wallet, ctx| {
            let waiting = kept.and_then(|kept| {
                if let Some(kept) = kept {
                    wallet.adopt(kept, ctx)?;
                }
                Ok(wallet.wait_for_open())
            });
            async { Ok::<_, PayError>(driving::outcomes(waiting?).await) }.into_actor(wallet)
        });
        Box::pin(settled.map(|waited, wallet, _| {
            let closed = wallet.starting.take();
            let mut payments = waited?;
            payments.extend(closed.unwrap_or_default());
            payments.sort_by_key(|payment| Reverse(payment.id));
            let server = wallet.server.ok_or_else(connection::lost)?;
            let (key, account) = (wallet.signer.public_key(), wallet.account.clone());
            info!(wallet.log, "started"; "server" => %server, "key" => %key,
                "payments" => payments.len());
            Ok(Started { server, key, account, payments })
        }))
    }
}

impl SecureWallet {
    /// For each payment that is open: what is known of it, and where its outcome will be told.
    fn wait_for_open(&mut self) -> Vec<Waiting> {
        if self.account.is_none() {
            // Nobody can be asked what became of them.
            return self
                .payments
                .values()
                .map(|paying| Waiting::unheard(paying.payment()))
                .collect();
        }
        self.payments.values_mut().map(Paying::wait).collect()
    }
}

impl SecureWallet {
    /// What the present connection brings unasked.
    fn hear(&mut self, news: ServerNews, ctx: &mut Context<Self>) {
        match news {
            ServerNews::Lost(reason) => self.lose_connection(&reason, ctx),
            ServerNews::Event(Event::OrderDecided { order, .. }) => {
                self.feed(order, payment::Happened::SaidDecided, ctx);
            }
            ServerNews::Event(Event::Received { payer, amount, number, order }) => {
                let told = receiving::Told { payer, amount, number, order };
                self.hear_of_payment(told, ctx);
            }
            ServerNews::Event(Event::Replaced) => {
                info!(self.log, "another program has logged in to this account");
                self.online = None;
                self.forget_log_in(ctx);
                self.tell(WalletNews::Replaced);
            }
            ServerNews::Event(Event::Missed) => {
                info!(self.log, "the server has left events out");
                self.look_at_all(ctx);
            }
            // Nobody is watched.
            ServerNews::Event(Event::PeerOnline(_)) => {}
        }
    }
}

/// Asks the server, at once, and gives its answer; a link that is gone is a lost connection. A server that
/// names a time is asked again when it is over.
fn ask(
    link: &Recipient<AskServer>,
    call: Call,
) -> impl Future<Output = Result<Answer, CallError>> + use<> {
    let lost = || Err(CallError::Lost("it is closed".to_owned()));
    // Whoever asks for orders to be settled or kept asks again by itself, and they are long to copy.
    let is_order = matches!(call, Call::SubmitOrders { .. } | Call::KeepOrder { .. });
    let again = (!is_order).then(|| call.clone());
    let weak_link = link.downgrade();
    let asked = link.send(AskServer(call));
    async move {
        let mut answer = asked.await.unwrap_or_else(|_| lost());
        let Some(call) = again else { return answer };
        for _ in 0..BUSY_WAITS_MAX {
            let Err(CallError::Problem(Problem::BusyFor { wait_ms })) = answer else { break };
            let wait = Duration::from_millis(wait_ms.into());
            if wait > BUSY_WAIT_MAX {
                break;
            }
            tokio::time::sleep(wait).await;
            let Some(link) = weak_link.upgrade() else { return lost() };
            answer = link.send(AskServer(call.clone())).await.unwrap_or_else(|_| lost());
        }
        answer
    }
}

#[cfg(test)]
mod tests;
