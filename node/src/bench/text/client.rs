//! A connection on which one thing is asked after the other.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memchr_iter;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::text::reader::{Expected, Heard, ReplyReader, ServerReply};

use super::{P2P_PORT, request, wrong};
use crate::bench::error::BenchError;
use crate::bench::load::Watch;
use crate::config::LineEnd;

/// What one read takes at most: of a long list, as much as the server writes at once.
const READ_BYTES: usize = 64 << 10;
/// How long an answer may take while accounts are opened.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long nothing must come for an answer to be whole that does not show its end.
const QUIET: Duration = Duration::from_millis(100);

/// A connection on which one thing is asked after the other.
pub(in crate::bench) struct TextClient {
    stream: BufReader<TcpStream>,
    line_end: LineEnd,
}

impl TextClient {
    pub(in crate::bench) fn connect(
        address: SocketAddr,
        line_end: LineEnd,
    ) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address)
            .map_err(|source| BenchError::Unreachable { address, source })?;
        stream.set_nodelay(true).map_err(BenchError::Connection)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(BenchError::Connection)?;
        Ok(Self { stream: BufReader::with_capacity(READ_BYTES, stream), line_end })
    }

    /// Opens these accounts.
    pub(in crate::bench) fn register(
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
    pub(in crate::bench) fn come_online(&mut self, name: &str) -> Result<(), BenchError> {
        self.ask(&format!("{name}#{P2P_PORT}"), Expected::List).map(drop)
    }

    /// Has a payment settled that another connection's account makes, and returns what the server says to
    /// that, byte for byte, and whether it says it to the other connection: in one dialect it does.
    pub(in crate::bench) fn learn_answer(
        &mut self,
        payment: &str,
        other: &mut Self,
    ) -> Result<(Vec<u8>, bool), BenchError> {
        self.rest()?;
        other.rest()?;
        self.send(&request(payment, self.line_end))?;
        let by_other = !self.is_first(other)?;
        let client = if by_other { other } else { self };
        let mut answer = client.answer(Expected::Verdict)?;
        answer.extend(client.rest()?);
        Ok((answer, by_other))
    }

    /// Waits until one of two connections has something to say, of which nothing is read yet.
    fn is_first(&self, other: &Self) -> Result<bool, BenchError> {
        let patience = Timespec::try_from(ANSWER_TIME_MAX).expect("it is less than a minute");
        let mut both =
            [self, other].map(|client| PollFd::new(client.stream.get_ref(), PollFlags::IN));
        match poll(&mut both, Some(&patience)) {
            Ok(0) => Err(BenchError::Silent(ANSWER_TIME_MAX)),
            Ok(_) => Ok(!both[0].revents().is_empty()),
            Err(error) => Err(BenchError::Connection(error.into())),
        }
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
        self.send(&request(words, self.line_end))?;
        self.answer(expected)
    }

    /// The bytes of the answer that comes, which is no refusal.
    fn answer(&mut self, expected: Expected) -> Result<Vec<u8>, BenchError> {
        let wanted = if expected == Expected::List { "a list" } else { "yes" };
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

    /// Comes online at Mite's own server, however many are; from then on the connection belongs to the
    /// account.
    pub(in crate::bench) fn log_in(&mut self, name: &str, port: u16) -> Result<(), BenchError> {
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
    pub(in crate::bench) fn list(&mut self) -> Result<usize, BenchError> {
        self.send(&request("List", self.line_end))?;
        let head = [self.line()?, self.line()?, self.line()?];
        let Ok(count) = head[2].parse::<u32>() else {
            return Err(wrong("how many are online", &head[2]));
        };
        let mut bytes = head.iter().map(|line| line.len() + 1).sum();
        let mut left = count as usize;
        while left > 0 {
            let read = self.stream.fill_buf().map_err(BenchError::Connection)?;
            let (length, lines) = (read.len(), memchr_iter(b'\n', read).count());
            self.stream.consume(length);
            bytes += length;
            left = match left.checked_sub(lines) {
                Some(left) if length > 0 => left,
                Some(_) => return Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into())),
                None => return Err(wrong(&format!("{count} lines"), "more of them")),
            };
        }
        Ok(bytes)
    }

    /// The connection itself. All that was asked is answered.
    pub(in crate::bench) fn into_stream(self) -> TcpStream {
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
