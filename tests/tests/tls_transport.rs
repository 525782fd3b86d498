//! One port for text and TLS: text inside TLS for stock clients, and what keeps connections that
//! never get done from keeping others out.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    SignatureScheme, StreamOwned,
};
use tempfile::TempDir;
use tests::process::{PATIENCE, Program, Server};
use tests::text::{Connection, connect_from};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), args);
    (data, server)
}

/// A stock TLS client that takes any certificate, as tools do unless they are told not to.
struct StockClient {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl StockClient {
    fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("it listens"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a valid configuration");
        Self { stream: BufReader::new(StreamOwned::new(tls, stream)) }
    }

    /// Whether its handshake is taken, and not refused for want of room.
    fn gets_in(mut self) -> bool {
        let StreamOwned { conn, sock } = self.stream.get_mut();
        let Err(error) = conn.complete_io(sock) else { return true };
        let refusal = error.get_ref().and_then(|source| source.downcast_ref());
        assert_eq!(refusal, Some(&Error::AlertReceived(AlertDescription::InternalError)));
        false
    }

    fn send(&mut self, request: &str) {
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).expect("it reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line within the patience");
        line
    }

    fn ask(&mut self, request: &str, reply: &str) {
        self.send(request);
        assert_eq!(self.line(), reply, "{request:?}");
    }

    /// A list: the balance and who is online.
    fn list(&mut self) -> (u64, Vec<String>) {
        let balance = self.line().trim_end().parse().expect("a balance");
        let _key = self.line();
        let count = self.line().trim_end().parse().expect("a count");
        (balance, (0..count).map(|_| self.line().trim_end().to_owned()).collect())
    }

    /// Everything until the end, which TLS must announce: an end that it does not is somebody's who
    /// has cut the connection.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).expect("an announced end");
        rest
    }
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Everything until the end of a connection.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end within the patience");
    rest
}

/// Text inside TLS is the same protocol, on the same port, with the same accounts.
#[test]
fn a_stock_client_registers_logs_in_lists_and_is_paid() {
    let (_data, server) = start(&[]);
    let mut alice = StockClient::connect(server.address);
    alice.ask("REGISTER#alice\n", "100 OK\n");
    alice.ask("REGISTER#alice\n", "210 FAIL\n");
    alice.send("alice#5001\n");
    assert_eq!(alice.list(), (1000, vec!["alice#127.0.0.1#5001".to_owned()]));

    let mut bob = Connection::log_in(server.address, "bob", 5002);
    alice.ask("bob#10#alice\n", "100 OK\n");
    assert_eq!(bob.balance(), 990);
    alice.send("List\n");
    let (balance, online) = alice.list();
    assert_eq!((balance, online.len()), (1010, 2));
    alice.ask("Exit\n", "Bye\n");
    assert_eq!(alice.rest(), "");
    drop(alice);
    server.stop();
}

/// The same with somebody else's TLS, where it is installed.
#[test]
fn openssl_is_served() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let (_data, server) = start(&[]);
    let address = server.address.to_string();
    let mut client = Program::start("openssl", ["s_client", "-quiet", "-connect", &address]);
    client.type_line("REGISTER#carol");
    assert_eq!(client.line(), "100 OK");
    client.type_line("Exit");
    assert_eq!(client.line(), "Bye");
    client.wait();
}

/// Protects the operator's choice: inside TLS text proves nobody's identity either.
#[test]
fn where_text_is_off_it_is_off_inside_tls() {
    let (_data, server) = start(&["--text", "off"]);
    let mut client = StockClient::connect(server.address);
    client.send("REGISTER#alice\n");
    let refusal = client.rest();
    assert!(refusal.starts_with("220 ERROR ") && refusal.contains("--text"), "{refusal:?}");
    assert_eq!(refusal.lines().count(), 1, "{refusal:?}");
}

/// Protects places from a peer that gives a byte of its handshake now and then: it is ended by the
/// time of the whole, and honest clients are served meanwhile.
#[test]
fn a_handshake_that_drips_is_ended() {
    let (_data, server) = start(&["--half-open-per-address-max", "1"]);
    let mut honest = Connection::log_in(server.address, "honest", 5001);
    let mut dripping = TcpStream::connect(server.address).expect("it listens");
    let start = Instant::now();
    // A hello of 512 bytes.
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0; 506]].concat();
    let ended = hello.iter().any(|byte| {
        thread::sleep(Duration::from_millis(200));
        assert_eq!(honest.balance(), 1000);
        match dripping.write_all(&[*byte]) {
            Ok(()) => start.elapsed() > PATIENCE,
            Err(error) => {
                let gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(gone.contains(&error.kind()), "{error}");
                true
            }
        }
    });
    assert!(ended && start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    // Its place is free.
    StockClient::connect(server.address).ask("hello\n", "200 BAD_REQUEST\n");
}

/// Protects honest peers from a host that begins handshakes and goes on with none of them.
#[test]
fn half_open_handshakes_of_one_address_keep_no_other_out() {
    let (_data, server) = start(&["--half-open-per-address-max", "3", "--half-open-max", "5"]);
    let begin = |from| {
        let mut stream = connect_from(from, server.address);
        stream.write_all(b"\x16\x03\x01").expect("sent");
        stream
    };
    // Those that came before may not be counted yet when somebody comes.
    let expect_full = |from, limit: &str| {
        let deadline = Instant::now() + PATIENCE;
        while StockClient::over(connect_from(from, server.address)).gets_in() {
            assert!(Instant::now() < deadline, "nobody is refused");
        }
        let line = server.program.error_line_with("connection refused");
        assert!(line.contains(limit), "{line}");
    };
    let one: Vec<_> = (0..3).map(|_| begin([127, 0, 0, 1])).collect();
    expect_full([127, 0, 0, 1], "PerAddress");
    StockClient::over(connect_from([127, 0, 0, 2], server.address)).ask("Exit\n", "Bye\n");
    // Two more, and nobody has a place left, wherever they come from; text needs none.
    let two: Vec<_> = (0..2).map(|_| begin([127, 0, 0, 2])).collect();
    expect_full([127, 0, 0, 3], "All");
    Connection::open(server.address).ask("hello\n", "200 BAD_REQUEST\n");
    // A stop waits for none of them.
    server.stop();
    drop((one, two));
}

/// The same for a host that says nothing at all, where text is not served.
#[test]
fn silent_connections_of_one_address_keep_no_other_out() {
    let (_data, server) = start(&["--text", "off", "--half-open-per-address-max", "3"]);
    let silent: Vec<_> = (0..3).map(|_| connect_from([127, 0, 0, 1], server.address)).collect();
    let refusal = rest(connect_from([127, 0, 0, 1], server.address));
    let refusal = String::from_utf8(refusal).expect("text");
    assert!(refusal.starts_with("220 ERROR too many connections from your address"), "{refusal:?}");
    let mut elsewhere = StockClient::over(connect_from([127, 0, 0, 2], server.address));
    elsewhere.send("hello\n");
    assert!(elsewhere.rest().contains("--text"));
    // In the end they are told, too, and closed.
    for stream in silent {
        let refusal = String::from_utf8(rest(stream)).expect("text");
        assert!(refusal.contains("--text"), "{refusal:?}");
    }
}
