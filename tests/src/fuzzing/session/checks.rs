//! What is compared with the model: answers, lists, receipts, events, and what was written.

use actors::ledger::state::State;
use wire::secure::{Answer, Event, OrderStatus, Problem};
use wire::text::{Dialect, Reply};
use wire::{Access, Receipt, Refusal, Verdict};

use super::TextPerson;
use super::model::Model;
use super::steps::{Line, Question, public};
use super::world::server_key;

pub(super) fn check_answer(
    model: &mut Model,
    own: &str,
    logged_in: bool,
    question: &Question,
    answer: Result<Answer, Problem>,
) {
    match (question, answer) {
        (Question::Balance, Ok(Answer::Balance { amount, .. })) => {
            assert_eq!(amount.credits(), model.accounts[own].balance);
        }
        (Question::Find(_), Err(Problem::NotLoggedIn)) => assert!(!logged_in),
        (Question::Find(name), Ok(Answer::Account(found))) => {
            assert!(logged_in);
            let expected = model.accounts.get(name.text()).map(|account| account.key.map(public));
            assert_eq!(found.map(|found| found.key), expected);
        }
        (Question::Status { payer, nonce }, Ok(Answer::Statuses { statuses, now })) => {
            assert_eq!(now.get(), model.shown);
            let expected = model.status(own, payer.text(), nonce.id());
            let found = match statuses.as_slice() {
                [OrderStatus::Decided(receipt)] => Some(check_receipt(receipt, None)),
                [OrderStatus::Unknown] => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected);
        }
        (Question::Text { payer, amount, payee }, answer) => {
            let payment = (payer.text(), u64::from(*amount), payee.text());
            let expected = model.text(own, payment).map_err(Problem::Refused);
            assert_eq!(answer, expected.map(|()| Answer::TextSettled));
        }
        (question, answer) => panic!("{answer:?} to {question:?}"),
    }
}

/// What became of an order, by a receipt that must be good and for `order`, if that is known.
pub(super) fn check_receipt(
    receipt: &Receipt,
    order: Option<&wire::SignedOrder>,
) -> Result<(), Refusal> {
    receipt.verify(&server_key()).expect("a good receipt");
    if let Some(order) = order {
        assert_eq!(receipt.order().map(|signed| &signed.order), Some(&order.order));
    }
    match receipt.verdict() {
        Some(Verdict::Settled) => Ok(()),
        Some(Verdict::Refused(refusal)) => Err(refusal),
        None => panic!("{receipt:?} is about no payment"),
    }
}

pub(super) fn take_events(model: &mut Model, account: Option<&String>, events: Vec<Event>) {
    for event in events {
        let is_told = |(name, told): &(String, Event)| Some(name) == account && *told == event;
        let place = model.events.iter().position(is_told);
        model.events.swap_remove(place.unwrap_or_else(|| panic!("{event:?} has not happened")));
    }
}

/// Checks the answer to one line. Whether the connection goes on.
pub(super) async fn check_line(model: &mut Model, person: &mut TextPerson, line: &Line) -> bool {
    let expected = match (line, person.name.clone()) {
        (Line::Register(name), _) => match model.open(name.text(), None) {
            Ok(()) => "100 OK",
            Err(_) => "210 FAIL",
        },
        (Line::LogIn { name, .. }, before) => {
            let account = model.accounts.get(name.text());
            let is_open = account.is_some_and(|account| account.key.is_none());
            person.name = if is_open { Some(name.text().to_owned()) } else { before };
            if is_open {
                check_list(model, person).await;
                return true;
            }
            "220 AUTH_FAIL"
        }
        (Line::List, Some(_)) => {
            check_list(model, person).await;
            return true;
        }
        (Line::List | Line::Pay { .. }, None) => "220 AUTH_FAIL",
        (Line::Pay { amount: 0, .. }, Some(_)) => "Transfer failed due to negative amount.",
        (Line::Pay { payer, amount, payee }, Some(own)) => {
            match model.text(&own, (payer.text(), u64::from(*amount), payee.text())) {
                Ok(()) => "100 OK",
                Err(refusal) => Reply::Refused(refusal).line(Dialect::Seed).trim_end(),
            }
        }
        (Line::Garbage(_), _) => "200 BAD_REQUEST",
        (Line::Exit, _) => {
            assert_eq!(person.connection.line().await.as_deref(), Some("Bye"));
            assert_eq!(person.connection.line().await, None);
            return false;
        }
    };
    assert_eq!(person.connection.line().await.as_deref(), Some(expected), "{line:?}");
    true
}

/// Reads a list: the balance is the model's, and whoever is on it has an account.
async fn check_list(model: &Model, person: &mut TextPerson) {
    let own = person.name.as_deref().expect("it is logged in");
    let connection = &mut person.connection;
    let balance = connection.line().await.and_then(|line| line.parse().ok());
    assert_eq!(balance, Some(model.accounts[own].balance));
    assert_eq!(connection.line().await, Some(server_key().to_string()));
    let count: usize = connection.line().await.and_then(|line| line.parse().ok()).expect("a count");
    let mut is_there = false;
    for _ in 0..count {
        let line = connection.line().await.expect("as many lines as it says");
        let (name, _) = line.split_once('#').expect("a line of a list");
        assert!(model.accounts.contains_key(name), "{line:?}");
        is_there |= name == own;
    }
    assert!(is_there, "{own} is logged in and not on the list");
}

/// What was written is what was said.
pub(super) fn check_state(model: &Model, state: &State) {
    assert_eq!(state.next_entry().get(), model.next_entry);
    assert_eq!(state.accounts().len(), model.accounts.len());
    let mut sum = state.treasury();
    for (name, account) in &model.accounts {
        let id = state.find(name).expect("it was opened");
        let found = state.account(id).expect("it was found");
        assert_eq!(
            (id.get(), found.balance.credits()),
            (account.number, account.balance),
            "{name}"
        );
        let access = account.key.map_or(Access::Open, |key| Access::Keyed(public(key)));
        assert_eq!(found.access, access, "{name}");
        assert_eq!(
            state.frozen().iter().any(|(frozen, _)| *frozen == id),
            account.frozen,
            "{name}"
        );
        sum += i128::from(account.balance);
    }
    assert_eq!(sum, 0);
}
