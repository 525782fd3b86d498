//! Orders that wait to be kept with the next sync.

use std::collections::HashMap;

use wire::AccountId;

use super::kept::OPEN_ORDERS_PER_ACCOUNT_MAX;
use super::queries::Reply;
use crate::messages::KeepOrder;

/// Orders that may wait to be kept with the next sync; one more is `Busy`. One takes less than 1 KiB.
pub(super) const KEEPS_WAITING_MAX: usize = 1024;

/// The orders that wait, of no account more than are kept of it: nobody fills the places of all others.
#[derive(Default)]
pub(super) struct WaitingKeeps {
    waiting: Vec<(KeepOrder, Reply<()>)>,
    of_account: HashMap<AccountId, usize>,
}

impl WaitingKeeps {
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one more of this account may wait.
    pub(super) fn has_room(&self, account: AccountId) -> bool {
        let own = self.of_account.get(&account).copied().unwrap_or_default();
        self.waiting.len() < KEEPS_WAITING_MAX && own < OPEN_ORDERS_PER_ACCOUNT_MAX
    }

    /// Lets this one wait. The caller has looked whether there is room.
    pub(super) fn push(&mut self, keep: KeepOrder, reply: Reply<()>) {
        *self.of_account.entry(keep.account).or_default() += 1;
        self.waiting.push((keep, reply));
    }

    /// All that wait, in the order in which they came. Then none does.
    pub(super) fn take(&mut self) -> Vec<(KeepOrder, Reply<()>)> {
        self.of_account.clear();
        std::mem::take(&mut self.waiting)
    }
}
