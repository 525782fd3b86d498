//! Values as sentences: what only the secure protocol has to say is worded here and in its modules.
//!
//! | module | holds |
//! |---|---|
//! | `failure` | why the wallet did not do something, and what to do about it |
//! | `records` | payments, history and receipts, as they are listed |
//! | `warning` | what nobody may overlook |

use actors::messages::{
    MemoFate, Overview, Payment, PaymentState, Proof, Quote, Rotated, Trust, WalletNews,
};
use wire::secure::{OnlinePeer, OwnAccount};
use wire::{Amount, OrderId, P2pPort, PublicKey, Refusal, Username};
use zeroize::Zeroizing;

use super::command::LANGUAGE;
use crate::printable::printable;
use crate::profile::identity::push_words;
use crate::terminal::view::{self, Failure};

pub(super) use failure::{Request, pay_failure};

pub(super) mod failure;
pub(super) mod records;
pub(super) mod warning;

/// The digits that stand for an order's id. The first twelve say until when the order is valid, to
/// the millisecond, so that fewer would be the same for payments of about the same time; four of
/// the random ones tell those apart.
const SHORT_ID_DIGITS: usize = 16;

/// What a person sees first.
pub(super) fn welcome() -> String {
    let help = view::help(&(LANGUAGE.usages)());
    format!("Mite: payments from person to person.\n{help}")
}

/// Who is who: what people compare.
pub(super) fn identity(
    server: &PublicKey,
    key: &PublicKey,
    account: Option<&OwnAccount>,
) -> String {
    let account = match account {
        Some(OwnAccount { name, balance, .. }) => {
            format!("{}, balance: {balance}", printable(name.as_str()))
        }
        None => "none yet: 'register NAME' opens one".into(),
    };
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    view::table(&[
        row("server's key", server.to_string()),
        row("your key", key.to_string()),
        row("your account", account),
    ])
}

/// What became of payments that were open when the wallet was last closed.
pub(super) fn found_open(payments: &[Payment]) -> String {
    let mut text = String::new();
    for payment in payments {
        let told = match payment.state {
            PaymentState::Open | PaymentState::OutOfReach => state(payment.state),
            PaymentState::Paid => "paid while you were away".to_owned(),
            PaymentState::Refused(_) | PaymentState::Dead(_) => not_moved(payment),
        };
        view::line(&mut text, format_args!("{}: {told}", named(payment)));
    }
    text
}

pub(super) fn registered(account: &OwnAccount) -> String {
    format!("registered {}", printable(account.name.as_str()))
}

/// `None` as the port: unlisted.
pub(super) fn logged_in(account: &OwnAccount, port: Option<P2pPort>) -> String {
    let name = printable(account.name.as_str());
    match port {
        Some(port) => format!("logged in as {name}, listening on port {port}"),
        None => format!("logged in as {name}, unlisted: payments come through the server"),
    }
}

/// The balance, and a table of who is online and where.
pub(super) fn overview(overview: &Overview) -> String {
    let balance = balance(overview.account.balance);
    let Some(peers) = &overview.peers else {
        return format!("{balance}\nonline: not known before you log in");
    };
    let rows = peers.iter().map(|OnlinePeer { name, key, address }| {
        let remark = match key {
            _ if *name == overview.account.name => "(you)",
            Some(_) => "",
            None => "(no key: anybody may be called so)",
        };
        let name = printable(name.as_str()).into_owned();
        vec![name, address.to_string(), remark.to_owned()]
    });
    let table = view::table(&rows.collect::<Vec<_>>());
    format!("{balance}\nonline: {}\n{table}", peers.len())
}

pub(super) fn balance(balance: Amount) -> String {
    format!("balance: {balance}")
}

/// Whom exactly a payment would go to. Nothing is signed yet.
pub(super) fn quote(quote: &Quote) -> String {
    let Quote { payee, trust, amount, memo } = quote;
    let name = printable(payee.name.as_str());
    let key = known(payee.key.as_ref(), *trust);
    let address = match payee.address {
        Some(_) => "",
        None => ", not on the list of who is online",
    };
    // Only the payee's own device is told it, over a connection to the payee's key.
    let lost = match (memo, payee.address, payee.key) {
        (None, _, _) | (_, Some(_), Some(_)) => "",
        (_, None, _) => " (the memo will not reach them: they are not reachable now)",
        (_, Some(_), None) => " (the memo will not reach them: their account has no key)",
    };
    let memo = with_memo(memo.as_deref());
    format!("about to pay {amount} to {name}, {key}{address}{memo}{lost}")
}

/// The question behind it.
pub(super) fn pay_question(payee: &Username, amount: Amount) -> String {
    format!("pay {amount} to {}?", printable(payee.as_str()))
}

/// Somebody's key and what this wallet knows of it.
pub(super) fn whois(quote: &Quote) -> String {
    let online = match quote.payee.address {
        Some(address) => format!("online at {address}"),
        None => "not on the list of who is online".into(),
    };
    let key = known(quote.payee.key.as_ref(), quote.trust);
    format!("{}: {key}, {online}", printable(quote.payee.name.as_str()))
}

/// The same of somebody on the list, without what this wallet knows of the key.
pub(super) fn whois_online(peer: &OnlinePeer) -> String {
    let key = match &peer.key {
        Some(key) => format!("key {key}"),
        None => known(None, Trust::NoKey),
    };
    format!("{}: {key}, online at {}", printable(peer.name.as_str()), peer.address)
}

pub(super) fn trusted(name: &Username, key: &PublicKey) -> String {
    format!("{} is known by the key {key} from now on", printable(name.as_str()))
}

fn known(key: Option<&PublicKey>, trust: Trust) -> String {
    match (key, trust) {
        (None, _) | (_, Trust::NoKey) => {
            "an account without a key: nobody can be sure who that is".into()
        }
        (Some(key), Trust::Known) => format!("key {key} (known from before)"),
        (Some(key), Trust::New) => format!("key {key} (seen for the first time)"),
    }
}

/// What became of a payment; what nobody knows yet is no failure.
pub(super) fn paid(payment: &Payment, balance: Option<Amount>) -> Result<String, Failure> {
    let (amount, payee) = (payment.amount, printable(payment.payee.as_str()));
    match payment.state {
        PaymentState::Paid => {
            let receipt = short(&payment.id);
            let balance = balance.map(|balance| format!("; balance: {balance}"));
            let balance = balance.unwrap_or_default();
            let memo = missed_memo(payment.memo_fate);
            Ok(format!("paid {amount} to {payee}; receipt {receipt}{balance}{memo}"))
        }
        PaymentState::Open => Ok(format!(
            "{}: unknown, checking; do not pay again, 'payments' shows what becomes of it",
            named(payment)
        )),
        PaymentState::OutOfReach => Err(out_of_reach(payment)),
        PaymentState::Refused(Refusal::PayeeKeyChanged) => Err(Failure::new(
            format!("the payment of {amount} to {payee} was refused: their key has just changed"),
            format!("nothing was moved: compare the new key, see 'whois {payee}'"),
        )),
        PaymentState::Refused(_) | PaymentState::Dead(_) => Err(Failure::new(
            format!("the payment of {amount} to {payee} was {}", state(payment.state)),
            "nothing was moved",
        )),
    }
}

/// A payment that is still open when nobody is there any more to be told.
pub(super) fn unknown_outcome(payment: &Payment) -> Failure {
    if payment.state == PaymentState::OutOfReach {
        return out_of_reach(payment);
    }
    Failure::new(
        format!("outcome unknown: {}", named(payment)),
        "start the client again to find out; do not pay again before",
    )
}

/// A payment whose outcome this wallet will never know.
fn out_of_reach(payment: &Payment) -> Failure {
    Failure::new(format!("outcome unknown: {}: {REPLACED}", named(payment)), REPLACED_HINT)
}

/// What happened that nobody asked for.
pub(super) fn news(news: &WalletNews) -> String {
    match news {
        WalletNews::Received { payer, amount, memo, order, proof } => {
            let payer = printable(payer.as_str());
            let received = format!("received {amount} from {payer}{}", with_memo(memo.as_deref()));
            match (order.map(|id| short(&id)), proof) {
                // The text protocol has no receipts.
                (None, _) => received,
                (Some(id), Proof::Kept) => format!("{received}; receipt {id}"),
                (Some(id), Proof::NotKept) => format!(
                    "{received}; its receipt cannot be kept on this disk: 'receipt {id}' asks for it"
                ),
                (Some(_), Proof::Word) => format!("the server says: {received}; no receipt yet"),
            }
        }
        WalletNews::NotReceived { payer, amount, reason } => {
            let payer = printable(payer.as_str());
            format!("not received: {amount} from {payer}: {}", printable(reason.trim_end()))
        }
        WalletNews::Checking { payment, reason } => {
            let reason = printable(reason.trim_end());
            format!("{}: unknown, checking ({reason})", named(payment))
        }
        WalletNews::Decided(payment) => match payment.state {
            PaymentState::Open | PaymentState::OutOfReach => {
                format!("{}: {}", named(payment), state(payment.state))
            }
            PaymentState::Paid => {
                format!("{}: paid{}", named(payment), missed_memo(payment.memo_fate))
            }
            PaymentState::Refused(_) | PaymentState::Dead(_) => {
                format!("{}: {}", named(payment), not_moved(payment))
            }
        },
        WalletNews::KeyReplaced { payments } => key_replaced(payments),
        WalletNews::Replaced => {
            "another program has logged in to this account with your key: if that was not you, \
             somebody has your key, so 'rotate-key'; 'login' takes the account back"
                .into()
        }
        WalletNews::KeyChanged(key) => format!("the change of your key is made: it is now {key}"),
        WalletNews::PeerKeyMismatch { payee, expected, found } => {
            warning::peer_key_mismatch(payee, expected, found)
        }
        WalletNews::ServerLost(reason) => format!(
            "the connection to the server is lost: {}; it is made again when it is needed",
            printable(reason.trim_end())
        ),
        WalletNews::ServerBack => "the connection to the server is back".into(),
    }
}

/// The account has a key that this wallet does not have.
fn key_replaced(payments: &[Payment]) -> String {
    let mut text = format!("{REPLACED}; if that was not you, somebody has your key\n");
    if payments.is_empty() {
        return text;
    }
    text.push_str("What became of these cannot be found out here:\n");
    for payment in payments {
        view::line(&mut text, format_args!("  {}", named(payment)));
    }
    view::line(&mut text, format_args!("{REPLACED_HINT}"));
    text
}

const REPLACED: &str = "this key was replaced by another device";

/// Where to look then. It is no use to start again.
pub(super) const REPLACED_HINT: &str = "what became of it stands in 'history' of the profile with the \
     new key; what the server had not settled by then is refused for good";

pub(super) const ROTATION: &str = "\
A new key takes the place of yours, and the old one signs that. What the old key
has signed and the server has not settled by then is refused for good.
The 24 words of the new key are shown once: write them down. Your old words
restore nothing any more. A lost key without its words is lost, and the account
with it.";

pub(super) const WORDS_QUESTION: &str = "have you written the 24 words down?";

/// The words of the new key, wiped like them.
pub(super) fn words(words: &Zeroizing<String>) -> Zeroizing<String> {
    // Large enough from the start: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str("The words of the new key, which takes effect after this:\n\n");
    push_words(&mut text, words);
    text
}

/// The new key, and what to do about the payments that ended with the old one.
pub(super) fn rotated(rotated: &Rotated) -> String {
    let mut text = format!("your key is now {}\n", rotated.key);
    if rotated.dead.is_empty() {
        return text;
    }
    text.push_str("These payments were signed by the old key and are refused for good:\n");
    text.push_str(&records::payments(&rotated.dead));
    text.push_str("Nothing of them was moved. To make them anew:\n");
    for payment in &rotated.dead {
        view::line(&mut text, format_args!("  {}", anew(payment)));
    }
    text
}

/// The command that makes this payment once more.
fn anew(Payment { payee, amount, memo, .. }: &Payment) -> String {
    let memo = memo.as_deref().map(|memo| format!(" {}", printable(memo)));
    format!("pay {} {amount}{}", printable(payee.as_str()), memo.unwrap_or_default())
}

/// Why the payment was not made, and how it still can be.
fn not_moved(payment: &Payment) -> String {
    let told = format!("{}; nothing was moved", state(payment.state));
    if payment.ended_with_key() {
        format!("{told}; to make it anew: {}", anew(payment))
    } else {
        told
    }
}

/// `payment of 10 to bob (01a0c45993c0c5c5…)`
pub(super) fn named(payment: &Payment) -> String {
    let payee = printable(payment.payee.as_str());
    format!("payment of {} to {payee} ({})", payment.amount, short(&payment.id))
}

pub(super) fn short(id: &OrderId) -> String {
    let id = id.to_string();
    format!("{}…", &id[..SHORT_ID_DIGITS])
}

fn state(state: PaymentState) -> String {
    match state {
        PaymentState::Open => "unknown, checking".into(),
        PaymentState::OutOfReach => "not known here: see 'history' with the new key".into(),
        PaymentState::Paid => "paid".into(),
        PaymentState::Refused(refusal) => format!("refused: {refusal}"),
        PaymentState::Dead(problem) => format!("refused for good: {problem}"),
    }
}

const fn missed_memo(fate: MemoFate) -> &'static str {
    match fate {
        MemoFate::Unremarkable => "",
        MemoFate::Unanswered => "; the memo may not have reached them",
        MemoFate::Lost => "; the memo did not reach them",
    }
}

fn with_memo(memo: Option<&str>) -> String {
    memo.map(|memo| format!(", memo \"{}\"", quoted(memo))).unwrap_or_default()
}

/// The memo with its quotation marks written out, so that it cannot end itself.
fn quoted(memo: &str) -> String {
    printable(memo).replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
