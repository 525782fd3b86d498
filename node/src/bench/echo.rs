//! A server that only sends back what it gets: the least that a request and its answer cost on this
//! machine, whatever a server does with them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::error::BenchError;
use super::server_process::{ChildProcess, own_program, unexpected, value};
use crate::announce;
use crate::config::Scenario;

/// All requests of 20 bytes that are under way on one connection of a pipeline of 1000, and more.
const READ_BYTES: usize = 32 << 10;
const LISTENING: &str = "listening on ";

/// The echo server in a process of its own, as the server is.
pub(super) struct EchoProcess {
    _child: ChildProcess,
    address: SocketAddr,
}

impl EchoProcess {
    pub(super) async fn start() -> Result<Self, BenchError> {
        let mut command = own_program()?;
        command.args(["--role", "bench", Scenario::EchoServer.name()]).stdin(Stdio::null());
        let (child, [line]) = ChildProcess::start(command, "echo server").await?;
        let address = value(&line, LISTENING).ok_or_else(|| unexpected("echo server"))?;
        Ok(Self { _child: child, address })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The echo server, until it is killed.
pub(super) fn serve() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(accept())
}

async fn accept() -> Result<(), BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    announce::line(&format!("{LISTENING}{}", listener.local_addr().map_err(failed)?));
    loop {
        let (stream, _) = listener.accept().await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        tokio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) {
    let mut bytes = vec![0; READ_BYTES];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

fn failed(source: io::Error) -> BenchError {
    BenchError::Start { what: "echo server", source }
}
