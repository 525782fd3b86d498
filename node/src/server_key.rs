//! The server's Ed25519 key and the file that keeps it.
//!
//! `server.key` in the data directory is three lines of text, each with its LF, readable by the
//! owner alone:
//!
//! ```text
//! mite server key 1
//! secret <the 32 bytes of the seed of RFC 8032, 64 lower-case hexadecimal digits>
//! public <the public key, 43 characters of base64url>
//! ```
//!
//! The public key is there to find damage: it must be the one that belongs to the seed. A file that
//! is there and cannot be used is an error, never a reason for a new key: clients know the old one.
//! Neither is a file that is missing beside a journal; only a ledger without a past gets a new one.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use slog::{Logger, info};
use wire::PublicKey;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Error;
use crate::hex::{from_hex, push_hex};

/// Its name, in the data directory.
pub(crate) const FILE_NAME: &str = "server.key";
const FIRST_LINE: &str = "mite server key 1";
/// The file has 141 bytes; one that is longer is not ours.
const FILE_BYTES_MAX: u64 = 256;
const OWNER_ONLY_DIRECTORY: u32 = 0o700;
const OTHERS: u32 = 0o077;

/// The key that the server signs with. The secret is wiped from memory when it is dropped, and
/// `Debug` shows the public key only.
pub struct ServerKey {
    signing: SigningKey,
}

/// What is wrong with a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileProblem {
    /// There is none, and the server has a past.
    #[error("the file is missing")]
    Missing,
    /// Group or others have permissions on it.
    #[error("others than its owner may read it")]
    Exposed,
    /// It is not in the format above.
    #[error("the file is damaged")]
    Damaged,
    /// The seed and the public key in it do not belong together.
    #[error("the file is damaged: its secret and its public key do not match")]
    Mismatch,
    /// Another version of the program has written it.
    #[error("the file is of a version that this program does not know")]
    UnknownVersion,
}

impl KeyFileProblem {
    /// What to do about it.
    pub fn hint(self, path: &Path) -> String {
        match self {
            Self::Exposed => format!("chmod 600 {}", path.display()),
            Self::Missing | Self::Damaged | Self::Mismatch => {
                "restore it from a backup: with a new key, no client would know the server".into()
            }
            Self::UnknownVersion => "start it with the version that has written it".into(),
        }
    }
}

/// Reads the key of a server that has a past, and logs its public half.
///
/// # Errors
/// [`Error::DataDirectory`] if the file cannot be read, [`Error::ServerKey`] if it is missing or not
/// a key that is safe to use.
pub fn load(dir: &Path, log: &Logger) -> Result<ServerKey, Error> {
    let path = dir.join(FILE_NAME);
    let file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            Error::ServerKey { path: path.clone(), problem: KeyFileProblem::Missing }
        }
        _ => unusable(&path, source),
    })?;
    let read = read(&file).map_err(|source| unusable(&path, source))?;
    let key = read.map_err(|problem| Error::ServerKey { path, problem })?;
    info!(log, "server key"; "public" => %key.public_key());
    Ok(key)
}

/// Reads the server's key, or makes one if the directory has none, and logs its public half. Makes
/// the directory too, for the owner alone.
///
/// # Errors
/// [`Error::DataDirectory`] if the file cannot be read or written, [`Error::ServerKey`] if it is
/// there and not a key that is safe to use.
pub fn load_or_create(dir: &Path, log: &Logger) -> Result<ServerKey, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY_DIRECTORY)
        .create(dir)
        .map_err(|source| unusable(dir, source))?;
    match load(dir, log) {
        Err(Error::ServerKey { path, problem: KeyFileProblem::Missing }) => {
            let key = create(dir, &path).map_err(|source| unusable(&path, source))?;
            info!(log, "new server key"; "public" => %key.public_key());
            Ok(key)
        }
        loaded => loaded,
    }
}

fn unusable(path: &Path, source: io::Error) -> Error {
    Error::DataDirectory { path: path.into(), source }
}

impl ServerKey {
    /// The public half, which clients know the server by.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(VerificationKeyBytes::from(&self.signing).into())
    }

    /// The secret half, to sign with.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    fn generate() -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(io::Error::other)?;
        Ok(Self { signing: SigningKey::from_bytes(&seed) })
    }
}

impl Drop for ServerKey {
    fn drop(&mut self) {
        self.signing.zeroize();
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKey({})", self.public_key())
    }
}

fn read(file: &File) -> io::Result<Result<ServerKey, KeyFileProblem>> {
    if file.metadata()?.permissions().mode() & OTHERS != 0 {
        return Ok(Err(KeyFileProblem::Exposed));
    }
    // As large as the file may be, so that the secret is not left behind by a growing buffer.
    let capacity = usize::try_from(FILE_BYTES_MAX).expect("256 is a usize") + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Result<ServerKey, KeyFileProblem> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeyFileProblem::Damaged)?;
    let mut lines = text.split('\n');
    match lines.next() {
        Some(FIRST_LINE) => {}
        Some(line) if line.starts_with("mite server key ") => {
            return Err(KeyFileProblem::UnknownVersion);
        }
        _ => return Err(KeyFileProblem::Damaged),
    }
    let mut field = |name| lines.next()?.strip_prefix(name);
    let (secret, public) = (field("secret "), field("public "));
    if (lines.next(), lines.next()) != (Some(""), None) {
        return Err(KeyFileProblem::Damaged);
    }
    let seed = secret.and_then(from_hex).ok_or(KeyFileProblem::Damaged)?;
    let key = ServerKey { signing: SigningKey::from_bytes(&seed) };
    if public != Some(key.public_key().to_string().as_str()) {
        return Err(KeyFileProblem::Mismatch);
    }
    Ok(key)
}

/// The text of the file of the key in these bytes; `None` if they are no file of a key.
pub(crate) fn written_again(bytes: &[u8]) -> Option<Zeroizing<String>> {
    Some(write(&parse(bytes).ok()?))
}

/// Whole or not at all: the name appears once the bytes are on the disk, and it never takes the
/// place of a file that is there.
fn create(dir: &Path, path: &Path) -> io::Result<ServerKey> {
    let key = ServerKey::generate()?;
    // A temporary file is made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".server.key.").tempfile_in(dir)?;
    file.write_all(write(&key).as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    fs::File::open(dir)?.sync_all()?;
    Ok(key)
}

fn write(key: &ServerKey) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(FIRST_LINE);
    text.push_str("\nsecret ");
    push_hex(&mut text, key.signing.as_bytes());
    text.push_str("\npublic ");
    text.push_str(&key.public_key().to_string());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    /// The first test vector of RFC 8032, section 7.1. Frozen: files like this are in use.
    const GOLDEN: &str = "mite server key 1\n\
        secret 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n\
        public 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n";

    fn load_or_create(dir: &Path) -> Result<ServerKey, Error> {
        super::load_or_create(dir, &Logger::root(Discard, o!()))
    }

    fn problem(dir: &Path) -> KeyFileProblem {
        match load_or_create(dir) {
            Err(Error::ServerKey { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    fn put(dir: &Path, bytes: &[u8], mode: u32) {
        let path = dir.join(FILE_NAME);
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn golden_file() {
        let dir = tempfile::tempdir().expect("a directory");
        put(dir.path(), GOLDEN.as_bytes(), 0o600);
        let key = load_or_create(dir.path()).expect("a key");
        assert_eq!(key.public_key().to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(write(&key).as_str(), GOLDEN);
    }

    #[test]
    fn a_new_key_is_kept_and_the_owners_alone() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("deep/data");
        let first = load_or_create(&dir).expect("a new key");
        let again = load_or_create(&dir).expect("the same key");
        assert_eq!(first.public_key(), again.public_key());
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join(FILE_NAME)), 0o600);
        let files: Vec<_> = fs::read_dir(&dir).expect("readable").collect();
        assert_eq!(files.len(), 1, "no temporary file is left: {files:?}");
        let other = load_or_create(&root.path().join("other")).expect("a new key");
        assert_ne!(first.public_key(), other.public_key());
    }

    #[test]
    fn a_server_with_a_past_gets_no_new_key() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = Logger::root(Discard, o!());
        match load(dir.path(), &log) {
            Err(Error::ServerKey { path, problem: KeyFileProblem::Missing }) => {
                assert!(!path.exists(), "a key was made");
            }
            other => panic!("{other:?}"),
        }
        let made = load_or_create(dir.path()).expect("a new key");
        let loaded = load(dir.path(), &log).expect("the same key");
        assert_eq!(made.public_key(), loaded.public_key());
    }

    /// A flipped bit must not become another key that no client knows.
    #[test]
    fn every_damage_is_found_and_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        for length in 0..GOLDEN.len() {
            put(dir.path(), &GOLDEN.as_bytes()[..length], 0o600);
            problem(dir.path());
        }
        for offset in 0..GOLDEN.len() {
            for bit in 0..8 {
                let mut bytes = GOLDEN.as_bytes().to_vec();
                bytes[offset] ^= 1 << bit;
                put(dir.path(), &bytes, 0o600);
                problem(dir.path());
                assert_eq!(fs::read(dir.path().join(FILE_NAME)).expect("there"), bytes);
            }
        }
        put(dir.path(), &GOLDEN.repeat(2).into_bytes(), 0o600);
        assert_eq!(problem(dir.path()), KeyFileProblem::Damaged);
        put(dir.path(), GOLDEN.replace("key 1", "key 2").as_bytes(), 0o600);
        assert_eq!(problem(dir.path()), KeyFileProblem::UnknownVersion);
        put(dir.path(), GOLDEN.replace("secret 9d", "secret 9e").as_bytes(), 0o600);
        assert_eq!(problem(dir.path()), KeyFileProblem::Mismatch);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        for mode in [0o644, 0o640, 0o604, 0o660] {
            put(dir.path(), GOLDEN.as_bytes(), mode);
            assert_eq!(problem(dir.path()), KeyFileProblem::Exposed, "{mode:o}");
        }
    }

    #[test]
    fn a_directory_that_is_a_file_is_the_directorys_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = load_or_create(file.path()).expect_err("no directory");
        assert!(matches!(error, Error::DataDirectory { .. }), "{error:?}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = parse(GOLDEN.as_bytes()).expect("a key");
        assert_eq!(format!("{key:?}"), "ServerKey(11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo)");
    }
}
