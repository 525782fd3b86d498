//! The side that connects: to the server, or to the payee's client.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError,
    PeerIncompatible, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::PublicKey;

use super::keys::TlsKey;
use super::{ALPN_MITE, VERSIONS, provider, schemes, shown_key, tls_error, verify_proof};

/// How long a handshake may take: two round trips, and time for one lost packet on each.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Who must be at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedKey {
    /// The holder of this key.
    Exactly(PublicKey),
    /// The holder of whatever key it shows: at first contact. The caller compares or keeps the key;
    /// whoever is there learns this side's key.
    Anyone,
}

/// Why there is no secure connection. Nothing of Mite's protocol was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Somebody else is at the other end: the server has a new key, or somebody is in the middle.
    /// This side has not shown its own key. Whether `found` is really theirs was not looked at.
    #[error("the key there is {found}, not {expected}")]
    WrongKey {
        /// Whose key was expected.
        expected: PublicKey,
        /// The key that was shown.
        found: PublicKey,
    },
    /// The other side speaks TLS, but not Mite's protocol with raw public keys.
    #[error("the other side does not speak mite/1")]
    NotMite,
    /// What came is no TLS: a plain text server, or one that turned this connection away in text
    /// because it is full.
    #[error("the other side does not speak TLS, or has no room")]
    NotTls,
    /// The other side does TLS but has too much to do, or is in trouble. Worth another try later.
    #[error("the other side has no room now")]
    Busy,
    /// The handshake took longer than [`HANDSHAKE_TIME_MAX`].
    #[error("the other side takes too long to say who it is")]
    TooSlow,
    /// The other side broke the rules of TLS, or could not prove that it holds its key.
    #[error("the handshake failed: {0}")]
    Handshake(Error),
    /// The connection failed.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
}

/// Makes a secure connection of `stream`, on which nothing was sent yet. Returns it with the key of
/// the peer, who has proven to hold it. This side's key is proven, too, but the peer may not have
/// looked at the proof yet: if it refuses it, the first read fails.
///
/// # Errors
/// [`ConnectError`] says whose fault it is.
pub async fn connect<S>(
    stream: S,
    own: &TlsKey,
    expected: ExpectedKey,
) -> Result<(TlsStream<S>, PublicKey), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connecting = TlsConnector::from(config(own, expected)).connect(unused_name(), stream);
    let stream = match timeout(HANDSHAKE_TIME_MAX, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(reason(error)),
        Err(_) => return Err(ConnectError::TooSlow),
    };
    let (_, tls) = stream.get_ref();
    if tls.alpn_protocol() != Some(ALPN_MITE) {
        return Err(ConnectError::NotMite);
    }
    let key = match tls.peer_certificates() {
        Some([shown]) => shown_key(shown, &[]).map_err(ConnectError::Handshake)?,
        _ => return Err(ConnectError::NotMite),
    };
    Ok((stream, key))
}

/// Never sent, never looked at: the key is the name.
pub(crate) fn unused_name() -> ServerName<'static> {
    ServerName::try_from("mite").expect("it is the name of a host")
}

/// What a connection of this client is made with.
pub(crate) fn config(own: &TlsKey, expected: ExpectedKey) -> Arc<ClientConfig> {
    let own = Arc::new(AlwaysResolvesClientRawPublicKeys::new(own.raw()));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .expect("the provider has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier { expected }))
        .with_client_cert_resolver(own);
    config.alpn_protocols = vec![ALPN_MITE.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn reason(error: io::Error) -> ConnectError {
    match tls_error(&error) {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
            match other.downcast_ref() {
                Some(&WrongKey { expected, found }) => ConnectError::WrongKey { expected, found },
                None => ConnectError::Io(error),
            }
        }
        Some(
            Error::NoApplicationProtocol
            | Error::AlertReceived(
                AlertDescription::NoApplicationProtocol | AlertDescription::HandshakeFailure,
            )
            | Error::PeerIncompatible(PeerIncompatible::IncorrectCertificateTypeExtension),
        ) => ConnectError::NotMite,
        Some(Error::AlertReceived(AlertDescription::InternalError)) => ConnectError::Busy,
        Some(Error::InvalidMessage(_)) => ConnectError::NotTls,
        Some(other) => ConnectError::Handshake(other.clone()),
        None => ConnectError::Io(error),
    }
}

/// Another key than the expected one, on its way through rustls.
#[derive(Clone, Copy, Debug)]
struct WrongKey {
    expected: PublicKey,
    found: PublicKey,
}

impl fmt::Display for WrongKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key is {}, not {}", self.found, self.expected)
    }
}

impl std::error::Error for WrongKey {}

#[derive(Debug)]
struct ServerVerifier {
    expected: ExpectedKey,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = shown_key(shown, more)?;
        match self.expected {
            ExpectedKey::Exactly(expected) if expected != found => {
                let wrong = OtherError(Arc::new(WrongKey { expected, found }));
                Err(CertificateError::Other(wrong).into())
            }
            ExpectedKey::Exactly(_) | ExpectedKey::Anyone => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_proof(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes any server, for clients of the tests that are not Mite's own.
#[cfg(test)]
pub(super) fn any_server() -> Arc<dyn ServerCertVerifier> {
    Arc::new(ServerVerifier { expected: ExpectedKey::Anyone })
}
