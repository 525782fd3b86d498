//! Signatures that somebody crafts who knows the curve better than the rules do, and receipts by
//! whoever wants to give one.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ed25519_zebra::SigningKey;
use sha2::{Digest as _, Sha512};
use wire::batch::{BatchHeader, Seal};
use wire::merkle::{MerkleTree, leaf};
use wire::signature::Domain;
use wire::{
    BatchNumber, Entry, EntryNumber, Order, Receipt, Signature, Timestamp, codec, signature,
};

/// The order of the group, little-endian: 2^252 + 27742317777372353535851937790883648493.
const GROUP_ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A signature whose R has a part of order 8: valid by the rule that multiplies by the cofactor,
/// invalid by the one that does not.
pub fn torsion_tainted(key: &SigningKey, order: &Order) -> Signature {
    let message = message(order);
    let nonce = Scalar::from_bytes_mod_order_wide(&hash(&[b"nonce", &message]));
    let r = (ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[1]).compress();
    let public = signature::public_key(key);
    let challenge = hash(&[r.as_bytes(), public.as_bytes(), &message]);
    let secret = Sha512::digest(key.as_bytes());
    let mut low = [0; 32];
    low.copy_from_slice(&secret[..32]);
    let secret = Scalar::from_bytes_mod_order(clamp_integer(low));
    let s = nonce + Scalar::from_bytes_mod_order_wide(&challenge) * secret;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(r.as_bytes());
    bytes[32..].copy_from_slice(s.as_bytes());
    Signature::new(bytes)
}

/// A good signature with the order of the group added to its S, which stands for the same number.
///
/// # Panics
/// Never: the sum fits.
pub fn not_canonical(key: &SigningKey, order: &Order) -> Signature {
    let mut bytes = order.clone().sign(key).signature.to_bytes();
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(GROUP_ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "twice the order of the group fits into 32 bytes");
    Signature::new(bytes)
}

/// The receipt for this entry by the holder of this key, as a server gives it.
pub fn receipt(key: &SigningKey, entry: Entry) -> Receipt {
    let header = header(key, &entry);
    Receipt::new(&header, 0, Vec::new(), entry)
}

/// The header of a batch with this one entry, signed with this key.
///
/// # Panics
/// Never: an entry is short.
pub fn header(key: &SigningKey, entry: &Entry) -> BatchHeader {
    let mut bytes = Vec::new();
    codec::encode_into(entry, &mut bytes);
    let mut header = BatchHeader {
        entry_count: 1,
        batch: BatchNumber::new(7),
        first_entry: EntryNumber::new(40),
        time: Timestamp::new(1),
        byte_len: u32::try_from(bytes.len()).expect("an entry is short"),
        entries_checksum: 0,
        previous_head: [0; 32],
        seal: None,
    };
    let merkle_root = MerkleTree::new(vec![leaf(&bytes)]).root();
    let signature = Signature::sign(key, Domain::Batch, &header.signed_bytes(&merkle_root));
    header.seal = Some(Seal { merkle_root, signature });
    header
}

/// What a payer signs: a tag that says what it is, and the order.
fn message(order: &Order) -> Vec<u8> {
    [b"mite order 1\0".as_slice(), &order.to_bytes()].concat()
}

fn hash(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use wire::order::{NO_MEMO, ORDER_VERSION};
    use wire::{AccountId, Amount, Authority, OrderId, SignedOrder};

    use super::*;
    use crate::secure::key;

    /// Or the attacks with them would show nothing.
    #[test]
    fn the_forgeries_are_what_they_say() {
        let not_after = Timestamp::new(1);
        let public = signature::public_key(&key(1));
        let order = Order {
            version: ORDER_VERSION,
            server: public,
            id: OrderId::new(not_after, [0; 10]),
            payer: "alice".parse().expect("a name"),
            payer_key: public,
            payee: "bob".parse().expect("a name"),
            payee_key: None,
            amount: Amount::new(1),
            not_after,
            memo_hash: NO_MEMO,
        };
        let tainted = torsion_tainted(&key(1), &order);
        assert!(SignedOrder { order: order.clone(), signature: tainted }.verify().is_ok());
        let canonical = not_canonical(&key(1), &order);
        assert!(SignedOrder { order: order.clone(), signature: canonical }.verify().is_err());
        let order = order.sign(&key(1));
        let entry = Entry::Transferred {
            payer: AccountId::new(1),
            payee: AccountId::new(2),
            amount: order.order.amount,
            authority: Authority::Order(Box::new(order.clone())),
        };
        assert!(receipt(&key(1), entry.clone()).verify(&public).is_ok());
        assert!(receipt(&key(2), entry).verify(&public).is_err());
        assert!(order.verify().is_ok());
    }
}
