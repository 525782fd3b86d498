//! What people type: lines at the terminal, and command lines.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use node::config::Protocol;
use node::readers;

/// The first byte says who reads the rest.
pub(super) fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    match kind % 3 {
        0 => check_line(Protocol::Secure, &String::from_utf8_lossy(rest)),
        1 => check_line(Protocol::Text, &String::from_utf8_lossy(rest)),
        _ => {
            let words = rest.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            if let Err(error) = readers::command_line(words.map(OsString::from_vec)) {
                check_shown(&error);
            }
        }
    }
}

fn check_line(protocol: Protocol, line: &str) {
    match readers::terminal_line(protocol, line) {
        Ok(readers::Typed::Complete | readers::Typed::Nothing) => {}
        Ok(readers::Typed::Open(completed)) => {
            let completed_is = readers::terminal_line(protocol, &completed);
            let is_complete = matches!(completed_is, Ok(readers::Typed::Complete) | Err(_));
            assert!(is_complete, "{completed:?} still leaves something open");
        }
        Err(shown) => check_shown(&shown),
    }
}

/// What is shown steers no screen: each line ends, and nothing else is a control character.
pub(super) fn check_shown(text: &str) {
    assert!(text.starts_with("error: ") && text.ends_with('\n'), "{text:?}");
    assert!(!text.trim_end_matches('\n').replace("\nhint: ", "").contains(char::is_control));
}
