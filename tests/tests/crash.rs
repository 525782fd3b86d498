//! Servers that are killed at any moment: nothing that was answered is lost, nothing is there twice,
//! and no credit appears or vanishes.
//!
//! `MITE_TEST_CRASH_ROUNDS` says how often a server is killed under load, `MITE_TEST_SEED` when.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tests::drill::{Load, Pair, Seen, balance, setting};
use tests::operator::admin;
use tests::process::{PATIENCE, Server};
use tests::random::Random;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// So much that nobody runs out, so that the balances show every payment.
const OPENING: u64 = 1 << 50;
const ARGS: [&str; 2] = ["--opening-balance", "1125899906842624"];
const PAIRS: usize = 4;
/// Payments in one write, at most.
const BURST_MAX: u64 = 40;
/// Accounts that each restart is asked for: more than a round opens.
const OPENED_CHECKED_MAX: usize = 500;

struct Bank {
    data: TempDir,
    pairs: Vec<Pair>,
    /// Accounts that the server said it has opened.
    opened: Vec<String>,
    random: Random,
    seed: u64,
}

impl Bank {
    fn open() -> (Self, Server) {
        let seed = setting("MITE_TEST_SEED", u64::from(std::process::id()));
        println!("MITE_TEST_SEED={seed}");
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &ARGS);
        let pairs = (0..PAIRS).map(|number| Pair::open(server.address, number, OPENING)).collect();
        (Self { data, pairs, opened: Vec::new(), random: Random::new(seed), seed }, server)
    }

    fn restart(&self, address: SocketAddr) -> Server {
        Server::start_at(MITE, address, self.data.path(), &ARGS)
    }

    /// Pays and registers until so many answers have come, then calls `end`, which says whether the server
    /// came to its end in peace.
    fn load(&mut self, server: Server, round: u64, answers: u64, end: impl FnOnce(Server) -> bool) {
        let load = &Load::default();
        let address = server.address;
        let bursts = Random::new(self.random.below(u64::MAX));
        let (seen, opened, in_peace) = thread::scope(|scope| {
            let paying = self.pairs.iter().map(|pair| {
                let bursts = bursts.clone();
                scope.spawn(move || pair.pay(address, BURST_MAX, bursts, load))
            });
            let paying: Vec<_> = paying.collect();
            let registering = scope.spawn(|| register(address, round));
            let began = Instant::now();
            while load.answers() < answers {
                assert!(began.elapsed() < PATIENCE, "seed {}: no answers", self.seed);
                thread::yield_now();
            }
            let in_peace = end(server);
            let seen: Vec<_> =
                paying.into_iter().map(|thread| thread.join().expect("it pays")).collect();
            (seen, registering.join().expect("it registers"), in_peace)
        });
        self.opened.extend(opened);
        self.expected(&seen, address, in_peace);
    }

    /// Starts the server again and compares what it knows with what was seen.
    fn expected(&mut self, seen: &[Seen], address: SocketAddr, in_peace: bool) {
        let server = self.restart(address);
        let seed = self.seed;
        for (pair, seen) in self.pairs.iter_mut().zip(seen) {
            pair.check(address, *seen, in_peace);
        }
        // The older ones have been looked at before.
        for name in self.opened.iter().rev().take(OPENED_CHECKED_MAX) {
            assert_eq!(balance(address, name), OPENING, "seed {seed}: {name}");
        }
        server.program.kill();
    }

    /// Compares the balances with what is known from before, nothing having been done since.
    fn unchanged(&mut self, address: SocketAddr) {
        self.expected(&[Seen::default(); PAIRS], address, true);
    }
}

/// Registers, one by one, until the connection ends. Returns the accounts that were opened.
fn register(address: SocketAddr, round: u64) -> Vec<String> {
    let mut opened = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address) else { return opened };
    let mut replies = BufReader::new(stream.try_clone().expect("a live socket"));
    let mut line = String::new();
    loop {
        let name = format!("r{round}x{}", opened.len());
        let request = format!("REGISTER#{name}\n");
        line.clear();
        let asked =
            stream.write_all(request.as_bytes()).and_then(|()| replies.read_line(&mut line));
        match asked {
            Ok(1..) if line == "100 OK\n" => opened.push(name),
            Ok(1..) if line == "210 FAIL\n" => panic!("{name} was there before"),
            _ => return opened,
        }
    }
}

#[test]
fn a_server_killed_under_load_keeps_every_answer() {
    // Protects the promise of the ledger: an answer is sent after the payment is on the disk.
    let (mut bank, mut server) = Bank::open();
    for round in 0..setting("MITE_TEST_CRASH_ROUNDS", 20) {
        let address = server.address;
        let answers = 1 + bank.random.below(1500);
        bank.load(server, round, answers, |server| {
            server.program.kill();
            false
        });
        server = bank.restart(address);
    }
}

#[test]
fn a_server_killed_while_it_starts_or_stops_loses_nothing() {
    // Protects the replay, the repair and the snapshot: each may be cut short and done again.
    let (mut bank, mut server) = Bank::open();
    for round in 0..=setting("MITE_TEST_CRASH_ROUNDS", 20) / 4 {
        let address = server.address;
        let answers = 1 + bank.random.below(300);
        let stopping = Duration::from_micros(bank.random.below(20_000));
        bank.load(server, round, answers, |server| {
            server.program.signal(Signal::TERM);
            // Not for something to settle: the moment of the kill is what varies.
            thread::sleep(stopping);
            server.program.kill();
            false
        });
        for _ in 0..4 {
            let starting = Server::launch(MITE, address, bank.data.path(), &ARGS);
            thread::sleep(Duration::from_micros(bank.random.below(40_000)));
            starting.kill();
        }
        bank.unchanged(address);
        server = bank.restart(address);
    }
}

#[test]
fn many_kills_with_little_work_between_lose_nothing() {
    // Protects the seams: most batches of this journal are the first or the last of a run.
    let (mut bank, mut server) = Bank::open();
    for round in 0..setting("MITE_TEST_CRASH_ROUNDS", 20) {
        let address = server.address;
        let answers = bank.random.below(3);
        bank.load(server, round, answers, |server| {
            server.program.kill();
            false
        });
        server = bank.restart(address);
    }
}

#[test]
fn a_server_that_is_stopped_under_load_answers_what_it_did() {
    // Protects the clean stop: what is done is answered, and what is answered is done.
    let (mut bank, mut server) = Bank::open();
    for round in 0..3 {
        let address = server.address;
        let answers = 1 + bank.random.below(500);
        bank.load(server, round, answers, |server| server.stop().status.success());
        server = bank.restart(address);
    }
}

#[test]
fn a_server_that_is_drained_under_load_answers_what_it_did() {
    // Protects the operator's way to stop it: the same, and exit code 0.
    let (mut bank, mut server) = Bank::open();
    for round in 0..3 {
        let address = server.address;
        let answers = 1 + bank.random.below(500);
        let data = bank.data.path().to_owned();
        bank.load(server, round, answers, |server| {
            let drained = admin(MITE, &data, &["drain"]);
            assert!(drained.status.success(), "{drained:?}");
            server.program.wait().status.success()
        });
        server = bank.restart(address);
    }
}

/// A journal with a few payments in several batches, its server killed. Returns its last segment.
fn killed_bank() -> (TempDir, SocketAddr, std::path::PathBuf) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let address = server.address;
    let mut alice = Connection::log_in(address, "alice", 5001);
    let mut bob = Connection::log_in(address, "bob", 5002);
    for amount in [1, 2, 4, 8, 16] {
        bob.ask(&format!("alice#{amount}#bob\n"), "100 OK\n");
        alice.ask("nobody#1#alice\n", "Transfer failed due to invalid user.\n");
    }
    server.program.kill();
    let segment = last_segment(data.path());
    (data, address, segment)
}

fn last_segment(data: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(data).expect("it is there");
    let names = files.map(|file| file.expect("it is there").path());
    let is_segment = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal-"))
    };
    names.filter(is_segment).max().expect("a segment")
}

fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty") + 1
}

#[test]
fn a_torn_last_batch_is_cut_off() {
    // Protects the start after a power cut in the middle of a write: that batch was never answered.
    for tear in ["truncated", "sector"] {
        let (data, address, segment) = killed_bank();
        let mut bytes = std::fs::read(&segment).expect("it is readable");
        let used = used(&bytes);
        if tear == "truncated" {
            bytes.truncate(used - 1);
        } else {
            // The disk has written none of the batch's last sector.
            bytes[(used - 1) / 512 * 512..].fill(0);
        }
        std::fs::write(&segment, &bytes).expect("it is writable");
        let server = Server::start_at(MITE, address, data.path(), &[]);
        let (alice, bob) = (balance(address, "alice"), balance(address, "bob"));
        assert_eq!(alice + bob, 2000, "{tear}");
        // A sector holds at least the last batch, and no more than two of them.
        assert!([1015, 1007].contains(&bob), "{tear}: {bob}");
        // It goes on from there, and comes back once more.
        let mut payee = Connection::open(address);
        payee.send("bob#5002\n");
        payee.list();
        payee.ask("alice#100#bob\n", "100 OK\n");
        server.program.kill();
        let _server = Server::start_at(MITE, address, data.path(), &[]);
        assert_eq!(balance(address, "bob"), bob + 100, "{tear}");
    }
}

#[test]
fn a_flipped_byte_is_refused_with_its_place() {
    // Protects the balances: damage is never taken for a crash, and the operator is told where it is.
    let (data, address, segment) = killed_bank();
    let intact = std::fs::read(&segment).expect("it is readable");
    let used = used(&intact);
    let name = segment.file_name().expect("a file").to_string_lossy().into_owned();
    let mut random = Random::new(setting("MITE_TEST_SEED", u64::from(std::process::id())));
    for _ in 0..8 {
        let at = usize::try_from(random.below(used as u64)).expect("a place in the file");
        let mut bytes = intact.clone();
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(&segment, &bytes).expect("it is writable");
        let refused = Server::launch(MITE, address, data.path(), &[]);
        let error = refused.error_line_with("error: ");
        let hint = refused.error_line_with("hint: ");
        let ended = refused.wait();
        assert_eq!(ended.status.code(), Some(6), "byte {at}: {error} {ended:?}");
        assert!(error.contains(&name), "byte {at}: {error}");
        let offset = error.split("at byte ").nth(1).and_then(|rest| rest.split(',').next());
        let offset: usize = offset.and_then(|at| at.parse().ok()).expect("an offset");
        assert!(offset <= at && at < offset + 1024, "byte {at}: {error}");
        assert!(hint.contains("keep a copy"), "{hint}");
        assert_eq!(std::fs::read(&segment).expect("it is readable"), bytes, "nothing is changed");
    }
    std::fs::write(&segment, &intact).expect("it is writable");
    let _server = Server::start_at(MITE, address, data.path(), &[]);
    assert_eq!(balance(address, "bob"), 1031);
}
