//! Ed25519 keys in the forms that TLS wants: PKCS#8 for the secret half, `SubjectPublicKeyInfo` for
//! the public one (RFC 8410).

use std::fmt;
use std::sync::Arc;

use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{self, CertifiedKey};
use wire::{PublicKey, signature};
use zeroize::Zeroizing;

/// What stands before the 32 bytes of the seed in PKCS#8, version 1.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const PKCS8_BYTES: usize = PKCS8_PREFIX.len() + 32;

/// What stands before the 32 bytes of the key in a `SubjectPublicKeyInfo`: DER knows one encoding.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The length of a `SubjectPublicKeyInfo` of Ed25519.
pub const SPKI_BYTES: usize = SPKI_PREFIX.len() + 32;

/// A key pair that proves in handshakes who this side is. The secret half lives in the memory of
/// the TLS library, which wipes it when the last copy of this is dropped; `Debug` shows the public
/// half.
#[derive(Clone)]
pub struct TlsKey {
    public: PublicKey,
    secret: Arc<dyn sign::SigningKey>,
}

impl TlsKey {
    /// The same key, for TLS.
    pub fn new(key: &SigningKey) -> Self {
        Self { public: public_key(key), secret: secret(key) }
    }

    /// The public half, which the other side gets to know this one by.
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// What is shown in a handshake with raw public keys.
    pub(super) fn raw(&self) -> Arc<CertifiedKey> {
        self.certified(to_spki(&self.public).to_vec().into())
    }

    /// What is shown where a certificate of this key is wanted.
    pub(super) fn certified(&self, shown: CertificateDer<'static>) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(vec![shown], Arc::clone(&self.secret)))
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsKey({})", self.public)
    }
}

fn secret(key: &SigningKey) -> Arc<dyn sign::SigningKey> {
    let mut pkcs8 = Zeroizing::new([0; PKCS8_BYTES]);
    pkcs8[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
    pkcs8[PKCS8_PREFIX.len()..].copy_from_slice(key.as_bytes());
    any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))
        .expect("every 32 bytes are a seed, and the prefix says so")
}

pub(super) fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::new(VerificationKeyBytes::from(key).into())
}

/// The key as a `SubjectPublicKeyInfo` in DER.
pub fn to_spki(key: &PublicKey) -> [u8; SPKI_BYTES] {
    let mut spki = [0; SPKI_BYTES];
    spki[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    spki[SPKI_PREFIX.len()..].copy_from_slice(key.as_bytes());
    spki
}

/// Bytes that are no `SubjectPublicKeyInfo` of an Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key in its one encoding")]
pub struct NotAnEd25519Key;

/// The key in a `SubjectPublicKeyInfo`. There is one encoding, so that one key is one peer. Keys that
/// anybody can sign for are no keys: whoever shows one has proven nothing.
///
/// # Errors
/// [`NotAnEd25519Key`] for every other byte string, whatever another parser may make of it.
pub fn from_spki(spki: &[u8]) -> Result<PublicKey, NotAnEd25519Key> {
    let key = spki.strip_prefix(&SPKI_PREFIX).ok_or(NotAnEd25519Key)?;
    let key = key.try_into().map(PublicKey::new).map_err(|_| NotAnEd25519Key)?;
    if signature::is_weak(&key) { Err(NotAnEd25519Key) } else { Ok(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test vector of RFC 8032, section 7.1.
    fn key() -> SigningKey {
        SigningKey::from_bytes(&[
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ])
    }

    #[test]
    fn the_key_of_tls_is_the_key_of_the_ledger() {
        let tls = TlsKey::new(&key());
        let by_tls = tls.secret.public_key().expect("it has a public half");
        assert_eq!(by_tls.as_ref(), to_spki(&tls.public_key()));
        assert_eq!(tls.public_key().to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    }

    /// RFC 8410, section 10.1.
    #[test]
    fn golden_spki() {
        let public = [
            0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc,
            0x3b, 0x96, 0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad,
            0x70, 0x31, 0x66, 0xe1,
        ];
        let spki = to_spki(&PublicKey::new(public));
        assert_eq!(spki[..12], *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00");
        assert_eq!(spki[12..], public);
        assert_eq!(from_spki(&spki), Ok(PublicKey::new(public)));
    }

    /// One key is one peer: no other bytes may mean it, nor anything else.
    #[test]
    fn nothing_else_is_a_key() {
        let spki = to_spki(&public_key(&key()));
        for length in 0..spki.len() {
            assert_eq!(from_spki(&spki[..length]), Err(NotAnEd25519Key), "{length}");
        }
        for offset in 0..SPKI_PREFIX.len() {
            for bit in 0..8 {
                let mut other = spki;
                other[offset] ^= 1 << bit;
                assert_eq!(from_spki(&other), Err(NotAnEd25519Key), "{offset}.{bit}");
            }
        }
        let longer = [&spki[..], &[0]].concat();
        assert_eq!(from_spki(&longer), Err(NotAnEd25519Key));
    }

    /// The neutral element signs everything, whoever asks.
    #[test]
    fn a_key_that_anybody_can_sign_for_is_none() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(from_spki(&to_spki(&PublicKey::new(neutral))), Err(NotAnEd25519Key));
    }

    #[test]
    fn debug_shows_no_secret() {
        let tls = TlsKey::new(&key());
        assert_eq!(format!("{tls:?}"), "TlsKey(11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo)");
    }
}
