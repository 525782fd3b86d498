use wire::secure::Problem;

use super::hint::parser_hint;
use super::*;
use crate::server_key::KeyFileProblem;

fn report(error: &Error) -> String {
    let mut out = Vec::new();
    error.report(&mut out).expect("a Vec takes every text");
    String::from_utf8(out).expect("text")
}

#[test]
fn each_failure_has_its_code_one_line_and_one_hint() {
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let path = || PathBuf::from("/data");
    let cause = || Cause::from("segment 3, offset 4096: wrong checksum");
    for (error, code, line) in [
        (Error::Usage { message: "m".into(), hint: "h".into() }, 2, "error: m"),
        (
            Error::ConfigUnreadable { path: path(), source: denied() },
            3,
            "error: cannot read the configuration file /data: permission denied",
        ),
        (
            Error::ConfigInvalid {
                path: path(),
                line: Some(2),
                message: "m".into(),
                hint: "h".into(),
            },
            3,
            "error: /data, line 2: m",
        ),
        (
            Error::listen(([127, 0, 0, 1], 80).into(), io::Error::from_raw_os_error(98)),
            4,
            "error: cannot listen on 127.0.0.1:80: address already in use",
        ),
        (
            Error::DataDirectory { path: path(), source: denied() },
            5,
            "error: cannot use the data directory /data: permission denied",
        ),
        (
            Error::DataDirectoryLocked { path: path() },
            5,
            "error: the data directory /data is in use by another process",
        ),
        (
            Error::ServerKey { path: path(), problem: KeyFileProblem::Exposed },
            5,
            "error: cannot use the server key /data: others than its owner may read it",
        ),
        (
            Error::JournalDamaged { path: path(), cause: cause() },
            6,
            "error: the journal in /data is damaged: segment 3, offset 4096: wrong checksum",
        ),
        (
            Error::JournalCut { path: path(), cause: cause() },
            6,
            "error: the journal in /data has lost its end: segment 3, offset 4096: wrong checksum",
        ),
        (
            Error::JournalOfOther { path: path(), cause: "batch 3 is not signed".into() },
            5,
            "error: the server key in /data is not that of the journal: batch 3 is not signed",
        ),
        (
            Error::JournalNewer { path: path(), cause: "segment 3: version 9".into() },
            6,
            "error: cannot open the journal in /data: segment 3: version 9",
        ),
        (Error::OutcomesUnknown { payments: 2 }, 1, "error: payments whose outcome is unknown: 2"),
        (
            Error::ServerUnreachable { address: "127.0.0.1:1".into(), source: denied() },
            7,
            "error: cannot reach the server at 127.0.0.1:1: permission denied",
        ),
        (
            Error::Unreadable { path: path(), source: denied() },
            5,
            "error: cannot read /data: permission denied",
        ),
        (Error::NoLedger { path: path() }, 5, "error: there is no ledger in /data"),
        (
            Error::ReceiptInvalid { path: path(), cause: "not signed".into() },
            8,
            "error: the receipt /data proves nothing: not signed",
        ),
        (
            Error::LedgerFault { path: path(), cause: cause() },
            8,
            "error: the ledger in /data fails the audit: segment 3, offset 4096: wrong checksum",
        ),
        (
            Error::JournalFailed { path: path(), cause: cause() },
            70,
            "error: the journal in /data cannot be written: segment 3, offset 4096: wrong \
             checksum",
        ),
        (Error::Internal("m".into()), 70, "error: internal error: m"),
    ] {
        let text = report(&error);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(error.exit_code(), code, "{text}");
        assert_eq!(lines[0], line);
        assert!(lines[1].starts_with("hint: ") && lines[1].len() > "hint: ".len(), "{text}");
        assert_eq!(lines.len(), 2, "{text}");
    }
}

#[test]
fn the_parsers_paragraph_becomes_a_line_and_a_hint() {
    let values = "error: invalid value 'x' for '--role <ROLE>'\n  [possible values: a, b]\n";
    let tip = "\n  tip: a similar value exists: 'a'\n";
    let more = "\nFor more information, try '--help'.\n";
    for (paragraph, message, hint) in [
        (
            format!("{values}{more}"),
            "invalid value 'x' for '--role <ROLE>'",
            "possible values: a, b",
        ),
        (
            format!("{values}{tip}{more}"),
            "invalid value 'x' for '--role <ROLE>'",
            "a similar value exists: 'a'; possible values: a, b",
        ),
        (
            format!("error: unexpected argument 'x' found\n\nUsage: node [OPTIONS]\n{more}"),
            "unexpected argument 'x' found",
            "run with --help for all flags",
        ),
        (String::new(), "", "run with --help for all flags"),
    ] {
        assert_eq!(parser_message(&paragraph), message);
        assert_eq!(parser_hint(&paragraph), hint);
    }
}

#[test]
fn failed_commands_are_summed_up_in_one_line() {
    let error = Error::CommandsFailed { failed: 2, commands: 7 };
    assert_eq!(error.exit_code(), 1);
    assert_eq!(report(&error), "error: 2 of 7 commands failed\n");
}

#[test]
fn a_cause_cannot_draw_on_the_screen() {
    let cause = Cause::from("\u{1b}[2Jgone\nerror: forged");
    let text = report(&Error::JournalDamaged { path: "/d".into(), cause });
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(text.lines().count(), 2, "{text:?}");
}

#[test]
fn who_has_restored_a_key_learns_that_it_is_there_whatever_the_server_says() {
    for (why, code, line, hint) in [
        (
            ConnectError::Unreachable("refused".into()),
            7,
            "error: the key is restored, but the server cannot be reached: refused\n",
            "hint: nothing need be restored again",
        ),
        (
            ConnectError::Refused(Problem::KeyRetired),
            1,
            "error: the key is restored, but the server refused the connection: the account has \
             another key\n",
            "hint: another key has taken its place",
        ),
    ] {
        let error = Error::OnlyRestored(why.into());
        let text = report(&error);
        assert_eq!(error.exit_code(), code, "{text}");
        assert!(text.starts_with(line) && text.contains(hint), "{text}");
    }
}
