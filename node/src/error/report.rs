//! How an error is shown: one line, and the hint on another.

use std::io::{self, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Error;
use crate::printable::printable;

/// How long the end of the program waits for somebody to read why.
const REPORT_TIME_MAX: Duration = Duration::from_secs(1);

impl Error {
    /// Writes `error: …` and, on a line of its own, `hint: …`. The text of `--help` and
    /// `--version` goes to the standard output instead.
    ///
    /// # Errors
    /// When `err` cannot be written to.
    pub fn report(&self, err: &mut impl io::Write) -> io::Result<()> {
        if let Self::CommandLine(error) = self
            && !error.use_stderr()
        {
            return error.print();
        }
        write_problem(err, &self.to_string(), self.hint().as_deref())
    }

    /// Reports on the standard error and gives up after a second if nobody reads it: the program
    /// must end, whatever became of the other side of its pipe.
    pub(crate) fn report_and_give_up(&self) {
        let mut text = Vec::new();
        // Memory takes everything; the standard output of `--help` has a reader or wants none.
        let _ = self.report(&mut text);
        write_and_give_up(text);
    }
}

/// One failure as everybody sees it: one line, and the hint on another.
pub(crate) fn write_problem(
    out: &mut impl io::Write,
    message: &str,
    hint: Option<&str>,
) -> io::Result<()> {
    // One write, so that lines of two threads do not mix.
    out.write_all(problem_text(message, hint).as_bytes())?;
    out.flush()
}

/// Writes to the standard error, but waits a second at most.
pub(crate) fn write_and_give_up(text: Vec<u8>) {
    let (done, written) = mpsc::channel();
    let write = move || {
        // Whoever closed our standard error still gets the exit code.
        let _ = io::stderr().write_all(&text);
        // Nobody waits any more: the time is over.
        let _ = done.send(());
    };
    if thread::Builder::new().name("report".into()).spawn(write).is_ok() {
        let _ = written.recv_timeout(REPORT_TIME_MAX);
    }
}

pub(crate) fn problem_text(message: &str, hint: Option<&str>) -> String {
    let mut text = format!("error: {}\n", printable(message));
    if let Some(hint) = hint {
        text.push_str("hint: ");
        text.push_str(&printable(hint));
        text.push('\n');
    }
    text
}
