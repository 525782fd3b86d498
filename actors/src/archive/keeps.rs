//! Orders that wait to be kept with the next sync.

use std::collections::HashMap;

use wire::AccountId;

use super::kept::OPEN_ORDERS_PER_ACCOUNT_MAX;
use super::queries::Reply;
use crate::messages::KeepOrder;

/// Orders that may wait to be kept with the next sync; one more is `Busy`. One takes less than 1 KiB: 4
/// MiB, of which as many go with each sync.
pub(super) const KEEPS_WAITING_MAX: usize = 1 << 12;

/// How much of what is free may be one account's: a 64th, and so as many as are kept of it when nobody
/// else asks. Accounts cost little; the fuller it is, the less each of them adds, and whoever asks for
/// one finds room.
const FREE_SHARE: usize = KEEPS_WAITING_MAX / OPEN_ORDERS_PER_ACCOUNT_MAX;

/// The orders that wait.
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
        own < KEEPS_WAITING_MAX.saturating_sub(self.waiting.len()).div_ceil(FREE_SHARE)
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
