mod limits;
mod neighbours;
mod sharing;

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream, duplex};
use wire::text::{Dialect, TextPayment, TextRequest};
use wire::{AccountId, Amount, PublicKey, Refusal};

use super::*;
use crate::connection::{LOG_IN_TIMEOUT, LOG_LINES_PER_SECOND, READ_BYTES_MAX};
use crate::ledger::state::Command;
use crate::limits::{PerAddress, Rate, Registrations, Room};
use crate::messages::LogInRefusal;
use crate::probe::{PanickingStream, Received, gone, no_log, probe};

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A session between a test and mocked neighbours.
struct Stage {
    client: DuplexStream,
    submitted: Received<Submit>,
    log_ins: Received<LogIn>,
    log_outs: Received<LogOut>,
    notified: Received<NotifyAccounts>,
    stop: CancellationToken,
    room: Arc<Room>,
}

fn settings(dialect: Dialect) -> SessionSettings {
    SessionSettings {
        rules: TextRules {
            dialect,
            opening_balance: Amount::new(1000),
            server_key: PublicKey::new([0; 32]),
        },
        quiet: Duration::from_millis(2),
        stop: CancellationToken::new(),
        limits: Arc::default(),
    }
}

/// Openings succeed, transfers of 13 credits do not, balances are 900.
fn outcome(command: &Command) -> Outcome {
    match command {
        Command::OpenAccount { .. } => Outcome::Opened(AccountId::new(7)),
        Command::TextTransfer { payment, .. } if payment.amount == Amount::new(13) => {
            Outcome::Refused(Refusal::InsufficientBalance)
        }
        Command::TextTransfer { .. } => Outcome::Settled,
        Command::ReadBalance(_) => Outcome::Balance(Amount::new(900)),
        Command::FindAccount(_) => Outcome::Found(None),
        command => panic!("a text session does not ask {command:?}"),
    }
}

fn start(dialect: Dialect) -> Stage {
    let (submit, submitted) =
        probe(|Submit(commands): &Submit| Ok(commands.iter().map(outcome).collect()));
    start_with(dialect, submit, submitted)
}

/// A session whose other neighbours are as they should be.
fn among(adjust: impl FnOnce(&mut SessionPeers)) -> Stage {
    let (submit, submitted) =
        probe(|Submit(commands): &Submit| Ok(commands.iter().map(outcome).collect()));
    start_among(SessionLimits::default(), Dialect::Seed, submit, submitted, adjust)
}

fn start_with(dialect: Dialect, submit: Recipient<Submit>, submitted: Received<Submit>) -> Stage {
    start_within(SessionLimits::default(), dialect, submit, submitted)
}

/// With limits, in the dialect `seed`.
fn start_limited(limits: SessionLimits) -> Stage {
    let (submit, submitted) =
        probe(|Submit(commands): &Submit| Ok(commands.iter().map(outcome).collect()));
    start_within(limits, Dialect::Seed, submit, submitted)
}

fn start_within(
    limits: SessionLimits,
    dialect: Dialect,
    submit: Recipient<Submit>,
    submitted: Received<Submit>,
) -> Stage {
    start_among(limits, dialect, submit, submitted, |_| ())
}

fn start_among(
    limits: SessionLimits,
    dialect: Dialect,
    submit: Recipient<Submit>,
    submitted: Received<Submit>,
    adjust: impl FnOnce(&mut SessionPeers),
) -> Stage {
    let (log_in, log_ins) = probe(|log_in: &LogIn| match log_in.name.as_str() {
        "ghost" => Err(LogInRefusal::UnknownName),
        _ => Ok(AccountId::new(1)),
    });
    let (log_out, log_outs) = probe(|_: &LogOut| ());
    let (list_online, _) = probe(|_: &ListOnline| OnlineList {
        count: 1,
        pages: ["bob#127.0.0.1#7002\n".into()].into(),
    });
    let (notify, notified) = probe(|_: &NotifyAccounts| ());
    let mut peers = SessionPeers { submit, log_in, log_out, list_online, notify };
    adjust(&mut peers);
    let peers = Arc::new(peers);
    let settings = SessionSettings { limits: Arc::new(limits), ..settings(dialect) };
    let stop = settings.stop.clone();
    let room = Arc::clone(&settings.limits.room);
    let (client, stream) = duplex(1 << 20);
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
    // As TLS does, it keeps what is written until it is flushed.
    let stream = BufStream::new(stream);
    Session::new(SessionId(5), stream, peer, &peers, &settings, &no_log()).start();
    Stage { client, submitted, log_ins, log_outs, notified, stop, room }
}

impl Stage {
    async fn send(&mut self, bytes: &str) {
        self.client.write_all(bytes.as_bytes()).await.expect("the session reads");
    }

    async fn expect(&mut self, bytes: &str) {
        let mut read = vec![0; bytes.len()];
        self.client.read_exact(&mut read).await.expect("the session answers");
        assert_eq!(String::from_utf8_lossy(&read), bytes);
    }

    async fn expect_close(&mut self) {
        let mut rest = String::new();
        self.client.read_to_string(&mut rest).await.expect("the session closes");
        assert_eq!(rest, "");
        assert_eq!(self.log_outs.next().await, LogOut(SessionId(5)));
    }

    async fn log_in(&mut self) {
        self.send("bob#7002\n").await;
        self.expect(&list()).await;
        let log_in = self.log_ins.next().await;
        assert_eq!((log_in.name.as_str(), log_in.address.port()), ("bob", 7002));
        assert_eq!(self.submitted.next().await, balance());
    }
}

fn list() -> String {
    format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n")
}

fn balance() -> Submit {
    Submit(vec![Command::ReadBalance(AccountId::new(1))])
}

fn transfer(amount: u64) -> Command {
    let payment = TextPayment {
        payer: "alice".parse().expect("a valid name"),
        amount: Amount::new(amount),
        payee: "bob".parse().expect("a valid name"),
    };
    Command::TextTransfer { sender: AccountId::new(1), payment }
}

#[actix::test]
async fn what_arrives_together_is_asked_together() {
    let mut stage = start(Dialect::Seed);
    stage.log_in().await;
    stage
        .send("alice#1#bob\nalice#13#bob\nalice#-1#bob\nnonsense\nalice#2#bob\nList\nalice#3#bob\n")
        .await;
    stage
        .expect(&format!(
            "100 OK\nTransfer failed due to insufficient balance.\n\
             Transfer failed due to negative amount.\n200 BAD_REQUEST\n100 OK\n\
             900\n{KEY}\n1\nbob#127.0.0.1#7002\n100 OK\n"
        ))
        .await;
    let with_list =
        [transfer(1), transfer(13), transfer(2), Command::ReadBalance(AccountId::new(1))];
    assert_eq!(stage.submitted.next().await, Submit(with_list.to_vec()));
    assert_eq!(stage.submitted.next().await, Submit(vec![transfer(3)]));
    stage.submitted.nothing();
}

#[actix::test]
async fn who_is_not_logged_in_reaches_nobody() {
    let mut stage = start(Dialect::Seed);
    stage.send("List\nalice#1#bob\nalice#-1#bob\nghost#7001\nbob#0\nREGISTER#a b\n").await;
    stage
        .expect(
            "220 AUTH_FAIL\n220 AUTH_FAIL\n220 AUTH_FAIL\n220 AUTH_FAIL\n220 AUTH_FAIL\n210 FAIL\n",
        )
        .await;
    stage.submitted.nothing();
    assert_eq!(stage.log_ins.next().await.name.as_str(), "ghost");
    stage.log_ins.nothing();
}

/// Each `List` once made a round of its own, each round a frame on the stack: one write by anybody
/// ended the server.
#[test]
fn as_many_lists_as_a_read_takes_are_answered_on_a_small_stack() {
    const STACK_BYTES: usize = 2 << 20;
    let lists = READ_BYTES_MAX / "List\n".len();
    let peer = [127, 0, 0, 1].into();
    let mut conversation = Conversation::new(settings(Dialect::Seed).rules, Arc::default(), peer);
    conversation.ask(vec![TextRequest::parse("List"); lists]);
    assert!(matches!(conversation.next(Instant::now(), &mut Vec::new()), Next::Round(_)));
    assert_eq!(
        conversation.next(Instant::now(), &mut Vec::new()),
        Next::Idle,
        "they are one round"
    );
    let session = move || {
        System::new().block_on(async {
            let mut stage = start(Dialect::Seed);
            stage.send(&"List\n".repeat(lists)).await;
            stage.expect(&"220 AUTH_FAIL\n".repeat(lists)).await;
            stage.submitted.nothing();
        });
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(session);
    thread.expect("a thread").join().expect("every list has an answer");
}

/// Names that no account can be given are refused before they cost the ledger anything.
#[actix::test]
async fn a_name_that_cannot_be_given_reaches_nobody() {
    let mut stage = start(Dialect::Seed);
    stage.send("REGISTER#\u{430}lice\nREGISTER#a\u{200b}b\nREGISTER#Zoe\u{308}\n").await;
    stage.expect("210 FAIL\n210 FAIL\n210 FAIL\n").await;
    stage.submitted.nothing();
}

#[actix::test]
async fn a_session_whose_account_is_taken_is_not_logged_in_any_more() {
    let mut stage = start(Dialect::Seed);
    stage.send("bob#7002\n").await;
    stage.expect(&format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\n")).await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    notices.send(SessionNotice::Replaced { attempt: 1 }).await.expect("the session lives");
    stage.send("List\n").await;
    stage.expect("220 AUTH_FAIL\n").await;
}

#[actix::test]
async fn in_the_other_dialect_the_payer_is_told() {
    let mut stage = start(Dialect::Ta2021);
    stage.send("bob#7002\nalice#1#bob\nalice#13#bob\nalice#0#bob\n").await;
    stage.expect(&format!("900\n{KEY}\n1\nbob#127.0.0.1#7002\nTransfer Fail!\n")).await;
    let alice = || "alice".parse().expect("a valid name");
    let lines = vec![(alice(), "Transfer OK!\n"), (alice(), "Transfer Fail!\n")];
    assert_eq!(stage.notified.next().await, NotifyAccounts(lines));
    // And the payer's session passes such a line on, while it waits for requests.
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    notices.send(SessionNotice::Line("Transfer OK!\n")).await.expect("the session lives");
    stage.expect("Transfer OK!\n").await;
}

/// A payment must not cost what nobody will read.
#[test]
fn as_many_payments_of_a_round_are_reported_as_the_log_takes_and_the_others_counted() {
    const PAYMENTS: usize = 1000;
    let peer = [127, 0, 0, 1].into();
    let mut conversation = Conversation::new(settings(Dialect::Seed).rules, Arc::default(), peer);
    let mut out = Vec::new();
    conversation.ask(vec![TextRequest::parse("bob#7002")]);
    assert!(matches!(conversation.next(Instant::now(), &mut out), Next::LogIn { .. }));
    conversation.logged_in("bob".parse().expect("a valid name"), Ok(AccountId::new(1)));
    conversation.ask(vec![TextRequest::parse("alice#1#bob"); PAYMENTS]);
    let Next::Round(mut round) = conversation.next(Instant::now(), &mut out) else {
        panic!("payments are a round")
    };
    let commands = std::mem::take(&mut round.commands);
    assert_eq!(commands, vec![transfer(1); PAYMENTS]);
    let outcomes = vec![Outcome::Settled; PAYMENTS];
    let answered = conversation.answer(round, Ok(outcomes), None, &mut out);
    assert_eq!(out, b"100 OK\n".repeat(PAYMENTS));
    let lines = LOG_LINES_PER_SECOND as usize;
    assert_eq!(answered.reports.len(), lines);
    assert_eq!(answered.unreported, (PAYMENTS - lines) as u64);
}

/// Others decide how many results come at once: what there is no room for is left out.
#[actix::test]
async fn notices_that_come_all_at_once_end_no_session() {
    const LINE: &str = "Transfer OK!\n";
    let mut stage = start(Dialect::Ta2021);
    stage.send("bob#7002\n").await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    for _ in 0..20_000 {
        notices.do_send(SessionNotice::Line(LINE));
    }
    // What is read at least was kept; the session is there and takes more.
    let kept = NOTICE_BYTES_MAX / LINE.len();
    let mut bytes = vec![0; kept * LINE.len()];
    stage.client.read_exact(&mut bytes).await.expect("the session lives");
    stage.log_outs.nothing();
    notices.send(SessionNotice::Line(LINE)).await.expect("the session lives");
}

#[actix::test]
async fn a_peer_that_does_not_read_its_notices_is_left_when_its_time_is_over() {
    tokio::time::pause();
    let mut stage = start(Dialect::Ta2021);
    stage.send("bob#7002\n").await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    // The duplex stream takes a mebibyte.
    for _ in 0..200_000 {
        let sent = notices.send(SessionNotice::Line("Transfer OK!\n")).await;
        sent.expect("nobody else ends the session");
    }
    stage.log_outs.nothing();
    tokio::time::sleep(WRITE_TIME_MAX).await;
    notices.do_send(SessionNotice::Line("Transfer OK!\n"));
    assert_eq!(stage.log_outs.next().await, LogOut(SessionId(5)));
}

#[actix::test]
async fn exit_and_the_end_of_the_stream_log_out() {
    let mut stage = start(Dialect::Seed);
    stage.log_in().await;
    stage.send("alice#1#bob\nExit\nalice#2#bob\n").await;
    stage.expect("100 OK\nBye\n").await;
    stage.expect_close().await;
    assert_eq!(stage.submitted.next().await, Submit(vec![transfer(1)]));
    stage.submitted.nothing();

    let mut stage = start(Dialect::Seed);
    stage.log_in().await;
    drop(stage.client);
    assert_eq!(stage.log_outs.next().await, LogOut(SessionId(5)));
}

/// The story: who had read `Bye` asked for the list on another thread, and was still on it.
#[actix::test]
async fn the_registry_hears_of_the_log_out_before_the_peer_reads_the_farewell() {
    let mut stage = start(Dialect::Ta2021);
    stage.send("bob#7002\n").await;
    let notices = stage.log_ins.next().await.notices.upgrade().expect("the session lives");
    // More than the duplex stream takes: nothing else can be written before the test reads.
    let lines: &str = "Transfer OK!\n".repeat(1000).leak();
    for _ in 0..200 {
        notices.send(SessionNotice::Line(lines)).await.expect("the session lives");
    }
    stage.log_outs.nothing();
    stage.send("Exit\n").await;
    assert_eq!(stage.log_outs.next().await, LogOut(SessionId(5)));
}

#[actix::test]
async fn a_violation_is_answered_once_behind_what_came_before() {
    let mut stage = start(Dialect::Seed);
    stage.log_in().await;
    stage.send(&format!("alice#1#bob\n{}", "x".repeat(2000))).await;
    stage.expect("100 OK\n200 BAD_REQUEST\n").await;
    stage.expect_close().await;
}

#[actix::test]
async fn without_a_ledger_every_request_has_an_answer() {
    use LedgerUnavailable::{Busy, ReadOnly, Stopping};
    for unavailable in [Busy, Stopping, ReadOnly] {
        let (submit, submitted) = probe(move |_: &Submit| Err(unavailable));
        let mut stage = start_with(Dialect::Seed, submit, submitted);
        stage.send("bob#7002\nalice#1#bob\nList\nREGISTER#carol\n").await;
        stage.expect("220 ERROR\n220 ERROR\n220 ERROR\n220 ERROR\n").await;
    }
    let (_, submitted) = probe(|_: &Submit| Err(LedgerUnavailable::Busy));
    let mut stage = start_with(Dialect::Seed, gone().await, submitted);
    stage.send("REGISTER#carol\n").await;
    stage.expect("220 ERROR\n").await;
}

/// The story: the disk fails, the payee hears "220 ERROR" and is paid once more; at the next start, the first
/// payment is there too.
#[actix::test]
async fn what_may_be_done_is_not_refused() {
    let (submit, submitted) = probe(|Submit(commands): &Submit| {
        let pays = commands.iter().any(|command| matches!(command, Command::TextTransfer { .. }));
        if pays {
            return Err(LedgerUnavailable::OutcomeUnknown);
        }
        Ok(commands.iter().map(outcome).collect())
    });
    let mut stage = start_with(Dialect::Seed, submit, submitted);
    stage.log_in().await;
    stage.send("List\nalice#1#bob\nREGISTER#carol\nList\n").await;
    stage.expect(&list()).await;
    stage.expect_close().await;
}

/// What changes nothing is answered although the journal cannot be written.
#[actix::test]
async fn a_read_only_ledger_lists() {
    let (submit, submitted) = probe(|Submit(commands): &Submit| {
        let answer = |command: &Command| match command {
            change if change.asks_for_change() => Outcome::ReadOnly,
            question => outcome(question),
        };
        Ok(commands.iter().map(answer).collect())
    });
    let mut stage = start_with(Dialect::Seed, submit, submitted);
    stage.log_in().await;
    stage.send("alice#1#bob\nREGISTER#carol\nList\n").await;
    stage.expect(&format!("220 ERROR\n220 ERROR\n{}", list())).await;
}

#[actix::test]
async fn a_stop_answers_what_is_under_way_and_closes() {
    let (stopping, stop) = std::sync::mpsc::channel::<CancellationToken>();
    let (submit, submitted) = probe(move |Submit(commands): &Submit| {
        stop.recv().expect("the test has sent it").cancel();
        Ok(commands.iter().map(outcome).collect())
    });
    let mut stage = start_with(Dialect::Seed, submit, submitted);
    stopping.send(stage.stop.clone()).expect("the ledger is there");
    stage.send("REGISTER#carol\nREGISTER#dave\n").await;
    stage.expect("100 OK\n100 OK\n").await;
    stage.expect_close().await;

    let mut idle = start(Dialect::Seed);
    idle.log_in().await;
    idle.stop.cancel();
    idle.expect_close().await;
}

/// Nobody else may notice, and nobody may stay on the list who is gone.
#[actix::test]
async fn a_panic_ends_its_session_alone_and_takes_it_off_the_list() {
    let mut other = start(Dialect::Seed);
    other.log_in().await;
    let (submit, _) = probe(|_: &Submit| Err(LedgerUnavailable::Busy));
    let (log_in, _) = probe(|_: &LogIn| Err(LogInRefusal::UnknownName));
    let (log_out, mut log_outs) = probe(|_: &LogOut| ());
    let (list_online, _) = probe(|_: &ListOnline| OnlineList { count: 0, pages: [].into() });
    let (notify, _) = probe(|_: &NotifyAccounts| ());
    let peers = SessionPeers { submit, log_in, log_out, list_online, notify };
    let peers = Arc::new(peers);
    let peer = SocketAddr::from(([127, 0, 0, 1], 50_001));
    let settings = settings(Dialect::Seed);
    Session::new(SessionId(6), PanickingStream::default(), peer, &peers, &settings, &no_log())
        .start();
    assert_eq!(log_outs.next().await, LogOut(SessionId(6)));
    other.send("alice#1#bob\n").await;
    other.expect("100 OK\n").await;
}
