//! What is said in the same words whatever the protocol is.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::lexicon::Usage;

/// Something that was asked for and did not happen, and what to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    /// Lines that nobody may overlook, shown before the message. Every one is printable.
    pub(super) warning: Option<String>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { warning: None, message: message.into(), hint: Some(hint.into()) }
    }

    /// The same, said louder.
    pub(super) fn warn(mut self, warning: String) -> Self {
        self.warning = Some(warning);
        self
    }
}

pub(super) const GOODBYE: &str = "goodbye";

/// The menu.
pub(super) fn help(usages: &[Usage]) -> String {
    let lines = usages.iter().map(Usage::line);
    let rows = usages.iter().zip(lines).map(|(usage, line)| {
        vec![usage.letter.unwrap_or(" ").to_owned(), line, usage.meaning.to_owned()]
    });
    table(&rows.collect::<Vec<_>>())
}

/// Rows of cells, each column as wide as the widest of its cells on the screen.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut drawn = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Columns of the screen, not characters: `{:width$}` would count the latter.
            let gap = width - cell.width();
            write!(drawn, "  {cell}{:gap$}", "").expect("a String takes every text");
        }
        line(&mut text, format_args!("{}", drawn.trim_end()));
    }
    text
}

pub(super) fn events_missed(count: u64) -> String {
    format!("{count} more events came too fast to be shown: look at 'list'")
}

pub(super) fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_by_what_the_screen_shows() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        assert_eq!(table(&[]), "");
        assert_eq!(
            table(&[row(&["alice", "1", "x"]), row(&["你好", "10"]), row(&["b", "", "y"])]),
            "  alice  1   x\n  你好   10\n  b          y\n"
        );
    }
}
