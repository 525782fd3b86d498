//! Which looks of names are taken.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use wire::NameLook;

/// The looks of all names, as a keyed hash of each key: 9 bytes a look, where the texts would take
/// 24 and have to be made anew whenever the table grows.
///
/// Hashes alone can err to one side only. A look that is there is found, always. One that is not
/// there shares its 64 bits with one of 10 million others once in 10^12 openings; somebody has to
/// choose another name then. Nobody can aim at it, the key being new in each process, and no replay
/// comes to another state, since replays do not ask.
#[derive(Clone, Debug, Default)]
pub(super) struct LookIndex {
    hashes: HashTable<u64>,
    hasher: RandomState,
}

impl LookIndex {
    /// Whether a name is there that clashes with this look.
    pub(super) fn holds(&self, look: &NameLook) -> bool {
        look.keys().any(|key| self.has(self.hasher.hash_one(key)))
    }

    /// Adds the look of a name. It may be there already: old names can look alike.
    pub(super) fn insert(&mut self, look: &NameLook) {
        for key in look.keys() {
            let hash = self.hasher.hash_one(key);
            if !self.has(hash) {
                self.hashes.insert_unique(hash, hash, |&hash| hash);
            }
        }
    }

    fn has(&self, hash: u64) -> bool {
        self.hashes.find(hash, |&found| found == hash).is_some()
    }
}
