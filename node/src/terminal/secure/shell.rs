//! Does one command, by messages to the wallet, and remembers what the next one needs to know.
//! Payments, receipts and key changes have their own modules.

use actix::{Message, Recipient};
use actors::messages::{
    ComeOnline, OpenAccount, Overview, PayError, Payment, PaymentState, ReadOverview,
    ReadOwnHistory, ReadPayments, SayGoodbye, Start, Started, TrustPeer, WalletNews,
};
use wire::secure::OwnAccount;
use wire::{NewUsername, P2pPort, PublicKey, Username};
use zeroize::Zeroizing;

use super::command::{Command, LANGUAGE, Reach};
use super::view::{self, Request, pay_failure, records};
use super::{KeyRotation, SecureTerminalConfig, SecureWalletHandle};
use crate::error::Error;
use crate::printable::printable;
use crate::terminal::lexicon::Language;
use crate::terminal::listening::Listening;
use crate::terminal::shell::{self, Answer, Meaning, Part, Reply, ShellEvent, Step, heard};
use crate::terminal::view::Failure;

use super::paying::{Pending, Renewal};

/// Where to look at what became of a payment.
pub(super) const LOOK: &str = "payments";
/// Decided payments that `payments` shows: about a screen.
const PAYMENTS_SHOWN_MAX: usize = 20;

/// Asked where the payments were told of before, among other things.
const ENDED_QUESTION: &str = "make the payments that ended with the old key anew now, one by one?";

/// What the terminal knows between two commands.
pub(in crate::terminal) struct Shell<L, R> {
    name: Option<Username>,
    unlisted: bool,
    pub(super) wallet: SecureWalletHandle,
    listening: Listening<L>,
    pub(super) rotation: R,
    /// Whose keys these are; `None` until the wallet has started.
    pub(super) keys: Option<Keys>,
    account: Option<OwnAccount>,
    online: Vec<Username>,
    /// The account has this key, and the profile's files may not say so yet.
    unsettled: Option<PublicKey>,
    /// Payments that ended with the old key, until it is asked whether to make them anew. No more than
    /// the wallet has open at once.
    ended: Vec<Payment>,
}

/// The keys of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) server: PublicKey,
    pub(super) own: PublicKey,
}

impl<L, R> shell::Shell for Shell<L, R>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
    R: KeyRotation,
{
    type Command = Command;
    type Pending = Pending;
    type Event = WalletNews;

    const LANGUAGE: Language<Command> = LANGUAGE;
    const LOOK_AFTER_INTERRUPT: &'static str = LOOK;

    fn welcome(&self) -> String {
        view::welcome()
    }

    /// A person sees at once who is who, and what became of open payments.
    fn first_command() -> Option<Command> {
        Some(Command::Id)
    }

    fn default_port(&self) -> u16 {
        self.listening.default_port()
    }

    fn account(&self) -> Option<&Username> {
        self.account.as_ref().map(|account| &account.name)
    }

    fn online(&self) -> &[Username] {
        &self.online
    }

    fn heed(&mut self, meaning: &Meaning) {
        match meaning {
            Meaning::LoggedOut { .. } => self.online.clear(),
            Meaning::KeyChanged(key) => self.unsettled = Some(*key),
            Meaning::EndedWithKey(payment) => self.ended.push(payment.clone()),
            Meaning::Received | Meaning::Other => {}
        }
    }

    async fn execute(&mut self, command: Command) -> Step<Pending> {
        let mut shown = self.settle_key();
        if self.keys.is_none() && self.needs_server(&command).await? {
            shown.push_str(&self.start().await?);
        }
        if shown.is_empty() {
            let done = self.run(command).await;
            return self.then_offer(done);
        }
        let pending = Pending::Run(command);
        let shown = Zeroizing::new(shown);
        Ok(Reply::Part(Part { shown, secret: false, ask: None, pending }))
    }

    async fn go_on(&mut self, pending: Pending, answer: Answer) -> Step<Pending> {
        let done = self.follow(pending, answer).await;
        self.then_offer(done)
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        if self.keys.is_none() {
            return Ok(());
        }
        ask(&self.wallet.goodbye, SayGoodbye, Request::Leave).await
    }

    async fn unknown_outcomes(&mut self) -> Vec<Failure> {
        match heard(self.wallet.read_payments.send(ReadPayments { limit: 0 }).await, LOOK) {
            Ok(payments) => {
                let unknown = |payment: &&Payment| {
                    matches!(payment.state, PaymentState::Open | PaymentState::OutOfReach)
                };
                payments.iter().filter(unknown).map(view::unknown_outcome).collect()
            }
            Err(failure) => vec![failure],
        }
    }
}

impl ShellEvent for WalletNews {
    fn text(&self) -> String {
        view::news(self)
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Received { .. } => Meaning::Received,
            Self::Replaced => Meaning::LoggedOut {
                ends_wait: Failure::new(
                    "no payment can come: another program has logged in to this account",
                    "'login' takes the account back",
                ),
            },
            Self::KeyChanged(key) => Meaning::KeyChanged(*key),
            Self::KeyReplaced { .. } => Meaning::LoggedOut {
                ends_wait: Failure::new(
                    "no payment can come: another device has changed the key",
                    "use the profile with the new one",
                ),
            },
            Self::Decided(payment) if payment.ended_with_key() => {
                Meaning::EndedWithKey(payment.clone())
            }
            Self::NotReceived { .. }
            | Self::Checking { .. }
            | Self::Decided(_)
            | Self::PeerKeyMismatch { .. }
            | Self::ServerLost(_)
            | Self::ServerBack => Meaning::Other,
        }
    }
}

impl<L, R> Shell<L, R>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
    R: KeyRotation,
{
    pub(in crate::terminal) fn new(
        config: SecureTerminalConfig<R>,
        wallet: SecureWalletHandle,
        listen: L,
    ) -> Self {
        let SecureTerminalConfig { name, p2p_port, unlisted, rotation } = config;
        let listening = Listening::new(p2p_port, listen);
        Self {
            name,
            unlisted,
            wallet,
            listening,
            rotation,
            keys: None,
            account: None,
            online: Vec::new(),
            unsettled: None,
            ended: Vec::new(),
        }
    }

    async fn run(&mut self, command: Command) -> Step<Pending> {
        let done = match command {
            Command::Pay { payee, amount, memo } => return self.quote(payee, amount, memo).await,
            Command::RotateKey => return Ok(Self::explain_rotation()),
            Command::Register(name) => self.register(name).await,
            Command::LogIn { name, reach } => self.log_in(name, reach).await,
            Command::List => self.read_overview().await.map(|overview| view::overview(&overview)),
            Command::Balance => {
                self.read_overview().await.map(|overview| view::balance(overview.account.balance))
            }
            Command::Whois(name) => self.who_is(name).await,
            Command::Trust { name, key } => self.trust(name, key).await,
            Command::History(limit) => {
                let request = ReadOwnHistory { before: None, limit };
                let page = ask(&self.wallet.read_history, request, Request::Read).await;
                page.map(|page| records::history(&page))
            }
            Command::Payments => {
                let payments = self.payments(PAYMENTS_SHOWN_MAX).await;
                payments.map(|payments| records::payments(&payments))
            }
            Command::Receipts => self.list_receipts().await,
            Command::Receipt { id, export } => self.show_receipt(&id, export.as_deref()).await,
            Command::Id => self.tell_identity().await,
        };
        done.map(Reply::Done)
    }

    /// Goes on with a command.
    async fn follow(&mut self, pending: Pending, answer: Answer) -> Step<Pending> {
        match (pending, answer) {
            (Pending::Run(command), _) => self.run(command).await,
            (Pending::Pay(quote), Answer::Yes) => self.pay(quote).await.map(Reply::Done),
            (Pending::Pay(_), Answer::No) => Ok(Reply::Done("nothing was paid".into())),
            (Pending::MakeKey, Answer::Yes) => self.make_key().await,
            (Pending::ChangeKey(signer), Answer::Yes) => self.change_key(signer).await,
            (Pending::MakeKey, Answer::No) => Ok(Reply::Done("your key is as it was".into())),
            (Pending::ChangeKey(_), Answer::No) => Ok(Reply::Done(
                "your key is as it was; 'rotate-key' shows the words of the new one again".into(),
            )),
            (Pending::Renew(Renewal { quote: Some(quote), rest }), Answer::Yes) => {
                Ok(self.pay_anew(quote, rest).await)
            }
            (Pending::Renew(Renewal { quote: None, .. }), Answer::No) => {
                Ok(Reply::Done(String::new()))
            }
            (Pending::Renew(Renewal { rest, .. }), _) => Ok(self.renew(rest).await),
        }
    }

    /// Behind a command that is done, asks whether to make payments anew that have ended with the old key
    /// unasked: when the change was found out, or when they were decided later. In a script nothing of
    /// this is asked for; what to write was told with each.
    fn then_offer(&mut self, done: Step<Pending>) -> Step<Pending> {
        match done {
            Ok(Reply::Done(told)) if !self.ended.is_empty() => {
                let ended = std::mem::take(&mut self.ended);
                Ok(Reply::Part(Self::offer_anew(told, ENDED_QUESTION, ended)))
            }
            done => done,
        }
    }

    /// Connects. Gives what became of payments that were open, if there were any.
    async fn start(&mut self) -> Result<String, Failure> {
        let started = ask(&self.wallet.start, Start, Request::Read).await?;
        Ok(self.began(started))
    }

    /// The wallet has started. Gives what became of payments that were open, if there were any.
    pub(super) fn began(&mut self, started: Started) -> String {
        let Started { server, key, account, payments } = started;
        self.keys = Some(Keys { server, own: key });
        self.account = account;
        self.unsettled = Some(key);
        self.ended.extend(payments.iter().filter(|payment| payment.ended_with_key()).cloned());
        format!("{}{}", self.settle_key(), view::found_open(&payments))
    }

    /// Has the profile's files follow the account's key. Gives what is to be said if they do not:
    /// the next command tries again.
    pub(super) fn settle_key(&mut self) -> String {
        let Some(key) = self.unsettled else { return String::new() };
        if let Some(keys) = &mut self.keys {
            keys.own = key;
        }
        match self.rotation.settle_on(&key) {
            Ok(()) => {
                self.unsettled = None;
                String::new()
            }
            Err(error) => {
                let error = error.to_string();
                let error = printable(&error);
                format!("warning: the account's new key is not in the place of the old: {error}\n")
            }
        }
    }

    /// The account has this key from now on.
    pub(super) fn key_changed(&mut self, key: PublicKey) -> String {
        self.unsettled = Some(key);
        self.settle_key()
    }

    async fn tell_identity(&mut self) -> Result<String, Failure> {
        let keys = self.keys()?;
        if self.account.is_some() {
            // The balance of now; without a server the last one is better than nothing.
            let _ = self.read_overview().await;
        }
        Ok(view::identity(&keys.server, &keys.own, self.account.as_ref()))
    }

    async fn register(&mut self, name: Option<Username>) -> Result<String, Failure> {
        let name = name.or_else(|| self.name.clone()).ok_or_else(|| {
            Failure::new(
                "no name is given",
                "write: register alice, or start the program with --name",
            )
        })?;
        let name = NewUsername::try_from(name).map_err(|error| {
            Failure::new(error.to_string(), "a name is letters of one script, such as alice")
        })?;
        let request = OpenAccount(name.into());
        let account = ask(&self.wallet.open_account, request, Request::Register).await?;
        let told = view::registered(&account);
        self.account = Some(account);
        Ok(told)
    }

    async fn log_in(&mut self, name: Option<Username>, reach: Reach) -> Result<String, Failure> {
        let Some(account) = &self.account else {
            return Err(pay_failure(&PayError::NoAccount, Request::LogIn));
        };
        if let Some(name) = name.filter(|name| *name != account.name) {
            let (own, name) = (printable(account.name.as_str()), printable(name.as_str()));
            return Err(Failure::new(
                format!("this key's account is {own}, not {name}"),
                format!("write: login, or start the program with --profile {name}"),
            ));
        }
        let port = match reach {
            Reach::Unlisted => None,
            Reach::Default if self.unlisted => None,
            Reach::Default => Some(self.listening.on(None).await?),
            Reach::Port(port) => Some(self.listening.on(Some(port)).await?),
        };
        let account = ask(&self.wallet.come_online, ComeOnline(port), Request::LogIn).await?;
        let told = view::logged_in(&account, port);
        let balance = view::balance(account.balance);
        self.account = Some(account);
        // Logged in is logged in, whether or not there is a list to show.
        let shown = self.read_overview().await.map(|overview| view::overview(&overview));
        Ok(format!("{told}\n{}", shown.unwrap_or(balance)))
    }

    pub(super) async fn read_overview(&mut self) -> Result<Overview, Failure> {
        let overview = ask(&self.wallet.read_overview, ReadOverview, Request::Read).await?;
        self.account = Some(overview.account.clone());
        let peers = overview.peers.iter().flatten();
        self.online = peers.map(|peer| peer.name.clone()).collect();
        Ok(overview)
    }

    async fn trust(&mut self, name: Username, key: PublicKey) -> Result<String, Failure> {
        let told = view::trusted(&name, &key);
        ask(&self.wallet.trust_peer, TrustPeer { name, key }, Request::Read).await?;
        Ok(told)
    }

    pub(super) fn keys(&self) -> Result<Keys, Failure> {
        self.keys.ok_or_else(|| Failure::new("not connected yet", "write: id"))
    }

    /// Whether it can be done only once the wallet has found its server; what the wallet keeps itself
    /// can be read without one.
    async fn needs_server(&mut self, command: &Command) -> Result<bool, Failure> {
        match command {
            Command::Payments | Command::Receipts => Ok(false),
            Command::Receipt { id, .. } => Ok(!self.keeps_receipt(id).await?),
            _ => Ok(true),
        }
    }

    pub(super) fn own_name(&self) -> Option<&Username> {
        self.account.as_ref().map(|account| &account.name)
    }
}

/// The wallet's answer, or what is to be said in its place.
pub(super) async fn ask<M, T>(
    wallet: &Recipient<M>,
    message: M,
    request: Request,
) -> Result<T, Failure>
where
    M: Message<Result = Result<T, PayError>> + Send + 'static,
    T: Send + 'static,
{
    heard(wallet.send(message).await, LOOK)?.map_err(|error| pay_failure(&error, request))
}
