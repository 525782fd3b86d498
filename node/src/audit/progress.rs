//! How far the audit of a ledger is: a bar at a terminal, else a line now and then.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Instant;

use actors::ledger::journal::JournalPlace;
use indicatif::{ProgressBar, ProgressStyle};

use crate::announce::LINE_EVERY;

pub(super) struct Progress {
    /// How many bytes of the journal stand before each of its files.
    before: BTreeMap<String, u64>,
    bytes: u64,
    /// Hidden if the standard error is no terminal.
    bar: ProgressBar,
    line_due: Option<Instant>,
}

impl Progress {
    /// Of an audit of the journal whose files are in these directories.
    pub(super) fn start<'d>(dirs: impl Iterator<Item = &'d Path>) -> Self {
        let mut bytes = 0;
        let before = journal_files(dirs).into_iter().map(|(name, len)| {
            let before = bytes;
            bytes += len;
            (name, before)
        });
        let before = before.collect();
        let style = ProgressStyle::with_template("{bar:40} {percent:>3}%  {msg}  {eta}");
        let bar = ProgressBar::new(bytes).with_style(style.expect("the template is well formed"));
        let line_due = (!io::stderr().is_terminal()).then(|| Instant::now() + LINE_EVERY);
        Self { before, bytes, bar, line_due }
    }

    pub(super) fn show(&mut self, place: &JournalPlace) {
        let now = Instant::now();
        let line_due = self.line_due.is_some_and(|due| now >= due);
        if self.bar.is_hidden() && !line_due {
            return;
        }
        // A file that was begun since is not among them: the audit is nearly there.
        let before = self.before.get(&place.position.file()).copied().unwrap_or(self.bytes);
        let done = (before + place.position.offset).min(self.bytes);
        let told = format!("{} batches, {} entries", place.last.batch, place.last.next_entry);
        if line_due {
            self.line_due = Some(now + LINE_EVERY);
            let percent = (done * 100).checked_div(self.bytes).unwrap_or(100);
            // Whoever closed our standard error does not want to know.
            let _ = writeln!(io::stderr(), "audited so far: {told}, {percent}%");
        }
        self.bar.set_message(told);
        self.bar.set_position(done);
    }

    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Names and lengths; none if they cannot be read, which the audit will tell.
fn journal_files<'d>(dirs: impl Iterator<Item = &'d Path>) -> Vec<(String, u64)> {
    let files = dirs.flat_map(|dir| fs::read_dir(dir).into_iter().flatten());
    let named = files.flatten().filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let len = file.metadata().ok()?.len();
        name.starts_with("journal-").then_some((name, len))
    });
    // Their names hold numbers of one length, so their order is the journal's.
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    named
}
