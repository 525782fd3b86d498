//! Who a server's sessions talk to: in a server, and in what simulates one.

use actix::prelude::*;

use crate::ledger::Ledger;
use crate::messages::{FindReceipts, KeepOrder, ReadHistory, ReadOpenOrders};
use crate::registry::Registry;
use crate::secure_session::SecurePeers;
use crate::session::SessionPeers;
use crate::verifier::Verifier;

/// The neighbours of text sessions.
pub fn text_peers(ledger: &Addr<Ledger>, registry: &Addr<Registry>) -> SessionPeers {
    SessionPeers {
        submit: ledger.clone().recipient(),
        log_in: registry.clone().recipient(),
        log_out: registry.clone().recipient(),
        list_online: registry.clone().recipient(),
        notify: registry.clone().recipient(),
    }
}

/// The neighbours of secure sessions. `archive` is the Archive, or what stands for it.
pub fn secure_peers<A>(
    ledger: &Addr<Ledger>,
    registry: &Addr<Registry>,
    verifier: &Addr<Verifier>,
    archive: &Addr<A>,
) -> SecurePeers
where
    A: Actor<Context = Context<A>>
        + Handler<FindReceipts>
        + Handler<ReadHistory>
        + Handler<KeepOrder>
        + Handler<ReadOpenOrders>,
{
    SecurePeers {
        submit: ledger.clone().recipient(),
        submit_for_receipts: ledger.clone().recipient(),
        verify: verifier.clone().recipient(),
        find_receipts: archive.clone().recipient(),
        read_history: archive.clone().recipient(),
        keep_order: archive.clone().recipient(),
        read_open_orders: archive.clone().recipient(),
        log_in: registry.clone().recipient(),
        log_out: registry.clone().recipient(),
        read_online: registry.clone().recipient(),
        find_online: registry.clone().recipient(),
        watch_names: registry.clone().recipient(),
        notify: registry.clone().recipient(),
        retire_key: registry.clone().recipient(),
    }
}
