use actors::ledger::counters::LedgerCounters;
use wire::admin::{FilesStatus, SnapshotStatus};
use wire::{Amount, BatchNumber, PublicKey};

use super::*;

fn facts() -> Facts {
    let mut counters = LedgerCounters {
        text_payments: 5,
        settled_orders: 6,
        commits: 3,
        commit_micros: 1_500_000,
        ..LedgerCounters::default()
    };
    counters.refusals[13] = 2;
    (counters.commit_times[0], counters.commit_times[15]) = (2, 1);
    Facts {
        server: ServerFacts {
            version: "9.9".into(),
            server: PublicKey::new([1; 32]),
            started: Timestamp::new(1_000),
            now: Timestamp::new(61_000),
            condition: Condition::ReadOnly("full".into()),
            connections: 4,
            files: Ok(FilesStatus {
                journal_bytes: 512,
                free_bytes: Some(1 << 40),
                snapshot: Some(SnapshotStatus {
                    batch: BatchNumber::new(1),
                    kept: Timestamp::new(31_000),
                }),
            }),
        },
        ledger: Some(LedgerStatus {
            entries: 3,
            batch: BatchNumber::new(2),
            head: [0; 32],
            written: Timestamp::new(1),
            accounts: 2,
            frozen: 1,
            supply: Amount::MAX,
        }),
        counters,
        online: 7,
        orders_waiting: 8,
        turned_away: TurnedAway::default(),
    }
}

#[test]
fn the_page_tells_every_number() {
    let page = write(&facts());
    for line in [
        "mite_builds_total{version=\"9.9\"} 1",
        "mite_uptime_seconds 60",
        "mite_read_only 1",
        "mite_draining 0",
        "mite_connections 4",
        "mite_online_accounts 7",
        "mite_verifier_waiting_orders 8",
        "mite_refused_connections_total{why=\"full\"} 0",
        "mite_journal_bytes 512",
        "mite_disk_free_bytes 1099511627776",
        "mite_snapshot_age_seconds 30",
        "mite_payments_total{protocol=\"text\"} 5",
        "mite_payments_total{protocol=\"secure\"} 6",
        "mite_refusals_total{code=\"13\"} 2",
        "mite_refusals_total{code=\"1\"} 0",
        "mite_batches_total 3",
        "mite_commit_seconds_sum 1.5",
        "mite_commit_seconds_count 3",
        "mite_commit_seconds_bucket{le=\"0.0001\"} 2",
        "mite_commit_seconds_bucket{le=\"+Inf\"} 3",
        "mite_entries 3",
        "mite_accounts 2",
        "mite_frozen_accounts 1",
        // More than a gauge can say.
        "mite_supply_credits 9223372036854775807",
        "# EOF",
    ] {
        assert!(page.lines().any(|told| told == line), "{line:?} is missing in\n{page}");
    }
}

/// The order of the lines of a family is no one's business, but each name stands once.
#[test]
fn a_ledger_that_reads_its_journal_again_is_left_out() {
    let page = write(&Facts { ledger: None, ..facts() });
    assert!(!page.contains("mite_accounts") && !page.contains("mite_supply"), "{page}");
    let names: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "{names:?}");
}
