//! Connections that speak the secure protocol.

mod lane;
mod signing;

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ed25519_zebra::SigningKey;
use rustls::{ClientConnection, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::secure::hello::magic;
use wire::secure::{
    Call, Correlation, FrameReader, Hello, Limits, Problem, Request, Response, ServerFrame,
    Welcome, frame,
};
use wire::text::TextPayment;
use wire::{Amount, PublicKey, Username};

use self::lane::Payments;
pub(super) use self::lane::SecureLane;
pub(super) use self::signing::Payers;
use self::signing::Person;
use super::Bench;
use super::error::BenchError;
use super::names::Names;
use super::random::Random;
use super::server::Server;
use super::text::{self, TextClient};
use crate::config::LineEnd;
use crate::tls::client::{ExpectedKey, config, unused_name};
use crate::tls::keys::TlsKey;

/// How long an answer may take while accounts are opened.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// What one read takes at most: one record of TLS.
const READ_BYTES: usize = 16 << 10;

/// Opens the accounts of a run, and logs in a payee on each connection. Open accounts pay them by the
/// text protocol's rules.
pub(super) async fn payees_of_text(
    bench: &Bench,
    server: &Server,
) -> Result<Vec<SecureLane>, BenchError> {
    bench.progress.phase("opening accounts");
    let (address, names) = (server.address(), server.names().clone());
    let (accounts, connections) = (bench.config.accounts, bench.config.connections);
    let prepared = server.is_own();
    bench
        .on_thread(move |watch| {
            let mut opener = TextClient::connect(address, LineEnd::Lf)?;
            if !prepared {
                opener.register((0..accounts).map(|number| names.payer(number)), watch)?;
            }
            let lane = |number| {
                let payee = Person::new(&names.payee(number))?;
                let payments = text_payments(&names, accounts, &payee.name, number as u64);
                SecureLane::new(open(address, &payee)?, Payments::Text { payments, next: 0 })
            };
            (0..connections).map(lane).collect()
        })
        .await
}

fn text_payments(names: &Names, accounts: u32, payee: &Username, seed: u64) -> Vec<TextPayment> {
    let mut random = Random::new(seed);
    let payer = |_| names.payer(random.below(accounts)).parse().expect("a name of a run");
    let payers = (0..text::script_payments(accounts)).map(payer);
    let payment = |payer| TextPayment { payer, amount: Amount::new(1), payee: payee.clone() };
    payers.map(payment).collect()
}

/// Opens accounts for those who sign, and logs in a payee on each connection.
pub(super) async fn payees_of_orders(
    bench: &Bench,
    server: &Server,
) -> Result<(Vec<SecureLane>, Payers), BenchError> {
    bench.progress.phase("opening accounts");
    let (address, names) = (server.address(), server.names().clone());
    let (payers, connections) = (bench.config.payers, bench.config.connections);
    bench
        .on_thread(move |watch| {
            let (mut lanes, mut payees, mut persons) = (Vec::new(), Vec::new(), Vec::new());
            let mut server = None;
            for number in 0..connections {
                let payee = Person::new(&names.payee(number))?;
                let client = open(address, &payee)?;
                server = Some(client.server());
                lanes.push(SecureLane::new(client, Payments::Orders(VecDeque::new()))?);
                payees.push(payee);
            }
            for number in 0..payers {
                let payer = Person::new(&names.payer(number))?;
                SecureClient::connect(address, &payer.key)?.register(payer.name.clone())?;
                persons.push(payer);
                watch.add(1);
                if watch.is_stopped() {
                    return Err(BenchError::Interrupted);
                }
            }
            let server = server.expect("there is a connection at least");
            Ok((lanes, Payers::new(server, persons, &payees)))
        })
        .await
}

/// Opens an account, and logs in.
fn open(address: SocketAddr, person: &Person) -> Result<SecureClient, BenchError> {
    let mut client = SecureClient::connect(address, &person.key)?;
    client.register(person.name.clone())?;
    client.log_in()?;
    Ok(client)
}

/// A connection on which one thing is asked after the other.
pub(super) struct SecureClient {
    stream: SecureStream,
    server: PublicKey,
    limits: Limits,
    asked: u64,
}

impl SecureClient {
    /// Connects with this key to whoever is there.
    pub(super) fn connect(address: SocketAddr, key: &SigningKey) -> Result<Self, BenchError> {
        let mut stream = SecureStream::connect(address, key)?;
        let server = shown_key(&stream.tls)?;
        stream.send(&Hello::new(magic::CLIENT))?;
        let welcome: Result<Welcome, Problem> = stream.receive()?;
        let Welcome { limits, .. } = welcome.map_err(|problem| refused("a welcome", problem))?;
        Ok(Self { stream, server, limits, asked: 0 })
    }

    /// The key of the server.
    pub(super) const fn server(&self) -> PublicKey {
        self.server
    }

    /// Opens an account for the key of the connection.
    pub(super) fn register(&mut self, name: Username) -> Result<(), BenchError> {
        self.ask(Call::Register { name })
    }

    /// Comes online, off the list.
    pub(super) fn log_in(&mut self) -> Result<(), BenchError> {
        self.ask(Call::LogIn { port: None })
    }

    fn ask(&mut self, call: Call) -> Result<(), BenchError> {
        self.asked += 1;
        let correlation = Correlation(self.asked);
        self.stream.send(&Request { correlation, call })?;
        loop {
            match self.stream.receive()? {
                ServerFrame::Response(Response { result: Ok(_), .. }) => return Ok(()),
                ServerFrame::Response(Response { result: Err(problem), .. })
                | ServerFrame::Closing(problem) => return Err(refused("an answer", problem)),
                ServerFrame::Event(_) => {}
            }
        }
    }
}

/// Frames over TLS, one by one.
struct SecureStream {
    stream: TcpStream,
    tls: Box<ClientConnection>,
    reader: FrameReader,
}

impl SecureStream {
    fn connect(address: SocketAddr, key: &SigningKey) -> Result<Self, BenchError> {
        let mut stream = TcpStream::connect(address)
            .map_err(|source| BenchError::Unreachable { address, source })?;
        stream.set_nodelay(true).map_err(BenchError::Connection)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(BenchError::Connection)?;
        let config = config(&TlsKey::new(key), ExpectedKey::Anyone);
        let mut tls = ClientConnection::new(config, unused_name()).map_err(handshake)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).map_err(BenchError::Connection)?;
        }
        Ok(Self { stream, tls: Box::new(tls), reader: FrameReader::new() })
    }

    fn send<T: Serialize>(&mut self, value: &T) -> Result<(), BenchError> {
        let mut bytes = Vec::new();
        frame::encode(value, &mut bytes);
        let mut stream = Stream::new(&mut *self.tls, &mut self.stream);
        stream.write_all(&bytes).and_then(|()| stream.flush()).map_err(BenchError::Connection)
    }

    fn receive<T: DeserializeOwned>(&mut self) -> Result<T, BenchError> {
        let mut read = [0; READ_BYTES];
        loop {
            if let Some(value) = self.reader.next_frame()? {
                return Ok(value);
            }
            let mut stream = Stream::new(&mut *self.tls, &mut self.stream);
            match stream.read(&mut read) {
                Ok(0) => return Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.reader.extend(&read[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(BenchError::Silent(ANSWER_TIME_MAX));
                }
                Err(error) => return Err(BenchError::Connection(error)),
            }
        }
    }
}

fn shown_key(tls: &ClientConnection) -> Result<PublicKey, BenchError> {
    let shown = tls.peer_certificates().and_then(<[_]>::first);
    let key = shown.map(|shown| crate::tls::keys::from_spki(shown));
    key.and_then(Result::ok).ok_or_else(|| {
        BenchError::Connection(io::Error::other("the server does not show a raw Ed25519 key"))
    })
}

fn handshake(error: rustls::Error) -> BenchError {
    BenchError::Connection(io::Error::other(error))
}

fn refused(expected: &str, problem: Problem) -> BenchError {
    BenchError::WrongAnswer { expected: expected.to_owned(), found: problem.to_string() }
}
