//! A connection of the secure protocol that carries load: calls are made as they are sent, and every answer
//! is decoded, since no two are alike.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use rustls::ClientConnection;
use wire::secure::{
    Answer, Call, Correlation, FrameReader, Limits, OrderAnswer, Request, ServerFrame, frame,
};
use wire::text::TextPayment;
use wire::{SignedOrder, Verdict};

use super::{SecureClient, SecureStream, handshake, refused};
use crate::bench::error::BenchError;
use crate::bench::load::Connection;

/// What one read takes at most: some records of TLS.
const READ_BYTES: usize = 64 << 10;
/// Bytes that wait to be sent, beyond which no more calls are made: what a socket holds, about.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What a lane pays with.
pub(in crate::bench) enum Payments {
    /// Payments by the text protocol's rules, one call each, again and again.
    Text {
        /// At least one.
        payments: Vec<TextPayment>,
        /// Which one is next.
        next: usize,
    },
    /// Signed orders, each once.
    Orders(VecDeque<SignedOrder>),
}

/// The connection.
pub(in crate::bench) struct SecureLane {
    stream: TcpStream,
    tls: Box<ClientConnection>,
    reader: FrameReader,
    limits: Limits,
    payments: Payments,
    asked: u64,
    /// How many payments each call holds that is under way. Calls of one kind are answered in order.
    under_way: VecDeque<(Correlation, usize)>,
    frame: Vec<u8>,
    read: Vec<u8>,
}

impl SecureLane {
    /// All that was asked before is answered.
    pub(in crate::bench) fn new(
        client: SecureClient,
        payments: Payments,
    ) -> Result<Self, BenchError> {
        let SecureClient { stream, limits, asked, .. } = client;
        let SecureStream { stream, mut tls, reader } = stream;
        stream.set_nonblocking(true).map_err(BenchError::Connection)?;
        // What is encrypted waits here until the socket has room; `ask` bounds it.
        tls.set_buffer_limit(None);
        Ok(Self {
            stream,
            tls,
            reader,
            limits,
            payments,
            asked,
            under_way: VecDeque::new(),
            frame: Vec::new(),
            read: vec![0; READ_BYTES],
        })
    }

    /// How many payments the server lets be under way on this connection at most.
    pub(in crate::bench) fn window_max(&self) -> u64 {
        let calls = u64::from(self.limits.calls_under_way_max);
        match &self.payments {
            Payments::Text { .. } => calls,
            Payments::Orders(_) => calls * u64::from(self.limits.orders_per_call_max),
        }
    }

    /// How many orders are left.
    pub(in crate::bench) fn orders_left(&self) -> usize {
        match &self.payments {
            Payments::Orders(orders) => orders.len(),
            Payments::Text { .. } => 0,
        }
    }

    /// Adds orders to pay with.
    pub(in crate::bench) fn supply(&mut self, orders: Vec<SignedOrder>) {
        if let Payments::Orders(waiting) = &mut self.payments {
            waiting.extend(orders);
        }
    }

    /// Makes a call of at most so many payments. Returns how many; 0 if there are none left.
    fn call(&mut self, count: u64) -> usize {
        let (call, count) = match &mut self.payments {
            Payments::Text { payments, next } => {
                let payment = payments[*next].clone();
                *next = (*next + 1) % payments.len();
                (Call::SubmitText { payment }, 1)
            }
            Payments::Orders(orders) => {
                let most = count.min(u64::from(self.limits.orders_per_call_max));
                let count = usize::try_from(most).unwrap_or(usize::MAX).min(orders.len());
                (Call::SubmitOrders { orders: orders.drain(..count).collect() }, count)
            }
        };
        if count > 0 {
            self.asked += 1;
            let correlation = Correlation(self.asked);
            self.under_way.push_back((correlation, count));
            frame::encode(&Request { correlation, call }, &mut self.frame);
        }
        count
    }

    /// Takes one frame. Returns how many payments it answers.
    fn take(&mut self, frame: ServerFrame) -> Result<usize, BenchError> {
        let response = match frame {
            ServerFrame::Response(response) => response,
            ServerFrame::Event(_) => return Ok(0),
            ServerFrame::Closing(problem) => return Err(refused("an answer", problem)),
        };
        // Answers come in any order, mostly in that of the calls.
        let is_asked =
            |(correlation, _): &(Correlation, usize)| *correlation == response.correlation;
        let asked = self.under_way.iter().position(is_asked);
        let Some((_, count)) = asked.and_then(|place| self.under_way.remove(place)) else {
            return Err(BenchError::Unasked(1));
        };
        match response.result {
            Ok(Answer::TextSettled) => Ok(1),
            Ok(Answer::Orders(answers)) if answers.len() == count => {
                answers.iter().try_for_each(check)?;
                Ok(count)
            }
            Ok(other) => Err(wrong("as many outcomes as payments", &other)),
            Err(problem) => Err(refused("payments that are settled", problem)),
        }
    }
}

impl Connection for SecureLane {
    fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn ask(&mut self, count: u64) -> Result<u64, BenchError> {
        let mut asked = 0;
        let calls_max = self.limits.calls_under_way_max as usize;
        while asked < count
            && self.under_way.len() < calls_max
            && self.frame.len() < WAITING_BYTES_MAX
        {
            match self.call(count - asked) {
                0 => break,
                called => asked += called as u64,
            }
        }
        self.tls.writer().write_all(&self.frame).map_err(BenchError::Connection)?;
        self.frame.clear();
        Ok(asked)
    }

    fn is_exhausted(&self) -> bool {
        matches!(&self.payments, Payments::Orders(orders) if orders.is_empty())
    }

    fn flush(&mut self) -> Result<bool, BenchError> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(BenchError::Connection(error)),
            }
        }
        Ok(true)
    }

    fn receive(&mut self) -> Result<u64, BenchError> {
        match self.tls.read_tls(&mut self.stream) {
            Ok(0) => return Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(BenchError::Connection(error)),
        }
        self.tls.process_new_packets().map_err(handshake)?;
        let mut answered = 0;
        loop {
            match self.tls.reader().read(&mut self.read) {
                Ok(0) => return Err(BenchError::Connection(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.reader.extend(&self.read[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answered),
                Err(error) => return Err(BenchError::Connection(error)),
            }
            while let Some(frame) = self.reader.next_frame()? {
                answered += self.take(frame)? as u64;
            }
        }
    }
}

fn check(answer: &OrderAnswer) -> Result<(), BenchError> {
    match answer {
        OrderAnswer::Decided { replayed: false, receipt }
            if receipt.verdict() == Some(Verdict::Settled) =>
        {
            Ok(())
        }
        other => Err(wrong("an order that is settled", other)),
    }
}

fn wrong(expected: &str, found: &dyn std::fmt::Debug) -> BenchError {
    BenchError::WrongAnswer { expected: expected.to_owned(), found: format!("{found:?}") }
}
