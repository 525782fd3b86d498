use std::fs;

use tempfile::NamedTempFile;

use super::*;

/// A file that refuses its append number `at` as a disk with larger sectors does, after it has taken
/// some of its bytes.
struct Refusing {
    file: File,
    at: usize,
    taken: usize,
    begun: std::cell::Cell<usize>,
}

impl FileExt for Refusing {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.begun.set(self.begun.get() + 1);
        if self.begun.get() < self.at {
            return self.file.write_at(bytes, offset);
        }
        // A short write, and then the error.
        let taken = if self.begun.get() == self.at { self.taken.min(bytes.len()) } else { 0 };
        match taken {
            0 => Err(io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error())),
            taken => self.file.write_at(&bytes[..taken], offset),
        }
    }
}

/// A file of zeros with these bytes in front.
fn zeros_behind(front: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    let mut bytes = vec![0; 64 << 10];
    bytes[..front.len()].copy_from_slice(front);
    fs::write(file.path(), bytes).expect("writable");
    file
}

/// Appends pieces of many lengths behind `front`, and says what the file must hold then.
fn append_all<F: FileExt>(
    appending: &mut Appending<F>,
    file: &NamedTempFile,
    front: &[u8],
) -> Vec<u8> {
    let mut expected = front.to_vec();
    for (piece, len) in [(1, 452), (2, 512), (3, 1), (4, 4096), (5, 5000), (6, 3), (7, 20_000)] {
        let bytes = vec![piece; len];
        let offset = expected.len() as u64;
        appending.append(file.as_file(), &bytes, offset).expect("one of both ways works");
        expected.extend(bytes);
        let found = fs::read(file.path()).expect("readable");
        assert_eq!(found[..expected.len()], expected, "piece {piece}");
        assert!(found[expected.len()..].iter().all(|&byte| byte == 0), "piece {piece}");
    }
    expected
}

/// The story: a disk with sectors of 4,096 bytes takes a first batch that happens to fill some, and
/// refuses the second; the server ends.
#[test]
fn what_is_refused_goes_through_the_cache() {
    let front = [9; 60];
    for (at, taken) in (1..=7).flat_map(|at| [(at, 0), (at, 512)]) {
        let file = zeros_behind(&front);
        let begun = std::cell::Cell::new(0);
        let refusing = Refusing { file: file.reopen().expect("it is there"), at, taken, begun };
        let mut appending = Appending::Direct(DirectAppender::new(refusing));
        append_all(&mut appending, &file, &front);
        assert!(matches!(appending, Appending::Cached), "it goes on so behind append {at}");
    }
}

#[test]
fn both_ways_write_the_same() {
    for mut appending in [None, Some(Appending::Cached)] {
        let file = zeros_behind(&[9; 60]);
        let appending = appending.get_or_insert_with(|| Appending::to(file.path()));
        append_all(appending, &file, &[9; 60]);
    }
}

/// The story: a file system in memory, or over a network, says that it has written past the cache, and has not.
#[test]
fn only_file_systems_that_keep_their_word_are_written_past_the_cache() {
    let memory = Path::new("/dev/shm");
    let file = File::open("/proc/self/status").expect("every system has it");
    let number = file_system_of(&file).expect("it says which");
    assert!(!HONEST_FILE_SYSTEMS.contains(&number), "{number:#x} is no disk");
    if memory.is_dir() {
        let file = NamedTempFile::new_in(memory).expect("writable");
        let number = file_system_of(file.as_file()).expect("it says which");
        assert!(!HONEST_FILE_SYSTEMS.contains(&number), "{number:#x} is memory");
        assert!(matches!(Appending::to(file.path()), Appending::Cached));
    }
}

#[test]
fn other_errors_stay_errors() {
    let file = zeros_behind(&[]);
    let read_only = File::open(file.path()).expect("it is there");
    let mut appending = Appending::Direct(DirectAppender::new(read_only));
    appending.append(file.as_file(), b"bytes", 0).expect_err("it cannot be written to");
    assert!(matches!(appending, Appending::Direct(_)));
}

#[test]
fn only_sectors_that_fit_go_past_the_cache() {
    for (memory, offset, is_met) in [
        (512, 512, true),
        (4, 512, true),
        (1, 1, true),
        // Disks with larger sectors, some of which take memory from anywhere.
        (4096, 4096, false),
        (4, 4096, false),
        (4096, 512, false),
        (512, 520, false),
        // Files that never go past the cache.
        (0, 0, false),
        (512, 0, false),
        (0, 512, false),
    ] {
        assert_eq!(Alignment { memory, offset }.is_met(), is_met, "{memory} {offset}");
    }
}
