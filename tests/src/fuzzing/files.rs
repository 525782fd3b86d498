//! Files that people and programs leave: keys, lists, configurations.

use node::readers::{self, FileKind};

/// The first byte says what the rest is.
pub(super) fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    match kind % 5 {
        0 => check_one_text(FileKind::IdentityKey, rest),
        1 => check_one_text(FileKind::ServerKey, rest),
        2 => check_known_keys(rest),
        3 => check_configuration(&String::from_utf8_lossy(rest)),
        _ => check_phrase(&String::from_utf8_lossy(rest)),
    }
}

/// A key has one file.
fn check_one_text(kind: FileKind, bytes: &[u8]) {
    if let Some(written) = readers::written_again(kind, bytes) {
        assert_eq!(written.as_bytes(), bytes);
    }
}

/// Lines may stand in any order, but nothing is lost.
fn check_known_keys(bytes: &[u8]) {
    let Some(written) = readers::written_again(FileKind::KnownKeys, bytes) else { return };
    let again = readers::written_again(FileKind::KnownKeys, written.as_bytes());
    assert_eq!(again.as_deref(), Some(&*written));
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
    assert_eq!(written.lines().count(), lines);
}

fn check_configuration(text: &str) {
    if let Err(error) = readers::configuration(text) {
        super::words::check_shown(&error);
    }
}

/// Words that restore a key are the words of that key.
fn check_phrase(text: &str) {
    if let Some(words) = readers::recovery_phrase(text) {
        let typed: Vec<_> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
        assert_eq!(*words, typed.join(" "));
    }
}
