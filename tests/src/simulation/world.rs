//! What the hosts share: people, disks, the history, and who has been heard saying what.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use actors::ledger::journal::MemoryStorage;
use actors::messages::{Payment, PaymentState, Proof, Signer, WalletNews};
use actors::secure_wallet::store::{ClosedRecord, Outcome, RedbStore, WalletStore as _};
use ed25519_zebra::SigningKey;
use slog::{Discard, Drain as _, Logger, o};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wire::secure::HistoryItem;
use wire::{
    Amount, EntryNumber, OrderId, P2pPort, PublicKey, Receipt, SignedOrder, Username, Verdict,
};

use super::network::Wires;
use super::texts::Texts;
use super::word::LastWords;

/// How many people there are: enough for payments to cross, for some to be away and some not.
pub(super) const PEOPLE: usize = 4;

/// The server's host.
pub(super) const SERVER: &str = "server";

/// Where everybody listens.
pub(super) const PORT: u16 = 7000;

/// What a new account is granted.
pub(super) const GRANT: Amount = Amount::new(1000);

/// Everything that outlives a host's crash, and what is known of the run.
pub(super) struct World {
    seed: u64,
    /// The server's key.
    pub(super) server: Signer,
    /// The server's disk.
    pub(super) journal: MemoryStorage,
    /// The archive's files. They lose nothing in a crash.
    pub(super) archive: TempDir,
    pub(super) wires: Wires,
    /// Those who speak text.
    pub(super) texts: Texts,
    /// What the server has said will never be settled.
    pub(super) words: LastWords,
    pub(super) log: Logger,
    people: Vec<RefCell<Profile>>,
    history: RefCell<Vec<String>>,
    violation: RefCell<Option<String>>,
    /// What the server has proven to anybody, by the entry that it is about.
    receipts: RefCell<BTreeMap<EntryNumber, Receipt>>,
    faults: Cell<usize>,
    calm: Cell<bool>,
    /// Tells the server to stop.
    stop: RefCell<CancellationToken>,
}

/// What is on a client's disk, and what its person has seen.
struct Profile {
    name: Username,
    signer: Signer,
    /// The key of a change that was asked for.
    next: Option<Signer>,
    store: Arc<RedbStore>,
    keys_made: u8,
    lives: u8,
    seen: BTreeMap<OrderId, PaymentState>,
    /// The orders by which they were told that they are paid, and how much.
    paid_by: BTreeMap<(Username, OrderId), Amount>,
    /// Nothing of theirs is open any more.
    quiet: bool,
    ending: Option<Ending>,
}

/// What a person finds at the end.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) balance: Amount,
    /// Newest first.
    pub(super) history: Vec<HistoryItem>,
}

/// The host of a person's client.
pub(super) fn host(who: usize) -> String {
    format!("client-{who}")
}

/// Where the server listens.
pub(super) fn server_address() -> SocketAddr {
    SocketAddr::new(turmoil::lookup(SERVER), PORT)
}

/// Where a client listens.
pub(super) fn p2p_port() -> P2pPort {
    P2pPort::try_from(PORT).expect("a port")
}

fn key(seed: u64, whose: u8, number: u8) -> Signer {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..10].copy_from_slice(&[whose, number]);
    Signer::new(SigningKey::from(bytes))
}

fn name(who: usize) -> Username {
    ["alice", "bob", "carol", "dave"][who].parse().expect("a valid name")
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let profile = |who: usize| {
            let whose = u8::try_from(who).expect("there are few");
            RefCell::new(Profile {
                name: name(who),
                signer: key(seed, whose, 0),
                next: None,
                store: Arc::new(RedbStore::in_memory().expect("memory does not fail")),
                keys_made: 1,
                lives: 0,
                seen: BTreeMap::new(),
                paid_by: BTreeMap::new(),
                quiet: false,
                ending: None,
            })
        };
        Self {
            seed,
            server: key(seed, u8::MAX, 0),
            journal: MemoryStorage::new(),
            archive: memory_directory(),
            wires: Wires::default(),
            texts: Texts::new(),
            words: LastWords::default(),
            log: Logger::root(Discard.fuse(), o!()),
            people: (0..PEOPLE).map(profile).collect(),
            history: RefCell::default(),
            violation: RefCell::default(),
            receipts: RefCell::default(),
            faults: Cell::new(0),
            calm: Cell::new(false),
            stop: RefCell::default(),
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn server_key(&self) -> PublicKey {
        self.server.public_key()
    }

    /// A client starts: what its chances are made of.
    pub(super) fn begin_life(&self, who: usize) -> [u8; 32] {
        let mut profile = self.people[who].borrow_mut();
        profile.lives += 1;
        let life = profile.lives;
        drop(profile);
        self.note(who, "starts");
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8] = life;
        seed[9] = u8::try_from(who).expect("there are few");
        seed
    }

    /// What a client finds on its disk.
    pub(super) fn profile(&self, who: usize) -> (Signer, Option<Signer>, Arc<RedbStore>) {
        let Profile { signer, next, store, .. } = &*self.people[who].borrow();
        (signer.clone(), next.clone(), Arc::clone(store))
    }

    pub(super) fn name(&self, who: usize) -> Username {
        self.people[who].borrow().name.clone()
    }

    /// The key that takes the place of the present one, written down: the same one until it has.
    pub(super) fn next_key(&self, who: usize) -> Signer {
        let mut profile = self.people[who].borrow_mut();
        if let Some(next) = &profile.next {
            return next.clone();
        }
        let made = key(self.seed, u8::try_from(who).expect("there are few"), profile.keys_made);
        profile.keys_made += 1;
        profile.next = Some(made.clone());
        made
    }

    /// The account has this key now. Gives it if it is another one than before.
    pub(super) fn promote(&self, who: usize, key: &PublicKey) -> Option<Signer> {
        let mut profile = self.people[who].borrow_mut();
        let next = profile.next.take_if(|next| next.public_key() == *key)?;
        profile.signer = next.clone();
        Some(next)
    }

    /// A new token that tells the server to stop.
    pub(super) fn new_stop(&self) -> CancellationToken {
        self.stop.replace(CancellationToken::new());
        self.stop.borrow().clone()
    }

    pub(super) fn stop_server(&self) {
        self.stop.borrow().cancel();
    }

    pub(super) fn count_fault(&self) {
        self.faults.update(|faults| faults + 1);
    }

    pub(super) fn fault_count(&self) -> usize {
        self.faults.get()
    }

    /// Nobody begins anything any more.
    pub(super) fn calm_down(&self) {
        self.calm.set(true);
        self.write("the trouble is over");
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.get()
    }

    /// Nothing of this person's is open any more.
    pub(super) fn is_quiet(&self, who: usize) {
        self.note(who, "has nothing open");
        self.people[who].borrow_mut().quiet = true;
    }

    pub(super) fn all_quiet(&self) -> bool {
        self.texts.all_quiet() && self.people.iter().all(|profile| profile.borrow().quiet)
    }

    pub(super) fn end(&self, who: usize, ending: Ending) {
        self.note(who, &format!("ends with {}", ending.balance));
        self.people[who].borrow_mut().ending = Some(ending);
    }

    pub(super) fn all_done(&self) -> bool {
        let all = self.people.iter().all(|profile| profile.borrow().ending.is_some());
        all && self.texts.all_done()
    }

    pub(super) fn ending(&self, who: usize) -> Option<Ending> {
        self.people[who].borrow().ending.clone()
    }

    /// Who is not at the end, for people.
    pub(super) fn whats_open(&self) -> String {
        let open = self.people.iter().filter(|profile| profile.borrow().ending.is_none());
        let each = open.map(|profile| {
            let profile = profile.borrow();
            let outbox = profile.store.outbox(&self.server_key());
            let open = outbox.map_or(0, |outbox| outbox.len());
            format!("{} has {open} payments open, quiet: {}", profile.name, profile.quiet)
        });
        each.chain(self.texts.whats_open()).collect::<Vec<_>>().join("; ")
    }

    /// All payments of a person's that are closed, as they stand on the disk.
    pub(super) fn closed(&self, who: usize) -> Result<Vec<ClosedRecord>, String> {
        let closed = self.people[who].borrow().store.closed(&self.server_key(), usize::MAX);
        closed.map_err(|error| error.to_string())
    }

    /// How many payments a person has not closed.
    pub(super) fn open_count(&self, who: usize) -> Result<usize, String> {
        let outbox = self.people[who].borrow().store.outbox(&self.server_key());
        outbox.map(|outbox| outbox.len()).map_err(|error| error.to_string())
    }

    /// What a person has seen become of their payments.
    pub(super) fn seen(&self, who: usize) -> BTreeMap<OrderId, PaymentState> {
        self.people[who].borrow().seen.clone()
    }

    /// By which orders a person was told to be paid how much.
    pub(super) fn paid_by(&self, who: usize) -> BTreeMap<(Username, OrderId), Amount> {
        self.people[who].borrow().paid_by.clone()
    }

    /// How many payments of theirs a person has seen paid.
    pub(super) fn count_paid(&self, who: usize) -> usize {
        let profile = self.people[who].borrow();
        profile.seen.values().filter(|state| **state == PaymentState::Paid).count()
    }

    /// Everything that the server has proven to anybody.
    pub(super) fn receipts(&self) -> Vec<Receipt> {
        self.receipts.borrow().values().cloned().collect()
    }

    pub(super) fn history(&self) -> Vec<String> {
        self.history.borrow().clone()
    }

    pub(super) fn first_violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }
}

/// What is heard.
impl World {
    /// A client's part of the history.
    pub(super) fn note(&self, who: usize, what: &str) {
        self.write(&format!("{}: {what}", host(who)));
    }

    pub(super) fn note_of_server(&self, what: &str) {
        self.write(&format!("{SERVER}: {what}"));
    }

    /// A part of the history.
    pub(super) fn write(&self, what: &str) {
        let now =
            turmoil::sim_elapsed().map_or_else(String::new, |now| now.as_millis().to_string());
        self.history.borrow_mut().push(format!("{now:>7} {what}"));
    }

    /// A promise is broken.
    pub(super) fn violate(&self, what: String) {
        self.write(&format!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    /// A person hears what became of a payment of theirs.
    pub(super) fn hear_payment(&self, who: usize, payment: &Payment) {
        let Payment { id, state, amount, payee, .. } = payment;
        self.note(who, &format!("{amount} for {payee} by {id}: {state:?}"));
        let mut profile = self.people[who].borrow_mut();
        let before = profile.seen.insert(*id, *state);
        let is_end = |state: &PaymentState| !matches!(state, PaymentState::Open);
        let proof = profile.store.find_closed(&self.server_key(), *id);
        drop(profile);
        if let Some(before) = before.filter(|before| is_end(before) && before != state) {
            self.violate(format!(
                "{} hears of order {id} first {before:?}, then {state:?}",
                host(who)
            ));
        }
        let expected = match state {
            PaymentState::Paid => Verdict::Settled,
            PaymentState::Refused(refusal) => Verdict::Refused(*refusal),
            PaymentState::Open | PaymentState::OutOfReach | PaymentState::Dead(_) => return,
        };
        let Ok(Some(ClosedRecord { outcome: Outcome::Decided(receipt), .. })) = proof else {
            return self
                .violate(format!("{} hears {state:?} of order {id} without a receipt", host(who)));
        };
        let proves = receipt.verify(&self.server_key()).is_ok()
            && receipt.order().is_some_and(|signed| signed.order.id == *id)
            && receipt.verdict() == Some(expected);
        if !proves {
            self.violate(format!(
                "{} hears {state:?} of order {id}, which its receipt does not prove",
                host(who)
            ));
        }
        self.hear_receipt(*receipt);
    }

    pub(super) fn hear_news(&self, who: usize, news: &WalletNews) {
        match news {
            WalletNews::Decided(payment) => self.hear_payment(who, payment),
            WalletNews::Received { payer, amount, order, proof, .. } => {
                let id = order.map_or_else(String::new, |order| order.to_string());
                self.note(who, &format!("is paid {amount} by {payer}, order {id}, {proof:?}"));
                if let Some(id) = order {
                    self.hear_income(who, payer, *amount, *id, *proof);
                }
            }
            WalletNews::Checking { payment, reason } => {
                self.note(who, &format!("is finding out about {}: {reason}", payment.id));
            }
            other => self.note(who, &format!("hears {other:?}")),
        }
    }

    /// A person hears that they are paid. What the server alone says is held against the journal at the end.
    fn hear_income(&self, who: usize, payer: &Username, amount: Amount, id: OrderId, proof: Proof) {
        let mut profile = self.people[who].borrow_mut();
        profile.paid_by.insert((payer.clone(), id), amount);
        let receipts = profile.store.received(&self.server_key(), id).unwrap_or_default();
        drop(profile);
        let proves = |receipt: &Receipt| {
            receipt.verify(&self.server_key()).is_ok()
                && receipt.verdict() == Some(Verdict::Settled)
                && receipt.order().is_some_and(|signed| {
                    signed.order.payer == *payer
                        && signed.order.payee == self.name(who)
                        && signed.order.amount == amount
                })
        };
        if proof == Proof::Kept && !receipts.iter().any(proves) {
            self.violate(format!("{} is paid by order {id} without a receipt", host(who)));
        }
        for receipt in receipts {
            self.hear_receipt(receipt);
        }
    }

    /// The server has proven something to somebody.
    pub(super) fn hear_receipt(&self, receipt: Receipt) {
        // Most are heard several times.
        if self.receipts.borrow().values().any(|known| *known == receipt) {
            return;
        }
        let number = match receipt.verify(&self.server_key()) {
            Ok(proven) => proven.number,
            Err(error) => {
                return self.violate(format!("the server gives a receipt that is none: {error}"));
            }
        };
        if let Some(SignedOrder { order, .. }) = receipt.order()
            && let Some(said) = self.words.of(&(order.payer.clone(), order.id))
        {
            let id = order.id;
            self.violate(format!("order {id} was said to be over ({said}) and is decided"));
        }
        if self.receipts.borrow_mut().insert(number, receipt).is_some() {
            self.violate(format!("the server has given two different receipts of entry {number}"));
        }
    }
}

/// A directory in memory if there is one: nothing in it has to outlive this machine.
fn memory_directory() -> TempDir {
    let shared = std::path::Path::new("/dev/shm");
    let made = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}
