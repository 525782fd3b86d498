//! Floods of every kind, as large as one likes, and an honest client that pays meanwhile.

mod secure;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::{Answer, Call, OrderAnswer};
use wire::{Amount, Order, OrderId, SignedOrder, Timestamp, Username, Verdict, signature};

use crate::process::{PATIENCE, Server};
use crate::random::Random;
use crate::secure::{SecureClient, key};
use crate::text::{Connection, connect_from};

/// What an account must be granted for an honest client not to run out of it.
pub const OPENING_BALANCE: &str = "100000000";

/// How long a slow peer waits between two bytes.
const SLOW: Duration = Duration::from_secs(1);
/// How long a thread that only keeps connections waits before it looks at them again.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Requests of a session that floods, sent in one go: as much as the server reads at once.
const TALK_BYTES: usize = 64 << 10;
/// The numbers of the keys that are used here, and of no other test on the same server.
const PAYER: u8 = 201;
const PAYEE: u8 = 202;
const TALKER: u8 = 203;
const SLOW_READER: u8 = 204;
const DEAF: u8 = 205;
const SLOW_WRITER: u8 = 206;

/// Somebody who pays, by both protocols, and looks at every answer.
pub struct Honest {
    text: Connection,
    text_paid: u64,
    payee: SecureClient,
    payer: SecureClient,
    signed_paid: u64,
    random: Random,
    granted: u64,
}

impl Honest {
    /// Opens the accounts.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn new(server: SocketAddr) -> Self {
        Connection::open(server).ask("REGISTER#honest-payer\n", "100 OK\n");
        let mut text = Connection::log_in(server, "honest-payee", 5001);
        let granted = text.balance();
        let payer = SecureClient::registered(server, &key(PAYER), "honest-signer");
        let payee = SecureClient::registered(server, &key(PAYEE), "honest-holder");
        let random = Random::new(11);
        Self { text, text_paid: 0, payee, payer, signed_paid: 0, random, granted }
    }

    /// One payment by text. How long it took.
    ///
    /// # Panics
    /// If it is not settled.
    pub fn pay(&mut self) -> Duration {
        let begin = Instant::now();
        self.text.ask("honest-payer#1#honest-payee\n", "100 OK\n");
        self.text_paid += 1;
        begin.elapsed()
    }

    /// One payment by a signed order, which the payee submits. How long it took, without the signing.
    ///
    /// # Panics
    /// If it is not settled, or the receipt does not prove it.
    pub fn pay_signed(&mut self) -> Duration {
        let order = self.order();
        let begin = Instant::now();
        let answer = self.payee.call(Call::SubmitOrders { orders: vec![order.clone()] });
        let took = begin.elapsed();
        let Ok(Answer::Orders(answers)) = answer else { panic!("an answer, not {answer:?}") };
        let [OrderAnswer::Decided { replayed: false, receipt }] = answers.as_slice() else {
            panic!("a first decision, not {answers:?}")
        };
        receipt.verify(&self.payee.stream.peer).expect("a receipt that verifies");
        assert_eq!(receipt.order(), Some(&order));
        assert_eq!(receipt.verdict(), Some(Verdict::Settled));
        self.signed_paid += 1;
        took
    }

    /// Compares all balances with what was paid.
    ///
    /// # Panics
    /// If a credit is missing or there is one too many.
    pub fn check(&mut self) {
        assert_eq!(self.text.balance(), self.granted + self.text_paid);
        for (client, expected) in [
            (&mut self.payer, self.granted - self.signed_paid),
            (&mut self.payee, self.granted + self.signed_paid),
        ] {
            match client.call(Call::ReadBalance) {
                Ok(Answer::Balance { amount, .. }) => assert_eq!(amount.credits(), expected),
                other => panic!("a balance, not {other:?}"),
            }
        }
    }

    fn order(&mut self) -> SignedOrder {
        let not_after = Timestamp::new(self.payer.welcome.now.get() + 3_600_000);
        let bytes = std::array::from_fn(|_| u8::try_from(self.random.below(256)).expect("a byte"));
        let order = Order {
            version: ORDER_VERSION,
            server: self.payer.stream.peer,
            id: OrderId::new(not_after, bytes),
            payer: name("honest-signer"),
            payer_key: signature::public_key(&key(PAYER)),
            payee: name("honest-holder"),
            payee_key: Some(signature::public_key(&key(PAYEE))),
            amount: Amount::new(1),
            not_after,
            memo_hash: NO_MEMO,
        };
        order.sign(&key(PAYER))
    }
}

fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

/// What somebody does to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Connections that say nothing.
    Idle,
    /// Sessions that ask for lists and read them a byte a second.
    SlowReaders,
    /// Connections that send a byte a second.
    SlowWriters,
    /// TLS handshakes that are begun and not gone on with, from four addresses, again and again.
    HalfOpen,
    /// Connections that are opened, ask something and are reset, so many at a time.
    Storm,
    /// Text sessions that pay as fast as they are answered.
    Talkers,
    /// Secure sessions that submit an order in calls of 512, as fast as they are answered.
    SecureTalkers,
    /// Sessions that ask for lists and payments and read nothing.
    Deaf,
    /// Accounts that are opened as fast as they can be, so many.
    Registrations,
    /// Secure sessions that ask for receipts and read them a byte a second.
    SecureSlowReaders,
    /// Secure sessions that send a byte of a call a second.
    SecureSlowWriters,
    /// Secure sessions that ask for receipts and read nothing.
    SecureDeaf,
    /// Accounts with keys, each opened over a connection of its own, so many.
    SecureRegistrations,
}

impl Flood {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Idle,
        Self::SlowReaders,
        Self::SlowWriters,
        Self::HalfOpen,
        Self::Storm,
        Self::Talkers,
        Self::SecureTalkers,
        Self::Deaf,
        Self::Registrations,
        Self::SecureSlowReaders,
        Self::SecureSlowWriters,
        Self::SecureDeaf,
        Self::SecureRegistrations,
    ];

    /// Whether it ends by itself.
    pub const fn has_end(self) -> bool {
        matches!(self, Self::Registrations | Self::SecureRegistrations)
    }

    /// Begins it, `size` as large, and returns when it is there.
    ///
    /// # Panics
    /// If the server refuses what it must not.
    pub fn start(self, server: SocketAddr, size: usize) -> Running {
        let tide = Tide::default();
        let run = |work: fn(SocketAddr, usize, &Tide)| {
            let tide = tide.clone();
            thread::spawn(move || work(server, size, &tide))
        };
        let threads = match self {
            Self::Idle => vec![run(idle)],
            Self::SlowReaders => vec![run(slow_readers)],
            Self::SlowWriters => vec![run(slow_writers)],
            Self::HalfOpen => vec![run(half_open)],
            Self::Storm => vec![run(storm)],
            Self::Talkers => vec![run(talkers)],
            Self::SecureTalkers => vec![run(secure::talkers)],
            Self::Deaf => vec![run(deaf)],
            Self::Registrations => vec![run(registrations)],
            Self::SecureSlowReaders => vec![run(secure::slow_readers)],
            Self::SecureSlowWriters => vec![run(secure::slow_writers)],
            Self::SecureDeaf => vec![run(secure::deaf)],
            Self::SecureRegistrations => vec![run(secure::registrations)],
        };
        let running = Running { tide, threads };
        let begin = Instant::now();
        while !running.tide.is_high() {
            assert!(running.threads.iter().all(|thread| !thread.is_finished()), "{self:?} ended");
            assert!(begin.elapsed() < PATIENCE * 4, "{self:?} does not come about");
            thread::sleep(Duration::from_millis(1));
        }
        running
    }
}

/// A flood that is there, until it is stopped or dropped.
pub struct Running {
    tide: Tide,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// How much it has done so far, in its own measure.
    pub fn done(&self) -> u64 {
        self.tide.done.load(Ordering::Relaxed)
    }

    /// Whether it has nothing more to do.
    pub fn has_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends it.
    ///
    /// # Panics
    /// If something was refused that must not be.
    pub fn stop(mut self) -> u64 {
        self.tide.stopped.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the flood ran to its end");
        }
        self.done()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tide.stopped.store(true, Ordering::Relaxed);
    }
}

/// What a flood shares with whoever has begun it.
#[derive(Clone, Default)]
struct Tide {
    stopped: Arc<AtomicBool>,
    high: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Tide {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn is_high(&self) -> bool {
        self.high.load(Ordering::Relaxed)
    }

    /// It is as large as it gets.
    fn rise(&self) {
        self.high.store(true, Ordering::Relaxed);
    }

    fn add(&self, count: usize) {
        self.done.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Waits, and is back soon when the flood is stopped. Whether it goes on.
    fn wait(&self, time: Duration) -> bool {
        let begin = Instant::now();
        while !self.is_stopped() && begin.elapsed() < time {
            thread::sleep(LOOK_EVERY.min(time));
        }
        !self.is_stopped()
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&server, PATIENCE).expect("somebody listens")
}

fn idle(server: SocketAddr, size: usize, tide: &Tide) {
    let connections: Vec<TcpStream> = (0..size).map(|_| connect(server)).collect();
    tide.add(connections.len());
    tide.rise();
    while tide.wait(SLOW) {}
}

fn slow_readers(server: SocketAddr, size: usize, tide: &Tide) {
    let reader = |number| {
        let mut reader = Connection::open_with_small_window(server);
        reader.register_and_log_in(&format!("reader{number}"), 5002);
        reader.send("List\n".repeat(100));
        reader.into_stream()
    };
    let mut readers: Vec<TcpStream> = (0..size).map(reader).collect();
    tide.rise();
    loop {
        for reader in &mut readers {
            reader.set_nonblocking(true).expect("a live socket");
            let _ = reader.read(&mut [0]);
            tide.add(1);
        }
        if !tide.wait(SLOW) {
            return;
        }
    }
}

fn slow_writers(server: SocketAddr, size: usize, tide: &Tide) {
    let mut writers: Vec<TcpStream> = (0..size).map(|_| connect(server)).collect();
    for at in 0.. {
        let byte = b"REGISTER#slow-writer-with-a-name-that-does-not-end".get(at).unwrap_or(&b'x');
        for writer in &mut writers {
            // Some of these are over before the flood is.
            let _ = writer.write(std::slice::from_ref(byte));
            tide.add(1);
        }
        tide.rise();
        if !tide.wait(SLOW) {
            return;
        }
    }
}

fn half_open(server: SocketAddr, size: usize, tide: &Tide) {
    let open = |number: usize| {
        let from = [127, 0, 0, u8::try_from(2 + number % 4).expect("few")];
        let mut stream = connect_from(from, server);
        let _ = stream.write(&[0x16, 3, 1]);
        stream.set_nonblocking(true).expect("a live socket");
        tide.add(1);
        stream
    };
    let mut begun: Vec<TcpStream> = (0..size).map(open).collect();
    tide.rise();
    while tide.wait(LOOK_EVERY) {
        for (number, stream) in begun.iter_mut().enumerate() {
            let is_open = matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == ErrorKind::WouldBlock);
            if !is_open {
                *stream = open(number);
            }
        }
    }
}

fn storm(server: SocketAddr, size: usize, tide: &Tide) {
    tide.rise();
    while !tide.is_stopped() {
        let mut gust: Vec<Connection> = (0..size).map(|_| Connection::open(server)).collect();
        for (number, connection) in gust.iter_mut().enumerate() {
            match number % 3 {
                0 => {}
                1 => connection.send("nobody#7001\nList\n"),
                _ => connection.send([0x16, 3, 1, 0]),
            }
        }
        tide.add(gust.len());
        for connection in gust {
            connection.reset();
        }
    }
}

fn talkers(server: SocketAddr, size: usize, tide: &Tide) {
    let talk = |number: usize| {
        let mut talker = Connection::open(server);
        talker.ask(&format!("REGISTER#talked-{number}\n"), "100 OK\n");
        talker.register_and_log_in(&format!("talker-{number}"), 5003);
        let request = format!("talked-{number}#1#talker-{number}\n");
        let count = TALK_BYTES / request.len();
        let (requests, answers) = (request.repeat(count), "100 OK\n".repeat(count));
        tide.rise();
        while !tide.is_stopped() {
            talker.send(&requests);
            talker.expect(&answers);
            tide.add(count);
        }
    };
    thread::scope(|scope| {
        for number in 0..size {
            scope.spawn(move || talk(number));
        }
    });
}

fn deaf(server: SocketAddr, size: usize, tide: &Tide) {
    let requests = "List\nx\nhonest-payer#0#nobody\n".repeat(TALK_BYTES / 29);
    let open = |number| {
        let mut deaf = Connection::open_with_small_window(server);
        deaf.register_and_log_in(&format!("deaf{number}"), 5004);
        let stream = deaf.into_stream();
        stream.set_nonblocking(true).expect("a live socket");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..size).map(open).collect();
    tide.rise();
    loop {
        for stream in &mut streams {
            if let Ok(taken) = stream.write(requests.as_bytes()) {
                tide.add(taken);
            }
        }
        if !tide.wait(LOOK_EVERY) {
            return;
        }
    }
}

/// Counts those that were opened; what is refused counts as well, and is asked for no more.
fn registrations(server: SocketAddr, size: usize, tide: &Tide) {
    const TOGETHER: usize = 2000;
    let mut connection = Connection::open(server);
    tide.rise();
    for begin in (0..size).step_by(TOGETHER) {
        let names = begin..size.min(begin + TOGETHER);
        let mut requests = String::new();
        for number in names.clone() {
            requests.push_str("REGISTER#flood-");
            requests.push_str(&number.to_string());
            requests.push('\n');
        }
        connection.send(requests);
        for _ in names {
            if connection.line() == "100 OK" {
                tide.add(1);
            }
        }
        if tide.is_stopped() {
            return;
        }
    }
}

/// The most memory that a server has ever had, in bytes.
///
/// # Panics
/// If it does not run.
pub fn peak_memory(server: &Server) -> u64 {
    let status = format!("/proc/{}/status", server.program.id());
    let status = std::fs::read_to_string(status).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("it has memory");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    kib.expect("a number") << 10
}

/// Lets this process open as many files as it may.
///
/// # Panics
/// If that is fewer than `files`.
pub fn raise_file_limit(files: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(maximum.is_none_or(|most| most >= files), "{files} files: raise it with ulimit -Hn");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("it may be raised");
}
