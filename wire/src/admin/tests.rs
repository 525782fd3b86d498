//! The bytes of every frame. Programs of other versions read them: a line of `testdata/admin-frames.txt`
//! never changes, and new ones are only added.

use std::fmt::{Debug, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::secure::frame::{self, FRAME_BYTES_MAX, LENGTH_BYTES};

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn content<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(value, &mut bytes);
    let content = bytes.split_off(LENGTH_BYTES);
    assert_eq!(frame::decode::<T>(&content).expect("its own bytes"), *value);
    for end in 0..content.len() {
        assert!(frame::decode::<T>(&content[..end]).is_err(), "{value:?} cut off at {end}");
    }
    content
}

fn calls() -> Vec<AdminCall> {
    let (account, amount) = (|| name("alice"), Amount::new(250));
    let id: OperatorId = "invoice-7".parse().expect("an id");
    vec![
        AdminCall::Status,
        AdminCall::Online { after: Some(account()), limit: 100 },
        AdminCall::Deposit { account: account(), amount, id: id.clone() },
        AdminCall::Withdraw { account: account(), amount, id },
        AdminCall::Freeze { account: account(), reason: "why".parse().expect("a reason") },
        AdminCall::Unfreeze { account: account() },
        AdminCall::Drain,
        AdminCall::Snapshot,
        AdminCall::Verify,
        AdminCall::Backup { to: "/b".into() },
    ]
}

fn status(condition: Condition) -> ServerStatus {
    ServerStatus {
        version: "0.1.0".into(),
        server: PublicKey::new([0x5E; 32]),
        started: Timestamp::new(1),
        now: Timestamp::new(2),
        condition,
        ledger: Some(LedgerStatus {
            entries: 3,
            batch: BatchNumber::new(4),
            head: [0xAA; 32],
            written: Timestamp::new(5),
            accounts: 6,
            frozen: 7,
            supply: Amount::new(8),
        }),
        connections: 9,
        online: 10,
        files: Ok(FilesStatus {
            journal_bytes: 11,
            free_bytes: Some(12),
            snapshot: Some(SnapshotStatus {
                batch: BatchNumber::new(13),
                kept: Timestamp::new(14),
            }),
        }),
    }
}

fn person(account: Username) -> OnlineAccount {
    let address = "192.0.2.1:7001".parse().expect("an address");
    OnlineAccount { name: account, key: Some(PublicKey::new([0xA1; 32])), address: Some(address) }
}

fn replies() -> Vec<AdminReply> {
    let entry = EntryNumber::new(41);
    let rebuilding = ServerStatus {
        ledger: None,
        files: Err("no".into()),
        ..status(Condition::ReadOnly("full".into()))
    };
    let mut replies = vec![
        Ok(AdminAnswer::Status(Box::new(status(Condition::Writing)))),
        Ok(AdminAnswer::Status(Box::new(status(Condition::ReadOnly("full".into()))))),
        Ok(AdminAnswer::Status(Box::new(status(Condition::Draining)))),
        Ok(AdminAnswer::Online { people: vec![person(name("alice"))], more: true }),
        Ok(AdminAnswer::Operated { entry, repeated: true, balance: Amount::new(5) }),
        Ok(AdminAnswer::Draining),
        Ok(AdminAnswer::SnapshotKept(BatchNumber::new(4))),
        Ok(AdminAnswer::Verified(Box::new(Verified {
            batch: BatchNumber::new(1),
            head: [0xBB; 32],
            entries: 2,
            accounts: 3,
            supply: Amount::new(4),
            took_ms: 5,
        }))),
        Ok(AdminAnswer::BackedUp(Box::new(BackedUp {
            batch: BatchNumber::new(1),
            head: [0xCC; 32],
            entries: 2,
            incremental: true,
            copied_batches: 3,
            copied_bytes: 4,
        }))),
        Ok(AdminAnswer::Status(Box::new(rebuilding))),
    ];
    replies.extend(problems().into_iter().map(Err));
    replies
}

fn problems() -> Vec<AdminProblem> {
    let mut problems = vec![
        AdminProblem::Busy,
        AdminProblem::Stopping,
        AdminProblem::ReadOnly,
        AdminProblem::Failed("no".into()),
        AdminProblem::Fault("a fault".into()),
        AdminProblem::Malformed,
        AdminProblem::OutcomeUnknown,
    ];
    let refusals = [
        OperatorRefusal::UnknownAccount,
        OperatorRefusal::AmountNotPositive,
        OperatorRefusal::InsufficientBalance,
        OperatorRefusal::SupplyExhausted,
        OperatorRefusal::IdUsed(EntryNumber::new(7)),
        OperatorRefusal::NotFrozen,
    ];
    problems.extend(refusals.map(AdminProblem::Refused));
    problems
}

#[test]
fn every_frame_has_its_golden_bytes() {
    let mut written = String::new();
    let mut line = |word: &str, content: &[u8]| {
        let _ = write!(written, "{word}: ");
        for byte in content {
            let _ = write!(written, "{byte:02x}");
        }
        written.push('\n');
    };
    line("hello", &content(&AdminHello::new(magic::OPERATOR)));
    line("hello", &content(&AdminHello::new(magic::SERVER)));
    for call in calls() {
        line("call", &content(&call));
    }
    for reply in replies() {
        line("reply", &content(&reply));
    }
    let golden = include_str!("../testdata/admin-frames.txt");
    for (written, golden) in written.lines().zip(golden.lines()) {
        assert_eq!(written, golden);
    }
    assert_eq!(written.lines().count(), golden.lines().count(), "all of them:\n{written}");
}

/// The largest of each kind are within their bounds.
#[test]
fn the_largest_frames_fit() {
    let longest = || name(&"\u{1F600}".repeat(32));
    let id: OperatorId = "x".repeat(64).parse().expect("an id");
    let call = AdminCall::Deposit { account: longest(), amount: Amount::MAX, id };
    assert!(content(&call).len() <= ADMIN_CALL_BYTES_MAX);
    let call = AdminCall::Backup { to: "x".repeat(ADMIN_PATH_BYTES_MAX) };
    assert!(content(&call).len() <= ADMIN_CALL_BYTES_MAX);
    assert!(content(&AdminHello::new(magic::OPERATOR)).len() <= ADMIN_HELLO_BYTES_MAX);
    let page = usize::try_from(ADMIN_PAGE_MAX).expect("a small number");
    let mut bytes = Vec::new();
    let reply: AdminReply =
        Ok(AdminAnswer::Online { people: vec![person(longest()); page], more: true });
    frame::encode(&reply, &mut bytes);
    assert!(bytes.len() <= FRAME_BYTES_MAX);
}

#[test]
fn codes_are_unique_and_stable() {
    let mut codes: Vec<u16> = problems().iter().map(AdminProblem::code).collect();
    codes.sort_unstable();
    assert_eq!(codes, (300..=305).chain(350..=356).collect::<Vec<u16>>());
}
