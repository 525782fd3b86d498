//! Snapshots beside a journal that is whole.

use actors::ledger::journal::{MemoryStorage, Snapshot};
use sha2::{Digest as _, Sha256};

use super::journal::past::{PAST, Past};
use super::journal::{check, open};

/// Where the content ends, seen from the end: a hash stands behind it.
const HASH_BYTES: usize = 32;

/// The first byte says which snapshot the rest takes the place of, and whether it is the file, its
/// content behind the header, or changes to a good one: pairs of a place and what is there. And whether
/// the hash is made good again, and the file's name.
pub(super) fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let (name, good) = &PAST.snapshots[usize::from(*kind) % PAST.snapshots.len()];
    let (content, hash) = good.split_at(good.len() - HASH_BYTES);
    let mends = kind / 2 % 2 == 0;
    let mut content = match kind / 4 % 3 {
        0 => rest.to_vec(),
        1 => [&content[..128], rest].concat(),
        _ => {
            let mut content = content.to_vec();
            for change in rest.chunks_exact(3) {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
                let length = content.len();
                content[place % length] ^= change[2];
            }
            content
        }
    };
    let hash = if mends { Sha256::digest(&content).to_vec() } else { hash.to_vec() };
    content.extend(hash);

    let storage = MemoryStorage::new();
    PAST.write(&storage, false);
    // One that nobody has mended stands where the one stood that it takes the place of.
    let named = content.get(16..24).filter(|_| mends && kind / 12 % 2 == 1);
    let named = named.map(|number| u64::from_le_bytes(number.try_into().expect("eight bytes")));
    let name = named.map_or_else(|| name.clone(), |number| format!("snapshot-{number:020}.mite"));
    storage.write(&name, content);
    if mends {
        check_written_again(&storage);
        check(&storage, None);
    } else {
        // It is skipped, if it is another one at all.
        check(&storage, PAST.states.last().map(std::slice::from_ref));
    }
}

/// A state that was read from somewhere has one snapshot, and is what that is read as.
fn check_written_again(storage: &MemoryStorage) {
    let storage = storage.copy();
    let Ok((journal, state)) = open(&storage) else { return };
    let last = *journal.last();
    drop(journal);
    let written = |state| {
        let storage = MemoryStorage::new();
        let captured = Snapshot::capture(state, &Past::server());
        captured.store(&storage, &last).expect("memory does not fail");
        super::journal::files(&storage)
    };
    let first = written(&state);
    PAST.segments.iter().for_each(|(name, bytes)| storage.write(name, bytes.clone()));
    for (name, bytes) in &first {
        storage.write(name, bytes.clone());
    }
    let (_, again) = open(&storage).expect("a good snapshot");
    assert!(again == state, "it is read as something else: {again:?}, not {state:?}");
    assert!(written(&again) == first, "it is written as something else");
}
