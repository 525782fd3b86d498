//! Kills servers and clients with `kill -9` at random moments under load, and looks whether whatever anybody
//! was told is so. `tests::drill` says what is looked at.
//!
//! `cargo run --release -p tests --bin kill-drill -- --kills 300 [--seed S]`

use std::io::Write as _;
use std::process::ExitCode;

use tests::drill::Drill;
use tests::process::{is_under_test, this_program};

const KILLS_DEFAULT: u64 = 300;
const USAGE: &str = "usage: kill-drill [--kills N] [--seed S]";

fn main() -> ExitCode {
    if is_under_test() {
        return node::run();
    }
    let Some((kills, seed)) = settings(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // First: who sees a failure wants to know.
    println!("seed                    {seed}");
    let report = Drill::begin(this_program(), seed).run(kills, |report| {
        eprint!("\r{} of {kills} kills", report.kills());
        // What cannot be shown is no failure of the drill.
        let _ = std::io::stderr().flush();
    });
    eprintln!();
    println!("{report}");
    ExitCode::SUCCESS
}

/// How often to kill, and the seed.
fn settings(mut args: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut kills, mut seed) = (KILLS_DEFAULT, u64::from(std::process::id()));
    while let Some(flag) = args.next() {
        let value = args.next()?.parse().ok()?;
        match flag.as_str() {
            "--kills" => kills = value,
            "--seed" => seed = value,
            _ => return None,
        }
    }
    Some((kills, seed))
}
