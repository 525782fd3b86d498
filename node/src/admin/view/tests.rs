use wire::admin::FilesStatus;
use wire::{Amount, BatchNumber, EntryNumber, PublicKey, Timestamp};

use super::*;

fn status(condition: Condition) -> AdminAnswer {
    AdminAnswer::Status(Box::new(ServerStatus {
        version: "0.1.0".into(),
        server: PublicKey::new([7; 32]),
        started: Timestamp::new(0),
        now: Timestamp::new(1),
        condition,
        ledger: Some(LedgerStatus {
            entries: 3,
            batch: BatchNumber::new(2),
            head: [0xAB; 32],
            written: Timestamp::new(5),
            accounts: 2,
            frozen: 1,
            supply: Amount::MAX,
        }),
        connections: 4,
        online: 5,
        files: Ok(FilesStatus {
            journal_bytes: 512,
            free_bytes: None,
            snapshot: Some(SnapshotStatus { batch: BatchNumber::new(1), kept: Timestamp::new(9) }),
        }),
    }))
}

#[test]
fn a_status_is_told_whole() {
    let said = words(&status(Condition::Writing));
    for line in [
        "the server takes payments\n",
        "  since        1970-01-01T00:00:00.000Z\n",
        "  batches      2, the last at 1970-01-01T00:00:00.005Z\n",
        "  accounts     2, 1 of them frozen\n",
        "  supply       18446744073709551615 credits\n",
        "  snapshot     behind batch 1, at 1970-01-01T00:00:00.009Z\n",
        "  disk         unknown",
    ] {
        assert!(said.contains(line), "{line:?} is missing in\n{said}");
    }
    let why = "no room\u{1b}[2J".to_owned();
    let said = words(&status(Condition::ReadOnly(why)));
    assert!(said.starts_with("the server is read-only: no room"), "{said}");
    assert!(!said.contains('\u{1b}'), "a reason cannot draw on the screen");
}

/// When the disk fails, why it does is what an operator needs most.
#[test]
fn a_status_without_ledger_and_files_is_told() {
    let AdminAnswer::Status(mut told) = status(Condition::ReadOnly("full".into())) else {
        unreachable!("a status")
    };
    (told.ledger, told.files) = (None, Err("no such\u{1b}[2J device".into()));
    let told = AdminAnswer::Status(told);
    let said = words(&told);
    for line in [
        "the server is read-only: full\n",
        "  ledger       reads its journal again\n",
        "  connections  4\n",
        "  disk         cannot be read: no such",
    ] {
        assert!(said.contains(line), "{line:?} is missing in\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "a reason cannot draw on the screen");
    let told: Value = serde_json::from_str(&json(&told)).expect("JSON");
    assert_eq!((&told["why"], &told["connections"]), (&"full".into(), &4.into()));
    for field in ["entries", "head", "supply", "journal_bytes", "snapshot_batch"] {
        assert_eq!(told.get(field), Some(&Value::Null), "{field}");
    }
    assert!(told["disk_error"].as_str().is_some_and(|why| why.starts_with("no such")), "{told}");
}

/// The largest amount is a number that a program reads whole.
#[test]
fn answers_are_json_for_programs() {
    let read = |answer: &AdminAnswer| serde_json::from_str::<Value>(&json(answer)).expect("JSON");
    let told = read(&status(Condition::ReadOnly("full".into())));
    assert_eq!(told["supply"].as_u64(), Some(u64::MAX));
    assert_eq!((&told["condition"], &told["why"]), (&"read-only".into(), &"full".into()));
    assert!(told["free_bytes"].is_null());
    let (entry, balance) = (EntryNumber::new(1), Amount::new(2));
    let operated = read(&AdminAnswer::Operated { entry, repeated: false, balance });
    assert_eq!(operated, json!({ "entry": 1, "repeated": false, "balance": 2 }));
    let person = OnlineAccount {
        name: "al\"ice".parse().expect("a name"),
        key: None,
        address: Some(([127, 0, 0, 1], 5).into()),
    };
    let online = read(&AdminAnswer::Online { people: vec![person.clone()], more: false });
    assert_eq!(online["online"][0]["name"], "al\"ice");
    assert_eq!(online["online"][0]["address"], "127.0.0.1:5");
    let said = words(&AdminAnswer::Online { people: vec![person], more: false });
    assert_eq!(said, "1 online\n  al\"ice  127.0.0.1:5  no key");
}
