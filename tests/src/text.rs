//! A connection that sends and expects exact bytes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::process::PATIENCE;

/// A plain connection, of a client to the server or between two clients.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody takes the connection within [`PATIENCE`].
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
        Self::from_stream(stream)
    }

    /// Connects with the smallest window that the system allows: what this side does not read soon
    /// fills the buffers of the other.
    ///
    /// # Panics
    /// If nobody takes the connection.
    pub fn open_with_small_window(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("the system has sockets");
        socket.set_recv_buffer_size(1).expect("a live socket");
        socket.connect(&address.into()).expect("somebody listens");
        Self::from_stream(socket.into())
    }

    /// Makes a connection of an accepted stream.
    ///
    /// # Panics
    /// If the stream is dead already.
    pub fn from_stream(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a live socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
        Self { stream, read: Vec::new() }
    }

    /// The bare stream, for whoever does not read as others do.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Registers and logs in, with requests that end in LF, and returns the list.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn log_in(address: SocketAddr, name: &str, port: u16) -> Self {
        let mut connection = Self::open(address);
        connection.register_and_log_in(name, port);
        connection
    }

    /// The same on a connection that is open.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn register_and_log_in(&mut self, name: &str, port: u16) {
        self.ask(&format!("REGISTER#{name}\n"), "100 OK\n");
        self.send(format!("{name}#{port}\n"));
        self.list();
    }

    /// Sends bytes in one write.
    ///
    /// # Panics
    /// If the other side is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the other side is there");
    }

    /// Sends bytes in several segments, with a pause after each but the last for it to arrive
    /// alone.
    ///
    /// # Panics
    /// If the other side is gone.
    pub fn send_torn<'a>(&mut self, segments: impl IntoIterator<Item = &'a [u8]>, pause: Duration) {
        for (index, segment) in segments.into_iter().enumerate() {
            if index > 0 {
                thread::sleep(pause);
            }
            self.send(segment);
        }
    }

    /// Sends bytes until they are all sent, or the other side takes no more for a `stall`, or is
    /// gone. How many were taken.
    ///
    /// # Panics
    /// If the system fails in another way.
    pub fn send_until_stalled(&mut self, bytes: &[u8], stall: Duration) -> usize {
        self.stream.set_write_timeout(Some(stall)).expect("a live socket");
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock
                    | ErrorKind::TimedOut
                    | ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionReset => break,
                    _ => panic!("{error}"),
                },
            }
        }
        sent
    }

    /// Sends a request and expects exactly this reply.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    pub fn ask(&mut self, request: &str, reply: &str) {
        self.send(request);
        self.expect(reply);
    }

    /// Expects exactly these bytes next.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        let got = self.take(expected.len());
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
    }

    /// The next message of a Mite client, without the NUL that ends it.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn message(&mut self) -> String {
        self.up_to(0)
    }

    /// Answers every `List` of a Mite client with this list, and its `Exit`, on a thread of its
    /// own, until the client leaves.
    ///
    /// # Panics
    /// On that thread, if the client asks for something else.
    pub fn answer_lists(mut self, list: String) {
        thread::spawn(move || {
            while self.fill() {
                let asked = std::mem::take(&mut self.read);
                for message in asked.split_inclusive(|byte| *byte == 0) {
                    match message {
                        b"Exit\0" => return self.send("Bye\n"),
                        asked => assert_eq!(String::from_utf8_lossy(asked), "List\0"),
                    }
                    self.send(&list);
                }
            }
        });
    }

    /// The next line, without its LF.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.up_to(b'\n')
    }

    /// Everything that comes until the other side closes.
    ///
    /// # Panics
    /// If it does not close within [`PATIENCE`].
    #[track_caller]
    pub fn rest(&mut self) -> String {
        while self.fill() {}
        String::from_utf8(std::mem::take(&mut self.read)).expect("replies are text")
    }

    /// What one read yields.
    ///
    /// # Panics
    /// If nothing comes, or something was read before and not expected.
    #[track_caller]
    pub fn read_once(&mut self) -> String {
        assert!(self.read.is_empty(), "{:?}", String::from_utf8_lossy(&self.read));
        assert!(self.fill(), "the other side closed");
        String::from_utf8(std::mem::take(&mut self.read)).expect("replies are text")
    }

    /// Reads a list: the balance and the lines of who is online.
    ///
    /// # Panics
    /// If something else comes.
    #[track_caller]
    pub fn list(&mut self) -> (u64, Vec<String>) {
        let balance = self.line();
        let balance = balance.parse().unwrap_or_else(|_| panic!("a balance, not {balance:?}"));
        let key = self.line();
        assert!(!key.contains('#') && !key.is_empty(), "a key, not {key:?}");
        let count: usize = self.line().parse().expect("a count");
        (balance, (0..count).map(|_| self.line()).collect())
    }

    /// The balance, asked for with a `List` that ends in LF.
    ///
    /// # Panics
    /// If something else comes.
    #[track_caller]
    pub fn balance(&mut self) -> u64 {
        self.send("List\n");
        self.list().0
    }

    /// Expects the other side to close, with nothing more to read.
    ///
    /// # Panics
    /// If bytes come, or the connection stays open.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let more = self.fill();
        let bytes = String::from_utf8_lossy(&self.read);
        assert!(!more, "bytes where the end was expected: {bytes:?}");
        assert!(self.read.is_empty(), "{:?}", String::from_utf8_lossy(&self.read));
    }

    /// Expects that nothing comes for a while, and the connection stays open.
    ///
    /// # Panics
    /// If anything comes.
    #[track_caller]
    pub fn expect_silence(&mut self, while_: Duration) {
        assert!(self.read.is_empty(), "{:?}", String::from_utf8_lossy(&self.read));
        self.stream.set_read_timeout(Some(while_)).expect("a live socket");
        let mut bytes = [0; 256];
        match self.stream.read(&mut bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            other => panic!("silence, not {other:?} {:?}", String::from_utf8_lossy(&bytes)),
        }
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    }

    /// Sends no more, but still reads.
    ///
    /// # Panics
    /// If the connection is dead.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a live socket");
    }

    /// Ends the connection with a reset, as a program that crashed or a cable that was cut.
    ///
    /// # Panics
    /// If the connection is dead.
    pub fn reset(self) {
        let at_once = Some(Duration::ZERO);
        SockRef::from(&self.stream).set_linger(at_once).expect("a live socket");
    }

    #[track_caller]
    fn up_to(&mut self, last: u8) -> String {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == last) {
                let line: Vec<u8> = self.read.drain(..=end).take(end).collect();
                return String::from_utf8(line).expect("what is said is text");
            }
            let read = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.fill(), "the other side closed before a whole line: {read:?}");
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            if !self.fill() {
                return std::mem::take(&mut self.read);
            }
        }
        self.read.drain(..length).collect()
    }

    /// Reads what is there. Whether there was anything before the end.
    fn fill(&mut self) -> bool {
        let mut bytes = vec![0; 64 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(length) => {
                self.read.extend_from_slice(&bytes[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no bytes within {PATIENCE:?}: {error}"),
        }
    }
}

/// A plain connection from another address of this machine, all of 127/8.
///
/// # Panics
/// If nobody listens there.
pub fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("the system has sockets");
    let from = SocketAddr::from((from, 0));
    socket.bind(&from.into()).expect("all of 127/8 is this machine");
    socket.connect(&to.into()).expect("somebody listens");
    socket.into()
}
