//! The client's terminal: commands of a person or a script, and what is shown to them.
//!
//! | module | holds |
//! |---|---|
//! | `command` | lines in, commands out; pure |
//! | `view` | values in, sentences out; pure |
//! | `shell` | does one command, by messages to the wallet |
//! | `driver` | takes commands and events as they come |
//! | `script` | stdin and stdout that are no terminal |
//! | `interactive` | line editing, history, completion; events above the line being typed |
//!
//! It knows the wallet by the messages of [`WalletHandle`] only, and the P2P listener by one
//! function.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, Context, Handler, Recipient};
use actors::messages::{GoOnline, Leave, Pay, ReadAccount, Register, WalletEvent};
use tokio::sync::mpsc;
use wire::{P2pPort, Username};

use crate::error::Error;

mod command;
mod driver;
mod interactive;
mod script;
mod shell;
mod view;

/// Events that wait to be shown, at most: far more than anybody reads in the time that it takes to
/// print them.
const EVENTS_MAX: usize = 1024;

/// The messages that the terminal sends.
#[derive(Clone)]
#[allow(missing_docs, reason = "each is named after its message")]
pub struct WalletHandle {
    pub register: Recipient<Register>,
    pub go_online: Recipient<GoOnline>,
    pub read_account: Recipient<ReadAccount>,
    pub pay: Recipient<Pay>,
    pub leave: Recipient<Leave>,
}

/// What the terminal is started with.
pub struct TerminalConfig {
    /// Whom `login` and `register` mean without a name.
    pub name: Option<Username>,
    /// Where `login` listens without a port; 0 for any free one.
    pub p2p_port: u16,
}

/// Where the wallet's events arrive. Made before the wallet, which needs the sending end.
pub struct Inbox {
    events: mpsc::Receiver<WalletEvent>,
    missed: Arc<AtomicU64>,
}

/// Starts the receiver of the wallet's events. Needs an actix system.
pub fn inbox() -> (Recipient<WalletEvent>, Inbox) {
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let missed = Arc::new(AtomicU64::new(0));
    let receiver = EventReceiver { sender, missed: Arc::clone(&missed) }.start();
    (receiver.recipient(), Inbox { events, missed })
}

/// Takes commands until there are no more and says goodbye to the server. A person is spoken with if
/// stdin, stdout and stderr are all terminals; otherwise stdin is a script.
///
/// `listen` binds the P2P listener to a port (0 for any free one) and says which one it is. It is
/// called for the first log-in and, should that fail, for the next one; never again once it has
/// succeeded.
///
/// # Errors
/// [`Error::CommandsFailed`] if stdin is not a terminal and a command failed, [`Error::Terminal`] if
/// the terminal or the standard output cannot be used.
pub async fn run(
    config: TerminalConfig,
    wallet: WalletHandle,
    inbox: Inbox,
    listen: impl AsyncFnMut(u16) -> Result<P2pPort, Error>,
) -> Result<(), Error> {
    // The line editor draws on the standard error.
    let interactive =
        io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    let name = config.name.clone();
    let shell = shell::Shell::new(config, wallet, listen);
    if interactive {
        interactive::run(shell, inbox, name).await
    } else {
        script::run(shell, inbox).await
    }
}

/// Passes the wallet's events on to wherever the terminal waits for them.
struct EventReceiver {
    sender: mpsc::Sender<WalletEvent>,
    missed: Arc<AtomicU64>,
}

impl Actor for EventReceiver {
    type Context = Context<Self>;
}

impl Handler<WalletEvent> for EventReceiver {
    type Result = ();

    fn handle(&mut self, event: WalletEvent, _: &mut Self::Context) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(event) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Inbox {
    /// The next event. Waits for ever once nobody can send one any more.
    pub(crate) async fn next(&mut self) -> WalletEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn try_next(&mut self) -> Option<WalletEvent> {
        self.events.try_recv().ok()
    }

    /// How many events were lost since this was last asked.
    fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
