//! The client's terminal: commands of a person or a script, and what is shown to them.
//!
//! | module | holds |
//! |---|---|
//! | `lexicon` | how lines are read; pure |
//! | `view` | values in, sentences out; pure |
//! | `shell` | what a protocol's commands look like to the rest |
//! | `driver` | takes commands and events as they come |
//! | `signals` | Ctrl-C and SIGTERM |
//! | `script` | stdin and stdout that are no terminal |
//! | `interactive` | line editing, history, completion; events above the line being typed |
//! | `listening` | the P2P listener, as `login` knows it |
//! | `text`, `secure` | the commands of either protocol, by messages to its wallet |
//!
//! It knows a wallet by the messages of [`WalletHandle`] or [`SecureWalletHandle`] only, and the
//! P2P listener by one function.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, Context, Handler, Message, Recipient};
use actors::messages::WalletEvent;
use tokio::sync::mpsc;

use crate::cli::Protocol;
use crate::error::Error;

pub use self::lexicon::Typed;
pub use secure::{
    KeyRotation, NextKey, SecureTerminalConfig, SecureWalletHandle, run as run_secure, run_commands,
};
pub use text::{TerminalConfig, WalletHandle, run};

mod driver;
mod interactive;
mod lexicon;
mod listening;
mod script;
mod secure;
mod shell;
mod signals;
mod text;
mod view;

/// Events that wait to be shown, at most: far more than anybody reads in the time that it takes to
/// print them.
const EVENTS_MAX: usize = 1024;

/// Where the wallet's events arrive. Made before the wallet, which needs the sending end.
pub struct Inbox<E = WalletEvent> {
    events: mpsc::Receiver<E>,
    missed: Arc<AtomicU64>,
}

/// Starts the receiver of the wallet's events. Needs an actix system.
pub fn inbox<E>() -> (Recipient<E>, Inbox<E>)
where
    E: Message<Result = ()> + Send + Unpin + 'static,
{
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let missed = Arc::new(AtomicU64::new(0));
    let receiver = EventReceiver { sender, missed: Arc::clone(&missed) }.start();
    (receiver.recipient(), Inbox { events, missed })
}

/// Reads one line as the terminal of this protocol does.
///
/// # Errors
/// What is wrong with it, and a hint.
pub(crate) fn read_line(protocol: Protocol, line: &str) -> Result<Typed, (String, String)> {
    let read = match protocol {
        Protocol::Secure => secure::command::LANGUAGE.read(line),
        Protocol::Text => text::command::LANGUAGE.read(line),
    };
    read.map_err(|error| (error.to_string(), error.hint()))
}

/// Speaks with a person, or takes a script, until there are no more commands.
async fn converse<S: shell::Shell>(
    shell: S,
    inbox: Inbox<S::Event>,
    has_default_name: bool,
) -> Result<(), Error> {
    // The line editor draws on the standard error.
    let interactive =
        io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    if interactive {
        interactive::run(shell, inbox, has_default_name).await
    } else {
        script::run(shell, inbox).await
    }
}

/// Passes the wallet's events on to wherever the terminal waits for them.
struct EventReceiver<E> {
    sender: mpsc::Sender<E>,
    missed: Arc<AtomicU64>,
}

impl<E: Unpin + 'static> Actor for EventReceiver<E> {
    type Context = Context<Self>;
}

impl<E> Handler<E> for EventReceiver<E>
where
    E: Message<Result = ()> + Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, event: E, _: &mut Self::Context) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(event) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<E> Inbox<E> {
    /// The next event. Waits for ever once nobody can send one any more.
    pub(crate) async fn next(&mut self) -> E {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn try_next(&mut self) -> Option<E> {
        self.events.try_recv().ok()
    }

    /// How many events were lost since this was last asked.
    fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}
