//! TLS with raw public keys, as both sides of the secure protocol use it, without any trust.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use ed25519_zebra::SigningKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::{PublicKey, secure, signature};

use crate::process::PATIENCE;

/// What stands in front of the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2A, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 3, 0x21, 0];
/// What stands in front of the 32 bytes of the seed in a PKCS#8 file (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// One side of a TLS connection with raw public keys, which takes whoever is at the other end.
pub struct SecureStream {
    stream: Stream,
    /// The key that the other end has shown.
    pub peer: PublicKey,
}

enum Stream {
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl SecureStream {
    /// Connects, and shows this key.
    ///
    /// # Errors
    /// If nobody is there or the handshake fails.
    pub fn connect(address: SocketAddr, key: &SigningKey) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Self::over(stream, key)
    }

    /// The same over a connection that is there.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn over(stream: TcpStream, key: &SigningKey) -> io::Result<Self> {
        Self::over_showing(stream, &signature::public_key(key), key)
    }

    /// The same, showing a key that may not be the one that is held.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn over_showing(
        stream: TcpStream,
        shown: &PublicKey,
        key: &SigningKey,
    ) -> io::Result<Self> {
        prepare(&stream)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_cert_resolver(Arc::new(
                rustls::client::AlwaysResolvesClientRawPublicKeys::new(certified(shown, key)?),
            ));
        config.alpn_protocols = vec![b"mite/1".to_vec()];
        let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
        let mut connection =
            ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = stream;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let peer = peer_key(connection.peer_certificates())?;
        Ok(Self { stream: Stream::Client(Box::new(StreamOwned::new(connection, stream))), peer })
    }

    /// Takes a connection as a server or a payee does, and shows this key.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn accept(stream: TcpStream, key: &SigningKey) -> io::Result<Self> {
        Self::accept_speaking(stream, key, &[b"mite/1"])
    }

    /// The same, speaking these protocols inside TLS.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn accept_speaking(
        stream: TcpStream,
        key: &SigningKey,
        protocols: &[&[u8]],
    ) -> io::Result<Self> {
        Self::accept_showing(stream, &signature::public_key(key), key, protocols)
    }

    /// The same, showing a key that may not be the one that is held.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn accept_showing(
        mut stream: TcpStream,
        shown: &PublicKey,
        key: &SigningKey,
        protocols: &[&[u8]],
    ) -> io::Result<Self> {
        prepare(&stream)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(Arc::new(Anyone))
            .with_cert_resolver(Arc::new(rustls::server::AlwaysResolvesServerRawPublicKeys::new(
                certified(shown, key)?,
            )));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let mut connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let peer = peer_key(connection.peer_certificates())?;
        Ok(Self { stream: Stream::Server(Box::new(StreamOwned::new(connection, stream))), peer })
    }

    /// What is below, for whoever does not read and write as others do.
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Client(stream) => &stream.sock,
            Stream::Server(stream) => &stream.sock,
        }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn send<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let mut bytes = Vec::new();
        secure::frame::encode(value, &mut bytes);
        self.send_bytes(&bytes)
    }

    /// Sends bytes that may be anything.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    /// Expects that the other side ends the connection and says nothing more.
    ///
    /// # Panics
    /// If it does not end within [`PATIENCE`], or something comes first.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        if let Err(error) = self.read_to_end(&mut rest) {
            let waited = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
            assert!(!waited.contains(&error.kind()), "no end within {PATIENCE:?}");
        }
        assert!(rest.is_empty(), "{rest:?}");
    }

    /// The next frame.
    ///
    /// # Errors
    /// If the connection ends, nothing comes for long, or the frame is not of this type.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut length = [0; secure::frame::LENGTH_BYTES];
        self.read_exact(&mut length)?;
        let whole = secure::frame::frame_len(&length).map_err(io::Error::other)?;
        let whole = whole.ok_or(io::ErrorKind::InvalidData)?;
        let content = whole.saturating_sub(length.len());
        let mut bytes = vec![0; content];
        self.read_exact(&mut bytes)?;
        secure::frame::decode(&bytes).map_err(io::Error::other)
    }
}

impl Read for SecureStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Client(stream) => stream.read(bytes),
            Stream::Server(stream) => stream.read(bytes),
        }
    }
}

impl Write for SecureStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Client(stream) => stream.write(bytes),
            Stream::Server(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Client(stream) => stream.flush(),
            Stream::Server(stream) => stream.flush(),
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certified(shown: &PublicKey, key: &SigningKey) -> io::Result<Arc<CertifiedKey>> {
    let pkcs8 = [PKCS8_PREFIX.as_slice(), key.as_bytes()].concat();
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8));
    let signing = provider().key_provider.load_private_key(der).map_err(io::Error::other)?;
    let spki = [SPKI_PREFIX.as_slice(), shown.as_bytes()].concat();
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signing)))
}

fn peer_key(certificates: Option<&[CertificateDer<'_>]>) -> io::Result<PublicKey> {
    let spki = certificates.and_then(<[_]>::first).map(AsRef::as_ref);
    let key = spki.and_then(|spki: &[u8]| spki.strip_prefix(SPKI_PREFIX.as_slice()));
    let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok());
    key.map(PublicKey::new).ok_or_else(|| io::Error::other("no raw Ed25519 key"))
}

/// Takes every key, if its holder has signed the handshake.
#[derive(Debug)]
struct Anyone;

impl Anyone {
    fn algorithms() -> WebPkiSupportedAlgorithms {
        aws_lc_rs::default_provider().signature_verification_algorithms
    }

    fn verify(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(certificate.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(
            message,
            &spki,
            signature,
            &Self::algorithms(),
        )
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
