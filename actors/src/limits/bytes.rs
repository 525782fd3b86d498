//! How much of the server's memory one session may take up.

use wire::secure::{FRAME_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_BYTES_MIN};
use wire::text::framing;

use crate::connection::{NOTICE_BYTES_MAX, READ_BYTES_MAX, REPLY_BYTES_PER_BYTE};

/// The most bytes of calls without an answer, unless fewer are allowed: more than calls and what is in them can
/// be (4,096 orders, and 1,024 times what else stands in a call), so that these bind first.
pub const INPUT_BYTES_MAX: usize = 3 << 20;

/// The most bytes of answers that are due or not taken, unless fewer are allowed: eight of the longest, and what
/// nobody asked for, of which as much again may be on its way.
pub const OUTPUT_BYTES_MAX: usize = 8 * FRAME_BYTES_MAX + 2 * NOTICE_BYTES_MAX;

/// The fewest that may be allowed: one of the longest answers. With less, some calls would never be taken.
pub const OUTPUT_BYTES_MIN: usize = FRAME_BYTES_MAX + 2 * NOTICE_BYTES_MAX;

/// What one session may have the server take in and keep, in bytes. What is beyond the first two ends the connection;
/// for the others the session waits: it is not read from, and TCP slows its peer down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteLimits {
    /// One request of the text protocol: from [`framing::REQUEST_BYTES_MIN`] to
    /// [`framing::REQUEST_BYTES_MAX`].
    pub line: usize,
    /// One request of the secure protocol: from [`REQUEST_BYTES_MIN`] to [`REQUEST_BYTES_MAX`].
    pub frame: usize,
    /// Of requests that were read and have no answer: from `frame` to [`INPUT_BYTES_MAX`]. By text that is one
    /// read. Beside it stands the one request that has begun.
    pub input: usize,
    /// Of answers, from the moment that they are due until they are taken: from [`OUTPUT_BYTES_MIN`] to
    /// [`OUTPUT_BYTES_MAX`]. By text that is what answers one read, and one list beside it.
    pub output: usize,
}

const _: () =
    assert!(REQUEST_BYTES_MIN <= REQUEST_BYTES_MAX && REQUEST_BYTES_MAX <= INPUT_BYTES_MAX);

impl Default for ByteLimits {
    /// As much as the protocols allow.
    fn default() -> Self {
        Self {
            line: framing::REQUEST_BYTES_MAX,
            frame: REQUEST_BYTES_MAX,
            input: INPUT_BYTES_MAX,
            output: OUTPUT_BYTES_MAX,
        }
    }
}

impl ByteLimits {
    /// How much a secure session reads at once.
    pub(crate) fn read(&self) -> usize {
        READ_BYTES_MAX.min(self.input)
    }

    /// How much a text session reads at once: what was read is answered before more is.
    pub(crate) fn read_text(&self) -> usize {
        self.read().min(self.output / REPLY_BYTES_PER_BYTE)
    }
}
