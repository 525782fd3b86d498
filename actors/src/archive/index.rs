//! The index: finds orders and histories in the journal. Whatever it holds, the journal holds too.

use std::path::{Path, PathBuf};

use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use slog::{Logger, warn};
use wire::secure::HistoryItem;
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::{Access, AccountId, BatchNumber, Entry, EntryNumber, OrderId, Username, codec};

use super::database;
use super::error::{ArchiveError, corrupted};
use super::record::{KeyedAccounts, Record, is_recorded};
use crate::ledger::journal::{BatchPosition, JournalPlace, StoredBatch};
use crate::messages::HistoryPage;

/// The version of the index's form. One of another version is rebuilt.
const INDEX_VERSION: u32 = 1;

/// Pages of the index that are kept in memory: the paths to the newest of some millions of entries.
const CACHE_BYTES: usize = 64 << 20;

/// So many entries are read again at most after a crash: two seconds' work if all are signed.
const UNSAVED_ENTRIES_MAX: u64 = 1 << 18;

/// So many commits are made until one is synced, and read again at most after a crash: at some 80 µs each,
/// a tenth of a second's work.
const UNSAVED_COMMITS_MAX: u32 = 1000;

/// The longest encoding of a [`HistoryItem`]: a name of 128 bytes, an id, numbers; rounded up.
const HISTORY_ITEM_BYTES_MAX: usize = 256;

/// Whether it has a key, the entry that opened it, its name; by account.
const ACCOUNTS: TableDefinition<u64, (bool, u64, &str)> = TableDefinition::new("accounts");
/// The entry that decided it; by payer and id.
const ORDERS: TableDefinition<(u64, &[u8; 16]), u64> = TableDefinition::new("orders");
/// The encoded [`HistoryItem`]; by account and entry.
const HISTORY: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("history");
/// Where it is, as the segment's first batch and the offset, and the entry behind it; by its first entry.
/// Only batches in which something is recorded.
const BATCHES: TableDefinition<u64, (u64, u64, u64)> = TableDefinition::new("batches");
/// The encoded [`Mark`].
const MARK: TableDefinition<(), &[u8]> = TableDefinition::new("mark");

/// How far the index goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    version: u32,
    /// Where the last batch stands that it knows.
    pub(super) last: BatchPosition,
    /// Where reading goes on.
    pub(super) place: JournalPlace,
}

/// The file that finds things in the journal.
pub(super) struct Index {
    path: PathBuf,
    database: Database,
    keyed: KeyedAccounts,
    mark: Option<Mark>,
    unsaved_entries: u64,
    unsaved_commits: u32,
}

impl Index {
    /// Opens the file, or makes an empty one if there is none or it is damaged.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub(super) fn open(path: &Path, log: &Logger) -> Result<Self, ArchiveError> {
        let load = || database::open(path, CACHE_BYTES, |database| Self::load(path, database));
        database::open_or_replace(path, load, |error| {
            warn!(log, "damaged index removed: it is rebuilt from the journal";
                "file" => %path.display(), "error" => %error);
            database::remove(path)
        })
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// [`ArchiveError`]; then it still is what it was.
    pub(super) fn reset(&mut self, log: &Logger) -> Result<(), ArchiveError> {
        let put_away = |source| ArchiveError::PutAway { path: self.path.clone(), source };
        // The open file goes when its database does.
        database::remove(&self.path).map_err(put_away)?;
        let path = self.path.clone();
        *self = Self::open(&path, log)?;
        Ok(())
    }

    fn load(path: &Path, database: Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_write()?;
        let (mark, keyed) = Tables::open(&transaction)?.load()?;
        transaction.commit()?;
        let path = path.to_owned();
        Ok(Self { path, database, keyed, mark, unsaved_entries: 0, unsaved_commits: 0 })
    }

    /// How far it goes; `None` if it knows nothing.
    pub(super) const fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    /// Where reading goes on.
    pub(super) fn place(&self) -> JournalPlace {
        self.mark.map_or(JournalPlace::BEGIN, |mark| mark.place)
    }

    /// The entry behind the last one that it knows.
    pub(super) fn next_entry(&self) -> EntryNumber {
        self.place().last.next_entry
    }

    /// Takes the batches behind those that it knows, all of them or none. Reading goes on at `place`.
    ///
    /// # Errors
    /// What the database says; then nothing may be asked of it any more.
    pub(super) fn add(
        &mut self,
        batches: &[StoredBatch],
        place: JournalPlace,
    ) -> Result<(), redb::Error> {
        let Some(StoredBatch { position, .. }) = batches.last() else { return Ok(()) };
        let mark = Mark { version: INDEX_VERSION, last: *position, place };
        self.unsaved_entries += batches.iter().map(|batch| batch.entries.len() as u64).sum::<u64>();
        // Names of open accounts are kept for the histories of those whom they pay.
        let is_news = |entry| {
            matches!(entry, &Entry::AccountOpened { .. }) || is_recorded(entry, &self.keyed)
        };
        let has_news = batches.iter().flat_map(|batch| &batch.entries).any(is_news);
        if has_news || self.unsaved_entries >= UNSAVED_ENTRIES_MAX {
            self.write(batches, &mark)?;
        }
        self.mark = Some(mark);
        Ok(())
    }

    fn write(&mut self, batches: &[StoredBatch], mark: &Mark) -> Result<(), redb::Error> {
        self.unsaved_commits += 1;
        let save = self.unsaved_entries >= UNSAVED_ENTRIES_MAX
            || self.unsaved_commits >= UNSAVED_COMMITS_MAX;
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(if save { Durability::Immediate } else { Durability::None })?;
        // Else the whole file is read when it is opened after a crash.
        transaction.set_quick_repair(save);
        let mut tables = Tables::open(&transaction)?;
        for batch in batches {
            tables.add(batch, &mut self.keyed)?;
        }
        tables.mark.insert((), encoded(mark).as_slice())?;
        drop(tables);
        transaction.commit()?;
        if save {
            self.unsaved_entries = 0;
            self.unsaved_commits = 0;
        }
        Ok(())
    }

    /// The entry that decided this order.
    pub(super) fn decision(
        &self,
        payer: AccountId,
        id: OrderId,
    ) -> Result<Option<EntryNumber>, redb::Error> {
        let orders = self.database.begin_read()?.open_table(ORDERS)?;
        let found = orders.get((payer.get(), id.as_bytes()))?;
        Ok(found.map(|entry| EntryNumber::new(entry.value())))
    }

    /// The batch that this entry is in; `None` if nothing is recorded in that.
    pub(super) fn batch_of(
        &self,
        entry: EntryNumber,
    ) -> Result<Option<BatchPosition>, redb::Error> {
        let batches = self.database.begin_read()?.open_table(BATCHES)?;
        let Some(found) = batches.range(..=entry.get())?.next_back() else { return Ok(None) };
        let (segment, offset, next) = found?.1.value();
        let position = BatchPosition { segment: BatchNumber::new(segment), offset };
        Ok((entry.get() < next).then_some(position))
    }

    /// Whether this account had this name already when the entry was made.
    pub(super) fn had_name(
        &self,
        account: AccountId,
        name: &Username,
        entry: EntryNumber,
    ) -> Result<bool, redb::Error> {
        let accounts = self.database.begin_read()?.open_table(ACCOUNTS)?;
        let Some(found) = accounts.get(account.get())? else { return Ok(false) };
        let (_, opened, found) = found.value();
        Ok(opened < entry.get() && found == name.as_str())
    }

    /// Whether this entry is in this account's history.
    pub(super) fn is_in_history(
        &self,
        account: AccountId,
        entry: EntryNumber,
    ) -> Result<bool, redb::Error> {
        let history = self.database.begin_read()?.open_table(HISTORY)?;
        Ok(history.get((account.get(), entry.get()))?.is_some())
    }

    /// A page of an account's history, newest first.
    pub(super) fn history(
        &self,
        account: AccountId,
        before: Option<EntryNumber>,
        limit: u32,
    ) -> Result<HistoryPage, redb::Error> {
        let history = self.database.begin_read()?.open_table(HISTORY)?;
        let before = before.map_or(u64::MAX, EntryNumber::get);
        let limit = limit.min(PAGE_ITEMS_MAX) as usize;
        let mut items = Vec::new();
        for found in history.range((account.get(), 0)..(account.get(), before))?.rev() {
            let (_, item) = found?;
            if items.len() == limit {
                return Ok(HistoryPage { items, more: true });
            }
            let item = codec::decode_exact::<HISTORY_ITEM_BYTES_MAX, HistoryItem>(item.value());
            items.push(item.map_err(|_| corrupted("an item of a history cannot be read"))?);
        }
        Ok(HistoryPage { items, more: false })
    }
}

/// All tables, to be written to.
struct Tables<'t> {
    accounts: Table<'t, u64, (bool, u64, &'static str)>,
    orders: Table<'t, (u64, &'static [u8; 16]), u64>,
    history: Table<'t, (u64, u64), &'static [u8]>,
    batches: Table<'t, u64, (u64, u64, u64)>,
    mark: Table<'t, (), &'static [u8]>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            accounts: transaction.open_table(ACCOUNTS)?,
            orders: transaction.open_table(ORDERS)?,
            history: transaction.open_table(HISTORY)?,
            batches: transaction.open_table(BATCHES)?,
            mark: transaction.open_table(MARK)?,
        })
    }

    /// What an index keeps in memory.
    fn load(&self) -> Result<(Option<Mark>, KeyedAccounts), redb::Error> {
        let mark = match self.mark.get(())? {
            None => None,
            Some(found) => Some(decode_mark(found.value())?),
        };
        let mut keyed = KeyedAccounts::new();
        for account in self.accounts.iter()? {
            let (account, known) = account?;
            let (has_key, ..) = known.value();
            keyed.extend(has_key.then(|| AccountId::new(account.value())));
        }
        Ok((mark, keyed))
    }

    fn add(&mut self, batch: &StoredBatch, keyed: &mut KeyedAccounts) -> Result<(), redb::Error> {
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
            if let Some(Record { order, history }) = record {
                recorded = true;
                if let Some((payer, id)) = order {
                    self.orders.insert((payer.get(), id.as_bytes()), number)?;
                }
                for (account, event) in history {
                    let (time, entry) = (batch.header.time, EntryNumber::new(number));
                    let item = encoded(&HistoryItem { number: entry, time, event });
                    self.history.insert((account.get(), number), item.as_slice())?;
                }
            }
        }
        if recorded {
            let BatchPosition { segment, offset } = batch.position;
            let next = batch.header.next_entry().get();
            self.batches.insert(first, (segment.get(), offset, next))?;
        }
        Ok(())
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

fn decode_mark(bytes: &[u8]) -> Result<Mark, redb::Error> {
    let mark = codec::decode_exact::<128, Mark>(bytes);
    let mark = mark.ok().filter(|mark| mark.version == INDEX_VERSION);
    mark.ok_or_else(|| corrupted("the index is of another version"))
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HISTORY_ITEM_BYTES_MAX);
    codec::encode_into(value, &mut bytes);
    bytes
}
