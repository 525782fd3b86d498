//! A connection that plays a script.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use super::wrong;
use crate::bench::error::BenchError;
use crate::bench::load::Connection;

/// What one read takes at most.
const READ_BYTES: usize = 64 << 10;
/// Answers are compared with so many bytes of right ones at a time.
const EXPECTED_BYTES_MIN: usize = 2 * READ_BYTES;

/// What a connection asks, again and again, and what it must hear: lines of one length each.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Script {
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
    pub(in crate::bench) fn payments(requests: &[Vec<u8>], answer: &[u8]) -> Self {
        Self::new(requests, answer)
    }

    /// A request that is sent back as it is.
    pub(in crate::bench) fn echo(request: &[u8]) -> Self {
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
pub(in crate::bench) struct TextLane {
    /// What answers come on.
    stream: TcpStream,
    /// What requests go out on, if that is another one.
    asking: Option<TcpStream>,
    script: Script,
    /// Where in the script the next byte to be sent stands, and how many are to be sent.
    at: usize,
    waiting: u64,
    /// How much of an answer has come.
    begun: usize,
    read: Vec<u8>,
}

impl TextLane {
    pub(in crate::bench) fn new(stream: TcpStream, script: Script) -> Result<Self, BenchError> {
        stream.set_nodelay(true).map_err(BenchError::Connection)?;
        stream.set_nonblocking(true).map_err(BenchError::Connection)?;
        let read = vec![0; READ_BYTES];
        Ok(Self { stream, asking: None, script, at: 0, waiting: 0, begun: 0, read })
    }

    /// Requests go out on one connection, and the server answers on another.
    ///
    /// If the first has no room for requests, [`Connection::stream`] does not tell when it has: the load
    /// looks again and again then.
    pub(in crate::bench) fn answered_on(
        stream: TcpStream,
        asking: TcpStream,
        script: Script,
    ) -> Result<Self, BenchError> {
        asking.set_nodelay(true).map_err(BenchError::Connection)?;
        asking.set_nonblocking(true).map_err(BenchError::Connection)?;
        Ok(Self { asking: Some(asking), ..Self::new(stream, script)? })
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
            match self.asking.as_mut().unwrap_or(&mut self.stream).write(&rest[..length]) {
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
