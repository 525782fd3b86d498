//! Signatures, and the one rule of which are valid.
//!
//! Ed25519 has several rules, which disagree about signatures that somebody crafts. Here it is ZIP-215
//! everywhere, singly and in batches: with any other, a batch could accept what a single check rejects, and
//! two readers of one ledger could disagree about who paid.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use serde::{Deserialize, Serialize};

use crate::PublicKey;

/// The bytes of an Ed25519 signature (RFC 8032). Carried, not judged: [`Signature::verify`] judges.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "crate::codec::byte_array")] [u8; 64]);

/// The signature is not one of these bytes by this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid")]
pub struct InvalidSignature;

/// What a signature is for. The tag stands in front of the signed bytes, so that a signature for one
/// purpose is worth nothing for another. None is the beginning of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A payer orders a payment.
    Order,
    /// The holder of an account's key puts another key in its place.
    KeyChange,
    /// The server vouches for a batch of the ledger.
    Batch,
}

impl Domain {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Order => b"mite order 1\0",
            Self::KeyChange => b"mite key change 1\0",
            Self::Batch => b"mite batch 1\0",
        }
    }

    /// The bytes that are signed: the tag, then the message.
    pub(crate) fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.tag(), bytes].concat()
    }
}

impl Signature {
    /// The signature with these bytes.
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 64] {
        self.0
    }

    /// Signs `bytes` for this purpose.
    pub fn sign(key: &SigningKey, domain: Domain, bytes: &[u8]) -> Self {
        Self::new(key.sign(&domain.message(bytes)).to_bytes())
    }

    /// Checks that `key` has signed `bytes` for this purpose.
    ///
    /// # Errors
    /// [`InvalidSignature`] by the rules of ZIP-215, also if `key` is no point of the curve.
    pub fn verify(
        &self,
        key: &PublicKey,
        domain: Domain,
        bytes: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerificationKey::try_from(*key.as_bytes()).map_err(|_| InvalidSignature)?;
        let signature = ed25519_zebra::Signature::from(self.to_bytes());
        key.verify(&signature, &domain.message(bytes)).map_err(|_| InvalidSignature)
    }

    /// The same check, to be made together with others: half the cost each, and the same verdict.
    pub fn batch_item(&self, key: &PublicKey, domain: Domain, bytes: &[u8]) -> batch::Item {
        let signature = ed25519_zebra::Signature::from(self.to_bytes());
        let key = VerificationKeyBytes::from(*key.as_bytes());
        batch::Item::from((key, signature, &domain.message(bytes)))
    }
}

/// A key that signs again and again: the same signatures as [`Signature::sign`] makes, which RFC 8032
/// leaves no choice in, in half the time. Wiped from memory when it is dropped.
pub struct SealingKey(Ed25519KeyPair);

impl SealingKey {
    /// The same key, made ready.
    ///
    /// # Panics
    /// If there is no memory for it: nothing else is wrong with any seed.
    pub fn of(key: &SigningKey) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).expect("a seed of 32 bytes"))
    }

    /// The public half.
    ///
    /// # Panics
    /// Never: Ed25519 public keys are 32 bytes.
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref().try_into();
        PublicKey::new(bytes.expect("Ed25519 public keys are 32 bytes"))
    }

    /// Signs `bytes` for this purpose.
    ///
    /// # Panics
    /// If there is no memory for it.
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> Signature {
        let signature = self.0.sign(&domain.message(bytes));
        let bytes = signature.as_ref().try_into().expect("Ed25519 signatures are 64 bytes");
        Signature::new(bytes)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Whether anybody can sign for a key: it is no point of the curve, or one of the few of small order, for
/// which one signature fits many messages and nobody needs a secret. No account may have such a key.
pub fn is_weak(key: &PublicKey) -> bool {
    let point = CompressedEdwardsY(*key.as_bytes()).decompress();
    point.is_none_or(|point| point.is_small_order())
}

/// The public half of a signing key.
pub fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::new(VerificationKeyBytes::from(key).into())
}

#[cfg(test)]
mod tests;
