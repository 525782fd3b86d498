//! The client's key at rest: `identity.key` in the directory of its profile.
//!
//! Lines of text, each with its LF, readable by the owner alone:
//!
//! ```text
//! mite identity key 1
//! public <the public key, 43 characters of base64url>
//! argon2id <memory in KiB> <passes> <lanes>
//! salt <16 bytes, in lower-case hexadecimal digits as all that follows>
//! nonce <24 bytes>
//! secret <the 32 bytes of the seed of RFC 8032, encrypted, and 16 bytes of tag>
//! ```
//!
//! The secret is encrypted with XChaCha20-Poly1305 under the 32 bytes that Argon2id (RFC 9106,
//! version 0x13) makes of passphrase and salt. All lines before it are the associated data, so none
//! of them can be changed. A key that its owner wants unencrypted has `unencrypted` for the third
//! line and no salt, nonce and tag.
//!
//! A rotation first writes the new key beside the old one, as `identity.next`, and gives it the
//! name of the old one once the server knows it. After a crash there may be both.

mod format;
mod sealing;

use std::io;
use std::path::PathBuf;

use actors::reason::reason;
use zeroize::Zeroizing;

use self::format::KeyFile;
use self::sealing::Cost;
use super::directory::{OTHERS, ProfileDirectory};
use super::identity::Identity;
use super::passphrase::Protection;

/// The file has at most 289 bytes; one that is longer than this is not ours.
const FILE_BYTES_MAX: usize = 512;

/// Which of the two files of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// `identity.key`: the key that is in use.
    Current,
    /// `identity.next`: the key that is to follow it.
    Next,
}

impl Slot {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Current => "identity.key",
            Self::Next => "identity.next",
        }
    }
}

/// What is wrong with the file of a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileProblem {
    /// There is none.
    #[error("the file is missing")]
    Missing,
    /// There is one already, and it must not be lost.
    #[error("there is a key already")]
    Exists,
    /// Group or others have permissions on it.
    #[error("others than its owner may read it")]
    Exposed,
    /// It is not in the format above.
    #[error("the file is damaged")]
    Damaged,
    /// Another version of the program has written it.
    #[error("the file is of a version that this program does not know")]
    UnknownVersion,
    /// To decrypt it would take more memory or time than any version of the program asks for.
    #[error("the file asks for more memory or time than a key needs")]
    TooCostly,
    /// The passphrase is another one. Damage in the encrypted part looks the same.
    #[error("the passphrase is wrong, or the file is damaged")]
    WrongPassphrase,
    /// It takes a passphrase to use it.
    #[error("the key is encrypted")]
    Encrypted,
    /// It is used only if its owner says that it is not encrypted: otherwise anybody's key could be
    /// put in the place of an encrypted one.
    #[error("the key is not encrypted")]
    NotEncrypted,
    /// The system failed.
    #[error("{}", reason(.0))]
    Io(#[from] io::Error),
}

/// Why the key of a profile cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key {}: {problem}", path.display())]
pub(crate) struct KeyFileError {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub(crate) problem: KeyFileProblem,
}

impl KeyFileError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self.problem {
            KeyFileProblem::Missing => "restore it from its recovery phrase".into(),
            KeyFileProblem::Exists => {
                "keep it: it may be the only one that moves somebody's money; take another profile \
                 with --profile NAME"
                    .into()
            }
            KeyFileProblem::Exposed => format!("chmod 600 {}", self.path.display()),
            KeyFileProblem::Damaged | KeyFileProblem::TooCostly => {
                "restore it from a backup, or move it away and restore the key from its recovery \
                 phrase"
                    .into()
            }
            KeyFileProblem::UnknownVersion => {
                "start it with the version that has written it".into()
            }
            KeyFileProblem::WrongPassphrase => {
                "try again; who has lost the passphrase restores the key from its recovery phrase"
                    .into()
            }
            KeyFileProblem::Encrypted => "leave --no-passphrase out".into(),
            KeyFileProblem::NotEncrypted => "if you want it so, say it with --no-passphrase".into(),
            KeyFileProblem::Io(_) => "check the disk and the permissions of the directory".into(),
        }
    }
}

/// A key as it lies in its file; if it is encrypted, it takes the passphrase.
#[derive(Debug)]
pub(crate) struct LockedKey {
    path: PathBuf,
    file: KeyFile,
}

impl LockedKey {
    /// Whether it takes a passphrase.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.file.is_encrypted()
    }

    /// That something is wrong with its file.
    pub(super) fn problem(&self, problem: KeyFileProblem) -> KeyFileError {
        KeyFileError { path: self.path.clone(), problem }
    }

    /// The key. Takes a tenth of a second and 64 MiB if it is encrypted.
    ///
    /// # Errors
    /// `WrongPassphrase`, `Encrypted`, `NotEncrypted`, `Damaged`, or `Io` if there is not so much
    /// memory.
    pub(crate) fn unlock(&self, protection: &Protection) -> Result<Identity, KeyFileError> {
        self.file.open(protection).map_err(|problem| self.problem(problem))
    }
}

/// The keys of a profile.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The one in use.
    pub(crate) current: LockedKey,
    /// The one that is to follow it: a rotation has begun, and whether the server knows of it must
    /// be asked there.
    pub(crate) next: Option<LockedKey>,
}

/// Reads the keys of a profile.
///
/// # Errors
/// [`KeyFileError`]: one of them cannot be used, or there is none in use.
pub(crate) fn load_all(dir: &ProfileDirectory) -> Result<Keys, KeyFileError> {
    let current = load(dir, Slot::Current)?;
    let next = match load(dir, Slot::Next) {
        Err(KeyFileError { problem: KeyFileProblem::Missing, .. }) => None,
        loaded => Some(loaded?),
    };
    Ok(Keys { current, next })
}

/// Reads one key.
///
/// # Errors
/// [`KeyFileError`]: it is missing or cannot be used.
pub(crate) fn load(dir: &ProfileDirectory, slot: Slot) -> Result<LockedKey, KeyFileError> {
    let path = dir.path().join(slot.file_name());
    match read(dir, slot.file_name()) {
        Ok(file) => Ok(LockedKey { path, file }),
        Err(problem) => Err(KeyFileError { path, problem }),
    }
}

/// Keeps a key where none is. It is durable when this returns.
///
/// # Errors
/// [`KeyFileProblem::Exists`] if there is one, whatever is in it; `Io`.
pub(crate) fn create(
    dir: &ProfileDirectory,
    slot: Slot,
    identity: &Identity,
    protection: &Protection,
) -> Result<(), KeyFileError> {
    create_with(dir, slot, identity, protection, Cost::OURS)
}

/// Makes the next key the current one: the old one is gone for good. Durable when this returns.
///
/// # Errors
/// [`KeyFileError`] if the next one is missing or cannot be used; then nothing has changed.
pub(crate) fn promote_next(dir: &ProfileDirectory) -> Result<(), KeyFileError> {
    let next = load(dir, Slot::Next)?;
    dir.rename(Slot::Next.file_name(), Slot::Current.file_name())
        .map_err(|error| KeyFileError { path: next.path, problem: error.into() })
}

/// The text of the file of the key in these bytes; `None` if they are no file of a key.
pub(crate) fn written_again(bytes: &[u8]) -> Option<Zeroizing<String>> {
    Some(KeyFile::parse(bytes).ok()?.write())
}

fn read(dir: &ProfileDirectory, name: &str) -> Result<KeyFile, KeyFileProblem> {
    let stored = dir.read(name, FILE_BYTES_MAX).map_err(missing)?;
    if stored.mode & OTHERS != 0 {
        return Err(KeyFileProblem::Exposed);
    }
    KeyFile::parse(&stored.bytes)
}

fn create_with(
    dir: &ProfileDirectory,
    slot: Slot,
    identity: &Identity,
    protection: &Protection,
    cost: Cost,
) -> Result<(), KeyFileError> {
    let name = slot.file_name();
    let write = || {
        let text = KeyFile::seal(identity, protection, cost)?.write();
        dir.create(name, text.as_bytes())
    };
    write().map_err(|error| KeyFileError {
        path: dir.path().join(name),
        problem: match error.kind() {
            io::ErrorKind::AlreadyExists => KeyFileProblem::Exists,
            _ => error.into(),
        },
    })
}

fn missing(error: io::Error) -> KeyFileProblem {
    match error.kind() {
        io::ErrorKind::NotFound => KeyFileProblem::Missing,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
