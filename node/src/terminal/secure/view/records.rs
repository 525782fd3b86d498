//! Payments, history and receipts, as they are listed.

use actors::messages::{HistoryPage, Payment, PaymentState};
use wire::receipt::Proven;
use wire::secure::HistoryEvent;
use wire::{Authority, Entry, OrderId, PublicKey, Receipt, Verdict};

use super::{quoted, short};
use crate::printable::printable;
use crate::terminal::view;

/// One line a payment.
pub(in crate::terminal::secure) fn payments(payments: &[Payment]) -> String {
    if payments.is_empty() {
        return "no payments yet".into();
    }
    let rows = payments.iter().map(|payment| {
        let memo = payment.memo.as_deref().map(|memo| format!("\"{}\"", quoted(memo)));
        vec![
            short(&payment.id),
            payment.amount.to_string(),
            format!("to {}", printable(payment.payee.as_str())),
            super::state(payment.state),
            memo.unwrap_or_default(),
        ]
    });
    view::table(&rows.collect::<Vec<_>>())
}

/// The payments among these that have a receipt.
pub(in crate::terminal::secure) fn receipts(all: &[Payment]) -> String {
    let has_receipt =
        |payment: &&Payment| matches!(payment.state, PaymentState::Paid | PaymentState::Refused(_));
    let decided: Vec<Payment> = all.iter().filter(has_receipt).cloned().collect();
    let list = if decided.is_empty() { "  none".into() } else { payments(&decided) };
    format!(
        "receipts of payments by you:\n{}\n'history' shows the ids of payments to you, and \
         'receipt ID' has their receipts",
        list.trim_end()
    )
}

/// One line an entry, newest first.
pub(in crate::terminal::secure) fn history(page: &HistoryPage) -> String {
    if page.items.is_empty() {
        return "nothing has happened yet".into();
    }
    let rows = page.items.iter().map(|item| {
        let (what, id) = happened(&item.event);
        vec![item.time.to_utc(), what, id.map(|id| short(&id)).unwrap_or_default()]
    });
    let mut text = view::table(&rows.collect::<Vec<_>>());
    if page.more {
        view::line(&mut text, format_args!("  and more before that: 'history COUNT' shows them"));
    }
    text
}

/// What happened, and the order that did it.
fn happened(event: &HistoryEvent) -> (String, Option<OrderId>) {
    match event {
        HistoryEvent::Opened { grant } => (format!("opened with {grant}"), None),
        HistoryEvent::Paid { payee, amount, order } => {
            (format!("paid {amount} to {}", printable(payee.as_str())), Some(*order))
        }
        HistoryEvent::Received { payer, amount, order } => {
            (format!("received {amount} from {}", printable(payer.as_str())), *order)
        }
        HistoryEvent::Refused { payee, amount, order, refusal } => {
            let payee = printable(payee.as_str());
            (format!("refused: {amount} to {payee}: {refusal}"), Some(*order))
        }
        HistoryEvent::KeyChanged { key } => (format!("key changed to {key}"), None),
        HistoryEvent::Deposited { amount } => {
            (format!("{amount} deposited by the server's operator"), None)
        }
        HistoryEvent::Withdrawn { amount } => {
            (format!("{amount} withdrawn by the server's operator"), None)
        }
        HistoryEvent::Frozen { reason } if reason.is_empty() => {
            ("frozen by the server's operator".into(), None)
        }
        HistoryEvent::Frozen { reason } => {
            let reason = printable(reason.as_str());
            (format!("frozen by the server's operator: {reason}"), None)
        }
        HistoryEvent::Unfrozen => ("unfrozen by the server's operator".into(), None),
    }
}

/// The order that something in the history was done by.
pub(in crate::terminal::secure) fn order_of(event: &HistoryEvent) -> Option<OrderId> {
    happened(event).1
}

/// What a receipt proves, line by line.
pub(in crate::terminal::secure) fn proven(
    receipt: &Receipt,
    proven: &Proven<'_>,
    server: &PublicKey,
) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    match proven.entry {
        Entry::Transferred { authority: Authority::Order(signed), .. }
        | Entry::OrderRefused { order: signed, .. } => {
            let order = &signed.order;
            rows.push(("order", order.id.to_string()));
            rows.push((
                "payer",
                format!("{}, key {}", printable(order.payer.as_str()), order.payer_key),
            ));
            let key = order.payee_key.map_or_else(|| "no key".into(), |key| format!("key {key}"));
            rows.push(("payee", format!("{}, {key}", printable(order.payee.as_str()))));
            rows.push(("amount", order.amount.to_string()));
        }
        Entry::Transferred { payer, payee, amount, authority: Authority::Text } => {
            rows.push(("payer", format!("account {payer}, without a signature")));
            rows.push(("payee", format!("account {payee}")));
            rows.push(("amount", amount.to_string()));
        }
        Entry::AccountOpened { name, grant, .. } => {
            let name = printable(name.as_str());
            rows.push(("opened", format!("{name}, with {grant}")));
        }
        Entry::KeyChanged { change, .. } => {
            rows.push(("account", printable(change.change.account.as_str()).into_owned()));
            rows.push(("new key", change.change.new.to_string()));
        }
        Entry::Deposited { account, amount, .. } => {
            rows.push(("deposited", format!("{amount}, by the operator, to account {account}")));
        }
        Entry::Withdrawn { account, amount, .. } => {
            rows.push(("withdrawn", format!("{amount}, by the operator, from account {account}")));
        }
        Entry::Frozen { account, reason } => {
            rows.push(("frozen", format!("account {account}, by the operator")));
            if !reason.is_empty() {
                rows.push(("reason", printable(reason.as_str()).into_owned()));
            }
        }
        Entry::Unfrozen { account } => {
            rows.push(("unfrozen", format!("account {account}, by the operator")));
        }
        // Nobody is given a receipt for this: the time says it all.
        Entry::TimePassed => {}
    }
    match receipt.verdict() {
        Some(Verdict::Settled) => rows.push(("outcome", "settled".into())),
        Some(Verdict::Refused(refusal)) => {
            rows.push(("outcome", format!("refused: {refusal}; nothing was moved")));
        }
        None => {}
    }
    rows.push(("time", format!("{}, by the server's clock", proven.time.to_utc())));
    rows.push(("entry", format!("{} of the ledger, in batch {}", proven.number, proven.batch)));
    rows.push(("server", format!("{server}, whose signature is valid")));
    let rows: Vec<_> = rows.into_iter().map(|(word, value)| vec![word.to_owned(), value]).collect();
    view::table(&rows)
}
