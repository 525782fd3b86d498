//! The listener over real sockets, with sessions that nobody stands behind.

use actix::{Actor, Context, Handler, Recipient};
use actors::ledger::state::Outcome;
use actors::messages::{
    LedgerUnavailable, ListOnline, LogIn, LogInRefusal, LogOut, NotifyAccounts, OnlineList, Submit,
};
use actors::session::TextRules;
use rustls::pki_types::ServerName;
use slog::{Discard, o};
use tokio::net::TcpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use wire::text::Dialect;
use wire::{AccountId, Amount};

use super::*;
use crate::config::TextAccess;
use crate::tls::client::{ConnectError, ExpectedKey, connect};
use crate::tls::tests::{SERVER, key, signing, stock_config};

const ALICE: [u8; 32] = [1; 32];

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands in for the ledger and the registry: what the tests say needs neither.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Submit> for Nobody {
    type Result = Result<Vec<Outcome>, LedgerUnavailable>;

    fn handle(&mut self, _: Submit, _: &mut Self::Context) -> Self::Result {
        Err(LedgerUnavailable::Stopping)
    }
}

impl Handler<LogIn> for Nobody {
    type Result = Result<AccountId, LogInRefusal>;

    fn handle(&mut self, _: LogIn, _: &mut Self::Context) -> Self::Result {
        Err(LogInRefusal::UnknownName)
    }
}

impl Handler<LogOut> for Nobody {
    type Result = ();

    fn handle(&mut self, _: LogOut, _: &mut Self::Context) {}
}

impl Handler<ListOnline> for Nobody {
    type Result = OnlineList;

    fn handle(&mut self, _: ListOnline, _: &mut Self::Context) -> Self::Result {
        OnlineList { count: 0, pages: [].into() }
    }
}

impl Handler<NotifyAccounts> for Nobody {
    type Result = ();

    fn handle(&mut self, _: NotifyAccounts, _: &mut Self::Context) {}
}

type MiteSession = (TlsStream<Connection>, PublicKey);

impl MiteSessions for UnboundedSender<MiteSession> {
    fn start(&self, _: SessionId, stream: TlsStream<Connection>, _: SocketAddr, key: PublicKey) {
        self.send((stream, key)).expect("the test listens");
    }
}

/// A listener, and the sessions of Mite's own protocol that it has started.
struct Stage {
    address: SocketAddr,
    mite: UnboundedReceiver<MiteSession>,
}

async fn stage(text: TextAccess, per_address: usize) -> Stage {
    let log = Logger::root(Discard, o!());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let limits = GateLimits {
        connections: 100,
        per_address: Some(100),
        half_open: HalfOpenLimits { all: 10, per_address },
    };
    let gate = Arc::new(Gate::new(limits, text, Arc::default(), &log));
    let nobody = Nobody.start();
    let peers = SessionPeers {
        submit: nobody.clone().recipient(),
        log_in: nobody.clone().recipient(),
        log_out: nobody.clone().recipient(),
        list_online: nobody.clone().recipient(),
        notify: Recipient::from(nobody),
    };
    let settings = SessionSettings {
        rules: TextRules {
            dialect: Dialect::Seed,
            opening_balance: Amount::new(1000),
            server_key: key(SERVER).public_key(),
        },
        quiet: Duration::from_millis(2),
        stop: CancellationToken::new(),
        limits: Arc::default(),
    };
    let (sender, mite) = unbounded_channel();
    let services = Services { peers: Arc::new(peers), settings, mite: sender };
    let listener = SessionListener::new(listener, gate, &signing(SERVER), services, &log);
    actix::spawn(listener.run());
    Stage { address, mite }
}

impl Stage {
    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    async fn open_from(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("the system has sockets");
        socket.bind((from, 0).into()).expect("all of 127/8 is this machine");
        socket.connect(self.address).await.expect("it listens")
    }

    /// Connects as alice, and expects that the server knows her.
    async fn expect_mite(&mut self, stream: TcpStream) {
        let server = ExpectedKey::Exactly(key(SERVER).public_key());
        let (mut near, _) = connect(stream, &key(ALICE), server).await.expect("a connection");
        let session = timeout(PATIENCE, self.mite.recv()).await.expect("a session in time");
        let (mut far, peer) = session.expect("the listener runs");
        assert_eq!(peer, key(ALICE).public_key());
        near.write_all(b"hello").await.expect("sent");
        let mut read = [0; 5];
        far.read_exact(&mut read).await.expect("it came");
        assert_eq!(&read, b"hello");
    }
}

/// A connection of a stock TLS client.
async fn stock(stream: TcpStream) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(stock_config(&[])));
    connector.connect(name, stream).await.expect("a connection")
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str, reply: &str) {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut read = vec![0; reply.len()];
    let reading = timeout(PATIENCE, stream.read_exact(&mut read));
    reading.await.expect("an answer in time").expect("an answer");
    assert_eq!(String::from_utf8_lossy(&read), reply);
}

/// Everything until the end, which is no reset.
async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut rest = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut rest));
    reading.await.expect("an end in time").expect("a clean end");
    rest
}

#[actix::test]
async fn each_kind_of_connection_gets_its_session() {
    let mut stage = stage(TextAccess::Loopback, 1).await;
    // Of each kind more than may be half-open: nobody is when the session has begun.
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut text = stage.open().await;
        ask(&mut text, "hello\n", "200 BAD_REQUEST\n").await;
        let mut inside_tls = stock(stage.open().await).await;
        ask(&mut inside_tls, "hello\n", "200 BAD_REQUEST\n").await;
        let stream = stage.open().await;
        stage.expect_mite(stream).await;
        open.push((text, inside_tls));
    }
}

/// Text is for whom the operator says, inside of TLS as outside: it proves nobody's identity there
/// either. The refusal is read whole, also by who has sent a lot.
#[actix::test]
async fn where_text_is_off_there_is_none_inside_tls_either() {
    let mut stage = stage(TextAccess::Off, 10).await;
    let much = "List\n".repeat(1000);
    let mut text = stage.open().await;
    text.write_all(much.as_bytes()).await.expect("sent");
    assert_eq!(rest(&mut text).await, Turned::TextNotAllowed.line());
    let mut inside_tls = stock(stage.open().await).await;
    inside_tls.write_all(much.as_bytes()).await.expect("sent");
    assert_eq!(rest(&mut inside_tls).await, Turned::TextNotAllowed.line());
    let stream = stage.open().await;
    stage.expect_mite(stream).await;
}

/// Protects honest peers from one that opens connections and says nothing where text is not served.
#[actix::test]
async fn silent_connections_of_one_address_keep_no_other_out() {
    let mut stage = stage(TextAccess::Off, 2).await;
    let turned = Turned::HalfOpen(half_open::HalfOpenLimit::PerAddress);
    let silent = [stage.open().await, stage.open().await];
    assert_eq!(rest(&mut stage.open().await).await, turned.line());
    let elsewhere = stage.open_from([127, 0, 0, 2]).await;
    stage.expect_mite(elsewhere).await;
    // Who leaves makes room.
    drop(silent);
    let stream = loop {
        let stream = stage.open().await;
        let word = timeout(Duration::from_millis(20), stream.peek(&mut [0])).await;
        if word.is_err() {
            break stream;
        }
    };
    stage.expect_mite(stream).await;
}

/// The same for handshakes that are begun and not gone on with. Text is not half-open where it is
/// served, nor is silence.
#[actix::test]
async fn begun_handshakes_of_one_address_keep_no_other_out() {
    let mut stage = stage(TextAccess::Loopback, 2).await;
    let silent: Vec<_> = [stage.open().await, stage.open().await, stage.open().await].into();
    let mut begun = Vec::new();
    for _ in 0..2 {
        let mut stream = stage.open().await;
        stream.write_all(b"\x16\x03\x01").await.expect("sent");
        begun.push(stream);
    }
    let full = async {
        loop {
            match connect(stage.open().await, &key(ALICE), ExpectedKey::Anyone).await {
                // The two that came before are not looked at yet.
                Ok(_) => drop(stage.mite.recv().await),
                Err(error) => break error,
            }
        }
    };
    let refusal = timeout(PATIENCE, full).await.expect("full in the end");
    assert!(matches!(refusal, ConnectError::Busy), "{refusal:?}");
    ask(&mut stage.open().await, "hello\n", "200 BAD_REQUEST\n").await;
    for mut stream in silent {
        ask(&mut stream, "hello\n", "200 BAD_REQUEST\n").await;
    }
    let elsewhere = stage.open_from([127, 0, 0, 2]).await;
    stage.expect_mite(elsewhere).await;
}

/// Programs of the family connect long before they speak; where text is not served, nobody may.
#[actix::test]
async fn silence_is_text_where_text_is_served_and_ends_elsewhere() {
    let served = stage(TextAccess::Loopback, 1).await;
    let refused = stage(TextAccess::Off, 1).await;
    let (mut patient, mut stranger) = (served.open().await, refused.open().await);
    tokio::time::pause();
    assert_eq!(rest(&mut stranger).await, Turned::TextNotAllowed.line());
    sleep(2 * crate::tls::sniff::FIRST_BYTE_TIME_MAX).await;
    tokio::time::resume();
    ask(&mut patient, "hello\n", "200 BAD_REQUEST\n").await;
}

#[actix::test]
async fn rubbish_that_begins_like_tls_is_refused_in_the_words_of_tls() {
    let stage = stage(TextAccess::Loopback, 1).await;
    for _ in 0..3 {
        let mut stream = stage.open().await;
        stream.write_all(b"\x16List\nList\n").await.expect("sent");
        assert_eq!(rest(&mut stream).await, b"\x15\x03\x03\x00\x02\x02\x32");
    }
}
