//! Takes commands and events as they come, one command at a time, until there are no more.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use wire::Username;
use zeroize::Zeroizing;

use super::Inbox;
use super::lexicon::Line;
use super::shell::{Answer, Ask, Meaning, Part, Reply, Shell, ShellEvent as _, Step};
use super::signals::Signals;
use super::view::{self, Failure};
use crate::error::Error;

/// How long a goodbye may take: nothing depends on it, the server notices the closed connection
/// too.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(3);

/// What comes from whoever gives the commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line, without its end.
    Line(String),
    /// Something that is not a line of text, and why.
    Unreadable(&'static str),
}

/// Where everything is shown. An error ends the terminal.
pub(super) trait Screen {
    /// Shows lines of text, with or without a last line end.
    fn show(&mut self, text: &str) -> io::Result<()>;
    /// The same for a secret.
    fn show_secret(&mut self, text: &str) -> io::Result<()> {
        self.show(text)
    }
    /// Shows what has failed.
    fn show_failure(&mut self, failure: &Failure) -> io::Result<()>;
    /// Ctrl-C has stopped a command.
    fn interrupted(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// The next command may come.
    fn ready(&mut self, _account: Option<&Username>, _online: &[Username]) {}
    /// The next line is to be the answer to this question; asked of a person only.
    fn ask(&mut self, _question: &str) {}
}

/// How the commands went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) commands: u64,
    pub(super) failed: u64,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) tally: Tally,
    /// Payments that nobody knows the outcome of.
    pub(super) unknown: usize,
}

pub(super) struct Driver<'s, C: Shell, S> {
    shell: C,
    inbox: Inbox<C::Event>,
    signals: Signals,
    screen: &'s mut S,
    tally: Tally,
    /// Payments to me that no `wait` has waited for yet.
    unclaimed: u64,
    /// Whether a person gives the commands: then questions are asked, and Ctrl-C stops what is
    /// under way only, and not the program.
    person: bool,
}

/// What follows a command.
enum Next {
    Command,
    /// The program ends; the goodbye is said already if it was a command.
    End {
        goodbye_said: bool,
    },
}

/// What became of the future that was watched while events came.
enum Watched<T> {
    Done(T),
    Interrupted,
    Terminated,
}

impl<T> Watched<T> {
    fn map<U>(self, map: impl FnOnce(T) -> U) -> Watched<U> {
        match self {
            Self::Done(done) => Watched::Done(map(done)),
            Self::Interrupted => Watched::Interrupted,
            Self::Terminated => Watched::Terminated,
        }
    }
}

impl<'s, C: Shell, S: Screen> Driver<'s, C, S> {
    pub(super) fn new(
        shell: C,
        inbox: Inbox<C::Event>,
        screen: &'s mut S,
        person: bool,
    ) -> Result<Self, Error> {
        let (tally, unclaimed) = (Tally::default(), 0);
        let signals = Signals::catch()?;
        Ok(Self { shell, inbox, signals, screen, tally, unclaimed, person })
    }

    /// Works off the input, then says goodbye to the server, whatever has happened.
    pub(super) async fn run(mut self, mut input: mpsc::Receiver<Input>) -> io::Result<Ended> {
        let ended = self.run_commands(&mut input).await;
        let unknown = match &ended {
            Ok(_) if !self.person => self.tell_unknown_outcomes().await,
            _ => Ok(0),
        };
        let goodbye_said = matches!(ended, Ok(true));
        if !goodbye_said {
            // Nobody asked for it as a command, so nobody waits for its outcome.
            let _ = timeout(GOODBYE_TIME_MAX, self.shell.leave()).await;
        }
        ended?;
        let unknown = unknown?;
        self.show_events()?;
        Ok(Ended { tally: self.tally, unknown })
    }

    /// A script that ends has nobody to whom its payments' outcomes could be told later.
    async fn tell_unknown_outcomes(&mut self) -> io::Result<usize> {
        let unknown = self.shell.unknown_outcomes().await;
        for failure in &unknown {
            self.screen.show_failure(failure)?;
        }
        Ok(unknown.len())
    }

    /// Shows the events that are here. No more of them come meanwhile: whatever passes them on runs
    /// on this thread.
    fn show_events(&mut self) -> io::Result<()> {
        while let Some(event) = self.inbox.try_next() {
            self.show_event(&event)?;
        }
        Ok(())
    }

    async fn run_commands(&mut self, input: &mut mpsc::Receiver<Input>) -> io::Result<bool> {
        if let Some(first) = C::first_command().filter(|_| self.person) {
            let outcome = self.execute(first, input).await?;
            if let Next::End { goodbye_said } = self.conclude(outcome)? {
                return Ok(goodbye_said);
            }
        }
        loop {
            self.screen.ready(self.shell.account(), self.shell.online());
            let line = match self.next_input(input).await? {
                Watched::Done(Some(line)) => line,
                Watched::Done(None) | Watched::Interrupted | Watched::Terminated => {
                    return Ok(false);
                }
            };
            if let Next::End { goodbye_said } = self.obey(line, input).await? {
                return Ok(goodbye_said);
            }
        }
    }

    async fn next_input(
        &mut self,
        input: &mut mpsc::Receiver<Input>,
    ) -> io::Result<Watched<Option<Input>>> {
        loop {
            tokio::select! {
                biased;
                _ = self.signals.terminate.recv() => return Ok(Watched::Terminated),
                _ = self.signals.interrupt.recv() => {
                    if !self.person {
                        return Ok(Watched::Interrupted);
                    }
                }
                // Before the events: a server that floods us must not keep the person from leaving.
                line = input.recv() => {
                    self.show_events()?;
                    return Ok(Watched::Done(line));
                }
                event = self.inbox.next() => {
                    self.show_event(&event)?;
                }
            }
        }
    }

    async fn obey(&mut self, line: Input, input: &mut mpsc::Receiver<Input>) -> io::Result<Next> {
        let parsed = match line {
            Input::Line(line) => (C::LANGUAGE.parse)(&line)
                .map_err(|error| Failure::new(error.to_string(), error.hint())),
            Input::Unreadable(reason) => Err(Failure::new(reason, "'help' shows all commands")),
        };
        let line = match parsed {
            Ok(None) => return Ok(Next::Command),
            Ok(Some(line)) => Ok(line),
            Err(failure) => Err(failure),
        };
        self.tally.commands += 1;
        let leaving = matches!(line, Ok(Line::Exit));
        let watched = match line {
            Ok(Line::Exit) => self.leave().await,
            Ok(Line::Help) => Watched::Done(Ok(view::help(&(C::LANGUAGE.usages)()))),
            Ok(Line::Wait(limit)) => self.wait(limit).await?,
            Ok(Line::Command(command)) => self.execute(command, input).await?,
            Err(failure) => Watched::Done(Err(failure)),
        };
        let next = self.conclude(watched)?;
        Ok(if leaving { Next::End { goodbye_said: true } } else { next })
    }

    /// Says how a command went.
    fn conclude(&mut self, watched: Watched<Result<String, Failure>>) -> io::Result<Next> {
        let outcome = match watched {
            Watched::Done(outcome) => outcome,
            Watched::Interrupted if self.person => {
                self.screen.interrupted()?;
                Err(Failure::new(
                    "stopped waiting for the answer",
                    format!(
                        "what you asked for may still be done: look at '{}'",
                        C::LOOK_AFTER_INTERRUPT
                    ),
                ))
            }
            Watched::Interrupted | Watched::Terminated => {
                return Ok(Next::End { goodbye_said: false });
            }
        };
        self.show_outcome(outcome)?;
        Ok(Next::Command)
    }

    fn show_outcome(&mut self, outcome: Result<String, Failure>) -> io::Result<()> {
        match outcome {
            Ok(text) => self.screen.show(&text),
            Err(failure) => {
                self.tally.failed += 1;
                self.screen.show_failure(&failure)
            }
        }
    }

    /// Does a command, with whatever is to be shown and asked in between.
    async fn execute(
        &mut self,
        command: C::Command,
        input: &mut mpsc::Receiver<Input>,
    ) -> io::Result<Watched<Result<String, Failure>>> {
        let mut watched = self.watch(async |shell: &mut C| shell.execute(command).await).await?;
        loop {
            let Part { shown, secret, ask, pending } = match watched {
                Watched::Done(Ok(Reply::Part(part))) => part,
                Watched::Done(Ok(Reply::Done(text))) => return Ok(Watched::Done(Ok(text))),
                Watched::Done(Err(failure)) => return Ok(Watched::Done(Err(failure))),
                Watched::Interrupted => return Ok(Watched::Interrupted),
                Watched::Terminated => return Ok(Watched::Terminated),
            };
            if secret {
                self.screen.show_secret(&shown)?;
            } else {
                self.screen.show(&shown)?;
            }
            drop::<Zeroizing<String>>(shown);
            let answer = match self.answer(ask, input).await? {
                Watched::Done(answer) => answer,
                Watched::Interrupted => return Ok(Watched::Interrupted),
                Watched::Terminated => return Ok(Watched::Terminated),
            };
            watched = self.watch(async |shell: &mut C| shell.go_on(pending, answer).await).await?;
        }
    }

    /// The answer of the person, or the one where there is none.
    async fn answer(
        &mut self,
        ask: Option<Ask>,
        input: &mut mpsc::Receiver<Input>,
    ) -> io::Result<Watched<Answer>> {
        let Some(Ask { question, unasked }) = ask else { return Ok(Watched::Done(Answer::Yes)) };
        if !self.person {
            return Ok(Watched::Done(unasked));
        }
        self.screen.ask(&question);
        Ok(match self.next_input(input).await? {
            Watched::Done(None) => Watched::Terminated,
            answered => answered.map(|line| match line {
                Some(Input::Line(line)) => Answer::of(&line),
                Some(Input::Unreadable(_)) | None => Answer::No,
            }),
        })
    }

    /// Shows what happens while the shell works.
    async fn watch<F>(&mut self, work: F) -> io::Result<Watched<Step<C::Pending>>>
    where
        F: AsyncFnOnce(&mut C) -> Step<C::Pending>,
    {
        let Self { shell, inbox, signals, screen, unclaimed, .. } = self;
        // A log-in ends once and a key changes seldom, with at most as many payments as may be open.
        let mut to_heed = Vec::new();
        let watched = {
            let mut work = pin!(work(shell));
            loop {
                tokio::select! {
                    biased;
                    _ = signals.terminate.recv() => break Watched::Terminated,
                    _ = signals.interrupt.recv() => break Watched::Interrupted,
                    // Before the events, for the same reason as the input is.
                    outcome = &mut work => break Watched::Done(outcome),
                    event = inbox.next() => {
                        let meaning = event.meaning();
                        show_event::<C>(*screen, inbox, &event)?;
                        if meaning == Meaning::Received {
                            *unclaimed += 1;
                        } else if meaning != Meaning::Other && !to_heed.contains(&meaning) {
                            to_heed.push(meaning);
                        }
                    }
                }
            }
        };
        for meaning in &to_heed {
            shell.heed(meaning);
        }
        // What came before the outcome is shown before it.
        self.show_events()?;
        Ok(watched)
    }

    /// Waits for a payment that no earlier wait has counted: one that came while the script was
    /// busy with something else has come too.
    async fn wait(&mut self, limit: Duration) -> io::Result<Watched<Result<String, Failure>>> {
        let deadline = Instant::now() + limit;
        while self.unclaimed == 0 {
            let event = tokio::select! {
                biased;
                _ = self.signals.terminate.recv() => return Ok(Watched::Terminated),
                _ = self.signals.interrupt.recv() => return Ok(Watched::Interrupted),
                event = timeout_at(deadline, self.inbox.next()) => event,
            };
            let Ok(event) = event else {
                return Ok(Watched::Done(Err(Failure::new(
                    format!("no payment came within {} seconds", limit.as_secs()),
                    "are you logged in, and does the payer know your name?",
                ))));
            };
            if let Meaning::LoggedOut { ends_wait } = self.show_event(&event)? {
                return Ok(Watched::Done(Err(ends_wait)));
            }
        }
        self.unclaimed -= 1;
        Ok(Watched::Done(Ok(String::new())))
    }

    async fn leave(&mut self) -> Watched<Result<String, Failure>> {
        let left = timeout(GOODBYE_TIME_MAX, self.shell.leave()).await.unwrap_or_else(|_| {
            Err(Failure::new("the server does not answer", "left without its goodbye"))
        });
        Watched::Done(left.map(|()| view::GOODBYE.to_owned()))
    }

    fn show_event(&mut self, event: &C::Event) -> io::Result<Meaning> {
        let meaning = event.meaning();
        match meaning {
            Meaning::Received => self.unclaimed += 1,
            Meaning::LoggedOut { .. } | Meaning::KeyChanged(_) | Meaning::EndedWithKey(_) => {
                self.shell.heed(&meaning);
            }
            Meaning::Other => {}
        }
        show_event::<C>(self.screen, &self.inbox, event)?;
        Ok(meaning)
    }
}

fn show_event<C: Shell>(
    screen: &mut impl Screen,
    inbox: &Inbox<C::Event>,
    event: &C::Event,
) -> io::Result<()> {
    screen.show(&event.text())?;
    match inbox.take_missed() {
        0 => Ok(()),
        missed => screen.show(&view::events_missed(missed)),
    }
}
