use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::receipt::Proven;
use wire::{
    Access, AccountId, Amount, Authority, BatchNumber, Entry, EntryNumber, KeyChange, Order,
    OrderId, Refusal, Signature, SignedKeyChange, SignedOrder, Timestamp,
};

use super::*;

fn key(n: u8) -> PublicKey {
    PublicKey::new([n; 32])
}

fn signed(change: impl FnOnce(&mut Order)) -> Box<SignedOrder> {
    let not_after = Timestamp::new(1_790_000_000_000);
    let mut order = Order {
        version: ORDER_VERSION,
        server: key(9),
        id: OrderId::new(not_after, [7; 10]),
        payer: "alice".parse().expect("a name"),
        payer_key: key(1),
        payee: "bob".parse().expect("a name"),
        payee_key: Some(key(2)),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    };
    change(&mut order);
    Box::new(SignedOrder { order, signature: Signature::new([0; 64]) })
}

fn settled(authority: Authority) -> Entry {
    let [payer, payee] = [0, 1].map(AccountId::new);
    Entry::Transferred { payer, payee, amount: Amount::new(10), authority }
}

/// What is told of this entry.
fn told(entry: &Entry) -> String {
    let proven = Proven {
        batch: BatchNumber::new(3),
        head: [0xAB; 32],
        time: Timestamp::new(1_790_000_000_123),
        number: EntryNumber::new(17),
        entry,
    };
    table("title", &receipt::lines(&proven))
}

#[test]
fn a_settled_order_is_told_whole() {
    let expected = "title
  outcome  paid
  payer    alice, key AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE
  payee    bob, key AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI
  amount   10 credits
  order    01a0c4506c0007070707070707070707
  memo     none
  entry    17, in batch 3
  head     abababababababababababababababababababababababababababababababab
  time     2026-09-21T14:13:20.123Z";
    assert_eq!(told(&settled(Authority::Order(signed(|_| {})))), expected);
}

#[test]
fn every_outcome_has_its_words() {
    let name = || "carol".parse().expect("a name");
    let opened = |access| Entry::AccountOpened {
        account: AccountId::new(2),
        name: name(),
        access,
        grant: Amount::new(1000),
    };
    let change =
        KeyChange { version: 1, server: key(9), account: name(), old: key(3), new: key(4) };
    let [by_old, by_new] = [Signature::new([0; 64]); 2];
    let change = Box::new(SignedKeyChange { change, by_old, by_new });
    let refused = Entry::OrderRefused {
        payer: AccountId::new(0),
        order: signed(|order| order.payee_key = None),
        refusal: Refusal::InsufficientBalance,
    };
    let (account, amount) = (AccountId::new(2), Amount::new(5));
    let id = |text: &str| text.parse().expect("an id");
    let with_memo = signed(|order| order.memo_hash = [0xCD; 32]);
    for (entry, words) in [
        (refused.clone(), "refused for good, insufficient balance: nothing was moved"),
        (refused, "payee    bob, without a key"),
        (settled(Authority::Order(with_memo)), "there is one, with the hash cdcdcd"),
        (settled(Authority::Text), "paid by the text protocol: the payer has signed nothing"),
        (settled(Authority::Text), "payer    account 0"),
        (opened(Access::Open), "key      none: the text protocol can debit it"),
        (opened(Access::Keyed(key(3))), "account  2, carol"),
        (
            Entry::KeyChanged { account: AccountId::new(2), change },
            "new key  BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ",
        ),
        (Entry::Deposited { account, amount, id: id("in-1") }, "id       in-1"),
        (Entry::Withdrawn { account, amount, id: id("out-1") }, "withdrawn by the operator"),
        (
            Entry::Frozen { account, reason: "why\u{202e}".parse().expect("a reason") },
            "reason   why\\u{202e}",
        ),
        (Entry::Unfrozen { account }, "unfrozen by the operator"),
        (Entry::TimePassed, "time has passed"),
    ] {
        let told = told(&entry);
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
}

/// Old names may hold what turns the direction of writing.
#[test]
fn a_name_cannot_draw_on_the_screen() {
    let order = signed(|order| order.payee = "bob\u{202e}".parse().expect("an old name"));
    let told = told(&settled(Authority::Order(order)));
    assert!(told.contains("bob\\u{202e}, key"), "{told}");
}

#[test]
fn what_was_not_finished_and_not_signed_is_told() {
    let audited = Audited {
        last: actors::ledger::journal::Committed {
            batch: BatchNumber::new(12),
            head: [1; 32],
            next_entry: EntryNumber::new(40),
            time: Timestamp::new(1_790_000_000_000),
        },
        began: Some(Timestamp::new(0)),
        unsealed: 3,
        accounts: 2,
        supply: 2000,
        orders: 1,
        text_payments: 2,
        key_changes: 0,
        operations: Operations { deposits: 4, withdrawals: 3, freezes: 2, frozen: 1 },
        unfinished: Some(actors::ledger::journal::BatchPosition {
            segment: BatchNumber::new(9),
            offset: 77,
        }),
    };
    let told = table("title", &findings(&audited));
    for words in [
        "12, of which the first 3 are not signed themselves, but chained to",
        "12 batches, then an unfinished end in journal-00000000000000000009.mite at byte 77",
        "1970-01-01T00:00:00.000Z to 2026-09-21T14:13:20.000Z",
        "2000 credits",
        "4 deposits, 3 withdrawals, 2 times an account was frozen, 1 accounts still are",
    ] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
}
