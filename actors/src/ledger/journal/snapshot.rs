//! Snapshots: the whole state at a batch, so that a restart need not replay what came before.

mod operations;

use std::io;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use slog::{Logger, warn};
use wire::batch::{Hash, NUMBERS_END};
use wire::{
    Access, AccountId, Amount, BatchNumber, EntryNumber, OrderHash, OrderId, PublicKey, Timestamp,
    Username, codec,
};

use super::Committed;
use super::bytes::Fields;
use super::error::{IoFailure, JournalError, Newer, OpenError, Operation};
use super::segment::numbered;
use super::storage::{Storage, StorageFile};
use crate::ledger::state::{Account, DecidedOrder, Parts, State};

/// How many snapshots are kept: the newest, and one more in case that one is damaged.
pub(crate) const SNAPSHOTS_KEPT: usize = 2;

/// How much of a snapshot is written and synced at once while commits go to the same disk: what it takes in
/// the time of a few of them, which may have to wait for it.
const CHUNK_BYTES: usize = 256 << 10;

/// How long the disk is left to the commits in between. 200 MiB, which five million accounts take, are
/// written within some three seconds then.
const PAUSE: Duration = Duration::from_millis(2);

const MAGIC: [u8; 8] = *b"MiteSnap";
/// With the server's key, retired keys, orders, and behind them what the operator did to accounts; orders
/// are forgotten beyond the time of the batch. Programs that do not know of that must not read it: with a
/// clock that was set back, they would decide those orders once more.
const VERSION: u16 = 4;
/// The same where none are, so that programs that do not know of it can read the snapshot.
const VERSION_OPERATED: u16 = 3;
/// That without what the operator did, where there is nothing of that, for the same reason.
const VERSION_UNOPERATED: u16 = 2;
/// Before there were signatures: accounts alone.
const VERSION_UNSIGNED: u16 = 1;
/// What the headers of all versions begin with, up to the number of accounts.
const COMMON_HEADER_BYTES: usize = 80;
const HEADER_BYTES: usize = 128;
const HASH_BYTES: usize = size_of::<Hash>();

/// The longest time that has a place in a header, in milliseconds: 8,900 years.
const AHEAD_MS_MAX: u64 = (1 << 48) - 1;

/// A bound on one encoded account: length and bytes of a name of 32 characters of 4 bytes, a key with
/// its tag, a balance (180 bytes today).
const ACCOUNT_BYTES_MAX: usize = 256;
/// The least that one takes: a name of one byte, no key.
const ACCOUNT_BYTES_MIN: usize = 21;

/// A retired key: the key and the number of the account that had it.
const RETIRED_KEY_BYTES: usize = 40;
/// An order: payer, id, hash, the entry that decided it.
const ORDER_BYTES: usize = 64;

/// Takes snapshots of a state.
#[derive(Debug)]
pub struct Snapshot;

impl Snapshot {
    /// Encodes the state as it is now. This is the only part that needs the state, and it only
    /// copies memory; [`Captured::store`] does the rest, on any thread.
    ///
    /// `server` is the key that has sealed, or is to seal, the batch behind which the state is.
    pub fn capture(state: &State, server: &PublicKey) -> Captured {
        let (accounts, retired_keys) = (state.accounts(), state.retired_keys());
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.reserve(accounts.len() * 80 + retired_keys.len() * RETIRED_KEY_BYTES);
        for account in accounts {
            codec::encode_into(&(&account.name, account.access, account.balance), &mut bytes);
        }
        for retired in retired_keys {
            codec::encode_into(retired, &mut bytes);
        }
        Captured {
            bytes,
            account_count: accounts.len() as u64,
            retired_key_count: retired_keys.len() as u64,
            orders: state.orders(),
            operations: operations::encode(state),
            next_entry: state.next_entry(),
            forgotten_until: state.forgotten_until(),
            server: *server,
        }
    }
}

/// A state, encoded but for its orders, on its way to the disk.
#[derive(Debug)]
pub struct Captured {
    bytes: Vec<u8>,
    account_count: u64,
    retired_key_count: u64,
    /// In no order yet.
    orders: Vec<DecidedOrder>,
    /// What the operator did, encoded; empty if there is nothing of that.
    operations: Vec<u8>,
    next_entry: EntryNumber,
    /// Orders that had expired by then are not in it.
    forgotten_until: Timestamp,
    server: PublicKey,
}

impl Captured {
    /// Writes the snapshot, durably, and removes all but the two newest.
    ///
    /// `at` is the batch that the state was captured behind. It must be durable: a snapshot of a
    /// batch that the journal does not hold keeps the journal from being opened.
    ///
    /// # Errors
    /// [`JournalError::Io`] if the disk fails. The older snapshots are still there; the journal is
    /// not harmed.
    ///
    /// # Panics
    /// If the state was captured behind another entry than `at`'s last: the snapshot would be of a
    /// state that never was.
    pub fn store(self, storage: &dyn Storage, at: &Committed) -> Result<(), JournalError> {
        self.store_by(write_at_once, storage, at)
    }

    /// The same, bit by bit, so that the commits meanwhile hardly wait for it.
    ///
    /// # Errors
    /// Like [`Captured::store`].
    ///
    /// # Panics
    /// Like [`Captured::store`].
    pub fn store_beside_commits(
        self,
        storage: &dyn Storage,
        at: &Committed,
    ) -> Result<(), JournalError> {
        self.store_by(write_bit_by_bit, storage, at)
    }

    fn store_by(
        mut self,
        write: fn(&dyn StorageFile, &[u8]) -> io::Result<()>,
        storage: &dyn Storage,
        at: &Committed,
    ) -> Result<(), JournalError> {
        assert_eq!(self.next_entry, at.next_entry, "the state is captured behind this batch");
        let ahead = self.forgotten_until.get().saturating_sub(at.time.get()).min(AHEAD_MS_MAX);
        if ahead > 0 && self.operations.is_empty() {
            self.operations.extend(operations::NOTHING);
        }
        self.fill_in_header(at, ahead);
        self.encode_orders();
        self.bytes.append(&mut self.operations);
        let hash: Hash = Sha256::digest(&self.bytes).into();
        self.bytes.extend(hash);

        let name = snapshot_name(at.batch);
        let temporary = temporary_name(at.batch);
        // A failed attempt may have left one behind.
        remove_if_there(storage, &temporary)?;
        let file =
            storage.create(&temporary).map_err(IoFailure::of(Operation::Create, &temporary))?;
        write(&*file, &self.bytes).map_err(IoFailure::of(Operation::Write, &temporary))?;
        file.sync_all().map_err(IoFailure::of(Operation::Sync, &temporary))?;
        storage.rename(&temporary, &name).map_err(IoFailure::of(Operation::Rename, &temporary))?;
        storage.sync().map_err(IoFailure::of(Operation::Sync, "."))?;
        prune(storage)
    }

    fn fill_in_header(&mut self, at: &Committed, ahead: u64) {
        let version = match (ahead, self.operations.is_empty()) {
            (1.., _) => VERSION,
            (0, false) => VERSION_OPERATED,
            (0, true) => VERSION_UNOPERATED,
        };
        let header = &mut self.bytes[..HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&version.to_le_bytes());
        header[10..16].copy_from_slice(&ahead.to_le_bytes()[..6]);
        header[16..24].copy_from_slice(&at.batch.get().to_le_bytes());
        header[24..56].copy_from_slice(&at.head);
        header[56..64].copy_from_slice(&at.next_entry.get().to_le_bytes());
        header[64..72].copy_from_slice(&at.time.get().to_le_bytes());
        header[72..80].copy_from_slice(&self.account_count.to_le_bytes());
        header[80..112].copy_from_slice(self.server.as_bytes());
        header[112..120].copy_from_slice(&self.retired_key_count.to_le_bytes());
        header[120..128].copy_from_slice(&(self.orders.len() as u64).to_le_bytes());
    }

    /// In an order of their own, so that one state has one snapshot.
    fn encode_orders(&mut self) {
        self.orders.sort_unstable_by_key(|order| (order.id, order.payer));
        self.bytes.reserve(self.orders.len() * ORDER_BYTES + HASH_BYTES);
        for DecidedOrder { payer, id, hash, decided } in &self.orders {
            codec::encode_into(&(payer, id, hash, decided), &mut self.bytes);
        }
    }
}

/// What a snapshot says.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The batch that it was taken behind.
    pub(super) at: Committed,
    /// The state there.
    pub(super) state: State,
    /// The key of the server that has sealed that batch; `None` if it is from before there were seals.
    pub(super) server: Option<PublicKey>,
}

impl Default for Loaded {
    fn default() -> Self {
        Self { at: Committed::NOTHING, state: State::default(), server: None }
    }
}

impl Loaded {
    /// Checks that it was taken by the server with this key, if by one with a key.
    pub(super) fn check_server(&self, server: &PublicKey) -> Result<(), OpenError> {
        if self.server.is_none_or(|of| of == *server) {
            return Ok(());
        }
        let (file, batch) = (snapshot_name(self.at.batch), self.at.batch);
        Err(OpenError::OtherServer { file, offset: 0, batch, server: *server })
    }
}

/// The newest snapshot that is intact, of those with these numbers, newest first. Others are skipped
/// with a warning.
pub(super) fn load_newest(
    storage: &dyn Storage,
    newest_first: &[BatchNumber],
    log: &Logger,
) -> Result<Option<Loaded>, OpenError> {
    for &batch in newest_first {
        let name = snapshot_name(batch);
        let loaded = read(storage, &name).map_err(|error| LoadError::Unusable(error.to_string()));
        match loaded.and_then(|bytes| decode(&bytes)) {
            Ok(loaded) if loaded.at.batch != batch => {
                warn!(log, "snapshot skipped"; "file" => &name, "error" => "it is of another batch");
            }
            Ok(loaded) => return Ok(Some(loaded)),
            Err(LoadError::Newer(what)) => {
                return Err(OpenError::Newer { file: name, offset: 0, what });
            }
            Err(LoadError::Unusable(error)) => {
                warn!(log, "snapshot skipped"; "file" => &name, "error" => error);
            }
        }
    }
    Ok(None)
}

/// The batch of the snapshot with this name; `None` if it is no name of a snapshot.
pub(crate) fn parse_snapshot_name(name: &str) -> Option<BatchNumber> {
    numbered(name, "snapshot-", ".mite").map(BatchNumber::new)
}

/// The batch behind which the snapshot in these bytes was taken, if they are whole. What it says is not
/// looked at.
pub(crate) fn taken_behind(bytes: &[u8]) -> Option<BatchNumber> {
    let content = intact(bytes).ok()?;
    let mut fields = Fields::new(&content[MAGIC.len()..]);
    fields.skip::<8>();
    Some(BatchNumber::new(fields.u64()))
}

/// Whether a snapshot has this name while it is being written.
pub(super) fn is_temporary(name: &str) -> bool {
    numbered(name, "snapshot-", ".tmp").is_some()
}

pub(crate) fn snapshot_name(batch: BatchNumber) -> String {
    format!("snapshot-{:020}.mite", batch.get())
}

fn temporary_name(batch: BatchNumber) -> String {
    format!("snapshot-{:020}.tmp", batch.get())
}

fn write_at_once(file: &dyn StorageFile, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)
}

fn write_bit_by_bit(file: &dyn StorageFile, bytes: &[u8]) -> io::Result<()> {
    let mut offset = 0;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        if offset > 0 {
            file.sync_all()?;
            thread::sleep(PAUSE);
        }
        file.write_all_at(chunk, offset)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}

fn prune(storage: &dyn Storage) -> Result<(), JournalError> {
    let names = storage.list().map_err(IoFailure::of(Operation::List, "."))?;
    let mut batches: Vec<_> = names.iter().filter_map(|name| parse_snapshot_name(name)).collect();
    batches.sort_unstable_by(|a, b| b.cmp(a));
    for &batch in batches.iter().skip(SNAPSHOTS_KEPT) {
        let name = snapshot_name(batch);
        remove_if_there(storage, &name)?;
    }
    Ok(())
}

fn remove_if_there(storage: &dyn Storage, name: &str) -> Result<(), IoFailure> {
    match storage.remove(name) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(IoFailure::of(Operation::Remove, name)(source))
        }
        _ => Ok(()),
    }
}

fn read(storage: &dyn Storage, name: &str) -> io::Result<Vec<u8>> {
    let file = storage.open(name)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

enum LoadError {
    Newer(Newer),
    Unusable(String),
}

impl From<&str> for LoadError {
    fn from(what: &str) -> Self {
        Self::Unusable(what.to_owned())
    }
}

/// What stands before the hash of a snapshot, if that is the hash of it; a whole header at least.
fn intact(bytes: &[u8]) -> Result<&[u8], LoadError> {
    let Some((content, hash)) = bytes.split_last_chunk::<HASH_BYTES>() else {
        return Err("it is too short".into());
    };
    if content.len() < COMMON_HEADER_BYTES || !content.starts_with(&MAGIC) {
        return Err("it is no snapshot".into());
    }
    if Hash::from(Sha256::digest(content)) != *hash {
        return Err("its hash does not match".into());
    }
    Ok(content)
}

fn decode(bytes: &[u8]) -> Result<Loaded, LoadError> {
    let content = intact(bytes)?;
    let mut fields = Fields::new(&content[MAGIC.len()..]);
    let version = fields.u16();
    let ahead = fields.u48();
    let at = Committed {
        batch: BatchNumber::new(fields.u64()),
        head: fields.hash(),
        next_entry: EntryNumber::new(fields.u64()),
        time: Timestamp::new(fields.u64()),
    };
    if at.batch.get() >= NUMBERS_END || at.next_entry.get() >= NUMBERS_END {
        return Err("no journal comes to its numbers".into());
    }
    let accounts = fields.u64();
    let (server, retired_keys, orders, content) = match version {
        VERSION_UNSIGNED => (None, 0, 0, &content[COMMON_HEADER_BYTES..]),
        VERSION_UNOPERATED..=VERSION if content.len() < HEADER_BYTES => {
            return Err("it is too short".into());
        }
        VERSION_UNOPERATED..=VERSION => {
            let server = PublicKey::new(fields.hash());
            (Some(server), fields.u64(), fields.u64(), &content[HEADER_BYTES..])
        }
        newer => return Err(LoadError::Newer(Newer::Version(newer))),
    };
    let mut content = Content(content);
    let parts = Parts {
        accounts: content.accounts(accounts)?,
        retired_keys: content.retired_keys(retired_keys)?,
        orders: content.orders(orders)?,
        frozen: if version >= VERSION_OPERATED { content.frozen()? } else { Vec::new() },
        acts: if version >= VERSION_OPERATED { content.acts()? } else { Vec::new() },
        next_entry: at.next_entry,
    };
    if !content.0.is_empty() {
        return Err("bytes are left at its end".into());
    }
    let mut state =
        State::restore(parts).map_err(|error| LoadError::Unusable(error.to_string()))?;
    // Those that it lacks must never be decided again, wherever the clock is now.
    state.forget_expired_orders(Timestamp::new(at.time.get().saturating_add(ahead)));
    Ok(Loaded { at, state, server })
}

/// What stands between the header and the hash, and is not decoded yet.
struct Content<'a>(&'a [u8]);

impl Content<'_> {
    fn accounts(&mut self, count: u64) -> Result<Vec<Account>, LoadError> {
        self.items::<ACCOUNT_BYTES_MAX, (Username, Access, Amount), _>(
            count,
            ACCOUNT_BYTES_MIN,
            |(name, access, balance)| Account { name, access, balance },
        )
    }

    fn retired_keys(&mut self, count: u64) -> Result<Vec<(PublicKey, AccountId)>, LoadError> {
        self.items::<RETIRED_KEY_BYTES, _, _>(count, RETIRED_KEY_BYTES, |retired| retired)
    }

    fn orders(&mut self, count: u64) -> Result<Vec<DecidedOrder>, LoadError> {
        self.items::<ORDER_BYTES, (AccountId, OrderId, OrderHash, EntryNumber), _>(
            count,
            ORDER_BYTES,
            |(payer, id, hash, decided)| DecidedOrder { payer, id, hash, decided },
        )
    }

    /// So many items, each of at least `bytes_min` and at most `LIMIT` bytes.
    fn items<const LIMIT: usize, E: DeserializeOwned, T>(
        &mut self,
        count: u64,
        bytes_min: usize,
        make: impl Fn(E) -> T,
    ) -> Result<Vec<T>, LoadError> {
        // Before anything is allocated for what a damaged count promises.
        let possible = usize::try_from(count).ok().filter(|n| *n <= self.0.len() / bytes_min);
        let mut items = Vec::with_capacity(possible.ok_or("it is too short for what it holds")?);
        for _ in 0..count {
            let (encoded, used) = codec::decode_prefix::<LIMIT, E>(self.0)
                .map_err(|error| LoadError::Unusable(error.to_string()))?;
            items.push(make(encoded));
            self.0 = &self.0[used..];
        }
        Ok(items)
    }
}
