//! One payment of this wallet's: what to do next, decided without I/O and without a clock.
//!
//! The machine is told what happened and says what to do. Whatever happens, it never makes another
//! order: all that it sends is the one that stands in the outbox, whose id the server settles once. It
//! ends with a proof, or with the server's word that the order can never be settled.

use std::time::Duration;

use wire::receipt::{ReceiptError, VerifiedHeaders};
use wire::secure::{OrderAnswer, OrderProblem, OrderStatus, PayeeAnswer, Problem, Retry};
use wire::{EntryNumber, PublicKey, Receipt, SignedOrder, Timestamp, Verdict, VerifiedOrder};

use super::store::Outcome;
use crate::messages::{CallError, DeliverError};

/// How long to wait before the server is asked again, the first time; each time twice as long.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The longest time between two questions: orders are valid for ten minutes, so that even a payment that
/// nobody hears of is decided within eleven.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// How long to wait after a failure that so many others came before.
pub(super) fn retry_after(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failures.min(6)).min(RETRY_MAX)
}

/// How long the payee has to hand over the receipt of what the server says is decided, before the server is
/// asked for it: long enough to write it down and send it over a slow network. What a server has to look up
/// for the question costs it more than the payment did.
pub(super) const PAYEE_LEAD: Duration = Duration::from_secs(1);

/// One payment that is not decided.
#[derive(Debug)]
pub(super) struct PaymentMachine {
    order: VerifiedOrder,
    /// The payee has the order, or is being given it.
    delivering: bool,
    server: Server,
    /// The server said that the order is decided while a question that may be older was under way.
    look_again: bool,
    /// Questions in a row that brought nothing.
    failures: u32,
    /// Whether somebody was told that the outcome is unknown.
    told: bool,
}

/// What is under way at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Nothing.
    Idle,
    /// A question, or the order itself.
    Asked,
    /// Nothing, until a timer ends or the connection is back.
    Waiting,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Happened {
    /// The order was written to the outbox, just now. `deliver` if the payee can be reached.
    Begun { deliver: bool },
    /// The connection to the server is there. Also how a payment from the outbox begins anew.
    Connected,
    /// The payee answered or did not.
    Payee(Result<PayeeAnswer, DeliverError>),
    /// The server answered the order or did not.
    Submitted(Asked<OrderAnswer>),
    /// The server answered what became of the order, as of this moment of its clock, or did not.
    Status(Asked<(OrderStatus, Timestamp)>),
    /// The server says unasked that the order is decided.
    SaidDecided,
    /// The account has another key than the one that signed the order.
    KeyRetired,
    /// The time to wait is over.
    RetryDue,
    /// The outcome could not be written down.
    NotKept(String),
}

/// What came of a question to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked<T> {
    /// This.
    Answer(T),
    /// It does not do it, for now.
    Problem(Problem),
    /// Nobody knows whether it was done.
    Unanswered(String),
    /// It was not asked.
    Unsent(String),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Hand the order over to the payee.
    Deliver,
    /// Submit the order.
    Submit,
    /// Ask the server what became of the order.
    AskStatus,
    /// Say when so much time has passed.
    RetryIn(Duration),
    /// Tell the person that the outcome is unknown and being found out.
    TellChecking(String),
    /// Tell the person, loudly, that the payee's device showed this key.
    TellKeyMismatch(PublicKey),
    /// Write to the log that somebody lies.
    Warn(String),
    /// Write the outcome down, then tell it. Nothing else is to be done for this payment.
    Close(Outcome),
}

/// A receipt that is no proof of what became of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FalseReceipt {
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    #[error("the receipt is for another order")]
    OtherOrder,
}

/// What a receipt proves of exactly this order, by the key of the server that the order names.
pub(super) fn judge(
    receipt: &Receipt,
    order: &VerifiedOrder,
    headers: &mut VerifiedHeaders,
) -> Result<(Verdict, EntryNumber), FalseReceipt> {
    // Said by its own name: a stranger may have sent this.
    if receipt.order() != Some(order.signed()) {
        return Err(FalseReceipt::OtherOrder);
    }
    let proven = receipt.verify_for(order, headers)?;
    Ok((receipt.verdict().ok_or(FalseReceipt::OtherOrder)?, proven.number))
}

impl PaymentMachine {
    /// For an order that stands in the outbox.
    pub(super) const fn new(order: VerifiedOrder) -> Self {
        Self {
            order,
            delivering: false,
            server: Server::Waiting,
            look_again: false,
            failures: 0,
            told: false,
        }
    }

    /// The order.
    pub(super) const fn order(&self) -> &SignedOrder {
        self.order.signed()
    }

    /// What is to be done now that this has happened, in this order. `headers` spares it what was verified
    /// for other payments.
    pub(super) fn handle(
        &mut self,
        happened: Happened,
        headers: &mut VerifiedHeaders,
    ) -> Vec<Action> {
        match happened {
            Happened::Begun { deliver: true } => {
                self.server = Server::Idle;
                self.delivering = true;
                vec![Action::Deliver]
            }
            Happened::Begun { deliver: false } => self.submit(),
            Happened::Connected => {
                self.failures = 0;
                if self.server == Server::Waiting { self.ask_status() } else { Vec::new() }
            }
            Happened::RetryDue if self.server == Server::Waiting => self.ask_status(),
            Happened::RetryDue => Vec::new(),
            Happened::SaidDecided => self.look(),
            Happened::KeyRetired => {
                self.delivering = false;
                self.look()
            }
            Happened::Payee(answer) => self.hear_payee(answer, headers),
            Happened::Submitted(asked) => self.hear_of_submission(asked, headers),
            Happened::Status(asked) => self.hear_of_status(asked, headers),
            Happened::NotKept(reason) => self.wait(Some(reason), RETRY_FIRST),
        }
    }

    fn hear_payee(
        &mut self,
        answer: Result<PayeeAnswer, DeliverError>,
        headers: &mut VerifiedHeaders,
    ) -> Vec<Action> {
        self.delivering = false;
        match answer {
            Ok(PayeeAnswer::Decided(receipt)) => match judge(&receipt, &self.order, headers) {
                Ok(_) => vec![Action::Close(Outcome::Decided(receipt))],
                Err(lie) => self.go_alone(Some(Action::Warn(format!("the payee: {lie}")))),
            },
            Err(DeliverError::WrongKey { found }) => {
                self.go_alone(Some(Action::TellKeyMismatch(found)))
            }
            // Words prove nothing; the server decides.
            Ok(PayeeAnswer::Declined(_) | PayeeAnswer::Unknown)
            | Err(DeliverError::Unreachable(_) | DeliverError::Silent(_) | DeliverError::Full) => {
                self.go_alone(None)
            }
        }
    }

    /// The payee is of no more help.
    fn go_alone(&mut self, said: Option<Action>) -> Vec<Action> {
        let next = match self.server {
            Server::Idle => self.submit(),
            Server::Waiting => self.ask_status(),
            // The answer to what is under way leads on.
            Server::Asked => Vec::new(),
        };
        said.into_iter().chain(next).collect()
    }

    fn hear_of_submission(
        &mut self,
        asked: Asked<OrderAnswer>,
        headers: &mut VerifiedHeaders,
    ) -> Vec<Action> {
        match asked {
            Asked::Answer(OrderAnswer::Decided { receipt, .. }) => {
                self.close_with(receipt, headers)
            }
            Asked::Answer(OrderAnswer::NotTaken(problem)) if is_final(problem) => {
                vec![Action::Close(Outcome::Dead(problem))]
            }
            Asked::Answer(OrderAnswer::NotTaken(problem)) => {
                self.wait(Some(problem.to_string()), RETRY_FIRST)
            }
            failed => self.wait_for(failed),
        }
    }

    fn hear_of_status(
        &mut self,
        asked: Asked<(OrderStatus, Timestamp)>,
        headers: &mut VerifiedHeaders,
    ) -> Vec<Action> {
        let look_again = std::mem::take(&mut self.look_again);
        match asked {
            Asked::Answer((OrderStatus::Decided(receipt), _)) => self.close_with(receipt, headers),
            Asked::Answer((OrderStatus::Unknown, now)) => {
                if self.order.order().not_after < now {
                    vec![Action::Close(Outcome::Dead(OrderProblem::Expired))]
                } else if look_again {
                    self.ask_status()
                } else if self.delivering {
                    self.server = Server::Idle;
                    Vec::new()
                } else {
                    self.submit()
                }
            }
            failed => self.wait_for(failed),
        }
    }

    /// The server says that it is decided: its own receipt must prove it.
    fn close_with(&mut self, receipt: Box<Receipt>, headers: &mut VerifiedHeaders) -> Vec<Action> {
        match judge(&receipt, &self.order, headers) {
            Ok(_) => vec![Action::Close(Outcome::Decided(receipt))],
            Err(lie) => {
                let lie = format!("the server's receipt is no proof: {lie}");
                let mut actions = vec![Action::Warn(lie.clone())];
                actions.extend(self.wait(Some(lie), RETRY_FIRST));
                actions
            }
        }
    }

    fn look(&mut self) -> Vec<Action> {
        match self.server {
            Server::Asked => {
                self.look_again = true;
                Vec::new()
            }
            // The payee was told the same, with the proof, and its answer is on its way.
            Server::Idle if self.delivering => {
                self.server = Server::Waiting;
                vec![Action::RetryIn(PAYEE_LEAD)]
            }
            Server::Idle | Server::Waiting => self.ask_status(),
        }
    }

    fn ask_status(&mut self) -> Vec<Action> {
        self.server = Server::Asked;
        vec![Action::AskStatus]
    }

    fn submit(&mut self) -> Vec<Action> {
        self.server = Server::Asked;
        vec![Action::Submit]
    }

    /// As long as the server says, if it says how long.
    fn wait_for<T>(&mut self, failed: Asked<T>) -> Vec<Action> {
        let at_least = match failed {
            Asked::Problem(Problem::BusyFor { wait_ms }) => Duration::from_millis(wait_ms.into()),
            _ => RETRY_FIRST,
        };
        self.wait(failed.reason(), at_least)
    }

    fn wait(&mut self, why: Option<String>, at_least: Duration) -> Vec<Action> {
        self.server = Server::Waiting;
        let delay = retry_after(self.failures).max(at_least).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        let tell = why.filter(|_| !std::mem::replace(&mut self.told, true));
        let tell = tell.map(Action::TellChecking);
        tell.into_iter().chain([Action::RetryIn(delay)]).collect()
    }
}

impl<T> Asked<T> {
    /// What an answer says that should be of some kind; `None` if it is of another.
    pub(super) fn from_result<A>(
        result: Result<A, CallError>,
        take: impl FnOnce(A) -> Option<T>,
    ) -> Self {
        match result.map(take) {
            Ok(Some(answer)) => Self::Answer(answer),
            Ok(None) => Self::Unanswered(NONSENSE.to_owned()),
            Err(CallError::Problem(problem)) => Self::Problem(problem),
            Err(error @ CallError::Full) => Self::Unsent(error.to_string()),
            Err(error @ (CallError::Lost(_) | CallError::Silent(_))) => {
                Self::Unanswered(error.to_string())
            }
        }
    }

    /// The same where there may be no connection to ask over.
    pub(super) fn from_link<A>(
        result: Result<Result<A, CallError>, String>,
        take: impl FnOnce(A) -> Option<T>,
    ) -> Self {
        match result {
            Ok(result) => Self::from_result(result, take),
            Err(reason) => Self::Unsent(reason),
        }
    }

    fn reason(self) -> Option<String> {
        match self {
            Self::Answer(_) => None,
            Self::Problem(problem) => Some(problem.to_string()),
            Self::Unanswered(reason) | Self::Unsent(reason) => Some(reason),
        }
    }
}

impl<T: Clone> Asked<Vec<T>> {
    /// What it says of each of `count` orders that were asked about together.
    pub(super) fn each(self, count: usize) -> Vec<Asked<T>> {
        match self {
            Self::Answer(each) => each.into_iter().map(Asked::Answer).collect(),
            Self::Problem(problem) => vec![Asked::Problem(problem); count],
            Self::Unanswered(reason) => vec![Asked::Unanswered(reason); count],
            Self::Unsent(reason) => vec![Asked::Unsent(reason); count],
        }
    }
}

/// What is said of an answer that does not fit its question.
pub(super) const NONSENSE: &str = "the server's answer makes no sense";

/// Whether an order with this problem can never be settled, whoever submits it.
const fn is_final(problem: OrderProblem) -> bool {
    match problem {
        // The payee may submit it, or the server may learn this form, until its time is over.
        OrderProblem::NotParty | OrderProblem::UnknownVersion => false,
        _ => matches!(problem.retry(), Retry::Never),
    }
}

#[cfg(test)]
mod tests;
