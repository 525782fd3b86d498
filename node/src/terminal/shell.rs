//! Does one command, by messages to the wallet, and remembers what the next one needs to know.

use actix::MailboxError;
use actors::messages::{AccountList, GoOnline, Leave, Pay, ReadAccount, Register, WalletError};
use wire::{Amount, P2pPort, Username};

use super::command::Command;
use super::view::{self, Failure, Request};
use super::{TerminalConfig, WalletHandle};
use crate::error::Error;

/// What the terminal knows between two commands.
pub(super) struct Shell<L> {
    config: TerminalConfig,
    wallet: WalletHandle,
    listen: L,
    port: Option<P2pPort>,
    account: Option<Username>,
    online: Vec<Username>,
}

impl<L> Shell<L>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
{
    pub(super) fn new(config: TerminalConfig, wallet: WalletHandle, listen: L) -> Self {
        Self { config, wallet, listen, port: None, account: None, online: Vec::new() }
    }

    /// Where `login` listens without a port; 0 for any free one.
    pub(super) fn default_port(&self) -> u16 {
        self.port.map_or(self.config.p2p_port, P2pPort::get)
    }

    /// Who is logged in.
    pub(super) fn account(&self) -> Option<&Username> {
        self.account.as_ref()
    }

    /// Who was online when the server last said.
    pub(super) fn online(&self) -> &[Username] {
        &self.online
    }

    /// The connection to the server is gone, and the log-in with it.
    pub(super) fn forget_log_in(&mut self) {
        self.account = None;
    }

    /// Does everything except to wait and to leave, which are the driver's matter. Gives the text
    /// to show, with or without a line end.
    pub(super) async fn execute(&mut self, command: Command) -> Result<String, Failure> {
        match command {
            Command::Help | Command::Wait(_) | Command::Exit => Ok(view::help()),
            Command::Register(name) => self.register(name).await,
            Command::LogIn { name, port } => self.log_in(name, port).await,
            Command::List => {
                let list = self.read_account().await?;
                Ok(view::account_list(&list, self.account.as_ref()))
            }
            Command::Balance => Ok(view::balance(self.read_account().await?.balance)),
            Command::Pay { payee, amount } => self.pay(payee, amount).await,
        }
    }

    /// Says goodbye to the server.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        answer(self.wallet.leave.send(Leave).await, Request::Leave)
    }

    async fn register(&mut self, name: Option<Username>) -> Result<String, Failure> {
        let name = self.or_default(name, "register alice")?;
        let asked = self.wallet.register.send(Register(name.clone())).await;
        answer(asked, Request::Register)?;
        Ok(view::registered(&name))
    }

    async fn log_in(
        &mut self,
        name: Option<Username>,
        port: Option<u16>,
    ) -> Result<String, Failure> {
        let name = self.or_default(name, "login alice")?;
        let port = self.listen_on(port).await?;
        let asked = self.wallet.go_online.send(GoOnline { name: name.clone(), port }).await;
        let list = answer(asked, Request::LogIn)?;
        self.account = Some(name.clone());
        self.remember(&list);
        let list = view::account_list(&list, self.account.as_ref());
        Ok(format!("{}\n{list}", view::logged_in(&name, port)))
    }

    async fn pay(&mut self, payee: Username, amount: Amount) -> Result<String, Failure> {
        let asked = self.wallet.pay.send(Pay { payee: payee.clone(), amount }).await;
        let report = answer(asked, Request::Pay)?;
        view::payment_report(&report, &payee, amount)
    }

    async fn read_account(&mut self) -> Result<AccountList, Failure> {
        let list = answer(self.wallet.read_account.send(ReadAccount).await, Request::Read)?;
        self.remember(&list);
        Ok(list)
    }

    fn remember(&mut self, list: &AccountList) {
        self.online = list.online.iter().map(|user| user.name.clone()).collect();
    }

    /// The port on which the listener is bound, once for the whole program: peers that have seen
    /// the list must find it where the list says.
    async fn listen_on(&mut self, asked: Option<u16>) -> Result<P2pPort, Failure> {
        if let Some(port) = self.port {
            return match asked {
                Some(asked) if asked != 0 && asked != port.get() => Err(Failure::new(
                    format!("already listening on port {port}"),
                    "leave the port out, or start another client for another port",
                )),
                _ => Ok(port),
            };
        }
        let wanted = asked.unwrap_or(self.config.p2p_port);
        let port = (self.listen)(wanted)
            .await
            .map_err(|error| Failure { message: error.to_string(), hint: error.hint() })?;
        self.port = Some(port);
        Ok(port)
    }

    fn or_default(&self, name: Option<Username>, example: &str) -> Result<Username, Failure> {
        name.or_else(|| self.config.name.clone()).ok_or_else(|| {
            Failure::new(
                "no name is given",
                format!("write: {example}, or start the program with --name"),
            )
        })
    }
}

/// The wallet's answer, or what is to be said in its place.
fn answer<T>(
    reply: Result<Result<T, WalletError>, MailboxError>,
    request: Request,
) -> Result<T, Failure> {
    match reply {
        Ok(reply) => reply.map_err(|error| view::wallet_failure(&error, request)),
        Err(MailboxError::Closed | MailboxError::Timeout) => Err(Failure::new(
            "the wallet has stopped",
            "start the program again, and look at 'balance' before you repeat a payment",
        )),
    }
}
