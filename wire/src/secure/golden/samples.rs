//! One value of every kind of frame, with every field set to something that shows.

use std::net::SocketAddr;

use crate::batch::{BatchHeader, Seal};
use crate::secure::answer::{Answer, HistoryEvent, OrderAnswer, OrderStatus, ServerFrame};
use crate::secure::hello::{Hello, Limits, Welcome, magic};
use crate::secure::{
    AccountInfo, Call, Correlation, Event, HistoryItem, OnlinePeer, OrderProblem, OrderRef,
    OwnAccount, PayeeAnswer, PayeeFrame, PayerFrame, Problem, Response,
};
use crate::text::TextPayment;
use crate::{
    AccountId, Amount, Authority, BatchNumber, Entry, EntryNumber, KeyChange, Memo, Order, OrderId,
    P2pPort, PublicKey, Receipt, Refusal, Signature, SignedKeyChange, SignedOrder, Timestamp,
    Username,
};

pub(super) const NOW: Timestamp = Timestamp::new(0x0000_0199_8877_6655);

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

/// Four bytes a character, as many as a name may have.
pub(super) fn longest_name() -> Username {
    name(&"\u{10348}".repeat(crate::username::USERNAME_CHARS_MAX))
}

pub(super) fn order(payer: Username, payee: Username) -> SignedOrder {
    let not_after = Timestamp::new(NOW.get() + 600_000);
    let order = Order {
        version: 1,
        server: PublicKey::new([0x5E; 32]),
        id: OrderId::new(not_after, *b"0123456789"),
        payer,
        payer_key: PublicKey::new([0xA1; 32]),
        payee,
        payee_key: Some(PublicKey::new([0xB0; 32])),
        amount: Amount::new(250),
        not_after,
        memo_hash: [0x3E; 32],
    };
    SignedOrder { order, signature: Signature::new([0x51; 64]) }
}

fn an_order() -> SignedOrder {
    order(name("alice"), name("bob"))
}

pub(super) fn receipt(order: SignedOrder, path_hashes: usize) -> Receipt {
    let header = BatchHeader {
        entry_count: 2,
        batch: BatchNumber::new(7),
        first_entry: EntryNumber::new(40),
        time: NOW,
        byte_len: 1000,
        entries_checksum: 0xC5C5_C5C5,
        previous_head: [0x9E; 32],
        seal: Some(Seal { merkle_root: [0x3A; 32], signature: Signature::new([0x52; 64]) }),
    };
    let entry = Entry::Transferred {
        payer: AccountId::new(1),
        payee: AccountId::new(2),
        amount: order.order.amount,
        authority: Authority::Order(Box::new(order)),
    };
    Receipt::new(&header, 1, vec![[0x4A; 32]; path_hashes], entry)
}

fn a_receipt() -> Receipt {
    receipt(an_order(), 1)
}

fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 7001))
}

pub(super) fn peer(name: Username) -> OnlinePeer {
    let address = "[2001:db8::7]:7002".parse().expect("an address");
    OnlinePeer { name, key: Some(PublicKey::new([0xA1; 32])), address }
}

fn own_account() -> OwnAccount {
    OwnAccount { account: AccountId::new(1), name: name("alice"), balance: Amount::new(1000) }
}

pub(super) fn item(event: HistoryEvent) -> HistoryItem {
    HistoryItem { number: EntryNumber::new(41), time: NOW, event }
}

fn memo() -> Memo {
    Memo { salt: [0x5A; 16], text: "for tea ☕".into() }
}

/// What the first programs of this protocol say, and what this one says.
pub(super) fn hellos() -> [(&'static str, Hello); 2] {
    let first = Hello { magic: magic::CLIENT, version_min: 1, version_max: 1 };
    [("hello", first), ("hello of version 2", Hello::new(magic::CLIENT))]
}

fn welcome(account: Option<OwnAccount>) -> Welcome {
    let limits = Limits {
        frame_bytes_max: 0x0005_0000,
        calls_under_way_max: 1024,
        orders_per_call_max: 512,
        page_items_max: 1000,
        order_validity_ms_max: 86_400_000,
    };
    Welcome { magic: magic::SERVER, version: 1, now: NOW, limits, account }
}

pub(super) fn welcomes() -> Vec<(&'static str, Result<Welcome, Problem>)> {
    vec![
        ("welcome with an account", Ok(welcome(Some(own_account())))),
        ("welcome without", Ok(welcome(None))),
        ("no welcome", Err(Problem::UnknownVersion)),
    ]
}

pub(super) fn calls() -> Vec<Call> {
    let change = KeyChange {
        version: 1,
        server: PublicKey::new([0x5E; 32]),
        account: name("alice"),
        old: PublicKey::new([0xA1; 32]),
        new: PublicKey::new([0xA2; 32]),
    };
    let by_old = Signature::new([0x61; 64]);
    let by_new = Signature::new([0x62; 64]);
    let payment =
        TextPayment { payer: name("carol"), amount: Amount::new(3), payee: name("alice") };
    vec![
        Call::Register { name: name("alice") },
        Call::LogIn { port: Some(P2pPort::try_from(7001).expect("a port")) },
        Call::LogIn { port: None },
        Call::ListOnline { after: Some(name("alice")), limit: 100 },
        Call::FindAccount { name: name("bob") },
        Call::ReadBalance,
        Call::SubmitOrders { orders: vec![an_order()] },
        Call::OrderStatus {
            orders: vec![OrderRef { payer: name("alice"), id: an_order().order.id }],
        },
        Call::SubmitText { payment },
        Call::ReadHistory { before: Some(EntryNumber::new(42)), limit: 50 },
        Call::ReadReceipts { entries: vec![EntryNumber::new(41), EntryNumber::new(40)] },
        Call::Watch { names: vec![name("bob"), name("carol")] },
        Call::KeepOrder { order: an_order() },
        Call::ReadOpenOrders,
        Call::ChangeKey { change: SignedKeyChange { change, by_old, by_new } },
        Call::LogOut,
    ]
}

pub(super) fn answers() -> Vec<Answer> {
    vec![
        Answer::Registered(own_account()),
        Answer::LoggedIn(own_account()),
        Answer::Online { peers: vec![peer(name("bob"))], more: true },
        Answer::Account(Some(AccountInfo {
            name: name("bob"),
            key: Some(PublicKey::new([0xB0; 32])),
            address: Some(address()),
        })),
        Answer::Account(None),
        Answer::Balance { amount: Amount::new(975), now: NOW },
        Answer::Orders(vec![
            OrderAnswer::Decided { replayed: true, receipt: Box::new(a_receipt()) },
            OrderAnswer::NotTaken(OrderProblem::Expired),
        ]),
        Answer::Statuses {
            statuses: vec![OrderStatus::Decided(Box::new(a_receipt())), OrderStatus::Unknown],
            now: NOW,
        },
        Answer::TextSettled,
        Answer::History { items: history(), more: false },
        Answer::History { items: history_by_operator(), more: false },
        Answer::Receipts(vec![None, Some(a_receipt())]),
        Answer::Watching(vec![peer(name("bob"))]),
        Answer::Kept,
        Answer::OpenOrders(vec![an_order()]),
        Answer::KeyChanged(Box::new(a_receipt())),
        Answer::LoggedOut,
    ]
}

fn history() -> Vec<HistoryItem> {
    let order = an_order().order.id;
    let amount = Amount::new(250);
    vec![
        item(HistoryEvent::Opened { grant: Amount::new(1000) }),
        item(HistoryEvent::Paid { payee: name("bob"), amount, order }),
        item(HistoryEvent::Received { payer: name("bob"), amount, order: Some(order) }),
        item(HistoryEvent::Received { payer: name("carol"), amount, order: None }),
        item(HistoryEvent::Refused {
            payee: name("bob"),
            amount,
            order,
            refusal: Refusal::InsufficientBalance,
        }),
        item(HistoryEvent::KeyChanged { key: PublicKey::new([0xA2; 32]) }),
    ]
}

fn history_by_operator() -> Vec<HistoryItem> {
    let amount = Amount::new(250);
    vec![
        item(HistoryEvent::Deposited { amount }),
        item(HistoryEvent::Withdrawn { amount }),
        item(HistoryEvent::Frozen { reason: "why".parse().expect("a reason") }),
        item(HistoryEvent::Unfrozen),
    ]
}

pub(super) fn events() -> Vec<Event> {
    let order = an_order().order.id;
    let number = EntryNumber::new(41);
    let amount = Amount::new(250);
    vec![
        Event::OrderDecided { order, number },
        Event::Received { payer: name("alice"), amount, number, order: Some(order) },
        Event::Received { payer: name("carol"), amount, number, order: None },
        Event::PeerOnline(peer(name("bob"))),
        Event::Replaced,
        Event::Missed,
    ]
}

pub(super) fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::InsufficientBalance,
        Refusal::AmountNotPositive,
        Refusal::NoPermission,
        Refusal::UnknownPayer,
        Refusal::UnknownPayee,
        Refusal::SameAccount,
        Refusal::SignatureRequired,
        Refusal::NameTaken,
        Refusal::SupplyExhausted,
        Refusal::NameTooSimilar,
        Refusal::PayeeKeyChanged,
        Refusal::KeyInUse,
        Refusal::AccountFrozen,
    ]
}

pub(super) fn problems() -> Vec<Problem> {
    let mut problems = vec![
        Problem::NoAccount,
        Problem::AlreadyRegistered,
        Problem::NameNotAllowed,
        Problem::NotLoggedIn,
        Problem::TooMany,
        Problem::InvalidSignature,
        Problem::KeyChangeMismatch,
        Problem::Busy,
        Problem::Stopping,
        Problem::UnknownVersion,
        Problem::WrongRole,
        Problem::Malformed,
        Problem::KeyRetired,
        Problem::TextNotServed,
        Problem::ReadOnly,
        Problem::OutcomeUnknown,
        Problem::BusyFor { wait_ms: 0x0102_0304 },
        Problem::TooManySessions,
        Problem::PlaceNeeded,
        Problem::HistoryUnavailable,
    ];
    problems.extend(refusals().into_iter().map(Problem::Refused));
    problems
}

pub(super) fn order_problems() -> Vec<OrderProblem> {
    vec![
        OrderProblem::InvalidSignature,
        OrderProblem::UnknownVersion,
        OrderProblem::WrongServer,
        OrderProblem::NotParty,
        OrderProblem::UnknownPayer,
        OrderProblem::PayerKeyMismatch,
        OrderProblem::SameAccount,
        OrderProblem::AmountNotPositive,
        OrderProblem::Conflict,
        OrderProblem::Expired,
        OrderProblem::NotAfterTooFar,
        OrderProblem::Busy,
        OrderProblem::Stopping,
        OrderProblem::IdMismatch,
        OrderProblem::ReadOnly,
        OrderProblem::HistoryUnavailable,
    ]
}

pub(super) fn payer_frame() -> PayerFrame {
    PayerFrame::Offer { order: Box::new(an_order()), memo: Some(memo()) }
}

pub(super) fn payee_answers() -> Vec<PayeeAnswer> {
    vec![
        PayeeAnswer::Decided(Box::new(a_receipt())),
        PayeeAnswer::Declined("not for me".into()),
        PayeeAnswer::Unknown,
    ]
}

pub(super) fn payee_frame(answer: PayeeAnswer) -> PayeeFrame {
    PayeeFrame::Answer { id: an_order().order.id, answer }
}

pub(super) fn response(result: Result<Answer, Problem>) -> ServerFrame {
    ServerFrame::Response(Response { correlation: Correlation(0x0102), result })
}
