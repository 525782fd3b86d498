//! A crash in the middle of the last write: never refused, never half of a batch.

use std::sync::Mutex;

use super::super::segment::segment_name;
use super::super::{SECTOR_BYTES, Snapshot};
use super::*;
use wire::batch::{BatchHeader, Seal};
use wire::signature::Domain;
use wire::{BatchNumber, Order, Signature, SignedKeyChange, SignedOrder};

/// The bytes of a segment before and after its last batch was written, and the states.
struct LastWrite {
    before: Vec<u8>,
    after: Vec<u8>,
    state_before: State,
    state_after: State,
}

/// A batch of several sectors behind one whose length shifts its beginning by `shift` bytes.
fn last_write(shift: usize) -> LastWrite {
    let storage = MemoryStorage::new();
    let (mut journal, mut state) = open(&storage, 8192).expect("an empty directory");
    let pad = (0..).map_while(|n| {
        let room = (shift + 1).checked_sub(n * 16)?;
        Some(opening(&format!("p{n:02}{}", "x".repeat(room.min(16))), 1))
    });
    commit(&mut journal, &mut state, pad.collect()).expect("memory does not fail");
    let state_before = state.clone();
    let before = storage.read(FIRST_SEGMENT).expect("the segment");
    // Keys of zeros and no grants: as many zeros as openings can have. Then what is signed.
    let names = ('a'..='o').map(|letter| format!("n{letter}"));
    let mut commands: Vec<_> = names.zip(1..).map(|(name, n)| empty_keyed(&name, n)).collect();
    let zed = (state.accounts().len() + commands.len()) as u64;
    commands.extend(empty_signed(zed));
    commit(&mut journal, &mut state, commands).expect("memory does not fail");
    let after = storage.read(FIRST_SEGMENT).expect("the segment");
    assert_eq!(before.len(), after.len(), "the file is zero-filled ahead");
    LastWrite { before, after, state_before, state_after: state }
}

/// Order and key change as full of zeros as can be. The old key is a point of small order, under which a
/// signature of zeros is valid for everything; no new one may be that.
fn empty_signed(zed: u64) -> [Command; 4] {
    let (old, new) = (PublicKey::new([0; 32]), key(99));
    let zeros = Signature::new([0; 64]);
    // More than it has: the refusal is written as zeros, too.
    let mut payee = [0; 32];
    payee[0] = 1;
    let payee = ("na", Access::Keyed(PublicKey::new(payee)));
    let order = order(("zed", 0), payee, 1, 0);
    let order = SignedOrder { order: Order { payer_key: old, ..order }, signature: zeros };
    let order = Box::new(order.verify().expect("valid for everything"));
    let change = KeyChange {
        version: KEY_CHANGE_VERSION,
        server: TERMS.server,
        account: "zed".parse().expect("a valid name"),
        old,
        new: public_key(&new),
    };
    let change = SignedKeyChange { by_old: zeros, ..change.sign(&new, &new) };
    let change = Box::new(change.verify().expect("valid for everything"));
    let (account, access) = (AccountId::new(zed), Access::Keyed(old));
    [
        Command::OpenAccount { name: new_name("zed"), access, grant: Amount::ZERO },
        Command::Order { submitter: account, order },
        empty_keyed("yak", 99),
        Command::ChangeKey { account, change },
    ]
}

/// The story: a payer puts the bytes of a header into an order, in its memo hash and signature and the order
/// behind it. When the power fails while that batch is written, the server takes them for a later batch, calls
/// the torn one damaged, and does not start.
#[test]
fn a_header_in_the_entries_of_a_torn_batch_is_no_batch() {
    let LastWrite { before, after, state_before, .. } = last_write(0);
    let begin = batch_ends(&before).into_iter().next_back().expect("a batch");
    let header = BatchHeader::decode(&after[begin..]).expect("the header of the last batch");
    let forged_by = key(7);
    for (sealed_by, flip, later, expected) in [
        // By nobody, by somebody else, and what no header can be.
        (None, None, 9, true),
        (Some(&forged_by), None, 9, true),
        (Some(server_key().key()), Some(43), 9, true),
        (Some(server_key().key()), Some(8), 9, true),
        // An old one of the server's own, as receipts show it.
        (Some(server_key().key()), None, 1, true),
        // What really stands there, behind a sector that was lost, is a later batch.
        (Some(server_key().key()), None, 9, false),
    ] {
        let mut fake = BatchHeader { batch: BatchNumber::new(later), seal: None, ..header.clone() };
        fake.seal = sealed_by.map(|key| {
            let merkle_root = [5; 32];
            let signed = fake.signed_bytes(&merkle_root);
            Seal { merkle_root, signature: Signature::sign(key, Domain::Batch, &signed) }
        });
        let mut fake = fake.encode().to_vec();
        if let Some(at) = flip {
            fake[at] ^= 0x80;
            let checksum = crc32c::crc32c(&fake[..176]);
            fake[176..].copy_from_slice(&checksum.to_le_bytes());
        }
        let mut torn = after.clone();
        let sector_end = (begin + 1).next_multiple_of(SECTOR_BYTES);
        torn[begin..sector_end].fill(0);
        torn[sector_end + 40..][..fake.len()].copy_from_slice(&fake);
        let storage = MemoryStorage::new();
        storage.write(FIRST_SEGMENT, torn);
        match open(&storage, 8192) {
            Ok((_, state)) => assert!(expected && state == state_before, "{later} {flip:?}"),
            Err(error) => assert!(!expected, "{later} {flip:?}: {error}"),
        }
    }
}

/// What tells a torn batch from a damaged one: no sector that was written is zero.
#[test]
fn no_run_of_zeros_comes_near_a_sector() {
    let LastWrite { after, state_after, .. } = last_write(0);
    assert_eq!(state_after.orders().len(), 1, "the order is decided");
    assert_eq!(state_after.retired_keys().len(), 1, "the key is changed");
    let end = *batch_ends(&after).last().expect("two batches");
    let runs = after[..end].split(|byte| *byte != 0).map(<[u8]>::len);
    let longest = runs.max().expect("there are bytes");
    assert!((100..120).contains(&longest), "{longest} zeros in a row, which docs/JOURNAL.md gives");
}

/// The story: a torn write need not be a prefix. A journal that only looks for prefixes takes a batch
/// whose middle is missing for damage, and does not start after a power cut; or takes one whose
/// header came last for the end of the journal, and writes the next batch in front of its rest.
#[test]
fn any_of_the_sectors_of_the_last_batch_may_be_missing() {
    for shift in (0..SECTOR_BYTES).step_by(3) {
        let write = last_write(shift);
        let changed: Vec<_> = (0..write.after.len() / SECTOR_BYTES)
            .map(|sector| sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES)
            .filter(|sector| write.before[sector.clone()] != write.after[sector.clone()])
            .collect();
        assert!(changed.len() > 3, "a batch of several sectors");
        let whole = (1usize << changed.len()) - 1;
        // All subsets at some places, those with one sector missing or alone at all places.
        let few = (0..changed.len()).flat_map(|n| [1 << n, whole & !(1 << n)]).chain([0, whole]);
        let subsets: Vec<_> = if shift % 30 == 0 { (0..=whole).collect() } else { few.collect() };
        for subset in subsets {
            let mut image = write.before.clone();
            for (_, sector) in changed.iter().enumerate().filter(|(n, _)| subset >> n & 1 == 1) {
                image[sector.clone()].copy_from_slice(&write.after[sector.clone()]);
            }
            let storage = MemoryStorage::new();
            storage.write(FIRST_SEGMENT, image);
            let (_, state) = open(&storage, 8192).unwrap_or_else(|error| {
                panic!("shift {shift}, sectors {subset:b} of {}: {error}", changed.len())
            });
            let (expected, bytes) = if subset == whole {
                (&write.state_after, &write.after)
            } else {
                (&write.state_before, &write.before)
            };
            assert_eq!(&state, expected, "shift {shift}, sectors {subset:b}");
            assert!(storage.read(FIRST_SEGMENT).as_ref() == Some(bytes), "the rest is cut off");
        }
    }
}

/// The story: by way of the page cache, a write is cut short inside a sector, or the power fails while it is copied
/// there. All its sectors hold something, the batch is called damaged, and the server does not start.
#[test]
fn the_last_batch_may_end_at_any_byte() {
    for shift in [0, 100, 332, 333, 511] {
        let write = last_write(shift);
        let begin = *batch_ends(&write.before).last().expect("a batch");
        let end = *batch_ends(&write.after).last().expect("a batch");
        for cut in begin..end {
            let mut image = write.before.clone();
            image[begin..cut].copy_from_slice(&write.after[begin..cut]);
            let storage = MemoryStorage::new();
            storage.write(FIRST_SEGMENT, image);
            let (_, state) = open(&storage, 8192)
                .unwrap_or_else(|error| panic!("shift {shift}, {} bytes: {error}", cut - begin));
            assert_eq!(state, write.state_before, "shift {shift}, {} bytes", cut - begin);
            assert!(storage.read(FIRST_SEGMENT).as_ref() == Some(&write.before), "it is cut off");
            // The power fails while it is: zeros up to any byte, and the rest behind them.
            let mut half_cut = write.after.clone();
            half_cut[begin..=cut].fill(0);
            half_cut[end - 1] = 0;
            storage.write(FIRST_SEGMENT, half_cut);
            let (_, state) = open(&storage, 8192)
                .unwrap_or_else(|error| panic!("shift {shift}, {} zeros: {error}", cut - begin));
            assert_eq!(state, write.state_before, "shift {shift}, {} zeros", cut - begin);
        }
    }
}

/// A file that ends early ends the journal with the last batch that is whole. That is a crash as far
/// as the file can tell; only a snapshot knows better.
#[test]
fn a_file_cut_at_any_length_keeps_its_whole_batches() {
    let small = small(4096);
    let bytes = small.storage.read(FIRST_SEGMENT).expect("the segment");
    let ends = batch_ends(&bytes);
    assert_eq!(ends.len(), 5);
    for len in 0..bytes.len() {
        let storage = MemoryStorage::new();
        storage.write(FIRST_SEGMENT, bytes[..len].to_vec());
        let (mut journal, mut state) =
            open(&storage, 4096).unwrap_or_else(|error| panic!("{len}: {error}"));
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(state, small.states[whole], "{len}");
        commit(&mut journal, &mut state, vec![opening("zoe", 1)]).expect("memory");
        assert_eq!(open(&storage, 4096).expect("intact").1, state, "{len}");
    }
    Snapshot::capture(&small.states[3], &TERMS.server)
        .store(&small.storage, &small.committed[3])
        .expect("memory does not fail");
    for len in 0..bytes.len() {
        small.storage.write(FIRST_SEGMENT, bytes[..len].to_vec());
        let opened = open(&small.storage, 4096);
        if len < ends[2] {
            assert_eq!(expect_missing(opened).1, 3, "{len}");
        } else {
            let whole = ends.iter().filter(|end| **end <= len).count();
            assert_eq!(opened.expect("what the snapshot holds is there").1, small.states[whole]);
        }
    }
}

/// What a log is told.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl slog::Drain for Messages {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        self.0.lock().expect("no test panics with the lock").push(record.msg().to_string());
        Ok(())
    }
}

/// A crash makes no file shorter, so nobody may say that the batch at a cut was not answered.
#[test]
fn the_log_tells_a_crash_from_a_file_that_ends_early() {
    let write = last_write(0);
    let end = *batch_ends(&write.after).last().expect("two batches");
    let start = batch_ends(&write.before)[0];
    let missing = start.next_multiple_of(SECTOR_BYTES)..end / SECTOR_BYTES * SECTOR_BYTES;
    let mut crashed = write.after.clone();
    crashed[missing].fill(0);
    let cut = |len: usize| write.after[..len].to_vec();
    for (what, image, early) in [
        ("a crash", crashed.clone(), false),
        ("cut behind a crash", crashed[..end].to_vec(), false),
        ("cut in the entries", cut(end - 50), true),
        ("cut in the end marker", cut(end - 1), true),
        ("cut behind the header", cut(start + 180), true),
        ("cut in the header's seal", cut(start + 150), true),
        ("cut in the header", cut(start + 20), true),
    ] {
        let storage = MemoryStorage::new();
        storage.write(FIRST_SEGMENT, image);
        let messages = Messages::default();
        let log = Logger::root(slog::Fuse(messages.clone()), slog::o!());
        let options = JournalOptions::default();
        let (_, state) = Journal::open(Arc::new(storage), server_key(), options, &log).expect(what);
        assert_eq!(state, write.state_before, "{what}");
        let messages = messages.0.lock().expect("no test panics with the lock");
        let told: Vec<_> = messages.iter().filter(|m| m.starts_with("torn batch")).collect();
        assert_eq!(told.len(), 1, "{what}: {messages:?}");
        assert_eq!(told[0].contains("the file ends early"), early, "{what}: {told:?}");
        assert_eq!(told[0].contains("nobody was told"), !early, "{what}: {told:?}");
    }
}

/// Where the batches end, found by their markers.
pub(super) fn batch_ends(bytes: &[u8]) -> Vec<usize> {
    let markers = (4..=bytes.len()).filter(|end| bytes[end - 4..*end] == *b"EndB");
    markers.collect()
}

#[test]
fn a_crash_while_a_segment_is_made_leaves_nothing() {
    let small = small(600);
    let names = small.storage.list().expect("memory does not fail");
    assert!(names.len() > 1, "several segments");
    let next = segment_name(BatchNumber::new(6));
    let header_alone = {
        let storage = small.storage.copy();
        let (mut journal, mut state) = open(&storage, 1).expect("intact");
        commit(&mut journal, &mut state, vec![opening("zoe", 1)]).expect("memory");
        storage.read(&next).expect("a segment of its own")[..60].to_vec()
    };
    let with_zeros = [header_alone.clone(), vec![0; 452]].concat();
    for (what, bytes, stays) in [
        ("empty", vec![], false),
        ("half a header", header_alone[..30].to_vec(), false),
        ("zeros", vec![0; 512], false),
        ("few zeros", vec![0; 59], false),
        ("a header and no zeros", header_alone, true),
        ("a header and no batch", with_zeros, true),
    ] {
        let storage = small.storage.copy();
        storage.write(&next, bytes);
        let (mut journal, mut state) = open(&storage, 1).expect(what);
        assert_eq!(state, small.states[5], "{what}");
        assert_eq!(storage.read(&next).is_some(), stays, "{what}");
        commit(&mut journal, &mut state, vec![opening("zoe", 1)]).expect(what);
        assert_eq!(open(&storage, 1).expect(what).1, state, "{what}");
    }
}

/// A new segment is begun behind a durable batch only, so this is not the work of a crash.
#[test]
fn a_torn_batch_before_a_segment_that_was_begun_is_damage() {
    let small = small(4096);
    let bytes = small.storage.read(FIRST_SEGMENT).expect("the segment");
    let ends = batch_ends(&bytes);
    small.storage.write(FIRST_SEGMENT, bytes[..ends[4] - 50].to_vec());
    assert_eq!(open(&small.storage.copy(), 4096).expect("torn").1, small.states[4]);
    small.storage.write(&segment_name(BatchNumber::new(5)), Vec::new());
    let (file, offset, batch, what) = expect_damage(open(&small.storage, 4096));
    assert_eq!((file.as_str(), offset, batch), (FIRST_SEGMENT, ends[3] as u64, 5));
    assert!(matches!(what, Damage::BatchIncomplete), "{what}");
}
