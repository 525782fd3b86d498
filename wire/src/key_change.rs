//! Key changes: the old key of an account signs the new one.

use ed25519_zebra::SigningKey;
use serde::{Deserialize, Serialize};

use crate::signature::{Domain, InvalidSignature, Signature};
use crate::{PublicKey, Username, codec, signature};

/// The version of the form of key changes that this code writes and reads.
pub const KEY_CHANGE_VERSION: u16 = 1;

/// "From now on, this account's key is that one."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// [`KEY_CHANGE_VERSION`].
    pub version: u16,
    /// The key of the server that is to do it: no other one does.
    pub server: PublicKey,
    /// Whose key.
    pub account: Username,
    /// The key that the account has.
    pub old: PublicKey,
    /// The key that it is to have, which no account has ever had.
    pub new: PublicKey,
}

/// A key change and the signatures of both keys: the old one allows it, the new one shows that
/// somebody holds it, so that no account ends with a key that nobody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedKeyChange {
    /// What is to change.
    pub change: KeyChange,
    /// By [`KeyChange::old`].
    pub by_old: Signature,
    /// By [`KeyChange::new`].
    pub by_new: Signature,
}

/// A key change whose signatures were both found valid. Nothing else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedKeyChange(SignedKeyChange);

impl KeyChange {
    /// The exact bytes that are signed: this value in the one binary encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode_into(self, &mut bytes);
        bytes
    }

    /// Signs it with both keys.
    pub fn sign(self, old: &SigningKey, new: &SigningKey) -> SignedKeyChange {
        let bytes = self.to_bytes();
        let sign = |key| Signature::sign(key, Domain::KeyChange, &bytes);
        SignedKeyChange { by_old: sign(old), by_new: sign(new), change: self }
    }
}

impl SignedKeyChange {
    /// Checks both signatures.
    ///
    /// # Errors
    /// [`InvalidSignature`] if one of them is not of the key that it should be of, or if anybody could
    /// sign for the new key.
    pub fn verify(self) -> Result<VerifiedKeyChange, InvalidSignature> {
        let bytes = self.change.to_bytes();
        self.by_old.verify(&self.change.old, Domain::KeyChange, &bytes)?;
        self.by_new.verify(&self.change.new, Domain::KeyChange, &bytes)?;
        if signature::is_weak(&self.change.new) {
            return Err(InvalidSignature);
        }
        Ok(VerifiedKeyChange(self))
    }
}

impl VerifiedKeyChange {
    /// The change and its signatures.
    pub const fn signed(&self) -> &SignedKeyChange {
        &self.0
    }

    /// The change.
    pub const fn change(&self) -> &KeyChange {
        &self.0.change
    }

    /// The change and its signatures, without the proof.
    pub fn into_signed(self) -> SignedKeyChange {
        self.0
    }
}

#[cfg(test)]
mod tests;
