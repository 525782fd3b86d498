//! What a client is told.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use wire::{PublicKey, Username};

use super::address::{SERVER_DEFAULT, host_port, reachable};
use crate::cli::{Flags, HostPort, Protocol};
use crate::error::Error;
use crate::profile::directory::default_config_dir;
use crate::profile::keyring::ProfileError;

const P2P_PORT_DEFAULT: u16 = 7001;
/// The profile of who says neither --profile nor --name.
const PROFILE_DEFAULT: &str = "default";

/// The flags that a client has.
pub(super) const FLAGS: &[&str] = &[
    "server",
    "p2p_port",
    "name",
    "protocol",
    "profile",
    "config_dir",
    "passphrase_file",
    "no_passphrase",
    "server_key",
    "unlisted",
    "words",
];

/// What a client needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Where the server is.
    pub server: SocketAddr,
    /// The port for peers; 0 for any free one.
    pub p2p_port: u16,
    /// Whom `login` means without a name.
    pub name: Option<Username>,
    /// How to speak to the server.
    pub protocol: ClientProtocol,
}

/// How a client speaks to its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProtocol {
    /// Mite's own protocol.
    Secure(SecureConfig),
    /// The text protocol.
    Text,
}

/// What a client of the secure protocol needs to know besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureConfig {
    /// How the server is called, as it was typed: what its key is remembered by.
    pub server_name: HostPort,
    /// Which profile holds the key.
    pub profile: Username,
    /// The directory of the profiles.
    pub config_dir: PathBuf,
    /// A file whose first line is the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Whether the key is kept unencrypted.
    pub no_passphrase: bool,
    /// The server's key, if it is known from elsewhere.
    pub server_key: Option<PublicKey>,
    /// Whether to stay off the list.
    pub unlisted: bool,
    /// Whether to make the profile out of its 24 words, instead of using it.
    pub restore: bool,
}

/// What the flags say to a client.
pub(super) fn config(flags: Flags, words: &[OsString]) -> Result<ClientConfig, Error> {
    let server = flags.server.clone().unwrap_or_else(|| host_port(SERVER_DEFAULT));
    let address = reachable(&server)?;
    let protocol = match flags.protocol.unwrap_or_default() {
        Protocol::Secure => ClientProtocol::Secure(secure(&flags, words, server)?),
        Protocol::Text => ClientProtocol::Text,
    };
    Ok(ClientConfig {
        server: address,
        p2p_port: flags.p2p_port.unwrap_or(P2P_PORT_DEFAULT),
        name: flags.name,
        protocol,
    })
}

fn secure(flags: &Flags, words: &[OsString], server_name: HostPort) -> Result<SecureConfig, Error> {
    let profile = flags.profile.clone().or_else(|| flags.name.clone());
    let default = || PROFILE_DEFAULT.parse().expect("it is a name");
    Ok(SecureConfig {
        server_name,
        profile: profile.unwrap_or_else(default),
        config_dir: match &flags.config_dir {
            Some(dir) => dir.clone(),
            None => default_config_dir().map_err(ProfileError::from)?,
        },
        passphrase_file: flags.passphrase_file.clone(),
        no_passphrase: flags.no_passphrase,
        server_key: flags.server_key,
        unlisted: flags.unlisted,
        restore: restores(words)?,
    })
}

/// What the words behind the flags say.
fn restores(words: &[OsString]) -> Result<bool, Error> {
    match words {
        [] => Ok(false),
        [word] if word == "restore" => Ok(true),
        [word, ..] => Err(Error::Usage {
            message: format!("`{}` means nothing to a client", word.to_string_lossy()),
            hint: "leave it out, or write `restore` to make the key out of its 24 words".into(),
        }),
    }
}
