//! Connects to the server, whose key must be the one that is known.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use actix::{Actor, Context, Handler, ResponseFuture};
use actors::messages::{ConnectError, ConnectSecure, SecureConnection};
use actors::reason::reason;
use actors::secure_server_link::{SecureServerLink, SecureServerPatience};
use slog::{Logger, info};
use wire::PublicKey;

use crate::announce;
use crate::client::connect;
use crate::config::SecureConfig;
use crate::error::Error;
use crate::profile::directory::ProfileDirectory;
use crate::profile::keyring::ProfileError;
use crate::profile::known::{KnownKeys, ServerAddress, Trust};
use crate::tls;
use crate::tls::client::ExpectedKey;
use crate::tls::keys::TlsKey;

/// By what a client knows its server's key.
pub(crate) enum ServerTrust {
    /// Somebody has said it, in so many words.
    Given {
        key: PublicKey,
        /// Where it is kept for the next time, if it is.
        known: Option<Known>,
    },
    /// What was seen before; what is seen for the first time is kept.
    FirstContact(Known),
}

/// The list of known keys, and how the server is called there.
pub(crate) struct Known {
    keys: KnownKeys,
    address: ServerAddress,
}

impl ServerTrust {
    pub(crate) fn of(config: &SecureConfig, dir: &Arc<ProfileDirectory>) -> Result<Self, Error> {
        let keys = KnownKeys::load(Arc::clone(dir)).map_err(ProfileError::from)?;
        let address = ServerAddress::try_from(&config.server_name)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let known = Known { keys, address };
        Ok(match config.server_key {
            Some(key) => Self::Given { key, known: Some(known) },
            None => Self::FirstContact(known),
        })
    }

    fn expected(&self) -> ExpectedKey {
        let key = match self {
            Self::Given { key, .. } => Some(*key),
            Self::FirstContact(known) => known.keys.server(&known.address),
        };
        key.map_or(ExpectedKey::Anyone, ExpectedKey::Exactly)
    }

    /// Keeps a key that is not known yet. Returns whether this was the first contact.
    fn keep(&mut self, shown: &PublicKey) -> Result<bool, ProfileError> {
        let (known, given) = match self {
            Self::Given { known: None, .. } => return Ok(false),
            Self::Given { known: Some(known), .. } => (known, true),
            Self::FirstContact(known) => (known, false),
        };
        match known.keys.check_server(&known.address, shown) {
            Trust::Known => return Ok(false),
            Trust::New => {}
            // Whoever gives a key has looked at it.
            Trust::Changed { .. } => {
                known.keys.forget_server(&known.address)?;
            }
        }
        known.keys.remember_server(&known.address, shown, SystemTime::now())?;
        Ok(!given)
    }
}

/// The actor that makes the wallet's connections to the server.
pub(crate) struct Connector {
    server: SocketAddr,
    trust: Rc<RefCell<ServerTrust>>,
    log: Logger,
}

impl Connector {
    pub(crate) fn new(server: SocketAddr, trust: ServerTrust, log: &Logger) -> Self {
        Self { server, trust: Rc::new(RefCell::new(trust)), log: log.clone() }
    }
}

impl Actor for Connector {
    type Context = Context<Self>;
}

impl Handler<ConnectSecure> for Connector {
    type Result = ResponseFuture<Result<SecureConnection, ConnectError>>;

    fn handle(&mut self, asked: ConnectSecure, _: &mut Self::Context) -> Self::Result {
        let (server, trust, log) = (self.server, Rc::clone(&self.trust), self.log.clone());
        Box::pin(async move {
            let stream = connect(server).await;
            let stream = stream.map_err(|error| ConnectError::Unreachable(reason(&error)))?;
            let expected = trust.borrow().expected();
            let own = TlsKey::new(asked.signer.key());
            let (stream, key) =
                tls::client::connect(stream, &own, expected).await.map_err(refused)?;
            let first = trust.borrow_mut().keep(&key);
            match first {
                Ok(true) => announce::line(&format!(
                    "first contact with this server; its key is {key}\n\
                     compare it with what whoever runs the server says; it is kept from now on"
                )),
                Ok(false) => {}
                Err(error) => return Err(ConnectError::Unreachable(error.to_string())),
            }
            let patience = SecureServerPatience::default();
            let (link, welcome) =
                SecureServerLink::connect(stream, asked.news, patience, &log).await?;
            info!(log, "connected"; "server" => server, "key" => %key);
            Ok(SecureConnection { link, server: key, welcome })
        })
    }
}

fn refused(error: tls::client::ConnectError) -> ConnectError {
    use tls::client::ConnectError as Tls;
    match error {
        Tls::WrongKey { expected, found } => ConnectError::WrongServerKey { expected, found },
        error @ (Tls::NotMite | Tls::NotTls) => ConnectError::NotMite(error.to_string()),
        error @ (Tls::Busy | Tls::TooSlow | Tls::Handshake(_)) => {
            ConnectError::Unreachable(error.to_string())
        }
        Tls::Io(error) => ConnectError::Unreachable(reason(&error)),
    }
}
