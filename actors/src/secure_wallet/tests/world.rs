//! A world for wallets: a server that remembers, bob who is paid, and a fuse that kills the wallet.
//!
//! The server moves money by the ledger's own rules and signs real receipts. Whatever the wallet does
//! outside itself (a message, a write to its disk) takes two steps of the fuse: one before it has its
//! effect, and one before the wallet hears of it. When the fuse has burnt down, nothing that the wallet
//! does has an effect any more: it has crashed.

mod server;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use actix::prelude::*;
use ed25519_zebra::SigningKey;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Limits, OrderAnswer, PROTOCOL_VERSION, PayeeAnswer, Problem, Welcome,
};
use wire::signature::public_key;
use wire::{Amount, Order, OrderId, PublicKey, Receipt, Timestamp, Username};

pub(in crate::secure_wallet) use self::server::{Server, seal};
use super::super::store::{
    Change, ClosedRecord, KnownPeer, OutboxRecord, RedbStore, StoreError, WalletStore,
};
use super::super::{Neighbours, SecureWallet};
use crate::messages::{
    AskServer, CallError, ConnectError, ConnectSecure, Deliver, DeliverError, SecureConnection,
    ServerNews, Signer, WalletNews,
};
use crate::probe::{Received, no_log, probe};

/// When the story begins, by the server's clock.
pub(in crate::secure_wallet) const DAWN: u64 = 1_700_000_000_000;

/// What alice and bob are opened with.
pub(in crate::secure_wallet) const GRANT: u64 = 1000;

pub(in crate::secure_wallet) fn key(seed: u8) -> SigningKey {
    SigningKey::from([seed; 32])
}

pub(in crate::secure_wallet) fn server_key() -> SigningKey {
    key(0x5E)
}

/// Ten credits of alice's for bob, if they are asked for in time.
pub(in crate::secure_wallet) fn ten_for_bob(not_after: Timestamp) -> Order {
    Order {
        version: ORDER_VERSION,
        server: public_key(&server_key()),
        id: OrderId::new(not_after, [7; 10]),
        payer: name("alice"),
        payer_key: alice().public_key(),
        payee: name("bob"),
        payee_key: Some(bob().public_key()),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    }
}

pub(in crate::secure_wallet) fn alice() -> Signer {
    Signer::new(key(0xA1))
}

pub(in crate::secure_wallet) fn alice_next() -> Signer {
    Signer::new(key(0xA2))
}

pub(in crate::secure_wallet) fn bob() -> Signer {
    Signer::new(key(0xB0))
}

pub(in crate::secure_wallet) fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

/// What bob's client does with an order.
#[derive(Clone, Debug)]
pub(in crate::secure_wallet) enum Bob {
    /// Submits it and answers with the receipt.
    Honest,
    /// The same, and then says this.
    SubmitsAndSays(Result<PayeeAnswer, DeliverError>),
    /// Only says this.
    Says(Result<PayeeAnswer, DeliverError>),
    /// Submits it and never answers.
    SubmitsAndHangs,
    /// Takes it and does nothing.
    Hangs,
    /// He is not online.
    Away,
}

/// What the server does with the next calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::secure_wallet) enum Fault {
    /// Answers this, and does nothing.
    Says(Result<Answer, CallError>),
    /// Does it, and the answer is this.
    DoesAndSays(Result<Answer, CallError>),
}

#[derive(Clone)]
pub(in crate::secure_wallet) struct World {
    server: Arc<Mutex<Server>>,
    /// Which wallet acts. One that another has taken the place of has crashed.
    generation: u32,
}

/// A wallet in the world.
pub(in crate::secure_wallet) struct Client {
    pub(in crate::secure_wallet) wallet: Addr<SecureWallet>,
    pub(in crate::secure_wallet) news: Received<WalletNews>,
    pub(in crate::secure_wallet) delivered: Received<Deliver>,
}

impl World {
    /// alice and bob have an account each, and olga an open one.
    pub(in crate::secure_wallet) fn new() -> Self {
        Self { server: Arc::new(Mutex::new(Server::new())), generation: 0 }
    }

    pub(in crate::secure_wallet) fn lock(&self) -> MutexGuard<'_, Server> {
        self.server.lock().expect("no test panics with the lock")
    }

    pub(in crate::secure_wallet) fn balance(&self, of: &str) -> u64 {
        let server = self.lock();
        let account = server.ledger.find(of).and_then(|id| server.ledger.account(id).cloned());
        account.expect("an account").balance.credits()
    }

    /// A wallet over this store. The one before has crashed at the latest now.
    pub(in crate::secure_wallet) fn client(
        &self,
        signer: Signer,
        next: Option<Signer>,
        store: &Arc<RedbStore>,
    ) -> Client {
        self.client_among(signer, next, store, |_| ())
    }

    /// The same with other neighbours.
    pub(in crate::secure_wallet) fn client_among(
        &self,
        signer: Signer,
        next: Option<Signer>,
        store: &Arc<RedbStore>,
        adjust: impl FnOnce(&mut Neighbours),
    ) -> Client {
        let generation = {
            let mut server = self.lock();
            server.generation += 1;
            server.generation
        };
        let own = Self { server: Arc::clone(&self.server), generation };
        let world = own.clone();
        let (connector, _) = probe(move |request: &ConnectSecure| world.connect(request));
        let world = own.clone();
        let (answers, delivered) = probe({
            let world = world.clone();
            move |deliver: &Deliver| world.deliver(deliver)
        });
        let dialer = HangingDialer { answers, world }.start().recipient();
        let (terminal, news) = probe(|_: &WalletNews| ());
        let mut neighbours = Neighbours { connector, dialer, terminal };
        adjust(&mut neighbours);
        let store = Box::new(FusedStore { inner: Arc::clone(store), world: own });
        let wallet = SecureWallet::new(signer, next, neighbours, store, &no_log());
        Client { wallet: wallet.start(), news, delivered }
    }

    fn connect(&self, request: &ConnectSecure) -> Result<SecureConnection, ConnectError> {
        let unreachable = || ConnectError::Unreachable("connection refused".to_owned());
        if !self.lock().burn(self.generation) || self.lock().unreachable {
            return Err(unreachable());
        }
        let key = request.signer.public_key();
        self.lock().attempts += 1;
        if self.lock().is_retired(key) {
            return Err(ConnectError::Refused(Problem::KeyRetired));
        }
        let world = self.clone();
        let (mut link, _) = probe(move |AskServer(call): &AskServer| world.ask(key, call));
        let mut server = self.lock();
        if server.stillborn > 0 {
            server.stillborn -= 1;
            let ended = || "it has ended".to_owned();
            request.news.do_send(ServerNews::Lost(ended()));
            link = probe(move |_: &AskServer| Err(CallError::Lost(ended()))).0;
        }
        server.connects += 1;
        server.news = Some(request.news.clone());
        let welcome = Welcome {
            magic: magic::SERVER,
            version: PROTOCOL_VERSION,
            now: Timestamp::new(server.now),
            limits: Limits {
                frame_bytes_max: 1 << 20,
                calls_under_way_max: 1024,
                orders_per_call_max: server.orders_per_call_max,
                page_items_max: 1000,
                order_validity_ms_max: wire::order::ORDER_VALIDITY_MS_MAX,
            },
            account: server.holder(key).map(|holder| holder.1),
        };
        let shown = public_key(&server.shown_key);
        if !server.burn(self.generation) {
            return Err(unreachable());
        }
        Ok(SecureConnection { link, server: shown, welcome })
    }

    fn ask(&self, key: PublicKey, call: &Call) -> Result<Answer, CallError> {
        let mut server = self.lock();
        let crashed = || Err(CallError::Lost("the wallet has crashed".to_owned()));
        if !server.burn(self.generation) {
            return crashed();
        }
        server.calls.push(call.clone());
        let fault = server.faults.iter().position(|(kind, _)| server::is_kind(call, kind));
        let answer = match fault.map(|at| server.faults.remove(at).1) {
            Some(Fault::Says(answer)) => answer,
            Some(Fault::DoesAndSays(answer)) => {
                let _ = server.answer(key, call);
                answer
            }
            None => server.answer(key, call).map_err(CallError::Problem),
        };
        if server.burn(self.generation) { answer } else { crashed() }
    }

    fn deliver(&self, deliver: &Deliver) -> Result<PayeeAnswer, DeliverError> {
        let mut server = self.lock();
        let crashed = || Err(DeliverError::Silent("the wallet has crashed".to_owned()));
        if !server.burn(self.generation) {
            return crashed();
        }
        let order = (*deliver.order).clone();
        let answer = match server.bob.clone() {
            Bob::Honest => match server.submit(bob().public_key(), &order) {
                OrderAnswer::Decided { receipt, .. } => Ok(PayeeAnswer::Decided(receipt)),
                OrderAnswer::NotTaken(problem) => Ok(PayeeAnswer::Declined(problem.to_string())),
            },
            Bob::SubmitsAndSays(answer) => {
                server.submit(bob().public_key(), &order);
                answer
            }
            Bob::SubmitsAndHangs => {
                server.submit(bob().public_key(), &order);
                crashed()
            }
            Bob::Hangs => crashed(),
            Bob::Says(answer) => answer,
            Bob::Away => Err(DeliverError::Unreachable("connection refused".to_owned())),
        };
        if server.burn(self.generation) { answer } else { crashed() }
    }

    /// What the server says to alice unasked, over her newest connection.
    pub(in crate::secure_wallet) fn tell(&self, news: ServerNews) {
        let recipient = self.lock().news.clone().expect("a connection");
        recipient.do_send(news);
    }
}

/// Answers as bob does, or never.
struct HangingDialer {
    answers: Recipient<Deliver>,
    world: World,
}

impl Actor for HangingDialer {
    type Context = Context<Self>;
}

impl Handler<Deliver> for HangingDialer {
    type Result = ResponseFuture<Result<PayeeAnswer, DeliverError>>;

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) -> Self::Result {
        let hangs = matches!(self.world.lock().bob, Bob::SubmitsAndHangs | Bob::Hangs);
        let answer = self.answers.send(deliver);
        Box::pin(async move {
            let answer = answer.await.expect("bob is there");
            if hangs {
                std::future::pending::<()>().await;
            }
            answer
        })
    }
}

/// A disk that fails when the wallet has crashed.
#[derive(Debug)]
struct FusedStore {
    inner: Arc<RedbStore>,
    world: World,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl WalletStore for FusedStore {
    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        if !self.world.lock().burn(self.world.generation) {
            return Err(StoreError::NotWritten("the wallet has crashed".to_owned()));
        }
        if self.world.lock().disk_full {
            return Err(StoreError::NotWritten("no space left on device".to_owned()));
        }
        self.inner.write(changes)?;
        if self.world.lock().burn(self.world.generation) {
            return Ok(());
        }
        Err(StoreError::Unsure("the wallet has crashed".to_owned()))
    }

    fn outbox(&self, server: &PublicKey) -> Result<Vec<OutboxRecord>, StoreError> {
        self.inner.outbox(server)
    }

    fn closed(&self, server: &PublicKey, limit: usize) -> Result<Vec<ClosedRecord>, StoreError> {
        self.inner.closed(server, limit)
    }

    fn find_closed(
        &self,
        server: &PublicKey,
        id: OrderId,
    ) -> Result<Option<ClosedRecord>, StoreError> {
        self.inner.find_closed(server, id)
    }

    fn received(&self, server: &PublicKey, id: OrderId) -> Result<Vec<Receipt>, StoreError> {
        self.inner.received(server, id)
    }

    fn peer(&self, server: &PublicKey, name: &Username) -> Result<Option<KnownPeer>, StoreError> {
        self.inner.peer(server, name)
    }

    fn last_server(&self) -> Result<Option<PublicKey>, StoreError> {
        self.inner.last_server()
    }
}
