//! Names of accounts.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The longest name, in characters.
pub const USERNAME_CHARS_MAX: usize = 32;

/// Words of the text protocol, which nobody can be called, in any case of letters.
const RESERVED: [&str; 3] = ["REGISTER", "List", "Exit"];

/// The name of an account: 1 to 32 characters, no `#`, no control character, no white space, not
/// digits only, and none of `REGISTER`, `List` and `Exit` in any case.
///
/// Accounts of old journals are called so, and names that differ in any byte are different names;
/// what a new account can be called is the narrower [`NewUsername`](crate::NewUsername).
///
/// Short names (24 bytes) are kept in place, so that parsing one allocates nothing.
///
/// ```
/// use wire::Username;
///
/// let name: Username = "alice".parse()?;
/// assert_eq!(name.as_str(), "alice");
/// assert!("x#1.2.3.4#99".parse::<Username>().is_err());
/// # Ok::<(), wire::username::UsernameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString")]
pub struct Username(CompactString);

impl Username {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what a person typed, in whatever form the keyboard gave it: composed (NFC), as new
    /// names are. Protocols take names as they are instead.
    ///
    /// # Errors
    /// [`UsernameError`], of the composed text.
    pub fn from_typed(text: &str) -> Result<Self, UsernameError> {
        text.nfc().collect::<CompactString>().try_into()
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`Username`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// There is nothing.
    #[error("a name has at least one character")]
    Empty,
    /// It has more than [`USERNAME_CHARS_MAX`] characters.
    #[error("a name has at most {USERNAME_CHARS_MAX} characters")]
    TooLong,
    /// It holds `#`, a control character or white space.
    #[error("a name holds no '#', no control character and no white space")]
    ForbiddenCharacter,
    /// It could be mistaken for a port or an amount.
    #[error("a name is not made of digits only")]
    DigitsOnly,
    /// It is a word of the text protocol.
    #[error("this word belongs to the protocol and cannot be a name")]
    Reserved,
}

impl FromStr for Username {
    type Err = UsernameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        Ok(Self(CompactString::new(text)))
    }
}

impl TryFrom<CompactString> for Username {
    type Error = UsernameError;

    fn try_from(text: CompactString) -> Result<Self, Self::Error> {
        check(&text)?;
        Ok(Self(text))
    }
}

impl From<Username> for CompactString {
    fn from(name: Username) -> Self {
        name.0
    }
}

fn check(text: &str) -> Result<(), UsernameError> {
    if text.is_empty() {
        return Err(UsernameError::Empty);
    }
    let digits_only = if text.is_ascii() { check_ascii(text)? } else { check_chars(text)? };
    if digits_only {
        return Err(UsernameError::DigitsOnly);
    }
    if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Err(UsernameError::Reserved);
    }
    Ok(())
}

/// Whether it is made of digits only. The same as [`check_chars`] for nearly all names there are, without
/// looking at characters one by one.
fn check_ascii(text: &str) -> Result<bool, UsernameError> {
    let bytes = text.as_bytes();
    let head = &bytes[..bytes.len().min(USERNAME_CHARS_MAX)];
    let is_forbidden = |byte: u8| byte <= b' ' || byte == b'#' || byte == b'\x7f';
    if head.iter().fold(false, |found, &byte| found | is_forbidden(byte)) {
        return Err(UsernameError::ForbiddenCharacter);
    }
    if bytes.len() > USERNAME_CHARS_MAX {
        return Err(UsernameError::TooLong);
    }
    Ok(bytes.iter().all(u8::is_ascii_digit))
}

/// Whether it is made of digits only.
fn check_chars(text: &str) -> Result<bool, UsernameError> {
    let mut digits_only = true;
    for (place, c) in text.chars().enumerate() {
        if place == USERNAME_CHARS_MAX {
            return Err(UsernameError::TooLong);
        }
        if c == '#' || c.is_control() || c.is_whitespace() {
            return Err(UsernameError::ForbiddenCharacter);
        }
        digits_only &= c.is_ascii_digit();
    }
    Ok(digits_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_a_row() {
        let longest = "n".repeat(USERNAME_CHARS_MAX);
        let too_long = "n".repeat(USERNAME_CHARS_MAX + 1);
        let wide = "ü".repeat(USERNAME_CHARS_MAX);
        let huge = "n".repeat(300);
        for (text, expected) in [
            ("alice", Ok(())),
            ("7up", Ok(())),
            ("-", Ok(())),
            ("registers", Ok(())),
            (longest.as_str(), Ok(())),
            (wide.as_str(), Ok(())),
            ("", Err(UsernameError::Empty)),
            (too_long.as_str(), Err(UsernameError::TooLong)),
            (huge.as_str(), Err(UsernameError::TooLong)),
            ("a#b", Err(UsernameError::ForbiddenCharacter)),
            ("x#1.2.3.4#99", Err(UsernameError::ForbiddenCharacter)),
            ("a b", Err(UsernameError::ForbiddenCharacter)),
            ("a\u{a0}b", Err(UsernameError::ForbiddenCharacter)),
            ("a\0b", Err(UsernameError::ForbiddenCharacter)),
            ("a\r", Err(UsernameError::ForbiddenCharacter)),
            ("a\u{85}", Err(UsernameError::ForbiddenCharacter)),
            ("7001", Err(UsernameError::DigitsOnly)),
            ("REGISTER", Err(UsernameError::Reserved)),
            ("register", Err(UsernameError::Reserved)),
            ("LIST", Err(UsernameError::Reserved)),
            ("exit", Err(UsernameError::Reserved)),
        ] {
            assert_eq!(text.parse::<Username>().map(|_| ()), expected, "{text:?}");
        }
    }

    #[test]
    fn ascii_is_judged_as_any_text_is() {
        for byte in 0..0x80 {
            for text in [format!("{}", char::from(byte)), format!("1{}2", char::from(byte))] {
                assert_eq!(check_ascii(&text), check_chars(&text), "{text:?}");
            }
        }
        let longest = "n".repeat(USERNAME_CHARS_MAX);
        for more in ["", "n", "#"] {
            for text in [format!("{longest}{more}"), format!("{more}{longest}")] {
                assert_eq!(check_ascii(&text), check_chars(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn typed_names_are_composed() {
        let typed = Username::from_typed("Zoe\u{308}").expect("a valid name");
        assert_eq!(typed.as_str(), "Zo\u{eb}");
        assert_ne!("Zoe\u{308}".parse(), Ok(typed));
        // It is the composed name that has at most 32 characters.
        let decomposed = "e\u{301}".repeat(USERNAME_CHARS_MAX);
        assert_eq!(decomposed.parse::<Username>(), Err(UsernameError::TooLong));
        assert!(Username::from_typed(&decomposed).is_ok());
        assert_eq!(Username::from_typed(""), Err(UsernameError::Empty));
    }
}
