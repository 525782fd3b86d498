//! The bytes of a manifest, which later versions must still read.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use wire::EntryNumber;

use super::*;
use crate::backup::manifest::{FileEntry, Manifest, ManifestFault, hex};

const GOLDEN: &str = "\
# mite backup 1
# server gUZkDwJJOvT7xU_jM4jnXcLJN64LdyfMKyr7G3UZmj4
# last 7 abababababababababababababababababababababababababababababababab 9 1700000000000
# next journal-00000000000000000001.mite
# bytes 3
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  journal-00000000000000000001.mite
# bytes 0
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  server.key
# end c7d99a4a35cfa052eef39dbb7d51b95cf852d31114cec72b0444579676e637fb
";

#[test]
fn a_manifest_is_what_it_was() {
    let entry =
        |bytes: &[u8]| FileEntry { bytes: bytes.len() as u64, hash: Sha256::digest(bytes).into() };
    let journal = segment_name(BatchNumber::new(1));
    let files = [(journal.clone(), entry(b"abc")), (KEY_FILE.to_owned(), entry(b""))];
    let manifest = Manifest {
        kind: Kind::Backup,
        server: TERMS.server,
        last: Committed {
            batch: BatchNumber::new(7),
            head: [0xAB; 32],
            next_entry: EntryNumber::new(9),
            time: Timestamp::new(1_700_000_000_000),
        },
        next: journal,
        files: BTreeMap::from(files),
    };
    assert_eq!(manifest.to_text(), GOLDEN);
    assert_eq!(Manifest::parse(Kind::Backup, GOLDEN.as_bytes()), Ok(manifest));
    for (kind, text, expected) in [
        (Kind::Archive, GOLDEN.to_owned(), ManifestFault::Unknown),
        (Kind::Backup, GOLDEN.replace("backup 1", "backup 2"), ManifestFault::Unknown),
        (Kind::Backup, GOLDEN.replace("# bytes 3", "# bytes 4"), ManifestFault::Damaged),
        (
            Kind::Backup,
            resealed(&GOLDEN.replace("# bytes 3", "# bytes 03")),
            ManifestFault::Damaged,
        ),
        (Kind::Backup, GOLDEN[..GOLDEN.len() - 1].to_owned(), ManifestFault::Damaged),
        (Kind::Backup, format!("{GOLDEN}\n"), ManifestFault::Damaged),
        (Kind::Backup, String::new(), ManifestFault::Damaged),
    ] {
        assert_eq!(Manifest::parse(kind, text.as_bytes()), Err(expected), "{text}");
    }
}

/// The same with the hash at the end that belongs to it.
fn resealed(text: &str) -> String {
    let (content, _) = text.rsplit_once("# end ").expect("a manifest");
    format!("{content}# end {}\n", hex(&Sha256::digest(content).into()))
}
