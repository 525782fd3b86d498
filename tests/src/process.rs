//! The program under test as a child process, ended in any case.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

/// How long anything may take that is expected to happen: far longer than it does, even on a machine
/// that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether this process is to be the program under test: those that are no tests start themselves as it
/// with [`this_program`], and take `--role` as nothing else.
pub fn is_under_test() -> bool {
    std::env::args().nth(1).is_some_and(|first| first == "--role")
}

/// The path of this program, for one that can be the program under test.
///
/// # Panics
/// If the system does not tell, or it is no text.
pub fn this_program() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        let path = std::env::current_exe().expect("the system tells");
        path.into_os_string().into_string().expect("the path is text")
    });
    &PATH
}

/// A running program whose output is read line by line. It is killed when this is dropped.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// How a program ended, and what it wrote that nobody had read.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The rest of its standard output.
    pub stdout: Vec<String>,
    /// The rest of its standard error.
    pub stderr: Vec<String>,
}

impl Program {
    /// Starts `binary` (`env!("CARGO_BIN_EXE_mite-under-test")` in a test) with these arguments, and
    /// with none of the `MITE_…` variables that whoever runs the tests may have set.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(binary: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self::start_with_env(binary, args, &[])
    }

    /// The same with these variables.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_with_env(
        binary: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        env: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(binary);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MITE_") {
                command.env_remove(name);
            }
        }
        command.envs(env.iter().copied());
        let mut child = command.spawn().expect("the program under test starts");
        let stdout = lines(child.stdout.take().expect("it is piped"));
        let stderr = lines(child.stderr.take().expect("it is piped"));
        let stdin = child.stdin.take();
        Self { child, stdin, stdout, stderr }
    }

    /// The next line of its standard output.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`].
    pub fn line(&self) -> String {
        next(&self.stdout, "standard output")
    }

    /// Reads its standard output up to the first line that holds `text`, and returns that line.
    ///
    /// # Panics
    /// If no such line comes within [`PATIENCE`].
    pub fn line_with(&self, text: &str) -> String {
        loop {
            let line = next(&self.stdout, &format!("line with {text:?} on standard output"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Up to so many next lines of its standard output, fewer if it ends.
    ///
    /// # Panics
    /// If it does neither within [`PATIENCE`].
    pub fn lines_until_end(&self, most: usize) -> Vec<String> {
        let next = || match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("neither a line nor the end within {PATIENCE:?}")
            }
        };
        std::iter::from_fn(next).take(most).collect()
    }

    /// The lines of its standard output that are there and not read yet.
    pub fn lines_there(&self) -> impl Iterator<Item = String> {
        self.stdout.try_iter()
    }

    /// The same as [`Program::line_with`] for its standard error.
    ///
    /// # Panics
    /// If no such line comes within [`PATIENCE`].
    pub fn error_line_with(&self, text: &str) -> String {
        loop {
            let line = next(&self.stderr, &format!("line with {text:?} on standard error"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Types a line.
    ///
    /// # Panics
    /// If the program does not read any more.
    pub fn type_line(&mut self, line: &str) {
        use std::io::Write as _;
        let stdin = self.stdin.as_mut().expect("its standard input is open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the program reads");
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the program runs");
    }

    /// Lets it write no further into files than this, from now on.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn limit_file_bytes(&self, most: u64) {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, limit).expect("the program runs");
    }

    /// Ends it without warning, as a power cut would.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(mut self) {
        self.kill_in_place();
    }

    /// The same for whoever puts another one in its place.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill_in_place(&mut self) {
        self.child.kill().expect("the program is ours");
        self.child.wait().expect("the program is ours");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it has not ended within [`PATIENCE`].
    pub fn wait(mut self) -> Ended {
        self.stdin = None;
        // Its output ends when it does.
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        let status = self.child.wait().expect("the program is ours");
        Ended { status, stdout, stderr }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>, what: &str) -> String {
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => line,
        Err(RecvTimeoutError::Timeout) => panic!("no {what} within {PATIENCE:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("the program ended before the {what}"),
    }
}

fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the program does not end within {PATIENCE:?}")
            }
        }
    }
}

/// A server in a process of its own.
pub struct Server {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port of the loopback interface, with its ledger in `data`.
    ///
    /// # Panics
    /// If it does not listen within [`PATIENCE`].
    pub fn start(binary: &str, data: &Path, more_args: &[&str]) -> Self {
        Self::start_at(binary, SocketAddr::from(([127, 0, 0, 1], 0)), data, more_args)
    }

    /// The same on a certain port: where it was before it was killed.
    ///
    /// # Panics
    /// If it does not listen within [`PATIENCE`].
    pub fn start_at(binary: &str, listen: SocketAddr, data: &Path, more_args: &[&str]) -> Self {
        let program = Self::launch(binary, listen, data, more_args);
        let first = program.line();
        let address = first.strip_prefix("listening on ").expect("the address in its first line");
        let address = address.parse().expect("an address");
        Self { program, address }
    }

    /// Starts the process and waits for nothing, not even that it listens.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch(binary: &str, listen: SocketAddr, data: &Path, more_args: &[&str]) -> Program {
        let listen = listen.to_string();
        let mut args = vec!["--role", "server", "--listen", &listen, "--data", text(data)];
        args.extend(more_args);
        Program::start(binary, args)
    }

    /// Stops it with SIGTERM and waits for its end.
    ///
    /// # Panics
    /// If it does not end within [`PATIENCE`], or not with exit code 0.
    pub fn stop(self) -> Ended {
        self.program.signal(Signal::TERM);
        let ended = self.program.wait();
        assert!(ended.status.success(), "{ended:?}");
        ended
    }
}

/// What a program that has done as it was told said on its standard output.
///
/// # Panics
/// If its exit code is not 0.
#[track_caller]
pub fn expect_done(ended: &Ended) -> String {
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    ended.stdout.join("\n")
}

/// A path, to be an argument.
///
/// # Panics
/// If it is no text, which temporary ones are.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
