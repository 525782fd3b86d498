//! The server's word for each batch: always given, and none but this server's is built upon.

use wire::batch::{BATCH_HEADER_BYTES, BatchHeader, Seal};
use wire::merkle::{self, MerkleTree};
use wire::signature::Domain;
use wire::{BatchNumber, EntryNumber, Signature};

use super::super::segment::{SegmentHeader, segment_name};
use super::super::{BatchCursor, JournalPlace, Snapshot, Walked};
use super::torn::batch_ends;
use super::*;

fn open_with(storage: &MemoryStorage, number: u8) -> Result<(Journal, State), OpenError> {
    let signer = Signer::new(key(number));
    let options = JournalOptions { segment_bytes: 4096 };
    Journal::open(Arc::new(storage.clone()), signer, options, &log())
}

fn expect_other_server(opened: Result<(Journal, State), OpenError>) -> (String, u64, u64) {
    match opened {
        Err(OpenError::OtherServer { file, offset, batch, .. }) => (file, offset, batch.get()),
        Err(other) => panic!("not another server: {other}"),
        Ok((journal, _)) => panic!("opened at {:?}", journal.last()),
    }
}

fn at_the_last_batch(small: &Small) -> (String, u64, u64) {
    let bytes = small.storage.read(FIRST_SEGMENT).expect("the segment");
    (FIRST_SEGMENT.to_owned(), batch_ends(&bytes)[3] as u64, 5)
}

/// Puts another header in the place of the last batch's.
fn with_last_header(storage: &MemoryStorage, change: impl Fn(&mut BatchHeader)) -> MemoryStorage {
    let mut bytes = storage.read(FIRST_SEGMENT).expect("the segment");
    let ends = batch_ends(&bytes);
    let begin = ends[ends.len() - 2];
    let mut header = BatchHeader::decode(&bytes[begin..]).expect("intact");
    change(&mut header);
    bytes[begin..begin + BATCH_HEADER_BYTES].copy_from_slice(&header.encode());
    let changed = storage.copy();
    changed.write(FIRST_SEGMENT, bytes);
    changed
}

fn sealed_by(header: &BatchHeader, number: u8, merkle_root: [u8; 32]) -> Seal {
    let signed = header.signed_bytes(&merkle_root);
    Seal { merkle_root, signature: Signature::sign(&key(number), Domain::Batch, &signed) }
}

#[test]
fn every_batch_is_sealed_over_its_entries() {
    let small = journal_of(signed_commands(), 600);
    let mut cursor = BatchCursor::new(Arc::new(small.storage.clone()), JournalPlace::BEGIN);
    while let Walked::Batch(batch) = cursor.walk().expect("intact") {
        batch.header.verify(&TERMS.server).expect("the server has signed it");
        let leaves = batch.entries.iter().map(|entry| {
            let mut bytes = Vec::new();
            wire::codec::encode_into(entry, &mut bytes);
            merkle::leaf(&bytes)
        });
        let root = MerkleTree::new(leaves.collect()).root();
        assert_eq!(batch.header.seal.as_ref().map(|seal| seal.merkle_root), Some(root));
        for number in batch.header.first_entry.get()..batch.header.next_entry().get() {
            let number = EntryNumber::new(number);
            let receipt = batch.receipt(number).expect("it is in this batch");
            assert_eq!(receipt.verify(&TERMS.server).expect("a receipt").number, number);
        }
        assert_eq!(batch.receipt(batch.header.next_entry()), None);
    }
    assert_eq!(cursor.place().last, small.committed[5]);
}

/// The story: somebody restores the journal without its key, the server makes a new one, and clients
/// whose receipts are signed by the old one are told that they lie.
#[test]
fn another_servers_journal_is_refused_unchanged() {
    let small = small(4096);
    let before = files(&small.storage);
    assert_eq!(expect_other_server(open_with(&small.storage, 1)), at_the_last_batch(&small));
    assert_eq!(files(&small.storage), before);

    let snapshot = "snapshot-00000000000000000005.mite";
    Snapshot::capture(&small.states[5], &TERMS.server)
        .store(&small.storage, &small.committed[5])
        .expect("memory does not fail");
    assert_eq!(expect_other_server(open_with(&small.storage, 1)), (snapshot.to_owned(), 0, 5));
    // The segment with the last batch is not read at all.
    let first = small.committed[5].next_batch();
    let header = SegmentHeader { first, previous_head: small.committed[5].head };
    small.storage.write(&segment_name(first), header.encode().to_vec());
    assert_eq!(expect_other_server(open_with(&small.storage, 1)), (snapshot.to_owned(), 0, 5));
    assert_eq!(open(&small.storage, 4096).expect("its own key").1, small.states[5]);
}

#[test]
fn a_seal_that_is_not_the_servers_is_refused() {
    let small = small(4096);
    let root = |header: &BatchHeader| header.seal.as_ref().expect("sealed").merkle_root;
    let other_key = with_last_header(&small.storage, |header| {
        header.seal = Some(sealed_by(header, 1, root(header)));
    });
    assert_eq!(expect_other_server(open(&other_key, 4096)), at_the_last_batch(&small));
    // Signed, but as it stood before.
    let other_time = with_last_header(&small.storage, |header| {
        header.time = Timestamp::new(header.time.get() + 1);
    });
    assert_eq!(expect_other_server(open(&other_time, 4096)), at_the_last_batch(&small));
}

/// The story: the roots of large batches are looked at beside the replay, which meanwhile comes upon other
/// damage behind them, or upon none. What is told is what stands first.
#[test]
fn a_large_batch_with_another_root_is_told_before_what_follows_it() {
    let openings = (0..100).map(|n| opening(&format!("n{n}"), 5)).collect();
    let large = journal_of(vec![vec![opening("alice", 1000)], openings], 1 << 14);
    assert_eq!(open(&large.storage, 1 << 14).expect("intact").1, large.states[2]);
    let lying = with_last_header(&large.storage, |header| {
        header.seal = Some(sealed_by(header, 0x5E, [7; 32]));
    });
    let expect_root = |storage: &MemoryStorage| {
        let (_, _, batch, what) = expect_damage(open(storage, 1 << 14));
        assert!(batch == 2 && matches!(what, Damage::WrongMerkleRoot), "{batch}: {what}");
    };
    expect_root(&lying);
    let mut bytes = lying.read(FIRST_SEGMENT).expect("the segment");
    let end = *batch_ends(&bytes).last().expect("two batches");
    bytes[end..].fill(0xFF);
    lying.write(FIRST_SEGMENT, bytes);
    expect_root(&lying);
}

#[test]
fn a_root_of_other_entries_is_damage() {
    let small = small(4096);
    // Even if the server has signed it.
    let lying = with_last_header(&small.storage, |header| {
        header.seal = Some(sealed_by(header, 0x5E, [7; 32]));
    });
    let (_, _, batch, what) = expect_damage(open(&lying, 4096));
    assert!(batch == 5 && matches!(what, Damage::WrongMerkleRoot), "{batch}: {what}");
    let mut cursor = BatchCursor::new(Arc::new(lying), JournalPlace::BEGIN);
    let mut walked = cursor.walk();
    while walked.is_ok() && cursor.place().last.batch.get() < 4 {
        walked = cursor.walk();
    }
    let error = cursor.walk().expect_err("another root");
    assert!(error.to_string().contains("Merkle root"), "{error}");
}

#[test]
fn behind_a_sealed_batch_all_are_sealed() {
    let small = small(4096);
    let stripped = with_last_header(&small.storage, |header| header.seal = None);
    let (_, _, batch, what) = expect_damage(open(&stripped, 4096));
    assert!(batch == 5 && matches!(what, Damage::SealMissing), "{batch}: {what}");
    let mut cursor = BatchCursor::new(Arc::new(stripped.clone()), JournalPlace::BEGIN);
    let error = (0..5).find_map(|_| cursor.walk().err()).expect("the fifth is not sealed");
    assert!(error.to_string().contains("not sealed"), "{error}");

    // A snapshot tells that its own batch was sealed, where that is not read any more.
    let small = journal_of(small_commands(), 1);
    Snapshot::capture(&small.states[4], &TERMS.server)
        .store(&small.storage, &small.committed[4])
        .expect("memory does not fail");
    let last = segment_name(BatchNumber::new(5));
    let mut bytes = small.storage.read(&last).expect("a segment of its own");
    let mut header = BatchHeader::decode(&bytes[60..]).expect("intact");
    header.seal = None;
    bytes[60..60 + BATCH_HEADER_BYTES].copy_from_slice(&header.encode());
    small.storage.write(&last, bytes);
    let (_, _, batch, what) = expect_damage(open(&small.storage, 1));
    assert!(batch == 5 && matches!(what, Damage::SealMissing), "{batch}: {what}");
}

/// A server that has a past must not make a new key.
#[test]
fn a_journal_has_begun_with_its_first_file() {
    let storage = MemoryStorage::new();
    assert!(!Journal::has_begun(&storage).expect("memory does not fail"));
    storage.write("server.key", Vec::new());
    assert!(!Journal::has_begun(&storage).expect("memory does not fail"));
    for name in [FIRST_SEGMENT, "snapshot-00000000000000000005.mite"] {
        let storage = MemoryStorage::new();
        storage.write(name, Vec::new());
        assert!(Journal::has_begun(&storage).expect("memory does not fail"), "{name}");
    }
}
