//! Receipts in the hands of people, and the ledger that must keep its word: exported by clients, checked by
//! the program with nothing else, and held against ledgers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::person::{Person, server_key};
use tests::process::{Ended, Program, Server, text};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::{Answer, Call};
use wire::{Amount, Order, OrderId, Timestamp, signature};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const FAULT: i32 = 8;

fn audit(args: &[&str]) -> Ended {
    Program::start(MITE, [&["--role", "audit"], args].concat()).wait()
}

/// Sound, and told with these words.
fn expect_sound(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let told = ended.stdout.join("\n");
    for words in words {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
}

fn expect_fault(ended: &Ended, words: &str) {
    assert_eq!(ended.status.code(), Some(FAULT), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr[0].starts_with("error: ") && ended.stderr[0].contains(words), "{ended:?}");
}

/// Has a person export the receipt of this order.
fn export(person: &mut Person, id: &str, dir: &Path) -> PathBuf {
    let file = dir.join(format!("{id}-{}", person.program.id()));
    let told = person.told(&format!("receipt {id} --export {}", file.display()));
    assert_eq!(told.last().map(String::as_str), Some(&*format!("written to {}", file.display())));
    file
}

/// Protects the payer who must show that they have paid, and the payee: the file and the server's key are
/// enough, years later and without the server.
#[test]
fn an_exported_receipt_proves_itself() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, &dir.path().join("data"), &[]);
    let server_key = server_key(&server);
    let mut bob = Person::online(MITE, server.address, "bob");
    let mut alice = Person::online(MITE, server.address, "alice");
    let paid = alice.pay("bob 10 for the coffee");
    bob.program.line_with("received 10 from alice");
    let own = export(&mut alice, &paid.id, dir.path());
    let bobs = export(&mut bob, &paid.id, dir.path());
    let mode = fs::metadata(&own).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = format!("receipt {} --export {}", paid.id, own.display());
    let [_, hint] = alice.expect_failure(&again, "file exists");
    assert_eq!(hint, "hint: nothing was written over: choose another name");
    let (payer, payee) = (alice.keys().own, bob.keys().own);
    drop((alice, bob));
    server.stop();

    let check = |file: &Path, key: &str| audit(&["receipt", text(file), "--server-key", key]);
    for file in [&own, &bobs] {
        expect_sound(
            &check(file, &server_key),
            &[
                "the receipt is valid",
                &format!("payer      alice, key {payer}"),
                &format!("payee      bob, key {payee}"),
                "amount     10 credits",
                "outcome    paid",
                "memo       there is one, with the hash ",
                &format!("order      {}", paid.id),
            ],
        );
    }
    let other = signature::public_key(&key(66)).to_string();
    expect_fault(&check(&own, &other), "is not signed by this server's key");

    // What proves nothing any more: each letter of what is proven, here every 97th.
    let written = fs::read_to_string(&own).expect("a file");
    let (head, proof) = written.split_once("\n\n").expect("an empty line");
    for at in (0..proof.trim_end().trim_end_matches('=').len() - 1).step_by(97) {
        let mut altered = proof.as_bytes().to_vec();
        if altered[at] != b'\n' {
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            fs::write(&own, [head.as_bytes(), b"\n\n", &altered].concat()).expect("it is ours");
            expect_fault(&check(&own, &server_key), "proves nothing");
        }
    }
}

/// A server's directory where everything has happened that can, and receipts of it.
struct Lived {
    dir: TempDir,
    receipts: Vec<PathBuf>,
    server_key: String,
}

impl Lived {
    /// With the key of another server, if there is one.
    fn new(other: Option<&Self>, amount: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("data");
        if let Some(other) = other {
            fs::create_dir(&data).expect("a new directory");
            let key = data.join("server.key");
            fs::copy(other.data().join("server.key"), &key).expect("there is a key");
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
        let server = Server::start(MITE, &data, &[]);
        let server_key = server_key(&server);
        let mut alice = Person::online(MITE, server.address, "alice");
        let mut bob = Person::online(MITE, server.address, "bob");
        let paid = [alice.pay(&format!("bob {amount} rent")), bob.pay("alice 5")];
        bob.rotate_key();
        bob.pay("alice 1");
        let mut old = Connection::log_in(server.address, "old", 5001);
        let mut older = Connection::log_in(server.address, "older", 5002);
        older.ask("old#7#older\n", "100 OK\n");
        old.ask("older#2#old\n", "100 OK\n");
        alice.pay("old 3");
        overspend(&server);
        let receipts = vec![
            export(&mut bob, &paid[0].id, dir.path()),
            export(&mut alice, &paid[0].id, dir.path()),
            export(&mut bob, &paid[1].id, dir.path()),
        ];
        drop((alice, bob));
        server.stop();
        Self { dir, receipts, server_key }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn audit(&self, more: &[&str]) -> Ended {
        let data = self.data();
        let args = ["ledger", "--data", text(&data), "--server-key", &self.server_key];
        audit(&[&args, more].concat())
    }

    fn audit_against(&self, receipts: &[PathBuf]) -> Ended {
        let mut args = vec!["--against"];
        args.extend(receipts.iter().map(|file| text(file)));
        self.audit(&args)
    }
}

/// An order for more than there is: it is refused for good, and that is an entry, too.
fn overspend(server: &Server) {
    let mut carol = SecureClient::registered(server.address, &key(3), "carol");
    let not_after = Timestamp::new(carol.welcome.now.get() + 60_000);
    let order = Order {
        version: ORDER_VERSION,
        server: carol.stream.peer,
        id: OrderId::new(not_after, [3; 10]),
        payer: "carol".parse().expect("a name"),
        payer_key: signature::public_key(&key(3)),
        payee: "old".parse().expect("a name"),
        payee_key: None,
        amount: Amount::new(1001),
        not_after,
        memo_hash: NO_MEMO,
    };
    let answer = carol.call(Call::SubmitOrders { orders: vec![order.sign(&key(3))] });
    assert!(matches!(answer, Ok(Answer::Orders(_))), "{answer:?}");
}

/// Protects everybody from a ledger that nobody can check: all that people do is in it, and holds.
#[test]
fn a_ledger_where_everything_has_happened_is_sound() {
    let lived = Lived::new(None, 100);
    expect_sound(
        &lived.audit(&[]),
        &[
            "is sound",
            "accounts    5",
            "supply      5000 credits",
            "orders      5, each signed by its payer",
            "by text     2 payments, which nobody signed",
            "keys        1 changed, each signed by the old and the new one",
            "all signed by the server",
        ],
    );
    expect_sound(&lived.audit_against(&lived.receipts), &["receipts    3, each of them in it"]);
    // The key makes the difference between a ledger and somebody's story.
    let stranger = signature::public_key(&key(66)).to_string();
    let data = lived.data();
    let ended = audit(&["ledger", "--data", text(&data), "--server-key", &stranger]);
    expect_fault(&ended, "in batch 1: the batch is not signed by");
}

/// The story: whoever runs the server starts over with the same key, and all that happened happens again,
/// but for the rent. Every signature is in order; the receipts that people have are not in it.
#[test]
fn a_rewritten_ledger_is_found_by_peoples_receipts() {
    let truth = Lived::new(None, 100);
    let lie = Lived::new(Some(&truth), 1);
    assert_eq!(truth.server_key, lie.server_key);
    expect_sound(&lie.audit(&[]), &["is sound"]);
    for receipt in &truth.receipts {
        let one = std::slice::from_ref(receipt);
        expect_sound(&truth.audit_against(one), &["receipts    1, each of them in it"]);
        expect_fault(&lie.audit_against(one), text(receipt));
    }
}

/// Protects the first bad entry from being overlooked: one bit of the journal, anywhere in an entry.
#[test]
fn a_journal_with_one_bit_changed_is_found() {
    let lived = Lived::new(None, 100);
    let file = lived.data().join("journal-00000000000000000001.mite");
    let journal = fs::read(&file).expect("a journal");
    // What follows the last entry is filled with zeros.
    let end = journal.iter().rposition(|byte| *byte != 0).expect("entries");
    for part in 1..10 {
        let mut altered = journal.clone();
        altered[end * part / 10] ^= 1;
        fs::write(&file, altered).expect("it is ours");
        expect_fault(&lived.audit(&[]), "is damaged at byte ");
    }
    fs::write(&file, journal).expect("it is ours");
    expect_sound(&lived.audit(&[]), &["is sound"]);
}
