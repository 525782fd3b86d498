//! Servers whose old journal files are moved away: they start without them, and with the archive they know
//! everything that they knew.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tests::operator::admin_json;
use tests::process::{Ended, Program, Server, expect_done, text};
use tests::purse::history;
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::{Answer, Call, Problem};
use wire::{EntryNumber, Receipt};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const FAULT: i32 = 8;
const CAROL: u8 = 3;
/// Payments that are sent in one piece, and come into few batches.
const PAYMENTS_AT_ONCE: usize = 2000;

/// A data directory with some journal files and two snapshots, and where its old files go.
struct Stage {
    machine: TempDir,
}

impl Stage {
    fn set() -> Self {
        let stage = Self { machine: tempfile::tempdir().expect("a temporary directory") };
        let server = stage.start(&[]);
        // In the first file, so that a receipt needs it.
        SecureClient::registered(server.address, &key(CAROL), "carol");
        Connection::log_in(server.address, "alice", 5001);
        let mut bob = Connection::log_in(server.address, "bob", 5002);
        while journal_files(&stage.data()).len() < 4 {
            bob.send("alice#1#bob\n".repeat(PAYMENTS_AT_ONCE));
            bob.expect("100 OK\n".repeat(PAYMENTS_AT_ONCE));
        }
        server.stop();
        stage.pay_and_stop();
        stage
    }

    /// Every stop behind something new leaves a snapshot.
    fn pay_and_stop(&self) {
        let server = self.start(&[]);
        let mut bob = log_in_again(server.address);
        bob.ask("alice#1#bob\n", "100 OK\n");
        // Then the index has read everything.
        oldest_receipt(server.address).expect("it has everything");
        server.stop();
    }

    fn start(&self, more_args: &[&str]) -> Server {
        let args = [&["--opening-balance", "1000000"], more_args].concat();
        Server::start(MITE, &self.data(), &args)
    }

    fn start_with_archive(&self) -> Server {
        let archive = self.archive();
        self.start(&["--archive-to", text(&archive), "--keep-segments", "1"])
    }

    fn data(&self) -> PathBuf {
        self.machine.path().join("data")
    }

    fn archive(&self) -> PathBuf {
        self.machine.path().join("archive")
    }

    fn run_archive(&self, more: &[&str]) -> Ended {
        let (data, archive) = (self.data(), self.archive());
        let args = ["--role", "archive", "--data", text(&data), "--archive-to", text(&archive)];
        run(&[&args, more].concat())
    }

    fn admin(&self, words: &[&str]) -> Value {
        admin_json(MITE, &self.data(), words)
    }

    fn audit(&self, more: &[&str]) -> Ended {
        let data = self.data();
        run(&[&["--role", "audit", "ledger", "--data", text(&data)], more].concat())
    }

    fn audit_with_archive(&self) -> Ended {
        self.audit(&["--archived", text(&self.archive())])
    }
}

fn run(args: &[&str]) -> Ended {
    Program::start(MITE, args).wait()
}

fn journal_files(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("a directory").flatten();
    let names = files.map(|file| file.file_name().into_string().expect("our names are text"));
    let mut names: Vec<_> = names.filter(|name| name.starts_with("journal-0")).collect();
    names.sort_unstable();
    names
}

fn log_in_again(server: SocketAddr) -> Connection {
    let mut bob = Connection::open(server);
    bob.send("bob#5002\n");
    bob.list();
    bob
}

#[track_caller]
fn expect_error(ended: &Ended, code: i32, says: &str) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let [error, hint] = &ended.stderr[..] else { panic!("two lines: {ended:?}") };
    assert!(error.starts_with("error: ") && error.contains(says), "{ended:?}");
    assert!(hint.starts_with("hint: "), "{ended:?}");
}

/// The oldest receipt of carol's, which is for her account; `None` if the server cannot read it.
fn oldest_receipt(server: SocketAddr) -> Option<(EntryNumber, Receipt)> {
    let mut carol = SecureClient::connect(server, &key(CAROL));
    let number = history(&mut carol).last().expect("her account was opened").number;
    match carol.call(Call::ReadReceipts { entries: vec![number] }) {
        Ok(Answer::Receipts(mut receipts)) => Some((number, receipts.remove(0)?)),
        Err(Problem::HistoryUnavailable) => None,
        other => panic!("receipts, not {other:?}"),
    }
}

#[test]
fn a_stopped_servers_old_files_are_moved_and_it_knows_what_it_knew() {
    let stage = Stage::set();
    let (all, before) = (journal_files(&stage.data()), expect_done(&stage.audit(&[])));
    let server = stage.start(&[]);
    let receipt = oldest_receipt(server.address).expect("it has everything");
    expect_error(&stage.run_archive(&[]), 5, "in use by another process");
    server.stop();
    let told = expect_done(&stage.run_archive(&["--keep-segments", "100"]));
    assert!(told.contains("moved     0 journal files"), "{told}");
    expect_done(&stage.run_archive(&["--keep-segments", "1"]));
    let (moved, left) = (journal_files(&stage.archive()), journal_files(&stage.data()));
    assert!(moved.len() >= 2 && !left.is_empty(), "{moved:?}, {left:?}");
    assert_eq!([moved.clone(), left].concat(), all);

    expect_error(&stage.audit(&[]), FAULT, "are missing");
    assert_eq!(expect_done(&stage.audit_with_archive()), before);
    // Without the archive it has what it needs for payments and histories.
    let server = stage.start(&[]);
    log_in_again(server.address).ask("alice#1#bob\n", "100 OK\n");
    assert_eq!(oldest_receipt(server.address), None, "the batch is not there");
    server.program.error_line_with("a receipt cannot be made");
    server.stop();
    // With it, everything, and from nothing but the journal.
    fs::remove_file(stage.data().join("index.redb")).expect("there is an index");
    let server = stage.start_with_archive();
    assert_eq!(oldest_receipt(server.address), Some(receipt));
    server.stop();
    for snapshot in snapshots(&stage.data()) {
        fs::remove_file(snapshot).expect("it is ours");
    }
    let server = stage.start_with_archive();
    assert!(log_in_again(server.address).balance() > 1_000_000);
    server.stop();
    expect_done(&stage.audit_with_archive());
}

#[test]
fn a_running_server_moves_its_old_files_by_itself() {
    let stage = Stage::set();
    let all = journal_files(&stage.data());
    let server = stage.start_with_archive();
    server.program.error_line_with("segments archived");
    let moved = journal_files(&stage.archive());
    assert_eq!([moved, journal_files(&stage.data())].concat(), all);
    log_in_again(server.address).ask("alice#1#bob\n", "100 OK\n");
    assert!(oldest_receipt(server.address).is_some());
    expect_done(&stage.audit_with_archive());
    // The server's own audit knows where they are, and so does its backup.
    let (verified, status) = (stage.admin(&["verify"]), stage.admin(&["status"]));
    assert_eq!(verified["sound"], true);
    assert_eq!((&verified["batch"], &verified["head"]), (&status["batch"], &status["head"]));
    let own = stage.machine.path().join("own");
    stage.admin(&["backup", text(&own)]);
    assert_eq!(journal_files(&own), all);

    // Both are in a backup that is told of both.
    let copies = stage.machine.path().join("copies");
    let (data, archive) = (stage.data(), stage.archive());
    let args = ["--role", "backup", "--data", text(&data), "--to", text(&copies)];
    expect_done(&run(&[&args[..], &["--archived", text(&archive)]].concat()));
    assert_eq!(journal_files(&copies), all);
    server.stop();
    expect_done(&run(&["--role", "audit", "ledger", "--data", text(&copies)]));
}

#[test]
fn what_is_wrong_is_said_before_anything_is_moved() {
    let stage = Stage::set();
    let (data, all) = (stage.data(), journal_files(&stage.data()));
    let refused = |args: &[&str], code, says: &str| {
        expect_error(
            &run(&[&["--role", "archive", "--data", text(&data)], args].concat()),
            code,
            says,
        );
        assert_eq!(journal_files(&data), all);
    };
    refused(&[], 2, "archiving needs a directory");
    refused(&["--archive-to", text(&data)], 5, "in the data directory itself");
    let path = data.join(&all[0]);
    let mut bytes = fs::read(&path).expect("there is a file");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("it is ours");
    refused(&["--archive-to", text(&stage.archive()), "--keep-segments", "1"], FAULT, "damaged");
    let args = ["--role", "server", "--data", text(&data), "--keep-segments", "3"];
    expect_error(&run(&args), 2, "--keep-segments says");
}

fn snapshots(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data).expect("a directory").flatten().map(|file| file.path());
    files.filter(|path| path.to_string_lossy().contains("snapshot-")).collect()
}
