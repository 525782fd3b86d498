//! What a receipt proves, in words.

use wire::order::NO_MEMO;
use wire::receipt::Proven;
use wire::{Access, AccountId, Amount, Authority, Entry, KeyChange, OperatorId, Order, PublicKey};

use crate::hex::hex;
use crate::printable::printable;

/// Names and values of all that is proven. Nothing in them steers a screen.
pub(super) fn lines(proven: &Proven<'_>) -> Vec<(&'static str, String)> {
    let mut lines = entry(proven.entry);
    lines.extend([
        ("entry", format!("{}, in batch {}", proven.number, proven.batch)),
        ("head", hex(&proven.head)),
        ("time", proven.time.to_utc()),
    ]);
    lines
}

fn entry(entry: &Entry) -> Vec<(&'static str, String)> {
    match entry {
        Entry::Transferred { authority: Authority::Order(signed), .. } => {
            ordered(&signed.order, "paid".into())
        }
        Entry::OrderRefused { order: signed, refusal, .. } => {
            let outcome = format!("refused for good, {refusal}: nothing was moved");
            ordered(&signed.order, outcome)
        }
        Entry::Transferred { payer, payee, amount, authority: Authority::Text } => vec![
            ("outcome", "paid by the text protocol: the payer has signed nothing".into()),
            ("payer", format!("account {payer}")),
            ("payee", format!("account {payee}")),
            ("amount", format!("{amount} credits")),
        ],
        Entry::AccountOpened { account, name, access, grant } => vec![
            ("outcome", "opened".into()),
            ("account", format!("{account}, {}", printable(name.as_str()))),
            (
                "key",
                match access {
                    Access::Keyed(key) => key.to_string(),
                    Access::Open => "none: the text protocol can debit it".into(),
                },
            ),
            ("grant", format!("{grant} credits")),
        ],
        Entry::KeyChanged { account, change: signed } => {
            let KeyChange { account: name, old, new, .. } = &signed.change;
            vec![
                ("outcome", "the key was changed".into()),
                ("account", format!("{account}, {}", printable(name.as_str()))),
                ("old key", old.to_string()),
                ("new key", new.to_string()),
            ]
        }
        Entry::Deposited { account, amount, id } => {
            operated("deposited by the operator", *account, Some((*amount, id)))
        }
        Entry::Withdrawn { account, amount, id } => {
            operated("withdrawn by the operator", *account, Some((*amount, id)))
        }
        Entry::Frozen { account, reason } => {
            let mut lines = operated("frozen by the operator", *account, None);
            if !reason.is_empty() {
                lines.push(("reason", printable(reason.as_str()).into_owned()));
            }
            lines
        }
        Entry::Unfrozen { account } => operated("unfrozen by the operator", *account, None),
        Entry::TimePassed => vec![("outcome", "time has passed".to_owned())],
    }
}

fn operated(
    outcome: &str,
    account: AccountId,
    moved: Option<(Amount, &OperatorId)>,
) -> Vec<(&'static str, String)> {
    let mut lines = vec![("outcome", outcome.to_owned()), ("account", account.to_string())];
    if let Some((amount, id)) = moved {
        lines.push(("amount", format!("{amount} credits")));
        lines.push(("id", id.to_string()));
    }
    lines
}

fn ordered(order: &Order, outcome: String) -> Vec<(&'static str, String)> {
    let party = |name: &str, key: Option<PublicKey>| match key {
        Some(key) => format!("{}, key {key}", printable(name)),
        None => format!("{}, without a key", printable(name)),
    };
    let memo = if order.memo_hash == NO_MEMO {
        "none".to_owned()
    } else {
        format!("there is one, with the hash {}", hex(&order.memo_hash))
    };
    vec![
        ("outcome", outcome),
        ("payer", party(order.payer.as_str(), Some(order.payer_key))),
        ("payee", party(order.payee.as_str(), order.payee_key)),
        ("amount", format!("{} credits", order.amount)),
        ("order", order.id.to_string()),
        ("memo", memo),
    ]
}
