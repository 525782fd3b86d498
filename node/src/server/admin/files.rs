//! What a ledger takes on its disk.

use std::path::Path;
use std::time::UNIX_EPOCH;
use std::{fs, io};

use wire::admin::{FilesStatus, SnapshotStatus};
use wire::{BatchNumber, Timestamp};

/// Measures the files in the data directory. Reads the directory and no file in it.
pub(super) fn measure(data_dir: &Path) -> io::Result<FilesStatus> {
    let mut journal_bytes = 0;
    let mut newest = None;
    for file in fs::read_dir(data_dir)? {
        let file = file?;
        let name = file.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with("journal-") {
            // The next segment may have got its name meanwhile.
            journal_bytes += file.metadata().map_or(0, |metadata| metadata.len());
        } else if let Some(batch) = snapshot_batch(name) {
            newest = newest.max(Some((batch, file.path())));
        }
    }
    let snapshot = newest.and_then(|(batch, path)| {
        let kept = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
        let kept = kept.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let kept = Timestamp::new(u64::try_from(kept).unwrap_or(u64::MAX));
        Some(SnapshotStatus { batch, kept })
    });
    Ok(FilesStatus { journal_bytes, free_bytes: free_bytes(data_dir), snapshot })
}

/// What the disk has left for who is not root.
fn free_bytes(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

fn snapshot_batch(name: &str) -> Option<BatchNumber> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".mite")?;
    digits.parse().ok().map(BatchNumber::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_and_newest_snapshot_are_measured() {
        let dir = tempfile::tempdir().expect("a directory");
        let nothing = measure(dir.path()).expect("it can be read");
        assert_eq!((nothing.journal_bytes, nothing.snapshot), (0, None));
        assert!(nothing.free_bytes.is_some_and(|bytes| bytes > 0));
        for (name, bytes) in [
            ("journal-00000000000000000001.mite", 512),
            ("journal-next.tmp", 1024),
            ("snapshot-00000000000000000007.mite", 10),
            ("snapshot-00000000000000000012.mite", 10),
            ("snapshot-00000000000000000099.tmp", 10),
            ("index.redb", 4096),
        ] {
            fs::write(dir.path().join(name), vec![0; bytes]).expect("written");
        }
        let some = measure(dir.path()).expect("it can be read");
        assert_eq!(some.journal_bytes, 1536);
        let snapshot = some.snapshot.expect("there are two");
        assert_eq!(snapshot.batch, BatchNumber::new(12));
        assert!(snapshot.kept > Timestamp::new(1_700_000_000_000));
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(measure(&dir.path().join("none")).is_err());
    }
}
