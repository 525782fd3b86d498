//! The manifest of a directory of copies: what is in it, in lines that `sha256sum -c` understands.
//!
//! ```text
//! # mite backup 1
//! # server <the server's key>
//! # last <batch> <head, 64 hexadecimal digits> <next entry> <time in milliseconds>
//! # next <the file that is read back first next time>
//! # bytes <length of the file in the next line>
//! <SHA-256, 64 hexadecimal digits>  <file>
//! # end <SHA-256 of everything before this line>
//! ```
//!
//! The last two lines but one come once for each file, in order of the names. The hash at the end guards
//! against accidents; who wrote the batches, their signatures tell.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use wire::batch::Hash;
use wire::{BatchNumber, EntryNumber, PublicKey, Timestamp};

use crate::ledger::journal::Committed;

/// What two million files take at 128 bytes, which hold 128 TiB; a longer one is no manifest.
pub(super) const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What a directory of copies is for: the word in the first line of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A data directory that can be started.
    Backup,
    /// Segments that were moved out of one.
    Archive,
}

impl Kind {
    const fn first_line(self) -> &'static str {
        match self {
            Self::Backup => "# mite backup 1",
            Self::Archive => "# mite archive 1",
        }
    }

    /// The name of the manifest.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Backup => "backup.manifest",
            Self::Archive => "archive.manifest",
        }
    }
}

/// A file that was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// Its length.
    pub(super) bytes: u64,
    /// The SHA-256 of so many bytes.
    pub(super) hash: Hash,
}

/// What is in a directory of copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) kind: Kind,
    /// The server whose ledger it is.
    pub(super) server: PublicKey,
    /// The last batch in it; [`Committed::NOTHING`] if there is none.
    pub(super) last: Committed,
    /// Which file is read back first next time, or the one behind it in order.
    pub(super) next: String,
    pub(super) files: BTreeMap<String, FileEntry>,
}

/// Why bytes are not a manifest that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManifestFault {
    /// It is not what was written.
    Damaged,
    /// It is of another kind or version.
    Unknown,
}

impl Manifest {
    pub(super) fn new(kind: Kind, server: PublicKey) -> Self {
        let (last, next, files) = (Committed::NOTHING, String::new(), BTreeMap::new());
        Self { kind, server, last, next, files }
    }

    pub(super) fn to_text(&self) -> String {
        let Committed { batch, head, next_entry, time } = &self.last;
        let (head, time) = (hex(head), time.get());
        let mut text = format!(
            "{}\n# server {}\n# last {batch} {head} {next_entry} {time}\n# next {}\n",
            self.kind.first_line(),
            self.server,
            self.next
        );
        for (name, FileEntry { bytes, hash }) in &self.files {
            writeln!(text, "# bytes {bytes}\n{}  {name}", hex(hash))
                .expect("a string takes everything");
        }
        let end = hex(&Sha256::digest(&text).into());
        text + &format!("# end {end}\n")
    }

    /// Only what [`Manifest::to_text`] writes is a manifest.
    pub(super) fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, ManifestFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestFault::Damaged)?;
        let (first, _) = text.split_once('\n').ok_or(ManifestFault::Damaged)?;
        if first != kind.first_line() && first.starts_with("# mite ") {
            return Err(ManifestFault::Unknown);
        }
        // With the hash at the end.
        let read = Self::parse_lines(kind, text).filter(|manifest| manifest.to_text() == text);
        read.ok_or(ManifestFault::Damaged)
    }

    fn parse_lines(kind: Kind, text: &str) -> Option<Self> {
        let (content, _) = text.rsplit_once("# end ")?;
        let mut lines = content.lines();
        (lines.next()? == kind.first_line()).then_some(())?;
        let server = lines.next()?.strip_prefix("# server ")?.parse().ok()?;
        let last = parse_last(lines.next()?.strip_prefix("# last ")?)?;
        let next = lines.next()?.strip_prefix("# next ")?.to_owned();
        let mut files = BTreeMap::new();
        while let Some(line) = lines.next() {
            let bytes = line.strip_prefix("# bytes ")?.parse().ok()?;
            let (hash, name) = lines.next()?.split_once("  ")?;
            files.insert(name.to_owned(), FileEntry { bytes, hash: parse_hex(hash)? });
        }
        Some(Self { kind, server, last, next, files })
    }
}

fn parse_last(text: &str) -> Option<Committed> {
    let mut words = text.split(' ');
    let batch = BatchNumber::new(words.next()?.parse().ok()?);
    let head = parse_hex(words.next()?)?;
    let next_entry = EntryNumber::new(words.next()?.parse().ok()?);
    let time = Timestamp::new(words.next()?.parse().ok()?);
    words.next().is_none().then_some(Committed { batch, head, next_entry, time })
}

pub(super) fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn parse_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let digits = text.as_bytes();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
