//! Audits of real servers' ledgers, by the program itself: of sound ones, of running ones, and of
//! what somebody did to them who has the disk, or even the server's key.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use actors::ledger::journal::{BatchCursor, JournalPlace, ReadOnlyDirectory, Walked};
use tempfile::TempDir;
use tests::process::{Ended, Program, Server, text};
use tests::text::Connection;
use wire::Receipt;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const SEGMENT: &str = "journal-00000000000000000001.mite";
const FAULT: i32 = 8;

fn audit(args: &[&str]) -> Ended {
    Program::start(MITE, [&["--role", "audit"], args].concat()).wait()
}

fn audit_ledger(data: &Path, more: &[&str]) -> Ended {
    audit(&[&["ledger", "--data", text(data)], more].concat())
}

fn expect_sound(ended: &Ended) -> String {
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    ended.stdout.join("\n")
}

/// Nothing but one line and one hint, and nothing that looks like a success.
fn expect_error(ended: &Ended, code: i32) -> String {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let [error, hint] = &ended.stderr[..] else { panic!("two lines: {ended:?}") };
    assert!(error.starts_with("error: ") && hint.starts_with("hint: "), "{ended:?}");
    error.clone()
}

/// The directory of a server that has stopped, where bob was paid these amounts by alice.
fn paid(key_of: Option<&Path>, amounts: &[u64]) -> TempDir {
    let data = tempfile::tempdir().expect("a temporary directory");
    if let Some(other) = key_of {
        let key = data.path().join("server.key");
        fs::copy(other.join("server.key"), &key).expect("there is a key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let server = Server::start(MITE, data.path(), &[]);
    Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    for amount in amounts {
        bob.ask(&format!("alice#{amount}#bob\n"), "100 OK\n");
    }
    server.stop();
    data
}

/// As the server gives it, without its secret.
fn server_key(data: &Path) -> String {
    let file = fs::read_to_string(data.join("server.key")).expect("there is a key");
    let public = file.lines().find_map(|line| line.strip_prefix("public "));
    public.expect("its public half").to_owned()
}

/// The receipts of all entries, as the server that has the journal gives them.
fn receipts(data: &Path) -> Vec<Receipt> {
    let storage = ReadOnlyDirectory::open(data).expect("there is a directory");
    let mut cursor = BatchCursor::new(Arc::new(storage), JournalPlace::BEGIN);
    let mut receipts = Vec::new();
    while let Walked::Batch(batch) = cursor.walk().expect("a sound journal") {
        let numbers = batch.header.first_entry.get()..batch.header.next_entry().get();
        let given = numbers.map(|number| batch.receipt(wire::EntryNumber::new(number)));
        receipts.extend(given.map(|receipt| receipt.expect("the batch is sealed")));
    }
    receipts
}

/// A directory with a receipt a file, in order.
fn export(receipts: &[Receipt]) -> (TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let files = receipts.iter().enumerate().map(|(number, receipt)| {
        let file = dir.path().join(format!("receipt-{number}"));
        fs::write(&file, receipt.to_text()).expect("the directory takes a file");
        file
    });
    let files = files.collect();
    (dir, files)
}

/// All files with their bytes.
fn content(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(data).expect("there is a directory");
    let files = files.map(|file| file.expect("listed").path());
    let mut content: Vec<_> =
        files.map(|file| (file.clone(), fs::read(&file).expect("readable"))).collect();
    content.sort();
    content
}

#[test]
fn a_sound_ledger_is_told_whole_and_left_as_it_is() {
    let data = paid(None, &[10, 20]);
    let before = content(data.path());
    let key = server_key(data.path());
    let (_files, files) = export(&receipts(data.path()));
    let mut args = vec!["--server-key", &key, "--against"];
    args.extend(files.iter().map(|file| text(file)));
    let told = expect_sound(&audit_ledger(data.path(), &args));
    for words in [
        "is sound",
        &format!("{key} (as given)"),
        "entries     4",
        "accounts    2",
        "supply      2000 credits",
        "2 payments, which nobody signed",
        "all signed by the server",
        "4, each of them in it",
    ] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
    let own_word = expect_sound(&audit_ledger(data.path(), &[]));
    assert!(own_word.contains(&format!("{key} (the directory's own word")), "{own_word}");
    assert_eq!(content(data.path()), before, "an audit changes nothing");
}

/// An audit takes no lock, and a journal that grows under it is no damage.
#[test]
fn a_running_servers_ledger_is_audited_under_load() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &["--opening-balance", "1000000000"]);
    Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                bob.ask("alice#1#bob\n", "100 OK\n");
            }
        });
        let audits: Vec<_> = (0..10).map(|_| audit_ledger(data.path(), &[])).collect();
        // Before anything can fail: or the other thread would go on for ever.
        enough.store(true, Ordering::Relaxed);
        for audited in audits {
            expect_sound(&audited);
        }
    });
    server.stop();
}

#[test]
fn a_receipt_proves_itself_to_whoever_has_the_servers_key() {
    let data = paid(None, &[10]);
    let key = server_key(data.path());
    let (_files, files) = export(&receipts(data.path()));
    let nobody = server_key(paid(None, &[]).path());
    // Nothing but the file and the key is needed.
    drop(data);
    let check = |file: &Path, key: &str| audit(&["receipt", text(file), "--server-key", key]);

    let payment = &files[2];
    let told = expect_sound(&check(payment, &key));
    for words in ["the receipt is valid", &key, "amount     10 credits", "entry      2, in batch "]
    {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
    let error = expect_error(&check(payment, &nobody), FAULT);
    assert!(error.ends_with("the batch's header is not signed by this server's key"), "{error}");

    // What is written for people proves nothing, and is not believed.
    let written = fs::read_to_string(payment).expect("it is there");
    fs::write(payment, written.replace("Amount: 10", "Amount: 1000000")).expect("it is ours");
    let told = expect_sound(&check(payment, &key));
    assert!(told.contains("10 credits") && !told.contains("1000000"), "{told}");

    let (head, base64) = written.split_once("\n\n").expect("an empty line");
    for at in (0..base64.find('=').unwrap_or(base64.len() - 40)).step_by(37) {
        let other = if base64.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut altered = base64.to_owned();
        if altered.as_bytes()[at] != b'\n' {
            altered.replace_range(at..=at, other);
            fs::write(payment, format!("{head}\n\n{altered}")).expect("it is ours");
            expect_error(&check(payment, &key), FAULT);
        }
    }
    fs::write(payment, [0xFF; 10_000]).expect("it is ours");
    expect_error(&check(payment, &key), FAULT);
}

#[test]
fn damage_and_a_strange_key_are_faults_with_their_place() {
    let data = paid(None, &[10]);
    let stranger = server_key(paid(None, &[]).path());
    let error = expect_error(&audit_ledger(data.path(), &["--server-key", &stranger]), FAULT);
    let expected = format!("{SEGMENT} at byte 60, in batch 1: the batch is not signed by");
    assert!(error.contains(&expected), "{error}");

    let journal = data.path().join(SEGMENT);
    let mut bytes = fs::read(&journal).expect("there is a journal");
    bytes[60 + 190] ^= 1;
    fs::write(&journal, bytes).expect("it is ours");
    let error = expect_error(&audit_ledger(data.path(), &[]), FAULT);
    let expected = format!("{SEGMENT} is damaged at byte 60, in batch 1: ");
    assert!(error.contains(&expected), "{error}");
}

/// The story: whoever runs the server takes a payment back by starting over with the same key, and
/// makes everybody whole again but bob. Each batch is properly signed; bob's receipt knows better.
#[test]
fn a_ledger_rewritten_with_the_servers_own_key_is_found_by_a_receipt_alone() {
    let truth = paid(None, &[10, 500]);
    let rewritten = paid(Some(truth.path()), &[10, 5]);
    let shorter = paid(Some(truth.path()), &[]);
    let key = server_key(truth.path());
    let given = receipts(truth.path());
    let (_files, files) = export(&given[given.len() - 1..]);
    let receipt = text(&files[0]);
    for (data, sound, says) in [
        (&truth, true, ""),
        (&rewritten, false, "is not the one that the server signed then"),
        (&shorter, false, "the journal ends with batch"),
    ] {
        expect_sound(&audit_ledger(data.path(), &["--server-key", &key]));
        let against = ["--server-key", &key, "--against", receipt];
        let ended = audit_ledger(data.path(), &against);
        if sound {
            expect_sound(&ended);
        } else {
            let error = expect_error(&ended, FAULT);
            assert!(error.contains(receipt) && error.contains(says), "{error}");
        }
    }
}

#[test]
fn what_cannot_be_audited_is_no_fault_of_the_ledger() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let key = server_key(paid(None, &[]).path());
    let missing = empty.path().join("missing");
    let given = ["--server-key", &key];
    let error = expect_error(&audit_ledger(empty.path(), &given), 5);
    assert!(error.contains("there is no ledger in"), "{error}");
    expect_error(&audit_ledger(&missing, &given), 5);
    expect_error(&audit(&["receipt", text(&missing), "--server-key", &key]), 5);
    let error = expect_error(&audit_ledger(empty.path(), &[]), 2);
    assert!(error.contains("server.key"), "{error}");
    for args in [
        &[][..],
        &["money"],
        &["receipt", "--server-key", &key],
        &["receipt", "file"],
        &["receipt", "a", "b", "--server-key", &key],
        &["receipt", "file", "--server-key", "short"],
        &["receipt", "file", "--server-key", &key, "--data", "dir"],
        &["receipt", "file", "--server-key", &key, "--against", "file"],
        &["ledger", "dir"],
        &["ledger", "--name", "bob"],
    ] {
        expect_error(&audit(args), 2);
    }
}
