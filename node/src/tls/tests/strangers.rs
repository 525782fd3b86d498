//! Peers that are no Mite programs, or not in their right minds.

use super::*;

/// A stock client names no protocol, checks a certificate, and gets text.
#[tokio::test]
async fn a_stock_client_gets_text() {
    let (connected, accepted) = stock(stock_config(&[])).await;
    let mut near = connected.expect("a connection");
    let Ok(Accepted::Text { stream: mut far }) = accepted else { panic!("{accepted:?}") };
    near.write_all(b"List\n").await.expect("sent");
    let mut read = [0; 5];
    far.read_exact(&mut read).await.expect("it came");
    assert_eq!(&read, b"List\n");
}

#[tokio::test]
async fn an_unknown_protocol_is_refused_in_the_words_of_tls() {
    for alpn in [&[&b"http/1.1"[..], b"h2"][..], &[b"mite/2"], &[b"mite/1 "]] {
        let (connected, accepted) = stock(stock_config(alpn)).await;
        let error = connected.expect_err("refused");
        assert_eq!(alert(&error), AlertDescription::NoApplicationProtocol, "{alpn:?}");
        assert!(matches!(accepted, Err(AcceptError::UnknownProtocol)), "{accepted:?}");
    }
}

/// A certificate is no raw key: whoever has one cannot come in with it where keys are needed.
#[tokio::test]
async fn a_client_with_a_certificate_is_refused_where_a_key_is_needed() {
    let certificate = certificate::self_signed(&signing(ALICE));
    let mut config = stock_config(&[ALPN_MITE]);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(
        (*key(ALICE).certified(certificate)).clone(),
    ));
    let (connected, accepted) = stock(config).await;
    let error = connected.expect_err("refused");
    assert_eq!(alert(&error), AlertDescription::HandshakeFailure);
    match accepted {
        Err(AcceptError::Refused(Error::PeerIncompatible(problem))) => {
            assert_eq!(problem, rustls::PeerIncompatible::IncorrectCertificateTypeExtension);
        }
        other => panic!("{other:?}"),
    }
}

/// Downgrade: a Mite client takes nothing but mite/1, whoever proposes it.
#[tokio::test]
async fn a_client_accepts_nothing_but_mite() {
    let exactly = ExpectedKey::Exactly(public(SERVER));
    for alpn in [&[][..], &[&b"http/1.1"[..]], &[ALPN_MITE]] {
        let connected = connect_to(stock_server_config(alpn), exactly).await;
        assert!(matches!(connected, Err(ConnectError::NotMite)), "{alpn:?}: {connected:?}");
    }

    // A server with raw keys that does not say which protocol it speaks.
    let mut config = server_config(public(SERVER), SERVER);
    config.alpn_protocols.clear();
    let connected = connect_to(config, exactly).await;
    assert!(matches!(connected, Err(ConnectError::NotMite)), "{connected:?}");
}

#[tokio::test]
async fn a_client_says_what_else_it_has_met() {
    let full = b"220 ERROR the server has too many connections, try again later\n";
    let busy = b"\x15\x03\x03\x00\x02\x02\x50";
    for (answer, expected) in [
        (&b"200 BAD_REQUEST\n"[..], "the other side does not speak TLS, or has no room"),
        (full, "the other side does not speak TLS, or has no room"),
        (busy, "the other side has no room now"),
        (b"", "the connection broke: tls handshake eof"),
    ] {
        let (near, mut far) = duplex(64 << 10);
        far.write_all(answer).await.expect("sent");
        far.shutdown().await.expect("closed");
        let error = connect(near, &key(ALICE), ExpectedKey::Anyone).await.expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let (near, _far) = duplex(64 << 10);
    let start = Instant::now();
    let connected = connect(near, &key(ALICE), ExpectedKey::Anyone).await;
    assert!(matches!(connected, Err(ConnectError::TooSlow)), "{connected:?}");
    assert_eq!(start.elapsed().as_secs(), client::HANDSHAKE_TIME_MAX.as_secs());
}

/// The first message of a stock client, as it is on the wire.
async fn hello() -> Vec<u8> {
    let (near, mut far) = duplex(64 << 10);
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = TlsConnector::from(Arc::new(stock_config(&[]))).connect(name, near);
    let mut hello = vec![0; 16 << 10];
    let read = tokio::select! {
        _ = connecting => panic!("nobody answers"),
        read = far.read(&mut hello) => read.expect("it is sent"),
    };
    hello.truncate(read);
    hello
}

/// One byte a second keeps a connection alive, but no handshake: its time is that of the whole.
#[tokio::test(start_paused = true)]
async fn a_dripping_peer_is_ended() {
    let hello = hello().await;
    let (mut near, far) = duplex(64 << 10);
    let start = Instant::now();
    let dripping = async {
        for byte in hello {
            sleep(Duration::from_secs(1)).await;
            near.write_all(&[byte]).await?;
        }
        Ok::<(), io::Error>(())
    };
    let acceptor = acceptor();
    let (dripped, accepted) = tokio::join!(dripping, acceptor.accept(far));
    assert!(dripped.is_err(), "nobody hung up");
    assert!(matches!(accepted, Err(AcceptError::TooSlow)), "{accepted:?}");
    // The one byte that finds the connection closed is a second late at most.
    let lasted = start.elapsed();
    let longest = server::HANDSHAKE_TIME_MAX + Duration::from_secs(2);
    assert!((server::HANDSHAKE_TIME_MAX..longest).contains(&lasted), "{lasted:?}");
}

/// The same for a peer that says hello at once and then nothing.
#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_in_the_middle_is_ended() {
    let (mut near, far) = duplex(64 << 10);
    near.write_all(&hello().await).await.expect("sent");
    let start = Instant::now();
    let accepted = acceptor().accept(far).await;
    assert!(matches!(accepted, Err(AcceptError::TooSlow)), "{accepted:?}");
    assert_eq!(start.elapsed().as_secs(), server::HANDSHAKE_TIME_MAX.as_secs());
}

/// A hello that goes on in record after record takes memory only up to its limit.
#[tokio::test]
async fn an_endless_first_message_is_refused() {
    // A record of one byte; together they claim a message of 65,535 bytes.
    let mut endless = b"\x16\x03\x01\x00\x04\x01\x00\xff\xff".to_vec();
    endless.extend(b"\x16\x03\x01\x00\x01\x00".iter().cycle().take(64 << 10));
    let (mut near, far) = duplex(128 << 10);
    near.write_all(&endless).await.expect("sent");
    let accepted = acceptor().accept(far).await;
    assert!(matches!(accepted, Err(AcceptError::HelloTooLong)), "{accepted:?}");
}

#[tokio::test]
async fn rubbish_behind_the_first_byte_is_refused() {
    for (bytes, expected) in [
        // No record.
        (&b"\x16garbage garbage garbage\n"[..], Some(AlertDescription::DecodeError)),
        // A record that holds no hello, but the end of a handshake.
        (b"\x16\x03\x01\x00\x05\x14\x00\x00\x01\x00", None),
        // A hello that is too old.
        (TLS12_HELLO, Some(AlertDescription::ProtocolVersion)),
    ] {
        let (mut near, far) = duplex(64 << 10);
        near.write_all(bytes).await.expect("sent");
        let accepted = acceptor().accept(far).await;
        assert!(matches!(accepted, Err(AcceptError::Refused(_))), "{bytes:?}: {accepted:?}");
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.expect("all of it");
        let alert = expected.map(|alert| vec![0x15, 3, 3, 0, 2, 2, alert.into()]);
        assert_eq!(answer, alert.unwrap_or_default(), "{bytes:?}");
    }
}

/// Version 1.2, one suite with forward secrecy, Ed25519 and X25519: all of it kept, and too old.
const TLS12_HELLO: &[u8] = b"\x16\x03\x01\x00\x3f\x01\x00\x00\x3b\x03\x03\
    00000000000000000000000000000000\x00\x00\x02\xc0\x2b\x01\x00\x00\x10\
    \x00\x0a\x00\x04\x00\x02\x00\x1d\x00\x0d\x00\x04\x00\x02\x08\x07";

#[tokio::test]
async fn a_peer_that_hangs_up_is_a_broken_connection() {
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let (mut near, far) = duplex(64 << 10);
        near.write_all(bytes).await.expect("sent");
        drop(near);
        let accepted = acceptor().accept(far).await;
        assert!(matches!(accepted, Err(AcceptError::Io(_))), "{bytes:?}: {accepted:?}");
    }
}
