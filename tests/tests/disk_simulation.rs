//! 500 seeds of the disk's simulation. `cargo run --release -p tests --bin simulate-disk` runs as many as one
//! likes.

use tests::disk_simulation::{Tally, simulate};

#[test]
fn what_was_answered_survives_whatever_the_disk_does() {
    let mut all = Tally::default();
    for seed in 0..500 {
        match simulate(seed) {
            Ok(tally) => all.add(&tally),
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{all}");
    // A simulation in which nothing happens finds nothing.
    let happened = [
        all.told,
        all.expired,
        all.batches,
        all.power_cuts,
        all.kills,
        all.stops,
        all.failures.writes,
        all.failures.syncs,
        all.failures.directory_syncs,
        all.failures.reads,
        all.failures.changes,
        all.torn,
        all.full,
        all.no_file,
        all.no_segment,
        all.read_only,
        all.resumed,
        all.damaged,
        all.refused,
        all.cut,
    ];
    assert!(happened.into_iter().all(|count| count > 0), "{all}");
}

/// Without this, a seed that fails could not be run again.
#[test]
fn a_seed_is_the_same_each_time() {
    for seed in 0..20 {
        let [one, other] =
            [0, 1].map(|_| simulate(seed).unwrap_or_else(|broken| panic!("{broken}")));
        assert_eq!(one, other, "seed {seed}");
    }
}
