//! Whether a connection begins with TLS or with text: its first byte says so, and is not taken.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a first byte is waited for. A TLS client sends at once, so this is a round trip on the
/// slowest of connections, with time for lost packets.
pub const FIRST_BYTE_TIME_MAX: Duration = Duration::from_secs(10);

/// The type of a TLS record that holds a handshake message (RFC 8446, section 5.1). A control
/// character: no request of the text protocol begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstByte {
    /// A TLS handshake.
    Tls,
    /// Anything else.
    Text,
}

/// Why there is no first byte.
#[derive(Debug, thiserror::Error)]
pub enum NoFirstByte {
    /// Nothing has come within [`FIRST_BYTE_TIME_MAX`].
    #[error("the peer is silent")]
    Silent,
    /// The peer has closed its side without a word.
    #[error("the peer has closed the connection")]
    Closed,
    /// The connection failed.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
}

/// A connection whose first bytes can be looked at.
pub trait Peek {
    /// Reads what has come into `bytes`, once anything has, and leaves it in the stream. Says how much it is.
    ///
    /// # Errors
    /// What the network says.
    fn peek(&mut self, bytes: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
}

impl Peek for TcpStream {
    fn peek(&mut self, bytes: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        Self::peek(self, bytes)
    }
}

/// Looks at the first byte and leaves it in the stream for whoever reads next.
///
/// # Errors
/// [`NoFirstByte`] if there is none. After [`NoFirstByte::Silent`] the connection is as it was.
pub async fn first_byte(stream: &mut impl Peek) -> Result<FirstByte, NoFirstByte> {
    let mut byte = [0];
    match timeout(FIRST_BYTE_TIME_MAX, stream.peek(&mut byte)).await {
        Err(_) => Err(NoFirstByte::Silent),
        Ok(Err(error)) => Err(NoFirstByte::Io(error)),
        Ok(Ok(0)) => Err(NoFirstByte::Closed),
        Ok(Ok(_)) if byte == [TLS_HANDSHAKE] => Ok(FirstByte::Tls),
        Ok(Ok(_)) => Ok(FirstByte::Text),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let near = TcpStream::connect(address).await.expect("it listens");
        (near, listener.accept().await.expect("somebody connects").0)
    }

    #[tokio::test]
    async fn one_byte_tells_and_nothing_is_taken() {
        for (bytes, expected) in [
            (&b"\x16\x03\x01"[..], FirstByte::Tls),
            (b"\x16", FirstByte::Tls),
            (b"\x15\x03\x01", FirstByte::Text),
            (b"List\n", FirstByte::Text),
            (b"\n", FirstByte::Text),
            (b"\0", FirstByte::Text),
            (b"\x80\x16", FirstByte::Text),
        ] {
            let (mut peer, mut stream) = pair().await;
            peer.write_all(bytes).await.expect("sent");
            assert_eq!(first_byte(&mut stream).await.expect("a byte"), expected, "{bytes:?}");
            drop(peer);
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.expect("all of it");
            assert_eq!(read, bytes);
        }
    }

    #[tokio::test]
    async fn who_hangs_up_without_a_word_has_closed() {
        let (peer, mut stream) = pair().await;
        drop(peer);
        assert!(matches!(first_byte(&mut stream).await, Err(NoFirstByte::Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_after_its_time_and_not_before() {
        let (mut peer, mut stream) = pair().await;
        let start = tokio::time::Instant::now();
        assert!(matches!(first_byte(&mut stream).await, Err(NoFirstByte::Silent)));
        assert_eq!(start.elapsed().as_secs(), FIRST_BYTE_TIME_MAX.as_secs());
        // It can still be read from.
        peer.write_all(b"L").await.expect("sent");
        tokio::time::resume();
        assert_eq!(first_byte(&mut stream).await.expect("a byte"), FirstByte::Text);
    }
}
