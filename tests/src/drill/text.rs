//! Payments by the text protocol at a server that may be killed at any moment, and what must be left of
//! them.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::Load;
use crate::random::Random;
use crate::text::Connection;

/// A payer and a payee who have nothing to do with anybody else. The n-th payment is of n credits, so
/// that the balance tells exactly which payments were made: the first m of them, or else something
/// was lost, doubled, or done out of order.
#[derive(Clone, Debug)]
pub struct Pair {
    payer: String,
    payee: String,
    /// What both had at first: so much that nobody runs out.
    opening: u64,
    /// Payments that are known to be made.
    made: u64,
}

/// What one round of load saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Payments that were asked for.
    pub sent: u64,
    /// Payments that were answered: they are made.
    pub answered: u64,
}

impl Pair {
    /// Opens the accounts of a pair.
    pub fn open(server: SocketAddr, number: usize, opening: u64) -> Self {
        let (payer, payee) = (format!("payer{number}"), format!("payee{number}"));
        let mut connection = Connection::open(server);
        connection.ask(&format!("REGISTER#{payer}\n"), "100 OK\n");
        connection.ask(&format!("REGISTER#{payee}\n"), "100 OK\n");
        Self { payer, payee, opening, made: 0 }
    }

    /// Pays, with up to `burst_max` payments under way, until the connection ends or it is enough.
    ///
    /// # Panics
    /// If the server answers with anything but an outcome.
    pub fn pay(&self, server: SocketAddr, burst_max: u64, mut bursts: Random, load: &Load) -> Seen {
        let mut seen = Seen::default();
        let Ok(mut stream) = TcpStream::connect(server) else { return seen };
        let mut replies = BufReader::new(stream.try_clone().expect("a live socket"));
        let log_in = format!("{}#5001\n", self.payee);
        let mut line = String::new();
        if stream.write_all(log_in.as_bytes()).is_err() || !skip_list(&mut replies) {
            return seen;
        }
        while !load.is_enough() {
            let burst = 1 + bursts.below(burst_max);
            let mut requests = Vec::new();
            for number in 1..=burst {
                let amount = self.made + seen.sent + number;
                writeln!(requests, "{}#{amount}#{}", self.payer, self.payee)
                    .expect("memory takes it");
            }
            seen.sent += burst;
            // What was sent before the end may be answered and read.
            let written = stream.write_all(&requests);
            for _ in 0..burst {
                line.clear();
                match replies.read_line(&mut line) {
                    Ok(1..) if line == "100 OK\n" => {
                        seen.answered += 1;
                        load.answered();
                    }
                    // The last line may be torn, or say that the server stops.
                    Ok(1..) if !line.ends_with('\n') || line == "220 ERROR\n" => return seen,
                    Ok(1..) => panic!("{line:?} instead of an outcome"),
                    Ok(0) | Err(_) => return seen,
                }
            }
            if written.is_err() {
                return seen;
            }
        }
        seen
    }

    /// Compares what the server knows with what was seen: what was answered is made, and nothing was made
    /// that was not asked for. If the server came to its end in peace, whatever is made was answered.
    /// Returns how many were made since the last time.
    ///
    /// # Panics
    /// If that is not so.
    #[track_caller]
    pub fn check(&mut self, server: SocketAddr, seen: Seen, in_peace: bool) -> u64 {
        let (payer, payee) = (balance(server, &self.payer), balance(server, &self.payee));
        let story = format!("{self:?} {seen:?} {payer} {payee}");
        assert_eq!(payer + payee, 2 * self.opening, "credits appear or vanish; {story}");
        let moved = payee.checked_sub(self.opening).expect(&story);
        let made = payments_that_sum_to(moved);
        let made = made.unwrap_or_else(|| panic!("lost, doubled or reordered; {story}"));
        let least = self.made + seen.answered;
        let most = if in_peace { least } else { self.made + seen.sent };
        assert!((least..=most).contains(&made), "{made} payments were made; {story}");
        let new = made - self.made;
        self.made = made;
        new
    }
}

/// What an account without a key holds.
///
/// # Panics
/// If there is none of this name.
pub fn balance(server: SocketAddr, name: &str) -> u64 {
    let mut connection = Connection::open(server);
    connection.send(format!("{name}#5001\n"));
    connection.list().0
}

/// The m for which 1 + 2 + … + m is the sum.
fn payments_that_sum_to(sum: u64) -> Option<u64> {
    let made = ((8 * sum + 1).isqrt() - 1) / 2;
    (made * (made + 1) / 2 == sum).then_some(made)
}

fn skip_list(replies: &mut impl BufRead) -> bool {
    let mut lines = replies.lines().map_while(Result::ok).skip(2);
    let count = lines.next().and_then(|count| count.parse::<usize>().ok());
    count.is_some_and(|count| lines.take(count).count() == count)
}
