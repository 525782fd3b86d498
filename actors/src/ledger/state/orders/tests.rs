use super::*;

const END: Timestamp = Timestamp::new(1999);
const AFTER: Timestamp = Timestamp::new(2000);
const PAYER: AccountId = AccountId::new(7);
const OTHER: AccountId = AccountId::new(8);

fn decided(payer: AccountId, number: u64, not_after: Timestamp) -> DecidedOrder {
    let random = [&number.to_be_bytes()[..], &[0; 2]].concat();
    let id = OrderId::new(not_after, random.try_into().expect("10 bytes"));
    DecidedOrder { payer, id, hash: [0; 32], decided: EntryNumber::new(number) }
}

fn remembered(payer: AccountId, count: u64) -> RecentOrders {
    let mut orders = RecentOrders::default();
    for number in 0..count {
        orders.insert(decided(payer, number, END));
    }
    orders
}

/// The story: orders that all expire at the same moment are signed for a day, and when it comes, everybody
/// waits until the last of them is forgotten.
#[test]
fn many_orders_that_expire_together_are_hidden_at_once_and_forgotten_bit_by_bit() {
    let count = 3 * FORGET_AT_ONCE;
    let mut orders = remembered(PAYER, count as u64);
    let first = decided(PAYER, 0, END).id;
    let last = decided(PAYER, count as u64 - 1, END).id;
    orders.forget_expired(END);
    assert_eq!((orders.orders.len(), orders.to_vec().len()), (count, count), "still valid");
    for left in [2, 1, 0, 0] {
        orders.forget_expired(AFTER);
        assert_eq!(orders.orders.len(), left * FORGET_AT_ONCE);
        let expiring: usize = orders.by_expiry.values().map(Vec::len).sum();
        assert_eq!(expiring, orders.orders.len());
        // Even if the clock is put back.
        for id in [first, last] {
            assert_eq!(orders.find(PAYER, id), None, "{left} left");
            assert_eq!(orders.find_valid(PAYER, id, END), None, "{left} left");
        }
        assert_eq!(orders.to_vec(), [], "{left} left");
        assert_eq!(orders, RecentOrders::default(), "{left} left");
    }
    assert!(orders.by_payer.is_empty());
}

/// The story: more orders are decided in each turn than are forgotten in one, until there is no room.
#[test]
fn expired_orders_become_fewer_however_many_are_decided() {
    let count = 2 * FORGET_AT_ONCE as u64;
    let mut orders = remembered(PAYER, count);
    orders.since = AFTER;
    for number in 0..count {
        orders.insert(decided(OTHER, number, AFTER));
    }
    assert_eq!(orders.orders.len() as u64, count, "the new ones");
    assert_eq!(orders.by_payer, HashMap::from([(OTHER, 2 << 12)]));
}

#[test]
fn no_payer_takes_the_room_of_the_others() {
    let mut orders = remembered(PAYER, u64::from(ORDERS_PER_PAYER_MAX) - 1);
    assert!(orders.has_room(PAYER), "for the last one");
    let last = decided(PAYER, u64::MAX, END);
    // One that is there already is not counted twice.
    for _ in 0..2 {
        orders.insert(last);
        assert_eq!(orders.by_payer[&PAYER], ORDERS_PER_PAYER_MAX);
    }
    assert!(!orders.has_room(PAYER));
    assert!(orders.has_room(OTHER));
    orders.forget_expired(AFTER);
    assert!(orders.has_room(PAYER), "once its orders are forgotten");
}

/// Many payers of one person once filled the table with as many orders each as one payer may have, and
/// turned everybody away for a day.
#[test]
fn the_fuller_it_is_the_less_each_payer_may_add() {
    for (remembered, expected) in [
        (0, ORDERS_PER_PAYER_MAX),
        (RECENT_ORDERS_MAX / 2, ORDERS_PER_PAYER_MAX),
        (RECENT_ORDERS_MAX - 64_000, 1000),
        (RECENT_ORDERS_MAX - 64, 1),
        (RECENT_ORDERS_MAX - 1, 1),
        (RECENT_ORDERS_MAX, 0),
        (RECENT_ORDERS_MAX + 1, 0),
    ] {
        assert_eq!(room_of_payer(remembered), expected, "{remembered}");
    }
    // A thousand payers take what each may have, one order after the other.
    let (payers, mut remembered) = (1000, 0);
    for each in 0.. {
        if room_of_payer(remembered) <= each {
            break;
        }
        remembered += payers;
    }
    let free = RECENT_ORDERS_MAX - remembered;
    assert!((500_000..510_000).contains(&free), "{free} are left for others");
}
