//! The demo: a server and two clients in one process, which pay each other through their own link,
//! step by step and in words.

use std::pin::pin;
use std::time::Duration;

use actix::{MailboxError, System};
use actors::messages::{
    AccountList, GoOnline, Leave, Pay, PaymentReport, ReadAccount, Register, WalletError,
    WalletEvent,
};
use slog::{Logger, o};
use tokio::time::timeout;
use wire::{Amount, Username};

use crate::announce;
use crate::client::Client;
use crate::config::DemoConfig;
use crate::error::Error;
use crate::server::Server;
use crate::terminal::{self, Inbox, WalletHandle};

const ALICE: &str = "alice";
const BOB: &str = "bob";
/// What is paid, unless the payer has less.
const PAID_MAX: Amount = Amount::new(25);
/// How long a goodbye may take: the server that hears it is in this process.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(3);

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
        let mut stop = pin!(announce::stop_signal()?);
        let data_dir = config.server.data_dir.display().to_string();
        let kept = if temporary.is_some() { "until the demo ends" } else { "for the next time" };
        let server = Server::start(config.server, &log.new(o!("role" => "server"))).await?;
        announce::line(&format!("listening on {}", server.address()));
        announce::line(&format!("1. A server is up. Its ledger is in {data_dir}, {kept}."));
        let mut alice = Actress::enter(ALICE, &server, log).await?;
        let mut bob = Actress::enter(BOB, &server, log).await?;
        let played = tokio::select! {
            biased;
            () = &mut stop => Ok(()),
            failed = play_and_stay(&mut alice, &mut bob, &server) => failed,
        };
        // Whoever says goodbye is not missed when the server stops.
        alice.leave().await;
        bob.leave().await;
        server.stop().await;
        played
    })
}

/// The play, and then no end: it returns only if something fails.
async fn play_and_stay(
    alice: &mut Actress,
    bob: &mut Actress,
    server: &Server,
) -> Result<(), Error> {
    perform(alice, bob).await?;
    announce::line(&format!(
        "The server stays up. Pay somebody yourself, in another terminal:\n    \
         {} --role client --server {} --name carol --p2p-port 0\n\
         {ALICE} and {BOB} stay online until Ctrl-C ends the demo.",
        own_command(),
        server.address()
    ));
    std::future::pending().await
}

/// How this program was called, to be called again.
fn own_command() -> String {
    std::env::args().next().unwrap_or_else(|| "node".to_owned())
}

/// The play, in five steps; the first is the server's.
async fn perform(alice: &mut Actress, bob: &mut Actress) -> Result<(), Error> {
    announce::line(&format!("2. {ALICE} and {BOB} connect and register:"));
    alice.register().await?;
    bob.register().await?;

    announce::line("3. They log in and listen for payments from their peers:");
    let (alice_has, bob_has) = (alice.log_in().await?, bob.log_in().await?);
    for user in &alice.read_account().await?.online {
        announce::line(&format!("   {ALICE} sees {} online at {}", user.name, user.address));
    }

    // Whoever has more: a ledger that is kept must not run dry after some demos.
    if bob_has > alice_has {
        pay(bob, alice, bob_has).await?;
    } else {
        pay(alice, bob, alice_has).await?;
    }

    let (alice_has, bob_has) =
        (alice.read_account().await?.balance, bob.read_account().await?.balance);
    announce::line(&format!(
        "5. {ALICE} has {alice_has}, {BOB} has {bob_has}. Nothing was lost or invented."
    ));
    Ok(())
}

async fn pay(payer: &Actress, payee: &mut Actress, balance: Amount) -> Result<(), Error> {
    let amount = balance.min(PAID_MAX);
    let (from, to) = (&payer.name, &payee.name);
    if amount == Amount::ZERO {
        // Their accounts are from another day, and somebody has had it all.
        announce::line(&format!("4. Neither {from} nor {to} has anything left to pay with."));
        return Ok(());
    }
    announce::line(&format!(
        "4. {from} hands {to} a payment of {amount} over their own connection; {to} takes it to the server:"
    ));
    match answer(payer.wallet.pay.send(Pay { payee: to.clone(), amount }).await)? {
        PaymentReport::Paid { .. } => announce::line(&format!("   {from} is told: paid")),
        other => return Err(Error::Internal(format!("the demo's payment failed: {other:?}"))),
    }
    if let WalletEvent::Received { payment, .. } = payee.inbox.next().await {
        let amount = payment.amount;
        announce::line(&format!("   {to} is told: {amount} received from {}", payment.payer));
    }
    Ok(())
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

    /// Returns the balance.
    async fn log_in(&self) -> Result<Amount, Error> {
        let port = self.client.listen(0).await?;
        let go_online = GoOnline { name: self.name.clone(), port };
        let account = answer(self.wallet.go_online.send(go_online).await)?;
        announce::line(&format!(
            "   {} has {} and listens on port {port}",
            self.name, account.balance
        ));
        Ok(account.balance)
    }

    async fn leave(&self) {
        // Nothing depends on it, and it may come in the middle of something else.
        let _ = timeout(GOODBYE_TIME_MAX, self.wallet.leave.send(Leave)).await;
    }

    async fn read_account(&self) -> Result<AccountList, Error> {
        answer(self.wallet.read_account.send(ReadAccount).await)
    }
}

fn answer<T>(answered: Result<Result<T, WalletError>, MailboxError>) -> Result<T, Error> {
    let answered = answered.map_err(|error| Error::Internal(error.to_string()))?;
    answered.map_err(|error| Error::Internal(format!("the demo went wrong: {error}")))
}
