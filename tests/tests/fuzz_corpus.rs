//! Replays what was found worth keeping: each property of `tests::fuzzing` holds for the whole corpus of its
//! target, and for what becomes of it when a few bytes are changed.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use tests::fuzzing::{INPUT_BYTES_MAX, TARGETS, run};
use tests::random::Random;

/// How often each input is changed.
const CHANGES: u64 = 3;

/// A corpus that is large makes every clone and every run of the tests slow.
const CORPORA_BYTES_MAX: u64 = 300 << 10;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).expect("every target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("it is readable"));
    paths.into_iter().map(read).collect()
}

/// Panics with the name of the input, and with the input if it is in no file.
fn check(target: &str, path: &Path, input: &[u8], seed: Option<u64>) {
    let checked = panic::catch_unwind(AssertUnwindSafe(|| run(target, input)));
    if checked.is_err() {
        let what = seed.map(|seed| format!(", seed {seed}: {input:?}")).unwrap_or_default();
        panic!("{target} fails for {}{what}", path.display());
    }
}

fn changed(input: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut changed = input.to_vec();
    for _ in 0..=random.below(4) {
        let length = u64::try_from(changed.len()).expect("inputs are short");
        let at = usize::try_from(random.below(length + 1)).expect("inputs are short");
        let byte = u8::try_from(random.below(256)).expect("a byte");
        match (random.below(3), changed.get_mut(at)) {
            (0, Some(found)) => *found ^= byte,
            (1, Some(_)) => drop(changed.remove(at)),
            _ => changed.insert(at, byte),
        }
    }
    changed
}

fn replay(target: &str) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "{target} has a corpus of {}", corpus.len());
    for (number, (path, input)) in (0..).zip(&corpus) {
        assert!(input.len() <= INPUT_BYTES_MAX, "{}", path.display());
        check(target, path, input, None);
        for seed in number * CHANGES..(number + 1) * CHANGES {
            check(target, path, &changed(input, seed), Some(seed));
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_test() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).expect("the fuzz crate");
    let mut names = [
        "text",
        "secure",
        "first_bytes",
        "journal",
        "snapshot",
        "receipt",
        "files",
        "words",
        "operator",
        "session",
    ];
    assert_eq!(TARGETS.map(|(name, _)| name), names);
    names.sort_unstable();
    for name in names {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
    }
}

#[test]
fn corpora_are_small() {
    let bytes = TARGETS.iter().flat_map(|(target, _)| corpus(target)).map(|(_, input)| input.len());
    let bytes = u64::try_from(bytes.sum::<usize>()).expect("a sum of lengths");
    assert!(bytes <= CORPORA_BYTES_MAX, "{bytes} bytes");
}

#[test]
fn text() {
    replay("text");
}

#[test]
fn secure() {
    replay("secure");
}

#[test]
fn first_bytes() {
    replay("first_bytes");
}

#[test]
fn journal() {
    replay("journal");
}

#[test]
fn snapshot() {
    replay("snapshot");
}

#[test]
fn receipt() {
    replay("receipt");
}

#[test]
fn files() {
    replay("files");
}

#[test]
fn words() {
    replay("words");
}

#[test]
fn operator() {
    replay("operator");
}

#[test]
fn session() {
    replay("session");
}
