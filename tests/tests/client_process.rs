//! The client as whoever starts it sees it: exit codes, and an error and a hint for each mistake.

use std::net::{Ipv4Addr, TcpListener};

use rustix::process::Signal;
use tempfile::TempDir;
use tests::client::Client;
use tests::listener::{Listener, closed_address};
use tests::process::{Program, Server};
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn server() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    (data, server)
}

/// Runs the program to its end; one line is the error, one the hint, and nothing is a backtrace.
#[track_caller]
fn expect_refusal(args: &[&str], code: i32, error: &str, hint: &str) {
    let ended = Program::start(MITE, args).wait();
    assert_eq!(ended.status.code(), Some(code), "{args:?}: {ended:?}");
    let all = ended.stderr.join("\n");
    assert!(all.contains(error), "{args:?}: no {error:?} in {all}");
    assert!(all.contains(hint), "{args:?}: no {hint:?} in {all}");
    let errors = ended.stderr.iter().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{args:?}: {all}");
    assert!(!all.contains("panicked") && !all.contains("backtrace"), "{args:?}: {all}");
    assert!(ended.stdout.is_empty(), "{args:?}: {ended:?}");
}

#[test]
fn a_server_that_is_not_there_is_exit_code_7() {
    // Protects scripts and people: what could not be reached, and what to do.
    let closed = closed_address().to_string();
    expect_refusal(
        &["--role", "client", "--protocol", "text", "--server", &closed],
        7,
        &format!("error: cannot reach the server at {closed}: connection refused"),
        "hint: is the server running?",
    );
}

#[test]
fn what_cannot_be_understood_is_exit_code_2() {
    // Protects against a program that guesses: a wrong word on the command line starts nothing.
    for (args, error, hint) in [
        (&["--role", "clint"][..], "error: invalid value 'clint'", "client"),
        (&[], "error: no role is given", "hint: add --role server"),
        (
            &["--role", "client", "--sever", "x:1"],
            "error: unexpected argument '--sever'",
            "--server",
        ),
        (
            &["--role", "client", "--p2p-port", "70000"],
            "error: invalid value '70000'",
            "--p2p-port",
        ),
        (&["--role", "client", "--p2p-port", "-1"], "error: ", "-1"),
        (&["--role", "client", "--p2p-port", "abc"], "error: invalid value 'abc'", "--p2p-port"),
        (
            &["--role", "client", "--server", "nowhere"],
            "error: invalid value 'nowhere'",
            "HOST:PORT",
        ),
        (&["--role", "client", "--server", "127.0.0.1:0"], "is no address to connect to", "hint: "),
        (&["--role", "client", "--name", "a#b"], "error: invalid value 'a#b'", "--name"),
        (&["--role", "client", "--name", "EXIT"], "error: invalid value 'EXIT'", "--name"),
        (&["--role", "client", "--protocol", "morse"], "error: invalid value 'morse'", "text"),
        (&["--role", "client", "alice"], "error: `alice` means nothing to a client", "restore"),
    ] {
        expect_refusal(args, 2, error, hint);
    }
}

#[test]
fn a_flag_of_another_role_is_exit_code_2() {
    // Protects against a setting that is given and silently means nothing.
    for (args, error) in [
        (
            &["--role", "client", "--listen", "127.0.0.1:0"][..],
            "--listen means nothing to a client",
        ),
        (&["--role", "client", "--data", "x"], "--data means nothing to a client"),
        (&["--role", "client", "--opening-balance", "5"], "--opening-balance means nothing"),
        (&["--role", "client", "--text", "any"], "--text means nothing to a client"),
        (&["--role", "client", "--text-dialect", "seed"], "--text-dialect means nothing"),
        (&["--role", "client", "--text-quiet", "2ms"], "--text-quiet means nothing"),
        (&["--role", "server", "--p2p-port", "0"], "--p2p-port means nothing to a server"),
        (&["--role", "server", "--name", "alice"], "--name means nothing to a server"),
        (&["--role", "demo", "--server", "127.0.0.1:1"], "--server means nothing to a demo"),
    ] {
        expect_refusal(args, 2, &format!("error: {error}"), "hint: leave it out; it belongs to");
    }
}

#[test]
fn a_configuration_file_with_a_mistake_is_exit_code_3() {
    // Protects against a setting that is misspelt and silently means nothing.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("mite.toml");
    let file = path.to_str().expect("temporary paths are text");
    for (text, error, hint) in [
        ("role = \"client\"\nsevrer = \"127.0.0.1:1\"\n", "line 2: unknown key `sevrer`", "server"),
        ("p2p-port = \"7001\"\n", "line 1: ", "hint: "),
        ("p2p-port = 70000\n", "line 1: ", "hint: "),
        ("name = \n", "line 1: ", "hint: "),
    ] {
        std::fs::write(&path, text).expect("it is writable");
        expect_refusal(&["--config", file], 3, &format!("error: {file}, {error}"), hint);
    }
    let missing = format!("{file}.not");
    let error = format!("error: cannot read the configuration file {missing}");
    expect_refusal(&["--config", &missing], 3, &error, "hint: check the path");
}

#[test]
fn the_configuration_file_and_the_flags_work_together() {
    // Protects the order: a flag goes before the file, and what a file says of other roles is not
    // in the way.
    let (directory, server) = server();
    let path = directory.path().join("mite.toml");
    let text = format!(
        "role = \"client\"\nserver = \"{}\"\nname = \"alice\"\np2p-port = 0\n\
         protocol = \"text\"\ntext = \"any\"\n",
        server.address
    );
    std::fs::write(&path, text).expect("it is writable");
    let file = path.to_str().expect("temporary paths are text");
    for (args, name) in
        [(&["--config", file][..], "alice"), (&["--config", file, "--name", "bob"], "bob")]
    {
        let mut client = Client { program: Program::start(MITE, args) };
        client.ask("register", &format!("registered {name}"));
        client.type_line("login");
        client.logged_in(name);
        client.leave();
    }
}

#[test]
fn a_script_in_which_a_command_fails_is_exit_code_1() {
    // Protects scripts: the rest is done, and the exit code and the last line tell.
    let (_data, server) = server();
    for (script, failed) in [
        ("dance\nhelp\n", 1),
        ("list\nbalance\n", 2),
        ("register alice\nregister alice\n", 1),
        ("pay\nregister a#b\nlogin bob 70000\nwait 0\n", 4),
        ("register\n", 1),
        ("login nobody 0\n", 1),
        ("\u{1b}[2J\nexit\n", 1),
    ] {
        let mut client = Client::start(MITE, server.address);
        script.lines().for_each(|line| client.type_line(line));
        let ended = client.end(1);
        let last = ended.stderr.last().expect("it says why");
        let commands = script.lines().count();
        assert_eq!(last, &format!("error: {failed} of {commands} commands failed"), "{ended:?}");
        let hints = ended.stderr.iter().filter(|line| line.starts_with("hint: ")).count();
        assert_eq!(hints, failed, "{ended:?}");
        let all = ended.stderr.concat();
        assert!(!all.contains('\u{1b}'), "{all:?}");
    }
    for script in ["", "\n\n# nothing\n", "help\n", "exit\n", "quit"] {
        let mut client = Client::start(MITE, server.address);
        script.lines().for_each(|line| client.type_line(line));
        client.end(0);
    }
}

#[test]
fn nothing_is_done_behind_exit() {
    // Protects against a script that goes on when its author has left.
    let (_data, server) = server();
    let mut client = Client::start(MITE, server.address);
    client.type_line("exit\nregister alice");
    client.end(0);
    Connection::open(server.address).ask("alice#5001\n", "220 AUTH_FAIL\n");
}

#[test]
fn a_p2p_port_in_use_is_said_and_another_one_works() {
    // Protects the second client on one machine: it hears why it cannot log in, and can still do so.
    let (_data, server) = server();
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = holder.local_addr().expect("it is bound");
    let port = address.port().to_string();
    let mut client = Client::start_with(MITE, server.address, &["--p2p-port", &port]);
    client.register("alice");
    for line in ["login alice", &format!("login alice {port}")] {
        let error = client.expect_failure(line, "error: ");
        assert_eq!(error, format!("error: cannot listen on {address}: address already in use"));
        client.program.error_line_with(&format!("hint: another program listens on {address}"));
        // Nobody is told that alice can be reached there.
        client.expect_failure("list", "error: not logged in");
    }
    let (alice_at, shown) = client.log_in("alice");
    assert_eq!(shown.online, [format!("alice {alice_at}")]);
    // The port is kept: who has seen the list must find it.
    client.expect_failure(&format!("login alice {port}"), "error: already listening on port");
    client.end(1);
}

#[test]
fn a_script_is_told_when_the_server_is_lost() {
    // Protects scripts from going on as if nothing had happened.
    let (_data, server) = server();
    let (mut waiting, _) = Client::online(MITE, server.address, "waiting");
    let (mut idle, _) = Client::online(MITE, server.address, "idle");
    waiting.type_line("wait 60");
    idle.ask("balance", "balance: 1000");
    server.program.kill();
    let lost = "the connection to the server is lost";
    waiting.program.error_line_with("error: no payment can come: the connection to the server");
    assert!(idle.program.line().starts_with(lost));
    for line in ["balance", "pay waiting 1", "register carol", "login idle 0"] {
        idle.expect_failure(line, "error: ");
        idle.program.error_line_with("hint: ");
    }
    idle.end(1);
    waiting.end(1);
}

#[test]
fn signals_end_a_script_with_a_goodbye() {
    // Protects the list: whoever is ended with Ctrl-C says goodbye to the server first.
    for signal in [Signal::INT, Signal::TERM] {
        let bank = Listener::open();
        let mut client = Client::start(MITE, bank.address);
        let mut server = bank.accept();
        client.type_line("login alice 0");
        assert!(server.message().starts_with("alice#"));
        server.send("1000\nKEY\n0\n");
        client.logged_in("alice");
        client.type_line("wait 60");
        client.program.signal(signal);
        assert_eq!(server.message(), "Exit", "{signal:?}");
        server.send("Bye\n");
        drop(server);
        let ended = client.program.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    }
}
