//! What an operator does to accounts: deposits, withdrawals, freezing and unfreezing.

use std::path::Path;

use tests::operator::{Operator, admin, admin_json};
use tests::process::{Ended, Program, Server};
use tests::purse::history;
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::admin::{AdminAnswer, AdminCall, AdminReply};
use wire::secure::{Answer, Call, HistoryEvent, OrderAnswer, Problem};
use wire::signature::public_key;
use wire::{Amount, KeyChange, Refusal, Verdict};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// Done, and what it says.
fn done(data: &Path, words: &[&str]) -> String {
    let ended = admin(MITE, data, words);
    assert!(ended.status.success(), "{words:?}: {ended:?}");
    ended.stdout.join("\n")
}

/// Refused with this code.
#[track_caller]
fn refused(ended: &Ended, code: u16) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let line = format!("error: refused with code {code}: ");
    assert!(ended.stderr.iter().any(|said| said.starts_with(&line)), "{ended:?}");
}

fn audit(data: &Path) -> String {
    let data = data.to_str().expect("temporary paths are text");
    let ended = Program::start(MITE, ["--role", "audit", "ledger", "--data", data]).wait();
    assert!(ended.status.success(), "{ended:?}");
    ended.stdout.join("\n")
}

#[test]
fn credits_come_from_the_treasury_and_go_back() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let said = done(data, &["deposit", "alice", "250", "--id", "in-1"]);
    assert!(said.ends_with("the account holds 1250"), "{said}");
    // The same again is not done again; another one by its id is refused.
    let again = admin_json(MITE, data, &["deposit", "alice", "250", "--id", "in-1"]);
    assert_eq!((&again["repeated"], &again["balance"]), (&true.into(), &1250.into()));
    refused(&admin(MITE, data, &["deposit", "alice", "251", "--id", "in-1"]), 304);
    refused(&admin(MITE, data, &["withdraw", "alice", "250", "--id", "in-1"]), 304);
    refused(&admin(MITE, data, &["deposit", "nobody", "1"]), 300);
    refused(&admin(MITE, data, &["withdraw", "alice", "1251"]), 302);
    refused(&admin(MITE, data, &["deposit", "alice", &u64::MAX.to_string()]), 303);
    let without_id = admin(MITE, data, &["withdraw", "alice", "50"]);
    assert!(without_id.stderr.iter().any(|line| line.starts_with("id ")), "{without_id:?}");
    assert_eq!(alice.balance(), 1200);
    assert_eq!(admin_json(MITE, data, &["status"])["supply"], 1200);
    for words in
        [&["deposit", "alice", "0"][..], &["deposit", "alice", "-5"], &["deposit", "alice"]]
    {
        assert_eq!(admin(MITE, data, words).status.code(), Some(2), "{words:?}");
    }
    server.stop();
    let server = Server::start(MITE, data, &[]);
    let again = admin_json(MITE, data, &["deposit", "alice", "250", "--id", "in-1"]);
    assert_eq!((&again["repeated"], &again["balance"]), (&true.into(), &1200.into()));
    server.program.kill();
    let said = audit(data);
    assert!(said.contains("1 deposits, 1 withdrawals, 0 times"), "{said}");
    assert!(said.contains("1200 credits"), "{said}");
}

#[test]
fn what_the_operator_does_is_in_the_history_with_receipts() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    let mut alice = SecureClient::registered(server.address, &key(1), "alice");
    let mut bob = SecureClient::registered(server.address, &key(2), "bob");
    done(data, &["deposit", "alice", "7"]);
    done(data, &["withdraw", "alice", "2"]);
    done(data, &["freeze", "alice", "--reason", "a question"]);
    done(data, &["unfreeze", "alice"]);
    let told = history(&mut alice);
    let events: Vec<_> = told.iter().map(|item| item.event.clone()).collect();
    let expected = [
        HistoryEvent::Unfrozen,
        HistoryEvent::Frozen { reason: "a question".parse().expect("a reason") },
        HistoryEvent::Withdrawn { amount: Amount::new(2) },
        HistoryEvent::Deposited { amount: Amount::new(7) },
        HistoryEvent::Opened { grant: Amount::new(1000) },
    ];
    assert_eq!(events, expected);
    let entries: Vec<_> = told.iter().map(|item| item.number).collect();
    let server_key = alice.stream.peer;
    let answer = alice.call(Call::ReadReceipts { entries: entries.clone() });
    let Ok(Answer::Receipts(receipts)) = answer else { panic!("{answer:?}") };
    for (receipt, number) in receipts.iter().zip(&entries) {
        let receipt = receipt.as_ref().expect("it is alice's");
        let proven = receipt.verify(&server_key).expect("the server's word");
        assert_eq!(proven.number, *number);
    }
    // Nobody else is told.
    let others = entries[..4].to_vec();
    assert_eq!(
        bob.call(Call::ReadReceipts { entries: others }),
        Ok(Answer::Receipts(vec![None; 4]))
    );
    server.stop();
}

#[test]
fn a_deposit_whose_answer_is_lost_is_made_once() {
    // The story: the server is killed between the deposit and its answer. The operator does not know
    // whether it was made, and asks again with the same id.
    const ROUNDS: u64 = 24;
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let mut server = Server::start(MITE, data, &[]);
    Connection::log_in(server.address, "alice", 5001);
    let mut repeated = 0;
    for round in 0..ROUNDS {
        let id = format!("round-{round}").parse().expect("an id");
        let deposit = AdminCall::Deposit {
            account: "alice".parse().expect("a name"),
            amount: Amount::new(1 << 20),
            id,
        };
        let mut operator = Operator::connect(data);
        operator.say(&deposit);
        if round % 3 == 0 {
            // It was certainly made; the answer is as lost to who has not read it.
            operator.hear::<AdminReply>().expect("an answer").expect("it is made");
        } else {
            // Not for something to settle: the moment of the kill is what varies.
            std::thread::sleep(std::time::Duration::from_micros(round * 150));
        }
        server.program.kill();
        server = Server::start(MITE, data, &[]);
        for first in [true, false] {
            let reply = Operator::connect(data).call(&deposit);
            let Ok(AdminAnswer::Operated { repeated: before, balance, .. }) = reply else {
                panic!("{reply:?}")
            };
            assert_eq!(balance, Amount::new(1000 + ((round + 1) << 20)), "round {round}");
            assert!(before || first && round % 3 != 0, "round {round}");
            repeated += u64::from(before && first);
        }
    }
    println!("{repeated} of {ROUNDS} deposits were made before their server was killed");
    assert!(repeated >= ROUNDS / 3);
    server.stop();
    assert!(audit(data).contains(&format!("{ROUNDS} deposits")));
}

#[test]
fn a_frozen_account_pays_nobody_by_text_until_it_is_unfrozen() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    done(data, &["freeze", "alice", "--reason", "suspected"]);
    bob.ask("alice#10#bob\n", "Transfer failed due to no permission.\n");
    alice.ask("bob#10#alice\n", "100 OK\n");
    assert_eq!((alice.balance(), bob.balance()), (1010, 990));
    let again = admin_json(MITE, data, &["freeze", "alice"]);
    assert_eq!(again["repeated"], true);
    // Killed and started again, it is still frozen: from the journal, and from a snapshot.
    let address = server.address;
    server.program.kill();
    let server = Server::start_at(MITE, address, data, &[]);
    let mut bob = Connection::open(address);
    bob.send("bob#5002\n");
    bob.list();
    bob.ask("alice#10#bob\n", "Transfer failed due to no permission.\n");
    server.stop();
    let server = Server::start_at(MITE, address, data, &[]);
    let mut bob = Connection::open(address);
    bob.send("bob#5002\n");
    bob.list();
    bob.ask("alice#10#bob\n", "Transfer failed due to no permission.\n");
    assert_eq!(admin_json(MITE, data, &["status"])["frozen"], 1);
    // The operator itself is not bound by it.
    done(data, &["withdraw", "alice", "10"]);
    done(data, &["unfreeze", "alice"]);
    refused(&admin(MITE, data, &["unfreeze", "alice"]), 305);
    refused(&admin(MITE, data, &["freeze", "nobody"]), 300);
    bob.ask("alice#10#bob\n", "100 OK\n");
    assert_eq!(bob.balance(), 1000);
    server.stop();
    assert!(audit(data).contains("1 times an account was frozen, 0 accounts still are"));
}

#[test]
fn a_frozen_account_pays_nobody_by_order_and_keeps_its_key() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path();
    let server = Server::start(MITE, data, &[]);
    SecureClient::registered(server.address, &key(1), "alice");
    let mut bob = SecureClient::registered(server.address, &key(2), "bob");
    let mut alice = SecureClient::connect(server.address, &key(1));
    let bobs = Some(public_key(&key(2)));
    let before = alice.order(&key(1), "bob", bobs, 10);
    done(data, &["freeze", "alice"]);
    // By either party, an order of before or of now; and for good.
    let now = alice.order(&key(1), "bob", bobs, 20);
    for (client, order) in [(&mut bob, &before), (&mut alice, &now)] {
        let answer = client.call(Call::SubmitOrders { orders: vec![order.clone()] });
        assert_eq!(verdict(answer), (false, Verdict::Refused(Refusal::AccountFrozen)));
    }
    let change = KeyChange {
        version: wire::key_change::KEY_CHANGE_VERSION,
        server: alice.stream.peer,
        account: "alice".parse().expect("a name"),
        old: public_key(&key(1)),
        new: public_key(&key(3)),
    };
    let change = change.sign(&key(1), &key(3));
    let answer = alice.call(Call::ChangeKey { change });
    assert_eq!(answer, Err(Problem::Refused(Refusal::AccountFrozen)));
    // It is paid and reads.
    let mut bob = SecureClient::connect(server.address, &key(2));
    let to_alice = bob.order(&key(2), "alice", Some(public_key(&key(1))), 5);
    let answer = bob.call(Call::SubmitOrders { orders: vec![to_alice] });
    assert_eq!(verdict(answer), (false, Verdict::Settled));
    let balance = alice.call(Call::ReadBalance);
    assert!(matches!(balance, Ok(Answer::Balance { amount, .. }) if amount == Amount::new(1005)));

    done(data, &["unfreeze", "alice"]);
    let answer = bob.call(Call::SubmitOrders { orders: vec![before] });
    assert_eq!(verdict(answer), (true, Verdict::Refused(Refusal::AccountFrozen)));
    let anew = alice.order(&key(1), "bob", bobs, 10);
    let answer = alice.call(Call::SubmitOrders { orders: vec![anew] });
    assert_eq!(verdict(answer), (false, Verdict::Settled));
    server.stop();
    audit(data);
}

/// Whether it was decided before, and how.
#[track_caller]
fn verdict(answer: Result<Answer, Problem>) -> (bool, Verdict) {
    let Ok(Answer::Orders(orders)) = answer else { panic!("{answer:?}") };
    let [OrderAnswer::Decided { replayed, receipt }] = &orders[..] else { panic!("{orders:?}") };
    (*replayed, receipt.verdict().expect("it is about an order"))
}
