//! Opening a journal: everything is checked first, and only then is anything repaired.

use slog::{Logger, info, warn};
use wire::batch::BatchHeader;
use wire::{BatchNumber, EntryNumber, PublicKey};

use super::Committed;
use super::batch::{EncodedEntry, Entries};
use super::cursor::BatchPosition;
use super::error::{Damage, IoFailure, OpenError, Operation, damaged};
use super::roots::{Roots, WrongRoot, check_beside};
use super::scan::{Fault, Found, batch_at};
use super::segment::{
    SEGMENT_HEADER_BYTES, Segment, SegmentHeader, checked_len, is_unmade, open, parse_segment_name,
    read, segment_name,
};
use super::snapshot::{self, Loaded, parse_snapshot_name};
use super::spare::SPARE_NAME;
use super::storage::{Storage, StorageFile};
use crate::ledger::state::State;

/// A journal that can be gone on with.
pub(super) struct Recovered {
    /// Its last batch.
    pub(super) last: Committed,
    /// Where the next one goes; `None` in an empty journal.
    pub(super) segment: Option<Segment>,
    /// What it comes to.
    pub(super) state: State,
    /// The entry behind the last one of the snapshot that it was rebuilt from; 0 without one.
    pub(super) snapshot: EntryNumber,
}

/// Checks and repairs the journal of the server with this key.
pub(super) fn recover(
    storage: &dyn Storage,
    server: &PublicKey,
    log: &Logger,
) -> Result<Recovered, OpenError> {
    let mut listing = Listing::read(storage)?;
    let unmade = listing.take_unmade_segment(storage)?;
    let loaded = snapshot::load_newest(storage, &listing.snapshots, log)?.unwrap_or_default();
    loaded.check_server(server)?;

    let segments = listing.segments_behind(&loaded.at)?;
    let base = loaded.at;
    let mut replay = Replay::new(storage, server, loaded);
    let mut tail = None;
    for (index, &first) in segments.iter().enumerate() {
        // Behind a torn batch, no segment is ever begun.
        let may_be_torn = index + 1 == segments.len() && unmade.is_none();
        tail = Some(replay.segment(first, index == 0, may_be_torn)?);
    }
    let Replay { at, state, last, .. } = replay;
    if let Some((position, header)) = last {
        check_seal(position, &header, server)?;
    }
    if at.batch < base.batch {
        return Err(OpenError::missing(at.next_batch(), base.batch));
    }
    if let Some(unmade) = unmade {
        check_unmade_segment(unmade, &at)?;
    }

    remove_leftovers(storage, unmade, &listing.temporaries, log)?;
    let segment = tail.map(|tail| tail.repair(log)).transpose()?;
    info!(log, "journal open"; "batch" => at.batch.get(), "entries" => at.next_entry.get(),
        "snapshot" => base.batch.get(), "segments" => segments.len());
    Ok(Recovered { last: at, segment, state, snapshot: base.next_entry })
}

/// What the journal in `storage` came to at the batch `at`, which is durable, as the server with this key wrote
/// it. What stands behind that is not looked at: nobody may know whether it is durable. Nothing is changed.
///
/// # Errors
/// [`OpenError`]: it cannot be read, or not up to there.
pub fn read_state(
    storage: &dyn Storage,
    server: &PublicKey,
    at: &Committed,
    log: &Logger,
) -> Result<State, OpenError> {
    let mut listing = Listing::read(storage)?;
    listing.segments.retain(|first| *first <= at.batch);
    listing.snapshots.retain(|batch| *batch <= at.batch);
    let loaded = snapshot::load_newest(storage, &listing.snapshots, log)?.unwrap_or_default();
    loaded.check_server(server)?;
    let segments = listing.segments_behind(&loaded.at)?;
    let mut replay = Replay { until: Some(at.batch), ..Replay::new(storage, server, loaded) };
    for (index, &first) in segments.iter().enumerate() {
        replay.segment(first, index == 0, false)?;
    }
    if replay.at.batch < at.batch {
        return Err(OpenError::missing(replay.at.next_batch(), at.batch));
    }
    if replay.at != *at {
        let file = segments.last().map_or_else(|| ".".to_owned(), |first| segment_name(*first));
        return Err(damaged(&file, 0, at.batch, Damage::WrongPreviousHead));
    }
    Ok(replay.state)
}

/// The files of a journal.
struct Listing {
    /// By their first batches, in order.
    segments: Vec<BatchNumber>,
    /// By their batches, newest first.
    snapshots: Vec<BatchNumber>,
    /// Snapshots that were being written, and a segment that was not needed yet.
    temporaries: Vec<String>,
}

impl Listing {
    fn read(storage: &dyn Storage) -> Result<Self, OpenError> {
        let names = storage.list().map_err(IoFailure::of(Operation::List, "."))?;
        let mut segments: Vec<_> = names.iter().filter_map(|n| parse_segment_name(n)).collect();
        segments.sort_unstable();
        let mut snapshots: Vec<_> = names.iter().filter_map(|n| parse_snapshot_name(n)).collect();
        snapshots.sort_unstable_by(|a, b| b.cmp(a));
        let mut temporaries = names;
        temporaries.retain(|name| snapshot::is_temporary(name) || name == SPARE_NAME);
        Ok(Self { segments, snapshots, temporaries })
    }

    /// Takes the last segment from the list if a crash came while it was made.
    fn take_unmade_segment(
        &mut self,
        storage: &dyn Storage,
    ) -> Result<Option<BatchNumber>, OpenError> {
        let Some(&last) = self.segments.last() else { return Ok(None) };
        let name = segment_name(last);
        let (file, len) = open(storage, &name)?;
        if !is_unmade(&*file, last, len)? {
            return Ok(None);
        }
        self.segments.pop();
        Ok(Some(last))
    }

    /// The segments from the one that holds the first batch behind `base`, or will hold it.
    fn segments_behind(&self, base: &Committed) -> Result<&[BatchNumber], OpenError> {
        let next = base.next_batch();
        let begun = self.segments.partition_point(|first| *first <= next);
        match (begun, self.segments.first()) {
            (0, Some(first)) => Err(OpenError::missing(next, BatchNumber::new(first.get() - 1))),
            (0, None) if base.batch > Committed::NOTHING.batch => {
                Err(OpenError::missing(base.batch, base.batch))
            }
            (0, None) => Ok(&[]),
            _ => Ok(&self.segments[begun - 1..]),
        }
    }
}

/// Checks that this server has sealed the last batch, so that what is appended has one seal with what
/// stands before. Journals of before there were seals end with a batch that nobody has sealed.
fn check_seal(
    position: BatchPosition,
    last: &BatchHeader,
    server: &PublicKey,
) -> Result<(), OpenError> {
    if last.seal.is_none() || last.verify(server).is_ok() {
        return Ok(());
    }
    let BatchPosition { offset, .. } = position;
    let (file, batch) = (position.file(), last.batch);
    Err(OpenError::OtherServer { file, offset, batch, server: *server })
}

/// A segment whose header was never written must be the one that comes next.
fn check_unmade_segment(unmade: BatchNumber, at: &Committed) -> Result<(), OpenError> {
    let next = at.next_batch();
    if unmade > next {
        return Err(OpenError::missing(next, BatchNumber::new(unmade.get() - 1)));
    }
    if unmade < next {
        return Err(damaged(&segment_name(unmade), 0, unmade, Damage::SegmentHeader));
    }
    Ok(())
}

/// Rebuilds a state from segments, one after the other.
struct Replay<'a> {
    storage: &'a dyn Storage,
    /// The key that seals the journal.
    server: PublicKey,
    /// What the snapshot holds. Batches up to here are checked, but change nothing any more.
    base: Committed,
    state: State,
    /// Nothing behind this batch is looked at.
    until: Option<BatchNumber>,
    /// Whether the server has sealed the snapshot's batch, and so must have sealed those behind it.
    base_sealed: bool,
    /// The last batch that was checked.
    at: Committed,
    /// Its header, and where it is.
    last: Option<(BatchPosition, BatchHeader)>,
    /// The segment that is being read; kept so that all segments use one piece of memory.
    bytes: Vec<u8>,
}

impl<'a> Replay<'a> {
    fn new(storage: &'a dyn Storage, server: &PublicKey, loaded: Loaded) -> Self {
        let Loaded { at, state, server: sealed_by } = loaded;
        let (server, base_sealed) = (*server, sealed_by.is_some());
        let (until, bytes) = (None, Vec::new());
        Self { storage, server, base: at, state, until, base_sealed, at, last: None, bytes }
    }

    fn segment(
        &mut self,
        first: BatchNumber,
        is_start: bool,
        may_be_torn: bool,
    ) -> Result<Tail, OpenError> {
        let name = segment_name(first);
        let next = self.at.next_batch();
        if !is_start && first > next {
            let last = BatchNumber::new(first.get() - 1);
            return Err(OpenError::missing(next, last));
        }
        let (file, len) = open(self.storage, &name)?;
        // Taken, so that batches can be looked at while the state changes.
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(checked_len(&name, first, len)?, 0);
        read(&*file, &name, &mut bytes)?;
        let entry_known = self.begin(&name, first, is_start, &bytes)?;
        let tail =
            check_beside(|roots| self.batches(first, &bytes, entry_known, may_be_torn, roots));
        let (used, last_batch_at, torn_end) = tail.map_err(|wrong| {
            let WrongRoot { offset, header, damage } = *wrong;
            damaged(&name, offset as u64, header.batch, damage)
        })??;
        let header = bytes[..SEGMENT_HEADER_BYTES].to_vec();
        let last_batch = bytes[last_batch_at..used].to_vec();
        self.bytes = bytes;
        let next = self.at.next_batch();
        Ok(Tail { name, file, len, header, last_batch, used, torn_end, next })
    }

    /// Checks the segment's header and goes to the place before its first batch. Says whether the
    /// number of the entry there is known.
    fn begin(
        &mut self,
        name: &str,
        first: BatchNumber,
        is_start: bool,
        bytes: &[u8],
    ) -> Result<bool, OpenError> {
        let fail = |what| Err(damaged(name, 0, first, what));
        let header = SegmentHeader::of_segment(first, bytes)?;
        let mut entry_known = true;
        if is_start && first <= self.base.batch {
            let before = BatchNumber::new(first.get() - 1);
            // Only the first segment of all says by itself which entry it begins with.
            entry_known = before == Committed::NOTHING.batch;
            let head = if entry_known { Committed::NOTHING.head } else { header.previous_head };
            self.at = Committed { batch: before, head, ..Committed::NOTHING };
        }
        if first < self.at.next_batch() {
            return fail(Damage::SegmentOverlap);
        }
        if header.previous_head != self.at.head {
            return fail(Damage::SegmentChain);
        }
        Ok(entry_known)
    }

    /// Takes all batches of a segment. Returns where they end, where the last one begins, and where a
    /// torn one behind them ends.
    fn batches<'b>(
        &mut self,
        segment: BatchNumber,
        bytes: &'b [u8],
        mut entry_known: bool,
        may_be_torn: bool,
        roots: &mut Roots<'b>,
    ) -> Result<(usize, usize, Option<usize>), OpenError> {
        let name = &segment_name(segment);
        let mut at = SEGMENT_HEADER_BYTES;
        let mut last_batch_at = at;
        loop {
            let next = self.at.next_batch();
            let fail = |what| damaged(name, at as u64, next, what);
            if self.until.is_some_and(|until| next > until) {
                return Ok((at, last_batch_at, None));
            }
            match batch_at(bytes, at, |later| later.batch > next && self.is_ours(later)) {
                Ok(Found::Batch { header, entries, end }) => {
                    self.at.check_next(&header, entry_known).map_err(fail)?;
                    if self.take(&header, entries).map_err(fail)? {
                        roots.check(at, &header, entries).map_err(fail)?;
                    }
                    let position = BatchPosition { segment, offset: at as u64 };
                    self.last = Some((position, header));
                    entry_known = true;
                    last_batch_at = at;
                    at = end;
                }
                Ok(Found::End) => return Ok((at, last_batch_at, None)),
                Ok(Found::Torn { header, end }) if may_be_torn => {
                    if let Some(header) = header {
                        self.at.check_next(&header, entry_known).map_err(fail)?;
                    }
                    return Ok((at, last_batch_at, Some(end)));
                }
                Ok(Found::Torn { .. }) => return Err(fail(Damage::BatchIncomplete)),
                Err(Fault::Damaged(what)) => return Err(fail(what)),
                Err(Fault::Newer(what)) => {
                    let offset = at as u64;
                    return Err(OpenError::Newer { file: name.clone(), offset, what });
                }
            }
        }
    }

    /// Whether the server has sealed this header, or may have written it before there were seals.
    fn is_ours(&self, header: &BatchHeader) -> bool {
        let last_sealed = self.last.as_ref().map(|(_, last)| last.seal.is_some());
        match &header.seal {
            Some(_) => header.verify(&self.server).is_ok(),
            None => !last_sealed.unwrap_or(self.base_sealed),
        }
    }

    /// Takes the next batch. Says whether its entries were replayed, and so its root is to be checked.
    fn take(&mut self, header: &BatchHeader, entries: &[u8]) -> Result<bool, Damage> {
        let follows_sealed = self.last.as_ref().is_some_and(|(_, last)| last.seal.is_some());
        let behind_sealed_base = self.base_sealed && header.batch > self.base.batch;
        if header.seal.is_none() && (follows_sealed || behind_sealed_base) {
            return Err(Damage::SealMissing);
        }
        let is_news = header.batch > self.base.batch;
        if is_news {
            replay_entries(&mut self.state, header, entries)?;
        }
        self.at = Committed::behind(header);
        if self.at.batch == self.base.batch && self.at != self.base {
            return Err(Damage::NotOfSnapshot);
        }
        Ok(is_news)
    }
}

fn replay_entries(state: &mut State, header: &BatchHeader, bytes: &[u8]) -> Result<(), Damage> {
    for encoded in Entries::of(header, bytes) {
        let EncodedEntry { number, entry, .. } = encoded?;
        state.replay(&entry).map_err(|source| Damage::Rules { entry: number, source })?;
    }
    // So that no more orders are remembered than when these were decided.
    state.forget_expired_orders(header.time);
    Ok(())
}

/// The last segment, checked, with what is to be repaired in it.
struct Tail {
    name: String,
    file: Box<dyn StorageFile>,
    len: u64,
    header: Vec<u8>,
    /// The bytes in front of `used` that belong to the last batch.
    last_batch: Vec<u8>,
    used: usize,
    torn_end: Option<usize>,
    next: BatchNumber,
}

impl Tail {
    /// Cuts off a torn batch, and makes the rest durable before anybody builds on it.
    fn repair(self, log: &Logger) -> Result<Segment, OpenError> {
        let Self { name, file, len, header, last_batch, used, torn_end, next } = self;
        let write = |bytes: &[u8], offset: usize| {
            file.write_all_at(bytes, offset as u64).map_err(IoFailure::of(Operation::Write, &name))
        };
        if let Some(torn_end) = torn_end {
            let end = torn_end.min(usize::try_from(len).unwrap_or(usize::MAX));
            // Batches are written into zeros that are durable, so no crash makes a file end in one.
            let told = if end < torn_end {
                "torn batch cut off: the file ends early, somebody may have been told of it"
            } else {
                "torn batch cut off: nobody was told of it"
            };
            warn!(log, "{}", told; "file" => &name, "offset" => used, "batch" => next.get());
            write(&vec![0; end - used], used)?;
        }
        // The process that wrote the last batch may have died before its sync, or because its sync
        // failed, after which a system shows bytes that it will never write. To be sure that they are
        // on disk they are written again. Whatever stands before them was synced by that process.
        write(&header, 0)?;
        write(&last_batch, used - last_batch.len())?;
        file.sync_all().map_err(IoFailure::of(Operation::Sync, &name))?;
        Ok(Segment { name, file, used: used as u64, allocated: len })
    }
}

/// Removes what a crash left half made, and makes the names of all files durable.
fn remove_leftovers(
    storage: &dyn Storage,
    unmade: Option<BatchNumber>,
    temporaries: &[String],
    log: &Logger,
) -> Result<(), OpenError> {
    for name in unmade.map(segment_name).iter().chain(temporaries) {
        warn!(log, "unfinished file removed"; "file" => name);
        storage.remove(name).map_err(IoFailure::of(Operation::Remove, name))?;
    }
    storage.sync().map_err(IoFailure::of(Operation::Sync, "."))?;
    Ok(())
}
