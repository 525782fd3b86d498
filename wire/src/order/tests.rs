use super::*;
use crate::signature::public_key;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn order() -> Order {
    let not_after = Timestamp::new(1_700_003_600_000);
    Order {
        version: ORDER_VERSION,
        server: PublicKey::new([0x5E; 32]),
        id: OrderId::new(not_after, [0xAB; 10]),
        payer: "alice".parse().expect("a valid name"),
        payer_key: public_key(&key(1)),
        payee: "bob".parse().expect("a valid name"),
        payee_key: Some(public_key(&key(2))),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    }
}

/// Signatures are over these bytes: a change would make every order that is under way invalid.
#[test]
fn golden_bytes_of_an_order() {
    let mut expected = vec![1, 0];
    expected.extend([0x5E; 32]);
    expected.extend([0x01, 0x8B, 0xD0, 0x1C, 0x56, 0x80]);
    expected.extend([0xAB; 10]);
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(*b"alice");
    expected.extend(public_key(&key(1)).as_bytes());
    expected.extend([3, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(*b"bob");
    expected.push(1);
    expected.extend(public_key(&key(2)).as_bytes());
    expected.extend([10, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([0x80, 0x56, 0x1C, 0xD0, 0x8B, 0x01, 0, 0]);
    expected.extend([0; 32]);
    assert_eq!(order().to_bytes(), expected);
    let to_open = Order { payee_key: None, ..order() };
    assert_eq!(to_open.to_bytes().len(), expected.len() - 32);
    let signed = order().sign(&key(1));
    let mut bytes = Vec::new();
    codec::encode_into(&signed, &mut bytes);
    expected.extend(signed.signature.to_bytes());
    assert_eq!(bytes, expected);
}

#[test]
fn no_signed_order_is_longer_than_the_bound() {
    let long: Username = "𐌀".repeat(32).parse().expect("a valid name");
    let longest = Order { payer: long.clone(), payee: long, ..order() }.sign(&key(1));
    let mut bytes = Vec::new();
    codec::encode_into(&longest, &mut bytes);
    assert_eq!(bytes.len(), 499);
    let decoded = codec::decode_exact::<SIGNED_ORDER_BYTES_MAX, SignedOrder>(&bytes);
    assert_eq!(decoded.expect("within the bound"), longest);
}

#[test]
fn every_field_is_signed() {
    let other = public_key(&key(9));
    let name = |name: &str| name.parse().expect("a valid name");
    let signed = order().sign(&key(1));
    let hash = signed.order.hash();
    let verified = signed.clone().verify().expect("it is signed");
    assert_eq!((verified.hash(), verified.signed()), (&hash, &signed));
    for changed in [
        Order { version: 2, ..order() },
        Order { server: other, ..order() },
        Order { id: OrderId::new(order().not_after, [0xAC; 10]), ..order() },
        Order { payer: name("alicf"), ..order() },
        Order { payer_key: other, ..order() },
        Order { payee: name("mallory"), ..order() },
        Order { payee_key: Some(other), ..order() },
        Order { payee_key: None, ..order() },
        Order { amount: Amount::new(1000), ..order() },
        Order { not_after: Timestamp::new(order().not_after.get() + 1), ..order() },
        Order { memo_hash: [1; 32], ..order() },
    ] {
        assert_ne!(changed.hash(), hash, "{changed:?}");
        let forged = SignedOrder { order: changed.clone(), signature: signed.signature };
        assert_eq!(forged.verify(), Err(InvalidSignature), "{changed:?}");
    }
    // Signed, but not by the key that it names.
    assert_eq!(order().sign(&key(2)).verify(), Err(InvalidSignature));
}

/// The story: one bad signature in a batch, and everybody else's payment is refused with it.
#[test]
fn the_bad_ones_among_many_are_found() {
    let mut orders: Vec<_> = (0..40)
        .map(|n| {
            let id = OrderId::new(order().not_after, [n; 10]);
            let payer = key(n % 7);
            Order { id, payer_key: public_key(&payer), ..order() }.sign(&payer)
        })
        .collect();
    let verdicts = |orders: &[SignedOrder]| {
        let verdicts = SignedOrder::verify_all(orders.to_vec(), rand::rng());
        for (verdict, order) in verdicts.iter().zip(orders) {
            assert_eq!(*verdict, order.clone().verify(), "the verdict is that of one alone");
        }
        verdicts.into_iter().map(|verdict| verdict.is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&orders), [true; 40]);
    assert_eq!(verdicts(&[]), [true; 0]);
    orders[3].order.amount = Amount::new(11);
    orders[17].signature = orders[18].signature;
    orders[39].order.payer_key = PublicKey::new([0xFF; 32]);
    // Of small order: valid for everything, by the one rule.
    let zeros = PublicKey::new([0; 32]);
    let order = Order { payer_key: zeros, ..order() };
    orders[20] = SignedOrder { order, signature: Signature::new([0; 64]) };
    let expected: Vec<_> = (0..40).map(|n| ![3, 17, 39].contains(&n)).collect();
    assert_eq!(verdicts(&orders), expected);
}

#[test]
fn ids_say_until_when_and_sort_by_it() {
    let early = OrderId::new(Timestamp::new(1_700_000_000_000), [0xFF; 10]);
    let late = OrderId::new(Timestamp::new(1_700_000_000_001), [0; 10]);
    assert!(early < late, "ids are in the order of their times");
    assert_eq!(early.not_after().get(), 1_700_000_000_000);
    assert_eq!(late.to_string(), "018bcfe5680100000000000000000000");
    assert_eq!("018bcfe5680100000000000000000000".parse(), Ok(late));
    assert_eq!("018BCFE5680100000000000000000000".parse(), Ok(late));
    for text in [
        "",
        "018bcfe568010000000000000000000",
        "+18bcfe5680100000000000000000000",
        "018bcfe56801000000000000000000000",
        "018bcfe568010000000000000000000g",
    ] {
        assert_eq!(text.parse::<OrderId>(), Err(ParseOrderIdError), "{text}");
    }
    // A time that does not fit is another time, which the ledger notices.
    let far = Timestamp::new(1 << 48);
    assert_ne!(OrderId::new(far, [0; 10]).not_after(), far);
}

#[test]
fn a_memo_is_told_by_its_hash_alone() {
    let memo = |salt, text: &str| Memo { salt: [salt; 16], text: text.to_owned() };
    assert_eq!(memo(1, "rent").hash(), memo(1, "rent").hash());
    assert_ne!(memo(1, "rent").hash(), memo(2, "rent").hash());
    assert_ne!(memo(1, "rent").hash(), memo(1, "renT").hash());
    assert_ne!(memo(1, "").hash(), NO_MEMO);
}
