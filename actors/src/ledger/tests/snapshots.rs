//! Snapshots of a ledger that is running.

use wire::BatchNumber;

use super::*;
use crate::messages::{KeepSnapshot, SnapshotFailure};

/// The temporary name that the snapshot of a batch is written under.
fn temporary(batch: u64) -> String {
    format!("snapshot-{batch:020}.tmp")
}

fn start_with(storage: &GatedStorage, snapshot_entries: u64) -> Addr<Ledger> {
    start_on(Arc::new(storage.clone()), || Timestamp::new(1), snapshot_entries).0
}

/// A copy of the directory without some of its files.
fn without(storage: &MemoryStorage, goes: impl Fn(&str) -> bool) -> MemoryStorage {
    let copy = storage.copy();
    for name in copy.list().expect("memory does not fail").iter().filter(|name| goes(name)) {
        copy.remove(name).expect("listed");
    }
    copy
}

/// The story: batches that wait for a sync are written as one. A snapshot of the state in the middle of
/// it is of no batch: stored all the same, it keeps the journal from being opened.
#[actix::test]
async fn a_snapshot_that_waits_for_a_sync_is_stored_at_its_own_batch() {
    let (storage, disk) = gated();
    let ledger = start_with(&storage, 2);
    let mut asked = Vec::new();
    // The second makes a snapshot due while the first is held; two more wait behind it.
    for who in ["alice", "bob", "carol", "dave"] {
        asked.push(ledger.send(Submit(vec![opening(who)])));
        settle().await;
        if who == "alice" {
            disk.wait_for_sync();
        }
    }
    for _ in 0..3 {
        disk.let_sync();
    }
    for (asked, account) in asked.into_iter().zip(0..) {
        assert_eq!(asked.await.expect("answers"), Ok(vec![opened(account)]));
    }
    let written = disk.snapshots.written.recv_timeout(PATIENCE);
    assert_eq!(written, Ok(temporary(2)));
    // That one, and the one at the end.
    disk.snapshots.let_one_pass();
    disk.snapshots.let_one_pass();
    ledger.send(StopLedger).await.expect("answers");
    assert_eq!(disk.snapshots.written.try_iter().collect::<Vec<_>>(), [temporary(3)]);

    let journal_alone = without(&storage.files, |name| name.starts_with("snapshot-"));
    let (last, state) = reopened(&journal_alone);
    assert_eq!((last.batch.get(), state.accounts().len()), (3, 4));
    assert_eq!(reopened(&storage.files), (last, state.clone()));
    // What the snapshot does not cover is replayed behind it.
    let newest = temporary(3).replace(".tmp", ".mite");
    assert_eq!(reopened(&without(&storage.files, |name| name == newest)), (last, state));
}

/// The story: the disk stores a snapshot more slowly than the next ones come due. Each of them is a copy
/// of the whole state, until no memory is left.
#[actix::test]
async fn one_snapshot_is_under_way_at_a_time() {
    let (storage, disk) = gated();
    let Disk { verdict, snapshots, .. } = disk;
    let ledger = start_with(&storage, 1);
    for (who, account) in ["alice", "bob", "carol", "dave"].into_iter().zip(0..) {
        verdict.send(Ok(())).expect("the journal is there");
        // Answered although the first one is still being stored.
        assert_eq!(submit(&ledger, vec![opening(who)]).await, Ok(vec![opened(account)]));
    }
    assert_eq!(snapshots.written.recv_timeout(PATIENCE), Ok(temporary(1)));
    // The ledger waits for the first before it stores the last, so another thread lets them pass.
    let watch = thread::spawn(move || {
        let early = snapshots.written.recv_timeout(Duration::from_millis(200));
        snapshots.let_one_pass();
        let last = snapshots.written.recv_timeout(PATIENCE);
        snapshots.let_one_pass();
        (early.ok(), last.ok())
    });
    ledger.send(StopLedger).await.expect("answers");
    assert_eq!(watch.join().expect("watches"), (None, Some(temporary(4))));
    let (last, state) = reopened(&storage.files);
    assert_eq!((last.batch.get(), state.accounts().len()), (4, 4));
    let names = storage.list().expect("memory does not fail");
    let stored = [1, 4].map(|batch| temporary(batch).replace(".tmp", ".mite"));
    assert_eq!(names[names.len() - 2..], stored, "{names:?}");
}

/// One that came due while another was stored is taken as soon as a batch follows that.
#[actix::test]
async fn a_snapshot_that_was_put_off_stays_due() {
    const EVERY: u64 = 200;
    let (storage, disk) = gated();
    let Disk { verdict, snapshots, .. } = disk;
    let ledger = start_with(&storage, EVERY);
    for round in ["stored", "put off"] {
        verdict.send(Ok(())).expect("the journal is there");
        let openings = (0..EVERY).map(|n| opening(&format!("{n}{}", &round[..1]))).collect();
        submit(&ledger, openings).await.expect(round);
    }
    assert_eq!(snapshots.written.recv_timeout(PATIENCE), Ok(temporary(1)));
    snapshots.let_one_pass();
    // The thread that stores ends at a time of its own. Fewer entries follow than make one due.
    let mut next = None;
    for n in 1..EVERY {
        verdict.send(Ok(())).expect("the journal is there");
        submit(&ledger, vec![opening(&format!("n{n}"))]).await.expect("opened");
        next = snapshots.written.recv_timeout(Duration::from_millis(5)).ok();
        if next.is_some() {
            break;
        }
    }
    assert!(next.is_some(), "it is due before more entries make the next one due");
}

/// The story: a server without a snapshot replays all of its journal, is stopped before anybody pays, and
/// replays it all again at each start.
#[actix::test]
async fn what_was_replayed_is_kept_when_nothing_follows() {
    let run = |storage: &MemoryStorage| {
        start_on(Arc::new(storage.clone()), || Timestamp::new(1), SNAPSHOT_ENTRIES).0
    };
    let storage = MemoryStorage::new();
    let ledger = run(&storage);
    submit(&ledger, vec![opening("alice")]).await.expect("opened");
    ledger.send(StopLedger).await.expect("answers");

    let name = temporary(1).replace(".tmp", ".mite");
    let replayed = without(&storage, |file| file == name);
    run(&replayed).send(StopLedger).await.expect("answers");
    let kept = replayed.read(&name);
    assert!(kept.is_some() && kept == storage.read(&name), "the same snapshot");
    // With it, there is nothing to keep.
    let ledger = run(&replayed);
    replayed.remove(&name).expect("it is there");
    ledger.send(StopLedger).await.expect("answers");
    assert_eq!(replayed.read(&name), None);
}

async fn keep(ledger: &Addr<Ledger>) -> Result<BatchNumber, SnapshotFailure> {
    ledger.send(KeepSnapshot).await.expect("the ledger answers")
}

/// The story: an operator asks for a snapshot while a batch syncs and another one gathers. One of the
/// state in between is of no batch, and one of before misses what was answered.
#[actix::test]
async fn a_snapshot_that_is_asked_for_is_of_a_batch_of_its_own() {
    let (storage, disk) = gated();
    let ledger = start_with(&storage, SNAPSHOT_ENTRIES);
    let alice = ledger.send(Submit(vec![opening("alice")]));
    settle().await;
    disk.wait_for_sync();
    let bob = ledger.send(Submit(vec![opening("bob")]));
    let kept = ledger.send(KeepSnapshot);
    settle().await;
    disk.let_sync();
    disk.let_sync();
    disk.snapshots.let_one_pass();
    assert_eq!(alice.await.expect("answers"), Ok(vec![opened(0)]));
    assert_eq!(bob.await.expect("answers"), Ok(vec![opened(1)]));
    assert_eq!(kept.await.expect("answers"), Ok(BatchNumber::new(2)));
    let files = storage.files.copy();
    let (last, state) = reopened(&files);
    assert_eq!((last.batch.get(), state.accounts().len()), (2, 2));
    files.remove("journal-00000000000000000001.mite").expect("it is there");
    let alone = Journal::open(Arc::new(files), server_key(), JournalOptions::default(), &no_log());
    assert!(alone.is_err(), "the snapshot tells that the journal is gone");

    // Nothing has happened since: the same one, without another.
    assert_eq!(keep(&ledger).await, Ok(BatchNumber::new(2)));
    assert_eq!(disk.snapshots.written.try_iter().count(), 1);
}

/// While nothing is on its way to the disk, and while one is being stored already.
#[actix::test]
async fn snapshots_that_are_asked_for_at_once_are_all_answered() {
    let (storage, disk) = gated();
    let ledger = start_with(&storage, SNAPSHOT_ENTRIES);
    assert_eq!(keep(&ledger).await, Ok(BatchNumber::new(0)), "of nothing there is none");
    disk.let_sync();
    submit(&ledger, vec![opening("alice")]).await.expect("taken");
    let first = ledger.send(KeepSnapshot);
    settle().await;
    assert_eq!(disk.snapshots.written.recv_timeout(PATIENCE), Ok(temporary(1)));
    disk.let_sync();
    submit(&ledger, vec![opening("bob")]).await.expect("taken");
    let later: Vec<_> = (0..9).map(|_| ledger.send(KeepSnapshot)).collect();
    settle().await;
    disk.snapshots.let_one_pass();
    disk.snapshots.let_one_pass();
    assert_eq!(first.await.expect("answers"), Ok(BatchNumber::new(1)));
    let mut answers = Vec::new();
    for kept in later {
        answers.push(kept.await.expect("answers"));
    }
    assert_eq!(answers.pop(), Some(Err(LedgerUnavailable::Busy.into())), "one too many");
    assert!(answers.iter().all(|kept| *kept == Ok(BatchNumber::new(2))), "{answers:?}");
}

/// A disk that takes no snapshot is told, and the next one is made anew.
#[actix::test]
async fn a_snapshot_that_cannot_be_kept_is_told() {
    let (storage, disk) = gated();
    let ledger = start_with(&storage, SNAPSHOT_ENTRIES);
    disk.let_sync();
    submit(&ledger, vec![opening("alice")]).await.expect("taken");
    for fails in [true, false] {
        let kept = ledger.send(KeepSnapshot);
        settle().await;
        assert_eq!(disk.snapshots.written.recv_timeout(PATIENCE), Ok(temporary(1)));
        if fails {
            storage.files.remove(&temporary(1)).expect("it is there");
        }
        disk.snapshots.let_one_pass();
        let kept = kept.await.expect("answers");
        assert_eq!(matches!(kept, Err(SnapshotFailure::Failed(_))), fails, "{kept:?}");
    }
}

/// The story: a defect ends the thread that stores a snapshot. Nobody hears of it: no snapshot is taken any
/// more, no segment is archived, and the operator waits for ever.
#[actix::test]
async fn a_panic_while_a_snapshot_is_stored_is_told_and_the_next_is_made_anew() {
    let (storage, disk) = gated();
    let ledger = start_with(&storage, 2);
    disk.let_sync();
    submit(&ledger, vec![opening("alice")]).await.expect("taken");
    let kept = ledger.send(KeepSnapshot);
    disk.snapshots.let_one_panic();
    let kept = tokio::time::timeout(PATIENCE, kept).await.expect("it is told").expect("answers");
    assert!(matches!(kept, Err(SnapshotFailure::Failed(_))), "{kept:?}");
    disk.let_sync();
    submit(&ledger, vec![opening("bob"), opening("carol")]).await.expect("taken");
    for batch in [1, 2] {
        let written = disk.snapshots.written.recv_timeout(PATIENCE);
        assert_eq!(written, Ok(temporary(batch)), "one that is due");
    }
    disk.snapshots.let_one_pass();
    ledger.send(StopLedger).await.expect("answers");
}
