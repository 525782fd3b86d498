//! What finds accounts: by name, by key.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use wire::{AccountId, PublicKey};

use super::Account;

/// Finds accounts by name. Keeps numbers only: the names stand in the accounts, once.
///
/// The hash is keyed anew in each process, so that nobody can choose names that collide; nothing
/// that the state decides depends on its order.
#[derive(Clone, Debug, Default)]
pub(super) struct NameIndex {
    ids: HashTable<AccountId>,
    hasher: RandomState,
}

impl NameIndex {
    pub(super) fn find(&self, name: &str, accounts: &[Account]) -> Option<AccountId> {
        self.find_hashed(self.hasher.hash_one(name), name, accounts)
    }

    /// Finds several names, in order.
    ///
    /// Where index and accounts are larger than the processor's caches, each name costs three waits for
    /// memory, one after the other. Step by step for all names, the processor runs ahead within a step and
    /// has the waits of many under way at the same time.
    pub(super) fn find_each<'a>(
        &self,
        names: impl Iterator<Item = Option<&'a str>> + Clone,
        accounts: &[Account],
    ) -> Vec<Option<AccountId>> {
        let hash = |name| self.hasher.hash_one::<&str>(name);
        let hashes: Vec<Option<u64>> = names.clone().map(|name| name.map(hash)).collect();
        // With a hash like it: nearly always the one that is sought.
        let like = |hash: &Option<u64>| Some(*self.ids.find((*hash)?, |_| true)?);
        let likely: Vec<Option<AccountId>> = hashes.iter().map(like).collect();
        let found = names.zip(hashes).zip(likely).map(|((name, hash), likely)| {
            let (name, hash, likely) = (name?, hash?, likely?);
            if name_of(likely, accounts) == name {
                return Some(likely);
            }
            self.find_hashed(hash, name, accounts)
        });
        found.collect()
    }

    fn find_hashed(&self, hash: u64, name: &str, accounts: &[Account]) -> Option<AccountId> {
        self.ids.find(hash, |&id| name_of(id, accounts) == name).copied()
    }

    pub(super) fn insert(&mut self, id: AccountId, accounts: &[Account]) {
        let Self { ids, hasher } = self;
        let hash = |id: &AccountId| hasher.hash_one(name_of(*id, accounts));
        ids.insert_unique(hash(&id), id, hash);
    }
}

fn name_of(id: AccountId, accounts: &[Account]) -> &str {
    let account = super::index(id).and_then(|index| accounts.get(index));
    account.expect("the index holds numbers of accounts only").name.as_str()
}

/// Finds accounts by the keys that they have and had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyIndex(HashMap<PublicKey, AccountId>);

impl KeyIndex {
    pub(super) fn find(&self, key: &PublicKey) -> Option<AccountId> {
        self.0.get(key).copied()
    }

    /// Old journals may give a key to several accounts; it is the first one's.
    pub(super) fn insert(&mut self, key: PublicKey, id: AccountId) {
        self.0.entry(key).or_insert(id);
    }
}
