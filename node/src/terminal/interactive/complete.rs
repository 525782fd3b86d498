//! What the Tab key offers.

use std::sync::{Arc, Mutex, PoisonError};

use reedline::{Completer, CompletionResult, Span, Suggestion};

use crate::printable::printable;
use crate::terminal::lexicon::Usage;

/// What is being typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expected {
    #[default]
    Command,
    /// The name of somebody who is online.
    Name,
    Anything,
}

/// What the completion knows. Shared with the thread that learns it.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) expected: Expected,
    pub(super) usages: Vec<Usage>,
    /// Who was online when the server last said.
    pub(super) names: Vec<String>,
}

/// Offers commands, and names where a command takes one.
pub(super) struct Completion {
    words: Arc<Mutex<Words>>,
}

impl Completion {
    pub(super) fn new(words: Arc<Mutex<Words>>) -> Self {
        Self { words }
    }
}

impl Completer for Completion {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let typed = line.get(..position).unwrap_or(line);
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, found) = candidates(typed, &words);
        let suggestions: Vec<_> = found
            .into_iter()
            .map(|value| Suggestion {
                value: value.to_owned(),
                span: Span::new(start, typed.len()),
                append_whitespace: true,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

/// What may stand in place of the last word of `typed`, and where that word begins.
fn candidates<'w>(typed: &str, words: &'w Words) -> (usize, Vec<&'w str>) {
    let start = typed
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + typed[at..].chars().next().map_or(0, char::len_utf8));
    let (before, word) = typed.split_at(start);
    let before: Vec<&str> = before.split_whitespace().collect();
    // A name that would steer the screen is not drawn into a menu.
    let names = || {
        let fits = |name: &&str| name.starts_with(word) && printable(name) == *name;
        words.names.iter().map(String::as_str).filter(fits).collect()
    };
    let found = match (words.expected, before.as_slice()) {
        (Expected::Command, []) => {
            let prefix = word.to_ascii_lowercase();
            let all = words.usages.iter().map(|usage| usage.word);
            all.filter(|word| word.starts_with(&prefix)).collect()
        }
        (Expected::Command, [verb])
            if words.usages.iter().any(|usage| usage.is(verb) && usage.names_somebody()) =>
        {
            names()
        }
        (Expected::Name, []) => names(),
        _ => Vec::new(),
    };
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::lexicon::{Kind, verb};

    #[test]
    fn one_line_a_row() {
        let names = ["alice", "bob", "bobby", "bo\u{202e}x"].map(str::to_owned).to_vec();
        let usages = [
            verb(Some("c"), "list", "", "", Kind::<()>::Help).usage,
            verb(Some("d"), "pay", "NAME AMOUNT", "", Kind::<()>::Help).usage,
            verb(Some("a"), "login", "[NAME] [PORT]", "", Kind::<()>::Help).usage,
        ];
        let usages = usages.to_vec();
        let mut words = Words { expected: Expected::Command, usages, names };
        for (expected, typed, start, found) in [
            (Expected::Command, "p", 0, &["pay"][..]),
            (Expected::Command, "LI", 0, &["list"]),
            (Expected::Command, "login b", 6, &[]),
            (Expected::Command, "zz", 0, &[]),
            (Expected::Command, "pay ", 4, &["alice", "bob", "bobby"]),
            (Expected::Command, "pay bo", 4, &["bob", "bobby"]),
            (Expected::Command, "d\u{3000}bobb", 4, &["bobby"]),
            (Expected::Command, "D a", 2, &["alice"]),
            (Expected::Command, "pay bob 1", 8, &[]),
            (Expected::Command, "list b", 5, &[]),
            (Expected::Name, "b", 0, &["bob", "bobby"]),
            (Expected::Anything, "b", 0, &[]),
        ] {
            words.expected = expected;
            assert_eq!(candidates(typed, &words), (start, found.to_vec()), "{typed:?}");
        }
        words.expected = Expected::Command;
        assert_eq!(candidates("", &words).1.len(), words.usages.len());
    }
}
