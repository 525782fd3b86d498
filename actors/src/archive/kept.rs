//! Orders that their payers have the server keep until they are decided or expire. They move nothing.

use std::collections::HashSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    StorageBackend, Table, TableDefinition, WriteTransaction,
};
use slog::{Logger, error};
use wire::order::{ORDER_VALIDITY_MS_MAX, SIGNED_ORDER_BYTES_MAX};
use wire::{AccountId, OrderId, SignedOrder, Timestamp, codec};

use super::database;
use super::error::{ArchiveError, corrupted};
use super::keeps::KEEPS_WAITING_MAX;
use crate::messages::KeepOrder;

/// So many orders of one account are kept: as many payments as a person has open, and then some. Nothing
/// is made of more, in 36 KiB.
pub const OPEN_ORDERS_PER_ACCOUNT_MAX: usize = 64;

/// So many orders of all accounts are kept: 0.8 GiB of disk at some 800 bytes each. As much of it as is
/// free, so much of [`OPEN_ORDERS_PER_ACCOUNT_MAX`] may be one account's. Accounts cost little; the
/// fuller it is, the less each of them adds: sixteen thousand that keep all they may leave more than a
/// third, and it takes more than seventy thousand to leave nothing.
pub const OPEN_ORDERS_MAX: u64 = 1 << 20;

/// An order is kept no longer than this, whatever it says itself, or those of one who lies would stay for
/// ever. No honest one is valid for longer than half of it when it is signed.
const KEPT_MS_MAX: u64 = 2 * ORDER_VALIDITY_MS_MAX;

/// So many expired orders are removed with each commit at most: more than a commit adds.
const REMOVED_PER_COMMIT_MAX: usize = 2 * KEEPS_WAITING_MAX;

/// Pages that are kept in memory.
const CACHE_BYTES: usize = 8 << 20;

/// An account and the bytes of an id.
type OrderKey = (u64, &'static [u8; 16]);
/// Until when an order is kept, and the encoded [`SignedOrder`].
type KeptOrder = (u64, &'static [u8]);
/// Until when an order is kept, and its [`OrderKey`].
type ExpiryKey = (u64, u64, &'static [u8; 16]);

const ORDERS: TableDefinition<OrderKey, KeptOrder> = TableDefinition::new("orders");
const EXPIRY: TableDefinition<ExpiryKey, ()> = TableDefinition::new("expiry");

/// The file of kept orders.
pub(super) struct KeptOrders {
    database: Database,
    /// As many are kept at most.
    most: u64,
}

impl KeptOrders {
    /// Opens the file, or makes an empty one, for `most` orders. A damaged one is renamed, not removed:
    /// nothing else holds what is in it.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub(super) fn open(path: &Path, most: u64, log: &Logger) -> Result<Self, ArchiveError> {
        let load = || database::open(path, CACHE_BYTES, |database| Self::load(database, most));
        database::open_or_replace(path, load, |error| {
            let aside = aside(path);
            error!(log, "the file of open orders is damaged and put aside: none is kept any more";
                "file" => %path.display(), "aside" => %aside.display(), "error" => %error);
            fs::rename(path, &aside)
        })
    }

    fn load(database: Database, most: u64) -> Result<Self, redb::Error> {
        let transaction = database.begin_write()?;
        drop(Tables::open(&transaction)?);
        transaction.commit()?;
        Ok(Self { database, most })
    }

    /// Keeps these, durably, and says for each whether there was room. `is_decided` is asked when an account
    /// has none, of each of its orders once.
    ///
    /// # Errors
    /// What the database says; then nobody knows which are kept.
    pub(super) fn keep<'k>(
        &self,
        orders: impl IntoIterator<Item = &'k KeepOrder>,
        is_decided: impl Fn(AccountId, OrderId) -> bool,
    ) -> Result<Vec<bool>, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let (mut kept, mut looked_through) = (Vec::new(), HashSet::new());
        let mut removable = REMOVED_PER_COMMIT_MAX;
        for order in orders {
            tables.remove_expired(order.now, &mut removable)?;
            kept.push(tables.keep(order, self.most, &mut looked_through, &is_decided)?);
        }
        drop(tables);
        transaction.commit()?;
        Ok(kept)
    }

    /// What is kept of this account and valid at `now`, the one that expires first in front.
    ///
    /// # Errors
    /// What the database says.
    pub(super) fn of_account(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<SignedOrder>, redb::Error> {
        let orders = self.database.begin_read()?.open_table(ORDERS)?;
        let mut found = Vec::new();
        for kept in orders.range(all_of(account))? {
            let (_, kept) = kept?;
            let order = decode(kept.value().1)?;
            found.extend((order.order.id.not_after() >= now).then_some(order));
        }
        Ok(found)
    }
}

/// How many orders a file of kept orders holds. All of it is read: it is whole.
///
/// # Errors
/// What the database says.
pub(crate) fn count_kept_orders(file: impl StorageBackend) -> Result<u64, redb::Error> {
    database::open_backend(file, CACHE_BYTES, |mut database| {
        if !database.check_integrity()? {
            return Err(corrupted("the copy had to be repaired"));
        }
        let orders = database.begin_read()?.open_table(ORDERS)?;
        let mut count = 0;
        for kept in orders.iter()? {
            decode(kept?.1.value().1)?;
            count += 1;
        }
        Ok(count)
    })
}

struct Tables<'t> {
    orders: Table<'t, OrderKey, KeptOrder>,
    expiry: Table<'t, ExpiryKey, ()>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let (orders, expiry) = (transaction.open_table(ORDERS)?, transaction.open_table(EXPIRY)?);
        Ok(Self { orders, expiry })
    }

    /// `looked_through` are the accounts whose decided orders are removed already.
    fn keep(
        &mut self,
        KeepOrder { account, order, now }: &KeepOrder,
        most: u64,
        looked_through: &mut HashSet<AccountId>,
        is_decided: impl Fn(AccountId, OrderId) -> bool,
    ) -> Result<bool, redb::Error> {
        let id = order.order().id;
        if id.not_after() < *now {
            // It may be forgotten at once.
            return Ok(true);
        }
        // One that is there already takes no more room, however little is left.
        if self.orders.get((account.get(), id.as_bytes()))?.is_some() {
            self.remove(*account, id.as_bytes())?;
        } else {
            if !self.has_room(*account, most)? && looked_through.insert(*account) {
                self.remove_decided(*account, is_decided)?;
            }
            if !self.has_room(*account, most)? {
                return Ok(false);
            }
        }
        let until = id.not_after().get().min(now.get().saturating_add(KEPT_MS_MAX));
        let mut bytes = Vec::with_capacity(SIGNED_ORDER_BYTES_MAX);
        codec::encode_into(order.signed(), &mut bytes);
        self.orders.insert((account.get(), id.as_bytes()), (until, bytes.as_slice()))?;
        self.expiry.insert((until, account.get(), id.as_bytes()), ())?;
        Ok(true)
    }

    /// Whether one more order of this account may be kept.
    fn has_room(&self, account: AccountId, most: u64) -> Result<bool, redb::Error> {
        let own = self.orders.range(all_of(account))?.count();
        Ok(own < room_of_account(self.orders.len()?, most))
    }

    fn remove_expired(&mut self, now: Timestamp, removable: &mut usize) -> Result<(), redb::Error> {
        while *removable > 0 {
            let first = self.expiry.first()?.map(|(key, _)| {
                let (until, account, id) = key.value();
                (until, AccountId::new(account), *id)
            });
            let Some((_, account, id)) = first.filter(|(until, ..)| *until < now.get()) else {
                break;
            };
            self.remove(account, &id)?;
            *removable -= 1;
        }
        Ok(())
    }

    fn remove_decided(
        &mut self,
        account: AccountId,
        is_decided: impl Fn(AccountId, OrderId) -> bool,
    ) -> Result<(), redb::Error> {
        let mut decided = Vec::new();
        for kept in self.orders.range(all_of(account))? {
            let (_, kept) = kept?;
            let id = decode(kept.value().1)?.order.id;
            decided.extend(is_decided(account, id).then_some(id));
        }
        decided.into_iter().try_for_each(|id| self.remove(account, id.as_bytes()))
    }

    fn remove(&mut self, account: AccountId, id: &[u8; 16]) -> Result<(), redb::Error> {
        let removed = self.orders.remove((account.get(), id))?;
        let until = removed.map(|kept| kept.value().0);
        if let Some(until) = until {
            self.expiry.remove((until, account.get(), id))?;
        }
        Ok(())
    }
}

/// How many orders one account may have when so many of the most are kept of all.
fn room_of_account(kept: u64, most: u64) -> usize {
    let free = u128::from(most.saturating_sub(kept));
    let share = (free * OPEN_ORDERS_PER_ACCOUNT_MAX as u128).div_ceil(u128::from(most.max(1)));
    usize::try_from(share).unwrap_or(OPEN_ORDERS_PER_ACCOUNT_MAX)
}

/// The keys of all orders of an account.
fn all_of(account: AccountId) -> RangeInclusive<OrderKey> {
    (account.get(), &[0; 16])..=(account.get(), &[u8::MAX; 16])
}

fn decode(bytes: &[u8]) -> Result<SignedOrder, redb::Error> {
    let order = codec::decode_exact::<SIGNED_ORDER_BYTES_MAX, SignedOrder>(bytes);
    order.map_err(|_| corrupted("a kept order cannot be read"))
}

fn aside(path: &Path) -> PathBuf {
    path.with_added_extension("damaged")
}
