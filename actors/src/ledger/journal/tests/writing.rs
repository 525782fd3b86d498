//! Appending, alone and on the journal's thread, and what happens when the disk fails.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use wire::batch::BATCH_ENTRIES_MAX;

use super::super::faulty::{Fault, Faulty};
use super::super::writer::{JournalTurns, Order};
use super::super::{JournalWriter, Operation, Report};
use super::*;

/// The story: a sync that failed is tried again and succeeds, though the system has thrown the pages
/// away; payments are answered that are on no disk.
#[test]
fn after_a_failure_nothing_is_taken() {
    let expected = [
        // Opening an empty directory syncs it; the first batch makes a segment.
        (2, Operation::Create, FIRST_SEGMENT),
        (3, Operation::Write, FIRST_SEGMENT),
        (4, Operation::Sync, FIRST_SEGMENT),
        (5, Operation::Sync, "."),
        (6, Operation::Append, FIRST_SEGMENT),
        (7, Operation::Append, FIRST_SEGMENT),
    ];
    for (at, expected_operation, expected_file) in expected {
        let storage = Faulty::new(MemoryStorage::new(), Fault::Nothing, at);
        let (mut journal, mut state) = open(&storage, 4096).expect("an empty directory");
        let error = commit(&mut journal, &mut state, vec![opening("alice", 1)]).expect_err("fails");
        match &error {
            JournalError::Io(failure) => {
                assert_eq!(
                    (failure.operation, failure.file.as_str()),
                    (expected_operation, expected_file)
                );
            }
            other => panic!("{at}: {other}"),
        }
        let before = files(&storage.inner);
        for name in ["bob", "carol"] {
            let error =
                commit(&mut journal, &mut state, vec![opening(name, 1)]).expect_err("failed");
            assert!(matches!(error, JournalError::Failed), "{at}: {error}");
        }
        assert_eq!(files(&storage.inner), before, "{at}");
        assert_eq!(*journal.last(), Committed::NOTHING);
    }
}

#[test]
fn an_empty_batch_is_refused() {
    let (mut journal, _) = open(&MemoryStorage::new(), 4096).expect("an empty directory");
    let error = journal.append(&mut Batch::new(Vec::new()), Timestamp::new(1)).expect_err("empty");
    assert!(matches!(error, JournalError::EmptyBatch), "{error}");
}

#[test]
fn a_batch_is_built_in_the_memory_of_the_last_one() {
    let (mut journal, mut state) = open(&MemoryStorage::new(), 4096).expect("an empty directory");
    let mut buffer = Vec::with_capacity(4096);
    let memory = buffer.as_ptr();
    for name in ["a", "b", "c"] {
        let mut batch = Batch::new(buffer);
        assert!(batch.is_empty() && batch.byte_len() == 0);
        batch.push(&state.apply(opening(name, 1), &TERMS).1.expect("an entry"));
        assert_eq!((batch.entry_count(), batch.byte_len()), (1, 4 + 8 + 8 + 1 + 4 + 8));
        journal.append(&mut batch, Timestamp::new(1)).expect("memory does not fail");
        buffer = batch.into_buffer();
        assert_eq!(buffer.as_ptr(), memory, "nothing was copied");
    }
}

#[test]
fn a_batch_is_full_before_it_is_too_large() {
    let entry = State::default().apply(opening("alice", 1), &TERMS).1.expect("an entry");
    let mut batch = Batch::new(Vec::new());
    while !batch.is_full() {
        batch.push(&entry);
    }
    assert_eq!(batch.entry_count(), BATCH_ENTRIES_MAX);
    let refused = std::panic::catch_unwind(move || batch.push(&entry));
    assert!(refused.is_err());
}

fn start(storage: &(impl Storage + Clone)) -> (JournalWriter, State, Receiver<Report>) {
    let (journal, state) = open(storage, 600).expect("intact");
    let (reports, received) = channel();
    let writer = JournalWriter::start(journal, move |report| {
        let named = std::thread::current().name() == Some("mite-journal");
        assert!(named, "the report comes from the journal thread");
        reports.send(report).expect("the test waits");
    });
    (writer, state, received)
}

fn batch_of(state: &mut State, commands: Vec<Command>) -> Batch {
    let mut batch = Batch::new(Vec::new());
    for entry in commands.into_iter().filter_map(|command| state.apply(command, &TERMS).1) {
        batch.push(&entry);
    }
    batch
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_thread_reports_each_batch_in_order_and_ends() {
    let storage = MemoryStorage::new();
    let (writer, mut state, reports) = start(&storage);
    for (number, commands) in small_commands().into_iter().enumerate() {
        let batch = batch_of(&mut state, commands);
        writer.commit(batch, Timestamp::new(1)).expect("it runs");
        match reports.recv_timeout(PATIENCE).expect("a report") {
            Report::Committed { sealed, batches, buffer } => {
                let committed = sealed.committed;
                assert_eq!(batches, 1);
                assert_eq!(committed.batch.get(), number as u64 + 1);
                assert_eq!(committed.next_entry, state.next_entry());
                assert!(buffer.capacity() > 0);
            }
            other => panic!("{other:?}"),
        }
    }
    // What is under way when it stops is still written and reported.
    let batch = batch_of(&mut state, vec![opening("zoe", 3)]);
    writer.commit(batch, Timestamp::new(2)).expect("it runs");
    writer.stop();
    assert!(
        matches!(reports.recv(), Ok(Report::Committed { sealed, .. }) if sealed.header.batch.get() == 6)
    );
    assert!(reports.recv().is_err(), "the thread has ended");
    assert_eq!(open(&storage, 600).expect("intact").1, state);
}

/// What waits for a sync goes with one sync, but never behind the end of a closed batch, whose
/// snapshot would be of another state.
#[test]
fn what_waits_is_written_together() {
    let names: Vec<_> = (0..6).map(|n| opening(&format!("n{n}"), 1)).collect();
    let mut state = State::default();
    let mut batches: Vec<_> =
        names.into_iter().map(|name| batch_of(&mut state, vec![name])).collect();
    batches[3].close();
    let (sender, queue) = std::sync::mpsc::sync_channel(super::super::BATCHES_UNDER_WAY_MAX);
    for (batch, time) in batches.into_iter().zip(1..) {
        sender.send(Order::Commit(batch, Timestamp::new(time))).expect("there is room");
    }
    drop(sender);
    let storage = MemoryStorage::new();
    let (journal, _) = open(&storage, 1 << 20).expect("an empty directory");
    let (reports, reported) = channel();
    let report = move |report| match report {
        Report::Committed { sealed, batches, .. } => {
            let committed = sealed.committed;
            let entries = committed.next_entry.get();
            let report = (committed.batch.get(), batches, entries, committed.time.get());
            reports.send(report).expect("the test listens");
        }
        other => panic!("{other:?}"),
    };
    JournalTurns::new(journal, queue, Box::new(report)).run();
    assert_eq!(reported.iter().collect::<Vec<_>>(), [(1, 4, 4, 4), (2, 2, 6, 6)]);
    assert_eq!(open(&storage, 1 << 20).expect("intact").1, state);
}

#[test]
fn dropping_the_writer_ends_the_thread() {
    let (writer, _, reports) = start(&MemoryStorage::new());
    drop(writer);
    assert!(
        reports.recv_timeout(PATIENCE).is_err_and(|error| error.to_string().contains("closed"))
    );
}

#[test]
fn a_failure_or_a_panic_is_reported_and_final() {
    for fault in [Fault::Nothing, Fault::Panic] {
        let (writer, mut state, reports) = start(&Faulty::new(MemoryStorage::new(), fault, 7));
        let batch = batch_of(&mut state, vec![opening("alice", 1)]);
        writer.commit(batch, Timestamp::new(1)).expect("it runs");
        let report = reports.recv_timeout(PATIENCE).expect("a report");
        match (fault, report) {
            (Fault::Nothing, Report::Failed(JournalError::Io(failure))) => {
                assert_eq!(failure.operation, Operation::Append);
            }
            (Fault::Panic, Report::Failed(JournalError::Panicked(message))) => {
                assert_eq!(message, "the storage panics");
            }
            (_, report) => panic!("{fault:?}: {report:?}"),
        }
        assert!(reports.recv_timeout(PATIENCE).is_err(), "the thread has ended");
        let batch = batch_of(&mut state, vec![opening("bob", 1)]);
        let error = writer.commit(batch, Timestamp::new(1)).expect_err("it has ended");
        assert!(matches!(error, JournalError::Stopped), "{error}");
        writer.stop();
    }
}
