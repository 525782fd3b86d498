//! The rows of the index: what an account's entries add at once stands together, so that it costs one
//! write and not one for each.

use wire::secure::HistoryItem;
use wire::{EntryNumber, OrderId, codec};

use super::error::corrupted;

/// The most orders in a row: 1.5 KiB, which is what finding one reads.
pub(super) const ORDERS_PER_ROW_MAX: usize = 64;

/// The most items of a history in a row: 2 KiB with short names.
pub(super) const ITEMS_PER_ROW_MAX: usize = 32;

/// The longest encoding of a [`HistoryItem`]: a name of 128 bytes, an id, numbers; rounded up.
pub(super) const HISTORY_ITEM_BYTES_MAX: usize = 256;

/// An order's id and the number of the entry that decided it, big-endian: they sort by id. A row is some
/// of these, one after the other.
pub(super) type IndexedOrder = [u8; 24];

/// What is kept of this order.
pub(super) fn indexed(id: OrderId, entry: EntryNumber) -> IndexedOrder {
    let mut order = [0; 24];
    order[..16].copy_from_slice(id.as_bytes());
    order[16..].copy_from_slice(&entry.get().to_be_bytes());
    order
}

/// The bytes of its id.
pub(super) fn id_of(order: &IndexedOrder) -> &[u8; 16] {
    order.first_chunk().expect("it is longer")
}

/// The orders in a row.
///
/// # Errors
/// The row is damaged.
pub(super) fn orders(row: &[u8]) -> Result<&[IndexedOrder], redb::Error> {
    match row.as_chunks() {
        (orders, []) => Ok(orders),
        _ => Err(corrupted("a row of orders cannot be read")),
    }
}

/// The entry that decided this order, if it is in the row.
///
/// # Errors
/// The row is damaged.
pub(super) fn find_order(row: &[u8], id: OrderId) -> Result<Option<EntryNumber>, redb::Error> {
    let orders = orders(row)?;
    let place = orders.binary_search_by_key(&id.as_bytes(), id_of);
    let entry = place.ok().and_then(|place| orders[place].last_chunk());
    Ok(entry.map(|entry| EntryNumber::new(u64::from_be_bytes(*entry))))
}

/// Puts new orders among those of a row, where they come in the place of others with their ids. All are
/// sorted by id.
pub(super) fn merge(row: &mut Vec<IndexedOrder>, new: &[IndexedOrder]) {
    row.extend(new);
    // Stable, and quick with two parts that are sorted.
    row.sort_by(|one, other| id_of(one).cmp(id_of(other)));
    row.dedup_by(|later, kept| {
        let same = id_of(later) == id_of(kept);
        if same {
            *kept = *later;
        }
        same
    });
}

/// These orders in rows, all of the same length, so that none fills at once again.
pub(super) fn split(orders: &[IndexedOrder]) -> impl Iterator<Item = &[IndexedOrder]> {
    let rows = orders.len().div_ceil(ORDERS_PER_ROW_MAX).max(1);
    orders.chunks(orders.len().div_ceil(rows).max(1))
}

/// The items of a history in a row, oldest first.
///
/// # Errors
/// The row is damaged.
pub(super) fn items(mut row: &[u8]) -> Result<Vec<HistoryItem>, redb::Error> {
    let mut items = Vec::new();
    while !row.is_empty() {
        let read = codec::decode_prefix::<HISTORY_ITEM_BYTES_MAX, HistoryItem>(row);
        let (item, used) = read.map_err(|_| corrupted("an item of a history cannot be read"))?;
        items.push(item);
        row = &row[used..];
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use wire::Timestamp;

    use super::*;

    fn id(id: u16) -> OrderId {
        let [high, low] = id.to_be_bytes();
        OrderId::new(Timestamp::new(9), [high, low, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    fn order(number: u16) -> IndexedOrder {
        indexed(id(number), EntryNumber::new(number.into()))
    }

    #[test]
    fn rows_stay_sorted_and_short_and_lose_nothing() {
        let mut rows: Vec<Vec<IndexedOrder>> = vec![Vec::new()];
        // Upwards, as clients number them, and then in between.
        let ids = (0..500).map(|id| id * 2).chain((0..500).map(|id| id * 2 + 1));
        for id in ids {
            let place = rows.iter().rposition(|row| row.first() <= Some(&order(id))).unwrap_or(0);
            let mut row = rows.remove(place);
            merge(&mut row, &[order(id)]);
            rows.splice(place..place, split(&row).map(<[_]>::to_vec));
        }
        assert!(rows.iter().all(|row| row.len() <= ORDERS_PER_ROW_MAX));
        assert!(rows.len() <= 2 * 1000 / ORDERS_PER_ROW_MAX + 1, "{} rows", rows.len());
        let all: Vec<_> = rows.concat();
        assert_eq!(all, (0..1000).map(order).collect::<Vec<_>>());
    }

    #[test]
    fn an_order_is_found_in_its_row_and_no_other() {
        let row = [order(1), order(3)];
        let row = row.as_flattened();
        for (number, found) in [(0, None), (1, Some(1)), (2, None), (3, Some(3)), (4, None)] {
            let entry = find_order(row, id(number)).expect("intact");
            assert_eq!(entry, found.map(EntryNumber::new), "{number}");
        }
        assert!(orders(&row[1..]).is_err());
    }

    #[test]
    fn an_order_that_is_added_again_is_there_once() {
        let again = indexed(id(1), EntryNumber::new(0));
        let mut row = vec![order(1), order(2)];
        merge(&mut row, &[again]);
        assert_eq!(row, [again, order(2)]);
    }
}
