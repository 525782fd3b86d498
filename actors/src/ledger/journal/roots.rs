//! Merkle roots of batches, checked on a thread of their own while their entries are replayed: hashing takes
//! as long as all the rest.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use wire::batch::{BatchHeader, Hash};
use wire::merkle;

use super::batch::Entries;
use super::error::Damage;

/// From how many entries on a batch is left to the thread: to hash fewer takes less time (150 ns each) than
/// to wake it.
const ENTRIES_MIN: u32 = 64;

/// How many batches may wait for the thread: enough for it to go on while a large one is replayed. Each
/// is some 200 bytes; its entries stay where they are.
const WAITING_MAX: usize = 64;

/// The thread, as whoever replays sees it.
pub(super) struct Roots<'a> {
    waiting: SyncSender<Waiting<'a>>,
    /// Memory for the leaves of what is checked at once.
    leaves: Vec<Hash>,
}

/// A batch whose root is to be checked.
struct Waiting<'a> {
    offset: usize,
    header: BatchHeader,
    entries: &'a [u8],
}

/// A batch whose entries are not those under its root.
#[derive(Debug)]
pub(super) struct WrongRoot {
    /// Where it begins in its segment.
    pub(super) offset: usize,
    /// Its header.
    pub(super) header: BatchHeader,
    /// What is wrong.
    pub(super) damage: Damage,
}

/// Calls `replay`, which hands over the batches that it has replayed, and waits until they are checked.
///
/// # Errors
/// The first [`WrongRoot`] of those that were handed over: it stands in front of whatever `replay` has
/// found since.
pub(super) fn check_beside<'a, T>(
    replay: impl FnOnce(&mut Roots<'a>) -> T,
) -> Result<T, Box<WrongRoot>> {
    thread::scope(|scope| {
        let (waiting, queue) = sync_channel(WAITING_MAX);
        let check = move || check_all(&queue);
        let thread = thread::Builder::new().name("mite-roots".to_owned());
        let thread = thread.spawn_scoped(scope, check).expect("the system can start a thread more");
        let mut roots = Roots { waiting, leaves: Vec::new() };
        let replayed = replay(&mut roots);
        drop(roots);
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(replayed)
    })
}

impl<'a> Roots<'a> {
    /// Checks the root of a batch that stands at `offset` and whose entries can be decoded, now or, if it is
    /// a large one, later.
    ///
    /// # Errors
    /// [`Damage::WrongMerkleRoot`].
    pub(super) fn check(
        &mut self,
        offset: usize,
        header: &BatchHeader,
        entries: &'a [u8],
    ) -> Result<(), Damage> {
        if header.entry_count < ENTRIES_MIN {
            return check(header, entries, &mut self.leaves);
        }
        // If it takes no more, it has found a wrong root, which is told at the end.
        let _ = self.waiting.send(Waiting { offset, header: header.clone(), entries });
        Ok(())
    }
}

fn check_all(queue: &Receiver<Waiting<'_>>) -> Result<(), Box<WrongRoot>> {
    let mut leaves = Vec::new();
    for Waiting { offset, header, entries } in queue {
        if let Err(damage) = check(&header, entries, &mut leaves) {
            return Err(Box::new(WrongRoot { offset, header, damage }));
        }
    }
    Ok(())
}

fn check(header: &BatchHeader, entries: &[u8], leaves: &mut Vec<Hash>) -> Result<(), Damage> {
    let Some(seal) = &header.seal else { return Ok(()) };
    leaves.clear();
    for encoded in Entries::of(header, entries) {
        leaves.push(merkle::leaf(encoded?.bytes));
    }
    if merkle::root_in_place(leaves) == seal.merkle_root {
        Ok(())
    } else {
        Err(Damage::WrongMerkleRoot)
    }
}
