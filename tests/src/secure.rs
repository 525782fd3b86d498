//! The secure protocol, spoken frame by frame with any key: an honest client, or an attacker.

mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_zebra::SigningKey;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Correlation, Event, Hello, Problem, Request, Response, ServerFrame, Welcome,
};
use wire::{Amount, Order, OrderId, PublicKey, SignedOrder, Timestamp, signature};

pub use self::stream::SecureStream;

/// Orders that were made in this process: no two have one id.
static ORDERS: AtomicU64 = AtomicU64::new(0);

/// How long an order of an honest client may be settled.
const ORDER_VALIDITY_MS: u64 = 600_000;

/// The same key for the same number.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// A connection to a server, behind both sides' hello.
pub struct SecureClient {
    /// The connection.
    pub stream: SecureStream,
    /// What the server said first.
    pub welcome: Welcome,
    /// What the server said unasked, in order, while answers were waited for.
    pub events: Vec<Event>,
    next: u64,
}

impl SecureClient {
    /// Connects with this key.
    ///
    /// # Panics
    /// If the server does not welcome it.
    pub fn connect(server: SocketAddr, key: &SigningKey) -> Self {
        Self::try_connect(server, key).expect("a welcome")
    }

    /// The same with a server that may be gone at any moment.
    ///
    /// # Errors
    /// If it is gone, or takes nobody.
    pub fn try_connect(server: SocketAddr, key: &SigningKey) -> io::Result<Self> {
        Self::over(SecureStream::connect(server, key)?)
    }

    /// The same over a connection that is there.
    ///
    /// # Errors
    /// If the server is gone, or does not welcome it.
    pub fn over(mut stream: SecureStream) -> io::Result<Self> {
        stream.send(&Hello::new(magic::CLIENT))?;
        let welcome: Result<Welcome, Problem> = stream.receive()?;
        let welcome = welcome.map_err(io::Error::other)?;
        Ok(Self { stream, welcome, events: Vec::new(), next: 1 })
    }

    /// Connects, opens an account and logs in unlisted.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn registered(server: SocketAddr, key: &SigningKey, name: &str) -> Self {
        let mut client = Self::connect(server, key);
        let name = name.parse().expect("a name");
        client.call(Call::Register { name }).expect("an account");
        client.call(Call::LogIn { port: None }).expect("a log-in");
        client
    }

    /// Signs an order to pay somebody, by the account that was there at the start. The key of a payee who
    /// has none is `None`.
    ///
    /// # Panics
    /// If there was no account.
    pub fn order(
        &self,
        key: &SigningKey,
        payee: &str,
        payee_key: Option<PublicKey>,
        amount: u64,
    ) -> SignedOrder {
        let payer = self.welcome.account.as_ref().expect("an account").name.clone();
        let not_after = Timestamp::new(self.welcome.now.get() + ORDER_VALIDITY_MS);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&ORDERS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let order = Order {
            version: ORDER_VERSION,
            server: self.stream.peer,
            id: OrderId::new(not_after, random),
            payer,
            payer_key: signature::public_key(key),
            payee: payee.parse().expect("a name"),
            payee_key,
            amount: Amount::new(amount),
            not_after,
            memo_hash: NO_MEMO,
        };
        order.sign(key)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the server says.
    ///
    /// # Panics
    /// If the connection ends before the answer.
    pub fn call(&mut self, call: Call) -> Result<Answer, Problem> {
        let correlation = self.begin(call).expect("the server reads");
        let response = self.response().expect("the server answers");
        assert_eq!(response.correlation, correlation, "{response:?}");
        response.result
    }

    /// Asks, and waits for nothing.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn begin(&mut self, call: Call) -> io::Result<Correlation> {
        let correlation = Correlation(self.next);
        self.next += 1;
        self.stream.send(&Request { correlation, call })?;
        Ok(correlation)
    }

    /// The next answer to what was begun.
    ///
    /// # Errors
    /// If the connection ends first.
    pub fn response(&mut self) -> io::Result<Response> {
        loop {
            match self.stream.receive()? {
                ServerFrame::Response(response) => return Ok(response),
                ServerFrame::Event(event) => self.events.push(event),
                ServerFrame::Closing(problem) => return Err(io::Error::other(problem)),
            }
        }
    }
}
