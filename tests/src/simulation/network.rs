//! Connections that can be reset, and TLS over them.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::{Actor, Handler, Recipient, ResponseFuture};
use actors::messages::{AskServer, ConnectError, ConnectSecure, DeliverError, SecureConnection};
use actors::secure_peer_link::ConnectPeer;
use actors::secure_server_link::{SecureServerLink, SecureServerPatience};
use node::tls::client::{self as tls, ExpectedKey};
use node::tls::keys::TlsKey;
use node::tls::sniff::Peek;
use slog::Logger;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use turmoil::net::TcpStream;
use wire::PublicKey;
use wire::secure::Call;

use super::client::Identity;
use super::witness::Witness;
use super::world::{World, server_address};

/// How long connecting may take, as in the program.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// All connections that there are, to be reset.
#[derive(Default)]
pub(super) struct Wires(RefCell<Vec<(IpAddr, IpAddr, CancellationToken)>>);

impl Wires {
    /// A connection that was made, or taken.
    pub(super) fn wire(&self, stream: TcpStream) -> io::Result<Wire> {
        let (here, there) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
        let reset = CancellationToken::new();
        let mut wires = self.0.borrow_mut();
        wires.retain(|(_, _, reset)| !reset.is_cancelled());
        wires.push((here, there, reset.clone()));
        let is_reset = Box::pin(reset.clone().cancelled_owned());
        Ok(Wire { stream, is_reset, reset })
    }

    /// Resets all connections between these two, and says how many ends that were.
    pub(super) fn reset(&self, one: IpAddr, other: IpAddr) -> usize {
        let wires = self.0.borrow();
        let between = wires.iter().filter(|(here, there, reset)| {
            ((*here, *there) == (one, other) || (*here, *there) == (other, one))
                && !reset.is_cancelled()
        });
        between.map(|(_, _, reset)| reset.cancel()).count()
    }
}

/// A connection of the simulated network.
pub(super) struct Wire {
    stream: TcpStream,
    is_reset: Pin<Box<WaitForCancellationFutureOwned>>,
    reset: CancellationToken,
}

impl Wire {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.is_reset.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

/// The look at the first byte is the program's own.
pub(super) struct Peeking<'s>(pub(super) &'s mut TcpStream);

impl Peek for Peeking<'_> {
    fn peek(&mut self, bytes: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.0.peek(bytes)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reset.cancel();
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Connects to a host.
pub(super) async fn connect(world: &World, to: SocketAddr) -> io::Result<Wire> {
    let connected = timeout(CONNECT_TIME_MAX, TcpStream::connect(to)).await;
    world.wires.wire(connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
}

/// Makes a client's connections to the server.
pub(super) struct Connector {
    pub(super) world: Rc<World>,
    pub(super) who: usize,
    pub(super) log: Logger,
}

impl Actor for Connector {
    type Context = actix::Context<Self>;
}

impl Handler<ConnectSecure> for Connector {
    type Result = ResponseFuture<Result<SecureConnection, ConnectError>>;

    fn handle(&mut self, asked: ConnectSecure, _: &mut Self::Context) -> Self::Result {
        let (world, who, log) = (Rc::clone(&self.world), self.who, self.log.clone());
        Box::pin(async move {
            let unreachable = |error: &dyn ToString| ConnectError::Unreachable(error.to_string());
            let wire = connect(&world, server_address()).await;
            let wire = wire.map_err(|error| unreachable(&error))?;
            let own = TlsKey::new(asked.signer.key());
            let expected = ExpectedKey::Exactly(world.server_key());
            let connected = tls::connect(wire, &own, expected).await;
            let (stream, server) = connected.map_err(|error| unreachable(&error))?;
            let patience = SecureServerPatience::default();
            let (link, welcome) =
                SecureServerLink::connect(stream, asked.news, patience, &log).await?;
            let link = Witness::start_before(link, who, Rc::clone(&world));
            actix::spawn(try_again(link.clone(), who, world));
            Ok(SecureConnection { link, server, welcome })
        })
    }
}

/// What the server has once said to be over is tried again at each new connection: nothing may come of it.
async fn try_again(link: Recipient<AskServer>, who: usize, world: Rc<World>) {
    let orders = world.words.orders_of(&world.name(who));
    if !orders.is_empty() {
        // The witness hears the answer.
        let _ = link.send(AskServer(Call::SubmitOrders { orders })).await;
    }
}

/// Connects a client to payees.
pub(super) struct PeerConnector {
    pub(super) world: Rc<World>,
    pub(super) identity: Identity,
}

impl ConnectPeer for PeerConnector {
    type Stream = TlsStream<Wire>;

    fn connect(
        &self,
        address: SocketAddr,
        payee_key: PublicKey,
    ) -> impl Future<Output = Result<Self::Stream, DeliverError>> + 'static {
        let (world, signer) = (Rc::clone(&self.world), self.identity.get());
        async move {
            let unreachable = |error: &dyn ToString| DeliverError::Unreachable(error.to_string());
            let wire = connect(&world, address).await.map_err(|error| unreachable(&error))?;
            let own = TlsKey::new(signer.key());
            match tls::connect(wire, &own, ExpectedKey::Exactly(payee_key)).await {
                Ok((stream, _)) => Ok(stream),
                Err(tls::ConnectError::WrongKey { found, .. }) => {
                    Err(DeliverError::WrongKey { found })
                }
                Err(error) => Err(unreachable(&error)),
            }
        }
    }
}
