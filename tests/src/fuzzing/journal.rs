//! Data directories: whatever their files hold, they open as what was written, or are refused.

use std::sync::Arc;

use actors::ledger::journal::{
    Batch, BatchCursor, Committed, Journal, JournalOptions, JournalPlace, MemoryStorage, OpenError,
    Storage as _, Walked,
};
use actors::ledger::state::{Command, Outcome, State, Terms};
use wire::{Access, Amount, NewUsername, Timestamp, Username};

use self::changes::{change, mend};
use self::past::{PAST, Past, SEGMENT_BYTES, log, signer};

mod changes;
pub(super) mod past;

/// The header of a segment.
const SEGMENT_HEADER_BYTES: usize = 60;
/// Each change takes so many bytes of the input.
const CHANGE_BYTES: usize = 6;

/// The first byte says what the rest is: the only segment, what stands behind its header, or changes
/// to a good directory; with snapshots or without; checksums made good again or not.
pub(super) fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let storage = MemoryStorage::new();
    match kind % 4 {
        0 => {
            let mut segment = rest.to_vec();
            mend(&mut segment);
            let first = segment.get(16..24).map(|number| number.try_into().expect("eight bytes"));
            let first = first.map_or(1, u64::from_le_bytes);
            storage.write(&format!("journal-{first:020}.mite"), segment);
        }
        1 => {
            let header = &PAST.segments[0].1[..SEGMENT_HEADER_BYTES];
            let mut segment = [header, rest].concat();
            segment.resize(segment.len().next_multiple_of(512), 0);
            mend(&mut segment);
            storage.write(&PAST.segments[0].0, segment);
        }
        _ => {
            let with_snapshots = kind / 4 % 2 == 0;
            PAST.write(&storage, with_snapshots);
            for record in rest.chunks_exact(CHANGE_BYTES) {
                change(&storage, record.try_into().expect("a chunk of this length"));
            }
            if kind % 4 == 2 {
                // Nobody has made the checksums good again: every change is found, or takes away a
                // whole end.
                return check(&storage, Some(&PAST.states));
            }
            PAST.segments.iter().for_each(|(name, _)| {
                let mut segment = storage.read(name).unwrap_or_default();
                mend(&mut segment);
                storage.write(name, segment);
            });
        }
    }
    check(&storage, None);
}

/// A directory that opens makes sense and can be gone on with; one that does not is left as it is.
/// `allowed` are the states that it may have, where that is known.
pub(super) fn check(storage: &MemoryStorage, allowed: Option<&[State]>) {
    let before = files(storage);
    let (journal, state) = match open(storage) {
        Ok(opened) => opened,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains(char::is_control), "{said:?}");
            assert!(files(storage) == before, "a directory that is refused was changed: {said}");
            return;
        }
    };
    check_sum(&state);
    if let Some(allowed) = allowed {
        assert!(allowed.contains(&state), "a state that never was: {state:?}");
    }
    let last = *journal.last();
    if journal.snapshot().get() == 0 {
        assert_eq!(walk(storage), Some(last), "what is read beside it");
    }
    drop(journal);
    let (mut journal, again) = open(storage).expect("it has been opened before");
    assert!(again == state && *journal.last() == last, "it opens as something else again");
    go_on(&mut journal, storage, again);
}

/// Appends one batch more, and finds it again.
fn go_on(journal: &mut Journal, storage: &MemoryStorage, mut state: State) {
    let now = journal.last().time;
    let terms = Terms { now, shown: now, server: Past::server() };
    let name: Username = "newcomer".parse().expect("a name");
    let name = NewUsername::try_from(name).expect("one that may be given");
    let command = Command::OpenAccount { name, access: Access::Open, grant: Amount::ZERO };
    let (Outcome::Opened(_), Some(entry)) = state.apply(command, &terms) else { return };
    let mut batch = Batch::new(Vec::new());
    batch.push(&entry);
    let sealed = journal.append(&mut batch, Timestamp::new(1)).expect("memory does not fail");
    let (journal, found) = open(storage).expect("it is as it was written");
    assert!(found == state && *journal.last() == sealed.committed, "the last batch is another");
}

/// The last batch that a reader beside the server finds; `None` if it finds damage.
fn walk(storage: &MemoryStorage) -> Option<Committed> {
    let mut cursor = BatchCursor::new(Arc::new(storage.clone()), JournalPlace::BEGIN);
    while let Walked::Batch(_) = cursor.walk().ok()? {}
    Some(cursor.place().last)
}

/// Every credit is issued by the treasury.
fn check_sum(state: &State) {
    let held = state.accounts().iter().map(|account| i128::from(account.balance.credits()));
    assert_eq!(held.sum::<i128>() + state.treasury(), 0);
}

pub(super) fn open(storage: &MemoryStorage) -> Result<(Journal, State), OpenError> {
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES };
    Journal::open(Arc::new(storage.clone()), signer(), options, &log())
}

pub(super) fn files(storage: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    let names = storage.list().expect("memory does not fail").into_iter();
    names.map(|name| (name.clone(), storage.read(&name).expect("it is listed"))).collect()
}
