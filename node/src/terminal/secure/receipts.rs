//! Receipts: found by the beginning of their order's id, checked, shown, exported.

use std::path::Path;

use actors::messages::{ReadOwnHistory, ReadReceipt};
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::{OrderId, P2pPort, Receipt};

use super::KeyRotation;
use super::command::IdStart;
use super::export;
use super::shell::{LOOK, Shell, ask};
use super::view::{Request, records, warning};
use crate::error::Error;
use crate::printable::printable;
use crate::terminal::shell::heard;
use crate::terminal::view::{self, Failure};

/// Payments among which a receipt is sought: the wallet reads them from its own disk in a moment.
const PAYMENTS_SOUGHT_MAX: usize = 10_000;
/// Pages of the history among which an id is sought: as many entries as payments.
const PAGES_SOUGHT_MAX: u32 = 10;
/// Payments whose receipts are listed: some screens full.
const RECEIPTS_LISTED_MAX: usize = 100;

impl<L, R> Shell<L, R>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
    R: KeyRotation,
{
    pub(super) async fn list_receipts(&mut self) -> Result<String, Failure> {
        Ok(records::receipts(&self.payments(RECEIPTS_LISTED_MAX).await?))
    }

    /// Shows what a receipt proves, and writes it to a file if there is one to write.
    pub(super) async fn show_receipt(
        &mut self,
        start: &IdStart,
        file: Option<&Path>,
    ) -> Result<String, Failure> {
        let id = match start.whole() {
            Some(id) => id,
            None => self.find_order(start).await?,
        };
        let receipt = self.read_receipt(id).await?;
        let receipt = receipt.ok_or_else(|| {
            Failure::new(
                format!("there is no receipt of {id}"),
                "'receipts' and 'history' show which there are; an open payment has none yet",
            )
        })?;
        // Without a connection, the server is the one that the order was signed for.
        let signed_for = receipt.order().map(|signed| signed.order.server);
        let server = self.keys.map(|keys| keys.server).or(signed_for);
        let server = server.ok_or_else(|| Failure::new("the server is not known", "write: id"))?;
        let is_sought = receipt.order().is_some_and(|signed| signed.order.id == id);
        let proven = match receipt.verify(&server) {
            Ok(proven) if is_sought => proven,
            Ok(_) => return Err(invalid("it is the receipt of another order")),
            Err(error) => return Err(invalid(&error.to_string())),
        };
        let mut text = records::proven(&receipt, &proven, &server);
        if let Some(file) = file {
            export::write_new(file, &receipt.to_text())?;
            let file = file.display().to_string();
            view::line(&mut text, format_args!("written to {}", printable(&file)));
        }
        Ok(text)
    }

    /// Whether the wallet, which has not connected yet, has the receipt.
    pub(super) async fn keeps_receipt(&mut self, start: &IdStart) -> Result<bool, Failure> {
        let id = match start.whole() {
            Some(id) => Some(id),
            None => match self.own_orders(start).await?.as_slice() {
                [id] => Some(*id),
                _ => None,
            },
        };
        match id {
            Some(id) => Ok(self.read_receipt(id).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn read_receipt(&mut self, id: OrderId) -> Result<Option<Receipt>, Failure> {
        heard(self.wallet.read_receipt.send(ReadReceipt(id)).await, LOOK)
    }

    /// The one order whose id begins so: of my own payments, or of what the history says.
    async fn find_order(&mut self, start: &IdStart) -> Result<OrderId, Failure> {
        let mut found = self.own_orders(start).await?;
        if self.keys.is_some() {
            match self.orders_of_history(start).await {
                Ok(more) => found.extend(more),
                // What the wallet itself has is worth looking at without the server, too.
                Err(failure) if found.is_empty() => return Err(failure),
                Err(_) => {}
            }
        }
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [id] => Ok(*id),
            [] => Err(Failure::new(
                format!("no payment's id begins with {start}"),
                "'receipts' and 'history' show ids",
            )),
            several => Err(Failure::new(
                format!("{} payments' ids begin with {start}", several.len()),
                "give more of its digits",
            )),
        }
    }

    async fn own_orders(&mut self, start: &IdStart) -> Result<Vec<OrderId>, Failure> {
        let payments = self.payments(PAYMENTS_SOUGHT_MAX).await?;
        let ids = payments.iter().map(|payment| payment.id);
        Ok(ids.filter(|id| start.is_of(id)).collect())
    }

    async fn orders_of_history(&mut self, start: &IdStart) -> Result<Vec<OrderId>, Failure> {
        let mut found = Vec::new();
        let mut before = None;
        for _ in 0..PAGES_SOUGHT_MAX {
            let request = ReadOwnHistory { before, limit: PAGE_ITEMS_MAX };
            let page = ask(&self.wallet.read_history, request, Request::Read).await?;
            let ids = page.items.iter().filter_map(|item| records::order_of(&item.event));
            found.extend(ids.filter(|id| start.is_of(id)));
            match page.items.last() {
                Some(last) if page.more => before = Some(last.number),
                _ => break,
            }
        }
        Ok(found)
    }
}

fn invalid(reason: &str) -> Failure {
    Failure::new(
        format!("the receipt is not valid: {reason}"),
        "'history' asks the server for what happened",
    )
    .warn(warning::receipt_invalid(reason))
}
