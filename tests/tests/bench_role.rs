//! The load generator: short runs of each scenario that pays, and the ledger behind them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;
use tests::process::{PATIENCE, Program, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_mite-under-test");
/// Few accounts and short rounds: what is measured means nothing here.
const SHORT: &[&str] = &["--rounds", "2", "--duration", "100ms"];
/// For the scenarios in which accounts pay.
const FEW: &[&str] = &["--accounts", "20"];

fn node(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).stdin(Stdio::null()).output().expect("the program runs")
}

fn bench(args: &[&str]) -> Value {
    let few = if matches!(args[0], "closed" | "pipeline") { FEW } else { &[] };
    let output = node(&[&["--role", "bench", "--json"], args, SHORT, few].concat());
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// The median of a figure.
#[track_caller]
fn figure(report: &Value, name: &str) -> f64 {
    let median = &report["figures"][name]["median"];
    median.as_f64().unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// What the audit says of a ledger, which it has found sound.
fn audited(ledger: &Path) -> String {
    let output = node(&["--role", "audit", "ledger", "--data", ledger.to_str().expect("text")]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn payments_are_counted_and_the_ledger_is_sound() {
    for (args, ratio, accounts, orders) in [
        (&["closed", "--connections", "2"][..], "payments_to_echo", 22, false),
        (
            &["pipeline", "--window", "40", "--connections", "2"],
            "payments_to_journal_alone",
            22,
            false,
        ),
        (
            &["pipeline", "--window", "40", "--connections", "2", "--protocol", "secure"],
            "payments_to_journal_alone",
            22,
            false,
        ),
        (
            &["pipeline", "--window", "40", "--connections", "2", "--signed", "--payers", "3"],
            "server_CPU_to_verification",
            5,
            true,
        ),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("bench");
        let report = bench(&[args, &["--data", data.to_str().expect("text")]].concat());
        assert_eq!(report["scenario"], args[0]);
        assert!(figure(&report, "payments_per_second") > 0.0);
        assert!(figure(&report, "server_memory_at_its_peak") > 1e6);
        assert!(figure(&report, ratio) > 0.0);
        assert!(figure(&report, "fdatasync") > 0.0);
        let counted = report["latencies"]["payments"]["count"].as_u64().expect("a count");
        assert!(report["courses"]["payments"].as_array().expect("moments").len() > 9);

        // Every answer was a payment: none is missing in the ledger.
        let audit = audited(&data.join("ledger"));
        let line = |name: &str| {
            let line = audit.lines().find(|line| line.trim_start().starts_with(name));
            let words = line.map(|line| line.trim_start().trim_start_matches(name).trim_start());
            let number =
                words.and_then(|words| words.split([',', ' ']).next()?.parse::<u64>().ok());
            number.unwrap_or_else(|| panic!("no {name} in {audit}"))
        };
        assert_eq!(line("accounts"), accounts, "{audit}");
        let paid = if orders { line("orders") } else { line("by text") };
        // The first look at how many orders are needed is no round.
        assert!(if orders { paid > counted } else { paid == counted }, "{paid} {counted}");
    }
}

#[test]
fn a_fixed_rate_is_kept() {
    let report = bench(&["pipeline", "--window", "40", "--connections", "2", "--rate", "2000"]);
    assert_eq!(report["figures"]["offered_per_second"]["median"], 2000.0);
    // Two rounds of 100 ms. What the server could not take at once was asked late, not left out.
    assert_eq!(report["latencies"]["payments"]["count"], 400);
    assert!(report["latencies"]["payments"]["p99"].as_f64().expect("a number") > 0.0);
}

#[test]
fn a_sweep_is_drawn() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let picture = dir.path().join("sweep.svg");
    let picture_arg = picture.to_str().expect("text");
    let report = bench(&[
        "pipeline",
        "--window",
        "40",
        "--connections",
        "1",
        "--sweep",
        "--plot",
        picture_arg,
    ]);
    let sweep = report["sweep"].as_array().expect("rates");
    assert_eq!(sweep.len(), 10);
    assert!(sweep.iter().all(|rate| rate["answered"].as_f64().expect("a number") > 0.0));
    let svg = std::fs::read_to_string(&picture).expect("a picture");
    assert!(svg.starts_with("<svg") && svg.contains("latency over the offered rate"));
}

#[test]
fn a_server_that_runs_already_is_measured_twice() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(BINARY, data.path(), &["--opening-balance", "1000000"]);
    let (address, pid) = (server.address.to_string(), server.program.id().to_string());
    let running = ["--server", &address, "--server-pid", &pid, "--connections", "2"];
    for end in ["lf", "nul", "none"] {
        let report = bench(&[&["closed", "--line-end", end], &running[..]].concat());
        assert!(figure(&report, "payments_per_second") > 0.0);
        // It is told in hundredths of a second, so a short round may see none; a long one is no second.
        let cpu = figure(&report, "server_CPU_per_payment");
        assert!((0.0..1e6).contains(&cpu), "{cpu}");
    }
    server.stop();
}

/// Accounts that cannot pay are found out by the first answer that is no `100 OK`.
#[test]
fn a_refusal_fails_the_measurement() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(BINARY, data.path(), &["--opening-balance", "0"]);
    let address = server.address.to_string();
    let args = ["--role", "bench", "pipeline", "--server", &address];
    let output = node(&[&args[..], SHORT, FEW].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{text}");
    assert!(text.contains("insufficient balance"), "{text}");
    assert!(text.contains("hint: start the server with a larger --opening-balance"), "{text}");
    server.stop();
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it is bound").to_string();
    drop(free);
    for what in [&["closed"][..], &["pipeline", "--signed"], &["p2p"]] {
        let running = ["--role", "bench", "--server", &address];
        let output = node(&[&running[..], what, SHORT].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(9), "{text}");
        assert!(text.contains(&format!("cannot reach the server at {address}: ")), "{text}");
        assert!(text.contains("hint: start it, or correct --server"), "{text}");
    }
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(BINARY, data.path(), &["--opening-balance", "1000000"]);
    let address = server.address.to_string();
    let mut gone = Command::new("true").spawn().expect("it starts");
    gone.wait().expect("it ends");
    let pid = gone.id().to_string();
    let args = ["--role", "bench", "closed", "--server", &address, "--server-pid", &pid];
    let output = node(&[&args[..], SHORT].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{text}");
    assert!(text.contains(&format!("cannot read what process {pid} takes: ")), "{text}");
    assert!(text.contains("hint: correct --server-pid"), "{text}");
    server.stop();
}

#[test]
fn somebodys_ledger_is_not_measured_with() {
    let data = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(data.path().join("mine"), "mine").expect("written");
    let data = data.path().to_str().expect("text");
    let output = node(&["--role", "bench", "closed", "--data", data]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

/// The server of a run that was stopped must not stay behind.
#[test]
fn the_server_ends_with_the_measurement() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("bench");
    let data_arg = data.to_str().expect("text");
    let program =
        Program::start(BINARY, ["--role", "bench", "pipeline", "--data", data_arg, "--json"]);
    let children = format!("/proc/{0}/task/{0}/children", program.id());
    let read = || -> Vec<Pid> {
        let children = std::fs::read_to_string(&children).expect("the program runs");
        children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    };
    let began = Instant::now();
    while read().is_empty() {
        assert!(began.elapsed() < PATIENCE, "no server");
        thread::sleep(Duration::from_millis(10));
    }
    let children = read();
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(9), "{ended:?}");
    assert!(children.iter().all(|child| test_kill_process(*child).is_err()));
}

/// A server of another program: it ends its answers otherwise, fills them up with zeros, and leaves the
/// key out of its list.
#[test]
fn servers_with_other_words_are_driven() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let requests = BufReader::new(stream.try_clone().expect("a second handle"));
                for request in requests.lines().map_while(Result::ok) {
                    let answer = match request.split('#').collect::<Vec<_>>()[..] {
                        ["REGISTER", _] => "100 OK\r\n\0\0".to_owned(),
                        [name, port] => format!("10000\r\n1\r\n{name}#127.0.0.1#{port}\r\n\0"),
                        _ => "Transfer OK!\r\n\0\0\0".to_owned(),
                    };
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let report = bench(&["pipeline", "--window", "9", "--connections", "2", "--server", &address]);
    assert!(figure(&report, "payments_per_second") > 0.0);
}

/// In one dialect the answer goes to the payer, and the payee who asked hears nothing.
#[test]
fn servers_that_answer_the_payer_are_driven() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let args = ["--text-dialect", "ta2021", "--opening-balance", "1000000000"];
    let server = Server::start(BINARY, data.path(), &args);
    let address = server.address.to_string();
    let running = ["--server", &address, "--connections", "3"];
    for what in [&["closed"][..], &["closed", "--line-end", "none"], &["pipeline"]] {
        let report = bench(&[what, &running[..]].concat());
        assert!(figure(&report, "payments_per_second") > 0.0);
    }
    server.stop();
}

#[test]
fn whole_payments_are_made() {
    for stores in ["memory", "disk"] {
        let report =
            bench(&["p2p", "--connections", "2", "--window", "3", "--client-stores", stores]);
        assert!(figure(&report, "payments_per_second") > 0.0);
        assert!(figure(&report, "payments_to_crypto_alone") > 0.0);
    }
}
