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

    /// Keeps a key that is not known yet.
    fn keep(&mut self, shown: &PublicKey) -> Result<Kept, ProfileError> {
        let (known, given) = match self {
            Self::Given { known: None, .. } => return Ok(Kept::AsItWas),
            Self::Given { known: Some(known), .. } => (known, true),
            Self::FirstContact(known) => (known, false),
        };
        let kept = match known.keys.check_server(&known.address, shown) {
            Trust::Known => return Ok(Kept::AsItWas),
            Trust::New if given => Kept::AsGiven,
            Trust::New => Kept::FirstContact,
            // Whoever gives a key has looked at it.
            Trust::Changed { known: former, .. } => {
                known.keys.forget_server(&known.address)?;
                Kept::InPlaceOf(former)
            }
        };
        known.keys.remember_server(&known.address, shown, SystemTime::now())?;
        Ok(kept)
    }

    /// Why there is no connection over TLS.
    fn refused(&self, error: tls::client::ConnectError) -> ConnectError {
        use tls::client::ConnectError as Tls;
        match (error, self) {
            (Tls::WrongKey { found, .. }, Self::Given { key, .. }) => {
                ConnectError::NotTheGivenKey { given: *key, found }
            }
            (Tls::WrongKey { expected, found }, Self::FirstContact(_)) => {
                ConnectError::WrongServerKey { expected, found }
            }
            (error @ (Tls::NotMite | Tls::NotTls), _) => ConnectError::NotMite(error.to_string()),
            (error @ (Tls::Busy | Tls::TooSlow | Tls::Handshake(_)), _) => {
                ConnectError::Unreachable(error.to_string())
            }
            (Tls::Io(error), _) => ConnectError::Unreachable(reason(&error)),
        }
    }
}

/// What became of the list of known keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// Nothing: the key stands there, or it is not to.
    AsItWas,
    /// The key that was given stands there now.
    AsGiven,
    /// The key that was shown stands there now, and nobody has compared it.
    FirstContact,
    /// The key that was given stands there now, and this one does no more.
    InPlaceOf(PublicKey),
}

impl Kept {
    /// What a person is to be told of it.
    fn told(self, key: &PublicKey) -> Option<String> {
        match self {
            Self::AsItWas | Self::AsGiven => None,
            Self::FirstContact => Some(format!(
                "first contact with this server; its key is {key}\n\
                 compare it with what whoever runs the server says; it is kept from now on"
            )),
            Self::InPlaceOf(former) => Some(format!(
                "the key of this server was {former}\n\
                 it is {key} from now on, as given by --server-key"
            )),
        }
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
            let connected = tls::client::connect(stream, &own, expected).await;
            let (stream, key) = connected.map_err(|error| trust.borrow().refused(error))?;
            let kept = trust.borrow_mut().keep(&key);
            let kept = kept.map_err(|error| ConnectError::Unreachable(error.to_string()))?;
            if let Some(told) = kept.told(&key) {
                announce::line(&told);
            }
            let patience = SecureServerPatience::default();
            let (link, welcome) =
                SecureServerLink::connect(stream, asked.news, patience, &log).await?;
            info!(log, "connected"; "server" => server, "key" => %key);
            Ok(SecureConnection { link, server: key, welcome })
        })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_zebra::SigningKey;
    use wire::Username;

    use super::*;
    use crate::profile::directory::ProfileName;

    fn key(seed: u8) -> PublicKey {
        wire::signature::public_key(&SigningKey::from([seed; 32]))
    }

    fn known(dir: &Arc<ProfileDirectory>) -> Known {
        let keys = KnownKeys::load(Arc::clone(dir)).expect("a list");
        Known { keys, address: "localhost:7000".parse().expect("an address") }
    }

    fn given(dir: &Arc<ProfileDirectory>, seed: u8) -> ServerTrust {
        ServerTrust::Given { key: key(seed), known: Some(known(dir)) }
    }

    /// A key that takes the place of another must never do so in silence.
    #[test]
    fn what_becomes_of_the_list_is_told() {
        let config = tempfile::tempdir().expect("a temporary directory");
        let name: Username = "alice".parse().expect("a name");
        let dir = ProfileDirectory::open(config.path(), &ProfileName::from(&name));
        let dir = Arc::new(dir.expect("a profile's directory"));
        let keep = |mut trust: ServerTrust, seed| trust.keep(&key(seed)).expect("it can be kept");
        assert_eq!(keep(ServerTrust::FirstContact(known(&dir)), 1), Kept::FirstContact);
        assert_eq!(keep(ServerTrust::FirstContact(known(&dir)), 1), Kept::AsItWas);
        assert_eq!(keep(given(&dir, 1), 1), Kept::AsItWas);
        let replaced = keep(given(&dir, 2), 2);
        assert_eq!(replaced, Kept::InPlaceOf(key(1)));
        let told = replaced.told(&key(2)).expect("a person must know");
        assert!(told.contains(&key(1).to_string()) && told.contains("--server-key"), "{told}");
        assert_eq!(keep(ServerTrust::FirstContact(known(&dir)), 2), Kept::AsItWas);
    }

    #[test]
    fn a_key_that_was_given_is_not_one_from_before() {
        let wrong = || tls::client::ConnectError::WrongKey { expected: key(1), found: key(2) };
        let trust = ServerTrust::Given { key: key(1), known: None };
        let refused = trust.refused(wrong());
        assert_eq!(refused, ConnectError::NotTheGivenKey { given: key(1), found: key(2) });
    }
}
