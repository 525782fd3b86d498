//! Connections that speak the text protocol.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use wire::text::reader::{Expected, Heard, ReplyReader, ServerReply};

use super::Bench;
use super::error::BenchError;
use super::load::{Connection, Watch};
use super::random::Random;
use super::server::Server;
use crate::config::LineEnd;

/// What Mite answers a payment that is settled.
const OK: &[u8] = b"100 OK\n";
/// How long an answer may take while accounts are opened.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long nothing must come for an answer to be whole that does not show its end.
const QUIET: Duration = Duration::from_millis(100);
/// What one read takes at most.
const READ_BYTES: usize = 64 << 10;
/// Answers are compared with so many bytes of right ones at a time.
const EXPECTED_BYTES_MIN: usize = 2 * READ_BYTES;

/// Where payees are said to listen. Nobody connects to them.
pub(super) const P2P_PORT: u16 = 7001;
/// The least and the most payments of a script: so many that payers come in no order that a cache
/// could learn, and no more than some megabytes each.
const SCRIPT_PAYMENTS_MIN: u32 = 1 << 12;
const SCRIPT_PAYMENTS_MAX: u32 = 1 << 18;

/// Opens the accounts of a run that are not [prepared](super::prepare), and logs in a payee on each
/// connection, who is paid by one account after the other, at random.
pub(super) async fn payees(bench: &Bench, server: &Server) -> Result<Vec<TextLane>, BenchError> {
    bench.progress.phase("opening accounts");
    let (address, names) = (server.address(), server.names().clone());
    let (accounts, connections) = (bench.config.accounts, bench.config.connections);
    let (line_end, prepared) = (bench.config.line_end, server.is_own());
    bench
        .on_thread(move |watch| {
            let mut opener = TextClient::connect(address, line_end)?;
            if !prepared {
                opener.register((0..accounts).map(|number| names.payer(number)), watch)?;
            }
            opener.register((0..connections).map(|number| names.payee(number)), watch)?;
            let lane = |number| {
                let payee = names.payee(number);
                let mut client = TextClient::connect(address, line_end)?;
                client.come_online(&payee)?;
                let payment = format!("{}#1#{payee}", names.payer(0));
                let answer = if prepared { OK.to_vec() } else { client.learn_answer(&payment)? };
                let mut random = Random::new(number as u64);
                let payment = |_| {
                    let payer = names.payer(random.below(accounts));
                    request(&format!("{payer}#1#{payee}"), line_end)
                };
                let payments: Vec<_> = (0..script_payments(accounts)).map(payment).collect();
                TextLane::new(client.into_stream(), Script::payments(&payments, &answer))
            };
            (0..connections).map(lane).collect()
        })
        .await
}

/// How many payments a connection repeats when so many accounts pay.
pub(super) fn script_payments(accounts: u32) -> u32 {
    accounts.clamp(SCRIPT_PAYMENTS_MIN, SCRIPT_PAYMENTS_MAX)
}

/// A connection on which one thing is asked after the other.
pub(super) struct TextClient {
    stream: BufReader<TcpStream>,
    line_end: LineEnd,
}

impl TextClient {
    pub(super) fn connect(address: SocketAddr, line_end: LineEnd) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address).map_err(BenchError::Connection)?;
        stream.set_nodelay(true).map_err(BenchError::Connection)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(BenchError::Connection)?;
        Ok(Self { stream: BufReader::new(stream), line_end })
    }

    /// Opens these accounts.
    pub(super) fn register(
        &mut self,
        names: impl Iterator<Item = String>,
        watch: &Watch,
    ) -> Result<(), BenchError> {
        for name in names {
            self.ask(&format!("REGISTER#{name}"), Expected::Verdict)?;
            watch.add(1);
            if watch.is_stopped() {
                return Err(BenchError::Interrupted);
            }
        }
        Ok(())
    }

    /// The same as [`Self::log_in`] at any server of the family, whose lists may have other forms.
    fn come_online(&mut self, name: &str) -> Result<(), BenchError> {
        self.ask(&format!("{name}#{P2P_PORT}"), Expected::List).map(drop)
    }

    /// Has a payment settled, and returns what the server says to that, byte for byte.
    fn learn_answer(&mut self, payment: &str) -> Result<Vec<u8>, BenchError> {
        self.rest()?;
        let mut answer = self.ask(payment, Expected::Verdict)?;
        answer.extend(self.rest()?);
        Ok(answer)
    }

    /// What still comes: some servers fill their answers up with zeros.
    fn rest(&mut self) -> Result<Vec<u8>, BenchError> {
        let mut rest = Vec::new();
        while let Some(bytes) = self.hear(true)? {
            rest.extend(bytes);
        }
        Ok(rest)
    }

    /// Asks, and returns the bytes of the answer, which is no refusal.
    fn ask(&mut self, words: &str, expected: Expected) -> Result<Vec<u8>, BenchError> {
        let wanted = if expected == Expected::List { "a list" } else { "yes" };
        self.send(&request(words, self.line_end))?;
        let mut reader = ReplyReader::default();
        reader.expect(expected);
        let mut answer = Vec::new();
        loop {
            let (heard, is_whole) = match self.hear(reader.awaits_quiet())? {
                Some(bytes) => {
                    answer.extend_from_slice(&bytes);
                    let heard = reader.feed(&bytes);
                    (heard.map_err(|long| wrong(wanted, &long.to_string()))?, false)
                }
                None => (reader.quiet().into_iter().collect(), true),
            };
            for heard in heard {
                match heard {
                    Heard::Reply(ServerReply::Ok(_) | ServerReply::List(_))
                    | Heard::TransferResult { settled: true, .. } => return Ok(answer),
                    Heard::Reply(reply) => return Err(wrong(wanted, &format!("{reply:?}"))),
                    // A greeting, say.
                    Heard::Said(_) if !is_whole => answer.clear(),
                    other => return Err(wrong(wanted, &format!("{other:?}"))),
                }
            }
        }
    }

    /// What comes next; nothing if it is not waited for longer than [`QUIET`].
    fn hear(&mut self, until_quiet: bool) -> Result<Option<Vec<u8>>, BenchError> {
        let patience = if until_quiet { QUIET } else { ANSWER_TIME_MAX };
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(patience)).map_err(BenchError::Connection)?;
        let heard = self.stream.fill_buf().map(<[u8]>::to_vec);
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(BenchError::Connection)?;
        match heard {
            Ok(bytes) if bytes.is_empty() => {
                Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into()))
            }
            Ok(bytes) => {
                self.stream.consume(bytes.len());
                Ok(Some(bytes))
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                Err(BenchError::Connection(error))
            }
            Err(_) if until_quiet => Ok(None),
            Err(_) => Err(BenchError::Silent(ANSWER_TIME_MAX)),
        }
    }

    /// Comes online at Mite's own server, however many are; from then on the connection belongs to the account.
    pub(super) fn log_in(&mut self, name: &str, port: u16) -> Result<(), BenchError> {
        self.send(&request(&format!("{name}#{port}"), self.line_end))?;
        // Balance, the server's key, and how many lines follow.
        for _ in 0..2 {
            self.line()?;
        }
        let count = self.line()?;
        let Ok(count) = count.parse::<u32>() else {
            return Err(wrong("how many are online", &count));
        };
        (0..count).try_for_each(|_| self.line().map(drop))
    }

    /// Asks for the list, and returns how many bytes it has.
    pub(super) fn list(&mut self) -> Result<usize, BenchError> {
        self.send(&request("List", self.line_end))?;
        let head = [self.line()?, self.line()?, self.line()?];
        let Ok(count) = head[2].parse::<u32>() else {
            return Err(wrong("how many are online", &head[2]));
        };
        let mut bytes = head.iter().map(|line| line.len() + 1).sum();
        for _ in 0..count {
            bytes += self.stream.skip_until(b'\n').map_err(BenchError::Connection)?;
        }
        Ok(bytes)
    }

    /// The connection itself. All that was asked is answered.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.stream.get_mut().write_all(bytes).map_err(BenchError::Connection)
    }

    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(BenchError::Silent(ANSWER_TIME_MAX))
            }
            Err(error) => Err(BenchError::Connection(error)),
        }
    }
}

/// A request as it is sent.
pub(super) fn request(words: &str, line_end: LineEnd) -> Vec<u8> {
    let end: &[u8] = match line_end {
        LineEnd::Lf => b"\n",
        LineEnd::Nul => b"\0",
        LineEnd::None => b"",
    };
    [words.as_bytes(), end].concat()
}

/// What a connection asks, again and again, and what it must hear: lines of one length each.
#[derive(Clone, Debug)]
pub(super) struct Script {
    requests: Arc<[u8]>,
    request_bytes: usize,
    /// Whole answers, repeated.
    expected: Arc<[u8]>,
    answer_bytes: usize,
}

impl Script {
    /// Payments, each of which is settled and answered so.
    ///
    /// # Panics
    /// If they are not of one length, or there are none.
    pub(super) fn payments(requests: &[Vec<u8>], answer: &[u8]) -> Self {
        Self::new(requests, answer)
    }

    /// A request that is sent back as it is.
    pub(super) fn echo(request: &[u8]) -> Self {
        Self::new(&[request.to_vec()], request)
    }

    fn new(requests: &[Vec<u8>], answer: &[u8]) -> Self {
        let request_bytes = requests.first().map_or(0, Vec::len);
        assert!(requests.iter().all(|request| request.len() == request_bytes && request_bytes > 0));
        let repeated = EXPECTED_BYTES_MIN.div_ceil(answer.len());
        Self {
            requests: requests.concat().into(),
            request_bytes,
            expected: answer.repeat(repeated).into(),
            answer_bytes: answer.len(),
        }
    }
}

/// A connection that plays a script.
pub(super) struct TextLane {
    stream: TcpStream,
    script: Script,
    /// Where in the script the next byte to be sent stands, and how many are to be sent.
    at: usize,
    waiting: u64,
    /// How much of an answer has come.
    begun: usize,
    read: Vec<u8>,
}

impl TextLane {
    pub(super) fn new(stream: TcpStream, script: Script) -> Result<Self, BenchError> {
        stream.set_nodelay(true).map_err(BenchError::Connection)?;
        stream.set_nonblocking(true).map_err(BenchError::Connection)?;
        Ok(Self { stream, script, at: 0, waiting: 0, begun: 0, read: vec![0; READ_BYTES] })
    }
}

impl Connection for TextLane {
    fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn ask(&mut self, count: u64) -> Result<u64, BenchError> {
        self.waiting += count * self.script.request_bytes as u64;
        Ok(count)
    }

    fn flush(&mut self) -> Result<bool, BenchError> {
        while self.waiting > 0 {
            let rest = &self.script.requests[self.at..];
            let length = usize::try_from(self.waiting).unwrap_or(usize::MAX).min(rest.len());
            match self.stream.write(&rest[..length]) {
                Ok(taken) => {
                    self.waiting -= taken as u64;
                    self.at = (self.at + taken) % self.script.requests.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(BenchError::Connection(error)),
            }
        }
        Ok(true)
    }

    fn receive(&mut self) -> Result<u64, BenchError> {
        let length = match self.stream.read(&mut self.read) {
            Ok(0) => return Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into())),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(BenchError::Connection(error)),
        };
        let found = &self.read[..length];
        let answer_bytes = self.script.answer_bytes;
        if *found != self.script.expected[self.begun..self.begun + length] {
            let expected = &self.script.expected[..answer_bytes];
            return Err(wrong(&shown(expected), &shown(first_wrong(found, expected, self.begun))));
        }
        let answers = (self.begun + length) / answer_bytes;
        self.begun = (self.begun + length) % answer_bytes;
        Ok(answers as u64)
    }
}

/// From the line on that is not as it should be.
fn first_wrong<'a>(found: &'a [u8], expected: &[u8], begun: usize) -> &'a [u8] {
    let right = found.iter().zip(expected.iter().cycle().skip(begun));
    let at = right.take_while(|(found, expected)| found == expected).count();
    let line = found[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    &found[line..]
}

/// The first line of it.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()
}

fn wrong(expected: &str, found: &str) -> BenchError {
    BenchError::WrongAnswer { expected: expected.to_owned(), found: found.to_owned() }
}
