//! Neighbours that are gone, that forget what they were asked, that are full, or that are late: whoever
//! asks the wallet is answered, nothing is called paid or unpaid that may be otherwise, and the next one
//! is taken.

use super::*;
use crate::probe::{Questions, Trouble, settle, slow, troubled};

/// Whom a wallet talks to; all of them do what they should.
struct Peers {
    server: Recipient<Ask>,
    connector: Recipient<ConnectServer>,
    dialer: Recipient<HandOver>,
    terminal: Recipient<WalletEvent>,
}

impl Peers {
    fn good() -> Self {
        Self {
            server: probe(|Ask(request): &Ask| Ok(reply(request))).0,
            connector: no_connector(),
            dialer: probe(|_: &HandOver| Ok(HandOverAnswer::Settled)).0,
            terminal: probe(|_: &WalletEvent| ()).0,
        }
    }

    /// The wallet of alice, who is logged in and has 100.
    fn start(self) -> Addr<Wallet> {
        let Self { server, connector, dialer, terminal } = self;
        let mut wallet = Wallet::new(server, connector, dialer, terminal, &no_log());
        (wallet.me, wallet.balance) = (Some(name("alice")), Some(Amount::new(100)));
        wallet.start()
    }
}

/// What a server says in which nothing ever changes.
fn reply(request: &TextRequest) -> ServerReply {
    match request {
        TextRequest::Register(_) | TextRequest::Pay(_) => ok(),
        TextRequest::LogIn { .. } | TextRequest::List => ServerReply::List(AccountList {
            balance: Amount::new(100),
            server_key: None,
            online: vec![OnlineUser { name: name("bob"), address: bob_address() }],
        }),
        TextRequest::Exit => ServerReply::Bye,
    }
}

fn ten_for_bob() -> Pay {
    Pay { payee: name("bob"), amount: Amount::new(10) }
}

fn five_from_bob() -> Offer {
    Offer(TextPayment::parse("bob#5#alice").expect("a payment"))
}

fn log_in() -> GoOnline {
    GoOnline { name: name("alice"), port: "7001".parse().expect("a port") }
}

fn closed() -> ServerLinkError {
    ServerLinkError::Lost("it is closed".to_owned())
}

fn unconfirmed() -> PaymentReport {
    let balance = Amount::new(100);
    PaymentReport::Unconfirmed { balance_before: balance, balance_now: Some(balance) }
}

#[actix::test]
async fn without_a_server_link_everybody_hears_so_and_nothing_is_handed_over() {
    for trouble in Trouble::ALL {
        let (dialer, mut handed_over) = probe(|_: &HandOver| Ok(HandOverAnswer::Settled));
        let server = troubled(trouble, Some(Err(ServerLinkError::Full))).await;
        let wallet = Peers { server, dialer, ..Peers::good() }.start();
        let lost = match trouble {
            Trouble::Full => ServerLinkError::Full,
            Trouble::Gone | Trouble::Forgetful => closed(),
        };
        // Where nobody needs to be logged in, a link that is gone is made anew.
        let anew = match trouble {
            Trouble::Gone => ServerLinkError::Lost("connection refused".to_owned()),
            Trouble::Forgetful | Trouble::Full => lost.clone(),
        };
        // Twice: one that failed is in the way of none that follows.
        for _ in 0..2 {
            assert_eq!(wallet.send(ten_for_bob()).await, Ok(Err(lost.clone().into())));
            assert_eq!(wallet.send(five_from_bob()).await, Ok(OfferAnswer::Unknown));
            assert_eq!(wallet.send(ReadAccount).await, Ok(Err(lost.clone().into())));
            assert_eq!(wallet.send(Register(name("al"))).await, Ok(Err(anew.clone().into())));
            assert_eq!(wallet.send(log_in()).await, Ok(Err(anew.clone().into())));
        }
        handed_over.nothing();
        let left = wallet.send(Leave).await.expect("the wallet answers");
        let expected = if trouble == Trouble::Gone { Ok(()) } else { Err(lost.into()) };
        assert_eq!(left, expected, "{trouble:?}");
    }
}

/// While the server takes its time, a person who leaves is not waited for, and a second payment is
/// turned away.
#[actix::test]
async fn a_late_server_link_is_waited_for_and_its_answers_are_told() {
    let (server, mut questions) = slow();
    let wallet = Peers { server, ..Peers::good() }.start();
    let paying = actix::spawn(wallet.send(ten_for_bob()));
    let (Ask(request), late) = questions.next().await;
    assert_eq!(request, TextRequest::List);
    assert_eq!(wallet.send(ten_for_bob()).await, Ok(Err(WalletError::PaymentUnderWay)));
    let leaving = actix::spawn(wallet.send(Leave));
    let (Ask(request), reply_to_leave) = questions.next().await;
    assert_eq!(request, TextRequest::Exit);
    reply_to_leave.send(Ok(ServerReply::Bye));
    assert_eq!(leaving.await.expect("no panic"), Ok(Ok(())));
    assert!(!paying.is_finished());
    late.send(Ok(reply(&TextRequest::List)));
    answer_all(&mut questions, 100);
    assert_eq!(paying.await.expect("no panic"), Ok(Ok(unconfirmed())));
}

/// Answers whatever is asked from now on; the balance is that.
fn answer_all(questions: &mut Questions<Ask>, balance: u64) {
    let mut questions = std::mem::replace(questions, slow().1);
    actix::spawn(async move {
        loop {
            let (Ask(request), answer) = questions.next().await;
            answer.send(Ok(match reply(&request) {
                ServerReply::List(list) => {
                    ServerReply::List(AccountList { balance: Amount::new(balance), ..list })
                }
                other => other,
            }));
        }
    });
}

#[actix::test]
async fn without_a_connector_the_server_stays_lost() {
    for trouble in Trouble::ALL {
        let connector = troubled(trouble, Some(Err(ServerLinkError::Full))).await;
        let wallet = Peers { server: gone().await, connector, ..Peers::good() }.start();
        let lost = if trouble == Trouble::Full { ServerLinkError::Full } else { closed() };
        for _ in 0..2 {
            assert_eq!(wallet.send(log_in()).await, Ok(Err(lost.clone().into())), "{trouble:?}");
            assert_eq!(wallet.send(Register(name("al"))).await, Ok(Err(lost.clone().into())));
        }
    }
}

/// Connecting takes up to five seconds. What needs no new connection is answered meanwhile.
#[actix::test]
async fn a_late_connector_holds_up_who_waits_for_it_alone() {
    let (connector, mut asked) = slow();
    let wallet = Peers { server: gone().await, connector, ..Peers::good() }.start();
    let logging_in = actix::spawn(wallet.send(log_in()));
    let (_, late) = asked.next().await;
    assert_eq!(wallet.send(ten_for_bob()).await, Ok(Err(closed().into())));
    assert_eq!(wallet.send(five_from_bob()).await, Ok(OfferAnswer::Unknown));
    late.send(Ok(Peers::good().server));
    let list = logging_in.await.expect("no panic").expect("the wallet answers");
    assert_eq!(list.expect("logged in").balance, Amount::new(100));
    assert_eq!(wallet.send(five_from_bob()).await, Ok(OfferAnswer::Settled));
}

/// The story: the dialer failed while it handed a payment over, and the payer was told that nothing was paid.
/// The payee had it, and took it to the server.
#[actix::test]
async fn without_a_dialer_nobody_says_that_nothing_was_paid() {
    tokio::time::pause();
    for trouble in Trouble::UNANSWERED {
        let dialer = troubled(trouble, None).await;
        let wallet = Peers { dialer, ..Peers::good() }.start();
        for _ in 0..2 {
            assert_eq!(wallet.send(ten_for_bob()).await, Ok(Ok(unconfirmed())), "{trouble:?}");
        }
        // It was handed over all the same: the balance shows it.
        let (server, mut questions) = slow();
        let wallet = Peers { server, dialer: troubled(trouble, None).await, ..Peers::good() };
        let paying = actix::spawn(wallet.start().send(ten_for_bob()));
        questions.next().await.1.send(Ok(reply(&TextRequest::List)));
        answer_all(&mut questions, 90);
        let paid = PaymentReport::Paid { balance: Some(Amount::new(90)) };
        assert_eq!(paying.await.expect("no panic"), Ok(Ok(paid)), "{trouble:?}");
    }
    let full = troubled(Trouble::Full, Some(Err(HandOverError::Full))).await;
    let wallet = Peers { dialer: full, ..Peers::good() }.start();
    for _ in 0..2 {
        assert_eq!(wallet.send(ten_for_bob()).await, Ok(Err(WalletError::PaymentUnderWay)));
    }
}

/// A payee takes up to ten seconds. Nobody else waits for it.
#[actix::test]
async fn a_late_dialer_holds_up_its_payment_alone() {
    let (dialer, mut handed_over) = slow();
    let wallet = Peers { dialer, ..Peers::good() }.start();
    let paying = actix::spawn(wallet.send(ten_for_bob()));
    let (_, late) = handed_over.next().await;
    assert_eq!(wallet.send(five_from_bob()).await, Ok(OfferAnswer::Settled));
    assert!(wallet.send(ReadAccount).await.expect("the wallet answers").is_ok());
    assert!(!paying.is_finished());
    late.send(Err(HandOverError::Full));
    assert_eq!(paying.await.expect("no panic"), Ok(Err(WalletError::PaymentUnderWay)));
}

#[actix::test]
async fn without_a_terminal_payments_go_on() {
    let (late, events) = slow::<WalletEvent>();
    let unanswered = Trouble::UNANSWERED.map(|trouble| troubled(trouble, None));
    let unanswered = futures_util::future::join_all(unanswered).await;
    for terminal in unanswered.into_iter().chain([late]) {
        let wallet = Peers { terminal, ..Peers::good() }.start();
        for _ in 0..100 {
            wallet.do_send(ServerEvent::Said("hello".to_owned()));
        }
        assert_eq!(wallet.send(five_from_bob()).await, Ok(OfferAnswer::Settled));
        wallet.do_send(ServerEvent::Lost("gone".to_owned()));
        assert_eq!(wallet.send(ten_for_bob()).await, Ok(Err(WalletError::NotLoggedIn)));
    }
    settle().await;
    let mut events = events;
    assert_eq!(events.there().len(), 102, "whoever is late hears all");
}
