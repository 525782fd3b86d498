//! Runs the simulation of the whole system with many seeds, on all cores, up to the first that fails.
//! `tests::simulation` says what is simulated and what is looked at.
//!
//! `cargo run --release -p tests --bin simulate-network -- --seeds 1000 [--first S] [--history yes]`

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tests::simulation::{self, Counts, Failure, Report};

const SEEDS_DEFAULT: u64 = 1000;
const USAGE: &str = "usage: simulate-network [--seeds N] [--first S] [--history yes|no]";

/// How often it is said how far it is.
const SEEDS_PER_LINE: u64 = 100;

fn main() -> ExitCode {
    let Some(settings) = Settings::from_args(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let totals = Mutex::new(Counts::default());
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= settings.seeds {
                        return;
                    }
                    let result = simulation::run(settings.first + number);
                    if result.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    settings.tell(number, &result, &totals);
                }
            });
        }
    });
    if failed.into_inner() {
        return ExitCode::FAILURE;
    }
    println!("{} seeds: {}", settings.seeds, totals.into_inner().expect("nobody panics"));
    ExitCode::SUCCESS
}

struct Settings {
    first: u64,
    seeds: u64,
    history: bool,
}

impl Settings {
    fn from_args(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut settings = Self { first: 1, seeds: SEEDS_DEFAULT, history: false };
        while let Some(flag) = args.next() {
            let value = args.next()?;
            match flag.as_str() {
                "--seeds" => settings.seeds = value.parse().ok()?,
                "--first" => settings.first = value.parse().ok()?,
                "--history" => settings.history = value == "yes",
                _ => return None,
            }
        }
        Some(settings)
    }

    fn tell(&self, number: u64, result: &Result<Report, Box<Failure>>, totals: &Mutex<Counts>) {
        let mut totals = totals.lock().expect("nobody panics");
        let history = match result {
            Ok(Report { history, counts }) => {
                *totals += *counts;
                history
            }
            Err(failure) => {
                println!("{failure}");
                &failure.history
            }
        };
        if self.history {
            println!("{}", history.join("\n"));
        }
        if (number + 1).is_multiple_of(SEEDS_PER_LINE) {
            println!("{} of {} seeds", number + 1, self.seeds);
        }
    }
}
