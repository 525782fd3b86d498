//! Receipts from a ledger that is running, and what signed commands take.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::secure::OrderProblem;
use wire::{Entry, EntryNumber, KeyChange, Receipt, SignedOrder, Verdict};

use super::super::journal::{BatchCursor, JournalPlace, Walked};
use super::super::waiting::{
    PLAIN_ENTRY_BYTES_MAX, RECEIPT_COMMAND_BYTES, SIGNED_ENTRY_BYTES_MAX, SUBMIT_SIGNED_MAX,
};
use super::*;
use crate::messages::Settlement;
use crate::probe::{TERMS, key, keyed, order, probe};

fn start_at(storage: &MemoryStorage, clock: fn() -> Timestamp) -> Addr<Ledger> {
    start_on(Arc::new(storage.clone()), clock, SNAPSHOT_ENTRIES).0
}

/// A ledger whose clock shows the time for which orders are made.
pub(super) fn start_now(storage: Arc<dyn Storage>) -> Addr<Ledger> {
    start_on(storage, || TERMS.now, SNAPSHOT_ENTRIES).0
}

pub(super) fn opening_keyed(who: &str, key: u8) -> Command {
    let name = name(who).try_into().expect("a name that may be given");
    Command::OpenAccount { name, access: keyed(key), grant: Amount::new(1000) }
}

/// Alice (account 0, key 1) pays bob (account 1, key 2).
pub(super) fn ordered(amount: u64, nonce: u8) -> Command {
    let order = order(("alice", 1), ("bob", keyed(2)), amount, nonce).sign(&key(1));
    let order = Box::new(order.verify().expect("it is signed"));
    Command::Order { submitter: AccountId::new(1), order }
}

fn rotation() -> Command {
    let public = |number| wire::signature::public_key(&key(number));
    let (old, new) = (public(1), public(3));
    let change = KeyChange { version: 1, server: TERMS.server, account: name("alice"), old, new };
    let change = change.sign(&key(1), &key(3)).verify().expect("both have signed");
    Command::ChangeKey { account: AccountId::new(0), change: Box::new(change) }
}

async fn settle_all(ledger: &Addr<Ledger>, commands: Vec<Command>) -> Vec<Settlement> {
    let settled = ledger.send(SubmitForReceipts(commands)).await.expect("the ledger answers");
    settled.expect("the ledger has time")
}

fn proven(settlement: &Settlement) -> (u64, Option<Verdict>) {
    let receipt = settlement.receipt.as_ref().expect("a receipt");
    let proven = receipt.verify(&TERMS.server).expect("it proves what it says");
    (proven.number.get(), receipt.verdict())
}

#[actix::test]
async fn every_entry_has_a_receipt_that_the_journal_bears_out() {
    let storage = MemoryStorage::new();
    let ledger = start_now(Arc::new(storage.clone()));
    let accounts = vec![opening_keyed("alice", 1), opening_keyed("bob", 2), opening("carol")];
    let opened = settle_all(&ledger, accounts).await;
    assert_eq!(opened.iter().map(proven).collect::<Vec<_>>(), [(0, None), (1, None), (2, None)]);

    let payment = TextPayment { payer: name("carol"), payee: name("bob"), amount: Amount::new(5) };
    let text = Command::TextTransfer { sender: AccountId::new(1), payment };
    let commands = vec![
        balance(0),
        ordered(10, 1),
        ordered(9999, 2),
        ordered(10, 1),
        ordered(11, 1),
        text,
        rotation(),
    ];
    let settled = settle_all(&ledger, commands).await;
    let outcomes: Vec<_> = settled.iter().map(|settlement| settlement.outcome.clone()).collect();
    let number = EntryNumber::new;
    let expected = [
        Outcome::Balance(Amount::new(1000)),
        Outcome::Decided(number(3)),
        Outcome::Decided(number(4)),
        Outcome::DecidedBefore(number(3)),
        Outcome::NotTaken(OrderProblem::Conflict),
        Outcome::Settled,
        Outcome::KeyChanged(number(6)),
    ];
    assert_eq!(outcomes, expected);
    let paid = Some(Verdict::Settled);
    let refused = Some(Verdict::Refused(Refusal::InsufficientBalance));
    for (index, proof) in [(1, (3, paid)), (2, (4, refused)), (5, (5, paid)), (6, (6, None))] {
        assert_eq!(proven(&settled[index]), proof, "{index}");
    }
    for index in [0, 3, 4] {
        assert_eq!(settled[index].receipt, None, "{index}: no entry was made");
    }

    // What is made anew from the journal is the same, byte for byte.
    let mut cursor = BatchCursor::new(Arc::new(storage.copy()), JournalPlace::BEGIN);
    let mut stored: Vec<Receipt> = Vec::new();
    while let Walked::Batch(batch) = cursor.walk().expect("intact") {
        for entry in batch.header.first_entry.get()..batch.header.next_entry().get() {
            stored.push(batch.receipt(number(entry)).expect("it is in this batch"));
        }
    }
    let given = opened.into_iter().chain(settled).filter_map(|settlement| settlement.receipt);
    assert_eq!(given.map(|receipt| *receipt).collect::<Vec<_>>(), stored);
}

/// Batches that wait for a sync are written as one, so an entry's place is not where it was gathered.
#[actix::test]
async fn receipts_of_merged_batches_are_for_the_batch_that_was_written() {
    let (storage, disk) = gated();
    let ledger = start_now(Arc::new(storage.clone()));
    let first = ledger.send(SubmitForReceipts(vec![opening("first")]));
    settle().await;
    disk.wait_for_sync();
    let mut asked = Vec::new();
    for n in 0..5 {
        let commands = vec![opening(&format!("a{n}")), balance(0), opening(&format!("b{n}"))];
        asked.push(ledger.send(SubmitForReceipts(commands)));
        settle().await;
    }
    disk.let_sync();
    disk.let_sync();
    first.await.expect("answers").expect("opened");
    for (asked, n) in asked.into_iter().zip(0..) {
        let settled = asked.await.expect("answers").expect("opened");
        assert_eq!(proven(&settled[0]).0, 1 + 2 * n);
        assert_eq!(settled[1].receipt, None);
        assert_eq!(proven(&settled[2]).0, 2 + 2 * n);
    }
    assert_eq!(reopened(&storage.files).0.batch.get(), 2, "they were written as one");
}

fn grown(quiet_from: u64, news_from: u64, next_entry: u64) -> JournalGrew {
    let [quiet_from, news_from, next_entry] =
        [quiet_from, news_from, next_entry].map(EntryNumber::new);
    JournalGrew { quiet_from, news_from, next_entry }
}

/// The story: a client asks for the history of what it was just told, and the archive knows of nothing.
#[actix::test]
async fn the_archive_hears_of_a_batch_before_anybody_else() {
    let (grew, mut heard) = probe(|_: &JournalGrew| ());
    let (journal, state) = Journal::open(
        Arc::new(MemoryStorage::new()),
        server_key(),
        JournalOptions::default(),
        &no_log(),
    )
    .expect("an empty directory");
    let settings = LedgerSettings {
        clock: || TERMS.now,
        snapshot_entries: SNAPSHOT_ENTRIES,
        grew: Some(grew.clone()),
        fail_stop: Arc::new(|failure| panic!("{failure}")),
    };
    let ledger = Ledger::new(journal, state, settings, &no_log()).start();
    for (who, entries) in [("alice", 1), ("bob", 2)] {
        submit(&ledger, vec![opening(who)]).await.expect("opened");
        // Whatever the ledger has sent stands in front of this.
        let last = grown(9, 9, 99);
        grew.send(last).await.expect("it is there");
        assert_eq!(heard.next().await, grown(entries - 1, entries - 1, entries));
        assert_eq!(heard.next().await, last);
    }
    submit(&ledger, vec![balance(0)]).await.expect("answered");
    heard.nothing();

    // Of text payments between open accounts it hears with the next thing that it records.
    for _ in 0..3 {
        let payment =
            TextPayment { payer: name("alice"), payee: name("bob"), amount: Amount::new(5) };
        let pay = Command::TextTransfer { sender: AccountId::new(1), payment };
        let paid = submit(&ledger, vec![pay]).await.expect("answered");
        assert_eq!(paid, [Outcome::Settled]);
    }
    heard.nothing();
    submit(&ledger, vec![opening_keyed("carol", 3)]).await.expect("opened");
    assert_eq!(heard.next().await, grown(2, 5, 6));
}

/// Of many it hears without.
#[actix::test]
async fn the_archive_hears_of_many_text_payments_from_time_to_time() {
    let (grew, mut heard) = probe(|_: &JournalGrew| ());
    let mut growth = Growth::new(Some(grew), EntryNumber::new(5));
    let batch = |first, next| EntryNumber::new(first)..EntryNumber::new(next);
    growth.committed(batch(5, 65_540), false);
    heard.nothing();
    growth.committed(batch(65_540, 65_541), false);
    assert_eq!(heard.next().await, grown(5, 65_541, 65_541));
    growth.committed(batch(65_541, 65_550), true);
    assert_eq!(heard.next().await, grown(65_541, 65_541, 65_550));
}

/// The story: a server is started again after its clock was set back by a day. It writes batches that are older than
/// those before, which no reader takes; and it takes orders once more that it has decided and forgotten.
#[actix::test]
async fn a_clock_that_was_set_back_while_the_server_was_down_changes_nothing() {
    const LATER: Timestamp = Timestamp::new(TERMS.now.get() + 7_200_000);
    let storage = MemoryStorage::new();
    let ledger = start_now(Arc::new(storage.clone()));
    let first = vec![opening_keyed("alice", 1), opening_keyed("bob", 2), ordered(10, 1)];
    submit(&ledger, first).await.expect("decided");
    ledger.send(StopLedger).await.expect("answers");
    // The time of both orders is over here.
    let ledger = start_at(&storage, || LATER);
    submit(&ledger, vec![opening("carol")]).await.expect("opened");
    ledger.send(StopLedger).await.expect("answers");

    let copies = [storage.copy(), storage.copy()];
    for (copy, with_snapshots) in copies.into_iter().zip([true, false]) {
        let names = copy.list().expect("memory does not fail");
        for name in names.iter().filter(|name| !with_snapshots && name.starts_with("snapshot-")) {
            copy.remove(name).expect("listed");
        }
        let ledger = start_at(&copy, || Timestamp::new(TERMS.now.get() - 86_400_000));
        let expired = Outcome::NotTaken(OrderProblem::Expired);
        let again = submit(&ledger, vec![ordered(10, 1), ordered(20, 2)]).await;
        assert_eq!(again, Ok(vec![expired.clone(), expired]));
        let settled = settle_all(&ledger, vec![opening("dave")]).await;
        let receipt = settled[0].receipt.as_ref().expect("a receipt");
        assert_eq!(receipt.verify(&TERMS.server).expect("it proves what it says").time, LATER);
        assert_eq!(reopened(&copy).0.time, LATER);
    }
}

/// The story: an order is settled and expires; an hour later the server stops, with a snapshot that has forgotten
/// the order. The clock is set back, the server is started, and the order is settled once more.
#[actix::test]
async fn what_a_snapshot_has_forgotten_stays_expired() {
    static NOW: AtomicU64 = AtomicU64::new(TERMS.now.get());
    let storage = MemoryStorage::new();
    let clock = || Timestamp::new(NOW.load(Ordering::Relaxed));
    let ledger = start_at(&storage, clock);
    let first = vec![opening_keyed("alice", 1), opening_keyed("bob", 2), ordered(10, 1)];
    submit(&ledger, first).await.expect("decided");
    // Nothing is written any more.
    NOW.fetch_add(7_200_000, Ordering::Relaxed);
    ledger.send(StopLedger).await.expect("answers");
    // A program that does not know that they are forgotten does not read it.
    let names = storage.list().expect("memory does not fail");
    let snapshot = names.iter().find(|name| name.starts_with("snapshot-")).expect("a snapshot");
    let bytes = storage.read(snapshot).expect("it is there");
    assert_eq!(bytes[8..10], 4_u16.to_le_bytes());
    NOW.fetch_sub(7_200_000, Ordering::Relaxed);
    let ledger = start_at(&storage, clock);
    let again = submit(&ledger, vec![ordered(10, 1), ordered(20, 2)]).await;
    let expired = Outcome::NotTaken(OrderProblem::Expired);
    assert_eq!(again, Ok(vec![expired.clone(), expired]));
}

#[actix::test]
async fn an_order_is_decided_once_over_restarts() {
    let storage = MemoryStorage::new();
    let ledger = start_now(Arc::new(storage.clone()));
    submit(&ledger, vec![opening_keyed("alice", 1), opening_keyed("bob", 2)])
        .await
        .expect("opened");
    let decided = Ok(vec![Outcome::Decided(EntryNumber::new(2))]);
    assert_eq!(submit(&ledger, vec![ordered(10, 1)]).await, decided);
    let journal_alone = storage.copy();
    ledger.send(StopLedger).await.expect("answers");
    assert!(storage.list().expect("memory does not fail").len() > 1, "a snapshot was kept");
    for storage in [journal_alone, storage] {
        let ledger = start_now(Arc::new(storage));
        let again = submit(&ledger, vec![ordered(10, 1), ordered(11, 1), balance(1)]).await;
        let expected = vec![
            Outcome::DecidedBefore(EntryNumber::new(2)),
            Outcome::NotTaken(OrderProblem::Conflict),
            Outcome::Balance(Amount::new(1010)),
        ];
        assert_eq!(again, Ok(expected));
    }
}

static CLOCK: AtomicU64 = AtomicU64::new(0);

/// The story: a server that forgets no order runs out of memory; one that forgets only when it writes
/// turns every order away when it remembers as many as it may.
#[actix::test]
async fn orders_are_forgotten_when_their_time_is_over() {
    let clock = || Timestamp::new(CLOCK.load(Ordering::Relaxed));
    CLOCK.store(TERMS.now.get(), Ordering::Relaxed);
    let storage = MemoryStorage::new();
    let ledger = start_at(&storage, clock);
    let commands = vec![opening_keyed("alice", 1), opening_keyed("bob", 2), ordered(10, 1)];
    submit(&ledger, commands).await.expect("done");
    CLOCK.store(TERMS.now.get() + 3_600_001, Ordering::Relaxed);
    let late = submit(&ledger, vec![ordered(10, 1)]).await;
    assert_eq!(late, Ok(vec![Outcome::NotTaken(OrderProblem::Expired)]));
    ledger.send(StopLedger).await.expect("answers");
    // The second batch says that time has passed.
    let snapshot = storage.read("snapshot-00000000000000000002.mite").expect("kept");
    assert_eq!(snapshot[120..128], [0; 8], "it holds no order");
}

#[actix::test]
async fn signed_commands_are_bounded_in_number_and_in_memory() {
    let (storage, disk) = gated();
    let ledger = start_now(Arc::new(storage));
    let busy = Err(LedgerUnavailable::Busy);
    let orders = |count| vec![ordered(1, 1); count];
    assert_eq!(submit(&ledger, orders(SUBMIT_SIGNED_MAX + 1)).await, busy);
    let first = ledger.send(Submit(vec![opening("first")]));
    settle().await;
    disk.wait_for_sync();
    // Each order weighs as much as several questions, and so does each question with a receipt.
    let full = WAITING_BYTES_MAX / RECEIPT_COMMAND_BYTES - 1;
    let questions = ledger.send(SubmitForReceipts(vec![balance(0); SUBMIT_COMMANDS_MAX]));
    let mut waiting = Vec::new();
    let mut left = full - SUBMIT_COMMANDS_MAX;
    while left > 0 {
        let count = left.min(SUBMIT_SIGNED_MAX);
        waiting.push(ledger.send(Submit(orders(count))));
        left -= count;
    }
    settle().await;
    assert_eq!(submit(&ledger, orders(1)).await, busy);
    disk.let_sync();
    disk.let_sync();
    first.await.expect("answers").expect("opened");
    questions.await.expect("answers").expect("answered");
    for waiting in waiting {
        waiting.await.expect("answers").expect("answered");
    }
    submit(&ledger, orders(1)).await.expect("there is room again");
}

/// The bounds that a batch is filled by.
#[test]
fn no_entry_is_larger_than_its_bound() {
    let longest = |first: char| name(&std::iter::repeat_n(first, 32).collect::<String>());
    let (payer, payee) = (longest('𐌀'), longest('𐌁'));
    let template = order(("alice", 1), ("bob", keyed(2)), u64::MAX, 1);
    let order = wire::Order { payer: payer.clone(), payee, ..template }.sign(&key(1));
    let id = AccountId::new(u64::MAX);
    let change = KeyChange {
        version: 1,
        server: TERMS.server,
        account: payer.clone(),
        old: TERMS.server,
        new: TERMS.server,
    };
    let (boxed, amount) = (|order: &SignedOrder| Box::new(order.clone()), Amount::new(u64::MAX));
    let authority = wire::Authority::Order(boxed(&order));
    let refusal = Refusal::KeyInUse;
    let text = wire::Authority::Text;
    for (entry, bound) in [
        (Entry::Transferred { payer: id, payee: id, amount, authority }, SIGNED_ENTRY_BYTES_MAX),
        (Entry::OrderRefused { payer: id, order: boxed(&order), refusal }, SIGNED_ENTRY_BYTES_MAX),
        (
            Entry::KeyChanged { account: id, change: Box::new(change.sign(&key(1), &key(3))) },
            SIGNED_ENTRY_BYTES_MAX,
        ),
        (
            Entry::AccountOpened { account: id, name: payer, access: keyed(1), grant: amount },
            PLAIN_ENTRY_BYTES_MAX,
        ),
        (
            Entry::Transferred { payer: id, payee: id, amount, authority: text },
            PLAIN_ENTRY_BYTES_MAX,
        ),
    ] {
        let mut bytes = Vec::new();
        wire::codec::encode_into(&entry, &mut bytes);
        assert!(bytes.len() <= bound, "{} bytes: {entry:?}", bytes.len());
    }
}
