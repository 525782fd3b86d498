//! What people ask of a ledger, as a seed says.

use std::collections::BTreeMap;

use actors::ledger::state::{Command, OperatorCommand, State};
use ed25519_zebra::SigningKey;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::SealingKey;
use wire::text::TextPayment;
use wire::{
    Access, AccountId, Amount, KeyChange, Order, OrderId, PublicKey, Timestamp, Username,
    VerifiedOrder,
};

use super::history::{Asked, Change};
use crate::random::Random;

/// What each account is granted: enough for every text payment, of which each has an amount of its own.
const GRANT: u64 = 1 << 40;

/// The largest amount of an order, beyond what an account can have.
const ORDER_MAX: u64 = GRANT * 2;

/// Makes commands. It knows of an account what the journal held when it was last opened.
pub(super) struct Workload {
    server: PublicKey,
    accounts: Vec<Known>,
    keys: BTreeMap<PublicKey, Keys>,
    orders: Vec<(AccountId, VerifiedOrder)>,
    operations: Vec<OperatorCommand>,
    /// How many names, amounts and keys were given.
    given: u64,
}

struct Known {
    name: Username,
    access: Access,
}

struct Keys {
    signing: SigningKey,
    sealing: SealingKey,
}

impl Workload {
    pub(super) const fn new(server: PublicKey) -> Self {
        Self {
            server,
            accounts: Vec::new(),
            keys: BTreeMap::new(),
            orders: Vec::new(),
            operations: Vec::new(),
            given: 0,
        }
    }

    /// This is what there is.
    pub(super) fn know(&mut self, state: &State) {
        let known = |account: &actors::ledger::state::Account| Known {
            name: account.name.clone(),
            access: account.access,
        };
        self.accounts = state.accounts().iter().map(known).collect();
    }

    /// What somebody asks next, and what is to be known of it.
    pub(super) fn command(&mut self, now: Timestamp, random: &mut Random) -> (Command, Asked) {
        let made = match random.below(100) {
            0..15 => None,
            15..45 => self.text(random),
            45..70 => self.order(now, random),
            70..78 => self.again(random),
            78..86 => self.status(random),
            86..89 => self.key_change(random),
            89..93 => self.operation(random),
            _ => self.balance(random),
        };
        made.unwrap_or_else(|| self.opening(random))
    }

    /// A text payment that moves something, if there are two who can.
    pub(super) fn text(&mut self, random: &mut Random) -> Option<(Command, Asked)> {
        let open = |known: &&Known| known.access == Access::Open;
        let payer = self.pick(random).filter(|(_, known)| open(known))?.1.name.clone();
        let (sender, payee) = self.pick(random)?;
        let payee = payee.name.clone();
        let amount = self.next();
        let payment = TextPayment { payer, payee, amount: Amount::new(amount) };
        let command = Command::TextTransfer { sender, payment };
        Some((command, Asked::Change(Change::Text(amount))))
    }

    pub(super) fn opening(&mut self, random: &mut Random) -> (Command, Asked) {
        let name: Username = format!("n{}", self.next()).parse().expect("a valid name");
        let access = match random.below(2) {
            0 => Access::Open,
            _ => Access::Keyed(self.new_key()),
        };
        let new_name = name.clone().try_into().expect("letters and digits");
        let command = Command::OpenAccount { name: new_name, access, grant: Amount::new(GRANT) };
        (command, Asked::Change(Change::Opening(name)))
    }

    fn order(&mut self, now: Timestamp, random: &mut Random) -> Option<(Command, Asked)> {
        let (payer_id, payer) = self.pick(random)?;
        let (payee_id, payee) = self.pick(random)?;
        // Some try with orders that are none of theirs.
        let submitter = match random.below(8) {
            0 => self.pick(random)?.0,
            1..5 => payer_id,
            _ => payee_id,
        };
        let Access::Keyed(payer_key) = payer.access else { return None };
        let payee_key = match payee.access {
            Access::Open => None,
            Access::Keyed(key) => Some(key),
        };
        let not_after = Timestamp::new(now.get() + random.below(20_000));
        let mut nonce = [0; 10];
        for byte in &mut nonce {
            *byte = random.below(256).to_le_bytes()[0];
        }
        let amount = match random.below(10) {
            0 => random.below(ORDER_MAX),
            _ => random.below(1000),
        };
        let order = Order {
            version: ORDER_VERSION,
            server: self.server,
            id: OrderId::new(not_after, nonce),
            payer: payer.name.clone(),
            payer_key,
            payee: payee.name.clone(),
            payee_key,
            amount: Amount::new(amount),
            not_after,
            memo_hash: NO_MEMO,
        };
        let order = order.sign_as_payer(&self.keys.get(&payer_key)?.sealing);
        self.orders.push((submitter, order.clone()));
        if random.below(6) == 0 {
            // It is signed and kept for later, when it may be too late.
            return self.status(random);
        }
        Some(submit(submitter, order))
    }

    /// An order that was submitted before.
    fn again(&self, random: &mut Random) -> Option<(Command, Asked)> {
        let (submitter, order) = self.orders.get(below(random, self.orders.len())?)?;
        Some(submit(*submitter, order.clone()))
    }

    /// The latest orders, at most so many: whoever has one tries again.
    pub(super) fn latest_again(&self, most: usize) -> Vec<(Command, Asked)> {
        let latest = self.orders.iter().rev().take(most);
        latest.map(|(submitter, order)| submit(*submitter, order.clone())).collect()
    }

    fn status(&self, random: &mut Random) -> Option<(Command, Asked)> {
        let (_, order) = self.orders.get(below(random, self.orders.len())?)?;
        let (change, order) = (change_of(order), order.order());
        let command = Command::FindOrder { payer: order.payer.clone(), id: order.id };
        Some((command, Asked::Status { change, not_after: order.not_after }))
    }

    fn key_change(&mut self, random: &mut Random) -> Option<(Command, Asked)> {
        let (account, known) = self.pick(random)?;
        let Access::Keyed(old) = known.access else { return None };
        let (server, name) = (self.server, known.name.clone());
        let new = self.new_key();
        let change = KeyChange { version: 1, server, account: name, old, new };
        let signing = |key| Some(&self.keys.get(key)?.signing);
        let signed = change.sign(signing(&old)?, signing(&new)?);
        let change = Box::new(signed.verify().expect("both have signed"));
        let command = Command::ChangeKey { account, change };
        Some((command, Asked::Change(Change::Key(*new.as_bytes()))))
    }

    /// A deposit or a withdrawal, or one that was asked for before.
    fn operation(&mut self, random: &mut Random) -> Option<(Command, Asked)> {
        if random.below(3) > 0 {
            let account = self.pick(random)?.1.name.clone();
            let amount = Amount::new(1 + random.below(1000));
            let id = format!("d{}", self.next()).parse().expect("letters and digits");
            self.operations.push(match random.below(2) {
                0 => OperatorCommand::Deposit { account, amount, id },
                _ => OperatorCommand::Withdraw { account, amount, id },
            });
        }
        let number = below(random, self.operations.len())?;
        let operation = self.operations[number].clone();
        let (OperatorCommand::Deposit { id, .. } | OperatorCommand::Withdraw { id, .. }) =
            &operation
        else {
            return None;
        };
        let asked = Asked::Change(Change::Operation(id.to_string()));
        Some((Command::Operate(Box::new(operation)), asked))
    }

    fn balance(&self, random: &mut Random) -> Option<(Command, Asked)> {
        let (account, _) = self.pick(random)?;
        Some((Command::ReadBalance(account), Asked::Balance(account)))
    }

    fn pick(&self, random: &mut Random) -> Option<(AccountId, &Known)> {
        let number = below(random, self.accounts.len())?;
        Some((AccountId::new(number as u64), &self.accounts[number]))
    }

    fn new_key(&mut self) -> PublicKey {
        let mut secret = [7; 32];
        secret[..8].copy_from_slice(&self.next().to_le_bytes());
        let signing = SigningKey::from_bytes(&secret);
        let sealing = SealingKey::of(&signing);
        let key = sealing.public_key();
        self.keys.insert(key, Keys { signing, sealing });
        key
    }

    fn next(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}

fn submit(submitter: AccountId, order: VerifiedOrder) -> (Command, Asked) {
    let asked = Asked::Change(change_of(&order));
    (Command::Order { submitter, order: Box::new(order) }, asked)
}

fn change_of(verified: &VerifiedOrder) -> Change {
    let order = verified.order();
    Change::Order(order.payer.clone(), order.id, *verified.hash())
}

/// A number below `end`; `None` if there is none.
fn below(random: &mut Random, end: usize) -> Option<usize> {
    (end > 0).then(|| usize::try_from(random.below(end as u64)).expect("below a usize"))
}
