//! Orders that are kept.

use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use wire::order::ORDER_VALIDITY_MS_MAX;

use super::*;
use crate::archive::keeps::KEEPS_WAITING_MAX;
use crate::backup::{BackupOptions, Source, backup_directory};

fn book() -> Book {
    let mut book = Book::new();
    book.write(&openings());
    book
}

/// The story: a client loses its machine between signing and settling, and the restored one must find
/// what it has signed.
#[actix::test]
async fn kept_orders_outlive_the_process() {
    let (book, dir) = (book(), Dir::new());
    let [late, early] = [order(ALICE, BOB, 1, 900), order(ALICE, BOB, 2, 800)];
    let archive = dir.start(&book);
    for order in [&late, &early, &late] {
        assert_eq!(archive.keep(ALICE, order.clone(), 0).await, Ok(()));
    }
    assert_eq!(archive.open_orders(ALICE, 0).await, [early.clone(), late.clone()]);
    assert_eq!(archive.open_orders(BOB, 0).await, [], "they are nobody else's");
    archive.stop().await;
    fs::remove_file(dir.index()).expect("the index is there");
    let archive = dir.start(&book);
    assert_eq!(archive.open_orders(ALICE, 800).await, [early, late.clone()]);
    assert_eq!(archive.open_orders(ALICE, 801).await, [late]);
}

#[actix::test]
async fn decided_ones_are_not_open() {
    let (mut book, dir) = (book(), Dir::new());
    let orders: Vec<_> = (1..=3).map(|amount| order(ALICE, BOB, amount, 500)).collect();
    let archive = dir.start(&book);
    for order in &orders {
        assert_eq!(archive.keep(ALICE, order.clone(), 0).await, Ok(()));
    }
    book.write(&[paid(ALICE, BOB, orders[0].clone()), refused(ALICE, orders[2].clone())]);
    archive.0.do_send(grown(&book));
    assert_eq!(archive.open_orders(ALICE, 0).await, orders[1..2]);
}

#[actix::test]
async fn an_account_keeps_so_many_and_room_is_made_of_expired_and_decided_ones() {
    let (mut book, dir) = (book(), Dir::new());
    let archive = dir.start(&book);
    let most = OPEN_ORDERS_PER_ACCOUNT_MAX as u64;
    let orders: Vec<_> = (1..=most).map(|amount| order(ALICE, BOB, amount, 100 + amount)).collect();
    for order in &orders {
        assert_eq!(archive.keep(ALICE, order.clone(), 0).await, Ok(()));
    }
    let more = |amount| order(ALICE, BOB, amount, 500);
    assert_eq!(archive.keep(ALICE, more(1000), 0).await, Err(ArchiveUnavailable::Busy));
    assert_eq!(archive.keep(ALICE, orders[5].clone(), 0).await, Ok(()), "it is there already");
    assert_eq!(archive.keep(BOB, order(BOB, ALICE, 1, 100), 0).await, Ok(()), "bob has room");

    // The first one has expired.
    assert_eq!(archive.keep(ALICE, more(1001), 102).await, Ok(()));
    assert_eq!(archive.keep(ALICE, more(1002), 102).await, Err(ArchiveUnavailable::Busy));
    book.write(&[paid(ALICE, BOB, orders[30].clone())]);
    archive.0.do_send(grown(&book));
    assert_eq!(archive.numbers(BOB).await.len(), 2, "it is decided");
    assert_eq!(archive.keep(ALICE, more(1003), 102).await, Ok(()));
    assert_eq!(archive.open_orders(ALICE, 102).await.len(), OPEN_ORDERS_PER_ACCOUNT_MAX);
}

/// The story: somebody opens account after account and has orders kept that expire in the year 9999.
#[actix::test]
async fn nothing_is_kept_for_ever() {
    let (book, dir) = (book(), Dir::new());
    let archive = dir.start(&book);
    let far = order(ALICE, BOB, 1, 1000 * ORDER_VALIDITY_MS_MAX);
    assert_eq!(archive.keep(ALICE, far.clone(), 0).await, Ok(()));
    let kept = 2 * ORDER_VALIDITY_MS_MAX;
    let other = |now| order(BOB, ALICE, now, now);
    assert_eq!(archive.keep(BOB, other(kept), kept).await, Ok(()));
    assert_eq!(archive.open_orders(ALICE, kept).await, [far]);
    assert_eq!(archive.keep(BOB, other(kept + 1), kept + 1).await, Ok(()));
    assert_eq!(archive.open_orders(ALICE, kept + 1).await, []);
}

/// The story: one client asked for more to be kept than may wait, again and again, and nobody else got a
/// place.
#[actix::test]
async fn of_one_account_and_of_all_so_many_wait_and_one_too_many_is_told() {
    let (book, dir) = (book(), Dir::new());
    let archive = dir.start(&book);
    let order = order(ALICE, BOB, 1, 500).verify().expect("signed");
    let busy = async |accounts: Vec<AccountId>| {
        let keep = |account| KeepOrder { account, order: order.clone(), now: at(0) };
        let asked = accounts.into_iter().map(|account| archive.0.send(keep(account)));
        let answers = futures_util::future::join_all(asked).await;
        let is_busy = |answer: &Result<_, _>| *answer == Ok(Err(ArchiveUnavailable::Busy));
        answers.iter().map(is_busy).collect::<Vec<_>>()
    };
    let own = OPEN_ORDERS_PER_ACCOUNT_MAX;
    let mut accounts = vec![ALICE; own + 1];
    accounts.push(BOB);
    let mut expected = vec![false; own + 2];
    expected[own] = true;
    assert_eq!(busy(accounts).await, expected);
    assert_eq!(archive.open_orders(ALICE, 0).await.len(), 1);

    // As many accounts as would fill it if each had as much as one alone may.
    let greedy = (0..KEEPS_WAITING_MAX / own).flat_map(|account| vec![account as u64; own]);
    let mut accounts: Vec<_> = greedy.map(AccountId::new).collect();
    accounts.extend([AccountId::new(1000); 2]);
    let answers = busy(accounts).await;
    assert!(answers.iter().any(|busy| *busy));
    assert_eq!(answers[KEEPS_WAITING_MAX..], [false, false], "others find room");

    let many = (0..KEEPS_WAITING_MAX as u64 + 100).map(AccountId::new).collect();
    let waited = busy(many).await.into_iter().filter(|busy| !busy).count();
    assert_eq!(waited, KEEPS_WAITING_MAX);
}

/// The story: each of a thousand orders of an account that had no room cost a look at all that it had.
#[test]
fn an_account_without_room_is_looked_through_once_a_sync() {
    let dir = Dir::new();
    let kept = KeptOrders::open(&dir.open_orders(), OPEN_ORDERS_MAX, &no_log()).expect("it opens");
    let own = OPEN_ORDERS_PER_ACCOUNT_MAX;
    let orders: Vec<_> = (1..=own as u64 + 10)
        .map(|amount| order(ALICE, BOB, amount, 100).verify().expect("signed"))
        .map(|order| KeepOrder { account: ALICE, order, now: at(0) })
        .collect();
    let asked = Cell::new(0);
    let ask = |_, _| {
        asked.set(asked.get() + 1);
        false
    };
    let room = kept.keep(&orders, ask).expect("kept");
    assert_eq!(room.iter().filter(|room| **room).count(), own);
    assert_eq!(asked.get(), own);
    // With the next sync they are looked at again, and all are decided meanwhile.
    let room = kept.keep(&orders[own..], |_, _| true).expect("kept");
    assert_eq!(room, [true; 10]);
}

/// The story: ten thousand accounts are opened, and each has 64 orders kept, until the disk is full.
#[test]
fn all_accounts_together_keep_so_many() {
    let dir = Dir::new();
    let kept = KeptOrders::open(&dir.open_orders(), 2, &no_log()).expect("it opens");
    let keep = |account, other, amount, now| {
        let order = order(account, other, amount, 100).verify().expect("signed");
        KeepOrder { account, order, now: at(now) }
    };
    let orders = [keep(ALICE, BOB, 1, 0), keep(BOB, ALICE, 1, 0), keep(MALLORY, BOB, 1, 0)];
    assert_eq!(kept.keep(&orders, |_, _| false).expect("kept"), [true, true, false]);
    let orders = [keep(BOB, ALICE, 1, 0), keep(ALICE, BOB, 2, 0)];
    assert_eq!(kept.keep(&orders, |_, _| false).expect("kept"), [true, false]);
    let later = KeepOrder { now: at(101), ..orders[0].clone() };
    assert_eq!(kept.keep([&later], |_, _| false).expect("kept"), [true]);
    assert_eq!(kept.of_account(ALICE, at(0)).expect("read"), [], "room was made of what expired");
}

/// The story: as many accounts as fill the file, if each has kept all that one may alone, kept everybody
/// else out for two days.
#[test]
fn an_account_keeps_its_share_of_what_is_free() {
    const MOST: u64 = 1024;
    let dir = Dir::new();
    let kept = KeptOrders::open(&dir.open_orders(), MOST, &no_log()).expect("it opens");
    let own = OPEN_ORDERS_PER_ACCOUNT_MAX as u64;
    let orders: Vec<_> = (0..own)
        .map(|amount| order(ALICE, BOB, amount + 1, 100).verify().expect("signed"))
        .collect();
    let fill = |account| {
        let of_account = orders.iter().cloned();
        let keeps = of_account.map(|order| KeepOrder {
            account: AccountId::new(account),
            order,
            now: at(0),
        });
        let kept = kept.keep(&keeps.collect::<Vec<_>>(), |_, _| false).expect("kept");
        kept.into_iter().filter(|kept| *kept).count() as u64
    };
    let first = fill(0);
    assert!(first > own * 9 / 10, "{first}");
    let greedy = MOST / own;
    let all = first + (1..greedy).map(&fill).sum::<u64>();
    assert!(all < MOST * 2 / 3, "{all}");
    assert!(fill(greedy) > own / 4, "others find room");
    // What is there is not lost because there is little room now.
    assert_eq!(fill(0), first);
    let found = kept.of_account(AccountId::new(0), at(0)).expect("read");
    assert_eq!(found.len() as u64, first);
    let everybody = (0..120).map(&fill).sum::<u64>();
    assert_eq!(everybody, MOST);
}

/// The story: the disk garbles the file. Nothing else holds the orders, so it is not thrown away.
#[actix::test]
async fn a_damaged_file_is_put_aside() {
    let (book, dir) = (book(), Dir::new());
    let garbage = vec![0xA5; 10_000];
    fs::write(dir.open_orders(), &garbage).expect("written");
    let archive = dir.start(&book);
    let kept = order(ALICE, BOB, 1, 500);
    assert_eq!(archive.keep(ALICE, kept.clone(), 0).await, Ok(()));
    assert_eq!(archive.open_orders(ALICE, 0).await, [kept]);
    let aside = dir.0.path().join("open-orders.redb.damaged");
    assert_eq!(fs::read(aside).expect("it is there"), garbage);
}

/// The story: a copy of a database that is being written holds pages of two moments, and nobody notices
/// before it is needed.
#[actix::test]
async fn copies_of_the_file_are_whole_while_it_is_written() {
    const BACKUPS: usize = 20;
    let (book, dir, copies) = (book(), Dir::new(), Dir::new());
    let archive = dir.start(&book);
    let orders: Vec<_> = (1..=60).map(|amount| order(ALICE, BOB, amount, 500)).collect();
    assert_eq!(archive.keep(ALICE, orders[0].clone(), 0).await, Ok(()));
    let kept = Arc::new(AtomicU64::new(1));
    let (from, to, before) =
        (dir.0.path().to_owned(), copies.0.path().join("to"), Arc::clone(&kept));
    let backups = thread::spawn(move || {
        let options = BackupOptions { server: server(), key_file: None, recheck_bytes: u64::MAX };
        let source = Source { data_dir: &from, archived: None };
        for _ in 0..BACKUPS {
            let before = before.load(Ordering::Relaxed);
            let report = backup_directory(source, &to, &options, |_| ()).expect("a backup");
            assert!(report.open_orders.is_some_and(|copied| copied >= before), "{report:?}");
        }
    });
    // Each is a commit; those that are kept already are, too.
    for (order, count) in orders.iter().cycle().zip(1..) {
        if backups.is_finished() {
            break;
        }
        assert_eq!(archive.keep(ALICE, order.clone(), 0).await, Ok(()));
        kept.fetch_max(count.min(60), Ordering::Relaxed);
    }
    backups.join().expect("each of them is whole");
    let found = archive.open_orders(ALICE, 0).await;
    archive.stop().await;

    let to = copies.0.path().join("to");
    let options = BackupOptions { server: server(), key_file: None, recheck_bytes: u64::MAX };
    let source = Source { data_dir: dir.0.path(), archived: None };
    backup_directory(source, &to, &options, |_| ()).expect("a backup");
    fs::copy(to.join(OPEN_ORDERS_FILE), dir.open_orders()).expect("it is there");
    let archive = dir.start(&book);
    assert_eq!(archive.open_orders(ALICE, 0).await, found);
}
