//! Directories that releases have left behind: a server's data, the profiles of clients, receipts, and
//! what is known of them. `make-golden` makes one for each release; every later one must open it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// The server's data directory in the archive.
const SERVER: &str = "server";
/// The configuration directory of all clients.
const CLIENTS: &str = "clients";
/// The exported receipts, a file each.
const RECEIPTS: &str = "receipts";

const ARCHIVE: &str = "data.tar.gz";
const FACTS: &str = "facts.json";

/// What a release has left behind, and what is true of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The server's key, as it says it.
    pub server_key: String,
    /// Who can be debited by the text protocol, with their balances.
    pub open: BTreeMap<String, u64>,
    /// Who has no key and is frozen.
    #[serde(default)]
    pub frozen: Vec<String>,
    /// Who has a key that the tests know.
    pub keyed: Vec<KeyedFacts>,
    /// Who has a profile.
    pub clients: Vec<ClientFacts>,
}

/// An account whose key the tests know by its [number](crate::secure::key).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedFacts {
    /// Whose.
    pub name: String,
    /// The number of the key.
    pub key: u8,
    /// The balance.
    pub balance: u64,
    /// How many entries its history has.
    pub history: usize,
}

/// A profile, and the account of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFacts {
    /// Of profile and account.
    pub name: String,
    /// What the key is encrypted with, if it is.
    pub passphrase: Option<String>,
    /// The balance.
    pub balance: u64,
    /// Its payments, the newest first: the amount, and whether it was made. The others were refused, or are
    /// refused when they are looked at again.
    pub payments: Vec<(u64, bool)>,
}

/// Files of a release, and what is true of them.
pub struct Golden {
    /// What is true.
    pub facts: Facts,
    dir: TempDir,
}

impl Golden {
    /// Room for files that are to be made.
    ///
    /// # Panics
    /// If there is no temporary directory.
    pub fn begin() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join(RECEIPTS)).expect("a new directory");
        let facts = Facts {
            server_key: String::new(),
            open: BTreeMap::new(),
            frozen: Vec::new(),
            keyed: Vec::new(),
            clients: Vec::new(),
        };
        Self { facts, dir }
    }

    /// Copies of the files that are kept in this directory.
    ///
    /// # Panics
    /// If it does not hold what [`Golden::keep`] has left there.
    pub fn open(kept: &Path) -> Self {
        let facts = File::open(kept.join(FACTS)).expect("facts are kept");
        let facts = serde_json::from_reader(facts).expect("the facts are facts");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let archive = File::open(kept.join(ARCHIVE)).expect("an archive is kept");
        let mut archive = tar::Archive::new(GzDecoder::new(archive));
        // The programs want to be the only ones who can read what is theirs.
        archive.set_preserve_permissions(true);
        archive.unpack(dir.path()).expect("a sound archive");
        Self { facts, dir }
    }

    /// Keeps the files in this directory, which is made.
    ///
    /// # Panics
    /// If it is there already: what a release has left behind is never changed.
    pub fn keep(&self, kept: &Path) {
        fs::create_dir(kept).expect("a new directory for the release");
        let facts = serde_json::to_string_pretty(&self.facts).expect("facts are JSON");
        fs::write(kept.join(FACTS), facts + "\n").expect("room for the facts");
        let archive = File::create_new(kept.join(ARCHIVE)).expect("a new file");
        self.pack(archive).expect("room for the archive");
    }

    fn pack(&self, archive: File) -> io::Result<()> {
        let mut tar = tar::Builder::new(GzEncoder::new(archive, Compression::best()));
        for part in [SERVER, CLIENTS, RECEIPTS] {
            tar.append_dir_all(part, self.dir.path().join(part))?;
        }
        tar.into_inner()?.finish()?.flush()
    }

    /// The server's data directory.
    pub fn server(&self) -> PathBuf {
        self.dir.path().join(SERVER)
    }

    /// The configuration directory of all clients.
    pub fn clients(&self) -> PathBuf {
        self.dir.path().join(CLIENTS)
    }

    /// The directory of the receipts.
    pub fn receipts(&self) -> PathBuf {
        self.dir.path().join(RECEIPTS)
    }

    /// The clients know the server at this address: the port of then may be taken.
    ///
    /// # Panics
    /// If one of them knows no server, or several.
    pub fn move_server(&self, address: SocketAddr) {
        for client in &self.facts.clients {
            let file = self.clients().join("profiles").join(&client.name).join("known.keys");
            let text = fs::read_to_string(&file).expect("the client knows servers");
            let [head, known] = text.lines().collect::<Vec<_>>()[..] else {
                panic!("one server is known, not {text}");
            };
            let mut words: Vec<_> = known.split(' ').map(str::to_owned).collect();
            words[1] = address.to_string();
            fs::write(&file, format!("{head}\n{}\n", words.join(" "))).expect("it is ours");
        }
    }
}
