//! A wallet that answers by the name of the payee, and keys that are in no file.

use actix::{Actor, ActorContext as _, Addr, Context, Handler, Recipient};
use actors::messages::{
    ConnectError, HistoryPage, MemoFate, Overview, PayError, PaymentState, Proof, Quote, Rotated,
    Started, Trust,
};
use ed25519_zebra::SigningKey;
use wire::batch::{BatchHeader, Seal};
use wire::secure::{
    AccountInfo, HistoryEvent, HistoryItem, OnlinePeer, OrderProblem, OwnAccount, Problem,
};
use wire::signature::{Domain, Signature};
use wire::{
    AccountId, Amount, Authority, BatchNumber, Entry, EntryNumber, Order, OrderId, Receipt,
    Refusal, Timestamp, codec, merkle,
};

use super::*;

pub(super) const NEXT_WORDS: &str = "abandon ability able";

pub(super) struct FakeWallet {
    asked: Asked,
    events: Recipient<WalletNews>,
    set: Set,
    account: Option<OwnAccount>,
    started: bool,
    online: bool,
    changed: PublicKey,
}

impl FakeWallet {
    pub(super) fn new(asked: Asked, events: Recipient<WalletNews>, set: Set) -> Self {
        let account = (set.trouble != Some(Trouble::Stranger)).then(|| own_account("alice"));
        Self { asked, events, account, started: false, online: false, set, changed: key(9) }
    }

    fn note(&self, text: String) {
        self.asked.borrow_mut().push(text);
    }

    fn own(&self) -> Result<OwnAccount, PayError> {
        self.account.clone().ok_or(PayError::NoAccount)
    }
}

impl Actor for FakeWallet {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.set.trouble == Some(Trouble::Gone) {
            ctx.stop();
        }
    }
}

pub(super) fn handle(wallet: &Addr<FakeWallet>) -> SecureWalletHandle {
    SecureWalletHandle::new(wallet)
}

/// Answers a message: notes what was asked, and says what comes back.
macro_rules! answers {
    ($message:ty => $reply:ty, |$wallet:ident, $asked:ident| $answer:expr) => {
        impl Handler<$message> for FakeWallet {
            type Result = actix::MessageResult<$message>;

            fn handle(&mut self, $asked: $message, _: &mut Self::Context) -> Self::Result {
                let $wallet = self;
                let answer: $reply = $answer;
                actix::MessageResult(answer)
            }
        }
    };
}

answers!(Start => Result<Started, PayError>, |wallet, _start| {
    wallet.note("start".into());
    if wallet.set.trouble == Some(Trouble::Offline) {
        Err(PayError::Connect(ConnectError::Unreachable("refused".into())))
    } else {
        wallet.started = true;
        let payments = wallet.set.found.clone();
        Ok(Started { server: key(1), key: key(2), account: wallet.account.clone(), payments })
    }
});

answers!(OpenAccount => Result<OwnAccount, PayError>, |wallet, open| {
    wallet.note(format!("open {}", open.0));
    if open.0.as_str() == "taken" {
        Err(PayError::Problem(Problem::Refused(Refusal::NameTaken)))
    } else {
        wallet.account = Some(own_account(open.0.as_str()));
        wallet.own()
    }
});

answers!(ComeOnline => Result<OwnAccount, PayError>, |wallet, come| {
    wallet.note(format!("online {:?}", come.0.map(P2pPort::get)));
    wallet.online = true;
    wallet.own()
});

answers!(ReadOverview => Result<Overview, PayError>, |wallet, _read| {
    wallet.note("overview".into());
    let peer = |who: &str, key, port: u16| OnlinePeer {
        name: name(who),
        key,
        address: ([127, 0, 0, 1], port).into(),
    };
    let peers = vec![
        peer("alice", Some(key(2)), 7001),
        peer("bob", Some(key(3)), 7002),
        peer("open", None, 7003),
    ];
    wallet.own().map(|account| Overview { account, peers: wallet.online.then_some(peers) })
});

answers!(QuotePayment => Result<Quote, PayError>, |wallet, quote| {
    let QuotePayment { payee, amount, memo } = quote;
    wallet.note(format!("quote {payee} {amount}"));
    let info = |who: &Username, key| AccountInfo { name: who.clone(), key, address: None };
    match payee.as_str() {
        _ if wallet.set.trouble == Some(Trouble::Poor) => {
            Err(PayError::InsufficientBalance { balance: Amount::new(0), amount })
        }
        "nobody" => Err(PayError::UnknownPayee(payee)),
        "changed" => {
            let (known, found) = (key(4), wallet.changed);
            Err(PayError::PayeeKeyChanged { payee, known, found })
        }
        "liar" => {
            let payee = info(&name("mallory"), Some(key(5)));
            Ok(Quote { payee, trust: Trust::Known, amount, memo })
        }
        "cheap" => {
            let payee = info(&payee, Some(key(5)));
            Ok(Quote { payee, trust: Trust::Known, amount: Amount::new(1000), memo })
        }
        "gossip" => {
            let payee = info(&payee, Some(key(3)));
            Ok(Quote { payee, trust: Trust::Known, amount, memo: Some("other".into()) })
        }
        "open" => Ok(Quote { payee: info(&payee, None), trust: Trust::NoKey, amount, memo }),
        "new" => Ok(Quote { payee: info(&payee, Some(key(3))), trust: Trust::New, amount, memo }),
        _ => Ok(Quote { payee: info(&payee, Some(key(3))), trust: Trust::Known, amount, memo }),
    }
});

answers!(PayQuote => Result<Payment, PayError>, |wallet, pay| {
    let Quote { payee, amount, memo, .. } = pay.0;
    wallet.note(format!("pay {} {amount} {memo:?}", payee.name));
    let state = match payee.name.as_str() {
        "slow" => PaymentState::Open,
        "broke" => PaymentState::Refused(Refusal::InsufficientBalance),
        "late" => PaymentState::Dead(OrderProblem::Expired),
        _ => PaymentState::Paid,
    };
    match payee.name.as_str() {
        "mirror" => {
            let (payer, memo) = (payee.name.clone(), Some("back".to_owned()));
            wallet.events.do_send(WalletNews::Received { payer, amount, memo, order: None, proof: Proof::Word });
        }
        "twin" => wallet.events.do_send(WalletNews::Replaced),
        "dier" => {
            let payment = dead_payment(5, "bob", Some("rent"));
            wallet.events.do_send(WalletNews::Decided(payment));
        }
        "rotor" => wallet.events.do_send(WalletNews::KeyChanged(key(8))),
        _ => {}
    }
    let payment = Payment { id: id(7), payee: payee.name, amount, memo, state, memo_fate: MemoFate::Unremarkable };
    wallet.set.kept.push(payment.clone());
    Ok(payment)
});

answers!(TrustPeer => Result<(), PayError>, |wallet, trust| {
    wallet.note(format!("trust {} {}", trust.name, trust.key));
    Ok(())
});

answers!(ReadPayments => Vec<Payment>, |wallet, read| {
    let (open, mut decided): (Vec<_>, Vec<_>) =
        wallet.set.kept.iter().cloned().partition(|payment| {
            matches!(payment.state, PaymentState::Open | PaymentState::OutOfReach)
        });
    decided.truncate(read.limit);
    open.into_iter().chain(decided).collect()
});

answers!(ReadReceipt => Option<Receipt>, |wallet, read| {
    wallet.note(format!("receipt {}", read.0));
    match read.0 {
        // Of another order than was asked for, and by another server.
        found if found == id(0xBAD0) => Some(receipt_of(id(1), 1)),
        found if found == id(0xBAD1) => Some(receipt_of(found, 4)),
        found if wallet.set.kept.iter().any(|payment| payment.id == found) => {
            Some(receipt_of(found, 1))
        }
        // The server has these.
        found if wallet.started && [id(77), id(0xF0000)].contains(&found) => {
            Some(receipt_of(found, 1))
        }
        _ => None,
    }
});

answers!(ReadOwnHistory => Result<HistoryPage, PayError>, |wallet, read| {
    wallet.note(format!("history {}", read.limit));
    let payer = name("bob");
    let received = |number| {
        let (payer, order) = (payer.clone(), Some(id(number)));
        HistoryEvent::Received { payer, amount: Amount::new(3), order }
    };
    let (number, events) = match read.before {
        None => (5, vec![received(77), HistoryEvent::Opened { grant: Amount::new(1000) }]),
        Some(_) => (4, vec![received(0xF0000)]),
    };
    let time = Timestamp::new(1_790_000_000_000);
    let number = EntryNumber::new(number);
    let items = events.into_iter().map(|event| HistoryItem { number, time, event });
    Ok(HistoryPage { items: items.collect(), more: read.before.is_none() })
});

answers!(RotateKey => Result<Rotated, PayError>, |wallet, rotate| {
    wallet.note(format!("rotate {}", rotate.0.public_key()));
    Ok(Rotated { key: rotate.0.public_key(), dead: wallet.set.dead.clone() })
});

answers!(SayGoodbye => Result<(), PayError>, |wallet, _goodbye| {
    wallet.note("goodbye".into());
    Ok(())
});

pub(super) struct FakeRotation {
    pub(super) asked: Asked,
    pub(super) stuck: bool,
}

impl KeyRotation for FakeRotation {
    async fn next_key(&mut self) -> Result<NextKey, Error> {
        self.asked.borrow_mut().push("next key".into());
        let words = Zeroizing::new(NEXT_WORDS.to_owned());
        Ok(NextKey { signer: Signer::new(signing(8)), words })
    }

    fn settle_on(&mut self, own: &PublicKey) -> Result<(), Error> {
        if *own != key(2) {
            self.asked.borrow_mut().push(format!("settle on {own}"));
            if self.stuck {
                return Err(Error::Internal("no room".into()));
            }
        }
        Ok(())
    }
}

pub(super) fn name(text: &str) -> Username {
    text.parse().expect("a name")
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from([seed; 32])
}

pub(super) fn key(seed: u8) -> PublicKey {
    wire::signature::public_key(&signing(seed))
}

pub(super) fn id(number: u64) -> OrderId {
    format!("{number:032x}").parse().expect("an id")
}

fn own_account(who: &str) -> OwnAccount {
    OwnAccount { account: AccountId::new(1), name: name(who), balance: Amount::new(990) }
}

pub(super) fn payment(number: u64, payee: &str, state: PaymentState) -> Payment {
    Payment {
        id: id(number),
        payee: name(payee),
        amount: Amount::new(10),
        memo: None,
        state,
        memo_fate: MemoFate::Unremarkable,
    }
}

pub(super) fn dead_payment(number: u64, payee: &str, memo: Option<&str>) -> Payment {
    let state = PaymentState::Dead(OrderProblem::PayerKeyMismatch);
    Payment { memo: memo.map(str::to_owned), ..payment(number, payee, state) }
}

/// The receipt for a settled order of alice's, by the server with this key.
pub(super) fn receipt_of(id: OrderId, server: u8) -> Receipt {
    let order = Order {
        version: wire::order::ORDER_VERSION,
        server: key(server),
        id,
        payer: name("alice"),
        payer_key: key(2),
        payee: name("bob"),
        payee_key: Some(key(3)),
        amount: Amount::new(10),
        not_after: id.not_after(),
        memo_hash: wire::order::NO_MEMO,
    };
    let entry = Entry::Transferred {
        payer: AccountId::new(1),
        payee: AccountId::new(2),
        amount: Amount::new(10),
        authority: Authority::Order(Box::new(order.sign(&signing(2)))),
    };
    let mut bytes = Vec::new();
    codec::encode_into(&entry, &mut bytes);
    let merkle_root = merkle::leaf(&bytes);
    let mut header = BatchHeader {
        entry_count: 1,
        batch: BatchNumber::new(7),
        first_entry: EntryNumber::new(40),
        time: Timestamp::new(1_790_000_000_123),
        byte_len: u32::try_from(bytes.len()).expect("a small entry"),
        entries_checksum: 0,
        previous_head: [0; 32],
        seal: None,
    };
    let signed = header.signed_bytes(&merkle_root);
    let signature = Signature::sign(&signing(server), Domain::Batch, &signed);
    header.seal = Some(Seal { merkle_root, signature });
    Receipt::new(&header, 0, Vec::new(), entry)
}
