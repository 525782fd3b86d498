//! The wallet's file: an embedded database, one durable transaction a step.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::{OrderId, PublicKey, Receipt, Username, codec};

use super::{
    Change, ClosedRecord, KnownPeer, OutboxRecord, RECORD_BYTES_MAX, StoreError, WalletStore,
};

/// The version of the file's format, under [`FORMAT`].
const FORMAT_VERSION: u16 = 1;

/// How much of the file is kept in memory: a wallet reads little.
const CACHE_BYTES: usize = 4 << 20;

/// How many receipts with one id are read: who wants more has chosen the same ids on purpose.
const RECEIVED_MAX: usize = 8;

/// A table as it was at one moment.
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Keys begin with the server's key, so that what belongs to one server stands together.
type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// [`FORMAT`] and [`LAST_SERVER`].
const META: Table = TableDefinition::new("meta");
/// Server and order id → [`OutboxRecord`].
const OUTBOX: Table = TableDefinition::new("outbox");
/// Server and order id → [`ClosedRecord`].
const CLOSED: Table = TableDefinition::new("closed");
/// Server, order id and payer's name → [`Receipt`].
const RECEIVED: Table = TableDefinition::new("received");
/// Server and name → [`KnownPeer`].
const PEERS: Table = TableDefinition::new("peers");

const FORMAT: &[u8] = b"format";
const LAST_SERVER: &[u8] = b"last server";

/// A [`WalletStore`] in one file.
#[derive(Debug)]
pub struct RedbStore(Database);

impl RedbStore {
    /// Opens the file, or makes it: readable by its owner only, and by no other process meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Unopened`], also if somebody else may read the file or another process has it;
    /// [`StoreError::Version`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.try_exists().map_err(unopened)? {
            Self::make(path)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(unopened)?;
        let mode = file.metadata().map_err(unopened)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(StoreError::Unopened(format!(
                "others may read it (mode {:o}); make it 600",
                mode & 0o777
            )));
        }
        Self::with(FileBackend::new(file).map_err(unopened)?)
    }

    /// Makes the file under another name, and gives it its own once it is whole: a database that was half
    /// made when the power went cannot be opened.
    fn make(path: &Path) -> Result<(), StoreError> {
        let unfinished = path.with_extension("new");
        if unfinished.try_exists().map_err(unopened)? {
            fs::remove_file(&unfinished).map_err(unopened)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600);
        let file = file.open(&unfinished).map_err(unopened)?;
        drop(Self::with(FileBackend::new(file).map_err(unopened)?)?);
        fs::rename(&unfinished, path).map_err(unopened)?;
        // The file must not lose its name when the power goes.
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let directory = File::open(parent.unwrap_or(Path::new(".")));
        directory.and_then(|directory| directory.sync_all()).map_err(unopened)
    }

    /// A store that lives as long as the value, for tests and simulations.
    ///
    /// # Errors
    /// None that is known of.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with(InMemoryBackend::new())
    }

    fn with(backend: impl StorageBackend) -> Result<Self, StoreError> {
        let mut builder = Builder::new();
        let database = builder.set_cache_size(CACHE_BYTES).create_with_backend(backend);
        let database = database.map_err(unopened)?;
        let store = Self(database);
        match store.get::<u16>(META, FORMAT)? {
            Some(FORMAT_VERSION) => {}
            Some(version) => return Err(StoreError::Version(version)),
            None => store.transact(|transaction| {
                for table in [OUTBOX, CLOSED, RECEIVED, PEERS] {
                    transaction.open_table(table).map_err(not_written)?;
                }
                put(transaction, META, FORMAT, &FORMAT_VERSION)
            })?,
        }
        Ok(store)
    }

    fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin_write().map_err(not_written)?;
        // Strangers choose bytes that are kept here, and the checksum of a commit in one phase is none
        // that withstands them. In two phases nothing depends on it.
        transaction.set_two_phase_commit(true);
        change(&transaction)?;
        transaction.commit().map_err(|error| StoreError::Unsure(error.to_string()))
    }

    /// The table, or `None` while nothing was ever written.
    fn table(&self, table: Table) -> Result<Option<Rows>, StoreError> {
        let transaction = self.0.begin_read().map_err(unreadable)?;
        match transaction.open_table(table) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        let Some(table) = self.table(table)? else { return Ok(None) };
        let found = table.get(key).map_err(unreadable)?;
        found.map(|value| decode(value.value())).transpose()
    }

    /// The values whose keys begin with `prefix`, in the order of their keys or backwards.
    fn list<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        limit: usize,
        newest_first: bool,
    ) -> Result<Vec<T>, StoreError> {
        let Some(table) = self.table(table)? else { return Ok(Vec::new()) };
        // No key is as long as this one with the prefix, so none that begins so lies behind it.
        let end = [prefix, &[u8::MAX; KEY_BYTES_MAX]].concat();
        let mut range = table.range::<&[u8]>(prefix..=end.as_slice()).map_err(unreadable)?;
        let mut values = Vec::new();
        while values.len() < limit {
            let next = if newest_first { range.next_back() } else { range.next() };
            let Some(row) = next else { break };
            let (_, value) = row.map_err(unreadable)?;
            values.push(decode(value.value())?);
        }
        Ok(values)
    }
}

/// The longest key: a server's, an order's id, a name of 32 characters of 4 bytes.
const KEY_BYTES_MAX: usize = 32 + 16 + 128;

impl WalletStore for RedbStore {
    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.transact(|transaction| {
            changes.iter().try_for_each(|change| match change {
                Change::Server(server) => put(transaction, META, LAST_SERVER, server),
                Change::Trust { server, name, peer } => {
                    put(transaction, PEERS, &peer_key(server, name), peer)
                }
                Change::Meet { server, name, peer } => {
                    let key = peer_key(server, name);
                    let peers = transaction.open_table(PEERS).map_err(not_written)?;
                    let known = peers.get(key.as_slice()).map_err(not_written)?.is_some();
                    drop(peers);
                    if known { Ok(()) } else { put(transaction, PEERS, &key, peer) }
                }
                Change::Open(record) => {
                    let order = &record.order.order;
                    put(transaction, OUTBOX, &order_key(&order.server, order.id), record)
                }
                Change::Close(record) => {
                    let order = &record.order.order;
                    let key = order_key(&order.server, order.id);
                    let mut outbox = transaction.open_table(OUTBOX).map_err(not_written)?;
                    outbox.remove(key.as_slice()).map_err(not_written)?;
                    put(transaction, CLOSED, &key, record)
                }
                Change::Received(receipt) => {
                    let Some(signed) = receipt.order() else { return Ok(()) };
                    let order = &signed.order;
                    let mut key = order_key(&order.server, order.id);
                    key.extend(order.payer.as_str().as_bytes());
                    put(transaction, RECEIVED, &key, receipt)
                }
            })
        })
    }

    fn outbox(&self, server: &PublicKey) -> Result<Vec<OutboxRecord>, StoreError> {
        self.list(OUTBOX, server.as_bytes(), usize::MAX, false)
    }

    fn closed(&self, server: &PublicKey, limit: usize) -> Result<Vec<ClosedRecord>, StoreError> {
        // Ids begin with the time until which the order was valid.
        self.list(CLOSED, server.as_bytes(), limit, true)
    }

    fn find_closed(
        &self,
        server: &PublicKey,
        id: OrderId,
    ) -> Result<Option<ClosedRecord>, StoreError> {
        self.get(CLOSED, &order_key(server, id))
    }

    fn received(&self, server: &PublicKey, id: OrderId) -> Result<Vec<Receipt>, StoreError> {
        self.list(RECEIVED, &order_key(server, id), RECEIVED_MAX, false)
    }

    fn peer(&self, server: &PublicKey, name: &Username) -> Result<Option<KnownPeer>, StoreError> {
        self.get(PEERS, &peer_key(server, name))
    }

    fn last_server(&self) -> Result<Option<PublicKey>, StoreError> {
        self.get(META, LAST_SERVER)
    }
}

fn order_key(server: &PublicKey, id: OrderId) -> Vec<u8> {
    [server.as_bytes().as_slice(), id.as_bytes()].concat()
}

fn peer_key(server: &PublicKey, name: &Username) -> Vec<u8> {
    [server.as_bytes().as_slice(), name.as_str().as_bytes()].concat()
}

fn put<T: Serialize>(
    transaction: &WriteTransaction,
    table: Table,
    key: &[u8],
    value: &T,
) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    codec::encode_into(value, &mut bytes);
    let mut table = transaction.open_table(table).map_err(not_written)?;
    table.insert(key, bytes.as_slice()).map_err(not_written)?;
    Ok(())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode_exact::<RECORD_BYTES_MAX, T>(bytes).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn unopened(error: impl ToString) -> StoreError {
    StoreError::Unopened(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn not_written(error: impl ToString) -> StoreError {
    StoreError::NotWritten(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn unreadable(error: impl ToString) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
