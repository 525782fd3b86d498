//! Takes commands and events as they come, one command at a time, until there are no more.

use std::io;
use std::pin::pin;
use std::time::Duration;

use actors::messages::WalletEvent;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use wire::{P2pPort, Username};

use super::Inbox;
use super::command::{self, Command};
use super::shell::Shell;
use super::view::{self, Failure};
use crate::error::Error;

/// How long a goodbye may take: nothing depends on it, the server notices the closed connection too.
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
    /// Shows what has failed.
    fn show_failure(&mut self, failure: &Failure) -> io::Result<()>;
    /// Ctrl-C has stopped a command.
    fn interrupted(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// The next command may come.
    fn ready(&mut self, _account: Option<&Username>, _online: &[Username]) {}
}

/// What the system may ask of the process.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn catch() -> Result<Self, Error> {
        let catch = |kind| signal(kind).map_err(Error::Terminal);
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }
}

/// How the commands went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) commands: u64,
    pub(super) failed: u64,
}

pub(super) struct Driver<'s, L, S> {
    shell: Shell<L>,
    inbox: Inbox,
    signals: Signals,
    screen: &'s mut S,
    tally: Tally,
    /// Payments to me that no `wait` has waited for yet.
    unclaimed: u64,
    /// Whether Ctrl-C stops what is under way only, and not the program.
    interrupt_stops_command: bool,
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

impl<'s, L, S> Driver<'s, L, S>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
    S: Screen,
{
    pub(super) fn new(
        shell: Shell<L>,
        inbox: Inbox,
        screen: &'s mut S,
        interrupt_stops_command: bool,
    ) -> Result<Self, Error> {
        let (tally, unclaimed) = (Tally::default(), 0);
        let signals = Signals::catch()?;
        Ok(Self { shell, inbox, signals, screen, tally, unclaimed, interrupt_stops_command })
    }

    /// Works off the input, then says goodbye to the server, whatever has happened.
    pub(super) async fn run(mut self, mut input: mpsc::Receiver<Input>) -> io::Result<Tally> {
        let ended = self.run_commands(&mut input).await;
        let goodbye_said = matches!(ended, Ok(true));
        if !goodbye_said {
            // Nobody asked for it as a command, so nobody waits for its outcome.
            let _ = timeout(GOODBYE_TIME_MAX, self.shell.leave()).await;
        }
        ended?;
        self.show_events()?;
        Ok(self.tally)
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
        loop {
            self.screen.ready(self.shell.account(), self.shell.online());
            let line = match self.next_input(input).await? {
                Watched::Done(Some(line)) => line,
                Watched::Done(None) | Watched::Interrupted | Watched::Terminated => {
                    return Ok(false);
                }
            };
            if let Next::End { goodbye_said } = self.obey(line).await? {
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
                    if !self.interrupt_stops_command {
                        return Ok(Watched::Interrupted);
                    }
                }
                // Before the events: a server that floods us must not keep the person from leaving.
                line = input.recv() => {
                    self.show_events()?;
                    return Ok(Watched::Done(line));
                }
                event = self.inbox.next() => self.show_event(&event)?,
            }
        }
    }

    async fn obey(&mut self, line: Input) -> io::Result<Next> {
        let parsed = match line {
            Input::Line(line) => {
                command::parse(&line).map_err(|error| Failure::new(error.to_string(), error.hint()))
            }
            Input::Unreadable(reason) => Err(Failure::new(reason, "'help' shows all commands")),
        };
        let command = match parsed {
            Ok(None) => return Ok(Next::Command),
            Ok(Some(command)) => Ok(command),
            Err(failure) => Err(failure),
        };
        self.tally.commands += 1;
        let leaving = command == Ok(Command::Exit);
        let watched = match command {
            Ok(Command::Exit) => self.leave().await,
            Ok(Command::Wait(limit)) => self.wait(limit).await?,
            Ok(command) => self.execute(command).await?,
            Err(failure) => Watched::Done(Err(failure)),
        };
        let outcome = match watched {
            Watched::Done(outcome) => outcome,
            Watched::Interrupted if self.interrupt_stops_command => {
                self.screen.interrupted()?;
                Err(Failure::new(
                    "stopped waiting for the answer",
                    "what you asked for may still be done: look at 'balance'",
                ))
            }
            Watched::Interrupted | Watched::Terminated => {
                return Ok(Next::End { goodbye_said: false });
            }
        };
        self.show_outcome(outcome)?;
        Ok(if leaving { Next::End { goodbye_said: true } } else { Next::Command })
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

    async fn execute(&mut self, command: Command) -> io::Result<Watched<Result<String, Failure>>> {
        let Self { shell, inbox, signals, screen, unclaimed, .. } = self;
        let mut lost = false;
        let watched = {
            let mut work = pin!(shell.execute(command));
            loop {
                tokio::select! {
                    biased;
                    _ = signals.terminate.recv() => break Watched::Terminated,
                    _ = signals.interrupt.recv() => break Watched::Interrupted,
                    // Before the events, for the same reason as the input is.
                    outcome = &mut work => break Watched::Done(outcome),
                    event = inbox.next() => {
                        lost |= matches!(event, WalletEvent::ServerLost(_));
                        *unclaimed += u64::from(matches!(event, WalletEvent::Received { .. }));
                        show_event(*screen, inbox, &event)?;
                    }
                }
            }
        };
        if lost {
            shell.forget_log_in();
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
            self.show_event(&event)?;
            if let WalletEvent::ServerLost(_) = event {
                return Ok(Watched::Done(Err(Failure::new(
                    "no payment can come: the connection to the server is lost",
                    "'login' again once the server is back",
                ))));
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

    fn show_event(&mut self, event: &WalletEvent) -> io::Result<()> {
        match event {
            WalletEvent::Received { .. } => self.unclaimed += 1,
            WalletEvent::ServerLost(_) => self.shell.forget_log_in(),
            WalletEvent::NotReceived { .. } | WalletEvent::ServerSaid(_) => {}
        }
        show_event(self.screen, &self.inbox, event)
    }
}

fn show_event(screen: &mut impl Screen, inbox: &Inbox, event: &WalletEvent) -> io::Result<()> {
    screen.show(&view::event(event))?;
    match inbox.take_missed() {
        0 => Ok(()),
        missed => screen.show(&view::events_missed(missed)),
    }
}
