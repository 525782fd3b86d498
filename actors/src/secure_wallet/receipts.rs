//! Receipts: those that the wallet keeps, and those that only the server has, of payments that came while the
//! wallet was away or that were made on a machine that is lost.

use actix::prelude::*;
use slog::{error, info, warn};
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::secure::{Answer, Call, HistoryEvent};
use wire::{EntryNumber, OrderId, Receipt, SignedOrder, Verdict};

use super::payment::judge;
use super::store::{Change, ClosedRecord, Outcome};
use super::{Reply, SecureWallet, ask};
use crate::messages::{AskServer, PayError, ReadReceipt};

/// Pages of the history in which an order is sought, the newest first: ten thousand entries, which take a
/// second.
const PAGES_SOUGHT_MAX: usize = 10;

impl Handler<ReadReceipt> for SecureWallet {
    type Result = Reply<Option<Receipt>>;

    fn handle(&mut self, ReadReceipt(id): ReadReceipt, _: &mut Self::Context) -> Self::Result {
        let kept = self.kept_receipt(id).unwrap_or_else(|error| {
            error!(self.log, "the wallet cannot be read"; "why" => %error);
            None
        });
        // Nobody connects only for this: who has no connection sees what the wallet keeps.
        let link = self.live_link().filter(|_| kept.is_none() && self.account.is_some());
        let found = async move {
            match link {
                Some(link) => find(&link, id).await,
                None => None,
            }
        };
        Box::pin(found.into_actor(self).map(move |found, wallet, _| {
            kept.or_else(|| found.filter(|receipt| wallet.takes_found(id, receipt)))
        }))
    }
}

impl SecureWallet {
    fn kept_receipt(&self, id: OrderId) -> Result<Option<Receipt>, PayError> {
        let Some(server) = self.last_server()? else { return Ok(None) };
        let own = self.store.find_closed(&server, id)?;
        if let Some(ClosedRecord { outcome: Outcome::Decided(receipt), .. }) = own {
            return Ok(Some(*receipt));
        }
        Ok(self.store.received(&server, id)?.into_iter().next())
    }

    /// Whether this proves what became of the order that is sought. It is kept then, so that it can be shown
    /// without the server the next time.
    fn takes_found(&mut self, id: OrderId, receipt: &Receipt) -> bool {
        let Some((signed, verdict)) = self.proven(id, receipt) else {
            warn!(self.log, "the server's receipt is no proof"; "order" => %id);
            return false;
        };
        let is_payee = self.account.as_ref().is_some_and(|own| own.name == signed.order.payee);
        let change = match verdict {
            // What is under way here is closed by whoever finds out for it.
            _ if self.payments.contains_key(&id) => return true,
            Verdict::Settled if is_payee => Change::Received(Box::new(receipt.clone())),
            _ if is_payee => return true,
            _ => Change::Close(ClosedRecord {
                order: signed.clone(),
                memo: None,
                outcome: Outcome::Decided(Box::new(receipt.clone())),
            }),
        };
        match self.store.write(&[change]) {
            Ok(()) => info!(self.log, "a receipt was found at the server"; "order" => %id),
            // It can be shown all the same.
            Err(error) => {
                error!(self.log, "a receipt cannot be kept"; "order" => %id, "why" => %error);
            }
        }
        true
    }

    fn proven<'r>(
        &mut self,
        id: OrderId,
        receipt: &'r Receipt,
    ) -> Option<(&'r SignedOrder, Verdict)> {
        let signed = receipt.order()?;
        let order = &signed.order;
        let own = &self.account.as_ref()?.name;
        let is_sought = order.id == id
            && Some(order.server) == self.server
            && (order.payer == *own || order.payee == *own);
        let (verdict, _) =
            judge(receipt, &signed.clone().verify().ok()?, &mut self.headers).ok()?;
        is_sought.then_some((signed, verdict))
    }
}

/// The receipt that the server has of an order in this account's history.
async fn find(link: &Recipient<AskServer>, id: OrderId) -> Option<Receipt> {
    let mut before: Option<EntryNumber> = None;
    for _ in 0..PAGES_SOUGHT_MAX {
        let page = ask(link, Call::ReadHistory { before, limit: PAGE_ITEMS_MAX }).await;
        let Ok(Answer::History { items, more }) = page else { return None };
        if let Some(item) = items.iter().find(|item| order_of(&item.event) == Some(id)) {
            let receipts = ask(link, Call::ReadReceipts { entries: vec![item.number] }).await;
            let Ok(Answer::Receipts(receipts)) = receipts else { return None };
            return receipts.into_iter().next().flatten();
        }
        before = Some(items.last().filter(|_| more)?.number);
    }
    None
}

const fn order_of(event: &HistoryEvent) -> Option<OrderId> {
    match event {
        HistoryEvent::Paid { order, .. } | HistoryEvent::Refused { order, .. } => Some(*order),
        HistoryEvent::Received { order, .. } => *order,
        HistoryEvent::Opened { .. }
        | HistoryEvent::KeyChanged { .. }
        | HistoryEvent::Deposited { .. }
        | HistoryEvent::Withdrawn { .. }
        | HistoryEvent::Frozen { .. }
        | HistoryEvent::Unfrozen => None,
    }
}
