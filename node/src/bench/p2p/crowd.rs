//! Clients in pairs, on threads of this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter, ArbiterHandle, Context, Handler, MailboxError};
use actors::messages::{
    ComeOnline, MemoFate, OpenAccount, PayError, PayQuote, Payment, PaymentState, Proof,
    QuotePayment, Signer, Start, WalletNews,
};
use actors::secure_wallet::store::{RedbStore, WalletStore};
use ed25519_zebra::SigningKey;
use slog::{Discard, Logger, o};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wire::{Amount, PublicKey, Username};

use crate::bench::Bench;
use crate::bench::error::BenchError;
use crate::bench::load::{Measured, Recorder};
use crate::bench::progress::SHOWN_EVERY;
use crate::bench::server::Server;
use crate::config::ClientStores;
use crate::secure_client::{Parts, SecureClient, ServerTrust};
use crate::terminal::SecureWalletHandle;
use crate::tls;
use crate::tls::client::ExpectedKey;
use crate::tls::keys::TlsKey;

/// Each payment is of one credit.
const AMOUNT: Amount = Amount::new(1);
/// What the payer tells the payee, and nobody else: that it is told shows that it went between them.
const MEMO: &str = "for the coffee";

/// How long the news of the last payments may take from the payees' wallets to their persons, who are told
/// through a mailbox, when the payers have heard already that they are paid.
const NEWS_TIME_MAX: Duration = Duration::from_secs(1);
const NEWS_LOOK_EVERY: Duration = Duration::from_millis(5);

/// The clients, and the threads that they are on.
pub(super) struct Crowd {
    threads: Vec<Arbiter>,
    pairs: Vec<Pair>,
}

/// Somebody who pays, and whom.
#[derive(Clone)]
struct Pair {
    payer: SecureWalletHandle,
    payer_thread: ArbiterHandle,
    payee: Username,
    /// Payments of which the payee's person was told, with the receipt in its store.
    received: Arc<AtomicU64>,
}

impl Crowd {
    /// Makes them, with a thread for each core, and an account for each client.
    pub(super) async fn gather(bench: &Bench, server: &Server) -> Result<Self, BenchError> {
        let key = key_of(server.address()).await?;
        let cores = available_parallelism().map_or(1, usize::from);
        let threads: Vec<Arbiter> = (0..cores).map(|_| Arbiter::new()).collect();
        let mut crowd = Self { threads, pairs: Vec::new() };
        for number in 0..bench.config.connections {
            let [payer_thread, payee_thread] =
                [number, number + 1].map(|number| crowd.threads[number % cores].handle());
            let payer = server.names().payer(u32::try_from(number).unwrap_or(u32::MAX));
            let payee = server.names().payee(number);
            let person = |name: &str| Person::new(bench, server.address(), key, name);
            let (payer, _) = person(&payer).enter_on(&payer_thread).await?;
            let (_, received) = person(&payee).enter_on(&payee_thread).await?;
            let payee = payee.parse().expect("the names of a run are valid");
            crowd.pairs.push(Pair { payer, payer_thread, payee, received });
        }
        Ok(crowd)
    }

    /// Each pair makes payments for a round.
    pub(super) async fn pay(&self, bench: &Bench) -> Result<Measured, BenchError> {
        let before = self.received();
        let round = Round::start(bench.config.duration);
        let mut paying = JoinSet::new();
        for pair in self.pairs.iter().cloned() {
            let (round, window) = (Arc::clone(&round), bench.config.window);
            let thread = pair.payer_thread.clone();
            paying.spawn(run_on(thread, move || pair.pay(round, window)));
        }
        while !paying.is_empty() {
            tokio::select! {
                Some(paid) = paying.join_next() => {
                    paid.map_err(|panic| BenchError::Panic(panic.to_string()))??;
                }
                () = tokio::time::sleep(SHOWN_EVERY) => {
                    bench.progress.answered(self.received() - before);
                }
            }
        }
        let measured = round.finish();
        let paid = measured.latency.len();
        let asked = Instant::now();
        while self.received() - before < paid && asked.elapsed() < NEWS_TIME_MAX {
            tokio::time::sleep(NEWS_LOOK_EVERY).await;
        }
        let received = self.received() - before;
        if paid != received {
            let found = format!("{received} receipts of payees for {paid} payments");
            return Err(BenchError::Unpaid(found));
        }
        Ok(measured)
    }

    fn received(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.received.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.stop();
        }
    }
}

/// What all who pay share.
struct Round {
    end: Instant,
    recorder: Mutex<Recorder>,
}

impl Round {
    fn start(duration: Duration) -> Arc<Self> {
        let recorder = Mutex::new(Recorder::start(duration));
        Arc::new(Self { end: Instant::now() + duration, recorder })
    }

    fn paid(&self, latency: Duration) {
        let mut recorder = self.recorder.lock().expect("nobody panics with the lock");
        let now = recorder.now();
        recorder.answered(latency, now, 1);
    }

    fn finish(self: Arc<Self>) -> Measured {
        let recorder = Arc::into_inner(self).expect("all who pay have ended");
        recorder.recorder.into_inner().expect("nobody has panicked").finish()
    }
}

impl Pair {
    /// Pays again and again until the round ends, so many times at once.
    async fn pay(self, round: Arc<Round>, window: usize) -> Result<(), BenchError> {
        let mut lanes: JoinSet<Result<(), BenchError>> = JoinSet::new();
        for _ in 0..window {
            let (pair, round) = (self.clone(), Arc::clone(&round));
            lanes.spawn_local(async move {
                while Instant::now() < round.end {
                    let begin = Instant::now();
                    pair.pay_once().await?;
                    round.paid(begin.elapsed());
                }
                Ok(())
            });
        }
        while let Some(ended) = lanes.join_next().await {
            ended.map_err(|panic| BenchError::Panic(panic.to_string()))??;
        }
        Ok(())
    }

    async fn pay_once(&self) -> Result<(), BenchError> {
        let memo = Some(MEMO.to_owned());
        let quote = QuotePayment { payee: self.payee.clone(), amount: AMOUNT, memo };
        let quote = answer(self.payer.quote.send(quote).await)?;
        let payment = answer(self.payer.pay.send(PayQuote(quote)).await)?;
        match payment {
            Payment { state: PaymentState::Paid, memo_fate: MemoFate::Unremarkable, .. } => Ok(()),
            payment => Err(BenchError::Unpaid(format!("{payment:?}"))),
        }
    }
}

/// Somebody who is to be a client.
struct Person {
    name: Username,
    server: SocketAddr,
    key: PublicKey,
    /// The file of the wallet; `None` for one in memory.
    store: Option<PathBuf>,
}

impl Person {
    fn new(bench: &Bench, server: SocketAddr, key: PublicKey, name: &str) -> Self {
        let store = match bench.config.client_stores {
            ClientStores::Memory => None,
            ClientStores::Disk => Some(bench.workplace.root().join(name).with_extension("redb")),
        };
        let name = name.parse().expect("the names of a run are valid");
        Self { name, server, key, store }
    }

    /// Starts the client, opens its account and logs in. Returns what a terminal speaks to, and how many
    /// payments have come.
    async fn enter_on(
        self,
        thread: &ArbiterHandle,
    ) -> Result<(SecureWalletHandle, Arc<AtomicU64>), BenchError> {
        run_on(thread.clone(), move || self.enter()).await
    }

    async fn enter(self) -> Result<(SecureWalletHandle, Arc<AtomicU64>), BenchError> {
        let client_failed = |error: crate::error::Error| BenchError::Client(error.to_string());
        let store = match &self.store {
            Some(path) => RedbStore::open(path),
            None => RedbStore::in_memory(),
        };
        let store: Box<dyn WalletStore> =
            Box::new(store.map_err(|error| BenchError::Client(error.to_string()))?);
        let signer = Signer::new(SigningKey::from(rand::random::<[u8; 32]>()));
        let received = Arc::new(AtomicU64::new(0));
        let terminal = Counter(Arc::clone(&received)).start().recipient();
        let client = SecureClient::start(
            self.server,
            ServerTrust::Given { key: self.key, known: None },
            Parts { signer, next: None, store },
            terminal,
            &Logger::root(Discard, o!()),
        );
        let client = client.map_err(client_failed)?;
        let wallet = client.wallet_handle();
        answer(wallet.start.send(Start).await)?;
        answer(wallet.open_account.send(OpenAccount(self.name)).await)?;
        let port = client.listen(0).await.map_err(client_failed)?;
        answer(wallet.come_online.send(ComeOnline(Some(port))).await)?;
        Ok((wallet, received))
    }
}

/// Counts the payments of which it is told that their receipt is kept.
struct Counter(Arc<AtomicU64>);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<WalletNews> for Counter {
    type Result = ();

    fn handle(&mut self, news: WalletNews, _: &mut Self::Context) {
        if let WalletNews::Received { proof: Proof::Kept, memo: Some(_), .. } = news {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the server at this address is known by.
async fn key_of(address: SocketAddr) -> Result<PublicKey, BenchError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| BenchError::Unreachable { address, source })?;
    let own = TlsKey::new(&SigningKey::from(rand::random::<[u8; 32]>()));
    let connected = tls::client::connect(stream, &own, ExpectedKey::Anyone).await;
    let (_, key) = connected.map_err(|error| BenchError::Client(error.to_string()))?;
    Ok(key)
}

/// Does something on a thread of clients.
async fn run_on<T, F>(
    thread: ArbiterHandle,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, BenchError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, BenchError>> + 'static,
{
    let (tell, told) = oneshot::channel();
    thread.spawn_fn(move || {
        actix::spawn(async move {
            // Nobody waits any more if the measurement was stopped.
            let _ = tell.send(work().await);
        });
    });
    let gone = |_| Err(BenchError::Panic("a thread of clients has ended".to_owned()));
    told.await.unwrap_or_else(gone)
}

fn answer<T>(answered: Result<Result<T, PayError>, MailboxError>) -> Result<T, BenchError> {
    let answered = answered.map_err(|error| BenchError::Panic(error.to_string()))?;
    answered.map_err(|error| BenchError::Client(error.to_string()))
}
