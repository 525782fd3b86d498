//! Names that may be given to new accounts.

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::is_nfc;
use unicode_security::{GeneralSecurityProfile, MixedScript};

use crate::Username;

/// The punctuation of new names, beside the little that UTS 39 lets into identifiers.
const PUNCTUATION: &str = "!\"$'+-.@\\_~";

/// The most marks on one letter. UTS 39 (section 5.4) draws the line here: no language puts more
/// on one letter, and longer towers cover the lines above and below.
pub const MARKS_MAX: usize = 4;

/// A name that may be given to a new account. That no other account looks like it is for the
/// ledger to say, see [`NameLook`](crate::NameLook).
///
/// A [`Username`] is whatever an account has ever been able to be called. A new one also
///
/// - is in Unicode's composed form (NFC), so that one text has one spelling;
/// - holds only characters that
///   [UTS 39](https://www.unicode.org/reports/tr39/#General_Security_Profile) allows in
///   identifiers (letters, marks and digits of the scripts in use today, and a few signs such as
///   `-`, `_`, `.`, `:` and `·`) and the punctuation `! " $ ' + - . @ \ _ ~`;
/// - is of one script, as UTS 39 counts them (Japanese writing is one);
/// - has at most [`MARKS_MAX`] marks on a letter and none on anything else;
/// - is not made of digits only, whatever script they are of.
///
/// ```
/// use wire::{NewUsername, Username};
///
/// let name: Username = "Zoë".parse()?;
/// assert!(NewUsername::try_from(name).is_ok());
/// let disguised: Username = "\u{430}lice".parse()?; // a Cyrillic а
/// assert!(NewUsername::try_from(disguised).is_err());
/// # Ok::<(), wire::username::UsernameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUsername(Username);

impl NewUsername {
    /// The name itself.
    pub const fn as_username(&self) -> &Username {
        &self.0
    }
}

impl From<NewUsername> for Username {
    fn from(name: NewUsername) -> Self {
        name.0
    }
}

/// Why a [`Username`] cannot be given to a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewUsernameError {
    /// It is not in NFC; [`Username::from_typed`] composes what a person typed.
    #[error("the name is not in composed form: send it normalized to Unicode NFC")]
    NotComposed,
    /// This character is not of the alphabet.
    #[error(
        "U+{:04X} cannot be in a new name: use letters, digits and {PUNCTUATION}",
        u32::from(*.0)
    )]
    ForbiddenCharacter(char),
    /// A mark stands in front, or behind something that is no letter.
    #[error("an accent or other mark stands alone in the name: put it behind a letter")]
    MarkWithoutLetter,
    /// A letter has more than [`MARKS_MAX`] marks.
    #[error("a letter of the name has too many marks: use at most {MARKS_MAX}")]
    TooManyMarks,
    /// Its letters are of several scripts.
    #[error("the name mixes scripts: use letters of one script only")]
    MixedScripts,
    /// It could be mistaken for a port or an amount.
    #[error("the name is made of digits only: add a letter")]
    DigitsOnly,
}

impl TryFrom<Username> for NewUsername {
    type Error = NewUsernameError;

    fn try_from(name: Username) -> Result<Self, Self::Error> {
        let text = name.as_str();
        if !is_nfc(text) {
            return Err(NewUsernameError::NotComposed);
        }
        if let Some(c) = text.chars().find(|&c| !is_of_alphabet(c)) {
            return Err(NewUsernameError::ForbiddenCharacter(c));
        }
        check_marks(text)?;
        if !text.is_single_script() {
            return Err(NewUsernameError::MixedScripts);
        }
        if text.chars().all(char::is_numeric) {
            return Err(NewUsernameError::DigitsOnly);
        }
        Ok(Self(name))
    }
}

fn is_of_alphabet(c: char) -> bool {
    c.identifier_allowed() || PUNCTUATION.contains(c)
}

fn check_marks(text: &str) -> Result<(), NewUsernameError> {
    let mut base = None;
    let mut marks = 0;
    for c in text.chars() {
        if !is_combining_mark(c) {
            base = Some(c);
            marks = 0;
            continue;
        }
        if !base.is_some_and(char::is_alphabetic) {
            return Err(NewUsernameError::MarkWithoutLetter);
        }
        marks += 1;
        if marks > MARKS_MAX {
            return Err(NewUsernameError::TooManyMarks);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use unicode_security::skeleton;

    use super::*;

    fn check(text: &str) -> Result<(), NewUsernameError> {
        let name = text.parse::<Username>().expect("a name that somebody could have had");
        NewUsername::try_from(name).map(|_| ())
    }

    #[test]
    fn names_of_many_languages_are_allowed() {
        for text in [
            "alice",
            "Alice",
            "7up",
            "-",
            "_",
            "user_1",
            "o'neil",
            "a.b@c+d",
            "$!~",
            "\"al\\ice\"",
            "x:1",
            "l·l",
            "Zoë",
            "Émile",
            "Straße",
            "Łukasz",
            "Nguyễn",
            "İstanbul",
            "ılgaz",
            "Жанна",
            "Ελένη",
            "Αλέξανδρος",
            "दीपा",
            "สมชาย",
            "שרה",
            "محمد",
            "ნინო",
            "Արամ",
            "山田太郎",
            "サトシ",
            "やまだ太郎",
            "김철수",
            "李雷2",
            "q\u{301}",
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn one_rule_a_row() {
        use NewUsernameError::{
            DigitsOnly, ForbiddenCharacter, MarkWithoutLetter, MixedScripts, NotComposed,
            TooManyMarks,
        };
        for (text, expected) in [
            ("Zoe\u{308}", NotComposed),
            ("\u{212b}se", NotComposed), // the sign of the ångström
            ("a/b", ForbiddenCharacter('/')),
            ("a|ice", ForbiddenCharacter('|')),
            ("a%", ForbiddenCharacter('%')),
            ("al\u{200b}ice", ForbiddenCharacter('\u{200b}')), // no width
            ("al\u{200d}ice", ForbiddenCharacter('\u{200d}')), // joins
            ("al\u{ad}ice", ForbiddenCharacter('\u{ad}')),     // a hyphen that hides
            ("\u{202e}ecila", ForbiddenCharacter('\u{202e}')), // turns the direction
            ("\u{feff}alice", ForbiddenCharacter('\u{feff}')),
            ("a\u{fe0f}", ForbiddenCharacter('\u{fe0f}')), // chooses a variant
            ("a\u{e0041}", ForbiddenCharacter('\u{e0041}')), // an invisible tag
            ("ａlice", ForbiddenCharacter('ａ')),
            ("𝐚lice", ForbiddenCharacter('𝐚')),
            ("\u{fb01}", ForbiddenCharacter('\u{fb01}')), // fi, in one piece
            ("ᴀlice", ForbiddenCharacter('ᴀ')),
            ("ʟist", ForbiddenCharacter('ʟ')),
            ("bob☺", ForbiddenCharacter('☺')),
            ("a\u{e000}", ForbiddenCharacter('\u{e000}')), // means nothing to anybody else
            ("\u{301}a", MarkWithoutLetter),
            ("-\u{301}", MarkWithoutLetter),
            ("a1\u{301}", MarkWithoutLetter),
            ("q\u{301}\u{301}\u{301}\u{301}\u{301}", TooManyMarks),
            ("\u{430}lice", MixedScripts),  // Cyrillic а
            ("p\u{430}ypal", MixedScripts), // Cyrillic а
            ("b\u{3bf}b", MixedScripts),    // Greek ο
            ("a\u{4e28}ice", MixedScripts), // a stroke of Han
            ("Жan", MixedScripts),
            ("a\u{661}", MixedScripts),     // Arabic 1
            ("\u{661}\u{662}", DigitsOnly), // Arabic 12
            ("\u{967}2", DigitsOnly),       // Devanagari 1
        ] {
            assert_eq!(check(text), Err(expected), "{text:?}");
        }
    }

    /// What nobody sees cannot make one name into another.
    #[test]
    fn every_character_of_the_alphabet_can_be_seen() {
        for c in ('\0'..=char::MAX).filter(|&c| is_of_alphabet(c)) {
            assert!(skeleton(c.encode_utf8(&mut [0; 4])).next().is_some(), "{c:?}");
            assert!(c != '#' && !c.is_whitespace() && !c.is_control(), "{c:?}");
        }
    }

    /// A message stands in logs and terminals: it must not carry the character it complains of.
    #[test]
    fn messages_name_a_character_by_its_number() {
        let message = NewUsernameError::ForbiddenCharacter('\u{202e}').to_string();
        assert!(message.starts_with("U+202E cannot be in a new name"), "{message}");
        assert!(message.is_ascii());
    }
}
