use ed25519_zebra::SigningKey;

use super::*;
use crate::batch::{BATCH_ENTRIES_MAX, Seal};
use crate::key_change::KeyChange;
use crate::merkle::{MerkleTree, leaf};
use crate::order::{NO_MEMO, ORDER_VERSION, Order, OrderId};
use crate::signature::{Domain, SealingKey, Signature, public_key};
use crate::{Access, AccountId, Amount, Username};

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn server() -> PublicKey {
    public_key(&key(0x5E))
}

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn order() -> Order {
    let not_after = Timestamp::new(1_700_003_600_000);
    Order {
        version: ORDER_VERSION,
        server: server(),
        id: OrderId::new(not_after, [0xAB; 10]),
        payer: name("alice"),
        payer_key: public_key(&key(1)),
        payee: name("bob"),
        payee_key: Some(public_key(&key(2))),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    }
}

fn settled(order: SignedOrder, amount: u64) -> Entry {
    Entry::Transferred {
        payer: AccountId::new(0),
        payee: AccountId::new(1),
        amount: Amount::new(amount),
        authority: Authority::Order(Box::new(order)),
    }
}

fn opened(account: u64) -> Entry {
    Entry::AccountOpened {
        account: AccountId::new(account),
        name: name(&format!("n{account}")),
        access: Access::Open,
        grant: Amount::new(1000),
    }
}

fn tree(entries: &[Entry]) -> MerkleTree {
    let leaves = entries.iter().map(|entry| {
        let mut bytes = Vec::new();
        codec::encode_into(entry, &mut bytes);
        leaf(&bytes)
    });
    MerkleTree::new(leaves.collect())
}

/// The header of a batch of these entries, sealed by the key with this number.
fn header(tree: &MerkleTree, entry_count: u32, signer: u8) -> BatchHeader {
    let mut header = BatchHeader {
        entry_count,
        batch: BatchNumber::new(7),
        first_entry: EntryNumber::new(100),
        time: Timestamp::new(1_700_000_000_000),
        byte_len: 4096,
        entries_checksum: 0,
        previous_head: [3; 32],
        seal: None,
    };
    let merkle_root = tree.root();
    let signed = header.signed_bytes(&merkle_root);
    let signature = Signature::sign(&key(signer), Domain::Batch, &signed);
    header.seal = Some(Seal { merkle_root, signature });
    header
}

/// A receipt for `entry`, third of five.
fn receipt(entry: Entry) -> Receipt {
    let entries = [opened(0), opened(1), entry, opened(2), opened(3)];
    let tree = tree(&entries);
    let path = tree.path(2).expect("a leaf");
    Receipt::new(&header(&tree, 5, 0x5E), 2, path, entries[2].clone())
}

fn encoded(receipt: &Receipt) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_into(receipt, &mut bytes);
    bytes
}

#[test]
fn a_receipt_proves_an_entry_and_its_place() {
    let signed = order().sign(&key(1));
    for (entry, verdict) in [
        (settled(signed.clone(), 10), Some(Verdict::Settled)),
        (
            Entry::OrderRefused {
                payer: AccountId::new(0),
                order: Box::new(signed),
                refusal: Refusal::UnknownPayee,
            },
            Some(Verdict::Refused(Refusal::UnknownPayee)),
        ),
        (opened(9), None),
    ] {
        let receipt = receipt(entry.clone());
        let proven = receipt.verify(&server()).expect("it proves it");
        assert_eq!((proven.number.get(), proven.batch.get()), (102, 7));
        assert_eq!((proven.time.get(), proven.entry), (1_700_000_000_000, &entry));
        assert_eq!(receipt.verdict(), verdict);
        let sent = codec::decode_exact::<RECEIPT_BYTES_MAX, Receipt>(&encoded(&receipt));
        assert_eq!(sent.expect("it can be sent"), receipt);
        assert_eq!(receipt.verify(&public_key(&key(1))), Err(ReceiptError::NotSigned));
    }
}

/// Nobody can change anything in a receipt.
#[test]
fn no_bit_of_a_receipt_can_be_changed() {
    let bytes = encoded(&receipt(settled(order().sign(&key(1)), 10)));
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let decoded = codec::decode_exact::<RECEIPT_BYTES_MAX, Receipt>(&changed);
        assert!(!decoded.is_ok_and(|receipt| receipt.verify(&server()).is_ok()), "bit {bit}");
    }
}

/// What was verified before must not make anything else pass: neither what nobody signed nor what another
/// server did.
#[test]
fn headers_that_are_remembered_vouch_for_nothing_else() {
    let order = order().sign_as_payer(&SealingKey::of(&key(1)));
    let genuine = receipt(settled(order.signed().clone(), 10));
    let mut headers = VerifiedHeaders::default();
    for _ in 0..2 {
        let proven = genuine.verify_for(&order, &mut headers).expect("it proves it");
        assert_eq!(Ok(proven), genuine.verify(&server()));
    }
    let bytes = encoded(&genuine);
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let decoded = codec::decode_exact::<RECEIPT_BYTES_MAX, Receipt>(&changed);
        let passes = |receipt: Receipt| receipt.verify_for(&order, &mut headers).is_ok();
        assert!(!decoded.is_ok_and(passes), "bit {bit}");
    }
    let elsewhere = Order { server: public_key(&key(9)), ..order.order().clone() };
    let elsewhere = elsewhere.sign_as_payer(&SealingKey::of(&key(1)));
    let entry = settled(elsewhere.signed().clone(), 10);
    let tree = tree(std::slice::from_ref(&entry));
    let path = tree.path(0).expect("a leaf");
    let receipt = Receipt::new(&header(&tree, 1, 0x5E), 0, path, entry);
    assert_eq!(receipt.verify_for(&order, &mut headers), Err(ReceiptError::Mismatch));
    assert_eq!(receipt.verify_for(&elsewhere, &mut headers), Err(ReceiptError::NotSigned));
}

#[test]
fn each_part_is_checked_and_named() {
    let entry = settled(order().sign(&key(1)), 10);
    let entries = [opened(0), opened(1), entry.clone(), opened(2), opened(3)];
    let tree = tree(&entries);
    let path = || tree.path(2).expect("a leaf");
    let sealed = header(&tree, 5, 0x5E);
    let unsealed = BatchHeader { seal: None, ..sealed.clone() };
    let in_batch = BatchHeader { entry_count: 6, ..sealed.clone() };
    for (what, receipt, expected) in [
        ("unsealed", Receipt::new(&unsealed, 2, path(), entry.clone()), ReceiptError::NotSigned),
        (
            "another server's",
            Receipt::new(&header(&tree, 5, 9), 2, path(), entry.clone()),
            ReceiptError::NotSigned,
        ),
        (
            "another count",
            Receipt::new(&in_batch, 2, path(), entry.clone()),
            ReceiptError::NotSigned,
        ),
        (
            "another place",
            Receipt::new(&sealed, 3, path(), entry.clone()),
            ReceiptError::NotInBatch,
        ),
        ("beyond", Receipt::new(&sealed, 7, path(), entry.clone()), ReceiptError::NotInBatch),
        ("another entry", Receipt::new(&sealed, 2, path(), opened(2)), ReceiptError::NotInBatch),
        ("no path", Receipt::new(&sealed, 2, Vec::new(), entry), ReceiptError::NotInBatch),
    ] {
        assert_eq!(receipt.verify(&server()), Err(expected), "{what}");
    }
    let mut no_header = receipt(opened(9));
    no_header.header.0[0] = 0;
    assert_eq!(no_header.verify(&server()), Err(ReceiptError::Header));
}

/// The story: a server writes down what nobody has signed, and seals it.
#[test]
fn a_lying_server_is_not_believed() {
    let signed = order().sign(&key(1));
    let forged =
        SignedOrder { order: Order { amount: Amount::new(99), ..order() }, ..signed.clone() };
    let for_another = Order { server: public_key(&key(9)), ..order() }.sign(&key(1));
    let change = KeyChange {
        version: 1,
        server: server(),
        account: name("alice"),
        old: public_key(&key(1)),
        new: public_key(&key(3)),
    };
    // The server knows its own new key, but not the old one.
    let change = change.sign(&key(3), &key(3));
    for (what, entry, expected) in [
        ("signed by nobody", settled(forged, 99), ReceiptError::Order),
        ("another amount", settled(signed, 11), ReceiptError::Mismatch),
        ("for another server", settled(for_another, 10), ReceiptError::Mismatch),
        (
            "a key change",
            Entry::KeyChanged { account: AccountId::new(0), change: Box::new(change) },
            ReceiptError::KeyChange,
        ),
    ] {
        assert_eq!(receipt(entry).verify(&server()), Err(expected), "{what}");
    }
}

#[test]
fn no_receipt_is_longer_than_the_bound() {
    let long = name(&"𐌀".repeat(32));
    let order = Order { payer: long.clone(), payee: long, ..order() }.sign(&key(1));
    let last = BATCH_ENTRIES_MAX - 1;
    let mut leaves = vec![[0; 32]; last as usize];
    let entry = settled(order, 10);
    let mut bytes = Vec::new();
    codec::encode_into(&entry, &mut bytes);
    leaves.push(leaf(&bytes));
    let tree = MerkleTree::new(leaves);
    let header =
        BatchHeader { byte_len: BATCH_ENTRIES_MAX, ..header(&tree, BATCH_ENTRIES_MAX, 0x5E) };
    let largest = Receipt::new(&header, last, tree.path(last).expect("a leaf"), entry);
    let bytes = encoded(&largest);
    assert_eq!(bytes.len(), 180 + 4 + 8 + 16 * 32 + 531);
    let decoded = codec::decode_exact::<RECEIPT_BYTES_MAX, Receipt>(&bytes);
    assert_eq!(decoded.expect("within the bound"), largest);
}
