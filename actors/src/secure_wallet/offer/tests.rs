use ed25519_zebra::SigningKey;
use wire::signature::public_key;
use wire::{Amount, Order, OrderId};

use super::*;
use crate::secure_wallet::tests::world::{DAWN, alice, bob, key, name, server_key, ten_for_bob};

fn order() -> Order {
    Order { memo_hash: memo().hash(), ..ten_for_bob(Timestamp::new(DAWN + 60_000)) }
}

fn memo() -> Memo {
    Memo { salt: [3; 16], text: "lunch".to_owned() }
}

fn judged(
    from: PublicKey,
    order: Order,
    signer: &SigningKey,
    memo: Option<Memo>,
) -> Option<Decline> {
    let name = name("bob");
    let me = Payee {
        name: &name,
        key: bob().public_key(),
        server: public_key(&server_key()),
        now: Timestamp::new(DAWN),
    };
    let order = Box::new(order.sign(signer));
    check(&OfferOrder { from, order, memo }, &me).err()
}

type Change = fn(&mut Order);

/// Each row is the good order with one thing wrong, signed by its payer all the same.
#[test]
fn one_wrong_thing_a_row() {
    let stranger = public_key(&key(0xEE));
    let rows: [(Change, Option<Decline>); 14] = [
        (|_| {}, None),
        (|order| order.payer_key = public_key(&key(0xEE)), Some(Decline::OtherPayer)),
        (|order| order.payee = name("bobby"), Some(Decline::OtherPayee)),
        (|order| order.payee_key = None, Some(Decline::OtherKey)),
        (|order| order.payee_key = Some(public_key(&key(0xEE))), Some(Decline::OtherKey)),
        (|order| order.server = public_key(&key(0xEE)), Some(Decline::OtherServer)),
        (|order| order.version += 1, Some(Decline::Version)),
        (|order| order.payer = name("bob"), Some(Decline::SameAccount)),
        (|order| order.amount = Amount::ZERO, Some(Decline::Nothing)),
        (|order| order.not_after = Timestamp::new(DAWN + 61_000), Some(Decline::Id)),
        (|order| expire(order, SKEW_MS + 1), Some(Decline::Expired)),
        (|order| expire(order, SKEW_MS), None),
        (|order| order.memo_hash = NO_MEMO, Some(Decline::Memo)),
        (|order| order.amount = Amount::MAX, None),
    ];
    for (row, (change, expected)) in rows.into_iter().enumerate() {
        let mut order = order();
        change(&mut order);
        let found = judged(alice().public_key(), order, alice().key(), Some(memo()));
        assert_eq!(found, expected, "row {row}");
    }
    let decline = |from, signer: &SigningKey, memo| judged(from, order(), signer, memo);
    let alice = alice().public_key();
    assert_eq!(decline(stranger, &key(0xA1), Some(memo())), Some(Decline::OtherPayer));
    assert_eq!(decline(alice, &key(0xA1), None), Some(Decline::Memo));
    let long = Memo { text: "m".repeat(MEMO_BYTES_MAX + 1), ..memo() };
    let with_long = Order { memo_hash: long.hash(), ..order() };
    assert_eq!(judged(alice, with_long, &key(0xA1), Some(long)), Some(Decline::Memo));
    let other = Memo { text: "dinner".to_owned(), ..memo() };
    assert_eq!(decline(alice, &key(0xA1), Some(other)), Some(Decline::Memo));
}

/// Makes the order end so long before the payee's idea of now.
fn expire(order: &mut Order, ago_ms: u64) {
    order.not_after = Timestamp::new(DAWN - ago_ms);
    order.id = OrderId::new(order.not_after, [7; 10]);
}
