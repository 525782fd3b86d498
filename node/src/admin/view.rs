//! Answers of a server, in words for people and as JSON for programs.

use serde_json::{Value, json};
use wire::admin::{
    AdminAnswer, BackedUp, Condition, FilesStatus, LedgerStatus, OnlineAccount, ServerStatus,
    SnapshotStatus, Verified,
};

use crate::announce::table;
use crate::hex::hex;
use crate::printable::printable;

/// For people.
pub(super) fn words(answer: &AdminAnswer) -> String {
    match answer {
        AdminAnswer::Status(status) => status_words(status),
        AdminAnswer::Online { people, .. } => online_words(people),
        AdminAnswer::Operated { entry, repeated, balance } => {
            let again =
                if *repeated { ", which was done before: nothing has changed now" } else { "" };
            format!("done by entry {entry}{again}; the account holds {balance}")
        }
        AdminAnswer::Draining => "the server has answered what was under way, and ended".into(),
        AdminAnswer::SnapshotKept(batch) => format!("a snapshot is kept, behind batch {batch}"),
        AdminAnswer::Verified(verified) => {
            let Verified { batch, head, entries, accounts, supply, took_ms } = &**verified;
            let lines = [
                ("head", hex(head)),
                ("batches", batch.to_string()),
                ("entries", entries.to_string()),
                ("accounts", accounts.to_string()),
                ("supply", format!("{supply} credits, which is what all accounts hold")),
                ("took", format!("{took_ms} ms")),
            ];
            table("the ledger is sound", &lines)
        }
        AdminAnswer::BackedUp(backed_up) => {
            let BackedUp { batch, head, entries, copied_batches, copied_bytes, .. } = &**backed_up;
            let lines = [
                ("head", hex(head)),
                ("batches", format!("{batch}, of which {copied_batches} are new")),
                ("entries", entries.to_string()),
                ("copied", format!("{copied_bytes} bytes")),
            ];
            table("the ledger is backed up, with the server's key", &lines)
        }
    }
}

/// For programs: one object, on one line. Numbers that may be larger than what JSON's readers take are
/// written as they are; amounts are among them.
pub(super) fn json(answer: &AdminAnswer) -> String {
    let value = match answer {
        AdminAnswer::Status(status) => status_json(status),
        AdminAnswer::Online { people, .. } => {
            let people: Vec<_> = people.iter().map(person_json).collect();
            json!({ "online": people })
        }
        AdminAnswer::Operated { entry, repeated, balance } => json!({
            "entry": entry.get(),
            "repeated": repeated,
            "balance": balance.credits(),
        }),
        AdminAnswer::Draining => json!({ "drained": true }),
        AdminAnswer::SnapshotKept(batch) => json!({ "batch": batch.get() }),
        AdminAnswer::Verified(verified) => {
            let Verified { batch, head, entries, accounts, supply, took_ms } = &**verified;
            json!({
                "sound": true,
                "batch": batch.get(),
                "head": hex(head),
                "entries": entries,
                "accounts": accounts,
                "supply": supply.credits(),
                "took_ms": took_ms,
            })
        }
        AdminAnswer::BackedUp(backed_up) => {
            let BackedUp { batch, head, entries, incremental, .. } = &**backed_up;
            json!({
                "batch": batch.get(),
                "head": hex(head),
                "entries": entries,
                "incremental": incremental,
                "copied_batches": backed_up.copied_batches,
                "copied_bytes": backed_up.copied_bytes,
            })
        }
    };
    value.to_string()
}

fn status_words(status: &ServerStatus) -> String {
    let title = match &status.condition {
        Condition::Writing => "the server takes payments".to_owned(),
        Condition::ReadOnly(why) => format!("the server is read-only: {}", printable(why)),
        Condition::Draining => "the server is stopping".to_owned(),
    };
    let mut lines = vec![
        ("version", status.version.clone()),
        ("server key", status.server.to_string()),
        ("since", status.started.to_utc()),
    ];
    match &status.ledger {
        Some(ledger) => lines.extend(ledger_lines(ledger)),
        None => lines.push(("ledger", "reads its journal again".into())),
    }
    lines.push(("connections", status.connections.to_string()));
    lines.push(("online", status.online.to_string()));
    match &status.files {
        Ok(files) => lines.extend(files_lines(files)),
        Err(why) => lines.push(("disk", format!("cannot be read: {}", printable(why)))),
    }
    table(&title, &lines)
}

fn ledger_lines(ledger: &LedgerStatus) -> [(&'static str, String); 5] {
    let LedgerStatus { entries, batch, head, written, accounts, frozen, supply } = ledger;
    [
        ("entries", entries.to_string()),
        ("batches", format!("{batch}, the last at {}", written.to_utc())),
        ("head", hex(head)),
        ("accounts", format!("{accounts}, {frozen} of them frozen")),
        ("supply", format!("{supply} credits")),
    ]
}

fn files_lines(files: &FilesStatus) -> [(&'static str, String); 3] {
    let FilesStatus { journal_bytes, free_bytes, snapshot } = files;
    let snapshot = snapshot.map(|SnapshotStatus { batch, kept }| {
        format!("behind batch {batch}, at {}", kept.to_utc())
    });
    let free = free_bytes.map(|bytes| format!("{bytes} bytes free"));
    [
        ("snapshot", snapshot.unwrap_or_else(|| "none".into())),
        ("journal", format!("{journal_bytes} bytes")),
        ("disk", free.unwrap_or_else(|| "unknown".into())),
    ]
}

fn status_json(status: &ServerStatus) -> Value {
    let (condition, why) = match &status.condition {
        Condition::Writing => ("writing", None),
        Condition::ReadOnly(why) => ("read-only", Some(why)),
        Condition::Draining => ("draining", None),
    };
    let ledger = status.ledger.as_ref();
    let files = status.files.as_ref();
    let snapshot = files.ok().and_then(|files| files.snapshot);
    json!({
        "version": status.version,
        "server_key": status.server.to_string(),
        "started_ms": status.started.get(),
        "now_ms": status.now.get(),
        "condition": condition,
        "why": why,
        "entries": ledger.map(|ledger| ledger.entries),
        "batch": ledger.map(|ledger| ledger.batch.get()),
        "head": ledger.map(|ledger| hex(&ledger.head)),
        "written_ms": ledger.map(|ledger| ledger.written.get()),
        "accounts": ledger.map(|ledger| ledger.accounts),
        "frozen": ledger.map(|ledger| ledger.frozen),
        "supply": ledger.map(|ledger| ledger.supply.credits()),
        "connections": status.connections,
        "online": status.online,
        "journal_bytes": files.ok().map(|files| files.journal_bytes),
        "free_bytes": files.ok().and_then(|files| files.free_bytes),
        "snapshot_batch": snapshot.map(|snapshot| snapshot.batch.get()),
        "snapshot_ms": snapshot.map(|snapshot| snapshot.kept.get()),
        "disk_error": files.err(),
    })
}

fn online_words(people: &[OnlineAccount]) -> String {
    if people.is_empty() {
        return "nobody is online".into();
    }
    let lines = people.iter().map(|OnlineAccount { name, key, address }| {
        let place = address.map_or_else(|| "unlisted".into(), |address| address.to_string());
        let key = key.map_or_else(|| "no key".into(), |key| key.to_string());
        format!("\n  {}  {place}  {key}", printable(name.as_str()))
    });
    format!("{} online{}", people.len(), lines.collect::<String>())
}

fn person_json(OnlineAccount { name, key, address }: &OnlineAccount) -> Value {
    json!({
        "name": name.as_str(),
        "key": key.map(|key| key.to_string()),
        "address": address.map(|address| address.to_string()),
    })
}

#[cfg(test)]
mod tests;
