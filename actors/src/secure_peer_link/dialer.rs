//! Hands orders over to their payees.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use actix::prelude::*;
use slog::{Logger, info, o};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wire::PublicKey;
use wire::secure::{PayeeAnswer, PayerFrame};

use super::SecurePeerPatience;
use super::outgoing::{self, Handover, LinkFailure};
use super::rules::check_memo;
use crate::messages::{Deliver, DeliverError};

/// Links that are kept, each a file descriptor and some 10 KiB. The one that was used longest ago goes first,
/// if nothing is under way on it.
const LINKS_MAX: usize = 256;

/// Orders under way on one link: four times what a payee works on at once, so that it never waits for us.
const OFFERS_UNDER_WAY_MAX: usize = 64;

/// Opens connections to payees: TLS over TCP in the program, anything in a test.
pub trait ConnectPeer: 'static {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + 'static;

    /// Connects to whoever listens at `address` and proves that it holds `payee_key`. May be cancelled.
    ///
    /// # Errors
    /// [`DeliverError::Unreachable`], [`DeliverError::WrongKey`].
    fn connect(
        &self,
        address: SocketAddr,
        payee_key: PublicKey,
    ) -> impl Future<Output = Result<Self::Stream, DeliverError>> + 'static;
}

/// The SecureDialer: keeps one link to each payee that was paid lately and hands orders over on it, many at
/// once.
#[derive(Debug)]
pub struct SecureDialer<C> {
    links: Rc<RefCell<Links<C>>>,
}

impl<C: ConnectPeer> SecureDialer<C> {
    /// A dialer that connects with `connector`.
    pub fn new(connector: C, patience: SecurePeerPatience, log: &Logger) -> Self {
        let links = Links { connector, patience, kept: HashMap::new(), log: log.clone() };
        Self { links: Rc::new(RefCell::new(links)) }
    }
}

impl<C: ConnectPeer> Actor for SecureDialer<C> {
    type Context = Context<Self>;
}

impl<C: ConnectPeer> Handler<Deliver> for SecureDialer<C> {
    type Result = ResponseFuture<Result<PayeeAnswer, DeliverError>>;

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) -> Self::Result {
        Box::pin(hand_over(Rc::clone(&self.links), deliver))
    }
}

/// Hands an order over, a second time if the link that was kept turns out to be dead: the payee may have
/// started again, and the same order twice is one payment.
async fn hand_over<C: ConnectPeer>(
    links: Rc<RefCell<Links<C>>>,
    Deliver { address, payee_key, order, memo }: Deliver,
) -> Result<PayeeAnswer, DeliverError> {
    check_memo(&order.order, memo.as_ref())
        .map_err(|problem| DeliverError::Unreachable(problem.to_string()))?;
    let to = Pair { payer_key: order.order.payer_key, address, payee_key };
    let offer = PayerFrame::Offer { order, memo };

    let handing_over = links.borrow_mut().hand_over(to, offer.clone())?;
    let kept = handing_over.kept;
    let (handed_over, why) = match handing_over.outcome().await {
        Ok(answer) => return Ok(answer),
        Err(LinkFailure::Broken { handed_over, why }) if kept => (handed_over, why),
        Err(failure) => return Err(failure.into()),
    };
    info!(links.borrow().log, "the payee's link is dead, connecting anew"; "why" => &why);
    let again = links.borrow_mut().hand_over(to, offer);
    let outcome = match again {
        Ok(handing_over) => handing_over.outcome().await.map_err(DeliverError::from),
        Err(full) => Err(full),
    };
    outcome.map_err(|error| match error {
        error @ DeliverError::Silent(_) => error,
        error if handed_over => DeliverError::Silent(format!("{why}; then: {error}")),
        error => error,
    })
}

impl From<LinkFailure> for DeliverError {
    fn from(failure: LinkFailure) -> Self {
        match failure {
            LinkFailure::NotConnected(error) => error,
            LinkFailure::Broken { handed_over: false, why } => Self::Unreachable(why),
            LinkFailure::Broken { handed_over: true, why } | LinkFailure::Silent(why) => {
                Self::Silent(why)
            }
        }
    }
}

/// Who is at the two ends of a link. A payer that has changed its key is somebody else to its payees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair {
    payer_key: PublicKey,
    address: SocketAddr,
    payee_key: PublicKey,
}

/// The links that are kept.
#[derive(Debug)]
struct Links<C> {
    connector: C,
    patience: SecurePeerPatience,
    kept: HashMap<Pair, Kept>,
    log: Logger,
}

#[derive(Debug)]
struct Kept {
    /// Closed by the link when it takes no more; the link ends when this is dropped.
    orders: mpsc::Sender<Handover>,
    /// Shared with every order under way on the link.
    in_use: Rc<()>,
    used_at: Instant,
}

/// An order under way.
struct HandingOver {
    outcome: oneshot::Receiver<Result<PayeeAnswer, LinkFailure>>,
    /// Whether the link was there before the order.
    kept: bool,
    _in_use: Rc<()>,
}

impl<C: ConnectPeer> Links<C> {
    fn hand_over(&mut self, to: Pair, offer: PayerFrame) -> Result<HandingOver, DeliverError> {
        let kept = self.kept.get(&to).is_some_and(|link| !link.orders.is_closed());
        if !kept {
            self.kept.remove(&to);
            self.make_room()?;
            let link = self.start(to);
            self.kept.insert(to, link);
        }
        let link = self.kept.get_mut(&to).expect("it was there or has just been put there");
        if link.under_way() >= OFFERS_UNDER_WAY_MAX {
            return Err(DeliverError::Full);
        }
        let (answer, outcome) = oneshot::channel();
        // A link that was not closed a moment ago, in the same turn, is not; and it takes as many as may
        // be under way.
        link.orders.try_send(Handover { offer, answer }).map_err(|_| DeliverError::Full)?;
        link.used_at = Instant::now();
        Ok(HandingOver { outcome, kept, _in_use: Rc::clone(&link.in_use) })
    }

    fn make_room(&mut self) -> Result<(), DeliverError> {
        if self.kept.len() < LINKS_MAX {
            return Ok(());
        }
        self.kept.retain(|_, link| !link.orders.is_closed());
        if self.kept.len() < LINKS_MAX {
            return Ok(());
        }
        let idle = self.kept.iter().filter(|(_, link)| link.under_way() == 0);
        let oldest = idle.min_by_key(|(_, link)| link.used_at).map(|(pair, _)| *pair);
        let oldest = oldest.ok_or(DeliverError::Full)?;
        self.kept.remove(&oldest);
        Ok(())
    }

    fn start(&self, to: Pair) -> Kept {
        let (orders, taken) = mpsc::channel(OFFERS_UNDER_WAY_MAX);
        let connecting = self.connector.connect(to.address, to.payee_key);
        let log = self
            .log
            .new(o!("actor" => "secure-dialer", "peer" => to.address, "direction" => "out"));
        actix::spawn(outgoing::run(connecting, taken, self.patience, log));
        Kept { orders, in_use: Rc::new(()), used_at: Instant::now() }
    }
}

impl Kept {
    fn under_way(&self) -> usize {
        Rc::strong_count(&self.in_use) - 1
    }
}

impl HandingOver {
    async fn outcome(self) -> Result<PayeeAnswer, LinkFailure> {
        let gone = || Err(LinkFailure::Silent("the link has failed".to_owned()));
        self.outcome.await.unwrap_or_else(|_| gone())
    }
}

#[cfg(test)]
mod tests;
