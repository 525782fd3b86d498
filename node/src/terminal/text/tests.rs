//! Whole scripts, against a wallet that only pretends.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler};
use actors::messages::{AccountList, PaymentReport, WalletError};
use tokio::sync::mpsc;
use wire::Amount;
use wire::text::TextPayment;
use wire::text::list::OnlineUser;

use super::shell::Shell;
use super::*;
use crate::terminal::driver::{Input, Tally};
use crate::terminal::script::{self, Plain};
use crate::terminal::{EVENTS_MAX, inbox};

/// Answers as it is told, and says what it was asked.
struct FakeWallet {
    asked: Rc<RefCell<Vec<String>>>,
    events: Recipient<WalletEvent>,
    account: Option<Username>,
    gone: bool,
}

impl Actor for FakeWallet {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.gone {
            ctx.stop();
        }
    }
}

impl FakeWallet {
    fn note(&self, text: String) {
        self.asked.borrow_mut().push(text);
    }
}

impl Handler<Register> for FakeWallet {
    type Result = Result<(), WalletError>;

    fn handle(&mut self, Register(name): Register, _: &mut Self::Context) -> Self::Result {
        self.note(format!("register {name}"));
        match name.as_str() {
            "taken" => Err(WalletError::Refused("210 FAIL\u{1b}[2J".into())),
            _ => Ok(()),
        }
    }
}

impl Handler<GoOnline> for FakeWallet {
    type Result = Result<AccountList, WalletError>;

    fn handle(&mut self, GoOnline { name, port }: GoOnline, _: &mut Self::Context) -> Self::Result {
        self.note(format!("online {name} {port}"));
        if name.as_str() == "nobody" {
            return Err(WalletError::Refused("220 AUTH_FAIL".into()));
        }
        self.account = Some(name.clone());
        let me = OnlineUser { name, address: ([127, 0, 0, 1], port.get()).into() };
        Ok(AccountList { balance: Amount::new(1000), server_key: None, online: vec![me] })
    }
}

impl Handler<ReadAccount> for FakeWallet {
    type Result = Result<AccountList, WalletError>;

    fn handle(&mut self, _: ReadAccount, _: &mut Self::Context) -> Self::Result {
        self.note("read".into());
        match self.account {
            None => Err(WalletError::NotLoggedIn),
            Some(_) => {
                Ok(AccountList { balance: Amount::new(7), server_key: None, online: Vec::new() })
            }
        }
    }
}

impl Handler<Pay> for FakeWallet {
    type Result = Result<PaymentReport, WalletError>;

    fn handle(&mut self, Pay { payee, amount }: Pay, context: &mut Self::Context) -> Self::Result {
        self.note(format!("pay {payee} {amount}"));
        let events = self.events.clone();
        let received = received(&payee, 3);
        match payee.as_str() {
            "silent" => Ok(PaymentReport::Unconfirmed {
                balance_before: Amount::new(1000),
                balance_now: Some(Amount::new(1000)),
            }),
            "offline" => Err(WalletError::PayeeOffline(payee)),
            // Pays us back, now.
            "mirror" => {
                events.do_send(received);
                Ok(PaymentReport::Paid { balance: None })
            }
            // Pays us back, once the script waits for it.
            "echo" => {
                context.run_later(Duration::from_millis(50), move |_, _| events.do_send(received));
                Ok(PaymentReport::Paid { balance: None })
            }
            "breaker" => {
                context.run_later(Duration::from_millis(50), move |_, _| {
                    events.do_send(WalletEvent::ServerLost("reset".into()));
                });
                Ok(PaymentReport::Paid { balance: None })
            }
            _ => Ok(PaymentReport::Paid { balance: Some(Amount::new(990)) }),
        }
    }
}

impl Handler<Leave> for FakeWallet {
    type Result = Result<(), WalletError>;

    fn handle(&mut self, _: Leave, _: &mut Self::Context) -> Self::Result {
        self.note("leave".into());
        Ok(())
    }
}

fn received(payer: &Username, credits: u64) -> WalletEvent {
    let payment = TextPayment {
        payer: payer.clone(),
        amount: Amount::new(credits),
        payee: "me".parse().expect("a name"),
    };
    WalletEvent::Received { payment, balance: None }
}

struct Ran {
    out: String,
    err: String,
    asked: Vec<String>,
    /// The ports that the listener was asked for.
    listened: Vec<u16>,
    tally: Tally,
}

/// The wallet of `gone` has stopped.
async fn run_script(name: Option<&str>, lines: &[&str]) -> Ran {
    let (events, inbox) = inbox();
    run_script_with(name, lines, events, inbox).await
}

async fn run_script_with(
    name: Option<&str>,
    lines: &[&str],
    events: Recipient<WalletEvent>,
    inbox: Inbox<WalletEvent>,
) -> Ran {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let gone = name == Some("gone");
    let wallet = FakeWallet { asked: Rc::clone(&asked), events, account: None, gone }.start();
    let handle = WalletHandle {
        register: wallet.clone().recipient(),
        go_online: wallet.clone().recipient(),
        read_account: wallet.clone().recipient(),
        pay: wallet.clone().recipient(),
        leave: wallet.recipient(),
    };
    let mut listened = Vec::new();
    let listen = async |port: u16| {
        listened.push(port);
        match port {
            1 => Err(Error::listen(([0, 0, 0, 0], port).into(), io::ErrorKind::AddrInUse.into())),
            0 => Ok(P2pPort::try_from(5555).expect("a port")),
            port => Ok(P2pPort::try_from(port).expect("a port")),
        }
    };
    let config =
        TerminalConfig { name: name.map(|name| name.parse().expect("a name")), p2p_port: 7001 };
    let (sender, input) = mpsc::channel(64);
    for &line in lines {
        sender.send(Input::Line(line.to_owned())).await.expect("room");
    }
    drop(sender);
    let mut screen = Plain { out: Vec::new(), err: Vec::new() };
    let shell = Shell::new(config, handle, listen);
    let ended = script::drive(shell, inbox, input, &mut screen).await.expect("no I/O error");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let asked = asked.take();
    let tally = ended.tally;
    Ran { out: text(screen.out), err: text(screen.err), asked, listened, tally }
}

/// A server that never stops talking must not keep the person from leaving.
#[actix_rt::test]
async fn a_flood_of_events_holds_no_command_up() {
    let (events, _) = inbox();
    let (sender, flooded) = mpsc::channel(EVENTS_MAX);
    let said = || WalletEvent::ServerSaid("buy now".into());
    while sender.try_send(said()).is_ok() {}
    actix::spawn(async move { while sender.send(said()).await.is_ok() {} });
    let flooded = Inbox { events: flooded, missed: Arc::default() };
    let script = run_script_with(None, &["login alice", "exit"], events, flooded);
    let ran = tokio::time::timeout(Duration::from_secs(10), script).await.expect("it is heard");
    assert_eq!(ran.asked, ["online alice 7001", "leave"]);
    assert_eq!(ran.tally, Tally { commands: 2, failed: 0 });
}

#[actix_rt::test]
async fn a_script_of_everything() {
    let ran = run_script(
        None,
        &[
            "# a comment",
            "",
            "register alice",
            "login alice 7005",
            "c",
            "d bob 10",
            "balance",
            "e",
            "c",
        ],
    )
    .await;
    assert_eq!(
        ran.out,
        "registered alice\n\
         logged in as alice, listening on port 7005\n\
         balance: 1000\n\
         online: 1\n\
         \x20 alice  127.0.0.1:7005  (you)\n\
         balance: 7\n\
         online: 0\n\
         paid 10 to bob; balance: 990\n\
         balance: 7\n\
         goodbye\n"
    );
    assert_eq!(ran.err, "");
    let asked = ["register alice", "online alice 7005", "read", "pay bob 10", "read", "leave"];
    assert_eq!(ran.asked, asked, "what stands behind 'exit' is not done");
    assert_eq!(ran.tally, Tally { commands: 6, failed: 0 });
}

#[actix_rt::test]
async fn failures_are_told_and_the_script_goes_on() {
    let ran = run_script(
        None,
        &[
            "list",
            "register taken",
            "login",
            "dance",
            "pay silent 5",
            "pay offline 5",
            "pay bob 10",
        ],
    )
    .await;
    assert_eq!(ran.out, "paid 10 to bob; balance: 990\n");
    let errors: Vec<&str> =
        ran.err.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(
        errors,
        [
            "not logged in",
            "the server refused: 210 FAIL\\u{1b}[2J",
            "no name is given",
            "there is no command 'dance'",
            "silent has the payment of 5, and nobody confirms it; the balance was 1000 and is \
             1000 now",
            "offline is not online",
        ]
    );
    assert_eq!(ran.err.lines().filter(|line| line.starts_with("hint: ")).count(), 6);
    assert_eq!(ran.tally, Tally { commands: 7, failed: 6 });
    assert_eq!(ran.asked.last().map(String::as_str), Some("leave"), "the end is a goodbye");
    assert!(ran.listened.is_empty(), "no name, no listener");
}

#[actix_rt::test]
async fn names_and_ports_have_defaults_and_the_listener_is_bound_once() {
    let ran = run_script(
        Some("alice"),
        &["b", "login 1", "login nobody", "a", "login bob 0", "login bob 7001", "login bob 7002"],
    )
    .await;
    assert_eq!(
        ran.asked,
        [
            "register alice",
            "online nobody 7001",
            "online alice 7001",
            "online bob 7001",
            "online bob 7001",
            "leave"
        ]
    );
    assert_eq!(ran.listened, [1, 7001], "a port in use is tried again, a bound one never");
    assert!(ran.err.contains("error: cannot listen on 0.0.0.0:1: address in use"), "{}", ran.err);
    assert!(ran.err.contains("error: already listening on port 7001"), "{}", ran.err);
    assert_eq!(ran.tally, Tally { commands: 7, failed: 3 });
}

#[actix_rt::test]
async fn wait_ends_with_a_payment_that_came_before_or_comes_now() {
    let ran = run_script(None, &["pay mirror 1", "balance", "wait 1", "pay echo 1", "wait"]).await;
    assert_eq!(ran.tally.failed, 1, "balance alone: {}", ran.err);
    assert_eq!(ran.out.matches("received 3 from mirror").count(), 1, "{}", ran.out);
    assert!(ran.out.ends_with("paid 1 to echo\nreceived 3 from echo\n"), "{}", ran.out);
}

#[actix_rt::test]
async fn wait_fails_when_nothing_comes_or_can_come() {
    let start = std::time::Instant::now();
    let ran = run_script(None, &["pay mirror 1", "wait 1", "wait 1"]).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(ran.err.contains("error: no payment came within 1 seconds"), "{}", ran.err);
    assert_eq!(ran.tally, Tally { commands: 3, failed: 1 }, "one payment ends one wait");

    let ran = run_script(None, &["pay breaker 1", "wait 60"]).await;
    assert!(ran.out.contains("the connection to the server is lost: reset"), "{}", ran.out);
    assert!(ran.err.contains("error: no payment can come"), "{}", ran.err);
}

#[actix_rt::test]
async fn events_that_find_no_room_are_counted() {
    let (events, mut inbox) = inbox();
    let payer = "bob".parse().expect("a name");
    let extra = 5;
    for _ in 0..EVENTS_MAX + extra {
        events.send(received(&payer, 1)).await.expect("the receiver lives");
    }
    let kept = std::iter::from_fn(|| inbox.try_next()).count();
    assert_eq!(kept, EVENTS_MAX);
    assert_eq!(inbox.take_missed(), u64::try_from(extra).expect("5 fits"));
    assert_eq!(inbox.take_missed(), 0);
}

/// A stdout that nobody reads any more ends the program; it must not be a panic.
#[actix_rt::test]
async fn a_closed_standard_output_ends_the_script() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (events, inbox) = inbox();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let wallet =
        FakeWallet { asked: Rc::clone(&asked), events, account: None, gone: false }.start();
    let handle = WalletHandle {
        register: wallet.clone().recipient(),
        go_online: wallet.clone().recipient(),
        read_account: wallet.clone().recipient(),
        pay: wallet.clone().recipient(),
        leave: wallet.recipient(),
    };
    let config = TerminalConfig { name: None, p2p_port: 0 };
    let shell = Shell::new(config, handle, async |_| Err(Error::Internal("unused".into())));
    let (sender, input) = mpsc::channel(2);
    sender.send(Input::Line("help".into())).await.expect("room");
    let mut screen = Plain { out: Closed, err: Vec::new() };
    let error = script::drive(shell, inbox, input, &mut screen).await.expect_err("closed");
    assert!(matches!(error, Error::Terminal(_)), "{error:?}");
    assert_eq!(asked.take(), ["leave"]);
}

/// The wallet has panicked: every command says so, and nothing waits for it.
#[actix_rt::test]
async fn when_the_wallet_is_gone_every_command_says_so() {
    let commands = ["register", "login", "balance", "pay bob 10"];
    let ran = run_script(Some("gone"), &commands).await;
    let errors = ran.err.lines().filter(|line| line.starts_with("error: "));
    let stopped = errors.clone().filter(|line| line.contains("the wallet has stopped")).count();
    assert!(stopped >= commands.len(), "{}", ran.err);
    assert_eq!(errors.count(), stopped, "{}", ran.err);
    assert_eq!(ran.tally.failed, commands.len() as u64);
    assert!(!ran.out.contains("paid"), "{}", ran.out);
}
