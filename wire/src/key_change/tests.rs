use super::*;
use crate::signature::public_key;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn change() -> KeyChange {
    KeyChange {
        version: KEY_CHANGE_VERSION,
        server: PublicKey::new([0x5E; 32]),
        account: "alice".parse().expect("a valid name"),
        old: public_key(&key(1)),
        new: public_key(&key(2)),
    }
}

#[test]
fn golden_bytes_of_a_key_change() {
    let mut expected = vec![1, 0];
    expected.extend([0x5E; 32]);
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(*b"alice");
    expected.extend(change().old.as_bytes());
    expected.extend(change().new.as_bytes());
    assert_eq!(change().to_bytes(), expected);
}

#[test]
fn every_field_is_signed_by_both() {
    let signed = change().sign(&key(1), &key(2));
    assert_eq!(signed.clone().verify().expect("signed by both").into_signed(), signed);
    let other = public_key(&key(9));
    for changed in [
        KeyChange { version: 2, ..change() },
        KeyChange { server: other, ..change() },
        KeyChange { account: "bob".parse().expect("a valid name"), ..change() },
        KeyChange { old: other, ..change() },
        KeyChange { new: other, ..change() },
    ] {
        let forged = SignedKeyChange { change: changed.clone(), ..signed.clone() };
        assert_eq!(forged.verify(), Err(InvalidSignature), "{changed:?}");
    }
    for (old, new) in [(9, 2), (1, 9), (2, 1), (1, 1), (2, 2)] {
        let wrong = change().sign(&key(old), &key(new));
        assert_eq!(wrong.verify(), Err(InvalidSignature), "{old} {new}");
    }
}
