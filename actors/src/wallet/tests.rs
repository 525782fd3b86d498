mod neighbours;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wire::P2pPort;
use wire::text::list::OnlineUser;

use super::*;
use crate::messages::{HandOverAnswer, HandOverError};
use crate::probe::{Received, gone, no_log, probe};

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn bob_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7002))
}

/// What the mocked server does: alice has a balance, bob is online, payments to alice get a verdict.
struct Script {
    balance: u64,
    verdict: Result<ServerReply, ServerLinkError>,
}

struct Stage {
    wallet: Addr<Wallet>,
    script: Arc<Mutex<Script>>,
    asked: Received<Ask>,
    handed_over: Received<HandOver>,
    events: Received<WalletEvent>,
}

fn ok() -> ServerReply {
    ServerReply::Ok("100 OK".to_owned())
}

/// A wallet whose payments are handed over with this answer, after which the balance is `after`.
fn start(answer: Result<HandOverAnswer, HandOverError>, after: u64) -> Stage {
    let script = Arc::new(Mutex::new(Script { balance: 100, verdict: Ok(ok()) }));
    let server = Arc::clone(&script);
    let (server, asked) = probe(move |Ask(request): &Ask| {
        let script = server.lock().expect("no test panics with the lock");
        match request {
            TextRequest::Register(_) | TextRequest::Pay(_) => script.verdict.clone(),
            TextRequest::LogIn { .. } | TextRequest::List => Ok(ServerReply::List(AccountList {
                balance: Amount::new(script.balance),
                server_key: None,
                online: vec![OnlineUser { name: name("bob"), address: bob_address() }],
            })),
            TextRequest::Exit => Ok(ServerReply::Bye),
        }
    });
    let paid = Arc::clone(&script);
    let (dialer, handed_over) = probe(move |_: &HandOver| {
        paid.lock().expect("no test panics with the lock").balance = after;
        answer.clone()
    });
    let (terminal, events) = probe(|_: &WalletEvent| ());
    let wallet = Wallet::new(server, no_connector(), dialer, terminal, &no_log()).start();
    Stage { wallet, script, asked, handed_over, events }
}

impl Stage {
    async fn log_in(&mut self) {
        let port: P2pPort = "7001".parse().expect("a port");
        let list = self.wallet.send(GoOnline { name: name("alice"), port }).await;
        let list = list.expect("the wallet answers").expect("the server lets her in");
        assert_eq!(list.balance, Amount::new(100));
        assert_eq!(self.asked.next().await.0.to_string(), "alice#7001");
    }

    async fn pay(&self, payee: &str, amount: u64) -> Result<PaymentReport, WalletError> {
        let pay = Pay { payee: name(payee), amount: Amount::new(amount) };
        self.wallet.send(pay).await.expect("the wallet answers")
    }

    async fn offer(&self, payment: &str) -> OfferAnswer {
        let payment = TextPayment::parse(payment).expect("a payment");
        self.wallet.send(Offer(payment)).await.expect("the wallet answers")
    }
}

#[actix::test]
async fn a_payment_is_looked_up_handed_over_and_checked() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 90);
    stage.log_in().await;
    let paid = PaymentReport::Paid { balance: Some(Amount::new(90)) };
    assert_eq!(stage.pay("bob", 10).await, Ok(paid));
    let handed_over = stage.handed_over.next().await;
    assert_eq!(handed_over.address, bob_address());
    assert_eq!(handed_over.payment.to_string(), "alice#10#bob");
    // The payee takes it to the server; the payer only looks.
    for _ in 0..2 {
        assert_eq!(stage.asked.next().await, Ask(TextRequest::List));
    }
    stage.asked.nothing();
}

#[actix::test]
async fn a_payee_who_lies_is_not_believed() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 100);
    stage.log_in().await;
    let unconfirmed = PaymentReport::Unconfirmed {
        balance_before: Amount::new(100),
        balance_now: Some(Amount::new(100)),
    };
    assert_eq!(stage.pay("bob", 10).await, Ok(unconfirmed));
}

#[actix::test]
async fn what_cannot_be_paid_is_not_handed_over() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 90);
    assert_eq!(stage.pay("bob", 10).await, Err(WalletError::NotLoggedIn));
    stage.log_in().await;
    let (balance, amount) = (Amount::new(100), Amount::new(101));
    for (payee, credits, expected) in [
        ("alice", 10, WalletError::PayingOneself),
        ("bob", 0, WalletError::NothingToPay),
        ("bob", 101, WalletError::InsufficientBalance { balance, amount }),
        ("bobby", 10, WalletError::PayeeOffline(name("bobby"))),
    ] {
        assert_eq!(stage.pay(payee, credits).await, Err(expected));
    }
    stage.handed_over.nothing();
}

#[actix::test]
async fn who_cannot_be_reached_is_not_paid() {
    let refused = HandOverError::Unreachable("connection refused".to_owned());
    let mut stage = start(Err(refused), 100);
    stage.log_in().await;
    let unreachable = WalletError::PayeeUnreachable {
        payee: name("bob"),
        address: bob_address(),
        reason: "connection refused".to_owned(),
    };
    assert_eq!(stage.pay("bob", 10).await, Err(unreachable));
    let mut stage = start(Err(HandOverError::Full), 100);
    stage.log_in().await;
    assert_eq!(stage.pay("bob", 10).await, Err(WalletError::PaymentUnderWay));
}

/// One dialect tells the payer of each transfer, without saying of which: anybody can cause such a
/// line, so it is only a reason to look at the balance.
#[actix::test]
async fn the_servers_word_to_the_payer_counts_with_the_balance_only() {
    tokio::time::pause();
    let (dialer, mut dialed) = silent_dialer();
    let Stage { script, mut asked, .. } = start(Ok(HandOverAnswer::Silence), 100);
    let balance = Arc::clone(&script);
    let (server, _) = probe(move |_: &Ask| {
        let balance = Amount::new(balance.lock().expect("not poisoned").balance);
        let online = vec![OnlineUser { name: name("bob"), address: bob_address() }];
        Ok(ServerReply::List(AccountList { balance, server_key: None, online }))
    });
    asked.nothing();
    let (terminal, mut events) = probe(|_: &WalletEvent| ());
    let wallet = Wallet::new(server, no_connector(), dialer, terminal, &no_log()).start();
    let port: P2pPort = "7001".parse().expect("a port");
    let logged_in = wallet.send(GoOnline { name: name("alice"), port }).await;
    assert!(logged_in.expect("the wallet answers").is_ok());

    let pay = || Pay { payee: name("bob"), amount: Amount::new(10) };
    let paying = actix::spawn(wallet.send(pay()));
    dialed.recv().await.expect("the payment is handed over");
    let second = wallet.send(pay()).await.expect("the wallet answers");
    assert_eq!(second, Err(WalletError::PaymentUnderWay));

    let event = || ServerEvent::TransferResult { settled: true, line: "Transfer OK!".to_owned() };
    script.lock().expect("not poisoned").balance = 99;
    wallet.do_send(event());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!paying.is_finished(), "somebody else was paid 1");
    script.lock().expect("not poisoned").balance = 90;
    let report = paying.await.expect("no panic").expect("the wallet answers");
    assert_eq!(report, Ok(PaymentReport::Paid { balance: Some(Amount::new(90)) }));
    // With no payment under way, it is only something that the server says.
    wallet.do_send(event());
    assert_eq!(events.next().await, WalletEvent::ServerSaid("Transfer OK!".to_owned()));
}

#[actix::test]
async fn a_refusal_by_the_server_counts_when_the_payee_is_gone() {
    tokio::time::pause();
    let mut stage = start(Ok(HandOverAnswer::Silence), 100);
    stage.log_in().await;
    let wallet = stage.wallet.clone();
    let paying = actix::spawn(async move {
        let pay = Pay { payee: name("bob"), amount: Amount::new(10) };
        wallet.send(pay).await.expect("the wallet answers")
    });
    stage.handed_over.next().await;
    let line = "Transfer Fail!".to_owned();
    stage.wallet.do_send(ServerEvent::TransferResult { settled: false, line: line.clone() });
    let report = paying.await.expect("no panic");
    assert_eq!(report, Ok(PaymentReport::Refused { reason: line }));
}

/// A stranger offers a fortune and has the payee pay him 1 meanwhile: what the server says of that is
/// no word on the fortune. And what one offer adds to the balance is not taken for another one.
#[actix::test]
async fn what_the_server_says_of_other_transfers_is_no_receipt() {
    let word = |line: &str| Ok(ServerReply::Ok(line.to_owned()));
    let fail = || Ok(ServerReply::Failed("Transfer Fail!".to_owned()));
    let silent = || Err(ServerLinkError::Silent(2));
    let refused = || OfferAnswer::Refused("Transfer Fail!".to_owned());
    for (verdict, before, now, expected) in [
        (word("100 OK"), Some(100), Some(100), OfferAnswer::Settled),
        (word("Transfer OK!"), Some(100), Some(105), OfferAnswer::Settled),
        (word("Transfer OK!"), Some(100), Some(99), OfferAnswer::Unknown),
        (word("Transfer OK!"), Some(100), None, OfferAnswer::Unknown),
        (fail(), Some(100), Some(100), refused()),
        (fail(), Some(100), Some(105), OfferAnswer::Settled),
        (fail(), Some(100), Some(99), OfferAnswer::Unknown),
        (silent(), Some(100), Some(105), OfferAnswer::Settled),
        (silent(), Some(100), Some(104), OfferAnswer::Unknown),
        (silent(), None, Some(105), OfferAnswer::Unknown),
    ] {
        let story = format!("{verdict:?} {before:?} {now:?}");
        let (before, now) = (before.map(Amount::new), now.map(Amount::new));
        assert_eq!(judge_offer(verdict, before, now, Amount::new(5)), expected, "{story}");
    }

    let mut stage = start(Ok(HandOverAnswer::Settled), 100);
    stage.log_in().await;
    *stage.script.lock().expect("not poisoned") =
        Script { balance: 105, verdict: Err(ServerLinkError::Silent(2)) };
    let first = stage.offer("bob#5#alice");
    let second = stage.offer("eve#5#alice");
    let answers = futures_util::future::join(first, second).await;
    assert_eq!(answers, (OfferAnswer::Settled, OfferAnswer::Unknown));
}

#[actix::test]
async fn strangers_offers_are_bounded() {
    let (server, mut asked) = probe(|_: &Ask| Err(ServerLinkError::Silent(2)));
    let (dialer, _) = silent_dialer();
    let (terminal, _) = probe(|_: &WalletEvent| ());
    let mut wallet = Wallet::new(server, no_connector(), dialer, terminal, &no_log());
    wallet.me = Some(name("alice"));
    // Somebody has the turn and keeps it.
    let _turn = Arc::clone(&wallet.offering).lock_owned().await;
    let wallet = wallet.start();
    let offer = || Offer(TextPayment::parse("bob#5#alice").expect("a payment"));
    let waiting: Vec<_> = (0..OFFERS_MAX).map(|_| actix::spawn(wallet.send(offer()))).collect();
    tokio::task::yield_now().await;
    let turned_away = wallet.send(offer()).await.expect("the wallet answers");
    assert!(matches!(turned_away, OfferAnswer::Refused(_)));
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    asked.nothing();
}

/// A dialer whose payees never say anything, and never hang up.
fn silent_dialer() -> (Recipient<HandOver>, tokio::sync::mpsc::UnboundedReceiver<()>) {
    struct Silent(UnboundedSender<()>);
    impl Actor for Silent {
        type Context = Context<Self>;
    }
    impl Handler<HandOver> for Silent {
        type Result = ResponseFuture<Result<HandOverAnswer, HandOverError>>;

        fn handle(&mut self, _: HandOver, _: &mut Self::Context) -> Self::Result {
            self.0.send(()).expect("the test listens");
            Box::pin(std::future::pending())
        }
    }
    let (sender, dialed) = unbounded_channel();
    (Silent(sender).start().recipient(), dialed)
}

#[actix::test]
async fn an_offered_payment_is_taken_to_the_server() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 100);
    stage.log_in().await;
    assert_eq!(stage.offer("bob#5#alice").await, OfferAnswer::Settled);
    assert_eq!(stage.asked.next().await.0.to_string(), "bob#5#alice");
    let payment = TextPayment::parse("bob#5#alice").expect("a payment");
    let balance = Some(Amount::new(100));
    assert_eq!(stage.events.next().await, WalletEvent::Received { payment, balance });
}

#[actix::test]
async fn an_offer_that_fails_says_why() {
    let broke = "Transfer failed due to insufficient balance.";
    let unknown = "the server did not say what came of it";
    let lost = ServerLinkError::Lost("gone".to_owned());
    for (verdict, payment, answer, reason) in [
        (
            Ok(ServerReply::Failed(broke.to_owned())),
            "bob#5#alice",
            OfferAnswer::Refused(broke.to_owned()),
            broke,
        ),
        (Err(lost), "bob#5#alice", OfferAnswer::Unknown, unknown),
        (Err(ServerLinkError::Silent(2)), "bob#5#alice", OfferAnswer::Unknown, unknown),
    ] {
        let mut stage = start(Ok(HandOverAnswer::Settled), 100);
        stage.log_in().await;
        stage.script.lock().expect("not poisoned").verdict = verdict;
        assert_eq!(stage.offer(payment).await, answer, "{payment}");
        let payment = TextPayment::parse(payment).expect("a payment");
        let reason = reason.to_owned();
        assert_eq!(stage.events.next().await, WalletEvent::NotReceived { payment, reason });
    }
}

/// Where only the payer is told, the payee finds the payment in the balance.
#[actix::test]
async fn a_payment_that_the_server_settles_in_silence_shows_in_the_balance() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 100);
    stage.log_in().await;
    *stage.script.lock().expect("not poisoned") =
        Script { balance: 105, verdict: Err(ServerLinkError::Silent(2)) };
    assert_eq!(stage.offer("bob#5#alice").await, OfferAnswer::Settled);
}

#[actix::test]
async fn what_is_not_for_me_goes_nowhere() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 100);
    assert!(matches!(stage.offer("bob#5#alice").await, OfferAnswer::Refused(_)));
    stage.asked.nothing();
    stage.log_in().await;
    assert!(matches!(stage.offer("bob#5#carol").await, OfferAnswer::Refused(_)));
    stage.asked.nothing();
    stage.events.nothing();
}

#[actix::test]
async fn a_lost_server_logs_out() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 90);
    stage.log_in().await;
    stage.wallet.do_send(ServerEvent::Lost("gone".to_owned()));
    assert_eq!(stage.events.next().await, WalletEvent::ServerLost("gone".to_owned()));
    assert_eq!(stage.pay("bob", 10).await, Err(WalletError::NotLoggedIn));
}

/// A server that cannot be connected to a second time.
fn no_connector() -> Recipient<ConnectServer> {
    probe(|_: &ConnectServer| Err(ServerLinkError::Lost("connection refused".to_owned()))).0
}

#[actix::test]
async fn who_registers_or_logs_in_after_a_loss_is_connected_again() {
    let (server, mut asked) = probe(|Ask(request): &Ask| match request {
        TextRequest::Register(_) => Ok(ok()),
        _ => Ok(ServerReply::Failed("220 AUTH_FAIL".to_owned())),
    });
    let (connector, mut connected) = probe(move |_: &ConnectServer| Ok(server.clone()));
    let (dialer, _) = probe(|_: &HandOver| Ok(HandOverAnswer::Settled));
    let (terminal, _) = probe(|_: &WalletEvent| ());
    let wallet = Wallet::new(gone().await, connector, dialer, terminal, &no_log()).start();
    assert_eq!(wallet.send(Leave).await.expect("answers"), Ok(()), "nobody is there to say no");
    assert_eq!(wallet.send(Register(name("alice"))).await.expect("answers"), Ok(()));
    assert_eq!(asked.next().await.0.to_string(), "REGISTER#alice");
    let port: P2pPort = "7001".parse().expect("a port");
    let refused = wallet.send(GoOnline { name: name("alice"), port }).await.expect("answers");
    assert_eq!(refused, Err(WalletError::Refused("220 AUTH_FAIL".to_owned())));
    connected.next().await;
    connected.nothing();
}

#[actix::test]
async fn a_server_that_is_gone_for_good_is_said() {
    let (dialer, _) = probe(|_: &HandOver| Ok(HandOverAnswer::Settled));
    let (terminal, _) = probe(|_: &WalletEvent| ());
    let wallet = Wallet::new(gone().await, no_connector(), dialer, terminal, &no_log()).start();
    let registered = wallet.send(Register(name("alice"))).await.expect("the wallet answers");
    let refused = ServerLinkError::Lost("connection refused".to_owned());
    assert_eq!(registered, Err(WalletError::Server(refused)));
}

#[actix::test]
async fn a_farewell_is_a_log_out() {
    let mut stage = start(Ok(HandOverAnswer::Settled), 90);
    stage.log_in().await;
    assert_eq!(stage.wallet.send(Leave).await.expect("answers"), Ok(()));
    assert_eq!(stage.asked.next().await, Ask(TextRequest::Exit));
    assert_eq!(stage.pay("bob", 10).await, Err(WalletError::NotLoggedIn));
}
