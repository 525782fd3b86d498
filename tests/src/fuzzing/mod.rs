//! What must hold for any bytes, by who reads them. Each function takes any input and panics if its
//! property does not hold; `tests/fuzz` hunts for such inputs, and `cargo test -p tests --test
//! fuzz_corpus` replays those that were found worth keeping.
//!
//! | module | bytes of | holds |
//! |---|---|---|
//! | `text` | a connection of the text protocol, either side, and a peer | however they are cut, they mean the same; what is read can be written and read again |
//! | `secure` | a connection of the secure protocol, either side, and a peer | the same, and a value has one encoding |
//! | `first_bytes` | whoever connects, before anybody has shown who it is | a handshake that is none fails, in the same way however it is cut |
//! | `journal` | a data directory | it opens as what was written or is refused untouched; what opens can be gone on with |
//! | `snapshot` | a snapshot beside a journal | a damaged one changes nothing; one that is taken is written again as it was |
//! | `receipt` | a receipt, in binary and as text | one encoding; what verifies is what the ledger says |
//! | `files` | key files, the list of known keys, a configuration, a recovery phrase | what is taken is written again as it was |
//! | `words` | a line at the terminal, a command line | whatever is said of it steers no screen; answers to the questions complete it |
//! | `operator` | an operator's program and the server to each other, a manifest of copies | the same as `secure`; what is taken is written again as it was |
//! | `session` | several sessions with a server, and what they ask | the server does what a simple model of the money does |

mod cuts;
mod files;
mod first_bytes;
mod journal;
mod operator;
mod receipt;
mod secure;
mod session;
mod snapshot;
mod text;
mod words;

/// The longest input that is made. The longest of what is read here as one piece, a request with as many
/// orders as it may have, differs from one with three in nothing but its length.
pub const INPUT_BYTES_MAX: usize = 16 << 10;

/// A name, which is that of a corpus, too, and a property.
type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 10] = [
    ("text", text::run),
    ("secure", secure::run),
    ("first_bytes", first_bytes::run),
    ("journal", journal::run),
    ("snapshot", snapshot::run),
    ("receipt", receipt::run),
    ("files", files::run),
    ("words", words::run),
    ("operator", operator::run),
    ("session", session::run),
];

/// Checks the property of this target.
///
/// # Panics
/// If it does not hold for this input, or if there is no such target.
pub fn run(target: &str, input: &[u8]) {
    let (_, property) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    property(input);
}
