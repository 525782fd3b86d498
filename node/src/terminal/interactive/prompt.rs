//! What stands before the line being typed.

use std::borrow::Cow;

use reedline::{Prompt, PromptEditMode, PromptHistorySearch};
use unicode_width::UnicodeWidthStr as _;

use crate::terminal::lexicon::Question;

/// How wide the editor takes a prompt to be that has nothing on the right.
const WIDTH_ASSUMED: usize = 3;

/// A fixed text before the line.
pub(super) struct Label {
    text: String,
    mark: &'static str,
}

impl Label {
    /// `alice> `
    pub(super) fn prompt(account: &str) -> Self {
        Self { text: account.to_owned(), mark: "> " }
    }

    /// `amount: `
    pub(super) fn question(question: Question, default_port: u16) -> Self {
        let text = match question {
            Question::Name => "name".into(),
            Question::Port if default_port == 0 => "port [any free one]".into(),
            Question::Port => format!("port [{default_port}]"),
            Question::Payee => "to whom".into(),
            Question::Amount => "amount".into(),
        };
        Self { text, mark: ": " }
    }

    /// `pay 10 to bob? [y/N] `
    pub(super) fn yes_or_no(question: &str) -> Self {
        Self { text: question.to_owned(), mark: " [y/N] " }
    }
}

impl Prompt for Label {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.text)
    }

    /// Blanks, for their number alone: to find the first row of the line being typed, the editor
    /// takes the prompt for three columns wider than what stands on the right. With anything else
    /// here, a line of about the screen's width would be torn by what is shown above it.
    fn render_prompt_right(&self) -> Cow<'_, str> {
        let width = self.text.width() + self.mark.width();
        Cow::Owned(" ".repeat(width.saturating_sub(WIDTH_ASSUMED)))
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(self.mark)
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!(" (search: {}) ", search.term))
    }
}
