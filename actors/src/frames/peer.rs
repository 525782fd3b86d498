//! The other end of a link, played by a test.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;
use wire::secure::{FrameReader, frame};

/// Longer than any time-out of a link.
const CLOSES_WITHIN: Duration = Duration::from_secs(100);

/// The test's end of a link.
pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
    reader: FrameReader,
}

impl Peer {
    pub(crate) fn new(stream: DuplexStream) -> Self {
        Self { stream, reader: FrameReader::new() }
    }

    /// The next frame; `None` if the link has closed.
    pub(crate) async fn may_hear<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut bytes = [0; 1 << 10];
        loop {
            if let Some(frame) = self.reader.next_frame().expect("a frame") {
                return Some(frame);
            }
            match self.stream.read(&mut bytes).await.expect("a duplex stream does not break") {
                0 => return None,
                read => self.reader.extend(&bytes[..read]),
            }
        }
    }

    pub(crate) async fn hears<T: DeserializeOwned>(&mut self) -> T {
        self.may_hear().await.expect("the link is open")
    }

    pub(crate) async fn says<T: Serialize>(&mut self, value: &T) {
        self.stream.write_all(&framed(value)).await.expect("the link is open");
    }

    /// Asserts that the link closes without another word.
    pub(crate) async fn ends(mut self) {
        let mut rest = Vec::new();
        let closed = timeout(CLOSES_WITHIN, self.stream.read_to_end(&mut rest)).await;
        closed.expect("it closes in time").expect("a duplex stream does not break");
        assert_eq!(rest, b"");
    }
}

pub(crate) fn framed<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(value, &mut bytes);
    bytes
}
