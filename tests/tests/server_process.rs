//! The server as a process: its first line, its exit codes, its log, and how it stops.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tests::flood::Honest;
use tests::process::{Ended, PATIENCE, Program, Server};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::Call;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn start_at(listen: &str, data: &Path) -> Program {
    let data = data.to_str().expect("temporary paths are text");
    Program::start(MITE, ["--role", "server", "--listen", listen, "--data", data])
}

/// Expects an end of this exit code with one line of what happened, one of what to do, and nothing
/// else but the log; returns the first.
#[track_caller]
fn expect_failure(ended: &Ended, code: i32) -> String {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    assert_eq!(ended.stdout, [""; 0], "{ended:?}");
    let (hint, before) = ended.stderr.split_last().expect("it says why it ends");
    let (error, log) = before.split_last().expect("it says why it ends");
    assert!(hint.starts_with("hint: ") && hint.len() > "hint: ".len(), "{ended:?}");
    assert!(error.starts_with("error: "), "{ended:?}");
    let said = |line: &String| line.starts_with("error") || line.starts_with("hint");
    assert!(!log.iter().any(said), "{ended:?}");
    assert!(!ended.stderr.iter().any(|line| line.contains("backtrace")), "{ended:?}");
    error.clone()
}

/// Every file below a directory, with its bytes. A server that was killed leaves a socket, too.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if path.is_file() {
            files.insert(path.clone(), fs::read(&path).expect("the file can be read"));
        }
    }
    files
}

/// Protects scripts: the first line of the standard output is the address that really is in use, the
/// second one the key that clients know the server by.
#[test]
fn the_first_line_is_the_address_in_use() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let program = start_at("127.0.0.1:0", data.path());
    let line = program.line();
    let address = line.strip_prefix("listening on ").expect("the address in the first line");
    let address: SocketAddr = address.parse().expect("an address");
    assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
    let line = program.line();
    let key = line.strip_prefix("server key ").expect("the key in the second line");
    assert!(key.parse::<wire::PublicKey>().is_ok(), "{key}");
    Connection::open(address).ask("hello\n", "200 BAD_REQUEST\n");
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout, [""; 0], "nothing else goes to the standard output");
    // The log says it, too.
    let logged = |line: &String| line.contains(&address.to_string());
    assert!(ended.stderr.iter().any(logged), "{ended:?}");
}

/// Protects whoever starts a second server on a port: one line, a hint, exit code 4.
#[test]
fn a_port_in_use_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let data = tempfile::tempdir().expect("a temporary directory");
    let error = expect_failure(&start_at(&address, data.path()).wait(), 4);
    assert!(error.contains(&address), "{error}");
    assert!(contents(data.path()).is_empty(), "a server that cannot listen touches no data");
}

/// Protects whoever gives a directory that cannot be one: exit code 5, and which.
#[test]
fn a_data_directory_that_is_a_file_is_said() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "not a directory").expect("the temporary directory takes a file");
    for data in [file.clone(), file.join("below")] {
        let error = expect_failure(&start_at("127.0.0.1:0", &data).wait(), 5);
        assert!(error.contains(file.to_str().expect("text")), "{error}");
    }
    assert_eq!(fs::read(&file).expect("it is there"), b"not a directory");
}

/// Protects the ledger from two servers that write to it at once.
#[test]
fn a_data_directory_in_use_is_said_and_the_first_server_goes_on() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let error = expect_failure(&start_at("127.0.0.1:0", data.path()).wait(), 5);
    assert!(error.contains(data.path().to_str().expect("text")), "{error}");
    assert_eq!(alice.balance(), 1000);
    alice.ask("REGISTER#bob\n", "100 OK\n");
    server.stop();
    // The lock ends with its owner, also when that had no time to take it off.
    Server::start(MITE, data.path(), &[]).program.kill();
    Server::start(MITE, data.path(), &[]).stop();
}

/// Protects the ledger and the server's key from other users of the machine.
#[test]
fn what_it_keeps_is_for_its_owner_alone() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let data = parent.path().join("new");
    let server = Server::start(MITE, &data, &[]);
    Connection::log_in(server.address, "alice", 5001);
    server.stop();
    let files = contents(&data);
    assert!(files.len() >= 3, "a journal, a key, a snapshot: {:?}", files.keys());
    for path in files.keys().chain([&data]) {
        let mode = fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
    }
}

/// Protects the balances: a server does not start on a journal that is not what it has written, says
/// where the damage is, and leaves everything as it is for whoever repairs it.
#[test]
fn a_damaged_journal_is_said_with_file_and_offset_and_nothing_is_changed() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    for number in 0..20 {
        bob.ask(&format!("REGISTER#user{number}\n"), "100 OK\n");
        bob.ask(&format!("user{number}#10#bob\n"), "100 OK\n");
    }
    // Without a clean stop, so that nothing but the journal tells the balances.
    server.program.kill();

    let is_journal = |path: &&PathBuf| path.to_string_lossy().contains("journal-");
    let journals: Vec<PathBuf> = contents(data.path()).keys().filter(is_journal).cloned().collect();
    let [journal] = &journals[..] else { panic!("one segment, not {journals:?}") };
    let intact = fs::read(journal).expect("the journal can be read");
    let name = intact.windows(5).position(|bytes| bytes == b"user3").expect("names are plain");
    let mut damaged = intact.clone();
    damaged[name] ^= 1;
    fs::write(journal, &damaged).expect("the journal can be written");
    let before = contents(data.path());

    let error = expect_failure(&start_at("127.0.0.1:0", data.path()).wait(), 6);
    let file = journal.file_name().expect("it has a name").to_str().expect("it is text");
    assert!(error.contains(file), "{error}");
    // The offset is the one of the damaged batch: right before the byte that was changed.
    let offset = error.split("at byte ").nth(1).expect("it says where");
    let offset: String = offset.chars().take_while(char::is_ascii_digit).collect();
    let offset: usize = offset.parse().expect("a number");
    assert!(offset < name && name - offset < 1024, "{offset} is not right before {name}: {error}");
    assert!(contents(data.path()) == before, "the server has changed something");

    // Repaired, everything is there.
    fs::write(journal, &intact).expect("the journal can be written");
    let server = Server::start(MITE, data.path(), &[]);
    let mut bob = Connection::open(server.address);
    bob.send("bob#5002\n");
    assert_eq!(bob.list().0, 1200);
}

/// Protects against payments that nobody remembers: an older copy of the journal is not taken for the whole of it,
/// even where no snapshot tells.
#[test]
fn a_journal_whose_end_is_gone_is_said_with_file_and_offset() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut honest = Honest::new(server.address);
    honest.pay_signed();
    let files = |what: &str| {
        let paths: Vec<PathBuf> = contents(data.path()).into_keys().collect();
        let named = |path: &PathBuf| path.to_string_lossy().contains(what);
        paths.into_iter().filter(named).collect::<Vec<_>>()
    };
    let [journal] = &files("journal-")[..] else { panic!("one segment") };
    let older = fs::read(journal).expect("the journal can be read");
    honest.pay_signed();
    // Whoever asks makes the index read all that is durable.
    let mut curious = SecureClient::registered(server.address, &key(9), "curious");
    curious.call(Call::ReadHistory { before: None, limit: 1 }).expect("a history");
    server.stop();
    let whole = fs::read(journal).expect("the journal can be read");

    fs::write(journal, older).expect("the journal can be written");
    for snapshot in files("snapshot-") {
        fs::remove_file(snapshot).expect("a snapshot can be removed");
    }
    let error = expect_failure(&start_at("127.0.0.1:0", data.path()).wait(), 6);
    let file = journal.file_name().expect("it has a name").to_str().expect("it is text");
    for expected in ["has lost its end", "index.redb", "offset", file] {
        assert!(error.contains(expected), "{expected} is not in {error}");
    }

    fs::write(journal, whole).expect("the journal can be written");
    let server = Server::start(MITE, data.path(), &[]);
    server.stop();
}

/// Protects against a restart that loses or hangs: both signals stop the server with exit code 0,
/// its connections closed cleanly, and nobody comes in any more.
#[test]
fn either_signal_stops_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &[]);
        let address = server.address;
        let mut alice = Connection::log_in(address, "alice", 5001);
        let mut idle = Connection::open(address);
        let mut begun = Connection::open(address);
        begun.ask("hello\n", "200 BAD_REQUEST\n");
        begun.send("REGISTER#half");
        server.program.signal(signal);
        for connection in [&mut alice, &mut idle, &mut begun] {
            connection.expect_close();
        }
        let ended = server.program.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert!(TcpStream::connect(address).is_err(), "somebody still listens");

        let server = Server::start(MITE, data.path(), &[]);
        let mut connection = Connection::open(server.address);
        connection.send("alice#5001\n");
        assert_eq!(connection.list().0, 1000);
        connection.ask("half#5001\n", "220 AUTH_FAIL\n");
    }
}

/// Protects payments that are under way when the server is stopped: each one that it has done is
/// answered, each one that it has answered is in the ledger.
#[test]
fn what_is_under_way_when_it_stops_is_answered_and_kept() {
    const PAYEES: usize = 4;
    const PAYMENTS: usize = 100_000;
    let args = ["--opening-balance", "1000000"];
    for signal in [Signal::TERM, Signal::INT] {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &args);
        let address = server.address;
        let mut payer = Connection::log_in(address, "payer", 5001);
        let together = Barrier::new(PAYEES);
        let be_paid = |number: usize| {
            let mut payee = Connection::log_in(address, &format!("payee{number}"), 5002);
            together.wait();
            let requests = format!("payer#1#payee{number}\n").repeat(PAYMENTS);
            payee.send_until_stalled(requests.as_bytes(), PATIENCE);
            let answers = payee.rest();
            let whole = answers.split_inclusive('\n').all(|line| line == "100 OK\n");
            assert!(whole, "the answers end in {:?}", answers.lines().last());
            answers.lines().count()
        };
        let answered: Vec<usize> = thread::scope(|scope| {
            let be_paid = &be_paid;
            let payees: Vec<_> =
                (0..PAYEES).map(|number| scope.spawn(move || be_paid(number))).collect();
            while payer.balance() == 1_000_000 {}
            server.program.signal(signal);
            payees.into_iter().map(|payee| payee.join().expect("answers are whole")).collect()
        });
        let ended = server.program.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        let sum: usize = answered.iter().sum();
        assert!(0 < sum && sum < PAYEES * PAYMENTS, "{sum}: nothing was under way any more");

        let server = Server::start(MITE, data.path(), &args);
        let mut connection = Connection::open(server.address);
        for (number, answers) in answered.into_iter().enumerate() {
            connection.send(format!("payee{number}#5002\n"));
            let paid = connection.list().0 - 1_000_000;
            assert_eq!(usize::try_from(paid), Ok(answers), "payee{number}");
        }
    }
}

/// Protects the answer to a request that had reached the server when it was told to stop: the
/// connection is not reset under it.
#[test]
fn a_request_that_came_before_the_signal_is_answered() {
    for round in 0..10 {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &[]);
        let mut connection = Connection::open(server.address);
        connection.ask("hello\n", "200 BAD_REQUEST\n");
        connection.send("REGISTER#alice\n");
        server.program.signal(Signal::TERM);
        assert_eq!(connection.rest(), "100 OK\n", "in round {round}");
        server.program.wait();
    }
}

/// Protects the stop from a client that never reads its answers: it does not keep the server up.
#[test]
fn a_client_that_never_reads_does_not_keep_it_up() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut deaf = Connection::open_with_small_window(server.address);
    deaf.register_and_log_in("deaf", 5001);
    let flood = "List\n".repeat(8 << 20);
    let taken = deaf.send_until_stalled(flood.as_bytes(), Duration::from_secs(1));
    assert!(taken < flood.len(), "the server has read all of it");
    server.stop();
}

/// Protects tools that read the log: each line is one JSON object with time, level and message, and
/// the context of what happened.
#[test]
fn the_json_log_is_json() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let args = ["--log-format", "json", "--log-level", "debug"];
    let server = Server::start(MITE, data.path(), &args);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    bob.ask("REGISTER#\"al\\ice\"\n", "100 OK\n");
    bob.ask("\"al\\ice\"#5#bob\n", "100 OK\n");
    bob.ask("\"al\\ice\"#5000#bob\n", "Transfer failed due to insufficient balance.\n");
    bob.ask("\u{1b}[2J\n", "200 BAD_REQUEST\n");
    drop(bob);
    let ended = server.stop();
    let records: Vec<Value> = ended
        .stderr
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for record in &records {
        for key in ["ts", "level", "msg"] {
            assert!(record[key].is_string(), "{key} in {record}");
        }
    }
    let find = |msg: &str| {
        let found = records.iter().find(|record| record["msg"] == msg);
        found.unwrap_or_else(|| panic!("no record {msg:?} in {records:#?}"))
    };
    let settled = find("payment settled");
    assert_eq!(settled["level"], "INFO");
    assert_eq!(settled["payer"], "\"al\\ice\"");
    assert_eq!(settled["payee"], "bob");
    assert_eq!(settled["amount"].to_string().trim_matches('"'), "5");
    assert!(settled["peer"].as_str().expect("an address").starts_with("127.0.0.1:"));
    assert_eq!(find("payment refused")["level"], "INFO");
    assert!(records.iter().any(|record| record["level"] == "WARNING"), "{records:#?}");
}

/// Protects the operator's choice of who may speak the text protocol, which proves nobody's identity.
#[test]
fn the_text_protocol_is_for_whom_the_operator_says() {
    for (args, served) in [
        (&["--text", "off"][..], false),
        (&["--text", "loopback"], true),
        (&["--text", "any"], true),
        (&[], true),
    ] {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), args);
        let mut connection = Connection::open(server.address);
        if served {
            connection.ask("REGISTER#alice\n", "100 OK\n");
        } else {
            connection.send("REGISTER#alice\n");
            let refusal = connection.rest();
            assert!(refusal.starts_with("220 ERROR "), "{refusal:?}");
            assert_eq!(refusal.lines().count(), 1, "{refusal:?}");
        }
        server.stop();
    }
}

/// Protects the journal from crowds: with few files allowed, connections are turned away before the
/// ledger has none left to write to.
#[test]
fn more_connections_than_files_are_turned_away() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let script = "ulimit -n 128 && exec \"$0\" \"$@\"";
    let path = data.path().to_str().expect("temporary paths are text");
    let args = ["-c", script, MITE, "--role", "server", "--listen", "127.0.0.1:0", "--data", path];
    let program = Program::start("sh", args);
    let address = program.line();
    let address = address.strip_prefix("listening on ").expect("the address in the first line");
    let address: SocketAddr = address.parse().expect("an address");
    program.error_line_with("too few open files");

    let mut first = Connection::open(address);
    first.ask("REGISTER#alice\n", "100 OK\n");
    let idle: Vec<Connection> = (0..63).map(|_| Connection::open(address)).collect();
    for _ in 0..200 {
        let refusal = Connection::open(address).rest();
        assert!(refusal.is_empty() || refusal.starts_with("220 ERROR "), "{refusal:?}");
    }
    // Each of them is a write to the journal, which also begins its snapshots and segments.
    for number in 0..100 {
        first.ask(&format!("REGISTER#user{number}\n"), "100 OK\n");
    }
    drop(idle);
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// Protects what clients know the server by: a key that got lost is not replaced behind their backs.
#[test]
fn a_missing_key_beside_a_ledger_is_said_and_not_replaced() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let key = data.path().join("server.key");
    let server = Server::start(MITE, data.path(), &[]);
    server.program.error_line_with("new server key");
    server.stop();
    // Nothing has been written yet: another key harms nobody.
    fs::remove_file(&key).expect("the key is there");
    let server = Server::start(MITE, data.path(), &[]);
    let made = server.program.error_line_with("new server key");
    let public = made.rsplit("public: ").next().expect("the public key").to_owned();
    Connection::log_in(server.address, "alice", 5001);
    server.stop();

    let kept = fs::read(&key).expect("the key is there");
    assert!(String::from_utf8_lossy(&kept).contains(&public), "{public}");
    fs::remove_file(&key).expect("the key is there");
    let error = expect_failure(&start_at("127.0.0.1:0", data.path()).wait(), 5);
    assert!(error.contains("server.key: the file is missing"), "{error}");
    assert!(!key.exists(), "a new key was made");

    fs::write(&key, kept).expect("the directory takes a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let server = Server::start(MITE, data.path(), &[]);
    assert!(server.program.error_line_with("server key").contains(&public));
    server.stop();
}

/// Clients and receipts know the server by the key that has signed its journal: with another one it must not
/// go on.
#[test]
fn a_key_that_has_not_signed_the_journal_is_refused() {
    let [ours, theirs] = [(), ()].map(|()| tempfile::tempdir().expect("a temporary directory"));
    for data in [&ours, &theirs] {
        let server = Server::start(MITE, data.path(), &[]);
        Connection::log_in(server.address, "alice", 5001);
        server.stop();
    }
    let key = ours.path().join("server.key");
    let kept = fs::read(&key).expect("the key is there");
    fs::write(&key, fs::read(theirs.path().join("server.key")).expect("it is there"))
        .expect("ours");
    let error = expect_failure(&start_at("127.0.0.1:0", ours.path()).wait(), 5);
    assert!(error.contains("is not that of the journal"), "{error}");
    fs::write(&key, kept).expect("it is ours");
    Server::start(MITE, ours.path(), &[]).stop();
}
