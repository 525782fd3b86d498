//! The terminal of the text protocol.

use actix::Recipient;
use actors::messages::{GoOnline, Leave, Pay, ReadAccount, Register, WalletEvent};
use wire::{P2pPort, Username};

use super::Inbox;
use crate::error::Error;

pub(super) mod command;
mod shell;
mod view;

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

/// Takes commands until there are no more and says goodbye to the server. A person is spoken with
/// if stdin, stdout and stderr are all terminals; otherwise stdin is a script.
///
/// `listen` binds the P2P listener to a port (0 for any free one) and says which one it is. It is
/// called for the first log-in and, should that fail, for the next one; never again once it has
/// succeeded.
///
/// # Errors
/// [`Error::CommandsFailed`] if stdin is not a terminal and a command failed, [`Error::Terminal`]
/// if the terminal or the standard output cannot be used.
pub async fn run(
    config: TerminalConfig,
    wallet: WalletHandle,
    inbox: Inbox<WalletEvent>,
    listen: impl AsyncFnMut(u16) -> Result<P2pPort, Error>,
) -> Result<(), Error> {
    let has_name = config.name.is_some();
    super::converse(shell::Shell::new(config, wallet, listen), inbox, has_name).await
}

#[cfg(test)]
mod tests;
