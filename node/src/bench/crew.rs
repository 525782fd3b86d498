//! Connections that pay, whatever they speak, and whoever signs for them.

use super::Bench;
use super::error::BenchError;
use super::load::{Load, Pace};
use super::report::float;
use super::round::Round;
use super::secure::{self, Payers, SecureLane};
use super::server::Server;
use super::text::{self, TextLane};
use crate::config::Protocol;

/// Orders that are signed for the first look at how many are needed.
const FIRST_ORDERS: f64 = 20_000.0;
/// So many more are signed than were settled in as much time before.
const RESERVE: f64 = 1.3;

/// The connections of a run, each of them a payee that is logged in.
pub(super) enum Crew {
    /// Payments by text.
    Text(Load<TextLane>),
    /// The same over the secure protocol.
    Secure(Load<SecureLane>),
    /// Signed orders.
    Signed {
        /// The connections.
        load: Load<SecureLane>,
        /// Who signs.
        payers: Payers,
        /// How many orders a second were settled at most.
        per_second: f64,
    },
}

impl Crew {
    /// Opens accounts and connections.
    pub(super) async fn open(bench: &Bench, server: &Server) -> Result<Self, BenchError> {
        match bench.config.protocol {
            Protocol::Text => Ok(Self::Text(Load::new(text::payees(bench, server).await?)?)),
            Protocol::Secure if bench.config.signed => {
                let (lanes, payers) = secure::payees_of_orders(bench, server).await?;
                let (load, payers) = supply(bench, Load::new(lanes)?, payers, FIRST_ORDERS).await?;
                let pace = Pace::Window(bench.config.window as u64);
                let (load, round) = Round::run(bench, server, load, pace).await?;
                Ok(Self::Signed { load, payers, per_second: round.measured.per_second() })
            }
            Protocol::Secure => {
                let lanes = secure::payees_of_text(bench, server).await?;
                Ok(Self::Secure(Load::new(lanes)?))
            }
        }
    }

    /// How many payments the server lets be under way on each connection; `None` where only the window
    /// says it.
    pub(super) fn window_max(&mut self) -> Option<u64> {
        match self {
            Self::Text(_) => None,
            Self::Secure(load) | Self::Signed { load, .. } => {
                load.connections().map(|lane| lane.window_max()).min()
            }
        }
    }

    /// One round, with what must be done before it.
    pub(super) async fn round(
        self,
        bench: &Bench,
        server: &Server,
        pace: Pace,
        name: &str,
    ) -> Result<(Self, Round), BenchError> {
        match self {
            Self::Text(load) => {
                bench.progress.phase(name);
                let (load, round) = Round::run(bench, server, load, pace).await?;
                Ok((Self::Text(load), round))
            }
            Self::Secure(load) => {
                bench.progress.phase(name);
                let (load, round) = Round::run(bench, server, load, pace).await?;
                Ok((Self::Secure(load), round))
            }
            Self::Signed { load, payers, per_second } => {
                let per_second_planned = match pace {
                    Pace::Window(_) => per_second,
                    Pace::Rate { per_second, .. } => float(per_second),
                };
                let orders = per_second_planned * bench.config.duration.as_secs_f64() * RESERVE;
                let (load, payers) = supply(bench, load, payers, orders).await?;
                bench.progress.phase(name);
                let (load, round) = Round::run(bench, server, load, pace).await?;
                let per_second = per_second.max(round.measured.per_second());
                Ok((Self::Signed { load, payers, per_second }, round))
            }
        }
    }
}

/// Has orders signed until there are so many, shared among the connections.
async fn supply(
    bench: &Bench,
    mut load: Load<SecureLane>,
    mut payers: Payers,
    orders: f64,
) -> Result<(Load<SecureLane>, Payers), BenchError> {
    bench.progress.phase("signing orders");
    bench
        .on_thread(move |watch| {
            let left: usize = load.connections().map(|lane| lane.orders_left()).sum();
            let missing = orders - float(left as u64);
            let orders = payers.sign(missing, watch)?;
            for (lane, orders) in load.connections().zip(orders) {
                lane.supply(orders);
            }
            Ok((load, payers))
        })
        .await
}
