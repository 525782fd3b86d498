//! Journals of honest servers, of damaged disks and of servers that lie.

use ed25519_zebra::SigningKey;
use wire::batch::{BATCH_HEADER_BYTES, BatchHeader, Hash, Seal};
use wire::merkle::{self, MerkleTree};
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::receipt::ReceiptError;
use wire::signature::public_key;
use wire::{Access, AccountId, Amount, FreezeReason, KeyChange, OrderId, Refusal, codec};

use super::signatures::SIGNATURES_TOGETHER;
use super::*;
use crate::ledger::journal::{Damage, MemoryStorage};
use crate::ledger::state::ReplayError;

mod lies;
mod tampering;

const SEGMENT: &str = "journal-00000000000000000001.mite";
/// A segment with five batches, written before the server signed any.
const UNSEALED: &[u8] = include_bytes!("../journal/testdata/v1/journal-00000000000000000001.mite");
/// The header of a first segment is always the same.
const SEGMENT_HEADER_BYTES: usize = 60;
/// When the first batch of a test is written.
const BEGAN_MS: u64 = 1_790_000_000_000;
/// How far apart batches are written.
const BETWEEN_MS: u64 = 1000;
/// How long orders are valid that nothing is said of.
const VALID_MS: u64 = 60_000;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn server() -> SigningKey {
    key(0xEE)
}

/// Writes journals by their format alone: whatever it is given, in batches that are properly
/// chained, and sealed by whatever key it has.
struct Scribe {
    key: Option<SigningKey>,
    bytes: Vec<u8>,
    /// Where the batches begin.
    batches: Vec<usize>,
    previous_head: Hash,
    next_entry: u64,
}

impl Scribe {
    fn new(key: &SigningKey) -> Self {
        let bytes = UNSEALED[..SEGMENT_HEADER_BYTES].to_vec();
        let batches = Vec::new();
        Self { key: Some(*key), bytes, batches, previous_head: [0; 32], next_entry: 0 }
    }

    fn write(&mut self, entries: &[Entry]) {
        let mut bytes = Vec::new();
        let leaves = entries.iter().map(|entry| {
            let begin = bytes.len();
            codec::encode_into(entry, &mut bytes);
            merkle::leaf(&bytes[begin..])
        });
        let merkle_root = MerkleTree::new(leaves.collect()).root();
        let number = self.batches.len() as u64;
        let mut header = BatchHeader {
            entry_count: u32::try_from(entries.len()).expect("a few"),
            batch: BatchNumber::new(number + 1),
            first_entry: EntryNumber::new(self.next_entry),
            time: batch_time(number),
            byte_len: u32::try_from(bytes.len()).expect("a few"),
            entries_checksum: crc32c::crc32c(&bytes),
            previous_head: self.previous_head,
            seal: None,
        };
        header.seal = self.key.as_ref().map(|key| {
            let signed = header.signed_bytes(&merkle_root);
            Seal { merkle_root, signature: Signature::sign(key, Domain::Batch, &signed) }
        });
        self.batches.push(self.bytes.len());
        self.previous_head = header.head();
        self.next_entry += entries.len() as u64;
        self.bytes.extend(header.encode());
        self.bytes.extend(bytes);
        self.bytes.extend(b"EndB");
    }

    fn audit(&self) -> Result<Audited, AuditError> {
        audit_bytes(self.bytes.clone(), &[])
    }

    /// The bytes of each batch.
    fn parts(&self) -> Vec<Vec<u8>> {
        let ends = self.batches.iter().skip(1).copied().chain([self.bytes.len()]);
        self.batches.iter().zip(ends).map(|(&begin, end)| self.bytes[begin..end].to_vec()).collect()
    }
}

/// When the batch with this index is written.
fn batch_time(index: u64) -> Timestamp {
    Timestamp::new(BEGAN_MS + index * BETWEEN_MS)
}

fn storage(bytes: Vec<u8>) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    storage.write(SEGMENT, bytes);
    Arc::new(storage)
}

fn audit_bytes(mut bytes: Vec<u8>, receipts: &[Receipt]) -> Result<Audited, AuditError> {
    // Segments are filled with zeros ahead of the batches.
    bytes.resize(bytes.len() + 4096, 0);
    audit(storage(bytes), public_key(&server()), receipts, |_| {})
}

/// The receipts for the first entry of each batch.
fn receipts(bytes: &[u8]) -> Vec<Receipt> {
    let mut cursor = BatchCursor::new(storage(bytes.to_vec()), JournalPlace::BEGIN);
    let mut receipts = Vec::new();
    while let Walked::Batch(batch) = cursor.walk().expect("a sound journal") {
        receipts.push(batch.receipt(batch.header.first_entry).expect("it is sealed"));
    }
    receipts
}

fn opened(account: u64, name: &str, access: Access) -> Entry {
    let name = name.parse().expect("a valid name");
    Entry::AccountOpened { account: AccountId::new(account), name, access, grant: GRANT }
}

const GRANT: Amount = Amount::new(1000);

/// What an order says in a test unless something is said of it: alice pays bob 10 credits.
fn order(n: u8, decided_in: u64) -> Order {
    let not_after = Timestamp::new(batch_time(decided_in).get() + VALID_MS);
    Order {
        version: ORDER_VERSION,
        server: public_key(&server()),
        id: OrderId::new(not_after, [n; 10]),
        payer: "alice".parse().expect("a valid name"),
        payer_key: public_key(&key(1)),
        payee: "bob".parse().expect("a valid name"),
        payee_key: Some(public_key(&key(2))),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    }
}

fn settled(signed: SignedOrder) -> Entry {
    Entry::Transferred {
        payer: AccountId::new(0),
        payee: AccountId::new(1),
        amount: signed.order.amount,
        authority: Authority::Order(Box::new(signed)),
    }
}

fn refused(signed: SignedOrder, refusal: Refusal) -> Entry {
    Entry::OrderRefused { payer: AccountId::new(0), order: Box::new(signed), refusal }
}

fn text_payment(payer: u64, payee: u64, amount: u64) -> Entry {
    Entry::Transferred {
        payer: AccountId::new(payer),
        payee: AccountId::new(payee),
        amount: Amount::new(amount),
        authority: Authority::Text,
    }
}

/// Alice's key becomes number 11.
fn key_change() -> KeyChange {
    KeyChange {
        version: wire::key_change::KEY_CHANGE_VERSION,
        server: public_key(&server()),
        account: "alice".parse().expect("a valid name"),
        old: public_key(&key(1)),
        new: public_key(&key(11)),
    }
}

fn key_changed(signed: SignedKeyChange) -> Entry {
    Entry::KeyChanged { account: AccountId::new(0), change: Box::new(signed) }
}

/// Alice and bob have keys, carol and dave have none.
fn openings() -> Vec<Entry> {
    vec![
        opened(0, "alice", Access::Keyed(public_key(&key(1)))),
        opened(1, "bob", Access::Keyed(public_key(&key(2)))),
        opened(2, "carol", Access::Open),
        opened(3, "dave", Access::Open),
    ]
}

/// What an honest server writes, with something of everything.
fn honest() -> Scribe {
    let mut scribe = Scribe::new(&server());
    scribe.write(&openings());
    scribe.write(&[settled(order(1, 1).sign(&key(1))), text_payment(2, 1, 5)]);
    let too_much = Order { amount: Amount::new(5000), ..order(2, 2) };
    scribe.write(&[refused(too_much.sign(&key(1)), Refusal::InsufficientBalance)]);
    scribe.write(&[key_changed(key_change().sign(&key(1), &key(11)))]);
    let by_new = Order { payer_key: public_key(&key(11)), ..order(3, 4) };
    scribe.write(&[text_payment(3, 2, 1), settled(by_new.sign(&key(11)))]);
    scribe
}

#[test]
fn a_sound_journal_has_no_fault_and_its_receipts_fit() {
    let scribe = honest();
    let receipts = receipts(&scribe.bytes);
    assert_eq!(receipts.len(), 5);
    let mut seen = Vec::new();
    let audited = audit(storage(scribe.bytes.clone()), public_key(&server()), &receipts, |place| {
        seen.push(place.last.batch.get());
    });
    let expected = Audited {
        last: Committed {
            batch: BatchNumber::new(5),
            head: scribe.previous_head,
            next_entry: EntryNumber::new(10),
            time: batch_time(4),
        },
        began: Some(batch_time(0)),
        unsealed: 0,
        accounts: 4,
        supply: 4000,
        orders: 3,
        text_payments: 2,
        key_changes: 1,
        operations: Operations::default(),
        unfinished: None,
    };
    assert_eq!(audited.expect("sound"), expected);
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

/// What the operator did is counted, and the books are right with it.
#[test]
fn what_the_operator_does_is_no_fault_and_is_counted() {
    let mut scribe = honest();
    let account = AccountId::new(0);
    let (id, amount) = (|text: &str| text.parse().expect("an id"), Amount::new(700));
    let reason = FreezeReason::default();
    scribe.write(&[Entry::Deposited { account, amount, id: id("a") }]);
    scribe.write(&[
        Entry::Withdrawn { account, amount: Amount::new(200), id: id("b") },
        Entry::Frozen { account, reason: reason.clone() },
        Entry::Unfrozen { account },
        Entry::Frozen { account: AccountId::new(2), reason },
    ]);
    let audited = audit_bytes(scribe.bytes, &[]).expect("sound");
    let expected = Operations { deposits: 1, withdrawals: 1, freezes: 2, frozen: 1 };
    assert_eq!((audited.operations, audited.supply), (expected, 4500));
}

#[test]
fn an_empty_journal_has_no_fault_and_no_batches() {
    let audited = audit(Arc::new(MemoryStorage::new()), public_key(&server()), &[], |_| {});
    let audited = audited.expect("sound");
    assert_eq!((audited.last.batch.get(), audited.began, audited.accounts), (0, None, 0));
}

/// What a running server is writing is not a fault, and neither is what a crash has left: some
/// sectors of the last batch, whichever.
#[test]
fn an_unfinished_end_is_told_and_is_no_fault() {
    const SECTOR: usize = 512;
    let mut scribe = honest();
    scribe.write(&vec![text_payment(2, 3, 1); 60]);
    let last = *scribe.batches.last().expect("batches");
    let boundary = last.next_multiple_of(SECTOR);
    let mut torn =
        vec![scribe.bytes[..boundary].to_vec(), scribe.bytes[..boundary + SECTOR].to_vec()];
    let mut without_first = scribe.bytes.clone();
    without_first[last..boundary].fill(0);
    torn.push(without_first);
    for bytes in torn {
        let audited = audit_bytes(bytes, &[]).expect("sound");
        let unfinished = audited.unfinished.expect("it is seen");
        assert_eq!((audited.last.batch.get(), unfinished.offset), (5, last as u64));
    }
}
