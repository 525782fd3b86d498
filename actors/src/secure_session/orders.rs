//! What becomes of orders: those that are submitted, and those that are asked about.
//!
//! The ledger remembers an order as long as it is valid; what it says of older ones is in the
//! archive. So wherever the ledger has not decided an order now, the archive is asked for the
//! receipt before anybody hears that there is none.

use wire::secure::{Answer, Event, OrderAnswer, OrderProblem, OrderRef, OrderStatus, Problem};
use wire::{
    AccountId, InvalidSignature, OrderHash, OrderId, Receipt, Timestamp, Username, Verdict,
    VerifiedOrder,
};

use super::conversation::Own;
use super::follow_up::FollowUp;
use super::pace::BUSY;
use super::round::{Answered, Done, Paid, Report};
use crate::ledger::state::{Command, Outcome};
use crate::messages::{ArchiveUnavailable, Settlement, Sought};

/// The orders of one call, checked and submitted. `None` for one that its payer has not signed.
#[derive(Debug)]
pub(super) struct Submitted(Vec<Option<Asked>>);

/// What is kept of an order to make sense of what becomes of it.
#[derive(Debug)]
struct Asked {
    paid: Paid,
    hash: OrderHash,
}

/// Orders of one call of which the archive may have receipts, and the answers to the others.
#[derive(Debug)]
pub(super) struct Recalled {
    account: AccountId,
    answers: Vec<Recall>,
}

#[derive(Debug)]
enum Recall {
    Known(OrderAnswer),
    /// Unless it was decided before, the answer is this.
    Unless(Asked, OrderProblem),
}

/// References of one call, in order, and what is known of each.
#[derive(Debug)]
pub(super) struct Statuses(Vec<OrderRef>);

/// What the ledger says of the references of one call.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) account: AccountId,
    /// One for each; `None` if there is no such payer.
    places: Vec<Option<Place>>,
    /// The server's clock when the ledger looked.
    now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    sought: Sought,
    /// The order is decided, and the account's own: the archive has its receipt, or is not in
    /// order.
    must_be_there: bool,
}

impl Submitted {
    /// Submits the valid ones of these orders.
    pub(super) fn new(
        submitter: AccountId,
        verdicts: impl Iterator<Item = Result<VerifiedOrder, InvalidSignature>>,
    ) -> (Self, Vec<Command>) {
        let mut commands = Vec::new();
        let submitted = verdicts.map(|verdict| {
            let order = Box::new(verdict.ok()?);
            let asked = Asked::new(&order);
            commands.push(Command::Order { submitter, order });
            Some(asked)
        });
        (Self(submitted.collect()), commands)
    }

    /// What the ledger has made of them: one settlement for each valid one.
    pub(super) fn decided(
        self,
        own: &Own,
        settlements: &mut impl Iterator<Item = Settlement>,
        answered: &mut Answered,
    ) -> Done {
        let answers: Vec<Recall> = self
            .0
            .into_iter()
            .map(|asked| match asked {
                None => Recall::Known(OrderAnswer::NotTaken(OrderProblem::InvalidSignature)),
                Some(asked) => asked.decided(own, settlements.next(), answered),
            })
            .collect();
        if answers.iter().all(|answer| matches!(answer, Recall::Known(_))) {
            let known = answers.into_iter().map(|answer| answer.resolve(None));
            return Done::Answer(Ok(Answer::Orders(known.collect())));
        }
        Done::Ask(FollowUp::Orders(Recalled { account: own.account, answers }))
    }
}

impl Asked {
    fn new(verified: &VerifiedOrder) -> Self {
        let order = verified.order();
        let paid = Paid {
            payer: order.payer.clone(),
            payee: order.payee.clone(),
            amount: order.amount,
            id: order.id,
        };
        Self { paid, hash: *verified.hash() }
    }

    fn decided(self, own: &Own, settlement: Option<Settlement>, answered: &mut Answered) -> Recall {
        let Some(Settlement { outcome, receipt }) = settlement else {
            return Recall::Known(OrderAnswer::NotTaken(OrderProblem::Stopping));
        };
        match (outcome, receipt) {
            (Outcome::Decided(number), Some(receipt)) => {
                answered.events.extend(self.events(own, number, &receipt));
                let verdict = match receipt.verdict() {
                    Some(Verdict::Refused(refusal)) => Err(refusal),
                    _ => Ok(()),
                };
                answered.reports.push(Report::Decided(self.paid, verdict));
                Recall::Known(OrderAnswer::Decided { replayed: false, receipt })
            }
            // Whatever became of it, the receipt will tell: the client asks again, with the same
            // id.
            (Outcome::Decided(_) | Outcome::DecidedBefore(_), _) => {
                Recall::Unless(self, OrderProblem::Busy)
            }
            // The ledger may have decided it and forgotten it since, as its time is over.
            (
                Outcome::NotTaken(
                    problem @ (OrderProblem::Expired | OrderProblem::PayerKeyMismatch),
                ),
                _,
            ) => Recall::Unless(self, problem),
            // Nor may it remember all that it has decided.
            (Outcome::ReadOnly, _) => Recall::Unless(self, OrderProblem::ReadOnly),
            (Outcome::NotTaken(problem), _) => {
                answered.reports.push(Report::NotTaken(self.paid, problem.to_string()));
                Recall::Known(OrderAnswer::NotTaken(problem))
            }
            _ => Recall::Known(OrderAnswer::NotTaken(OrderProblem::Stopping)),
        }
    }

    /// What the payer and the payee are told, if somebody else has submitted the order.
    fn events(
        &self,
        own: &Own,
        number: wire::EntryNumber,
        receipt: &Receipt,
    ) -> impl Iterator<Item = (Username, Event)> {
        let Paid { payer, payee, amount, id } = &self.paid;
        let settled = receipt.verdict() == Some(Verdict::Settled);
        let decided = (*payer != own.name)
            .then(|| (payer.clone(), Event::OrderDecided { order: *id, number }));
        let received = (settled && *payee != own.name).then(|| {
            let event =
                Event::Received { payer: payer.clone(), amount: *amount, number, order: Some(*id) };
            (payee.clone(), event)
        });
        decided.into_iter().chain(received)
    }
}

impl Recall {
    /// The answer, with what the archive has under the order's payer and id.
    fn resolve(self, found: Option<Receipt>) -> OrderAnswer {
        match (self, found) {
            (Self::Known(answer), _) => answer,
            (Self::Unless(_, problem), None) => OrderAnswer::NotTaken(problem),
            (Self::Unless(asked, _), Some(receipt)) => {
                let order = receipt.order().map(|signed| signed.order.hash());
                if order == Some(asked.hash) {
                    OrderAnswer::Decided { replayed: true, receipt: Box::new(receipt) }
                } else {
                    OrderAnswer::NotTaken(OrderProblem::Conflict)
                }
            }
        }
    }
}

impl Recalled {
    pub(super) const fn account(&self) -> AccountId {
        self.account
    }

    /// What the ledger is asked to find out who the payers are.
    pub(super) fn questions(&self) -> Vec<Command> {
        let open = self.answers.iter().filter_map(|answer| match answer {
            Recall::Known(_) => None,
            Recall::Unless(asked, _) => {
                Some(Command::FindOrder { payer: asked.paid.payer.clone(), id: asked.paid.id })
            }
        });
        open.collect()
    }

    /// What the archive is asked, by what the ledger has found for each question.
    pub(super) fn sought(&self, found: &[Outcome]) -> Vec<Option<Sought>> {
        let open = self.answers.iter().filter_map(|answer| match answer {
            Recall::Known(_) => None,
            Recall::Unless(asked, _) => Some(asked.paid.id),
        });
        open.zip(found).map(|(id, found)| place(id, found).map(|(sought, _)| sought)).collect()
    }

    /// The answers, with what the archive has for each question.
    pub(super) fn resolve(self, receipts: Vec<Option<Receipt>>) -> Answer {
        let mut receipts = receipts.into_iter();
        let answers = self.answers.into_iter().map(|answer| match answer {
            known @ Recall::Known(_) => known.resolve(None),
            open @ Recall::Unless(..) => open.resolve(receipts.next().flatten()),
        });
        Answer::Orders(answers.collect())
    }

    /// The answers while the archive, or the ledger, does not say: those that are known stay known.
    pub(super) fn unresolved(self, problem: OrderProblem) -> Answer {
        let answers = self.answers.into_iter().map(|answer| match answer {
            Recall::Known(answer) => answer,
            Recall::Unless(..) => OrderAnswer::NotTaken(problem),
        });
        Answer::Orders(answers.collect())
    }
}

/// Where the archive has the receipt of an order, and whether it is known to be decided.
fn place(id: OrderId, found: &Outcome) -> Option<(Sought, bool)> {
    match *found {
        // Not by the entry: one that refuses an order is not in its payee's history.
        Outcome::FoundOrder { payer: Some(payer), decided, .. } => {
            Some((Sought::Order { payer, id }, decided.is_some()))
        }
        _ => None,
    }
}

impl Statuses {
    /// What the ledger is asked about them.
    pub(super) fn ask(orders: Vec<OrderRef>) -> (Self, Vec<Command>) {
        let commands = orders
            .iter()
            .map(|OrderRef { payer, id }| Command::FindOrder { payer: payer.clone(), id: *id });
        let commands = commands.collect();
        (Self(orders), commands)
    }

    /// What the ledger has found: one outcome for each.
    pub(super) fn found(
        self,
        own: &Own,
        settlements: &mut impl Iterator<Item = Settlement>,
        clock: Timestamp,
    ) -> Done {
        let mut places = Vec::with_capacity(self.0.len());
        let mut looked_at = None;
        for OrderRef { payer, id } in self.0 {
            let outcome = settlements.next().map(|settlement| settlement.outcome);
            let Some(outcome @ Outcome::FoundOrder { now, .. }) = outcome else {
                return Done::Answer(Err(Problem::Stopping));
            };
            looked_at = Some(looked_at.unwrap_or(now).min(now));
            places.push(place(id, &outcome).map(|(sought, decided)| Place {
                sought,
                must_be_there: decided && payer == own.name,
            }));
        }
        let now = looked_at.unwrap_or(clock);
        Done::Ask(FollowUp::Statuses(Located { account: own.account, places, now }))
    }
}

impl Located {
    pub(super) fn sought(&self) -> Vec<Option<Sought>> {
        self.places.iter().map(|place| place.map(|place| place.sought)).collect()
    }

    /// The answer, with what the archive has for each.
    pub(super) fn resolve(self, receipts: Vec<Option<Receipt>>) -> Result<Answer, Problem> {
        let mut receipts = receipts.into_iter();
        let statuses =
            self.places.into_iter().map(|place| match (place, receipts.next().flatten()) {
                (_, Some(receipt)) => Ok(OrderStatus::Decided(Box::new(receipt))),
                // "Unknown" would be taken for "not decided".
                (Some(Place { must_be_there: true, .. }), None) => Err(BUSY),
                (_, None) => Ok(OrderStatus::Unknown),
            });
        let statuses = statuses.collect::<Result<_, _>>()?;
        Ok(Answer::Statuses { statuses, now: self.now })
    }
}

/// Why an order has no answer while the archive has none.
pub(super) const fn order_problem(unavailable: ArchiveUnavailable) -> OrderProblem {
    match unavailable {
        ArchiveUnavailable::Busy => OrderProblem::Busy,
        ArchiveUnavailable::Gone => OrderProblem::HistoryUnavailable,
    }
}
