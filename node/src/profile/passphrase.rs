//! Where the passphrase of a key comes from.
//!
//! In this order: `--passphrase-file`, `--no-passphrase`, the environment variable
//! `MITE_PASSPHRASE`, the person at the terminal. A passphrase is taken byte for byte, as it was
//! given; only the end of its line does not belong to it.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use actors::reason::reason;
use zeroize::Zeroizing;

use super::directory::OTHERS;

/// The environment variable.
pub(crate) const ENVIRONMENT_NAME: &str = "MITE_PASSPHRASE";

/// The shortest passphrase of a new key, in characters. At 0.1 s for each guess, all of eight
/// random lower-case letters take a processor 660 years, or a thousand of them eight months; with
/// seven it would be nine days, and the file would only look protected.
const CHARS_MIN: usize = 8;
/// The longest one, in bytes: a page of text, and far from what a line of a wrong file may have.
const BYTES_MAX: usize = 1024;
/// How often a person is asked before it must be a misunderstanding.
pub(super) const QUESTIONS_MAX: usize = 3;

/// A secret that a key is encrypted with. Wiped from memory when dropped; `Debug` does not show it.
pub(crate) struct Passphrase(Zeroizing<String>);

impl Passphrase {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    #[cfg(test)]
    pub(super) fn for_tests(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What protects a key at rest.
#[derive(Debug)]
pub(crate) enum Protection {
    /// It is encrypted.
    Passphrase(Passphrase),
    /// Nothing but the permissions of its file, as its owner has said in so many words.
    Nothing,
}

/// What a passphrase is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A new key: it must be long enough, and a person types it twice.
    NewKey,
    /// A key that is there.
    OldKey,
}

/// What was said about the passphrase when the program was started.
#[derive(Default)]
pub(crate) struct Sources {
    /// `--passphrase-file`.
    pub(crate) file: Option<PathBuf>,
    /// `--no-passphrase`.
    pub(crate) none: bool,
    /// The value of the environment variable.
    pub(crate) environment: Option<Zeroizing<Vec<u8>>>,
}

impl Sources {
    /// With what stands in the environment.
    ///
    /// The environment itself cannot be wiped: whoever may look into the process can read it there
    /// for as long as it runs, which is why a file is better.
    pub(crate) fn new(file: Option<PathBuf>, none: bool) -> Self {
        let environment = std::env::var_os(ENVIRONMENT_NAME);
        Self { file, none, environment: environment.map(OsString::into_vec).map(Zeroizing::new) }
    }

    /// Whether it is a person at the terminal who says it: one who mistypes it may try again.
    pub(super) fn ask_a_person(&self, prompt: &impl Prompt) -> bool {
        self.file.is_none() && !self.none && self.environment.is_none() && prompt.is_possible()
    }

    /// The protection that these say, or a person at the terminal.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub(crate) fn obtain(
        &self,
        purpose: Purpose,
        prompt: &mut impl Prompt,
    ) -> Result<Protection, PassphraseError> {
        let passphrase = match (&self.file, self.none, &self.environment) {
            (Some(_), true, _) => return Err(PassphraseError::Contradiction),
            (Some(path), false, _) => from_file(path)?,
            (None, true, _) => return Ok(Protection::Nothing),
            (None, false, Some(value)) => from_environment(value)?,
            (None, false, None) if prompt.is_possible() => ask(purpose, prompt)?,
            (None, false, None) => return Err(PassphraseError::NoSource),
        };
        if purpose == Purpose::NewKey {
            check_length(&passphrase)?;
        }
        Ok(Protection::Passphrase(Passphrase(passphrase)))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("none", &self.none)
            .field("environment", &self.environment.as_ref().map(|_| ".."))
            .finish()
    }
}

/// Asks a person.
pub(crate) trait Prompt {
    /// Whether there is one.
    fn is_possible(&self) -> bool;

    /// Shows the question and takes a line of the answer, without its end.
    ///
    /// # Errors What the terminal says; [`io::ErrorKind::Interrupted`] or
    /// [`io::ErrorKind::UnexpectedEof`] if the person does not want to answer.
    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>>;

    /// Says why it asks once more.
    fn complain(&mut self, complaint: &str);
}

/// The terminal of this process. What is typed is not shown.
///
/// To be used once SIGINT is caught: Ctrl-C sends it to the process, and one that dies of it leaves
/// a terminal behind that shows nothing of what is typed.
#[derive(Debug)]
pub(crate) struct Terminal;

impl Prompt for Terminal {
    fn is_possible(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        rpassword::prompt_password(question).map(Zeroizing::new)
    }

    fn complain(&mut self, complaint: &str) {
        // Nobody reads it: then the next question will fail and say so.
        let _ = writeln!(io::stderr(), "{complaint}");
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassphraseError {
    /// Nobody said one, and there is nobody to ask.
    #[error("there is no passphrase for the key, and no terminal to ask for it")]
    NoSource,
    /// There is to be one and none.
    #[error("--passphrase-file and --no-passphrase contradict each other")]
    Contradiction,
    /// The file cannot be read.
    #[error("cannot read the passphrase file {}: {}", path.display(), reason(source))]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Group or others have permissions on it.
    #[error("others than its owner have access to the passphrase file {}", path.display())]
    FileExposed {
        /// The file.
        path: PathBuf,
    },
    /// The first line of the file or the variable is empty.
    #[error("the passphrase in {0} is empty")]
    Empty(String),
    /// It is longer than any, or not text.
    #[error("the passphrase in {0} is not a line of text of at most {BYTES_MAX} bytes")]
    NotText(String),
    /// It is too short for a new key.
    #[error(
        "the passphrase is too short: whoever copies the key file could guess fewer than \
         {CHARS_MIN} characters"
    )]
    TooShort,
    /// The person typed two different ones, again and again.
    #[error("the two passphrases were different")]
    Different,
    /// The person did not answer.
    #[error("stopped: no passphrase was typed")]
    Cancelled,
    /// The terminal is gone or cannot be used.
    #[error("cannot ask for the passphrase: {}", reason(.0))]
    Terminal(#[source] io::Error),
}

impl PassphraseError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Cancelled => "nothing was changed; start again when you know it".into(),
            Self::NoSource | Self::Different | Self::Terminal(_) => format!(
                "give it with --passphrase-file FILE, in {ENVIRONMENT_NAME}, or at a terminal; \
                 --no-passphrase keeps the key unencrypted"
            ),
            Self::Contradiction => "leave one of them out".into(),
            Self::FileUnreadable { .. } => "check the path given with --passphrase-file".into(),
            Self::FileExposed { path } => format!("chmod 600 {}", path.display()),
            Self::Empty(_) => {
                "write one, or keep the key unencrypted with --no-passphrase and nothing else"
                    .into()
            }
            Self::NotText(_) => "the passphrase is the first line, in UTF-8".into(),
            Self::TooShort => {
                "take a longer one: a few random words are easy to type and hard to guess".into()
            }
        }
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    let unreadable = |source| PassphraseError::FileUnreadable { path: path.into(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.permissions().mode() & OTHERS != 0 {
        return Err(PassphraseError::FileExposed { path: path.into() });
    }
    // The longest one with the end of its line, and large enough from the start: a buffer that
    // grows leaves copies behind.
    let length = BYTES_MAX + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    let limit = u64::try_from(length).expect("a thousand is a u64");
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    text(line, || path.display().to_string())
}

fn from_environment(value: &[u8]) -> Result<Zeroizing<String>, PassphraseError> {
    text(value, || format!("the environment variable {ENVIRONMENT_NAME}"))
}

fn text(bytes: &[u8], place: impl Fn() -> String) -> Result<Zeroizing<String>, PassphraseError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PassphraseError::NotText(place()))?;
    match text.len() {
        0 => Err(PassphraseError::Empty(place())),
        1..=BYTES_MAX => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(PassphraseError::NotText(place())),
    }
}

fn ask(purpose: Purpose, prompt: &mut impl Prompt) -> Result<Zeroizing<String>, PassphraseError> {
    match purpose {
        Purpose::OldKey => question(prompt, "passphrase: "),
        Purpose::NewKey => {
            let mut questions_left = QUESTIONS_MAX;
            loop {
                questions_left -= 1;
                match ask_twice(prompt) {
                    Err(error @ (PassphraseError::TooShort | PassphraseError::Different))
                        if questions_left > 0 =>
                    {
                        prompt.complain(&error.to_string());
                    }
                    answer => return answer,
                }
            }
        }
    }
}

fn ask_twice(prompt: &mut impl Prompt) -> Result<Zeroizing<String>, PassphraseError> {
    let first = question(prompt, "passphrase for the new key: ")?;
    check_length(&first)?;
    let second = question(prompt, "the same once more: ")?;
    if *first == *second { Ok(first) } else { Err(PassphraseError::Different) }
}

fn question(
    prompt: &mut impl Prompt,
    question: &str,
) -> Result<Zeroizing<String>, PassphraseError> {
    let answer = prompt.ask(question).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => PassphraseError::Cancelled,
        _ => PassphraseError::Terminal(error),
    })?;
    // What no file could hold later is refused now.
    if answer.len() > BYTES_MAX {
        return Err(PassphraseError::NotText("the answer".into()));
    }
    Ok(answer)
}

fn check_length(passphrase: &str) -> Result<(), PassphraseError> {
    if passphrase.chars().count() < CHARS_MIN { Err(PassphraseError::TooShort) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
