//! A whole ledger on a disk that fails, all in one thread and as a seed says.
//!
//! One run of a seed: people ask the ledger for whatever they may ask, the writer of the journal and the works
//! beside it get turns, and at some moment the disk fails, is full, or the power is cut. Then the journal is opened
//! again and everything that anybody was told is looked for in it. Ledger, writer, snapshots, next segment and
//! recovery are the ones of the server; only the disk, the threads and the clock are simulated.
//!
//! One thing goes wrong at a time, and what was answered survives it. What no server can see is that somebody has
//! cut synced batches off the end of a journal: it opens as it was in front of them, as behind a power cut that came
//! before they were synced. Nothing else may come of it; receipts and backups show it.
//!
//! | module | holds |
//! |---|---|
//! | `disk` | the disk and its faults |
//! | `turns` | what else would be threads |
//! | `workload` | what people ask |
//! | `history` | what they were told, and whether the journal bears it out |
//! | `world` | one ledger, from a start to its end |
//! | `damage` | what happens to files that nobody looks after |

mod damage;
mod disk;
mod history;
mod turns;
mod workload;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::System;

use self::world::World;

/// How often a ledger is ended and opened again, at most, for one seed.
const RUNS_MAX: u64 = 5;

/// What came up while seeds ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Seeds.
    pub seeds: u64,
    /// Outcomes that somebody was told.
    pub told: u64,
    /// Orders that somebody was told to be over for good.
    pub expired: u64,
    /// Batches in the journals at their ends.
    pub batches: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Clean stops.
    pub stops: u64,
    /// Operations of the disk that failed, each kind for itself.
    pub failures: Failures,
    /// Writes that ended inside a sector, by a failure or by a power cut.
    pub torn: u64,
    /// Disks that were full.
    pub full: u64,
    /// Files that found no room on a full disk.
    pub no_file: u64,
    /// Those of them that were to be the next segment.
    pub no_segment: u64,
    /// How often a ledger that found its disk full took changes again.
    pub resumed: u64,
    /// How often a ledger was read-only, for whatever reason.
    pub read_only: u64,
    /// Files that were damaged.
    pub damaged: u64,
    /// Damaged journals that were refused, with file and place.
    pub refused: u64,
    /// Those whose end was cut off, and which opened as they were in front of it.
    pub cut: u64,
}

/// Operations of the disk that failed, one at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Writes, which were done in part.
    pub writes: u64,
    /// Syncs of files, which forgot what was written.
    pub syncs: u64,
    /// Syncs of the directory.
    pub directory_syncs: u64,
    /// Readings.
    pub reads: u64,
    /// Files that could not be made, renamed or removed.
    pub changes: u64,
}

impl Tally {
    /// With what came up elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.told += other.told;
        self.expired += other.expired;
        self.batches += other.batches;
        self.power_cuts += other.power_cuts;
        self.kills += other.kills;
        self.stops += other.stops;
        self.failures.writes += other.failures.writes;
        self.failures.syncs += other.failures.syncs;
        self.failures.directory_syncs += other.failures.directory_syncs;
        self.failures.reads += other.failures.reads;
        self.failures.changes += other.failures.changes;
        self.torn += other.torn;
        self.full += other.full;
        self.no_file += other.no_file;
        self.no_segment += other.no_segment;
        self.resumed += other.resumed;
        self.read_only += other.read_only;
        self.damaged += other.damaged;
        self.refused += other.refused;
        self.cut += other.cut;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds: {} outcomes told, {} orders expired, {} batches; {} power cuts, {} kills, {} stops; failures of {} \
             writes, {} syncs, {} syncs of the directory, {} readings, {} changes of names; {} writes ended inside a sector; {} times full, {} \
             times without room for a file, {} of these for a segment; {} times read-only, {} times writing again; {} files damaged, {} refused, {} cut off",
            self.seeds,
            self.told,
            self.expired,
            self.batches,
            self.power_cuts,
            self.kills,
            self.stops,
            self.failures.writes,
            self.failures.syncs,
            self.failures.directory_syncs,
            self.failures.reads,
            self.failures.changes,
            self.torn,
            self.full,
            self.no_file,
            self.no_segment,
            self.read_only,
            self.resumed,
            self.damaged,
            self.refused,
            self.cut,
        )
    }
}

/// A promise that was broken.
#[derive(Debug, thiserror::Error)]
#[error(
    "seed {seed}: {what}\nreplay: cargo run --release -p tests --bin simulate-disk -- --first {seed} --seeds 1"
)]
pub struct Broken {
    /// By this seed.
    pub seed: u64,
    /// Which one.
    pub what: String,
}

/// Runs one seed.
///
/// # Errors
/// [`Broken`]: what the ledger or its journal did wrong, a panic too.
pub fn simulate(seed: u64) -> Result<Tally, Broken> {
    let run = || System::new().block_on(run(seed));
    let ran = catch_unwind(AssertUnwindSafe(run));
    let ran = ran.unwrap_or_else(|_| Err("a panic, which is shown above".to_owned()));
    ran.map_err(|what| Broken { seed, what })
}

async fn run(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed);
    for _ in 0..=world.random.below(RUNS_MAX) {
        world.start()?;
        world.work().await?;
        world.end().await?;
    }
    world.start()?;
    world.audit()?;
    world.kill();
    if world.random.below(4) == 0 {
        world.damage()?;
    }
    Ok(world.tally())
}
