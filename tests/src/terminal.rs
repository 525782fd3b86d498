//! A terminal with a person in front of it: what they see, and what they type.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use pty_process::Size;
use pty_process::blocking::{Command, open};
use vt100::Parser;

use crate::process::PATIENCE;

const ROWS: NonZeroU16 = NonZeroU16::new(30).expect("not zero");
const COLUMNS: NonZeroU16 = NonZeroU16::new(100).expect("not zero");

/// Where the cursor is, asks the program.
const CURSOR_QUERY: &[u8] = b"\x1b[6n";

/// A program on a terminal of 30 rows and 100 columns. It is killed when this is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    shared: Arc<Shared>,
}

struct Shared {
    display: Mutex<Display>,
    changed: Condvar,
}

struct Display {
    parser: Parser,
    /// The program has closed the terminal.
    ended: bool,
}

impl Terminal {
    /// Starts `binary` on a new terminal, with `home` for whatever it keeps about its user.
    ///
    /// # Panics
    /// If there is no terminal to be had, or the program cannot be started.
    pub fn start(binary: &str, home: &Path, args: &[&str]) -> Self {
        let (pty, pts) = open().expect("a terminal is to be had");
        pty.resize(Size::new(ROWS.get(), COLUMNS.get())).expect("a size that can be");
        let mut command = Command::new(binary).args(args);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MITE_") {
                command = command.env_remove(name);
            }
        }
        let command = command
            .env("TERM", "xterm-256color")
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"));
        let child = command.spawn(pts).expect("the program under test starts");
        let keyboard = File::from(OwnedFd::from(pty));
        let output = keyboard.try_clone().expect("a live terminal");
        let display = Display { parser: Parser::new(ROWS, COLUMNS, 1000), ended: false };
        let shared = Arc::new(Shared { display: Mutex::new(display), changed: Condvar::new() });
        let drawn = Arc::clone(&shared);
        thread::spawn(move || draw(output, &drawn));
        Self { child, keyboard, shared }
    }

    /// Presses keys. Enter is `\r`.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a live terminal");
    }

    /// Types a line and Enter, once the program waits for it behind this prompt, and sees it taken.
    ///
    /// # Panics
    /// If the prompt does not come within [`PATIENCE`], or the line does not go.
    #[track_caller]
    pub fn type_at(&mut self, prompt: &str, line: &str) {
        self.expect_line(prompt);
        self.press(line);
        let typed = format!("{prompt} {line}");
        self.expect_line(typed.trim_end());
        self.press("\r");
        self.expect("another line", |rows, cursor| rows[cursor] != typed.trim_end());
    }

    /// Waits until the line with the cursor is exactly this, without spaces at its end.
    ///
    /// # Panics
    /// If it does not become so within [`PATIENCE`].
    #[track_caller]
    pub fn expect_line(&self, line: &str) {
        self.expect(&format!("the line {line:?}"), |rows, cursor| rows[cursor] == line);
    }

    /// Waits until some line of the screen begins so.
    ///
    /// # Panics
    /// If none does within [`PATIENCE`].
    #[track_caller]
    pub fn expect_text(&self, start: &str) {
        self.expect(start, |rows, _| rows.iter().any(|row| row.starts_with(start)));
    }

    /// Waits until the lines of the screen, and the number of the one with the cursor, are as wanted.
    ///
    /// # Panics
    /// If they do not become so within [`PATIENCE`].
    #[track_caller]
    pub fn expect(&self, what: &str, wanted: impl Fn(&[String], usize) -> bool) {
        let began = Instant::now();
        let mut display = lock(&self.shared.display);
        loop {
            let (rows, cursor) = display.rows();
            if wanted(&rows, cursor) {
                return;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            let hopeless = left.is_zero() || display.ended;
            assert!(!hopeless, "no {what} on the screen:\n{}", rows.join("\n"));
            let waited = self.shared.changed.wait_timeout(display, left);
            display = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether some line of the screen begins so now.
    pub fn shows(&self, start: &str) -> bool {
        lock(&self.shared.display).rows().0.iter().any(|row| row.starts_with(start))
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// If it does not end within [`PATIENCE`].
    pub fn wait(mut self) -> ExitStatus {
        let display = lock(&self.shared.display);
        let ended = self.shared.changed.wait_timeout_while(display, PATIENCE, |d| !d.ended);
        let (display, waited) = ended.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "still there:\n{}", display.rows().0.join("\n"));
        drop(display);
        self.child.wait().expect("the program is ours")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Display {
    fn rows(&self) -> (Vec<String>, usize) {
        let screen = self.parser.screen();
        let rows = screen.rows(0, COLUMNS.get()).map(|row| row.trim_end().to_owned());
        (rows.collect(), screen.cursor_position().0.into())
    }
}

/// Draws what the program writes, and tells it where the cursor is.
fn draw(mut terminal: File, shared: &Shared) {
    let mut bytes = [0; 4096];
    let mut pending = Vec::new();
    while let Ok(length @ 1..) = terminal.read(&mut bytes) {
        pending.extend_from_slice(&bytes[..length]);
        let mut display = lock(&shared.display);
        while let Some(at) = pending.windows(CURSOR_QUERY.len()).position(|w| w == CURSOR_QUERY) {
            display.parser.process(&pending[..at]);
            pending.drain(..at + CURSOR_QUERY.len());
            let (row, column) = display.parser.screen().cursor_position();
            let answer = format!("\x1b[{};{}R", row + 1, column + 1);
            // It may be gone meanwhile.
            let _ = terminal.write_all(answer.as_bytes());
        }
        // The beginning of a query waits for its rest.
        let begun = (0..CURSOR_QUERY.len()).rev().find(|n| pending.ends_with(&CURSOR_QUERY[..*n]));
        let ready = pending.len() - begun.expect("it ends with nothing at least");
        display.parser.process(&pending[..ready]);
        pending.drain(..ready);
        shared.changed.notify_all();
    }
    lock(&shared.display).ended = true;
    shared.changed.notify_all();
}

fn lock(display: &Mutex<Display>) -> MutexGuard<'_, Display> {
    display.lock().unwrap_or_else(PoisonError::into_inner)
}
