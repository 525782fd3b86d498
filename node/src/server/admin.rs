//! The server's side of the admin protocol: the socket in the data directory, and what only the server
//! as a whole can answer.

mod files;
mod host;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::Actor as _;
use actors::admin::{AdminPeers, AdminSession};
use slog::{Logger, info, warn};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wire::admin::{AdminHello, AdminProblem, AdminReply, magic};
use wire::secure::frame;

pub(super) use self::host::{Host, HostSettings};

/// The socket's name in the data directory.
pub(crate) const SOCKET_NAME: &str = "admin.sock";

/// Connections of operators at once. One is a person at a terminal, or a script; with as many, the next
/// one is told so and closed.
const CONNECTIONS_MAX: usize = 8;

/// Those that may be told so at once, and how long each may take to read it; others are only closed.
const REFUSALS_MAX: usize = 8;
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);

/// Connections that wait to be taken: as many as are taken.
const BACKLOG: i32 = 8;

/// How long to wait when the system has no file for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that operators connect to. Dropped, it takes nobody any more, and its file is removed.
pub(super) struct AdminSocket {
    path: PathBuf,
    serving: JoinHandle<()>,
}

impl AdminSocket {
    /// Takes operators' connections at [`SOCKET_NAME`] in the data directory, which must be locked by this
    /// process: what stands there is left over from one that has ended.
    pub(super) fn open(data_dir: &Path, peers: AdminPeers, log: &Logger) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_NAME);
        let listener = bind(&path)?;
        let log = log.clone();
        let serving = actix::spawn(serve(listener, peers, log));
        Ok(Self { path, serving })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        self.serving.abort();
        // One that stays behind is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("there is a file of this name that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before it listens.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(
        socket,
    )))
}

async fn serve(listener: UnixListener, peers: AdminPeers, log: Logger) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(log, "no operator can be taken in"; "error" => %error);
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match (may_operate(&stream), Arc::clone(&places).try_acquire_owned()) {
            (Ok(uid), Ok(place)) => {
                info!(log, "an operator has connected"; "uid" => uid);
                AdminSession::new(stream, peers.clone(), place, &log).start();
            }
            (Err(why), _) => warn!(log, "an operator is turned away"; "why" => %why),
            (Ok(_), Err(_)) => {
                warn!(log, "an operator is turned away"; "why" => "too many are connected");
                if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
                    actix::spawn(async {
                        // Whoever does not read it in time did not want to.
                        let _ = timeout(REFUSAL_TIME_MAX, turn_away(stream)).await;
                        drop(refusal);
                    });
                }
            }
        }
    }
}

/// Says that too many are connected, as the answer to whatever is asked, and waits until the other side has read it.
async fn turn_away(mut stream: UnixStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame::encode(&AdminHello::new(magic::SERVER), &mut bytes);
    frame::encode(&AdminReply::Err(AdminProblem::Busy), &mut bytes);
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Whether the other side is the server's own user, or root: the system's word, not the peer's.
fn may_operate(stream: &UnixStream) -> io::Result<u32> {
    let uid = stream.peer_cred()?.uid();
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        return Ok(uid);
    }
    Err(io::Error::other(format!("user {uid} is not the server's")))
}
