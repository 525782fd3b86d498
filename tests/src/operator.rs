//! An operator: the program with one command, and the admin protocol frame by frame.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use wire::admin::{AdminCall, AdminHello, AdminReply, magic};
use wire::secure::{FrameReader, frame};

use crate::process::{Ended, PATIENCE, Program};

/// The socket's name in a server's data directory.
pub const SOCKET: &str = "admin.sock";

/// What the program answers to one command, such as `["deposit", "alice", "5"]`.
///
/// # Panics
/// If it does not end within [`PATIENCE`].
pub fn admin(binary: &str, data: &Path, words: &[&str]) -> Ended {
    start(binary, data, words).wait()
}

/// Starts the program with one command.
///
/// # Panics
/// If it cannot be started.
pub fn start(binary: &str, data: &Path, words: &[&str]) -> Program {
    let data = data.to_str().expect("temporary paths are text");
    let mut args = vec!["--role", "admin", "--data", data];
    args.extend(words);
    Program::start(binary, args)
}

/// The JSON that the program answers to one command.
///
/// # Panics
/// If it fails, or says something else.
pub fn admin_json(binary: &str, data: &Path, words: &[&str]) -> Value {
    let ended = admin(binary, data, &[words, &["--json"]].concat());
    assert!(ended.status.success(), "{ended:?}");
    let [line] = &ended.stdout[..] else { panic!("one line: {ended:?}") };
    serde_json::from_str(line).expect("JSON")
}

/// A connection to a server's socket.
pub struct Operator {
    stream: UnixStream,
    reader: FrameReader,
}

impl Operator {
    /// Connects and says hello.
    ///
    /// # Panics
    /// If the server does not answer within [`PATIENCE`].
    pub fn connect(data: &Path) -> Self {
        let mut operator = Self::open(data);
        operator.say(&AdminHello::new(magic::OPERATOR));
        let hello: AdminHello = operator.hear().expect("a hello");
        assert_eq!(hello, AdminHello::new(magic::SERVER));
        operator
    }

    /// Connects and says nothing.
    ///
    /// # Panics
    /// If nobody takes the connection.
    pub fn open(data: &Path) -> Self {
        let stream = UnixStream::connect(data.join(SOCKET)).expect("a server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
        Self { stream, reader: FrameReader::new() }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the server says.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`].
    pub fn call(&mut self, call: &AdminCall) -> AdminReply {
        self.say(call);
        self.hear().expect("an answer")
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// If the server is gone.
    pub fn say<T: serde::Serialize>(&mut self, value: &T) {
        let mut bytes = Vec::new();
        frame::encode(value, &mut bytes);
        self.send(&bytes);
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the server is gone.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server is there");
    }

    /// The next frame.
    ///
    /// # Errors
    /// If the connection ends before.
    ///
    /// # Panics
    /// If it is not what the protocol says, or does not come within [`PATIENCE`].
    pub fn hear<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut read = [0; 4096];
        loop {
            if let Some(value) = self.reader.next_frame().expect("a frame") {
                return Ok(value);
            }
            match self.stream.read(&mut read) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.reader.extend(&read[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("no answer within {PATIENCE:?}")
                }
                Err(error) => return Err(error),
            }
        }
    }
}
