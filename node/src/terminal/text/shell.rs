//! Does one command, by messages to the wallet, and remembers what the next one needs to know.

use actix::MailboxError;
use actors::messages::{
    AccountList, GoOnline, Leave, Pay, ReadAccount, Register, WalletError, WalletEvent,
};
use wire::{Amount, P2pPort, Username};

use super::command::{Command, LANGUAGE};
use super::view::{self, Request};
use super::{TerminalConfig, WalletHandle};
use crate::error::Error;
use crate::terminal::lexicon::Language;
use crate::terminal::listening::Listening;
use crate::terminal::shell::{self, Answer, Meaning, Reply, ShellEvent, Step, heard};
use crate::terminal::view::Failure;

/// What the terminal knows between two commands.
pub(in crate::terminal) struct Shell<L> {
    name: Option<Username>,
    wallet: WalletHandle,
    listening: Listening<L>,
    account: Option<Username>,
    online: Vec<Username>,
}

impl<L> shell::Shell for Shell<L>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
{
    type Command = Command;
    type Pending = std::convert::Infallible;
    type Event = WalletEvent;

    const LANGUAGE: Language<Command> = LANGUAGE;
    const LOOK_AFTER_INTERRUPT: &'static str = "balance";

    fn welcome(&self) -> String {
        view::welcome(self.name.as_ref())
    }

    fn first_command() -> Option<Command> {
        None
    }

    fn default_port(&self) -> u16 {
        self.listening.default_port()
    }

    fn account(&self) -> Option<&Username> {
        self.account.as_ref()
    }

    fn online(&self) -> &[Username] {
        &self.online
    }

    fn heed(&mut self, meaning: &Meaning) {
        if let Meaning::LoggedOut { .. } = meaning {
            self.account = None;
        }
    }

    async fn execute(&mut self, command: Command) -> Step<Self::Pending> {
        let done = match command {
            Command::Register(name) => self.register(name).await,
            Command::LogIn { name, port } => self.log_in(name, port).await,
            Command::List => {
                let list = self.read_account().await?;
                Ok(view::account_list(&list, self.account.as_ref()))
            }
            Command::Balance => Ok(view::balance(self.read_account().await?.balance)),
            Command::Pay { payee, amount } => self.pay(payee, amount).await,
        };
        done.map(Reply::Done)
    }

    async fn go_on(&mut self, pending: Self::Pending, _: Answer) -> Step<Self::Pending> {
        match pending {}
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        answer(self.wallet.leave.send(Leave).await, Request::Leave)
    }

    /// The text protocol knows of no payment any more once its outcome is told.
    async fn unknown_outcomes(&mut self) -> Vec<Failure> {
        Vec::new()
    }
}

impl ShellEvent for WalletEvent {
    fn text(&self) -> String {
        view::event(self)
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Received { .. } => Meaning::Received,
            Self::ServerLost(_) => Meaning::LoggedOut {
                ends_wait: Failure::new(
                    "no payment can come: the connection to the server is lost",
                    "'login' again once the server is back",
                ),
            },
            Self::NotReceived { .. } | Self::ServerSaid(_) => Meaning::Other,
        }
    }
}

impl<L> Shell<L>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
{
    pub(in crate::terminal) fn new(
        config: TerminalConfig,
        wallet: WalletHandle,
        listen: L,
    ) -> Self {
        let listening = Listening::new(config.p2p_port, listen);
        Self { name: config.name, wallet, listening, account: None, online: Vec::new() }
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
        let port = self.listening.on(port).await?;
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

    fn or_default(&self, name: Option<Username>, example: &str) -> Result<Username, Failure> {
        name.or_else(|| self.name.clone()).ok_or_else(|| {
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
    heard(reply, "balance")?.map_err(|error| view::wallet_failure(&error, request))
}
