//! Snapshots of a ledger that is running.

use super::*;

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
