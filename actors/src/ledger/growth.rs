//! When whoever indexes the journal is told that it has grown.

use std::ops::Range;

use actix::prelude::*;
use wire::{Access, Authority, Entry, EntryNumber};

use super::state::State;
use crate::messages::JournalGrew;

/// After so many entries the index is told even if it records none of them: so many it reads again when
/// it is opened, in some milliseconds.
const QUIET_ENTRIES_MAX: u64 = 1 << 16;

/// Tells it. Each time wakes another thread, so it is not told of what it does not record.
pub(super) struct Growth {
    grew: Option<Recipient<JournalGrew>>,
    /// All entries in front of this one it knows of.
    told: EntryNumber,
}

impl Growth {
    /// Whoever hears `grew` knows of all that the journal holds in front of `told`.
    pub(super) const fn new(grew: Option<Recipient<JournalGrew>>, told: EntryNumber) -> Self {
        Self { grew, told }
    }

    /// The batch of these entries is durable, and nobody has heard of it. `news` says whether it holds any.
    pub(super) fn committed(&mut self, batch: Range<EntryNumber>, news: bool) {
        let Some(grew) = &self.grew else { return };
        let next_entry = batch.end;
        let news_from = if news { batch.start } else { next_entry };
        if news || next_entry.get() - self.told.get() >= QUIET_ENTRIES_MAX {
            // One a batch; whoever falls behind looks at the last one only.
            grew.do_send(JournalGrew { quiet_from: self.told, news_from, next_entry });
            self.told = next_entry;
        }
    }
}

/// Whether an index records this entry, which the state holds already.
pub(super) fn is_news(entry: &Entry, state: &State) -> bool {
    match entry {
        Entry::Transferred { payee, authority: Authority::Text, .. } => {
            state.account(*payee).is_none_or(|payee| payee.access != Access::Open)
        }
        Entry::TimePassed => false,
        _ => true,
    }
}
