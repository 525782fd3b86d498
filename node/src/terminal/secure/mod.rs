//! The terminal of the secure protocol.

use actix::{Actor, Addr, Context, Handler, Recipient};
use actors::messages::{
    ComeOnline, OpenAccount, PayQuote, QuotePayment, ReadOverview, ReadOwnHistory, ReadPayments,
    ReadReceipt, RotateKey, SayGoodbye, Signer, Start, Started, TrustPeer, WalletNews,
};
use wire::{P2pPort, PublicKey, Username};
use zeroize::Zeroizing;

use super::Inbox;
use crate::announce;
use crate::error::Error;

pub(super) mod command;
mod export;
mod paying;
mod receipts;
mod rotating;
mod shell;
mod view;

/// The messages that the terminal sends.
#[derive(Clone)]
#[allow(missing_docs, reason = "each is named after its message")]
pub struct SecureWalletHandle {
    pub start: Recipient<Start>,
    pub open_account: Recipient<OpenAccount>,
    pub come_online: Recipient<ComeOnline>,
    pub read_overview: Recipient<ReadOverview>,
    pub quote: Recipient<QuotePayment>,
    pub pay: Recipient<PayQuote>,
    pub trust_peer: Recipient<TrustPeer>,
    pub read_payments: Recipient<ReadPayments>,
    pub read_receipt: Recipient<ReadReceipt>,
    pub read_history: Recipient<ReadOwnHistory>,
    pub rotate_key: Recipient<RotateKey>,
    pub goodbye: Recipient<SayGoodbye>,
}

impl SecureWalletHandle {
    /// The messages of an actor that takes all of them.
    pub fn new<W>(wallet: &Addr<W>) -> Self
    where
        W: Actor<Context = Context<W>>
            + Handler<Start>
            + Handler<OpenAccount>
            + Handler<ComeOnline>
            + Handler<ReadOverview>
            + Handler<QuotePayment>
            + Handler<PayQuote>
            + Handler<TrustPeer>
            + Handler<ReadPayments>
            + Handler<ReadReceipt>
            + Handler<ReadOwnHistory>
            + Handler<RotateKey>
            + Handler<SayGoodbye>,
    {
        Self {
            start: wallet.clone().recipient(),
            open_account: wallet.clone().recipient(),
            come_online: wallet.clone().recipient(),
            read_overview: wallet.clone().recipient(),
            quote: wallet.clone().recipient(),
            pay: wallet.clone().recipient(),
            trust_peer: wallet.clone().recipient(),
            read_payments: wallet.clone().recipient(),
            read_receipt: wallet.clone().recipient(),
            read_history: wallet.clone().recipient(),
            rotate_key: wallet.clone().recipient(),
            goodbye: wallet.clone().recipient(),
        }
    }
}

/// What the terminal is started with.
pub struct SecureTerminalConfig<R> {
    /// Whom `register` means without a name.
    pub name: Option<Username>,
    /// Where `login` listens without a port; 0 for any free one.
    pub p2p_port: u16,
    /// Whether `login` without a port stays off the list.
    pub unlisted: bool,
    /// Makes and keeps the keys that `rotate-key` needs.
    pub rotation: R,
}

/// Keeps the key that is to take the place of the account's.
pub trait KeyRotation {
    /// Makes the next key and stores it durably beside the current one; gives the one that is
    /// stored there already, if there is one: a change to it may have begun.
    ///
    /// # Errors
    /// Any that says why it cannot be stored; then there is no new key.
    fn next_key(&mut self) -> impl Future<Output = Result<NextKey, Error>>;

    /// This is the account's key, as its server says: puts the next key in the place of the current
    /// one if this is the next key's public half, and does nothing if it is the current one's.
    ///
    /// # Errors
    /// Any that says why the files stay as they are. It is asked again, then or when the program is
    /// started the next time.
    fn settle_on(&mut self, key: &PublicKey) -> Result<(), Error>;
}

/// A key that is stored and not in use.
pub struct NextKey {
    /// The key.
    pub signer: Signer,
    /// The 24 words that restore it, with a space between them.
    pub words: Zeroizing<String>,
}

/// Takes commands until there are no more and says goodbye to the server. A person is spoken with
/// if stdin, stdout and stderr are all terminals; otherwise stdin is a script.
///
/// `listen` binds the P2P listener, as for [`super::run`]. It is not called for a log-in that stays
/// off the list.
///
/// # Errors
/// If stdin is not a terminal: [`Error::CommandsFailed`] if a command failed,
/// [`Error::OutcomesUnknown`] if a payment is still open. [`Error::Terminal`] if the terminal or
/// the standard output cannot be used.
pub async fn run(
    config: SecureTerminalConfig<impl KeyRotation>,
    wallet: SecureWalletHandle,
    inbox: Inbox<WalletNews>,
    listen: impl AsyncFnMut(u16) -> Result<P2pPort, Error>,
) -> Result<(), Error> {
    let has_name = config.name.is_some();
    super::converse(shell::Shell::new(config, wallet, listen), inbox, has_name).await
}

/// Tells what this wallet found at its start, does these commands, as a script would, and says goodbye
/// to the server.
///
/// # Errors
/// [`Error::CommandsFailed`], [`Error::Terminal`]. That payments are open is shown and is no error.
pub async fn run_commands(
    config: SecureTerminalConfig<impl KeyRotation>,
    wallet: SecureWalletHandle,
    started: Started,
    inbox: Inbox<WalletNews>,
    commands: &[&str],
) -> Result<(), Error> {
    let nobody =
        async |port| Err(Error::Internal(format!("nobody asked to listen on port {port}")));
    let mut shell = shell::Shell::new(config, wallet, nobody);
    let found = shell.began(started);
    if !found.is_empty() {
        announce::line(found.trim_end());
    }
    match super::script::run_lines(shell, inbox, commands).await {
        Err(Error::OutcomesUnknown { .. }) => Ok(()),
        ended => ended,
    }
}

#[cfg(test)]
mod tests;
