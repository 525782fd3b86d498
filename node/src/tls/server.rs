//! The side that is connected to: a server, or a client that takes payments from its peers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ed25519_zebra::SigningKey;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    AlwaysResolvesServerRawPublicKeys, ClientHello, NoServerSessionStorage, ResolvesServerCert,
};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};
use wire::PublicKey;

use self::hello::HelloStream;
use super::certificate::self_signed;
use super::keys::TlsKey;
use super::{ALPN_MITE, VERSIONS, provider, schemes, shown_key, tls_error, verify_proof};

mod hello;

/// How long a whole handshake may take, however the peer spreads its bytes: two round trips on the
/// slowest of connections, with time for lost packets. Fewer seconds would keep such peers out,
/// more would let whoever stalls on purpose hold its place longer.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Takes TLS connections: Mite's own protocol, and text for clients that name none.
#[derive(Clone, Debug)]
pub struct Acceptor {
    /// For clients that name protocols.
    named: Arc<ServerConfig>,
    /// For clients that name none.
    unnamed: Arc<ServerConfig>,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub enum Accepted<S> {
    /// Mite's own protocol.
    Mite {
        /// The connection.
        stream: TlsStream<S>,
        /// Who is there: proven.
        peer: PublicKey,
    },
    /// Text, with somebody who has proven nothing.
    Text {
        /// The connection.
        stream: TlsStream<S>,
    },
}

/// Why a handshake came to nothing. The peer was told as far as TLS has a word for it.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It took longer than [`HANDSHAKE_TIME_MAX`].
    #[error("the handshake takes too long")]
    TooSlow,
    /// What begins like TLS does not end its first message in a reasonable size.
    #[error("the first message is too long")]
    HelloTooLong,
    /// The peer named protocols, and none that is spoken here.
    #[error("the peer wants a protocol that is not spoken here")]
    UnknownProtocol,
    /// The peer has no key, no proof that it holds it, or does not keep to TLS 1.3.
    #[error("{0}")]
    Refused(Error),
    /// The connection failed or was closed.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
}

impl Acceptor {
    /// For the holder of this key. Mite's own clients know it as a raw public key; others are shown
    /// a certificate of the same key that it has signed itself.
    pub fn new(key: &SigningKey) -> Self {
        let tls = TlsKey::new(key);
        let certified = Arc::new(Certificate(tls.certified(self_signed(key))));
        Self { named: Arc::new(mite_config(&tls)), unnamed: Arc::new(text_config(certified)) }
    }

    /// Shakes hands on a stream of which nothing was read yet.
    ///
    /// # Errors
    /// [`AcceptError`]; the connection is closed.
    pub async fn accept<S>(&self, stream: S) -> Result<Accepted<S>, AcceptError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match timeout(HANDSHAKE_TIME_MAX, self.shake_hands(stream)).await {
            Ok(shaken) => shaken,
            Err(_) => Err(AcceptError::TooSlow),
        }
    }

    async fn shake_hands<S>(&self, stream: S) -> Result<Accepted<S>, AcceptError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let begun = rustls::server::Acceptor::default();
        let begun = LazyConfigAcceptor::new(begun, HelloStream::new(stream)).await;
        let StartHandshake { accepted, io, .. } = begun.map_err(reason)?;
        let names_protocols = accepted.client_hello().alpn().is_some();
        let config = if names_protocols { &self.named } else { &self.unnamed };
        let begun = StartHandshake::from_parts(accepted, io.into_inner());
        let stream = begun.into_stream(Arc::clone(config)).await.map_err(reason)?;
        let (_, tls) = stream.get_ref();
        if tls.alpn_protocol() != Some(ALPN_MITE) {
            return Ok(Accepted::Text { stream });
        }
        let peer = match tls.peer_certificates() {
            Some([shown]) => shown_key(shown, &[]).map_err(AcceptError::Refused)?,
            _ => return Err(AcceptError::Refused(Error::NoCertificatesPresented)),
        };
        Ok(Accepted::Mite { stream, peer })
    }
}

fn mite_config(key: &TlsKey) -> ServerConfig {
    let resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(key.raw()));
    let mut config = config(Arc::new(ClientVerifier), resolver);
    config.alpn_protocols = vec![ALPN_MITE.to_vec()];
    config
}

fn text_config(certified: Arc<Certificate>) -> ServerConfig {
    config(Arc::new(rustls::server::NoClientAuth), certified)
}

/// Without tickets: every connection proves its key anew, so that a key that was changed or stolen
/// opens nothing through an old session, and the server keeps no secret that would open them all.
fn config(
    verifier: Arc<dyn ClientCertVerifier>,
    resolver: Arc<dyn ResolvesServerCert>,
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .expect("the provider has suites of TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // What comes before the handshake is done can be sent again by anybody who saw it.
    config.max_early_data_size = 0;
    config
}

fn reason(error: io::Error) -> AcceptError {
    if hello::is_too_long(&error) {
        return AcceptError::HelloTooLong;
    }
    match tls_error(&error) {
        Some(Error::NoApplicationProtocol) => AcceptError::UnknownProtocol,
        Some(other) => AcceptError::Refused(other.clone()),
        None => AcceptError::Io(error),
    }
}

/// The certificate for all who ask for one, by whatever name.
#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Asks everybody for a key, and takes any that is proven: what the holder of a key may do is not a
/// question of TLS.
#[derive(Debug)]
struct ClientVerifier;

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        shown_key(shown, more).map(|_| ClientCertVerified::assertion())
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

/// Takes any client with a raw key, for servers of the tests that are not Mite's own.
#[cfg(test)]
pub(super) fn any_client() -> Arc<dyn ClientCertVerifier> {
    Arc::new(ClientVerifier)
}
