//! A listener that plays a server or a payee: the test says what each connection does.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::process::PATIENCE;
use crate::text::Connection;

/// Takes connections on a free port of the loopback interface.
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl Listener {
    /// Listens from now on.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (sender, accepted) = channel();
        // It sits in `accept` until the tests end; nobody waits for it.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, accepted }
    }

    /// The next connection.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`].
    pub fn accept(&self) -> Connection {
        Connection::from_stream(self.accept_stream())
    }

    /// The next connection as it is.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`].
    pub fn accept_stream(&self) -> TcpStream {
        self.accepted.recv_timeout(PATIENCE).expect("somebody connects")
    }

    /// Expects that nobody connects for a while.
    ///
    /// # Panics
    /// If somebody does.
    pub fn expect_nobody(&self, while_: Duration) {
        let came = self.accepted.recv_timeout(while_);
        assert!(matches!(came, Err(RecvTimeoutError::Timeout)), "nobody, not {came:?}");
    }
}

/// Says this line to whoever has connected, in whatever protocol, and returns all that comes until
/// the connection's end.
///
/// # Panics
/// If it does not end within [`PATIENCE`].
pub fn answer_in_text(mut stream: TcpStream, line: &str) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    writeln!(stream, "{line}").expect("the other side reads");
    let mut sent = Vec::new();
    match stream.read_to_end(&mut sent) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("no end: {error}"),
        _ => sent,
    }
}

/// An address of the loopback interface where nobody listens.
///
/// # Panics
/// If there is no free port.
pub fn closed_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound")
}
