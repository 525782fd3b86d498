//! What all tests of the journal need, and the tests by subject.

use std::sync::Arc;

use slog::Logger;
use wire::key_change::KEY_CHANGE_VERSION;
use wire::signature::public_key;
use wire::text::TextPayment;
use wire::{Access, AccountId, Amount, KeyChange, NewUsername, PublicKey, Timestamp, Username};

use super::segment::segment_name;
use super::{Batch, Committed, Journal, JournalError, JournalOptions, MemoryStorage, OpenError};
use super::{Damage, Storage};
use crate::ledger::state::{Command, State};
use crate::messages::Signer;
use crate::probe::{TERMS, key, keyed, order, server_key};

mod crash;
mod cursor;
mod damage;
mod disk;
mod golden;
mod opening;
mod seal;
mod spare;
mod torn;
mod writing;

const FIRST_SEGMENT: &str = "journal-00000000000000000001.mite";

fn log() -> Logger {
    Logger::root(slog::Discard, slog::o!())
}

fn open(
    storage: &(impl Storage + Clone),
    segment_bytes: u64,
) -> Result<(Journal, State), OpenError> {
    Journal::open(Arc::new(storage.clone()), server_key(), JournalOptions { segment_bytes }, &log())
}

fn new_name(text: &str) -> NewUsername {
    let name: Username = text.parse().expect("a valid name");
    name.try_into().expect("a name that may be given")
}

fn opening(name: &str, grant: u64) -> Command {
    Command::OpenAccount { name: new_name(name), access: Access::Open, grant: Amount::new(grant) }
}

/// An opening whose entry is as full of zeros as can be: key number `n` holds one byte that is not.
fn empty_keyed(name: &str, n: u8) -> Command {
    let mut key = [0; 32];
    key[0] = n;
    Command::OpenAccount {
        name: new_name(name),
        access: Access::Keyed(PublicKey::new(key)),
        grant: Amount::ZERO,
    }
}

/// A payment that the payee, whose account has this number, asks for.
fn transfer(from: &str, (to, to_id): (&str, u64), amount: u64) -> Command {
    let payment = TextPayment {
        payer: from.parse().expect("a valid name"),
        payee: to.parse().expect("a valid name"),
        amount: Amount::new(amount),
    };
    Command::TextTransfer { sender: AccountId::new(to_id), payment }
}

/// Applies the commands and appends their entries as one batch.
fn commit(
    journal: &mut Journal,
    state: &mut State,
    commands: Vec<Command>,
) -> Result<Committed, JournalError> {
    let mut batch = Batch::new(Vec::new());
    for command in commands {
        if let (_, Some(entry)) = state.apply(command, &TERMS) {
            batch.push(&entry);
        }
    }
    let now = Timestamp::new(1_700_000_000_000 + journal.last().batch.get());
    Ok(journal.append(&mut batch, now)?.committed)
}

/// A journal of a few batches, with the state before the first, after the first, and so on.
struct Small {
    storage: MemoryStorage,
    states: Vec<State>,
    committed: Vec<Committed>,
}

fn small_commands() -> Vec<Vec<Command>> {
    vec![
        vec![opening("alice", 1000), opening("bob", 1000)],
        vec![transfer("alice", ("bob", 1), 10)],
        vec![empty_keyed("carol", 0), empty_keyed("dave", 1), transfer("bob", ("alice", 0), 1)],
        vec![transfer("bob", ("carol", 2), 500), opening("Eve", u64::MAX / 2)],
        vec![transfer("Eve", ("bob", 1), 1 << 40), transfer("bob", ("Eve", 4), 1)],
    ]
}

fn small(segment_bytes: u64) -> Small {
    journal_of(small_commands(), segment_bytes)
}

fn journal_of(batches: Vec<Vec<Command>>, segment_bytes: u64) -> Small {
    let storage = MemoryStorage::new();
    let (mut journal, mut state) = open(&storage, segment_bytes).expect("an empty directory");
    let mut states = vec![state.clone()];
    let mut committed = vec![*journal.last()];
    for commands in batches {
        committed.push(commit(&mut journal, &mut state, commands).expect("memory does not fail"));
        states.push(state.clone());
    }
    Small { storage, states, committed }
}

/// What has happened to keyed accounts: orders settled and refused, a key that was given up.
fn signed_commands() -> Vec<Vec<Command>> {
    let opening = |name: &str, key| Command::OpenAccount {
        name: new_name(name),
        access: keyed(key),
        grant: Amount::new(1000),
    };
    let ordered = |payer, payee, amount, nonce| {
        let order = order(payer, payee, amount, nonce).sign(&key(payer.1));
        let order = Box::new(order.verify().expect("it is signed"));
        Command::Order { submitter: AccountId::new(0), order }
    };
    let change = KeyChange {
        version: KEY_CHANGE_VERSION,
        server: TERMS.server,
        account: "alice".parse().expect("a valid name"),
        old: public_key(&key(1)),
        new: public_key(&key(3)),
    };
    let change = change.sign(&key(1), &key(3)).verify().expect("both have signed");
    let change = Command::ChangeKey { account: AccountId::new(0), change: Box::new(change) };
    vec![
        vec![opening("alice", 1), opening("bob", 2)],
        vec![ordered(("alice", 1), ("bob", keyed(2)), 10, 1)],
        vec![ordered(("alice", 1), ("bob", keyed(2)), 9999, 2), change],
        vec![ordered(("alice", 3), ("bob", keyed(2)), 7, 3)],
        vec![ordered(("alice", 3), ("nobody", Access::Open), 7, 4)],
    ]
}

/// All files with their bytes.
fn files(storage: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    let names = storage.list().expect("memory does not fail");
    names.into_iter().map(|name| (name.clone(), storage.read(&name).expect("listed"))).collect()
}

fn expect_damage(opened: Result<(Journal, State), OpenError>) -> (String, u64, u64, Damage) {
    match opened {
        Err(OpenError::Damaged { file, offset, batch, what }) => (file, offset, batch.get(), what),
        Err(other) => panic!("not damage: {other}"),
        Ok((journal, _)) => panic!("opened at {:?}", journal.last()),
    }
}

fn expect_missing(opened: Result<(Journal, State), OpenError>) -> (u64, u64) {
    match opened {
        Err(OpenError::BatchesMissing { file, first, last }) => {
            assert_eq!(file, segment_name(first));
            (first.get(), last.get())
        }
        Err(other) => panic!("not missing: {other}"),
        Ok((journal, _)) => panic!("opened at {:?}", journal.last()),
    }
}
