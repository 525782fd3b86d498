//! Arrays of bytes in the one encoding, sixteen at a time.
//!
//! Serde sees an array as so many values and asks the encoding for each, at some nanoseconds a byte; an
//! order has 240 of these and a receipt a thousand. A `u128` is written as its sixteen bytes, low ones
//! first, so an array of bytes can be told as a few of them and reads the same.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hash, for [`hashes`].
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct HashBytes(#[serde(with = "self")] [u8; 32]);

/// For `#[serde(with = …)]`.
pub(crate) fn serialize<const N: usize, S: Serializer>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (words, rest) = bytes.as_chunks();
    let mut tuple = serializer.serialize_tuple(words.len() + rest.len())?;
    for word in words {
        tuple.serialize_element(&u128::from_le_bytes(*word))?;
    }
    for byte in rest {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// For `#[serde(with = …)]`.
pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    deserializer.deserialize_tuple(N / 16 + N % 16, Bytes::<N>)
}

/// The same for a sequence of hashes.
pub(crate) mod hashes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::HashBytes;

    pub(crate) fn serialize<S: Serializer>(
        hashes: &[[u8; 32]],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().copied().map(HashBytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<[u8; 32]>, D::Error> {
        let hashes = Vec::<HashBytes>::deserialize(deserializer)?;
        Ok(hashes.into_iter().map(|HashBytes(hash)| hash).collect())
    }
}

struct Bytes<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        let (words, rest) = bytes.as_chunks_mut();
        for word in words {
            let next = seq.next_element::<u128>()?;
            *word = next.ok_or_else(|| A::Error::invalid_length(N, &self))?.to_le_bytes();
        }
        for byte in rest {
            *byte = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(N, &self))?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode_exact, encode_into};
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Fast {
        #[serde(with = "super")]
        odd: [u8; 23],
        #[serde(with = "super")]
        even: [u8; 32],
        #[serde(with = "super::hashes")]
        hashes: Vec<[u8; 32]>,
    }

    #[derive(Serialize)]
    struct Plain {
        odd: [u8; 23],
        even: [u8; 32],
        hashes: Vec<[u8; 32]>,
    }

    #[test]
    fn the_encoding_is_that_of_plain_arrays() {
        let hashes: Vec<[u8; 32]> = (0..3).map(|first| counting(first * 80)).collect();
        let plain = Plain { odd: counting(7), even: counting(100), hashes: hashes.clone() };
        let fast = Fast { odd: counting(7), even: counting(100), hashes };
        let (mut expected, mut bytes) = (Vec::new(), Vec::new());
        encode_into(&plain, &mut expected);
        encode_into(&fast, &mut bytes);
        assert_eq!(bytes, expected);
        assert_eq!(decode_exact::<1000, Fast>(&bytes).expect("whole"), fast);
        for end in 0..bytes.len() {
            assert!(decode_exact::<1000, Fast>(&bytes[..end]).is_err(), "{end}");
        }
        assert!(decode_exact::<100, Fast>(&bytes).is_err(), "the limit counts these bytes, too");
    }

    fn counting<const N: usize>(first: u8) -> [u8; N] {
        std::array::from_fn(|place| first + u8::try_from(place).expect("a short array"))
    }
}
