//! How a secret is encrypted with a passphrase: Argon2id and XChaCha20-Poly1305.

use std::io;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::super::passphrase::Passphrase;

pub(super) const SEED_BYTES: usize = 32;
/// The seed and the tag of Poly1305.
pub(super) const SEALED_BYTES: usize = SEED_BYTES + 16;
pub(super) const SALT_BYTES: usize = 16;
pub(super) const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// What one guess at a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106, section 4, for machines without gigabytes to
    /// spare, but in one lane: lanes are filled one after the other here, so that more of them
    /// would only help whoever fills them at once.
    pub(super) const OURS: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

    /// Four times as much of each as this version writes: room for later versions. Whoever could
    /// write the file could otherwise ask for all memory there is.
    const MAX: Self = Self { memory_kib: 256 * 1024, passes: 12, lanes: 4 };

    /// Whether a file may ask for so much.
    pub(super) fn is_bearable(self) -> bool {
        self.memory_kib <= Self::MAX.memory_kib
            && self.passes <= Self::MAX.passes
            && self.lanes <= Self::MAX.lanes
    }

    /// Nothing, if Argon2 has no such parameters.
    pub(super) fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES)).ok()
    }
}

/// What is drawn anew for each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt {
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) nonce: [u8; NONCE_BYTES],
}

impl Salt {
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn draw() -> io::Result<Self> {
        let mut drawn = Self { salt: [0; SALT_BYTES], nonce: [0; NONCE_BYTES] };
        getrandom::fill(&mut drawn.salt).map_err(io::Error::other)?;
        getrandom::fill(&mut drawn.nonce).map_err(io::Error::other)?;
        Ok(drawn)
    }
}

/// A passphrase made into the key of a cipher.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    nonce: XNonce,
}

impl Sealer {
    /// Takes as long and as much memory as `params` say.
    ///
    /// # Errors
    /// [`io::ErrorKind::OutOfMemory`].
    pub(super) fn new(passphrase: &Passphrase, params: Params, salt: &Salt) -> io::Result<Self> {
        // Ours and wiped: the last of these blocks give the key away.
        let mut memory: Zeroizing<Vec<Block>> = Zeroizing::new(Vec::new());
        let blocks = params.block_count();
        memory.try_reserve_exact(blocks).map_err(|_| io::ErrorKind::OutOfMemory)?;
        memory.resize(blocks, Block::new());

        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase.as_bytes(),
                &salt.salt,
                key.as_mut(),
                memory.as_mut_slice(),
            )
            .map_err(io::Error::other)?;
        let cipher = XChaCha20Poly1305::new_from_slice(key.as_ref())
            .expect("the key of this cipher has 32 bytes");
        Ok(Self { cipher, nonce: salt.nonce.into() })
    }

    /// The seed, encrypted. Nobody can change `header` without being found out.
    pub(super) fn seal(&self, seed: &[u8; SEED_BYTES], header: &[u8]) -> [u8; SEALED_BYTES] {
        let mut sealed = [0; SEALED_BYTES];
        let (text, tag) = sealed.split_at_mut(SEED_BYTES);
        text.copy_from_slice(seed);
        let written = self
            .cipher
            .encrypt_inout_detached(&self.nonce, header, text.into())
            .expect("the cipher takes gigabytes");
        tag.copy_from_slice(&written);
        sealed
    }

    /// The seed, if passphrase, header and bytes are those of [`Sealer::seal`].
    pub(super) fn open(
        &self,
        sealed: &[u8; SEALED_BYTES],
        header: &[u8],
    ) -> Option<Zeroizing<[u8; SEED_BYTES]>> {
        let (text, tag) = sealed.split_at(SEED_BYTES);
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        seed.copy_from_slice(text);
        let tag = tag.try_into().expect("the rest is the tag");
        self.cipher
            .decrypt_inout_detached(&self.nonce, header, seed.as_mut_slice().into(), tag)
            .ok()?;
        Some(seed)
    }
}
