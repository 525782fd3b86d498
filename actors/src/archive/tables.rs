//! What is written to the index: first gathered, then written in the order of its tables.

use std::ops::Bound::{Excluded, Included};

use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use wire::secure::HistoryItem;
use wire::{Access, AccountId, Entry, EntryNumber, Timestamp, Username, codec};

use super::error::corrupted;
use super::index::Mark;
use super::record::{KeyedAccounts, Record};
use super::rows::{self, HISTORY_ITEM_BYTES_MAX, ITEMS_PER_ROW_MAX, IndexedOrder, id_of};
use crate::ledger::journal::{BatchEntries, BatchPosition};

/// Whether it has a key, the entry that opened it, its name; by account.
pub(super) const ACCOUNTS: TableDefinition<u64, (bool, u64, &str)> =
    TableDefinition::new("accounts");
/// Orders and the entries that decided them, as [`rows::orders`] reads them; by payer and the id that the
/// row begins with. It ends in front of the payer's next one.
pub(super) const ORDERS: TableDefinition<(u64, &[u8; 16]), &[u8]> = TableDefinition::new("orders");
/// [`HistoryItem`]s, as [`rows::items`] reads them; by account and the entry of the first one.
pub(super) const HISTORY: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("history");
/// Where it is, as the segment's first batch and the offset, and the entry behind it; by its first entry.
/// Only batches in which something is recorded.
pub(super) const BATCHES: TableDefinition<u64, (u64, u64, u64)> = TableDefinition::new("batches");
/// The encoded [`Mark`].
const MARK: TableDefinition<(), &[u8]> = TableDefinition::new("mark");

/// All tables, to be written to.
pub(super) struct Tables<'t> {
    accounts: Table<'t, u64, (bool, u64, &'static str)>,
    orders: Table<'t, (u64, &'static [u8; 16]), &'static [u8]>,
    history: Table<'t, (u64, u64), &'static [u8]>,
    batches: Table<'t, u64, (u64, u64, u64)>,
    mark: Table<'t, (), &'static [u8]>,
    news: News,
}

/// What is gathered and not written yet.
#[derive(Default)]
struct News {
    /// By payer.
    orders: Vec<(u64, IndexedOrder)>,
    items: Vec<NewItem>,
    /// The encoded items.
    item_bytes: Vec<u8>,
}

/// An item of an account's history: whose, of which entry, and where its bytes begin and end. They sort
/// by account and entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NewItem {
    account: u64,
    entry: u64,
    begin: usize,
    end: usize,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            accounts: transaction.open_table(ACCOUNTS)?,
            orders: transaction.open_table(ORDERS)?,
            history: transaction.open_table(HISTORY)?,
            batches: transaction.open_table(BATCHES)?,
            mark: transaction.open_table(MARK)?,
            news: News::default(),
        })
    }

    /// What an index keeps in memory.
    pub(super) fn load(&self) -> Result<(Option<Mark>, KeyedAccounts), redb::Error> {
        let mark = match self.mark.get(())? {
            None => None,
            Some(found) => Some(Mark::decode(found.value())?),
        };
        let mut keyed = KeyedAccounts::new();
        for account in self.accounts.iter()? {
            let (account, known) = account?;
            let (has_key, ..) = known.value();
            keyed.extend(has_key.then(|| AccountId::new(account.value())));
        }
        Ok((mark, keyed))
    }

    /// Takes what a batch adds. Orders and histories wait for [`Tables::write`].
    pub(super) fn add(
        &mut self,
        batch: &BatchEntries,
        keyed: &mut KeyedAccounts,
    ) -> Result<(), redb::Error> {
        let first = batch.header.first_entry.get();
        let mut recorded = false;
        for (number, entry) in (first..).zip(&batch.entries) {
            if let Entry::AccountOpened { account, name, access, .. } = entry {
                let has_key = matches!(access, Access::Keyed(_));
                self.accounts.insert(account.get(), (has_key, number, name.as_str()))?;
                keyed.extend(has_key.then_some(*account));
            }
            let accounts = &self.accounts;
            let record = Record::of(entry, keyed, |account| name_of(accounts, account))?;
            if let Some(record) = record {
                recorded = true;
                self.news.add(record, EntryNumber::new(number), batch.header.time);
            }
        }
        if recorded {
            let BatchPosition { segment, offset } = batch.position;
            let next = batch.header.next_entry().get();
            self.batches.insert(first, (segment.get(), offset, next))?;
        }
        Ok(())
    }

    /// Writes what was taken, and how far the index goes with it.
    pub(super) fn write(mut self, mark: &Mark) -> Result<(), redb::Error> {
        let News { mut orders, mut items, item_bytes } = std::mem::take(&mut self.news);
        orders.sort_unstable();
        for orders in orders.chunk_by(|(payer, _), (next, _)| payer == next) {
            let payer = orders[0].0;
            let orders: Vec<_> = orders.iter().map(|(_, order)| *order).collect();
            self.write_orders(payer, &orders)?;
        }
        items.sort_unstable();
        for items in items.chunk_by(|item, next| item.account == next.account) {
            for items in items.chunks(ITEMS_PER_ROW_MAX) {
                let bytes = |item: &NewItem| &item_bytes[item.begin..item.end];
                let row = items.iter().map(bytes).collect::<Vec<_>>().concat();
                self.history.insert((items[0].account, items[0].entry), row.as_slice())?;
            }
        }
        self.mark.insert((), encoded(mark).as_slice())?;
        Ok(())
    }

    /// Writes orders of one payer, which are sorted.
    fn write_orders(&mut self, payer: u64, mut orders: &[IndexedOrder]) -> Result<(), redb::Error> {
        while let Some(first) = orders.first() {
            let (begin, end) = ((payer, &[0; 16]), (payer, &[u8::MAX; 16]));
            let at = (payer, id_of(first));
            let (mut key, mut row) = (*at.1, Vec::new());
            if let Some(found) = self.orders.range(begin..=at)?.next_back() {
                let (begins, orders) = found?;
                key = *begins.value().1;
                row.extend(rows::orders(orders.value())?);
            }
            let next = self.orders.range((Excluded(at), Included(end)))?.next().transpose()?;
            let next = next.map(|(begins, _)| *begins.value().1);
            let is_here = |order: &IndexedOrder| next.is_none_or(|next| *id_of(order) < next);
            let (here, rest) = orders.split_at(orders.partition_point(is_here));
            rows::merge(&mut row, here);
            for (place, row) in rows::split(&row).enumerate() {
                let key = if place == 0 { &key } else { id_of(&row[0]) };
                self.orders.insert((payer, key), row.as_flattened())?;
            }
            orders = rest;
        }
        Ok(())
    }
}

impl News {
    fn add(&mut self, record: Record, entry: EntryNumber, time: Timestamp) {
        let Record { order, history } = record;
        self.orders.extend(order.map(|(payer, id)| (payer.get(), rows::indexed(id, entry))));
        for (account, event) in history {
            let begin = self.item_bytes.len();
            codec::encode_into(&HistoryItem { number: entry, time, event }, &mut self.item_bytes);
            let end = self.item_bytes.len();
            self.items.push(NewItem { account: account.get(), entry: entry.get(), begin, end });
        }
    }
}

fn name_of(
    accounts: &Table<'_, u64, (bool, u64, &'static str)>,
    account: AccountId,
) -> Result<Username, redb::Error> {
    let found = accounts.get(account.get())?;
    let name = found.and_then(|found| found.value().2.parse().ok());
    name.ok_or_else(|| corrupted("the name of an account is missing"))
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HISTORY_ITEM_BYTES_MAX);
    codec::encode_into(value, &mut bytes);
    bytes
}
