//! People with keys of their own: Mite's client over the secure protocol as a process, told what to do
//! line by line.

use std::net::{Ipv4Addr, SocketAddr};

use crate::client::Shown;
use crate::process::{Ended, Program, Server};
use crate::profile::{Profile, words, words_behind};

/// What a client gets to see in a test: an unencrypted key, and a free port for peers.
const PLAIN: [&str; 3] = ["--no-passphrase", "--p2p-port", "0"];

/// Somebody, and the client that they have started.
pub struct Person {
    /// The process.
    pub program: Program,
    /// What it works with.
    pub profile: Profile,
    binary: String,
    server: SocketAddr,
}

/// What a client says of a payment that it has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// What it said before it signed.
    pub quote: String,
    /// The beginning of the order's id.
    pub id: String,
    /// The balance behind it.
    pub balance: u64,
}

/// The keys that a client shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The server's.
    pub server: String,
    /// Its own.
    pub own: String,
}

impl Person {
    /// Starts a client on a new profile. Nothing is typed yet.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(binary: &str, server: SocketAddr, name: &str) -> Self {
        Self::start_on(Profile::new(name), binary, server, &[])
    }

    /// Starts a client on this profile, with these arguments and the usual ones.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_on(
        profile: Profile,
        binary: &str,
        server: SocketAddr,
        more_args: &[&str],
    ) -> Self {
        let program = profile.launch(binary, server, &[&PLAIN, more_args].concat());
        Self { program, profile, binary: binary.to_owned(), server }
    }

    /// Starts a client on a new profile, opens an account of this name, and logs in.
    ///
    /// # Panics
    /// If the client does not say that it is done.
    #[track_caller]
    pub fn online(binary: &str, server: SocketAddr, name: &str) -> Self {
        let mut person = Self::registered(binary, server, name);
        person.log_in();
        person
    }

    /// The same without the log-in.
    ///
    /// # Panics
    /// If the client does not say that it is done.
    #[track_caller]
    pub fn registered(binary: &str, server: SocketAddr, name: &str) -> Self {
        let mut person = Self::start(binary, server, name);
        person.type_line(&format!("register {name}"));
        person.first_contact();
        person.expect(&format!("registered {name}"));
        person
    }

    /// Expects that the server's key is seen for the first time. Returns it.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    #[track_caller]
    pub fn first_contact(&self) -> String {
        let said = self.program.line();
        let key = said.strip_prefix("first contact with this server; its key is ");
        let key = key.unwrap_or_else(|| panic!("a first contact, not {said:?}")).to_owned();
        self.expect("compare it with what whoever runs the server says; it is kept from now on");
        key
    }

    /// Types a line.
    ///
    /// # Panics
    /// If the client does not read any more.
    pub fn type_line(&mut self, line: &str) {
        self.program.type_line(line);
    }

    /// Expects exactly this line on standard output next.
    ///
    /// # Panics
    /// If another one comes, or none.
    #[track_caller]
    pub fn expect(&self, line: &str) {
        assert_eq!(self.program.line(), line);
    }

    /// Types a line and expects exactly this answer next.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    #[track_caller]
    pub fn ask(&mut self, line: &str, answer: &str) {
        self.type_line(line);
        self.expect(answer);
    }

    /// Types a line and expects that it fails with an error that holds this text. Returns the error
    /// and its hint.
    ///
    /// # Panics
    /// If there is no such error.
    #[track_caller]
    pub fn expect_failure(&mut self, line: &str, error: &str) -> [String; 2] {
        self.type_line(line);
        let said = self.program.error_line_with("error: ");
        assert!(said.starts_with("error: ") && said.contains(error), "{line}: {said:?}");
        let hint = self.program.error_line_with("");
        assert!(hint.starts_with("hint: "), "{line}: {said:?}, then {hint:?}");
        [said, hint]
    }

    /// Types a line and returns all that is said to it.
    ///
    /// # Panics
    /// If the account's balance, which is asked for behind it, does not come.
    #[track_caller]
    pub fn told(&mut self, line: &str) -> Vec<String> {
        self.type_line(line);
        self.type_line("balance");
        let mut told = Vec::new();
        loop {
            let line = self.program.line();
            if line.starts_with("balance: ") {
                return told;
            }
            told.push(line);
        }
    }

    /// Logs in on a free port. Returns where the client takes payments, and what it shows.
    ///
    /// # Panics
    /// If the client does not say that it is logged in.
    #[track_caller]
    pub fn log_in(&mut self) -> (SocketAddr, Shown) {
        let name = self.profile.name().to_owned();
        self.type_line(&format!("login {name} 0"));
        let said = self.program.line();
        let port = said.strip_prefix(&format!("logged in as {name}, listening on port "));
        let port = port.and_then(|port| port.parse::<u16>().ok());
        let port = port.unwrap_or_else(|| panic!("a log-in, not {said:?}"));
        (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Shown::read(&self.program))
    }

    /// Logs in and stays off the list.
    ///
    /// # Panics
    /// If the client does not say that it is logged in.
    #[track_caller]
    pub fn log_in_unlisted(&mut self) -> Shown {
        let name = self.profile.name().to_owned();
        self.ask(
            &format!("login {name} unlisted"),
            &format!("logged in as {name}, unlisted: payments come through the server"),
        );
        Shown::read(&self.program)
    }

    /// Asks for the list.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    #[track_caller]
    pub fn list(&mut self) -> Shown {
        self.type_line("list");
        Shown::read(&self.program)
    }

    /// Pays, `what` being payee, amount and memo as they are typed. What happens meanwhile is passed
    /// over.
    ///
    /// # Panics
    /// If the client does not say that it has paid.
    #[track_caller]
    pub fn pay(&mut self, what: &str) -> Paid {
        self.type_line(&format!("pay {what}"));
        let quote = self.program.line_with("about to pay ");
        let said = self.program.line_with("paid ");
        let id =
            said.split_once("; receipt ").and_then(|(_, rest)| rest.split_once("…; balance: "));
        let (id, balance) = id.unwrap_or_else(|| panic!("a payment, not {said:?}"));
        let balance = balance.parse().expect("a balance");
        Paid { quote, id: id.to_owned(), balance }
    }

    /// Asks for the balance. What happens meanwhile is passed over.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn balance(&mut self) -> u64 {
        self.type_line("balance");
        let said = self.program.line_with("balance: ");
        let balance = said.strip_prefix("balance: ").and_then(|balance| balance.parse().ok());
        balance.unwrap_or_else(|| panic!("a balance, not {said:?}"))
    }

    /// What happened to the account, newest first, without the times.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn history(&mut self) -> Vec<String> {
        let told = self.told("history");
        told.iter()
            .map(|line| line.trim().split_once("  ").expect("time, event").1.into())
            .collect()
    }

    /// The key that a peer has by this server's word, behind `known` or `seen for the first time`.
    ///
    /// # Panics
    /// If nobody has this name.
    #[track_caller]
    pub fn key_of(&mut self, peer: &str) -> String {
        self.type_line(&format!("whois {peer}"));
        let said = self.program.line_with(&format!("{peer}: key "));
        said.split(' ').nth(2).expect("a key").to_owned()
    }

    /// The keys of both sides.
    ///
    /// # Panics
    /// If the client does not say them.
    #[track_caller]
    pub fn keys(&mut self) -> Keys {
        self.type_line("id");
        let key = |whose: &str| {
            let line = self.program.line_with(whose);
            line.trim().strip_prefix(whose).expect("a row").trim().to_owned()
        };
        let keys = Keys { server: key("server's key"), own: key("your key") };
        self.program.line_with("your account");
        keys
    }

    /// The words of the key that was made at the start.
    ///
    /// # Panics
    /// If they are not shown.
    #[track_caller]
    pub fn words(&self) -> String {
        words(&self.program)
    }

    /// Changes the key. Returns the new one's words and what is said of the change: no line but the
    /// key, unless there are payments to tell of.
    ///
    /// # Panics
    /// If the client does not say that it is done.
    #[track_caller]
    pub fn rotate_key(&mut self) -> (String, String) {
        let words = self.begin_rotation();
        let said = self.program.line_with("your key is now ");
        let key = said.strip_prefix("your key is now ").expect("it begins so");
        (words, key.to_owned())
    }

    /// The same up to the words: what becomes of the change is still to be said.
    ///
    /// # Panics
    /// If the words are not shown.
    #[track_caller]
    pub fn begin_rotation(&mut self) -> String {
        self.type_line("rotate-key");
        words_behind(&self.program, "The words of the new key")
    }

    /// Leaves, and expects the exit code 0. Returns the profile, and what nobody had read.
    ///
    /// # Panics
    /// If it ends otherwise.
    #[track_caller]
    pub fn leave(mut self) -> (Profile, Ended) {
        self.type_line("exit");
        let ended = self.program.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert_eq!(ended.stdout.last().map(String::as_str), Some("goodbye"), "{ended:?}");
        (self.profile, ended)
    }

    /// Leaves, and starts the client again.
    ///
    /// # Panics
    /// If it does not end well, or cannot be started.
    #[track_caller]
    #[must_use = "dropping it ends the client"]
    pub fn restart(self) -> Self {
        let (binary, server) = (self.binary.clone(), self.server);
        let (profile, _) = self.leave();
        Self::start_on(profile, &binary, server, &[])
    }

    /// Ends the client without warning, as a power cut would, and starts it again.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use = "dropping it ends the client"]
    pub fn crash(self) -> Self {
        let (binary, server) = (self.binary.clone(), self.server);
        Self::start_on(self.kill(), &binary, server, &[])
    }

    /// Ends the client without warning. Returns what it leaves behind.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(self) -> Profile {
        self.program.kill();
        self.profile
    }
}

/// The key that a server says at its start, if nobody has asked yet.
///
/// # Panics
/// If it does not say one.
#[track_caller]
pub fn server_key(server: &Server) -> String {
    let said = server.program.line_with("server key ");
    said.strip_prefix("server key ").expect("it begins so").to_owned()
}
