//! What the driver, which takes commands and events as they come, needs of a protocol.

use actix::MailboxError;
use actors::messages::Payment;
use wire::{PublicKey, Username};
use zeroize::Zeroizing;

use super::lexicon::Language;
use super::view::Failure;

/// The commands of one protocol, done by messages to its wallet, and what the next command needs to
/// know.
pub(super) trait Shell {
    /// A line that makes sense and that only this protocol knows.
    type Command;
    /// What is still to be done once the person has answered.
    type Pending;
    /// What the wallet tells unasked.
    type Event: ShellEvent;

    const LANGUAGE: Language<Self::Command>;

    /// Where to look at what became of something that was not waited for.
    const LOOK_AFTER_INTERRUPT: &'static str;

    /// What a person sees first.
    fn welcome(&self) -> String;

    /// What is done before a person's first command.
    fn first_command() -> Option<Self::Command>;

    /// Where `login` listens without a port; 0 for any free one.
    fn default_port(&self) -> u16;

    /// Whose account it is, as far as is known.
    fn account(&self) -> Option<&Username>;

    /// Who was online when the server last said.
    fn online(&self) -> &[Username];

    /// Remembers what has happened meanwhile.
    fn heed(&mut self, meaning: &Meaning);

    /// Does a command, or the part of it that needs no answer.
    async fn execute(&mut self, command: Self::Command) -> Step<Self::Pending>;

    /// Goes on with a command.
    async fn go_on(&mut self, pending: Self::Pending, answer: Answer) -> Step<Self::Pending>;

    /// Says goodbye to the server.
    async fn leave(&mut self) -> Result<(), Failure>;

    /// Payments whose outcome nobody knows when a script ends, each as what is to be said of it.
    async fn unknown_outcomes(&mut self) -> Vec<Failure>;
}

/// How far a command has come.
pub(super) type Step<P> = Result<Reply<P>, Failure>;

/// What a command has brought.
pub(super) enum Reply<P> {
    /// All of it: a text to show, with or without a line end.
    Done(String),
    /// A part of it.
    Part(Part<P>),
}

/// What is to be shown, and perhaps asked, before a command goes on.
pub(super) struct Part<P> {
    /// Wiped from memory once it is shown: it may be a secret.
    pub(super) shown: Zeroizing<String>,
    /// Whether it is a secret: then it must not stand where a script's output is kept.
    pub(super) secret: bool,
    /// What to ask a person; `None` goes on at once.
    pub(super) ask: Option<Ask>,
    pub(super) pending: P,
}

/// A question that is answered with yes or no. Nothing but a clear yes is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// What stands before ` [y/N]`.
    pub(super) question: String,
    /// The answer where there is nobody to ask.
    pub(super) unasked: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
}

impl Answer {
    /// What a typed line means.
    pub(super) fn of(line: &str) -> Self {
        let line = line.trim();
        if line.eq_ignore_ascii_case("y") || line.eq_ignore_ascii_case("yes") {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// Something that the wallet tells unasked.
pub(super) trait ShellEvent: Send + 'static {
    /// In words.
    fn text(&self) -> String;

    /// What it means for who waits for payments.
    fn meaning(&self) -> Meaning;
}

/// What an event means to the driver, and through it to the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A payment came in.
    Received,
    /// Nobody is logged in any more, so no payment can come.
    LoggedOut {
        /// What a `wait` that it ends has to say.
        ends_wait: Failure,
    },
    /// The account has this key from now on.
    KeyChanged(PublicKey),
    /// This payment ended with the old key and can be made anew.
    EndedWithKey(Payment),
    /// Nothing that matters to it.
    Other,
}

/// What the wallet has answered, if it is still there to answer. `look` is where to look at what
/// became of a payment.
pub(super) fn heard<T>(reply: Result<T, MailboxError>, look: &str) -> Result<T, Failure> {
    reply.map_err(|(MailboxError::Closed | MailboxError::Timeout)| {
        Failure::new(
            "the wallet has stopped",
            format!("start the program again, and look at '{look}' before you repeat a payment"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for yes in ["y", "Y", "yes", " YES ", "Yes"] {
            assert_eq!(Answer::of(yes), Answer::Yes, "{yes:?}");
        }
        for no in ["", "n", "no", "ye", "yess", "y es", "ja", "1", "pay bob 10"] {
            assert_eq!(Answer::of(no), Answer::No, "{no:?}");
        }
    }
}
