use curve25519_dalek::constants::EIGHT_TORSION;

use super::*;

const ALICE: [u8; 32] = [1; 32];

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let digits = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(digits)
}

/// The verdict on one signature alone.
fn alone(key: &PublicKey, signature: &Signature) -> bool {
    signature.verify(key, Domain::Order, b"payment").is_ok()
}

/// The verdict on one signature in a batch with others that are valid.
fn among_others(key: &PublicKey, signature: &Signature) -> bool {
    let mut batch = batch::Verifier::new();
    for seed in 2..5 {
        let other = SigningKey::from_bytes(&[seed; 32]);
        let signature = Signature::sign(&other, Domain::Order, b"payment");
        batch.queue(signature.batch_item(&public_key(&other), Domain::Order, b"payment"));
    }
    batch.queue(signature.batch_item(key, Domain::Order, b"payment"));
    batch.verify(rand::rng()).is_ok()
}

const HONEST: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
const TAINTED: &str = "9ea3f11f5bd34f0cd7147fd0a436c088f624c6100c1df6a53c0a29e05d60cea0";
const SMALL: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const IDENTITY: &str = "0100000000000000000000000000000000000000000000000000000000000000";
/// The identity again, as p + 1.
const NOT_REDUCED: &str = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
const NO_POINT: &str = "0200000000000000000000000000000000000000000000000000000000000000";

const NONCE: &str = "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572";
const TAINTED_NONCE: &str = "6a84d583f06569edb3f5ed77df65544b27d6948b4f0b2cb76f33dd8413b20719";
const SMALL_NONCE: &str = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
/// The order of the base point: zero, not reduced.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// The story: a signature with a part of small order is valid among others and not alone. Who verifies in
/// batches pays; who checks the ledger later finds a payment that nobody signed.
#[test]
fn one_rule_alone_and_among_others() {
    for (what, key, nonce, scalar, valid) in [
        (
            "honest",
            HONEST,
            NONCE,
            "fd723e891220592990c09fac3a29561d8243ba93d663c739c0fe152f4656d408",
            true,
        ),
        (
            "another scalar",
            HONEST,
            NONCE,
            "fe723e891220592990c09fac3a29561d8243ba93d663c739c0fe152f4656d408",
            false,
        ),
        (
            "the same scalar, not reduced",
            HONEST,
            NONCE,
            "ea4634e62c836b81665d974f192335328243ba93d663c739c0fe152f4656d418",
            false,
        ),
        (
            "key with a part of order 8",
            TAINTED,
            NONCE,
            "faca2ba758ef95a71fcf4697c06bcb3850eb36202d611832ad8054651b000003",
            true,
        ),
        (
            "nonce with a part of order 8",
            HONEST,
            TAINTED_NONCE,
            "b32c63131eab8d7af889e0848177e88a4d8a1c23a53c49d7c1abc5c0dbc74008",
            true,
        ),
        (
            "both",
            TAINTED,
            TAINTED_NONCE,
            "7194599efecbc06cce52dfee126f3e9303d99e841490220e232cb2603192e36b",
            false,
        ),
        ("key and nonce of order 8", SMALL, SMALL_NONCE, ZERO, true),
        ("the same, zero not reduced", SMALL, SMALL_NONCE, ORDER, false),
        ("the identity", IDENTITY, IDENTITY, ZERO, true),
        ("the identity, not reduced", NOT_REDUCED, NOT_REDUCED, ZERO, true),
        ("key of zeros", ZERO, ZERO, ZERO, true),
        ("key that is no point", NO_POINT, IDENTITY, ZERO, false),
        ("nonce that is no point", HONEST, NO_POINT, ZERO, false),
        ("the key of somebody else", SMALL, NONCE, ZERO, false),
    ] {
        let key = PublicKey::new(bytes(key));
        let signature = Signature::new(bytes(&format!("{nonce}{scalar}")));
        assert_eq!(alone(&key, &signature), valid, "{what}, alone");
        assert_eq!(among_others(&key, &signature), valid, "{what}, among others");
    }
}

#[test]
fn a_signature_is_for_one_purpose_one_key_and_one_message() {
    let key = SigningKey::from_bytes(&ALICE);
    let public = public_key(&key);
    assert_eq!(public, PublicKey::new(bytes(HONEST)));
    let domains = [Domain::Order, Domain::KeyChange, Domain::Batch];
    for signed in domains {
        let signature = Signature::sign(&key, signed, b"message");
        for domain in domains {
            let verified = signature.verify(&public, domain, b"message");
            assert_eq!(verified.is_ok(), domain == signed, "{signed:?} as {domain:?}");
        }
        assert!(signature.verify(&public, signed, b"messagf").is_err());
        let other = public_key(&SigningKey::from_bytes(&[2; 32]));
        assert!(signature.verify(&other, signed, b"message").is_err());
        for bit in 0..512 {
            let mut changed = signature.to_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Signature::new(changed).verify(&public, signed, b"message").is_err(), "{bit}");
        }
    }
    // No tag with its message reads as another one with another message.
    for a in domains {
        for b in domains.into_iter().filter(|b| *b != a) {
            assert!(!a.tag().starts_with(b.tag()), "{a:?} {b:?}");
        }
    }
}

#[test]
fn keys_of_small_order_and_what_is_no_key_are_weak() {
    for point in EIGHT_TORSION {
        let key = PublicKey::new(point.compress().to_bytes());
        assert!(is_weak(&key), "{key}");
    }
    // Anybody can sign for the neutral element: S = 0, R = the neutral element.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = PublicKey::new(neutral);
    assert!(Signature::new(signature).verify(&key, Domain::Order, b"anything").is_ok());
    assert!(is_weak(&key));
    // Of all byte strings, about half are no points.
    let strings = (0..=u8::MAX).map(|byte| PublicKey::new([byte; 32]));
    assert!((64..192).contains(&strings.filter(is_weak).count()));
    for number in 0..20 {
        assert!(!is_weak(&public_key(&SigningKey::from_bytes(&[number; 32]))));
    }
}

/// The story: two programs sign one batch of a server's two journals differently, and a receipt of the one
/// contradicts the other.
#[test]
fn a_key_that_is_made_ready_signs_the_same() {
    for seed in 0..20 {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let sealing = SealingKey::of(&key);
        for len in [0, 1, 112, 1000] {
            let bytes = vec![seed ^ 0x5A; len];
            let signature = sealing.sign(Domain::Batch, &bytes);
            assert_eq!(signature, Signature::sign(&key, Domain::Batch, &bytes), "{seed}, {len}");
        }
        assert_eq!(sealing.public_key(), public_key(&key));
        assert_eq!(format!("{sealing:?}"), "SealingKey(…)");
    }
}
