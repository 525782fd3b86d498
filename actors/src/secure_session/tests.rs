mod attacks;
mod bytes;
mod calls;
mod ending;
mod limits;
mod neighbours;
mod orders;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use wire::batch::{BatchHeader, Seal};
use wire::key_change::KEY_CHANGE_VERSION;
use wire::secure::{Call, Correlation, OnlinePeer, OwnAccount, PROTOCOL_VERSION, Request};
use wire::signature::public_key;
use wire::{
    Access, AccountId, Amount, BatchNumber, Entry, EntryNumber, KeyChange, Receipt, Signature,
    Username, VerifiedOrder,
};

use super::pace::BUSY;
use super::*;
use crate::ledger::LedgerClock;
use crate::ledger::state::{Command, Outcome, State};
use crate::limits::Room;
use crate::messages::{
    ArchiveUnavailable, HistoryPage, LedgerUnavailable, OnlinePage, Settlement, Sought, Verdicts,
    VerifierBusy, WatchRefusal,
};
use crate::probe::{Received, TERMS, key, no_log, probe};

const SESSION: SessionId = SessionId(5);

/// What the mocked ledger and archive know: alice (0, key 1), bob (1, key 2) and mallory (3, key 4)
/// have keyed accounts, carol (2) has an open one, all with 1000.
#[derive(Clone)]
struct World {
    state: Rc<RefCell<State>>,
    receipts: Rc<RefCell<BTreeMap<EntryNumber, Receipt>>>,
    /// What the ledger says instead of doing anything.
    ledger_down: Rc<RefCell<Option<LedgerUnavailable>>>,
    archive_down: Rc<RefCell<Option<ArchiveUnavailable>>>,
    /// The ledger cannot write.
    read_only: Rc<Cell<bool>>,
    limits: Arc<SessionLimits>,
}

impl World {
    fn new() -> Self {
        let mut state = State::default();
        for (who, access) in [
            ("alice", Access::Keyed(public_key(&key(1)))),
            ("bob", Access::Keyed(public_key(&key(2)))),
            ("carol", Access::Open),
            ("mallory", Access::Keyed(public_key(&key(4)))),
        ] {
            let name = name(who).try_into().expect("a name that may be given");
            let open = Command::OpenAccount { name, access, grant: Amount::new(1000) };
            assert!(matches!(state.apply(open, &TERMS).0, Outcome::Opened(_)));
        }
        Self {
            state: Rc::new(RefCell::new(state)),
            receipts: Rc::default(),
            ledger_down: Rc::default(),
            archive_down: Rc::default(),
            read_only: Rc::default(),
            limits: Arc::default(),
        }
    }

    fn apply(&self, command: &Command) -> Settlement {
        let mut state = self.state.borrow_mut();
        if self.read_only.get() {
            let outcome = state.answer_read_only(command.clone(), &TERMS);
            return Settlement { outcome, receipt: None };
        }
        let number = state.next_entry();
        let (outcome, entry) = state.apply(command.clone(), &TERMS);
        let receipt = entry.map(|entry| receipt(number, entry));
        if let Some(receipt) = &receipt {
            self.receipts.borrow_mut().insert(number, receipt.clone());
        }
        Settlement { outcome, receipt: receipt.map(Box::new) }
    }

    fn apply_all(&self, commands: &[Command]) -> Result<Vec<Settlement>, LedgerUnavailable> {
        match *self.ledger_down.borrow() {
            Some(unavailable) => Err(unavailable),
            None => Ok(commands.iter().map(|command| self.apply(command)).collect()),
        }
    }

    fn find_receipts(
        &self,
        FindReceipts { account, sought }: &FindReceipts,
    ) -> Result<Vec<Option<Receipt>>, ArchiveUnavailable> {
        if let Some(unavailable) = *self.archive_down.borrow() {
            return Err(unavailable);
        }
        let receipts = self.receipts.borrow();
        let find = |sought: &Sought| match sought {
            Sought::Entry(number) => receipts.get(number),
            Sought::Order { payer, id } => receipts.values().find(|receipt| {
                payer_of(receipt) == Some(*payer)
                    && receipt.order().is_some_and(|signed| signed.order.id == *id)
            }),
        };
        let concerns = |receipt: &&Receipt| match receipt.entry() {
            Entry::Transferred { payer, payee, .. } => payer == account || payee == account,
            Entry::OrderRefused { payer, .. } => payer == account,
            Entry::AccountOpened { account: holder, .. }
            | Entry::KeyChanged { account: holder, .. }
            | Entry::Deposited { account: holder, .. }
            | Entry::Withdrawn { account: holder, .. }
            | Entry::Frozen { account: holder, .. }
            | Entry::Unfrozen { account: holder } => holder == account,
            Entry::TimePassed => false,
        };
        Ok(sought.iter().map(|sought| find(sought).filter(concerns).cloned()).collect())
    }

    fn balances(&self) -> [u64; 4] {
        let state = self.state.borrow();
        [0, 1, 2, 3].map(|number| state.accounts()[number].balance.credits())
    }
}

fn payer_of(receipt: &Receipt) -> Option<AccountId> {
    match receipt.entry() {
        Entry::Transferred { payer, .. } | Entry::OrderRefused { payer, .. } => Some(*payer),
        _ => None,
    }
}

/// A receipt for this entry. Nobody has signed it: sessions carry receipts, clients judge them.
fn receipt(number: EntryNumber, entry: Entry) -> Receipt {
    let header = BatchHeader {
        entry_count: 1,
        batch: BatchNumber::new(number.get() + 1),
        first_entry: number,
        time: TERMS.now,
        byte_len: 1,
        entries_checksum: 0,
        previous_head: [0; 32],
        seal: Some(Seal { merkle_root: [0; 32], signature: Signature::new([0; 64]) }),
    };
    Receipt::new(&header, 0, Vec::new(), entry)
}

/// Of alice's, from the key with this number to another.
fn change(old: u8, new: u8) -> KeyChange {
    KeyChange {
        version: KEY_CHANGE_VERSION,
        server: TERMS.server,
        account: name("alice"),
        old: public_key(&key(old)),
        new: public_key(&key(new)),
    }
}

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn verify(order: &wire::SignedOrder) -> Result<VerifiedOrder, wire::InvalidSignature> {
    order.clone().verify()
}

/// A session between a test and mocked neighbours.
struct Stage {
    client: DuplexStream,
    frames: FrameReader,
    submitted: Received<Submit>,
    settled: Received<SubmitForReceipts>,
    verified: Received<VerifyOrders>,
    kept: Received<KeepOrder>,
    log_ins: Received<LogInKeyed>,
    log_outs: Received<LogOut>,
    notified: Received<NotifyParties>,
    retired: Received<RetireKey>,
    watched: Received<WatchNames>,
    pages: Received<ReadOnline>,
    stop: CancellationToken,
    room: Arc<Room>,
}

/// What the client's end of the stream takes before it must be read.
const STREAM_BYTES: usize = 1 << 20;

fn listed(who: &str, number: u8) -> OnlinePeer {
    let address = SocketAddr::from(([127, 0, 0, 1], 7000 + u16::from(number)));
    OnlinePeer { name: name(who), key: Some(public_key(&key(number))), address }
}

impl Stage {
    /// A connection by which the holder of this key has said nothing.
    fn silent(number: u8, world: &World) -> Self {
        let verify = |question: &VerifyOrders| Ok(question.orders.iter().map(verify).collect());
        Self::start(number, world, verify, |_| (), |_, _| ())
    }

    /// The same with other neighbours or settings.
    fn among(
        number: u8,
        world: &World,
        adjust: impl FnOnce(&mut SecurePeers, &mut SecureSettings),
    ) -> Self {
        let verify = |question: &VerifyOrders| Ok(question.orders.iter().map(verify).collect());
        Self::start(number, world, verify, |_| (), adjust)
    }

    fn with_verifier(
        number: u8,
        world: &World,
        verify: impl FnMut(&VerifyOrders) -> Result<Verdicts, VerifierBusy> + Unpin + 'static,
    ) -> Self {
        Self::start(number, world, verify, |_| (), |_, _| ())
    }

    fn with_registry(
        number: u8,
        world: &World,
        log_in: impl FnMut(&LogInKeyed) + Unpin + 'static,
    ) -> Self {
        let verify = |question: &VerifyOrders| Ok(question.orders.iter().map(verify).collect());
        Self::start(number, world, verify, log_in, |_, _| ())
    }

    fn start(
        number: u8,
        world: &World,
        verify: impl FnMut(&VerifyOrders) -> Result<Verdicts, VerifierBusy> + Unpin + 'static,
        log_in: impl FnMut(&LogInKeyed) + Unpin + 'static,
        adjust: impl FnOnce(&mut SecurePeers, &mut SecureSettings),
    ) -> Self {
        let (client, stream) = duplex(STREAM_BYTES);
        let ledger = world.clone();
        let (submit, submitted) = probe(move |Submit(commands): &Submit| {
            let settled = ledger.apply_all(commands)?;
            Ok(settled.into_iter().map(|settlement| settlement.outcome).collect())
        });
        let ledger = world.clone();
        let (submit_for_receipts, settled) =
            probe(move |SubmitForReceipts(commands): &SubmitForReceipts| {
                ledger.apply_all(commands)
            });
        let (verify, verified) = probe(verify);
        let archive = world.clone();
        let (find_receipts, _) = probe(move |sought: &FindReceipts| archive.find_receipts(sought));
        let archive = world.clone();
        let (read_history, _) =
            probe(move |_: &ReadHistory| match *archive.archive_down.borrow() {
                Some(unavailable) => Err(unavailable),
                None => Ok(HistoryPage { items: Vec::new(), more: true }),
            });
        let (keep_order, kept) = probe(|_: &KeepOrder| Ok(()));
        let (read_open_orders, _) = probe(|_: &ReadOpenOrders| Ok(Vec::new()));
        let (log_in, log_ins) = probe(log_in);
        let (log_out, log_outs) = probe(|_: &LogOut| ());
        let (read_online, pages) = probe(|_: &ReadOnline| OnlinePage {
            peers: vec![listed("alice", 1), listed("bob", 2)],
            more: true,
        });
        let (find_online, _) = probe(|FindOnline(who): &FindOnline| {
            (who.as_str() == "bob").then(|| listed("bob", 2).address)
        });
        let (watch_names, watched) = probe(|question: &WatchNames| {
            if question.names.is_empty() {
                Err(WatchRefusal::Full)
            } else {
                Ok(vec![listed("bob", 2)])
            }
        });
        let (notify, notified) = probe(|_: &NotifyParties| ());
        let (retire_key, retired) = probe(|_: &RetireKey| ());
        let mut peers = SecurePeers {
            submit,
            submit_for_receipts,
            verify,
            find_receipts,
            read_history,
            keep_order,
            read_open_orders,
            log_in,
            log_out,
            read_online,
            find_online,
            watch_names,
            notify,
            retire_key,
        };
        let mut settings = SecureSettings {
            rules: SecureRules {
                opening_balance: Amount::new(1000),
                server_key: TERMS.server,
                text: true,
            },
            clock: LedgerClock::new(|| TERMS.now, TERMS.now),
            stop: CancellationToken::new(),
            limits: Arc::clone(&world.limits),
        };
        adjust(&mut peers, &mut settings);
        let (stop, room) = (settings.stop.clone(), Arc::clone(&settings.limits.room));
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
        let key = public_key(&key(number));
        SecureSession::new(SESSION, stream, peer, key, &Arc::new(peers), &settings, &no_log())
            .start();
        Self {
            client,
            frames: FrameReader::new(),
            submitted,
            settled,
            verified,
            kept,
            log_ins,
            log_outs,
            notified,
            retired,
            watched,
            pages,
            stop,
            room,
        }
    }

    /// A connection by which the holder of this key was welcomed.
    async fn open(number: u8, world: &World) -> Self {
        let mut stage = Self::silent(number, world);
        stage.be_welcomed().await;
        assert_eq!(stage.submitted.next().await, Submit(vec![find_key(number)]));
        stage
    }

    async fn be_welcomed(&mut self) {
        self.send(&Hello::new(magic::CLIENT)).await;
        let welcome: Result<Welcome, Problem> = self.frame().await;
        let welcome = welcome.expect("welcome");
        assert_eq!(
            (welcome.magic, welcome.version, welcome.now),
            (magic::SERVER, PROTOCOL_VERSION, TERMS.now)
        );
    }

    /// One that is logged in besides.
    async fn online(number: u8, world: &World) -> Self {
        let mut stage = Self::open(number, world).await;
        let port = wire::P2pPort::try_from(7001).expect("a port");
        let answer = stage.call(Call::LogIn { port: Some(port) }).await;
        assert!(matches!(answer, Ok(Answer::LoggedIn(_))), "{answer:?}");
        for _ in 0..2 {
            assert_eq!(stage.submitted.next().await, Submit(vec![find_key(number)]));
        }
        stage
    }

    async fn send<T: serde::Serialize>(&mut self, value: &T) {
        let mut bytes = Vec::new();
        frame::encode(value, &mut bytes);
        self.send_bytes(&bytes).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.expect("the session reads");
    }

    async fn ask(&mut self, correlation: u64, call: Call) {
        self.send(&Request { correlation: Correlation(correlation), call }).await;
    }

    /// Asks, and reads the answer.
    async fn call(&mut self, call: Call) -> Result<Answer, Problem> {
        self.ask(7, call).await;
        let (correlation, result) = self.response().await;
        assert_eq!(correlation, 7);
        result
    }

    async fn response(&mut self) -> (u64, Result<Answer, Problem>) {
        match self.frame().await {
            ServerFrame::Response(Response { correlation, result }) => (correlation.0, result),
            other => panic!("{other:?} is no answer"),
        }
    }

    async fn frame<T: serde::de::DeserializeOwned>(&mut self) -> T {
        let next = tokio::time::timeout(Duration::from_secs(1000), self.next_frame()).await;
        next.expect("a frame comes").expect("the connection is open")
    }

    /// The next frame; `None` at the end.
    async fn next_frame<T: serde::de::DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            if let Some(value) = self.frames.next_frame().expect("a frame") {
                return Some(value);
            }
            let mut bytes = [0; 4096];
            match self.client.read(&mut bytes).await.expect("the stream holds") {
                0 => return None,
                count => self.frames.extend(&bytes[..count]),
            }
        }
    }

    /// The session says why, and is gone.
    async fn expect_closing(&mut self, problem: Problem) {
        assert_eq!(self.frame::<ServerFrame>().await, ServerFrame::Closing(problem));
        self.expect_end().await;
    }

    async fn expect_end(&mut self) {
        let end = tokio::time::timeout(Duration::from_secs(1000), self.next_frame::<ServerFrame>());
        assert_eq!(end.await.expect("it ends"), None);
        assert_eq!(self.log_outs.next().await, LogOut(SESSION));
    }
}

fn find_key(number: u8) -> Command {
    Command::FindKey(public_key(&key(number)))
}

fn alice() -> OwnAccount {
    OwnAccount { account: AccountId::new(0), name: name("alice"), balance: Amount::new(1000) }
}
