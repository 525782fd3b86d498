//! Whether all that was said and heard agrees with the journal.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use actors::ledger::audit::audit;
use actors::ledger::journal::Storage;
use actors::messages::PaymentState;
use actors::secure_wallet::store::ClosedRecord;
use wire::Verdict;

use super::model::Model;
use super::world::{PEOPLE, World, host};

/// How much has happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders that were settled.
    pub settled: usize,
    /// Orders that were refused for good.
    pub refused: usize,
    /// Orders that were never taken and never will be.
    pub dead: usize,
    /// Payments that were made by text.
    pub texts: usize,
    /// Orders that the server has said will never be settled, and did not settle.
    pub over: usize,
    /// Receipts that somebody was given, all of which are in the journal.
    pub receipts: usize,
    /// What went wrong.
    pub faults: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.settled += other.settled;
        self.refused += other.refused;
        self.dead += other.dead;
        self.texts += other.texts;
        self.over += other.over;
        self.receipts += other.receipts;
        self.faults += other.faults;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settled, refused, dead, texts, over, receipts, faults } = self;
        write!(
            f,
            "{settled} orders settled, {refused} refused, {dead} dead, {over} said to be over, {texts} payments by text, {receipts} receipts, {faults} faults"
        )
    }
}

/// Checks everything.
///
/// # Errors
/// The first promise that was not kept.
pub(super) fn check(world: &World) -> Result<Counts, String> {
    let storage: Arc<dyn Storage> = Arc::new(world.journal.clone());
    let receipts = world.receipts();
    // Every rule and signature; and what anybody was given a receipt for is there.
    let audited = audit(Arc::clone(&storage), world.server_key(), &receipts, |_| ());
    let audited = audited.map_err(|error| format!("the audit says: {error}"))?;
    let model = Model::read(storage, audited.last.next_entry)?;
    let granted = model.granted();
    if model.supply() != granted {
        return Err(format!("all have {} together, and were granted {granted}", model.supply()));
    }
    for name in model.orders.keys() {
        if let Some(said) = world.words.of(name) {
            return Err(format!("order {} was said to be over ({said}) and is decided", name.1));
        }
    }
    let mut counts = Counts {
        texts: world.texts.check(&model)?,
        over: world.words.count(),
        receipts: receipts.len(),
        faults: world.fault_count(),
        ..Counts::default()
    };
    for who in 0..PEOPLE {
        check_ending(world, &model, who)?;
        check_payments(world, &model, who, &mut counts)?;
        check_income(world, &model, who)?;
    }
    Ok(counts)
}

/// What they see is what the journal says.
fn check_ending(world: &World, model: &Model, who: usize) -> Result<(), String> {
    let ending = world.ending(who).ok_or_else(|| format!("{} is not at the end", host(who)))?;
    let account = model.account(&world.name(who));
    let (balance, entries) = account.ok_or_else(|| format!("{} has no account", host(who)))?;
    if ending.balance != balance {
        return Err(format!("{} has {balance} and sees {}", host(who), ending.balance));
    }
    let seen: Vec<_> = ending.history.iter().map(|item| item.number).collect();
    if seen != entries {
        return Err(format!("{} has the history {entries:?} and sees {seen:?}", host(who)));
    }
    Ok(())
}

/// Whatever they were told to be paid, they were.
fn check_income(world: &World, model: &Model, who: usize) -> Result<(), String> {
    let name = world.name(who);
    for (paid_by, amount) in world.paid_by(who) {
        let is_settled = model.orders.get(&paid_by).is_some_and(|decided| {
            let order = &decided.signed.order;
            decided.verdict == Verdict::Settled && order.payee == name && order.amount == amount
        });
        if !is_settled {
            let (payer, id) = paid_by;
            return Err(format!(
                "{} was told of {amount} by {payer}, order {id}, and is not paid",
                host(who)
            ));
        }
    }
    Ok(())
}

/// What they know of their payments is what became of them.
fn check_payments(
    world: &World,
    model: &Model,
    who: usize,
    counts: &mut Counts,
) -> Result<(), String> {
    let name = world.name(who);
    let open = world.open_count(who)?;
    if open > 0 {
        return Err(format!("{} has {open} payments open", host(who)));
    }
    let closed = world.closed(who)?;
    let mut known = 0;
    for record in &closed {
        let id = record.order.order.id;
        let decided = model.orders.get(&(name.clone(), id));
        let state = record.outcome.state();
        let agrees = match (state, decided.map(|decided| decided.verdict)) {
            (PaymentState::Paid, Some(Verdict::Settled)) => {
                counts.settled += 1;
                true
            }
            (PaymentState::Refused(seen), Some(Verdict::Refused(refusal))) => {
                counts.refused += 1;
                seen == refusal
            }
            (PaymentState::Dead(_), None) => {
                counts.dead += 1;
                true
            }
            _ => false,
        };
        if !agrees || decided.is_some_and(|decided| decided.signed != record.order) {
            return Err(format!(
                "{} takes order {id} for {state:?}; the journal says {decided:?}",
                host(who)
            ));
        }
        known += usize::from(decided.is_some());
        check_seen(world, who, record)?;
    }
    let decided = model.orders.keys().filter(|(payer, _)| *payer == name).count();
    if known != decided {
        return Err(format!("{decided} orders of {} are decided, and it knows {known}", host(who)));
    }
    Ok(())
}

/// What the person was told last is what stands on the disk.
fn check_seen(world: &World, who: usize, record: &ClosedRecord) -> Result<(), String> {
    let (id, state) = (record.order.order.id, record.outcome.state());
    match world.seen(who).get(&id) {
        Some(seen) if *seen == state => Ok(()),
        seen => Err(format!("{} was told {seen:?} of order {id}, and has {state:?}", host(who))),
    }
}
