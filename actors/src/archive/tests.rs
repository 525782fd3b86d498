//! What all tests of the archive need, and the tests by subject.

use std::path::PathBuf;

use ed25519_zebra::SigningKey;
use tempfile::TempDir;
use wire::batch::{BatchHeader, Seal};
use wire::merkle::{self, MerkleTree};
use wire::signature::{Domain, Signature, public_key};
use wire::{
    Access, AccountId, Amount, Authority, BatchNumber, Entry, FreezeReason, KeyChange, Order,
    OrderId, PublicKey, Refusal, Timestamp, Username, codec,
};

use super::*;

use crate::ledger::journal::{MemoryStorage, StorageFile};
use crate::messages::Sought;
use crate::probe::no_log;

mod following;
mod histories;
mod open_orders;
mod receipts;

const NOW: u64 = 1_700_000_000_000;

/// Two keyed accounts, an open one, and a keyed one that has to do with nobody.
const ALICE: AccountId = AccountId::new(0);
const BOB: AccountId = AccountId::new(1);
const OTTO: AccountId = AccountId::new(2);
const MALLORY: AccountId = AccountId::new(3);
const NAMES: [&str; 4] = ["alice", "bob", "otto", "mallory"];

fn name(account: AccountId) -> Username {
    NAMES[usize::try_from(account.get()).expect("small")].parse().expect("a valid name")
}

fn key_of(account: AccountId) -> SigningKey {
    SigningKey::from([u8::try_from(account.get()).expect("small") + 1; 32])
}

fn server_key() -> SigningKey {
    SigningKey::from([0x5E; 32])
}

fn server() -> PublicKey {
    public_key(&server_key())
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::new(NOW + milliseconds)
}

/// An order that is valid up to `not_after` milliseconds from now.
fn order(payer: AccountId, payee: AccountId, amount: u64, not_after: u64) -> SignedOrder {
    let random = [&amount.to_be_bytes()[..], &[0; 2]].concat();
    let order = Order {
        version: 1,
        server: server(),
        id: OrderId::new(at(not_after), random.try_into().expect("10 bytes")),
        payer: name(payer),
        payer_key: public_key(&key_of(payer)),
        payee: name(payee),
        payee_key: (payee != OTTO).then(|| public_key(&key_of(payee))),
        amount: Amount::new(amount),
        not_after: at(not_after),
        memo_hash: [0; 32],
    };
    order.sign(&key_of(payer))
}

fn opened(account: AccountId) -> Entry {
    let access = match account {
        OTTO => Access::Open,
        _ => Access::Keyed(public_key(&key_of(account))),
    };
    Entry::AccountOpened { account, name: name(account), access, grant: Amount::new(1000) }
}

fn openings() -> Vec<Entry> {
    [ALICE, BOB, OTTO, MALLORY].map(opened).to_vec()
}

fn paid(payer: AccountId, payee: AccountId, order: SignedOrder) -> Entry {
    let amount = order.order.amount;
    Entry::Transferred { payer, payee, amount, authority: Authority::Order(Box::new(order)) }
}

fn paid_by_text(payer: AccountId, payee: AccountId, amount: u64) -> Entry {
    Entry::Transferred { payer, payee, amount: Amount::new(amount), authority: Authority::Text }
}

fn refused(payer: AccountId, order: SignedOrder) -> Entry {
    Entry::OrderRefused { payer, order: Box::new(order), refusal: Refusal::InsufficientBalance }
}

fn new_key() -> SigningKey {
    SigningKey::from([0x77; 32])
}

fn key_changed(account: AccountId) -> Entry {
    let (old, new) = (key_of(account), new_key());
    let change = KeyChange {
        version: 1,
        server: server(),
        account: name(account),
        old: public_key(&old),
        new: public_key(&new),
    };
    Entry::KeyChanged { account, change: Box::new(change.sign(&old, &new)) }
}

/// A sealed journal, written byte by byte as `docs/JOURNAL.md` says, so that these tests depend on the
/// format alone.
struct Book {
    storage: MemoryStorage,
    file: Box<dyn StorageFile>,
    used: u64,
    batch: u64,
    head: [u8; 32],
    next_entry: u64,
}

impl Book {
    fn new() -> Self {
        let storage = MemoryStorage::new();
        let (file, used) = segment(&storage, 1, [0; 32]);
        Self { storage, file, used, batch: 0, head: [0; 32], next_entry: 0 }
    }

    /// Lets the next batch begin another file.
    fn begin_segment(&mut self) {
        (self.file, self.used) = segment(&self.storage, self.batch + 1, self.head);
    }

    /// Writes one batch. Returns the number of its first entry.
    fn write(&mut self, entries: &[Entry]) -> EntryNumber {
        let first_entry = EntryNumber::new(self.next_entry);
        let (mut encoded, mut leaves) = (Vec::new(), Vec::new());
        for entry in entries {
            let begin = encoded.len();
            codec::encode_into(entry, &mut encoded);
            leaves.push(merkle::leaf(&encoded[begin..]));
        }
        let merkle_root = MerkleTree::new(leaves).root();
        self.batch += 1;
        let mut header = BatchHeader {
            entry_count: u32::try_from(entries.len()).expect("small"),
            batch: BatchNumber::new(self.batch),
            first_entry,
            time: at(self.batch),
            byte_len: u32::try_from(encoded.len()).expect("small"),
            entries_checksum: crc32c::crc32c(&encoded),
            previous_head: self.head,
            seal: None,
        };
        let signed = header.signed_bytes(&merkle_root);
        let signature = Signature::sign(&server_key(), Domain::Batch, &signed);
        header.seal = Some(Seal { merkle_root, signature });
        let bytes = [&header.encode()[..], &encoded, b"EndB"].concat();
        self.file.write_all_at(&bytes, self.used).expect("memory does not fail");
        self.used += bytes.len() as u64;
        self.file.set_len(self.used + 512).expect("memory does not fail");
        (self.head, self.next_entry) = (header.head(), header.next_entry().get());
        first_entry
    }

    fn durable(&self) -> EntryNumber {
        EntryNumber::new(self.next_entry)
    }
}

/// Makes a segment without batches. Returns where its first one goes.
fn segment(storage: &MemoryStorage, first: u64, head: [u8; 32]) -> (Box<dyn StorageFile>, u64) {
    let mut header = b"MiteJrnl\x01\0\0\0\0\0\0\0".to_vec();
    header.extend(first.to_le_bytes());
    header.extend(head);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    let name = segment_name(first);
    let file = storage.create(&name).expect("it is not there");
    file.write_all_at(&header, 0).expect("memory does not fail");
    (file, header.len() as u64)
}

fn segment_name(first: u64) -> String {
    format!("journal-{first:020}.mite")
}

/// What the ledger says when the book has grown by something that is recorded.
fn grown(book: &Book) -> JournalGrew {
    let nothing = EntryNumber::default();
    JournalGrew { quiet_from: nothing, news_from: nothing, next_entry: book.durable() }
}

/// A directory for the archive's files.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn index(&self) -> PathBuf {
        self.0.path().join(INDEX_FILE)
    }

    fn open_orders(&self) -> PathBuf {
        self.0.path().join(OPEN_ORDERS_FILE)
    }

    fn open(&self, book: &Book) -> Archive {
        let storage = Arc::new(book.storage.clone());
        Archive::open(self.0.path(), storage, book.durable(), &no_log()).expect("it opens")
    }

    fn start(&self, book: &Book) -> Running {
        Running(self.open(book).start())
    }
}

/// An archive that runs.
struct Running(Addr<Archive>);

impl Running {
    /// Waits until it has closed its files.
    async fn stop(self) {
        let address = self.0.downgrade();
        drop(self.0);
        while address.upgrade().is_some_and(|archive| archive.connected()) {
            tokio::task::yield_now().await;
        }
    }

    async fn ask<M>(&self, message: M) -> M::Result
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Archive: Handler<M>,
        <Archive as Actor>::Context: actix::dev::ToEnvelope<Archive, M>,
    {
        self.0.send(message).await.expect("the archive is there")
    }

    async fn history(&self, account: AccountId, before: Option<u64>, limit: u32) -> HistoryPage {
        let before = before.map(EntryNumber::new);
        self.ask(ReadHistory { account, before, limit }).await.expect("it answers")
    }

    /// The numbers of all entries in an account's history, newest first.
    async fn numbers(&self, account: AccountId) -> Vec<u64> {
        let page = self.history(account, None, 1000).await;
        page.items.iter().map(|item| item.number.get()).collect()
    }

    async fn receipts(&self, account: AccountId, sought: Vec<Sought>) -> Vec<Option<Receipt>> {
        self.ask(FindReceipts { account, sought }).await.expect("it answers")
    }

    async fn keep(&self, account: AccountId, order: SignedOrder, now: u64) -> Answer<()> {
        let order = order.verify().expect("signed");
        self.ask(KeepOrder { account, order, now: at(now) }).await
    }

    async fn open_orders(&self, account: AccountId, now: u64) -> Vec<SignedOrder> {
        self.ask(ReadOpenOrders { account, now: at(now) }).await.expect("it answers")
    }
}

fn by_entry(numbers: impl IntoIterator<Item = u64>) -> Vec<Sought> {
    numbers.into_iter().map(|number| Sought::Entry(EntryNumber::new(number))).collect()
}

fn by_order(payer: AccountId, order: &SignedOrder) -> Sought {
    Sought::Order { payer, id: order.order.id }
}
