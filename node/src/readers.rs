//! What the program reads of files and of people, each reader by itself: for tests that feed them anything.
//! The program itself reads by the modules behind it.

use std::ffi::OsString;
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::{Cli, Protocol};
use crate::config::file;
use crate::error::{Error, problem_text};
use crate::profile::identity::Identity;
use crate::profile::{key_file, known};
use crate::server_key;
use crate::terminal;

pub use crate::terminal::Typed;

/// A file of the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `identity.key` of a profile.
    IdentityKey,
    /// `known.keys` of a profile.
    KnownKeys,
    /// `server.key` of a data directory.
    ServerKey,
}

/// The text that the program writes for what it reads in these bytes; `None` if it refuses them.
pub fn written_again(kind: FileKind, bytes: &[u8]) -> Option<Zeroizing<String>> {
    match kind {
        FileKind::IdentityKey => key_file::written_again(bytes),
        FileKind::KnownKeys => known::written_again(bytes).map(Zeroizing::new),
        FileKind::ServerKey => server_key::written_again(bytes),
    }
}

/// Reads a configuration file.
///
/// # Errors
/// What a person is shown who starts the program with it.
pub fn configuration(text: &str) -> Result<(), String> {
    file::parse(Path::new("mite.toml"), text).map(drop).map_err(|error| shown(&error))
}

/// Reads a command line, whose first word is the program's name, and the environment; but looks neither at
/// the file that they may name nor for the hosts.
///
/// # Errors
/// What a person is shown who types it.
pub fn command_line(words: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    match Cli::parse_args(words) {
        Err(error) if error.use_stderr() => Err(shown(&error.into())),
        _ => Ok(()),
    }
}

/// The 24 words of the key that these words restore; `None` if they restore none.
pub fn recovery_phrase(words: &str) -> Option<Zeroizing<String>> {
    Some(Identity::from_phrase(words).ok()?.phrase().reveal())
}

/// Reads a line that was typed at the terminal of a client.
///
/// # Errors
/// What a person is shown who types it.
pub fn terminal_line(protocol: Protocol, line: &str) -> Result<Typed, String> {
    terminal::read_line(protocol, line)
        .map_err(|(message, hint)| problem_text(&message, Some(&hint)))
}

fn shown(error: &Error) -> String {
    problem_text(&error.to_string(), error.hint().as_deref())
}
