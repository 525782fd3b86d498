//! What people and the operator do, made of the input.

use arbitrary::Arbitrary;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::signature::public_key;
use wire::{Amount, Order, OrderId, PublicKey, SignedOrder, Timestamp, Username};

use super::model::KeyNumber;
use crate::secure::key;

/// What an account begins with: so little that it is soon spent.
pub(super) const OPENING_BALANCE: u64 = 100;

/// When the clock begins.
pub(super) const BEGAN: u64 = 1_700_000_000_000;

/// One of them looks like another one.
const NAMES: [&str; 6] = ["alice", "bob", "carol", "aIice", "dan", "Ève"];

/// Keys 1 to this are people's.
const KEYS: u8 = 6;

/// The most questions, orders and lines that are sent at once.
const AT_ONCE_MAX: usize = 6;

/// One thing that somebody does. `key` is who, `cut` how it comes over the network.
#[derive(Arbitrary, Debug)]
pub(super) enum Step {
    Register { key: Key, name: Name },
    LogIn { key: Key, listed: bool },
    Ask { key: Key, cut: u8, questions: Few<Question> },
    Submit { key: Key, cut: u8, orders: Few<Offer> },
    ChangeKey { key: Key, new: Key, signed: bool },
    LogOut { key: Key },
    HangUp { key: Key },
    Nonsense { key: Key },
    Text { cut: u8, lines: Few<Line> },
    TextHangsUp,
    Deposit { name: Name, amount: u8, id: u8, withdrawn: bool },
    Freeze { name: Name, frozen: bool },
    Later { seconds: u16 },
    Restart,
}

#[derive(Arbitrary, Debug)]
pub(super) enum Question {
    Balance,
    Find(Name),
    Status { payer: Name, nonce: Nonce },
    Text { payer: Name, amount: u8, payee: Name },
}

/// An order.
#[derive(Arbitrary, Debug)]
pub(super) struct Offer {
    payer: Name,
    pub(super) signer: Key,
    payee: Name,
    payee_key: Option<Key>,
    amount: u8,
    nonce: Nonce,
    pub(super) forged: bool,
}

/// A line of the text protocol.
#[derive(Arbitrary, Debug)]
pub(super) enum Line {
    Register(Name),
    LogIn { name: Name, port: u8 },
    List,
    Pay { payer: Name, amount: u8, payee: Name },
    Garbage(u8),
    Exit,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Key(u8);

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Name(u8);

/// The number of an order among those with the same last moment.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Nonce(u8);

/// A few.
#[derive(Arbitrary, Debug)]
pub(super) struct Few<T>(Vec<T>);

impl<T> Few<T> {
    pub(super) fn take(&self) -> &[T] {
        &self.0[..self.0.len().min(AT_ONCE_MAX)]
    }
}

impl Key {
    pub(super) const fn number(self) -> KeyNumber {
        self.0 % KEYS + 1
    }
}

impl Name {
    pub(super) fn text(self) -> &'static str {
        NAMES[usize::from(self.0) % NAMES.len()]
    }

    pub(super) fn parsed(self) -> Username {
        self.text().parse().expect("a name")
    }
}

impl Nonce {
    /// Of eight orders, two are valid for too long, two for a second, and the others for an hour, by the
    /// clock at the beginning.
    pub(super) fn id(self) -> OrderId {
        let nonce = self.0 % 8;
        let valid_ms = match nonce {
            0 | 1 => 25 * 60 * 60 * 1000,
            2 | 3 => 1000,
            _ => 60 * 60 * 1000,
        };
        OrderId::new(Timestamp::new(BEGAN + valid_ms), [nonce; 10])
    }
}

impl Offer {
    pub(super) fn sign(&self, server: PublicKey) -> SignedOrder {
        let id = self.nonce.id();
        let order = Order {
            version: ORDER_VERSION,
            server,
            id,
            payer: self.payer.parsed(),
            payer_key: public(self.signer.number()),
            payee: self.payee.parsed(),
            payee_key: self.payee_key.map(|key| public(key.number())),
            amount: Amount::new(self.amount.into()),
            not_after: id.not_after(),
            memo_hash: NO_MEMO,
        };
        let signer = if self.forged { key(77) } else { key(self.signer.number()) };
        order.sign(&signer)
    }
}

impl Line {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Register(name) => format!("REGISTER#{}", name.text()),
            Self::LogIn { name, port } => format!("{}#{}", name.text(), u16::from(*port) + 7001),
            Self::List => "List".to_owned(),
            Self::Pay { payer, amount, payee } => {
                format!("{}#{amount}#{}", payer.text(), payee.text())
            }
            Self::Garbage(number) => format!("hello {number}"),
            Self::Exit => "Exit".to_owned(),
        }
    }
}

pub(super) fn public(number: KeyNumber) -> PublicKey {
    public_key(&key(number))
}
