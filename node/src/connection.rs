//! Connections that were taken in, of the server and of a client's peers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actors::limits::Place;
use slog::{Logger, warn};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

use crate::error::Error;

/// A peer that is gone without a word is noticed after a minute of silence and three probes.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// What the system keeps for a peer in either direction (it doubles this for its own books): four reads and
/// writes, and enough for 2.5 MB a second at 100 ms. Left to itself it makes that megabytes, which is what
/// somebody who never reads would have the server work out at once.
const SOCKET_BYTES: usize = 256 << 10;

/// File descriptors that are not admitted connections: journal, snapshots, log, event queues, and
/// those that are being turned away.
const OTHER_FILES: u64 = 64;

/// Listens there, on any free port if it is 0. Says where that is.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let cannot_listen = |source| Error::listen(address, source);
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    Ok((listener, address))
}

/// Lets this process open as many files as it may. Returns how many of these connections may be open
/// at once with that, at least 1: the journal must never go without a file for their sake.
pub(crate) fn raise_file_limit(connections: u32, log: &Logger) -> u32 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now =
        if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let possible = places(connections, now);
    if possible < connections {
        warn!(log, "the system allows too few open files for so many connections, \
            raise it with ulimit -n"; "files" => now, "connections" => connections,
            "possible" => possible);
    }
    possible
}

/// As many of these connections as fit in so many files; without a limit, all of them.
fn places(connections: u32, files: Option<u64>) -> u32 {
    let room = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
    connections.min(u32::try_from(room).unwrap_or(u32::MAX))
}

/// A TCP stream that keeps its place until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    _place: ConnectionPlace,
}

/// One of the places that there are, and one of those that the peer's address may have if that is
/// counted.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place<IpAddr>>,
}

impl ConnectionPlace {
    /// Both of them.
    pub(crate) const fn new(of_all: OwnedSemaphorePermit, of_address: Place<IpAddr>) -> Self {
        Self { _of_all: of_all, _of_address: Some(of_address) }
    }
}

impl From<OwnedSemaphorePermit> for ConnectionPlace {
    fn from(of_all: OwnedSemaphorePermit) -> Self {
        Self { _of_all: of_all, _of_address: None }
    }
}

impl Connection {
    /// A connection that was taken in. Small answers leave at once, a peer that is gone without
    /// a word is noticed, and what the system keeps for one that does not read is bounded.
    pub(crate) fn new(stream: TcpStream, place: impl Into<ConnectionPlace>) -> Self {
        // A socket that takes no options is on its way out: the first read will say so.
        let _ = tune(&stream);
        Self { stream, _place: place.into() }
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SOCKET_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BYTES)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_journal() {
        for (connections, files, expected) in [
            (10_000, None, 10_000),
            (10_000, Some(u64::MAX), 10_000),
            (10_000, Some(10_064), 10_000),
            (10_000, Some(10_063), 9_999),
            (10_000, Some(128), 64),
            (10, Some(128), 10),
            (10, Some(65), 1),
            (10, Some(64), 1),
            (10, Some(0), 1),
        ] {
            assert_eq!(places(connections, files), expected, "{connections} {files:?}");
        }
    }

    /// By itself the system lets a peer that never reads have megabytes in either direction.
    #[tokio::test]
    async fn what_the_system_keeps_for_a_peer_is_bounded() {
        let (listener, address) = listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let _peer = TcpStream::connect(address).await.expect("it listens");
        let (stream, _) = listener.accept().await.expect("somebody came");
        tune(&stream).expect("a live socket");
        // A peer that reads nothing takes what its own side keeps besides.
        let mut taken = 0;
        while let Ok(count) = stream.try_write(&[0; 16 << 10]) {
            taken += count;
            assert!(taken < 32 * SOCKET_BYTES, "{taken} bytes and no end");
        }
        let socket = SockRef::from(&stream);
        let kept = [socket.send_buffer_size(), socket.recv_buffer_size()];
        assert!(
            kept.map(|bytes| bytes.expect("an option"))
                .iter()
                .all(|bytes| *bytes <= 2 * SOCKET_BYTES)
        );
    }
}
