use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use wire::{Amount, OrderId};

use super::*;
use crate::secure_wallet::tests::world::{DAWN, alice, bob, key, name, seal, server_key};

fn server() -> PublicKey {
    wire::signature::public_key(&server_key())
}

fn record(random: u8, not_after: u64) -> OutboxRecord {
    let not_after = Timestamp::new(not_after);
    let order = wire::Order {
        version: wire::order::ORDER_VERSION,
        server: server(),
        id: OrderId::new(not_after, [random; 10]),
        payer: name("alice"),
        payer_key: alice().public_key(),
        payee: name("bob"),
        payee_key: Some(bob().public_key()),
        amount: Amount::new(u64::from(random)),
        not_after,
        memo_hash: wire::order::NO_MEMO,
    };
    OutboxRecord { order: order.sign(alice().key()), memo: Some("lunch".to_owned()) }
}

fn receipt(order: &SignedOrder) -> Box<Receipt> {
    let entry = wire::Entry::Transferred {
        payer: wire::AccountId::new(0),
        payee: wire::AccountId::new(1),
        amount: order.order.amount,
        authority: wire::Authority::Order(Box::new(order.clone())),
    };
    Box::new(seal(&server_key(), wire::EntryNumber::new(7), DAWN, entry))
}

fn closed(record: &OutboxRecord) -> ClosedRecord {
    let OutboxRecord { order, memo } = record.clone();
    let outcome = Outcome::Decided(receipt(&order));
    ClosedRecord { order, memo, outcome }
}

/// Everything of one life is there in the next, and nobody else may read it.
#[test]
fn what_is_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wallet.redb");
    let (open, done) = (record(1, DAWN), record(2, DAWN + 1));
    let peer = KnownPeer { key: bob().public_key(), since: Timestamp::new(DAWN) };
    {
        let store = RedbStore::open(&path).expect("opened");
        let trust = Change::Trust { server: server(), name: name("bob"), peer };
        let both = [Change::Open(open.clone()), Change::Open(done.clone()), trust];
        store.write(&both).expect("written");
        store.write(&[Change::Close(closed(&done))]).expect("written");
        let received = Change::Received(receipt(&open.order));
        store.write(&[received, Change::Server(server())]).expect("written");
        let second = RedbStore::open(&path).expect_err("another process has it");
        assert!(matches!(second, StoreError::Unopened(_)));
    }
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let store = RedbStore::open(&path).expect("opened");
    assert_eq!(store.outbox(&server()), Ok(vec![open.clone()]));
    assert_eq!(store.closed(&server(), 9), Ok(vec![closed(&done)]));
    assert_eq!(store.find_closed(&server(), done.order.order.id), Ok(Some(closed(&done))));
    assert_eq!(store.find_closed(&server(), open.order.order.id), Ok(None));
    assert_eq!(store.received(&server(), open.order.order.id), Ok(vec![*receipt(&open.order)]));
    assert_eq!(store.peer(&server(), &name("bob")), Ok(Some(peer)));
    assert_eq!(store.peer(&server(), &name("bo")), Ok(None));
    assert_eq!(store.last_server(), Ok(Some(server())));
    let other = wire::signature::public_key(&key(0xEE));
    assert_eq!(store.outbox(&other), Ok(Vec::new()));
    assert_eq!(store.peer(&other, &name("bob")), Ok(None));
}

#[test]
fn the_newest_closed_payments_come_first() {
    let store = RedbStore::in_memory().expect("memory");
    for number in 1..=5 {
        let record = closed(&record(number, DAWN + u64::from(number)));
        store.write(&[Change::Close(record)]).expect("written");
    }
    let newest = store.closed(&server(), 2).expect("readable");
    let amounts: Vec<_> = newest.iter().map(|record| record.order.order.amount).collect();
    assert_eq!(amounts, [Amount::new(5), Amount::new(4)]);
}

/// Ids are the payers' own: two payers may use the same one.
#[test]
fn receipts_of_two_payers_with_one_id_are_both_kept() {
    let store = RedbStore::in_memory().expect("memory");
    let first = record(1, DAWN).order;
    let mut second = first.order.clone();
    second.payer = name("mallory");
    second.payer_key = wire::signature::public_key(&key(0xEE));
    let second = second.sign(&key(0xEE));
    for order in [&first, &second] {
        store.write(&[Change::Received(receipt(order))]).expect("written");
    }
    let kept = store.received(&server(), first.order.id).expect("readable");
    let orders: Vec<_> = kept.iter().filter_map(Receipt::order).collect();
    assert_eq!(orders, [&first, &second]);
}

/// The story: the power goes while the database is being made, and what is there of it cannot be opened. It
/// has not got its name yet, and is made again.
#[test]
fn a_file_that_is_half_made_is_made_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wallet.redb");
    fs::write(path.with_extension("new"), [0; 5000]).expect("written");
    drop(RedbStore::open(&path).expect("made"));
    drop(RedbStore::open(&path).expect("opened"));
    let files = fs::read_dir(directory.path()).expect("readable");
    let names: Vec<_> = files.map(|file| file.expect("listed").file_name()).collect();
    assert_eq!(names, ["wallet.redb"]);
}

#[test]
fn a_file_that_is_exposed_or_foreign_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("wallet.redb");
    drop(RedbStore::open(&path).expect("made"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
    let exposed = RedbStore::open(&path).expect_err("others may read it");
    assert!(exposed.to_string().contains("640"), "{exposed}");
    fs::write(&path, b"something else entirely").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    assert!(matches!(RedbStore::open(&path), Err(StoreError::Unopened(_))));
}

/// Wallets are kept for years: a change of these bytes would make every existing one unreadable.
#[test]
fn golden_hashes_of_records() {
    use sha2::{Digest as _, Sha256};
    let hash = |value: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        value(&mut bytes);
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        (bytes.len(), u64::from_be_bytes(*hash.first_chunk().expect("longer")))
    };
    let open = record(1, DAWN);
    let dead = ClosedRecord { outcome: Outcome::Dead(OrderProblem::Expired), ..closed(&open) };
    let peer = KnownPeer { key: bob().public_key(), since: Timestamp::new(DAWN) };
    let encode = wire::codec::encode_into::<OutboxRecord>;
    let found = [
        hash(&|bytes| encode(&open, bytes)),
        hash(&|bytes| wire::codec::encode_into(&closed(&open), bytes)),
        hash(&|bytes| wire::codec::encode_into(&dead, bytes)),
        hash(&|bytes| wire::codec::encode_into(&peer, bytes)),
    ];
    let expected = [
        (265, 8_545_240_279_900_596_608),
        (744, 12_256_543_382_702_684_549),
        (273, 14_942_504_001_399_225_975),
        (40, 10_409_832_509_575_063_188),
    ];
    assert_eq!(found, expected);
}
