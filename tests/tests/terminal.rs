//! The client at a terminal: menu, line editing, completion, and what happens while a line is typed.

use std::net::SocketAddr;

use tempfile::TempDir;
use tests::client::Client;
use tests::process::Server;
use tests::terminal::Terminal;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const TAB: &str = "\t";
const UP: &str = "\u{1b}[A";
const LEFT: &str = "\u{1b}[D";

/// A server, and somebody at a terminal who is not logged in yet.
fn sit_down(more_args: &[&str]) -> (TempDir, Server, Terminal) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, &data.path().join("ledger"), &[]);
    let terminal = open(data.path(), server.address, more_args);
    (data, server, terminal)
}

fn open(home: &std::path::Path, server: SocketAddr, more_args: &[&str]) -> Terminal {
    let server = server.to_string();
    let mut args = vec!["--role", "client", "--protocol", "text", "--server", &server];
    args.extend(["--p2p-port", "0"]);
    // The log would share the screen.
    args.extend(["--log-level", "error"]);
    args.extend(more_args);
    Terminal::start(MITE, home, &args)
}

#[test]
fn the_menus_letters_ask_for_what_they_need() {
    // Protects people who know the original program: its letters, and a question for each value.
    let (_data, server, mut terminal) = sit_down(&[]);
    let (bob, _) = Client::online(MITE, server.address, "bob");
    for (letter, word) in
        [("a", "login"), ("b", "register"), ("c", "list"), ("d", "pay"), ("e", "exit")]
    {
        terminal.expect_text(&format!("  {letter}  {word}"));
    }
    terminal.type_at("mite>", "b");
    terminal.type_at("name:", "alice");
    terminal.expect_text("registered alice");
    terminal.type_at("mite>", "a");
    terminal.type_at("name:", "alice");
    terminal.type_at("port [any free one]:", "");
    terminal.expect_text("logged in as alice, listening on port ");
    terminal.type_at("alice>", "d");
    terminal.type_at("to whom:", "bob");
    terminal.type_at("amount:", "10");
    terminal.expect_text("paid 10 to bob; balance: 990");
    bob.expect("received 10 from alice; balance: 1010");
    terminal.type_at("alice>", "c");
    terminal.expect_text("balance: 990");
    terminal.expect_text("online: 2");
    // A wrong answer ends the question, not the program.
    terminal.type_at("alice>", "d");
    terminal.type_at("to whom:", "bob");
    terminal.type_at("amount:", "ten");
    terminal.expect_text("error: 'ten' cannot be an amount");
    terminal.type_at("alice>", "e");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn words_with_arguments_do_the_same_and_failures_do_not_end_it() {
    // Protects people who know what they want; a mistake costs a line, not the program.
    let (_data, server, mut terminal) = sit_down(&["--name", "alice"]);
    terminal.type_at("mite>", "list");
    terminal.expect_text("error: not logged in");
    terminal.type_at("mite>", "register");
    terminal.expect_text("registered alice");
    terminal.type_at("mite>", "login alice 0");
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    bob.ask("alice#1#bob\n", "100 OK\n");
    terminal.type_at("alice>", "balance");
    terminal.expect_text("balance: 999");
    terminal.type_at("alice>", "pya bob 5");
    terminal.expect_text("hint: did you mean 'pay'?");
    terminal.type_at("alice>", "pay carol 5");
    terminal.expect_text("error: carol is not online");
    terminal.type_at("alice>", "quit");
    terminal.expect_text("goodbye");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_payment_that_comes_in_leaves_the_half_typed_line_alone() {
    // Protects the line being typed: a payment that arrives must neither tear nor swallow it.
    let (_data, server, mut terminal) = sit_down(&[]);
    let (mut bob, _) = Client::online(MITE, server.address, "bob");
    terminal.type_at("mite>", "register alice");
    terminal.type_at("mite>", "login alice 0");
    terminal.expect_line("alice>");
    terminal.press("pay bob 1");
    terminal.expect_line("alice> pay bob 1");
    for number in 1..=3 {
        bob.ask("pay alice 5", &format!("paid 5 to alice; balance: {}", 1000 - 5 * number));
        let said = format!("received 5 from bob; balance: {}", 1000 + 5 * number);
        terminal.expect(&said, |rows, cursor| {
            rows[cursor] == "alice> pay bob 1"
                && rows[..cursor].contains(&said)
                && rows.iter().filter(|row| row.starts_with("alice> pay")).count() == 1
        });
    }
    terminal.press("00\r");
    terminal.expect_text("paid 100 to bob; balance: 915");
    bob.expect("received 100 from alice; balance: 1085");
    terminal.expect_line("alice>");
}

#[test]
fn tab_completes_commands_and_names() {
    // Protects the typist, who is told by the completion what there is.
    let (_data, server, mut terminal) = sit_down(&[]);
    let _bobby = Connection::log_in(server.address, "bobby", 5002);
    terminal.expect_line("mite>");
    terminal.press(&format!("reg{TAB}alice\r"));
    terminal.expect_text("registered alice");
    terminal.expect_line("mite>");
    terminal.press(&format!("log{TAB}"));
    terminal.expect_line("mite> login");
    terminal.press("alice 0\r");
    terminal.expect_line("alice>");
    terminal.press(&format!("pay bo{TAB}"));
    terminal.expect_line("alice> pay bobby");
    terminal.press(&format!("0\r{CTRL_D}"));
    terminal.expect_text("error: the amount is zero");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn lines_are_edited_and_come_back() {
    // Protects the typist's work: a slip is corrected in place, and a line need not be typed twice.
    let (data, server, mut terminal) = sit_down(&[]);
    terminal.expect_line("mite>");
    terminal.press(&format!("registr alice{}", LEFT.repeat(7)));
    terminal.press("e\r");
    terminal.expect_text("registered alice");
    terminal.expect_line("mite>");
    terminal.press(UP);
    terminal.expect_line("mite> register alice");
    terminal.press("2\r");
    terminal.expect_text("registered alice2");
    terminal.expect_line("mite>");
    terminal.press(CTRL_D);
    assert_eq!(terminal.wait().code(), Some(0));
    // And the next time.
    let mut terminal = open(data.path(), server.address, &[]);
    terminal.expect_line("mite>");
    terminal.press(UP);
    terminal.expect_line("mite> register alice2");
}

#[test]
fn ctrl_c_clears_the_line_and_ctrl_d_leaves() {
    // Protects against leaving by accident, and against not getting out.
    let (_data, server, mut terminal) = sit_down(&[]);
    terminal.expect_line("mite>");
    terminal.press("register mallory");
    terminal.expect_line("mite> register mallory");
    terminal.press(CTRL_C);
    terminal.expect_line("mite>");
    terminal.press("register alice\r");
    terminal.expect_text("registered alice");
    terminal.expect_line("mite>");
    // In a question it takes the whole command back.
    terminal.press("pay\r");
    terminal.expect_line("to whom:");
    terminal.press(CTRL_C);
    terminal.expect_line("mite>");
    terminal.press(CTRL_D);
    assert_eq!(terminal.wait().code(), Some(0));
    // The cleared line did nothing.
    Connection::open(server.address).ask("mallory#5001\n", "220 AUTH_FAIL\n");
}

#[test]
fn the_loss_of_the_server_is_shown_above_the_line() {
    // Protects the user from typing to nobody.
    let (_data, server, mut terminal) = sit_down(&[]);
    terminal.type_at("mite>", "register alice");
    terminal.type_at("mite>", "login alice 0");
    terminal.expect_line("alice>");
    terminal.press("pay bob 5");
    terminal.expect_line("alice> pay bob 5");
    server.program.kill();
    terminal.expect("the loss", |rows, cursor| {
        rows[cursor].ends_with("> pay bob 5")
            && rows[..cursor].iter().any(|row| row.contains("connection to the server is lost"))
    });
    terminal.press("\r");
    terminal.expect_text("error: ");
    terminal.expect("the prompt", |rows, cursor| rows[cursor].ends_with('>'));
    terminal.press("exit\r");
    assert_eq!(terminal.wait().code(), Some(0));
}
