//! The one binary encoding: bincode 2 with its `legacy` configuration.
//!
//! Integers are little-endian and of fixed size, enum tags are 4 bytes, lengths are 8 bytes, so each
//! value has exactly one encoding. See `docs/adr/0001-bincode.md` for why this crate and this
//! configuration.

use bincode::config;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) mod byte_array;

/// Why bytes are not an encoded value.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end early, hold an unknown tag or an invalid value, or ask for more than the limit.
    #[error("malformed bytes: {0}")]
    Malformed(bincode::error::DecodeError),
    /// A whole value was read, but bytes are left.
    #[error("{0} bytes are left after the value")]
    TrailingBytes(usize),
}

/// Appends the encoding of `value` to `bytes`.
///
/// # Panics
/// If the type cannot be encoded at all (a sequence of unknown length, say), which no type of this
/// crate is.
pub fn encode_into<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, bytes, config::legacy())
        .expect("a Vec takes every byte and all types of this crate have an encoding");
}

/// Decodes one value from the front of `bytes` and says how many bytes it took.
///
/// `LIMIT` bounds what the value may take, in bytes, before anything is allocated for it.
///
/// # Errors
/// [`DecodeError::Malformed`]; never [`DecodeError::TrailingBytes`].
pub fn decode_prefix<const LIMIT: usize, T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, usize), DecodeError> {
    bincode::serde::decode_from_slice(bytes, config::legacy().with_limit::<LIMIT>())
        .map_err(DecodeError::Malformed)
}

/// Decodes one value that takes all of `bytes`.
///
/// # Errors
/// [`DecodeError::Malformed`] if the bytes are no value of this type within `LIMIT` bytes,
/// [`DecodeError::TrailingBytes`] if more follows it.
pub fn decode_exact<const LIMIT: usize, T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let (value, used) = decode_prefix::<LIMIT, T>(bytes)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Access, Authority, ENTRY_BYTES_MAX, Entry};
    use crate::{
        AccountId, Amount, KeyChange, OperatorId, Order, OrderId, PublicKey, Refusal, Signature,
        SignedKeyChange, SignedOrder, Timestamp,
    };

    fn opened() -> Entry {
        Entry::AccountOpened {
            account: AccountId::new(7),
            name: "alice".parse().expect("a valid name"),
            access: Access::Keyed(PublicKey::new([0xAB; 32])),
            grant: Amount::new(1000),
        }
    }

    fn encoded(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_into(entry, &mut bytes);
        bytes
    }

    /// Journals are kept for ever: a change of these bytes would make every existing one unreadable.
    #[test]
    fn golden_bytes_of_entries() {
        let mut expected = vec![0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([5, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend(*b"alice");
        expected.extend([1, 0, 0, 0]);
        expected.extend([0xAB; 32]);
        expected.extend([0xE8, 3, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(&opened()), expected);

        let transferred = Entry::Transferred {
            payer: AccountId::new(1),
            payee: AccountId::new(0x0102),
            amount: Amount::new(u64::MAX),
            authority: Authority::Text,
        };
        let mut expected = vec![1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0];
        expected.extend([0xFF; 8]);
        expected.extend([0, 0, 0, 0]);
        assert_eq!(encoded(&transferred), expected);
    }

    #[test]
    fn golden_bytes_of_signed_entries() {
        let order = Order {
            version: 1,
            server: PublicKey::new([0x5E; 32]),
            id: OrderId::new(Timestamp::new(0x0102_0304_0506), [0xAA; 10]),
            payer: "alice".parse().expect("a valid name"),
            payer_key: PublicKey::new([1; 32]),
            payee: "bob".parse().expect("a valid name"),
            payee_key: None,
            amount: Amount::new(10),
            not_after: Timestamp::new(0x0102_0304_0506),
            memo_hash: [0x33; 32],
        };
        let signature = Signature::new([0xCD; 64]);
        let signed = || Box::new(SignedOrder { order: order.clone(), signature });
        let mut order_bytes = order.to_bytes();
        assert_eq!(order_bytes.len(), 2 + 32 + 16 + 8 + 5 + 32 + 8 + 3 + 1 + 8 + 8 + 32);
        order_bytes.extend([0xCD; 64]);

        let settled = Entry::Transferred {
            payer: AccountId::new(1),
            payee: AccountId::new(2),
            amount: Amount::new(10),
            authority: Authority::Order(signed()),
        };
        let mut expected = vec![1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([10, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 0, 0, 0]);
        expected.extend(&order_bytes);
        assert_eq!(encoded(&settled), expected);

        let refused = Entry::OrderRefused {
            payer: AccountId::new(1),
            order: signed(),
            refusal: Refusal::UnknownPayee,
        };
        let mut expected = vec![2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        expected.extend(&order_bytes);
        expected.extend([4, 0, 0, 0]);
        assert_eq!(encoded(&refused), expected);

        let change = KeyChange {
            version: 1,
            server: PublicKey::new([0x5E; 32]),
            account: "alice".parse().expect("a valid name"),
            old: PublicKey::new([1; 32]),
            new: PublicKey::new([2; 32]),
        };
        let mut expected = vec![3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        expected.extend(change.to_bytes());
        expected.extend([0xCD; 64]);
        expected.extend([0xCE; 64]);
        let by_new = Signature::new([0xCE; 64]);
        let change = Box::new(SignedKeyChange { change, by_old: signature, by_new });
        let changed = Entry::KeyChanged { account: AccountId::new(1), change };
        assert_eq!(encoded(&changed), expected);
        for entry in [settled, refused, changed] {
            let decoded = decode_exact::<ENTRY_BYTES_MAX, Entry>(&encoded(&entry));
            assert_eq!(decoded.expect("a whole entry"), entry);
        }
    }

    #[test]
    fn golden_bytes_of_the_operators_entries() {
        let account = AccountId::new(3);
        let id: OperatorId = "i-1".parse().expect("an id");
        let amount = Amount::new(10);
        let text = |text: &[u8]| {
            [&[u8::try_from(text.len()).unwrap(), 0, 0, 0, 0, 0, 0, 0], text].concat()
        };
        for (tag, entry, rest) in [
            (
                4,
                Entry::Deposited { account, amount, id: id.clone() },
                [vec![10, 0, 0, 0, 0, 0, 0, 0], text(b"i-1")].concat(),
            ),
            (
                5,
                Entry::Withdrawn { account, amount, id },
                [vec![10, 0, 0, 0, 0, 0, 0, 0], text(b"i-1")].concat(),
            ),
            (6, Entry::Frozen { account, reason: "why".parse().expect("a reason") }, text(b"why")),
            (7, Entry::Unfrozen { account }, Vec::new()),
        ] {
            let expected = [vec![tag, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0], rest].concat();
            assert_eq!(encoded(&entry), expected, "{entry:?}");
            let decoded = decode_exact::<ENTRY_BYTES_MAX, Entry>(&expected);
            assert_eq!(decoded.expect("a whole entry"), entry);
        }
    }

    #[test]
    fn golden_bytes_of_passed_time() {
        assert_eq!(encoded(&Entry::TimePassed), [8, 0, 0, 0]);
        let decoded = decode_exact::<ENTRY_BYTES_MAX, Entry>(&[8, 0, 0, 0]);
        assert_eq!(decoded.expect("a whole entry"), Entry::TimePassed);
    }

    #[test]
    fn trailing_missing_and_invalid_bytes_are_refused() {
        let mut bytes = encoded(&opened());
        let decode = |bytes: &[u8]| decode_exact::<ENTRY_BYTES_MAX, Entry>(bytes);
        assert_eq!(decode(&bytes).expect("a whole entry"), opened());
        for end in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..end]), Err(DecodeError::Malformed(_))), "{end}");
        }
        bytes.push(0);
        assert!(matches!(decode(&bytes), Err(DecodeError::TrailingBytes(1))));
        bytes[20] = b'#';
        assert!(matches!(decode(&bytes), Err(DecodeError::Malformed(_))), "a name with '#'");
    }

    #[test]
    fn a_lying_length_allocates_nothing() {
        let mut bytes = encoded(&opened());
        bytes[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = decode_exact::<ENTRY_BYTES_MAX, Entry>(&bytes).expect_err("too long");
        assert!(matches!(error, DecodeError::Malformed(_)), "{error}");
    }
}
