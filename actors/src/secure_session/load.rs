//! What the calls of a session count for, from when they are taken until they are answered.

use wire::order::SIGNED_ORDER_BYTES_MAX;
use wire::secure::call::{ORDERS_PER_CALL_MAX, PAGE_ITEMS_MAX, WATCHED_NAMES_MAX};
use wire::secure::{Call, FRAME_BYTES_MAX};

use crate::limits::{CALLS_UNDER_WAY_MAX, INPUT_BYTES_MAX, SessionLimits};

/// The most orders, references, entries, names and items of pages in calls without an answer: eight calls of
/// the largest size. Their answers take 8 MiB at most, at the size of the largest receipt.
pub(super) const ITEMS_UNDER_WAY_MAX: usize = 4096;

/// One receipt's share of the longest answer, and no less than any answer without items.
const RECEIPT_SHARE: usize = FRAME_BYTES_MAX / ORDERS_PER_CALL_MAX;

/// The most bytes of an item of a list or a history.
const ITEM_BYTES_MAX: usize = 256;

/// The most bytes of a call beside its orders, a key change or a payment by text.
const CALL_BYTES_MAX: usize = 512;

const _: () = assert!(ITEMS_UNDER_WAY_MAX >= PAGE_ITEMS_MAX as usize);
const _: () = assert!(ITEMS_UNDER_WAY_MAX >= ORDERS_PER_CALL_MAX);
const _: () = assert!(
    ITEMS_UNDER_WAY_MAX * SIGNED_ORDER_BYTES_MAX + CALLS_UNDER_WAY_MAX * CALL_BYTES_MAX
        <= INPUT_BYTES_MAX
);

/// What calls without an answer take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) calls: usize,
    items: usize,
    /// What the calls took on the wire.
    call_bytes: usize,
    /// The most that their answers can take.
    answer_bytes: usize,
}

impl Load {
    /// That of one call of so many bytes, which may hold so many orders; `None` if it holds more than
    /// a call may.
    pub(super) fn of(call: &Call, call_bytes: usize, orders_max: usize) -> Option<Self> {
        let (items, items_max, bytes_each) = match call {
            Call::SubmitOrders { orders } => (orders.len(), orders_max, RECEIPT_SHARE),
            Call::OrderStatus { orders } => (orders.len(), orders_max, RECEIPT_SHARE),
            Call::ReadReceipts { entries } => (entries.len(), orders_max, RECEIPT_SHARE),
            Call::Watch { names } => (names.len(), WATCHED_NAMES_MAX, ITEM_BYTES_MAX),
            Call::ListOnline { limit, .. } | Call::ReadHistory { limit, .. } => {
                let items = usize::try_from(page(*limit)).ok()?;
                (items, items, ITEM_BYTES_MAX)
            }
            Call::ReadOpenOrders => {
                (ORDERS_PER_CALL_MAX, ORDERS_PER_CALL_MAX, SIGNED_ORDER_BYTES_MAX)
            }
            Call::KeepOrder { .. } => (1, 1, 0),
            Call::Register { .. }
            | Call::LogIn { .. }
            | Call::FindAccount { .. }
            | Call::ReadBalance
            | Call::SubmitText { .. }
            | Call::ChangeKey { .. }
            | Call::LogOut => (0, 0, 0),
        };
        let answer_bytes = (items * bytes_each).max(RECEIPT_SHARE);
        (items <= items_max).then_some(Self { calls: 1, items, call_bytes, answer_bytes })
    }

    /// That of a call that is refused whatever is in it.
    pub(super) const fn of_refused(call_bytes: usize) -> Self {
        Self { calls: 1, items: 0, call_bytes, answer_bytes: RECEIPT_SHARE }
    }

    /// Whether a session may have so much under way while so many bytes wait to be taken by its peer. One call alone
    /// always may: it would wait for ever.
    pub(super) fn is_within(&self, limits: &SessionLimits, bytes_waiting: usize) -> bool {
        self.calls <= limits.calls_max
            && self.items <= ITEMS_UNDER_WAY_MAX
            && (self.calls == 1 || self.call_bytes <= limits.bytes.input)
            && self.answer_bytes + bytes_waiting <= limits.bytes.output
    }

    /// This and another one.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            items: self.items + other.items,
            call_bytes: self.call_bytes + other.call_bytes,
            answer_bytes: self.answer_bytes + other.answer_bytes,
        }
    }

    /// This without another one, which is part of it.
    pub(super) const fn without(self, other: Self) -> Self {
        Self {
            calls: self.calls - other.calls,
            items: self.items - other.items,
            call_bytes: self.call_bytes - other.call_bytes,
            answer_bytes: self.answer_bytes - other.answer_bytes,
        }
    }
}

/// A page has an item at least, or nobody would ever come to its end.
pub(super) fn page(limit: u32) -> u32 {
    limit.clamp(1, PAGE_ITEMS_MAX)
}
