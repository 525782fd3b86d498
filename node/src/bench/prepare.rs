//! Ledgers that have been in use for long, made without a server: written as its journal writes them.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use actors::ledger::journal::{Batch, DiskStorage, Journal, JournalOptions, Snapshot};
use actors::ledger::state::State;
use actors::messages::Signer;
use slog::{Discard, Logger, o};
use wire::{Access, AccountId, Amount, Authority, Entry, Timestamp};

use super::Bench;
use super::error::BenchError;
use super::load::Watch;
use super::names::Names;
use super::random::Random;
use super::server_process::OPENING_BALANCE;
use crate::config::Target;
use crate::server_key;

/// Each entry is from the beginning of the year 2026: the server's clock does not go back behind it.
const TIME: Timestamp = Timestamp::new(1_767_225_600_000);

/// Opens the accounts that pay by text, unless they pay on a server that runs already.
pub(super) async fn payers(bench: &Bench) -> Result<(), BenchError> {
    if bench.config.signed || matches!(bench.config.target, Target::Running { .. }) {
        return Ok(());
    }
    accounts(bench, bench.config.accounts, |_| Access::Open).await
}

/// Makes a ledger with one account.
pub(super) async fn one_account(bench: &Bench, dir: &Path) -> Result<(), BenchError> {
    let dir = dir.to_owned();
    let write = move |watch: &Watch| {
        Ledger::open(&dir)?.write(std::iter::once(opening(0, Access::Open)), watch)
    };
    bench.on_thread(write).await
}

/// Opens accounts in the ledger of the run, of which no server knows yet. `access` says what it takes to
/// debit each of them.
pub(super) async fn accounts(
    bench: &Bench,
    count: u32,
    access: impl Fn(u32) -> Access + Send + 'static,
) -> Result<(), BenchError> {
    bench.progress.phase("opening accounts");
    let dir = bench.workplace.ledger();
    let write = move |watch: &Watch| {
        let mut ledger = Ledger::open(&dir)?;
        ledger.write((0..count).map(|number| opening(number, access(number))), watch)
    };
    bench.on_thread(write).await
}

/// Writes so many accounts and, up to so many entries in all, payments by text between them.
pub(super) fn past(
    dir: &Path,
    accounts: u32,
    entries: u64,
    watch: &Watch,
) -> Result<(), BenchError> {
    let mut ledger = Ledger::open(dir)?;
    let mut random = Random::new(entries);
    let payments = (u64::from(accounts)..entries).map(|_| {
        let payer = random.below(accounts);
        Entry::Transferred {
            payer: account(payer),
            // Anybody else.
            payee: account((payer + 1 + random.below(accounts - 1)) % accounts),
            amount: Amount::new(1),
            authority: Authority::Text,
        }
    });
    let openings = (0..accounts).map(|number| opening(number, Access::Open));
    ledger.write(openings.chain(payments), watch)
}

/// Keeps a snapshot of what the journal comes to, as a server does every now and then.
pub(super) fn snapshot(dir: &Path) -> Result<(), BenchError> {
    let Ledger { journal, state } = Ledger::open(dir)?;
    let captured = Snapshot::capture(&state, &journal.server());
    captured.store(&**journal.storage(), journal.last()).map_err(|error| failed(&error))
}

fn opening(number: u32, access: Access) -> Entry {
    Entry::AccountOpened {
        account: account(number),
        name: Names::own().payer(number).parse().expect("names of a run are valid"),
        access,
        grant: Amount::new(OPENING_BALANCE),
    }
}

fn account(number: u32) -> AccountId {
    AccountId::new(number.into())
}

/// A ledger that no server has open.
struct Ledger {
    journal: Journal,
    state: State,
}

impl Ledger {
    fn open(dir: &Path) -> Result<Self, BenchError> {
        let log = Logger::root(Discard, o!());
        let key = server_key::load_or_create(dir, &log).map_err(|error| failed(&error))?;
        let storage = DiskStorage::open(dir).map_err(|error| failed(&error))?;
        let signer = Signer::new(*key.signing_key());
        let opened = Journal::open(Arc::new(storage), signer, JournalOptions::default(), &log);
        let (journal, state) = opened.map_err(|error| failed(&error))?;
        Ok(Self { journal, state })
    }

    fn write(
        &mut self,
        entries: impl Iterator<Item = Entry>,
        watch: &Watch,
    ) -> Result<(), BenchError> {
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            if watch.is_stopped() {
                return Err(BenchError::Interrupted);
            }
            let mut batch = Batch::new(Vec::new());
            while !batch.is_full()
                && let Some(entry) = entries.next()
            {
                batch.push(&entry);
            }
            self.journal.append(&mut batch, TIME).map_err(|error| failed(&error))?;
            watch.add(batch.entry_count().into());
        }
        Ok(())
    }
}

fn failed(error: &dyn Display) -> BenchError {
    BenchError::Journal(error.to_string())
}
