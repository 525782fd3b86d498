//! What happened to an account, page by page.

use wire::secure::{HistoryEvent, HistoryItem};

use super::*;

/// One entry of each kind.
fn book() -> (Book, [SignedOrder; 3]) {
    let orders = [order(ALICE, BOB, 10, 1), order(ALICE, OTTO, 20, 1), order(BOB, ALICE, 30, 1)];
    let [to_bob, to_otto, too_much] = orders.clone();
    let mut book = Book::new();
    book.write(&openings());
    book.write(&[paid(ALICE, BOB, to_bob), paid_by_text(OTTO, BOB, 5)]);
    book.begin_segment();
    book.write(&[paid_by_text(OTTO, OTTO, 1)]);
    book.write(&[refused(BOB, too_much), paid(ALICE, OTTO, to_otto), key_changed(BOB)]);
    (book, orders)
}

/// What the operator does is told to the account's holder alone, with receipts that verify.
#[actix::test]
async fn what_the_operator_does_is_in_the_accounts_history() {
    let (dir, mut book) = (Dir::new(), Book::new());
    book.write(&openings());
    let (amount, id) = (Amount::new(5), |text: &str| text.parse().expect("an id"));
    let reason: FreezeReason = "suspected".parse().expect("a reason");
    book.write(&[
        Entry::Deposited { account: ALICE, amount, id: id("a") },
        Entry::Deposited { account: OTTO, amount, id: id("b") },
        Entry::Withdrawn { account: ALICE, amount, id: id("c") },
        Entry::Frozen { account: ALICE, reason: reason.clone() },
        Entry::Unfrozen { account: ALICE },
    ]);
    let archive = dir.start(&book);
    let history = archive.history(ALICE, None, 10).await.items;
    let told: Vec<_> = history.into_iter().map(|item| (item.number.get(), item.event)).collect();
    let expected = [
        (8, HistoryEvent::Unfrozen),
        (7, HistoryEvent::Frozen { reason }),
        (6, HistoryEvent::Withdrawn { amount }),
        (4, HistoryEvent::Deposited { amount }),
        (0, HistoryEvent::Opened { grant: Amount::new(1000) }),
    ];
    assert_eq!(told, expected);
    assert_eq!(archive.numbers(BOB).await, [1]);
    let receipts = archive.receipts(ALICE, by_entry([4, 6, 7, 8])).await;
    assert_eq!(receipts.len(), 4);
    for receipt in receipts {
        let receipt = receipt.expect("it is alice's");
        receipt.verify(&server()).expect("the server's word");
        assert_eq!((receipt.verdict(), receipt.order()), (None, None));
    }
    assert_eq!(archive.receipts(BOB, by_entry([4, 6, 7, 8])).await, vec![None; 4]);
}

/// What an account is paid at once stands in few rows, and is told as if each item stood alone.
#[actix::test]
async fn pages_begin_and_end_within_what_was_written_together() {
    let (dir, mut book) = (Dir::new(), Book::new());
    book.write(&openings());
    for _ in 0..3 {
        let pay = |amount| paid(ALICE, BOB, order(ALICE, BOB, amount, 1));
        book.write(&(1..=50).map(pay).collect::<Vec<_>>());
    }
    let archive = dir.start(&book);
    let all: Vec<u64> = [1].into_iter().chain(4..154).rev().collect();
    assert_eq!(archive.numbers(BOB).await, all);
    for (before, limit) in [(154, 1), (100, 33), (36, 32), (35, 40), (5, 2), (5, 1), (1, 9)] {
        let page = archive.history(BOB, Some(before), limit).await;
        let numbers: Vec<u64> = page.items.iter().map(|item| item.number.get()).collect();
        let older: Vec<u64> = all.iter().copied().filter(|number| *number < before).collect();
        let count = older.len().min(limit as usize);
        assert_eq!(numbers, older[..count], "{limit} before {before}");
        assert_eq!(page.more, count < older.len(), "{limit} before {before}");
    }
    let receipts = archive.receipts(BOB, by_entry([4, 35, 36, 100, 153, 2])).await;
    assert_eq!(receipts.iter().filter(|receipt| receipt.is_some()).count(), 5);
}

#[actix::test]
async fn every_kind_of_entry_is_told_to_whom_it_concerns() {
    let ((book, [to_bob, to_otto, too_much]), dir) = (book(), Dir::new());
    let archive = dir.start(&book);
    let item = |number, batch, event| HistoryItem {
        number: EntryNumber::new(number),
        time: at(batch),
        event,
    };
    let amount = Amount::new;
    let opened = |number| item(number, 1, HistoryEvent::Opened { grant: amount(1000) });

    let (payer, payee) = (name(ALICE), name(BOB));
    let (first, second) = (to_bob.order.id, to_otto.order.id);
    let paid = |payee, credits, order| HistoryEvent::Paid { payee, amount: amount(credits), order };
    let received =
        |payer, credits, order| HistoryEvent::Received { payer, amount: amount(credits), order };
    let refused = HistoryEvent::Refused {
        payee: payer.clone(),
        amount: amount(30),
        order: too_much.order.id,
        refusal: Refusal::InsufficientBalance,
    };
    assert_eq!(
        archive.history(ALICE, None, 10).await.items,
        [item(8, 4, paid(name(OTTO), 20, second)), item(4, 2, paid(payee, 10, first)), opened(0)]
    );
    assert_eq!(
        archive.history(BOB, None, 10).await.items,
        [
            item(9, 4, HistoryEvent::KeyChanged { key: public_key(&new_key()) }),
            item(7, 4, refused),
            item(5, 2, received(name(OTTO), 5, None)),
            item(4, 2, received(payer, 10, Some(first))),
            opened(1),
        ]
    );
    assert_eq!(archive.history(MALLORY, None, 10).await.items, [opened(3)]);
    assert_eq!(archive.history(OTTO, None, 10).await.items, [], "open accounts have no history");
    assert_eq!(archive.history(AccountId::new(77), None, 10).await.items, []);
}

#[actix::test]
async fn pages_fit_together() {
    let ((book, _), dir) = (book(), Dir::new());
    let archive = dir.start(&book);
    let whole = archive.history(BOB, None, 1000).await;
    assert_eq!((whole.items.len(), whole.more), (5, false));
    for limit in 1..=6 {
        let (mut items, mut before) = (Vec::new(), None);
        loop {
            let page = archive.history(BOB, before, limit).await;
            assert!(page.items.len() <= limit as usize);
            before = page.items.last().map(|item| item.number.get());
            items.extend(page.items);
            if !page.more {
                break;
            }
        }
        assert_eq!(items, whole.items, "{limit} a page");
    }
    let nothing = archive.history(BOB, None, 0).await;
    assert_eq!((nothing.items.len(), nothing.more), (0, true));
    for before in [0, 1] {
        let before_all = archive.history(BOB, Some(before), 10).await;
        assert_eq!((before_all.items.len(), before_all.more), (0, false));
    }
    assert_eq!(archive.history(BOB, Some(u64::MAX), 1000).await, whole);
}

/// The story: a client asks for a page of four thousand million items.
#[actix::test]
async fn a_page_is_bounded_whatever_is_asked_for() {
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    book.write(&vec![paid_by_text(OTTO, BOB, 1); 1200]);
    let page = dir.start(&book).history(BOB, None, u32::MAX).await;
    assert_eq!((page.items.len(), page.more), (1000, true));
}
