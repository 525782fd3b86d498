//! What it takes to tell somebody that an order has expired.

use std::cell::Cell;

use wire::Entry;
use wire::secure::OrderProblem;

use super::super::journal::{BatchCursor, JournalPlace, Walked};
use super::receipts::{opening_keyed, ordered};
use super::*;
use crate::messages::Settlement;
use crate::probe::TERMS;

const EXPIRED: Outcome = Outcome::NotTaken(OrderProblem::Expired);

/// For how long the orders of these tests are valid, and then a little longer.
const OVER_MS: u64 = 3_600_001;

const DAWN: u64 = TERMS.now.get();

thread_local! {
    /// How much later than [`DAWN`] it is, in milliseconds: a ledger runs on the thread of its test.
    static LATER: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> Timestamp {
    Timestamp::new(DAWN + LATER.get())
}

fn set_clock(after_dawn_ms: u64) {
    LATER.set(after_dawn_ms);
}

/// A ledger at dawn with accounts that are durable, on a disk that waits to be let go on from then on.
async fn opened_and_gated() -> (GatedStorage, Disk, Addr<Ledger>) {
    set_clock(0);
    let (storage, disk) = gated();
    let (ledger, _) = start_on(Arc::new(storage.clone()), clock, SNAPSHOT_ENTRIES);
    disk.let_sync();
    submit(&ledger, accounts()).await.expect("opened");
    disk.wait_for_sync();
    (storage, disk, ledger)
}

fn accounts() -> Vec<Command> {
    vec![opening_keyed("alice", 1), opening_keyed("bob", 2)]
}

fn status_of(order: &Command) -> Command {
    match order {
        Command::Order { order, .. } => {
            Command::FindOrder { payer: name("alice"), id: order.order().id }
        }
        _ => unreachable!("an order"),
    }
}

fn unknown(now: Timestamp) -> Outcome {
    Outcome::FoundOrder { payer: Some(AccountId::new(0)), decided: None, now }
}

/// All batches, as they stand in the journal: their times and entries.
fn batches(storage: &MemoryStorage) -> Vec<(u64, Vec<Entry>)> {
    let mut cursor = BatchCursor::new(Arc::new(storage.copy()), JournalPlace::BEGIN);
    let mut batches = Vec::new();
    while let Walked::Batch(batch) = cursor.walk().expect("intact") {
        batches.push((batch.header.time.get(), batch.entries));
    }
    batches
}

/// The story: a payer is told that an order has expired, and pays anew by another one. The server loses its power
/// and comes back with a clock that is an hour slow; the payee submits the first order, and gets both.
#[actix::test]
async fn what_has_expired_stays_so_whatever_the_clock_says_later() {
    let (storage, disk, ledger) = opened_and_gated().await;

    set_clock(OVER_MS);
    let mut told = Box::pin(ledger.send(Submit(vec![ordered(10, 1)])));
    assert!(told.as_mut().now_or_never().is_none());
    settle().await;
    disk.wait_for_sync();
    assert!(told.as_mut().now_or_never().is_none(), "it is told before it is durable");
    disk.let_sync();
    assert_eq!(told.await.expect("answers"), Ok(vec![EXPIRED]));

    let (last, _) = reopened(&storage.files);
    assert_eq!(last.time.get(), DAWN + OVER_MS);
    set_clock(0);
    let survived = storage.files.copy();
    let (ledger, _) = start_on(Arc::new(survived), clock, SNAPSHOT_ENTRIES);
    assert_eq!(submit(&ledger, vec![ordered(10, 1)]).await, Ok(vec![EXPIRED]));
}

/// Somebody who asks without end writes no more than somebody who pays: nothing at all for what is known to be
/// over, and nothing but for orders that they have signed.
#[actix::test]
async fn what_is_known_to_be_over_is_told_at_once_and_a_status_costs_nothing() {
    set_clock(0);
    let storage = MemoryStorage::new();
    let (ledger, _) = start_on(Arc::new(storage.clone()), clock, SNAPSHOT_ENTRIES);
    submit(&ledger, accounts()).await.expect("opened");

    set_clock(OVER_MS);
    let (first, second) = (ordered(10, 1), ordered(20, 2));
    // As of the last batch, by which it could still be settled.
    let open = submit(&ledger, vec![status_of(&first)]).await;
    assert_eq!(open, Ok(vec![unknown(TERMS.now)]));
    assert_eq!(batches(&storage).len(), 1);

    assert_eq!(submit(&ledger, vec![first.clone()]).await, Ok(vec![EXPIRED]));
    let passed = (DAWN + OVER_MS, vec![Entry::TimePassed]);
    assert_eq!(batches(&storage)[1..], [passed]);
    set_clock(OVER_MS + 1);
    let outcomes = submit(&ledger, vec![first.clone(), second, status_of(&first)]).await;
    let over = unknown(Timestamp::new(DAWN + OVER_MS));
    assert_eq!(outcomes, Ok(vec![EXPIRED, EXPIRED, over]));
    assert_eq!(batches(&storage).len(), 2);
}

/// What is on its way to the disk shows its own time; nothing is written for that besides.
#[actix::test]
async fn many_that_expire_at_once_are_one_entry_and_others_entries_do_as_well() {
    let (storage, disk, ledger) = opened_and_gated().await;

    set_clock(OVER_MS);
    let orders = || (1..50).map(|nonce| ordered(1, nonce)).collect::<Vec<_>>();
    let settled = ledger.send(SubmitForReceipts(orders()));
    let again = ledger.send(Submit(orders()));
    settle().await;
    disk.wait_for_sync();
    // They wait for the batch that is on its way, and so does what follows.
    let behind = ledger.send(Submit(orders()));
    let status = ledger.send(Submit(vec![status_of(&ordered(1, 1))]));
    settle().await;
    disk.let_sync();
    let bare = Settlement { outcome: EXPIRED, receipt: None };
    assert_eq!(settled.await.expect("answers"), Ok(vec![bare; 49]));
    for told in [again, behind] {
        assert_eq!(told.await.expect("answers"), Ok(vec![EXPIRED; 49]));
    }
    let over = unknown(Timestamp::new(DAWN + OVER_MS));
    assert_eq!(status.await.expect("answers"), Ok(vec![over]));

    set_clock(2 * OVER_MS);
    disk.let_sync();
    let outcomes = submit(&ledger, vec![opening("carol"), ordered(1, 1)]).await;
    assert_eq!(outcomes, Ok(vec![opened(2), EXPIRED]));
    let written = batches(&storage.files);
    assert_eq!(written.len(), 3);
    assert_eq!(written[1].1, [Entry::TimePassed]);
    assert_eq!(written[2].1.len(), 1, "the opening alone");
}
