//! How often a session may ask for what, and how long it is told to wait.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use wire::secure::{Call, Problem};

use crate::connection::READ_BYTES_MAX;
use crate::limits::{Pace, SessionLimits};

/// How long a client is told to wait when the server has as much to do as it takes: the queues hold about a
/// second's work (65,536 orders at the verifier, as many commands at the ledger; what waits for the archive may take
/// four).
const BUSY_WAIT_MS: u32 = 1000;

/// The server has as much to do as it takes.
pub(super) const BUSY: Problem = Problem::BusyFor { wait_ms: BUSY_WAIT_MS };

/// Calls that are refused without asking anybody cost their client nothing: behind so many bytes of them, one read's,
/// nothing is read for a while. Who makes a mistake now and then, or comes too early, does not notice.
pub(super) const REFUSED_BYTES_MAX: usize = READ_BYTES_MAX;

/// How long: so no session has more than a hundred KiB of them decoded in a second.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// What is asked for only so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paced {
    Registration,
    /// Who is online, and coming online, which those are told who watch the name.
    List,
    History,
    /// So many receipts, each of which may stand in a batch that must be read.
    Receipts(u32),
}

impl Paced {
    /// What this call asks for. Payments, and what only looks into memory, are as free as calls are.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let receipts = |items: usize| Self::Receipts(u32::try_from(items).unwrap_or(u32::MAX));
        match call {
            Call::Register { .. } => Some(Self::Registration),
            Call::LogIn { .. } | Call::ListOnline { .. } | Call::Watch { .. } => Some(Self::List),
            Call::ReadHistory { .. } | Call::ReadOpenOrders => Some(Self::History),
            Call::ReadReceipts { entries } => Some(receipts(entries.len())),
            Call::OrderStatus { orders } => Some(receipts(orders.len())),
            Call::FindAccount { .. }
            | Call::ReadBalance
            | Call::SubmitOrders { .. }
            | Call::SubmitText { .. }
            | Call::KeepOrder { .. }
            | Call::ChangeKey { .. }
            | Call::LogOut => None,
        }
    }
}

/// What a session has asked for lately.
#[derive(Debug, Default)]
pub(super) struct Paces {
    lists: Pace,
    histories: Pace,
    receipts: Pace,
}

impl Paces {
    /// Counts this, for a session with somebody at this address.
    ///
    /// # Errors
    /// [`Problem::BusyFor`], if it comes too early.
    pub(super) fn take(
        &mut self,
        paced: Paced,
        limits: &SessionLimits,
        peer: IpAddr,
        now: Instant,
    ) -> Result<(), Problem> {
        let (pace, rate, count) = match paced {
            Paced::Registration => {
                return limits.registrations.take(peer, now).map_err(busy_for);
            }
            Paced::List => (&mut self.lists, limits.lists, 1),
            Paced::History => (&mut self.histories, limits.histories, 1),
            Paced::Receipts(count) => (&mut self.receipts, limits.receipts, count),
        };
        let Some(rate) = rate else { return Ok(()) };
        pace.take_many(rate, count, now).map_err(busy_for)
    }
}

/// Not less than the time: whoever waits for so long need not wait again.
fn busy_for(wait: Duration) -> Problem {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    Problem::BusyFor { wait_ms: u32::try_from(millis).unwrap_or(u32::MAX) }
}
