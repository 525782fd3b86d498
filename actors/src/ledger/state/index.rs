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
        let hash = self.hasher.hash_one(name);
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
