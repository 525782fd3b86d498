//! The directory of a profile: whose it is, who works in it, and files that are whole or not there.
//!
//! `<configuration directory>/profiles/<name>/`, the owner's alone. The file `lock` in it is locked
//! by the client that works there.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use actors::reason::reason;
use etcetera::BaseStrategy as _;
use tempfile::NamedTempFile;
use wire::Username;
use zeroize::Zeroizing;

const PROFILES_NAME: &str = "profiles";
const LOCK_NAME: &str = "lock";
/// What files are called until they are whole.
const UNFINISHED_PREFIX: &str = ".new-";
const OWNER_ONLY_DIRECTORY: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;
/// The permissions of group and others.
pub(super) const OTHERS: u32 = 0o077;

/// Where profiles are when nobody says: `~/.config/mite` by the XDG rules.
///
/// # Errors
/// [`DirectoryError::NoHome`].
pub(crate) fn default_config_dir() -> Result<PathBuf, DirectoryError> {
    let base = etcetera::choose_base_strategy()
        .map_err(|error| DirectoryError::NoHome(error.to_string()))?;
    Ok(base.config_dir().join("mite"))
}

/// The name of a profile as the name of a directory.
///
/// Any [`Username`] has one and no two have the same, also where case or the form of accents does
/// not count: `[a-z0-9_-]` stand for themselves, other ASCII is `%` and two hexadecimal digits, all
/// else `+` and six of its code point. So there is no `.` and no `/` in it, and the longest name
/// has 32 × 7 = 224 bytes, of the 255 that file systems take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileName(String);

impl From<&Username> for ProfileName {
    fn from(name: &Username) -> Self {
        let mut text = String::with_capacity(name.as_str().len());
        for c in name.as_str().chars() {
            let written = match c {
                'a'..='z' | '0'..='9' | '_' | '-' => write!(text, "{c}"),
                c if c.is_ascii() => write!(text, "%{:02x}", u32::from(c)),
                c => write!(text, "+{:06x}", u32::from(c)),
            };
            written.expect("a String takes every text");
        }
        Self(text)
    }
}

/// Why a profile cannot be worked in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// The system does not say where configuration is kept.
    #[error("there is no default configuration directory: {0}")]
    NoHome(String),
    /// It cannot be made, read or written.
    #[error("cannot use the profile directory {}: {}", path.display(), reason(source))]
    Unusable {
        /// The directory, or the one above it.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Group or others have permissions on it.
    #[error("others than its owner have access to the profile directory {}", path.display())]
    Exposed {
        /// The directory, or the one above it.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("the profile directory {} is in use by another client", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

impl DirectoryError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoHome(_) => "set HOME, or XDG_CONFIG_HOME to a directory of your own".into(),
            Self::Unusable { .. } => {
                "give yourself access to it, or set XDG_CONFIG_HOME to a directory of your own"
                    .into()
            }
            Self::Exposed { path } => format!("chmod 700 {}", path.display()),
            Self::Locked { .. } => {
                "stop the other client, or take another profile with --profile NAME".into()
            }
        }
    }
}

/// The directory of a profile. It belongs to this process for as long as the value lives.
#[derive(Debug)]
pub(crate) struct ProfileDirectory {
    path: PathBuf,
    /// Locked; the system unlocks it when it is closed, however the process ends.
    _lock: File,
}

impl ProfileDirectory {
    /// Opens the directory of this profile, making it if it is not there, and locks it against
    /// other processes. What a crash left unfinished in it is removed.
    ///
    /// # Errors
    /// [`DirectoryError`], but not `NoHome`.
    pub(crate) fn open(config_dir: &Path, name: &ProfileName) -> Result<Self, DirectoryError> {
        let profiles = config_dir.join(PROFILES_NAME);
        let path = profiles.join(&name.0);
        let unusable = |source| DirectoryError::Unusable { path: path.clone(), source };
        create_directory(&path).map_err(unusable)?;
        // Whoever may rename in the upper one may put another profile in the place of this one.
        for path in [profiles, path.clone()] {
            if mode(&path).map_err(unusable)? & OTHERS != 0 {
                return Err(DirectoryError::Exposed { path });
            }
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(OWNER_ONLY_FILE);
        let lock = options.open(path.join(LOCK_NAME)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::Locked { path }),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        remove_unfinished(&path).map_err(unusable)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nobody has ever kept anything in it: then a key may be made without a question.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn is_new(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.path)? {
            if entry?.file_name() != LOCK_NAME {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is in a file, up to one byte more than `bytes_max`, so that a longer one is seen to be
    /// longer.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else what the system says.
    pub(super) fn read(&self, name: &str, bytes_max: usize) -> io::Result<StoredFile> {
        let file = File::open(self.path.join(name))?;
        let metadata = file.metadata()?;
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(bytes_max);
        // Large enough from the start: a buffer that grows leaves copies of secrets behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(StoredFile { bytes, mode: metadata.permissions().mode() })
    }

    /// Makes a file, whole or not at all, and durable. Never in the place of one that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken; else what the system says.
    pub(super) fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.unfinished(bytes)?.persist_noclobber(self.path.join(name))?;
        self.sync()
    }

    /// Makes a file or puts it in the place of the one that is there, whole or not at all, and
    /// durable.
    ///
    /// # Errors
    /// What the system says. If that is about durability, the file may be the new one all the same.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.unfinished(bytes)?.persist(self.path.join(name))?;
        self.sync()
    }

    /// Gives a file another name, in the place of the file that had it, and durably.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else what the system says.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync()
    }

    /// A file that is on the disk and has no name of its own yet. Mode 0600.
    fn unfinished(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        let mut file = builder.prefix(UNFINISHED_PREFIX).tempfile_in(&self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }
}

/// A file as it was found.
pub(super) struct StoredFile {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The file's type and permissions.
    pub(super) mode: u32,
}

/// Makes the directory and those above it that are missing, each durable in its parent.
fn create_directory(path: &Path) -> io::Result<()> {
    let is_missing = |level: &&Path| *level != Path::new("") && !level.is_dir();
    let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIRECTORY).create(path)?;
    missing.into_iter().rev().try_for_each(|level| {
        let parent = level.parent().filter(|parent| *parent != Path::new(""));
        sync_directory(parent.unwrap_or(Path::new(".")))
    })
}

fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
