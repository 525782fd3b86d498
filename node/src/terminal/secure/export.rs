//! Files that the terminal writes for its user.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use actors::reason::reason;

use crate::printable::printable;
use crate::terminal::view::Failure;

/// Writes a new file that its owner alone may read, whole or not at all, and never over another
/// one.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            // Half a file helps nobody; if it cannot be removed either, the error says enough.
            let _ = fs::remove_file(path);
        }
        written
    });
    written.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "nothing was written over: choose another name",
            io::ErrorKind::NotFound => "the directory must be there already",
            _ => "choose a place that you may write to",
        };
        let path = path.display().to_string();
        Failure::new(format!("cannot write {}: {}", printable(&path), reason(&error)), hint)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_new_private_and_whole() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("receipt.txt");
        write_new(&path, "first\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "first\n");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let failure = write_new(&path, "second\n").expect_err("it exists");
        assert!(failure.message.ends_with("file exists"), "{failure:?}");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "first\n");
        let missing = directory.path().join("nowhere/receipt.txt");
        let failure = write_new(&missing, "text").expect_err("no directory");
        assert!(failure.hint.expect("a hint").contains("directory"));
    }
}
