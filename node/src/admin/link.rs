//! The connection to a running server's socket: one call after the other, each waited for.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::admin::{
    ADMIN_VERSION, AdminAnswer, AdminCall, AdminHello, AdminProblem, AdminReply, magic,
};
use wire::secure::{FrameError, FrameReader, frame};

use crate::server::admin::SOCKET_NAME;

/// How long the server may take for its hello, and for what it has only to look up or to write down.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// One read; most answers are shorter.
const READ_BYTES: usize = 16 << 10;

/// A connection, after both sides' hello.
pub(super) struct Link {
    stream: UnixStream,
    reader: FrameReader,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// No server takes connections there.
    #[error("{}", actors::reason::reason(.0))]
    Connect(io::Error),
    /// The connection broke; what was asked may or may not have been done.
    #[error("{}", actors::reason::reason(.0))]
    Broken(#[from] io::Error),
    /// The server ended it; what was asked may or may not have been done.
    #[error("the server has closed the connection")]
    Closed,
    /// The other side is no server of this kind.
    #[error(transparent)]
    Violation(#[from] FrameError),
    /// The server is of another version.
    #[error("the server speaks version {0} of the admin protocol, this program {ADMIN_VERSION}")]
    OtherVersion(u16),
    /// The answer is one to another call.
    #[error("the server has answered something else")]
    OtherAnswer,
    /// The server says no.
    #[error(transparent)]
    Problem(AdminProblem),
}

impl Link {
    /// Connects to the server that runs on this data directory.
    pub(super) fn connect(data_dir: &Path) -> Result<Self, LinkError> {
        let stream = UnixStream::connect(data_dir.join(SOCKET_NAME)).map_err(LinkError::Connect)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        let mut link = Self { stream, reader: FrameReader::new() };
        link.say(&AdminHello::new(magic::OPERATOR))?;
        let hello: AdminHello = link.hear()?;
        if hello != AdminHello::new(magic::SERVER) {
            return Err(LinkError::OtherVersion(hello.version));
        }
        Ok(link)
    }

    /// Asks, and waits for the answer: as long as it takes if the whole ledger has to be read or written.
    pub(super) fn ask(&mut self, call: &AdminCall) -> Result<AdminAnswer, LinkError> {
        let long =
            matches!(call, AdminCall::Snapshot | AdminCall::Verify | AdminCall::Backup { .. });
        self.stream.set_read_timeout((!long).then_some(ANSWER_TIME_MAX))?;
        self.say(call)?;
        self.hear::<AdminReply>()?.map_err(LinkError::Problem)
    }

    /// Waits until the server's process has ended, which closes the connection.
    pub(super) fn wait_for_end(&mut self) -> Result<(), LinkError> {
        self.stream.set_read_timeout(None)?;
        match self.hear::<AdminReply>() {
            Err(LinkError::Closed) => Ok(()),
            Err(LinkError::Broken(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => Err(LinkError::OtherAnswer),
        }
    }

    fn say<T: Serialize>(&mut self, value: &T) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        frame::encode(value, &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, LinkError> {
        let mut read = [0; READ_BYTES];
        loop {
            if let Some(value) = self.reader.next_frame()? {
                return Ok(value);
            }
            match self.stream.read(&mut read)? {
                0 => return Err(LinkError::Closed),
                count => self.reader.extend(&read[..count]),
            }
        }
    }
}
