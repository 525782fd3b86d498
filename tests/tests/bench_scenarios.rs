//! The scenarios of the load generator that are about sessions, lists and journals, as small as they go.

use std::time::{Duration, Instant};

use serde_json::Value;
use tests::process::Program;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// What a scenario has found.
fn measure(args: &str) -> Value {
    let args = format!("--role bench {args} --rounds 2 --duration 50ms --json");
    let ended = Program::start(MITE, args.split_whitespace()).wait();
    assert!(ended.status.success(), "{ended:?}");
    serde_json::from_str(&ended.stdout.join("\n")).expect("one JSON object")
}

/// A figure that is there and more than nothing.
#[track_caller]
fn figure(found: &Value, name: &str) -> f64 {
    let median = found["figures"][name]["median"].as_f64();
    let median = median.unwrap_or_else(|| panic!("no {name} in {found}"));
    assert!(median > 0.0, "{name}: {median}");
    median
}

#[test]
fn idle_tells_what_a_session_takes() {
    for protocol in ["text", "secure"] {
        let began = Instant::now();
        let found = measure(&format!("idle --sessions 200 --protocol {protocol}"));
        // Each of the two rounds waits a second for the server to settle.
        assert!(began.elapsed() > Duration::from_secs(2), "{found}");
        assert!((figure(&found, "sessions") - 200.0).abs() < 0.1);
        figure(&found, "server_memory_without_them");
        // With the pages that the first ones touch: a limit that tells bytes from kilobytes.
        assert!(figure(&found, "memory_per_session") < 200_000.0, "{found}");
    }
}

#[test]
fn list_tells_what_a_list_costs() {
    let found = measure("list --sessions 300 --accounts 10 --connections 2 --window 10");
    // Three hundred lines behind a head.
    assert!(figure(&found, "bytes_of_a_list") > 300.0 * 20.0);
    for name in ["copy_of_as_many_bytes", "bare_write_of_as_many_bytes_to_a_socket"] {
        figure(&found, name);
    }
    figure(&found, "payments_per_second_beside_100_lists");
    let lists = figure(&found, "lists_per_second_beside_payments");
    assert!(lists < 150.0, "{lists}");
    let notes = found["notes"].as_array().expect("notes");
    let says_fewer = |note: &Value| note.as_str().expect("words").contains("fewer lists a second");
    assert_eq!(notes.iter().any(says_fewer), lists < 99.0, "{found}");
}

#[test]
fn recover_tells_how_long_a_start_takes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("bench");
    let found = measure(&format!("recover --entries 20000 --data {}", data.display()));
    for name in ["start_without_a_snapshot", "start_with_a_snapshot", "entries_replayed_per_second"]
    {
        figure(&found, name);
    }
    // That which the starts with it had to begin at.
    let files = std::fs::read_dir(data.join("ledger")).expect("the ledger is kept");
    let snapshots = files.filter(|file| {
        let name = file.as_ref().expect("an entry").file_name();
        name.to_string_lossy().starts_with("snapshot-")
    });
    assert_eq!(snapshots.count(), 1);
}

#[test]
fn limits_tell_what_the_machine_can_do() {
    let found = measure("limits --connections 2 --payers 10");
    for name in ["echo_on_one_connection", "echo", "fdatasync"] {
        figure(&found, name);
    }
    let answers = found["latencies"]["echo"]["count"].as_u64().expect("a count");
    assert!(answers > 2, "{found}");
}

/// Accounts that are written ahead are those that pay.
#[test]
fn payers_are_there_before_the_server() {
    let found = measure("pipeline --accounts 20000 --connections 2 --window 10");
    figure(&found, "payments_per_second");
    assert!(found["figures"]["memory_per_account"].is_null(), "{found}");
}

/// Each has its name, its balance and its place in an index, whatever the allocator adds.
#[test]
fn many_accounts_are_weighed() {
    let found = measure("pipeline --accounts 100000 --connections 1 --window 10");
    let bytes = figure(&found, "memory_per_account");
    assert!((20.0..2_000.0).contains(&bytes), "{bytes}");
}

#[test]
fn what_needs_a_server_of_its_own_says_so() {
    for scenario in ["idle", "list", "recover"] {
        let args = format!("--role bench {scenario} --server 127.0.0.1:1");
        let ended = Program::start(MITE, args.split_whitespace()).wait();
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.stderr[1].contains("leave --server out"), "{ended:?}");
    }
}
