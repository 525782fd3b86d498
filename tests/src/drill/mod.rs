//! A server under mixed load and its clients, all of which are killed at random moments, again and again.
//!
//! The load of each round: text payments, some one by one and some with many under way; orders that are
//! signed in this process, several calls under way; and payments between clients in processes of their own.
//! Then the server is killed, stopped, or both, and clients are killed; everything starts again on the same
//! files; and whatever anybody was told must be so. See [`Drill::run`].

mod signer;
mod street;
mod text;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

pub use self::signer::{Settled, Signer};
pub use self::street::{Street, audit};
pub use self::text::{Pair, Seen, balance};
use crate::process::Server;
use crate::random::Random;

/// What everybody has at first: so much that nobody runs out.
const OPENING: u64 = 1 << 50;
const ARGS: [&str; 4] = ["--opening-balance", "1125899906842624", "--log-level", "error"];
/// Text payments under way, for each pair.
const BURSTS: [u64; 4] = [1, 1, 10, 40];
const SIGNERS: u8 = 2;
/// When the strike comes behind the beginning of the load: about as long as the clients' payments take.
const MOMENT_MAX_MS: u64 = 250;
/// When a server is killed behind the beginning of its start or stop: about as long as these take.
const STARTING_MAX_US: u64 = 40_000;
const STOPPING_MAX_US: u64 = 20_000;
/// Receipts of each signer that the ledger is held against at the end.
const RECEIPTS_EXPORTED_MAX: usize = 200;
/// So many rounds have each [`Strike`] once.
const ROUNDS_MIN: u64 = 4;

/// What all who bring load have in common.
#[derive(Debug, Default)]
pub struct Load {
    answers: AtomicU64,
    enough: AtomicBool,
}

impl Load {
    /// Somebody was answered.
    pub fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers have come.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether nobody should ask for more.
    pub fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }

    /// Nobody should ask for more.
    pub fn end(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

/// What was done and seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Rounds of load.
    pub rounds: u64,
    /// `kill -9` of a server that worked.
    pub server_kills: u64,
    /// `kill -9` of a server that was starting.
    pub starting_kills: u64,
    /// `kill -9` of a server that was stopping.
    pub stopping_kills: u64,
    /// SIGTERM of a server that worked, and exit code 0.
    pub stops: u64,
    /// `kill -9` of clients.
    pub client_kills: u64,
    /// Text payments.
    pub text: Seen,
    /// Those of them that were made.
    pub text_made: u64,
    /// Signed orders.
    pub orders: Settled,
    /// Payments that clients began.
    pub begun: u64,
    /// Those of them that were made.
    pub made: u64,
    /// Receipts that were verified when they came.
    pub receipts: usize,
    /// Receipts that the ledger was held against at the end.
    pub audited: usize,
}

impl Report {
    /// Every `kill -9`.
    pub const fn kills(&self) -> u64 {
        self.server_kills + self.starting_kills + self.stopping_kills + self.client_kills
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, orders, .. } = self;
        writeln!(f, "rounds                  {}", self.rounds)?;
        writeln!(f, "kill -9                 {}", self.kills())?;
        writeln!(f, "  of servers at work    {}", self.server_kills)?;
        writeln!(f, "  of starting servers   {}", self.starting_kills)?;
        writeln!(f, "  of stopping servers   {}", self.stopping_kills)?;
        writeln!(f, "  of clients            {}", self.client_kills)?;
        writeln!(f, "SIGTERM, exit code 0    {}", self.stops)?;
        writeln!(
            f,
            "text payments           {} asked for, {} answered, {} made",
            text.sent, text.answered, self.text_made
        )?;
        writeln!(
            f,
            "signed orders           {} signed, {} answered, {} made unheard; each made once",
            orders.sent, orders.answered, orders.unheard
        )?;
        writeln!(f, "clients' payments       {} begun, {} made", self.begun, self.made)?;
        writeln!(
            f,
            "receipts                {} verified, {} held against the ledger",
            self.receipts, self.audited
        )?;
        write!(f, "audit                   sound")
    }
}

/// How a round ends for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    Kill,
    Stop,
    /// Told to stop, and killed before it has.
    KillWhileItStops(Duration),
    /// Its clients alone are struck.
    Spare,
}

/// A server and all its clients.
pub struct Drill {
    binary: &'static str,
    dir: TempDir,
    /// `None` while it is dead.
    server: Option<Server>,
    address: SocketAddr,
    pairs: Vec<Pair>,
    signers: Vec<Signer>,
    street: Street,
    random: Random,
    report: Report,
}

impl Drill {
    /// Starts a server and opens everybody's accounts. The same seed makes the same choices; what they meet
    /// differs.
    ///
    /// # Panics
    /// If that does not work.
    pub fn begin(binary: &'static str, seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(binary, &dir.path().join("data"), &ARGS);
        let address = server.address;
        let pairs = (0..BURSTS.len()).map(|number| Pair::open(address, number, OPENING));
        let signers = (0..SIGNERS).map(|number| Signer::open(address, number, OPENING));
        Self {
            binary,
            address,
            pairs: pairs.collect(),
            signers: signers.collect(),
            street: Street::move_in(binary, dir.path(), address),
            random: Random::new(seed),
            report: Report::default(),
            server: Some(server),
            dir,
        }
    }

    /// Goes on until so many processes were killed, in each way at least once, and calls `each` behind every round. Then the server
    /// stops, and an audit of what it leaves behind, with receipts of everybody, must find no fault.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn run(mut self, kills: u64, mut each: impl FnMut(&Report)) -> Report {
        while self.report.kills() < kills || self.report.rounds < ROUNDS_MIN {
            self.round();
            each(&self.report);
        }
        let receipts = self.dir.path().join("receipts");
        fs::create_dir(&receipts).expect("a new directory");
        self.street.export(&receipts);
        self.signers.iter().for_each(|signer| signer.export(&receipts, RECEIPTS_EXPORTED_MAX));
        self.server.take().expect("it is alive").stop();
        audit(self.binary, &self.data(), &receipts);
        self.report.receipts = self.signers.iter().map(Signer::receipts).sum();
        self.report.audited = fs::read_dir(&receipts).expect("a directory").count();
        self.report
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn round(&mut self) {
        self.report.rounds += 1;
        self.report.begun += self.street.begin();
        let strike = self.choose();
        let seen = self.load(strike);
        self.restart();
        let in_peace = matches!(strike, Strike::Stop | Strike::Spare);
        for (pair, seen) in self.pairs.iter_mut().zip(seen) {
            self.report.text.sent += seen.sent;
            self.report.text.answered += seen.answered;
            self.report.text_made += pair.check(self.address, seen, in_peace);
        }
        for signer in &mut self.signers {
            let settled = signer.check(self.address, in_peace);
            self.report.orders.sent += settled.sent;
            self.report.orders.answered += settled.answered;
            self.report.orders.unheard += settled.unheard;
        }
        self.report.made += self.street.check(self.address);
    }

    /// In the first rounds each kind in turn, so that a short drill has all of them.
    fn choose(&mut self) -> Strike {
        let kind = match self.report.rounds {
            1 => 0,
            2 => 5,
            3 => 7,
            4 => 9,
            _ => self.random.below(10),
        };
        match kind {
            0..5 => Strike::Kill,
            5..7 => Strike::Stop,
            7..9 => {
                let moment = self.random.below(STOPPING_MAX_US);
                Strike::KillWhileItStops(Duration::from_micros(moment))
            }
            _ => Strike::Spare,
        }
    }

    /// Everybody pays until the strike. What was seen of the text payments.
    fn load(&mut self, strike: Strike) -> Vec<Seen> {
        let Self { pairs, signers, street, random, address, .. } = self;
        let server = self.server.take().expect("it is alive");
        let (address, load) = (*address, &Load::default());
        let moment = Duration::from_millis(random.below(MOMENT_MAX_MS));
        let (seen, server, kills) = thread::scope(|scope| {
            let text: Vec<_> = pairs
                .iter()
                .zip(BURSTS)
                .map(|(pair, burst_max)| {
                    let bursts = Random::new(random.below(u64::MAX));
                    scope.spawn(move || pair.pay(address, burst_max, bursts, load))
                })
                .collect();
            let signed: Vec<_> = signers
                .iter_mut()
                .map(|signer| {
                    let random = Random::new(random.below(u64::MAX));
                    scope.spawn(move || signer.pay(address, random, load))
                })
                .collect();
            // Not for something to settle: the moment of the strike is what varies.
            thread::sleep(moment);
            let server = strike.hit(server);
            let kills = street.strike(address, random);
            load.end();
            for thread in signed {
                thread.join().expect("it signs");
            }
            let seen = text.into_iter().map(|thread| thread.join().expect("it pays"));
            (seen.collect(), server, kills)
        });
        self.server = server;
        self.report.client_kills += kills;
        match strike {
            Strike::Kill => self.report.server_kills += 1,
            Strike::KillWhileItStops(_) => self.report.stopping_kills += 1,
            Strike::Stop => self.report.stops += 1,
            Strike::Spare => {}
        }
        seen
    }

    /// Starts the server where it was, now and then not at the first attempt.
    fn restart(&mut self) {
        if self.server.is_some() {
            return;
        }
        let data = self.data();
        while self.random.below(4) == 0 {
            let starting = Server::launch(self.binary, self.address, &data, &ARGS);
            thread::sleep(Duration::from_micros(self.random.below(STARTING_MAX_US)));
            starting.kill();
            self.report.starting_kills += 1;
        }
        self.server = Some(Server::start_at(self.binary, self.address, &data, &ARGS));
    }
}

impl Strike {
    /// What is left of the server.
    fn hit(self, server: Server) -> Option<Server> {
        match self {
            Self::Kill => server.program.kill(),
            Self::Stop => drop(server.stop()),
            Self::KillWhileItStops(moment) => {
                server.program.signal(Signal::TERM);
                thread::sleep(moment);
                server.program.kill();
            }
            Self::Spare => return Some(server),
        }
        None
    }
}

/// The number that an environment variable sets, or this one.
///
/// # Panics
/// If it sets something else.
pub fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
