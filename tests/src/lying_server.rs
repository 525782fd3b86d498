//! A server that answers as an honest one would, unless a test has it lie.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use ed25519_zebra::SigningKey;
use wire::secure::hello::{PROTOCOL_VERSION, magic};
use wire::secure::{
    AccountInfo, Answer, Call, Hello, Limits, OrderAnswer, OrderStatus, OwnAccount, Problem,
    Request, Response, ServerFrame, Welcome, frame,
};
use wire::{
    AccountId, Amount, Authority, Entry, OrderId, PublicKey, Receipt, SignedOrder, Timestamp,
    Username, signature,
};

use crate::forge;
use crate::process::PATIENCE;
use crate::secure::SecureStream;

/// A server in this process, for one client at a time.
pub struct LyingServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that it shows.
    pub key: PublicKey,
    asked: Receiver<Call>,
}

/// What the server says to a call in place of the honest answer.
pub enum Lie {
    /// This answer.
    Answer(Result<Answer, Problem>),
    /// These bytes, frames or not, and then what follows.
    Bytes(Vec<u8>),
    /// These bytes, and then the connection ends.
    End(Vec<u8>),
}

/// What an honest server knows.
pub struct Books {
    /// What it signs with.
    pub key: SigningKey,
    /// Its clock, which stands still.
    pub now: Timestamp,
    /// Who can be paid.
    pub payees: BTreeMap<Username, AccountInfo>,
    /// The client's account, once it has one.
    pub account: Option<OwnAccount>,
    /// What it has settled, with the receipts that it has given.
    pub decided: BTreeMap<OrderId, Receipt>,
}

impl LyingServer {
    /// Starts it. `lie` hears each call and says what is to be said in place of the honest answer;
    /// nothing, if the server is to be honest.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start(
        mut books: Books,
        mut lie: impl FnMut(&mut Books, &Request) -> Option<Lie> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let key = signature::public_key(&books.key);
        let (tell, asked) = channel();
        // It sits in `accept` until the tests end; nobody waits for it.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A connection that ends, in whatever way, makes room for the next one.
                let _ = converse(stream, &mut books, &mut lie, &tell);
            }
        });
        Self { address, key, asked }
    }

    /// The next order that is submitted. Whatever else is asked before it is passed over.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`].
    pub fn submitted(&self) -> SignedOrder {
        loop {
            let call = self.asked.recv_timeout(PATIENCE).expect("an order is submitted");
            if let Call::SubmitOrders { mut orders } = call {
                assert_eq!(orders.len(), 1);
                return orders.remove(0);
            }
        }
    }

    /// Every call that has come and was not looked at.
    pub fn asked(&self) -> Vec<Call> {
        self.asked.try_iter().collect()
    }
}

fn converse(
    stream: TcpStream,
    books: &mut Books,
    lie: &mut impl FnMut(&mut Books, &Request) -> Option<Lie>,
    tell: &Sender<Call>,
) -> std::io::Result<()> {
    let mut stream = SecureStream::accept(stream, &books.key)?;
    stream.receive::<Hello>()?;
    stream.send(&Ok::<Welcome, Problem>(books.welcome()))?;
    loop {
        let request: Request = stream.receive()?;
        let lie = lie(books, &request);
        let Request { correlation, call } = request;
        let result = match lie {
            None => books.answer(&call),
            Some(Lie::Answer(result)) => result,
            Some(Lie::Bytes(bytes)) => {
                // The test may be over.
                let _ = tell.send(call);
                stream.send_bytes(&bytes)?;
                continue;
            }
            Some(Lie::End(bytes)) => {
                let _ = tell.send(call);
                return stream.send_bytes(&bytes);
            }
        };
        let _ = tell.send(call);
        stream.send(&ServerFrame::Response(Response { correlation, result }))?;
    }
}

/// A frame of the server, as it is sent.
pub fn framed(what: &ServerFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(what, &mut bytes);
    bytes
}

impl Books {
    /// Those of a server with this key, where bob has an account with that one.
    ///
    /// # Panics
    /// Never: the name is one.
    pub fn with_bob(key: SigningKey, bob: PublicKey) -> Self {
        let name: Username = "bob".parse().expect("a name");
        let bob = AccountInfo { name: name.clone(), key: Some(bob), address: None };
        Self {
            key,
            now: Timestamp::new(1_800_000_000_000),
            payees: BTreeMap::from([(name, bob)]),
            account: None,
            decided: BTreeMap::new(),
        }
    }

    /// What the client is told first.
    fn welcome(&self) -> Welcome {
        Welcome {
            magic: magic::SERVER,
            version: PROTOCOL_VERSION,
            now: self.now,
            limits: Limits {
                frame_bytes_max: 1 << 20,
                calls_under_way_max: 100,
                orders_per_call_max: 100,
                page_items_max: 100,
                order_validity_ms_max: wire::order::ORDER_VALIDITY_MS_MAX,
            },
            account: self.account.clone(),
        }
    }

    /// The honest answer.
    ///
    /// # Errors
    /// [`Problem::Busy`] to what no test needs an answer to.
    pub fn answer(&mut self, call: &Call) -> Result<Answer, Problem> {
        let amount = Amount::new(1000);
        Ok(match call {
            Call::Register { name } => {
                let (account, name) = (AccountId::new(1), name.clone());
                let own = OwnAccount { account, name, balance: amount };
                Answer::Registered(self.account.insert(own).clone())
            }
            Call::FindAccount { name } => Answer::Account(self.payees.get(name).cloned()),
            Call::ReadBalance => Answer::Balance { amount, now: self.now },
            Call::SubmitOrders { orders } => {
                let answers = orders.iter().map(|order| OrderAnswer::Decided {
                    replayed: false,
                    receipt: Box::new(self.settle(order)),
                });
                Answer::Orders(answers.collect())
            }
            Call::OrderStatus { orders } => {
                let statuses = orders.iter().map(|order| match self.decided.get(&order.id) {
                    Some(receipt) => OrderStatus::Decided(Box::new(receipt.clone())),
                    None => OrderStatus::Unknown,
                });
                Answer::Statuses { statuses: statuses.collect(), now: self.now }
            }
            Call::KeepOrder { .. } => Answer::Kept,
            Call::ReadOpenOrders => Answer::OpenOrders(Vec::new()),
            Call::LogOut => Answer::LoggedOut,
            _ => return Err(Problem::Busy),
        })
    }

    /// Settles an order and gives the receipt.
    pub fn settle(&mut self, order: &SignedOrder) -> Receipt {
        let receipt = forge::receipt(&self.key, settled(order));
        self.decided.entry(order.order.id).or_insert(receipt).clone()
    }
}

/// The entry that moves what the order says.
pub fn settled(order: &SignedOrder) -> Entry {
    Entry::Transferred {
        payer: AccountId::new(1),
        payee: AccountId::new(2),
        amount: order.order.amount,
        authority: Authority::Order(Box::new(order.clone())),
    }
}
