//! The program as a shell sees it: exit codes, and one line with one hint for each failure.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn node(args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_node"))
        .args(args)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

#[test]
fn help_and_version_are_data() {
    for (flag, text) in [("--help", "Exit codes:"), ("-h", "--role"), ("--version", "mite 0.")] {
        let output = node(&[flag], &[]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(text), "{flag}: {output:?}");
        assert!(output.stderr.is_empty(), "{flag}: {output:?}");
    }
}

#[test]
fn each_mistake_has_its_code_one_line_and_one_hint() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"role = \"server\"\nlisen = \"127.0.0.1:0\"\n").expect("written");
    let path = file.path().to_str().expect("text");
    let unknown_key = format!("error: {path}, line 2: unknown key `lisen`");
    for (args, variables, code, line) in [
        (&[][..], &[][..], 2, "error: no role is given"),
        (&["--role", "server", "--name", "bob"], &[], 2, "error: --name means nothing to a server"),
        (&["--config", path], &[], 3, &unknown_key),
        (&[], &[("MITE_CONFIG", path)], 3, &unknown_key),
        (
            &["--role", "server", "--data", "/tmp", "--listen", "mite.invalid:1"],
            &[],
            4,
            "error: cannot listen on mite.invalid:1: ",
        ),
        (
            &["--server", "mite.invalid:1"],
            &[("MITE_ROLE", "client"), ("MITE_DATA", "of another role")],
            7,
            "error: cannot reach the server at mite.invalid:1: ",
        ),
    ] {
        let output = node(args, variables);
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert_eq!(lines.len(), 2, "{args:?}: {text}");
        assert!(lines[0].starts_with(line), "{args:?}: {text}");
        assert!(lines[1].starts_with("hint: "), "{args:?}: {text}");
        assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn a_mistake_in_a_flag_is_one_line_and_one_hint_too() {
    for (args, line, hint) in [
        (
            &["--rol", "server"][..],
            "unexpected argument '--rol'",
            "a similar argument exists: '--role'",
        ),
        (&["--role", "servre"], "invalid value 'servre'", "possible values: server, client, demo"),
        (&["--role"], "a value is required for '--role", "possible values: server, client, demo"),
        (
            &["--text-quiet", "2"],
            "invalid value '2' for '--text-quiet <DURATION>': a time is",
            "--help",
        ),
        (&["--opening-balance", "-5"], "invalid value '-5' for '--opening-balance", "--help"),
        (&["server"], "no role is given", "add --role server"),
        (
            &["--role", "server", "fast"],
            "`fast` means nothing to a server",
            "it belongs to --role audit",
        ),
        (
            &["--role", "client", "--against", "receipt"],
            "--against means nothing to a client",
            "it belongs to --role audit",
        ),
        (
            &["--role", "audit", "--opening-balance", "5", "ledger"],
            "--opening-balance means nothing to an audit",
            "it belongs to --role server and --role demo",
        ),
        (&["--role", "audit"], "an audit is of a receipt or of a ledger", "receipt FILE"),
        (
            &["--role", "demo", "--opening-balance", "0"],
            "--opening-balance 0 leaves",
            "leave it out",
        ),
    ] {
        let output = node(args, &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert_eq!(lines.len(), 2, "{args:?}: {text}");
        assert!(lines[0].starts_with(&format!("error: {line}")), "{args:?}: {text}");
        assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{args:?}: {text}");
    }
}

/// A program without a standard error must still answer with its code.
#[test]
fn a_closed_standard_error_changes_nothing() {
    let status = Command::new("sh")
        .args(["-c", "exec \"$0\" --role king 2>&-", env!("CARGO_BIN_EXE_node")])
        .status()
        .expect("a shell");
    assert_eq!(status.code(), Some(2));
}

/// A program whose standard error is a pipe that is full, and that nobody reads, must still end: a
/// supervisor that hangs would otherwise keep a server up that has failed.
#[test]
fn a_full_standard_error_delays_the_end_by_a_second_at_most() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("it may not block");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    // A page may have room for a little yet.
    while writer.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).expect("it may block again");

    let mut program = Command::new(env!("CARGO_BIN_EXE_node"))
        .args(["--role", "king"])
        .stderr(writer)
        .spawn()
        .expect("the program runs");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        match program.try_wait().expect("it is ours") {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            None => {
                program.kill().expect("it is ours");
                panic!("it waits for somebody to read why it ends");
            }
        }
    };
    assert_eq!(status.code(), Some(2));
    drop(reader);
}

/// The key is there whatever the server says, and a script must learn both. Nobody types 24 words for a
/// profile that cannot be made.
#[test]
fn a_restored_key_whose_server_is_away_is_restored() {
    let config = tempfile::tempdir().expect("a temporary directory");
    let dir = config.path().to_str().expect("text");
    let start = || {
        let args = ["--role", "client", "--server", "127.0.0.1:1", "--name", "alice"];
        Command::new(env!("CARGO_BIN_EXE_node"))
            .args(args)
            .args(["--config-dir", dir, "--no-passphrase", "restore"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    };
    let mut first = start();
    let words = format!("{}art\n", "abandon ".repeat(23));
    let mut stdin = first.stdin.take().expect("a pipe");
    stdin.write_all(words.as_bytes()).expect("it reads");
    drop(stdin);
    let output = first.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{text}");
    let said = "error: the key is restored, but the server cannot be reached: ";
    assert!(text.lines().any(|line| line.starts_with(said)), "{text}");
    assert!(output.stdout.starts_with(b"the key is restored\n"), "{output:?}");

    let mut second = start();
    // Held open: whoever waits for words waits for ever.
    let stdin = second.stdin.take();
    let deadline = Instant::now() + Duration::from_mins(1);
    while second.try_wait().expect("it is ours").is_none() {
        if Instant::now() > deadline {
            second.kill().expect("it is ours");
            panic!("it waits for words that are of no use");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(stdin);
    let output = second.wait_with_output().expect("it has ended");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(output.stderr.starts_with(b"error: this profile has a key already\n"), "{output:?}");
}
