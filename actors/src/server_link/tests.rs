mod neighbours;

use actix::Addr;
use tokio::io::{DuplexStream, duplex};
use wire::Amount;

use super::*;
use crate::probe::{Received, no_log, probe};

/// Short, so that the tests of silence are; the links of every other test are never kept waiting.
const PATIENCE: ServerPatience = ServerPatience {
    quiet: Duration::from_millis(5),
    verdict: Duration::from_millis(50),
    list: Duration::from_millis(200),
};

struct Stage {
    server: DuplexStream,
    link: Addr<ServerLink<DuplexStream>>,
    events: Received<ServerEvent>,
}

fn start() -> Stage {
    let (events, heard) = probe(|_: &ServerEvent| ());
    let (server, stream) = duplex(1 << 16);
    let link = ServerLink::new(stream, events, PATIENCE, &no_log()).start();
    Stage { server, link, events: heard }
}

fn request(text: &str) -> TextRequest {
    TextRequest::parse(text).expect("a request")
}

impl Stage {
    /// Asks without waiting for the answer.
    fn ask(&self, text: &str) -> impl Future<Output = Answer> + use<> {
        let asked = actix::spawn(self.link.send(Ask(request(text))));
        async { asked.await.expect("no panic").expect("the link answers") }
    }

    async fn expect(&mut self, request: &str) {
        let mut read = vec![0; request.len()];
        self.server.read_exact(&mut read).await.expect("the link asks");
        assert_eq!(String::from_utf8_lossy(&read), request);
    }

    async fn say(&mut self, bytes: &str) {
        self.server.write_all(bytes.as_bytes()).await.expect("the link reads");
    }
}

fn is_list(answer: &Answer, balance: u64) -> bool {
    matches!(answer, Ok(ServerReply::List(list)) if list.balance == Amount::new(balance))
}

#[actix::test]
async fn requests_go_out_one_at_a_time_and_end_in_nul() {
    let mut stage = start();
    let (first, second) = (stage.ask("REGISTER#alice"), stage.ask("alice#7001"));
    stage.expect("REGISTER#alice\0").await;
    stage.say("100 OK\n").await;
    assert_eq!(first.await, Ok(ServerReply::Ok("100 OK".to_owned())));
    stage.expect("alice#7001\0").await;
    stage.say("1000\nKEY\n1\nalice#127.0.0.1#7001").await;
    assert!(is_list(&second.await, 1000), "an unterminated list ends with the quiet time");
    stage.events.nothing();
}

#[actix::test]
async fn what_nobody_asked_for_goes_to_the_wallet() {
    let mut stage = start();
    stage.say("Welcome\nTransfer OK!\nTransfer Fail!\n").await;
    assert_eq!(stage.events.next().await, ServerEvent::Said("Welcome".to_owned()));
    for (settled, line) in [(true, "Transfer OK!"), (false, "Transfer Fail!")] {
        let line = line.to_owned();
        assert_eq!(stage.events.next().await, ServerEvent::TransferResult { settled, line });
    }
}

/// A server that answers somebody else must not put this one's answers out of step.
#[actix::test]
async fn a_missing_verdict_is_made_up_for_by_a_list() {
    let mut stage = start();
    let (pay, register) = (stage.ask("alice#1#bob"), stage.ask("REGISTER#carol"));
    stage.expect("alice#1#bob\0").await;
    assert_eq!(pay.await, Err(ServerLinkError::Silent(0)));
    // The link asks for itself, and what comes before that list is no answer to anything else.
    stage.expect("List\0").await;
    stage.say("220 ERROR\n5\nKEY\n0\n").await;
    stage.expect("REGISTER#carol\0").await;
    stage.say("210 FAIL\n").await;
    assert_eq!(register.await, Ok(ServerReply::Failed("210 FAIL".to_owned())));
    assert_eq!(stage.events.next().await, ServerEvent::Said("220 ERROR".to_owned()));
}

#[actix::test]
async fn a_silent_server_is_given_up() {
    let mut stage = start();
    let (first, second) = (stage.ask("List"), stage.ask("List"));
    let lost = Err(ServerLinkError::Lost("the server is silent".to_owned()));
    assert_eq!((first.await, second.await), (lost.clone(), lost));
    assert_eq!(stage.events.next().await, ServerEvent::Lost("the server is silent".to_owned()));
    assert!(stage.link.send(Ask(request("List"))).await.is_err(), "it is gone");
}

#[actix::test]
async fn a_closed_connection_answers_everybody() {
    let mut stage = start();
    let (first, second) = (stage.ask("List"), stage.ask("List"));
    stage.expect("List\0").await;
    drop(stage.server);
    let lost = || ServerLinkError::Lost("the server closed it".to_owned());
    assert_eq!((first.await, second.await), (Err(lost()), Err(lost())));
    assert_eq!(stage.events.next().await, ServerEvent::Lost("the server closed it".to_owned()));
}

#[actix::test]
async fn a_farewell_may_be_silent() {
    let mut stage = start();
    let farewell = stage.ask("Exit");
    stage.expect("Exit\0").await;
    drop(stage.server);
    assert_eq!(farewell.await, Ok(ServerReply::Bye));
    // Nothing is lost that was not to end.
    assert!(stage.link.send(Ask(request("List"))).await.is_err(), "it is gone");
    stage.events.nothing();
}

#[actix::test]
async fn a_full_link_says_so() {
    let mut stage = start();
    let waiting: Vec<_> = (0..=WAITING_MAX).map(|_| stage.ask("List")).collect();
    stage.expect("List\0").await;
    for _ in 0..WAITING_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.ask("List").await, Err(ServerLinkError::Full));
    drop(stage.server);
    for waiting in waiting {
        assert!(matches!(waiting.await, Err(ServerLinkError::Lost(_))));
    }
}
