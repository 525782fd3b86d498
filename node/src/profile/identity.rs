//! The client's identity: an Ed25519 key, and the 24 words that restore it.
//!
//! The words are the 32 bytes of the key's seed (RFC 8032), written by the rules of BIP-39 for
//! entropy: 256 bits and 8 bits of checksum, eleven bits a word. There is no stretching (PBKDF2)
//! and no derivation of wallets behind it: words and seed are the same secret.

use std::{fmt, io};

use bip39::{Language, Mnemonic};
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use wire::PublicKey;
use zeroize::{Zeroize as _, Zeroizing};

/// The words of a phrase: 24 × 11 bits are the 256 of a seed and 8 of its checksum.
const WORDS: usize = 24;
/// The longest word of the list has eight letters.
const WORD_BYTES_MAX: usize = 8;
/// How many of them are shown in one line, so that there are four.
const WORDS_A_LINE: usize = 6;
const PHRASE_BYTES_MAX: usize = WORDS * (WORD_BYTES_MAX + 1);

/// The key that a client is known by. The secret is wiped from memory when it is dropped, and
/// `Debug` shows the public key only.
pub(crate) struct Identity {
    signing: SigningKey,
}

impl Identity {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// When the system has none.
    pub(crate) fn generate() -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(io::Error::other)?;
        Ok(Self::from_seed(&seed))
    }

    /// The one that these words were shown for, whatever the white space and the case.
    ///
    /// # Errors
    /// [`PhraseError`] if they are no phrase.
    pub(crate) fn from_phrase(phrase: &str) -> Result<Self, PhraseError> {
        let words = normalized(phrase)?;
        // The number of words and each of them are right, so what is left is the checksum.
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words)
            .map_err(|_| PhraseError::Checksum)?;
        let (entropy, _) = mnemonic.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(&entropy[..32]);
        Ok(Self::from_seed(&seed))
    }

    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        Self { signing: SigningKey::from_bytes(seed) }
    }

    /// The public half, which the server and the peers know the client by.
    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey::new(VerificationKeyBytes::from(&self.signing).into())
    }

    /// The secret half, to sign with.
    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The words that restore it: as secret as the key itself.
    pub(crate) fn phrase(&self) -> RecoveryPhrase {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, self.seed());
        RecoveryPhrase(mnemonic.expect("32 bytes are the entropy of 24 words"))
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.signing.zeroize();
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public_key())
    }
}

/// 24 words that restore an identity. Wiped from memory when dropped; `Debug` shows none of them.
pub(crate) struct RecoveryPhrase(Mnemonic);

impl RecoveryPhrase {
    /// The words in one line, to be shown to the owner and nobody else.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        // Large enough from the start: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(PHRASE_BYTES_MAX));
        for word in self.0.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

/// Appends the words of a phrase as they are shown: no line is so long that a screen breaks it within a
/// word. The text must have room, or it leaves copies behind.
pub(crate) fn push_words(text: &mut String, words: &str) {
    for (number, word) in words.split(' ').enumerate() {
        text.push_str(match number {
            0 => "    ",
            _ if number % WORDS_A_LINE == 0 => "\n    ",
            _ => " ",
        });
        text.push_str(word);
    }
    text.push('\n');
}

/// Why words restore no identity. The words themselves are never in it: all but one may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PhraseError {
    /// There are more or fewer than 24.
    #[error("a recovery phrase has {WORDS} words, not {0}")]
    Count(usize),
    /// One is not in the list.
    #[error("word {number} is not in the list of recovery words")]
    UnknownWord {
        /// Which one, from 1.
        number: usize,
    },
    /// Each is in the list, but together they are no phrase.
    #[error("the words are not a recovery phrase: one of them is another word, or their order")]
    Checksum,
}

impl PhraseError {
    /// What to do about it.
    pub(crate) fn hint(self) -> String {
        match self {
            Self::Count(_) => "type all words, separated by spaces".into(),
            Self::UnknownWord { number } => {
                format!("check the spelling of word {number}: the words are English, of BIP-39")
            }
            Self::Checksum => "compare each word with what you wrote down".into(),
        }
    }
}

/// The words in lower case with one space between them: 24, and each in the list.
fn normalized(phrase: &str) -> Result<Zeroizing<String>, PhraseError> {
    let count = phrase.split_whitespace().count();
    if count != WORDS {
        return Err(PhraseError::Count(count));
    }
    let mut words = Zeroizing::new(String::with_capacity(PHRASE_BYTES_MAX));
    for (number, word) in (1..).zip(phrase.split_whitespace()) {
        let start = words.len();
        // One that is too long for the list does not make the text grow.
        words.push_str(word.get(..word.len().min(WORD_BYTES_MAX)).unwrap_or_default());
        words[start..].make_ascii_lowercase();
        let is_listed =
            word.len() <= WORD_BYTES_MAX && Language::English.find_word(&words[start..]).is_some();
        if !is_listed {
            return Err(PhraseError::UnknownWord { number });
        }
        words.push(' ');
    }
    Ok(words)
}

#[cfg(test)]
mod tests;
