//! A client of the secure protocol whose profile outlives its process, so that it can be killed and
//! started again; and a witness who knows from the ledger what became of its payments.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ed25519_zebra::SigningKey;
use wire::secure::call::PAGE_ITEMS_MAX;
use wire::secure::{Answer, Call, HistoryEvent, HistoryItem};
use wire::{OrderId, Username};

use crate::process::{PATIENCE, Program};
use crate::secure::SecureClient;
use crate::terminal::Terminal;

/// How long to wait before a client is asked again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A profile, and the program that works in it.
#[derive(Clone, Debug)]
pub struct Purse {
    binary: &'static str,
    config_dir: PathBuf,
    name: String,
    /// What its key is encrypted with, if it is.
    passphrase: Option<String>,
}

impl Purse {
    /// The profile of this name, which has no key yet.
    pub fn new(binary: &'static str, config_dir: &Path, name: &str) -> Self {
        let (config_dir, name) = (config_dir.to_owned(), name.to_owned());
        Self { binary, config_dir, name, passphrase: None }
    }

    /// The same with a key that is encrypted.
    #[must_use]
    pub fn locked(self, passphrase: &str) -> Self {
        Self { passphrase: Some(passphrase.to_owned()), ..self }
    }

    /// Starts a client in it and opens its account.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn open(&self, server: SocketAddr) -> Session {
        let mut session = self.start(server);
        session.program.type_line("register");
        session.program.line_with(&format!("registered {}", self.name));
        session
    }

    /// Starts a client in it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, server: SocketAddr) -> Session {
        let passphrase = self.passphrase.as_deref().map(|phrase| ("MITE_PASSPHRASE", phrase));
        let env: Vec<_> = passphrase.into_iter().collect();
        let program = Program::start_with_env(self.binary, self.args(server), &env);
        Session { program, heard: Vec::new(), name: self.name.clone() }
    }

    /// Starts a client in it with a person at its terminal.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn sit_down(&self, server: SocketAddr) -> Terminal {
        let args = self.args(server);
        let mut args: Vec<_> = args.iter().map(String::as_str).collect();
        // The log would share the screen.
        args.extend(["--log-level", "error"]);
        Terminal::start(self.binary, &self.config_dir, &args)
    }

    /// Makes it out of the words of a key. Returns what is shown.
    ///
    /// # Panics
    /// If that does not work.
    pub fn restore(&self, server: SocketAddr, words: &str) -> Vec<String> {
        let mut args = self.args(server);
        args.push("restore".to_owned());
        let mut program = Program::start(self.binary, args);
        program.type_line(words);
        let ended = program.wait();
        assert!(ended.status.success(), "{ended:?}");
        ended.stdout
    }

    fn args(&self, server: SocketAddr) -> Vec<String> {
        let config_dir = self.config_dir.to_str().expect("temporary paths are text");
        let server = server.to_string();
        let args = ["--role", "client", "--server", &server, "--name", &self.name];
        let unlocked = self.passphrase.is_none().then_some("--no-passphrase");
        let more = ["--config-dir", config_dir].into_iter().chain(unlocked);
        args.into_iter().chain(more).map(str::to_owned).collect()
    }

    /// The key in it.
    ///
    /// # Panics
    /// If there is none, or it is encrypted.
    pub fn key(&self) -> SigningKey {
        let path = self.config_dir.join("profiles").join(&self.name).join("identity.key");
        let text = fs::read_to_string(path).expect("a key file");
        assert!(text.contains("\nunencrypted\n"), "a key that can be read");
        let secret = text.lines().find_map(|line| line.strip_prefix("secret ")).expect("a secret");
        let byte = |at: usize| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16);
        SigningKey::from_bytes(&std::array::from_fn(|at| byte(at).expect("hexadecimal")))
    }
}

/// A client at work.
pub struct Session {
    /// The process.
    pub program: Program,
    /// What it has shown, as far as it was read here, for the test to look at and to clear.
    pub heard: Vec<String>,
    name: String,
}

/// What a client says of one of its payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The beginning of the order's id.
    pub id: String,
    /// How much.
    pub amount: u64,
    /// What became of it, in words.
    pub state: String,
}

impl Session {
    /// The words of its key, which is new.
    ///
    /// # Panics
    /// If it shows none.
    pub fn words(&self) -> String {
        self.program.error_line_with("These 24 words restore it");
        let lines = std::array::from_fn::<_, 4, _>(|_| self.program.error_line_with("    "));
        let words: Vec<_> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(words.len(), 24, "{words:?}");
        words.join(" ")
    }

    /// Types a command and reads what is shown until the next one is done.
    ///
    /// # Panics
    /// If the client does not answer, or has no account yet.
    pub fn ask(&mut self, command: &str) -> Vec<String> {
        self.program.type_line(command);
        self.rest()
    }

    /// What is shown until everything that was typed is done.
    ///
    /// # Panics
    /// As [`Session::ask`].
    pub fn rest(&mut self) -> Vec<String> {
        // What it says of itself it knows without asking anybody.
        self.program.type_line(&format!("whois {}", self.name));
        let end = format!("{} is you: ", self.name);
        let lines = std::iter::from_fn(|| Some(self.program.line()));
        let lines: Vec<_> = lines.take_while(|line| !line.starts_with(&end)).collect();
        self.heard.extend(lines.iter().cloned());
        lines
    }

    /// Types a command until it shows a line with this text: whoever connects again may fail at
    /// first.
    ///
    /// # Panics
    /// If it does not within [`PATIENCE`].
    pub fn insist(&mut self, command: &str, text: &str) {
        let began = Instant::now();
        while !self.ask(command).iter().any(|line| line.contains(text)) {
            assert!(began.elapsed() < PATIENCE, "{command:?} never shows {text:?}");
        }
    }

    /// What it says of its newest payments once none of them is open.
    ///
    /// # Panics
    /// If one stays open for longer than [`PATIENCE`].
    pub fn decided_payments(&mut self) -> Vec<Told> {
        let began = Instant::now();
        loop {
            let payments = self.payments();
            if !payments.iter().any(|payment| payment.state == "unknown, checking") {
                return payments;
            }
            assert!(began.elapsed() < PATIENCE, "still open: {payments:?}");
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Its balance.
    ///
    /// # Panics
    /// If it does not say one.
    pub fn balance(&mut self) -> u64 {
        let told = self.ask("balance");
        let balance = told.iter().find_map(|line| line.strip_prefix("balance: "));
        balance.and_then(|balance| balance.parse().ok()).expect("a balance")
    }

    /// The errors that it has told of what was typed, and that nobody has read.
    ///
    /// # Panics
    /// If it does not understand a word that it does not know.
    pub fn errors(&mut self) -> Vec<String> {
        // Standard error and standard output are not in step; this is the last of what was typed.
        self.program.type_line("dance");
        let lines = std::iter::from_fn(|| Some(self.program.error_line_with("error: ")));
        lines.take_while(|line| !line.contains("dance")).collect()
    }

    /// What it says of its newest payments.
    ///
    /// # Panics
    /// As [`Session::ask`].
    pub fn payments(&mut self) -> Vec<Told> {
        told(&self.ask("payments"))
    }

    /// Whether it has said this, as far as it was read here or is there to be read now.
    pub fn has_said(&mut self, text: &str) -> bool {
        self.heard.extend(self.program.lines_there());
        self.heard.iter().any(|line| line.contains(text))
    }

    /// Ends it without warning.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(self) {
        self.program.kill();
    }
}

/// What these lines say of payments.
pub fn told(lines: &[String]) -> Vec<Told> {
    lines.iter().filter_map(|line| told_in(line)).collect()
}

/// `  01a0c45993c0c5c5…  10  to bob  paid`
fn told_in(line: &str) -> Option<Told> {
    let mut words = line.split_whitespace();
    let id = words.next()?.strip_suffix('…')?.to_owned();
    let amount = words.next()?.parse().ok()?;
    let ("to", Some(_)) = (words.next()?, words.next()) else { return None };
    Some(Told { id, amount, state: words.collect::<Vec<_>>().join(" ") })
}

/// Knows from the ledger, by the histories of both sides, which payments were made.
#[derive(Clone, Copy)]
pub struct Witness {
    /// The server.
    pub server: SocketAddr,
    /// The payer's key.
    pub payer: SigningKey,
    /// The payee's key.
    pub payee: SigningKey,
}

impl Witness {
    /// The order by which each amount was paid.
    ///
    /// # Panics
    /// If an amount was paid twice, if the two histories are not of the same payments, or if they
    /// do not explain the balances: something was moved twice, lost, or made of nothing.
    pub fn settled(&self) -> BTreeMap<u64, OrderId> {
        let (payer, payee) = (self.account(&self.payer), self.account(&self.payee));
        let with = |others: Vec<Moved>, name: &Username| -> Vec<_> {
            let moved = others.into_iter().filter(|moved| moved.other == *name);
            moved.map(|moved| (moved.amount, moved.order)).collect()
        };
        let paid = with(payer.paid, &payee.name);
        let received = with(payee.received, &payer.name);
        assert_eq!(paid, received, "payer and payee have different histories");
        let mut settled = BTreeMap::new();
        for (amount, id) in paid {
            let twice = settled.insert(amount, id);
            assert_eq!(twice, None, "{amount} was paid twice, the second time by {id}");
        }
        settled
    }

    /// Whether this amount was paid, and the client says the same.
    ///
    /// # Panics
    /// As [`Witness::settled`]; if the client says something else, or nothing, or speaks of two
    /// payments.
    pub fn confirms(&self, amount: u64, told: &[Told]) -> bool {
        self.confirms_all(amount..amount + 1, told) == 1
    }

    /// How many of these amounts were paid, and the client says the same of each.
    ///
    /// # Panics
    /// As [`Witness::confirms`].
    pub fn confirms_all(&self, amounts: Range<u64>, told: &[Told]) -> u64 {
        let settled = self.settled();
        amounts.map(|amount| u64::from(is_paid(amount, told, &settled))).sum()
    }

    fn account(&self, key: &SigningKey) -> Account {
        let mut client = SecureClient::connect(self.server, key);
        let items = history(&mut client);
        let own = client.welcome.account.clone().expect("an account with this key");
        let mut account = Account { name: own.name, paid: Vec::new(), received: Vec::new() };
        let mut balance = 0;
        for item in items.into_iter().rev() {
            match item.event {
                HistoryEvent::Opened { grant } => balance += i128::from(grant.credits()),
                HistoryEvent::Paid { payee, amount, order } => {
                    balance -= i128::from(amount.credits());
                    account.paid.push(Moved { other: payee, amount: amount.credits(), order });
                }
                HistoryEvent::Received { payer, amount, order } => {
                    balance += i128::from(amount.credits());
                    let order = order.expect("by a signed order");
                    account.received.push(Moved { other: payer, amount: amount.credits(), order });
                }
                HistoryEvent::Deposited { amount } => balance += i128::from(amount.credits()),
                HistoryEvent::Withdrawn { amount } => balance -= i128::from(amount.credits()),
                HistoryEvent::Refused { .. }
                | HistoryEvent::KeyChanged { .. }
                | HistoryEvent::Frozen { .. }
                | HistoryEvent::Unfrozen => {}
            }
        }
        match client.call(Call::ReadBalance) {
            Ok(Answer::Balance { amount, .. }) => assert_eq!(balance, amount.credits().into()),
            other => panic!("a balance, not {other:?}"),
        }
        account
    }
}

/// Whether this amount was paid by the ledger, which is what the client tells.
fn is_paid(amount: u64, told: &[Told], settled: &BTreeMap<u64, OrderId>) -> bool {
    let told: Vec<_> = told.iter().filter(|payment| payment.amount == amount).collect();
    let paid = settled.get(&amount);
    let story = || format!("{told:?} of {amount}; the ledger has {paid:?}");
    match (&told[..], paid) {
        ([], None) => false,
        ([payment], Some(id)) => {
            assert_eq!(payment.state, "paid", "{}", story());
            assert!(id.to_string().starts_with(&payment.id), "{}", story());
            true
        }
        ([payment], None) => {
            assert!(payment.state.starts_with("refused"), "{}", story());
            false
        }
        _ => panic!("{}", story()),
    }
}

/// All of a client's history, the newest first.
///
/// # Panics
/// If the server does not give it.
pub fn history(client: &mut SecureClient) -> Vec<HistoryItem> {
    let mut history: Vec<HistoryItem> = Vec::new();
    loop {
        let before = history.last().map(|item| item.number);
        match client.call(Call::ReadHistory { before, limit: PAGE_ITEMS_MAX }) {
            Ok(Answer::History { items, more }) => {
                history.extend(items);
                if !more {
                    return history;
                }
            }
            other => panic!("a history, not {other:?}"),
        }
    }
}

/// What a history says of payments, the oldest first.
struct Account {
    name: Username,
    paid: Vec<Moved>,
    received: Vec<Moved>,
}

struct Moved {
    other: Username,
    amount: u64,
    order: OrderId,
}
