//! Backups of running servers, and what servers that are started from them know: the drill that an operator
//! does before it is needed.

use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::payee::{Payee, Step};
use tests::person::{Person, server_key};
use tests::process::{Ended, PATIENCE, Program, Server, expect_done, text};
use tests::purse::{Purse, Witness};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::SignedOrder;
use wire::secure::{Answer, Call, OrderAnswer};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const FAULT: i32 = 8;
const OPENING: u64 = 1_000_000;
const BOB: u8 = 2;

/// A server, and where its copies are.
struct Stage {
    machine: TempDir,
    server: Server,
}

impl Stage {
    fn set() -> Self {
        let machine = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, &machine.path().join("data"), &opening());
        Self { machine, server }
    }

    fn data(&self) -> PathBuf {
        self.machine.path().join("data")
    }

    fn copies(&self) -> PathBuf {
        self.machine.path().join("copies")
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn begin_backup(&self) -> Program {
        let (data, copies) = (self.data(), self.copies());
        Program::start(MITE, ["--role", "backup", "--data", text(&data), "--to", text(&copies)])
    }

    /// Makes a backup; returns what is said of it.
    #[track_caller]
    fn back_up(&self) -> String {
        expect_done(&self.begin_backup().wait())
    }

    /// The machine breaks. A copy of the copies is started in the server's place.
    fn lose_and_restore(&mut self) -> PathBuf {
        let address = self.address();
        self.server.program.kill_in_place();
        let restored = self.machine.path().join("restored");
        copy_directory(&self.copies(), &restored);
        self.server = Server::start_at(MITE, address, &restored, &opening());
        restored
    }
}

const fn opening() -> [&'static str; 2] {
    ["--opening-balance", "1000000"]
}

/// What `cp -a` does.
fn copy_directory(from: &Path, to: &Path) {
    DirBuilder::new().mode(0o700).create(to).expect("a new directory");
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a listed file");
        fs::copy(file.path(), to.join(file.file_name())).expect("a readable file");
    }
}

fn audit(data: &Path, key: &str, receipt: Option<&Path>) -> Ended {
    let mut args = vec!["--role", "audit", "ledger", "--data", text(data), "--server-key", key];
    args.extend(receipt.map(|receipt| ["--against", text(receipt)]).iter().flatten());
    Program::start(MITE, args).wait()
}

/// Pays by text without end. Counts what was answered.
fn pay_by_text(mut bob: Connection, answered: &AtomicU64, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        bob.ask("alice#1#bob\n", "100 OK\n");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

fn export(person: &mut Person, id: &str, to: PathBuf) -> PathBuf {
    person.told(&format!("receipt {id} --export {}", to.display()));
    assert!(to.is_file(), "the receipt is exported");
    to
}

#[test]
fn a_server_is_backed_up_under_load_and_restored() {
    let mut stage = Stage::set();
    let key = server_key(&stage.server);
    let _dave = Person::online(MITE, stage.address(), "dave");
    let mut carol = Person::online(MITE, stage.address(), "carol");
    Connection::log_in(stage.address(), "alice", 5001);
    let bob = Connection::log_in(stage.address(), "bob", 5002);
    let (answered, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let (first, before, later) = thread::scope(|scope| {
        scope.spawn(|| pay_by_text(bob, &answered, &enough));
        let first = carol.pay("dave 10");
        let told = stage.back_up();
        assert!(told.contains("is backed up to") && !told.contains("read back"), "{told}");
        carol.pay("dave 20");
        let before = answered.load(Ordering::Relaxed);
        let told = stage.back_up();
        assert!(told.contains("read back") && told.contains("all as they were"), "{told}");
        let later = carol.pay("dave 40");
        // Before anything can fail: or the other thread would go on for ever.
        enough.store(true, Ordering::Relaxed);
        (first, before, later)
    });
    let files = stage.machine.path();
    let first = export(&mut carol, &first.id, files.join("first"));
    let newer = export(&mut carol, &later.id, files.join("newer"));

    let restored = stage.lose_and_restore();
    // Everything that was answered before the backup began is there, and nothing that nobody asked for.
    let mut bob = Connection::open(stage.address());
    bob.send("bob#5002\n");
    let paid = bob.list().0 - OPENING;
    assert!((before..=answered.load(Ordering::Relaxed)).contains(&paid), "{before}: {paid}");
    expect_done(&audit(&restored, &key, Some(&first)));
    // The receipt of what is lost proves that it was there.
    let lost = audit(&restored, &key, Some(&newer));
    assert_eq!(lost.status.code(), Some(FAULT), "{lost:?}");

    // For its clients it is the same server. They know of the payment that it does not know, and make no
    // second one of it.
    let mut carol = carol.restart();
    carol.log_in();
    assert_eq!(carol.keys().server, key);
    assert_eq!(carol.balance(), OPENING - 30);
    let payments = carol.told("payments");
    let of = |amount: &str| payments.iter().filter(|line| line.contains(amount)).count();
    let shown = [of("  10  to dave  paid"), of("  20  to dave  paid"), of("  40  to dave  paid")];
    assert_eq!(shown, [1, 1, 1], "{payments:?}");
    assert_eq!(carol.pay("dave 5").balance, OPENING - 35);
}

/// Protects a payment that was under way when the machine broke: its payer hears of it once, and it happens
/// once, though the ledger that had settled it is gone.
#[test]
fn what_only_the_lost_ledger_settled_is_settled_again_and_once() {
    let mut stage = Stage::set();
    let mut bob = Payee::online(stage.address(), &key(BOB), "bob");
    let purse = Purse::new(MITE, stage.machine.path(), "alice");
    let mut alice = purse.open(stage.address());
    alice.ask("login unlisted");
    alice.program.type_line("pay bob 3");
    let silent = bob.reach(Step::Offered);
    let kept = silent.order.clone().expect("it is offered");
    wait_kept(&stage, &purse, &kept);
    stage.back_up();
    alice.kill();
    // Nobody is there to hear of it.
    let settled = bob.submit(&kept);
    assert!(matches!(settled, OrderAnswer::Decided { replayed: false, .. }), "{settled:?}");
    drop(silent);

    stage.lose_and_restore();
    let witness = Witness { server: stage.address(), payer: purse.key(), payee: key(BOB) };
    assert!(witness.settled().is_empty(), "it is newer than the backup");
    // The copies hold what the server has kept for her.
    assert_eq!(open_orders(&stage, &purse), std::slice::from_ref(&kept));
    let mut alice = purse.start(stage.address());
    alice.ask("login unlisted");
    let payments = alice.decided_payments();
    assert!(payments.len() == 1 && payments[0].state == "paid", "{payments:?}");
    assert!(witness.confirms(3, &payments), "{payments:?}");
    let mut again = SecureClient::connect(stage.address(), &key(BOB));
    let again = again.call(Call::SubmitOrders { orders: vec![kept] });
    let Ok(Answer::Orders(again)) = again else { panic!("an answer, not {again:?}") };
    assert!(matches!(again[0], OrderAnswer::Decided { replayed: true, .. }), "{again:?}");
    assert_eq!(witness.settled().len(), 1);
}

/// A backup that is killed at any moment of it is one all the same, and the next one goes on.
#[test]
fn a_killed_backup_is_no_less_than_before() {
    const KILLS: u32 = 24;
    let mut stage = Stage::set();
    Connection::log_in(stage.address(), "alice", 5001);
    let bob = Connection::log_in(stage.address(), "bob", 5002);
    let (answered, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let before = thread::scope(|scope| {
        scope.spawn(|| pay_by_text(bob, &answered, &enough));
        for kill in 0..KILLS {
            let backup = stage.begin_backup();
            thread::sleep(Duration::from_millis(2) * kill);
            backup.kill();
        }
        let before = answered.load(Ordering::Relaxed);
        let last = stage.begin_backup().wait();
        enough.store(true, Ordering::Relaxed);
        expect_done(&last);
        before
    });
    stage.lose_and_restore();
    let mut bob = Connection::open(stage.address());
    bob.send("bob#5002\n");
    let paid = bob.list().0 - OPENING;
    assert!((before..=answered.load(Ordering::Relaxed)).contains(&paid), "{before}: {paid}");
}

#[test]
fn what_is_refused_is_said_in_a_line_and_a_hint() {
    let stage = Stage::set();
    Connection::log_in(stage.address(), "alice", 5001);
    stage.back_up();
    let (data, copies) = (stage.data(), stage.copies());
    for file in fs::read_dir(&copies).expect("a directory").flatten() {
        let mode = file.metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
    assert_eq!(fs::metadata(&copies).expect("its mode").permissions().mode() & 0o777, 0o700);

    let refused = |to: Option<&Path>, more: &[&str], code, says: &str| {
        let mut args = vec!["--role", "backup", "--data", text(&data)];
        args.extend(to.map(|to| ["--to", text(to)]).iter().flatten());
        args.extend(more);
        let ended = Program::start(MITE, args).wait();
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        let [error, hint] = &ended.stderr[..] else { panic!("two lines: {ended:?}") };
        assert!(error.starts_with("error: ") && error.contains(says), "{ended:?}");
        assert!(hint.starts_with("hint: "), "{ended:?}");
    };
    let stranger = Stage::set();
    let stranger = server_key(&stranger.server);
    let elsewhere = stage.machine.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a new directory");
    fs::write(elsewhere.join("holiday.jpg"), "beach").expect("a new file");
    refused(None, &[], 2, "a backup needs a directory");
    refused(Some(&data), &[], 5, "in the data directory itself");
    refused(Some(&elsewhere), &[], 5, "holds holiday.jpg");
    assert_eq!(fs::read_dir(&elsewhere).expect("a directory").count(), 1, "nothing was made in it");
    refused(Some(&copies), &["--server-key", &stranger], 5, "the copies are of the server");
    let new = stage.machine.path().join("new");
    refused(Some(&new), &["--server-key", &stranger], FAULT, "not signed by the server's key");
    let snapshot = copies.join("journal-00000000000000000001.mite");
    let mut bytes = fs::read(&snapshot).expect("there is a copy");
    bytes[100] ^= 1;
    fs::write(&snapshot, bytes).expect("it is ours");
    refused(Some(&copies), &[], 5, "it was altered or is damaged");
}

fn open_orders(stage: &Stage, purse: &Purse) -> Vec<SignedOrder> {
    let mut payer = SecureClient::connect(stage.address(), &purse.key());
    match payer.call(Call::ReadOpenOrders) {
        Ok(Answer::OpenOrders(orders)) => orders,
        other => panic!("open orders, not {other:?}"),
    }
}

/// Waits until the server keeps this order.
fn wait_kept(stage: &Stage, purse: &Purse, order: &SignedOrder) {
    let began = Instant::now();
    while !open_orders(stage, purse).contains(order) {
        assert!(began.elapsed() < PATIENCE, "it is not kept");
    }
}
