//! How many accounts one address may open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Pace, PerAddress, Rate, network};

/// Addresses that are remembered, 4 MiB. Each is forgotten when it may do all again; so many within a
/// minute are an attack, and whoever is new waits until some are forgotten.
const NETWORKS_MAX: usize = 65_536;

/// How often is looked for addresses to forget when there are too many: it takes a millisecond.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Who has opened accounts lately, by either protocol.
#[derive(Debug)]
pub struct Registrations {
    rates: PerAddress<Option<Rate>>,
    lately: Mutex<Lately>,
}

#[derive(Debug, Default)]
struct Lately {
    paces: HashMap<IpAddr, Pace>,
    forgotten_at: Option<Instant>,
}

impl Registrations {
    /// Counts by these rates; `None` is no limit.
    pub fn new(rates: PerAddress<Option<Rate>>) -> Self {
        Self { rates, lately: Mutex::default() }
    }

    /// Takes one registration.
    ///
    /// # Errors
    /// How long whoever asks has to wait.
    pub(crate) fn take(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(rate) = self.rates.of(peer) else { return Ok(()) };
        // Nothing that holds it can panic between two changes that belong together.
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.pace(network(peer), now)?.take(rate, now)
    }
}

impl Lately {
    fn pace(&mut self, network: IpAddr, now: Instant) -> Result<&mut Pace, Duration> {
        if self.paces.len() >= NETWORKS_MAX && !self.paces.contains_key(&network) {
            let wait = self.forgotten_at.map_or(Duration::ZERO, |moment| {
                FORGET_EVERY.saturating_sub(now.saturating_duration_since(moment))
            });
            if !wait.is_zero() {
                return Err(wait);
            }
            self.forgotten_at = Some(now);
            self.paces.retain(|_, pace| !pace.is_whole(now));
            if self.paces.len() >= NETWORKS_MAX {
                return Err(FORGET_EVERY);
            }
        }
        Ok(self.paces.entry(network).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroU32;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn two_a_minute() -> Registrations {
        let rate = Rate::new(NonZeroU32::new(2).expect("not 0"), MINUTE);
        Registrations::new(PerAddress { loopback: None, others: Some(rate) })
    }

    #[test]
    fn each_address_has_its_own_and_this_machine_none() {
        let (registrations, now) = (two_a_minute(), Instant::now());
        let wait = Err(MINUTE / 2);
        for (peer, expected) in [
            ("192.0.2.1", Ok(())),
            ("192.0.2.1", Ok(())),
            ("192.0.2.1", wait),
            ("::ffff:192.0.2.1", wait),
            ("192.0.2.2", Ok(())),
            ("2001:db8::1", Ok(())),
            ("2001:db8::2", Ok(())),
            ("2001:db8::3", wait),
            ("2001:db8:0:1::3", Ok(())),
            ("127.0.0.1", Ok(())),
            ("127.0.0.1", Ok(())),
            ("127.0.0.1", Ok(())),
            ("::1", Ok(())),
        ] {
            let peer = peer.parse().expect("an address");
            assert_eq!(registrations.take(peer, now), expected, "{peer}");
        }
        let peer = "192.0.2.1".parse().expect("an address");
        assert_eq!(registrations.take(peer, now + MINUTE / 2), Ok(()));
    }

    #[test]
    fn so_many_addresses_are_remembered_and_those_that_are_quiet_forgotten() {
        let (registrations, now) = (two_a_minute(), Instant::now());
        let peer = |number: usize| {
            IpAddr::from(Ipv4Addr::from(0x0A00_0000 + u32::try_from(number).expect("small")))
        };
        for number in 0..NETWORKS_MAX {
            assert_eq!(registrations.take(peer(number), now), Ok(()));
        }
        let wait = Err(FORGET_EVERY);
        assert_eq!(registrations.take(peer(NETWORKS_MAX), now), wait);
        assert_eq!(registrations.take(peer(NETWORKS_MAX), now), wait);
        assert_eq!(registrations.take(peer(0), now), Ok(()), "who is known is not kept out");
        assert_eq!(registrations.take(peer(NETWORKS_MAX), now + MINUTE / 2), Ok(()));
        let known = registrations.lately.lock().expect("nothing panicked").paces.len();
        assert_eq!(known, 2, "all others are forgotten");
    }
}
