//! The demo: a server and two clients in one process, which pay each other through their own link,
//! step by step and in words.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use actix::{MailboxError, System};
use actors::messages::{
    ComeOnline, OpenAccount, Overview, PayError, PayQuote, Payment, PaymentState, QuotePayment,
    ReadOverview, ReadReceipt, SayGoodbye, Start, WalletNews,
};
use slog::{Logger, o};
use tokio::time::timeout;
use wire::secure::Problem;
use wire::{Amount, Receipt, Username};

use crate::announce;
use crate::config::DemoConfig;
use crate::error::Error;
use crate::secure_client::{SecureClient, ServerTrust, parts_of};
use crate::server::Server;
use crate::terminal::{self, Inbox, SecureWalletHandle};

const ALICE: &str = "alice";
const BOB: &str = "bob";
/// What is paid, unless the payer has less.
const PAID_MAX: Amount = Amount::new(25);
/// What the payment says that it is for.
const MEMO: &str = "for the coffee";
/// Where the clients' keys are, beside the ledger.
const CLIENTS_DIR: &str = "clients";
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
        let clients = config.server.data_dir.join(CLIENTS_DIR);
        let kept = if temporary.is_some() { "until the demo ends" } else { "for the next time" };
        let server = Server::start(config.server, &log.new(o!("role" => "server"))).await?;
        announce::line(&format!("listening on {}", server.address()));
        announce::line(&format!("1. A server is up. Its ledger is in {data_dir}, {kept}."));
        announce::line(&format!(
            "   Its key, which its clients know it by, is {}",
            server.public_key()
        ));
        let mut alice = Actress::enter(ALICE, &server, &clients, log).await?;
        let mut bob = Actress::enter(BOB, &server, &clients, log).await?;
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
    perform(alice, bob, server).await?;
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
async fn perform(alice: &mut Actress, bob: &mut Actress, server: &Server) -> Result<(), Error> {
    announce::line(&format!(
        "2. {ALICE} and {BOB} connect, each with a key of their own, and register:"
    ));
    alice.register().await?;
    bob.register().await?;

    announce::line("3. They log in and listen for payments from their peers:");
    let (alice_has, bob_has) = (alice.log_in().await?, bob.log_in().await?);
    for peer in alice.read_overview().await?.peers.unwrap_or_default() {
        announce::line(&format!("   {ALICE} sees {} online at {}", peer.name, peer.address));
    }

    // Whoever has more: a ledger that is kept must not run dry after some demos.
    if bob_has > alice_has {
        pay(bob, alice, bob_has, server).await?;
    } else {
        pay(alice, bob, alice_has, server).await?;
    }

    let alice_has = alice.read_overview().await?.account.balance;
    let bob_has = bob.read_overview().await?.account.balance;
    announce::line(&format!(
        "5. {ALICE} has {alice_has}, {BOB} has {bob_has}. Nothing was lost or invented."
    ));
    Ok(())
}

async fn pay(
    payer: &Actress,
    payee: &mut Actress,
    balance: Amount,
    server: &Server,
) -> Result<(), Error> {
    let amount = balance.min(PAID_MAX);
    let (from, to) = (&payer.name, &payee.name);
    if amount == Amount::ZERO {
        // Their accounts are from another day, and somebody has had it all.
        announce::line(&format!("4. Neither {from} nor {to} has anything left to pay with."));
        return Ok(());
    }
    let memo = Some(MEMO.to_owned());
    let quote = QuotePayment { payee: to.clone(), amount, memo };
    let quote = answer(payer.wallet.quote.send(quote).await)?;
    let key = quote.payee.key.map(|key| key.to_string()).unwrap_or_default();
    announce::line(&format!(
        "4. {from} signs an order of {amount} for {to}, whose key is {key},\n   \
         and hands it over on their own connection; {to} takes it to the server:"
    ));
    let paid = answer(payer.wallet.pay.send(PayQuote(quote)).await)?;
    let Payment { id, state: PaymentState::Paid, .. } = paid else {
        return Err(Error::Internal(format!("the demo's payment failed: {paid:?}")));
    };
    announce::line(&format!("   {from} is told: paid, by a receipt that the server has signed"));
    if let WalletNews::Received { payer, amount, memo, .. } = payee.inbox.next().await {
        let memo = memo.unwrap_or_default();
        announce::line(&format!("   {to} is told: {amount} received from {payer}, \"{memo}\""));
    }
    let receipt = payer.wallet.read_receipt.send(ReadReceipt(id)).await;
    let receipt: Option<Receipt> = receipt.map_err(|error| Error::Internal(error.to_string()))?;
    let proven = receipt.as_ref().map(|receipt| receipt.verify(&server.public_key()));
    match proven {
        Some(Ok(proven)) => announce::line(&format!(
            "   The receipt proves it to anybody who knows the server's key: entry {} of the ledger, {}",
            proven.number,
            proven.time.to_utc()
        )),
        other => {
            return Err(Error::Internal(format!("the demo's receipt proves nothing: {other:?}")));
        }
    }
    Ok(())
}

/// One of the two clients.
struct Actress {
    name: Username,
    client: SecureClient,
    wallet: SecureWalletHandle,
    inbox: Inbox<WalletNews>,
}

impl Actress {
    async fn enter(
        name: &str,
        server: &Server,
        clients: &Path,
        log: &Logger,
    ) -> Result<Self, Error> {
        let name: Username = name.parse().expect("the names of the play are valid");
        let (news, inbox) = terminal::inbox();
        let log = log.new(o!("role" => "client", "user" => name.to_string()));
        let trust = ServerTrust::Given { key: server.public_key(), known: None };
        let parts = parts_of(clients, &name)?;
        let client = SecureClient::start(server.address(), trust, parts, news, &log)?;
        let wallet = client.wallet_handle();
        answer(wallet.start.send(Start).await)?;
        Ok(Self { name, client, wallet, inbox })
    }

    async fn register(&self) -> Result<(), Error> {
        match self.wallet.open_account.send(OpenAccount(self.name.clone())).await {
            Ok(Err(PayError::Problem(Problem::AlreadyRegistered))) => {
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
        let account = answer(self.wallet.come_online.send(ComeOnline(Some(port))).await)?;
        announce::line(&format!(
            "   {} has {} and listens on port {port}",
            self.name, account.balance
        ));
        Ok(account.balance)
    }

    async fn leave(&self) {
        // Nothing depends on it, and it may come in the middle of something else.
        let _ = timeout(GOODBYE_TIME_MAX, self.wallet.goodbye.send(SayGoodbye)).await;
    }

    async fn read_overview(&self) -> Result<Overview, Error> {
        answer(self.wallet.read_overview.send(ReadOverview).await)
    }
}

fn answer<T>(answered: Result<Result<T, PayError>, MailboxError>) -> Result<T, Error> {
    let answered = answered.map_err(|error| Error::Internal(error.to_string()))?;
    answered.map_err(|error| Error::Internal(format!("the demo went wrong: {error}")))
}
