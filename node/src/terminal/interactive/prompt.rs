//! What stands before the line being typed.

use std::borrow::Cow;

use reedline::{Prompt, PromptEditMode, PromptHistorySearch};

use crate::terminal::command::Question;

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
}

impl Prompt for Label {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.text)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
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
