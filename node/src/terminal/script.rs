//! Commands from a file or a pipe: plain lines in, plain lines out, and an exit code that tells
//! whether all went well.

use std::io::{self, BufRead, Read as _, Write};

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::Inbox;
use super::driver::{Driver, Ended, Input, Screen, Tally};
use super::shell::Shell;
use super::view::Failure;
use crate::error::{Error, write_problem};

/// Lines that are read ahead of the command under way.
const LINES_AHEAD_MAX: usize = 16;
/// The longest command is a few words.
const LINE_BYTES_MAX: usize = 1024;

const TOO_LONG: &str = "the line is too long for a command";
const NOT_TEXT: &str = "the line is not text in UTF-8";

/// Runs the commands of stdin.
pub(super) async fn run<C: Shell>(shell: C, inbox: Inbox<C::Event>) -> Result<(), Error> {
    let (sender, input) = mpsc::channel(LINES_AHEAD_MAX);
    // A thread that is never waited for: it may sit in a read that never ends.
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || read_lines(&mut io::stdin().lock(), &sender))
        .map_err(Error::Terminal)?;
    let mut screen = Plain { out: io::stdout(), err: io::stderr() };
    verdict(drive(shell, inbox, input, &mut screen).await?)
}

/// Runs these commands.
pub(super) async fn run_lines<C: Shell>(
    shell: C,
    inbox: Inbox<C::Event>,
    lines: &[&str],
) -> Result<(), Error> {
    let (sender, input) = mpsc::channel(lines.len().max(1));
    for line in lines {
        // There is room for all of them.
        let _ = sender.try_send(Input::Line((*line).to_owned()));
    }
    drop(sender);
    let mut screen = Plain { out: io::stdout(), err: io::stderr() };
    verdict(drive(shell, inbox, input, &mut screen).await?)
}

pub(super) async fn drive<C, O, E>(
    shell: C,
    inbox: Inbox<C::Event>,
    input: mpsc::Receiver<Input>,
    screen: &mut Plain<O, E>,
) -> Result<Ended, Error>
where
    C: Shell,
    O: Write,
    E: Write,
{
    Driver::new(shell, inbox, screen, false)?.run(input).await.map_err(Error::Terminal)
}

fn verdict(Ended { tally, unknown }: Ended) -> Result<(), Error> {
    match (tally, unknown) {
        (Tally { failed: 0, .. }, 0) => Ok(()),
        (Tally { failed: 0, .. }, payments) => Err(Error::OutcomesUnknown { payments }),
        (Tally { failed, commands }, _) => Err(Error::CommandsFailed { failed, commands }),
    }
}

/// Data on one stream, failures on the other.
pub(super) struct Plain<O, E> {
    pub(super) out: O,
    pub(super) err: E,
}

impl<O: Write, E: Write> Screen for Plain<O, E> {
    fn show(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        write_lines(&mut self.out, text)
    }

    /// Beside the output, which a script may keep in a file.
    fn show_secret(&mut self, text: &str) -> io::Result<()> {
        write_lines(&mut self.err, text)
    }

    fn show_failure(&mut self, failure: &Failure) -> io::Result<()> {
        // A closed standard error is no reason to stop: the exit code still tells.
        if let Some(warning) = &failure.warning {
            let _ = writeln!(self.err, "{warning}");
        }
        let _ = write_problem(&mut self.err, &failure.message, failure.hint.as_deref());
        Ok(())
    }
}

fn write_lines(out: &mut impl Write, text: &str) -> io::Result<()> {
    // One write a text: whoever reads the pipe sees whole lines. It may be a secret.
    let lines = Zeroizing::new(format!("{}\n", text.trim_end_matches('\n')));
    out.write_all(lines.as_bytes())?;
    out.flush()
}

/// Passes lines on until there are no more, or nobody wants them.
pub(super) fn read_lines(reader: &mut impl BufRead, lines: &mpsc::Sender<Input>) {
    while let Ok(Some(input)) = read_line(reader) {
        if lines.blocking_send(input).is_err() {
            return;
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Input>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(LINE_BYTES_MAX + 1).expect("1025 is a u64");
    if reader.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let whole = bytes.ends_with(b"\n");
    if !whole && bytes.len() > LINE_BYTES_MAX {
        skip_line(reader)?;
        return Ok(Some(Input::Unreadable(TOO_LONG)));
    }
    Ok(Some(match String::from_utf8(bytes) {
        Ok(line) => Input::Line(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(_) => Input::Unreadable(NOT_TEXT),
    }))
}

/// Reads on to the next line in bounded memory.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let consumed = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(consumed);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(bytes: &[u8]) -> Vec<Input> {
        let (sender, mut receiver) = mpsc::channel(LINES_AHEAD_MAX);
        // Small pieces, so that lines are torn.
        read_lines(&mut io::BufReader::with_capacity(7, bytes), &sender);
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    #[test]
    fn lines_of_every_sort() {
        let line = |text: &str| Input::Line(text.to_owned());
        let longest = "x".repeat(LINE_BYTES_MAX);
        let endless = "y".repeat(10_000);
        let text = format!("list\r\n\n{longest}\n{endless}\nafter\nno end");
        assert_eq!(
            inputs(text.as_bytes()),
            [
                line("list"),
                line(""),
                line(&longest),
                Input::Unreadable(TOO_LONG),
                line("after"),
                line("no end"),
            ]
        );
        assert_eq!(inputs(b"\xff\xfe\nlist"), [Input::Unreadable(NOT_TEXT), line("list")]);
        assert_eq!(inputs(endless.as_bytes()), [Input::Unreadable(TOO_LONG)]);
        assert_eq!(inputs(b""), []);
    }

    #[test]
    fn one_failure_decides() {
        let ended = |failed, unknown| Ended { tally: Tally { commands: 3, failed }, unknown };
        assert!(verdict(ended(0, 0)).is_ok());
        let error = verdict(ended(1, 1)).expect_err("a failure");
        assert_eq!((error.exit_code(), error.to_string().as_str()), (1, "1 of 3 commands failed"));
        let error = verdict(ended(0, 2)).expect_err("nobody knows whether they are failures");
        assert_eq!(error.exit_code(), 1);
        assert_eq!(error.to_string(), "payments whose outcome is unknown: 2");
    }
}
