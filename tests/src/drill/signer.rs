//! Signed payments of wallets in this process at a server that may be killed at any moment, and what must be
//! left of them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ed25519_zebra::SigningKey;
use wire::receipt::Verdict;
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::secure::{
    Answer, Call, HistoryEvent, OrderAnswer, OrderProblem, OrderRef, OrderStatus, Problem,
};
use wire::{EntryNumber, OrderId, PublicKey, Receipt, SignedOrder, Username, signature};

use super::Load;
use crate::process::PATIENCE;
use crate::random::Random;
use crate::secure::{SecureClient, key};

/// Calls in one write, and orders in one call.
const CALLS_MAX: u64 = 4;
const ORDERS_MAX: u64 = 8;

/// Somebody who signs orders and keeps them until their receipts are there, as a wallet does.
pub struct Signer {
    name: Username,
    key: SigningKey,
    payee: Payee,
    server_key: PublicKey,
    opening: u64,
    /// Signed, and maybe sent: nobody knows.
    open: Vec<SignedOrder>,
    /// Of these, what the server said it has not taken.
    turned_away: Vec<OrderId>,
    /// Decided in this round.
    fresh: BTreeMap<OrderId, Receipt>,
    /// The receipts of all rounds.
    receipts: Vec<Receipt>,
    /// The newest entry of both histories that was looked at.
    looked_at: Option<EntryNumber>,
}

/// Somebody who is paid, and does nothing for it.
struct Payee {
    name: String,
    key: SigningKey,
}

/// What became of the orders of one round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settled {
    /// Orders that were signed.
    pub sent: usize,
    /// Orders whose receipts came at once.
    pub answered: usize,
    /// Orders that were done and not answered.
    pub unheard: usize,
}

impl Signer {
    /// Opens the accounts of a payer and a payee with keys of their own.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn open(server: SocketAddr, number: u8, opening: u64) -> Self {
        let payee = Payee { name: format!("signed{number}"), key: key(2 * number + 101) };
        let own = key(2 * number + 100);
        SecureClient::registered(server, &payee.key, &payee.name);
        let name = format!("signer{number}");
        let client = SecureClient::registered(server, &own, &name);
        Self {
            name: name.parse().expect("a name"),
            key: own,
            payee,
            server_key: client.stream.peer,
            opening,
            open: Vec::new(),
            turned_away: Vec::new(),
            fresh: BTreeMap::new(),
            receipts: Vec::new(),
            looked_at: None,
        }
    }

    /// Pays, with several calls under way, until the connection ends or it is enough.
    ///
    /// # Panics
    /// If the server answers with anything but outcomes that it proves.
    pub fn pay(&mut self, server: SocketAddr, mut random: Random, load: &Load) {
        // A server that is gone ends a round as much as one that goes.
        if let Ok(mut client) = SecureClient::try_connect(server, &self.key) {
            while !load.is_enough() && self.burst(&mut client, &mut random, load).is_ok() {}
        }
    }

    fn burst(
        &mut self,
        client: &mut SecureClient,
        random: &mut Random,
        load: &Load,
    ) -> io::Result<()> {
        let mut calls = BTreeMap::new();
        for _ in 0..=random.below(CALLS_MAX) {
            let orders = (0..=random.below(ORDERS_MAX)).map(|_| self.sign(client, random));
            let orders: Vec<_> = orders.collect();
            // In the outbox first: from here on it may be done.
            self.open.extend(orders.iter().cloned());
            let correlation = client.begin(Call::SubmitOrders { orders: orders.clone() });
            // What was sent before the end may be answered and read.
            let Ok(correlation) = correlation else { break };
            calls.insert(correlation.0, orders);
        }
        while !calls.is_empty() {
            let response = client.response()?;
            let orders = calls.remove(&response.correlation.0).expect("an answer to a call");
            self.take(&orders, response.result, load);
        }
        Ok(())
    }

    fn sign(&self, client: &SecureClient, random: &mut Random) -> SignedOrder {
        let payee_key = Some(signature::public_key(&self.payee.key));
        client.order(&self.key, &self.payee.name, payee_key, 1 + random.below(9))
    }

    /// Takes what the server says of these orders, which are new to it.
    fn take(&mut self, orders: &[SignedOrder], result: Result<Answer, Problem>, load: &Load) {
        let answers = match result {
            Ok(Answer::Orders(answers)) => answers,
            Err(Problem::BusyFor { .. } | Problem::Stopping | Problem::HistoryUnavailable) => {
                self.turned_away.extend(orders.iter().map(|order| order.order.id));
                return;
            }
            other => panic!("outcomes, not {other:?}"),
        };
        assert_eq!(answers.len(), orders.len(), "an outcome for each");
        for (order, answer) in orders.iter().zip(answers) {
            match answer {
                OrderAnswer::Decided { replayed: false, receipt } => {
                    self.decided(order, *receipt);
                    load.answered();
                }
                OrderAnswer::NotTaken(
                    OrderProblem::Busy | OrderProblem::Stopping | OrderProblem::HistoryUnavailable,
                ) => self.turned_away.push(order.order.id),
                other => panic!("{order:?}: {other:?}"),
            }
        }
    }

    /// A receipt is believed if it proves that exactly this order is settled.
    #[track_caller]
    fn decided(&mut self, order: &SignedOrder, receipt: Receipt) {
        receipt.verify(&self.server_key).expect("a receipt that proves something");
        assert_eq!(receipt.order(), Some(order), "a receipt of another order");
        assert_eq!(receipt.verdict(), Some(Verdict::Settled));
        self.open.retain(|open| open != order);
        let twice = self.fresh.insert(order.order.id, receipt);
        assert_eq!(twice, None, "an order is decided once");
    }

    /// Compares what the server knows with what was seen, submits what is still open, and sees that every
    /// order was done exactly once. If the server came to its end in peace, whatever it did was answered.
    ///
    /// # Panics
    /// If that is not so.
    pub fn check(&mut self, server: SocketAddr, in_peace: bool) -> Settled {
        let mut client = SecureClient::connect(server, &self.key);
        let answered = self.fresh.len();
        let known = statuses(&mut client, &self.refs(self.fresh.keys()));
        for (receipt, status) in self.fresh.values().zip(known) {
            assert_eq!(status, OrderStatus::Decided(Box::new(receipt.clone())), "it was answered");
        }
        let open = std::mem::take(&mut self.open);
        let known = statuses(&mut client, &self.refs(open.iter().map(|order| &order.order.id)));
        let mut unheard = 0;
        for (order, status) in open.iter().zip(known) {
            let was_done = matches!(status, OrderStatus::Decided(_));
            let turned_away = self.turned_away.contains(&order.order.id);
            assert!(!(was_done && turned_away), "done, and called not taken: {order:?}");
            assert!(!(was_done && in_peace), "done, and not answered in peace: {order:?}");
            unheard += usize::from(was_done);
            let receipt = submit(&mut client, order, was_done);
            if let OrderStatus::Decided(before) = status {
                assert_eq!(*before, receipt, "another proof of the same");
            }
            self.decided(order, receipt);
        }
        self.turned_away.clear();
        if let Some((_, receipt)) = self.fresh.first_key_value() {
            let order = receipt.order().expect("it is of an order");
            assert_eq!(submit(&mut client, order, true), *receipt, "the same, once more");
        }
        self.check_histories(server, &mut client);
        self.receipts.extend(std::mem::take(&mut self.fresh).into_values());
        Settled { sent: answered + open.len(), answered, unheard }
    }

    fn refs<'a>(&self, ids: impl Iterator<Item = &'a OrderId>) -> Vec<OrderRef> {
        ids.map(|id| OrderRef { payer: self.name.clone(), id: *id }).collect()
    }

    /// Both histories hold the orders of this round, each once, and explain the balances.
    fn check_histories(&mut self, server: SocketAddr, client: &mut SecureClient) {
        let mut payee = SecureClient::connect(server, &self.payee.key);
        let mut expected: Vec<_> = self.fresh.keys().copied().collect();
        expected.sort_unstable();
        let mut newest = None;
        for client in [&mut *client, &mut payee] {
            let (mut moved, newest_here) = moved_since(client, self.looked_at);
            moved.sort_unstable();
            assert_eq!(moved, expected, "the orders of this round");
            newest = newest.max(newest_here);
        }
        self.looked_at = newest.or(self.looked_at);
        let all = self.receipts.iter().chain(self.fresh.values());
        let paid: u64 = all.map(amount).sum();
        let balances = [client, &mut payee].map(balance);
        assert_eq!(balances, [self.opening - paid, self.opening + paid]);
    }

    /// Writes the newest receipts, at most so many, into a directory.
    ///
    /// # Panics
    /// If it takes none.
    pub fn export(&self, dir: &Path, count: usize) {
        for receipt in self.receipts.iter().rev().take(count) {
            let id = receipt.order().expect("it is of an order").order.id;
            std::fs::write(dir.join(id.to_string()), receipt.to_text()).expect("room for a file");
        }
    }

    /// How many receipts it holds.
    pub fn receipts(&self) -> usize {
        self.receipts.len()
    }
}

fn amount(receipt: &Receipt) -> u64 {
    receipt.order().expect("it is of an order").order.amount.credits()
}

/// Asks until the server has time: behind a restart, it reads what it has missed.
fn ask(client: &mut SecureClient, call: &Call) -> Answer {
    let began = Instant::now();
    loop {
        match client.call(call.clone()) {
            Ok(answer) => return answer,
            Err(Problem::BusyFor { wait_ms }) if began.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(wait_ms.into()));
            }
            Err(problem) => panic!("{call:?}: {problem}"),
        }
    }
}

fn statuses(client: &mut SecureClient, orders: &[OrderRef]) -> Vec<OrderStatus> {
    let limit = usize::try_from(client.welcome.limits.orders_per_call_max).expect("a few");
    let pages = orders.chunks(limit).map(|page| {
        match ask(client, &Call::OrderStatus { orders: page.to_vec() }) {
            Answer::Statuses { statuses, .. } => statuses,
            other => panic!("statuses, not {other:?}"),
        }
    });
    pages.flatten().collect()
}

/// Submits an order, which was done before or was not, until it is decided.
#[track_caller]
fn submit(client: &mut SecureClient, order: &SignedOrder, was_done: bool) -> Receipt {
    match ask(client, &Call::SubmitOrders { orders: vec![order.clone()] }) {
        Answer::Orders(answers) => match &answers[..] {
            [OrderAnswer::Decided { replayed, receipt }] if *replayed == was_done => {
                (**receipt).clone()
            }
            other => panic!("{order:?}, done before: {was_done}: {other:?}"),
        },
        other => panic!("an outcome, not {other:?}"),
    }
}

fn balance(client: &mut SecureClient) -> u64 {
    match ask(client, &Call::ReadBalance) {
        Answer::Balance { amount, .. } => amount.credits(),
        other => panic!("a balance, not {other:?}"),
    }
}

/// The orders in a history behind this entry, and the newest entry, if there is one.
fn moved_since(
    client: &mut SecureClient,
    since: Option<EntryNumber>,
) -> (Vec<OrderId>, Option<EntryNumber>) {
    let (mut moved, mut newest, mut before) = (Vec::new(), None, None);
    loop {
        let call = Call::ReadHistory { before, limit: PAGE_ITEMS_MAX };
        let Answer::History { items, more } = ask(client, &call) else { panic!("a history") };
        newest = newest.or(items.first().map(|item| item.number));
        before = items.last().map(|item| item.number);
        let new = items.into_iter().take_while(|item| Some(item.number) > since);
        let count = moved.len();
        moved.extend(new.filter_map(|item| match item.event {
            HistoryEvent::Paid { order, .. } => Some(order),
            HistoryEvent::Received { order, .. } => order,
            _ => None,
        }));
        if !more || moved.len() == count || before <= since {
            return (moved, newest);
        }
    }
}
