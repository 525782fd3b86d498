//! What an operator's programs say and leave: frames of the admin protocol, manifests of copies.

use std::io::Write as _;

use actors::backup;
use sha2::{Digest as _, Sha256};
use wire::admin::{ADMIN_CALL_BYTES_MAX, ADMIN_HELLO_BYTES_MAX, AdminCall, AdminHello, AdminReply};
use wire::secure::FRAME_BYTES_MAX;

use super::secure::{check, check_frames};

/// The first byte says what the rest is.
pub(super) fn run(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let (check, limit) = match kind % 5 {
        0 => (check::<AdminCall> as fn(&[u8], u8, usize), ADMIN_CALL_BYTES_MAX),
        1 => (check::<AdminReply> as _, FRAME_BYTES_MAX),
        2 => (check::<AdminHello> as _, ADMIN_HELLO_BYTES_MAX),
        3 => return check_manifest(rest),
        // With the hash that nobody finds by trying.
        _ => {
            let mut sealed = [rest, b"# end "].concat();
            for byte in Sha256::digest(rest) {
                write!(sealed, "{byte:02x}").expect("a vector takes everything");
            }
            sealed.push(b'\n');
            return check_manifest(&sealed);
        }
    };
    if let [seed, bytes @ ..] = rest {
        check_frames(check, kind / 5 % 2 == 0, bytes, *seed, limit);
    }
}

/// A manifest has one text.
fn check_manifest(bytes: &[u8]) {
    if let Some(written) = backup::manifest_written_again(bytes) {
        assert_eq!(written.as_bytes(), bytes);
    }
}
