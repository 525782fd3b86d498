//! Whole scripts and whole conversations, against a wallet that only pretends.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use actix::Actor as _;
use actors::messages::Payment;
use fake::{FakeRotation, FakeWallet, NEXT_WORDS, dead_payment, key, receipt_of};
use tokio::sync::mpsc;

use super::shell::Shell;
use super::*;
use crate::terminal::driver::{Driver, Ended, Input, Screen, Tally};
use crate::terminal::inbox;
use crate::terminal::script::{self, Plain};
use crate::terminal::view::Failure;

mod conversations;
mod fake;
mod scripts;

/// What a test's client is started with.
#[derive(Default)]
struct Set {
    name: Option<&'static str>,
    unlisted: bool,
    /// Payments that were open when the wallet was last closed.
    found: Vec<Payment>,
    /// Payments that a key change ends.
    dead: Vec<Payment>,
    /// What the wallet keeps.
    kept: Vec<Payment>,
    trouble: Option<Trouble>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The wallet's key has no account.
    Stranger,
    /// The account is empty.
    Poor,
    /// The server cannot be reached.
    Offline,
    /// The wallet has stopped.
    Gone,
    /// The key file cannot be replaced.
    Stuck,
}

impl Trouble {
    fn set(self) -> Set {
        Set { trouble: Some(self), ..Set::default() }
    }
}

struct Ran {
    out: String,
    err: String,
    /// What wallet, listener and key files were asked for, in order.
    asked: Vec<String>,
    ended: Ended,
}

impl Ran {
    fn errors(&self) -> Vec<&str> {
        self.err.lines().filter_map(|line| line.strip_prefix("error: ")).collect()
    }
}

type Asked = Rc<RefCell<Vec<String>>>;

/// The client's parts, with the lines that it is to be given.
async fn parts(
    set: Set,
    lines: &[&str],
) -> (
    Shell<impl AsyncFnMut(u16) -> Result<P2pPort, Error>, FakeRotation>,
    Inbox<WalletNews>,
    mpsc::Receiver<Input>,
    Asked,
) {
    let (events, inbox) = inbox();
    let asked = Asked::default();
    let config = SecureTerminalConfig {
        name: set.name.map(|name| name.parse().expect("a name")),
        p2p_port: 7001,
        unlisted: set.unlisted,
        rotation: FakeRotation {
            asked: Rc::clone(&asked),
            stuck: set.trouble == Some(Trouble::Stuck),
        },
    };
    let wallet = FakeWallet::new(Rc::clone(&asked), events, set).start();
    let handle = fake::handle(&wallet);
    let noted = Rc::clone(&asked);
    let listen = async move |port: u16| {
        noted.borrow_mut().push(format!("listen {port}"));
        Ok(P2pPort::try_from(if port == 0 { 5555 } else { port }).expect("a port"))
    };
    let (sender, input) = mpsc::channel(64);
    for &line in lines {
        sender.send(Input::Line(line.to_owned())).await.expect("room");
    }
    (Shell::new(config, handle, listen), inbox, input, asked)
}

/// Commands from a pipe.
async fn run_script(set: Set, lines: &[&str]) -> Ran {
    let (shell, inbox, input, asked) = parts(set, lines).await;
    let mut screen = Plain { out: Vec::new(), err: Vec::new() };
    let ended = script::drive(shell, inbox, input, &mut screen).await.expect("no I/O error");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { out: text(screen.out), err: text(screen.err), asked: asked.take(), ended }
}

/// A person, who types these lines one by one, commands and answers alike.
async fn converse(set: Set, lines: &[&str]) -> Ran {
    let (shell, inbox, input, asked) = parts(set, lines).await;
    let mut screen = Recorder::default();
    let driver = Driver::new(shell, inbox, &mut screen, true).expect("signals");
    let ended = driver.run(input).await.expect("no I/O error");
    Ran { out: screen.out, err: screen.err, asked: asked.take(), ended }
}

/// A screen that keeps what it shows; questions stand among it.
#[derive(Default)]
struct Recorder {
    out: String,
    err: String,
}

impl Screen for Recorder {
    fn show(&mut self, text: &str) -> io::Result<()> {
        if !text.is_empty() {
            self.out.push_str(text.trim_end_matches('\n'));
            self.out.push('\n');
        }
        Ok(())
    }

    fn show_failure(&mut self, failure: &Failure) -> io::Result<()> {
        for line in failure.warning.iter().chain([&failure.message]) {
            self.err.push_str(line);
            self.err.push('\n');
        }
        Ok(())
    }

    fn ask(&mut self, question: &str) {
        self.out.push_str("? ");
        self.out.push_str(question);
        self.out.push('\n');
    }
}
