//! What must hold of an order that a peer hands over, before anybody is bothered with it.

use wire::order::{MEMO_BYTES_MAX, NO_MEMO, ORDER_VERSION};
use wire::{Memo, PublicKey, Timestamp, Username};

use crate::messages::OfferOrder;

/// How long an order may be over by this wallet's idea of the server's clock before it is turned away. The
/// server judges; this only saves it the worst.
const SKEW_MS: u64 = 30_000;

/// Whom an order is to pay.
pub(super) struct Payee<'a> {
    pub(super) name: &'a Username,
    pub(super) key: PublicKey,
    pub(super) server: PublicKey,
    pub(super) now: Timestamp,
}

/// Why an order is not even taken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Decline {
    #[error("nobody is logged in here")]
    NoAccount,
    #[error("the order is not by the key of this connection")]
    OtherPayer,
    #[error("the order is not for this account")]
    OtherPayee,
    #[error("the order is not for this account's key")]
    OtherKey,
    #[error("the order is for another server")]
    OtherServer,
    #[error("the order is of an unknown version")]
    Version,
    #[error("payer and payee are the same account")]
    SameAccount,
    #[error("the amount is zero")]
    Nothing,
    #[error("the order's id does not fit its not-after")]
    Id,
    #[error("the order has expired")]
    Expired,
    #[error("the memo is not the one in the order")]
    Memo,
    #[error("the order is not signed by its payer")]
    Signature,
}

/// What must hold of an order before its signature is worth a look: all that is cheap.
pub(super) fn check(offer: &OfferOrder, me: &Payee<'_>) -> Result<(), Decline> {
    let OfferOrder { from, order: signed, memo } = offer;
    let order = &signed.order;
    let too_late = order.not_after.get().saturating_add(SKEW_MS) < me.now.get();
    let too_long = memo.as_ref().is_some_and(|memo| memo.text.len() > MEMO_BYTES_MAX);
    let memo_hash = memo.as_ref().map_or(NO_MEMO, Memo::hash);
    for (holds, decline) in [
        (order.payer_key == *from, Decline::OtherPayer),
        (order.payee == *me.name, Decline::OtherPayee),
        (order.payee_key == Some(me.key), Decline::OtherKey),
        (order.server == me.server, Decline::OtherServer),
        (order.version == ORDER_VERSION, Decline::Version),
        (order.payer != order.payee, Decline::SameAccount),
        (!order.amount.is_zero(), Decline::Nothing),
        (order.id.not_after() == order.not_after, Decline::Id),
        (!too_late, Decline::Expired),
        (!too_long && order.memo_hash == memo_hash, Decline::Memo),
    ] {
        if !holds {
            return Err(decline);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
