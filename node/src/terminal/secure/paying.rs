//! Payments: whom exactly, then the signature, then what became of it.

use std::collections::VecDeque;
use std::time::Duration;

use actors::messages::{
    PayError, PayQuote, Payment, PaymentState, Quote, QuotePayment, ReadPayments, Signer,
};
use tokio::time::timeout;
use wire::{Amount, P2pPort, Username};
use zeroize::Zeroizing;

use super::KeyRotation;
use super::command::Command;
use super::shell::{LOOK, Shell, ask};
use super::view::{self, Request, pay_failure};
use crate::error::{Error, problem_text};
use crate::printable::printable;
use crate::terminal::shell::{Answer, Ask, Part, Reply, Step, heard};
use crate::terminal::view::Failure;

/// How long the balance behind a payment may take: the payment is done and should be told.
const BALANCE_TIME_MAX: Duration = Duration::from_secs(3);

/// What is still to be done once the person has answered.
pub(in crate::terminal) enum Pending {
    /// This, whatever the answer is.
    Run(Command),
    /// Pay this.
    Pay(Quote),
    /// Make the next key.
    MakeKey,
    /// Put this key in the place of mine.
    ChangeKey(Signer),
    /// Make payments anew.
    Renew(Renewal),
}

/// Payments that ended with the old key, to be made anew one by one.
pub(in crate::terminal) struct Renewal {
    /// The one that was asked about; `None` if it was about all of them.
    pub(super) quote: Option<Quote>,
    pub(super) rest: VecDeque<Payment>,
}

impl<L, R> Shell<L, R>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
    R: KeyRotation,
{
    /// Shows whom exactly this would pay, and asks.
    pub(super) async fn quote(
        &mut self,
        payee: Username,
        amount: Amount,
        memo: Option<String>,
    ) -> Step<Pending> {
        let quote = self.ask_quote(payee, amount, memo).await?;
        Ok(Reply::Part(part(&quote, Answer::Yes, Pending::Pay(quote.clone()))))
    }

    /// Pays what was shown.
    pub(super) async fn pay(&mut self, quote: Quote) -> Result<String, Failure> {
        let payment = ask(&self.wallet.pay, PayQuote(quote), Request::Pay).await?;
        let balance = match payment.state {
            PaymentState::Paid => match timeout(BALANCE_TIME_MAX, self.read_overview()).await {
                Ok(Ok(overview)) => Some(overview.account.balance),
                Ok(Err(_)) | Err(_) => None,
            },
            PaymentState::Open
            | PaymentState::OutOfReach
            | PaymentState::Refused(_)
            | PaymentState::Dead(_) => None,
        };
        view::paid(&payment, balance)
    }

    /// Somebody's key, from the question of what paying them would be.
    pub(super) async fn who_is(&mut self, name: Username) -> Result<String, Failure> {
        let keys = self.keys()?;
        if self.own_name() == Some(&name) {
            return Ok(format!("{} is you: key {}", printable(name.as_str()), keys.own));
        }
        let asked = QuotePayment { payee: name.clone(), amount: Amount::new(1), memo: None };
        match heard(self.wallet.quote.send(asked).await, LOOK)? {
            Ok(quote) => Ok(view::whois(&quote)),
            // The key is on the list; only what was known of it cannot be told.
            Err(error @ PayError::InsufficientBalance { .. }) => {
                let overview = self.read_overview().await?;
                let peer = overview.peers.iter().flatten().find(|peer| peer.name == name);
                peer.map(view::whois_online).ok_or_else(|| pay_failure(&error, Request::Read))
            }
            Err(error) => Err(pay_failure(&error, Request::Read)),
        }
    }

    pub(super) async fn payments(&mut self, limit: usize) -> Result<Vec<Payment>, Failure> {
        heard(self.wallet.read_payments.send(ReadPayments { limit }).await, LOOK)
    }

    /// Asks about the next of these payments, or ends. In a script nothing of this is asked for.
    pub(super) async fn renew(&mut self, mut rest: VecDeque<Payment>) -> Reply<Pending> {
        let Some(Payment { payee, amount, memo, .. }) = rest.pop_front() else {
            return Reply::Done(String::new());
        };
        match self.ask_quote(payee, amount, memo).await {
            Ok(quote) => {
                let renewal = Renewal { quote: Some(quote.clone()), rest };
                Reply::Part(part(&quote, Answer::No, Pending::Renew(renewal)))
            }
            Err(failure) => told(Err(failure), rest),
        }
    }

    /// Makes one payment anew and goes on with the others, however it went.
    pub(super) async fn pay_anew(
        &mut self,
        quote: Quote,
        rest: VecDeque<Payment>,
    ) -> Reply<Pending> {
        told(self.pay(quote).await, rest)
    }

    async fn ask_quote(
        &mut self,
        payee: Username,
        amount: Amount,
        memo: Option<String>,
    ) -> Result<Quote, Failure> {
        let asked = QuotePayment { payee: payee.clone(), amount, memo: memo.clone() };
        let quote = ask(&self.wallet.quote, asked, Request::Quote).await?;
        // What is shown and signed is what was asked for, whatever the server answers.
        if quote.payee.name == payee && quote.amount == amount && quote.memo == memo {
            Ok(quote)
        } else {
            Err(Failure::new(
                "the server speaks of another payment than the one that was asked for",
                "nothing was paid: ask who runs the server",
            ))
        }
    }
}

/// Shows a quote and asks whether it is meant.
fn part(quote: &Quote, unasked: Answer, pending: Pending) -> Part<Pending> {
    let question = view::pay_question(&quote.payee.name, quote.amount);
    let shown = Zeroizing::new(view::quote(quote));
    Part { shown, secret: false, ask: Some(Ask { question, unasked }), pending }
}

/// Shows how one of several payments went.
fn told(outcome: Result<String, Failure>, rest: VecDeque<Payment>) -> Reply<Pending> {
    let text = outcome.unwrap_or_else(|Failure { warning, message, hint }| {
        let problem = problem_text(&message, hint.as_deref());
        warning.map(|warning| format!("{warning}\n{problem}")).unwrap_or(problem)
    });
    let renewal = Renewal { quote: None, rest };
    let pending = Pending::Renew(renewal);
    Reply::Part(Part { shown: Zeroizing::new(text), secret: false, ask: None, pending })
}
