//! Orders: payments that their payers have signed.

use std::fmt;
use std::str::FromStr;

use ed25519_zebra::SigningKey;
use ed25519_zebra::batch;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::signature::{Domain, InvalidSignature, SealingKey, Signature};
use crate::{Amount, PublicKey, Timestamp, Username, codec};

/// How long an order may be valid when the server first sees it, by the server's clock: 24 hours.
pub const ORDER_VALIDITY_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// The version of the form of orders that this code writes and reads.
pub const ORDER_VERSION: u16 = 1;

/// The longest encoding of a [`SignedOrder`]: two names of 32 characters of 4 bytes, three keys, a hash, a
/// signature and the numbers (499 bytes), rounded up.
pub const SIGNED_ORDER_BYTES_MAX: usize = 576;

/// The longest memo, in bytes of UTF-8.
pub const MEMO_BYTES_MAX: usize = 256;

/// What names an order among all orders of its payer: the 6 low bytes of its not-after, big-endian, and
/// 80 random bits. Written in 32 hexadecimal digits.
///
/// Since an id says until when its order is valid, whoever remembers all ids until then can tell for
/// ever whether one was used: later, any order with this id has expired.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(#[serde(with = "codec::byte_array")] [u8; 16]);

impl OrderId {
    /// The id of an order that is valid up to `not_after`.
    pub fn new(not_after: Timestamp, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&not_after.get().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        Self(bytes)
    }

    /// Up to when the order is valid that has this id.
    pub fn not_after(&self) -> Timestamp {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0[..6]);
        Timestamp::new(u64::from_be_bytes(bytes))
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderId({self})")
    }
}

/// A text that is not an [`OrderId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order's id is 32 hexadecimal digits")]
pub struct ParseOrderIdError;

impl FromStr for OrderId {
    type Err = ParseOrderIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseOrderIdError);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| ParseOrderIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// What a payer orders. Worth nothing until it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// [`ORDER_VERSION`].
    pub version: u16,
    /// The key of the server that is to settle it: no other one does.
    pub server: PublicKey,
    /// What names it among the payer's orders; fits [`Order::not_after`].
    pub id: OrderId,
    /// Who pays.
    pub payer: Username,
    /// The key that signs it, which must be the payer's when the server first sees it.
    pub payer_key: PublicKey,
    /// Who is paid.
    pub payee: Username,
    /// The payee's key as the payer knows it; `None` if the payee is an open account.
    pub payee_key: Option<PublicKey>,
    /// How much.
    pub amount: Amount,
    /// The server takes it up to this moment of its own clock, and not later.
    pub not_after: Timestamp,
    /// [`Memo::hash`] of what it is for; zeros if there is no memo.
    #[serde(with = "codec::byte_array")]
    pub memo_hash: [u8; 32],
}

/// What a payment is for, told to the payee alone.
///
/// The order carries its hash, which everybody sees who sees the order. The salt keeps them from guessing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// Random.
    pub salt: [u8; 16],
    /// At most [`MEMO_BYTES_MAX`] bytes.
    pub text: String,
}

/// The hash of no memo at all.
pub const NO_MEMO: [u8; 32] = [0; 32];

impl Memo {
    /// SHA-256 of a domain tag, the salt and the text.
    pub fn hash(&self) -> [u8; 32] {
        let digest = Sha256::new().chain_update(b"mite memo 1\0").chain_update(self.salt);
        digest.chain_update(&self.text).finalize().into()
    }
}

/// An order and the signature over it. What it says is not known to be true: [`SignedOrder::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOrder {
    /// What is ordered.
    pub order: Order,
    /// Over [`Order::to_bytes`], in the domain [`Domain::Order`].
    pub signature: Signature,
}

/// SHA-256 of an order's bytes: two orders with one hash are one order.
pub type OrderHash = [u8; 32];

/// An order whose signature is valid: it was checked, or made just now. Nothing else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedOrder {
    signed: SignedOrder,
    hash: OrderHash,
}

impl Order {
    /// The exact bytes that are signed: this value in the one binary encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIGNED_ORDER_BYTES_MAX);
        codec::encode_into(self, &mut bytes);
        bytes
    }

    /// What tells this order from every other.
    pub fn hash(&self) -> OrderHash {
        hash(&self.to_bytes())
    }

    /// Signs it. `key` must be the one that [`Order::payer_key`] says, or nobody will take it.
    pub fn sign(self, key: &SigningKey) -> SignedOrder {
        let signature = Signature::sign(key, Domain::Order, &self.to_bytes());
        SignedOrder { order: self, signature }
    }

    /// Signs it with the key of its payer, which it gets as [`Order::payer_key`].
    pub fn sign_as_payer(mut self, key: &SealingKey) -> VerifiedOrder {
        self.payer_key = key.public_key();
        let bytes = self.to_bytes();
        let signature = key.sign(Domain::Order, &bytes);
        VerifiedOrder { hash: hash(&bytes), signed: SignedOrder { order: self, signature } }
    }
}

impl SignedOrder {
    /// Checks the signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if the payer's key in the order has not signed exactly this.
    pub fn verify(self) -> Result<VerifiedOrder, InvalidSignature> {
        let bytes = self.order.to_bytes();
        self.signature.verify(&self.order.payer_key, Domain::Order, &bytes)?;
        Ok(VerifiedOrder { hash: hash(&bytes), signed: self })
    }

    /// Checks the signatures of many orders, all at once, and one by one only if one of them is wrong.
    /// The verdicts are the same, in half the time each.
    ///
    /// `random` must be unpredictable for whoever made the signatures.
    pub fn verify_all(
        orders: Vec<Self>,
        random: impl CryptoRng,
    ) -> Vec<Result<VerifiedOrder, InvalidSignature>> {
        Self::verify_groups(vec![orders], random).pop().unwrap_or_default()
    }

    /// Checks the orders of several senders, all at once; if one of them is wrong, sender by sender,
    /// so that only a sender with a wrong one has them checked one by one. The verdicts are the same.
    ///
    /// `random` must be unpredictable for whoever made the signatures.
    pub fn verify_groups(
        groups: Vec<Vec<Self>>,
        mut random: impl CryptoRng,
    ) -> Vec<Vec<Result<VerifiedOrder, InvalidSignature>>> {
        let groups: Vec<Vec<Candidate>> = groups
            .into_iter()
            .map(|orders| orders.into_iter().map(Candidate::new).collect())
            .collect();
        let all_valid = are_valid(groups.iter().flatten(), &mut random);
        let several = groups.len() > 1;
        let verdicts = groups.into_iter().map(|group| {
            let valid = all_valid || (several && are_valid(&group, &mut random));
            group.into_iter().map(|candidate| candidate.verdict(valid)).collect()
        });
        verdicts.collect()
    }
}

/// An order whose signature is to be checked along with others.
struct Candidate {
    signed: SignedOrder,
    hash: OrderHash,
    item: batch::Item,
}

impl Candidate {
    fn new(signed: SignedOrder) -> Self {
        let bytes = signed.order.to_bytes();
        let item = signed.signature.batch_item(&signed.order.payer_key, Domain::Order, &bytes);
        Self { hash: hash(&bytes), signed, item }
    }

    /// `valid` if it is known to be; otherwise it is checked alone.
    fn verdict(self, valid: bool) -> Result<VerifiedOrder, InvalidSignature> {
        if valid || self.item.verify_single().is_ok() {
            Ok(VerifiedOrder { signed: self.signed, hash: self.hash })
        } else {
            Err(InvalidSignature)
        }
    }
}

/// Whether all of them are.
fn are_valid<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate>,
    random: impl CryptoRng,
) -> bool {
    let mut batch = batch::Verifier::new();
    for candidate in candidates {
        batch.queue(candidate.item.clone());
    }
    batch.verify(random).is_ok()
}

impl VerifiedOrder {
    /// The order and its signature.
    pub const fn signed(&self) -> &SignedOrder {
        &self.signed
    }

    /// The order.
    pub const fn order(&self) -> &Order {
        &self.signed.order
    }

    /// The hash of the order's bytes.
    pub const fn hash(&self) -> &OrderHash {
        &self.hash
    }

    /// The order and its signature, without the proof.
    pub fn into_signed(self) -> SignedOrder {
        self.signed
    }
}

fn hash(order_bytes: &[u8]) -> OrderHash {
    Sha256::digest(order_bytes).into()
}

#[cfg(test)]
mod tests;
