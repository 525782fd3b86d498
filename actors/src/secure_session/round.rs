//! Rounds: calls that go to the ledger in one message, and what comes of them.

use wire::secure::{AccountInfo, Answer, Event, Problem};
use wire::text::TextPayment;
use wire::{
    Access, Amount, InvalidSignature, OrderId, PublicKey, Refusal, SignedOrder, Timestamp, Username,
};

use super::conversation::{Own, Ticket};
use super::follow_up::FollowUp;
use super::orders::{Statuses, Submitted};
use crate::ledger::state::{Command, Outcome};
use crate::messages::{KeepOrder, Settlement, Verdicts, VerifyOrders};

/// Calls for the ledger. The first command of each round asks whose the session's key is, so that a
/// session whose key was changed meanwhile gets no answer of the round.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) commands: Vec<Command>,
    pub(super) calls: Vec<(Ticket, Planned)>,
}

/// What a call of a round waits for.
#[derive(Debug)]
pub(super) enum Planned {
    /// The next outcome, a balance.
    Balance,
    /// The next outcome, a transfer.
    Text(TextPayment),
    /// The next outcome, an account.
    Account(Username),
    /// As many outcomes as it has valid orders.
    Orders(Submitted),
    /// As many outcomes as it has references.
    Statuses(Statuses),
    /// No outcome: somebody else is asked once the key is known to be good.
    Ask(FollowUp),
}

/// Calls whose orders the verifier checks first.
#[derive(Debug, Default)]
pub(super) struct SignedRound {
    pub(super) calls: Vec<(Ticket, SignedCall)>,
    orders: Vec<SignedOrder>,
}

/// A call with signed orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignedCall {
    /// The next so many orders are for the ledger.
    Submit(usize),
    /// The next order is for the archive.
    Keep,
}

/// What came of a round.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The key is the account's no more: nobody hears an answer.
    pub(super) retired: bool,
    pub(super) answers: Vec<(Ticket, Result<Answer, Problem>)>,
    /// What must be asked of others before there is an answer.
    pub(super) follow_ups: Vec<(Ticket, FollowUp)>,
    /// What others are told.
    pub(super) events: Vec<(Username, Event)>,
    /// For the log.
    pub(super) reports: Vec<Report>,
}

/// Something that is worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// An order was decided, now.
    Decided(Paid, Result<(), Refusal>),
    /// An order was not taken, for this reason.
    NotTaken(Paid, String),
    /// A payment by the text protocol's rules was settled, or not.
    Text(TextPayment, Result<(), Refusal>),
    /// So many orders of a call are not signed by their payers.
    InvalidSignatures(usize),
}

/// Who pays whom how much by which order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) payer: Username,
    pub(super) payee: Username,
    pub(super) amount: Amount,
    pub(super) id: OrderId,
}

impl Round {
    pub(super) const fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn add(
        &mut self,
        key: PublicKey,
        ticket: Ticket,
        planned: Planned,
        commands: Vec<Command>,
    ) {
        if self.commands.is_empty() {
            self.commands.push(Command::FindKey(key));
        }
        self.commands.extend(commands);
        self.calls.push((ticket, planned));
    }

    /// Whether the outcomes prove something that the caller is to get.
    pub(super) fn wants_receipts(&self) -> bool {
        self.commands.iter().any(|command| matches!(command, Command::Order { .. }))
    }

    /// What the outcomes mean, of the commands that were asked: one for each, in order.
    pub(super) fn answer(
        self,
        own: &Own,
        settlements: Result<Vec<Settlement>, Problem>,
        now: Timestamp,
    ) -> Answered {
        let mut answered = Answered::default();
        let settlements = match settlements {
            Ok(settlements) => settlements,
            Err(problem) => {
                let refused = self.calls.into_iter().map(|(ticket, _)| (ticket, Err(problem)));
                answered.answers.extend(refused);
                return answered;
            }
        };
        let mut settlements = settlements.into_iter();
        let holder = settlements.next().map(|settlement| settlement.outcome);
        let current = matches!(&holder, Some(Outcome::FoundKey(Some(holder)))
            if holder.current && holder.account == own.account);
        answered.retired = !current;
        for (ticket, planned) in self.calls {
            let done = planned.done(own, &mut settlements, now, &mut answered);
            match done {
                Done::Answer(result) => answered.answers.push((ticket, result)),
                Done::Ask(follow_up) => answered.follow_ups.push((ticket, follow_up)),
            }
        }
        answered
    }
}

/// What a call has come to.
pub(super) enum Done {
    Answer(Result<Answer, Problem>),
    Ask(FollowUp),
}

impl Planned {
    fn done(
        self,
        own: &Own,
        settlements: &mut impl Iterator<Item = Settlement>,
        now: Timestamp,
        answered: &mut Answered,
    ) -> Done {
        let mut outcome = || settlements.next().map(|settlement| settlement.outcome);
        // An outcome of another kind would be a defect of the ledger, which has then done who knows
        // what: the client must ask again.
        let answer = match self {
            Self::Balance => match outcome() {
                Some(Outcome::Balance(amount)) => Ok(Answer::Balance { amount, now }),
                _ => Err(Problem::Stopping),
            },
            Self::Text(payment) => match outcome() {
                Some(Outcome::Settled) => {
                    answered.reports.push(Report::Text(payment, Ok(())));
                    Ok(Answer::TextSettled)
                }
                Some(Outcome::Refused(refusal)) => {
                    answered.reports.push(Report::Text(payment, Err(refusal)));
                    Err(Problem::Refused(refusal))
                }
                Some(Outcome::ReadOnly) => Err(Problem::ReadOnly),
                _ => Err(Problem::Stopping),
            },
            Self::Account(name) => match outcome() {
                Some(Outcome::Found(None)) => Ok(Answer::Account(None)),
                Some(Outcome::Found(Some((_, access)))) => {
                    let key = match access {
                        Access::Open => None,
                        Access::Keyed(key) => Some(key),
                    };
                    return Done::Ask(FollowUp::Locate(AccountInfo { name, key, address: None }));
                }
                _ => Err(Problem::Stopping),
            },
            Self::Orders(submitted) => return submitted.decided(own, settlements, answered),
            Self::Statuses(statuses) => return statuses.found(own, settlements, now),
            Self::Ask(FollowUp::OpenOrders(mut question)) => {
                question.now = now;
                return Done::Ask(FollowUp::OpenOrders(question));
            }
            Self::Ask(FollowUp::Keep(mut question)) => {
                question.now = now;
                return Done::Ask(FollowUp::Keep(question));
            }
            Self::Ask(follow_up) => return Done::Ask(follow_up),
        };
        Done::Answer(answer)
    }
}

impl SignedRound {
    pub(super) const fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn add(&mut self, ticket: Ticket, call: SignedCall, orders: Vec<SignedOrder>) {
        self.calls.push((ticket, call));
        self.orders.extend(orders);
    }

    /// How many orders are for the ledger.
    pub(super) fn submitted(&self) -> usize {
        let submitted = |(_, call): &(Ticket, SignedCall)| match call {
            SignedCall::Submit(count) => *count,
            SignedCall::Keep => 0,
        };
        self.calls.iter().map(submitted).sum()
    }

    /// What the verifier is asked.
    pub(super) fn question(&mut self, sender: PublicKey, apart: bool) -> VerifyOrders {
        VerifyOrders { sender, orders: std::mem::take(&mut self.orders), apart }
    }

    /// The round for the ledger, now that the orders are checked; and how many are not signed by
    /// their payers. `verdicts` are as many as there were orders, in order.
    pub(super) fn verified(self, key: PublicKey, own: &Own, verdicts: Verdicts) -> (Round, usize) {
        let mut round = Round::default();
        let invalid = verdicts.iter().filter(|verdict| verdict.is_err()).count();
        let mut verdicts = verdicts.into_iter();
        for (ticket, call) in self.calls {
            match call {
                SignedCall::Submit(count) => {
                    let verdicts = verdicts.by_ref().take(count);
                    let (submitted, commands) = Submitted::new(own.account, verdicts);
                    round.add(key, ticket, Planned::Orders(submitted), commands);
                }
                SignedCall::Keep => {
                    let account = own.account;
                    let keep = |order| {
                        FollowUp::Keep(Box::new(KeepOrder {
                            account,
                            order,
                            now: Timestamp::default(),
                        }))
                    };
                    let verdict = verdicts.next().unwrap_or(Err(InvalidSignature));
                    let follow_up = verdict.map_or(FollowUp::InvalidSignature, keep);
                    round.add(key, ticket, Planned::Ask(follow_up), Vec::new());
                }
            }
        }
        (round, invalid)
    }
}
