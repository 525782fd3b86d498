//! The server's last word on orders: which ones it has said will never be settled.

use std::cell::RefCell;
use std::collections::BTreeMap;

use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::secure::{Answer, Call, OrderAnswer, OrderProblem, OrderStatus};
use wire::{OrderId, SignedOrder, Username};

/// An order, as the ledger tells it from all others.
pub(super) type OrderName = (Username, OrderId);

/// All orders that somebody was told will never be settled.
#[derive(Default)]
pub(super) struct LastWords(RefCell<BTreeMap<OrderName, LastWord>>);

/// What was said of one, and the order itself if it was submitted.
struct LastWord {
    said: String,
    signed: Option<SignedOrder>,
}

impl LastWords {
    /// The server has answered this.
    pub(super) fn hear(&self, call: &Call, answer: &Answer) {
        match (call, answer) {
            (Call::SubmitOrders { orders }, Answer::Orders(answers)) => {
                for (signed, answer) in orders.iter().zip(answers) {
                    if let OrderAnswer::NotTaken(
                        problem @ (OrderProblem::Expired | OrderProblem::PayerKeyMismatch),
                    ) = answer
                    {
                        let order = &signed.order;
                        let name = (order.payer.clone(), order.id);
                        self.add(name, problem.to_string(), Some(signed.clone()));
                    }
                }
            }
            (Call::OrderStatus { orders }, Answer::Statuses { statuses, now }) => {
                for (asked, status) in orders.iter().zip(statuses) {
                    if *status == OrderStatus::Unknown && asked.id.not_after() < *now {
                        let name = (asked.payer.clone(), asked.id);
                        self.add(name, format!("unknown at {now}"), None);
                    }
                }
            }
            _ => {}
        }
    }

    fn add(&self, name: OrderName, said: String, signed: Option<SignedOrder>) {
        let mut words = self.0.borrow_mut();
        let word = words.entry(name).or_insert(LastWord { said, signed: None });
        word.signed = word.signed.take().or(signed);
    }

    /// What was said of this order, if it was said to be over.
    pub(super) fn of(&self, name: &OrderName) -> Option<String> {
        self.0.borrow().get(name).map(|word| word.said.clone())
    }

    /// How many orders they are about.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Those that this person pays or is paid by, as far as they were submitted, for one call: the latest ones.
    pub(super) fn orders_of(&self, person: &Username) -> Vec<SignedOrder> {
        let words = self.0.borrow();
        let signed = words.values().rev().filter_map(|word| word.signed.as_ref());
        let own =
            signed.filter(|signed| signed.order.payer == *person || signed.order.payee == *person);
        own.take(ORDERS_PER_CALL_MAX).cloned().collect()
    }
}
