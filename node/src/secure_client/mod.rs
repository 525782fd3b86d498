//! The client of the secure protocol: wires its actors together and gives them a terminal.
//!
//! | module | holds |
//! |---|---|
//! | `opening` | the profile and its keys, at start; what a person is told of them |
//! | `connector` | connects to the server, whose key must be the one that is known |
//! | `peers` | connects to payees, and takes the connections of payers |
//! | `restore` | `node --role client restore`: a profile out of its 24 words |

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

use actix::{Actor as _, Addr, Recipient, System};
use actors::messages::{Signer, WalletNews};
use actors::secure_peer_link::{SecureDialer, SecurePeerPatience};
use actors::secure_wallet::store::WalletStore;
use actors::secure_wallet::{Neighbours, SecureWallet};
use slog::{Logger, info};
use wire::P2pPort;

use self::connector::Connector;
use self::peers::{PeerConnector, PeerListener};
use crate::announce;
use crate::config::{ClientConfig, SecureConfig};
use crate::connection::listen;
use crate::error::Error;
use crate::terminal::{self, SecureTerminalConfig, SecureWalletHandle};

mod connector;
mod opening;
mod peers;
mod restore;

pub(crate) use self::connector::ServerTrust;
pub(crate) use self::opening::parts_of;
pub(crate) use self::restore::run as restore;

/// The client, until its user leaves.
pub(crate) fn run(config: ClientConfig, secure: &SecureConfig, log: &Logger) -> Result<(), Error> {
    System::new().block_on(async {
        // Caught before anybody types a passphrase: the terminal must get its echo back. What was
        // caught the terminal hears of, and it alone: Ctrl-C need not be the end, and an end has its
        // last words.
        let _caught = announce::stop_signal()?;
        let opened = opening::open(secure)?;
        let trust = ServerTrust::of(secure, &opened.dir)?;
        let (news, inbox) = terminal::inbox();
        let client = SecureClient::start(config.server, trust, opened.parts()?, news, log)?;
        let terminal = SecureTerminalConfig {
            name: config.name,
            p2p_port: config.p2p_port,
            unlisted: secure.unlisted,
            rotation: opened.rotation(client.identity()),
        };
        let wallet = client.wallet_handle();
        terminal::run_secure(terminal, wallet, inbox, async |port| client.listen(port).await).await
    })
}

/// The key that this client shows, to the server and to peers. It changes when the account's does.
#[derive(Clone)]
pub(crate) struct LiveIdentity(Rc<RefCell<Signer>>);

impl LiveIdentity {
    pub(crate) fn new(signer: Signer) -> Self {
        Self(Rc::new(RefCell::new(signer)))
    }

    pub(crate) fn get(&self) -> Signer {
        self.0.borrow().clone()
    }

    pub(crate) fn set(&self, signer: Signer) {
        *self.0.borrow_mut() = signer;
    }
}

/// A client that runs in this process.
pub(crate) struct SecureClient {
    wallet: Addr<SecureWallet>,
    identity: LiveIdentity,
    /// The address of this machine that the server sees: peers are told to come there.
    own_ip: IpAddr,
    log: Logger,
}

/// What a client is started with.
pub(crate) struct Parts {
    /// Its key.
    pub(crate) signer: Signer,
    /// The key of a change that was under way.
    pub(crate) next: Option<Signer>,
    /// What it must not forget.
    pub(crate) store: Box<dyn WalletStore>,
}

impl SecureClient {
    /// Starts the actors; nobody is connected to yet. Needs an actix system.
    pub(crate) fn start(
        server: SocketAddr,
        trust: ServerTrust,
        Parts { signer, next, store }: Parts,
        terminal: Recipient<WalletNews>,
        log: &Logger,
    ) -> Result<Self, Error> {
        let own_ip = own_ip_towards(server)
            .map_err(|source| Error::ServerUnreachable { address: server.to_string(), source })?;
        let identity = LiveIdentity::new(signer.clone());
        let connector = Connector::new(server, trust, log).start();
        let to_peers = PeerConnector::new(identity.clone());
        let dialer = SecureDialer::new(to_peers, SecurePeerPatience::default(), log).start();
        let neighbours =
            Neighbours { connector: connector.recipient(), dialer: dialer.recipient(), terminal };
        let wallet = SecureWallet::new(signer, next, neighbours, store, log).start();
        Ok(Self { wallet, identity, own_ip, log: log.clone() })
    }

    /// The messages that the wallet takes.
    pub(crate) fn wallet_handle(&self) -> SecureWalletHandle {
        SecureWalletHandle::new(&self.wallet)
    }

    /// The key that it shows.
    pub(crate) fn identity(&self) -> LiveIdentity {
        self.identity.clone()
    }

    /// Takes payments from peers on this port, or on any free one if it is 0. Says which.
    pub(crate) async fn listen(&self, port: u16) -> Result<P2pPort, Error> {
        let (listener, address) = listen(SocketAddr::new(self.own_ip, port)).await?;
        info!(self.log, "taking payments from peers"; "address" => address);
        let peers = PeerListener::new(
            self.identity.clone(),
            self.wallet.clone().recipient(),
            self.wallet.clone().recipient(),
            &self.log,
        );
        actix::spawn(Rc::new(peers).run(listener));
        P2pPort::try_from(address.port()).map_err(|error| Error::Internal(error.to_string()))
    }
}

/// The address of this machine from which it would reach the server. Nothing is sent: a datagram
/// socket that is connected only looks up the way.
fn own_ip_towards(server: SocketAddr) -> std::io::Result<IpAddr> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}
