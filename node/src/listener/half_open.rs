//! Connections that have not yet shown what they are: how many there may be, in all and from one
//! address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actors::limits::network;

/// How many connections may be half-open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HalfOpenLimits {
    /// In all.
    pub(crate) all: usize,
    /// From one address.
    pub(crate) per_address: usize,
}

/// Counts the connections that are half-open.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    limits: HalfOpenLimits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// No entry is 0, so there are as many as connections at most.
    by_network: HashMap<IpAddr, usize>,
}

/// Which of the limits is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfOpenLimit {
    /// That of all.
    All,
    /// That of the peer's address.
    PerAddress,
}

/// Is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct HalfOpenPlace {
    half_open: Arc<HalfOpen>,
    network: IpAddr,
}

impl HalfOpen {
    pub(crate) fn new(limits: HalfOpenLimits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default() })
    }

    /// Takes a place for a connection from this address.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<HalfOpenPlace, HalfOpenLimit> {
        let network = network(peer);
        let mut counts = self.counts();
        // Whoever has taken too many is told so, also when they have filled all places.
        let of_network = counts.by_network.get(&network).copied().unwrap_or_default();
        if of_network >= self.limits.per_address {
            return Err(HalfOpenLimit::PerAddress);
        }
        if counts.all >= self.limits.all {
            return Err(HalfOpenLimit::All);
        }
        counts.all += 1;
        counts.by_network.insert(network, of_network + 1);
        Ok(HalfOpenPlace { half_open: Arc::clone(self), network })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing that holds it can panic between two changes that belong together.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HalfOpenPlace {
    fn drop(&mut self) {
        let mut counts = self.half_open.counts();
        counts.all -= 1;
        if let Some(count) = counts.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn entered(half_open: &Arc<HalfOpen>, peer: &str) -> Result<(), HalfOpenLimit> {
        half_open.enter(address(peer)).map(std::mem::forget)
    }

    #[test]
    fn one_address_cannot_take_the_places_of_the_others() {
        let half_open = HalfOpen::new(HalfOpenLimits { all: 5, per_address: 2 });
        for (peer, expected) in [
            ("192.0.2.1", Ok(())),
            ("192.0.2.1", Ok(())),
            ("192.0.2.1", Err(HalfOpenLimit::PerAddress)),
            // The same address in other clothes.
            ("::ffff:192.0.2.1", Err(HalfOpenLimit::PerAddress)),
            ("192.0.2.2", Ok(())),
            // Two of one network.
            ("2001:db8::1", Ok(())),
            ("2001:db8::ffff:1", Ok(())),
            ("2001:db8::2:0:0:1", Err(HalfOpenLimit::PerAddress)),
            ("2001:db8:0:1::1", Err(HalfOpenLimit::All)),
            ("192.0.2.2", Err(HalfOpenLimit::All)),
            ("192.0.2.1", Err(HalfOpenLimit::PerAddress)),
        ] {
            assert_eq!(entered(&half_open, peer), expected, "{peer}");
        }
    }

    #[test]
    fn a_place_that_is_left_can_be_taken_and_nothing_is_remembered() {
        let half_open = HalfOpen::new(HalfOpenLimits { all: 2, per_address: 1 });
        for number in 0..100 {
            let peer = IpAddr::from([192, 0, 2, number]);
            let _place = half_open.enter(peer).expect("free");
            assert_eq!(half_open.enter(peer).map(|_| ()), Err(HalfOpenLimit::PerAddress));
        }
        assert!(half_open.counts().by_network.is_empty());
        assert_eq!(half_open.counts().all, 0);
    }
}
