//! How names look to people: what makes two of them too similar.

use compact_str::CompactString;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

use crate::Username;

/// How often a look is simplified. Every character alone is settled after 3 rounds, which a test
/// shows; the rest is for what neighbours do to each other. One round more or less never parts two
/// names that the rule joins: both have had the same rounds.
const ROUNDS_MAX: usize = 8;

/// A dot above, which `i` and `j` have anyway.
const DOT_ABOVE: char = '\u{307}';

/// How a name looks, whatever the case of its letters.
///
/// Two names [clash](Self::clashes) if they share a key. A name has three, because a capital `I`
/// looks like a small `l` and is a capital `i`, and both `alice` and `aiice` must be safe from
/// `aIice`:
///
/// 1. its shape: what the name looks like as it stands (the *skeleton* of
///    [UTS 39](https://www.unicode.org/reports/tr39/#Confusable_Detection)), then without case;
/// 2. its letters: the name without case, then what that looks like;
/// 3. its capitals: as the shape, but capitals that look like `l` are taken for a capital `I`, so
///    that `ТІТО` in Cyrillic is not free beside `tito`.
///
/// Names that look the same have one shape, names that differ in case only have the same letters.
/// Both steps are repeated until nothing changes, since the small letters of a look may have a look
/// of their own (`m` looks like `rn`).
///
/// ```
/// use wire::{NameLook, Username};
///
/// let alice = NameLook::of(&"alice".parse::<Username>()?);
/// assert!(alice.clashes(&NameLook::of(&"aIice".parse()?)));
/// assert!(!alice.clashes(&NameLook::of(&"alicia".parse()?)));
/// # Ok::<(), wire::username::UsernameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameLook {
    shape: CompactString,
    letters: CompactString,
    capitals: CompactString,
}

impl NameLook {
    /// The look of a name.
    pub fn of(name: &Username) -> Self {
        Self::of_ascii(name.as_str()).unwrap_or_else(|| Self::of_any(name.as_str()))
    }

    /// Whether somebody could take one name for the other.
    pub fn clashes(&self, other: &Self) -> bool {
        self.keys().any(|key| other.keys().any(|theirs| key == theirs))
    }

    /// What other names must not share: one to three texts, each once. Nothing to show to anybody,
    /// nor to keep: another version of Unicode may give others.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let Self { shape, letters, capitals } = self;
        let letters_differ = letters != shape;
        let capitals_differ = capitals != shape && capitals != letters;
        [Some(shape), letters_differ.then_some(letters), capitals_differ.then_some(capitals)]
            .into_iter()
            .flatten()
            .map(CompactString::as_str)
    }

    /// The same as [`Self::of_any`] for nearly all names there are, without the tables of Unicode.
    fn of_ascii(text: &str) -> Option<Self> {
        let mut shape = CompactString::default();
        let mut letters = CompactString::default();
        for c in text.chars() {
            let (looks_like, is) = match c {
                'I' => ("l", "i"),
                '1' | '|' => ("l", "l"),
                '0' => ("o", "o"),
                'm' | 'M' => ("rn", "rn"),
                '"' => ("''", "''"),
                '`' => ("'", "'"),
                // Looks like signs beyond ASCII.
                '%' => return None,
                _ if c.is_ascii() => {
                    shape.push(c.to_ascii_lowercase());
                    letters.push(c.to_ascii_lowercase());
                    continue;
                }
                _ => return None,
            };
            shape.push_str(looks_like);
            letters.push_str(is);
        }
        let capitals = letters.clone();
        Some(Self { shape, letters, capitals })
    }

    fn of_any(text: &str) -> Self {
        let shape = settle(text.into());
        let small = without_case(text);
        // What has no case looks as it stands.
        let letters = if small.chars().eq(text.nfd()) { shape.clone() } else { settle(small) };
        let capitals = if text.nfd().any(looks_like_capital_i) {
            settle(without_case(&with_capital_i(text)))
        } else {
            shape.clone()
        };
        Self { shape, letters, capitals }
    }
}

/// Looks and drops case in turns until neither changes anything.
fn settle(mut text: CompactString) -> CompactString {
    for _ in 0..ROUNDS_MAX {
        let look: CompactString = skeleton(&text).collect();
        let next = without_case(&look);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// The text decomposed, without case and without the difference between characters and their
/// compatibility forms (wide letters, ligatures). `ß` is `ss`, both small sigmas are one, and `i`
/// is one letter with its dot or without.
fn without_case(text: &str) -> CompactString {
    let mut text: CompactString = text.into();
    for _ in 0..ROUNDS_MAX {
        let small = text.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
        let next: CompactString = without_second_dots(small).collect();
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Drops the dots above that stand on an `i` or `j`, where nobody sees them.
fn without_second_dots(chars: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut base = None;
    chars.filter(move |&c| {
        if !is_combining_mark(c) {
            base = Some(c);
        }
        c != DOT_ABOVE || !matches!(base, Some('i' | 'j'))
    })
}

/// The look of each character, but capitals that look like a small `l` become a capital `I`.
fn with_capital_i(text: &str) -> CompactString {
    let mut taken = CompactString::default();
    for c in text.nfd() {
        if looks_like_capital_i(c) {
            taken.push('I');
        } else {
            taken.extend(skeleton(c.encode_utf8(&mut [0; 4])));
        }
    }
    taken
}

fn looks_like_capital_i(c: char) -> bool {
    c.is_uppercase() && skeleton(c.encode_utf8(&mut [0; 4])).eq(['l'])
}

#[cfg(test)]
mod tests;
