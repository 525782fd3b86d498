//! The configuration file.

use std::path::Path;
use std::{fs, io};

use crate::cli::Flags;
use crate::error::Error;

/// A configuration file is a screenful; one of more than this is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the file says.
pub(super) fn read(path: &Path) -> Result<Flags, Error> {
    let unreadable = |source| Error::ConfigUnreadable { path: path.into(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::other("it is too large for a configuration file")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    parse(path, &text)
}

/// Reads the text of a configuration file.
///
/// # Errors
/// [`Error::ConfigInvalid`].
pub(crate) fn parse(path: &Path, text: &str) -> Result<Flags, Error> {
    toml::from_str(text).map_err(|error| invalid_file(path, text, &error))
}

fn invalid_file(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    // The parser says what it found and what it would take in one long line; they are two here.
    let said = error.message().trim().replace('\n', ": ");
    let (found, wanted) = match said.split_once(", expected ") {
        Some((found, wanted)) => (found, Some(wanted)),
        None => (said.as_str(), None),
    };
    let (found, unknown_key) = match found.strip_prefix("unknown field ") {
        Some(key) => (format!("unknown key {key}"), true),
        None => (found.to_owned(), false),
    };
    let hint = match wanted {
        Some(keys) if unknown_key => {
            format!("the keys are {}", keys.trim_start_matches("one of "))
        }
        Some(wanted) => format!("expected {wanted}"),
        None => "the keys are the flags without --, such as opening-balance = 500 or \
                 text-quiet = \"2ms\""
            .into(),
    };
    Error::ConfigInvalid { path: path.into(), line, message: found, hint }
}
