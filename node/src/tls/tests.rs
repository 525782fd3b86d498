//! Handshakes of every kind of peer with every kind of other, over streams in memory.

use std::io;
use std::time::Duration;

use ed25519_zebra::SigningKey;
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::client::{ConnectError, ExpectedKey, connect};
use super::keys::TlsKey;
use super::server::{AcceptError, Accepted, Acceptor};
use super::*;

mod strangers;

const ALICE: [u8; 32] = [1; 32];
/// The seed of the server's key.
pub(crate) const SERVER: [u8; 32] = [2; 32];
const MALLORY: [u8; 32] = [3; 32];

pub(crate) fn signing(seed: [u8; 32]) -> SigningKey {
    SigningKey::from_bytes(&seed)
}

pub(crate) fn key(seed: [u8; 32]) -> TlsKey {
    TlsKey::new(&signing(seed))
}

fn public(seed: [u8; 32]) -> PublicKey {
    key(seed).public_key()
}

fn acceptor() -> Acceptor {
    Acceptor::new(&signing(SERVER))
}

type Connected = Result<(tokio_rustls::client::TlsStream<DuplexStream>, PublicKey), ConnectError>;

/// A Mite client with alice's key and a Mite server.
async fn shake_hands(
    expected: ExpectedKey,
) -> (Connected, Result<Accepted<DuplexStream>, AcceptError>) {
    let (near, far) = duplex(64 << 10);
    let (alice, acceptor) = (key(ALICE), acceptor());
    tokio::join!(connect(near, &alice, expected), acceptor.accept(far))
}

/// What a client with this configuration makes of a Mite server, and the server of it.
async fn stock(
    config: ClientConfig,
) -> (
    io::Result<tokio_rustls::client::TlsStream<DuplexStream>>,
    Result<Accepted<DuplexStream>, AcceptError>,
) {
    let (near, far) = duplex(64 << 10);
    let acceptor = acceptor();
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, near);
    tokio::join!(connecting, acceptor.accept(far))
}

/// A stock client that trusts the server's certificate.
pub(crate) fn stock_config(alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate::self_signed(&signing(SERVER))).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(VERSIONS)
        .expect("the provider has TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

fn alert(error: &io::Error) -> AlertDescription {
    match tls_error(error) {
        Some(Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert: {other:?} {error:?}"),
    }
}

#[tokio::test]
async fn both_sides_know_whom_they_speak_to() {
    for expected in [ExpectedKey::Exactly(public(SERVER)), ExpectedKey::Anyone] {
        let (connected, accepted) = shake_hands(expected).await;
        let (mut near, server) = connected.expect("a connection");
        assert_eq!(server, public(SERVER));
        let Ok(Accepted::Mite { stream: mut far, peer }) = accepted else { panic!("{accepted:?}") };
        assert_eq!(peer, public(ALICE));
        near.write_all(b"hello").await.expect("sent");
        near.flush().await.expect("sent");
        let mut read = [0; 5];
        far.read_exact(&mut read).await.expect("it came");
        assert_eq!(&read, b"hello");
    }
}

/// A thief on the wire or a server with a new key: the client stops, and has not said who it is.
#[tokio::test]
async fn another_key_than_the_expected_one_is_refused() {
    let (connected, accepted) = shake_hands(ExpectedKey::Exactly(public(MALLORY))).await;
    match connected {
        Err(ConnectError::WrongKey { expected, found }) => {
            assert_eq!((expected, found), (public(MALLORY), public(SERVER)));
        }
        other => panic!("{other:?}"),
    }
    // It ended before the client's key was shown.
    match accepted {
        Err(AcceptError::Refused(Error::AlertReceived(_))) => {}
        other => panic!("{other:?}"),
    }
}

/// A server that shows one key and holds another.
fn server_config(shown: PublicKey, secret: [u8; 32]) -> ServerConfig {
    let pair = key(secret).certified(keys::to_spki(&shown).to_vec().into());
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(pair);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .expect("the provider has TLS 1.3")
        .with_client_cert_verifier(server::any_client())
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN_MITE.to_vec()];
    config
}

/// A server that shows a certificate, as stock ones do.
fn stock_server_config(alpn: &[&[u8]]) -> ServerConfig {
    let pair = key(SERVER).certified(certificate::self_signed(&signing(SERVER)));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from((*pair).clone())));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

async fn connect_to(config: ServerConfig, expected: ExpectedKey) -> Connected {
    let (near, far) = duplex(64 << 10);
    let alice = key(ALICE);
    let accepting = TlsAcceptor::from(Arc::new(config)).accept(far);
    tokio::join!(connect(near, &alice, expected), accepting).0
}

/// Whoever shows the server's key without holding it cannot sign with it.
#[tokio::test]
async fn a_server_that_shows_a_key_it_does_not_hold_is_refused() {
    for expected in [ExpectedKey::Exactly(public(SERVER)), ExpectedKey::Anyone] {
        let impostor = server_config(public(SERVER), MALLORY);
        match connect_to(impostor, expected).await {
            Err(ConnectError::Handshake(Error::InvalidCertificate(problem))) => {
                assert_eq!(problem, CertificateError::BadSignature);
            }
            other => panic!("{other:?}"),
        }
    }
    // The same server with its own key is who it says.
    let honest = server_config(public(MALLORY), MALLORY);
    let (_, found) = connect_to(honest, ExpectedKey::Anyone).await.expect("a connection");
    assert_eq!(found, public(MALLORY));
}

/// Somebody in the middle who speaks TLS to both sides has a key of their own on each.
#[tokio::test]
async fn the_one_in_the_middle_is_seen_from_both_sides() {
    let (alice_end, middle_near) = duplex(64 << 10);
    let (middle_far, server_end) = duplex(64 << 10);
    let mallory = Acceptor::new(&signing(MALLORY));
    let (alice, mallory_key) = (key(ALICE), key(MALLORY));
    let server = acceptor();
    let (to_alice, from_alice, to_server, from_server) = tokio::join!(
        mallory.accept(middle_near),
        connect(alice_end, &alice, ExpectedKey::Exactly(public(SERVER))),
        connect(middle_far, &mallory_key, ExpectedKey::Anyone),
        server.accept(server_end),
    );
    assert!(matches!(from_alice, Err(ConnectError::WrongKey { .. })), "{from_alice:?}");
    assert!(to_alice.is_err(), "{to_alice:?}");
    // Towards the server, mallory can be nobody but mallory.
    assert!(to_server.is_ok(), "{to_server:?}");
    let Ok(Accepted::Mite { peer, .. }) = from_server else { panic!("{from_server:?}") };
    assert_eq!(peer, public(MALLORY));
}

/// A client with this resolver in place of Mite's own.
fn client_config(resolver: Option<Arc<dyn ResolvesClientCert>>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(client::any_server());
    let mut config = match resolver {
        Some(resolver) => builder.with_client_cert_resolver(resolver),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_MITE.to_vec()];
    config
}

fn raw(pair: Arc<CertifiedKey>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(AlwaysResolvesClientRawPublicKeys::new(pair))
}

/// Whoever shows alice's key without holding it is nobody.
#[tokio::test]
async fn a_client_that_shows_a_key_it_does_not_hold_is_refused() {
    let shown = keys::to_spki(&public(ALICE)).to_vec().into();
    let impostor = client_config(Some(raw(key(MALLORY).certified(shown))));
    let (_, accepted) = stock(impostor).await;
    match accepted {
        Err(AcceptError::Refused(Error::InvalidCertificate(CertificateError::BadSignature))) => {}
        other => panic!("{other:?}"),
    }
}

#[derive(Debug)]
struct NoKey;

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_client_without_a_key_is_refused() {
    let no_key = client_config(Some(Arc::new(NoKey)));
    let (connected, accepted) = stock(no_key).await;
    match accepted {
        Err(AcceptError::Refused(Error::NoCertificatesPresented)) => {}
        other => panic!("{other:?}"),
    }
    // It learns so when it reads.
    let error = connected.expect("nothing is wrong yet").read(&mut [0]).await.expect_err("refused");
    assert_eq!(alert(&error), AlertDescription::CertificateRequired);
    // And one that does not even know raw keys.
    let (refused, accepted) = stock(client_config(None)).await;
    assert!(refused.is_err());
    match accepted {
        Err(AcceptError::Refused(Error::PeerIncompatible(problem))) => {
            assert_eq!(problem, rustls::PeerIncompatible::IncorrectCertificateTypeExtension);
        }
        other => panic!("{other:?}"),
    }
}

/// More than one raw key would leave open which of them is the peer's.
#[tokio::test]
async fn a_client_that_shows_anything_but_one_key_is_refused() {
    let spki = keys::to_spki(&public(ALICE)).to_vec();
    let certificate = certificate::self_signed(&signing(ALICE));
    for shown in [
        vec![spki.clone().into(), spki.clone().into()],
        vec![spki.clone().into(), certificate.clone()],
        vec![certificate],
        vec![[&spki[..], &[0]].concat().into()],
    ] {
        let mut pair = (*key(ALICE).raw()).clone();
        pair.cert = shown;
        let (_, accepted) = stock(client_config(Some(raw(Arc::new(pair))))).await;
        match accepted {
            Err(AcceptError::Refused(Error::InvalidCertificate(problem))) => {
                assert_eq!(problem, CertificateError::BadEncoding);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A session that is resumed would be a peer whose key nobody has asked for.
#[tokio::test]
async fn no_ticket_is_given() {
    let (near, far) = duplex(64 << 10);
    let acceptor = acceptor();
    let config = client_config(Some(raw(key(ALICE).raw())));
    let name = ServerName::try_from("mite").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, near);
    let (near, accepted) = tokio::join!(connecting, acceptor.accept(far));
    let Ok(Accepted::Mite { stream: mut far, .. }) = accepted else { panic!("{accepted:?}") };
    far.write_all(b"x").await.expect("sent");
    let mut near = near.expect("a connection");
    // Tickets would have come before it.
    near.read_exact(&mut [0]).await.expect("it came");
    assert_eq!(near.get_ref().1.tls13_tickets_received(), 0);
}
