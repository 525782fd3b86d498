//! Signals, as the driver waits for them.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// What the system may ask of the process.
pub(super) struct Signals {
    pub(super) interrupt: Signal,
    pub(super) terminate: Signal,
}

impl Signals {
    pub(super) fn catch() -> Result<Self, Error> {
        let catch = |kind| signal(kind).map_err(Error::Terminal);
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }
}
