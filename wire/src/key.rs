//! Public keys.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The bytes of an Ed25519 public key (RFC 8032). Written in base64url without padding, 43
/// characters.
///
/// The bytes are carried, not judged: whoever verifies a signature decides whether they are a point
/// of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(#[serde(with = "crate::codec::byte_array")] [u8; 32]);

impl PublicKey {
    /// The key with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// A text that is not a [`PublicKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 43 characters of base64url")]
pub struct ParsePublicKeyError;

impl FromStr for PublicKey {
    type Err = ParsePublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParsePublicKeyError)?;
        bytes.try_into().map(Self).map_err(|_| ParsePublicKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_text() {
        let key = PublicKey::new(std::array::from_fn(|i| u8::try_from(i * 8).expect("a byte")));
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        for wrong in [
            String::new(),
            text[1..].to_owned(),
            format!("{text}A"),
            format!("{text}="),
            format!(" {text}"),
            // The last digit holds four bits of the key and two that are nobody's.
            format!("{}5", &text[..42]),
            text.replacen('A', "+", 1),
            "é".repeat(21),
        ] {
            assert_eq!(wrong.parse::<PublicKey>(), Err(ParsePublicKeyError), "{wrong:?}");
        }
    }
}
