//! What was asked and answered, and whether a journal bears it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actors::ledger::journal::{BatchCursor, JournalPlace, Storage, Walked};
use actors::ledger::state::{Outcome, State};
use actors::messages::{LedgerUnavailable, Settlement};
use wire::secure::OrderProblem;
use wire::{
    AccountId, Amount, Authority, Entry, EntryNumber, OrderHash, OrderId, PublicKey, Receipt,
    Timestamp, Username,
};

/// What tells a command from every other that asks for a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Of the account with this name.
    Opening(Username),
    /// Of this many credits, which no other text payment is of.
    Text(u64),
    /// To this key.
    Key([u8; 32]),
    /// By the operator, with this id.
    Operation(String),
    /// That nobody asks for.
    Unasked,
    /// Of the payer with this name.
    Order(Username, OrderId, OrderHash),
}

/// A command, as far as its outcome is to be judged.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Change(Change),
    Balance(AccountId),
    Status { change: Change, not_after: Timestamp },
}

/// What is known of a change.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// How many requests for it may still be done.
    open: usize,
    /// Somebody was told that it is done, or it was found done.
    done: bool,
    /// By this entry, if anybody was told.
    entry: Option<EntryNumber>,
    /// Somebody was told that it never will be.
    dead: bool,
}

/// Everything that anybody was told.
#[derive(Default)]
pub(super) struct History {
    changes: BTreeMap<Change, Fate>,
    receipts: BTreeMap<EntryNumber, Receipt>,
    balances: Vec<(AccountId, Amount)>,
    /// How many outcomes were told.
    pub(super) told: u64,
    /// How many orders somebody was told to be over for good.
    pub(super) expired: u64,
}

/// What a journal holds.
pub(super) struct Told {
    pub(super) state: State,
    pub(super) entries: Vec<Entry>,
    pub(super) batches: u64,
}

impl History {
    /// Somebody asks this.
    pub(super) fn ask(&mut self, asked: &[Asked]) {
        for asked in asked {
            if let Asked::Change(change) = asked {
                self.changes.entry(change.clone()).or_default().open += 1;
            }
        }
    }

    /// And hears this.
    pub(super) fn hear(
        &mut self,
        asked: Vec<Asked>,
        heard: Result<Vec<Settlement>, LedgerUnavailable>,
        server: &PublicKey,
    ) -> Result<(), String> {
        match heard {
            // It may be done, and may turn up.
            Err(LedgerUnavailable::OutcomeUnknown) => Ok(()),
            Err(_) => {
                for asked in &asked {
                    self.not_done(asked);
                }
                Ok(())
            }
            Ok(settlements) if settlements.len() != asked.len() => {
                Err(format!("{} outcomes of {}", settlements.len(), asked.len()))
            }
            Ok(settlements) => asked
                .into_iter()
                .zip(settlements)
                .try_for_each(|(asked, settlement)| self.hear_one(&asked, settlement, server)),
        }
    }

    fn not_done(&mut self, asked: &Asked) {
        if let Asked::Change(change) = asked {
            self.fate(change).open -= 1;
        }
    }

    fn fate(&mut self, change: &Change) -> &mut Fate {
        self.changes.entry(change.clone()).or_default()
    }

    fn hear_one(
        &mut self,
        asked: &Asked,
        Settlement { outcome, receipt }: Settlement,
        server: &PublicKey,
    ) -> Result<(), String> {
        self.told += 1;
        if let Some(receipt) = receipt {
            let proven = receipt.verify(server).map_err(|error| format!("receipt: {error}"))?;
            let number = proven.number;
            if self.receipts.insert(number, *receipt).is_some() {
                return Err(format!("two receipts for entry {number}"));
            }
        }
        match (asked, outcome) {
            (
                Asked::Change(change),
                Outcome::Decided(number)
                | Outcome::DecidedBefore(number)
                | Outcome::KeyChanged(number),
            ) => self.done(change, Some(number))?,
            (Asked::Change(change), Outcome::Operated(Ok(operated))) => {
                self.done(change, Some(operated.entry))?;
            }
            (Asked::Change(change), Outcome::Opened(_) | Outcome::Settled) => {
                self.done(change, None)?;
            }
            (Asked::Change(change), outcome) => {
                self.not_done(asked);
                // For a wallet, this is the end of the order.
                self.over(change, outcome == Outcome::NotTaken(OrderProblem::Expired));
            }
            (Asked::Balance(account), Outcome::Balance(balance)) => {
                self.balances.push((*account, balance));
            }
            (Asked::Status { change, .. }, Outcome::FoundOrder { decided: Some(number), .. }) => {
                self.found(change, number)?;
            }
            (Asked::Status { change, not_after }, Outcome::FoundOrder { now, .. }) => {
                self.over(change, *not_after < now);
            }
            (asked, outcome) => return Err(format!("{outcome:?} is no answer to {asked:?}")),
        }
        Ok(())
    }

    fn done(&mut self, change: &Change, entry: Option<EntryNumber>) -> Result<(), String> {
        self.fate(change).open -= 1;
        if let Some(number) = entry {
            return self.found(change, number);
        }
        self.fate(change).done = true;
        Ok(())
    }

    /// Somebody hears of an order that it is not decided, and perhaps that it never will be.
    fn over(&mut self, change: &Change, for_good: bool) {
        let fate = self.fate(change);
        // The ledger forgets an order whose time is over; the archive knows it.
        if for_good && !fate.done && !fate.dead {
            fate.dead = true;
            self.expired += 1;
        }
    }

    fn found(&mut self, change: &Change, number: EntryNumber) -> Result<(), String> {
        let fate = self.fate(change);
        if fate.entry.is_some_and(|entry| entry != number) {
            return Err(format!("{change:?} is done by entries {:?} and {number}", fate.entry));
        }
        (fate.done, fate.entry) = (true, Some(number));
        Ok(())
    }

    /// All receipts.
    pub(super) fn receipts(&self) -> Vec<Receipt> {
        self.receipts.values().cloned().collect()
    }

    /// Whether the journal in `storage`, which was just opened as `opened`, bears all of this out. Then what was
    /// open is settled: what is not there never will be.
    pub(super) fn check(
        &mut self,
        storage: Arc<dyn Storage>,
        opened: &State,
    ) -> Result<Told, String> {
        let watched: BTreeSet<AccountId> = self.balances.iter().map(|(id, _)| *id).collect();
        let mut seen: BTreeSet<_> = watched.iter().map(|id| (*id, Amount::ZERO)).collect();
        let mut told = read(storage, &self.receipts, |state, entry| {
            let parties = match entry {
                Entry::AccountOpened { account, .. }
                | Entry::Deposited { account, .. }
                | Entry::Withdrawn { account, .. } => [Some(*account), None],
                Entry::Transferred { payer, payee, .. } => [Some(*payer), Some(*payee)],
                _ => [None, None],
            };
            for id in parties.into_iter().flatten().filter(|id| watched.contains(id)) {
                seen.extend(state.account(id).map(|account| (id, account.balance)));
            }
        })?;
        expect_state(&mut told, opened)?;
        if let Some(shown) = self.balances.iter().find(|shown| !seen.contains(shown)) {
            return Err(format!("{shown:?} was shown and never was"));
        }
        self.balances.clear();
        self.check_changes(&told.entries)?;
        Ok(told)
    }

    fn check_changes(&mut self, entries: &[Entry]) -> Result<(), String> {
        let mut there = BTreeMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let number = EntryNumber::new(number as u64);
            let Some(change) = change_of(entry) else { continue };
            if there.insert(change, number).is_some() {
                return Err(format!("entry {number} is there twice: {entry:?}"));
            }
        }
        for (change, number) in &there {
            let fate = self.changes.get(change).copied().unwrap_or_default();
            if fate.dead || (!fate.done && fate.open == 0) {
                return Err(format!("entry {number} was refused: {change:?}, {fate:?}"));
            }
            if fate.entry.is_some_and(|entry| entry != *number) {
                return Err(format!("{change:?} is entry {number}, and was {:?}", fate.entry));
            }
        }
        for (change, fate) in &mut self.changes {
            let number = there.get(change).copied();
            if fate.done && number.is_none() {
                return Err(format!("{change:?} was answered and is lost: {fate:?}"));
            }
            *fate = Fate { open: 0, done: number.is_some(), entry: number, dead: fate.dead };
        }
        Ok(())
    }
}

/// A journal was cut off somewhere: it holds the first of the entries that it held before, and comes to what
/// `opened` is.
pub(super) fn expect_begin(
    storage: Arc<dyn Storage>,
    opened: &State,
    before: &[Entry],
) -> Result<(), String> {
    let mut told = read(storage, &BTreeMap::new(), |_, _| ())?;
    expect_state(&mut told, opened)?;
    if !before.starts_with(&told.entries) {
        return Err("cut off, the journal holds other entries than it did".into());
    }
    Ok(())
}

/// The journal comes to the state that it was opened with, in which no money was made.
fn expect_state(told: &mut Told, opened: &State) -> Result<(), String> {
    // A snapshot may have forgotten more orders than batches tell of.
    told.state.forget_expired_orders(opened.forgotten_until());
    if told.state != *opened {
        let what = differences(&told.state, opened).join(", ");
        return Err(format!("the state is not what the journal comes to: {what}"));
    }
    let balances = told.state.accounts().iter().map(|account| account.balance.credits());
    if balances.map(i128::from).sum::<i128>() + told.state.treasury() != 0 {
        return Err("the sum is not zero".into());
    }
    Ok(())
}

/// What two states do not have in common.
fn differences(one: &State, other: &State) -> Vec<&'static str> {
    let sorted = |state: &State| {
        let mut orders = state.orders();
        orders.sort_unstable_by_key(|order| (order.id, order.payer));
        orders
    };
    [
        ("entries", one.next_entry() == other.next_entry()),
        ("accounts", one.accounts() == other.accounts()),
        ("retired keys", one.retired_keys() == other.retired_keys()),
        ("orders", sorted(one) == sorted(other)),
        ("frozen accounts", one.frozen() == other.frozen()),
        ("the operator's acts", one.acts() == other.acts()),
    ]
    .into_iter()
    .filter_map(|(what, is_equal)| (!is_equal).then_some(what))
    .collect()
}

/// Reads a journal from its beginning, with what it says of receipts, and calls `each` behind each entry.
fn read(
    storage: Arc<dyn Storage>,
    receipts: &BTreeMap<EntryNumber, Receipt>,
    mut each: impl FnMut(&State, &Entry),
) -> Result<Told, String> {
    let mut cursor = BatchCursor::new(storage, JournalPlace::BEGIN);
    let mut told = Told { state: State::default(), entries: Vec::new(), batches: 0 };
    loop {
        let batch = match cursor.walk().map_err(|error| format!("reading: {error}"))? {
            Walked::Batch(batch) => batch,
            Walked::End => break,
            Walked::Unfinished(position) => return Err(format!("unfinished: {position:?}")),
        };
        told.batches += 1;
        for (number, receipt) in receipts.range(batch.header.first_entry..batch.header.next_entry())
        {
            if batch.receipt(*number).as_ref() != Some(receipt) {
                return Err(format!("the receipt for entry {number} is of another one"));
            }
        }
        for entry in &batch.entries {
            told.state.replay(entry).map_err(|error| format!("replaying: {error}"))?;
            each(&told.state, entry);
        }
        told.state.forget_expired_orders(batch.header.time);
        told.entries.extend(batch.entries);
    }
    match receipts.range(told.state.next_entry()..).next() {
        Some((number, _)) => Err(format!("entry {number} has a receipt and is lost")),
        None => Ok(told),
    }
}

/// What an entry has changed, if it is anything.
fn change_of(entry: &Entry) -> Option<Change> {
    Some(match entry {
        Entry::AccountOpened { name, .. } => Change::Opening(name.clone()),
        Entry::Transferred { amount, authority: Authority::Text, .. } => {
            Change::Text(amount.credits())
        }
        Entry::Transferred { authority: Authority::Order(signed), .. }
        | Entry::OrderRefused { order: signed, .. } => {
            let order = &signed.order;
            Change::Order(order.payer.clone(), order.id, order.hash())
        }
        Entry::KeyChanged { change, .. } => Change::Key(*change.change.new.as_bytes()),
        Entry::Deposited { id, .. } | Entry::Withdrawn { id, .. } => {
            Change::Operation(id.to_string())
        }
        Entry::Frozen { .. } | Entry::Unfrozen { .. } => Change::Unasked,
        Entry::TimePassed => return None,
    })
}
