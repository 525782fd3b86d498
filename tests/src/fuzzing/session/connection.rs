//! The client's side of a connection of either protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::yield_now;
use tokio::time::timeout;
use wire::secure::hello::magic;
use wire::secure::{
    Answer, Call, Correlation, Event, FrameReader, Hello, Problem, Request, ServerFrame, Welcome,
    frame,
};

use crate::fuzzing::cuts::segments;

/// Longer than any answer takes, on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back: the answers, by the numbers of the calls.
pub(super) type Answers = BTreeMap<u64, Result<Answer, Problem>>;

/// A connection of the secure protocol.
pub(super) struct Secure {
    stream: DuplexStream,
    frames: FrameReader,
    correlation: u64,
    pub(super) events: Vec<Event>,
}

impl Secure {
    /// Says hello. Returns what the server says.
    pub(super) async fn greet(stream: DuplexStream) -> (Self, Result<Welcome, Problem>) {
        let frames = FrameReader::new();
        let mut connection = Self { stream, frames, correlation: 0, events: Vec::new() };
        let mut hello = Vec::new();
        frame::encode(&Hello::new(magic::CLIENT), &mut hello);
        connection.send(&hello, 3).await;
        let welcome = connection.next().await.expect("a welcome, or none");
        (connection, welcome)
    }

    /// Asks all of these at once, and waits until each is answered. The answers are numbered as the calls,
    /// from 0.
    pub(super) async fn ask(&mut self, calls: Vec<Call>, cut: u8) -> Answers {
        let first = self.correlation;
        let mut bytes = Vec::new();
        let count = calls.len();
        for call in calls {
            let correlation = Correlation(self.correlation);
            frame::encode(&Request { correlation, call }, &mut bytes);
            self.correlation += 1;
        }
        self.send(&bytes, cut).await;
        let mut answers = Answers::new();
        while answers.len() < count {
            match self.next().await.expect("the server does not hang up on a question") {
                ServerFrame::Closing(problem) => panic!("closed, not answered: {problem}"),
                ServerFrame::Event(event) => self.events.push(event),
                ServerFrame::Response(response) => {
                    let Correlation(number) = response.correlation;
                    let number = number.checked_sub(first).expect("an answer to what is asked");
                    let before = answers.insert(number, response.result);
                    assert_eq!(before, None, "a second answer");
                }
            }
        }
        answers
    }

    /// Sends bytes that are no frame.
    pub(super) async fn violate(&mut self) -> Option<Problem> {
        self.send(&[0xFF; 9], 3).await;
        loop {
            match self.next().await? {
                ServerFrame::Closing(problem) => return Some(problem),
                ServerFrame::Event(event) => self.events.push(event),
                ServerFrame::Response(response) => panic!("{response:?}"),
            }
        }
    }

    /// Waits until the server has hung up.
    pub(super) async fn ended(&mut self) {
        while let Some(frame) = self.next().await {
            let ServerFrame::Event(event) = frame else { panic!("{frame:?}") };
            self.events.push(event);
        }
    }

    async fn send(&mut self, bytes: &[u8], cut: u8) {
        for segment in segments(bytes, cut) {
            // A server that has hung up says why, or has said it.
            let _ = self.stream.write_all(segment).await;
            yield_now().await;
        }
    }

    /// The next frame; `None` at the end.
    async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            if let Some(frame) = self.frames.next_frame().expect("the server speaks the protocol") {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            match read.expect("the server answers").expect("memory does not fail") {
                0 => {
                    assert!(self.frames.is_empty(), "half a frame");
                    return None;
                }
                read => self.frames.extend(&bytes[..read]),
            }
        }
    }
}

/// A connection of the text protocol.
pub(super) struct Text {
    stream: DuplexStream,
    read: Vec<u8>,
}

impl Text {
    pub(super) const fn new(stream: DuplexStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: &[u8], cut: u8) {
        for segment in segments(bytes, cut) {
            // Behind a farewell, nobody may listen.
            let _ = self.stream.write_all(segment).await;
            yield_now().await;
        }
    }

    /// The next line, without its end; `None` at the end.
    pub(super) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.drain(..=end).take(end).collect();
                return Some(String::from_utf8(line).expect("a line of text"));
            }
            let mut bytes = [0; 4096];
            let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            match read.expect("the server answers").expect("memory does not fail") {
                0 => {
                    assert!(self.read.is_empty(), "half a line");
                    return None;
                }
                read => self.read.extend(&bytes[..read]),
            }
        }
    }
}
