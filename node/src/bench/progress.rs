//! How far a measurement is: a line at a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Often enough to look alive.
pub(super) const SHOWN_EVERY: Duration = Duration::from_millis(200);

/// What is shown. It is hidden if the standard error is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {prefix}  {msg}  {elapsed}");
        let bar =
            ProgressBar::new_spinner().with_style(style.expect("the template is well formed"));
        Self { bar }
    }

    /// What is done from now on.
    pub(crate) fn phase(&self, what: impl Into<String>) {
        self.bar.set_prefix(what.into());
        self.bar.set_message("");
        self.bar.tick();
    }

    /// How much has come of it.
    pub(super) fn answered(&self, answered: u64) {
        if answered > 0 {
            self.bar.set_message(format!("{answered} answered"));
        }
        self.bar.tick();
    }

    /// It is done.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
