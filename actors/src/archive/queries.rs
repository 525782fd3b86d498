//! Questions under way, which are worked at piece by piece.

use std::cmp::Reverse;

use tokio::sync::oneshot;
use wire::{AccountId, Authority, Entry, EntryNumber, OrderId, Receipt, SignedOrder};

use super::index::Index;
use super::kept::KeptOrders;
use super::proofs::Proofs;
use super::reading::Reading;
use crate::ledger::journal::OpenError;
use crate::messages::{
    ArchiveUnavailable, FindReceipts, HistoryPage, ReadHistory, ReadOpenOrders, Sought,
};

/// Where the answer to a question goes. Dropped without one, it tells whoever asks that nobody answers.
pub(super) type Reply<T> = oneshot::Sender<Result<T, ArchiveUnavailable>>;

/// Why a piece of work cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The index cannot be read or written.
    #[error("the index: {0}")]
    Index(#[from] redb::Error),
    /// The journal cannot be read.
    #[error("the journal: {0}")]
    Journal(#[from] OpenError),
    /// The file of kept orders cannot be read or written.
    #[error("the open orders: {0}")]
    Kept(redb::Error),
}

/// A question under way, and where the answer goes.
pub(super) enum Query {
    Receipts(ReceiptSearch, Reply<Vec<Option<Receipt>>>),
    History(ReadHistory, Reply<HistoryPage>),
    OpenOrders(ReadOpenOrders, Reply<Vec<SignedOrder>>),
}

impl Query {
    /// Who asks.
    pub(super) const fn account(&self) -> AccountId {
        match self {
            Self::Receipts(ReceiptSearch { account, .. }, _)
            | Self::History(ReadHistory { account, .. }, _)
            | Self::OpenOrders(ReadOpenOrders { account, .. }, _) => *account,
        }
    }

    /// How many entries it seeks.
    pub(super) const fn sought(&self) -> usize {
        match self {
            Self::Receipts(ReceiptSearch { sought, .. }, _) => sought.len(),
            Self::History(..) | Self::OpenOrders(..) => 0,
        }
    }

    /// Says that it is not taken.
    pub(super) fn refuse(self, why: ArchiveUnavailable) {
        // Whoever asked may have gone meanwhile.
        match self {
            Self::Receipts(_, reply) => drop(reply.send(Err(why))),
            Self::History(_, reply) => drop(reply.send(Err(why))),
            Self::OpenOrders(_, reply) => drop(reply.send(Err(why))),
        }
    }

    /// Does one piece of it, and gives back the question unless it is answered.
    ///
    /// # Errors
    /// [`Fault`]; then nobody answers it.
    pub(super) fn work(
        self,
        reading: &mut Reading,
        kept: Option<&KeptOrders>,
    ) -> Result<Option<Self>, Fault> {
        let Reading { index, proofs, .. } = reading;
        // Whoever asked may have gone meanwhile.
        match self {
            Self::Receipts(mut search, reply) => match search.step(index, proofs)? {
                None => return Ok(Some(Self::Receipts(search, reply))),
                Some(found) => {
                    let _ = reply.send(Ok(found));
                }
            },
            Self::History(ReadHistory { account, before, limit }, reply) => {
                let page = index.history(account, before, limit)?;
                let _ = reply.send(Ok(page));
            }
            Self::OpenOrders(ReadOpenOrders { account, now }, reply) => {
                let Some(kept) = kept else { return Ok(None) };
                let mut open = Vec::new();
                for order in kept.of_account(account, now).map_err(Fault::Kept)? {
                    let decided = index.decision(account, order.order.id)?;
                    open.extend(decided.is_none().then_some(order));
                }
                let _ = reply.send(Ok(open));
            }
        }
        Ok(None)
    }
}

/// Receipts that are being sought.
pub(super) struct ReceiptSearch {
    account: AccountId,
    sought: Vec<Sought>,
    /// What is not looked up in the journal yet, in falling order; `None` before it is known where.
    left: Option<Vec<Located>>,
    found: Vec<Option<Receipt>>,
}

/// An entry that is sought and recorded.
#[derive(Clone, Copy)]
struct Located {
    entry: EntryNumber,
    /// Its place in the question.
    place: usize,
}

impl ReceiptSearch {
    pub(super) fn new(FindReceipts { account, sought }: FindReceipts) -> Self {
        // The answer takes more memory than the question, which may have to wait.
        Self { account, sought, left: None, found: Vec::new() }
    }

    /// Does one piece: finds out where the entries are, the first time, and reads one batch of the journal.
    /// Returns what was found when all is done.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn step(
        &mut self,
        index: &Index,
        proofs: &mut Proofs,
    ) -> Result<Option<Vec<Option<Receipt>>>, Fault> {
        let Self { account, sought, left, found } = self;
        let left = if let Some(left) = left {
            left
        } else {
            found.resize(sought.len(), None);
            left.insert(locate(*account, sought, index)?)
        };
        if let Some(mut next) = left.pop()
            && let Some(at) = index.batch_of(next.entry)?
        {
            let batch = proofs.batch(at)?;
            while let Some(entry) = batch.entry(next.entry) {
                let Located { entry: number, place } = next;
                if answers(entry, &sought[place]) && concerns(entry, number, *account, index)? {
                    found[place] = batch.receipt(number);
                }
                // What else is in this batch stands next to it.
                match left.pop_if(|next| batch.entry(next.entry).is_some()) {
                    Some(other) => next = other,
                    None => break,
                }
            }
        }
        Ok(left.is_empty().then(|| std::mem::take(found)))
    }
}

/// Where the entries are for which this account may get a receipt. Batches are not read for others: anybody
/// may ask for any number. The id of an order is known to its parties alone.
fn locate(
    account: AccountId,
    sought: &[Sought],
    index: &Index,
) -> Result<Vec<Located>, redb::Error> {
    let mut located = Vec::with_capacity(sought.len());
    for (place, sought) in sought.iter().enumerate() {
        let entry = match *sought {
            Sought::Entry(entry) => index.is_in_history(account, entry)?.then_some(entry),
            Sought::Order { payer, id } => index.decision(payer, id)?,
        };
        located.extend(entry.map(|entry| Located { entry, place }));
    }
    located.sort_unstable_by_key(|located| Reverse(located.entry));
    Ok(located)
}

/// Whether this is what is sought, should the index be mistaken.
fn answers(entry: &Entry, sought: &Sought) -> bool {
    match *sought {
        Sought::Entry(_) => true,
        Sought::Order { payer, id } => decides(entry) == Some((payer, id)),
    }
}

fn decides(entry: &Entry) -> Option<(AccountId, OrderId)> {
    match entry {
        Entry::Transferred { payer, authority: Authority::Order(order), .. }
        | Entry::OrderRefused { payer, order, .. } => Some((*payer, order.order.id)),
        _ => None,
    }
}

/// Whether the account is payer, payee or holder in the entry: nobody else gets a receipt.
fn concerns(
    entry: &Entry,
    number: EntryNumber,
    account: AccountId,
    index: &Index,
) -> Result<bool, redb::Error> {
    match entry {
        Entry::AccountOpened { account: holder, .. }
        | Entry::KeyChanged { account: holder, .. }
        | Entry::Deposited { account: holder, .. }
        | Entry::Withdrawn { account: holder, .. }
        | Entry::Frozen { account: holder, .. }
        | Entry::Unfrozen { account: holder } => Ok(*holder == account),
        Entry::TimePassed => Ok(false),
        Entry::Transferred { payer, payee, .. } => Ok(*payer == account || *payee == account),
        Entry::OrderRefused { payer, .. } if *payer == account => Ok(true),
        // Whoever took the payee's name later is not the payee.
        Entry::OrderRefused { order, .. } => index.had_name(account, &order.order.payee, number),
    }
}
