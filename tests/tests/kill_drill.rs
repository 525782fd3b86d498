//! Payers, payees and servers that are killed at random moments under mixed load: whatever anybody was told is
//! so, each payment is made once or not at all, its payer says which, and no credit appears or vanishes.
//!
//! `MITE_TEST_KILLS` says how often, `MITE_TEST_SEED` when. For hundreds, there is `kill-drill`.

use tests::drill::{Drill, setting};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

#[test]
fn whoever_is_killed_whenever_what_was_answered_is_done_once() {
    // Protects everybody from moments that nobody has thought of.
    let seed = setting("MITE_TEST_SEED", u64::from(std::process::id()));
    println!("MITE_TEST_SEED={seed}");
    let report = Drill::begin(MITE, seed).run(setting("MITE_TEST_KILLS", 30), |_| ());
    println!("{report}");
    assert!(report.text_made > 0 && report.orders.answered > 0 && report.made > 0, "nobody pays");
    assert!(report.server_kills > 0 && report.stopping_kills > 0, "no server is killed");
    assert!(report.client_kills > 0 && report.stops > 0, "no client is killed, or no server stops");
}
