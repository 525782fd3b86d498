use tokio::sync::oneshot;
use wire::AccountId;
use wire::secure::call::ORDERS_PER_CALL_MAX;

use super::*;
use crate::archive::queries::ReceiptSearch;
use crate::messages::{FindReceipts, ReadHistory, Sought};

fn search(account: u64, behind: u64) -> Waiting {
    let find = FindReceipts { account: AccountId::new(account), sought: Vec::new() };
    let query = Query::Receipts(ReceiptSearch::new(find), oneshot::channel().0);
    Waiting { behind: EntryNumber::new(behind), query }
}

fn history(account: u64) -> Waiting {
    let read = ReadHistory { account: AccountId::new(account), before: None, limit: 1 };
    let query = Query::History(read, oneshot::channel().0);
    Waiting { behind: EntryNumber::new(0), query }
}

const INDEXED: EntryNumber = EntryNumber::new(9);

/// Does so many pieces of searches none of which is ever done. Returns whose they were.
fn work(turns: &mut Turns, pieces: usize) -> Vec<u64> {
    let work = (0..pieces).map(|_| {
        let search = turns.next_search(INDEXED).expect("there is one");
        let account = search.query.account().get();
        turns.put_back(search);
        account
    });
    work.collect()
}

/// The story: one account has many sessions, asks in each for what takes long, and nobody else is answered.
#[test]
fn an_account_has_one_search_in_turn() {
    let mut turns = Turns::default();
    for _ in 0..2 * SEARCHES_IN_TURN_MAX {
        turns.push(search(1, 0));
    }
    assert_eq!(work(&mut turns, 3), [1, 1, 1]);
    turns.push(search(2, 0));
    turns.push(search(3, 0));
    assert_eq!(work(&mut turns, 6), [1, 2, 3, 1, 2, 3]);
    // Its next one is begun when that one is done, behind the others.
    assert!(turns.next_search(INDEXED).is_some());
    assert_eq!(work(&mut turns, 6), [2, 3, 1, 2, 3, 1]);
}

#[test]
fn so_many_searches_are_in_turn_and_the_others_follow() {
    let mut turns = Turns::default();
    let most = SEARCHES_IN_TURN_MAX as u64;
    for account in 0..=most {
        turns.push(search(account, 0));
    }
    let in_turn: Vec<_> = (0..most).collect();
    assert_eq!(work(&mut turns, SEARCHES_IN_TURN_MAX), in_turn);
    assert!(turns.next_search(INDEXED).is_some());
    assert_eq!(work(&mut turns, SEARCHES_IN_TURN_MAX).last(), Some(&most));
}

#[test]
fn short_questions_do_not_wait_for_long_ones() {
    let mut turns = Turns::default();
    for account in 0..100 {
        turns.push(search(account, 0));
    }
    turns.push(history(1));
    assert_eq!(turns.len(), 101);
    let next = turns.next_short(INDEXED).expect("it is there");
    assert!(matches!(next.query, Query::History(..)));
    assert!(turns.next_short(INDEXED).is_none());
}

#[test]
fn what_is_not_indexed_yet_is_passed_over() {
    let mut turns = Turns::default();
    turns.push(search(1, 10));
    turns.push(search(2, 9));
    assert_eq!(work(&mut turns, 2), [2, 2]);
    assert!(turns.next_search(INDEXED).is_some());
    assert!(turns.next_search(INDEXED).is_none());
    assert!(!turns.is_empty());
    turns.clear();
    assert!(turns.is_empty());
    assert!(turns.has_room(&seeking(1, SOUGHT_WAITING_MAX / FREE_SHARE).query));
}

fn seeking(account: u64, count: usize) -> Waiting {
    let sought = vec![Sought::Entry(EntryNumber::new(0)); count];
    let find = FindReceipts { account: AccountId::new(account), sought };
    let query = Query::Receipts(ReceiptSearch::new(find), oneshot::channel().0);
    Waiting { behind: EntryNumber::new(0), query }
}

/// Lets an account ask the same again and again. Returns how often it may.
fn fill(turns: &mut Turns, question: impl Fn() -> Waiting) -> usize {
    let before = turns.len();
    loop {
        let question = question();
        if !turns.has_room(&question.query) {
            return turns.len() - before;
        }
        turns.push(question);
    }
}

/// The story: a few accounts ask for as much as they may, and nobody else is answered for as long as they do.
#[test]
fn no_account_has_more_than_its_share_of_what_is_free() {
    let mut turns = Turns::default();
    assert_eq!(fill(&mut turns, || history(0)), QUERIES_WAITING_MAX / FREE_SHARE);
    assert_eq!(fill(&mut turns, || search(0, 0)), 0, "of both kinds together");
    for account in 1..100 {
        fill(&mut turns, || history(account));
    }
    assert!(turns.len() < QUERIES_WAITING_MAX * 4 / 5);
    assert!(fill(&mut turns, || history(100)) > 10);
    for account in 101..1000 {
        fill(&mut turns, || history(account));
    }
    assert_eq!(turns.len(), QUERIES_WAITING_MAX);
    // Each that is answered makes room for one.
    assert!(turns.next_short(INDEXED).is_some());
    assert_eq!(fill(&mut turns, || history(1000)), 1);
}

/// The memory of questions is in what they seek.
#[test]
fn no_account_seeks_more_than_its_share_of_what_is_free() {
    let mut turns = Turns::default();
    let largest = |account| move || seeking(account, ORDERS_PER_CALL_MAX);
    let own = SOUGHT_WAITING_MAX / FREE_SHARE / ORDERS_PER_CALL_MAX;
    // What it has makes what is free less.
    assert_eq!(fill(&mut turns, largest(0)), own - 1);
    assert!(fill(&mut turns, || history(0)) > 0, "it may ask for less");
    for account in 1..200 {
        fill(&mut turns, largest(account));
    }
    assert!(turns.load.sought <= SOUGHT_WAITING_MAX);
    assert_eq!(fill(&mut turns, || seeking(200, 1)).min(1), 1);
    // What is worked at is counted until it is done.
    let before = turns.load;
    let search = turns.next_search(INDEXED).expect("there are many");
    assert_eq!(turns.load.sought, before.sought - ORDERS_PER_CALL_MAX);
    turns.put_back(search);
    assert_eq!(turns.load, before);
    while turns.next_search(INDEXED).is_some() || turns.next_short(INDEXED).is_some() {}
    assert_eq!((turns.load, turns.of_account.len()), (Load::default(), 0));
}
