use super::*;
use crate::bench::load::histogram;

#[test]
fn medians_and_what_is_around_them() {
    for (rounds, median, least, most) in [
        (&[3.0][..], 3.0, 3.0, 3.0),
        (&[2.0, 1.0], 2.0, 1.0, 2.0),
        (&[5.0, 1.0, 2.0, 9.0, 3.0], 3.0, 1.0, 9.0),
    ] {
        assert_eq!(Spread::of(rounds.iter().copied()), Spread { median, least, most });
    }
}

/// The median of three rounds has nothing of the one that was disturbed, except how long it took at most.
#[test]
fn one_disturbed_round_changes_no_percentile() {
    let rounds = [1_000, 900_000, 2_000].map(|nanos| {
        let mut round = histogram();
        round.record_n(nanos, 100).expect("within the bounds");
        Latency::of(&round)
    });
    let Latency { count, p50, p99, max, .. } = Latency::median(&rounds);
    assert_eq!(count, 300);
    for (found, expected) in [(p50, 2.0), (p99, 2.0), (max, 900.0)] {
        assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
    }
}

#[test]
fn numbers_for_people() {
    for (unit, number, text) in [
        (Unit::PerSecond, 912_345.4, "912,345 /s"),
        (Unit::PerSecond, 1_000_000.0, "1,000,000 /s"),
        (Unit::Count, 999.0, "999"),
        (Unit::Micros, 142.346, "142.35 µs"),
        (Unit::Bytes, 100.0, "100 B"),
        (Unit::Bytes, 8192.0, "8.00 KiB"),
        (Unit::Bytes, 5_242_880.0, "5.0 MiB"),
        (Unit::Ratio, 0.6, "0.600"),
        (Unit::Seconds, 1.5, "1.500 s"),
    ] {
        assert_eq!(unit.show(number), text);
    }
}

#[test]
fn a_report_is_a_table_or_json() {
    let mut report = Report::default();
    report.figure("payments per second", Unit::PerSecond, Spread::of([1000.0, 3000.0, 2000.0]));
    report.figure("ratio", Unit::Ratio, 0.5);
    let mut nanos = histogram();
    nanos.record_n(1_000, 99).expect("within the bounds");
    nanos.record_n(9_000, 1).expect("within the bounds");
    report.latency("answers", Latency::of(&nanos));
    let settings = crate::config::from_args(["node", "--role", "bench", "limits"].map(Into::into));
    let crate::config::Config::Bench(config) = settings.expect("valid").config else {
        panic!("no measurement")
    };
    let machine = Machine::this();
    let table = report.table(&config, &machine);
    assert!(table.starts_with("limits, text, rounds of 5s: 5\n"), "{table}");
    assert!(
        table.contains("payments per second          2,000 /s   1,000 /s to 3,000 /s\n"),
        "{table}"
    );
    assert!(table.contains("      1.0 µs       1.0 µs       1.0 µs       9.0 µs"), "{table}");

    let json = report.json(&config, &machine);
    assert_eq!(json["figures"]["payments_per_second"]["median"], 2000.0);
    assert_eq!(json["figures"]["payments_per_second"]["unit"], "1/s");
    assert_eq!(json["latencies"]["answers"]["count"], 100);
    assert_eq!(json["settings"]["rounds"], 5);
    for setting in ["server", "data", "rate", "session_threads"] {
        assert!(json["settings"][setting].is_null(), "{setting}");
    }
    assert_eq!(json["settings"]["line_end"], "lf");
    assert_eq!(json["settings"]["client_stores"], "memory");
    assert!(json["machine"]["memory_gib"].as_f64().expect("a number") > 0.0);
    assert!(json["machine"]["avx512_ifma"].is_boolean());
}
