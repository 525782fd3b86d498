//! Texts of other people, made harmless for a screen.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that steers a screen written out: control characters as `\n` or
/// `\u{1b}`, and the invisible ones that turn the direction of writing or hide what stands there.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if steers(c) => {
                write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a String takes every text");
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_screen() {
        for (text, expected) in [
            ("100 OK", "100 OK"),
            ("grüße, 你好", "grüße, 你好"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\0\u{7f}\u{9b}31m", "\\u{0}\\u{7f}\\u{9b}31m"),
            ("bob\u{202e}ecila", "bob\\u{202e}ecila"),
            ("bob\u{200b}", "bob\\u{200b}"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
    }
}
