//! What is asked of the registry and the archive once the ledger has had its say.

use actix::prelude::*;
use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::secure::{AccountInfo, Answer, OrderProblem, Problem};
use wire::{AccountId, Receipt, Username};

use super::SecurePeers;
use super::orders::{Located, Recalled, order_problem};
use super::pace::BUSY;
use crate::ledger::state::{Command, Outcome};
use crate::messages::{
    ArchiveUnavailable, FindOnline, FindReceipts, KeepOrder, LedgerUnavailable, OnlinePage,
    ReadHistory, ReadOnline, ReadOpenOrders, SessionId, Sought, Submit, WatchNames, WatchRefusal,
};

/// A question that decides a call.
#[derive(Debug)]
pub(super) enum FollowUp {
    /// None is left: the call is refused.
    InvalidSignature,
    /// For the Registry.
    Online(ReadOnline),
    /// For the Registry: where is this account?
    Locate(AccountInfo),
    /// For the Registry.
    Watch(Vec<Username>),
    /// For the Archive.
    History(ReadHistory),
    /// For the Archive.
    Receipts(FindReceipts),
    /// For the Archive.
    Keep(Box<KeepOrder>),
    /// For the Archive.
    OpenOrders(ReadOpenOrders),
    /// For the Archive: were these decided before?
    Orders(Recalled),
    /// For the Archive.
    Statuses(Located),
}

impl FollowUp {
    /// Whether the Archive is asked, which may take its time.
    pub(super) const fn asks_archive(&self) -> bool {
        !matches!(self, Self::InvalidSignature | Self::Online(_) | Self::Locate(_) | Self::Watch(_))
    }

    /// Asks.
    pub(super) async fn ask(
        self,
        session: SessionId,
        peers: &SecurePeers,
    ) -> Result<Answer, Problem> {
        match self {
            Self::InvalidSignature => Err(Problem::InvalidSignature),
            Self::Online(question) => {
                let page = peers.read_online.send(question).await;
                let OnlinePage { peers, more } = page.map_err(|_| Problem::Stopping)?;
                Ok(Answer::Online { peers, more })
            }
            Self::Locate(account) => {
                let found = peers.find_online.send(FindOnline(account.name.clone())).await;
                let address = found.map_err(|_| Problem::Stopping)?;
                Ok(Answer::Account(Some(AccountInfo { address, ..account })))
            }
            Self::Watch(names) => {
                let watched = peers.watch_names.send(WatchNames { session, names }).await;
                watched.map_err(|_| Problem::Stopping)?.map(Answer::Watching).map_err(|refusal| {
                    match refusal {
                        WatchRefusal::NotLoggedIn => Problem::NotLoggedIn,
                        WatchRefusal::Full => BUSY,
                    }
                })
            }
            Self::History(question) => {
                let page = archived(peers.read_history.send(question)).await.map_err(problem)?;
                Ok(Answer::History { items: page.items, more: page.more })
            }
            Self::Receipts(question) => {
                let receipts = archived(peers.find_receipts.send(question)).await;
                receipts.map(Answer::Receipts).map_err(problem)
            }
            Self::Keep(question) => {
                let kept = archived(peers.keep_order.send(*question)).await;
                kept.map(|()| Answer::Kept).map_err(problem)
            }
            Self::OpenOrders(question) => {
                let orders = archived(peers.read_open_orders.send(question)).await;
                let mut orders = orders.map_err(problem)?;
                orders.truncate(ORDERS_PER_CALL_MAX);
                Ok(Answer::OpenOrders(orders))
            }
            Self::Orders(recalled) => Ok(recall(recalled, peers).await),
            Self::Statuses(located) => {
                let found = find_receipts(located.account, located.sought(), peers).await;
                located.resolve(found.map_err(problem)?)
            }
        }
    }
}

/// Whose orders these are the ledger knows, what became of them the archive.
async fn recall(recalled: Recalled, peers: &SecurePeers) -> Answer {
    let found = peers.submit.send(Submit(recalled.questions())).await;
    let found = match found.unwrap_or(Err(LedgerUnavailable::Stopping)) {
        Ok(found) => found,
        Err(LedgerUnavailable::Busy) => return recalled.unresolved(OrderProblem::Busy),
        Err(LedgerUnavailable::ReadOnly) => return recalled.unresolved(OrderProblem::ReadOnly),
        Err(LedgerUnavailable::Stopping | LedgerUnavailable::OutcomeUnknown) => {
            return recalled.unresolved(OrderProblem::Stopping);
        }
    };
    match find_receipts(recalled.account(), recalled.sought(&found), peers).await {
        Ok(receipts) => recalled.resolve(receipts),
        Err(unavailable) => recalled.unresolved(order_problem(unavailable)),
    }
}

/// One for each that is sought, in order.
async fn find_receipts(
    account: AccountId,
    sought: Vec<Option<Sought>>,
    peers: &SecurePeers,
) -> Result<Vec<Option<Receipt>>, ArchiveUnavailable> {
    let asked: Vec<Sought> = sought.iter().flatten().copied().collect();
    if asked.is_empty() {
        return Ok(vec![None; sought.len()]);
    }
    let found = peers.find_receipts.send(FindReceipts { account, sought: asked });
    let mut found = archived(found).await?.into_iter();
    Ok(sought.into_iter().map(|sought| sought.and_then(|_| found.next().flatten())).collect())
}

async fn archived<M, T>(question: RecipientRequest<M>) -> Result<T, ArchiveUnavailable>
where
    M: Message<Result = Result<T, ArchiveUnavailable>> + Send + 'static,
    T: Send + 'static,
{
    question.await.unwrap_or(Err(ArchiveUnavailable::Gone))
}

const fn problem(unavailable: ArchiveUnavailable) -> Problem {
    match unavailable {
        ArchiveUnavailable::Busy => BUSY,
        ArchiveUnavailable::Gone => Problem::HistoryUnavailable,
    }
}

/// Who has this key.
pub(super) async fn find_key(
    key: wire::PublicKey,
    peers: &SecurePeers,
) -> Result<Option<crate::ledger::state::KeyHolder>, Problem> {
    let outcomes = submit(vec![Command::FindKey(key)], peers).await?;
    match outcomes.into_iter().next() {
        Some(Outcome::FoundKey(holder)) => Ok(holder),
        _ => Err(Problem::Stopping),
    }
}

/// Has the ledger do these.
pub(super) async fn submit(
    commands: Vec<Command>,
    peers: &SecurePeers,
) -> Result<Vec<Outcome>, Problem> {
    let outcomes = peers.submit.send(Submit(commands)).await;
    outcomes.unwrap_or(Err(LedgerUnavailable::Stopping)).map_err(ledger_problem)
}

pub(super) const fn ledger_problem(unavailable: LedgerUnavailable) -> Problem {
    match unavailable {
        LedgerUnavailable::Busy => BUSY,
        LedgerUnavailable::Stopping => Problem::Stopping,
        LedgerUnavailable::ReadOnly => Problem::ReadOnly,
        LedgerUnavailable::OutcomeUnknown => Problem::OutcomeUnknown,
    }
}
