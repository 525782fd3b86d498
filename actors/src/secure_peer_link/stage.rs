//! The orders that the tests of both directions hand over.

use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::PayeeAnswer;
use wire::{Amount, Memo, Order, OrderId, PublicKey, Signature, SignedOrder, Timestamp};

pub(super) const PAYER: PublicKey = PublicKey::new([0xA1; 32]);
pub(super) const PAYEE: PublicKey = PublicKey::new([0xB0; 32]);

/// An order of alice's for bob. The links do not look at signatures.
pub(super) fn order(number: u8) -> Box<SignedOrder> {
    let not_after = Timestamp::new(1000);
    let order = Order {
        version: ORDER_VERSION,
        server: PublicKey::new([0x5E; 32]),
        id: OrderId::new(not_after, [number; 10]),
        payer: "alice".parse().expect("a name"),
        payer_key: PAYER,
        payee: "bob".parse().expect("a name"),
        payee_key: Some(PAYEE),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    };
    Box::new(SignedOrder { order, signature: Signature::new([0; 64]) })
}

/// An order with a memo that fits it.
pub(super) fn order_with_memo(number: u8, text: &str) -> (Box<SignedOrder>, Memo) {
    let memo = Memo { salt: [7; 16], text: text.to_owned() };
    let mut signed = order(number);
    signed.order.memo_hash = memo.hash();
    (signed, memo)
}

pub(super) fn declined(why: &str) -> PayeeAnswer {
    PayeeAnswer::Declined(why.to_owned())
}
