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

/// An order's id and the number of the entry that decided it, big-endian: they sort by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexedOrder([u8; Self::BYTES]);

impl IndexedOrder {
    const BYTES: usize = 24;

    pub(super) fn new(id: OrderId, entry: EntryNumber) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(id.as_bytes());
        bytes[16..].copy_from_slice(&entry.get().to_be_bytes());
        Self(bytes)
    }

    pub(super) fn id(&self) -> &[u8; 16] {
        self.0.first_chunk().expect("it is longer")
    }

    fn entry(&self) -> EntryNumber {
        EntryNumber::new(u64::from_be_bytes(*self.0.last_chunk().expect("it is longer")))
    }
}

/// The orders in a row.
///
/// # Errors
/// The row is damaged.
pub(super) fn orders(row: &[u8]) -> Result<Vec<IndexedOrder>, redb::Error> {
    let (orders, rest) = row.as_chunks();
    if rest.is_empty() {
        Ok(orders.iter().copied().map(IndexedOrder).collect())
    } else {
        Err(corrupted("a row of orders cannot be read"))
    }
}

/// The entry that decided this order, if it is in the row.
///
/// # Errors
/// The row is damaged.
pub(super) fn find_order(row: &[u8], id: OrderId) -> Result<Option<EntryNumber>, redb::Error> {
    let orders = orders(row)?;
    let place = orders.binary_search_by_key(&id.as_bytes(), IndexedOrder::id);
    Ok(place.ok().map(|place| orders[place].entry()))
}

/// The rows that hold these orders together with those of `row`, all sorted by id. Those that are new
/// come in the place of others with their ids.
pub(super) fn merged(row: Vec<IndexedOrder>, new: &[IndexedOrder]) -> Vec<Vec<IndexedOrder>> {
    let mut all = row;
    all.retain(|old| new.binary_search_by_key(&old.id(), IndexedOrder::id).is_err());
    all.extend(new);
    all.sort_unstable();
    // All of the same length, so that none fills at once again.
    let rows = all.len().div_ceil(ORDERS_PER_ROW_MAX).max(1);
    let each = all.len().div_ceil(rows).max(1);
    all.chunks(each).map(<[_]>::to_vec).collect()
}

/// The bytes of a row.
pub(super) fn encode_orders(orders: &[IndexedOrder]) -> Vec<u8> {
    orders.iter().flat_map(|order| order.0).collect()
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

    fn order(id: u16) -> IndexedOrder {
        let [high, low] = id.to_be_bytes();
        let random = [high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        IndexedOrder::new(OrderId::new(Timestamp::new(9), random), EntryNumber::new(id.into()))
    }

    #[test]
    fn rows_stay_sorted_and_short_and_lose_nothing() {
        let mut rows: Vec<Vec<IndexedOrder>> = Vec::new();
        // Upwards, as clients number them, and then in between.
        let ids = (0..500).map(|id| id * 2).chain((0..500).map(|id| id * 2 + 1));
        for id in ids {
            let place = rows.iter().rposition(|row| row[0] <= order(id)).unwrap_or(0);
            let row = if place < rows.len() { rows.remove(place) } else { Vec::new() };
            let split = merged(row, &[order(id)]);
            rows.splice(place..place, split);
        }
        assert!(rows.iter().all(|row| row.len() <= ORDERS_PER_ROW_MAX));
        assert!(rows.len() <= 2 * 1000 / ORDERS_PER_ROW_MAX + 1, "{} rows", rows.len());
        let all: Vec<_> = rows.concat();
        assert_eq!(all, (0..1000).map(order).collect::<Vec<_>>());
    }

    #[test]
    fn an_order_is_found_in_its_row_and_no_other() {
        let row = encode_orders(&[order(1), order(3)]);
        for (id, found) in [(0, None), (1, Some(1)), (2, None), (3, Some(3)), (4, None)] {
            let sought = OrderId::new(Timestamp::new(9), [0, id, 0, 0, 0, 0, 0, 0, 0, 0]);
            let entry = find_order(&row, sought).expect("intact");
            assert_eq!(entry, found.map(EntryNumber::new), "{id}");
        }
        assert!(orders(&row[1..]).is_err());
    }

    #[test]
    fn an_order_that_is_added_again_is_there_once() {
        let again = [IndexedOrder::new(
            OrderId::new(Timestamp::new(9), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            EntryNumber::new(7),
        )];
        assert_eq!(merged(vec![order(1), order(2)], &again), [vec![again[0], order(2)]]);
    }
}
