//! Receipts of long ago.

use wire::receipt::Verdict;

use super::*;
use crate::archive::turns::QUERIES_WAITING_MAX;

#[actix::test]
async fn receipts_of_all_parties_verify() {
    let (to_bob, refusal) = (order(ALICE, BOB, 10, 1), order(ALICE, BOB, 99, 1));
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    book.write(&vec![paid_by_text(OTTO, OTTO, 1); 7]);
    book.begin_segment();
    let first = book.write(&[
        paid_by_text(OTTO, BOB, 1),
        paid(ALICE, BOB, to_bob.clone()),
        refused(ALICE, refusal.clone()),
    ]);
    let archive = dir.start(&book);

    for account in [ALICE, BOB] {
        let sought = vec![by_order(ALICE, &refusal), by_order(ALICE, &to_bob)];
        let found = archive.receipts(account, sought).await;
        let [Some(refused), Some(settled)] = &found[..] else { panic!("{account}: {found:?}") };
        let proven = settled.verify(&server()).expect("the server's word");
        assert_eq!(proven.number.get(), first.get() + 1);
        assert_eq!(settled.order(), Some(&to_bob));
        assert_eq!(settled.verdict(), Some(Verdict::Settled));
        refused.verify(&server()).expect("the server's word");
        assert_eq!(refused.verdict(), Some(Verdict::Refused(Refusal::InsufficientBalance)));
    }
    // By number, in any order, again and again.
    let found = archive.receipts(BOB, by_entry([12, 1, 11, 12, 500, u64::MAX])).await;
    let numbers = found.iter().map(|receipt| {
        let proven = receipt.as_ref()?.verify(&server()).expect("the server's word");
        Some(proven.number.get())
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [Some(12), Some(1), Some(11), Some(12), None, None]);
}

/// The story: mallory asks for the receipts of others, and learns who pays whom.
#[actix::test]
async fn what_is_not_the_askers_is_not_there() {
    let (settled, refusal) = (order(ALICE, BOB, 10, 1), order(ALICE, BOB, 99, 1));
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    book.write(&[
        paid(ALICE, BOB, settled.clone()),
        refused(ALICE, refusal.clone()),
        key_changed(BOB),
        paid_by_text(OTTO, BOB, 1),
    ]);
    let archive = dir.start(&book);
    let mut sought = by_entry((0..12).filter(|number| *number != MALLORY.get()));
    sought.extend([by_order(ALICE, &settled), by_order(ALICE, &refusal), by_order(BOB, &settled)]);
    let count = sought.len();
    assert_eq!(archive.receipts(MALLORY, sought).await, vec![None; count]);
    let own = archive.receipts(MALLORY, by_entry([MALLORY.get()])).await;
    assert!(own[0].is_some(), "her own opening");
    // Alice has nothing to do with bob's key, nor with what otto has paid him.
    assert_eq!(archive.receipts(ALICE, by_entry([1, 6, 7])).await, [None, None, None]);
}

/// The story: an order to a name that nobody has is refused, somebody takes the name, and is shown what
/// was to be paid to another.
#[actix::test]
async fn whoever_takes_a_name_later_was_not_the_payee() {
    let too_early = order(ALICE, BOB, 10, 1);
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&[opened(ALICE), refused(ALICE, too_early.clone()), opened(BOB)]);
    let archive = dir.start(&book);
    assert_eq!(archive.receipts(BOB, vec![by_order(ALICE, &too_early)]).await, [None]);
    assert!(archive.receipts(ALICE, vec![by_order(ALICE, &too_early)]).await[0].is_some());
}

/// The story: mallory asks for the entries of others, a batch each, and the archive reads and hashes batches
/// of megabytes only to find that they do not concern her.
#[actix::test]
async fn no_batch_is_read_for_whom_it_does_not_concern() {
    let refusal = order(ALICE, BOB, 99, 1);
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    book.begin_segment();
    let first = book.write(&[paid_by_text(OTTO, BOB, 1), refused(ALICE, refusal.clone())]).get();
    let archive = dir.start(&book);
    assert_eq!(archive.numbers(BOB).await, [first, BOB.get()]);
    book.storage.remove(&segment_name(2)).expect("it is there");
    for (account, number) in [(MALLORY, first), (MALLORY, first + 1), (ALICE, first)] {
        assert_eq!(archive.receipts(account, by_entry([number])).await, [None]);
    }
    // It is not there any more for those who may have it.
    let sought = by_entry([first]);
    let unread = archive.ask(FindReceipts { account: BOB, sought }).await;
    assert_eq!(unread, Err(ArchiveUnavailable::Gone));
}

#[actix::test]
async fn many_batches_are_read_for_one_question_and_others_come_between() {
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    for batch in 0..40 {
        book.write(&[paid_by_text(OTTO, BOB, 1), paid_by_text(OTTO, OTTO, 1)]);
        if batch % 9 == 0 {
            book.begin_segment();
        }
    }
    let archive = dir.start(&book);
    let all: Vec<_> = (0..40).map(|batch| 4 + 2 * batch).collect();
    let many = archive.receipts(BOB, by_entry(all.clone()));
    let more = archive.receipts(BOB, by_entry(all.into_iter().rev()));
    let (many, more, page) = tokio::join!(many, more, archive.history(BOB, None, 1));
    assert!(many.iter().chain(&more).flatten().all(|receipt| receipt.verify(&server()).is_ok()));
    assert_eq!((many.iter().flatten().count(), more.iter().flatten().count()), (40, 40));
    assert_eq!(page.items.len(), 1);
}

#[actix::test]
async fn a_question_is_bounded() {
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    let archive = dir.start(&book);
    let sought = by_entry(vec![0; ORDERS_PER_CALL_MAX + 1]);
    let busy = archive.ask(FindReceipts { account: ALICE, sought }).await;
    assert_eq!(busy, Err(ArchiveUnavailable::Busy));

    let read = ReadHistory { account: ALICE, before: None, limit: 1 };
    let asked = (0..=QUERIES_WAITING_MAX / 64).map(|_| archive.0.send(read));
    let answers = futures_util::future::join_all(asked).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Ok(Err(ArchiveUnavailable::Busy))));
    assert_eq!(busy.count(), 1, "one too many");
}

/// The story: hundreds of accounts ask without end, each over all the sessions that it may have, and
/// nobody else was answered. What waits is bounded, all of it is answered, and who asks little finds
/// room.
#[actix::test]
async fn a_flood_of_questions_leaves_room_for_others() {
    const ACCOUNTS: u32 = 100;
    const QUESTIONS: usize = 200;
    let dir = Dir::new();
    let mut book = Book::new();
    book.write(&openings());
    let archive = dir.start(&book);
    let ask = |account: u32| {
        let account = AccountId::new(account.into());
        // Each by an address of its own, past the capacity of the mailbox, as sessions send.
        archive.0.clone().recipient::<ReadHistory>().send(ReadHistory {
            account,
            before: None,
            limit: 1,
        })
    };
    let flood = (0..ACCOUNTS).flat_map(|account| (0..QUESTIONS).map(move |_| account)).map(ask);
    let flood: Vec<_> = flood.collect();
    let other = ask(ACCOUNTS);
    let mut answered = 0;
    for answer in futures_util::future::join_all(flood).await {
        match answer.expect("the archive is there") {
            Ok(_) => answered += 1,
            Err(unavailable) => assert_eq!(unavailable, ArchiveUnavailable::Busy),
        }
    }
    assert!((1000..=QUERIES_WAITING_MAX).contains(&answered), "{answered}");
    assert!(other.await.expect("the archive is there").is_ok());
}
