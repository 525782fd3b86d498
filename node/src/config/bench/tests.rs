use std::io::Write as _;

use super::*;
use crate::config::{ClientStores, Config, Settings, from_args};

fn settings(args: &[&str]) -> Result<Settings, Error> {
    let args = ["node", "--role", "bench"].iter().chain(args);
    from_args(args.map(OsString::from))
}

fn bench(args: &[&str]) -> BenchConfig {
    match settings(args).expect("valid").config {
        Config::Bench(bench) => bench,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let expected = BenchConfig {
        scenario: Scenario::Pipeline,
        target: Target::Own { data_dir: None },
        protocol: Protocol::Text,
        connections: 8,
        window: 1000,
        duration: Duration::from_secs(5),
        rounds: 5,
        rate: None,
        sweep: false,
        signed: false,
        payers: 1000,
        accounts: 1000,
        sessions: 10_000,
        entries: 10_000_000,
        session_threads: None,
        line_end: LineEnd::Lf,
        client_stores: ClientStores::Memory,
        json: false,
        plot: None,
    };
    assert_eq!(bench(&["pipeline"]), expected);
    assert_eq!(bench(&["closed"]).connections, 32);
    assert_eq!(bench(&["pipeline", "--signed"]).protocol, Protocol::Secure);
    assert_eq!(bench(&["closed", "--line-end", "nul"]).window, 1);
}

#[test]
fn every_flag_arrives() {
    let flags = [
        "--data=/d",
        "--protocol=secure",
        "--connections=2",
        "--window=3",
        "--duration=4s",
        "--rounds=5",
        "--rate=60%",
        "--signed",
        "--payers=7",
        "--accounts=8",
        "--session-threads=9",
        "--json",
        "--plot=/p.svg",
        "pipeline",
    ];
    let expected = BenchConfig {
        scenario: Scenario::Pipeline,
        target: Target::Own { data_dir: Some("/d".into()) },
        protocol: Protocol::Secure,
        connections: 2,
        window: 3,
        duration: Duration::from_secs(4),
        rounds: 5,
        rate: Some(Rate::Percent(60)),
        sweep: false,
        signed: true,
        payers: 7,
        accounts: 8,
        sessions: 10_000,
        entries: 10_000_000,
        session_threads: Some(9),
        line_end: LineEnd::Lf,
        client_stores: ClientStores::Memory,
        json: true,
        plot: Some("/p.svg".into()),
    };
    assert_eq!(bench(&flags), expected);
    let flags = ["closed", "--server=127.0.0.1:9", "--server-pid=10", "--line-end=none"];
    let running = bench(&flags);
    let address = ([127, 0, 0, 1], 9).into();
    assert_eq!(running.target, Target::Running { address, pid: Some(10) });
    assert_eq!(running.line_end, LineEnd::None);
    assert!(bench(&["pipeline", "--sweep"]).sweep);
    assert_eq!(bench(&["idle", "--sessions=9"]).sessions, 9);
    assert_eq!(bench(&["recover", "--entries=10"]).entries, 10);
    assert_eq!(bench(&["p2p", "--client-stores=disk"]).client_stores, ClientStores::Disk);
}

/// The file may be a server's: what it names is somebody's ledger, not one to measure with.
#[test]
fn a_ledger_or_server_of_the_file_is_left_alone() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"data = \"/somebody\"\nserver = \"127.0.0.1:8000\"\nprotocol = \"secure\"\n")
        .expect("written");
    let path = file.path().to_str().expect("text");
    let config = bench(&["closed", "--config", path]);
    assert_eq!(config.target, Target::Own { data_dir: None });
    assert_eq!(config.protocol, Protocol::Text);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (args, said) in [
        (&[][..], "it is not said what to measure"),
        (&["closed", "pipeline"], "one thing is measured at a time"),
        (&["speed"], "`speed` cannot be measured"),
        (&["pipeline", "--window", "2", "--line-end", "none"], "only requests that end with a"),
        (&["pipeline", "--signed", "--protocol", "text"], "the text protocol knows no signed"),
        (&["pipeline", "--sweep", "--rate", "5"], "a sweep goes through all rates"),
        (&["closed", "--data", "/d", "--server", "h:1"], "a server that runs already has its"),
        (&["closed", "--server-pid", "5"], "--server-pid is that of which server?"),
        (&["closed", "--listen", "127.0.0.1:1"], "--listen means nothing to a measurement"),
        (&["closed", "--rounds", "0"], "invalid value '0' for '--rounds"),
        (&["closed", "--rate", "500"], "--rate means nothing to `closed`"),
        (&["closed", "--sweep"], "--sweep means nothing to `closed`"),
        (&["closed", "--window", "7"], "--window means nothing to `closed`"),
        (&["idle", "--plot", "/p.svg"], "--plot means nothing to `idle`"),
        (&["list", "--plot", "/p.svg"], "--plot means nothing to `list`"),
        (&["recover", "--plot", "/p.svg"], "--plot means nothing to `recover`"),
        (&["limits", "--plot", "/p.svg"], "--plot means nothing to `limits`"),
        (&["limits", "--server", "h:1"], "--server means nothing to `limits`"),
        (&["p2p", "--signed"], "--signed means nothing to `p2p`"),
        (&["pipeline", "--entries", "5"], "--entries means nothing to `pipeline`"),
        (
            &["closed", "--protocol", "secure", "--line-end", "none"],
            "requests of the secure protocol are frames",
        ),
        (
            &["closed", "--server", "h:1", "--session-threads", "1"],
            "a server that runs already has its own threads",
        ),
        (&["closed", "--rate", "0"], "invalid value '0' for '--rate"),
    ] {
        let error = settings(args).expect_err("refused");
        assert_eq!(error.exit_code(), 2, "{args:?}");
        let message = error.to_string();
        assert!(message.starts_with(said), "{args:?}: {message}");
    }
    let server = from_args(["node", "--role", "server", "--window", "5"].map(OsString::from));
    let message = server.expect_err("refused").to_string();
    assert_eq!(message, "--window means nothing to a server");
}
