//! The Wallet: the client's account. It pays, and it takes payments.
//!
//! Over the text protocol the wallet has nobody's word but the server's: what a payee says of a
//! payment is compared with the balance before anybody is told "paid".

mod paying;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use slog::{Logger, info, o};
use tokio::sync::{Mutex, oneshot};
use wire::text::wording::leaves_open_which;
use wire::text::{Dialect, Reply, TextPayment, TextRequest};
use wire::{Amount, Refusal, Username};

use self::paying::{Paying, ServerVerdict};
use crate::messages::{
    AccountList, Ask, ConnectServer, GoOnline, HandOver, Leave, Offer, OfferAnswer, Pay,
    PaymentReport, ReadAccount, Register, ServerEvent, ServerLinkError, ServerReply, WalletError,
    WalletEvent,
};

/// Offers of peers that may wait for the server at once. A server that does not answer the payee takes
/// two seconds for each, and whoever uses the client waits behind one of them only.
const OFFERS_MAX: usize = 16;

/// The actor of the client's account.
#[derive(Debug)]
pub struct Wallet {
    server: Recipient<Ask>,
    connector: Recipient<ConnectServer>,
    dialer: Recipient<HandOver>,
    terminal: Recipient<WalletEvent>,
    me: Option<Username>,
    /// What the server last said.
    balance: Option<Amount>,
    /// What has been paid to me since the wallet started. Shared with the payment under way, whose
    /// outcome shows in the balance.
    received: Rc<Cell<u128>>,
    /// Where the payment under way waits for the server's word, which one dialect gives the payer.
    verdict: Option<oneshot::Sender<ServerVerdict>>,
    /// Offers of peers that are under way, and the turn that each of them takes: what one of them
    /// adds to the balance must not be taken for another one.
    offers: usize,
    offering: Arc<Mutex<()>>,
    log: Logger,
}

impl Wallet {
    /// A wallet that nobody is logged in with yet.
    pub fn new(
        server: Recipient<Ask>,
        connector: Recipient<ConnectServer>,
        dialer: Recipient<HandOver>,
        terminal: Recipient<WalletEvent>,
        log: &Logger,
    ) -> Self {
        Self {
            server,
            connector,
            dialer,
            terminal,
            me: None,
            balance: None,
            received: Rc::default(),
            verdict: None,
            offers: 0,
            offering: Arc::default(),
            log: log.new(o!("actor" => "wallet")),
        }
    }

    fn logged_in(&self) -> Result<Username, WalletError> {
        self.me.clone().ok_or(WalletError::NotLoggedIn)
    }

    /// Asks the server, over a new connection if the one there was is gone. Only for requests that
    /// need no log-in: a new connection has none.
    fn ask_connected(
        &self,
        request: TextRequest,
        ctx: &Context<Self>,
    ) -> ResponseActFuture<Self, Result<ServerReply, ServerLinkError>> {
        let server = self.server.clone();
        if server.connected() {
            return Box::pin(async move { ask(&server, request).await }.into_actor(self));
        }
        let connecting = self.connector.send(ConnectServer { events: ctx.address().recipient() });
        let connected = connecting.into_actor(self).map(|connected, wallet, _| {
            let server = connected.unwrap_or_else(|_| Err(lost_link()))?;
            info!(wallet.log, "connected again");
            wallet.server = server.clone();
            Ok(server)
        });
        Box::pin(connected.then(|server, wallet, _| {
            async move { ask(&server?, request).await }.into_actor(wallet)
        }))
    }

    fn take_list(
        &mut self,
        reply: Result<ServerReply, ServerLinkError>,
    ) -> Result<AccountList, WalletError> {
        let list = expect_list(reply)?;
        self.balance = Some(list.balance);
        Ok(list)
    }

    fn report_offer(&mut self, payment: TextPayment, answer: &OfferAnswer) {
        let reason = match answer {
            OfferAnswer::Settled => {
                self.received.set(self.received.get() + u128::from(payment.amount.credits()));
                info!(self.log, "payment received"; "payer" => %payment.payer,
                    "amount" => %payment.amount);
                let balance = self.balance;
                return self.terminal.do_send(WalletEvent::Received { payment, balance });
            }
            OfferAnswer::Refused(reason) => reason.clone(),
            OfferAnswer::Unknown => "the server did not say what came of it".to_owned(),
        };
        info!(self.log, "payment not received"; "payer" => %payment.payer,
            "amount" => %payment.amount, "why" => &reason);
        self.terminal.do_send(WalletEvent::NotReceived { payment, reason });
    }
}

/// What came of a payment to me that the server was asked for, by its verdict and by the balance
/// before and after. What names no transfer may be of another one, and counts only with the balance.
fn judge_offer(
    verdict: Result<ServerReply, ServerLinkError>,
    before: Option<Amount>,
    now: Option<Amount>,
    amount: Amount,
) -> OfferAnswer {
    let expected = before.and_then(|before| before.checked_add(amount));
    let grown = expected.is_some_and(|expected| now.is_some_and(|now| now >= expected));
    match verdict {
        Ok(ServerReply::Ok(line)) if !leaves_open_which(&line) => OfferAnswer::Settled,
        Ok(ServerReply::Failed(line)) if !leaves_open_which(&line) => OfferAnswer::Refused(line),
        _ if grown => OfferAnswer::Settled,
        Ok(ServerReply::Failed(line)) if now.is_some() && now == before => {
            OfferAnswer::Refused(line)
        }
        _ => OfferAnswer::Unknown,
    }
}

/// Asks the server; a link that is gone is a lost connection.
async fn ask(
    server: &Recipient<Ask>,
    request: TextRequest,
) -> Result<ServerReply, ServerLinkError> {
    let sent = server.send(Ask(request));
    sent.await.unwrap_or_else(|_| Err(lost_link()))
}

fn lost_link() -> ServerLinkError {
    ServerLinkError::Lost("it is closed".to_owned())
}

fn expect_list(reply: Result<ServerReply, ServerLinkError>) -> Result<AccountList, WalletError> {
    match reply? {
        ServerReply::List(list) => Ok(list),
        ServerReply::Ok(line) | ServerReply::Failed(line) => Err(WalletError::Refused(line)),
        ServerReply::Bye => Err(WalletError::Refused("Bye".to_owned())),
    }
}

impl Actor for Wallet {
    type Context = Context<Self>;
}

impl Handler<Register> for Wallet {
    type Result = ResponseActFuture<Self, Result<(), WalletError>>;

    fn handle(&mut self, Register(name): Register, ctx: &mut Self::Context) -> Self::Result {
        let reply = self.ask_connected(TextRequest::Register(name), ctx);
        Box::pin(reply.map(|reply, _, _| match reply? {
            ServerReply::Ok(_) => Ok(()),
            ServerReply::Failed(line) => Err(WalletError::Refused(line)),
            ServerReply::List(_) | ServerReply::Bye => {
                Err(WalletError::Refused("an answer that makes no sense".to_owned()))
            }
        }))
    }
}

impl Handler<GoOnline> for Wallet {
    type Result = ResponseActFuture<Self, Result<AccountList, WalletError>>;

    fn handle(
        &mut self,
        GoOnline { name, port }: GoOnline,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        let reply = self.ask_connected(TextRequest::LogIn { name: name.clone(), port }, ctx);
        Box::pin(reply.map(move |reply, wallet, _| {
            let list = wallet.take_list(reply)?;
            info!(wallet.log, "logged in"; "user" => %name, "port" => %port);
            wallet.me = Some(name);
            Ok(list)
        }))
    }
}

impl Handler<ReadAccount> for Wallet {
    type Result = ResponseActFuture<Self, Result<AccountList, WalletError>>;

    fn handle(&mut self, ReadAccount: ReadAccount, _: &mut Self::Context) -> Self::Result {
        let (server, logged_in) = (self.server.clone(), self.logged_in());
        let reply = async move {
            logged_in?;
            Ok(ask(&server, TextRequest::List).await)
        };
        Box::pin(
            reply
                .into_actor(self)
                .map(|reply: Result<_, WalletError>, wallet, _| wallet.take_list(reply?)),
        )
    }
}

impl Handler<Pay> for Wallet {
    type Result = ResponseActFuture<Self, Result<PaymentReport, WalletError>>;

    fn handle(&mut self, Pay { payee, amount }: Pay, _: &mut Self::Context) -> Self::Result {
        let payer = match self.logged_in() {
            Err(error) => return refuse(error, self),
            Ok(_) if self.verdict.is_some() => return refuse(WalletError::PaymentUnderWay, self),
            Ok(me) if me == payee => return refuse(WalletError::PayingOneself, self),
            Ok(_) if amount.is_zero() => return refuse(WalletError::NothingToPay, self),
            Ok(me) => me,
        };
        let (verdict, verdict_said) = oneshot::channel();
        self.verdict = Some(verdict);
        let paying = Paying {
            server: self.server.clone(),
            dialer: self.dialer.clone(),
            received: Rc::clone(&self.received),
            offering: Arc::clone(&self.offering),
            payment: TextPayment { payer, amount, payee },
        };
        Box::pin(paying.pay(verdict_said).into_actor(self).map(|report, wallet, _| {
            wallet.verdict = None;
            report
        }))
    }
}

fn refuse<T: 'static>(
    error: WalletError,
    wallet: &Wallet,
) -> ResponseActFuture<Wallet, Result<T, WalletError>> {
    Box::pin(async { Err(error) }.into_actor(wallet))
}

impl Handler<Leave> for Wallet {
    type Result = ResponseActFuture<Self, Result<(), WalletError>>;

    fn handle(&mut self, Leave: Leave, _: &mut Self::Context) -> Self::Result {
        let server = self.server.clone();
        self.me = None;
        Box::pin(
            async move {
                // There is nobody to say goodbye to when the connection is gone.
                if server.connected() {
                    ask(&server, TextRequest::Exit).await?;
                }
                Ok(())
            }
            .into_actor(self),
        )
    }
}

impl Handler<Offer> for Wallet {
    type Result = ResponseActFuture<Self, OfferAnswer>;

    fn handle(&mut self, Offer(payment): Offer, _: &mut Self::Context) -> Self::Result {
        let turned_away = if self.me.as_ref() != Some(&payment.payee) {
            Some(Reply::Refused(Refusal::NoPermission).line(Dialect::Seed).trim_end())
        } else if self.offers >= OFFERS_MAX {
            Some("Transfer failed: too many payments at once, try again")
        } else {
            None
        };
        if let Some(reason) = turned_away {
            info!(self.log, "payment turned away"; "payer" => %payment.payer,
                "payee" => %payment.payee, "amount" => %payment.amount, "why" => reason);
            let answer = OfferAnswer::Refused(reason.to_owned());
            return Box::pin(async { answer }.into_actor(self));
        }
        self.offers += 1;
        let turn = Arc::clone(&self.offering).lock_owned();
        let asked = turn.into_actor(self).then({
            let request = TextRequest::Pay(payment.clone());
            |turn, wallet, _| {
                let (server, before) = (wallet.server.clone(), wallet.balance);
                async move {
                    let verdict = ask(&server, request).await;
                    (turn, verdict, before, ask(&server, TextRequest::List).await)
                }
                .into_actor(wallet)
            }
        });
        Box::pin(asked.map(move |(turn, verdict, before, list), wallet, _| {
            let now = wallet.take_list(list).ok().map(|list| list.balance);
            let answer = judge_offer(verdict, before, now, payment.amount);
            wallet.offers -= 1;
            wallet.report_offer(payment, &answer);
            drop(turn);
            answer
        }))
    }
}

impl Handler<ServerEvent> for Wallet {
    type Result = ();

    fn handle(&mut self, event: ServerEvent, _: &mut Self::Context) {
        match event {
            ServerEvent::TransferResult { settled, line } => {
                let verdict = ServerVerdict { settled, line };
                let unheard = match self.verdict.take() {
                    Some(waiting) => waiting.send(verdict).err(),
                    None => Some(verdict),
                };
                if let Some(ServerVerdict { line, .. }) = unheard {
                    self.terminal.do_send(WalletEvent::ServerSaid(line));
                }
            }
            ServerEvent::Said(line) => self.terminal.do_send(WalletEvent::ServerSaid(line)),
            ServerEvent::Lost(reason) => {
                info!(self.log, "the connection to the server is lost"; "why" => &reason);
                self.me = None;
                self.terminal.do_send(WalletEvent::ServerLost(reason));
            }
        }
    }
}

#[cfg(test)]
mod tests;
