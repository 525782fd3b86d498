//! Snapshots: the whole state at a batch, so that a restart need not replay what came before.

use sha2::{Digest as _, Sha256};
use slog::{Logger, warn};
use wire::batch::Hash;
use wire::{Access, Amount, BatchNumber, EntryNumber, Timestamp, Username, codec};

use super::Committed;
use super::bytes::Fields;
use super::error::{IoFailure, JournalError, Newer, OpenError, Operation};
use super::segment::numbered;
use super::storage::Storage;
use crate::ledger::state::{Account, State};

/// How many snapshots are kept: the newest, and one more in case that one is damaged.
const SNAPSHOTS_KEPT: usize = 2;

const MAGIC: [u8; 8] = *b"MiteSnap";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 80;
const HASH_BYTES: usize = size_of::<Hash>();

/// A bound on one encoded account: length and bytes of a name of 32 characters of 4 bytes, a key with
/// its tag, a balance (180 bytes today).
const ACCOUNT_BYTES_MAX: usize = 256;
/// The least that one takes: a name of one byte, no key.
const ACCOUNT_BYTES_MIN: usize = 21;

/// Takes snapshots of a state.
#[derive(Debug)]
pub struct Snapshot;

impl Snapshot {
    /// Encodes the state as it is now. This is the only part that needs the state, and it only
    /// copies memory; [`Captured::store`] does the rest, on any thread.
    pub fn capture(state: &State) -> Captured {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.reserve(state.accounts().len() * 48);
        for account in state.accounts() {
            codec::encode_into(&(&account.name, account.access, account.balance), &mut bytes);
        }
        Captured {
            bytes,
            account_count: state.accounts().len() as u64,
            next_entry: state.next_entry(),
        }
    }
}

/// A state, encoded, on its way to the disk.
#[derive(Debug)]
pub struct Captured {
    bytes: Vec<u8>,
    account_count: u64,
    next_entry: EntryNumber,
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
    pub fn store(mut self, storage: &dyn Storage, at: &Committed) -> Result<(), JournalError> {
        assert_eq!(self.next_entry, at.next_entry, "the state is captured behind this batch");
        self.fill_in_header(at);
        let hash: Hash = Sha256::digest(&self.bytes).into();
        self.bytes.extend(hash);

        let name = snapshot_name(at.batch);
        let temporary = temporary_name(at.batch);
        // A failed attempt may have left one behind.
        remove_if_there(storage, &temporary)?;
        let file =
            storage.create(&temporary).map_err(IoFailure::of(Operation::Create, &temporary))?;
        file.write_all_at(&self.bytes, 0).map_err(IoFailure::of(Operation::Write, &temporary))?;
        file.sync_all().map_err(IoFailure::of(Operation::Sync, &temporary))?;
        storage.rename(&temporary, &name).map_err(IoFailure::of(Operation::Rename, &temporary))?;
        storage.sync().map_err(IoFailure::of(Operation::Sync, "."))?;
        prune(storage)
    }

    fn fill_in_header(&mut self, at: &Committed) {
        let header = &mut self.bytes[..HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[16..24].copy_from_slice(&at.batch.get().to_le_bytes());
        header[24..56].copy_from_slice(&at.head);
        header[56..64].copy_from_slice(&at.next_entry.get().to_le_bytes());
        header[64..72].copy_from_slice(&at.time.get().to_le_bytes());
        header[72..80].copy_from_slice(&self.account_count.to_le_bytes());
    }
}

/// The newest snapshot that is intact, of those with these numbers, newest first. Others are skipped
/// with a warning.
pub(super) fn load_newest(
    storage: &dyn Storage,
    newest_first: &[BatchNumber],
    log: &Logger,
) -> Result<Option<(Committed, State)>, OpenError> {
    for &batch in newest_first {
        let name = snapshot_name(batch);
        let loaded = read(storage, &name).map_err(|error| LoadError::Unusable(error.to_string()));
        match loaded.and_then(|bytes| decode(&bytes)) {
            Ok((at, _)) if at.batch != batch => {
                warn!(log, "snapshot skipped"; "file" => &name, "error" => "it is of another batch");
            }
            Ok(loaded) => return Ok(Some(loaded)),
            Err(LoadError::Newer(what)) => return Err(OpenError::Newer { file: name, what }),
            Err(LoadError::Unusable(error)) => {
                warn!(log, "snapshot skipped"; "file" => &name, "error" => error);
            }
        }
    }
    Ok(None)
}

/// The batch of the snapshot with this name; `None` if it is no name of a snapshot.
pub(super) fn parse_snapshot_name(name: &str) -> Option<BatchNumber> {
    numbered(name, "snapshot-", ".mite").map(BatchNumber::new)
}

/// Whether a snapshot has this name while it is being written.
pub(super) fn is_temporary(name: &str) -> bool {
    numbered(name, "snapshot-", ".tmp").is_some()
}

fn snapshot_name(batch: BatchNumber) -> String {
    format!("snapshot-{:020}.mite", batch.get())
}

fn temporary_name(batch: BatchNumber) -> String {
    format!("snapshot-{:020}.tmp", batch.get())
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
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(IoFailure::of(Operation::Remove, name)(source))
        }
        _ => Ok(()),
    }
}

fn read(storage: &dyn Storage, name: &str) -> std::io::Result<Vec<u8>> {
    let file = storage.open(name)?;
    let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
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

fn decode(bytes: &[u8]) -> Result<(Committed, State), LoadError> {
    let Some((content, hash)) = bytes.split_last_chunk::<HASH_BYTES>() else {
        return Err("it is too short".into());
    };
    if content.len() < HEADER_BYTES || !content.starts_with(&MAGIC) {
        return Err("it is no snapshot".into());
    }
    if Hash::from(Sha256::digest(content)) != *hash {
        return Err("its hash does not match".into());
    }
    let mut fields = Fields::new(&content[MAGIC.len()..]);
    let version = fields.u16();
    if version != VERSION {
        return Err(LoadError::Newer(Newer::Version(version)));
    }
    fields.skip::<6>();
    let at = Committed {
        batch: BatchNumber::new(fields.u64()),
        head: fields.hash(),
        next_entry: EntryNumber::new(fields.u64()),
        time: Timestamp::new(fields.u64()),
    };
    let accounts = decode_accounts(&content[HEADER_BYTES..], fields.u64())?;
    let state = State::from_accounts(accounts, at.next_entry)
        .map_err(|error| LoadError::Unusable(error.to_string()))?;
    Ok((at, state))
}

fn decode_accounts(mut bytes: &[u8], count: u64) -> Result<Vec<Account>, LoadError> {
    let possible = usize::try_from(count).ok().filter(|n| *n <= bytes.len() / ACCOUNT_BYTES_MIN);
    let mut accounts = Vec::with_capacity(possible.ok_or("it is too short for its accounts")?);
    for _ in 0..count {
        let ((name, access, balance), used) =
            codec::decode_prefix::<ACCOUNT_BYTES_MAX, (Username, Access, Amount)>(bytes)
                .map_err(|error| LoadError::Unusable(error.to_string()))?;
        accounts.push(Account { name, access, balance });
        bytes = &bytes[used..];
    }
    if bytes.is_empty() { Ok(accounts) } else { Err("bytes are left after its accounts".into()) }
}
