//! How long the disk takes to keep something.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::bench::error::BenchError;
use crate::bench::load::{Watch, histogram};
use crate::bench::report::{Latency, Report, Unit};

/// Enough for a median that does not move, and a 99th percentile.
const SYNCS: u64 = 1000;
/// What the smallest batch of a journal takes, about.
const RECORD_BYTES: usize = 256;
const FILE_BYTES: usize = 4 << 20;
/// A disk that is faster is none.
const MICROS_MIN: f64 = 5.0;

/// What was measured.
pub(in crate::bench) struct Disk {
    /// Nanoseconds of `fdatasync` alone, behind each of many small appends to a file that is filled up.
    pub(in crate::bench) sync: Latency,
}

impl Disk {
    pub(in crate::bench) fn report(&self, report: &mut Report) {
        report.figure("fdatasync", Unit::Micros, self.sync.p50);
        report.latency("fdatasync", self.sync);
        if self.sync.p50 < MICROS_MIN {
            report.note(
                "the data directory is in memory: give one that is on a disk with --data DIR",
            );
        }
    }
}

/// Appends as a journal does, and syncs each time.
pub(super) fn measure(root: &Path, watch: &Watch) -> Result<Disk, BenchError> {
    let path = root.join("disk-limit");
    let measured = syncs(&path, watch);
    // It is in a directory of the measurement's own.
    let _ = fs::remove_file(&path);
    Ok(Disk { sync: Latency::of(&measured?) })
}

fn syncs(path: &Path, watch: &Watch) -> Result<Histogram<u64>, BenchError> {
    let failed = |source| BenchError::File { path: path.into(), source };
    let file = filled(path).map_err(failed)?;
    let mut nanos = histogram();
    for number in 0..SYNCS {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        let record = [u8::try_from(number % 251).expect("it is less than 251") + 1; RECORD_BYTES];
        file.write_all_at(&record, number * RECORD_BYTES as u64).map_err(failed)?;
        let begin = Instant::now();
        file.sync_data().map_err(failed)?;
        nanos.saturating_record(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(nanos)
}

/// A file of zeros that an append does not make longer.
fn filled(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    Ok(file)
}
