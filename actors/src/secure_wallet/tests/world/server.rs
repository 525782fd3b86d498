//! The server of the world: it moves money by the ledger's own rules, remembers, and signs real receipts.

use std::collections::HashMap;

use actix::Recipient;
use ed25519_zebra::SigningKey;
use wire::batch::{BatchHeader, Seal};
use wire::merkle::{self, MerkleTree};
use wire::secure::{
    AccountInfo, Answer, Call, HistoryEvent, HistoryItem, OnlinePeer, OrderAnswer, OrderProblem,
    OrderStatus, OwnAccount, Problem,
};
use wire::signature::{Domain, public_key};
use wire::{
    Access, AccountId, Amount, BatchNumber, Entry, EntryNumber, OrderId, PublicKey, Receipt,
    Signature, SignedOrder, Timestamp, Username, codec,
};

use super::{Bob, DAWN, Fault, GRANT, alice, bob, name, server_key};
use crate::ledger::state::{Command, KeyHolder, Outcome as Ruling, State, Terms};
use crate::messages::ServerNews;

pub(in crate::secure_wallet) struct Server {
    pub(in crate::secure_wallet) now: u64,
    pub(in crate::secure_wallet) ledger: State,
    receipts: HashMap<(Username, OrderId), Receipt>,
    pub(in crate::secure_wallet) numbered: Vec<Receipt>,
    pub(in crate::secure_wallet) kept: Vec<SignedOrder>,
    pub(in crate::secure_wallet) bob: Bob,
    /// For calls of this kind, by their first word, one after another.
    pub(in crate::secure_wallet) faults: Vec<(&'static str, Fault)>,
    pub(in crate::secure_wallet) unreachable: bool,
    /// So many of the next connections end before the wallet has taken them.
    pub(in crate::secure_wallet) stillborn: u32,
    /// The wallet's own disk takes nothing.
    pub(in crate::secure_wallet) disk_full: bool,
    /// Steps until the wallet crashes.
    pub(in crate::secure_wallet) fuse: Option<u32>,
    pub(super) generation: u32,
    /// All orders that anybody has ever submitted.
    pub(in crate::secure_wallet) submitted: Vec<SignedOrder>,
    pub(in crate::secure_wallet) calls: Vec<Call>,
    pub(in crate::secure_wallet) connects: u32,
    /// The same, with those that were refused.
    pub(in crate::secure_wallet) attempts: u32,
    /// Where the news of the newest connection go.
    pub(in crate::secure_wallet) news: Option<Recipient<ServerNews>>,
    pub(in crate::secure_wallet) shown_key: SigningKey,
    /// What it says that it takes.
    pub(in crate::secure_wallet) orders_per_call_max: u32,
}

impl Server {
    /// alice and bob have an account each, and olga an open one.
    pub(super) fn new() -> Self {
        let mut server = Self {
            now: DAWN,
            ledger: State::default(),
            receipts: HashMap::new(),
            numbered: Vec::new(),
            kept: Vec::new(),
            bob: Bob::Honest,
            faults: Vec::new(),
            unreachable: false,
            stillborn: 0,
            disk_full: false,
            fuse: None,
            generation: 0,
            submitted: Vec::new(),
            calls: Vec::new(),
            connects: 0,
            attempts: 0,
            news: None,
            shown_key: server_key(),
            orders_per_call_max: 512,
        };
        server.open("alice", Access::Keyed(alice().public_key()));
        server.open("bob", Access::Keyed(bob().public_key()));
        server.open("olga", Access::Open);
        server
    }

    /// One step. False if the wallet has crashed.
    pub(super) fn burn(&mut self, generation: u32) -> bool {
        if generation != self.generation {
            return false;
        }
        match &mut self.fuse {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn open(&mut self, who: &str, access: Access) {
        let command = Command::OpenAccount {
            name: name(who).try_into().expect("a name that may be given"),
            access,
            grant: Amount::new(GRANT),
        };
        self.apply(command);
    }

    fn apply(&mut self, command: Command) -> (Ruling, Option<Receipt>) {
        let now = Timestamp::new(self.now);
        let terms = Terms { now, shown: now, server: public_key(&server_key()) };
        let number = self.ledger.next_entry();
        let (ruling, entry) = self.ledger.apply(command, &terms);
        let receipt = entry.map(|entry| seal(&server_key(), number, self.now, entry));
        self.numbered.extend(receipt.clone());
        (ruling, receipt)
    }

    pub(super) fn holder(&mut self, key: PublicKey) -> Option<(AccountId, OwnAccount)> {
        match self.apply(Command::FindKey(key)).0 {
            Ruling::FoundKey(Some(KeyHolder { account, name, balance, current: true })) => {
                Some((account, OwnAccount { account, name, balance }))
            }
            _ => None,
        }
    }

    /// Whether an account had this key and has another one.
    pub(super) fn is_retired(&mut self, key: PublicKey) -> bool {
        let ruling = self.apply(Command::FindKey(key)).0;
        matches!(ruling, Ruling::FoundKey(Some(KeyHolder { current: false, .. })))
    }

    /// As the session does it: what the ledger does not take, the archive may know.
    pub(in crate::secure_wallet) fn submit(
        &mut self,
        by: PublicKey,
        signed: &SignedOrder,
    ) -> OrderAnswer {
        self.submitted.push(signed.clone());
        let Ok(order) = signed.clone().verify() else {
            return OrderAnswer::NotTaken(OrderProblem::InvalidSignature);
        };
        let Some((submitter, _)) = self.holder(by) else {
            return OrderAnswer::NotTaken(OrderProblem::NotParty);
        };
        let found = (signed.order.payer.clone(), signed.order.id);
        let (ruling, receipt) = self.apply(Command::Order { submitter, order: Box::new(order) });
        match (ruling, self.receipts.get(&found)) {
            (Ruling::Decided(_), _) => {
                let receipt = receipt.expect("an entry");
                self.receipts.insert(found, receipt.clone());
                OrderAnswer::Decided { replayed: false, receipt: Box::new(receipt) }
            }
            (_, Some(receipt)) if receipt.order() == Some(signed) => {
                OrderAnswer::Decided { replayed: true, receipt: Box::new(receipt.clone()) }
            }
            (Ruling::NotTaken(problem), _) => OrderAnswer::NotTaken(problem),
            (other, _) => unreachable!("{other:?}"),
        }
    }

    /// Does what was asked for long ago.
    pub(in crate::secure_wallet) fn change_key(&mut self, change: wire::SignedKeyChange) {
        let (account, _) = self.holder(change.change.old).expect("the old key's account");
        let change = Box::new(change.verify().expect("both have signed"));
        self.apply(Command::ChangeKey { account, change });
    }

    pub(super) fn answer(&mut self, key: PublicKey, call: &Call) -> Result<Answer, Problem> {
        if let Call::Register { name } = call {
            self.open(name.as_str(), Access::Keyed(key));
        }
        let (account, own) = self.holder(key).ok_or(Problem::NoAccount)?;
        let now = Timestamp::new(self.now);
        Ok(match call.clone() {
            Call::Register { .. } => Answer::Registered(own),
            Call::LogIn { .. } => Answer::LoggedIn(own),
            Call::ListOnline { .. } => Answer::Online { peers: vec![bob_online()], more: false },
            Call::FindAccount { name } => Answer::Account(self.find(&name)),
            Call::ReadBalance => Answer::Balance { amount: own.balance, now },
            Call::SubmitOrders { orders } => {
                Answer::Orders(orders.iter().map(|order| self.submit(key, order)).collect())
            }
            Call::OrderStatus { orders } => {
                let receipt = |order: wire::secure::OrderRef| {
                    let found = self.receipts.get(&(order.payer, order.id)).cloned();
                    found.map_or(OrderStatus::Unknown, |receipt| {
                        OrderStatus::Decided(Box::new(receipt))
                    })
                };
                Answer::Statuses { statuses: orders.into_iter().map(receipt).collect(), now }
            }
            Call::KeepOrder { order } => {
                self.kept.push(order);
                Answer::Kept
            }
            Call::ReadOpenOrders => {
                let open = |order: &&SignedOrder| {
                    let order = &order.order;
                    !self.receipts.contains_key(&(order.payer.clone(), order.id))
                };
                Answer::OpenOrders(self.kept.iter().filter(open).cloned().collect())
            }
            Call::ReadReceipts { entries } => {
                let find = |number: &EntryNumber| {
                    self.numbered.get(usize::try_from(number.get()).ok()?).cloned()
                };
                Answer::Receipts(entries.iter().map(find).collect())
            }
            Call::ChangeKey { change } => {
                let change = change.verify().map_err(|_| Problem::InvalidSignature)?;
                match self.apply(Command::ChangeKey { account, change: Box::new(change) }) {
                    (Ruling::KeyChanged(_), Some(receipt)) => Answer::KeyChanged(Box::new(receipt)),
                    (Ruling::Refused(refusal), _) => return Err(Problem::Refused(refusal)),
                    other => unreachable!("{other:?}"),
                }
            }
            Call::SubmitText { payment } => {
                match self.apply(Command::TextTransfer { sender: account, payment }).0 {
                    Ruling::Refused(refusal) => return Err(Problem::Refused(refusal)),
                    _ => Answer::TextSettled,
                }
            }
            Call::ReadHistory { before, limit } => self.history(&own.name, before, limit),
            Call::Watch { .. } => Answer::Watching(Vec::new()),
            Call::LogOut => Answer::LoggedOut,
        })
    }

    /// What orders did to this account, on pages of two.
    fn history(&self, own: &Username, before: Option<EntryNumber>, limit: u32) -> Answer {
        let limit = usize::try_from(limit.min(2)).expect("two at most");
        let mut items = self.numbered.iter().enumerate().rev().filter_map(|(number, receipt)| {
            let order = &receipt.order()?.order;
            let (payer, payee, amount) = (order.payer.clone(), order.payee.clone(), order.amount);
            let event = if payer == *own {
                HistoryEvent::Paid { payee, amount, order: order.id }
            } else {
                HistoryEvent::Received { payer, amount, order: Some(order.id) }
            };
            let number = EntryNumber::new(u64::try_from(number).ok()?);
            let listed = before.is_none_or(|before| number < before)
                && (order.payer == *own || order.payee == *own);
            listed.then_some(HistoryItem { number, time: order.not_after, event })
        });
        let page: Vec<_> = items.by_ref().take(limit).collect();
        Answer::History { items: page, more: items.next().is_some() }
    }

    fn find(&self, who: &Username) -> Option<AccountInfo> {
        let account = self.ledger.account(self.ledger.find(who.as_str())?)?;
        let key = match account.access {
            Access::Keyed(key) => Some(key),
            Access::Open => None,
        };
        let is_bob = who.as_str() == "bob";
        let address = is_bob.then(|| bob_online().address);
        Some(AccountInfo { name: who.clone(), key, address })
    }
}

fn bob_online() -> OnlinePeer {
    let address = ([127, 0, 0, 1], 7002).into();
    OnlinePeer { name: name("bob"), key: Some(bob().public_key()), address }
}

pub(super) fn is_kind(call: &Call, kind: &str) -> bool {
    format!("{call:?}").starts_with(kind)
}

/// A receipt for an entry that is alone in its batch.
pub(in crate::secure_wallet) fn seal(
    server: &SigningKey,
    number: EntryNumber,
    time: u64,
    entry: Entry,
) -> Receipt {
    let mut bytes = Vec::new();
    codec::encode_into(&entry, &mut bytes);
    let tree = MerkleTree::new(vec![merkle::leaf(&bytes)]);
    let mut header = BatchHeader {
        entry_count: 1,
        batch: BatchNumber::new(number.get() + 1),
        first_entry: number,
        time: Timestamp::new(time),
        byte_len: u32::try_from(bytes.len()).expect("an entry is short"),
        entries_checksum: crc32c::crc32c(&bytes),
        previous_head: [0; 32],
        seal: None,
    };
    let signed = header.signed_bytes(&tree.root());
    let signature = Signature::sign(server, Domain::Batch, &signed);
    header.seal = Some(Seal { merkle_root: tree.root(), signature });
    Receipt::new(&header, 0, tree.path(0).expect("the leaf"), entry)
}
