//! A wallet that is gone, that forgets what it was offered, or that is late, and connections that panic.

use futures_util::future::join_all;

use super::*;
use crate::probe::{PanickingStream, Trouble, settle, slow, troubled};

#[actix::test]
async fn without_a_wallet_the_payer_hears_nothing() {
    for trouble in Trouble::UNANSWERED {
        let wallet = troubled(trouble, None).await;
        assert_eq!(converse(b"alice#10#bob", false, wallet).await, "", "{trouble:?}");
    }
}

/// The story: a wallet waited for its server, and as many payers as may be connected kept their places,
/// long after they had stopped listening.
#[actix::test]
async fn a_late_wallet_is_waited_for_as_long_as_the_payer_listens() {
    tokio::time::pause();
    let (wallet, mut offers) = slow();
    let begun = tokio::time::Instant::now();
    // The link has ended when this returns.
    assert_eq!(converse(b"alice#10#bob", false, wallet.clone()).await, "");
    assert!(begun.elapsed() < 2 * PATIENCE.answer, "{:?}", begun.elapsed());
    // The wallet's word comes to nobody, and harms nobody.
    let (offer, late) = offers.next().await;
    assert_eq!(offer, Offer(payment()));
    late.send(OfferAnswer::Settled);
    let talking = actix::spawn(async { converse(b"alice#10#bob", false, wallet).await });
    offers.next().await.1.send(OfferAnswer::Settled);
    assert_eq!(talking.await.expect("no panic"), "100 OK\n");
}

/// What a wallet has waiting, the links put there: each of them one payment.
#[actix::test]
async fn a_payer_that_floods_offers_one_payment() {
    let (wallet, mut offers) = slow();
    let links = actix::spawn(async move {
        let flood = b"alice#10#bob\n".repeat(100);
        join_all((0..20).map(|_| converse(&flood, false, wallet.clone()))).await
    });
    settle().await;
    tokio::time::sleep(2 * PATIENCE.quiet).await;
    assert_eq!(offers.there().len(), 20);
    assert_eq!(links.await.expect("no panic"), [""; 20]);
    assert!(offers.there().is_empty());
}

/// Connects to streams that panic.
struct PanickingConnector;

impl Connect for PanickingConnector {
    type Stream = PanickingStream;

    fn connect(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<PanickingStream>> + 'static {
        std::future::ready(Ok(PanickingStream::default()))
    }
}

/// In either direction. The payment may have been handed over: nobody is told that it was not.
#[actix::test]
async fn a_panic_ends_its_link_alone() {
    let (wallet, mut offers) = probe(|_: &Offer| OfferAnswer::Settled);
    let stream = PanickingStream::default();
    PeerLink::incoming(stream, peer(), wallet.clone(), PATIENCE, &no_log()).start();
    settle().await;
    offers.nothing();
    assert_eq!(converse(b"alice#10#bob", false, wallet).await, "100 OK\n");

    let dialer = Dialer::new(PanickingConnector, PATIENCE, &no_log()).start();
    // More than may be under way: each makes room for the next.
    for _ in 0..=HANDING_OVER_MAX {
        let hand_over = HandOver { address: peer(), payment: payment() };
        let answer = dialer.send(hand_over).await.expect("the dialer is there");
        assert_eq!(answer, Ok(HandOverAnswer::Silence));
    }
}
