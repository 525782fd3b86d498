//! The program as a shell sees it: exit codes, and one line with one hint for each failure.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

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
    for (flag, text) in [("--help", "Exit codes:"), ("-h", "--role"), ("--version", "node 0.")] {
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
fn the_parser_of_flags_keeps_its_own_words() {
    for (args, said) in [
        (["--rol", "server"], "a similar argument exists: '--role'"),
        (["--role", "servre"], "possible values: server, client, demo"),
        (["--text-quiet", "2"], "a number with a unit"),
    ] {
        let output = node(&args, &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.starts_with("error: ") && text.contains(said), "{text}");
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
