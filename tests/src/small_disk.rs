//! A disk of its own that is really full when it is: a small file system in memory, which everybody may
//! mount who may have a user namespace.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::process::{Program, text};

/// What the process that keeps the disk says when it is there.
const MOUNTED: &str = "mounted";

/// Mounts the disk, says so, and waits for the end of its input.
const KEEPER: &str = "mount -t tmpfs -o size=$1,mode=0700 small \"$2\" && echo mounted && exec cat";

/// How much the ballast grows at once.
const BALLAST_BYTES: usize = 16 << 10;

/// A file system that ends with this, seen through the process that keeps it.
pub struct SmallDisk {
    _keeper: Program,
    path: PathBuf,
}

impl SmallDisk {
    /// A disk of so many bytes. `None`, and a line that says so on the standard error, if this system
    /// lets nobody mount one without being its administrator: then whoever tests with it has tested
    /// nothing.
    ///
    /// # Panics
    /// If the system behaves in another way.
    pub fn mount(bytes: u64, mount_point: &Path) -> Option<Self> {
        let size = bytes.to_string();
        let sh = ["sh", "-c", KEEPER, "sh", &size, text(mount_point)];
        let args = ["--user", "--map-root-user", "--mount"].into_iter().chain(sh);
        let keeper = Program::start("unshare", args);
        if keeper.lines_until_end(1) != [MOUNTED] {
            let why = keeper.wait().stderr;
            eprintln!("SKIPPED: this system lets us mount no disk that can be full: {why:?}");
            return None;
        }
        let seen = mount_point.strip_prefix("/").expect("a path from the root");
        let path = Path::new("/proc").join(keeper.id().to_string()).join("root").join(seen);
        Some(Self { _keeper: keeper, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte.
    ///
    /// # Panics
    /// If it fails in another way than by being full.
    pub fn fill(&self) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.ballast());
        let file = file.as_mut().expect("a file has room");
        let full = loop {
            if let Err(error) = file.write_all(&[0xA5; BALLAST_BYTES]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }

    /// Makes room of what [`SmallDisk::fill`] has filled.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}
