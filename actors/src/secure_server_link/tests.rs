use tokio::io::{AsyncWriteExt as _, duplex};
use wire::secure::call::WATCHED_NAMES_MAX;
use wire::secure::{
    AccountInfo, Correlation, Event, OnlinePeer, OrderRef, OrderStatus, OwnAccount, Response,
};
use wire::{AccountId, Amount, EntryNumber, OrderId, Timestamp, Username};

use super::*;
use crate::frames::peer::{Peer, framed};
use crate::probe::{PanickingStream, Received, Trouble, no_log, probe, troubled};

const PATIENCE: SecureServerPatience =
    SecureServerPatience { hello: Duration::from_secs(5), answer: Duration::from_secs(10) };

const LIMITS: Limits = Limits {
    frame_bytes_max: 1 << 20,
    calls_under_way_max: 4,
    orders_per_call_max: 2,
    page_items_max: 10,
    order_validity_ms_max: 1000,
};

fn welcome() -> Welcome {
    Welcome {
        magic: magic::SERVER,
        version: PROTOCOL_VERSION,
        now: Timestamp::new(7),
        limits: LIMITS,
        account: None,
    }
}

struct Stage {
    server: Peer,
    link: Recipient<AskServer>,
    news: Received<ServerNews>,
}

/// A link after both hellos. What the link writes waits in 16 KiB until the server reads it.
async fn start() -> Stage {
    let (news, heard) = probe(|_: &ServerNews| ());
    start_with(news, heard).await
}

async fn start_with(news: Recipient<ServerNews>, heard: Received<ServerNews>) -> Stage {
    let (stream, other) = duplex(16 << 10);
    let mut server = Peer::new(other);
    server.says(&Ok::<_, Problem>(welcome())).await;
    let connected = SecureServerLink::connect(stream, news, PATIENCE, &no_log()).await;
    let (link, said) = connected.expect("the server is polite");
    assert_eq!(said, welcome());
    assert_eq!(server.hears::<Hello>().await, Hello::new(magic::CLIENT));
    Stage { server, link, news: heard }
}

impl Stage {
    /// Asks without waiting for the answer.
    fn ask(&self, call: Call) -> impl Future<Output = Reply> + use<> {
        let asked = actix::spawn(self.link.send(AskServer(call)));
        async { asked.await.expect("no panic").expect("the link answers") }
    }

    /// Asks, and waits until the server has the question.
    async fn asked(&mut self, call: Call) -> (Correlation, impl Future<Output = Reply> + use<>) {
        let answer = self.ask(call.clone());
        let request: Request = self.server.hears().await;
        assert_eq!(request.call, call);
        (request.correlation, answer)
    }

    async fn answers(&mut self, correlation: Correlation, result: Result<Answer, Problem>) {
        self.server.says(&ServerFrame::Response(Response { correlation, result })).await;
    }

    /// The connection is gone, for this reason, and whoever asks is told.
    async fn ends_lost(mut self, why: &str) {
        assert_eq!(self.news.next().await, ServerNews::Lost(why.to_owned()));
        assert!(matches!(self.ask(Call::ReadBalance).await, Err(CallError::Lost(_))));
        self.server.ends().await;
        self.news.nothing();
    }
}

fn name(name: &str) -> Username {
    name.parse().expect("a name")
}

fn balance(amount: u64) -> Answer {
    Answer::Balance { amount: Amount::new(amount), now: Timestamp::new(7) }
}

fn lost(why: &str) -> Reply {
    Err(CallError::Lost(why.to_owned()))
}

async fn connect_to(first: &[u8], close: bool) -> Result<Welcome, ConnectError> {
    let (news, _) = probe(|_: &ServerNews| ());
    let (stream, mut server) = duplex(16 << 10);
    server.write_all(first).await.expect("there is room");
    let _server = (!close).then_some(server);
    let connected = SecureServerLink::connect(stream, news, PATIENCE, &no_log()).await;
    connected.map(|(_, welcome)| welcome)
}

#[actix::test]
async fn only_the_hello_of_a_server_is_taken() {
    tokio::time::pause();
    let not_mite = |why: &str| Err(ConnectError::NotMite(why.to_owned()));
    let unreachable = |why: &str| Err(ConnectError::Unreachable(why.to_owned()));
    let no_calls = Limits { calls_under_way_max: 0, ..LIMITS };
    let mut whole = framed(&Ok::<_, Problem>(welcome()));
    assert_eq!(connect_to(&whole, false).await, Ok(welcome()));
    for (first, expected) in [
        (Err(Problem::Busy), Err(ConnectError::Refused(Problem::Busy))),
        (
            Ok(Welcome { magic: magic::PAYEE, ..welcome() }),
            not_mite("it is not in the role of a server"),
        ),
        (
            Ok(Welcome { version: PROTOCOL_VERSION + 1, ..welcome() }),
            not_mite("it speaks a version that was not offered"),
        ),
        (Ok(Welcome { limits: no_calls, ..welcome() }), not_mite("it takes no calls at all")),
    ] {
        assert_eq!(connect_to(&framed(&first), false).await, expected, "{first:?}");
    }
    let slow = unreachable("no hello within 5 seconds");
    assert_eq!(connect_to(&whole[..9], false).await, slow);
    assert_eq!(connect_to(&[], false).await, slow);
    assert_eq!(connect_to(&[], true).await, unreachable("the other side closed it"));
    // A length that lies, and a text server.
    for bytes in [&[0xFF; 4][..], b"220 ERROR\n"] {
        assert!(matches!(connect_to(bytes, false).await, Err(ConnectError::NotMite(_))));
    }
    whole[4] = 9;
    assert!(matches!(connect_to(&whole, false).await, Err(ConnectError::NotMite(_))));
}

#[actix::test]
async fn answers_come_in_any_order() {
    let mut stage = start().await;
    let (first, balance_1) = stage.asked(Call::ReadBalance).await;
    let (second, account) = stage.asked(Call::FindAccount { name: name("bob") }).await;
    let (third, balance_3) = stage.asked(Call::ReadBalance).await;
    stage.answers(third, Ok(balance(3))).await;
    assert_eq!(balance_3.await, Ok(balance(3)));
    stage.answers(first, Ok(balance(1))).await;
    stage.answers(second, Err(Problem::NotLoggedIn)).await;
    assert_eq!(balance_1.await, Ok(balance(1)));
    assert_eq!(account.await, Err(CallError::Problem(Problem::NotLoggedIn)));
    stage.news.nothing();
}

#[actix::test]
async fn an_answer_that_comes_late_is_dropped_and_the_connection_stays() {
    tokio::time::pause();
    let mut stage = start().await;
    let (slow, silent) = stage.asked(Call::ReadBalance).await;
    assert_eq!(silent.await, Err(CallError::Silent(10)));
    let (quick, answer) = stage.asked(Call::ReadBalance).await;
    stage.answers(slow, Ok(balance(1))).await;
    stage.answers(quick, Ok(balance(2))).await;
    assert_eq!(answer.await, Ok(balance(2)));
    // It was late once: a second one is an answer to nothing.
    stage.answers(slow, Ok(balance(1))).await;
    stage.ends_lost("the server answers what was not asked").await;
}

#[actix::test]
async fn each_call_has_its_own_time() {
    tokio::time::pause();
    let mut stage = start().await;
    let (_, first) = stage.asked(Call::ReadBalance).await;
    tokio::time::sleep(PATIENCE.answer / 2).await;
    let (second, later) = stage.asked(Call::ReadBalance).await;
    assert_eq!(first.await, Err(CallError::Silent(10)));
    stage.answers(second, Ok(balance(2))).await;
    assert_eq!(later.await, Ok(balance(2)));
}

/// A server whose power went says nothing any more, and no packet says so: the wallet asked over the dead
/// connection for a quarter of an hour, and its payments stayed open as long.
#[actix::test]
async fn a_server_of_which_nothing_is_heard_is_given_up() {
    tokio::time::pause();
    let mut stage = start().await;
    let begun = tokio::time::Instant::now();
    let (_, first) = stage.asked(Call::ReadBalance).await;
    assert_eq!(first.await, Err(CallError::Silent(10)));
    stage.news.nothing();
    let (_, second) = stage.asked(Call::ReadBalance).await;
    assert_eq!(second.await, Err(CallError::Silent(10)));
    // Timers are exact to some milliseconds.
    let bound = PATIENCE.answer * PATIENCES_UNHEARD_MAX;
    assert!((bound..bound + PATIENCE.answer / 2).contains(&begun.elapsed()));
    stage.ends_lost("the server is silent").await;
}

#[actix::test]
async fn a_server_that_says_anything_is_there() {
    tokio::time::pause();
    let mut stage = start().await;
    let (_, first) = stage.asked(Call::ReadBalance).await;
    assert_eq!(first.await, Err(CallError::Silent(10)));
    stage.server.says(&ServerFrame::Event(Event::Missed)).await;
    assert_eq!(stage.news.next().await, ServerNews::Event(Event::Missed));
    let (_, second) = stage.asked(Call::ReadBalance).await;
    assert_eq!(second.await, Err(CallError::Silent(10)));
    let (third, answer) = stage.asked(Call::ReadBalance).await;
    stage.answers(third, Ok(balance(3))).await;
    assert_eq!(answer.await, Ok(balance(3)));
    stage.news.nothing();
}

#[actix::test]
async fn a_lost_connection_answers_everybody_once() {
    let mut stage = start().await;
    let (_, first) = stage.asked(Call::ReadBalance).await;
    let (_, second) = stage.asked(Call::LogOut).await;
    drop(std::mem::replace(&mut stage.server.stream, duplex(1).0));
    let why = "the other side closed it";
    assert_eq!((first.await, second.await), (lost(why), lost(why)));
    stage.ends_lost(why).await;
}

#[actix::test]
async fn a_server_that_closes_says_why() {
    let mut stage = start().await;
    let (_, asked) = stage.asked(Call::ReadBalance).await;
    stage.server.says(&ServerFrame::Closing(Problem::KeyRetired)).await;
    let why = "the account has another key";
    assert_eq!(asked.await, lost(why));
    stage.ends_lost(why).await;
}

#[actix::test]
async fn an_answer_to_nothing_ends_the_connection() {
    let mut stage = start().await;
    let (Correlation(number), asked) = stage.asked(Call::ReadBalance).await;
    stage.answers(Correlation(number + 1), Ok(balance(1))).await;
    let why = "the server answers what was not asked";
    assert_eq!(asked.await, lost(why));
    stage.ends_lost(why).await;
}

#[actix::test]
async fn an_answer_to_something_else_ends_the_connection() {
    let account = |name: &str| OwnAccount {
        account: AccountId::new(1),
        name: self::name(name),
        balance: Amount::new(1),
    };
    let peer =
        |name: &str| OnlinePeer { name: self::name(name), key: None, address: ([0; 4], 1).into() };
    let find = Call::FindAccount { name: name("bob") };
    let mallory = AccountInfo { name: name("mallory"), key: None, address: None };
    let statuses = |count| Answer::Statuses {
        statuses: vec![OrderStatus::Unknown; count],
        now: Timestamp::new(1),
    };
    let status = Call::OrderStatus {
        orders: vec![OrderRef {
            payer: name("alice"),
            id: OrderId::new(Timestamp::new(1), [0; 10]),
        }],
    };
    let list = Call::ListOnline { after: None, limit: 1 };
    let page = Answer::Online { peers: vec![peer("a"), peer("b")], more: false };
    let watch = Call::Watch { names: vec![name("bob")] };
    for (call, answer) in [
        (Call::ReadBalance, Answer::LoggedOut),
        (Call::LogOut, balance(1)),
        (Call::Register { name: name("alice") }, Answer::Registered(account("mallory"))),
        (Call::Register { name: name("alice") }, Answer::LoggedIn(account("alice"))),
        (find, Answer::Account(Some(mallory))),
        (status.clone(), statuses(0)),
        (status, statuses(2)),
        (Call::SubmitOrders { orders: Vec::new() }, Answer::Receipts(Vec::new())),
        (Call::ReadReceipts { entries: Vec::new() }, Answer::Receipts(vec![None])),
        (list, page),
        (watch, Answer::Watching(vec![peer("mallory")])),
    ] {
        let mut stage = start().await;
        let (correlation, asked) = stage.asked(call).await;
        stage.answers(correlation, Ok(answer)).await;
        let why = "the server answers something else than was asked";
        assert_eq!(asked.await, lost(why));
        stage.ends_lost(why).await;
    }
}

#[actix::test]
async fn bytes_that_are_not_the_protocol_end_the_connection() {
    for bytes in [&[0xFF; 4][..], &[1, 0, 0, 0, 1], b"100 OK\n"] {
        let mut stage = start().await;
        let (_, asked) = stage.asked(Call::ReadBalance).await;
        stage.server.stream.write_all(bytes).await.expect("the link is there");
        if bytes.starts_with(b"1") {
            // A length of half a gigabyte.
            assert!(matches!(asked.await, Err(CallError::Lost(why)) if why.contains("longer")));
        } else {
            assert!(matches!(asked.await, Err(CallError::Lost(_))));
        }
        assert!(matches!(stage.news.next().await, ServerNews::Lost(_)));
        stage.server.ends().await;
        stage.news.nothing();
    }
}

#[actix::test]
async fn more_than_the_server_takes_is_not_asked() {
    let mut stage = start().await;
    let mut under_way = Vec::new();
    for _ in 0..LIMITS.calls_under_way_max {
        under_way.push(stage.asked(Call::ReadBalance).await);
    }
    assert_eq!(stage.ask(Call::ReadBalance).await, Err(CallError::Full));
    let (correlation, answer) = under_way.remove(0);
    stage.answers(correlation, Ok(balance(1))).await;
    assert_eq!(answer.await, Ok(balance(1)));
    let _asked = stage.asked(Call::ReadBalance).await;

    let three = vec![EntryNumber::new(1); 3];
    let too_many = stage.ask(Call::ReadReceipts { entries: three }).await;
    assert_eq!(too_many, Err(CallError::Problem(Problem::TooMany)));
}

/// Calls are given up when their time is over, but their bytes wait on.
#[actix::test]
async fn a_server_that_does_not_read_fills_no_memory() {
    tokio::time::pause();
    let mut stage = start().await;
    let names = vec![name(&"x".repeat(32)); WATCHED_NAMES_MAX];
    let watch = Call::Watch { names };
    let mut full = 0;
    for _ in 0..CALL_BYTES_WAITING_MAX / (WATCHED_NAMES_MAX * 32) {
        let waiting = [(); 4].map(|()| stage.ask(watch.clone()));
        for answer in waiting {
            match answer.await {
                Err(CallError::Silent(10)) => {}
                Err(CallError::Full) => full += 1,
                other => panic!("{other:?}"),
            }
        }
        // It is there, after all.
        stage.server.says(&ServerFrame::Event(Event::Missed)).await;
        stage.news.next().await;
    }
    assert!(full > 100, "{full}");
}

#[actix::test]
async fn what_nobody_asked_for_goes_to_the_wallet() {
    let mut stage = start().await;
    stage.server.says(&ServerFrame::Event(Event::Replaced)).await;
    assert_eq!(stage.news.next().await, ServerNews::Event(Event::Replaced));
}

/// Events that come in one read are heard one after the other, also if the connection ends with
/// it.
#[actix::test]
async fn no_event_of_a_read_is_lost() {
    let event = |number| {
        ServerFrame::Event(Event::Received {
            payer: name("bob"),
            amount: Amount::new(1),
            number: EntryNumber::new(number),
            order: None,
        })
    };
    let mut stage = start().await;
    let mut bytes: Vec<u8> = (0..60).flat_map(|number| framed(&event(number))).collect();
    bytes.extend(framed(&ServerFrame::Closing(Problem::Stopping)));
    stage.server.stream.write_all(&bytes).await.expect("the link is there");
    for number in 0..60 {
        let ServerFrame::Event(event) = event(number) else { unreachable!("it is one") };
        assert_eq!(stage.news.next().await, ServerNews::Event(event));
    }
    stage.ends_lost(&Problem::Stopping.to_string()).await;
}

/// What the wallet has not heard stays with the server, not in the wallet's mailbox.
#[actix::test]
async fn a_server_that_talks_without_end_is_not_listened_to() {
    let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let wallet = SlowWallet(news).start().recipient();
    let (_, nothing) = probe(|_: &ServerNews| ());
    let mut stage = start_with(wallet, nothing).await;
    let bytes = framed(&ServerFrame::Event(Event::Replaced)).repeat(1 << 16);
    let talking = actix::spawn(async move {
        let mut taken = 0;
        for chunk in bytes.chunks(1 << 10) {
            let write = stage.server.stream.write_all(chunk);
            if timeout(Duration::from_millis(200), write).await.is_err() {
                break;
            }
            taken += chunk.len();
        }
        (taken, stage)
    });
    let (taken, _stage) = talking.await.expect("no panic");
    assert!(taken <= 64 << 10, "{taken} bytes were taken");
    assert!(heard.try_recv().is_ok(), "the wallet hears the first");
}

#[actix::test]
async fn without_a_wallet_the_answers_go_on() {
    for trouble in Trouble::UNANSWERED {
        let (_, nothing) = probe(|_: &ServerNews| ());
        let mut stage = start_with(troubled(trouble, None).await, nothing).await;
        for amount in 0..3 {
            stage.server.says(&ServerFrame::Event(Event::Replaced)).await;
            let (correlation, asked) = stage.asked(Call::ReadBalance).await;
            stage.answers(correlation, Ok(balance(amount))).await;
            assert_eq!(asked.await, Ok(balance(amount)), "{trouble:?}");
        }
    }
}

/// The story: the link failed while nobody waited for an answer. The wallet believed to be online until
/// its next payment.
#[actix::test]
async fn a_panic_ends_its_link_alone_and_the_wallet_hears_so() {
    let (news, mut heard) = probe(|_: &ServerNews| ());
    let stream = PanickingStream(framed(&Ok::<_, Problem>(welcome())));
    let connected = SecureServerLink::connect(stream, news, PATIENCE, &no_log()).await;
    let (link, _) = connected.expect("the server is polite");
    let asked = link.send(AskServer(Call::ReadBalance));
    let answer = asked.await.unwrap_or_else(|_| lost("the link has failed"));
    assert!(matches!(answer, Err(CallError::Lost(_))), "{answer:?}");
    assert_eq!(heard.next().await, ServerNews::Lost("the link has failed".to_owned()));
    assert_eq!(link.send(AskServer(Call::ReadBalance)).await, Ok(lost("it has ended")));
    heard.nothing();
}

/// Hears one piece of news and thinks about it for ever.
struct SlowWallet(tokio::sync::mpsc::UnboundedSender<ServerNews>);

impl Actor for SlowWallet {
    type Context = Context<Self>;
}

impl Handler<ServerNews> for SlowWallet {
    type Result = ();

    fn handle(&mut self, news: ServerNews, ctx: &mut Self::Context) {
        let _ = self.0.send(news);
        ctx.wait(std::future::pending::<()>().into_actor(self));
    }
}

#[actix::test]
async fn an_end_that_was_asked_for_is_no_loss() {
    let mut stage = start().await;
    let (correlation, farewell) = stage.asked(Call::LogOut).await;
    let (_, other) = stage.asked(Call::ReadBalance).await;
    stage.answers(correlation, Ok(Answer::LoggedOut)).await;
    assert_eq!(farewell.await, Ok(Answer::LoggedOut));
    assert_eq!(other.await, lost("logged out"));
    stage.server.ends().await;
    stage.news.nothing();
}

#[actix::test]
async fn a_link_that_nobody_holds_ends() {
    let Stage { server, link, mut news } = start().await;
    drop(link);
    server.ends().await;
    news.nothing();
}
