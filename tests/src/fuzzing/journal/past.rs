//! A ledger with a past: accounts of both kinds, payments of both kinds, refusals, a key change, and what
//! the operator did.

use std::sync::LazyLock;

use actors::ledger::journal::{Batch, Journal, MemoryStorage, SealedBatch, Snapshot};
use actors::ledger::state::{Command, OperatorCommand, State, Terms};
use actors::messages::Signer;
use slog::{Discard, Logger, o};
use wire::key_change::KEY_CHANGE_VERSION;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::public_key;
use wire::text::TextPayment;
use wire::{
    Access, AccountId, Amount, Entry, KeyChange, Order, OrderId, PublicKey, Receipt, Timestamp,
};

use super::{files, open};
use crate::secure::key;

/// So small that the past takes several segments.
pub(in crate::fuzzing) const SEGMENT_BYTES: u64 = 1 << 10;

/// When the first batch was written.
const BEGAN: u64 = 1_700_000_000_000;

/// The number of the server's key.
const SERVER: u8 = 9;

/// A directory, and all that it has been.
pub(in crate::fuzzing) struct Past {
    /// Its files, in the order of their names.
    pub(in crate::fuzzing) segments: Vec<(String, Vec<u8>)>,
    pub(in crate::fuzzing) snapshots: Vec<(String, Vec<u8>)>,
    /// Before the first batch, behind it, and so on.
    pub(in crate::fuzzing) states: Vec<State>,
    /// For every entry.
    pub(in crate::fuzzing) receipts: Vec<Receipt>,
}

pub(in crate::fuzzing) static PAST: LazyLock<Past> = LazyLock::new(Past::make);

impl Past {
    /// The key that has sealed it.
    pub(in crate::fuzzing) fn server() -> PublicKey {
        public_key(&key(SERVER))
    }

    /// Puts its files there.
    pub(in crate::fuzzing) fn write(&self, storage: &MemoryStorage, with_snapshots: bool) {
        let snapshots = self.snapshots.iter().filter(|_| with_snapshots);
        for (name, bytes) in self.segments.iter().chain(snapshots) {
            storage.write(name, bytes.clone());
        }
    }

    fn make() -> Self {
        let storage = MemoryStorage::new();
        let (mut journal, mut state) = open(&storage).expect("an empty directory");
        let (mut states, mut receipts) = (vec![state.clone()], Vec::new());
        for (number, commands) in (1..).zip(commands()) {
            let (sealed, entries) = commit(&mut journal, &mut state, commands);
            let numbered = (sealed.header.first_entry.get()..).zip(entries);
            receipts.extend(numbered.map(|(number, entry)| {
                sealed.receipt(wire::EntryNumber::new(number), entry).expect("it is in the batch")
            }));
            states.push(state.clone());
            if number % 3 == 0 {
                let snapshot = Snapshot::capture(&state, &Self::server());
                snapshot.store(&storage, &sealed.committed).expect("memory does not fail");
            }
        }
        drop(journal);
        let (segments, snapshots) =
            files(&storage).into_iter().partition(|(name, _)| name.starts_with("journal-"));
        Self { segments, snapshots, states, receipts }
    }
}

pub(in crate::fuzzing) fn signer() -> Signer {
    Signer::new(key(SERVER))
}

pub(in crate::fuzzing) fn log() -> Logger {
    Logger::root(Discard, o!())
}

fn commit(
    journal: &mut Journal,
    state: &mut State,
    commands: Vec<Command>,
) -> (SealedBatch, Vec<Entry>) {
    let now = Timestamp::new(BEGAN + journal.last().batch.get());
    let terms = Terms { now, shown: now, server: Past::server() };
    let decided = commands.into_iter().filter_map(|command| state.apply(command, &terms).1);
    let entries: Vec<Entry> = decided.collect();
    let mut batch = Batch::new(Vec::new());
    for entry in &entries {
        batch.push(entry);
    }
    (journal.append(&mut batch, now).expect("memory does not fail"), entries)
}

/// What was asked, batch by batch.
fn commands() -> Vec<Vec<Command>> {
    let keyed = |number| Access::Keyed(public_key(&key(number)));
    vec![
        vec![opening("alice", keyed(1)), opening("bob", keyed(2))],
        vec![opening("carol", Access::Open), opening("dan", Access::Open)],
        vec![order(1, "bob", Some(2), 10, 1), text("carol", ("dan", 3), 5)],
        vec![order(1, "bob", Some(2), 5000, 2), order(1, "nobody", None, 1, 3)],
        vec![change_key(1, 3)],
        vec![order(3, "carol", None, 7, 4), text("dan", ("carol", 2), 1005)],
        vec![operate(deposit("dan", 50)), operate(freeze("carol"))],
        vec![text("carol", ("bob", 1), 1), opening("Ève", Access::Open)],
        vec![operate(withdraw("dan", 50)), operate(unfreeze("carol"))],
        vec![order(3, "bob", Some(2), 1, 5), operate(freeze("dan"))],
    ]
}

fn operate(command: OperatorCommand) -> Command {
    Command::Operate(Box::new(command))
}

fn deposit(account: &str, credits: u64) -> OperatorCommand {
    let (account, id) = (account.parse().expect("a name"), "d-1".parse().expect("an id"));
    OperatorCommand::Deposit { account, amount: Amount::new(credits), id }
}

fn withdraw(account: &str, credits: u64) -> OperatorCommand {
    let (account, id) = (account.parse().expect("a name"), "w-1".parse().expect("an id"));
    OperatorCommand::Withdraw { account, amount: Amount::new(credits), id }
}

fn freeze(account: &str) -> OperatorCommand {
    let reason = "looked at".parse().expect("a reason");
    OperatorCommand::Freeze { account: account.parse().expect("a name"), reason }
}

fn unfreeze(account: &str) -> OperatorCommand {
    OperatorCommand::Unfreeze { account: account.parse().expect("a name") }
}

fn opening(name: &str, access: Access) -> Command {
    let name: wire::Username = name.parse().expect("a name");
    let name = name.try_into().expect("one that may be given");
    Command::OpenAccount { name, access, grant: Amount::new(1000) }
}

fn text(payer: &str, (payee, account): (&str, u64), amount: u64) -> Command {
    let payment = TextPayment {
        payer: payer.parse().expect("a name"),
        amount: Amount::new(amount),
        payee: payee.parse().expect("a name"),
    };
    Command::TextTransfer { sender: AccountId::new(account), payment }
}

/// Of alice's, signed with the key of this number.
fn order(signer: u8, payee: &str, payee_key: Option<u8>, amount: u64, nonce: u8) -> Command {
    let not_after = Timestamp::new(BEGAN + 1000);
    let order = Order {
        version: ORDER_VERSION,
        server: Past::server(),
        id: OrderId::new(not_after, [nonce; 10]),
        payer: "alice".parse().expect("a name"),
        payer_key: public_key(&key(signer)),
        payee: payee.parse().expect("a name"),
        payee_key: payee_key.map(|number| public_key(&key(number))),
        amount: Amount::new(amount),
        not_after,
        memo_hash: NO_MEMO,
    };
    let order = order.sign(&key(signer)).verify().expect("it is signed");
    Command::Order { submitter: AccountId::new(0), order: Box::new(order) }
}

/// Of alice's.
fn change_key(old: u8, new: u8) -> Command {
    let change = KeyChange {
        version: KEY_CHANGE_VERSION,
        server: Past::server(),
        account: "alice".parse().expect("a name"),
        old: public_key(&key(old)),
        new: public_key(&key(new)),
    };
    let change = change.sign(&key(old), &key(new)).verify().expect("both have signed");
    Command::ChangeKey { account: AccountId::new(0), change: Box::new(change) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or the changes would be made to something simpler than they should be.
    #[test]
    fn the_past_has_everything() {
        assert!(PAST.segments.len() >= 3, "{}", PAST.segments.len());
        assert_eq!(PAST.snapshots.len(), 2);
        assert_eq!(PAST.receipts.len(), 18);
        for receipt in &PAST.receipts {
            receipt.verify(&Past::server()).expect("a good receipt");
        }
    }
}
