//! Journals that somebody changed who has the disk, and perhaps the server's key.

use super::*;

/// The entry that an error names, and what is wrong; the batch's own faults name none.
fn fault(audited: Result<Audited, AuditError>) -> (u64, Option<u64>, Fault) {
    match audited.expect_err("a fault") {
        AuditError::Fault { file, batch, entry, fault, .. } => {
            assert_eq!(file, SEGMENT);
            (batch.get(), entry.map(EntryNumber::get), fault)
        }
        other => panic!("{other}"),
    }
}

fn damage(audited: Result<Audited, AuditError>) -> (u64, u64, Damage) {
    match audited.expect_err("damage") {
        AuditError::Journal(OpenError::Damaged { file, offset, batch, what }) => {
            assert_eq!(file, SEGMENT);
            (offset, batch.get(), what)
        }
        other => panic!("{other}"),
    }
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    [&[&UNSEALED[..SEGMENT_HEADER_BYTES]], parts].concat().concat()
}

/// Every step-th byte, so that looking again at each takes a few seconds at most.
const STEP: usize = 61;

#[test]
fn no_flipped_byte_goes_unseen() {
    let scribe = honest();
    for at in (0..scribe.bytes.len()).step_by(STEP) {
        let mut bytes = scribe.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let begin = scribe.batches.iter().take_while(|begin| **begin <= at).last();
        let (offset, ..) = damage(audit_bytes(bytes, &[]));
        assert_eq!(offset, begin.copied().unwrap_or(0) as u64, "{at}");
    }
}

/// Checksums keep nobody out who can compute them; the seal does.
#[test]
fn no_flipped_byte_with_mended_checksums_goes_unseen() {
    let scribe = honest();
    for (index, &begin) in scribe.batches.iter().enumerate() {
        let end = scribe.batches.get(index + 1).copied().unwrap_or(scribe.bytes.len()) - 4;
        for at in (begin..end).step_by(STEP) {
            let mut bytes = scribe.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let sum = crc32c::crc32c(&bytes[begin + BATCH_HEADER_BYTES..end]).to_le_bytes();
            if at >= begin + BATCH_HEADER_BYTES {
                bytes[begin + 44..begin + 48].copy_from_slice(&sum);
            }
            let header = begin + BATCH_HEADER_BYTES - 4;
            let sum = crc32c::crc32c(&bytes[begin..header]).to_le_bytes();
            bytes[header..header + 4].copy_from_slice(&sum);
            let left_as_it_was = bytes == scribe.bytes;
            assert!(left_as_it_was || audit_bytes(bytes, &[]).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_changed_entry_with_mended_checksums_has_another_merkle_root() {
    let scribe = honest();
    let begin = scribe.batches[4];
    let mut bytes = scribe.bytes.clone();
    let end = bytes.len() - 4;
    // The amount of the payment by text: behind the kind of entry and two accounts.
    bytes[begin + BATCH_HEADER_BYTES + 20] = 2;
    let header = BatchHeader::decode(&bytes[begin..]).expect("a header");
    let entries_checksum = crc32c::crc32c(&bytes[begin + BATCH_HEADER_BYTES..end]);
    let header = BatchHeader { entries_checksum, ..header };
    bytes[begin..begin + BATCH_HEADER_BYTES].copy_from_slice(&header.encode());
    let (offset, batch, what) = damage(audit_bytes(bytes, &[]));
    assert_eq!((offset, batch), (begin as u64, 5));
    assert!(matches!(what, Damage::WrongMerkleRoot), "{what}");
}

#[test]
fn a_batch_by_another_key_is_named() {
    let mut scribe = honest();
    scribe.key = Some(key(0xDD));
    scribe.write(&[text_payment(2, 3, 1)]);
    scribe.key = Some(server());
    scribe.write(&[text_payment(2, 3, 1)]);
    assert_eq!(fault(scribe.audit()), (6, None, Fault::ServerSignature));
    let strange = audit(storage(honest().bytes), public_key(&key(0xDD)), &[], |_| {});
    assert_eq!(fault(strange), (1, None, Fault::ServerSignature));
}

#[test]
fn batches_that_are_missing_swapped_doubled_or_of_another_server_are_named() {
    let parts = honest().parts();
    let [first, second, third, fourth, fifth] = &parts[..] else { panic!("five batches") };
    let mut other = Scribe::new(&server());
    other.write(&openings());
    other.write(&[text_payment(3, 2, 7)]);
    other.write(&[text_payment(3, 2, 7)]);
    let foreign = &other.parts()[2];
    for (parts, batch) in [
        (vec![&first[..], third, fourth, fifth], 2),
        (vec![&second[..], third, fourth, fifth], 1),
        (vec![&first[..], third, second, fourth, fifth], 2),
        (vec![&first[..], second, second, third, fourth, fifth], 3),
        (vec![&first[..], second, foreign, fourth, fifth], 3),
    ] {
        let (_, found, what) = damage(audit_bytes(joined(&parts), &[]));
        assert_eq!(found, batch, "{what}");
        assert!(matches!(what, Damage::WrongBatchNumber(_) | Damage::WrongPreviousHead), "{what}");
    }
}

/// The story: a thief on the server's disk strips all seals and mends the chain. Such a journal
/// looks like one of before there were seals, so that one must not pass either.
#[test]
fn a_journal_without_a_single_seal_is_nobodys() {
    let mut stripped = Scribe::new(&server());
    stripped.key = None;
    stripped.write(&openings());
    stripped.write(&[text_payment(2, 3, 1000)]);
    for bytes in [stripped.bytes, UNSEALED.to_vec()] {
        let error = audit_bytes(bytes, &[]).expect_err("a fault");
        assert!(matches!(error, AuditError::Unsealed(2 | 5)), "{error}");
    }
}

#[test]
fn a_seal_vouches_for_the_unsealed_batches_before_it_and_none_may_follow() {
    let mut scribe = Scribe::new(&server());
    scribe.key = None;
    scribe.write(&openings());
    scribe.write(&[text_payment(2, 3, 1)]);
    scribe.key = Some(server());
    scribe.write(&[text_payment(2, 3, 1)]);
    let audited = scribe.audit().expect("sound");
    assert_eq!((audited.unsealed, audited.last.batch.get()), (2, 3));
    scribe.key = None;
    scribe.write(&[text_payment(2, 3, 1)]);
    let (_, batch, what) = damage(scribe.audit());
    assert!(matches!(what, Damage::SealMissing), "{what}");
    assert_eq!(batch, 4);
}

/// The story: the operator takes a payment back, and writes and signs everything anew with the
/// server's own key. By itself the journal is perfect; the payee's receipt knows better.
#[test]
fn a_history_that_was_rewritten_with_the_servers_key_is_found_by_a_receipt() {
    let true_receipts = receipts(&honest().bytes);
    let mut rewritten = Scribe::new(&server());
    rewritten.write(&openings());
    rewritten.write(&[text_payment(2, 1, 5)]);
    rewritten.write(&[text_payment(3, 2, 1)]);
    assert!(rewritten.audit().is_ok(), "nothing in it is wrong");
    for (index, at_fault) in [(1, "batch 2 in"), (2, "batch 3 in"), (4, "the journal ends with")] {
        let receipts = [true_receipts[0].clone(), true_receipts[index].clone()];
        let error = audit_bytes(rewritten.bytes.clone(), &receipts).expect_err("it is found");
        let AuditError::Receipt { index: 1, fault } = error else { panic!("{error}") };
        assert!(fault.to_string().starts_with(at_fault), "{fault}");
    }
}

#[test]
fn a_receipt_of_another_server_is_no_witness() {
    let mut other = Scribe::new(&key(0xDD));
    other.write(&openings());
    let error = audit_bytes(honest().bytes, &receipts(&other.bytes)).expect_err("a fault");
    let fault = ReceiptFault::Invalid(ReceiptError::NotSigned);
    assert!(
        matches!(&error, AuditError::Receipt { index: 0, fault: found } if *found == fault),
        "{error}"
    );
}

/// Signatures are checked many at a time: what is named must still be what comes first.
#[test]
fn the_first_fault_is_the_one_that_is_named() {
    let forged = |n| settled(order(n, 1).sign(&key(9)));
    let mut scribe = Scribe::new(&server());
    scribe.write(&openings());
    scribe.write(&[text_payment(2, 3, 1), forged(1), forged(2), text_payment(0, 1, 1)]);
    assert_eq!(fault(scribe.audit()), (2, Some(5), Fault::PayerSignature));
    scribe.bytes.extend(b"and damage behind it");
    assert_eq!(fault(scribe.audit()), (2, Some(5), Fault::PayerSignature));
}

#[test]
fn a_forged_signature_is_found_among_any_number() {
    let count = SIGNATURES_TOGETHER + 100;
    for forged in [0, SIGNATURES_TOGETHER - 2, SIGNATURES_TOGETHER, count - 1] {
        let mut entries = openings();
        for n in 0..count {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&n.to_le_bytes());
            let id = OrderId::new(order(0, 0).not_after, random);
            let order = Order { id, amount: Amount::new(1), ..order(0, 0) };
            let refusal = if n < 1000 { None } else { Some(Refusal::InsufficientBalance) };
            let signed = order.sign(&key(if n == forged { 9 } else { 1 }));
            entries.push(refusal.map_or_else(
                || settled(signed.clone()),
                |refusal| refused(signed.clone(), refusal),
            ));
        }
        let mut scribe = Scribe::new(&server());
        scribe.write(&entries);
        let entry = (openings().len() + forged) as u64;
        assert_eq!(fault(scribe.audit()), (1, Some(entry), Fault::PayerSignature));
    }
}
