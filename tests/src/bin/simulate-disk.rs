//! Runs the disk's simulation over many seeds: `simulate-disk [--seeds N] [--first S]`.

use std::env;
use std::process::ExitCode;

use tests::disk_simulation::{Tally, simulate};

/// After so many seeds a line says how far it is.
const SEEDS_PER_LINE: u64 = 10_000;

fn main() -> ExitCode {
    let Some((first, seeds)) = options(env::args().skip(1)) else {
        eprintln!("usage: simulate-disk [--seeds N] [--first S]   (N: 100000, S: 0)");
        return ExitCode::from(2);
    };
    let mut all = Tally::default();
    for seed in first..first.saturating_add(seeds) {
        match simulate(seed) {
            Ok(tally) => all.add(&tally),
            Err(broken) => {
                eprintln!("{all}\n{broken}");
                return ExitCode::FAILURE;
            }
        }
        if all.seeds.is_multiple_of(SEEDS_PER_LINE) {
            eprintln!("{all}");
        }
    }
    println!("{all}");
    ExitCode::SUCCESS
}

fn options(mut words: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut first, mut seeds) = (0, 100_000);
    while let Some(word) = words.next() {
        let number = words.next()?.parse().ok()?;
        match word.as_str() {
            "--first" => first = number,
            "--seeds" => seeds = number,
            _ => return None,
        }
    }
    Some((first, seeds))
}
