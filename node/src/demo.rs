//! The demo: a server and two clients in one process, which pay each other through their own link,
//! step by step and in words.

use actix::{MailboxError, System};
use actors::messages::{
    AccountList, GoOnline, Pay, PaymentReport, ReadAccount, Register, WalletError, WalletEvent,
};
use slog::{Logger, o};
use wire::{Amount, Username};

use crate::announce;
use crate::client::Client;
use crate::config::DemoConfig;
use crate::error::Error;
use crate::server::Server;
use crate::terminal::{self, Inbox, WalletHandle};

const PAYER: &str = "alice";
const PAYEE: &str = "bob";
const PAID: Amount = Amount::new(25);

/// The demo, from start to Ctrl-C.
pub(crate) fn run(mut config: DemoConfig, log: &Logger) -> Result<(), Error> {
    let temporary = if config.temporary_data {
        let made = tempfile::Builder::new().prefix("mite-demo-").tempdir();
        let made =
            made.map_err(|source| Error::DataDirectory { path: std::env::temp_dir(), source })?;
        made.path().clone_into(&mut config.server.data_dir);
        Some(made)
    } else {
        None
    };
    System::new().block_on(async {
        let stop = announce::stop_signal()?;
        let data_dir = config.server.data_dir.display().to_string();
        let kept = if temporary.is_some() { "until the demo ends" } else { "for the next time" };
        let server = Server::start(config.server, &log.new(o!("role" => "server"))).await?;
        announce::line(&format!("listening on {}", server.address()));
        announce::line(&format!("1. A server is up. Its ledger is in {data_dir}, {kept}."));
        let (payer, payee) = perform(&server, log).await?;
        announce::line(&format!(
            "The server stays up. Pay somebody yourself, in another terminal:\n    \
             {} --role client --server {} --name carol --p2p-port 0\n\
             {PAYER} and {PAYEE} stay online until Ctrl-C ends the demo.",
            own_command(),
            server.address()
        ));
        stop.await;
        drop((payer, payee));
        server.stop().await;
        Ok(())
    })
}

/// How this program was called, to be called again.
fn own_command() -> String {
    std::env::args().next().unwrap_or_else(|| "node".to_owned())
}

/// The play, in five steps; the first is the server's. The actors stay on stage.
async fn perform(server: &Server, log: &Logger) -> Result<(Actress, Actress), Error> {
    let payer = Actress::enter(PAYER, server, log).await?;
    let mut payee = Actress::enter(PAYEE, server, log).await?;
    announce::line(&format!("2. {PAYER} and {PAYEE} connect and register:"));
    payer.register().await?;
    payee.register().await?;

    announce::line("3. They log in and listen for payments from their peers:");
    payer.log_in().await?;
    payee.log_in().await?;
    let list = payer.read_account().await?;
    for user in &list.online {
        announce::line(&format!("   {PAYER} sees {} online at {}", user.name, user.address));
    }

    announce::line(&format!(
        "4. {PAYER} hands {PAYEE} a payment of {PAID} over their own connection; {PAYEE} takes it to the server:"
    ));
    let pay = Pay { payee: payee.name.clone(), amount: PAID };
    match answer(payer.wallet.pay.send(pay).await)? {
        PaymentReport::Paid { .. } => announce::line(&format!("   {PAYER} is told: paid")),
        other => return Err(Error::Internal(format!("the demo's payment failed: {other:?}"))),
    }
    if let WalletEvent::Received { payment, .. } = payee.inbox.next().await {
        let (amount, from) = (payment.amount, payment.payer);
        announce::line(&format!("   {PAYEE} is told: {amount} received from {from}"));
    }

    let (left, has) = (payer.read_account().await?.balance, payee.read_account().await?.balance);
    announce::line(&format!(
        "5. {PAYER} has {left}, {PAYEE} has {has}. Nothing was lost or invented."
    ));
    Ok((payer, payee))
}

/// One of the two clients.
struct Actress {
    name: Username,
    client: Client,
    wallet: WalletHandle,
    inbox: Inbox,
}

impl Actress {
    async fn enter(name: &str, server: &Server, log: &Logger) -> Result<Self, Error> {
        let name: Username = name.parse().expect("the names of the play are valid");
        let (events, inbox) = terminal::inbox();
        let log = log.new(o!("role" => "client", "user" => name.to_string()));
        let client = Client::connect(server.address(), events, &log).await?;
        let wallet = client.wallet_handle();
        Ok(Self { name, client, wallet, inbox })
    }

    async fn register(&self) -> Result<(), Error> {
        match self.wallet.register.send(Register(self.name.clone())).await {
            Ok(Err(WalletError::Refused(_))) => {
                announce::line(&format!("   {} is known here already", self.name));
                Ok(())
            }
            registered => {
                answer(registered)?;
                announce::line(&format!("   {} has an account", self.name));
                Ok(())
            }
        }
    }

    async fn log_in(&self) -> Result<(), Error> {
        let port = self.client.listen(0).await?;
        let go_online = GoOnline { name: self.name.clone(), port };
        let account = answer(self.wallet.go_online.send(go_online).await)?;
        announce::line(&format!(
            "   {} has {} and listens on port {port}",
            self.name, account.balance
        ));
        Ok(())
    }

    async fn read_account(&self) -> Result<AccountList, Error> {
        answer(self.wallet.read_account.send(ReadAccount).await)
    }
}

fn answer<T>(answered: Result<Result<T, WalletError>, MailboxError>) -> Result<T, Error> {
    let answered = answered.map_err(|error| Error::Internal(error.to_string()))?;
    answered.map_err(|error| Error::Internal(format!("the demo went wrong: {error}")))
}
