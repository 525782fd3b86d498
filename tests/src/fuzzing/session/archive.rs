//! An archive without files: it reads the whole journal whenever it is asked.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Context, Handler};
use actors::ledger::journal::{BatchCursor, JournalPlace, MemoryStorage, Walked};
use actors::messages::{
    ArchiveUnavailable, FindReceipts, HistoryPage, KeepOrder, ReadHistory, ReadOpenOrders, Sought,
};
use wire::{AccountId, Entry, EntryNumber, Receipt, SignedOrder, Username};

pub(super) struct Archive(pub(super) MemoryStorage);

/// An entry, its number, its receipt, and who has which name when it is made.
type Fact<'a> = (EntryNumber, &'a Entry, &'a HashMap<Username, AccountId>);

impl Archive {
    fn find(&self, account: AccountId, sought: &Sought) -> Option<Receipt> {
        let mut names = HashMap::new();
        let mut cursor = BatchCursor::new(Arc::new(self.0.clone()), JournalPlace::BEGIN);
        // Behind the last batch there may stand one that is being written.
        while let Walked::Batch(batch) = cursor.walk().expect("a good journal") {
            let numbers = (batch.header.first_entry.get()..).map(EntryNumber::new);
            for (number, entry) in numbers.zip(batch.entries.iter()) {
                if let Entry::AccountOpened { account, name, .. } = entry {
                    names.insert(name.clone(), *account);
                }
                if answers((number, entry, &names), account, sought) {
                    return batch.receipt(number);
                }
            }
        }
        None
    }
}

fn answers((number, entry, names): Fact<'_>, asker: AccountId, sought: &Sought) -> bool {
    let (payer_is, order, parties) = match entry {
        Entry::Transferred { payer, payee, authority, .. } => {
            let order = match authority {
                wire::Authority::Order(order) => Some(order),
                wire::Authority::Text => None,
            };
            (*payer, order, [Some(*payer), Some(*payee)])
        }
        Entry::OrderRefused { payer, order, .. } => {
            (*payer, Some(order), [Some(*payer), names.get(&order.order.payee).copied()])
        }
        Entry::AccountOpened { account, .. }
        | Entry::KeyChanged { account, .. }
        | Entry::Deposited { account, .. }
        | Entry::Withdrawn { account, .. }
        | Entry::Frozen { account, .. }
        | Entry::Unfrozen { account } => (*account, None, [Some(*account), None]),
        Entry::TimePassed => return false,
    };
    let is_sought = match sought {
        Sought::Entry(wanted) => *wanted == number,
        Sought::Order { payer, id } => {
            payer_is == *payer && order.is_some_and(|signed| signed.order.id == *id)
        }
    };
    is_sought && parties.contains(&Some(asker))
}

impl Actor for Archive {
    type Context = Context<Self>;
}

impl Handler<FindReceipts> for Archive {
    type Result = Result<Vec<Option<Receipt>>, ArchiveUnavailable>;

    fn handle(&mut self, question: FindReceipts, _: &mut Self::Context) -> Self::Result {
        Ok(question.sought.iter().map(|sought| self.find(question.account, sought)).collect())
    }
}

// Nobody asks these here.

impl Handler<ReadHistory> for Archive {
    type Result = Result<HistoryPage, ArchiveUnavailable>;

    fn handle(&mut self, _: ReadHistory, _: &mut Self::Context) -> Self::Result {
        Err(ArchiveUnavailable::Gone)
    }
}

impl Handler<KeepOrder> for Archive {
    type Result = Result<(), ArchiveUnavailable>;

    fn handle(&mut self, _: KeepOrder, _: &mut Self::Context) -> Self::Result {
        Err(ArchiveUnavailable::Gone)
    }
}

impl Handler<ReadOpenOrders> for Archive {
    type Result = Result<Vec<SignedOrder>, ArchiveUnavailable>;

    fn handle(&mut self, _: ReadOpenOrders, _: &mut Self::Context) -> Self::Result {
        Err(ArchiveUnavailable::Gone)
    }
}
