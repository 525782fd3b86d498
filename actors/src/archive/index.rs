//! The index: finds orders and histories in the journal. Whatever it holds, the journal holds too.

use std::path::{Path, PathBuf};
use std::thread;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase as _};
use serde::{Deserialize, Serialize};
use slog::{Logger, warn};
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::{AccountId, BatchNumber, Entry, EntryNumber, OrderId, Username, codec};

use super::error::{ArchiveError, corrupted};
use super::record::{KeyedAccounts, is_recorded};
use super::tables::{ACCOUNTS, BATCHES, HISTORY, ORDERS, Tables};
use super::{database, rows};
use crate::ledger::journal::{BatchEntries, BatchPosition, JournalPlace};
use crate::messages::HistoryPage;

/// The version of the index's form. One of another version is rebuilt.
const INDEX_VERSION: u32 = 2;

/// Pages of the index that are kept in memory: the paths to the newest of some millions of entries.
const CACHE_BYTES: usize = 64 << 20;

/// So many entries are read again at most after a crash: two seconds' work if all are signed.
const UNSAVED_ENTRIES_MAX: u64 = 1 << 18;

/// So many commits are made until one is synced, and read again at most after a crash: at some 80 µs each,
/// a tenth of a second's work.
const UNSAVED_COMMITS_MAX: u32 = 1000;

/// How far the index goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    version: u32,
    /// Where the last batch stands that it knows.
    pub(super) last: BatchPosition,
    /// Where reading goes on.
    pub(super) place: JournalPlace,
}

impl Mark {
    /// The mark that is encoded in these bytes.
    ///
    /// # Errors
    /// It is of another version, or damaged.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, redb::Error> {
        let mark = codec::decode_exact::<128, Self>(bytes);
        let mark = mark.ok().filter(|mark| mark.version == INDEX_VERSION);
        mark.ok_or_else(|| corrupted("the index is of another version"))
    }
}

/// The decided orders.
pub(super) struct Decisions(ReadOnlyTable<(u64, &'static [u8; 16]), &'static [u8]>);

impl Decisions {
    /// The entry that decided this order.
    pub(super) fn find(
        &self,
        payer: AccountId,
        id: OrderId,
    ) -> Result<Option<EntryNumber>, redb::Error> {
        let (begin, end) = ((payer.get(), &[0; 16]), (payer.get(), id.as_bytes()));
        let Some(row) = self.0.range(begin..=end)?.next_back() else { return Ok(None) };
        rows::find_order(row?.1.value(), id)
    }
}

/// The file that finds things in the journal.
///
/// It is saved when it is dropped.
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

    /// Takes the entries behind those that it knows, all of them or none: of `batches`, which are all that
    /// hold anything, up to the batch at `last`. Reading goes on at `place`.
    ///
    /// # Errors
    /// What the database says; then nothing may be asked of it any more.
    pub(super) fn add(
        &mut self,
        batches: &[BatchEntries],
        last: BatchPosition,
        place: JournalPlace,
    ) -> Result<(), redb::Error> {
        let mark = Mark { version: INDEX_VERSION, last, place };
        self.unsaved_entries += place.last.next_entry.get() - self.next_entry().get();
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

    /// Makes durable what it knows, so that it need not be read again.
    fn save(&mut self) -> Result<(), redb::Error> {
        let Some(mark) = self.mark.filter(|_| self.unsaved_entries > 0) else { return Ok(()) };
        self.unsaved_entries = UNSAVED_ENTRIES_MAX;
        self.write(&[], &mark)
    }

    fn write(&mut self, batches: &[BatchEntries], mark: &Mark) -> Result<(), redb::Error> {
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
        tables.write(mark)?;
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
        self.decisions()?.find(payer, id)
    }

    /// What is decided as of now, for many questions.
    pub(super) fn decisions(&self) -> Result<Decisions, redb::Error> {
        Ok(Decisions(self.database.begin_read()?.open_table(ORDERS)?))
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
        let range = (account.get(), 0)..=(account.get(), entry.get());
        let Some(row) = history.range(range)?.next_back() else { return Ok(false) };
        Ok(rows::items(row?.1.value())?.iter().any(|item| item.number == entry))
    }

    /// A page of an account's history, newest first.
    pub(super) fn history(
        &self,
        account: AccountId,
        before: Option<EntryNumber>,
        limit: u32,
    ) -> Result<HistoryPage, redb::Error> {
        let history = self.database.begin_read()?.open_table(HISTORY)?;
        let before = before.unwrap_or(EntryNumber::new(u64::MAX));
        let limit = limit.min(PAGE_ITEMS_MAX) as usize;
        let mut items = Vec::new();
        for row in history.range((account.get(), 0)..(account.get(), before.get()))?.rev() {
            let row = rows::items(row?.1.value())?.into_iter().rev();
            for item in row.filter(|item| item.number < before) {
                if items.len() == limit {
                    return Ok(HistoryPage { items, more: true });
                }
                items.push(item);
            }
        }
        Ok(HistoryPage { items, more: false })
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        if !thread::panicking() {
            // What is not saved is read again.
            let _ = self.save();
        }
    }
}
