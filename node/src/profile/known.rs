//! Trust at first contact: the keys of servers as they were first seen. Those of peers are the
//! wallet's to keep.
//!
//! `known.keys` in the directory of the profile is text, each line with its LF, the first one with
//! the version, the others in any order:
//!
//! ```text
//! mite known keys 1
//! server <host:port> <the server's key> <first seen>
//! ```
//!
//! Keys are 43 characters of base64url, times are RFC 3339 in UTC to the second. A file that is
//! there and cannot be understood is an error, never a reason to trust anew: that is when a man in
//! the middle would be believed.

mod format;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actors::reason::reason;
use wire::PublicKey;

use super::directory::ProfileDirectory;
use crate::cli::{HostPort, HostPortError};

const FILE_NAME: &str = "known.keys";
/// Far more servers than anybody has an account at, and few enough to write the whole list for a
/// new one.
const KEYS_MAX: usize = 1_000;
/// The longest name of a host (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 255;
/// The longest line: `server`, a host in brackets with `:` and a port, a key, a time, and what
/// stands between them.
const LINE_BYTES_MAX: usize = 6 + 1 + HOST_BYTES_MAX + 2 + 6 + 1 + 43 + 1 + 20 + 1;
/// All lines, and the first one.
const FILE_BYTES_MAX: usize = (KEYS_MAX + 1) * LINE_BYTES_MAX;
/// Others may read the list, but whoever may write it decides whom to trust.
const OTHERS_WRITE: u32 = 0o022;

/// Where a server is, in the one form of it that the list has: lower case, IP addresses in their
/// shortest form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerAddress(String);

impl TryFrom<&HostPort> for ServerAddress {
    type Error = HostPortError;

    fn try_from(address: &HostPort) -> Result<Self, Self::Error> {
        let host = match address.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_string(),
            Err(_) => address.host.to_lowercase(),
        };
        let is_word = !host.contains(|c: char| c.is_whitespace() || c.is_control());
        if !is_word || host.len() > HOST_BYTES_MAX {
            return Err(HostPortError);
        }
        Ok(Self(HostPort { host, port: address.port }.to_string()))
    }
}

impl FromStr for ServerAddress {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(&text.parse::<HostPort>()?)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a key was first seen, by the clock of this machine, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstSeen(SystemTime);

/// The last second of the year 9999: RFC 3339 has four digits.
const LAST_SECOND: u64 = 253_402_300_799;

impl From<SystemTime> for FirstSeen {
    /// A clock that is before 1970 or after 9999 is wrong in any case.
    fn from(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND)))
    }
}

impl fmt::Display for FirstSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.0).fmt(f)
    }
}

/// Whether a key is the one that was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// None was.
    New,
    /// It is.
    Known,
    /// It is not: somebody is in the middle, or the other side has a new key and should say so.
    Changed {
        /// The key that was seen before.
        known: PublicKey,
        /// When.
        since: FirstSeen,
    },
}

/// Why the list of known keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KnownKeysError {
    /// It cannot be read or written.
    #[error("cannot use the list of known keys {}: {}", path.display(), reason(source))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Group or others may write it.
    #[error("others than its owner may write the list of known keys {}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It is not in the format above.
    #[error("{}, line {line}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What is wrong there.
        problem: LineProblem,
    },
    /// It would be longer than it may be.
    #[error("the list of known keys {} is full: it has {KEYS_MAX} keys", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// It has another key there, which is not replaced unless it is forgotten first.
    #[error("another key is known there: {known}, since {since}")]
    Conflict {
        /// That key.
        known: PublicKey,
        /// When it was first seen.
        since: FirstSeen,
    },
}

impl KnownKeysError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Unusable { .. } => "check the disk and the permissions of the file".into(),
            Self::Exposed { path } => {
                format!("look whether it is as you left it, then chmod 600 {}", path.display())
            }
            Self::Damaged { .. } => {
                "mend the line, or remove it: then that key is trusted again when it is next seen; \
                 nothing has been changed"
                    .into()
            }
            Self::Full { .. } => "forget keys that you need no more".into(),
            Self::Conflict { .. } => {
                "make sure, by another way than this connection, that the new key is right; then \
                 forget the old one"
                    .into()
            }
        }
    }
}

/// What is wrong with a line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineProblem {
    /// The first line is not that of a list of known keys.
    #[error("this is no list of known keys")]
    NotAList,
    /// Another version of the program has written it.
    #[error("the list is of a version that this program does not know")]
    UnknownVersion,
    /// The line is not that of a server.
    #[error("not a server with a key and a time")]
    Malformed,
    /// A key for it stands in the list already.
    #[error("it stands in the list twice")]
    Twice,
    /// There are more lines than there may be, or longer ones.
    #[error("the list is too long")]
    TooLong,
    /// The file ends in the middle of the line.
    #[error("the line has no end")]
    NoEnd,
}

/// A key and since when it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    key: PublicKey,
    since: FirstSeen,
}

/// Written in this order.
type Known = BTreeMap<ServerAddress, Seen>;

/// The keys that a profile knows. What is remembered or forgotten is durable at once.
#[derive(Debug)]
pub(crate) struct KnownKeys {
    dir: Arc<ProfileDirectory>,
    known: Known,
}

impl KnownKeys {
    /// Reads the list; it is empty if there is no file yet.
    ///
    /// # Errors
    /// `Unusable`, `Exposed`, `Damaged`.
    pub(crate) fn load(dir: Arc<ProfileDirectory>) -> Result<Self, KnownKeysError> {
        let path = || dir.path().join(FILE_NAME);
        let stored = match dir.read(FILE_NAME, FILE_BYTES_MAX) {
            Ok(stored) => stored,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { dir, known: Known::new() });
            }
            Err(source) => return Err(KnownKeysError::Unusable { path: path(), source }),
        };
        if stored.mode & OTHERS_WRITE != 0 {
            return Err(KnownKeysError::Exposed { path: path() });
        }
        let known = format::parse(&stored.bytes)
            .map_err(|(line, problem)| KnownKeysError::Damaged { path: path(), line, problem })?;
        Ok(Self { dir, known })
    }

    /// The key of the server there, if one is known.
    pub(crate) fn server(&self, address: &ServerAddress) -> Option<PublicKey> {
        self.known.get(address).map(|seen| seen.key)
    }

    /// Whether the server there is the one that it was.
    pub(crate) fn check_server(&self, address: &ServerAddress, key: &PublicKey) -> Trust {
        match self.known.get(address) {
            None => Trust::New,
            Some(seen) if seen.key == *key => Trust::Known,
            Some(seen) => Trust::Changed { known: seen.key, since: seen.since },
        }
    }

    /// Trusts the server there from now on. Does nothing if it is known.
    ///
    /// # Errors
    /// `Conflict` if another one is known there, `Full`, `Unusable`; then nothing has changed.
    pub(crate) fn remember_server(
        &mut self,
        address: &ServerAddress,
        key: &PublicKey,
        now: SystemTime,
    ) -> Result<(), KnownKeysError> {
        match self.check_server(address, key) {
            Trust::Known => return Ok(()),
            Trust::Changed { known, since } => {
                return Err(KnownKeysError::Conflict { known, since });
            }
            Trust::New if self.known.len() >= KEYS_MAX => {
                return Err(KnownKeysError::Full { path: self.dir.path().join(FILE_NAME) });
            }
            Trust::New => {}
        }
        let mut known = self.known.clone();
        known.insert(address.clone(), Seen { key: *key, since: now.into() });
        self.save(known)
    }

    /// Forgets the server there, and says whether there was one.
    ///
    /// # Errors
    /// `Unusable`; then nothing has changed.
    pub(crate) fn forget_server(
        &mut self,
        address: &ServerAddress,
    ) -> Result<bool, KnownKeysError> {
        let mut known = self.known.clone();
        if known.remove(address).is_none() {
            return Ok(false);
        }
        self.save(known)?;
        Ok(true)
    }

    fn save(&mut self, known: Known) -> Result<(), KnownKeysError> {
        self.dir.replace(FILE_NAME, format::write(&known).as_bytes()).map_err(|source| {
            KnownKeysError::Unusable { path: self.dir.path().join(FILE_NAME), source }
        })?;
        self.known = known;
        Ok(())
    }
}

/// The text of the list in these bytes; `None` if they are no list.
pub(crate) fn written_again(bytes: &[u8]) -> Option<String> {
    Some(format::write(&format::parse(bytes).ok()?))
}

#[cfg(test)]
mod tests;
