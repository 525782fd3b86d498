//! Mite's client as a process of its own, told what to do line by line, as a script does.

use std::net::{Ipv4Addr, SocketAddr};

use crate::process::{Ended, Program};

/// A running client.
pub struct Client {
    /// The process.
    pub program: Program,
}

/// What a client shows of its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The balance.
    pub balance: u64,
    /// `name address` of everybody online.
    pub online: Vec<String>,
}

impl Shown {
    /// Reads what a client writes next.
    ///
    /// # Panics
    /// If it is something else, or nothing comes.
    #[track_caller]
    pub fn read(program: &Program) -> Self {
        let number = |what: &str| {
            let line = program.line();
            let number = line.strip_prefix(what).and_then(|number| number.parse::<u64>().ok());
            number.unwrap_or_else(|| panic!("{what:?} and a number, not {line:?}"))
        };
        let balance = number("balance: ");
        let online = (0..number("online: ")).map(|_| {
            let line = program.line();
            let words: Vec<_> = line.split_whitespace().filter(|word| *word != "(you)").collect();
            words.join(" ")
        });
        Self { balance, online: online.collect() }
    }
}

impl Client {
    /// Starts a client that listens for peers on a free port once it is logged in.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(binary: &str, server: SocketAddr) -> Self {
        Self::start_with(binary, server, &["--p2p-port", "0"])
    }

    /// Starts a client with these arguments and those that it needs in any case.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_with(binary: &str, server: SocketAddr, more_args: &[&str]) -> Self {
        let server = server.to_string();
        let mut args = vec!["--role", "client", "--protocol", "text", "--server", &server];
        args.extend(more_args);
        Self { program: Program::start(binary, args) }
    }

    /// Starts a client, registers and logs in. Returns it and where it takes payments.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn online(binary: &str, server: SocketAddr, name: &str) -> (Self, SocketAddr) {
        let mut client = Self::start(binary, server);
        client.register(name);
        let (address, _) = client.log_in(name);
        (client, address)
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

    /// Types a line and expects that it fails with an error that holds this text.
    ///
    /// # Panics
    /// If there is no such error.
    pub fn expect_failure(&mut self, line: &str, error: &str) -> String {
        self.type_line(line);
        self.program.error_line_with(error)
    }

    /// Opens an account.
    ///
    /// # Panics
    /// If the client does not say so.
    #[track_caller]
    pub fn register(&mut self, name: &str) {
        self.ask(&format!("register {name}"), &format!("registered {name}"));
    }

    /// Logs in on a free port. Returns where the client takes payments, and what it shows.
    ///
    /// # Panics
    /// If the client does not say that it is logged in.
    #[track_caller]
    pub fn log_in(&mut self, name: &str) -> (SocketAddr, Shown) {
        self.type_line(&format!("login {name} 0"));
        self.logged_in(name)
    }

    /// The same, once the log-in is typed.
    ///
    /// # Panics
    /// If the client does not say that it is logged in.
    #[track_caller]
    pub fn logged_in(&self, name: &str) -> (SocketAddr, Shown) {
        let said = self.program.line();
        let port = said.strip_prefix(&format!("logged in as {name}, listening on port "));
        let port = port.and_then(|port| port.parse::<u16>().ok());
        let port = port.unwrap_or_else(|| panic!("a log-in, not {said:?}"));
        (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), self.shown())
    }

    /// Asks for the list.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    #[track_caller]
    pub fn list(&mut self) -> Shown {
        self.type_line("list");
        self.shown()
    }

    /// Reads a list that was asked for.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    #[track_caller]
    pub fn shown(&self) -> Shown {
        Shown::read(&self.program)
    }

    /// Leaves, and expects the exit code 0.
    ///
    /// # Panics
    /// If it ends otherwise.
    #[track_caller]
    pub fn leave(mut self) -> Ended {
        self.ask("exit", "goodbye");
        let ended = self.program.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        ended
    }

    /// Closes its standard input and expects this exit code.
    ///
    /// # Panics
    /// If it ends otherwise.
    #[track_caller]
    pub fn end(mut self, code: i32) -> Ended {
        self.program.close_stdin();
        let ended = self.program.wait();
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        ended
    }
}
