//! TLS 1.3 between Mite's programs: raw public keys of Ed25519 (RFC 7250) both ways, ALPN `mite/1`.
//!
//! Who the peer is has one answer everywhere: the key that it has shown as its raw public key and
//! proven to hold by the signature of its handshake (`CertificateVerify`). No certificate is read,
//! no name is looked at, no session is resumed.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`] | Ed25519 keys in the forms that TLS wants |
//! | [`client`] | the side that connects |
//! | [`server`] | the side that is connected to: `mite/1`, or text for stock TLS clients |
//! | [`sniff`] | whether a connection begins with TLS or with text |
//! | `certificate` | the certificate that stock TLS clients are shown |

use std::sync::{Arc, LazyLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion,
};
use wire::PublicKey;

use self::keys::from_spki;

mod certificate;
pub mod client;
pub mod keys;
pub mod server;
pub mod sniff;

/// The name of Mite's own protocol in the handshake (ALPN, RFC 7301).
pub const ALPN_MITE: &[u8] = b"mite/1";

/// What is spoken, and nothing else.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The cryptography, with Ed25519 for the only kind of signature that proves who somebody is.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let provider = aws_lc_rs::default_provider();
    let all = provider.signature_verification_algorithms;
    let ed25519 = all
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == SignatureScheme::ED25519)
        .expect("aws-lc-rs verifies Ed25519");
    let signature_verification_algorithms =
        WebPkiSupportedAlgorithms { all: ed25519.1, mapping: std::slice::from_ref(ed25519) };
    Arc::new(CryptoProvider { signature_verification_algorithms, ..provider })
});

fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// The kinds of signature that are taken for a proof.
fn schemes() -> Vec<SignatureScheme> {
    PROVIDER.signature_verification_algorithms.supported_schemes()
}

/// The key that a peer shows: one raw public key and nothing beside it. Nothing is proven yet.
fn shown_key(shown: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<PublicKey, Error> {
    let key = from_spki(shown).map_err(|_| CertificateError::BadEncoding)?;
    if more.is_empty() { Ok(key) } else { Err(CertificateError::BadEncoding.into()) }
}

/// Whether the peer holds the key that it shows.
fn verify_proof(
    message: &[u8],
    shown: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature_with_raw_key(
        message,
        &SubjectPublicKeyInfoDer::from(shown.as_ref()),
        signature,
        &PROVIDER.signature_verification_algorithms,
    )
}

/// What TLS itself found wrong, if it was that and not the connection that failed.
fn tls_error(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
pub(crate) mod tests;
