//! Commands typed by a person: line editing, history and completion, with whatever happens
//! meanwhile shown above the line that is being typed.
//!
//! The line editor blocks, so it has a thread. The driver tells that thread when the next command
//! may come; the thread sends the line. Only one of them writes to the screen at any time, which is
//! what [`Canvas`] is for.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use reedline::{
    ColumnarMenu, Emacs, ExternalPrinter, FileBackedHistory, KeyCode, KeyModifiers,
    MenuBuilder as _, Reedline, ReedlineEvent, ReedlineMenu, Signal, default_emacs_keybindings,
};
use tokio::sync::mpsc;
use wire::Username;
use zeroize::Zeroizing;

use super::Inbox;
use super::driver::{Driver, Input, Screen};
use super::lexicon::{self, Question};
use super::shell::Shell;
use super::view::Failure;
use crate::error::{Error, problem_text};
use crate::logging;
use crate::printable::printable;

use complete::{Completion, Expected, Words};
use prompt::Label;

mod complete;
mod prompt;

/// How soon something that happens is shown while a line is being typed: at once, for a person.
const POLL_INTERVAL: Duration = Duration::from_millis(30);
/// Texts that may happen between two looks of the editor; more than a screen holds.
const TEXTS_MAX: usize = 1024;
const HISTORY_LINES_MAX: usize = 1000;
const MENU: &str = "completion";
/// Before anybody is logged in.
const NOBODY: &str = "mite";

/// Talks with the person at the terminal until they leave.
pub(super) async fn run<C: Shell>(
    shell: C,
    inbox: Inbox<C::Event>,
    has_default_name: bool,
) -> Result<(), Error> {
    let printer = ExternalPrinter::new(TEXTS_MAX);
    let canvas = Canvas::new(printer.sender());
    let on_canvas = canvas.clone();
    let _diversion = logging::divert(move |line| {
        // The log has nobody to tell that the terminal is gone.
        let _ = on_canvas.print(line);
    });
    canvas.print(&shell.welcome()).map_err(Error::Terminal)?;

    let (turns, may_read) = channel();
    let (lines, input) = mpsc::channel(1);
    let words = Arc::new(Mutex::new(Words { usages: (C::LANGUAGE.usages)(), ..Words::default() }));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = LineReader {
        editor: Some(editor(printer, Arc::clone(&words), Arc::clone(&stop))),
        stop: Arc::clone(&stop),
        canvas: canvas.clone(),
        words,
        questions: C::LANGUAGE.questions,
        has_default_name,
        default_port: shell.default_port(),
    };
    let mut screen = Window { canvas, turns };
    let driver = Driver::new(shell, inbox, &mut screen, true)?;
    let thread = thread::Builder::new()
        .name("terminal".into())
        .spawn(move || reader.run(&may_read, &lines))
        .map_err(Error::Terminal)?;
    let ended = driver.run(input).await;

    // The editor gives the terminal back as it was before we go.
    stop.store(true, Ordering::Relaxed);
    drop(screen);
    join(thread)?;
    ended.map(drop).map_err(Error::Terminal)
}

/// Waits for the thread, which looks at its stop sign many times a second.
fn join(thread: JoinHandle<io::Result<()>>) -> Result<(), Error> {
    match thread.join() {
        Ok(ended) => ended.map_err(Error::Terminal),
        Err(_) => Err(Error::Internal("the line editor has panicked".into())),
    }
}

/// The screen, of which the line editor has the lower part while a line is being typed.
#[derive(Clone)]
struct Canvas {
    above_the_line: SyncSender<String>,
    editing: Arc<Mutex<Editing>>,
}

#[derive(Default)]
struct Editing {
    /// Whether the editor owns the screen.
    active: bool,
    /// Texts that found no room in the editor's queue.
    missed: u64,
}

impl Canvas {
    fn new(above_the_line: SyncSender<String>) -> Self {
        Self { above_the_line, editing: Arc::default() }
    }

    /// Shows lines, above the line being typed if there is one. Never waits for the editor.
    fn print(&self, text: &str) -> io::Result<()> {
        let text = text.trim_end_matches('\n');
        if text.is_empty() {
            return Ok(());
        }
        let mut editing = self.lock();
        if !editing.active {
            return write_out(text);
        }
        if self.above_the_line.try_send(text.to_owned()).is_err() {
            editing.missed += 1;
        }
        Ok(())
    }

    /// Gives the screen to the editor until `edit` returns.
    fn while_editing<T>(&self, edit: impl FnOnce() -> T) -> io::Result<T> {
        self.lock().active = true;
        let result = edit();
        let mut editing = self.lock();
        editing.active = false;
        match std::mem::take(&mut editing.missed) {
            0 => {}
            missed => write_out(&format!("({missed} lines came too fast to be shown)"))?,
        }
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, Editing> {
        self.editing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    // It may be a secret.
    stdout.write_all(Zeroizing::new(format!("{text}\n")).as_bytes())?;
    stdout.flush()
}

/// What the driver sees of all this.
struct Window {
    canvas: Canvas,
    turns: Sender<Turn>,
}

/// It is the person's turn.
enum Turn {
    /// The next command may come.
    Command { account: Option<Username>, online: Vec<Username> },
    /// This is to be answered.
    Question(String),
}

impl Screen for Window {
    fn show(&mut self, text: &str) -> io::Result<()> {
        self.canvas.print(text)
    }

    fn show_failure(&mut self, failure: &Failure) -> io::Result<()> {
        if let Some(warning) = &failure.warning {
            self.canvas.print(warning)?;
        }
        self.canvas.print(&problem_text(&failure.message, failure.hint.as_deref()))
    }

    fn interrupted(&mut self) -> io::Result<()> {
        // The terminal has written ^C and stays on that line.
        write_out("")
    }

    fn ready(&mut self, account: Option<&Username>, online: &[Username]) {
        // If the reader is gone, its end of the input says so.
        let (account, online) = (account.cloned(), online.to_vec());
        let _ = self.turns.send(Turn::Command { account, online });
    }

    fn ask(&mut self, question: &str) {
        let _ = self.turns.send(Turn::Question(question.to_owned()));
    }
}

/// The thread that the line editor blocks.
struct LineReader {
    /// Always there; its settings change by value.
    editor: Option<Reedline>,
    /// Whether the program ends.
    stop: Arc<AtomicBool>,
    canvas: Canvas,
    words: Arc<Mutex<Words>>,
    /// What a line leaves open.
    questions: fn(&str, bool) -> &'static [Question],
    has_default_name: bool,
    default_port: u16,
}

/// What came of one line.
enum Typed {
    Line(String),
    /// Ctrl-C: never mind this line.
    Cancelled,
    /// Ctrl-D, or the program ends.
    Left,
}

impl LineReader {
    fn run(mut self, may_read: &Receiver<Turn>, lines: &mpsc::Sender<Input>) -> io::Result<()> {
        while let Ok(turn) = may_read.recv() {
            let line = match turn {
                Turn::Command { account, online } => self.read_command(account.as_ref(), online)?,
                Turn::Question(question) => self.read_answer(&question)?,
            };
            let Some(line) = line else { return Ok(()) };
            if lines.blocking_send(Input::Line(line)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A whole command. `None` if the person leaves.
    fn read_command(
        &mut self,
        account: Option<&Username>,
        online: Vec<Username>,
    ) -> io::Result<Option<String>> {
        let prompt = Label::prompt(&printable(account.map_or(NOBODY, Username::as_str)));
        self.expect(Expected::Command, Some(online));
        loop {
            match self.read(&prompt)? {
                Typed::Left => return Ok(None),
                Typed::Line(line) if !line.trim().is_empty() => {
                    if let Some(line) = self.complete(line)? {
                        return Ok(Some(line));
                    }
                }
                Typed::Line(_) | Typed::Cancelled => {}
            }
        }
    }

    /// The answer to a question of yes or no. Ctrl-C and Ctrl-D are no answer, which is no; the
    /// next Ctrl-D, at the prompt, leaves. `None` if the program ends.
    fn read_answer(&mut self, question: &str) -> io::Result<Option<String>> {
        self.expect(Expected::Anything, None);
        Ok(match self.read_unremembered(&Label::yes_or_no(&printable(question)))? {
            Typed::Line(line) => Some(line),
            Typed::Cancelled | Typed::Left if !self.stop.load(Ordering::Relaxed) => {
                Some(String::new())
            }
            Typed::Cancelled | Typed::Left => None,
        })
    }

    /// Asks for what the line leaves open. `None` if the person thinks better of it.
    fn complete(&mut self, mut line: String) -> io::Result<Option<String>> {
        for &question in (self.questions)(&line, self.has_default_name) {
            let expected = match question {
                Question::Payee => Expected::Name,
                Question::Name | Question::Port | Question::Amount => Expected::Anything,
            };
            self.expect(expected, None);
            let answer = self.read_unremembered(&Label::question(question, self.default_port));
            self.expect(Expected::Command, None);
            let Typed::Line(answer) = answer? else { return Ok(None) };
            let answer = answer.trim();
            if answer.is_empty() {
                if question == Question::Port {
                    continue;
                }
                return Ok(None);
            }
            if let Err(error) = lexicon::check_answer(question, answer) {
                self.canvas.print(&problem_text(&error.to_string(), Some(&error.hint())))?;
                return Ok(None);
            }
            line.push(' ');
            line.push_str(answer);
        }
        Ok(Some(line))
    }

    /// Reads a line that does not go into the history.
    fn read_unremembered(&mut self, prompt: &Label) -> io::Result<Typed> {
        self.remember_lines(false);
        let typed = self.read(prompt);
        self.remember_lines(true);
        typed
    }

    fn read(&mut self, prompt: &Label) -> io::Result<Typed> {
        let editor = self.editor.as_mut().expect("it is put back wherever it is taken");
        let signal = self.canvas.while_editing(|| editor.read_line(prompt))??;
        Ok(match signal {
            Signal::Success(line) => Typed::Line(line),
            Signal::CtrlC => Typed::Cancelled,
            Signal::ExternalBreak(_) => {
                // What follows is not to stand behind a line that was never finished.
                write_out("")?;
                Typed::Left
            }
            _ => Typed::Left,
        })
    }

    /// Whether what is typed goes into the history.
    fn remember_lines(&mut self, remember: bool) {
        // Every line begins with the empty prefix.
        let excluded_prefix = (!remember).then(String::new);
        let editor = self.editor.take();
        self.editor = editor.map(|editor| editor.with_history_exclusion_prefix(excluded_prefix));
    }

    fn expect(&self, expected: Expected, online: Option<Vec<Username>>) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.expected = expected;
        if let Some(online) = online {
            words.names = online.iter().map(|name| name.as_str().to_owned()).collect();
        }
    }
}

fn editor(
    printer: ExternalPrinter<String>,
    words: Arc<Mutex<Words>>,
    stop: Arc<AtomicBool>,
) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    let menu = ColumnarMenu::default().with_name(MENU);
    let editor = Reedline::create()
        .with_external_printer(printer)
        .with_poll_interval(POLL_INTERVAL)
        .with_break_signal(stop)
        .with_completer(Box::new(Completion::new(words)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_ansi_colors(std::env::var_os("NO_COLOR").is_none());
    // Without a file the history lasts as long as the program, which is not worth an error.
    match history_file().and_then(|path| FileBackedHistory::with_file(HISTORY_LINES_MAX, path).ok())
    {
        Some(history) => editor.with_history(Box::new(history)),
        None => editor,
    }
}

/// The file of the history, readable by its owner alone.
fn history_file() -> Option<PathBuf> {
    let directory = etcetera::choose_base_strategy().ok()?.state_dir()?.join("mite");
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).ok()?;
    let path = directory.join("history");
    OpenOptions::new().create(true).append(true).mode(0o600).open(&path).ok()?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).ok()?;
    Some(path)
}
