//! What the operator did to accounts, as a snapshot of version 3 or later holds it.

use wire::{AccountId, Amount, EntryNumber, OperatorId, codec};

use super::{Content, LoadError};
use crate::ledger::state::{OperatorAct, RememberedAct, State};

/// A frozen account: its number and that of the entry.
const FROZEN_BYTES: usize = 16;
/// A bound on one encoded deposit or withdrawal: length and 64 bytes of an id, account, amount, which of
/// the two, entry (97 bytes today).
const ACT_BYTES_MAX: usize = 128;
/// The least that one takes: an id of one byte.
const ACT_BYTES_MIN: usize = 34;

/// No frozen accounts, no deposits or withdrawals, where that must be said.
pub(super) const NOTHING: [u8; 16] = [0; 16];

/// Nothing if the operator did nothing that is remembered.
pub(super) fn encode(state: &State) -> Vec<u8> {
    let (frozen, acts) = (state.frozen(), state.acts());
    let mut bytes = Vec::new();
    if frozen.is_empty() && acts.is_empty() {
        return bytes;
    }
    codec::encode_into(&(frozen.len() as u64), &mut bytes);
    for account in &frozen {
        codec::encode_into(account, &mut bytes);
    }
    codec::encode_into(&(acts.len() as u64), &mut bytes);
    for RememberedAct { id, act } in &acts {
        let OperatorAct { account, amount, withdrawn, entry } = act;
        codec::encode_into(&(id, account, amount, withdrawn, entry), &mut bytes);
    }
    bytes
}

impl Content<'_> {
    pub(super) fn frozen(&mut self) -> Result<Vec<(AccountId, EntryNumber)>, LoadError> {
        let count = self.count()?;
        self.items::<FROZEN_BYTES, _, _>(count, FROZEN_BYTES, |frozen| frozen)
    }

    pub(super) fn acts(&mut self) -> Result<Vec<RememberedAct>, LoadError> {
        let count = self.count()?;
        self.items::<ACT_BYTES_MAX, (OperatorId, AccountId, Amount, bool, EntryNumber), _>(
            count,
            ACT_BYTES_MIN,
            |(id, account, amount, withdrawn, entry)| RememberedAct {
                id,
                act: OperatorAct { account, amount, withdrawn, entry },
            },
        )
    }

    fn count(&mut self) -> Result<u64, LoadError> {
        let counts = self.items::<8, u64, _>(1, 8, |count| count)?;
        counts.first().copied().ok_or_else(|| "it is too short for what it holds".into())
    }
}
