//! What an operator does with a server as a whole: drain, snapshot, verify.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tests::operator::{Operator, admin, admin_json, start};
use tests::process::Server;
use tests::text::Connection;
use wire::admin::{AdminAnswer, AdminCall};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn snapshots(data: &Path) -> Vec<String> {
    let names = fs::read_dir(data).expect("it is there");
    let names = names.map(|file| file.expect("listed").file_name().into_string().expect("text"));
    let kept = |name: &String| name.starts_with("snapshot-") && name.contains(".mite");
    let mut names: Vec<_> = names.filter(kept).collect();
    names.sort();
    names
}

fn segment(data: &Path) -> PathBuf {
    data.join("journal-00000000000000000001.mite")
}

#[test]
fn a_drained_server_ends_with_code_0_and_the_operator_hears_of_its_end() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    bob.ask("alice#10#bob\n", "100 OK\n");
    let drained = admin(MITE, data.path(), &["drain"]);
    assert!(drained.status.success(), "{drained:?}");
    assert!(drained.stdout[0].contains("and ended"), "{drained:?}");
    // It has, before the operator heard so.
    let ended = server.program.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains("draining")), "{ended:?}");
    alice.expect_close();
    bob.expect_close();
    let server = Server::start(MITE, data.path(), &[]);
    assert_eq!(admin_json(MITE, data.path(), &["status"])["supply"], 2000);
    server.stop();
}

#[test]
fn a_snapshot_is_of_all_that_was_answered() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    let mut operator = Operator::connect(data);
    let nothing = operator.call(&AdminCall::Snapshot);
    assert!(matches!(nothing, Ok(AdminAnswer::SnapshotKept(batch)) if batch.get() == 0));
    assert!(snapshots(data).is_empty(), "of nothing there is none");
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let kept = admin_json(MITE, data, &["snapshot"]);
    let batch = kept["batch"].as_u64().expect("a number");
    let name = |batch: u64| format!("snapshot-{batch:020}.mite");
    assert_eq!(snapshots(data), [name(batch)]);
    assert_eq!(admin_json(MITE, data, &["snapshot"])["batch"], batch, "nothing has happened since");
    assert_eq!(admin_json(MITE, data, &["status"])["snapshot_batch"], batch);
    alice.ask("REGISTER#bob\n", "100 OK\n");
    let second = admin_json(MITE, data, &["snapshot"])["batch"].as_u64().expect("a number");
    assert_eq!(snapshots(data), [name(batch), name(second)]);
    assert!(second > batch);
    // The next server begins with it, without what came before.
    server.program.kill();
    let server = Server::start(MITE, data, &[]);
    assert_eq!(admin_json(MITE, data, &["status"])["accounts"], 2);
    server.stop();
}

/// Under load, snapshots are asked for by several operators at once: each is told of one.
#[test]
fn snapshots_are_kept_beside_payments() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    for round in 0..20 {
        let asking: Vec<_> = (0..3).map(|_| start(MITE, data, &["snapshot"])).collect();
        for _ in 0..10 {
            bob.ask("alice#1#bob\n", "100 OK\n");
            alice.ask("bob#1#alice\n", "100 OK\n");
        }
        for program in asking {
            let ended = program.wait();
            assert!(ended.status.success(), "round {round}: {ended:?}");
        }
    }
    server.program.kill();
    let server = Server::start(MITE, data, &[]);
    assert_eq!(admin_json(MITE, data, &["status"])["entries"], 402);
    server.stop();
}

#[test]
fn the_journal_of_a_running_server_is_audited_and_a_fault_is_found() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    Connection::log_in(server.address, "alice", 5001);
    for _ in 0..20 {
        bob.ask("alice#1#bob\n", "100 OK\n");
    }
    let sound = admin_json(MITE, data, &["verify"]);
    let status = admin_json(MITE, data, &["status"]);
    assert_eq!(sound["sound"], true);
    for field in ["batch", "head", "entries", "accounts", "supply"] {
        assert_eq!(sound[field], status[field], "{field}");
    }
    // A byte of the second batch is turned over behind the server's back.
    let file = fs::File::options().write(true).read(true).open(segment(data)).expect("it is there");
    let mut byte = [0];
    let offset = 60 + 180 + 60;
    file.read_exact_at(&mut byte, offset).expect("it is there");
    file.write_all_at(&[byte[0] ^ 1], offset).expect("it is ours");
    let fault = admin(MITE, data, &["verify"]);
    assert_eq!(fault.status.code(), Some(8), "{fault:?}");
    let line = fault.stderr.iter().find(|line| line.starts_with("error: ")).expect("an error");
    assert!(line.contains("journal-00000000000000000001.mite"), "{line}");
    // It is history: payments go on.
    bob.ask("alice#1#bob\n", "100 OK\n");
    server.stop();
}

#[test]
fn a_running_server_backs_itself_up_and_a_copy_of_the_copies_starts() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let copies = tempfile::tempdir().expect("a temporary directory");
    let to = copies.path().join("mite");
    let backup = ["backup", to.to_str().expect("temporary paths are text")];
    let server = Server::start(MITE, data.path(), &[]);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    Connection::log_in(server.address, "alice", 5001);
    let first = admin_json(MITE, data.path(), &backup);
    assert_eq!((&first["incremental"], &first["entries"]), (&false.into(), &2.into()));
    for _ in 0..10 {
        bob.ask("alice#1#bob\n", "100 OK\n");
    }
    let second = admin_json(MITE, data.path(), &backup);
    assert_eq!((&second["incremental"], &second["entries"]), (&true.into(), &12.into()));
    let status = admin_json(MITE, data.path(), &["status"]);
    assert_eq!((&second["batch"], &second["head"]), (&status["batch"], &status["head"]));
    let own = data.path().to_str().expect("temporary paths are text");
    assert_eq!(admin(MITE, data.path(), &["backup", own]).status.code(), Some(1));
    server.program.kill();

    let restored = copies.path().join("restored");
    fs::create_dir(&restored).expect("a new directory");
    for file in fs::read_dir(&to).expect("the copies") {
        let file = file.expect("listed");
        fs::copy(file.path(), restored.join(file.file_name())).expect("it can be copied");
    }
    let server = Server::start(MITE, &restored, &[]);
    assert_eq!(admin_json(MITE, &restored, &["status"])["entries"], 12);
    let mut bob = Connection::open(server.address);
    bob.send("bob#5002\n");
    assert_eq!(bob.list().0, 1010);
    server.stop();
}
