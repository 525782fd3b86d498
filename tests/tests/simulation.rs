//! The whole system on a simulated network, out of seeds: whatever happens, each payment is made at most once,
//! nobody is told anything that is taken back, and all comes to an end.
//!
//! A seed that fails says how it is run again.

use tests::simulation::{Counts, run};

/// On each of some threads.
const SEEDS: u64 = 16;

/// What each of the tests below is to do.
fn all_is_kept(first: u64) {
    let mut totals = Counts::default();
    for seed in first..first + SEEDS {
        match run(seed) {
            Ok(report) => totals += report.counts,
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{SEEDS} seeds: {totals}");
    // Otherwise nothing was looked at.
    let looked = totals.settled > 100 && totals.faults > 50 && totals.over > 0 && totals.texts > 0;
    assert!(looked, "{totals}");
}

#[test]
fn all_is_kept_by_the_first_seeds() {
    all_is_kept(1);
}

#[test]
fn all_is_kept_by_the_second_seeds() {
    all_is_kept(1 + SEEDS);
}

#[test]
fn all_is_kept_by_the_third_seeds() {
    all_is_kept(1 + 2 * SEEDS);
}

#[test]
fn all_is_kept_by_the_fourth_seeds() {
    all_is_kept(1 + 3 * SEEDS);
}

/// A failure that does not come again cannot be understood.
#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 1_000_003] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(3).map(|report| report.history), run(4).map(|report| report.history));
}
