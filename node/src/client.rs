//! The client of the text protocol: wires its actors together and gives them a terminal.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Recipient, ResponseFuture, System};
use actors::messages::{Ask, ConnectServer, Offer, ServerEvent, ServerLinkError, WalletEvent};
use actors::peer_link::{Connect, Dialer, PeerLink, PeerPatience};
use actors::reason::reason;
use actors::server_link::{ServerLink, ServerPatience};
use actors::wallet::Wallet;
use slog::{Logger, info, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use wire::P2pPort;

use crate::config::ClientConfig;
use crate::connection::{Connection, listen, raise_file_limit};
use crate::error::Error;
use crate::terminal::{self, TerminalConfig, WalletHandle};

/// How long connecting to the server may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Peers that may be connected at once, more of them wait: each holds a payment for a moment, or its
/// place for the few seconds that a silent one is waited for.
pub(crate) const INCOMING_LINKS_MAX: u32 = 1024;

/// How long to wait after the system refused to hand a connection over.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The client, until its user leaves.
pub(crate) fn run(config: ClientConfig, log: &Logger) -> Result<(), Error> {
    System::new().block_on(async {
        let (events, inbox) = terminal::inbox();
        let client = Client::connect(config.server, events, log).await?;
        let terminal = TerminalConfig { name: config.name, p2p_port: config.p2p_port };
        let wallet = client.wallet_handle();
        terminal::run(terminal, wallet, inbox, async |port| client.listen(port).await).await
    })
}

/// A client that runs in this process.
pub(crate) struct Client {
    wallet: Addr<Wallet>,
    /// The address of this machine that the server sees: peers are told to come there.
    own_ip: IpAddr,
    log: Logger,
}

impl Client {
    /// Connects to the server. Needs an actix system.
    pub(crate) async fn connect(
        server: SocketAddr,
        events: Recipient<WalletEvent>,
        log: &Logger,
    ) -> Result<Self, Error> {
        let unreachable = |source| Error::ServerUnreachable { address: server.to_string(), source };
        let stream = connect(server).await.map_err(unreachable)?;
        let own_ip = stream.local_addr().map_err(unreachable)?.ip();
        info!(log, "connected"; "server" => server);

        let connector = ServerConnector { server, log: log.clone() }.start();
        let dialer = Dialer::new(TcpConnector, PeerPatience::default(), log).start();
        let wallet = Wallet::create(|ctx| {
            let link = start_link(stream, ctx.address().recipient(), log);
            Wallet::new(link, connector.recipient(), dialer.recipient(), events, log)
        });
        Ok(Self { wallet, own_ip, log: log.clone() })
    }

    /// The messages that the wallet takes.
    pub(crate) fn wallet_handle(&self) -> WalletHandle {
        WalletHandle {
            register: self.wallet.clone().recipient(),
            go_online: self.wallet.clone().recipient(),
            read_account: self.wallet.clone().recipient(),
            pay: self.wallet.clone().recipient(),
            leave: self.wallet.clone().recipient(),
        }
    }

    /// Takes payments from peers on this port, or on any free one if it is 0. Says which.
    pub(crate) async fn listen(&self, port: u16) -> Result<P2pPort, Error> {
        let (listener, address) = listen(SocketAddr::new(self.own_ip, port)).await?;
        info!(self.log, "taking payments from peers"; "address" => address);
        actix::spawn(take_peers(listener, self.wallet.clone().recipient(), self.log.clone()));
        P2pPort::try_from(address.port()).map_err(|error| Error::Internal(error.to_string()))
    }
}

pub(crate) async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let connected = timeout(CONNECT_TIME_MAX, TcpStream::connect(server)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn start_link(stream: TcpStream, events: Recipient<ServerEvent>, log: &Logger) -> Recipient<Ask> {
    ServerLink::new(stream, events, ServerPatience::default(), log).start().recipient()
}

/// Connects to the server again when the wallet has lost it.
struct ServerConnector {
    server: SocketAddr,
    log: Logger,
}

impl Actor for ServerConnector {
    type Context = Context<Self>;
}

impl Handler<ConnectServer> for ServerConnector {
    type Result = ResponseFuture<Result<Recipient<Ask>, ServerLinkError>>;

    fn handle(
        &mut self,
        ConnectServer { events }: ConnectServer,
        _: &mut Self::Context,
    ) -> Self::Result {
        let (server, log) = (self.server, self.log.clone());
        Box::pin(async move {
            let stream = connect(server).await;
            let stream = stream.map_err(|error| ServerLinkError::Lost(reason(&error)))?;
            Ok(start_link(stream, events, &log))
        })
    }
}

async fn take_peers(listener: TcpListener, wallet: Recipient<Offer>, log: Logger) {
    let places_max = raise_file_limit(INCOMING_LINKS_MAX, &log);
    let places = Arc::new(Semaphore::new(places_max as usize));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = Connection::new(stream, place);
                let patience = PeerPatience::default();
                PeerLink::incoming(connection, peer, wallet.clone(), patience, &log).start();
            }
            Err(error) => {
                warn!(log, "cannot take a peer's connection"; "error" => %error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connects to peers over TCP.
#[derive(Debug)]
struct TcpConnector;

impl Connect for TcpConnector {
    type Stream = TcpStream;

    fn connect(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<TcpStream>> + 'static {
        TcpStream::connect(address)
    }
}
