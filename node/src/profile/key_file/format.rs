//! The text of a key file.

use std::fmt;
use std::io;

use wire::PublicKey;
use zeroize::Zeroizing;

use super::super::identity::Identity;
use super::super::passphrase::Protection;
use super::sealing::{Cost, NONCE_BYTES, SALT_BYTES, SEALED_BYTES, SEED_BYTES, Salt, Sealer};
use super::{FILE_BYTES_MAX, KeyFileProblem};
use crate::hex::{from_hex, push_hex};

const FIRST_LINE: &str = "mite identity key 1";
const FIRST_LINE_OF_ANY_VERSION: &str = "mite identity key ";
const UNENCRYPTED_LINE: &str = "unencrypted";

/// What a key file says. The secret is wiped from memory when it is dropped, and `Debug` does not
/// show it.
pub(super) struct KeyFile {
    public: PublicKey,
    secret: Secret,
}

enum Secret {
    Unencrypted(Zeroizing<[u8; SEED_BYTES]>),
    Encrypted { cost: Cost, salt: Salt, sealed: Zeroizing<[u8; SEALED_BYTES]> },
}

impl KeyFile {
    /// The file of this key, in memory.
    ///
    /// # Errors
    /// When the system has no randomness or not the memory that `cost` says.
    pub(super) fn seal(
        identity: &Identity,
        protection: &Protection,
        cost: Cost,
    ) -> io::Result<Self> {
        let public = identity.public_key();
        let secret = match protection {
            Protection::Nothing => Secret::Unencrypted(Zeroizing::new(*identity.seed())),
            Protection::Passphrase(passphrase) => {
                let salt = Salt::draw()?;
                let params = cost.params().ok_or(io::ErrorKind::InvalidInput)?;
                let sealer = Sealer::new(passphrase, params, &salt)?;
                let header = encrypted_header(public, cost, &salt);
                let sealed = sealer.seal(identity.seed(), header.as_bytes());
                Secret::Encrypted { cost, salt, sealed: Zeroizing::new(sealed) }
            }
        };
        Ok(Self { public, secret })
    }

    /// The key in it, proved to be the one that the file says it is.
    ///
    /// # Errors
    /// As [`LockedKey::unlock`](super::LockedKey::unlock).
    pub(super) fn open(&self, protection: &Protection) -> Result<Identity, KeyFileProblem> {
        let identity = match (&self.secret, protection) {
            (Secret::Unencrypted(seed), Protection::Nothing) => Identity::from_seed(seed),
            (Secret::Unencrypted(_), Protection::Passphrase(_)) => {
                return Err(KeyFileProblem::NotEncrypted);
            }
            (Secret::Encrypted { .. }, Protection::Nothing) => {
                return Err(KeyFileProblem::Encrypted);
            }
            (Secret::Encrypted { cost, salt, sealed }, Protection::Passphrase(passphrase)) => {
                let params = cost.params().ok_or(KeyFileProblem::Damaged)?;
                let sealer = Sealer::new(passphrase, params, salt)?;
                let header = encrypted_header(self.public, *cost, salt);
                let seed = sealer
                    .open(sealed, header.as_bytes())
                    .ok_or(KeyFileProblem::WrongPassphrase)?;
                Identity::from_seed(&seed)
            }
        };
        // A flipped bit of an unencrypted one must not become a key that nobody knows.
        if identity.public_key() == self.public {
            Ok(identity)
        } else {
            Err(KeyFileProblem::Damaged)
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.secret, Secret::Encrypted { .. })
    }

    /// What the bytes of a file say. Each key file has one text.
    ///
    /// # Errors
    /// `Damaged`, `UnknownVersion`, `TooCostly`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeyFileProblem> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeyFileProblem::Damaged)?;
        let first = text.split('\n').next().unwrap_or_default();
        let version = first.strip_prefix(FIRST_LINE_OF_ANY_VERSION).map(str::parse::<u64>);
        if first != FIRST_LINE && matches!(version, Some(Ok(_))) {
            return Err(KeyFileProblem::UnknownVersion);
        }
        let file = fields(text).ok_or(KeyFileProblem::Damaged)?;
        // Numbers and line ends have other forms too; what is written again is the one that is
        // ours.
        if *file.write() != text {
            return Err(KeyFileProblem::Damaged);
        }
        if let Secret::Encrypted { cost, .. } = file.secret {
            if !cost.is_bearable() {
                return Err(KeyFileProblem::TooCostly);
            }
            cost.params().ok_or(KeyFileProblem::Damaged)?;
        }
        Ok(file)
    }

    /// The text of the file.
    pub(super) fn write(&self) -> Zeroizing<String> {
        // Large enough from the start: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
        match &self.secret {
            Secret::Unencrypted(seed) => {
                text.push_str(&public_header(self.public));
                text.push_str(UNENCRYPTED_LINE);
                text.push_str("\nsecret ");
                push_hex(&mut text, seed.as_ref());
            }
            Secret::Encrypted { cost, salt, sealed } => {
                text.push_str(&encrypted_header(self.public, *cost, salt));
                text.push_str("secret ");
                push_hex(&mut text, sealed.as_ref());
            }
        }
        text.push('\n');
        text
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({})", self.public)
    }
}

fn public_header(public: PublicKey) -> String {
    format!("{FIRST_LINE}\npublic {public}\n")
}

/// All lines before the secret, as they stand in the file: the associated data of the cipher.
fn encrypted_header(public: PublicKey, cost: Cost, salt: &Salt) -> String {
    let Cost { memory_kib, passes, lanes } = cost;
    let public = public_header(public);
    let mut text = format!("{public}argon2id {memory_kib} {passes} {lanes}\nsalt ");
    push_hex(&mut text, &salt.salt);
    text.push_str("\nnonce ");
    push_hex(&mut text, &salt.nonce);
    text.push('\n');
    text
}

/// The values of a file, whatever their form. What is left over at the end is not looked at.
fn fields(text: &str) -> Option<KeyFile> {
    let mut lines = text.split('\n').skip(1);
    let public = lines.next()?.strip_prefix("public ")?.parse().ok()?;
    let third = lines.next()?;
    if third == UNENCRYPTED_LINE {
        let seed = from_hex(lines.next()?.strip_prefix("secret ")?)?;
        return Some(KeyFile { public, secret: Secret::Unencrypted(seed) });
    }
    let mut numbers = third.strip_prefix("argon2id ")?.split(' ').map(str::parse);
    let mut number = || numbers.next()?.ok();
    let cost = Cost { memory_kib: number()?, passes: number()?, lanes: number()? };
    let salt = from_hex::<SALT_BYTES>(lines.next()?.strip_prefix("salt ")?)?;
    let nonce = from_hex::<NONCE_BYTES>(lines.next()?.strip_prefix("nonce ")?)?;
    let salt = Salt { salt: *salt, nonce: *nonce };
    let sealed = from_hex(lines.next()?.strip_prefix("secret ")?)?;
    Some(KeyFile { public, secret: Secret::Encrypted { cost, salt, sealed } })
}
