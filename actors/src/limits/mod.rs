//! How much of the server one address, one key and one session may have.
//!
//! What many sessions share is behind locks that a session takes when it begins or ends and when it
//! opens an account, never on the way of a payment; beside these there is one number that payments read.

mod bytes;
mod places;
mod rate;
mod registrations;
mod room;
mod sharing;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use wire::PublicKey;

pub use self::bytes::{ByteLimits, INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, OUTPUT_BYTES_MIN};
pub use self::places::{Place, Places};
pub(crate) use self::rate::Pace;
pub use self::rate::Rate;
pub use self::registrations::Registrations;
pub(crate) use self::room::Seat;
pub use self::room::{Room, SILENT_AFTER};
#[cfg(test)]
pub(crate) use self::sharing::FEW_IN_A_ROW;
pub(crate) use self::sharing::FewPayments;
pub use self::sharing::Sharing;

/// The most calls of one secure session that have no answer yet, unless fewer are allowed. What stands
/// behind them is not read.
pub const CALLS_UNDER_WAY_MAX: usize = 1024;

/// What the sessions of a server may do, all of them together and each.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// Who has opened accounts lately.
    pub registrations: Arc<Registrations>,
    /// Secure sessions by the key that their peers have shown.
    pub keys: Arc<Places<PublicKey>>,
    /// How many sessions one key may have.
    pub sessions_per_key_max: usize,
    /// How many calls of a secure session may be without an answer, from 1 to [`CALLS_UNDER_WAY_MAX`].
    pub calls_max: usize,
    /// How often one session may ask who is online, or come online; `None` for as often as it likes.
    pub lists: Option<Rate>,
    /// How often one session may ask for a history or for its open orders.
    pub histories: Option<Rate>,
    /// How many receipts one session may ask for, or orders about whose receipts.
    pub receipts: Option<Rate>,
    /// How much of the server's memory one session may take up.
    pub bytes: ByteLimits,
    /// Who makes room for others.
    pub room: Arc<Room>,
    /// Whether somebody waits for few payments while others send many.
    pub sharing: Arc<Sharing>,
}

impl Default for SessionLimits {
    /// No limits but those that the protocols have.
    fn default() -> Self {
        Self {
            registrations: Arc::new(Registrations::new(PerAddress {
                loopback: None,
                others: None,
            })),
            keys: Arc::default(),
            sessions_per_key_max: usize::MAX,
            calls_max: CALLS_UNDER_WAY_MAX,
            lists: None,
            histories: None,
            receipts: None,
            bytes: ByteLimits::default(),
            room: Arc::default(),
            sharing: Arc::default(),
        }
    }
}

/// Something that each address may have, where those of this machine are told apart: whoever is there
/// is the operator, or comes by way of a proxy that stands for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerAddress<T> {
    /// For loopback addresses.
    pub loopback: T,
    /// For each of the others.
    pub others: T,
}

impl<T: Copy> PerAddress<T> {
    /// What this address may have.
    pub fn of(&self, peer: IpAddr) -> T {
        if peer.to_canonical().is_loopback() { self.loopback } else { self.others }
    }
}

/// What counts as one address: with IPv6 the upper half, since whoever has one such address has all
/// that begin like it.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
